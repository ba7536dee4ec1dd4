/* Random changes of images, each image by itself: what a network sees of a picture is then never the same twice. The
 * first dimension of x counts images, the last two are rows and columns, those between are planes that move together.
 */
#include "kernels/images.h"
#include "kernels/kernels.h"
#include "kernels/scalar.h"
#include "ops/rows.h"

#define LARGEST ((int64_t)1 << 31)

/* ---- what they share ---- */

static peri_status check_images(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  char text[PERI_SHAPE_TEXT];
  if (x->ndim >= 3 && x->shape[x->ndim - 1] < LARGEST && x->shape[x->ndim - 2] < LARGEST) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s (expected N x .. x rows x columns)",
                        peri_shape_text(x->ndim, x->shape, text));
}

static peri_image_set set_of(const peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout, *y = &call->outputs[0].layout;
  peri_image_set set = {.count = x->shape[0], .planes = 1, .rows = x->shape[x->ndim - 2]};
  for (int d = 1; d < x->ndim - 2; d++) set.planes *= x->shape[d];
  set.columns = x->shape[x->ndim - 1];
  set.out_rows = y->shape[x->ndim - 2];
  set.out_columns = y->shape[x->ndim - 1];
  return set;
}

/* Takes the blocks of a draw of n off the stream. */
static uint64_t take(const peri_call *call, int64_t n) {
  return peri_stream_take(call->stream, peri_random_blocks(PERI_INT64, n));
}

/* n whole numbers from low to high, all equally likely. */
static peri_status draw_whole(const peri_call *call, int64_t n, int64_t low, int64_t high, int64_t *out) {
  const uint64_t seed = call->stream->seed;
  return peri_fill_integers(call->context, n, seed, take(call, n), low, high, out);
}

/* Workspace of so many bytes for each image; none where there is nothing to do. */
static peri_status need_room(peri_call *call, size_t bytes) {
  const int64_t n = call->args[0].tensor->layout.shape[0];
  if (call->outputs[0].layout.numel == 0) return PERI_OK;
  if (n > INT64_MAX / 64) return peri_call_fail(call, PERI_ERR_MEMORY, "out of memory: %lld images", (long long)n);
  call->workspace_bytes = (size_t)n * bytes;
  return PERI_OK;
}

/* The sizes of x with room for a move and two draws of each image. */
static peri_status infer_moved(peri_call *call, int64_t rows, int64_t columns) {
  const peri_layout *x = &call->args[0].tensor->layout;
  int64_t shape[PERI_MAX_DIMS];
  memcpy(shape, x->shape, sizeof shape);
  shape[x->ndim - 2] = rows;
  shape[x->ndim - 1] = columns;
  PERI_TRY(peri_infer_output(call, 0, x->dtype, x->ndim, shape));
  return need_room(call, sizeof(peri_move) + 2 * sizeof(int64_t));
}

/* Where moves and draws stand in the workspace. */
static peri_move *moves_of(const peri_call *call) { return call->workspace; }
static int64_t *draws_of(const peri_call *call) {
  return (int64_t *)(void *)(moves_of(call) + call->args[0].tensor->layout.shape[0]);
}

/* Moves the images as the moves say; `value` is an argument, or -1: nothing comes from outside. */
static peri_status run_moves(peri_call *call, int value) {
  const peri_image_set set = set_of(call);
  const peri_dtype dtype = call->args[0].tensor->layout.dtype;
  double element = 0;
  peri_tensor *from;
  if (value >= 0) peri_arg_store(&call->args[value], dtype, &element);
  PERI_TRY(peri_tensor_contiguous(call->args[0].tensor, &from));
  peri_status status = peri_move_images(call->context, &set, moves_of(call), peri_dtype_size(dtype), &element,
                                        from->data, call->outputs[0].tensor->data);
  peri_tensor_release(&from);
  return status;
}

#define IMAGES .flags = PERI_OP_RANDOM | PERI_OP_NO_GRADIENT, .outputs = 1
#define IMAGES_DOC                                                                                                     \
  "x is N x .. x rows x columns: each of the N images is changed by itself, its planes together. No gradient goes to x."

/* ---- random_shift ---- */

/* How far along d (0: rows). */
static int64_t most_shift(const peri_call *call, int d) { return call->args[1].sizes[d]; }

static peri_status infer_shift(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  PERI_TRY(check_images(call));
  for (int d = 0; d < 2; d++) {
    if (most_shift(call, d) >= 0 && most_shift(call, d) < LARGEST) continue;
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "shift is %lld (expected pixels from 0)",
                          (long long)most_shift(call, d));
  }
  PERI_TRY(peri_infer_fits(call, 2, x->dtype));
  return infer_moved(call, x->shape[x->ndim - 2], x->shape[x->ndim - 1]);
}

