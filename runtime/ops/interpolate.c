/* Images and sequences of another size. */
#include "kernels/resample.h"
#include "ops/rows.h"

enum { X, SIZE, SCALE_FACTOR, MODE, ALIGN_CORNERS };
enum { NEAREST, LINEAR, BILINEAR };
#define MODES "nearest linear bilinear"

/* ---- sizes ---- */

static peri_status check_input(peri_call *call) {
  const peri_layout *x = &call->args[X].tensor->layout;
  char text[PERI_SHAPE_TEXT];
  PERI_TRY(peri_infer_float(call, X));
  bool right = x->ndim == 3 || x->ndim == 4;
  for (int d = 2; right && d < x->ndim; d++) right = x->shape[d] > 0 && x->shape[d] <= INT32_MAX;
  if (right) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s (expected N x C x L or N x C x H x W, with elements)",
                        peri_shape_text(x->ndim, x->shape, text));
}

static peri_status check_mode(peri_call *call) {
  static const char *const names[] = {"nearest", "linear", "bilinear"};
  const int dims = call->args[X].tensor->layout.ndim - 2, mode = (int)call->args[MODE].integer;
  if (mode != NEAREST && mode != (dims == 1 ? LINEAR : BILINEAR)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "mode is %s, but x has %d dimensions (expected nearest or %s)",
                          names[mode], dims + 2, names[dims == 1 ? LINEAR : BILINEAR]);
  }
  if (mode == NEAREST && call->args[ALIGN_CORNERS].given) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT,
                          "align_corners is given, but mode is nearest (expected linear or "
                          "bilinear)");
  }
  return PERI_OK;
}

/* Of a dimension behind N x C; one number stands for all. */
static double factor_of(const peri_arg *factor, int d) {
  if (!factor->given) return 0;
  return peri_arg_number(factor, factor->count == 1 ? 0 : d);
}

static peri_status given_size(peri_call *call, int64_t size, int64_t *out) {
  *out = size;
  if (size >= 1 && size <= INT32_MAX) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "size is %lld (expected 1 to %d)", (long long)size, INT32_MAX);
}

static peri_status scaled_size(peri_call *call, double factor, int64_t n, int64_t *out) {
  const double scaled = (double)n * factor;
  if (!(factor > 0 && factor <= INT32_MAX)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "scale_factor is %g (expected a number above 0, to %d)", factor,
                          INT32_MAX);
  }
  if (scaled < 1 || scaled >= (double)INT32_MAX + 1) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT,
                          "scale_factor is %g, of a dimension of %lld (expected a size of 1 to %d)", factor,
                          (long long)n, INT32_MAX);
  }
  *out = (int64_t)scaled;
  return PERI_OK;
}

/* The sizes behind N x C. */
static peri_status find_sizes(peri_call *call, int64_t *sizes) {
  const peri_layout *x = &call->args[X].tensor->layout;
  const peri_arg *size = &call->args[SIZE], *factor = &call->args[SCALE_FACTOR];
  const int dims = x->ndim - 2;
  if (size->given == factor->given) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s size and scale_factor (expected one of them)",
                          size->given ? "both" : "neither");
  }
  if (size->given && size->count != 1 && size->count != dims) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "size has %d numbers (expected 1 or %d)", size->count, dims);
  }
  if (factor->given && factor->count != 1 && factor->count != dims) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "scale_factor has %d numbers (expected 1 or %d)", factor->count,
                          dims);
  }
  for (int d = 0; d < dims; d++) {
    PERI_TRY(size->given ? given_size(call, size->sizes[size->count == 1 ? 0 : d], &sizes[d])
                         : scaled_size(call, factor_of(factor, d), x->shape[d + 2], &sizes[d]));
  }
  return PERI_OK;
}

/* ---- taps ---- */

/* What decides where elements of the result lie in x, along one dimension. */
typedef struct placing {
  peri_dtype dtype;
  int mode;
  bool align_corners;
  double factor; /* 0: the sizes decide */
} placing;

static placing placing_of(const peri_call *call, peri_dtype dtype, int d) {
  return (placing){dtype, (int)call->args[MODE].integer, call->args[ALIGN_CORNERS].integer != 0,
                   factor_of(&call->args[SCALE_FACTOR], d)};
}

static int64_t nearest(const placing *p, int64_t i, int64_t n, int64_t count) {
  return p->factor == 0 ? i * n / count : (int64_t)((double)i / p->factor); /* both below 2^62 */
}

