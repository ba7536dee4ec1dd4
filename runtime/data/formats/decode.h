/* Elements of files as elements of tensors, for the tables of element types that formats have.
 *
 * Readers put the file's bytes at the end of the tensor's own memory and call a decoder, which goes forward: an element
 * is read before its place is written, as elements never shrink. No other memory is needed. It returns -1, or the index
 * of an element that has no place in the dtype. */
#ifndef PERI_DATA_DECODE_H
#define PERI_DATA_DECODE_H

#include "data/formats/bytes.h"
#include "kernels/scalar.h"

typedef int64_t (*peri_decode)(void *elements, const unsigned char *bytes, int64_t n);

/* Name, type of the tensor's elements, bytes of one in the file, and its value, of the bytes b. */
#define PERI_DECODERS(DECODER)                                                                                         \
  DECODER(i8, int64_t, 1, (int8_t)b[0])                                                                                \
  DECODER(i16, int64_t, 2, (int16_t)peri_load_le16(b))                                                                 \
  DECODER(u16, int64_t, 2, peri_load_le16(b))                                                                          \
  DECODER(i32, int64_t, 4, (int32_t)peri_load_le32(b))                                                                 \
  DECODER(u32, int64_t, 4, peri_load_le32(b))                                                                          \
  DECODER(f16, float, 2, peri_float_of_half(peri_load_le16(b)))                                                        \
  DECODER(bf16, float, 2, peri_float_of_bits((uint32_t)peri_load_le16(b) << 16))                                       \
  DECODER(i16_be, int64_t, 2, (int16_t)peri_load_be16(b))                                                              \
  DECODER(u16_be, int64_t, 2, peri_load_be16(b))                                                                       \
  DECODER(i32_be, int64_t, 4, (int32_t)peri_load_be32(b))                                                              \
  DECODER(u32_be, int64_t, 4, peri_load_be32(b))                                                                       \
  DECODER(i64_be, int64_t, 8, (int64_t)peri_load_be64(b))                                                              \
  DECODER(f16_be, float, 2, peri_float_of_half(peri_load_be16(b)))                                                     \
  DECODER(f32_be, float, 4, peri_float_of_bits(peri_load_be32(b)))                                                     \
  DECODER(f64_be, double, 8, peri_double_of_bits(peri_load_be64(b)))

#define PERI_DECLARE_DECODER(name, ...)                                                                                \
  int64_t peri_decode_##name(void *elements, const unsigned char *bytes, int64_t n);
PERI_DECODERS(PERI_DECLARE_DECODER)
/* Refuses what is beyond the largest int64. */
PERI_DECLARE_DECODER(u64)
PERI_DECLARE_DECODER(u64_be)
/* The bytes stay; refuses values other than 0 and 1, which would be neither false nor true to the kernels. */
PERI_DECLARE_DECODER(bool)
#undef PERI_DECLARE_DECODER

#endif
