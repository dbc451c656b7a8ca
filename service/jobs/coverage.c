/* SPDX-License-Identifier: Apache-2.0 */
#include "service/jobs/coverage.h"

#include "service/jobs/jobs_own.h"

#include <math.h>
#include <stdlib.h>

/* Facts may nest and hold lists (the nodes of a job): each plain value counts, under the name of the fact. */
#define ATTRIBUTES                                                                                 \
    "WITH pop AS (SELECT * FROM jobs WHERE revision > 0 ORDER BY row DESC LIMIT ?2),"              \
    " sel AS (SELECT row FROM pop WHERE incident <> '' AND incident IN (SELECT value FROM json_each(?1))),"       \
    " attr(key, value, job) AS ("                                                                  \
    "  SELECT 'node', s.node, s.job FROM streams s JOIN pop ON pop.row = s.job WHERE s.node <> ''" \
    "  UNION SELECT 'node', node, row FROM pop WHERE node <> ''"                                   \
    "  UNION SELECT 'rank', CAST(rank AS TEXT), row FROM pop WHERE rank >= 0"                      \
    "  UNION SELECT 'cause', cause, row FROM pop WHERE cause <> ''"                                \
    "  UNION SELECT iif(f.key = 'nodes' OR f.path LIKE '$.nodes%', 'node', iif(typeof(f.key) = 'integer',"        \
    "    substr(f.path, 3), f.key)), CAST(f.atom AS TEXT), pop.row"                                \
    "   FROM pop, json_tree(pop.facts) f WHERE f.atom IS NOT NULL AND f.atom <> '')"

/* P(X >= k) for k of n drawn, when K of N have it. */
static double chance_of(long k, long n, long K, long N)
{
    double p = 0;
    for (long i = k; i <= n && i <= K; i++) {
        if (n - i <= N - K) {
            p += exp(lgamma((double)K + 1) - lgamma((double)i + 1) - lgamma((double)(K - i) + 1) +
                     lgamma((double)(N - K) + 1) - lgamma((double)(n - i) + 1) -
                     lgamma((double)(N - K - n + i) + 1) - lgamma((double)N + 1) +
                     lgamma((double)n + 1) + lgamma((double)(N - n) + 1));
        }
    }
    return p < 1 ? p : 1;
}

static int by_chance(const void *a, const void *b)
{
    const struct fl_common *x = a;
    const struct fl_common *y = b;
    int order = (x->chance > y->chance) - (x->chance < y->chance);
    return order ? order : (x->in < y->in) - (x->in > y->in);
}

static enum fl_status count_jobs(struct fl_jobs *jobs, struct fl_str incidents, struct fl_coverage *out,
                                 struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    bool row = false;
    enum fl_status status = fl_db_prepare(
        &jobs->db, ATTRIBUTES " SELECT (SELECT COUNT(*) FROM sel), (SELECT COUNT(*) FROM pop)", &s, err);
    if (status == FL_OK) {
        fl_db_bind(s, 1, incidents);
        sqlite3_bind_int(s, 2, FL_COVERAGE_JOBS);
        status = fl_db_step(&jobs->db, s, &row, err);
    }
    out->selected = row ? (long)sqlite3_column_int64(s, 0) : 0;
    out->all = row ? (long)sqlite3_column_int64(s, 1) : 0;
    sqlite3_finalize(s);
    return status;
}

static enum fl_status keep_common(sqlite3_stmt *s, struct fl_arena *arena, struct fl_coverage *out,
                                  struct fl_err *err)
{
    struct fl_common *c = &out->list[out->n++];
    *c = (struct fl_common){.key = fl_arena_str(arena, fl_db_text(s, 0)),
                            .value = fl_arena_str(arena, fl_db_text(s, 1)),
                            .in = (long)sqlite3_column_int64(s, 2),
                            .among_all = (long)sqlite3_column_int64(s, 3)};
    c->lift = ((double)c->in / (double)out->selected) / ((double)c->among_all / (double)out->all);
    c->chance = chance_of(c->in, out->selected, c->among_all, out->all);
    return c->key.p && c->value.p ? FL_OK : fl_fail(err, FL_NOMEM, "no memory for what jobs have in common");
}

enum fl_status fl_jobs_coverage(struct fl_jobs *jobs, struct fl_str incidents, struct fl_arena *arena,
                                struct fl_coverage *out, struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    *out = (struct fl_coverage){.list = fl_arena_alloc(arena, FL_COVERAGE_MOST * sizeof *out->list)};
    enum fl_status status =
        out->list ? count_jobs(jobs, incidents, out, err) : fl_fail(err, FL_NOMEM, "no memory");
    if (status == FL_OK && out->selected > 0) {
        status = fl_db_prepare(
            &jobs->db,
            ATTRIBUTES " SELECT key, value, COUNT(DISTINCT sel.row) k, COUNT(DISTINCT attr.job) FROM attr"
                       " LEFT JOIN sel ON sel.row = attr.job GROUP BY key, value HAVING k >= min(2,"
                       " (SELECT COUNT(*) FROM sel)) ORDER BY k DESC, key, value LIMIT ?3", &s, err);
        if (status == FL_OK) {
            fl_db_bind(s, 1, incidents);
            sqlite3_bind_int(s, 2, FL_COVERAGE_JOBS);
            sqlite3_bind_int(s, 3, FL_COVERAGE_MOST);
        }
        while (fl_db_next(&jobs->db, s, &status, err)) {
            bool same = fl_str_eq(fl_db_text(s, 0), FL_LIT("cause")) &&
                        sqlite3_column_int64(s, 2) == out->selected; /* that is why they are together */
            status = same ? FL_OK : keep_common(s, arena, out, err);
        }
        sqlite3_finalize(s);
    }
    if (status == FL_OK) {
        qsort(out->list, out->n, sizeof *out->list, by_chance);
    }
    return status;
}
