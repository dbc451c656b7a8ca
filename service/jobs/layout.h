/* SPDX-License-Identifier: Apache-2.0 */
/* What the path of a log says about whose it is: pure functions of slices.
 *
 *   slurm-48213.out, slurm-48213_4.out       job slurm-48213, slurm-48213_4
 *   train-48213.err, train-48213_4.err       the same (%x-%j, %x-%A_%a)
 *   RUN_x1y2z3/attempt_0/3/stderr.log        job RUN_x1y2z3, stream attempt_0/3/stderr.log (torchrun)
 *   NS_POD_UID/main/0.log                    job of the pod, stream POD/main/0.log, node POD (Kubernetes)
 *   exp7/logs/rank3.log                      job exp7, stream logs/rank3.log
 *   exp7.log                                 job exp7 */
#pragma once
#include "service/base/str.h"
#include "service/jobs/copy.h"

/* path: from the watched folder on, whose own name is root. Fills in job, stream and node; false: it is no
 * name of a log (or of one that was rotated away). */
bool fl_layout(struct fl_str root, struct fl_str path, struct fl_copy *out);