static peri_status run_shift(peri_call *call) {
  const int64_t n = call->args[0].tensor->layout.shape[0];
  if (call->outputs[0].layout.numel == 0) return PERI_OK;
  int64_t *down = draws_of(call), *right = down + n;
  PERI_TRY(draw_whole(call, n, -most_shift(call, 0), most_shift(call, 0), down));
  PERI_TRY(draw_whole(call, n, -most_shift(call, 1), most_shift(call, 1), right));
  for (int64_t i = 0; i < n; i++) moves_of(call)[i] = (peri_move){.down = down[i], .right = right[i]};
  return run_moves(call, 2);
}

const peri_op peri_op_random_shift = {
    .name = "random_shift",
    IMAGES,
    .params = {{"x", PERI_KIND_TENSOR},
               {"shift", PERI_KIND_SHAPE, .count = 2},
               {"value", PERI_KIND_NUMBER, .optional = true, .named = true}},
    .infer = infer_shift,
    .run = run_shift,
    .sample = "{T(3, 2, 4, 5), 2}, {T(4, 3, 3), {1, 0}, {value = -1}}, {B(2, 1, 3, 4), {0, 3}}",
    .doc = "random_shift(x, shift, {value = 0, generator =}) -> tensor\n" IMAGES_DOC
           " Each moves by whole pixels from -shift to shift, down and to the right, all equally likely; shift is a "
           "number or {rows, columns}. What comes in is value.\n"
           "Errors: fewer than three dimensions, a shift below 0, a value that is none of the dtype.",
};

/* ---- random_crop ---- */

static peri_status infer_crop(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  const peri_arg *size = &call->args[1];
  PERI_TRY(check_images(call));
  const int64_t padding = call->args[2].integer;
  if (padding < 0 || padding >= LARGEST) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "padding is %lld (expected pixels from 0)", (long long)padding);
  }
  for (int d = 0; d < 2; d++) {
    const int64_t most = x->shape[x->ndim - 2 + d] + 2 * padding;
    if (size->sizes[d] >= 1 && size->sizes[d] <= most) continue;
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "size is %lld (expected 1 to %lld, x's %s with padding)",
                          (long long)size->sizes[d], (long long)most, d == 0 ? "rows" : "columns");
  }
  PERI_TRY(peri_infer_fits(call, 3, x->dtype));
  return infer_moved(call, size->sizes[0], size->sizes[1]);
}

static peri_status run_crop(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  const int64_t n = x->shape[0], padding = call->args[2].integer, *size = call->args[1].sizes;
  if (call->outputs[0].layout.numel == 0) return PERI_OK;
  int64_t *row = draws_of(call), *column = row + n;
  PERI_TRY(draw_whole(call, n, 0, x->shape[x->ndim - 2] + 2 * padding - size[0], row));
  PERI_TRY(draw_whole(call, n, 0, x->shape[x->ndim - 1] + 2 * padding - size[1], column));
  for (int64_t i = 0; i < n; i++) {
    moves_of(call)[i] = (peri_move){.down = padding - row[i], .right = padding - column[i]};
  }
  return run_moves(call, 3);
}

const peri_op peri_op_random_crop = {
    .name = "random_crop",
    IMAGES,
    .params = {{"x", PERI_KIND_TENSOR},
               {"size", PERI_KIND_SHAPE, .count = 2},
               {"padding", PERI_KIND_INTEGER, .optional = true, .named = true},
               {"value", PERI_KIND_NUMBER, .optional = true, .named = true}},
    .infer = infer_crop,
    .run = run_crop,
    .sample = "{T(3, 2, 4, 5), {2, 3}}, {T(4, 3, 3), 3, {padding = 2, value = 1}}, {B(2, 1, 3, 4), {1, 4}}",
    .doc = "random_crop(x, size, {padding = 0, value = 0, generator =}) -> tensor\n" IMAGES_DOC
           " Of each a part of that size, a number or {rows, columns}, anywhere in it with equal chance, after value "
           "was put around it, padding pixels wide.\n"
           "Errors: fewer than three dimensions, a size beyond that of x with its padding, a value that is none of the "
           "dtype.",
};

/* ---- random_flip ---- */

static peri_status infer_flip(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  const double p = call->args[1].number;
  int dim;
  PERI_TRY(check_images(call));
  if (!(p >= 0 && p <= 1)) return peri_call_fail(call, PERI_ERR_ARGUMENT, "p is %g (expected 0 to 1)", p);
  PERI_TRY(peri_infer_dim(call, 2, x->ndim, &dim));
  if (dim < x->ndim - 2) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "dim is %d (expected %d or %d, rows or columns)", dim + 1,
                          x->ndim - 1, x->ndim);
  }
  call->note[0] = dim == x->ndim - 2;
  return infer_moved(call, x->shape[x->ndim - 2], x->shape[x->ndim - 1]);
}

