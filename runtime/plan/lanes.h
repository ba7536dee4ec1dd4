/* Networks side by side: up to PERI_LANES plans of the same steps, over tensors of their own, run as one. Number i of
 * lane l stands at i * PERI_LANES + l, so that every loop goes over all lanes at once, and a step of sixteen small
 * networks costs little more than that of one. Each lane has, bit for bit, what its plan gives by itself: a row says
 * how it runs in lanes (run_lanes in ops/ops.h), and a step with one that does not is not run so.
 *
 * While lanes are loaded, parameters, gradients and what optimisers keep live in the lanes, and the tensors wait:
 * whoever looks at these, or runs a plan, stores first. */
#ifndef PERI_LANES_H
#define PERI_LANES_H

#include "kernels/kernels.h"
#include "plan/plan.h"

typedef struct peri_lanes peri_lanes;

/* Lanes of 2 <= n <= PERI_LANES plans, which stay as long as they do. *out is NULL, and all is well, where the plans
 * are not alike, or have a step that lanes do not know, or tensors too large to gain by it. */
peri_status peri_lanes_new(peri_context *context, int n, peri_plan *const *plans, peri_lanes **out);
void peri_lanes_release(peri_lanes **lanes);
/* Whether the plans' optimisers still have the parameters and buffers that they had then. */
bool peri_lanes_hold(const peri_lanes *lanes);

/* Where argument i of a step stands in lanes, for whoever puts it there himself and runs the step without arguments.
 * Lanes that there are not have the numbers of the first, so that every operation can work on them. */
void *peri_lanes_argument(const peri_lanes *lanes, int i);
/* Takes the values of the tensors. */
void peri_lanes_load(peri_lanes *lanes);
/* A step of each lane that has not stopped, in a context of the same kernels: arguments[lane] is its mini-batch, or
 * arguments NULL where all of them stand in lanes; it has passed peri_plan_accepts. *stopped: the lanes whose step
 * ended early, since they were loaded, by peri_plan_go_on; their tensors are as a replay leaves them. A failure leaves
 * all loaded lanes where they were by then, as a failed replay does; where memory was short, peri_lanes_resume goes on.
 */
peri_status peri_lanes_run(peri_lanes *lanes, peri_context *context, peri_tensor *const *const *arguments,
                           uint32_t *stopped);
peri_status peri_lanes_resume(peri_lanes *lanes, peri_context *context, uint32_t *stopped);
/* Result i of the last step, in lanes; and of one lane, a view. Both until the next. */
const peri_tensor *peri_lanes_results(const peri_lanes *lanes, int i);
const peri_tensor *peri_lanes_result(peri_lanes *lanes, int lane, int i);
/* Gives the tensors the values of the lanes that have not stopped. */
void peri_lanes_store(peri_lanes *lanes);
size_t peri_lanes_bytes(const peri_lanes *lanes);

#endif
