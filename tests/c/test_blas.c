/* The gate to OpenBLAS where address space is short: a call ends with its result or with PERI_ERR_MEMORY, whatever was
 * called before and however many threads are set. OpenBLAS by itself would try for ever; the alarm is for that. */
#define _GNU_SOURCE
#include "base/blas.h"
#include "kernels/kernels.h"
#include "context_support.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __has_feature
#define HAS(feature) __has_feature(feature)
#else
#define HAS(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || HAS(address_sanitizer) || HAS(thread_sanitizer)
enum { LIMITS = 0 }; /* a sanitizer's shadow is larger than any limit */
#else
enum { LIMITS = 1 };
#endif

#define SIDE 200

/* ---- limits ---- */

static size_t mapped(void) {
  unsigned long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  PERI_CHECK(file != NULL && fscanf(file, "%lu", &pages) == 1, "the size of the process");
  if (file != NULL) fclose(file);
  return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Lets the process map so many MB more, any number when negative. */
static void allow(long more) {
  struct rlimit limit;
  getrlimit(RLIMIT_AS, &limit);
  limit.rlim_cur = more < 0 ? limit.rlim_max : (rlim_t)(mapped() + ((size_t)more << 20));
  PERI_CHECK(setrlimit(RLIMIT_AS, &limit) == 0, "a limit of %ld MB more", more);
}

/* ---- calls ---- */

static double left[SIDE * SIDE], right[SIDE * SIDE], product[SIDE * SIDE];

#define PIECES 8
#define ROWS   (SIDE / PIECES)

typedef struct job {
  const peri_context *context;
  double *out;
} job;

static void multiply_rows(void *arg, int64_t piece) {
  const job *j = arg;
  size_t first = (size_t)(piece * ROWS * SIDE);
  j->context->blas->cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, ROWS, SIDE, SIDE, 1, left + first, SIDE,
                                right, SIDE, 0, j->out + first, SIDE);
}

/* A product in several calls: 2 I times 1, 2, 3, .. */
static peri_status multiply(peri_context *context, double *out) {
  for (int i = 0; i < SIDE * SIDE; i++) {
    left[i] = i % (SIDE + 1) == 0 ? 2 : 0;
    right[i] = i;
  }
  memset(out, 0, sizeof product);
  return peri_blas_parallel(context, PIECES, multiply_rows, &(job){context, out});
}

static bool is_right(const double *out) {
  for (int i = 0; i < SIDE * SIDE; i++) {
    if (out[i] != 2 * i) return false;
  }
  return true;
}

static void expect(peri_context *context, peri_status wanted, const char *when) {
  peri_status status = multiply(context, product);
  PERI_CHECK(status == wanted, "%s: status %d, %s", when, (int)status, status == PERI_OK ? "" : peri_message(context));
  PERI_CHECK(status != PERI_OK || is_right(product), "%s: a wrong product", when);
  PERI_CHECK(status == PERI_OK || strstr(peri_message(context), "out of memory") != NULL, "%s", peri_message(context));
  PERI_CHECK(context->blas == NULL && context->blas_calls == 0, "%s: the gate is left open", when);
}

/* One process from its first call on: order matters. */
static void short_of_space(void) {
  if (!LIMITS) return;
  alarm(120);
  peri_context *one = open_context(1), *many = open_context(256);
  allow(32);
  expect(many, PERI_ERR_MEMORY, "no room for the libraries");
  allow(-1);
  peri_blas_facts facts;
  PERI_CHECK(peri_blas_facts_get(one, &facts) == PERI_OK && strstr(facts.config, "OpenBLAS") != NULL, "%s",
             peri_message(one));
  allow(100);
  expect(one, PERI_ERR_MEMORY, "no room for a buffer");
  expect(many, PERI_ERR_MEMORY, "no room for a buffer");
  allow(160);
  expect(many, PERI_OK, "room for one buffer and 256 threads");
  expect(one, PERI_OK, "a buffer that is there");
  allow(0);
  expect(one, PERI_OK, "no room for anything, and a buffer");
  expect(many, PERI_OK, "no room for anything, a buffer and 256 threads");
  allow(-1);
  expect(many, PERI_OK, "room for all");
  allow(0);
  expect(many, PERI_OK, "no room for anything, and all buffers");
  allow(-1);
  peri_context_release(&one);
  peri_context_release(&many);
  alarm(0);
}

