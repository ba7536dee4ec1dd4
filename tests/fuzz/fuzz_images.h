/* What the fuzz targets of images share. */
#ifndef PERI_FUZZ_IMAGES_H
#define PERI_FUZZ_IMAGES_H

#include "fuzz.h"

/* Each depth, and conversions of channels by turns. */
static inline int fuzz_images(peri_image_format format, const uint8_t *bytes, size_t size) {
  peri_context *context = fuzz_context();
  for (int depth = 8; depth <= 16; depth += 8) {
    peri_image_options options = {.depth = depth, .channels = (int)(size % 5)};
    peri_tensor *x;
    peri_status status = peri_image_parse(context, format, "fuzz", bytes, size, &options, &x);
    fuzz_check((status == PERI_OK) == (x != NULL));
    fuzz_check(status == PERI_OK || peri_message(context)[0] != '\0');
    if (x == NULL) continue;
    fuzz_check(peri_tensor_ndim(x) == 3 && peri_tensor_shape(x)[2] <= 4);
    fuzz_check(options.channels == 0 || peri_tensor_shape(x)[2] == options.channels);
    fuzz_touch(x);
    peri_tensor_release(&x);
  }
  fuzz_close(context);
  return 0;
}

#endif