static peri_status run_flip(peri_call *call) {
  const int64_t n = call->args[0].tensor->layout.shape[0];
  if (call->outputs[0].layout.numel == 0) return PERI_OK;
  int64_t *flips = draws_of(call);
  const uint64_t seed = call->stream->seed;
  PERI_TRY(peri_fill_trials(call->context, PERI_INT64, n, seed, take(call, n), call->args[1].number, NULL, flips));
  for (int64_t i = 0; i < n; i++) {
    moves_of(call)[i] = (peri_move){.mirror_rows = flips[i] != 0 && call->note[0] != 0,
                                    .mirror_columns = flips[i] != 0 && call->note[0] == 0};
  }
  return run_moves(call, -1);
}

const peri_op peri_op_random_flip = {
    .name = "random_flip",
    IMAGES,
    .params = {{"x", PERI_KIND_TENSOR},
               {"p", PERI_KIND_NUMBER, .optional = true, .named = true, .otherwise = 0.5},
               {"dim", PERI_KIND_DIM, .optional = true, .named = true, .otherwise = -1}},
    .infer = infer_flip,
    .run = run_flip,
    .sample = "{T(5, 2, 3, 4)}, {T(30, 2, 2), {p = 0.4, dim = 2}}, {B(30, 1, 2), {p = 0.3}}",
    .doc = "random_flip(x, {p = 0.5, dim = -1, generator =}) -> tensor\n" IMAGES_DOC
           " Each is mirrored with chance p: from left to right, or with the dim of the rows upside down.\n"
           "Errors: fewer than three dimensions, another dim, a p beyond 0 to 1.",
};

/* ---- random_rotate ---- */

#define DEGREE 0.017453292519943295 /* pi / 180 */

static peri_status infer_rotate(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  const double degrees = call->args[1].number;
  PERI_TRY(check_images(call));
  PERI_TRY(peri_infer_float(call, 0));
  if (!(degrees >= 0 && degrees <= 360)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "degrees is %g (expected 0 to 360)", degrees);
  }
  PERI_TRY(peri_infer_fits(call, 3, x->dtype));
  PERI_TRY(peri_infer_output(call, 0, x->dtype, x->ndim, x->shape));
  return need_room(call, 2 * sizeof(double));
}

static peri_status run_rotate(peri_call *call) {
  const peri_image_set set = set_of(call);
  if (call->outputs[0].layout.numel == 0) return PERI_OK;
  const double degrees = call->args[1].number;
  double *sines = call->workspace, *cosines = sines + set.count, value = call->args[3].number;
  const peri_dtype dtype = call->args[0].tensor->layout.dtype;
  const uint64_t seed = call->stream->seed, first = take(call, set.count);
  PERI_TRY(peri_fill_uniform(call->context, PERI_FLOAT64, set.count, seed, first, -degrees, degrees, cosines));
  for (int64_t i = 0; i < set.count; i++) {
    const double angle = cosines[i] * DEGREE;
    sines[i] = peri_sin(angle);
    cosines[i] = peri_cos(angle);
  }
  if (dtype == PERI_FLOAT32) value = (float)value;
  peri_tensor *from;
  PERI_TRY(peri_tensor_contiguous(call->args[0].tensor, &from));
  peri_status status = peri_rotate_images(call->context, &set, sines, cosines, call->args[2].integer == 1, dtype, value,
                                          from->data, call->outputs[0].tensor->data);
  peri_tensor_release(&from);
  return status;
}

const peri_op peri_op_random_rotate = {
    .name = "random_rotate",
    IMAGES,
    .params = {{"x", PERI_KIND_TENSOR},
               {"degrees", PERI_KIND_NUMBER},
               {"mode", PERI_KIND_CHOICE, .optional = true, .named = true, .choices = "bilinear nearest"},
               {"value", PERI_KIND_NUMBER, .optional = true, .named = true}},
    .infer = infer_rotate,
    .run = run_rotate,
    .sample = "{T(3, 2, 4, 5), 30}, {T(4, 3, 3), 180, {value = -1}}, {T(2, 5, 4), 90, {mode = 'nearest'}}",
    .doc =
        "random_rotate(x, degrees, {mode = 'bilinear', value = 0, generator =}) -> tensor\n" IMAGES_DOC
        " Each turns around its middle by an angle from -degrees to degrees, counter-clockwise where it is positive. "
        "mode: a pixel lies between the four around the place that it came from, or is the nearest to it; what comes "
        "from outside is value. Floats only.\n"
        "Errors: fewer than three dimensions, degrees beyond 0 to 360, a value that is none of the dtype.",
};

const peri_op *const peri_ops_augment[] = {&peri_op_random_shift, &peri_op_random_crop, &peri_op_random_flip,
                                           &peri_op_random_rotate, NULL};
