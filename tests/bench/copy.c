/* The bandwidth that copies of blocks of memory reach: bytes read and written, by one thread and by so many as are
 * given, each with a part of the block. Prints GB/s, the best of several runs, for both.
 *
 * usage: copy THREADS BYTES */
#define _DEFAULT_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define MOST_THREADS 64
#define RUNS         50

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct part {
  char *to;
  const char *from;
  size_t bytes;
  pthread_barrier_t *barrier;
} part;

/* Seconds from where all begin to where all have ended. */
static double copy_once(const part *p) {
  const double start = now();
  pthread_barrier_wait(p->barrier);
  memcpy(p->to, p->from, p->bytes);
  pthread_barrier_wait(p->barrier);
  return now() - start;
}

static void *copy_again(void *arg) {
  for (int run = 0; run < RUNS; run++) copy_once(arg);
  return NULL;
}

static double rate(int threads, char *to, const char *from, size_t bytes) {
  pthread_t ids[MOST_THREADS];
  part parts[MOST_THREADS];
  pthread_barrier_t barrier;
  double best = 1e9;
  pthread_barrier_init(&barrier, NULL, (unsigned)threads);
  for (int i = 0; i < threads; i++) {
    const size_t share = bytes / (size_t)threads, begin = share * (size_t)i;
    parts[i] = (part){to + begin, from + begin, i + 1 < threads ? share : bytes - begin, &barrier};
    if (i > 0 && pthread_create(&ids[i], NULL, copy_again, &parts[i]) != 0) abort();
  }
  for (int run = 0; run < RUNS; run++) {
    const double seconds = copy_once(&parts[0]);
    if (seconds < best) best = seconds;
  }
  for (int i = 1; i < threads; i++) pthread_join(ids[i], NULL);
  pthread_barrier_destroy(&barrier);
  return 2 * (double)bytes / best * 1e-9;
}

/* In huge pages where there are any, as large tensors are. */
static char *block(size_t bytes) {
  const size_t huge = (size_t)2 << 20;
  bytes = (bytes + huge) & ~(huge - 1);
  char *memory = aligned_alloc(huge, bytes);
#ifdef MADV_HUGEPAGE
  if (memory != NULL) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  return memory;
}

int main(int argc, char **argv) {
  const int threads = argc > 1 ? atoi(argv[1]) : 0;
  const size_t bytes = argc > 2 ? (size_t)strtoull(argv[2], NULL, 10) : 0;
  char *from = block(bytes), *to = block(bytes);
  if (threads < 1 || threads > MOST_THREADS || bytes == 0 || from == NULL || to == NULL) {
    fprintf(stderr, "usage: copy THREADS BYTES\n");
    return 1;
  }
  memset(from, 1, bytes);
  memset(to, 0, bytes);
  printf("%.2f %.2f\n", rate(1, to, from, bytes), rate(threads, to, from, bytes));
  return 0;
}
