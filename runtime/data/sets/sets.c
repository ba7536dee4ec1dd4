/* Generated sets; see sets.h. */
#include "data/sets/sets.h"
#include "data/sets/digits.h"
#include "data/streams.h"
#include "kernels/scalar.h"
#include "tensor/tensor.h"

#include <math.h>

#define PI 3.14159265358979323846264338327950288

static double uniform(peri_stream *stream, double low, double high) {
  return low + (high - low) * peri_stream_uniform(stream);
}

static int64_t two(const double *values) {
  (void)values;
  return 2;
}

static int64_t one(const double *values) {
  (void)values;
  return 1;
}

#define NOISE(default, of)                                                                                             \
  { "noise", PERI_OPTION_NUMBER, default, 0, 1e6, NULL, "standard deviation of " of }
#define MOST 1e6 /* columns, classes, cells */

/* ---- circles ---- */

static const peri_option circles_options[] = {
    NOISE(0, "both coordinates"),
    {"factor", PERI_OPTION_NUMBER, 0.5, 0, 1, NULL, "radius of the inner circle"},
    {NULL}};

static const char *circles_refuse(const double *values) {
  return values[1] < 1 ? NULL : "factor is 1 (expected at least 0 and below 1)";
}

static double circles_sample(const peri_set_sample *s, peri_stream *stream) {
  (void)stream;
  int64_t outer = s->n / 2;
  bool is_outer = s->place < outer;
  int64_t place = is_outer ? s->place : s->place - outer, points = is_outer ? outer : s->n - outer;
  double angle = 2 * PI * (double)place / (double)points, radius = is_outer ? 1 : s->values[1];
  s->x[0] = radius * peri_cos(angle);
  s->x[1] = radius * peri_sin(angle);
  return is_outer ? 1 : 2;
}

/* ---- digits ---- */

static const peri_option digits_options[] = {{NULL}};

static int64_t digits_features(const double *values) {
  (void)values;
  return PERI_DIGIT_PIXELS;
}

/* ---- moons ---- */

static const peri_option moons_options[] = {NOISE(0, "both coordinates"), {NULL}};

/* The i-th of `count` numbers from 0 to 1, both included. */
static double spaced(int64_t i, int64_t count) { return count > 1 ? (double)i / (double)(count - 1) : 0; }

static double moons_sample(const peri_set_sample *s, peri_stream *stream) {
  (void)stream;
  int64_t outer = s->n / 2;
  bool is_outer = s->place < outer;
  double t = PI * (is_outer ? spaced(s->place, outer) : spaced(s->place - outer, s->n - outer));
  s->x[0] = is_outer ? peri_cos(t) : 1 - peri_cos(t);
  s->x[1] = is_outer ? peri_sin(t) : 0.5 - peri_sin(t);
  return is_outer ? 1 : 2;
}

/* ---- blobs ---- */

enum { BLOBS_CENTERS = 1, BLOBS_FEATURES, BLOBS_BOX };
static const peri_option blobs_options[] = {NOISE(1, "each coordinate around its centre"),
                                            {"centers", PERI_OPTION_INTEGER, 3, 1, MOST, NULL, "how many"},
                                            {"features", PERI_OPTION_INTEGER, 2, 1, MOST, NULL, "columns of X"},
                                            {"box", PERI_OPTION_NUMBER, 10, 0, 1e6, NULL, "centres lie within +-box"},
                                            {NULL}};

static int64_t blobs_features(const double *values) { return (int64_t)values[BLOBS_FEATURES]; }

static int blobs_shape(const double *values, int64_t shape[2]) {
  shape[0] = (int64_t)values[BLOBS_CENTERS];
  shape[1] = (int64_t)values[BLOBS_FEATURES];
  return 2;
}

static void blobs_draw(const double *values, peri_stream *stream, double *parameters) {
  int64_t count = (int64_t)values[BLOBS_CENTERS] * (int64_t)values[BLOBS_FEATURES];
  for (int64_t i = 0; i < count; i++) parameters[i] = uniform(stream, -values[BLOBS_BOX], values[BLOBS_BOX]);
}

