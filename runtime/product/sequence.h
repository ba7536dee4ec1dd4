/* Recurrent cells over a sequence. The gates' part of the input is given for all steps at once; at each step the state
 * is multiplied by the weights, and the cell's loops (kernels/rows.h) make the new state of it. Rows of the batch do
 * not know each other, so that pieces are some of them each, through all steps. Tensors are contiguous, time first;
 * what lies beyond a row's length is 0 in y and in the gradients, and leaves the state alone. */
#ifndef PERI_PRODUCT_SEQUENCE_H
#define PERI_PRODUCT_SEQUENCE_H

#include "kernels/rows.h"
#include "product/product.h"

typedef struct peri_sequence {
  int cell; /* PERI_CELL_LSTM .. */
  peri_dtype dtype;
  int64_t steps, batch, hidden;
  bool reverse;           /* from each row's end to its beginning */
  const int64_t *lengths; /* from 1 to steps, or NULL: all have all steps */
  const void *x;          /* steps x batch x gates hidden; not read by the gradient */
  const void *bias;       /* gates hidden, or NULL */
  peri_operand weight;    /* forward: its gates hidden vectors of hidden steps; in the gradient the transpose */
  const void *h, *c;      /* the first state, batch x hidden; NULL: zeros */
  void *y;                /* steps x batch x hidden */
  void *h_last, *c_last;  /* batch x hidden */
  void *kept;             /* steps x batch x peri_sequence_kept; or NULL */
} peri_sequence;

typedef struct peri_sequence_slope {
  const void *gy; /* or NULL */
  void *gh, *gc;  /* of the last state on entry, of the first one in the end */
  void *gx, *gp;  /* of x, and of what the state added to it; the same memory but for a GRU */
  void *h_before; /* steps x batch x hidden: the state at each step; or NULL */
} peri_sequence_slope;

int64_t peri_sequence_gates(int cell);
int64_t peri_sequence_kept(int cell, int64_t hidden); /* numbers for each row and step; 0: none */
peri_status peri_sequence_run(peri_context *context, const peri_sequence *sequence);
peri_status peri_sequence_slopes(peri_context *context, const peri_sequence *sequence,
                                 const peri_sequence_slope *slopes);

#endif
