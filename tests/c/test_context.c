/* Contexts: options, the budget and its free lists, messages, cancellation, the team, a fork, and the
 * random streams against published vectors. */
#include "base/base.h"
#include "base/memory.h"
#include "context_support.h"
#include "kernels/scalar.h"

#include <math.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CACHES = !ADDRESS_SANITIZED }; /* under AddressSanitizer the allocator keeps no free lists */

/* ---- options ---- */

static void options(void) {
  peri_context *context;
  PERI_CHECK(strcmp(peri_version(), PERI_VERSION) == 0, "%s", peri_version());
  int major = 0, minor = 0, patch = 0; /* the number is that of the text */
  sscanf(PERI_VERSION, "%d.%d.%d", &major, &minor, &patch);
  PERI_CHECK(peri_version_number() == 10000 * major + 100 * minor + patch, "%d", peri_version_number());
  setenv("PERILUNE_NUM_THREADS", "3", 1);
  PERI_CHECK(peri_context_new(NULL, &context) == PERI_OK && peri_threads(context) == 3, "the environment's threads");
  close_context(context);
  const char *nonsense[] = {"", "0", "-2", "two", "2x"};
  unsetenv("PERILUNE_NUM_THREADS");
  context = open_limited(0, 0);
  int usual = peri_threads(context);
  PERI_CHECK(usual >= 1, "%d threads", usual);
  close_context(context);
  for (size_t i = 0; i < PERI_COUNT(nonsense); i++) {
    setenv("PERILUNE_NUM_THREADS", nonsense[i], 1);
    context = open_limited(0, 0);
    PERI_CHECK(peri_threads(context) == usual, "'%s' gives %d threads", nonsense[i], peri_threads(context));
    close_context(context);
  }
  unsetenv("PERILUNE_NUM_THREADS");
  context = open_limited(0, 2);
  peri_set_threads(context, 0);
  PERI_CHECK(peri_threads(context) == 1, "at least one thread, not %d", peri_threads(context));
  peri_set_threads(context, 1 << 30);
  PERI_CHECK(peri_threads(context) >= 1 && peri_threads(context) <= 1024, "%d threads", peri_threads(context));
  close_context(context);
  /* A host that was built with a shorter struct: what lies behind its size is not read. */
  peri_options older = {.size = offsetof(peri_options, threads), .memory_limit = 1000, .threads = 77};
  PERI_CHECK(peri_context_new(&older, &context) == PERI_OK && peri_threads(context) == usual,
             "threads beyond the size");
  PERI_CHECK(context->limit == 1000, "limit %zu", context->limit);
  close_context(context);
}

static void messages(void) {
  peri_context *context = open_limited(0, 1);
  PERI_CHECK(strcmp(peri_message(context), "") == 0, "nothing was said, but '%s'", peri_message(context));
  char long_text[3 * PERI_MESSAGE_SIZE];
  memset(long_text, 'x', sizeof long_text - 1);
  long_text[sizeof long_text - 1] = '\0';
  PERI_CHECK(peri_fail(context, PERI_ERR_IO, "%s", long_text) == PERI_ERR_IO, "the status comes back");
  PERI_CHECK(strlen(peri_message(context)) == PERI_MESSAGE_SIZE - 1, "%zu characters", strlen(peri_message(context)));
  close_context(context);
}

/* ---- memory ---- */

