/* Rows that write or combine elements along a dimension, where an index tensor of as many dimensions points to:
 * row(x, dim, index, source) changes x[.., index[at], ..] by source[at] for each position `at` of index, in row-major
 * order. Sizes of index may be smaller than those of source, and but for dim than those of x. note[0]: dim. */
#include "ops/elementwise.h"
#include "ops/index.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

#include <math.h>

/* ---- checks and writing ---- */

static peri_status infer_along_source(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout, *index = &call->args[2].tensor->layout;
  const peri_tensor *source = call->args[3].tensor;
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  int dim;
  PERI_TRY(peri_index_need_int64(call, 2));
  PERI_TRY(peri_infer_dim(call, 1, x->ndim, &dim));
  PERI_TRY(peri_infer_along(call, x, index, dim));
  call->note[0] = dim;
  if (source == NULL) {
    PERI_TRY(peri_infer_fits(call, 3, x->dtype));
  } else {
    bool fits = source->layout.ndim == index->ndim;
    for (int d = 0; d < index->ndim && fits; d++) fits = index->shape[d] <= source->layout.shape[d];
    if (!fits) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "index is %s but source is %s (expected no larger sizes)",
                            peri_shape_text(index->ndim, index->shape, a),
                            peri_shape_text(source->layout.ndim, source->layout.shape, b));
    }
  }
  PERI_TRY(peri_index_within(call, 2, call->args[2].tensor, x->shape[dim], false));
  return peri_infer_copy(call);
}

/* run over target and source, which may be one element, along dim. */
static peri_status walk_along(peri_context *context, const peri_tensor *target, const peri_tensor *index,
                              const peri_tensor *source, int dim, peri_places_run run) {
  peri_pointing p;
  bool one = source->layout.ndim == 0;
  peri_point_along(&target->view, &index->view, one ? NULL : &source->view, dim, &p);
  if (one) peri_iterator_scalar(&p.it, 2, source->data);
  return peri_iterate_in_order(context, &p.it, 0, run, &p.places);
}

static peri_status scatter(peri_call *call, peri_places_run run) {
  peri_tensor *source;
  PERI_TRY(peri_read_source(call, 3, &source));
  peri_status status = peri_begin_writing(call);
  if (status == PERI_OK) {
    status = walk_along(call->context, call->outputs[0].tensor, call->args[2].tensor, source, (int)call->note[0], run);
  }
  peri_tensor_release(&source);
  return status;
}

/* ---- steps of the gradients ---- */

static peri_value gathered(peri_backward *B, peri_value x) {
  peri_call call;
  if (B->formula->status != PERI_OK) return x;
  peri_step_open(B, &call, &peri_op_gather, 3, (peri_value[]){x, peri_constant(0), peri_of(B->args[2].tensor)});
  call.args[1].integer = B->note[0];
  return peri_step_run(B, &call);
}

/* x's shape, with what `source` has added at index */
static peri_value scattered(peri_backward *B, peri_value source) {
  const peri_layout *x = B->layouts[0];
  return peri_step_scatter(B, source, x->ndim, x->shape, peri_of(B->args[2].tensor), B->note[0]);
}

/* The answer for source, which has zeros where index has no position. */
static void answer_source(peri_backward *B, peri_value g) {
  const peri_layout *source = B->layouts[3];
  if (B->formula->status != PERI_OK) return;
  int64_t shape[PERI_MAX_DIMS];
  memcpy(shape, g.tensor->layout.shape, sizeof shape);
  for (int d = 0; d < source->ndim && B->formula->status == PERI_OK; d++) {
    peri_call call;
    if (shape[d] == source->shape[d]) continue;
    shape[d] = source->shape[d];
    peri_step_open(B, &call, &peri_op_slice_backward, 1, &g);
    peri_call_sizes(&call, 1, source->ndim, shape);
    call.args[2].integer = d;
    call.args[3].integer = 0;
    call.args[4].integer = 1;
    g = peri_step_run(B, &call);
  }
  peri_answer(B, 3, g);
}

