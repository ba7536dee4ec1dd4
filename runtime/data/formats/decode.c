/* The decoders of elements; see decode.h. */
#include "data/formats/decode.h"

/* 1 + 5 + 10 bits */
float peri_float_of_half(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
  if (exponent == 31) return peri_float_of_bits(sign | 0x7f800000 | fraction << 13);
  if (exponent > 0) return peri_float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
  float magnitude = (float)fraction * 0x1p-24f; /* zero or subnormal */
  return sign != 0 ? -magnitude : magnitude;
}

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
