/* The decoders of elements; see decode.h. */
#include "data/formats/decode.h"

#define DEFINE_DECODER(name, type, size, expression)                                                                   \
  int64_t peri_decode_##name(void *elements, const unsigned char *bytes, int64_t n) {                                  \
    for (int64_t i = 0; i < n; i++) {                                                                                  \
      const unsigned char *b = bytes + (size)*i;                                                                       \
      type value = (expression);                                                                                       \
      memcpy((unsigned char *)elements + (int64_t)sizeof(type) * i, &value, sizeof value);                             \
    }                                                                                                                  \
    return -1;                                                                                                         \
  }
PERI_DECODERS(DEFINE_DECODER)

#define DEFINE_UNSIGNED(name, load)                                                                                    \
  int64_t peri_decode_##name(void *elements, const unsigned char *bytes, int64_t n) {                                  \
    for (int64_t i = 0; i < n; i++) {                                                                                  \
      uint64_t value = load(bytes + 8 * i);                                                                            \
      if (value > INT64_MAX) return i;                                                                                 \
      memcpy((unsigned char *)elements + 8 * i, &value, sizeof value);                                                 \
    }                                                                                                                  \
    return -1;                                                                                                         \
  }
DEFINE_UNSIGNED(u64, peri_load_le64)
DEFINE_UNSIGNED(u64_be, peri_load_be64)

int64_t peri_decode_bool(void *elements, const unsigned char *bytes, int64_t n) {
  (void)elements;
  for (int64_t i = 0; i < n; i++) {
    if (bytes[i] > 1) return i;
  }
  return -1;
}
