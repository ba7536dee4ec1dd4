/* Rows that read what index tensors choose, and those that carry their gradients back. */
#include "ops/index.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

/* ---- one index tensor over some dimensions ---- */

static peri_status infer_chosen(peri_call *call, const peri_layout *x, const peri_choice *c) {
  return peri_infer_output(call, 0, x->dtype, c->ndim, c->shape);
}

/* Rows that lie whole in x, by a vector of positions from the start: true where these were read at once. */
static peri_status read_rows(peri_call *call, const peri_choice *c, peri_tensor *x, peri_tensor *index, bool *done) {
  peri_tensor *y = call->outputs[0].tensor;
  int64_t at, value, rows = index->layout.numel;
  size_t bytes = (size_t)(y->layout.numel / rows) * peri_dtype_size(x->layout.dtype);
  *done = false;
  if (bytes < 32 || !x->contiguous || !index->contiguous || c->n != 1 || c->dim[0] != 0) return PERI_OK;
  PERI_TRY(peri_index_outside(index, c->size, &at, &value));
  *done = at < 0;
  if (!*done) return PERI_OK; /* from the end, or none */
  return peri_gather_rows(call->context, rows, bytes, x->data, (const int64_t *)(const void *)index->data, 1, y->data);
}

/* y = what the index chooses of x. Positions are checked on the way, unless y has no elements: y is to be dropped where
 * one is none. */
static peri_status read_chosen(peri_call *call, const peri_choice *c, peri_tensor *x, peri_tensor *index, bool ends,
                               bool *outside) {
  peri_tensor *y = call->outputs[0].tensor;
  peri_pointing p;
  *outside = false;
  if (y->layout.numel == 0) return PERI_OK;
  bool done;
  peri_status status = read_rows(call, c, x, index, &done);
  if (status != PERI_OK || done) return status;
  PERI_TRY(peri_point_chosen(call, c, x, index, ends, &y->view, &p));
  if (!p.places.outside) status = peri_iterate(call->context, &p.it, peri_places_read(p.places.bytes), &p.places);
  *outside = p.places.outside;
  peri_point_close(&p);
  return status;
}

/* ---- the gradient: zeros of a shape with g added at the positions ---- */

static peri_status infer_index_backward(peri_call *call) {
  const peri_arg *shape = &call->args[2];
  return peri_infer_output(call, 0, call->args[0].tensor->layout.dtype, shape->count, shape->sizes);
}
static peri_status run_index_backward(peri_call *call) {
  peri_tensor *x = call->outputs[0].tensor, *g = call->args[0].tensor, *index = call->args[1].tensor;
  peri_choice c;
  peri_pointing p;
  PERI_TRY(peri_choose(call, &x->layout, call->args[3].count, call->args[3].sizes, index->layout.ndim,
                       index->layout.shape, &c));
  PERI_TRY(peri_point_chosen(call, &c, x, index, true, &g->view, &p));
  peri_status status = peri_clear(call->context, x->data, (size_t)x->layout.numel * p.places.bytes);
  peri_places_run add = peri_places_combine(PERI_COMBINE_SUM, x->layout.dtype);
  if (status == PERI_OK) status = peri_iterate_in_order(call->context, &p.it, 0, add, &p.places);
  peri_point_close(&p);
  return status;
}
static peri_status grad_index_backward(peri_backward *B) {
  peri_call call;
  peri_step_open(B, &call, &peri_op_index_at, 2,
                 (peri_value[]){peri_of(B->grad_outputs[0]), peri_of(B->args[1].tensor)});
  peri_call_sizes(&call, 2, B->args[3].count, B->args[3].sizes);
  peri_answer(B, 0, peri_step_run(B, &call));
  return PERI_OK;
}
const peri_op peri_op_index_backward = {
    .name = "index_backward",
    .flags = PERI_OP_INTERNAL,
    .saves = PERI_SAVE_INPUT(1),
    .outputs = 1,
    .params = {{"g", PERI_KIND_TENSOR},
               {"index", PERI_KIND_INDICES},
               {"shape", PERI_KIND_SHAPE},
               {"dims", PERI_KIND_DIMS}},
    .infer = infer_index_backward,
    .run = run_index_backward,
    .grad = PERI_FULL(grad_index_backward),
    .doc = "index_backward(g, index, shape, dims) -> tensor\n"
           "Zeros of a shape with g added where index, which runs over dims together, points to: the gradient of rows "
           "that read by index.",
};