/* Centres of elements stand at halves; with aligned corners the first and last elements stand on each other. */
static double position(const placing *p, int64_t i, int64_t n, int64_t count) {
  if (p->align_corners) return count > 1 ? (double)(i * (n - 1)) / (double)(count - 1) : 0;
  const double step = p->factor == 0 ? (double)n / (double)count : 1 / p->factor;
  return peri_larger(((double)i + 0.5) * step - 0.5, 0);
}

/* Two lists of places and two of weights for each element. */
static size_t tap_bytes(int64_t count) { return (size_t)count * (2 * sizeof(int32_t) + 2 * sizeof(double)); }

static void store(peri_dtype dtype, void *list, int64_t i, double value) {
  if (dtype == PERI_FLOAT32) {
    ((float *)list)[i] = (float)value;
  } else {
    ((double *)list)[i] = value;
  }
}

/* Fills the taps of a dimension in room of tap_bytes(count). */
static peri_taps make_taps(const placing *p, int64_t n, int64_t count, char *room) {
  double *low_weight = (double *)(void *)room, *high_weight = low_weight + count;
  int32_t *low = (int32_t *)(high_weight + count), *high = low + count;
  const bool weighted = p->mode != NEAREST && (n > 1 || count > 1);
  for (int64_t i = 0; i < count; i++) {
    const double at = weighted ? position(p, i, n, count) : 0;
    const int64_t first = peri_min(weighted ? (int64_t)at : nearest(p, i, n, count), n - 1);
    const double share = first < n - 1 ? at - (double)first : 0;
    low[i] = (int32_t)first;
    high[i] = (int32_t)peri_min(first + 1, n - 1);
    store(p->dtype, low_weight, i, 1 - share);
    store(p->dtype, high_weight, i, share);
  }
  peri_taps taps = {.n = n, .count = count, .low = low, .high = low};
  if (weighted) taps = (peri_taps){n, count, low, high, low_weight, high_weight};
  return taps;
}

typedef peri_status (*resampling)(peri_context *context, peri_dtype dtype, int64_t planes, const peri_taps taps[2],
                                  const void *from, void *to);

/* From the first argument to the output; `in` and `out` have the shapes of x and y. */
static peri_status run_taps(peri_call *call, resampling resample, const peri_layout *in, const peri_layout *out) {
  const bool plane = in->ndim == 4;
  const int64_t rows = plane ? out->shape[2] : 1;
  const placing down = placing_of(call, in->dtype, 0), across = placing_of(call, in->dtype, in->ndim - 3);
  char *room = call->workspace;
  const peri_taps taps[2] = {
      make_taps(&down, plane ? in->shape[2] : 1, rows, room),
      make_taps(&across, in->shape[in->ndim - 1], out->shape[out->ndim - 1], room + tap_bytes(rows))};
  peri_tensor *from;
  PERI_TRY(peri_tensor_contiguous(call->args[0].tensor, &from));
  peri_status status =
      resample(call->context, in->dtype, in->shape[0] * in->shape[1], taps, from->data, call->outputs[0].tensor->data);
  peri_tensor_release(&from);
  return status;
}

/* ---- the row ---- */

static peri_status infer_interpolate(peri_call *call) {
  const peri_layout *x = &call->args[X].tensor->layout;
  int64_t shape[PERI_MAX_DIMS];
  PERI_TRY(check_input(call));
  PERI_TRY(check_mode(call));
  memcpy(shape, x->shape, sizeof shape);
  PERI_TRY(find_sizes(call, shape + 2));
  PERI_TRY(peri_infer_output(call, 0, x->dtype, x->ndim, shape));
  call->workspace_bytes = tap_bytes(shape[2]) + tap_bytes(shape[x->ndim - 1]);
  return PERI_OK;
}

static peri_status run_interpolate(peri_call *call) {
  return run_taps(call, peri_resample, &call->args[X].tensor->layout, &call->outputs[0].tensor->layout);
}

static const peri_op back_row;

/* Hands the options on to a step; the sizes of x stand in place of those of y. */
static void hand_on(peri_call *call, const peri_arg *args) {
  const peri_arg *factor = &args[SCALE_FACTOR];
  if (factor->given) peri_call_sizes(call, SCALE_FACTOR, factor->count, factor->sizes);
  call->args[MODE] = args[MODE];
  call->args[ALIGN_CORNERS] = args[ALIGN_CORNERS];
}

