/* SPDX-License-Identifier: Apache-2.0 */
#include "service/embedding.h"

#include "service/asking.h"
#include "service/base/clock.h"
#include "service/base/log.h"
#include "service/consult.h"
#include "service/llm/client_embed.h"

/* The question's vector comes first, those of the missing ones follow. */
static enum fl_status embed(const struct fl_config *config, struct fl_result *r, struct fl_str text,
                            const struct fl_dense_text *missing, size_t n,
                            struct fl_client_vectors *out, struct fl_err *err)
{
    struct fl_str texts[1 + FL_EMBEDDING_MISSING];
    const struct fl_client_request request = {
        .to = fl_asking_endpoint(config, FL_SET_EMBED_MODEL),
        .deadline_ms = fl_clock_mono_ms() + FL_EMBEDDING_DEADLINE_S * 1000};
    texts[0] = fl_telling_redacted(r, text);
    for (size_t i = 0; i < n; i++) {
        texts[1 + i] = fl_telling_redacted(r, missing[i].text);
    }
    return fl_client_embed(&request, texts, 1 + n, &r->arena, out, err);
}

size_t fl_embedding_near(const struct fl_config *config, struct fl_result *r, struct fl_str text,
                         struct fl_near near[static FL_EMBEDDING_NEAR])
{
    struct fl_dense_text missing[FL_EMBEDDING_MISSING];
    struct fl_client_vectors vectors = {.n = 0};
    struct fl_err err = {0};
    struct fl_str model = fl_str_of(config->value[FL_SET_EMBED_MODEL]);
    size_t n = 0;
    size_t found = 0;
    if (model.n == 0 || !config->value[FL_SET_STATE] || !fl_consult_wanted(config)) {
        return 0;
    }
    int64_t start = fl_clock_mono_us();
    enum fl_status status = fl_asking_budget(config, r->store, &err);
    if (status == FL_OK) {
        status =
            fl_dense_missing(r->store, model, FL_EMBEDDING_MISSING, &r->arena, missing, &n, &err);
    }
    if (status == FL_OK) {
        status = embed(config, r, text, missing, n, &vectors, &err);
    }
    if (status == FL_OK && vectors.dim && n) {
        status = fl_dense_keep(r->store, model, vectors.dim, missing, vectors.rows + vectors.dim, n,
                               &err);
    }
    if (status == FL_OK && vectors.dim) {
        status = fl_dense_near(r->store, model, vectors.rows, vectors.dim, FL_EMBEDDING_NEAR, near,
                               &found, &err);
    }
    const struct fl_spending spent = {.model = model, .calls = vectors.calls,
                                      .asked = vectors.prompt_tokens,
                                      .seconds = (double)(fl_clock_mono_us() - start) / 1e6};
    if (vectors.calls && fl_asked_spend(r->store, &spent, &err) != FL_OK) {
        status = err.status;
    }
    if (status != FL_OK) {
        fl_log(FL_LOG_WARN, "embeddings: %s (going on with the built-in ones)", err.msg);
    }
    return status == FL_OK ? found : 0;
}