peri_value peri_step_index_backward(peri_backward *B, peri_value g, peri_value index, const peri_layout *x, int n,
                                    const int64_t *dims) {
  peri_call call;
  if (B->formula->status != PERI_OK) return g;
  peri_step_open(B, &call, &peri_op_index_backward, 2, (peri_value[]){g, index});
  peri_call_sizes(&call, 2, x->ndim, x->shape);
  peri_call_sizes(&call, 3, n, dims);
  return peri_step_run(B, &call);
}

/* ---- its transpose, which other formulas need, too ---- */

static peri_status infer_index_at(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout, *index = &call->args[1].tensor->layout;
  peri_choice c;
  PERI_TRY(peri_choose(call, x, call->args[2].count, call->args[2].sizes, index->ndim, index->shape, &c));
  return infer_chosen(call, x, &c);
}
static peri_status run_index_at(peri_call *call) {
  const peri_layout *index = &call->args[1].tensor->layout;
  peri_tensor *x = call->args[0].tensor;
  peri_choice c;
  PERI_TRY(peri_choose(call, &x->layout, call->args[2].count, call->args[2].sizes, index->ndim, index->shape, &c));
  bool outside;
  return read_chosen(call, &c, x, call->args[1].tensor, true, &outside); /* positions that a row has checked */
}
static peri_status grad_index_at(peri_backward *B) {
  peri_answer(B, 0,
              peri_step_index_backward(B, peri_of(B->grad_outputs[0]), peri_of(B->args[1].tensor), B->layouts[0],
                                       B->args[2].count, B->args[2].sizes));
  return PERI_OK;
}
const peri_op peri_op_index_at = {
    .name = "index_at",
    .flags = PERI_OP_INTERNAL,
    .saves = PERI_SAVE_INPUT(1),
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"index", PERI_KIND_INDICES}, {"dims", PERI_KIND_DIMS}},
    .infer = infer_index_at,
    .run = run_index_at,
    .grad = PERI_FULL(grad_index_at),
    .doc = "index_at(x, index, dims) -> tensor\n"
           "What index, which runs over dims together, points to in x: the gradient of index_backward.",
};

peri_value peri_step_index_at(peri_backward *B, peri_value x, peri_value index, int n, const int64_t *dims) {
  peri_call call;
  if (B->formula->status != PERI_OK) return x;
  peri_step_open(B, &call, &peri_op_index_at, 2, (peri_value[]){x, index});
  peri_call_sizes(&call, 2, n, dims);
  return peri_step_run(B, &call);
}

/* ---- index_select ---- */

