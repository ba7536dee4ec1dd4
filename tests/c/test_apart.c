/* Calls on a thread of their own: their results come back, a caller that is cancelled leaves them, and the end of the
 * process ends those that were left. */
#include "ops/apart.h"
#include "context_support.h"

#include "base/memory.h"

#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 100 };

static peri_context *cancelled_within; /* by the routine, once it has begun */
static sem_t may_end, has_ended;

static lapack_int routine(peri_apart *call) {
  double *a = call->piece[0].own, *y = call->piece[1].own;
  for (int i = 0; i < N; i++) y[i] = 2 * a[i];
  if (cancelled_within != NULL) {
    peri_cancel(cancelled_within);
    while (sem_wait(&may_end) != 0) continue;
    sem_post(&has_ended);
  }
  call->rank = call->m;
  return 3;
}

static lapack_int run(peri_context *context, double *a, double *y, double operations, lapack_int *rank) {
  peri_apart call = {.routine = routine, .m = 7};
  call.piece[0] = (peri_piece){a, N * sizeof *a, .in = true};
  call.piece[1] = (peri_piece){y, N * sizeof *y, .out = true};
  call.piece[2] = (peri_piece){NULL, 0};
  PERI_CHECK(peri_blas_begin(context) == PERI_OK, "%s", peri_message(context));
  lapack_int info = peri_apart_run(context, &call, operations);
  peri_blas_end(context);
  *rank = call.rank;
  return info;
}

static void test_results_come_back(void) {
  peri_context *context = open_context(2);
  double a[N], y[N];
  lapack_int rank;
  for (int apart = 0; apart < 2; apart++) {
    for (int i = 0; i < N; i++) a[i] = i, y[i] = -1;
    PERI_CHECK(run(context, a, y, apart ? 1e12 : 1, &rank) == 3 && rank == 7, "info and rank");
    for (int i = 0; i < N; i++) PERI_CHECK(y[i] == 2 * i && a[i] == i, "element %d", i);
  }
  close_context(context);
}

/* The context may be closed while the call goes on. */
static void test_a_cancelled_caller_leaves(void) {
  peri_context *context = open_context(1);
  double a[N] = {1}, y[N] = {5};
  lapack_int rank;
  sem_init(&may_end, 0, 0);
  sem_init(&has_ended, 0, 0);
  cancelled_within = context;
  PERI_CHECK(run(context, a, y, 1e12, &rank) == PERI_APART_LEFT, "it was left");
  PERI_CHECK(y[0] == 5, "nothing is written that was left");
  cancelled_within = NULL;
  peri_clear_cancel(context);
  PERI_CHECK(run(context, a, y, 1e12, &rank) == 3 && y[0] == 2, "another call meanwhile");
  close_context(context);
  sem_post(&may_end);
  while (sem_wait(&has_ended) != 0) continue;
}

/* Copies are of the context's budget: while it waits, and after it has left them. Without room for them the call is
 * made where it is. */
static void test_copies_are_counted(void) {
  enum { COPIES = 2 * N * sizeof(double), LIMIT = 1 << 20 };
  peri_context *context;
  double a[N] = {1}, y[N] = {5};
  lapack_int rank;
  void *block;
  if (peri_context_new(&(peri_options){.size = sizeof(peri_options), .memory_limit = LIMIT, .threads = 1}, &context) !=
      PERI_OK)
    abort();
  const size_t before = peri_memory_peak(context);
  PERI_CHECK(run(context, a, y, 1e12, &rank) == 3 && y[0] == 2, "the call");
  PERI_CHECK(peri_memory_peak(context) == before + COPIES && peri_memory_in_use(context) == 0, "peak %zu, in use %zu",
             peri_memory_peak(context), peri_memory_in_use(context));
  PERI_CHECK(peri_alloc(context, LIMIT - COPIES + 1, &block) == PERI_OK, "%s", peri_message(context));
  y[0] = 5;
  PERI_CHECK(run(context, a, y, 1e12, &rank) == 3 && y[0] == 2, "a call without room");
  PERI_CHECK(peri_memory_peak(context) == LIMIT - COPIES + 1, "nothing is copied");
  peri_free(context, block, LIMIT - COPIES + 1);
  sem_init(&may_end, 0, 0);
  sem_init(&has_ended, 0, 0);
  cancelled_within = context;
  PERI_CHECK(run(context, a, y, 1e12, &rank) == PERI_APART_LEFT, "it was left");
  cancelled_within = NULL;
  peri_clear_cancel(context);
  PERI_CHECK(peri_alloc(context, LIMIT - COPIES + 1, &block) == PERI_ERR_MEMORY, "they are counted still");
  sem_post(&may_end);
  while (sem_wait(&has_ended) != 0) continue;
  while (peri_alloc(context, LIMIT - COPIES + 1, &block) != PERI_OK) sched_yield(); /* until its thread has ended */
  peri_free(context, block, LIMIT - COPIES + 1);
  close_context(context);
}

static void test_the_end_of_a_process_ends_them(void) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    peri_context *context = open_context(1);
    double a[N] = {1}, y[N];
    lapack_int rank;
    sem_init(&may_end, 0, 0); /* which nobody posts */
    cancelled_within = context;
    exit(run(context, a, y, 1e12, &rank) == PERI_APART_LEFT ? 5 : 6);
  }
  int status;
  PERI_CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 5, "status %d", status);
}

PERI_TEST_MAIN({"results come back", test_results_come_back},
               {"a cancelled caller leaves", test_a_cancelled_caller_leaves},
               {"copies are counted", test_copies_are_counted},
               {"the end of a process ends them", test_the_end_of_a_process_ends_them})
