/* Rows that write what index tensors choose: each writes into a copy of x, and its in-place form into x itself. Where a
 * position is named twice the order is that of the index, row-major: the last value stays, sums are made one by one. */
#include "ops/elementwise.h"
#include "ops/index.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

/* ---- what is written ---- */

peri_status peri_infer_source(peri_call *call, int arg, int ndim, const int64_t *target) {
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  PERI_TRY(peri_infer_fits(call, arg, call->args[0].tensor->layout.dtype));
  if (call->args[arg].tensor == NULL) return PERI_OK;
  const peri_layout *source = &call->args[arg].tensor->layout;
  int shift = ndim - source->ndim;
  bool fits = shift >= 0;
  for (int d = 0; d < source->ndim && fits; d++) fits = source->shape[d] == 1 || source->shape[d] == target[shift + d];
  if (fits) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s but the target is %s", call->op->params[arg].name,
                        peri_shape_text(source->ndim, source->shape, a), peri_shape_text(ndim, target, b));
}

peri_status peri_infer_summed(peri_call *call, int arg) {
  peri_dtype x = call->args[0].tensor->layout.dtype, source = call->args[arg].tensor->layout.dtype;
  if (x == PERI_UINT8 || x == PERI_BOOL) return peri_refuse_dtype(call, 0, "float32, float64 or int64");
  if (peri_is_float(x) || !peri_is_float(source)) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s but x is int64 (fractions would be lost; convert one)",
                        call->op->params[arg].name, peri_dtype_name(source));
}

peri_status peri_read_source(peri_call *call, int arg, peri_tensor **source) {
  peri_dtype dtype = call->args[0].tensor->layout.dtype;
  if (call->args[arg].tensor != NULL) return peri_tensor_convert(call->args[arg].tensor, dtype, source);
  peri_layout layout;
  peri_layout_set(&layout, dtype, 0, NULL);
  PERI_TRY(peri_tensor_empty(call->context, &layout, source));
  peri_arg_store(&call->args[arg], dtype, (*source)->data);
  return PERI_OK;
}

peri_status peri_begin_writing(peri_call *call) {
  return call->in_place ? PERI_OK : peri_tensor_copy_into(call->outputs[0].tensor, call->args[0].tensor);
}

peri_status peri_infer_copy(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  return peri_infer_output(call, 0, x->dtype, x->ndim, x->shape);
}

/* run over what an index, whose positions infer has checked, chooses of the output, beside source. */
static peri_status write_chosen(peri_call *call, const peri_choice *c, const peri_tensor *index,
                                const peri_tensor *source, peri_places_run run) {
  peri_pointing p;
  PERI_TRY(peri_point_chosen(call, c, call->outputs[0].tensor, index, true, &source->view, &p));
  peri_status status = peri_begin_writing(call);
  if (status == PERI_OK) status = peri_iterate_in_order(call->context, &p.it, 0, run, &p.places);
  peri_point_close(&p);
  return status;
}

/* The same of the source that is argument arg. */
static peri_status write_argument(peri_call *call, const peri_choice *c, const peri_tensor *index, int arg,
                                  peri_places_run run) {
  peri_tensor *source;
  PERI_TRY(peri_read_source(call, arg, &source));
  peri_status status = write_chosen(call, c, index, source, run);
  peri_tensor_release(&source);
  return status;
}

static peri_places_run plain(const peri_call *call) {
  return peri_places_write(peri_dtype_size(call->args[0].tensor->layout.dtype));
}
static peri_places_run sum(const peri_call *call) {
  return peri_places_combine(PERI_COMBINE_SUM, call->args[0].tensor->layout.dtype);
}

/* ---- gradients ---- */

