/* The gate to OpenBLAS; see blas.h.
 *
 * OpenBLAS has a table of buffers. A call takes the first that is free for as long as it runs, and a buffer once
 * mapped stays. So `warm` buffers serve as many calls at once for the rest of the process, whatever becomes of the
 * address space. They are taken through the two functions that OpenBLAS's own calls use, after the system was asked
 * whether it would map as much: buffers that are free already have to be held meanwhile, so that what comes is new. */
#define _GNU_SOURCE /* sched_setaffinity */
#include "base/blas.h"
#include "base/memory.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#define BUFFER    ((size_t)128 << 20) /* the largest that OpenBLAS's builds have */
#define LIBRARIES ((size_t)64 << 20)  /* OpenBLAS, LAPACK and what they need */
#define SLACK     ((size_t)1 << 20)   /* what other threads may map between asking and taking */
#define FEWEST    16                  /* threads that every build is made for */
#define MOST      256

static struct {
  pthread_mutex_t lock;
  pthread_cond_t returned;
  bool loaded;
  peri_blas table;
  peri_blas_facts facts;
  int (*threads)(void);
  void (*set_threads)(int);
  void *(*take_buffer)(int);
  void (*give_buffer)(void *);
  int capacity; /* calls at once that OpenBLAS was built for */
  int warm;     /* buffers that OpenBLAS has mapped, and where */
  void *buffer[MOST];
  int leased;  /* calls that contexts may make now */
  int waiting; /* contexts that wait for these */
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .returned = PTHREAD_COND_INITIALIZER};

/* ---- loading ---- */

/* OpenBLAS starts a thread for each processor that the thread which loads it may run on. */
static void *load_without_threads(void) {
  cpu_set_t all, one;
  bool pinned = false;
  if (sched_getaffinity(0, sizeof all, &all) == 0) {
    int cpu = 0;
    while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, &all)) cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    pinned = sched_setaffinity(0, sizeof one, &one) == 0;
  }
  void *library = dlopen(PERI_OPENBLAS_LIBRARY, RTLD_LAZY | RTLD_LOCAL);
  if (pinned) sched_setaffinity(0, sizeof all, &all);
  return library;
}

/* dlsym gives a pointer to void, which ISO C does not turn into one to a function. */
static bool find(void *library, const char *name, void *function) {
  void *symbol = dlsym(library, name);
  memcpy(function, &symbol, sizeof symbol);
  return symbol != NULL;
}

static bool find_all(void *openblas, void *lapacke) {
  bool all =
      find(openblas, "openblas_get_num_threads", &gate.threads) &&
      find(openblas, "openblas_set_num_threads", &gate.set_threads) &&
      find(openblas, "blas_memory_alloc", &gate.take_buffer) && find(openblas, "blas_memory_free", &gate.give_buffer) &&
      find(openblas, "cblas_strsm", &gate.table.cblas_strsm) && find(openblas, "cblas_dtrsm", &gate.table.cblas_dtrsm);
#define FIND_LAPACK(name) all = all && find(lapacke, #name, &gate.table.name);
  PERI_LAPACK_ROUTINES(FIND_LAPACK)
#undef FIND_LAPACK
  return all;
}

static void find_facts(void *openblas) {
  char *(*config)(void), *(*core)(void);
  gate.facts = (peri_blas_facts){.config = "unknown", .core = "unknown"};
  if (find(openblas, "openblas_get_config", &config)) gate.facts.config = config();
  if (find(openblas, "openblas_get_corename", &core)) gate.facts.core = core();
  const char *built_for = strstr(gate.facts.config, "MAX_THREADS=");
  int threads = built_for == NULL ? 0 : atoi(built_for + strlen("MAX_THREADS="));
  gate.capacity = threads < 1 ? FEWEST : threads > MOST ? MOST : threads;
}

static void lock(void) { pthread_mutex_lock(&gate.lock); }
static void unlock(void) { pthread_mutex_unlock(&gate.lock); }

/* In the child of a fork the threads are gone that were in calls, and keep their buffers. */
static void unlock_in_child(void) {
  if (gate.leased > 0) gate.warm = gate.leased = 0;
  gate.waiting = 0;
  unlock();
}