static peri_status choose_select(peri_call *call, peri_choice *c) {
  const peri_layout *index = &call->args[2].tensor->layout;
  return peri_choose(call, &call->args[0].tensor->layout, 1, call->note, index->ndim, index->shape, c);
}
static peri_status infer_index_select(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  int dim;
  peri_choice c;
  PERI_TRY(peri_index_need_int64(call, 2));
  PERI_TRY(peri_index_need_vector(call, 2));
  PERI_TRY(peri_infer_dim(call, 1, x->ndim, &dim));
  call->note[0] = dim;
  PERI_TRY(choose_select(call, &c));
  PERI_TRY(infer_chosen(call, x, &c));
  return call->outputs[0].layout.numel > 0 ? PERI_OK : peri_index_within(call, 2, call->args[2].tensor, c.size, false);
}
static peri_status run_index_select(peri_call *call) {
  peri_choice c;
  bool outside;
  PERI_TRY(choose_select(call, &c));
  PERI_TRY(read_chosen(call, &c, call->args[0].tensor, call->args[2].tensor, false, &outside));
  return outside ? peri_index_within(call, 2, call->args[2].tensor, c.size, false) : PERI_OK;
}
static peri_status grad_index_select(peri_backward *B) {
  peri_value g = peri_of(B->grad_outputs[0]), index = peri_of(B->args[2].tensor);
  peri_answer(B, 0, peri_step_index_backward(B, g, index, B->layouts[0], 1, B->note));
  return PERI_OK;
}
const peri_op peri_op_index_select = {
    .name = "index_select",
    .flags = PERI_OP_ELEMENTWISE,
    .saves = PERI_SAVE_INPUT(2),
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"dim", PERI_KIND_DIM, .optional = true}, {"index", PERI_KIND_INDICES}},
    .infer = infer_index_select,
    .run = run_index_select,
    .grad = PERI_FULL(grad_index_select),
    .low = -1,
    .high = 1,
    .sample = "{T(4, 3), 1, I(4, 6)}, {T(4, 3), 2, I(3, 2)}, {T(4), 1, I(4, 0)}",
    .doc = "index_select(x, dim, index) -> tensor\n"
           "The entries of x along dim at the positions of the int64 vector index, in its order; what x[index] does "
           "for rows. Without dim along the first.",
};

/* ---- several index tensors ----
 * Broadcast together they become one, of row-major positions in the dimensions that they run over. note: these. */

static peri_status check_range(peri_call *call, int k, int64_t size) {
  int64_t at, value;
  PERI_TRY(peri_index_outside_ends(call->args[1].tensors[k], size, &at, &value));
  if (at < 0) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT,
                        "position %lld of index tensor %d is %lld (expected 1 to %lld, or -%lld to -1)",
                        (long long)at + 1, k + 1, (long long)value, (long long)size, (long long)size);
}

static peri_status check_dtypes(peri_call *call) {
  const peri_arg *indices = &call->args[1];
  for (int k = 0; k < indices->count; k++) {
    peri_dtype dtype = indices->tensors[k]->layout.dtype;
    if (dtype == PERI_INT64) continue;
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "index tensor %d is %s (expected int64%s)", k + 1,
                          peri_dtype_name(dtype), dtype == PERI_BOOL ? "; where(mask) gives the positions" : "");
  }
  return PERI_OK;
}

peri_status peri_choose_by_indices(peri_call *call, peri_choice *c, peri_layout *positions) {
  const peri_arg *indices = &call->args[1];
  PERI_TRY(peri_broadcast(call->context, call->op->name, indices->count, indices->tensors, &positions->ndim,
                          positions->shape));
  return peri_choose(call, &call->args[0].tensor->layout, indices->count, call->note, positions->ndim, positions->shape,
                     c);
}

peri_status peri_infer_indices(peri_call *call, int dims, bool check, peri_choice *c) {
  const peri_layout *x = &call->args[0].tensor->layout;
  peri_layout positions;
  PERI_TRY(check_dtypes(call));
  PERI_TRY(peri_choose_dims(call, dims, x, call->args[1].count, call->note));
  PERI_TRY(peri_choose_by_indices(call, c, &positions));
  for (int k = 0; check && k < call->args[1].count; k++) PERI_TRY(check_range(call, k, x->shape[c->dim[k]]));
  return peri_infer_output(call, 1, PERI_INT64, positions.ndim, positions.shape);
}

typedef struct combining {
  int64_t size;
  bool first;
} combining;

/* y = (y - 1) size + index, from the second dimension on */
static void combine_row(void *arg, int64_t n, char *const *p, const ptrdiff_t *s) {
  const combining *c = arg;
  for (int64_t i = 0; i < n; i++) {
    int64_t *y = (int64_t *)(void *)(p[0] + i * s[0]), v = *(const int64_t *)(const void *)(p[1] + i * s[1]);
    if (v < 0) v += c->size + 1;
    *y = c->first ? v : (*y - 1) * c->size + v;
  }
}

