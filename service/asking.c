/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing here may cost a verdict: what cannot be read or written is a warning, and the question is
 * asked as if nothing were known. */
#include "service/asking.h"

#include "service/base/clock.h"
#include "service/base/fsio.h"
#include "service/base/hash.h"
#include "service/base/log.h"
#include "service/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum { LOCKS = 64, WAIT_MS = 20, PATH_CAP = 4096 };

static bool recall(void *ctx, struct fl_str key, struct fl_str *text_r, struct fl_str *model_r)
{
    struct fl_asking *a = ctx;
    struct fl_err err = {0};
    enum fl_status status = fl_asked_answer(a->store, key, a->arena, text_r, model_r, &err);
    if (status != FL_OK && status != FL_NOTFOUND) {
        fl_log(FL_LOG_WARN, "what models answered before is not known: %s", err.msg);
    }
    return status == FL_OK;
}

static void keep(void *ctx, struct fl_str key, struct fl_str text, struct fl_str model)
{
    struct fl_asking *a = ctx;
    struct fl_err err = {0};
    if (fl_asked_answer_keep(a->store, key, text, model, &err) != FL_OK) {
        fl_log(FL_LOG_WARN, "the answer is not kept: %s", err.msg);
    }
}

static void warn(const struct fl_err *err)
{
    fl_log(FL_LOG_WARN, "%s", err->msg);
}

/* The same address with another key is another endpoint: a new key deserves a try. */
static void name_it(struct fl_asking *a, const struct fl_config *config)
{
    const char *key = config->value[FL_SET_API_KEY];
    const char *url = config->value[FL_SET_BASE_URL];
    const char *model = config->value[FL_SET_MODEL];
    snprintf(a->name, sizeof a->name, "%.400s %.160s %08x", url ? url : "", model ? model : "",
             (unsigned)fl_hash(fl_str_of(key ? key : ""), 7));
}

static enum fl_status check_endpoint(struct fl_asking *a, struct fl_err *err)
{
    struct fl_err fault = {0};
    int64_t now = fl_clock_wall_s();
    if (fl_asked_endpoint(a->store, fl_str_of(a->name), a->arena, &a->endpoint, &fault) != FL_OK) {
        warn(&fault);
        return FL_OK;
    }
    fl_client_caps_read(a->endpoint.caps, &a->caps);
    if (a->endpoint.closed_until > now + FL_ASKING_CLOSED_MOST_S) {
        a->endpoint.closed_until = 0; /* the clock was set back */
    }
    return a->endpoint.closed_until > now
               ? fl_fail(err, FL_DENIED, "not asked for %lld s more, as it failed %ld times in a row"
                         " (%.300s)", (long long)(a->endpoint.closed_until - now),
                         a->endpoint.faults, a->endpoint.fault.p)
               : FL_OK;
}

enum fl_status fl_asking_budget(const struct fl_config *config, struct fl_incidents *store,
                                struct fl_err *err)
{
    struct fl_err fault = {0};
    struct fl_spending spent;
    double calls = fl_config_number(config, FL_SET_DAY_CALLS, -1);
    double tokens = fl_config_number(config, FL_SET_DAY_TOKENS, -1);
    if (calls < 0 && tokens < 0) {
        return FL_OK;
    }
    if (fl_asked_today(store, &spent, &fault) != FL_OK) {
        return fl_fail(err, FL_DENIED, "not asked: what was spent today cannot be read (%.300s)",
                       fault.msg);
    }
    if (calls >= 0 && (double)spent.calls >= calls) {
        return fl_fail(err, FL_DENIED, "not asked: today's %.0f calls are used up (%s)", calls,
                       fl_config_name(FL_SET_DAY_CALLS));
    }
    if (tokens >= 0 && (double)(spent.asked + spent.answered) >= tokens) {
        return fl_fail(err, FL_DENIED, "not asked: today's %.0f tokens are used up (%s)", tokens,
                       fl_config_name(FL_SET_DAY_TOKENS));
    }
    return FL_OK;
}

/* One of a few locks, by fingerprint: two failures that share one wait for each other, no more. */
static void lock_it(struct fl_asking *a, const char *state, const char *fingerprint,
                    int64_t deadline_ms)
{
    char path[PATH_CAP];
    unsigned slot = (unsigned)(fl_hash(fl_str_of(fingerprint), 3) % LOCKS);
    int n = snprintf(path, sizeof path, "%s/cache", state);
    if (n >= PATH_CAP - 32 || fl_fsio_mkdirs(path, NULL) != FL_OK) {
        return;
    }
    snprintf(path + n, sizeof path - (size_t)n, "/asking-%02u.lock", slot);
    a->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    while (a->lock >= 0 && flock(a->lock, LOCK_EX | LOCK_NB) != 0) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || fl_clock_mono_ms() >= deadline_ms) {
            return; /* asking twice is better than not at all */
        }
        nanosleep(&(struct timespec){.tv_nsec = WAIT_MS * 1000L * 1000}, NULL);
    }
}

