/* SPDX-License-Identifier: Apache-2.0 */
/* A model's answer of any bytes: what is taken has members of the closed lists only, and each
 * quote stands in the line it names. */
#include "rules/base/taxonomy.h"
#include "service/llm/ask.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const causes[] = {"disk_full", "host_oom", "gpu_oom"};

static void must(bool so)
{
    if (!so) {
        abort();
    }
}

static bool is_cause(struct fl_str cause)
{
    bool known = fl_str_eq(cause, FL_LIT("unknown"));
    for (size_t i = 0; i < sizeof causes / sizeof *causes; i++) {
        known |= fl_str_eq(cause, fl_str_of(causes[i]));
    }
    return known;
}

static void check(const struct fl_ask_answer *a, const struct fl_str *shown, size_t n)
{
    must(is_cause(a->cause) && fl_action_known(a->action));
    must(a->confidence >= 0 && a->confidence <= 1);
    must(a->evidence_n <= FL_ASK_EVIDENCE && a->recovery_n <= FL_ASK_STEPS);
    must(a->evidence_n > 0 || fl_str_eq(a->cause, FL_LIT("unknown")));
    for (size_t i = 0; i < a->evidence_n; i++) {
        must(a->evidence[i].line_index < n);
        must(a->evidence[i].quote.n > 0);
        must(fl_str_find(shown[a->evidence[i].line_index], a->evidence[i].quote) != NULL);
    }
    for (size_t i = 0; i < a->summary.n; i++) {
        must((unsigned char)a->summary.p[i] >= ' ');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct fl_ask_line lines[] = {
        {FL_LIT("rank3.log"), 40, 3, FL_LIT("step 40 loss 2.31"), .kind = 1},
        {FL_LIT("rank3.log"), 41, 3, FL_LIT("OSError: [Errno 28] No space left on device"), .kind = 2},
        {FL_LIT("rank0.log"), 9, 0, FL_LIT("Killed"), .kind = 3},
    };
    const struct fl_str shown[] = {lines[0].text, lines[1].text, lines[2].text};
    const struct fl_ask ask = {.lines = lines,
                               .lines_n = 3,
                               .causes = causes,
                               .causes_n = 3,
                               .actions = fl_actions,
                               .actions_n = fl_actions_n};
    struct fl_ask_answer answer;
    struct fl_err err = {0};
    struct fl_arena arena;
    char *text = malloc(size ? size : 1);
    must(text != NULL);
    memcpy(text, data, size);
    fl_arena_init(&arena, 16 << 20);
    if (fl_ask_parse_answer((struct fl_str){text, size}, &ask, shown, &arena, &answer, &err) ==
        FL_OK) {
        check(&answer, shown, 3);
    } else {
        must(err.msg[0] != '\0' && answer.evidence_n == 0 && answer.action.n == 0);
    }
    fl_arena_free(&arena);
    free(text);
    return 0;
}