peri_status peri_combine_indices(peri_call *call, const peri_choice *c, peri_tensor **out) {
  const peri_arg *indices = &call->args[1];
  const peri_layout *x = &call->args[0].tensor->layout, *layout = &call->outputs[1].layout;
  peri_status status = PERI_OK;
  if (call->outputs[1].tensor != NULL) {
    *out = peri_tensor_retain(call->outputs[1].tensor);
  } else if (indices->count == 1 &&
             !(call->in_place && peri_tensors_share(call->args[0].tensor, indices->tensors[0]))) {
    *out = peri_tensor_retain(indices->tensors[0]);
    return PERI_OK;
  } else {
    PERI_TRY(peri_tensor_empty(call->context, layout, out));
  }
  for (int k = 0; k < indices->count && status == PERI_OK; k++) {
    combining job = {x->shape[c->dim[k]], k == 0};
    peri_iterator it;
    peri_iterator_open(&it, layout->ndim, layout->shape, 2,
                       (const peri_view *[]){&(*out)->view, &indices->tensors[k]->view});
    status = peri_iterate(call->context, &it, combine_row, &job);
  }
  if (status != PERI_OK) peri_tensor_release(out);
  return status;
}

/* A single index tensor is checked on the way. */
static peri_status infer_index(peri_call *call) {
  peri_choice c;
  bool alone = call->args[1].count == 1;
  PERI_TRY(peri_infer_indices(call, 2, !alone, &c));
  PERI_TRY(infer_chosen(call, &call->args[0].tensor->layout, &c));
  return alone && call->outputs[0].layout.numel == 0 ? check_range(call, 0, c.size) : PERI_OK;
}
static peri_status run_index(peri_call *call) {
  peri_choice c;
  peri_layout unused;
  peri_tensor *positions;
  bool outside;
  PERI_TRY(peri_choose_by_indices(call, &c, &unused));
  PERI_TRY(peri_combine_indices(call, &c, &positions));
  peri_status status = read_chosen(call, &c, call->args[0].tensor, positions, true, &outside);
  peri_tensor_release(&positions);
  return status == PERI_OK && outside ? check_range(call, 0, c.size) : status;
}
static peri_status grad_index(peri_backward *B) {
  peri_value g = peri_of(B->grad_outputs[0]), positions = peri_of(B->outputs[1]);
  peri_answer(B, 0, peri_step_index_backward(B, g, positions, B->layouts[0], B->args[1].count, B->note));
  return PERI_OK;
}
const peri_op peri_op_index = {
    .name = "index",
    .flags = PERI_OP_ELEMENTWISE,
    .saves = PERI_SAVE_OUTPUT(1) | PERI_HIDDEN_OUTPUT(1),
    .outputs = 2,
    .params = {{"x", PERI_KIND_TENSOR},
               {"indices", PERI_KIND_TENSORS, .masks = true},
               {"dims", PERI_KIND_DIMS, .optional = true, .named = true}},
    .infer = infer_index,
    .run = run_index,
    .grad = PERI_FULL(grad_index),
    .low = -1,
    .high = 1,
    .sample = "{T(4, 3), {I(4, 6)}}, {T(4, 3), {I(4, 5), I(3, 5)}}, {T(2, 3, 4), {I(2, 5, 1), I(4, 2)}, {dims = {1, "
              "3}}}, {T(2, 3, 4), {I(4, 2, 2)}, {dims = {3}}}, {T(4, 3), {B(4, 3)}}",
    .doc = "index(x, indices, {dims}) -> tensor\n"
           "What a list of int64 tensors, broadcast together, names position by position: of two the elements (or "
           "rows) at {i[1], j[1]}, {i[2], j[2]} and so on. Positions count from 1, or from the end with -1; they may "
           "repeat. The tensors run over the first dimensions, or over dims, ascending. Their dimensions stand in the "
           "result where those of x stood if these lie side by side, else first. Without dims, a bool tensor among "
           "them stands for the coordinates of what is true in it, for as many dimensions as it has. What x[{i, j}] "
           "does.",
};

