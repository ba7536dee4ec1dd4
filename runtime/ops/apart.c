/* Calls of LAPACK on a thread of their own; see apart.h. */
#include "ops/apart.h"
#include "base/memory.h"

#include <errno.h>
#include <fenv.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LONG 1e9 /* operations: about 0.1 s */

enum { pieces = PERI_APART_PIECES, patience = 5000000 /* nanoseconds between two looks at the flag */ };

typedef struct job {
  peri_apart call;
  size_t bytes;              /* of the copies */
  peri_interrupt *interrupt; /* of the context that has left it, where the copies are counted then */
  fenv_t mode;               /* the caller's rounding, and what it does with denormal numbers */
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t ended;
  bool done, left;
  bool ending; /* by the end of the process: nothing is to be let go of */
  lapack_int info;
  int was;                   /* the thread's kind of cancellation */
  struct job *next, *before; /* of those that were left */
} job;

/* Jobs whose callers have left them. */
static struct {
  pthread_mutex_t lock;
  pthread_once_t once;
  job *first;
} left = {.lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT};

static void free_job(job *j) {
  if (j->interrupt != NULL) {
    atomic_fetch_sub(&j->interrupt->left, j->bytes);
    peri_interrupt_release(&j->interrupt);
  }
  for (int i = 0; i < pieces; i++) free(j->call.piece[i].own);
  pthread_mutex_destroy(&j->lock);
  pthread_cond_destroy(&j->ended);
  free(j);
}

/* ---- jobs that were left ---- */

/* The libraries take their memory back at the end of a process: no thread may compute in it then. */
static void end_all(void) {
  pthread_mutex_lock(&left.lock);
  job *first = left.first;
  for (job *j = first; j != NULL; j = j->next) j->ending = true;
  left.first = NULL;
  pthread_mutex_unlock(&left.lock);
  for (job *j = first; j != NULL; j = j->next) {
    pthread_cancel(j->thread);
    pthread_join(j->thread, NULL);
  }
}

static void forget_all(void) {
  left.first = NULL;
  pthread_mutex_init(&left.lock, NULL);
}

static void watch_the_end(void) {
  atexit(end_all);
  pthread_atfork(NULL, NULL, forget_all); /* the child has none of the threads */
}

static void put_on_list(job *j) {
  pthread_once(&left.once, watch_the_end);
  pthread_mutex_lock(&left.lock);
  j->next = left.first;
  if (left.first != NULL) left.first->before = j;
  left.first = j;
  pthread_mutex_unlock(&left.lock);
}

/* Of a job that was left and has ended; its thread calls it. */
static void take_from_list(job *j) {
  pthread_mutex_lock(&left.lock);
  bool ending = j->ending;
  if (!ending) {
    if (j->before != NULL) j->before->next = j->next;
    if (j->before == NULL) left.first = j->next;
    if (j->next != NULL) j->next->before = j->before;
  }
  pthread_mutex_unlock(&left.lock);
  if (ending) return;
  pthread_detach(pthread_self());
  peri_blas_give_back();
  free_job(j);
}

/* ---- the thread ---- */

/* The thread may end within the routine: its frame holds nothing. */
static void *run(void *user) {
  job *j = user;
  fesetenv(&j->mode);
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &j->was);
  pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &j->was);
  lapack_int info = j->call.routine(&j->call);
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &j->was);
  pthread_mutex_lock(&j->lock);
  j->info = info;
  j->done = true;
  bool was_left = j->left;
  pthread_cond_signal(&j->ended);
  pthread_mutex_unlock(&j->lock);
  if (was_left) take_from_list(j);
  return NULL;
}

static size_t bytes_of(const peri_apart *call) {
  size_t bytes = 0;
  for (int i = 0; i < pieces; i++) bytes += call->piece[i].bytes;
  return bytes;
}

/* A job with copies, begun; NULL where there is no memory, within the budget or at all, or no thread. */
static job *begin(peri_context *context, const peri_apart *call) {
  const size_t bytes = bytes_of(call);
  if (!peri_memory_claim(context, bytes)) return NULL;
  job *j = calloc(1, sizeof *j);
  if (j == NULL) {
    peri_memory_return(context, bytes);
    return NULL;
  }
  j->call = *call;
  j->bytes = bytes;
  pthread_mutex_init(&j->lock, NULL);
  pthread_condattr_t clock;
  pthread_condattr_init(&clock);
  pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
  pthread_cond_init(&j->ended, &clock);
  pthread_condattr_destroy(&clock);
  bool all = fegetenv(&j->mode) == 0;
  for (int i = 0; i < pieces; i++) j->call.piece[i].own = NULL;
  for (int i = 0; all && i < pieces; i++) {
    peri_piece *piece = &j->call.piece[i];
    if (piece->bytes == 0) continue;
    piece->own = malloc(piece->bytes);
    all = piece->own != NULL;
    if (all && piece->in) memcpy(piece->own, piece->of_caller, piece->bytes);
  }
  if (all && pthread_create(&j->thread, NULL, run, j) == 0) return j;
  peri_memory_return(context, bytes);
  free_job(j);
  return NULL;
}

/* Whether the job has ended before the caller was cancelled. */
static bool await(peri_context *context, job *j) {
  pthread_mutex_lock(&j->lock);
  while (!j->done && !peri_cancelled(context)) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += patience;
    if (until.tv_nsec >= 1000000000) {
      until.tv_nsec -= 1000000000;
      until.tv_sec++;
    }
    pthread_cond_timedwait(&j->ended, &j->lock, &until);
  }
  bool done = j->done;
  if (!done) {
    atomic_fetch_add(&context->interrupt->left, j->bytes);
    peri_interrupt_new(context, &j->interrupt);
    put_on_list(j);
    j->left = true;
  }
  pthread_mutex_unlock(&j->lock);
  return done;
}

static lapack_int run_here(peri_apart *call) {
  for (int i = 0; i < pieces; i++) call->piece[i].own = call->piece[i].of_caller;
  return call->routine(call);
}

lapack_int peri_apart_run(peri_context *context, peri_apart *call, double operations) {
  call->blas = context->blas;
  job *j = operations < LONG ? NULL : begin(context, call);
  if (j == NULL) return run_here(call);
  bool ended = await(context, j);
  peri_memory_return(context, bytes_of(call));
  if (!ended) {
    peri_blas_leave(context);
    return PERI_APART_LEFT;
  }
  pthread_join(j->thread, NULL);
  lapack_int info = j->info;
  for (int i = 0; i < pieces; i++) {
    const peri_piece *piece = &j->call.piece[i];
    if (piece->out) memcpy(piece->of_caller, piece->own, piece->bytes);
  }
  call->rank = j->call.rank;
  free_job(j);
  return info;
}
