/* Rows about the diagonals of matrices, and the triangles on either side of them. Diagonal k is k places to the right
 * of the main one, or -k below it. */
#include "ops/view.h"
#include "ops/rows.h"

#define OFFSET_PARAM(name)                                                                                             \
  { name, PERI_KIND_INTEGER, .optional = true }
#define PLANE_PARAMS(first, second)                                                                                    \
  {"dim1", PERI_KIND_DIM, .optional = true, .otherwise = first}, {                                                     \
    "dim2", PERI_KIND_DIM, .optional = true, .otherwise = second                                                       \
  }

/* ---- where a diagonal lies ---- */

/* The length of a diagonal of an m x n matrix, and where it begins. A diagonal beside the matrix has no elements. */
static int64_t diagonal_length(int64_t m, int64_t n, int64_t offset, int64_t *row, int64_t *column) {
  *row = *column = 0;
  if (offset >= n || offset <= -m) return 0;
  *row = peri_max(-offset, 0);
  *column = peri_max(offset, 0);
  return peri_min(m - *row, n - *column);
}

/* Two different dimensions, arguments `arg` and arg + 1, of a tensor of ndim dimensions. */
static peri_status infer_plane(peri_call *call, int arg, int ndim, int plane[2]) {
  PERI_TRY(peri_infer_dim(call, arg, ndim, &plane[0]));
  PERI_TRY(peri_infer_dim(call, arg + 1, ndim, &plane[1]));
  if (plane[0] != plane[1]) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "dim1 and dim2 are both %d", plane[0] + 1);
}

/* From the matrices that two dimensions of a layout hold to their diagonals, which are its last dimension; `at` is how
 * many elements behind the first element they begin. */
static void take_diagonal(peri_layout *y, const int plane[2], int64_t offset, int64_t *at) {
  int64_t row, column, length = diagonal_length(y->shape[plane[0]], y->shape[plane[1]], offset, &row, &column);
  int64_t stride = y->strides[plane[0]] + y->strides[plane[1]];
  *at = row * y->strides[plane[0]] + column * y->strides[plane[1]];
  int kept = 0;
  for (int d = 0; d < y->ndim; d++) {
    if (d == plane[0] || d == plane[1]) continue;
    y->shape[kept] = y->shape[d];
    y->strides[kept++] = y->strides[d];
  }
  y->shape[kept] = length;
  y->strides[kept] = stride;
  y->ndim = kept + 1;
  y->numel = 1;
  for (int d = 0; d < y->ndim; d++) y->numel *= y->shape[d];
  if (y->numel == 0) *at = 0;
}

/* ---- diagonal ----
 * note: the offset and the two dimensions, as the gradient needs them. */

static void note_plane(peri_call *call, int64_t offset, const int plane[2]) {
  call->note[0] = offset;
  call->note[1] = plane[0];
  call->note[2] = plane[1];
}

/* A step of a row (x, offset, dim1, dim2) with the noted ones. */
static peri_value step_in_plane(peri_backward *B, const peri_op *op, peri_value x) {
  peri_call call;
  peri_step_open(B, &call, op, 1, &x);
  for (int i = 0; i < 3; i++) call.args[1 + i].integer = B->note[i];
  return peri_step_run(B, &call);
}

/* Zeros of the shape of input 0 with g on the noted diagonal. */
static peri_value step_back(peri_backward *B, peri_value g) {
  peri_call call;
  if (B->formula->status != PERI_OK) return g;
  peri_step_open(B, &call, &peri_op_diagonal_backward, 1, &g);
  for (int i = 0; i < 3; i++) call.args[1 + i].integer = B->note[i];
  peri_call_sizes(&call, 4, B->layouts[0]->ndim, B->layouts[0]->shape);
  return peri_step_run(B, &call);
}

