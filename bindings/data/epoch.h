/* An epoch of a training without Lua: mini-batches are gathered, steps replayed, losses and hits added up (epoch.c).
 * How scripts have it, one in a call or those of many trainings side by side, is in steps.c. */
#ifndef PERI_BIND_EPOCH_H
#define PERI_BIND_EPOCH_H

#include "loader.h"
#include "plan/lanes.h"
#include "plan/plan.h"

#define DATA_SHAPES 2 /* of mini-batches: whole ones, and the last */
#define DATA_KNOWN  8
#define DATA_LOOKS  16 /* steps between two looks at the clock */

#define DATA_MOST 3 /* tensors of a mini-batch: x, y, and perhaps weights of rows */

/* Mini-batches as one thread has them, for whatever training it works for: the tensors of each shape. */
typedef struct data_batches {
  peri_tensor *tensors[DATA_SHAPES][DATA_MOST];
} data_batches;

/* Which step a mini-batch is for: so many rows, first or last of a step of the optimizer; rows: of all mini-batches of
 * that step, where it has several. The plan: of the training's replay, or NULL; accepts: it takes whatever rows of the
 * loader, of which none need be looked at again. */
typedef struct data_kind {
  peri_plan *plan;
  bool first, last, accepts;
  int64_t count, rows;
} data_kind;

typedef enum data_said {
  DATA_END,     /* the epoch is through */
  DATA_ON,      /* the time is over, between two steps */
  DATA_STOPPED, /* the loss is no finite number */
  DATA_SCRIPT,  /* no plan is known for the next mini-batch, or none for its values: the step itself is to be called */
  DATA_FAILED   /* `status`; where memory was short, data_go goes on with what failed */
} data_said;

/* Sums over the mini-batches of an epoch. */
typedef struct data_sums {
  double loss, right, squares, rows;
} data_sums;
#define DATA_SUMS 4

typedef struct data_epoch {
  data_loader *loader;
  int tensors;                     /* of a mini-batch; 3: rows have weights, and what follows counts these */
  bool measures, classes, by_rows; /* by_rows: losses are means of rows */
  int64_t accumulate, in_all;      /* mini-batches of a step, and of the epoch */
  data_kind known[DATA_KNOWN];
  int known_n;
  /* what there is so far */
  int64_t batch, rows, batches, steps;
  data_sums sums;
  /* epochs that may follow without the script, and the sums of those that are through since it came by */
  int64_t ahead;
  int64_t done_n, done_room;
  double *done;              /* DATA_SUMS x done_room: of each epoch a column */
  int64_t group, group_rows; /* of the step that is under way */
  /* the mini-batch that is under way */
  bool running;
  data_kind kind;
  peri_tensor *arguments[DATA_MOST];
  double last;           /* its loss */
  double weight;         /* the sum of its weights */
  const double *weights; /* of its rows, or NULL */
  peri_status status;
} data_epoch;

/* Goes through mini-batches until one of the above, or peri_now() is `until`; in the plans' context, which may be a
 * shadow of the loader's. */
data_said data_go(data_epoch *e, peri_context *context, data_batches *batches, double until);
/* At the end of an epoch: whether the next one may begin; and begins it, which can fail, and then nothing is changed.
 */
bool data_may_follow(const data_epoch *e);
peri_status data_follow(data_epoch *e);
/* The kind of the next mini-batch, of `count` rows, without its plan. */
data_kind data_next_kind(const data_epoch *e, int64_t count);
/* The known kind like that one, or NULL. */
const data_kind *data_find_kind(const data_epoch *e, const data_kind *wanted);
/* Takes in a mini-batch whose step is made, or not, with its loss, and how many of its rows are right, or the sum of
 * their squared errors. */
void data_count_batch(data_epoch *e, const data_kind *kind, double loss, double second);
/* That number, from what the step gives second, and the rows' classes. */
double data_second(const data_epoch *e, const peri_tensor *second, const peri_tensor *y);
/* Before both, where rows have weights: what the step gives behind it, their sum and themselves as float64. */
void data_note_weights(data_epoch *e, const peri_tensor *sum, const peri_tensor *weights);
/* Goes on behind the next mini-batch, whose step begins. */
void data_pass_batch(data_epoch *e, const data_kind *kind);
void data_release_batches(data_batches *batches);

/* ---- epochs in lockstep, whose steps run in lanes (group.c) ---- */

/* Trainings, by the numbers of their plans of each kind: a group is kept from epoch to epoch, while it is true. */
typedef struct data_group {
  int n, kinds_n;
  int missed; /* times in a row that some of them were not there */
  bool alone; /* lanes do not know them: nothing else of this holds */
  uint64_t numbers[DATA_KNOWN][PERI_LANES];
  peri_lanes *lanes[DATA_KNOWN];
  /* of a run */
  data_epoch *epochs[PERI_LANES];
  data_said said[PERI_LANES];
  peri_lanes *loaded; /* those that have the values, or NULL */
  int at;             /* the kind of the mini-batches that are under way */
  bool running;       /* memory was short in a step: the next run goes on with it */
} data_group;

/* Whether two epochs may go in lockstep: the same kinds of mini-batches are ahead, and plans of the same size, which
 * accept all rows. */
bool data_like(const data_epoch *a, const data_epoch *b);
/* A group of 2 <= n <= PERI_LANES epochs that are like each other; `alone` where that was not enough, or on failure. */
peri_status data_open_group(data_group *g, peri_context *context, int n, data_epoch *const *epochs);
/* Finds the group's trainings among n epochs: lanes[l] in their order; false where one is missing, not in step with the
 * others, or not what it was. */
bool data_fill_group(data_group *g, int n, data_epoch *const *epochs, data_epoch **lanes);
/* As data_go for all g->epochs: said[l] of each. Where one cannot go on, none does. */
void data_go_group(data_group *g, peri_context *context, double until);
void data_release_group(data_group *g);

#endif