static double blobs_sample(const peri_set_sample *s, peri_stream *stream) {
  (void)stream;
  int64_t center = s->place % (int64_t)s->values[BLOBS_CENTERS];
  memcpy(s->x, s->parameters + center * s->features, (size_t)s->features * sizeof *s->x);
  return (double)center + 1;
}

/* ---- spirals ---- */

enum { SPIRALS_CLASSES = 1, SPIRALS_TURNS };
static const peri_option spirals_options[] = {NOISE(0, "both coordinates"),
                                              {"classes", PERI_OPTION_INTEGER, 2, 1, MOST, NULL, "arms"},
                                              {"turns", PERI_OPTION_NUMBER, 1.5, 0, 1000, NULL, "of each arm"},
                                              {NULL}};

static double spirals_sample(const peri_set_sample *s, peri_stream *stream) {
  (void)stream;
  int64_t classes = (int64_t)s->values[SPIRALS_CLASSES], arm = s->place % classes;
  int64_t on_arm = s->n / classes + (arm < s->n % classes);
  double radius = (double)(s->place / classes + 1) / (double)on_arm;
  double angle = 2 * PI * (s->values[SPIRALS_TURNS] * radius + (double)arm / (double)classes);
  s->x[0] = radius * peri_cos(angle);
  s->x[1] = radius * peri_sin(angle);
  return (double)arm + 1;
}

/* ---- xor and checkerboard ---- */

static double board(const peri_set_sample *s, peri_stream *stream, double cells) {
  int64_t sum = 0;
  for (int c = 0; c < 2; c++) {
    double place = uniform(stream, 0, cells);
    sum += (int64_t)place;
    s->x[c] = 2 * place / cells - 1;
  }
  return sum % 2 == 0 ? 1 : 2;
}

static const peri_option xor_options[] = {NOISE(0, "both coordinates"), {NULL}};

static double xor_sample(const peri_set_sample *s, peri_stream *stream) { return board(s, stream, 2); }

static const peri_option checkerboard_options[] = {
    NOISE(0, "both coordinates"), {"cells", PERI_OPTION_INTEGER, 4, 1, MOST, NULL, "along each side"}, {NULL}};

static double checkerboard_sample(const peri_set_sample *s, peri_stream *stream) {
  return board(s, stream, s->values[1]);
}

/* ---- regression ---- */

enum { REGRESSION_FEATURES = 1, REGRESSION_INFORMATIVE, REGRESSION_BIAS };
static const peri_option regression_options[] = {
    NOISE(0, "y"),
    {"features", PERI_OPTION_INTEGER, 10, 1, MOST, NULL, "columns of X"},
    {"informative", PERI_OPTION_INTEGER, 0, 0, MOST, NULL, "columns that y depends on; 0: all"},
    {"bias", PERI_OPTION_NUMBER, 0, -1e300, 1e300, NULL, "added to y"},
    {NULL}};

static int64_t regression_features(const double *values) { return (int64_t)values[REGRESSION_FEATURES]; }

static int regression_shape(const double *values, int64_t shape[2]) {
  shape[0] = (int64_t)values[REGRESSION_FEATURES];
  return 1;
}

/* Coefficients uniform in [0, 100), those that are not zero in random columns. */
static void regression_draw(const double *values, peri_stream *stream, double *coefficients) {
  int64_t d = (int64_t)values[REGRESSION_FEATURES], informative = (int64_t)values[REGRESSION_INFORMATIVE];
  if (informative == 0) informative = d;
  for (int64_t i = 0; i < d; i++) coefficients[i] = i < informative ? uniform(stream, 0, 100) : 0;
  for (int64_t i = d - 1; i > 0; i--) {
    int64_t j = (int64_t)peri_stream_below(stream, (uint64_t)i + 1);
    double kept = coefficients[i];
    coefficients[i] = coefficients[j];
    coefficients[j] = kept;
  }
}

static const char *regression_refuse(const double *values) {
  return values[REGRESSION_INFORMATIVE] > values[REGRESSION_FEATURES] ? "informative is larger than features" : NULL;
}

