/* Handwritten-like digits. A digit is one of several shapes, whose points tremble; a smooth curve goes
 * through them, a smooth field bends it (the elastic distortion of Simard, Steinkraus and Platt 2003,
 * applied to the line instead of the pixels), an affine map turns, slants and stretches it, and a pen of
 * some width and pressure draws it, fitted to 20 pixels and centred as in MNIST. */
#include "data/sets/digits.h"
#include "data/sets/sets.h"
#include "data/streams.h"
#include "kernels/scalar.h"
#include "tensor/tensor.h"

#include <math.h>

#define TWO_PI           6.2831853f
#define IMAGES_PER_PIECE 32
#define BLOCKS_PER_IMAGE 1024 /* random numbers that an image may draw; it takes some 200 */
#define WAVES            3    /* of the bending field */
#define CURVE_STEPS      5    /* straight pieces between two points of a shape */
#define MAX_PLACES       (PERI_SHAPE_MAX_POINTS * CURVE_STEPS + 1)

/* How hands differ: `side` is half the distance between two ways of writing (left- and right-leaning,
 * wide and slim, ...), `spread` the standard deviation within each. Two ways put a set's classes into
 * many clumps, which a linear classifier cannot tell apart and a network can: with these numbers and
 * 5,000 images a nearest class mean gets about 77 % right, a linear classifier 91 to 94 %, a tanh network of
 * 128 units 98 %, an rbf SVM more than 99 %. */
typedef struct habit {
  float side, spread;
} habit;

static const habit rotation = {0.20f, 0.05f}, slant = {0.10f, 0.06f};  /* radians; x per y */
static const habit stretch = {0, 0.05f}, size = {0.05f, 0.05f};        /* logarithms */
static const habit shift_x = {1.05f, 0.25f}, shift_y = {0.85f, 0.25f}; /* pixels */
static const habit pen = {0, 0.20f};                                   /* logarithm */
static const habit trembling = {0, 1.7f}, bending = {0, 1.5f};         /* hundredths of the sheet */

#define PEN_RADIUS   1.35f /* pixels, the median */
#define MEAN_SLANT   0.08f /* most people lean to the right */
#define DIGIT_LENGTH 19.0f /* pixels of the longer side, the median */

static float sine(float x) { return (float)peri_sin((double)x); }
static float cosine(float x) { return (float)peri_cos((double)x); }
static float exponential(float x) { return (float)peri_exp((double)x); }

static float normal(peri_stream *stream) { return (float)peri_stream_normal(stream); }
static float uniform(peri_stream *stream, float low, float high) {
  return low + (high - low) * (float)peri_stream_uniform(stream);
}
/* One draw, never extreme: digits stay legible. */
static float draw(peri_stream *stream, const habit *h) {
  float side = h->side == 0 ? 0 : (peri_stream_below(stream, 2) == 0 ? -h->side : h->side);
  return side + h->spread * fminf(fmaxf(normal(stream), -2.2f), 2.2f);
}

/* ---- the curve ---- */

/* The shape's points, trembling; a doubled point stays doubled. */
static void tremble(peri_stream *stream, const peri_shape *shape, peri_pen *points) {
  for (int i = 0; i < shape->count; i++) {
    const peri_shape_point *p = &shape->points[i];
    if (i > 0 && p->x == p[-1].x && p->y == p[-1].y) {
      points[i] = points[i - 1];
    } else {
      points[i].x = (float)p->x + draw(stream, &trembling);
      points[i].y = (float)p->y + draw(stream, &trembling);
    }
    points[i].radius = p->x < 0 ? -1 : 1;
  }
}

/* Catmull and Rom's spline (1974) at t between b and c, one coordinate. */
static float spline(float a, float b, float c, float d, float t) {
  return b + 0.5f * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));
}

/* Places along one stroke of n points. */
static int trace_stroke(const peri_pen *points, int n, peri_pen *places) {
  int count = 0;
  places[count] = points[0];
  places[count++].radius = -1;
  for (int i = 0; i + 1 < n; i++) {
    const peri_pen *b = &points[i], *c = b + 1, *a = i > 0 ? b - 1 : b, *d = i + 2 < n ? c + 1 : c;
    if (b->x == c->x && b->y == c->y) continue;
    for (int step = 1; step <= CURVE_STEPS; step++) {
      float t = (float)step / CURVE_STEPS;
      places[count++] = (peri_pen){spline(a->x, b->x, c->x, d->x, t), spline(a->y, b->y, c->y, d->y, t), 1};
    }
  }
  return count;
}

static int trace(peri_stream *stream, const peri_shape *shape, peri_pen *places) {
  peri_pen points[PERI_SHAPE_MAX_POINTS];
  int count = 0, start = 0;
  tremble(stream, shape, points);
  for (int i = 0; i <= shape->count; i++) {
    if (i < shape->count && points[i].radius > 0) continue;
    count += trace_stroke(points + start, i - start, places + count);
    start = i + 1;
  }
  return count;
}

/* ---- bending and turning ---- */

/* Adds a sum of a few long sine waves, each with its own direction, phase and displacement. */
static void bend(peri_stream *stream, peri_pen *places, int n) {
  for (int w = 0; w < WAVES; w++) {
    float frequency = TWO_PI / uniform(stream, 70, 160), direction = uniform(stream, 0, TWO_PI);
    float kx = frequency * cosine(direction), ky = frequency * sine(direction), phase = uniform(stream, 0, TWO_PI);
    float ux = draw(stream, &bending), uy = draw(stream, &bending);
    for (int i = 0; i < n; i++) {
      float wave = sine(kx * places[i].x + ky * places[i].y + phase);
      places[i].x += ux * wave;
      places[i].y += uy * wave;
    }
  }
}