/* The part of source that index has positions for. */
static peri_value used_source(peri_backward *B) {
  const peri_layout *index = &B->args[2].tensor->layout;
  peri_value source = peri_of(B->args[3].tensor);
  for (int d = 0; d < index->ndim && B->formula->status == PERI_OK; d++) {
    if (source.tensor->layout.shape[d] != index->shape[d]) source = peri_step_narrow(B, source, d, 0, index->shape[d]);
  }
  return source;
}

/* A tensor in x's shape, made anew: `filled` everywhere, and then run with the element or tensor `values`. */
static peri_value placed(peri_backward *B, peri_dtype dtype, double filled, const peri_tensor *values,
                         peri_places_run run) {
  peri_layout layout;
  peri_tensor *made = NULL;
  if (B->formula->status != PERI_OK) return peri_constant(0);
  peri_layout_set(&layout, dtype, B->layouts[0]->ndim, B->layouts[0]->shape);
  peri_status status = peri_tensor_full(B->context, &layout, filled, &made);
  if (status == PERI_OK) status = walk_along(B->context, made, B->args[2].tensor, values, (int)B->note[0], run);
  if (status != PERI_OK && made != NULL) peri_tensor_release(&made);
  return peri_formula_own(B, status, made);
}

static peri_value element(peri_backward *B, peri_dtype dtype, double value) {
  peri_layout layout;
  peri_tensor *one = NULL;
  peri_layout_set(&layout, dtype, 0, NULL);
  if (B->formula->status != PERI_OK) return peri_constant(0);
  peri_status status = peri_tensor_full(B->context, &layout, value, &one);
  return peri_formula_fixed(B, status, one);
}

/* Whether index names an element of x; how often it does, from `first` on. */
static peri_value named(peri_backward *B) {
  peri_value one = element(B, PERI_BOOL, 1);
  return placed(B, PERI_BOOL, 0, one.tensor, peri_places_write(1));
}
static peri_value counted(peri_backward *B, double first) {
  peri_value one = element(B, PERI_INT64, 1);
  return placed(B, PERI_INT64, first, one.tensor, peri_places_combine(PERI_COMBINE_SUM, PERI_INT64));
}

/* g where index names nothing */
static peri_value unnamed(peri_backward *B, peri_value g) { return peri_step_where(B, named(B), peri_constant(0), g); }

/* ---- scatter and scatter_add ---- */

#define SCATTER_DIM_INDEX                                                                                              \
  {"x", PERI_KIND_TENSOR}, {"dim", PERI_KIND_DIM}, { "index", PERI_KIND_INDICES }

static peri_status run_scatter(peri_call *call) {
  return scatter(call, peri_places_write(peri_dtype_size(call->args[0].tensor->layout.dtype)));
}
static peri_status grad_scatter(peri_backward *B) {
  peri_value g = peri_of(B->grad_outputs[0]);
  if (B->needs[0]) peri_answer(B, 0, unnamed(B, g));
  if (B->edges <= 3 || !B->needs[3]) return PERI_OK;
  peri_value numbers = peri_step_numbers(B, &B->args[2].tensor->layout); /* of which the last stays */
  peri_value last = gathered(B, placed(B, PERI_INT64, 0, numbers.tensor, peri_places_write(sizeof(int64_t))));
  answer_source(B, peri_step_where(B, peri_step_eq(B, last, numbers), gathered(B, g), peri_constant(0)));
  return PERI_OK;
}
const peri_op peri_op_scatter = {
    .name = "scatter",
    .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE | PERI_OP_PLACES,
    .saves = PERI_SAVE_INPUT(2),
    .outputs = 1,
    .params = {SCATTER_DIM_INDEX, {"source", PERI_KIND_OPERAND}},
    .infer = infer_along_source,
    .run = run_scatter,
    .grad = grad_scatter,
    .low = -1,
    .high = 1,
    .sample = "{T(3, 4), 2, I(4, 3, 2), T(3, 2)}, {T(3, 4), 1, I(3, 5, 4), T(5, 4)}, {T(5), -1, I(5, 3), 7}, "
              "{T(3, 4), 2, I(4, 2, 3), T(3, 4)}",
    .doc = "scatter(x, dim, index, source) -> tensor\n"
           "x with source, a number or a tensor, written where the int64 tensor index points to: for each position of "
           "index the element of x at the same position but at index along dim. index has as many dimensions as x and "
           "source, no larger sizes than source, and but for dim than x. Where an element is named twice the last "
           "stays, and has the gradient.",
};