/* Zeros in the sizes of n dimensions of x with values, or true, written where index points to. */
static peri_status place_named(peri_backward *B, const peri_tensor *index, const peri_layout *x, int n,
                               const int64_t *dims, const peri_tensor *values, peri_tensor **placed) {
  static const uint8_t one = 1;
  peri_call call;
  peri_layout layout = {.dtype = values == NULL ? PERI_BOOL : PERI_INT64, .ndim = n};
  int64_t all[PERI_MAX_DIMS];
  peri_choice c;
  peri_pointing p;
  peri_call_open(&call, B->context, B->op);
  for (int k = 0; k < n; k++) {
    layout.shape[k] = x->shape[dims[k]];
    all[k] = k;
  }
  PERI_TRY(peri_layout_contiguous(B->context, B->op->name, &layout));
  PERI_TRY(peri_choose(&call, &layout, n, all, index->layout.ndim, index->layout.shape, &c));
  PERI_TRY(peri_tensor_full(B->context, &layout, 0, placed));
  peri_status status = peri_point_chosen(&call, &c, *placed, index, true, values == NULL ? NULL : &values->view, &p);
  if (status == PERI_OK) {
    if (values == NULL) peri_iterator_scalar(&p.it, 2, &one);
    status = peri_iterate_in_order(B->context, &p.it, 0, peri_places_write(p.places.bytes), &p.places);
    peri_point_close(&p);
  }
  if (status != PERI_OK) peri_tensor_release(placed);
  return status;
}

/* Of an x that was written over: g with zeros at what index names. */
static peri_value without_named(peri_backward *B, peri_value g, peri_value index, int n, const int64_t *dims) {
  const peri_layout *x = B->layouts[0];
  peri_tensor *marks = NULL;
  int64_t shape[PERI_MAX_DIMS];
  if (B->formula->status != PERI_OK) return g;
  peri_status status = place_named(B, index.tensor, x, n, dims, NULL, &marks);
  peri_value named = peri_formula_own(B, status, marks);
  for (int d = 0; d < x->ndim; d++) shape[d] = 1;
  for (int k = 0; k < n; k++) shape[dims[k]] = x->shape[dims[k]];
  return peri_step_where(B, peri_step_reshape(B, named, x->ndim, shape), peri_constant(0), g);
}

peri_value peri_step_numbers(peri_backward *B, const peri_layout *shape) {
  peri_layout layout;
  peri_tensor *numbers = NULL;
  if (B->formula->status != PERI_OK) return peri_constant(0);
  peri_layout_set(&layout, PERI_INT64, shape->ndim, shape->shape);
  peri_status status = peri_tensor_empty(B->context, &layout, &numbers);
  for (int64_t i = 0; status == PERI_OK && i < layout.numel; i++) ((int64_t *)(void *)numbers->data)[i] = i;
  return peri_formula_fixed(B, status, numbers);
}

/* Of what was written: g at what index names, and 0 where a later position names the same. */
static peri_value of_last(peri_backward *B, peri_value g, peri_value index, int n, const int64_t *dims) {
  const peri_layout *x = B->layouts[0];
  int64_t all[PERI_MAX_DIMS], shape[PERI_MAX_DIMS];
  peri_tensor *placed = NULL;
  peri_choice c;
  peri_call call;
  peri_value taken = peri_step_index_at(B, g, index, n, dims);
  peri_value numbers = peri_step_numbers(B, &index.tensor->layout);
  if (B->formula->status != PERI_OK) return g;
  peri_status status = place_named(B, index.tensor, x, n, dims, numbers.tensor, &placed);
  for (int k = 0; k < n; k++) all[k] = k;
  peri_value found = peri_step_index_at(B, peri_formula_own(B, status, placed), index, n, all);
  peri_value last = peri_step_eq(B, found, numbers);
  peri_call_open(&call, B->context, B->op);
  if (B->formula->status != PERI_OK) return g;
  B->formula->status = peri_choose(&call, x, n, dims, index.tensor->layout.ndim, index.tensor->layout.shape, &c);
  for (int d = 0; d < c.ndim; d++) shape[d] = d >= c.before && d < c.before + c.of_index ? c.shape[d] : 1;
  return peri_step_where(B, peri_step_reshape(B, last, c.ndim, shape), taken, peri_constant(0));
}

/* ---- index_put ---- */

