/* Random fills: Philox in many lanes (see base/random.c), and the distributions made of its words.
 *
 * A batch of blocks is computed word by word, all blocks at once, so that the loops are vectorised;
 * element i of a fill takes its bits from block first + i / 4 (float32) or first + i / 2 (else). */
#include "kernels/mathfun.h"
#include "kernels/rows.h"

#define BATCH  64 /* blocks, of which a short fill computes as many vectors as it needs */
#define VECTOR 16

typedef struct batch {
  uint32_t word[4][BATCH];
} batch;

static PERI_ALWAYS_INLINE void fill_blocks(uint64_t seed, uint64_t first, int blocks, batch *b) {
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
  for (int i = 0; i < blocks; i++) {
    uint64_t block = first + (uint64_t)i;
    b->word[0][i] = (uint32_t)block;
    b->word[1][i] = (uint32_t)(block >> 32);
    b->word[2][i] = b->word[3][i] = 0;
  }
  for (int round = 0; round < 10; round++) {
    PERI_INDEPENDENT
    for (int i = 0; i < blocks; i++) {
      uint64_t p0 = (uint64_t)b->word[0][i] * 0xD2511F53u, p1 = (uint64_t)b->word[2][i] * 0xCD9E8D57u;
      b->word[0][i] = (uint32_t)(p1 >> 32) ^ b->word[1][i] ^ k0;
      b->word[1][i] = (uint32_t)p1;
      b->word[2][i] = (uint32_t)(p0 >> 32) ^ b->word[3][i] ^ k1;
      b->word[3][i] = (uint32_t)p0;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

/* A whole batch by loops whose length the compiler knows. */
static void fill_batch(uint64_t seed, uint64_t first, int blocks, batch *b) {
  if (blocks == BATCH) {
    fill_blocks(seed, first, BATCH, b);
  } else {
    fill_blocks(seed, first, blocks, b);
  }
}

static PERI_ALWAYS_INLINE uint64_t pair_of(const batch *b, int i, int half) {
  return b->word[2 * half][i] | (uint64_t)b->word[2 * half + 1][i] << 32;
}

/* ---- from a batch to its elements ---- */

static void uniform_batch_f32(const batch *b, int blocks, float low, float range, float below, float *y) {
  for (int i = 0; i < blocks; i++) {
    for (int w = 0; w < 4; w++) {
      float u = (float)(int32_t)(b->word[w][i] >> 8) * 0x1p-24f, value = low + range * u;
      y[4 * i + w] = value > below ? below : value; /* rounding may reach the end, which is excluded */
    }
  }
}

static void uniform_batch_f64(const batch *b, int blocks, double low, double range, double below, double *y) {
  for (int i = 0; i < blocks; i++) {
    for (int h = 0; h < 2; h++) {
      double u = (double)(int64_t)(pair_of(b, i, h) >> 11) * 0x1p-53, value = low + range * u;
      y[2 * i + h] = value > below ? below : value;
    }
  }
}

/* G. Box, M. Muller, "A note on the generation of random normal deviates", 1958: two numbers of
 * (0, 1] and [0, 1) are the radius sqrt(-2 log u) and the angle of two normals. */
static void normal_batch_f32(const batch *b, int blocks, float mean, float std, float *y) {
  float parts[4][BATCH];
  for (int h = 0; h < 2; h++) {
    for (int i = 0; i < blocks; i++) {
      float u = ((float)(int32_t)(b->word[2 * h][i] >> 1) + 0.5f) * 0x1p-31f;
      float turn = (float)(int32_t)(b->word[2 * h + 1][i] >> 8) * 0x1p-24f;
      float radius = std * __builtin_sqrtf(-2.0f * log_f32(u));
      circle_f32 point = circle_of_turn_f32(turn);
      parts[2 * h][i] = mean + radius * point.cosine;
      parts[2 * h + 1][i] = mean + radius * point.sine;
    }
  }
  for (int i = 0; i < blocks; i++) {
    for (int w = 0; w < 4; w++) y[4 * i + w] = parts[w][i];
  }
}

static void normal_batch_f64(const batch *b, int blocks, double mean, double std, double *y) {
  for (int i = 0; i < blocks; i++) {
    double u = (double)(int64_t)((pair_of(b, i, 0) >> 11) + 1) * 0x1p-53;
    double turn = (double)(int64_t)(pair_of(b, i, 1) >> 11) * 0x1p-53;
    double radius = std * __builtin_sqrt(-2.0 * log_f64(u));
    circle_f64 point = circle_of_turn_f64(turn);
    y[2 * i] = mean + radius * point.cosine;
    y[2 * i + 1] = mean + radius * point.sine;
  }
}

/* Of an odd number of 2^-53 parts of 1, so that neither 0 nor infinity comes out. */
static void exponential_batch(const batch *b, int blocks, double rate, double *y) {
  for (int i = 0; i < blocks; i++) {
    for (int h = 0; h < 2; h++) {
      double u = (double)((int64_t)(pair_of(b, i, h) >> 12) * 2 + 1) * 0x1p-53;
      y[2 * i + h] = -log_f64(u) / rate;
    }
  }
}

__extension__ typedef unsigned __int128 wide;

typedef struct interval {
  int64_t low;
  uint64_t range, refused;
} interval;

static void integers_batch(const batch *b, int blocks, uint64_t seed, uint64_t first, interval from, int64_t *y) {
  for (int i = 0; i < blocks; i++) {
    for (int h = 0; h < 2; h++) {
      uint64_t bits = pair_of(b, i, h), offset = bits;
      if (from.range != 0) {
        wide product = (wide)bits * from.range;
        offset = (uint64_t)product >= from.refused ? (uint64_t)(product >> 64)
                                                   : peri_random_again(seed, first + (uint64_t)i, h, from.range);
      }
      y[2 * i + h] = (int64_t)((uint64_t)from.low + offset);
    }
  }
}

/* ---- fills: whole batches in place, the last one through a buffer ---- */

static int blocks_for(int64_t elements, int per_block) {
  if (elements >= per_block * BATCH) return BATCH;
  return (int)(elements + per_block * VECTOR - 1) / (per_block * VECTOR) * VECTOR;
}

#define FILL(T, per_block, compute)                                                                                    \
  do {                                                                                                                 \
    T *out = y, buffer[per_block * BATCH];                                                                             \
    for (int64_t i = 0; i < n; i += per_block * BATCH, first += BATCH) {                                               \
      batch b;                                                                                                         \
      int blocks = blocks_for(n - i, per_block);                                                                       \
      fill_batch(seed, first, blocks, &b);                                                                             \
      T *to = n - i >= per_block * BATCH ? out + i : buffer;                                                           \
      compute;                                                                                                         \
      if (to == buffer) memcpy(out + i, buffer, (size_t)(n - i) * sizeof(T));                                          \
    }                                                                                                                  \
  } while (0)

static void uniform_f32(int64_t n, uint64_t seed, uint64_t first, double low, double high, void *y) {
  float from = (float)low, below = high > low ? nextafterf((float)high, from) : from;
  FILL(float, 4, uniform_batch_f32(&b, blocks, from, (float)(high - low), below, to));
}

static void uniform_f64(int64_t n, uint64_t seed, uint64_t first, double low, double high, void *y) {
  double below = high > low ? nextafter(high, low) : low;
  FILL(double, 2, uniform_batch_f64(&b, blocks, low, high - low, below, to));
}

static void normal_f32(int64_t n, uint64_t seed, uint64_t first, double mean, double std, void *y) {
  FILL(float, 4, normal_batch_f32(&b, blocks, (float)mean, (float)std, to));
}

static void normal_f64(int64_t n, uint64_t seed, uint64_t first, double mean, double std, void *y) {
  FILL(double, 2, normal_batch_f64(&b, blocks, mean, std, to));
}

static void integers(int64_t n, uint64_t seed, uint64_t first, int64_t low, uint64_t range, int64_t *y) {
  interval from = {low, range, peri_random_refused(range)};
  FILL(int64_t, 2, integers_batch(&b, blocks, seed, first, from, to));
}

static void exponential(int64_t n, uint64_t seed, uint64_t first, double rate, double *y) {
  FILL(double, 2, exponential_batch(&b, blocks, rate, to));
}

const peri_random_kernels PERI_ISA_NAME(peri_random_kernels) = {
    .uniform = {uniform_f32, uniform_f64},
    .normal = {normal_f32, normal_f64},
    .integers = integers,
    .exponential = exponential,
};
