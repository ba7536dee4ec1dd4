/* The pen: a line with round ends and changing width, drawn by each pixel's distance to it. Only the
 * pixels in the box around a piece of the line are looked at. */
#include "data/sets/digits.h"

#include <math.h>

static int clamp_pixel(float position) {
  return position < 0 ? 0 : position > PERI_DIGIT_SIDE - 1 ? PERI_DIGIT_SIDE - 1 : (int)position;
}

/* How much of a pixel the ink covers, `inside` pixels from the line's edge: 0 to 1, smooth. */
static float coverage(float inside, float edge) {
  float t = inside / edge + 0.5f;
  if (t <= 0) return 0;
  if (t >= 1) return 1;
  return t * t * (3 - 2 * t);
}

static void draw_piece(float *ink, const peri_pen *a, const peri_pen *b, float edge) {
  float reach = fmaxf(fabsf(a->radius), b->radius) + edge / 2;
  int left = clamp_pixel(ceilf(fminf(a->x, b->x) - reach)), right = clamp_pixel(floorf(fmaxf(a->x, b->x) + reach));
  int top = clamp_pixel(ceilf(fminf(a->y, b->y) - reach)), bottom = clamp_pixel(floorf(fmaxf(a->y, b->y) + reach));
  float dx = b->x - a->x, dy = b->y - a->y, squared = dx * dx + dy * dy;
  float scale = squared > 0 ? 1 / squared : 0;
  for (int row = top; row <= bottom; row++) {
    for (int column = left; column <= right; column++) {
      float px = (float)column - a->x, py = (float)row - a->y;
      float along = fminf(fmaxf((px * dx + py * dy) * scale, 0), 1);
      float ex = px - along * dx, ey = py - along * dy, away = ex * ex + ey * ey;
      if (away >= reach * reach) continue;
      float radius = fabsf(a->radius) + along * (b->radius - fabsf(a->radius));
      float covered = coverage(radius - sqrtf(away), edge), *pixel = &ink[row * PERI_DIGIT_SIDE + column];
      if (covered > *pixel) *pixel = covered;
    }
  }
}

void peri_pen_draw(float *ink, const peri_pen *places, int n, float edge) {
  for (int i = 1; i < n; i++) {
    if (places[i].radius >= 0) draw_piece(ink, &places[i - 1], &places[i], edge);
  }
}
