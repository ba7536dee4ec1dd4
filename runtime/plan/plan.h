/* Plans: a step of training, or whatever calls rows, recorded once and made again without dispatcher, tape and
 * allocation.
 *
 * While a plan records, the step runs as ever, and the rooms tell (base/record.h) of calls, gradients that kernels
 * compute at once, optimisers' steps. A plan then holds calls that are ready to run: frames with arguments and outputs
 * in place. What lies between them shares one block, two values the same bytes where their lives do not meet. What was
 * there before the step (parameters, gradients, statistics) is held and written in place, as the step does.
 *
 * Whatever cannot be replayed refuses, with a reason; what the recording rests on is a list of guards. */
#ifndef PERI_PLAN_H
#define PERI_PLAN_H

#include "optim/optim.h"

typedef struct peri_plan peri_plan;

/* Begins to record a step with these arguments, which the caller keeps until the end. Fails where memory is short, and
 * where the step could not be replayed in any case: `refused` of the plan says why then. */
peri_status peri_plan_begin(peri_context *context, int n, peri_tensor *const *arguments, peri_plan **out);
/* Ends it; results are what the step gives. The plan is ready unless it has a reason (peri_plan_refused). */
void peri_plan_end(peri_plan *plan, int n, peri_tensor *const *results);
/* The step failed, or its recording is of no use: as peri_plan_end, with a reason. */
void peri_plan_refuse(peri_plan *plan, const char *reason);
/* Why it cannot be replayed, or NULL. `passing`: it was for a state that does not last (a parameter had no gradient
 * yet), and another try may do. */
const char *peri_plan_refused(const peri_plan *plan, bool *passing);
void peri_plan_release(peri_plan **plan);

/* Tensors from outside that no layer or optimiser answers for, one after the other from i = 0: NULL at the end. Whoever
 * cannot say that the step will find the same ones again must not replay it. */
peri_tensor *peri_plan_stranger(const peri_plan *plan, int i);

/* Whether the plan was recorded for such arguments, in such a state. Values of the arguments that operations check are
 * checked here. */
bool peri_plan_fits(peri_plan *plan, int n, peri_tensor *const *arguments);
/* The same for tensors that are yet to come, of these layouts, which share memory with nothing; but for their values.
 */
bool peri_plan_suits(const peri_plan *plan, int n, const peri_layout *layouts);
/* The values alone: of arguments with the layouts of some that fitted, or suited, while nothing else has changed. */
bool peri_plan_accepts(peri_plan *plan, peri_tensor *const *arguments);
/* Whether that is so for whatever rows of these tensors: false, too, where nobody can say. Their memory stays as it is.
 */
bool peri_plan_accepts_rows(const peri_plan *plan, peri_tensor *const *of);
/* Makes the step. The arguments fit, and stay until the end. results: as many new references as the plan has results;
 * or NULL, and then they are in peri_plan_result until the next run. A failure leaves what the step itself would have
 * left; where memory was short, peri_plan_resume goes on with what failed, once there is some. */
peri_status peri_plan_run(peri_plan *plan, peri_tensor *const *arguments, peri_tensor **results);
peri_status peri_plan_resume(peri_plan *plan, peri_tensor **results);
/* From now on the plan runs in a shadow of its context (base/base.h), on whatever thread, or in the context itself
 * again, in which alone it may be released, and asked whether it fits. What the step but reads may meanwhile be read by
 * other plans; of what it writes to, every storage must be its own: peri_plan_outside gives those that were there
 * before the step, from *at = 0 on, which it moves, and whether the step writes to them; NULL at the end. */
void peri_plan_move(peri_plan *plan, peri_context *context);
peri_storage *peri_plan_outside(const peri_plan *plan, int *at, bool *writes);
int peri_plan_results(const peri_plan *plan);
peri_tensor *peri_plan_result(const peri_plan *plan, int i);

/* In a step: what follows is not made where x, a tensor of one float, is no finite number. False then, and when a
 * replay comes by here it ends, without an error, and says that it was stopped. */
bool peri_plan_go_on(peri_tensor *x);
bool peri_plan_stopped(const peri_plan *plan);

/* ---- what a plan is made of, for printing ---- */
typedef struct peri_plan_step {
  const char *name;
  const char *kind; /* "operation", "gradient", "copy", "check", "act", "joined" */
  int joined;       /* "joined": how many of the steps that follow it stands for, else 0 */
  int within;       /* how many places before it the joined one stands that it is part of, else 0 */
  int64_t bytes;    /* read and written; of a part 0, as the whole says them */
  int64_t products; /* multiply-adds of a product, else 0 */
  double seconds;   /* of all timed replays */
} peri_plan_step;
int peri_plan_steps(const peri_plan *plan);       /* the parts of joined ones too, each behind the whole */
uint64_t peri_plan_number(const peri_plan *plan); /* no two plans of a context have the same */
peri_plan_step peri_plan_step_at(const peri_plan *plan, int i);
size_t peri_plan_bytes(const peri_plan *plan); /* of the block that values share, and of constants */
/* Replays as peri_plan_run does, and adds up how long each step took. */
void peri_plan_time(peri_plan *plan, bool on);

#endif
