/* Random streams.
 *
 * Philox4x32-10: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011. The 128-bit counter holds the block number in its low half and zero in its
 * high half; the key is the seed. */
#include "base/base.h"

void peri_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
    c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c1 = (uint32_t)p1;
    c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c3 = (uint32_t)p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

void peri_philox(uint64_t seed, uint64_t block, uint32_t out[4]) {
  peri_philox4x32((uint32_t[]){(uint32_t)block, (uint32_t)(block >> 32), 0, 0},
                  (uint32_t[]){(uint32_t)seed, (uint32_t)(seed >> 32)}, out);
}

uint64_t peri_stream_u64(peri_stream *stream) {
  uint32_t words[4];
  peri_philox(stream->seed, peri_stream_take(stream, 1), words);
  return words[0] | (uint64_t)words[1] << 32;
}

__extension__ typedef unsigned __int128 wide;

/* The high half of random * bound is uniform once the low halves that some results get once more often than others
 * are refused. */
uint64_t peri_random_again(uint64_t seed, uint64_t block, int half, uint64_t bound) {
  uint64_t refused = peri_random_refused(bound);
  for (uint32_t attempt = 1;; attempt++) {
    uint32_t words[4];
    peri_philox4x32((uint32_t[]){(uint32_t)block, (uint32_t)(block >> 32), attempt, (uint32_t)half + 1},
                    (uint32_t[]){(uint32_t)seed, (uint32_t)(seed >> 32)}, words);
    wide product = (wide)(words[0] | (uint64_t)words[1] << 32) * bound;
    if ((uint64_t)product >= refused) return (uint64_t)(product >> 64);
  }
}

uint64_t peri_stream_below(peri_stream *stream, uint64_t bound) {
  uint64_t refused = peri_random_refused(bound);
  for (;;) {
    wide product = (wide)peri_stream_u64(stream) * bound;
    if ((uint64_t)product >= refused) return (uint64_t)(product >> 64);
  }
}

/* R. Durstenfeld, "Algorithm 235: random permutation", 1964. */
void peri_stream_shuffle(peri_stream *stream, int64_t n, int64_t *order) {
  for (int64_t i = n - 1; i > 0; i--) {
    int64_t other = (int64_t)peri_stream_below(stream, (uint64_t)i + 1), kept = order[i];
    order[i] = order[other];
    order[other] = kept;
  }
}

void peri_stream_permutation(peri_stream *stream, int64_t n, int64_t *order) {
  for (int64_t i = 0; i < n; i++) order[i] = i;
  peri_stream_shuffle(stream, n, order);
}

double peri_stream_uniform(peri_stream *stream) { return (double)(peri_stream_u64(stream) >> 11) * 0x1p-53; }
