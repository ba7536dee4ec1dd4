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

enum { LIMITS = !SANITIZED }; /* a sanitizer's shadow is larger than any limit */

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

/* 2 I x = 1, 2, 3, .. for as many right sides as rows, in out. */
static peri_status solve(peri_context *context, double *out) {
  lapack_int pivots[SIDE];
  double *a = calloc((size_t)SIDE * SIDE, sizeof *a);
  for (int i = 0; i < SIDE * SIDE; i++) out[i] = i;
  for (int i = 0; i < SIDE; i++) a[i * (SIDE + 1)] = 2;
  peri_status status = peri_blas_begin(context);
  if (status == PERI_OK)
    PERI_CHECK(context->blas->LAPACKE_dgetrf_work(LAPACK_COL_MAJOR, SIDE, SIDE, a, SIDE, pivots) == 0 &&
                   context->blas->LAPACKE_dgetrs_work(LAPACK_COL_MAJOR, 'N', SIDE, SIDE, a, SIDE, pivots, out, SIDE) ==
                       0,
               "no solution");
  peri_blas_end(context);
  free(a);
  return status;
}

static bool is_right(const double *out) {
  for (int i = 0; i < SIDE * SIDE; i++) {
    if (out[i] != 0.5 * i) return false;
  }
  return true;
}

static double solution[SIDE * SIDE];

static void expect(peri_context *context, peri_status wanted, const char *when) {
  peri_status status = solve(context, solution);
  PERI_CHECK(status == wanted, "%s: status %d, %s", when, (int)status, status == PERI_OK ? "" : peri_message(context));
  PERI_CHECK(status != PERI_OK || is_right(solution), "%s: a wrong solution", when);
  PERI_CHECK(status == PERI_OK || strstr(peri_message(context), "out of memory") != NULL, "%s", peri_message(context));
  PERI_CHECK(context->blas == NULL, "%s: the gate is left open", when);
}

/* One process from its first call on: order matters. */
static void short_of_space(void) {
  if (!LIMITS) return;
  alarm(120);
  peri_context *context = open_context(1), *other = open_context(256);
  allow(32);
  expect(context, PERI_ERR_MEMORY, "no room for the libraries");
  allow(-1);
  peri_blas_facts facts;
  PERI_CHECK(peri_blas_facts_get(context, &facts) == PERI_OK && strstr(facts.config, "OpenBLAS") != NULL, "%s",
             peri_message(context));
  allow(100);
  expect(context, PERI_ERR_MEMORY, "no room for a buffer");
  expect(other, PERI_ERR_MEMORY, "no room for a buffer");
  allow(160);
  expect(other, PERI_OK, "room for one buffer");
  expect(context, PERI_OK, "a buffer that is there");
  allow(1);
  expect(context, PERI_OK, "no room for anything, and a buffer");
  expect(other, PERI_OK, "no room for anything, and a buffer");
  allow(-1);
  expect(other, PERI_OK, "room for all");
  peri_context_release(&context);
  peri_context_release(&other);
  alarm(0);
}

/* ---- several contexts, each in a thread of its own ---- */

#define ROUNDS 40

static void *solve_often(void *arg) {
  int *wrong = arg;
  peri_context *context = open_context(2);
  double *out = malloc(sizeof solution);
  for (int round = 0; round < ROUNDS; round++) *wrong += solve(context, out) != PERI_OK || !is_right(out);
  free(out);
  peri_context_release(&context);
  return NULL;
}

static void solve_side_by_side(const char *when) {
  enum { THREADS = 6 };
  pthread_t thread[THREADS];
  int wrong[THREADS] = {0}, started = 0;
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, (size_t)1 << 20);
  for (int i = 0; i < THREADS; i++, started++) {
    if (pthread_create(&thread[i], &small, solve_often, &wrong[i]) != 0) break;
  }
  PERI_CHECK(started == THREADS, "%s: %d threads", when, started);
  for (int i = 0; i < started; i++) pthread_join(thread[i], NULL);
  for (int i = 0; i < started; i++) PERI_CHECK(wrong[i] == 0, "%s: %d of %d solutions", when, wrong[i], ROUNDS);
  pthread_attr_destroy(&small);
}

static void side_by_side(void) {
  alarm(120);
  peri_context *context = open_context(1);
  expect(context, PERI_OK, "the first");
  if (LIMITS) {
    allow(100);
    solve_side_by_side("no room for further buffers: they wait for each other");
    allow(-1);
  }
  solve_side_by_side("room for all");
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
    _exit(solve(context, solution) == PERI_OK && is_right(solution) ? 0 : 1);
  }
  int status = -1;
  PERI_CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d",
             status);
  peri_context_release(&context);
}

PERI_TEST_MAIN(PERI_TEST(short_of_space), PERI_TEST(side_by_side), PERI_TEST(child))