static peri_status infer_index_put(peri_call *call) {
  peri_choice c;
  PERI_TRY(peri_infer_indices(call, 4, true, &c));
  if (call->args[3].integer) {
    if (call->args[2].tensor != NULL) PERI_TRY(peri_infer_summed(call, 2));
    peri_dtype x = call->args[0].tensor->layout.dtype;
    if (x == PERI_UINT8 || x == PERI_BOOL) return peri_refuse_dtype(call, 0, "float32, float64 or int64");
  }
  PERI_TRY(peri_infer_source(call, 2, c.ndim, c.shape));
  return peri_infer_copy(call);
}
static peri_status run_index_put(peri_call *call) {
  peri_choice c;
  peri_layout unused;
  peri_tensor *positions;
  PERI_TRY(peri_choose_by_indices(call, &c, &unused));
  PERI_TRY(peri_combine_indices(call, &c, &positions));
  peri_status status = write_argument(call, &c, positions, 2, call->args[3].integer ? sum(call) : plain(call));
  peri_tensor_release(&positions);
  return status;
}
static peri_status grad_index_put(peri_backward *B) {
  peri_value g = peri_of(B->grad_outputs[0]), positions = peri_of(B->outputs[1]);
  int n = B->args[1].count, values = 1 + n;
  bool sums = B->args[3].integer;
  if (B->needs[0]) peri_answer(B, 0, sums ? g : without_named(B, g, positions, n, B->note));
  if (values < B->edges && B->needs[values]) {
    peri_answer(B, values,
                sums ? peri_step_index_at(B, g, positions, n, B->note) : of_last(B, g, positions, n, B->note));
  }
  return PERI_OK;
}
const peri_op peri_op_index_put = {
    .name = "index_put",
    .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE | PERI_OP_PLACES,
    .saves = PERI_SAVE_OUTPUT(1) | PERI_HIDDEN_OUTPUT(1),
    .outputs = 2,
    .params = {{"x", PERI_KIND_TENSOR},
               {"indices", PERI_KIND_TENSORS, .masks = true},
               {"values", PERI_KIND_OPERAND},
               {"accumulate", PERI_KIND_BOOL, .optional = true},
               {"dims", PERI_KIND_DIMS, .optional = true, .named = true}},
    .infer = infer_index_put,
    .run = run_index_put,
    .grad = grad_index_put,
    .low = -1,
    .high = 1,
    .sample = "{T(4, 3), {I(4, 6)}, T(6, 3)}, {T(4, 3), {I(4, 5), I(3, 5)}, T(5), true}, {T(4, 3), {I(4, 2)}, 7}, "
              "{T(2, 3, 4), {I(2, 5, 1), I(4, 2)}, T(3), {dims = {1, 3}}}, {T(4, 3), {B(4)}, 2}",
    .doc =
        "index_put(x, indices, values, accumulate = false, {dims}) -> tensor\n"
        "x with values (a number, or a tensor that broadcasts to what index(x, indices, {dims}) gives) at the "
        "positions that the index tensors name. Where one is named twice the last value in row-major order of the "
        "positions stays; with accumulate values are added, one by one in that order. Masks among them are as for index. "
        "The gradient goes to the values that stayed. index_put_ changes x itself, as x[{i, j}] = values does.",
};

/* ---- rows by one vector along a dimension: row(x, dim, index, source) ---- */

static peri_status choose_rows(peri_call *call, peri_choice *c) {
  const peri_layout *index = &call->args[2].tensor->layout;
  return peri_choose(call, &call->args[0].tensor->layout, 1, call->note, index->ndim, index->shape, c);
}

static peri_status infer_rows(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  int dim;
  peri_choice c;
  PERI_TRY(peri_index_need_int64(call, 2));
  PERI_TRY(peri_index_need_vector(call, 2));
  PERI_TRY(peri_infer_dim(call, 1, x->ndim, &dim));
  call->note[0] = dim;
  PERI_TRY(choose_rows(call, &c));
  PERI_TRY(peri_infer_source(call, 3, c.ndim, c.shape));
  PERI_TRY(peri_index_within(call, 2, call->args[2].tensor, c.size, false));
  return peri_infer_copy(call);
}

static peri_status write_rows(peri_call *call, int arg, peri_places_run run) {
  peri_choice c;
  PERI_TRY(choose_rows(call, &c));
  return write_argument(call, &c, call->args[2].tensor, arg, run);
}

/* ---- index_copy and index_fill ---- */