/* ---- take: over all dimensions ---- */

static void all_dims(const peri_layout *x, int64_t *dims) {
  for (int d = 0; d < x->ndim; d++) dims[d] = d;
}

peri_status peri_choose_all(peri_call *call, int arg, peri_choice *c) {
  const peri_layout *x = &call->args[0].tensor->layout, *index = &call->args[arg].tensor->layout;
  int64_t dims[PERI_MAX_DIMS];
  all_dims(x, dims);
  return peri_choose(call, x, x->ndim, dims, index->ndim, index->shape, c);
}

static peri_status infer_take(peri_call *call) {
  peri_choice c;
  PERI_TRY(peri_index_need_int64(call, 1));
  PERI_TRY(peri_choose_all(call, 1, &c));
  PERI_TRY(infer_chosen(call, &call->args[0].tensor->layout, &c));
  return call->outputs[0].layout.numel > 0 ? PERI_OK : peri_index_within(call, 1, call->args[1].tensor, c.size, true);
}
static peri_status run_take(peri_call *call) {
  peri_choice c;
  bool outside;
  PERI_TRY(peri_choose_all(call, 1, &c));
  PERI_TRY(read_chosen(call, &c, call->args[0].tensor, call->args[1].tensor, true, &outside));
  return outside ? peri_index_within(call, 1, call->args[1].tensor, c.size, true) : PERI_OK;
}
static peri_status grad_take(peri_backward *B) {
  int64_t dims[PERI_MAX_DIMS];
  peri_value g = peri_of(B->grad_outputs[0]), index = peri_of(B->args[1].tensor);
  all_dims(B->layouts[0], dims);
  peri_answer(B, 0, peri_step_index_backward(B, g, index, B->layouts[0], B->layouts[0]->ndim, dims));
  return PERI_OK;
}
const peri_op peri_op_take = {
    .name = "take",
    .flags = PERI_OP_ELEMENTWISE,
    .saves = PERI_SAVE_INPUT(1),
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"index", PERI_KIND_INDICES}},
    .infer = infer_take,
    .run = run_take,
    .grad = PERI_FULL(grad_take),
    .low = -1,
    .high = 1,
    .sample = "{T(3, 4), I(12, 5)}, {T(3, 4), I(12, 2, 3)}, {T(6), I(6, 0)}",
    .doc = "take(x, index) -> tensor\n"
           "The elements of x at the positions of the int64 tensor index in row-major order, in the shape of "
           "index; they count from 1, or from the end with -1.",
};

/* ---- along a dimension ---- */

peri_status peri_infer_along(peri_call *call, const peri_layout *x, const peri_layout *index, int dim) {
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  bool fits = index->ndim == x->ndim;
  for (int d = 0; d < x->ndim && fits; d++) fits = d == dim || index->shape[d] <= x->shape[d];
  if (fits) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT,
                        "index is %s but x is %s (expected as many dimensions, and no larger ones than x's except "
                        "along dim %d)",
                        peri_shape_text(index->ndim, index->shape, a), peri_shape_text(x->ndim, x->shape, b), dim + 1);
}

static peri_status read_along(peri_call *call, const peri_view *x, const peri_view *index, int dim, int arg) {
  peri_pointing p;
  peri_point_along(x, index, &call->outputs[0].tensor->view, dim, &p);
  PERI_TRY(peri_iterate(call->context, &p.it, peri_places_read(p.places.bytes), &p.places));
  return p.places.outside ? peri_index_within(call, arg, call->args[arg].tensor, p.places.size, false) : PERI_OK;
}

