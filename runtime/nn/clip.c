#include "nn/clip.h"

#include "kernels/scalar.h"

#include <float.h>
#include <math.h>

#define PIECE 1048576 /* values between two looks at the cancellation flag */
#define LANES 8

/* ---- norms ---- */

static double load(peri_dtype dtype, const char *data, int64_t i) {
  return dtype == PERI_FLOAT32 ? ((const float *)(const void *)data)[i] : ((const double *)(const void *)data)[i];
}

/* What is gathered over all values: the largest size, or a sum of powers of values divided by `unit`. NaN shows. */
typedef struct gathering {
  double power, unit, total;
} gathering;

static double largest_of(peri_dtype dtype, const char *data, int64_t n, double most) {
  for (int64_t i = 0; i < n; i++) {
    const double size = fabs(load(dtype, data, i));
    most = size > most || size != size ? size : most;
  }
  return most;
}

static double term(double x, const gathering *g) {
  const double size = fabs(x) / g->unit;
  return g->power == 2 ? size * size : g->power == 1 ? size : peri_pow(size, g->power);
}

/* The sum in lanes, so that its order is the same for all sets of instructions, and can be that of vectors. */
static double sum_of(peri_dtype dtype, const char *data, int64_t n, const gathering *g) {
  double lanes[LANES] = {0};
  const bool plain = g->power == 2 && g->unit == 1;
  int64_t i = 0;
  for (; plain && dtype == PERI_FLOAT32 && i + LANES <= n; i += LANES) {
    const float *x = (const float *)(const void *)data + i;
    for (int l = 0; l < LANES; l++) lanes[l] += (double)x[l] * x[l];
  }
  for (; plain && dtype == PERI_FLOAT64 && i + LANES <= n; i += LANES) {
    const double *x = (const double *)(const void *)data + i;
    for (int l = 0; l < LANES; l++) lanes[l] += x[l] * x[l];
  }
  for (; i < n; i++) lanes[i % LANES] += term(load(dtype, data, i), g);
  return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

static peri_status gather_gradient(peri_context *context, peri_tensor *gradient, gathering *g) {
  const char *data;
  peri_tensor *own;
  const peri_dtype dtype = gradient->layout.dtype;
  PERI_TRY(peri_view_contiguous(context, &gradient->view, &data, &own));
  peri_status status = PERI_OK;
  for (int64_t from = 0; status == PERI_OK && from < gradient->layout.numel; from += PIECE) {
    const int64_t n = peri_min(PIECE, gradient->layout.numel - from);
    const char *piece = data + (size_t)from * peri_dtype_size(dtype);
    if (isinf(g->power)) {
      g->total = largest_of(dtype, piece, n, g->total);
    } else {
      g->total += sum_of(dtype, piece, n, g);
    }
    status = peri_check_cancel(context);
  }
  peri_tensor_release(&own);
  return status;
}

static peri_status gather(peri_context *context, int64_t n, peri_tensor *const *parameters, gathering *g) {
  g->total = 0;
  for (int64_t i = 0; i < n; i++) {
    if (parameters[i]->grad != NULL) PERI_TRY(gather_gradient(context, parameters[i]->grad, g));
  }
  return PERI_OK;
}

static double root(const gathering *g) {
  return g->power == 2 ? sqrt(g->total) : g->power == 1 ? g->total : peri_pow(g->total, 1 / g->power);
}

peri_status peri_gradients_norm(peri_context *context, int64_t n, peri_tensor *const *parameters, double power,
                                double *norm) {
  gathering g = {.power = power, .unit = 1}, most = {.power = INFINITY, .unit = 1};
  PERI_TRY(gather(context, n, parameters, &g));
  *norm = isinf(power) ? g.total : root(&g);
  if (isinf(power) || isnan(g.total) || (g.total >= DBL_MIN && !isinf(g.total))) return PERI_OK;
  PERI_TRY(gather(context, n, parameters, &most)); /* the sum left the range of a double */
  *norm = most.total;
  if (most.total == 0 || isinf(most.total)) return PERI_OK;
  g.unit = most.total;
  PERI_TRY(gather(context, n, parameters, &g));
  *norm = most.total * root(&g);
  return PERI_OK;
}

/* ---- writing ---- */

typedef struct change {
  peri_dtype dtype;
  bool clamps;
  double number; /* the factor or the limit */
} change;

#define CHANGE(T)                                                                                                      \
  static void change_##T(T *x, ptrdiff_t stride, int64_t n, const change *c) {                                         \
    const T number = (T)c->number;                                                                                     \
    for (int64_t i = 0; i < n; i++) {                                                                                  \
      T value = *x, low = value < -number ? -number : value;                                                           \
      *x = !c->clamps ? value * number : low > number ? number : low;                                                  \
      x = (T *)(void *)((char *)x + stride);                                                                           \
    }                                                                                                                  \
  }