static peri_status no_room(peri_context *context, size_t bytes) {
  return peri_fail_memory(
      context,
      "out of memory: OpenBLAS needs %zu MB of address space at once and the system refuses them (where ulimit -v "
      "sets a limit, 250000 is enough for small work)",
      bytes >> 20);
}

static peri_status load_locked(peri_context *context) {
  if (gate.loaded) return PERI_OK;
  if (!peri_has_room(LIBRARIES)) return no_room(context, LIBRARIES);
  void *openblas =
      context->keep_blas_threads ? dlopen(PERI_OPENBLAS_LIBRARY, RTLD_LAZY | RTLD_LOCAL) : load_without_threads();
  void *lapacke = openblas == NULL ? NULL : dlopen(PERI_LAPACKE_LIBRARY, RTLD_LAZY | RTLD_LOCAL);
  if (lapacke == NULL)
    return peri_fail(context, PERI_ERR_STATE, "linear algebra needs OpenBLAS and LAPACKE: %s", dlerror());
  if (!find_all(openblas, lapacke))
    return peri_fail(context, PERI_ERR_STATE,
                     "%s and %s lack routines of OpenBLAS (expected OpenBLAS 0.3 and its LAPACKE)",
                     PERI_OPENBLAS_LIBRARY, PERI_LAPACKE_LIBRARY);
  find_facts(openblas);
  pthread_atfork(lock, unlock, unlock_in_child);
  gate.loaded = true;
  return PERI_OK;
}

peri_status peri_blas_facts_get(peri_context *context, peri_blas_facts *out) {
  lock();
  peri_status status = load_locked(context);
  if (status == PERI_OK) *out = gate.facts;
  unlock();
  return status;
}

/* ---- buffers ---- */

static bool is_warm(const void *buffer) {
  for (int i = 0; i < gate.warm; i++) {
    if (gate.buffer[i] == buffer) return true;
  }
  return false;
}

/* As many buffers as are wanted or can be had. Calls that run meanwhile may find theirs held here, and map others. And
 * all but the first are taken only where as much again stays free for data. */
static void warm_locked(int wanted) {
  void *held[2 * MOST];
  int count = 0;
  while (gate.warm < wanted && count < 2 * MOST) {
    size_t room = 1 + (size_t)gate.leased + (gate.warm > 0);
    void *buffer = peri_has_room(room * BUFFER + SLACK) ? gate.take_buffer(0) : NULL;
    if (buffer == NULL) break;
    held[count++] = buffer;
    if (!is_warm(buffer)) gate.buffer[gate.warm++] = buffer;
  }
  while (count > 0) gate.give_buffer(held[--count]);
}

/* Whether one more call may be made; where contexts of other threads have all that there is room for, waits for these.
 */
static bool lease_locked(void) {
  for (;;) {
    if (gate.warm <= gate.leased) warm_locked((int)peri_min(gate.leased + 1, gate.capacity));
    if (gate.leased < gate.warm || gate.leased == 0) break;
    gate.waiting++;
    pthread_cond_wait(&gate.returned, &gate.lock);
    gate.waiting--;
  }
  if (gate.leased >= gate.warm) return false;
  gate.leased++;
  return true;
}

/* ---- the gate ---- */

static peri_status begin_locked(peri_context *context) {
  PERI_TRY(load_locked(context));
  /* asked first, because in the child of a fork setting it would start OpenBLAS's own threads anew */
  if (!context->keep_blas_threads && gate.threads() != 1) gate.set_threads(1);
  return lease_locked() ? PERI_OK : no_room(context, BUFFER);
}

peri_status peri_blas_begin(peri_context *context) {
  lock();
  peri_status status = begin_locked(context);
  unlock();
  if (status == PERI_OK) context->blas = &gate.table;
  return status;
}

void peri_blas_leave(peri_context *context) { context->blas = NULL; }

void peri_blas_give_back(void) {
  lock();
  gate.leased--;
  if (gate.waiting > 0) pthread_cond_signal(&gate.returned);
  unlock();
}

void peri_blas_end(peri_context *context) {
  if (context->blas == NULL) return;
  context->blas = NULL;
  peri_blas_give_back();
}