static peri_status infer_gather(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout, *index = &call->args[2].tensor->layout;
  int dim;
  PERI_TRY(peri_index_need_int64(call, 2));
  PERI_TRY(peri_infer_dim(call, 1, x->ndim, &dim));
  PERI_TRY(peri_infer_along(call, x, index, dim));
  call->note[0] = dim;
  return peri_infer_output(call, 0, x->dtype, index->ndim, index->shape);
}
static peri_status run_gather(peri_call *call) {
  return read_along(call, &call->args[0].tensor->view, &call->args[2].tensor->view, (int)call->note[0], 2);
}
static peri_status grad_gather(peri_backward *B) {
  const peri_layout *x = B->layouts[0];
  peri_value g = peri_of(B->grad_outputs[0]), index = peri_of(B->args[2].tensor);
  peri_answer(B, 0, peri_step_scatter(B, g, x->ndim, x->shape, index, B->note[0]));
  return PERI_OK;
}
const peri_op peri_op_gather = {
    .name = "gather",
    .flags = PERI_OP_ELEMENTWISE,
    .saves = PERI_SAVE_INPUT(2),
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"dim", PERI_KIND_DIM}, {"index", PERI_KIND_INDICES}},
    .infer = infer_gather,
    .run = run_gather,
    .grad = PERI_FULL(grad_gather),
    .low = -1,
    .high = 1,
    .sample = "{T(3, 4), 2, I(4, 3, 2)}, {T(3, 4), 1, I(3, 2, 4)}, {T(5), -1, I(5, 7)}, {T(3, 4), 1, I(3, 5, 2)}",
    .doc = "gather(x, dim, index) -> tensor\n"
           "For each position of the int64 tensor index, the element of x at the same position but at index along dim. "
           "index has as many dimensions as x, and in others than dim no larger sizes.",
};

/* ---- its gradient: zeros of a shape with g added ---- */

static peri_status infer_gather_backward(peri_call *call) {
  const peri_arg *shape = &call->args[1];
  return peri_infer_output(call, 0, call->args[0].tensor->layout.dtype, shape->count, shape->sizes);
}
static peri_status run_gather_backward(peri_call *call) {
  peri_tensor *x = call->outputs[0].tensor;
  peri_pointing p;
  peri_point_along(&x->view, &call->args[2].tensor->view, &call->args[0].tensor->view, (int)call->args[3].integer, &p);
  PERI_TRY(peri_clear(call->context, x->data, (size_t)x->layout.numel * p.places.bytes));
  return peri_iterate_in_order(call->context, &p.it, 0, peri_places_combine(PERI_COMBINE_SUM, x->layout.dtype),
                               &p.places);
}
static peri_status grad_gather_backward(peri_backward *B) {
  peri_call call;
  peri_step_open(B, &call, &peri_op_gather, 3,
                 (peri_value[]){peri_of(B->grad_outputs[0]), peri_constant(0), peri_of(B->args[2].tensor)});
  call.args[1].integer = B->args[3].integer;
  peri_answer(B, 0, peri_step_run(B, &call));
  return PERI_OK;
}
const peri_op peri_op_gather_backward = {
    .name = "gather_backward",
    .flags = PERI_OP_INTERNAL,
    .saves = PERI_SAVE_INPUT(2),
    .outputs = 1,
    .params = {{"g", PERI_KIND_TENSOR},
               {"shape", PERI_KIND_SHAPE},
               {"index", PERI_KIND_INDICES},
               {"dim", PERI_KIND_DIM}},
    .infer = infer_gather_backward,
    .run = run_gather_backward,
    .grad = PERI_FULL(grad_gather_backward),
    .doc = "gather_backward(g, shape, index, dim) -> tensor\nThe gradient of gather, of max and min, of sort.",
};

/* ---- take_along_dim: gather of operands that are broadcast but for dim ---- */

