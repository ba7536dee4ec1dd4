/* Optimisers and learning-rate schedules: a table of each, and the objects that hold their state.
 *
 * An optimiser holds references to its parameters, in groups with options of their own, and a few buffers for each;
 * step() checks everything first, is not cancelled once begun, and goes through all parameters in one pass, for which
 * it needs no memory but for gradients that are not contiguous. A schedule is a pure function of the base rate, the
 * epoch and its options, but for the one that watches a metric; those made of functions or of other schedules are
 * evaluated by the binding. */
#ifndef PERI_OPTIM_H
#define PERI_OPTIM_H

#include "base/option.h"
#include "optim/update.h"
#include "tensor/tensor.h"

/* ---- the table of optimisers ---- */

#define PERI_OPTIMIZER_OPTIONS 16 /* values */

typedef struct peri_optimizer_kind {
  const char *name;
  const peri_option *options;                      /* the first is lr; ended by a NULL name */
  const char *buffers[PERI_UPDATE_BUFFERS + 1];    /* names of the buffers of each parameter; ended by NULL */
  const char *number;                              /* name of the number that each parameter has too, or NULL */
  bool (*uses)(const double *options, int buffer); /* whether these options need the buffer; NULL: all */
  const char *(*check)(const double *options);     /* what is wrong with them together, or NULL; NULL: nothing */
  /* For a parameter's step t = 1, 2, ...: which loop, and its numbers; *number is 0 before the first. NULL where the
   * step is not an update of each value by itself: then it is written in Lua. */
  peri_update_id (*prepare)(const double *options, int64_t t, double *number, double c[PERI_UPDATE_COEFFICIENTS]);
  bool closure; /* the step evaluates the loss itself */
  const char *doc;
} peri_optimizer_kind;

extern const peri_optimizer_kind *const peri_optimizer_kinds[]; /* ended by NULL */

/* Where the values of an option begin in those of its row; -1 when there is none of that name. */
int peri_optimizer_option(const peri_optimizer_kind *kind, const char *name);

/* ---- optimisers ---- */

typedef struct peri_optimizer_slot {
  peri_tensor *parameter;
  peri_tensor *buffers[PERI_UPDATE_BUFFERS]; /* NULL where not used */
  peri_tensor *gradient;                     /* while a step runs; contiguous */
  int64_t before;                            /* while a step runs: values of the parameters before it */
  int64_t steps;
  double number;
} peri_optimizer_slot;

/* Parameters with options of their own; they stand one behind the other among the slots. */
typedef struct peri_optimizer_group {
  double options[PERI_OPTIMIZER_OPTIONS];
  double initial; /* the rate that schedules begin with: that before the first of them, NaN before there is one */
  int64_t first, n;
} peri_optimizer_group;

typedef struct peri_optimizer {
  size_t references;
  peri_context *context;
  const peri_optimizer_kind *kind;
  int64_t n, groups_n;
  peri_optimizer_slot *slots;
  peri_optimizer_group *groups;
} peri_optimizer;

/* What a group is made of. */
typedef struct peri_optimizer_part {
  const double *options;
  int64_t n;
  peri_tensor *const *parameters;
} peri_optimizer_part;

/* Fails when a list is empty, when a tensor stands there twice, or is not a contiguous float leaf, when none requires
 * grad, and when the options of a group contradict each other. */
peri_status peri_optimizer_new(peri_context *context, const peri_optimizer_kind *kind, int64_t groups_n,
                               const peri_optimizer_part *groups, peri_optimizer **out);
peri_optimizer *peri_optimizer_retain(peri_optimizer *optimizer);
void peri_optimizer_release(peri_optimizer **optimizer);
/* One group more; fails likewise, and then nothing has changed. */
peri_status peri_optimizer_add_group(peri_optimizer *optimizer, const peri_optimizer_part *group);
/* Whether the group may have these options: they do not contradict each other, and need the buffers that there are. */
peri_status peri_optimizer_check_options(const peri_optimizer *optimizer, int64_t group, const double *options,
                                         const char *operation);
/* Sets a group's rate by hand: schedules that are made later begin with it. */
void peri_optimizer_set_rate(peri_optimizer *optimizer, int64_t group, double rate);
/* Fails when a gradient does not fit its parameter. */
peri_status peri_optimizer_check_gradients(const peri_optimizer *optimizer);
/* One step for every parameter that has a gradient. */
peri_status peri_optimizer_step(peri_optimizer *optimizer);
void peri_optimizer_zero_grad(peri_optimizer *optimizer);

/* ---- steps of networks in lanes (plan/lanes.h) ---- */

/* The optimiser whose step an act makes again, or NULL. */
peri_optimizer *peri_optimizer_of_act(const peri_act *act);

