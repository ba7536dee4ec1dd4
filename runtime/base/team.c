/* The thread team: a job is a count of pieces, and whoever is awake takes the next one.
 *
 * There is one team in the process, however many contexts compute in how many threads: it belongs to the job that comes
 * first, and a job that finds it taken is done by its own thread alone, with the same bits.
 *
 * Each thread begins with a share of the pieces, the same one in every job, so that it finds in its cache what it had
 * there, and then helps with the shares of others. The caller works too and waits only for pieces that a worker has
 * taken, never for a worker that has not woken up: where other programs want the processors, a parallel operation costs
 * little more than a serial one. (An OpenMP team meets at a barrier; with one of two processors taken by another
 * program, training was 4.5 times slower with two threads than with one.) A worker looks for the next job for a moment
 * and then sleeps.
 *
 * `state` is OPEN while pieces may be taken, plus the number of workers inside. A worker enters by
 * raising it while it is OPEN; the job's fields are written before it opens and stay until it is 0. Workers last as
 * long as the process. They compute in the floating-point mode of the thread that has the job. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "base/team.h"
#include "base/memory.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_WORKERS 255
#define STACK       ((size_t)2 << 20)   /* of a worker: bodies are small loops */
#define ROOM        ((size_t)256 << 20) /* address space that stays free for data, and for OpenBLAS and a buffer of its */
#define OPEN        (1u << 31)
/* To measure: ./dev bench mnist. */
#define LOOK 2000 /* times that a worker looks for the next job before it sleeps: about 0.1 ms */
#define WAIT 500  /* times that the caller looks whether the last pieces are done */

/* Neighbouring pieces; on a line of its own, since its thread raises `next` for each. */
typedef struct share {
  _Alignas(64) atomic_llong next;
  int64_t end;
} share;

static struct {
  atomic_bool taken; /* by the thread that has a job */
  /* the job */
  peri_context *context;
  unsigned mode; /* of floating-point numbers: mode_here() of the caller */
  peri_body body;
  void *arg;
  unsigned guests;               /* workers that may enter */
  share shares[MAX_WORKERS + 1]; /* guests and the caller */
  atomic_uint seats; /* taken: workers are numbered anew in each job, so that scratch space can be by number */
  atomic_uint state;

  /* meeting */
  atomic_uint jobs; /* how many there have been */
  atomic_int sleepers;
  atomic_bool waiting;
  pthread_mutex_t lock;
  pthread_cond_t wake, done;

  int workers;
  atomic_uint numbered; /* workers that have begun */
} team = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};

static _Thread_local int worker_number; /* in the job that it is in; 0 is the caller's */
static _Thread_local bool inside;       /* this thread is in a body */
static atomic_bool forked;

int peri_worker(void) { return worker_number; }

static inline void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

/* ---- the mode ----
 * How numbers are rounded and whether tiny ones become 0 is a register of each thread's. What has been raised in it
 * stays out of this. */

#if defined(__SSE__)
static unsigned mode_here(void) { return __builtin_ia32_stmxcsr() & ~0x3fu; }
static void set_mode(unsigned mode) { __builtin_ia32_ldmxcsr(mode); }
#elif defined(__aarch64__)
static unsigned mode_here(void) {
  uint64_t mode;
  __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
  return (unsigned)mode;
}
static void set_mode(unsigned mode) { __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)mode)); }
#else
static unsigned mode_here(void) { return 0; }
static void set_mode(unsigned mode) { (void)mode; }
#endif

/* ---- taking pieces ---- */

static void take_share(share *from) {
  while (atomic_load_explicit(&from->next, memory_order_relaxed) < from->end) {
    int64_t piece = atomic_fetch_add_explicit(&from->next, 1, memory_order_relaxed);
    if (piece >= from->end || peri_cancelled(team.context)) break;
    team.body(team.arg, piece);
  }
}

/* The thread's own share first. */
static void take_pieces(unsigned thread) {
  unsigned shares = team.guests + 1, own = thread % shares;
  inside = true;
  for (unsigned i = 0; i < shares; i++) take_share(&team.shares[(own + i) % shares]);
  inside = false;
}

static void leave(void) {
  if (atomic_fetch_sub(&team.state, 1) != 1 || !atomic_load(&team.waiting)) return;
  pthread_mutex_lock(&team.lock);
  pthread_cond_signal(&team.done);
  pthread_mutex_unlock(&team.lock);
}