/* ---- the gate itself ---- */

static void pairs(void) {
  peri_context *context = open_context(4);
  int first, second, third;
  PERI_CHECK(peri_blas_begin(context, 1, &first) == PERI_OK && first == 1, "%s", peri_message(context));
  PERI_CHECK(context->blas != NULL && context->blas_calls == 1, "%d calls", context->blas_calls);
  PERI_CHECK(peri_blas_begin(context, 1, &second) == PERI_OK && second == 0, "a pair inside has what it needs");
  PERI_CHECK(peri_blas_begin(context, 1000, &third) == PERI_OK && context->blas_calls <= 4, "%d calls of 4 threads",
             context->blas_calls);
  PERI_CHECK(multiply(context, product) == PERI_OK && is_right(product), "a product inside");
  peri_blas_end(context, third);
  peri_blas_end(context, second);
  PERI_CHECK(context->blas != NULL && context->blas_calls == 1, "%d calls", context->blas_calls);
  peri_blas_end(context, first);
  PERI_CHECK(context->blas == NULL && context->blas_calls == 0, "%d calls", context->blas_calls);
  peri_context_release(&context);
}

/* ---- several contexts, each in a thread of its own ---- */

#define ROUNDS 200

static void *multiply_often(void *arg) {
  int *wrong = arg;
  peri_context *context = open_context(2);
  double *out = malloc(sizeof product);
  for (int round = 0; round < ROUNDS; round++) {
    int taken;
    if (peri_blas_begin(context, 2, &taken) != PERI_OK) {
      ++*wrong;
      continue;
    }
    context->blas->cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, SIDE, SIDE, SIDE, 1, left, SIDE, right, SIDE,
                               0, out, SIDE);
    peri_blas_end(context, taken);
    *wrong += !is_right(out);
  }
  free(out);
  peri_context_release(&context);
  return NULL;
}

static void multiply_side_by_side(const char *when) {
  enum { THREADS = 6 };
  pthread_t thread[THREADS];
  int wrong[THREADS] = {0}, started = 0;
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, (size_t)1 << 20);
  for (int i = 0; i < THREADS; i++, started++) {
    if (pthread_create(&thread[i], &small, multiply_often, &wrong[i]) != 0) break;
  }
  PERI_CHECK(started == THREADS, "%s: %d threads", when, started);
  for (int i = 0; i < started; i++) pthread_join(thread[i], NULL);
  for (int i = 0; i < started; i++) PERI_CHECK(wrong[i] == 0, "%s: %d of %d products", when, wrong[i], ROUNDS);
  pthread_attr_destroy(&small);
}

static void side_by_side(void) {
  alarm(120);
  peri_context *context = open_context(1);
  expect(context, PERI_OK, "the operands");
  if (LIMITS) {
    allow(100);
    multiply_side_by_side("no room for further buffers: they wait for each other");
    allow(-1);
  }
  multiply_side_by_side("room for all");
  peri_context_release(&context);
  alarm(0);
}

/* A child of a process that has made calls makes its own. */
static void child(void) {
  peri_context *context = open_context(2);
  expect(context, PERI_OK, "the parent");
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    alarm(60);
    _exit(multiply(context, product) == PERI_OK && is_right(product) ? 0 : 1);
  }
  int status = -1;
  PERI_CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d",
             status);
  peri_context_release(&context);
}

PERI_TEST_MAIN(PERI_TEST(short_of_space), PERI_TEST(pairs), PERI_TEST(side_by_side), PERI_TEST(child))
