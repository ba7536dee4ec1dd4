/* Images that are moved, each by itself: whole pixels, mirrored or not, and rotations. */
#ifndef PERI_IMAGES_H
#define PERI_IMAGES_H

#include "base/base.h"

/* count images of `planes` planes each, of rows x columns in x and out_rows x out_columns in y; contiguous. */
typedef struct peri_image_set {
  int64_t count, planes, rows, columns, out_rows, out_columns;
} peri_image_set;

/* What becomes of an image: row i of y is row i - down of x, column j column j - right; mirrored, it is counted from
 * the other end of x. */
typedef struct peri_move {
  int64_t down, right;
  bool mirror_rows, mirror_columns;
} peri_move;

/* A move for each image; pixels from outside of x are `element`, of `size` bytes. */
peri_status peri_move_images(peri_context *context, const peri_image_set *set, const peri_move *moves, size_t size,
                             const void *element, const void *x, void *y);

/* A rotation for each image around its middle, by the sine and cosine of its angle, counter-clockwise as an image is
 * seen, whose rows go down; float dtypes. A pixel is that of x which is nearest to where it came from, or lies between
 * the four around there; those outside of x have the value. out_rows and out_columns are those of x. Computed in
 * double. */
peri_status peri_rotate_images(peri_context *context, const peri_image_set *set, const double *sines,
                               const double *cosines, bool nearest, peri_dtype dtype, double value, const void *x,
                               void *y);

#endif