static double regression_sample(const peri_set_sample *s, peri_stream *stream) {
  double y = s->values[REGRESSION_BIAS];
  for (int64_t i = 0; i < s->features; i++) {
    s->x[i] = peri_stream_normal(stream);
    y += s->parameters[i] * s->x[i];
  }
  return y;
}

/* ---- sinc ---- */

static const peri_option sinc_options[] = {
    NOISE(0, "y"), {"range", PERI_OPTION_NUMBER, 10, 0, 1e6, NULL, "x lies within +-range"}, {NULL}};

static double sinc_sample(const peri_set_sample *s, peri_stream *stream) {
  double x = uniform(stream, -s->values[1], s->values[1]);
  s->x[0] = x;
  return x == 0 ? 1 : peri_sin(x) / x;
}

/* ---- friedman1 ---- */

static const peri_option friedman1_options[] = {
    NOISE(0, "y"), {"features", PERI_OPTION_INTEGER, 10, 5, MOST, NULL, "columns of X"}, {NULL}};

static int64_t friedman1_features(const double *values) { return (int64_t)values[1]; }

static double friedman1_sample(const peri_set_sample *s, peri_stream *stream) {
  const double *x = s->x;
  for (int64_t i = 0; i < s->features; i++) s->x[i] = peri_stream_uniform(stream);
  return 10 * peri_sin(PI * x[0] * x[1]) + 20 * (x[2] - 0.5) * (x[2] - 0.5) + 10 * x[3] + 5 * x[4];
}

/* ---- the table ---- */

#define ERRORS                                                                                                         \
  "\n"                                                                                                                 \
  "Errors: n that is no whole number from 1; options out of range or unknown; a dtype other than float32 and float64."

#define PART(number) (PERI_STREAM_SETS + ((uint64_t)(number) << 56))

