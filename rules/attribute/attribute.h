/* SPDX-License-Identifier: Apache-2.0 */
/* Findings of all streams in, one verdict out: which of them began it, where, how sure.
 * The verdict borrows texts from the diagnosis, its rule set and the taxonomy. Stateless. */
#pragma once
#include "rules/diagnose.h"
#include "rules/signals/detect.h"

enum fl_outcome { FL_OUTCOME_FAILED, FL_OUTCOME_HEALTHY, FL_OUTCOME_UNKNOWN };
/* What a verdict rests on. */
enum fl_basis {
    FL_BASIS_RULE,     /* failed: a rule of its cause */
    FL_BASIS_SIGNAL,   /* failed: a metric's course */
    FL_BASIS_SUCCESS,  /* healthy: the job said that it was done */
    FL_BASIS_PROGRESS, /* healthy: it made steps and shows no failure */
    FL_BASIS_NOTHING,  /* unknown */
    FL_BASES_N,
};
enum fl_method { FL_METHOD_RULE, FL_METHOD_SIGNAL, FL_METHOD_INCIDENT, FL_METHOD_MODEL };

enum {
    FL_EVIDENCE_MAX = 5,
    FL_HYPOTHESES_MAX = 8,
    FL_SYMPTOMS_MAX = 16,
    FL_SIGNALS_MAX = 8,
};

struct fl_evidence {
    struct fl_place place;
    struct fl_str text;
    const char *rule; /* id, or NULL (a signal, a model's citation) */
};

/* Why a hypothesis stands where it stands, as facts; whoever reports it makes the words. A
 * hypothesis that a model gave has none (count 0). */
struct fl_reasons {
    long count;              /* lines that say it, confirming ones too */
    double doubt;            /* taken off the verdict's because the next one is nearly as likely */
    bool symptom;            /* no rule that found it can name a root cause */
    bool has_steps;          /* its stream shows progress before it or after it */
    long steps_after;        /* progress lines of its run after its last sighting */
    bool after_success;      /* the job had said that it was done */
    bool succeeded;          /* the job said that it was done, afterwards */
    bool lasts;              /* the job did not get over it */
    struct fl_sighting began; /* where it first came, of what lasts; else where it came last */
    struct fl_evidence confirmation; /* by a rule of that role; rule is NULL when there is none */
};

struct fl_hypothesis {
    const struct fl_cause *cause;
    double score;      /* of the attribution: what causes are compared by */
    double confidence; /* the chance that it is the root cause; fl_calibrate's */
    struct fl_str summary;
    struct fl_evidence evidence[FL_EVIDENCE_MAX];
    size_t evidence_n;
    const char *explained_by; /* slug of the cause it is a consequence of, or NULL */
    bool healed;              /* the job went on, or had already finished */
    const struct fl_rule *rule; /* of the first evidence, or NULL */
    struct fl_reasons why;
};

struct fl_symptom {
    const char *cause;
    long count;
    struct fl_place first;
};

struct fl_signal {
    const char *metric;
    const char *kind;
    long from_step;
    long to_step;
    long rank;
    enum fl_severity severity;
    double confidence; /* below 0: not known */
    uint32_t stream;   /* where it shows first */
    long line;
    char text[FL_DETECTION_TEXT]; /* one sentence */
};

struct fl_verdict {
    enum fl_outcome outcome;
    const struct fl_cause *cause; /* NULL unless failed */
    enum fl_severity severity;
    enum fl_basis basis;
    double score;
    double confidence; /* the chance that the verdict is right; fl_calibrate's */
    enum fl_method method;
    struct fl_str summary;
    bool recoverable;
    const char *action;
    const char *const *recovery;
    size_t recovery_n;
    struct fl_hypothesis hypotheses[FL_HYPOTHESES_MAX]; /* the first one is the verdict's cause */
    size_t hypotheses_n;
    struct fl_symptom symptoms[FL_SYMPTOMS_MAX];
    size_t symptoms_n;
    struct fl_signal signals[FL_SIGNALS_MAX];
    size_t signals_n;
    struct fl_place faulty; /* rank, local_rank, gpu, node; -1 and empty where unknown */
    long last_step;         /* -1: not known; so the next ones */
    long checkpoint;
    long lost_steps;
};

/* Never fails: with no finding the verdict is healthy (the job progressed or said it was done) or
 * unknown. Scores only: fl_calibrate (rules/attribute/calibration.h) makes confidences of them. */
void fl_attribute(struct fl_diagnosis *diagnosis, struct fl_verdict *out);
/* While lines still come, as often as one likes: texts of its own go into the arena. */
void fl_attribute_so_far(struct fl_diagnosis *diagnosis, struct fl_arena *arena,
                         struct fl_verdict *out);

/* A cause that was found elsewhere becomes the verdict's; what the rules say comes second. */
void fl_verdict_lead(struct fl_verdict *verdict, const struct fl_hypothesis *hypothesis);

const char *fl_outcome_name(enum fl_outcome outcome);
const char *fl_method_name(enum fl_method method);