static void budget(void) {
  peri_context *context = open_limited(1 << 20, 1);
  void *a, *b, *none;
  PERI_CHECK(peri_alloc(context, 600000, &a) == PERI_OK, "within the budget");
  PERI_CHECK(peri_alloc(context, 500000, &b) == PERI_ERR_MEMORY && b == NULL, "beyond the budget");
  PERI_CHECK(strcmp(peri_message(context), "out of memory: asked 500000 bytes, in use 600000, limit 1048576") == 0,
             "%s", peri_message(context));
  PERI_CHECK(peri_memory_in_use(context) == 600000, "%zu in use", peri_memory_in_use(context));
  PERI_CHECK(peri_alloc(context, 448576, &b) == PERI_OK, "the rest exactly");
  PERI_CHECK(peri_alloc(context, 1, &none) == PERI_ERR_MEMORY, "not one byte more");
  PERI_CHECK(peri_alloc(context, 0, &none) == PERI_OK && none == NULL, "nothing needs no room");
  peri_free(context, a, 600000);
  peri_free(context, b, 448576);
  PERI_CHECK(peri_memory_in_use(context) == 0 && peri_memory_peak(context) == 1 << 20, "peak %zu",
             peri_memory_peak(context));
  PERI_CHECK(peri_alloc(context, SIZE_MAX, &none) == PERI_ERR_MEMORY, "all addresses");
  PERI_CHECK(peri_alloc_array(context, SIZE_MAX / 2, 3, &none) == PERI_ERR_MEMORY && none == NULL,
             "an overflowing product");
  PERI_CHECK(peri_alloc_array(context, 3, 4, &a) == PERI_OK, "usable afterwards");
  peri_free(context, a, 12);
  peri_free(context, NULL, 0);
  close_context(context);
}

/* More than the machine gives, although the budget would allow it. */
static void machine_limit(void) {
  peri_context *context = open_limited(SIZE_MAX, 1);
  void *block;
  if (!SANITIZED) /* a sanitizer would end the process */
    PERI_CHECK(peri_alloc(context, SIZE_MAX / 4, &block) == PERI_ERR_MEMORY && block == NULL,
               "a quarter of all addresses");
  PERI_CHECK(peri_alloc(context, 100, &block) == PERI_OK, "usable afterwards");
  peri_free(context, block, 100);
  close_context(context);
}

static void injected_failure(void) {
  peri_context *context = open_limited(0, 1);
  void *a, *b, *c;
  context->fail_after = 1;
  PERI_CHECK(peri_alloc(context, 10, &a) == PERI_OK, "the first succeeds");
  PERI_CHECK(peri_alloc(context, 10, &b) == PERI_ERR_MEMORY, "the second fails");
  PERI_CHECK(peri_alloc(context, 10, &c) == PERI_ERR_MEMORY, "and every later one");
  context->fail_after = -1;
  PERI_CHECK(peri_alloc(context, 10, &b) == PERI_OK, "until it is switched off");
  peri_free(context, a, 10);
  peri_free(context, b, 10);
  close_context(context);
}

/* Every size has its own bytes, aligned; writing all of them is what AddressSanitizer watches. */
static void sizes(void) {
  peri_context *context = open_limited(0, 1);
  enum { SIZES = 400 };
  void *blocks[SIZES];
  size_t bytes[SIZES];
  for (int i = 0; i < SIZES; i++) {
    bytes[i] = i < 300 ? (size_t)i + 1 : (size_t)1 << (8 + (i - 300) / 10);
    bytes[i] += i < 300 ? 0 : (size_t)((i - 300) % 10) * (bytes[i] / 8) - 1;
    PERI_CHECK(peri_alloc(context, bytes[i], &blocks[i]) == PERI_OK, "%zu bytes", bytes[i]);
    PERI_CHECK((uintptr_t)blocks[i] % 64 == 0, "%zu bytes at %p", bytes[i], blocks[i]);
    memset(blocks[i], i & 255, bytes[i]);
  }
  for (int i = 0; i < SIZES; i++) {
    const unsigned char *block = blocks[i];
    PERI_CHECK(block[0] == (i & 255) && block[bytes[i] - 1] == (i & 255), "%zu bytes were overwritten", bytes[i]);
    peri_free(context, blocks[i], bytes[i]);
  }
  close_context(context);
}

static void fill_and_free(peri_context *context, size_t total, size_t each) {
  size_t n = total / each;
  void **blocks = malloc(n * sizeof *blocks);
  for (size_t i = 0; i < n; i++)
    PERI_CHECK(peri_alloc(context, each, &blocks[i]) == PERI_OK, "%s", peri_message(context));
  for (size_t i = 0; i < n; i++) peri_free(context, blocks[i], each);
  free(blocks);
}

