/* What rows with index tensors and masks share. Index tensors are int64 and count from 1, as scripts do; where a row
 * says so they also count from the end, -1 being the last. */
#ifndef PERI_INDEX_H
#define PERI_INDEX_H

#include "ops/ops.h"
#include "kernels/places.h"

/* ---- index tensors ---- */

/* The first value, from 0 in row-major order, that does not lie in 1..size; *at is -1 when there is none. */
peri_status peri_index_outside(peri_tensor *index, int64_t size, int64_t *at, int64_t *value);
/* The same where -size..-1 are positions, too. */
peri_status peri_index_outside_ends(peri_tensor *index, int64_t size, int64_t *at, int64_t *value);
/* Its values from 0, in row-major order, into memory for as many. */
peri_status peri_index_shift(peri_tensor *index, int64_t *out);
/* Fails unless every value of `index`, whose name is argument arg's, is a position; ends: also from the end. */
peri_status peri_index_within(peri_call *call, int arg, peri_tensor *index, int64_t size, bool ends);
/* Every value of argument `arg` lies in 1..size. Leaves room for the converted copy. */
peri_status peri_index_check(peri_call *call, int arg, int64_t size);
peri_status peri_index_need_int64(peri_call *call, int arg);
peri_status peri_index_need_vector(peri_call *call, int arg);
/* The workspace: the index tensor's values from 0, in row-major order. */
peri_status peri_index_from_zero(peri_call *call, int arg, const int64_t **out);

/* ---- what an index tensor chooses ----
 * It runs over some dimensions of x, taken together in row-major order. What it chooses has the index's dimensions
 * where these stood if they lie side by side, else first, and the rest of x's. */
typedef struct peri_choice {
  int n; /* dimensions that it runs over, ascending */
  int64_t dim[PERI_MAX_DIMS];
  int64_t size; /* so many places they have together */
  int ndim;
  int64_t shape[PERI_MAX_DIMS]; /* of what is chosen */
  int before, of_index;         /* the index's dimensions of it: those from `before` on */
} peri_choice;

peri_status peri_choose(peri_call *call, const peri_layout *x, int n, const int64_t *dims, int index_ndim,
                        const int64_t *index_shape, peri_choice *choice);
/* The row's argument `arg`, the option dims of a list of n index tensors, ascending and in x; the first n without it.
 */
peri_status peri_choose_dims(peri_call *call, int arg, const peri_layout *x, int n, int64_t *dims);

/* ---- walking it ----
 * x, an index tensor, and what stands beside it, element for element. */
typedef struct peri_pointing {
  peri_places places;
  peri_iterator it;
  peri_tensor *offsets; /* its own, or NULL */
} peri_pointing;
/* Over what `choice` chooses of x. beside is broadcast to that; NULL: one element that the caller sets. */
peri_status peri_point_chosen(peri_call *call, const peri_choice *choice, const peri_tensor *x,
                              const peri_tensor *index, bool ends, const peri_view *beside, peri_pointing *p);
/* Over the index tensor, whose position replaces that along dim; sizes of x and beside may be larger. */
void peri_point_along(const peri_view *x, const peri_view *index, const peri_view *beside, int dim, peri_pointing *p);
void peri_point_close(peri_pointing *p);

/* ---- rows with a list of index tensors: argument 1, broadcast together ----
 * note: the dimensions that they run over. Output 1, hidden, is what they are together: int64 positions in row-major
 * order. */

/* Checks dtypes, dims (the option at that argument) and, where asked, positions; states output 1. */
peri_status peri_infer_indices(peri_call *call, int dims, bool check, peri_choice *c);
/* The same choice for run. */
peri_status peri_choose_by_indices(peri_call *call, peri_choice *c, peri_layout *positions);
/* The positions: output 1 where there is one, the only index tensor as it is, or new. A new reference. */
peri_status peri_combine_indices(peri_call *call, const peri_choice *c, peri_tensor **out);

/* The index tensor that is argument arg, over all dimensions of x. */
peri_status peri_choose_all(peri_call *call, int arg, peri_choice *c);
/* Whether gather and scatter may have that index tensor beside x. */
peri_status peri_infer_along(peri_call *call, const peri_layout *x, const peri_layout *index, int dim);

/* ---- rows that write into a copy of argument 0, or into it ---- */

/* Argument arg, a number or a tensor, is written to a target of that shape: it broadcasts to it, and x's dtype has it.
 */
peri_status peri_infer_source(peri_call *call, int arg, int ndim, const int64_t *target);
/* The tensor that is argument arg is added to x, or combined with it otherwise. */
peri_status peri_infer_summed(peri_call *call, int arg);
/* Output 0 is as x. */
peri_status peri_infer_copy(peri_call *call);
/* Argument arg in x's dtype, of no dimensions where it is a number. */
peri_status peri_read_source(peri_call *call, int arg, peri_tensor **source);
/* Output 0 becomes x's copy where it is not x. */
peri_status peri_begin_writing(peri_call *call);

/* ---- steps of formulas ---- */

/* 0, 1, .. in a shape, as int64 */
peri_value peri_step_numbers(peri_backward *B, const peri_layout *shape);

/* Zeros of x's shape with g added at the positions of index over n dimensions; and what index chooses of x. */
peri_value peri_step_index_backward(peri_backward *B, peri_value g, peri_value index, const peri_layout *x, int n,
                                    const int64_t *dims);
peri_value peri_step_index_at(peri_backward *B, peri_value x, peri_value index, int n, const int64_t *dims);

#endif