static peri_status run_index_copy(peri_call *call) { return write_rows(call, 3, plain(call)); }
static peri_status grad_index_copy(peri_backward *B) {
  peri_value g = peri_of(B->grad_outputs[0]), index = peri_of(B->args[2].tensor);
  if (B->needs[0]) peri_answer(B, 0, without_named(B, g, index, 1, B->note));
  if (B->edges > 3 && B->needs[3]) peri_answer(B, 3, of_last(B, g, index, 1, B->note));
  return PERI_OK;
}
const peri_op peri_op_index_copy = {
    .name = "index_copy",
    .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE | PERI_OP_PLACES,
    .saves = PERI_SAVE_INPUT(2),
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR},
               {"dim", PERI_KIND_DIM, .optional = true},
               {"index", PERI_KIND_INDICES},
               {"source", PERI_KIND_OPERAND}},
    .infer = infer_rows,
    .run = run_index_copy,
    .grad = grad_index_copy,
    .low = -1,
    .high = 1,
    .sample = "{T(4, 3), 1, I(4, 2), T(2, 3)}, {T(4, 3), 1, I(4, 5), 1}, {T(4), 1, I(4, 3), T(3)}, "
              "{T(4, 3), 2, I(3, 2), T(4, 2)}",
    .doc = "index_copy(x, dim, index, source) -> tensor\n"
           "x with source, broadcast and converted to its dtype, in place of the entries along dim at the int64 vector "
           "index; where one is named twice the last stays, and has the gradient. Source and index may share memory "
           "with x. Without dim along the first.",
};

static peri_status run_index_fill(peri_call *call) { return write_rows(call, 3, plain(call)); }
static peri_status grad_index_fill(peri_backward *B) {
  peri_answer(B, 0, without_named(B, peri_of(B->grad_outputs[0]), peri_of(B->args[2].tensor), 1, B->note));
  return PERI_OK;
}
const peri_op peri_op_index_fill = {
    .name = "index_fill",
    .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE | PERI_OP_PLACES,
    .saves = PERI_SAVE_INPUT(2),
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR},
               {"dim", PERI_KIND_DIM, .optional = true},
               {"index", PERI_KIND_INDICES},
               {"value", PERI_KIND_NUMBER}},
    .infer = infer_rows,
    .run = run_index_fill,
    .grad = grad_index_fill,
    .low = -1,
    .high = 1,
    .sample = "{T(4, 3), 1, I(4, 2), 7}, {T(4, 3), 2, I(3, 5), -1}",
    .doc =
        "index_fill(x, dim, index, value) -> tensor\n"
        "x with value, which its dtype must have, in all entries along dim, or the first, at the int64 vector index.",
};

/* ---- index_add ---- */

static peri_status infer_index_add(peri_call *call) {
  PERI_TRY(infer_rows(call));
  PERI_TRY(peri_infer_summed(call, 3));
  return peri_infer_fits(call, 4, call->args[0].tensor->layout.dtype);
}
/* source as x's dtype, times alpha. */
static peri_status scaled_source(peri_call *call, peri_tensor **source) {
  peri_dtype dtype = call->args[0].tensor->layout.dtype;
  int64_t room;
  ptrdiff_t size = (ptrdiff_t)peri_dtype_size(dtype);
  if (!call->args[4].given) return peri_tensor_convert(call->args[3].tensor, dtype, source);
  PERI_TRY(peri_tensor_copy(call->args[3].tensor, dtype, source));
  peri_arg_store(&call->args[4], dtype, &room);
  char *data = (*source)->data;
  call->context->kernels->elementwise->binary[PERI_BINARY_mul][dtype]((*source)->layout.numel, data, size, data, size,
                                                                      (const char *)&room, 0);
  return PERI_OK;
}
static peri_status run_index_add(peri_call *call) {
  peri_choice c;
  peri_tensor *source;
  PERI_TRY(choose_rows(call, &c));
  PERI_TRY(scaled_source(call, &source));
  peri_status status = write_chosen(call, &c, call->args[2].tensor, source, sum(call));
  peri_tensor_release(&source);
  return status;
}
static peri_status grad_index_add(peri_backward *B) {
  peri_value g = peri_of(B->grad_outputs[0]), index = peri_of(B->args[2].tensor);
  if (B->needs[0]) peri_answer(B, 0, g);
  if (B->edges > 3 && B->needs[3]) {
    peri_value taken = peri_step_index_at(B, g, index, 1, B->note);
    peri_answer(B, 3, B->args[4].given ? peri_step_mul(B, taken, peri_constant(B->args[4].number)) : taken);
  }
  return PERI_OK;
}
const peri_op peri_op_index_add = {
    .name = "index_add",
    .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE | PERI_OP_PLACES,
    .saves = PERI_SAVE_INPUT(2),
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR},
               {"dim", PERI_KIND_DIM, .optional = true},
               {"index", PERI_KIND_INDICES},
               {"source", PERI_KIND_TENSOR},
               {"alpha", PERI_KIND_NUMBER, .optional = true, .named = true, .otherwise = 1}},
    .infer = infer_index_add,
    .run = run_index_add,
    .grad = grad_index_add,
    .low = -1,
    .high = 1,
    .sample = "{T(4, 3), 1, I(4, 6), T(6, 3)}, {T(4, 3), 2, I(3, 5), T(4, 5), {alpha = 2}}, {T(4), -1, I(4, 3), T(3)}",
    .doc = "index_add(x, dim, index, source, {alpha = 1}) -> tensor\n"
           "x with alpha * source, broadcast, added to the entries along dim at the int64 vector index. Where one is "
           "named twice both are added, one after the other in the order of index, with any number of threads. x is "
           "float32, float64 or int64 (which wraps around). Without dim along the first.",
};