static void free_lists(void) {
  peri_context *context = open_limited(0, 1);
  void *a, *b;
  peri_alloc(context, 1000, &a);
  void *first = a;
  peri_free(context, a, 1000);
  peri_alloc(context, 1010, &b);
  PERI_CHECK(!CACHES || b == first, "a block of the class comes back");
  peri_free(context, b, 1010);
  /* A burst of small blocks does not stay with the context. */
  fill_and_free(context, (size_t)200 << 20, 65536);
  PERI_CHECK(context->cached <= (size_t)33 << 20, "%zu bytes in free lists", context->cached);
  close_context(context);
  /* And what the lists hold makes room when another size needs the budget. */
  context = open_limited(1 << 20, 1);
  for (size_t each = 64; each <= 65536; each *= 4) {
    fill_and_free(context, 1 << 20, each);
    peri_alloc(context, (1 << 20) - 64, &a);
    PERI_CHECK(a != NULL && context->cached <= 64, "%zu bytes in free lists beside a full budget", context->cached);
    peri_free(context, a, (1 << 20) - 64);
  }
  close_context(context);
}

/* ---- the team ---- */

typedef struct counts {
  peri_context *context;
  atomic_int begun, wrong_worker;
  unsigned char *seen;
} counts;

static void count_piece(void *arg, int64_t piece) {
  counts *c = arg;
  c->begun++;
  c->seen[piece]++;
  if (peri_worker() < 0 || peri_worker() >= peri_threads(c->context)) c->wrong_worker++;
}

static void pieces(void) {
  static const int64_t sizes_tried[] = {0, 1, 2, 5, 1000};
  for (int threads = 1; threads <= 7; threads += 2) {
    counts c = {.context = open_limited(0, threads)};
    for (size_t s = 0; s < PERI_COUNT(sizes_tried); s++) {
      int64_t n = sizes_tried[s];
      c.seen = calloc((size_t)n + 1, 1);
      PERI_CHECK(peri_parallel(c.context, n, count_piece, &c) == PERI_OK, "%s", peri_message(c.context));
      for (int64_t i = 0; i < n; i++) PERI_CHECK(c.seen[i] == 1, "piece %d ran %d times", (int)i, c.seen[i]);
      free(c.seen);
    }
    PERI_CHECK(c.wrong_worker == 0, "%d workers out of range", c.wrong_worker);
    close_context(c.context);
  }
}

/* ---- cancellation ---- */

static void cancel_at_third(void *arg, int64_t piece) {
  counts *c = arg;
  c->begun++;
  if (piece == 2) peri_cancel(c->context);
}

static void cancelled_between_pieces(void) {
  counts c = {.context = open_limited(0, 1)};
  PERI_CHECK(peri_parallel(c.context, 100, cancel_at_third, &c) == PERI_ERR_CANCELLED, "the call says so");
  PERI_CHECK(c.begun == 3 && strcmp(peri_message(c.context), "interrupted") == 0, "%d pieces, %s", c.begun,
             peri_message(c.context));
  c.begun = 0;
  PERI_CHECK(peri_parallel(c.context, 100, cancel_at_third, &c) == PERI_ERR_CANCELLED && c.begun == 0,
             "the flag stays up");
  c.context->shielded = true; /* as while an operation writes in place */
  PERI_CHECK(peri_parallel(c.context, 100, cancel_at_third, &c) == PERI_OK && c.begun == 100, "%d pieces", c.begun);
  c.context->shielded = false;
  peri_clear_cancel(c.context);
  c.begun = 0;
  PERI_CHECK(peri_parallel(c.context, 2, cancel_at_third, &c) == PERI_OK && c.begun == 2, "usable afterwards");
  close_context(c.context);
}

static void wait_for_cancel(void *arg, int64_t piece) {
  counts *c = arg;
  (void)piece;
  c->begun++;
  while (!peri_cancelled(c->context)) {
  }
}

static void *cancel_when_begun(void *arg) {
  counts *c = arg;
  while (c->begun == 0) {
  }
  peri_cancel(c->context);
  return NULL;
}

static void cancelled_from_a_thread(void) {
  for (int threads = 1; threads <= 2; threads++) {
    counts c = {.context = open_limited(0, threads)};
    pthread_t other;
    pthread_create(&other, NULL, cancel_when_begun, &c);
    PERI_CHECK(peri_parallel(c.context, 1000, wait_for_cancel, &c) == PERI_ERR_CANCELLED, "stopped");
    PERI_CHECK(c.begun >= 1 && c.begun <= threads, "%d pieces were begun by %d threads", c.begun, threads);
    pthread_join(other, NULL);
    close_context(c.context);
  }
}