static peri_status infer_diagonal(peri_call *call) {
  peri_layout *y = peri_same_layout(call);
  int plane[2];
  int64_t at;
  PERI_TRY(infer_plane(call, 2, y->ndim, plane));
  note_plane(call, call->args[1].integer, plane);
  take_diagonal(y, plane, call->args[1].integer, &at);
  y->offset += at;
  return PERI_OK;
}
static peri_status grad_diagonal(peri_backward *B) {
  peri_answer(B, 0, step_back(B, peri_of(B->grad_outputs[0])));
  return PERI_OK;
}
const peri_op peri_op_diagonal = {
    .name = "diagonal",
    .flags = PERI_OP_VIEW,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, OFFSET_PARAM("offset"), PLANE_PARAMS(0, 1)},
    .infer = infer_diagonal,
    .grad = grad_diagonal,
    .low = -1,
    .high = 1,
    .sample = "{T(3, 4)}, {T(3, 4), -1}, {T(2, 3, 3), 1, 2, 3}, {T(3, 2), 4}",
    .doc = "diagonal(x, offset = 0, dim1 = 1, dim2 = 2) -> tensor\n"
           "The diagonals of the matrices that dimensions dim1 and dim2 of x hold, as the last dimension of a view; "
           "offset counts to the right, below 0 downwards.",
};

/* Zeros of a shape with g on a diagonal: the transpose of diagonal. */
static peri_status infer_diagonal_backward(peri_call *call) {
  for (int i = 0; i < 3; i++) call->note[i] = call->args[1 + i].integer;
  return peri_infer_output(call, 0, peri_input(call)->dtype, call->args[4].count, call->args[4].sizes);
}
static peri_status run_on_diagonal(peri_call *call) {
  peri_tensor *y = call->outputs[0].tensor;
  peri_view place = y->view;
  int64_t at;
  size_t size = peri_dtype_size(y->layout.dtype);
  PERI_TRY(peri_clear(call->context, y->data, (size_t)y->layout.numel * size));
  take_diagonal(&place.layout, (int[]){(int)call->note[1], (int)call->note[2]}, call->note[0], &at);
  place.data += at * (int64_t)size;
  return peri_view_copy_into(call->context, &place, &call->args[0].tensor->view);
}
static peri_status grad_on_diagonal(peri_backward *B) {
  peri_answer(B, 0, step_in_plane(B, &peri_op_diagonal, peri_of(B->grad_outputs[0])));
  return PERI_OK;
}
const peri_op peri_op_diagonal_backward = {
    .name = "diagonal_backward",
    .flags = PERI_OP_INTERNAL,
    .outputs = 1,
    .params = {{"g", PERI_KIND_TENSOR},
               {"offset", PERI_KIND_INTEGER},
               {"dim1", PERI_KIND_DIM},
               {"dim2", PERI_KIND_DIM},
               {"shape", PERI_KIND_SHAPE}},
    .infer = infer_diagonal_backward,
    .run = run_on_diagonal,
    .grad = grad_on_diagonal,
    .doc = "diagonal_backward(g, offset, dim1, dim2, shape) -> tensor\nThe gradient of diagonal.",
};

/* ---- matrices of diagonals ---- */

/* The size of the square matrices whose diagonal `offset` has that length. */
static peri_status square_size(peri_call *call, int64_t length, int64_t offset, int64_t *size) {
  bool fits = offset != INT64_MIN && !__builtin_add_overflow(length, offset < 0 ? -offset : offset, size);
  if (fits) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %lld: the matrix is too large", call->op->params[1].name,
                        (long long)offset);
}

static peri_status infer_diag_embed(peri_call *call) {
  const peri_layout *x = peri_input(call);
  int plane[2];
  int64_t size = 0, shape[PERI_MAX_DIMS], offset = call->args[1].integer;
  if (x->ndim == 0) return peri_call_fail(call, PERI_ERR_ARGUMENT, "x has no dimensions");
  if (x->ndim == PERI_MAX_DIMS) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "x has %d dimensions already", PERI_MAX_DIMS);
  }
  PERI_TRY(infer_plane(call, 2, x->ndim + 1, plane));
  PERI_TRY(square_size(call, x->shape[x->ndim - 1], offset, &size));
  for (int d = 0, from = 0; d <= x->ndim; d++) {
    shape[d] = d == plane[0] || d == plane[1] ? size : x->shape[from++];
  }
  note_plane(call, offset, plane);
  return peri_infer_output(call, 0, x->dtype, x->ndim + 1, shape);
}
const peri_op peri_op_diag_embed = {
    .name = "diag_embed",
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, OFFSET_PARAM("offset"), PLANE_PARAMS(-2, -1)},
    .infer = infer_diag_embed,
    .run = run_on_diagonal,
    .grad = grad_on_diagonal,
    .low = -1,
    .high = 1,
    .sample = "{T(3)}, {T(2, 3), -1}, {T(2, 3), 1, 1, 3}",
    .doc =
        "diag_embed(x, offset = 0, dim1 = -2, dim2 = -1) -> tensor\n"
        "The last dimension of x on the diagonals of square matrices of zeros, which dimensions dim1 and dim2 of the "
        "result hold.",
};

