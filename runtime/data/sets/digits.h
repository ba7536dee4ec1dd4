/* Inside the digits generator: what the shapes of handwriting and the pen that draws them share. */
#ifndef PERI_DATA_DIGITS_H
#define PERI_DATA_DIGITS_H

#include "base/base.h"

/* ---- shapes ----
 * A shape is one way to write one digit: strokes through points on a 100 x 100 sheet, x to the right,
 * y down. The curve passes smoothly through the points; a point given twice is a corner, and
 * PERI_PEN_UP ends a stroke. */
typedef struct peri_shape_point {
  int8_t x, y;
} peri_shape_point;
#define PERI_PEN_UP                                                                                                    \
  { -1, -1 }

typedef struct peri_shape {
  int count;
  const peri_shape_point *points;
} peri_shape;

#define PERI_SHAPES_PER_DIGIT 4
extern const peri_shape peri_shapes[10][PERI_SHAPES_PER_DIGIT]; /* by digit */
#define PERI_SHAPE_MAX_POINTS 24

/* ---- the pen ---- */
#define PERI_DIGIT_SIDE   28
#define PERI_DIGIT_PIXELS (PERI_DIGIT_SIDE * PERI_DIGIT_SIDE)

/* A place of the pen, in pixels: the middle of the top left pixel is (0, 0). */
typedef struct peri_pen {
  float x, y;
  float radius; /* half the width of the line; negative: the pen is up on its way here */
} peri_pen;

/* Draws the line through n places into ink (PERI_DIGIT_PIXELS values, from 0 to 1), which keeps the
 * larger of old and new. Edges are soft over `edge` pixels. What lies outside is cut off. */
void peri_pen_draw(float *ink, const peri_pen *places, int n, float edge);

/* ---- the set ---- */

/* Handwritten-like digits, white on black, 28 x 28. x is n x 784 float32, each value k/255; y is int64,
 * n: the digit + 1. Image i depends on (seed, i) alone: a smaller set is a prefix of a larger one
 * of the same seed. Images 10k to 10k + 9 show each digit once, in random order. */
peri_status peri_digits_make(peri_context *context, int64_t n, uint64_t seed, peri_tensor *x, peri_tensor *y);

#endif