/* ---- put ---- */

static peri_status infer_put(peri_call *call) {
  peri_choice c;
  PERI_TRY(peri_index_need_int64(call, 1));
  PERI_TRY(peri_choose_all(call, 1, &c));
  if (call->args[3].integer) PERI_TRY(peri_infer_summed(call, 2));
  PERI_TRY(peri_infer_source(call, 2, c.ndim, c.shape));
  PERI_TRY(peri_index_within(call, 1, call->args[1].tensor, c.size, true));
  return peri_infer_copy(call);
}
static peri_status run_put(peri_call *call) {
  peri_choice c;
  PERI_TRY(peri_choose_all(call, 1, &c));
  return write_argument(call, &c, call->args[1].tensor, 2, call->args[3].integer ? sum(call) : plain(call));
}
static peri_status grad_put(peri_backward *B) {
  const peri_layout *x = B->layouts[0];
  peri_value g = peri_of(B->grad_outputs[0]), index = peri_of(B->args[1].tensor);
  int64_t all[PERI_MAX_DIMS];
  bool sums = B->args[3].integer;
  for (int d = 0; d < x->ndim; d++) all[d] = d;
  if (B->needs[0]) peri_answer(B, 0, sums ? g : without_named(B, g, index, x->ndim, all));
  if (B->edges > 2 && B->needs[2])
    peri_answer(B, 2, sums ? peri_step_index_at(B, g, index, x->ndim, all) : of_last(B, g, index, x->ndim, all));
  return PERI_OK;
}
const peri_op peri_op_put = {
    .name = "put",
    .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE | PERI_OP_PLACES,
    .saves = PERI_SAVE_INPUT(1),
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR},
               {"index", PERI_KIND_INDICES},
               {"source", PERI_KIND_TENSOR},
               {"accumulate", PERI_KIND_BOOL, .optional = true}},
    .infer = infer_put,
    .run = run_put,
    .grad = grad_put,
    .low = -1,
    .high = 1,
    .sample = "{T(3, 4), I(12, 5), T(5)}, {T(3, 4), I(12, 2, 3), T(2, 3), true}, {T(6), I(6, 3), T()}",
    .doc =
        "put(x, index, source, accumulate = false) -> tensor\n"
        "x with source, broadcast to index, at the positions of the int64 tensor index in row-major order of x; they "
        "count from 1, or from the end with -1. Where one is named twice the last stays, and has the gradient; with "
        "accumulate source is added, one by one in the order of index.",
};

const peri_op *const peri_ops_put[] = {&peri_op_index_put, &peri_op_index_copy, &peri_op_index_fill,
                                       &peri_op_index_add, &peri_op_put,        NULL};