/* note 3: whether x is a matrix */
static peri_status infer_diag(peri_call *call) {
  const peri_layout *x = peri_input(call);
  int64_t size = 0, at, offset = call->args[1].integer;
  char text[PERI_SHAPE_TEXT];
  note_plane(call, offset, (int[]){0, 1});
  call->note[3] = x->ndim == 2;
  if (x->ndim == 2) {
    peri_layout y = *x;
    take_diagonal(&y, (int[]){0, 1}, offset, &at);
    return peri_infer_output(call, 0, x->dtype, 1, y.shape);
  }
  if (x->ndim != 1) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT,
                          "x is %s (expected a vector or a matrix; diagonal and diag_embed "
                          "take more)",
                          peri_shape_text(x->ndim, x->shape, text));
  }
  PERI_TRY(square_size(call, x->shape[0], offset, &size));
  return peri_infer_output(call, 0, x->dtype, 2, (int64_t[]){size, size});
}
static peri_status run_diag(peri_call *call) {
  if (!call->note[3]) return run_on_diagonal(call);
  peri_view diagonal = call->args[0].tensor->view;
  int64_t at;
  take_diagonal(&diagonal.layout, (int[]){0, 1}, call->note[0], &at);
  diagonal.data += at * (int64_t)peri_dtype_size(diagonal.layout.dtype);
  return peri_view_copy_into(call->context, &call->outputs[0].tensor->view, &diagonal);
}
static peri_status grad_diag(peri_backward *B) { return B->note[3] ? grad_diagonal(B) : grad_on_diagonal(B); }
const peri_op peri_op_diag = {
    .name = "diag",
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, OFFSET_PARAM("diagonal")},
    .infer = infer_diag,
    .run = run_diag,
    .grad = grad_diag,
    .low = -1,
    .high = 1,
    .sample = "{T(3)}, {T(3), -2}, {T(3, 4)}, {T(3, 4), 1}, {T(3, 2), 5}",
    .doc = "diag(x, diagonal = 0) -> tensor\n"
           "Of a vector the square matrix with it on that diagonal and zeros elsewhere, of a matrix its diagonal as a "
           "vector. A copy; x:diagonal() is the view.",
};

/* ---- triangles ----
 * Row i keeps its columns up to i + k (tril) or from there on (triu). */

typedef struct triangle {
  bool lower;
  int64_t diagonal, rows, columns;
  size_t size;       /* of an element */
  const char *x;     /* contiguous, or NULL where y holds the elements already */
  peri_view y;       /* the last two dimensions are the matrices */
  int64_t per_piece; /* rows */
} triangle;

/* The columns from..to-1 of row i that are kept. */
static void kept_columns(const triangle *t, int64_t i, int64_t *from, int64_t *to) {
  int64_t bound = t->diagonal + i + (t->lower ? 1 : 0); /* the diagonal was limited to the matrix */
  bound = peri_max(0, peri_min(bound, t->columns));
  *from = t->lower ? 0 : bound;
  *to = t->lower ? bound : t->columns;
}

