/* See checksum.h. table[k][b] is what byte b becomes with k zero bytes behind it, so that 16 bytes are looked up side
 * by side (M. Kounavis and F. Berry, "A systematic approach to building high performance, software-based, CRC
 * generators", 2005). */
#include "data/checksum.h"

#include <pthread.h>

#define POLYNOMIAL 0xedb88320u /* its bits are turned around */
#define WORD       16

/* Of four bytes with k bytes behind them. */
#define FOUR(k, word)                                                                                                  \
  (table[(k) + 3][(word)&255] ^ table[(k) + 2][(word) >> 8 & 255] ^ table[(k) + 1][(word) >> 16 & 255] ^               \
   table[k][(word) >> 24])

static uint32_t table[WORD][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_table(void) {
  for (uint32_t b = 0; b < 256; b++) {
    uint32_t crc = b;
    for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
    table[0][b] = crc;
  }
  for (int k = 1; k < WORD; k++) {
    for (uint32_t b = 0; b < 256; b++) table[k][b] = table[k - 1][b] >> 8 ^ table[0][table[k - 1][b] & 255];
  }
}

static uint32_t word_at(const unsigned char *s) {
  return s[0] | (uint32_t)s[1] << 8 | (uint32_t)s[2] << 16 | (uint32_t)s[3] << 24;
}

uint32_t peri_crc32(uint32_t crc, const void *bytes, size_t n) {
  const unsigned char *s = bytes;
  pthread_once(&once, make_table);
  crc = ~crc;
  for (; n >= WORD; n -= WORD, s += WORD) {
    const uint32_t a = word_at(s) ^ crc, b = word_at(s + 4), c = word_at(s + 8), d = word_at(s + 12);
    crc = FOUR(12, a) ^ FOUR(8, b) ^ FOUR(4, c) ^ FOUR(0, d);
  }
  for (; n > 0; n--, s++) crc = crc >> 8 ^ table[0][(crc ^ *s) & 255];
  return ~crc;
}