static bool enter(void) {
  unsigned state = atomic_load(&team.state);
  while (state & OPEN) {
    if (!atomic_compare_exchange_weak(&team.state, &state, state + 1)) continue;
    unsigned seat = atomic_fetch_add(&team.seats, 1) + 1;
    if (seat <= team.guests) {
      worker_number = (int)seat;
      return true;
    }
    leave();
    return false;
  }
  return false;
}

/* ---- workers ---- */

static void await_job(unsigned seen) {
  for (int i = 0; i < LOOK; i++) {
    if (atomic_load(&team.jobs) != seen) return;
    pause_briefly();
  }
  pthread_mutex_lock(&team.lock);
  atomic_fetch_add(&team.sleepers, 1); /* before the last look: the caller looks at it after raising jobs */
  while (atomic_load(&team.jobs) == seen) pthread_cond_wait(&team.wake, &team.lock);
  atomic_fetch_sub(&team.sleepers, 1);
  pthread_mutex_unlock(&team.lock);
}

static void *work(void *unused) {
  (void)unused;
  unsigned number = atomic_fetch_add(&team.numbered, 1) + 1;
  for (unsigned seen = 0;;) {
    await_job(seen);
    seen = atomic_load(&team.jobs);
    if (!enter()) continue;
    if (mode_here() != team.mode) set_mode(team.mode);
    take_pieces(number);
    leave();
  }
  return NULL;
}

/* Signals are the host's affair and go to its threads. Fewer workers than wished for are no error: they leave room for
 * data, which matters more. */
static void hire(int wanted) {
  pthread_t thread;
  if (team.workers >= wanted) return;
  sigset_t all, before;
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return;
  pthread_attr_setstacksize(&attributes, STACK);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  while (team.workers < wanted && peri_has_room(STACK + ROOM) && pthread_create(&thread, &attributes, work, NULL) == 0)
    team.workers++;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
}

/* ---- jobs ---- */

static void finish(void) {
  atomic_fetch_and(&team.state, ~OPEN);
  for (int i = 0; i < WAIT; i++) {
    if (atomic_load(&team.state) == 0) return;
    pause_briefly();
  }
  pthread_mutex_lock(&team.lock);
  atomic_store(&team.waiting, true); /* before the last look: a worker looks at it after leaving */
  while (atomic_load(&team.state) != 0) pthread_cond_wait(&team.done, &team.lock);
  atomic_store(&team.waiting, false);
  pthread_mutex_unlock(&team.lock);
}

static void run_job(peri_context *context, unsigned guests, int64_t pieces, peri_body body, void *arg) {
  team.context = context;
  team.mode = mode_here();
  team.body = body;
  team.arg = arg;
  team.guests = guests;
  for (unsigned i = 0; i <= guests; i++) {
    atomic_store_explicit(&team.shares[i].next, pieces * i / (guests + 1), memory_order_relaxed);
    team.shares[i].end = pieces * (i + 1) / (guests + 1);
  }
  atomic_store(&team.seats, 0);
  atomic_store(&team.state, OPEN);
  atomic_fetch_add(&team.jobs, 1);
  if (atomic_load(&team.sleepers) > 0) {
    pthread_mutex_lock(&team.lock);
    pthread_cond_broadcast(&team.wake);
    pthread_mutex_unlock(&team.lock);
  }
  take_pieces(0);
  finish();
}

static bool take_team(void) {
  bool taken = false;
  return !atomic_load_explicit(&forked, memory_order_relaxed) &&
         atomic_compare_exchange_strong(&team.taken, &taken, true);
}

peri_status peri_parallel(peri_context *context, int64_t pieces, peri_body body, void *arg) {
  int64_t threads = peri_min(context->threads, peri_min(pieces, MAX_WORKERS + 1));
  if (threads > 1 && !inside && take_team()) {
    hire((int)threads - 1);
    run_job(context, (unsigned)threads - 1, pieces, body, arg);
    atomic_store(&team.taken, false);
    return peri_check_cancel(context);
  }
  const int number = worker_number;
  if (context->home != context) worker_number = 0; /* scratch space is for the one thread that a shadow has */
  for (int64_t piece = 0; piece < pieces && !peri_cancelled(context); piece++) body(arg, piece);
  worker_number = number;
  return peri_check_cancel(context);
}

/* ---- the process ---- */

static void mark_forked(void) { atomic_store(&forked, true); }

void peri_team_prepare(void) { pthread_atfork(NULL, NULL, mark_forked); }

int peri_processors(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? (int)online : 1;
}
