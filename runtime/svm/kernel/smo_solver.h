/* The solver's own: its state and its block, and what moves between the block and the whole problem (smo_block.c) and
 * chooses the block (smo_choose.c). smo.c has the rounds. */
#ifndef PERI_SVM_SMO_SOLVER_H
#define PERI_SVM_SMO_SOLVER_H

#include "svm/kernel/smo.h"

#define PERI_SMO_BLOCK 512 /* most variables of a block; to measure: ./dev bench parts machines */

/* The working set: which variables, their copies, their matrix. */
typedef struct peri_smo_block {
  peri_dense problem;
  int64_t most, ld, count; /* count: with the padding between separate segments */
  int64_t *member;         /* positions in the whole problem, by segment where they are separate; -1: padding */
  double *start;           /* b when the block was gathered */
  double *low, *high, *diagonal;
  int64_t *number;
  char *tile;
  const void **row; /* kernel rows of the members */
  int64_t *wanted;  /* their samples */
  double *delta;
  int64_t *kept;      /* the previous block, newest last */
  double *heap_value; /* selection of the most violating */
  int64_t *heap_at;
  int8_t *chosen; /* flags over the whole problem */
  double *newton; /* workspace of Newton steps on up to newton_most variables */
  int64_t newton_most;
} peri_smo_block;

typedef struct peri_smo_solver {
  peri_context *context;
  peri_row_source *source;
  peri_smo *smo;
  peri_dense whole;
  const peri_smo_limits *limits;
  double tol;
  int64_t limit, steps;
  bool rough;    /* the block is copied as float32 */
  bool refined;  /* blocks are exact from now on */
  bool ended;    /* out of time, or told to end */
  double scale;  /* the largest K_tt */
  double linear; /* the largest |q_t|, or kink */
  double drift;  /* about the rounding error that updates have left in the gradient */
  double noise;  /* about the rounding error of a gradient computed anew: gaps below it mean nothing */
} peri_smo_solver;

/* The gradient from nothing: q + Kb. */
peri_status peri_smo_rebuild(peri_smo_solver *self);
/* Copies the members and their matrix. */
peri_status peri_smo_gather(peri_smo_solver *self);
/* Takes the members' new values over and brings the gradient up to date. */
peri_status peri_smo_scatter(peri_smo_solver *self);
/* The next block over rows that are computed: the most violating pair always, half of the block new, the rest from the
 * last one. */
void peri_smo_choose(peri_smo_solver *self, const peri_dense_view *view);

#endif
