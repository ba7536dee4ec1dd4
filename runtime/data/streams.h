/* Which part of a seed's stream of random numbers is whose. */
#ifndef PERI_DATA_STREAMS_H
#define PERI_DATA_STREAMS_H

#include <stdint.h>

/* The number of the first Philox block that a generator draws from. Every generator has its own part
 * of a seed's stream, so that weights and data of equal seed share no random number. */
#define PERI_STREAM_CIRCLES ((uint64_t)1 << 60)
#define PERI_STREAM_DIGITS  ((uint64_t)2 << 60)
#define PERI_STREAM_LOADER  ((uint64_t)3 << 60)
#define PERI_STREAM_KERNELS ((uint64_t)4 << 60) /* and 5, 6: what kernel approximations draw */
#define PERI_STREAM_SEARCH  ((uint64_t)7 << 60)
#define PERI_STREAM_SETS    ((uint64_t)8 << 60) /* the sets of sets/sets.c, each 2^56 blocks */
#define PERI_STREAM_AUGMENT ((uint64_t)9 << 60) /* seeds of what changes mini-batches */

#endif