/* Row `index` among all rows of all matrices. */
static void write_triangle_row(const triangle *t, int64_t index) {
  const peri_layout *y = &t->y.layout;
  int64_t from, to, at = 0, rest = index;
  for (int d = y->ndim - 2; d >= 0; d--) {
    at += rest % y->shape[d] * y->strides[d];
    rest /= y->shape[d];
  }
  kept_columns(t, index % t->rows, &from, &to);
  char *row = t->y.data + at * (int64_t)t->size;
  int64_t stride = y->strides[y->ndim - 1] * (int64_t)t->size;
  if (stride == (int64_t)t->size) { /* zeros around what is kept, or the other way round */
    memset(row, 0, (size_t)from * t->size);
    memset(row + to * stride, 0, (size_t)(t->columns - to) * t->size);
    if (t->x != NULL) {
      memcpy(row + from * stride, t->x + (size_t)(index * t->columns + from) * t->size, (size_t)(to - from) * t->size);
    }
    return;
  }
  for (int64_t j = 0; j < t->columns; j++) { /* in place, of a view: what is kept is there */
    if (j < from || j >= to) memset(row + j * stride, 0, t->size);
  }
}

static void triangle_piece(void *arg, int64_t piece) {
  const triangle *t = arg;
  int64_t rows = t->y.layout.numel / t->columns, end = peri_min((piece + 1) * t->per_piece, rows);
  for (int64_t i = piece * t->per_piece; i < end; i++) write_triangle_row(t, i);
}

#define PIECE_BYTES (1 << 18)

static peri_status run_triangle(peri_call *call, bool lower) {
  peri_tensor *x = call->args[0].tensor, *y = call->outputs[0].tensor, *own = NULL;
  const peri_layout *layout = &y->layout;
  triangle t = {.lower = lower, .size = peri_dtype_size(layout->dtype), .y = y->view};
  if (layout->numel == 0) return PERI_OK;
  t.rows = layout->shape[layout->ndim - 2];
  t.columns = layout->shape[layout->ndim - 1];
  t.diagonal = peri_max(-t.rows - 1, peri_min(call->args[1].integer, t.columns));
  t.per_piece = peri_max(1, PIECE_BYTES / (t.columns * (int64_t)t.size));
  if (x != y) PERI_TRY(peri_view_contiguous(call->context, &x->view, &t.x, &own));
  int64_t rows = layout->numel / t.columns;
  peri_status status = peri_parallel(call->context, (rows + t.per_piece - 1) / t.per_piece, triangle_piece, &t);
  if (own != NULL) peri_tensor_release(&own);
  return status;
}
static peri_status run_tril(peri_call *call) { return run_triangle(call, true); }
static peri_status run_triu(peri_call *call) { return run_triangle(call, false); }

static peri_status infer_triangle(peri_call *call) {
  const peri_layout *x = peri_input(call);
  char text[PERI_SHAPE_TEXT];
  if (x->ndim >= 2) return peri_infer_output(call, 0, x->dtype, x->ndim, x->shape);
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s (expected a matrix, or several)",
                        peri_shape_text(x->ndim, x->shape, text));
}
static peri_status grad_triangle(peri_backward *B) {
  peri_call call;
  peri_value g = peri_of(B->grad_outputs[0]);
  peri_step_open(B, &call, B->op, 1, &g);
  call.args[1].integer = B->args[1].integer;
  peri_answer(B, 0, peri_step_run(B, &call));
  return PERI_OK;
}
#define TRIANGLE(row, what)                                                                                            \
  const peri_op peri_op_##row = {                                                                                      \
      .name = #row,                                                                                                    \
      .flags = PERI_OP_IN_PLACE | PERI_OP_ELEMENTWISE,                                                                 \
      .outputs = 1,                                                                                                    \
      .params = {{"x", PERI_KIND_TENSOR}, OFFSET_PARAM("diagonal")},                                                   \
      .infer = infer_triangle,                                                                                         \
      .run = run_##row,                                                                                                \
      .grad = grad_triangle,                                                                                           \
      .low = -1,                                                                                                       \
      .high = 1,                                                                                                       \
      .sample = "{T(3, 4)}, {T(4, 3), -1}, {T(2, 3, 3), 1}",                                                           \
      .doc = #row "(x, diagonal = 0) -> tensor\n" what,                                                                \
  }
TRIANGLE(tril,
         "The matrices that the last two dimensions of x hold with zeros to the right of that diagonal: the lower "
         "triangles.");