/* x and index in the shape that both are broadcast to, each with its own size along dim. */
static peri_status expand_along(peri_call *call, int dim, peri_view *x, peri_view *index) {
  peri_tensor *const pair[2] = {call->args[0].tensor, call->args[1].tensor};
  peri_view *views[2] = {x, index};
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  for (int i = 0; i < 2; i++) *views[i] = pair[i]->view;
  for (int d = 0; d < x->layout.ndim; d++) {
    int64_t *sizes[2] = {&x->layout.shape[d], &index->layout.shape[d]};
    if (d == dim || *sizes[0] == *sizes[1]) continue;
    if (*sizes[0] != 1 && *sizes[1] != 1) {
      const peri_layout *left = &pair[0]->layout, *right = &pair[1]->layout;
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s but index is %s (they cannot be broadcast beside dim %d)",
                            peri_shape_text(left->ndim, left->shape, a), peri_shape_text(right->ndim, right->shape, b),
                            dim + 1);
    }
    int small = *sizes[0] == 1 ? 0 : 1;
    *sizes[small] = *sizes[1 - small];
    views[small]->layout.strides[d] = 0;
  }
  return PERI_OK;
}

static peri_status infer_take_along_dim(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout, *index = &call->args[1].tensor->layout;
  int dim;
  peri_view from, at;
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  PERI_TRY(peri_index_need_int64(call, 1));
  if (index->ndim != x->ndim) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s but index is %s (expected as many dimensions)",
                          peri_shape_text(x->ndim, x->shape, a), peri_shape_text(index->ndim, index->shape, b));
  }
  PERI_TRY(peri_infer_dim(call, 2, x->ndim, &dim));
  PERI_TRY(expand_along(call, dim, &from, &at));
  call->note[0] = dim;
  PERI_TRY(peri_infer_output(call, 0, x->dtype, x->ndim, at.layout.shape));
  return call->outputs[0].layout.numel > 0 ? PERI_OK
                                           : peri_index_within(call, 1, call->args[1].tensor, x->shape[dim], false);
}
static peri_status run_take_along_dim(peri_call *call) {
  peri_view x, index;
  PERI_TRY(expand_along(call, (int)call->note[0], &x, &index));
  return read_along(call, &x, &index, (int)call->note[0], 1);
}
/* g as gather's; what was broadcast is summed where it arrives. */
static peri_status grad_take_along_dim(peri_backward *B) {
  const peri_layout *x = B->layouts[0], *g = &B->grad_outputs[0]->layout;
  int64_t dim = B->note[0], shape[PERI_MAX_DIMS], wide[PERI_MAX_DIMS];
  memcpy(shape, g->shape, sizeof shape);
  memcpy(wide, g->shape, sizeof wide);
  shape[dim] = x->shape[dim];
  peri_call call;
  peri_value index = peri_of(B->args[1].tensor);
  peri_step_open(B, &call, &peri_op_expand, 1, &index);
  peri_call_sizes(&call, 1, g->ndim, wide);
  index = peri_step_run(B, &call);
  peri_answer(B, 0, peri_step_scatter(B, peri_of(B->grad_outputs[0]), x->ndim, shape, index, dim));
  return PERI_OK;
}
const peri_op peri_op_take_along_dim = {
    .name = "take_along_dim",
    .flags = PERI_OP_ELEMENTWISE,
    .saves = PERI_SAVE_INPUT(1),
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"index", PERI_KIND_INDICES}, {"dim", PERI_KIND_DIM}},
    .infer = infer_take_along_dim,
    .run = run_take_along_dim,
    .grad = PERI_FULL(grad_take_along_dim),
    .low = -1,
    .high = 1,
    .sample = "{T(3, 4), I(4, 3, 2), 2}, {T(3, 4), I(3, 2, 1), 1}, {T(3, 1), I(3, 2, 4), 1}",
    .doc = "take_along_dim(x, index, dim) -> tensor\n"
           "gather of x and the int64 tensor index broadcast against each other in all dimensions but dim: what argmax "
           "and argsort give (with keepdim) chooses the elements that they found.",
};

const peri_op *const peri_ops_take[] = {&peri_op_index_backward,  &peri_op_index_at,       &peri_op_index_select,
                                        &peri_op_index,           &peri_op_take,           &peri_op_gather,
                                        &peri_op_gather_backward, &peri_op_take_along_dim, NULL};
