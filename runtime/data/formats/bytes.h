/* Bytes of files as numbers. */
#ifndef PERI_DATA_BYTES_H
#define PERI_DATA_BYTES_H

#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors' elements are taken and given as they lie");

static inline uint16_t peri_load_be16(const unsigned char *b) { return (uint16_t)(b[0] << 8 | b[1]); }
static inline uint32_t peri_load_be32(const unsigned char *b) {
  return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}
static inline uint64_t peri_load_be64(const unsigned char *b) {
  return (uint64_t)peri_load_be32(b) << 32 | peri_load_be32(b + 4);
}
static inline uint16_t peri_load_le16(const unsigned char *b) { return (uint16_t)(b[1] << 8 | b[0]); }
static inline uint32_t peri_load_le32(const unsigned char *b) {
  return (uint32_t)b[3] << 24 | (uint32_t)b[2] << 16 | (uint32_t)b[1] << 8 | b[0];
}
static inline uint64_t peri_load_le64(const unsigned char *b) {
  return (uint64_t)peri_load_le32(b + 4) << 32 | peri_load_le32(b);
}
static inline void peri_store_be32(unsigned char *b, uint32_t value) {
  for (int i = 0; i < 4; i++) b[i] = (unsigned char)(value >> (24 - 8 * i));
}
static inline void peri_store_le64(unsigned char *b, uint64_t value) {
  for (int i = 0; i < 8; i++) b[i] = (unsigned char)(value >> (8 * i));
}

/* A row of a format's table of element types: how `size` bytes of the file become one element.
 * Readers put the file's bytes at the end of the tensor's own memory and call `decode`, which goes
 * forward: an element is read before its place is written, as elements never shrink. No other memory
 * is needed. decode returns -1, or the index of an element that has no place in the dtype. */
typedef int64_t (*peri_decode)(void *elements, const unsigned char *bytes, int64_t n);

#define PERI_DEFINE_DECODE(name, type, size, expression)                                                               \
  static int64_t name(void *elements, const unsigned char *bytes, int64_t n) {                                         \
    for (int64_t i = 0; i < n; i++) {                                                                                  \
      const unsigned char *b = bytes + (size)*i;                                                                       \
      type value = (expression);                                                                                       \
      memcpy((unsigned char *)elements + (int64_t)sizeof(type) * i, &value, sizeof value);                             \
    }                                                                                                                  \
    return -1;                                                                                                         \
  }

static inline float peri_float_of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
static inline double peri_double_of_bits(uint64_t bits) {
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

#endif