static peri_status infer_scatter_add(peri_call *call) {
  PERI_TRY(peri_infer_summed(call, 3));
  return infer_along_source(call);
}
static peri_status run_scatter_add(peri_call *call) {
  return scatter(call, peri_places_combine(PERI_COMBINE_SUM, call->args[0].tensor->layout.dtype));
}
static peri_status grad_scatter_add(peri_backward *B) {
  peri_value g = peri_of(B->grad_outputs[0]);
  if (B->needs[0]) peri_answer(B, 0, g);
  if (B->edges > 3 && B->needs[3]) answer_source(B, gathered(B, g));
  return PERI_OK;
}
const peri_op peri_op_scatter_add = {
    .name = "scatter_add",
    .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE | PERI_OP_PLACES,
    .saves = PERI_SAVE_INPUT(2),
    .outputs = 1,
    .params = {SCATTER_DIM_INDEX, {"source", PERI_KIND_TENSOR}},
    .infer = infer_scatter_add,
    .run = run_scatter_add,
    .grad = grad_scatter_add,
    .low = -1,
    .high = 1,
    .sample = "{T(3, 4), 2, I(4, 3, 2), T(3, 2)}, {T(3, 4), 1, I(3, 5, 4), T(5, 4)}, {T(5), -1, I(5, 9), T(9)}, "
              "{T(3, 4), 2, I(4, 2, 3), T(3, 4)}",
    .doc = "scatter_add(x, dim, index, source) -> tensor\n"
           "scatter that adds source to x. Where an element is named twice all are added, one after the other in the "
           "row-major order of index, with any number of threads. x is float32, float64 or int64 (which wraps around).",
};

/* ---- scatter_reduce ---- */

#define REDUCTIONS "sum prod mean amax amin"
enum { SUM, PROD, MEAN, AMAX, AMIN };

static peri_status infer_scatter_reduce(peri_call *call) {
  peri_dtype dtype = call->args[0].tensor->layout.dtype;
  int64_t reduce = call->args[4].integer;
  PERI_TRY(peri_infer_summed(call, 3));
  if (reduce == MEAN && !peri_is_float(dtype)) return peri_refuse_dtype(call, 0, "float32 or float64 for a mean");
  call->dtype = dtype;
  if (reduce == SUM || reduce == MEAN) call->saves = PERI_SAVE_INPUT(2);
  if (reduce == PROD) call->saves &= ~PERI_SAVE_OUTPUT(0);
  return infer_along_source(call);
}

/* What combines with v to v. */
static void neutral_element(int64_t reduce, peri_dtype dtype, void *element_) {
  int64_t limit = reduce == AMAX ? INT64_MIN : INT64_MAX;
  if (reduce <= MEAN) {
    peri_store_number(dtype, element_, reduce == PROD);
  } else if (dtype == PERI_INT64) {
    memcpy(element_, &limit, sizeof limit);
  } else {
    peri_store_number(dtype, element_, reduce == AMAX ? -HUGE_VAL : HUGE_VAL);
  }
}

static void divide_f32(void *arg, int64_t n, char *const *p, const ptrdiff_t *s) {
  (void)arg;
  for (int64_t i = 0; i < n; i++) {
    int64_t count = *(const int64_t *)(const void *)(p[1] + i * s[1]);
    if (count > 1) *(float *)(void *)(p[0] + i * s[0]) /= (float)count;
  }
}
static void divide_f64(void *arg, int64_t n, char *const *p, const ptrdiff_t *s) {
  (void)arg;
  for (int64_t i = 0; i < n; i++) {
    int64_t count = *(const int64_t *)(const void *)(p[1] + i * s[1]);
    if (count > 1) *(double *)(void *)(p[0] + i * s[0]) /= (double)count;
  }
}