CHANGE(float)
CHANGE(double)

static void change_row(void *arg, int64_t n, char *const *data, const ptrdiff_t *strides) {
  const change *c = arg;
  if (c->dtype == PERI_FLOAT32) {
    change_float((float *)(void *)data[0], strides[0], n, c);
  } else {
    change_double((double *)(void *)data[0], strides[0], n, c);
  }
}

static void change_all(int64_t n, peri_tensor *const *parameters, change c) {
  for (int64_t i = 0; i < n; i++) {
    peri_tensor *g = parameters[i]->grad;
    if (g == NULL) continue;
    peri_context *context = peri_context_here(peri_tensor_context(g));
    const bool shielded = context->shielded;
    peri_iterator iterator;
    c.dtype = g->layout.dtype;
    peri_iterator_open(&iterator, g->layout.ndim, g->layout.shape, 1, (const peri_view *[]){&g->view});
    context->shielded = true;
    peri_iterate(context, &iterator, change_row, &c);
    context->shielded = shielded;
    g->storage->version++;
  }
}

void peri_gradients_scale(int64_t n, peri_tensor *const *parameters, double factor) {
  change_all(n, parameters, (change){.number = factor});
}

static peri_status clip(peri_context *context, int64_t n, peri_tensor *const *parameters, double most, double power,
                        double *norm) {
  PERI_TRY(peri_gradients_norm(context, n, parameters, power, norm));
  const double factor = most / (*norm + 1e-6);
  if (!(factor >= 1)) peri_gradients_scale(n, parameters, factor);
  return PERI_OK;
}

/* ---- replays ---- */

typedef struct clipping {
  peri_context *context;
  double limit, power; /* power 0: value by value */
  int64_t n;
  peri_tensor *parameters[];
} clipping;

static size_t clipping_bytes(int64_t n) { return sizeof(clipping) + (size_t)n * sizeof(peri_tensor *); }

static peri_status clip_again(void *object) {
  const clipping *c = object;
  double norm;
  if (c->power != 0) return clip(peri_context_here(c->context), c->n, c->parameters, c->limit, c->power, &norm);
  change_all(c->n, c->parameters, (change){.clamps = true, .number = c->limit});
  return PERI_OK;
}

static void release_clipping(void *object) {
  clipping *c = object;
  for (int64_t i = 0; i < c->n; i++) peri_tensor_release(&c->parameters[i]);
  peri_free(c->context, c, clipping_bytes(c->n));
}

static void tell_recorder(peri_context *context, int64_t n, peri_tensor *const *parameters, double limit,
                          double power) {
  peri_recorder *r = context->recorder;
  void *block;
  if (r == NULL) return;
  if (peri_alloc(context, clipping_bytes(n), &block) != PERI_OK) {
    peri_refuse_recorder(r, "memory is short");
    return;
  }
  clipping *c = block;
  *c = (clipping){context, limit, power, n};
  for (int64_t i = 0; i < n; i++) {
    c->parameters[i] = peri_tensor_retain(parameters[i]);
    r->leaf(r, parameters[i], false);
  }
  r->act(r, &(peri_act){power != 0 ? "clip_grad_norm_" : "clip_grad_value_", clip_again, release_clipping, c, NULL});
}

peri_status peri_gradients_clip(peri_context *context, int64_t n, peri_tensor *const *parameters, double most,
                                double power, double *norm) {
  PERI_TRY(clip(context, n, parameters, most, power, norm));
  tell_recorder(context, n, parameters, most, power);
  return PERI_OK;
}

void peri_gradients_clamp(int64_t n, peri_tensor *const *parameters, double limit) {
  change_all(n, parameters, (change){.clamps = true, .number = limit});
  if (n > 0) tell_recorder(peri_tensor_context(parameters[0]), n, parameters, limit, 0);
}
