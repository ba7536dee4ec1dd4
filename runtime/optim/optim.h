/* Optimisers and learning-rate schedules: a table of each, and the objects that hold their state.
 *
 * An optimiser holds references to its parameters and a few buffers for each; step() checks
 * everything first, is not cancelled once begun, and cannot fail for memory. A schedule is a pure
 * function of the base rate, the epoch and its options, but for the one that watches a metric. */
#ifndef PERI_OPTIM_H
#define PERI_OPTIM_H

#include "base/option.h"
#include "optim/update.h"
#include "tensor/tensor.h"

/* ---- the table of optimisers ---- */

#define PERI_OPTIMIZER_OPTIONS 8

typedef struct peri_optimizer_kind {
  const char *name;
  peri_option options[PERI_OPTIMIZER_OPTIONS + 1]; /* the first is lr; ended by a NULL name */
  const char *buffers[PERI_UPDATE_BUFFERS + 1];    /* names of the buffers of each parameter; ended by NULL */
  bool (*uses)(const double *options, int buffer); /* whether these options need the buffer; NULL: all */
  const char *(*check)(const double *options);     /* what is wrong with them together, or NULL; NULL: nothing */
  /* For a parameter's step t = 1, 2, ...: which loop, and its numbers. */
  peri_update_id (*prepare)(const double *options, int64_t t, double c[PERI_UPDATE_COEFFICIENTS]);
  const char *doc;
} peri_optimizer_kind;

extern const peri_optimizer_kind *const peri_optimizer_kinds[]; /* ended by NULL */

/* ---- optimisers ---- */

typedef struct peri_optimizer_slot {
  peri_tensor *parameter;
  peri_tensor *buffers[PERI_UPDATE_BUFFERS]; /* NULL where not used */
  peri_tensor *gradient;                     /* while a step runs; contiguous */
  int64_t steps;
} peri_optimizer_slot;

typedef struct peri_optimizer {
  size_t references;
  peri_context *context;
  const peri_optimizer_kind *kind;
  double options[PERI_OPTIMIZER_OPTIONS];
  int64_t n;
  peri_optimizer_slot slots[];
} peri_optimizer;

/* Fails when the list is empty, names a tensor twice, or holds one that is not a contiguous float
 * leaf, when no tensor requires grad, and when the options contradict each other. */
peri_status peri_optimizer_new(peri_context *context, const peri_optimizer_kind *kind, const double *options, int64_t n,
                               peri_tensor *const *parameters, peri_optimizer **out);
peri_optimizer *peri_optimizer_retain(peri_optimizer *optimizer);
void peri_optimizer_release(peri_optimizer **optimizer);
/* One step for every parameter that has a gradient. */
peri_status peri_optimizer_step(peri_optimizer *optimizer);
void peri_optimizer_zero_grad(peri_optimizer *optimizer);

/* ---- the table of schedules ---- */

#define PERI_SCHEDULE_OPTIONS 8

typedef struct peri_schedule peri_schedule;

typedef struct peri_schedule_kind {
  const char *name;
  peri_option options[PERI_SCHEDULE_OPTIONS + 1]; /* ended by a NULL name */
  double (*rate)(double base, double epoch, const double *options);
  void (*observe)(peri_schedule *schedule, double metric); /* instead of rate: sets values[PERI_SCHEDULE_last] */
  const char *doc;
} peri_schedule_kind;

extern const peri_schedule_kind *const peri_schedule_kinds[]; /* ended by NULL */

/* What a schedule remembers; the last three only when it watches a metric. */
enum {
  PERI_SCHEDULE_base,
  PERI_SCHEDULE_last, /* the rate it gave last */
  PERI_SCHEDULE_epoch,
  PERI_SCHEDULE_best,
  PERI_SCHEDULE_bad,     /* epochs without improvement */
  PERI_SCHEDULE_waiting, /* epochs of cooldown left */
  PERI_SCHEDULE_VALUES
};
extern const char *const peri_schedule_values[PERI_SCHEDULE_VALUES];

struct peri_schedule {
  size_t references;
  const peri_schedule_kind *kind;
  peri_optimizer *optimizer;
  double options[PERI_SCHEDULE_OPTIONS];
  double values[PERI_SCHEDULE_VALUES];
};

/* Takes the optimiser's rate as its base and sets it to that of epoch 0. */
peri_status peri_schedule_new(peri_optimizer *optimizer, const peri_schedule_kind *kind, const double *options,
                              peri_schedule **out);
void peri_schedule_release(peri_schedule **schedule);
/* The next epoch; the metric counts only for kinds that observe one. Fails, and nothing changes, where the rate would
 * be no finite number. */
peri_status peri_schedule_step(peri_schedule *schedule, double metric);
/* Goes to any epoch from 0, for kinds whose rate is a function of it; fails likewise. */
peri_status peri_schedule_set_epoch(peri_schedule *schedule, double epoch);

#endif
