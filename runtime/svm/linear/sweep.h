/* Passes over the rows for several machines of the same problem: products with vectors on the way there,
 * sums of rows on the way back, so that the features are read once. Arrays are by slot: the machines
 * first .. first + slots - 1 have slots 0 .. slots - 1, and a pass serves those that are listed. */
#ifndef PERI_LINEAR_SWEEP_H
#define PERI_LINEAR_SWEEP_H

#include "svm/linear/problem.h"

typedef struct peri_linear_slots {
  const peri_linear_problem *problem;
  int64_t first, slots;
  int64_t count, *list; /* ascending: the slots that take part */
  int64_t pieces;
  double *partial; /* pieces x slots x width */
} peri_linear_slots;

/* Arrays for up to `slots` slots; the list is all of them. */
peri_status peri_linear_slots_new(peri_linear_problem *p, int64_t slots, peri_linear_slots *out);

#define PERI_LINEAR_BLOCK 64 /* rows between the way there and the way back; to measure: ./dev bench parts linear */

typedef struct peri_linear_sweep {
  const peri_linear_slots *at;
  const double *vectors; /* slots x width; NULL: no way there */
  double *products;      /* slots x rows: x_i'v */
  const double *only;    /* slots x rows: products are wanted where it is not 0; NULL: everywhere */
  /* Says by what the rows first .. first + count - 1 are multiplied on the way back (count <= BLOCK). */
  void (*coefficients)(void *arg, int64_t slot, int64_t first, int64_t count, double *out);
  void *arg;
  bool squares; /* the way back adds squares of features */
  double *sums; /* slots x width: sum of coefficient x_i; NULL: no way back */
} peri_linear_sweep;

peri_status peri_linear_sweep_run(const peri_linear_sweep *sweep);

/* body(arg, slot) for each listed slot; serially when work, multiplications of each, is small. */
peri_status peri_linear_each(const peri_linear_slots *at, double work, peri_body body, void *arg);

#endif