static peri_status grad_interpolate(peri_backward *B) {
  const peri_layout *x = B->layouts[0];
  peri_call call;
  peri_value g = peri_of(B->grad_outputs[0]);
  peri_step_open(B, &call, &back_row, 1, &g);
  peri_call_sizes(&call, SIZE, x->ndim, x->shape);
  hand_on(&call, B->args);
  peri_answer(B, 0, peri_step_run(B, &call));
  return PERI_OK;
}

const peri_op peri_op_interpolate = {
    .name = "interpolate",
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR},
               {"size", PERI_KIND_SHAPE, .optional = true},
               {"scale_factor", PERI_KIND_NUMBERS, .optional = true, .named = true},
               {"mode", PERI_KIND_CHOICE, .optional = true, .named = true, .choices = MODES},
               {"align_corners", PERI_KIND_BOOL, .optional = true, .named = true}},
    .infer = infer_interpolate,
    .run = run_interpolate,
    .grad = grad_interpolate,
    .low = -1,
    .high = 1,
    .sample =
        "{T(2, 3, 4, 5), {7, 3}}, {T(1, 2, 3, 4), {scale_factor = 2}}, "
        "{T(2, 1, 4, 5), {size = {7, 3}, mode = 'bilinear'}}, "
        "{T(1, 2, 5, 4), {scale_factor = {1.7, 0.6}, mode = 'bilinear'}}, "
        "{T(2, 2, 3, 4), 5, {mode = 'bilinear', align_corners = true}}, {T(2, 3, 5), {size = 8, mode = 'linear'}}, "
        "{T(2, 3, 5), 3}",
    .doc =
        "interpolate(x, size, {scale_factor =, mode = 'nearest', align_corners = false}) -> tensor\n"
        "x, N x C x L or N x C x H x W, at another size: size is a number for all dimensions behind C, or a table of them; "
        "or it is floor(scale_factor n) of a dimension of n, of which there may be a table too. mode is nearest (element floor(i n / size) from 0, or "
        "floor(i / scale_factor)), or linear for L and bilinear for H x W: between the two elements beside (i + 0.5) n / "
        "size - 0.5, or (i + 0.5) / scale_factor - 0.5, beyond the ends the last; with align_corners beside i (n - 1) / "
        "(size - 1). A smaller image is not smoothed before. Floats only.\n"
        "Errors: both or neither of size and scale_factor; a size below 1; linear and bilinear for other dimensions; "
        "align_corners with nearest.",
};

/* ---- its gradient: gy and the shape of x ---- */

static peri_status infer_back(peri_call *call) {
  const peri_layout *gy = &call->args[X].tensor->layout;
  const peri_arg *shape = &call->args[SIZE];
  call->workspace_bytes = tap_bytes(gy->shape[2]) + tap_bytes(gy->shape[gy->ndim - 1]);
  return peri_infer_output(call, 0, gy->dtype, shape->count, shape->sizes);
}

static peri_status run_back(peri_call *call) {
  return run_taps(call, peri_resample_backward, &call->outputs[0].tensor->layout, &call->args[X].tensor->layout);
}

static peri_status grad_back(peri_backward *B) {
  const peri_layout *gy = B->layouts[0];
  peri_call call;
  peri_value g = peri_of(B->grad_outputs[0]);
  peri_step_open(B, &call, &peri_op_interpolate, 1, &g);
  hand_on(&call, B->args);
  if (!B->args[SCALE_FACTOR].given) peri_call_sizes(&call, SIZE, gy->ndim - 2, gy->shape + 2);
  peri_answer(B, 0, peri_step_run(B, &call));
  return PERI_OK;
}

static const peri_op back_row = {
    .name = "interpolate_backward",
    .flags = PERI_OP_INTERNAL,
    .outputs = 1,
    .params = {{"gy", PERI_KIND_TENSOR},
               {"shape", PERI_KIND_SHAPE},
               {"scale_factor", PERI_KIND_NUMBERS, .optional = true},
               {"mode", PERI_KIND_CHOICE, .optional = true, .choices = MODES},
               {"align_corners", PERI_KIND_BOOL, .optional = true}},
    .infer = infer_back,
    .run = run_back,
    .grad = grad_back,
    .doc = "interpolate_backward(gy, shape, scale_factor, mode, align_corners) -> tensor\n"
           "The gradient of interpolate: each gy added to the elements of x, of that shape, that it was made of.",
};

const peri_op *const peri_ops_interpolate[] = {&peri_op_interpolate, &back_row, NULL};