/* How many numbers each mean is of, in a tensor of x's shape. */
static peri_status count_means(peri_call *call, peri_tensor **counts) {
  static const int64_t one = 1;
  const peri_layout *x = &call->args[0].tensor->layout;
  peri_layout layout;
  peri_pointing p;
  peri_layout_set(&layout, PERI_INT64, x->ndim, x->shape);
  PERI_TRY(peri_tensor_full(call->context, &layout, (double)call->args[5].integer, counts));
  peri_point_along(&(*counts)->view, &call->args[2].tensor->view, NULL, (int)call->note[0], &p);
  peri_iterator_scalar(&p.it, 2, &one);
  peri_status status =
      peri_iterate_in_order(call->context, &p.it, 0, peri_places_combine(PERI_COMBINE_SUM, PERI_INT64), &p.places);
  if (status != PERI_OK) peri_tensor_release(counts);
  return status;
}

static peri_status reduce_into(peri_call *call, const peri_tensor *source, const peri_tensor *counts) {
  static const peri_combination combination[] = {PERI_COMBINE_SUM, PERI_COMBINE_PROD, PERI_COMBINE_SUM,
                                                 PERI_COMBINE_MAX, PERI_COMBINE_MIN};
  peri_tensor *y = call->outputs[0].tensor, *index = call->args[2].tensor;
  int64_t reduce = call->args[4].integer, neutral;
  int dim = (int)call->note[0];
  PERI_TRY(peri_begin_writing(call));
  if (!call->args[5].integer) {
    peri_pointing p;
    neutral_element(reduce, call->dtype, &neutral);
    peri_point_along(&y->view, &index->view, NULL, dim, &p);
    peri_iterator_scalar(&p.it, 2, &neutral);
    PERI_TRY(peri_iterate_in_order(call->context, &p.it, 0, peri_places_write(p.places.bytes), &p.places));
  }
  PERI_TRY(walk_along(call->context, y, index, source, dim, peri_places_combine(combination[reduce], call->dtype)));
  if (counts == NULL) return PERI_OK;
  peri_iterator it;
  peri_iterator_open(&it, y->layout.ndim, y->layout.shape, 2, (const peri_view *[]){&y->view, &counts->view});
  return peri_iterate(call->context, &it, call->dtype == PERI_FLOAT32 ? divide_f32 : divide_f64, NULL);
}

static peri_status run_scatter_reduce(peri_call *call) {
  peri_tensor *source, *counts = NULL;
  PERI_TRY(peri_read_source(call, 3, &source));
  peri_status status = call->args[4].integer == MEAN ? count_means(call, &counts) : PERI_OK;
  if (status == PERI_OK) status = reduce_into(call, source, counts);
  peri_tensor_release(&source);
  if (counts != NULL) peri_tensor_release(&counts);
  return status;
}

/* The numbers that are the largest (or smallest) share its gradient. */
static void grad_of_extreme(peri_backward *B, bool self) {
  peri_value g = peri_of(B->grad_outputs[0]), y = peri_of(B->outputs[0]), source = used_source(B);
  peri_dtype dtype = B->layouts[0]->dtype;
  peri_value chosen = peri_step_convert(B, peri_step_eq(B, source, gathered(B, y)), dtype);
  peri_value count = scattered(B, chosen), own = peri_constant(0);
  if (self) {
    own = peri_step_convert(B, peri_step_eq(B, peri_of(B->args[0].tensor), y), dtype);
    count = peri_step_add(B, count, own);
  }
  peri_value share = peri_step_div(B, g, peri_step_maximum(B, count, peri_constant(1)));
  if (B->needs[0]) peri_answer(B, 0, self ? peri_step_mul(B, own, share) : unnamed(B, g));
  if (B->needs[3]) answer_source(B, peri_step_mul(B, chosen, gathered(B, share)));
}

/* What an element of x or source sees at its place: whether it is 0, itself or 1 in the place of 0, itself or 0 in the
 * place of all else; the product of what is not 0 there, how many are 0, and their sum: 0, but with a gradient. */
typedef struct factors {
  peri_value zero, without, nothing, product, zeros, sum;
} factors;

/* The product of the others: the product of what is not 0, divided by the number itself; of a single 0 that product
 * as it is; and 0 where there is another 0. Where one 0 is among the others it is a factor, as its own gradient wants
 * it: that of all others. */
