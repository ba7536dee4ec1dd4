/* What the formats of images share. In a script an image is H x W x C, uint8 (or int64, of 16 bits), C = 1 grey, 2 grey
 * and alpha, 3 RGB, 4 RGB and alpha. */
#ifndef PERI_DATA_IMAGE_H
#define PERI_DATA_IMAGE_H

#include "data/formats/formats.h"
#include "data/reader.h"
#include "tensor/tensor.h"

/* Readers of a whole file, whose bits per sample must be those of the options. */
peri_status peri_png_read_all(peri_reader *reader, const peri_image_options *options, peri_tensor **out);
peri_status peri_pnm_read_all(peri_reader *reader, const peri_image_options *options, peri_tensor **out);

/* That a file of so many bits (up to 8, or 16) per sample is what was asked for. */
peri_status peri_image_check_depth(const peri_reader *reader, int bits, const peri_image_options *options);
/* A new tensor for an image of that depth. */
peri_status peri_image_new(const peri_reader *reader, const peri_image_options *options, int64_t height, int64_t width,
                           int64_t channels, peri_tensor **out);

/* A contiguous image that a writer was given; sizes are those of the format, and channels a set of bits. */
typedef struct peri_image {
  peri_tensor *tensor; /* a reference of ours */
  int64_t height, width, channels;
} peri_image;
#define PERI_IMAGE_MAX_SIDE 1000000
/* Whether a path ends so, in any case. */
bool peri_path_ends(const char *path, const char *ending);
peri_status peri_image_take(peri_context *context, const char *operation, unsigned channels, peri_tensor *x,
                            peri_image *out);

#endif
