/* What the three convolutions share: patches of images, as they lie or in copies of some rows, the cutting, and what is
 * done to results. */
#ifndef PERI_PATCHES_H
#define PERI_PATCHES_H

#include "product/convolution.h"
#include "product/tiles.h"

/* How a convolution is cut into pieces; no bits depend on it. To measure: ./dev bench product conv. */
#define PERI_PATCHES     512    /* of a piece: about so many */
#define PERI_WHOLE_WORK  1.5e6  /* multiplications below which nothing is cut */
#define PERI_ENOUGH      16     /* pieces, for any team */
#define PERI_PIECE_WORK  64e6   /* multiplications of a piece */
#define PERI_LEAST_ROWS  96     /* of a piece, where many are cut: patches are packed for each */
#define PERI_MOST_COPIES 0x1p46 /* elements that a thread may have copied */

/* The patches of an image stand in a grid, `step` elements apart, and are read at `taps`. Where zeros stand around the
 * image, or columns of the grid do not lie side by side, some rows of it are copied: with the zeros, and the columns of
 * each phase (position modulo the step) together. Then the patches of a row of the grid, at one tap, lie side by side.
 * Rows of the grid are counted through all images. */
typedef struct peri_patches {
  const char *data; /* images x channels x size */
  size_t element;
  int64_t channels, size[2], grid[2], step[2];
  int64_t before[2]; /* zeros above and on the left; negative: columns that are left out */
  int64_t extent[2]; /* of a patch */
  int64_t taps;
  int64_t *down, *right; /* of each tap, in a patch */
  bool in_place;
  int64_t phase, pitch; /* of a copy: columns of a phase, of a row */
} peri_patches;

/* The patches of x; taps has room for two numbers of each tap. */
peri_patches peri_patches_of_x(const peri_convolution *v, const void *x, int64_t *taps);
/* `most`: columns of the grid that are copied at once. False: there are more places than can be counted. */
bool peri_patches_place(peri_patches *p, int64_t most);
/* Some columns of the grid alone. */
peri_patches peri_patches_window(const peri_patches *p, int64_t column, int64_t columns);
int64_t peri_tap_offset(const peri_patches *p, int64_t tap);
/* Elements from one channel to the next where up to `rows` rows of the grid are copied at once. */
int64_t peri_channel_step(const peri_patches *p, int64_t rows);
/* Whether copies of that many channels can be counted. */
bool peri_patches_countable(const peri_patches *p, int64_t rows, int64_t channels);
/* Rows of the grid from .. end - 1 in some channels: returns where the first of these begins, and `base` has for each
 * row where its patches do from there. */
const char *peri_patches_lay(const peri_patches *p, const peri_tile_kernels *tiles, int64_t from, int64_t end,
                             int64_t channel, int64_t count, int64_t channel_step, char *room, int64_t *base);
/* `count` patches from number `first` of the rows that `base` tells of, as runs. */
int64_t peri_find_runs(const int64_t *base, int64_t width, int64_t first, int64_t count, peri_patch_run *run);
peri_status peri_patches_too_large(peri_context *context);
/* `count` results of one channel to places `apart`; to may be from. */
void peri_convolution_end_run(const peri_context *context, peri_dtype dtype, const peri_convolution_end *end,
                              int64_t channel, int64_t count, const char *from, char *to, int64_t apart);

#endif