static peri_value of_others(peri_backward *B, const factors *f) {
  peri_value quotient = peri_step_div(B, f->product, f->without), none = peri_constant(0);
  peri_value one = peri_step_eq(B, f->zeros, peri_constant(1)), two = peri_step_eq(B, f->zeros, peri_constant(2));
  peri_value other = peri_step_mul(B, f->product, peri_step_sub(B, f->sum, f->nothing));
  peri_value alone = peri_step_where(B, one, f->product, peri_step_where(B, two, other, none));
  peri_value among = peri_step_where(B, one, peri_step_mul(B, quotient, f->sum), none);
  among = peri_step_where(B, peri_step_eq(B, f->zeros, none), quotient, among);
  return peri_step_where(B, f->zero, alone, among);
}
static void grad_of_product(peri_backward *B, bool self) {
  peri_value g = peri_of(B->grad_outputs[0]), x = peri_of(B->args[0].tensor), source = used_source(B);
  peri_dtype dtype = B->layouts[0]->dtype;
  peri_value zero = peri_step_eq(B, source, peri_constant(0));
  peri_value without = peri_step_where(B, zero, peri_constant(1), source);
  peri_value nothing = peri_step_where(B, zero, source, peri_constant(0));
  peri_value zeros = scattered(B, peri_step_convert(B, zero, dtype)), sum = scattered(B, nothing), own_zero, own;
  peri_value own_nothing = peri_constant(0);
  peri_call call;
  if (self) {
    own_zero = peri_step_eq(B, x, peri_constant(0));
    own = peri_step_where(B, own_zero, peri_constant(1), x);
    own_nothing = peri_step_where(B, own_zero, x, peri_constant(0));
    sum = peri_step_add(B, sum, own_nothing);
    zeros = peri_step_add(B, zeros, peri_step_convert(B, own_zero, dtype));
  } else {
    own_zero = named(B);
    own = peri_step_convert(B, peri_step_eq(B, zeros, zeros), dtype); /* ones */
  }
  if (B->formula->status != PERI_OK) return;
  peri_step_open(B, &call, &peri_op_scatter_reduce, 4,
                 (peri_value[]){own, peri_constant(0), peri_of(B->args[2].tensor), without});
  call.args[1].integer = B->note[0];
  call.args[4].integer = PROD;
  peri_value product = peri_step_run(B, &call);
  factors of_x = {own_zero, own, own_nothing, product, zeros, sum};
  if (B->needs[0]) peri_answer(B, 0, self ? peri_step_mul(B, g, of_others(B, &of_x)) : unnamed(B, g));
  if (B->needs[3]) {
    factors f = {zero, without, nothing, gathered(B, product), gathered(B, zeros), gathered(B, sum)};
    answer_source(B, peri_step_mul(B, gathered(B, g), of_others(B, &f)));
  }
}

