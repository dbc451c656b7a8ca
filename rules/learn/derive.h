/* SPDX-License-Identifier: Apache-2.0 */
/* The line that proves a failure in, the pattern of a diagnosis rule out: what the message says is
 * kept, what varies from run to run is generalised by its type (rules/template/form.h), prefix and
 * time stamp are left off, and so is what stands before the first word. Whether it may become a
 * rule is the gate's to say (gate.h). */
#pragma once
#include "rules/template/form.h"
#include "service/base/status.h"

enum { FL_DERIVE_LITERAL = 12, FL_DERIVE_WORDS = 40, FL_DERIVE_BYTES = 1200 };

/* FL_DENIED: the line says too little that does not vary. */
enum fl_status fl_derive(const struct fl_form_peel *peel, struct fl_str line, struct fl_buf *out,
                         struct fl_err *err) FL_MUST_USE;
