/* Bytes of files as numbers. */
#ifndef PERI_DATA_BYTES_H
#define PERI_DATA_BYTES_H

#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "elements in that order are taken and given as they lie");

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
static inline void peri_store_le16(unsigned char *b, uint16_t value) {
  for (int i = 0; i < 2; i++) b[i] = (unsigned char)(value >> (8 * i));
}
static inline void peri_store_le32(unsigned char *b, uint32_t value) {
  for (int i = 0; i < 4; i++) b[i] = (unsigned char)(value >> (8 * i));
}
static inline void peri_store_le64(unsigned char *b, uint64_t value) {
  for (int i = 0; i < 8; i++) b[i] = (unsigned char)(value >> (8 * i));
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