/* ---- fork ---- */

static void fork_after_parallel(void) {
  counts c = {.context = open_limited(0, 2)};
  unsigned char seen[100] = {0};
  c.seen = seen;
  PERI_CHECK(peri_parallel(c.context, 100, count_piece, &c) == PERI_OK, "in the parent");
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    memset(seen, 0, sizeof seen);
    bool fine = peri_parallel(c.context, 100, count_piece, &c) == PERI_OK;
    for (int i = 0; i < 100; i++) fine &= seen[i] == 1;
    _exit(fine ? 0 : 1);
  }
  int status;
  PERI_CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
  PERI_CHECK(peri_parallel(c.context, 100, count_piece, &c) == PERI_OK && seen[99] == 2, "the parent goes on");
  close_context(c.context);
}

/* ---- random streams ---- */

/* The vectors that the authors of Philox publish with their library Random123 for philox4x32-10. */
static void philox_vectors(void) {
  static const struct {
    uint32_t counter[4], key[2], expected[4];
  } vectors[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  uint32_t out[4], again[4];
  for (size_t i = 0; i < PERI_COUNT(vectors); i++) {
    peri_philox4x32(vectors[i].counter, vectors[i].key, out);
    PERI_CHECK(memcmp(out, vectors[i].expected, sizeof out) == 0, "vector %zu: %08x %08x %08x %08x", i, out[0], out[1],
               out[2], out[3]);
  }
  peri_philox(0x0123456789abcdef, 0xfedcba9876543210, out);
  peri_philox4x32((uint32_t[]){0x76543210, 0xfedcba98, 0, 0}, (uint32_t[]){0x89abcdef, 0x01234567}, again);
  PERI_CHECK(memcmp(out, again, sizeof out) == 0, "seed and block are key and counter, low words first");
}

static void streams(void) {
  peri_context *context = open_limited(0, 1);
  uint32_t words[4];
  peri_manual_seed(context, 5);
  peri_philox(5, 0, words);
  PERI_CHECK(peri_stream_u64(&context->stream) == (words[0] | (uint64_t)words[1] << 32), "the stream's first number");
  PERI_CHECK(context->stream.block == 1 && peri_stream_take(&context->stream, 10) == 1 && context->stream.block == 11,
             "blocks are taken in order");
  double sum = 0, squares = 0, uniform = 0;
  enum { N = 100000 };
  int counted[6] = {0};
  for (int i = 0; i < N; i++) {
    double x = peri_stream_normal(&context->stream), u = peri_stream_uniform(&context->stream);
    uint64_t face = peri_stream_below(&context->stream, 6);
    PERI_CHECK(u >= 0 && u < 1 && isfinite(x) && face < 6, "%g %g %d", u, x, (int)face);
    counted[face % 6]++;
    sum += x;
    squares += x * x;
    uniform += u;
  }
  /* five standard deviations of each mean */
  PERI_CHECK(fabs(sum / N) < 5 / sqrt(N), "mean %g", sum / N);
  PERI_CHECK(fabs(squares / N - 1) < 5 * sqrt(2.0 / N), "variance %g", squares / N);
  PERI_CHECK(fabs(uniform / N - 0.5) < 5 * sqrt(1.0 / 12 / N), "uniform mean %g", uniform / N);
  for (int i = 0; i < 6; i++)
    PERI_CHECK(abs(counted[i] - N / 6) < 5 * sqrt(N * 5.0 / 36), "face %d: %d times", i, counted[i]);
  PERI_CHECK(peri_stream_below(&context->stream, 1) == 0, "one choice");
  close_context(context);
}

PERI_TEST_MAIN(PERI_TEST(options), PERI_TEST(messages), PERI_TEST(budget), PERI_TEST(machine_limit),
               PERI_TEST(injected_failure), PERI_TEST(sizes), PERI_TEST(free_lists), PERI_TEST(pieces),
               PERI_TEST(cancelled_between_pieces), PERI_TEST(cancelled_from_a_thread), PERI_TEST(fork_after_parallel),
               PERI_TEST(philox_vectors), PERI_TEST(streams))