static void turn(peri_stream *stream, peri_pen *places, int n) {
  float angle = draw(stream, &rotation), lean = MEAN_SLANT + draw(stream, &slant);
  float width = exponential(draw(stream, &stretch)), c = cosine(angle), s = sine(angle);
  for (int i = 0; i < n; i++) {
    float y = 50 - places[i].y, x = (places[i].x - 50) * width + lean * y;
    places[i].x = c * x - s * y;
    places[i].y = -(s * x + c * y);
  }
}

/* From the sheet to pixels: the box around the line with the
 * pen's width, becomes about 19 pixels in its longer side; its middle (between the box's and the line's own) goes to
 * the middle of the image. */
static void fit(peri_stream *stream, peri_pen *places, int n, float radius) {
  float left = places[0].x, right = left, top = places[0].y, bottom = top, mean_x = 0, mean_y = 0;
  for (int i = 0; i < n; i++) {
    left = fminf(left, places[i].x);
    right = fmaxf(right, places[i].x);
    top = fminf(top, places[i].y);
    bottom = fmaxf(bottom, places[i].y);
    mean_x += places[i].x / (float)n;
    mean_y += places[i].y / (float)n;
  }
  float side = fminf(DIGIT_LENGTH * exponential(draw(stream, &size)), 23) - 2 * radius;
  float scale = side / fmaxf(fmaxf(right - left, bottom - top), 1), middle = (PERI_DIGIT_SIDE - 1) / 2.0f;
  float x = (left + right) / 4 + mean_x / 2, y = (top + bottom) / 4 + mean_y / 2;
  float to_x = middle + draw(stream, &shift_x), to_y = middle + draw(stream, &shift_y);
  for (int i = 0; i < n; i++) {
    places[i].x = to_x + scale * (places[i].x - x);
    places[i].y = to_y + scale * (places[i].y - y);
  }
}

/* The pen presses more here, less there. */
static void press(peri_stream *stream, peri_pen *places, int n, float radius) {
  float depth = uniform(stream, 0, 0.25f), phase = uniform(stream, 0, TWO_PI);
  float frequency = uniform(stream, 0.5f, 2) * TWO_PI / (float)n;
  for (int i = 0; i < n; i++) places[i].radius *= radius * (1 + depth * sine(frequency * (float)i + phase));
}

/* ---- one image ---- */

/* Ink to brightness, in steps of 1/255, with the grain of paper where there is ink. */
static void develop(peri_stream *stream, float *image) {
  float bright = 255 * fminf(uniform(stream, 0.88f, 1.1f), 1), grain = uniform(stream, 0.02f, 0.1f);
  uint32_t random[4];
  int left = 0;
  for (int i = 0; i < PERI_DIGIT_PIXELS; i++) {
    if (image[i] <= 0) continue;
    if (left == 0) {
      peri_philox(stream->seed, peri_stream_take(stream, 1), random);
      left = 4;
    }
    float loss = grain * (float)(random[--left] >> 8) * 0x1p-24f;
    image[i] = floorf(bright * image[i] * (1 - loss) + 0.5f) / 255.0f;
  }
}

static void draw_digit(uint64_t seed, int64_t index, int digit, float *image) {
  peri_stream stream = {.seed = seed, .block = PERI_STREAM_DIGITS + (uint64_t)index * BLOCKS_PER_IMAGE};
  peri_pen places[MAX_PLACES];
  const peri_shape *shape = &peri_shapes[digit][peri_stream_below(&stream, PERI_SHAPES_PER_DIGIT)];
  float radius = PEN_RADIUS * exponential(draw(&stream, &pen));
  int n = trace(&stream, shape, places);
  bend(&stream, places, n);
  turn(&stream, places, n);
  fit(&stream, places, n, radius);
  press(&stream, places, n, radius);
  memset(image, 0, PERI_DIGIT_PIXELS * sizeof *image);
  peri_pen_draw(image, places, n, uniform(&stream, 1.3f, 2.1f));
  develop(&stream, image);
}

/* Which digit image `index` shows: each ten show a permutation of the ten, drawn from the far half of
 * the generator's part of the stream. */
static int choose_digit(uint64_t seed, int64_t index) {
  uint64_t first = PERI_STREAM_DIGITS + ((uint64_t)1 << 59) + (uint64_t)(index / 10) * 16;
  peri_stream stream = {.seed = seed, .block = first};
  int digits[10] = {0};
  for (int i = 0; i < 10; i++) {
    int j = (int)peri_stream_below(&stream, (uint64_t)i + 1);
    digits[i] = digits[j];
    digits[j] = i;
  }
  return digits[index % 10];
}

/* ---- the set ---- */

typedef struct job {
  int64_t n;
  uint64_t seed;
  float *x;
  int64_t *y;
} job;

static void draw_piece(void *arg, int64_t piece) {
  const job *j = arg;
  int64_t end = peri_min(j->n, (piece + 1) * IMAGES_PER_PIECE);
  for (int64_t i = piece * IMAGES_PER_PIECE; i < end; i++) {
    int digit = choose_digit(j->seed, i);
    j->y[i] = digit + 1;
    draw_digit(j->seed, i, digit, j->x + i * PERI_DIGIT_PIXELS);
  }
}

peri_status peri_digits_make(peri_context *context, int64_t n, uint64_t seed, peri_tensor *x, peri_tensor *y) {
  job j = {n, seed, (float *)(void *)x->data, (int64_t *)(void *)y->data};
  return peri_parallel(context, (n + IMAGES_PER_PIECE - 1) / IMAGES_PER_PIECE, draw_piece, &j);
}