const peri_data_set peri_data_sets[] = {
    {.name = "circles",
     .doc =
         "data.circles(n, {noise = 0, factor = 0.5, seed = 0, dtype = 'float32'}) -> X, y\n"
         "Two concentric rings, as scikit-learn's make_circles: X is n x 2, y int64: 1 on the outer ring (radius 1), 2 "
         "on the inner (radius factor, below 1). noise is the standard deviation on both coordinates." ERRORS,
     .options = circles_options,
     .block = PERI_STREAM_CIRCLES,
     .features = two,
     .refuse = circles_refuse,
     .sample = circles_sample},
    {.name = "digits",
     .doc =
         "data.digits(n, {seed = 0}) -> X, y\n"
         "Handwritten-like digits of 28 x 28 pixels: X is n x 784 float32 in [0, 1], y int64: the digit + 1. Image i "
         "depends on (seed, i) alone.\n"
         "Errors: n that is no whole number from 1; options that are unknown.",
     .options = digits_options,
     .block = PERI_STREAM_DIGITS,
     .float32_only = true,
     .features = digits_features,
     .make = peri_digits_make},
    {.name = "moons",
     .doc = "data.moons(n, {noise = 0, seed = 0, dtype = 'float32'}) -> X, y\n"
            "Two half circles that reach into each other, as scikit-learn's make_moons: X is n x 2, y int64: 1 on the "
            "upper, 2 on the lower. noise is the standard deviation on both coordinates." ERRORS,
     .options = moons_options,
     .block = PART(0),
     .features = two,
     .sample = moons_sample},
    {.name = "blobs",
     .doc =
         "data.blobs(n, {centers = 3, features = 2, noise = 1, box = 10, seed = 0, dtype = 'float32'}) -> X, y, "
         "centres\n"
         "Normal clouds with standard deviation noise around centres that are uniform within +-box, as scikit-learn's "
         "make_blobs: X is n x features, y int64 from 1, of each class as many as of the others or one more, centres "
         "is centers x features." ERRORS,
     .options = blobs_options,
     .block = PART(1),
     .features = blobs_features,
     .shape = blobs_shape,
     .draw = blobs_draw,
     .sample = blobs_sample},
    {.name = "spirals",
     .doc =
         "data.spirals(n, {classes = 2, turns = 1.5, noise = 0, seed = 0, dtype = 'float32'}) -> X, y\n"
         "Arms that wind out from the origin to the unit circle, points evenly spaced in radius: X is n x 2, y int64: "
         "the arm. noise is the standard deviation on both coordinates." ERRORS,
     .options = spirals_options,
     .block = PART(2),
     .features = two,
     .sample = spirals_sample},
    {.name = "xor",
     .doc = "data.xor(n, {noise = 0, seed = 0, dtype = 'float32'}) -> X, y\n"
            "Points uniform within +-1: X is n x 2, y int64: 1 where both coordinates have the same sign, 2 where they "
            "have not; then noise, the standard deviation on both coordinates, is added." ERRORS,
     .options = xor_options,
     .block = PART(3),
     .features = two,
     .sample = xor_sample},
    {.name = "checkerboard",
     .doc =
         "data.checkerboard(n, {cells = 4, noise = 0, seed = 0, dtype = 'float32'}) -> X, y\n"
         "Points uniform within +-1 on a board of cells x cells: X is n x 2, y int64: the colour, 1 at (-1, -1), else "
         "2; then noise, the standard deviation on both coordinates, is added." ERRORS,
     .options = checkerboard_options,
     .block = PART(4),
     .features = two,
     .sample = checkerboard_sample},
    {.name = "regression",
     .doc =
         "data.regression(n, {features = 10, informative = features, bias = 0, noise = 0, seed = 0, dtype = "
         "'float32'}) -> X, y, coef\n"
         "A linear function of normal numbers, as scikit-learn's make_regression: X is n x features, y = X coef + bias "
         "+ noise (its standard deviation); coef (features) has `informative` numbers uniform in [0, 100), else "
         "zeros." ERRORS,
     .options = regression_options,
     .block = PART(5),
     .numbers = true,
     .features = regression_features,
     .shape = regression_shape,
     .draw = regression_draw,
     .refuse = regression_refuse,
     .sample = regression_sample},
    {.name = "sinc",
     .doc = "data.sinc(n, {range = 10, noise = 0, seed = 0, dtype = 'float32'}) -> X, y\n"
            "y = sin(x) / x + noise (its standard deviation) for x uniform within +-range: X is n x 1, y is n." ERRORS,
     .options = sinc_options,
     .block = PART(6),
     .numbers = true,
     .features = one,
     .sample = sinc_sample},
    {.name = "friedman1",
     .doc =
         "data.friedman1(n, {features = 10, noise = 0, seed = 0, dtype = 'float32'}) -> X, y\n"
         "y = 10 sin(pi x1 x2) + 20 (x3 - 0.5)^2 + 10 x4 + 5 x5 + noise (its standard deviation), X uniform in [0, 1), "
         "n x features (5 or more), as scikit-learn's make_friedman1. J. Friedman, 'Multivariate adaptive regression "
         "splines', 1991." ERRORS,
     .options = friedman1_options,
     .block = PART(7),
     .numbers = true,
     .features = friedman1_features,
     .sample = friedman1_sample},
    {NULL}};

/* ---- the frame ---- */

#define ROWS_BETWEEN 8192 /* two looks at the cancellation flag */

typedef struct generation {
  peri_context *context;
  const peri_data_set *set;
  const double *values;
  int64_t n, features;
  double *parameters, *row;
  int64_t count; /* of parameters */
} generation;

static peri_status check(const generation *g, peri_dtype dtype) {
  const char *name = g->set->name, *wrong = g->set->refuse != NULL ? g->set->refuse(g->values) : NULL;
  if (g->n < 1) {
    return peri_fail(g->context, PERI_ERR_ARGUMENT, "%s: n is %lld (expected at least 1)", name, (long long)g->n);
  }
  for (int i = 0; g->set->options[i].name != NULL; i++) {
    const peri_option *option = &g->set->options[i];
    if (g->values[i] >= option->low && g->values[i] <= option->high) continue;
    return peri_fail(g->context, PERI_ERR_ARGUMENT, "%s: %s is %g (expected a number from %g to %g)", name,
                     option->name, g->values[i], option->low, option->high);
  }
  if (wrong != NULL) return peri_fail(g->context, PERI_ERR_ARGUMENT, "%s: %s", name, wrong);
  if (g->set->float32_only ? dtype == PERI_FLOAT32 : peri_is_float(dtype)) return PERI_OK;
  return peri_fail(g->context, PERI_ERR_ARGUMENT, "%s: dtype is %s (expected float32%s)", name, peri_dtype_name(dtype),
                   g->set->float32_only ? "" : " or float64");
}