/* A parameter's values of all lanes, their gradients, and buffers; NULL where there is no gradient, or no buffer. */
typedef struct peri_optimizer_lanes {
  int64_t numel; /* of one lane */
  peri_dtype dtype;
  void *parameter, *gradient, *buffers[PERI_UPDATE_BUFFERS];
} peri_optimizer_lanes;
/* Optimisers of n lanes, alike, and their slots. */
typedef struct peri_optimizers_abreast {
  int n;
  peri_optimizer **optimizers;
  peri_optimizer_lanes *slots;
  bool *same; /* by group: whether the options of all are the same */
} peri_optimizers_abreast;
/* Room that a step needs for lanes of different options: bytes for the largest parameter of one lane. */
#define PERI_OPTIMIZER_SCRATCH(numel) ((size_t)(numel) * sizeof(double) * (2 + PERI_UPDATE_BUFFERS))
/* Whether their steps can be made together: the same groups, parameters and buffers, whatever the options. */
bool peri_optimizers_alike(const peri_optimizer *a, const peri_optimizer *b);
/* Finds which groups have the same options: before the first step after anybody may have changed them. */
void peri_optimizers_compare(peri_optimizers_abreast *o);
/* One step of all lanes, but for those whose bit in `out` is set, whose values may then be anything. */
void peri_optimizers_step_lanes(const peri_optimizers_abreast *o, uint32_t out, void *scratch);

/* ---- the table of schedules ---- */

#define PERI_SCHEDULE_OPTIONS 160 /* values */

typedef struct peri_schedule peri_schedule;

/* How the rate of an epoch comes about. */
typedef enum peri_schedule_form {
  PERI_SCHEDULE_FORMULA,  /* rate() */
  PERI_SCHEDULE_OBSERVER, /* observe() */
  PERI_SCHEDULE_FACTOR,   /* base times the factor that a function gives: this and the next, of the binding */
  PERI_SCHEDULE_PRODUCT,  /* base times the product of a function's factors until now */
  PERI_SCHEDULE_SEQUENCE, /* of schedules, one after the other */
  PERI_SCHEDULE_CHAIN     /* of schedules, each with the rate of the one before it as its base */
} peri_schedule_form;

/* Options that are open lists of numbers have one for each group, or one for all: a formula finds that of its group
 * first in the list. */
typedef struct peri_schedule_kind {
  const char *name;
  const peri_option *options; /* ended by a NULL name */
  peri_schedule_form form;
  const char *takes;                           /* of the binding's: the option that is no number */
  const char *(*check)(const double *options); /* what is wrong with them together, or NULL; NULL: nothing */
  double (*rate)(double base, double epoch, const double *options);
  double (*momentum)(double epoch, const double *options); /* NaN, or NULL: is left alone */
  void (*observe)(peri_schedule *schedule, double metric); /* sets the groups' `next` */
  const char *doc;
} peri_schedule_kind;

extern const peri_schedule_kind *const peri_schedule_kinds[]; /* ended by NULL */

/* ---- schedules ---- */

/* What a schedule remembers; the last three only when it watches a metric. */
enum {
  PERI_SCHEDULE_epoch,
  PERI_SCHEDULE_best,
  PERI_SCHEDULE_bad,     /* epochs without improvement */
  PERI_SCHEDULE_waiting, /* epochs of cooldown left */
  PERI_SCHEDULE_VALUES
};
extern const char *const peri_schedule_values[PERI_SCHEDULE_VALUES];

/* Of each group of the optimiser. */
typedef struct peri_schedule_rate {
  double base, last; /* the rate it begins with, and the one it gave last */
  double momentum;   /* given last, or NaN */
  double next, next_momentum;
  double product, until; /* of the factors from epoch 1 until that one, so far (PERI_SCHEDULE_PRODUCT) */
} peri_schedule_rate;

struct peri_schedule {
  size_t references;
  const peri_schedule_kind *kind;
  peri_optimizer *optimizer;
  double options[PERI_SCHEDULE_OPTIONS];
  double values[PERI_SCHEDULE_VALUES];
  int64_t groups_n;
  peri_schedule_rate *groups;
};

/* Takes the groups' rates as its bases, those before the first schedule if there is one; a formula sets them to those
 * of epoch 0. Of the binding's forms the binding applies epoch 0. */
peri_status peri_schedule_new(peri_optimizer *optimizer, const peri_schedule_kind *kind, const double *options,
                              peri_schedule **out);
void peri_schedule_release(peri_schedule **schedule);
/* Takes in the groups that the optimiser was given since. */
peri_status peri_schedule_fit(peri_schedule *schedule);
/* The rate of a group, by a formula; and its momentum, or NaN. */
double peri_schedule_formula(const peri_schedule *schedule, int64_t group, double base, double epoch, double *momentum);
/* The groups' `next` become their rates. Fails, and nothing changes, where one is no finite number from 0. */
peri_status peri_schedule_apply(peri_schedule *schedule, double epoch);
/* The next epoch; the metric counts only for observers. Not for the binding's forms. */
peri_status peri_schedule_step(peri_schedule *schedule, double metric);
/* Goes to any epoch from 0, of a formula; fails likewise. */
peri_status peri_schedule_set_epoch(peri_schedule *schedule, double epoch);
/* Hands the last rates on to the optimiser. */
void peri_schedule_write(peri_schedule *schedule);

#endif