double fl_asking_money(const struct fl_config *config, long sent, long received)
{
    double in = fl_config_number(config, FL_SET_PRICE_IN, -1);
    double out = fl_config_number(config, FL_SET_PRICE_OUT, -1);
    return in >= 0 && out >= 0 ? ((double)sent * in + (double)received * out) / 1e6 : -1;
}

struct fl_client_endpoint fl_asking_endpoint(const struct fl_config *config, enum fl_setting model)
{
    return (struct fl_client_endpoint){.base_url = config->value[FL_SET_BASE_URL],
                                       .api_key = config->value[FL_SET_API_KEY],
                                       .headers = config->headers,
                                       .ca_file = config->value[FL_SET_CA_FILE],
                                       .cert_file = config->value[FL_SET_CERT_FILE],
                                       .model = config->value[model]};
}

static struct fl_ask_config how_to_ask(const struct fl_config *config, int seconds,
                                       struct fl_arena *arena)
{
    char shipped[FL_PATHS_BYTES];
    const char *prompts = config->value[FL_SET_PROMPTS];
    seconds = fl_config_int(config, FL_SET_DEADLINE, seconds);
    prompts = prompts ? prompts : fl_paths_data("prompts", shipped);
    return (struct fl_ask_config){.to = fl_asking_endpoint(config, FL_SET_MODEL),
                                  .prompts_dir = fl_arena_text(arena, fl_str_of(prompts)),
                                  .deadline_ms = fl_clock_mono_ms() + (int64_t)seconds * 1000,
                                  .votes = fl_config_int(config, FL_SET_VOTES, 1)};
}

void fl_asking_begin(struct fl_asking *a, const struct fl_config *config, int seconds,
                     struct fl_incidents *store, const char *fingerprint, struct fl_arena *arena)
{
    const char *state = config->value[FL_SET_STATE];
    *a = (struct fl_asking){.store = state ? store : NULL, .arena = arena, .lock = -1,
                            .began_us = fl_clock_mono_us()};
    a->how = how_to_ask(config, seconds, arena);
    a->how.caps = &a->caps;
    name_it(a, config);
    if (a->store) {
        a->memory = (struct fl_ask_memory){a, recall, keep};
        a->how.memory = &a->memory;
        if (*fingerprint) {
            lock_it(a, state, fingerprint, a->how.deadline_ms);
        }
    }
}

enum fl_status fl_asking_allowed(struct fl_asking *a, const struct fl_config *config,
                                 struct fl_err *err)
{
    enum fl_status status = a->store ? check_endpoint(a, err) : FL_OK;
    return status == FL_OK && a->store ? fl_asking_budget(config, a->store, err) : status;
}

/* Is it the endpoint's fault? A bad answer is the model's, a bad address the operator's. */
static bool is_fault(enum fl_status status)
{
    return status == FL_UNAVAILABLE || status == FL_TIMEOUT || status == FL_DENIED ||
           status == FL_NOTFOUND;
}

static void note_endpoint(struct fl_asking *a, bool fault, const char *what)
{
    struct fl_err err = {0};
    struct fl_buf caps;
    struct fl_endpoint *e = &a->endpoint;
    fl_buf_init(&caps, 4096);
    fl_client_caps_write(&a->caps, &caps);
    e->caps = fl_buf_str(&caps);
    e->faults = fault ? e->faults + 1 : 0;
    e->fault = fl_str_of(fault ? what : "");
    e->closed_until = 0;
    if (e->faults >= FL_ASKING_FAULTS) {
        long doublings = e->faults - FL_ASKING_FAULTS;
        int64_t closed = (int64_t)FL_ASKING_CLOSED_S << (doublings < 10 ? doublings : 10);
        closed = closed < FL_ASKING_CLOSED_MOST_S ? closed : FL_ASKING_CLOSED_MOST_S;
        e->closed_until = fl_clock_wall_s() + closed;
    }
    if (fl_asked_endpoint_keep(a->store, fl_str_of(a->name), e, &err) != FL_OK) {
        warn(&err);
    }
    fl_buf_free(&caps);
}

void fl_asking_note(struct fl_asking *a, enum fl_status status, const struct fl_err *why,
                    struct fl_spending spent)
{
    struct fl_err err = {0};
    bool reached = spent.calls > 0;
    if (!a->store) {
        return;
    }
    if (reached || is_fault(status)) {
        note_endpoint(a, !reached, why->msg);
    }
    spent.model = spent.model.n ? spent.model : fl_str_of(a->name);
    spent.seconds = (double)(fl_clock_mono_us() - a->began_us) / 1e6;
    if (reached && fl_asked_spend(a->store, &spent, &err) != FL_OK) {
        warn(&err);
    }
}

void fl_asking_end(struct fl_asking *a)
{
    if (a->lock >= 0) {
        close(a->lock);
        a->lock = -1;
    }
}