static void store(peri_tensor *tensor, int64_t at, double value) {
  peri_dtype dtype = tensor->layout.dtype;
  peri_store_number(dtype, tensor->data + at * (int64_t)peri_dtype_size(dtype), value);
}

/* y holds the permutation at first and the labels in the end. */
static peri_status fill(const generation *g, peri_stream *stream, peri_tensor *x, peri_tensor *y) {
  const peri_data_set *set = g->set;
  int64_t *labels = set->numbers ? NULL : (int64_t *)(void *)y->data;
  double noise = g->values[0];
  if (set->draw != NULL) set->draw(g->values, stream, g->parameters);
  if (labels != NULL) peri_stream_permutation(stream, g->n, labels);
  for (int64_t i = 0; i < g->n; i++) {
    if (i % ROWS_BETWEEN == 0) PERI_TRY(peri_check_cancel(g->context));
    peri_set_sample sample = {.values = g->values,
                              .parameters = g->parameters,
                              .features = g->features,
                              .place = labels != NULL ? labels[i] : i,
                              .n = g->n,
                              .x = g->row};
    double value = set->sample(&sample, stream);
    for (int64_t c = 0; c < g->features; c++) {
      double disturbed = labels != NULL ? g->row[c] + noise * peri_stream_normal(stream) : g->row[c];
      store(x, i * g->features + c, disturbed);
    }
    if (labels != NULL) {
      labels[i] = (int64_t)value;
    } else {
      store(y, i, value + noise * peri_stream_normal(stream));
    }
  }
  return PERI_OK;
}

static peri_status generate(generation *g, uint64_t seed, peri_dtype dtype, peri_tensor **x, peri_tensor **y,
                            peri_tensor **parameters) {
  int64_t shape[2] = {0, 1};
  peri_layout features = {.dtype = dtype, .ndim = 2, .shape = {g->n, g->features}};
  PERI_TRY(peri_layout_contiguous(g->context, g->set->name, &features));
  PERI_TRY(peri_tensor_empty(g->context, &features, x));
  PERI_TRY(peri_tensor_new(g->context, g->set->numbers ? dtype : PERI_INT64, 1, &g->n, y));
  if (g->set->shape != NULL) {
    int ndim = g->set->shape(g->values, shape);
    PERI_TRY(peri_tensor_new(g->context, dtype, ndim, shape, parameters));
  }
  if (g->set->make != NULL) return g->set->make(g->context, g->n, seed, *x, *y);
  g->count = shape[0] * shape[1];
  void *block;
  PERI_TRY(peri_alloc_array(g->context, (size_t)(g->count + g->features), sizeof *g->row, &block));
  g->parameters = block;
  g->row = g->parameters + g->count;
  peri_stream stream = {.seed = seed, .block = g->set->block};
  peri_status status = fill(g, &stream, *x, *y);
  for (int64_t i = 0; i < g->count && status == PERI_OK; i++) store(*parameters, i, g->parameters[i]);
  peri_free(g->context, block, (size_t)(g->count + g->features) * sizeof *g->row);
  return status;
}

peri_status peri_data_generate(peri_context *context, const peri_data_set *set, int64_t n, const double *values,
                               uint64_t seed, peri_dtype dtype, peri_tensor **x, peri_tensor **y,
                               peri_tensor **parameters) {
  *x = *y = *parameters = NULL;
  generation g = {.context = context, .set = set, .values = values, .n = n, .features = set->features(values)};
  PERI_TRY(check(&g, dtype));
  peri_status status = generate(&g, seed, dtype, x, y, parameters);
  if (status != PERI_OK) {
    peri_tensor_release(x);
    peri_tensor_release(y);
    peri_tensor_release(parameters);
  }
  return status;
}
