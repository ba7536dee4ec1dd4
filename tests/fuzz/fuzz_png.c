/* Arbitrary bytes as a PNG file: an error or a sound image, of either depth. */
#include "fuzz_images.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) { return fuzz_images(PERI_IMAGE_PNG, bytes, size); }