TRIANGLE(triu, "The matrices that the last two dimensions of x hold with zeros to the left of that diagonal: the upper "
               "triangles.");

/* ---- positions in a triangle ---- */

__extension__ typedef __int128 wide;

/* How many elements of an m x n matrix lie up to that diagonal: in row i, n limited to 0..diagonal + i + 1. */
static wide count_lower(int64_t m, int64_t n, int64_t diagonal) {
  int64_t first = peri_max(0, peri_min(-diagonal, m)), full = peri_max(first, peri_min(m, n - diagonal - 1));
  wide partial = full - first; /* rows in which an end lies within the matrix */
  return partial * (diagonal + first + 1) + partial * (partial - 1) / 2 + (wide)(m - full) * n;
}
static triangle triangle_of(const peri_call *call, bool lower) {
  triangle t = {.lower = lower, .rows = call->args[0].integer, .columns = call->args[1].integer};
  t.diagonal = peri_max(-t.rows - 1, peri_min(call->args[2].integer, t.columns));
  return t;
}
static peri_status infer_indices(peri_call *call, bool lower) {
  for (int i = 0; i < 2; i++) {
    if (call->args[i].integer >= 0 && call->args[i].integer <= INT64_MAX / 4) continue;
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %lld (expected a size)", call->op->params[i].name,
                          (long long)call->args[i].integer);
  }
  triangle t = triangle_of(call, lower);
  wide below = count_lower(t.rows, t.columns, t.diagonal - !lower);
  wide count = lower ? below : (wide)t.rows * t.columns - below;
  if (count > INT64_MAX / 4)
    return peri_fail_memory(call->context, "out of memory: the triangle has too many elements");
  return peri_infer_output(call, 0, PERI_INT64, 2, (int64_t[]){2, (int64_t)count});
}
static peri_status run_indices(peri_call *call, bool lower) {
  const peri_tensor *y = call->outputs[0].tensor;
  int64_t *row = (int64_t *)(void *)y->data, *column = row + y->layout.shape[1], from, to;
  triangle t = triangle_of(call, lower);
  int64_t first = lower ? peri_max(0, -t.diagonal) : 0;
  for (int64_t i = first; i < t.rows && row < (int64_t *)(void *)y->data + y->layout.shape[1]; i++) {
    if (i % 1024 == 0) PERI_TRY(peri_check_cancel(call->context));
    kept_columns(&t, i, &from, &to);
    for (int64_t j = from; j < to; j++) {
      *row++ = i + 1;
      *column++ = j + 1;
    }
  }
  return PERI_OK;
}
static peri_status infer_tril_indices(peri_call *call) { return infer_indices(call, true); }
static peri_status infer_triu_indices(peri_call *call) { return infer_indices(call, false); }
static peri_status run_tril_indices(peri_call *call) { return run_indices(call, true); }
static peri_status run_triu_indices(peri_call *call) { return run_indices(call, false); }
#define TRIANGLE_INDICES(row, what)                                                                                    \
  const peri_op peri_op_##row = {                                                                                      \
      .name = #row,                                                                                                    \
      .outputs = 1,                                                                                                    \
      .params = {{"rows", PERI_KIND_INTEGER}, {"columns", PERI_KIND_INTEGER}, OFFSET_PARAM("offset")},                 \
      .infer = infer_##row,                                                                                            \
      .run = run_##row,                                                                                                \
      .sample = "{3, 4}, {4, 3, -1}, {2, 2, 1}",                                                                       \
      .doc = #row "(rows, columns, offset = 0) -> int64 tensor of 2 x n\n" what                                        \
                  " triangle of a matrix, row by row: their rows, from 1, and below these their columns.",             \
  }
TRIANGLE_INDICES(tril_indices, "The positions of the elements in the lower");
TRIANGLE_INDICES(triu_indices, "The positions of the elements in the upper");

const peri_op *const peri_ops_diagonal[] = {
    &peri_op_diagonal, &peri_op_diagonal_backward, &peri_op_diag_embed,   &peri_op_diag, &peri_op_tril,
    &peri_op_triu,     &peri_op_tril_indices,      &peri_op_triu_indices, NULL};
