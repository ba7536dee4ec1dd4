/* Elements of every dtype as keys whose unsigned order is that of sort: NaN is the largest and equals itself, the zeros
 * are equal. A key of float32, uint8 and bool has 32 bits. XOR with all of a key's bits turns the order round. */
#ifndef PERI_KERNELS_KEYS_H
#define PERI_KERNELS_KEYS_H

#include "base/base.h"

static inline size_t peri_key_size(peri_dtype dtype) { /* of an element */
  return dtype == PERI_FLOAT32 ? 4 : dtype == PERI_FLOAT64 || dtype == PERI_INT64 ? 8 : 1;
}
static inline bool peri_key_is_short(peri_dtype dtype) { return dtype != PERI_FLOAT64 && dtype != PERI_INT64; }
static inline uint64_t peri_key_mask(peri_dtype dtype) { return peri_key_is_short(dtype) ? UINT32_MAX : UINT64_MAX; }

/* The bits of a float grow with its size; a negative one's must fall. */
static inline uint32_t peri_key_f32(float x) {
  uint32_t bits;
  float y = x + 0.0f; /* -0 becomes 0 */
  memcpy(&bits, &y, sizeof bits);
  bits ^= (uint32_t)((int32_t)bits >> 31) | 0x80000000u;
  return x != x ? UINT32_MAX : bits;
}
static inline uint64_t peri_key_f64(double x) {
  uint64_t bits;
  double y = x + 0.0;
  memcpy(&bits, &y, sizeof bits);
  bits ^= (uint64_t)((int64_t)bits >> 63) | (uint64_t)1 << 63;
  return x != x ? UINT64_MAX : bits;
}

/* The keys of n elements from number `first` on, each XOR flip. */
static inline void peri_keys(peri_dtype dtype, int64_t n, const void *x, int64_t first, uint64_t flip, uint64_t *keys) {
  switch (dtype) {
  case PERI_FLOAT32:
    for (int64_t i = 0; i < n; i++) keys[i] = peri_key_f32(((const float *)x)[first + i]) ^ flip;
    break;
  case PERI_FLOAT64:
    for (int64_t i = 0; i < n; i++) keys[i] = peri_key_f64(((const double *)x)[first + i]) ^ flip;
    break;
  case PERI_INT64:
    for (int64_t i = 0; i < n; i++) keys[i] = (((const uint64_t *)x)[first + i] ^ (uint64_t)1 << 63) ^ flip;
    break;
  default:
    for (int64_t i = 0; i < n; i++) keys[i] = ((const uint8_t *)x)[first + i] ^ flip;
  }
}

/* An element, and where it came from. */
typedef struct peri_item {
  uint64_t key;
  int64_t from;
} peri_item;

/* Stable; the result is in items, spare is as long. `bits`: 32 or 64, of a key. */
void peri_sort_items(int64_t n, int bits, peri_item *items, peri_item *spare);

#endif