static peri_status grad_scatter_reduce(peri_backward *B) {
  peri_value g = peri_of(B->grad_outputs[0]);
  int64_t reduce = B->args[4].integer;
  bool self = B->args[5].integer;
  if (reduce == AMAX || reduce == AMIN) {
    grad_of_extreme(B, self);
    return PERI_OK;
  }
  if (reduce == PROD) {
    grad_of_product(B, self);
    return PERI_OK;
  }
  peri_value share = g;
  if (reduce == MEAN) {
    peri_value count = peri_step_maximum(B, counted(B, self), peri_constant(1));
    share = peri_step_div(B, g, peri_step_convert(B, count, B->layouts[0]->dtype));
  }
  if (B->needs[0]) peri_answer(B, 0, self ? share : unnamed(B, g));
  if (B->needs[3]) answer_source(B, gathered(B, share));
  return PERI_OK;
}
const peri_op peri_op_scatter_reduce = {
    .name = "scatter_reduce",
    .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE | PERI_OP_PLACES,
    .saves = PERI_SAVE_INPUT(0) | PERI_SAVE_INPUT(2) | PERI_SAVE_INPUT(3) | PERI_SAVE_OUTPUT(0),
    .outputs = 1,
    .params = {SCATTER_DIM_INDEX,
               {"source", PERI_KIND_TENSOR},
               {"reduce", PERI_KIND_CHOICE, .choices = REDUCTIONS},
               {"include_self", PERI_KIND_BOOL, .optional = true, .named = true, .otherwise = 1}},
    .infer = infer_scatter_reduce,
    .run = run_scatter_reduce,
    .grad = grad_scatter_reduce,
    .low = -1,
    .high = 1,
    .sample = "{T(3, 4), 2, I(4, 3, 2), T(3, 2), 'sum'}, {T(3, 4), 1, I(3, 5, 4), T(5, 4), 'prod'}, "
              "{T(5), -1, I(5, 9), T(9), 'mean'}, {T(3, 4), 2, I(4, 2, 3), T(3, 4), 'amax'}, "
              "{T(5), 1, I(5, 3), T(3), 'amin', {include_self = false}}, "
              "{T(5), 1, I(5, 6), T(6), 'prod', {include_self = false}}, "
              "{T(5), 1, I(3, 4), T(4), 'mean', {include_self = false}}",
    .doc = "scatter_reduce(x, dim, index, source, reduce, {include_self = true}) -> tensor\n"
           "scatter that makes of an element of x and of all of source that index sends there their sum, prod, mean "
           "(floats alone), amax or amin; without include_self of the latter alone. Elements that index does not name "
           "stay. Combined in the row-major order of index, with any number of threads. NaN is the largest and the "
           "smallest; equal ones share the gradient of amax and amin. x is float32, float64 or int64.",
};
/* ---- one_hot ---- */

static peri_status infer_one_hot(peri_call *call) {
  const peri_layout *index = &call->args[0].tensor->layout;
  int64_t shape[PERI_MAX_DIMS];
  char text[PERI_SHAPE_TEXT];
  PERI_TRY(peri_index_need_int64(call, 0));
  if (call->args[1].integer < 1) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "classes is %lld (expected at least 1)",
                          (long long)call->args[1].integer);
  }
  if (index->ndim == PERI_MAX_DIMS) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "index is %s (expected fewer dimensions)",
                          peri_shape_text(index->ndim, index->shape, text));
  }
  memcpy(shape, index->shape, sizeof shape);
  shape[index->ndim] = call->args[1].integer;
  PERI_TRY(peri_index_check(call, 0, call->args[1].integer));
  peri_layout *y = &call->outputs[0].layout;
  *y = (peri_layout){.dtype = (peri_dtype)call->args[2].integer, .ndim = index->ndim + 1};
  memcpy(y->shape, shape, sizeof shape);
  return peri_layout_contiguous(call->context, call->op->name, y);
}
static peri_status run_one_hot(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor;
  const int64_t *index;
  PERI_TRY(peri_index_from_zero(call, 0, &index));
  size_t size = peri_dtype_size(y->layout.dtype);
  int64_t classes = call->args[1].integer;
  PERI_TRY(peri_clear(call->context, y->data, (size_t)y->layout.numel * size));
  for (int64_t i = 0; i < call->args[0].tensor->layout.numel; i++) {
    peri_store_number(y->layout.dtype, y->data + (size_t)(i * classes + index[i]) * size, 1);
  }
  return PERI_OK;
}
const peri_op peri_op_one_hot = {
    .name = "one_hot",
    .flags = PERI_OP_ELEMENTWISE,
    .outputs = 1,
    .params = {{"index", PERI_KIND_INDICES},
               {"classes", PERI_KIND_INTEGER},
               {"dtype", PERI_KIND_DTYPE, .optional = true, .named = true}},
    .infer = infer_one_hot,
    .run = run_one_hot,
    .sample = "{I(4, 6), 4}, {I(3, 2, 2), 3, {dtype = 'int64'}}",
    .doc = "one_hot(index, classes, {dtype = 'float32'}) -> tensor\n"
           "A last dimension of `classes` numbers is added: 1 at index, 0 elsewhere.",
};

const peri_op *const peri_ops_scatter[] = {&peri_op_scatter, &peri_op_scatter_add, &peri_op_scatter_reduce,
                                           &peri_op_one_hot, NULL};
