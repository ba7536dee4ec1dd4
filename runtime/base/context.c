/* Contexts and their messages. */
#include "base/base.h"
#include "base/memory.h"
#include "base/team.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS 256

const char *peri_version(void) { return PERI_VERSION; }
int peri_version_number(void) { return PERI_VERSION_NUMBER; }

static pthread_once_t process_once = PTHREAD_ONCE_INIT;

static int default_threads(void) {
  const char *wanted = getenv("PERILUNE_NUM_THREADS");
  if (wanted != NULL) {
    char *end;
    long threads = strtol(wanted, &end, 10);
    if (end != wanted && *end == '\0' && threads >= 1) return threads > MAX_THREADS ? MAX_THREADS : (int)threads;
  }
  return peri_processors();
}

static size_t machine_memory(void) {
  long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 ? (size_t)pages * (size_t)page : (size_t)1 << 32;
}

peri_status peri_read_options(const void *given, void *chosen, size_t known) {
  size_t size = 0;
  if (given == NULL) return PERI_OK;
  memcpy(&size, given, sizeof size);
  if (size < sizeof size) return PERI_ERR_ARGUMENT;
  for (size_t i = known; i < size; i++) {
    if (((const char *)given)[i] != 0) return PERI_ERR_ARGUMENT;
  }
  memcpy(chosen, given, size < known ? size : known);
  return PERI_OK;
}

peri_status peri_context_make(const peri_options *options, const struct peri_kernels *kernels, peri_context **out) {
  *out = NULL;
  peri_options chosen = {0};
  PERI_TRY(peri_read_options(options, &chosen, sizeof chosen));
  peri_context *context = calloc(1, sizeof *context);
  if (context == NULL) return PERI_ERR_MEMORY;
  context->interrupt = calloc(1, sizeof *context->interrupt);
  if (context->interrupt == NULL) {
    free(context);
    return PERI_ERR_MEMORY;
  }
  atomic_store(&context->interrupt->references, 1);
  pthread_once(&process_once, peri_team_prepare);
  context->keep_blas_threads = chosen.keep_blas_threads != 0;
  context->kernels = kernels;
  context->home = context;
  context->grad_mode = true;
  context->references = 1;
  context->limit = chosen.memory_limit != 0 ? chosen.memory_limit : machine_memory();
  context->fail_after = -1;
  context->root = -1;
  peri_set_threads(context, chosen.threads > 0 ? chosen.threads : default_threads());
  peri_manual_seed(context, 0);
  *out = context;
  return PERI_OK;
}

static size_t count_reference(peri_context *context, size_t by) {
  if (context->sharing == NULL) return context->references += by;
  pthread_mutex_lock(&context->sharing->lock);
  const size_t references = context->references += by;
  pthread_mutex_unlock(&context->sharing->lock);
  return references;
}

void peri_context_retain(peri_context *context) { count_reference(context, 1); }

uint64_t peri_context_add_storage(peri_context *context, peri_context **home) {
  struct peri_sharing *sharing = context->sharing;
  *home = context = context->home;
  if (sharing != NULL) pthread_mutex_lock(&sharing->lock);
  context->references++;
  const uint64_t number = ++context->storages;
  if (sharing != NULL) pthread_mutex_unlock(&sharing->lock);
  return number;
}

void peri_context_drop(peri_context *context) {
  if (count_reference(context, (size_t)-1) > 0) return;
  peri_memory_close(context);
  if (context->root >= 0) close(context->root);
  peri_interrupt_release(&context->interrupt);
  free(context);
}

void peri_context_release(peri_context **context) {
  if (*context == NULL) return;
  peri_context_drop(*context);
  *context = NULL;
}

/* ---- shadows ---- */

static _Thread_local peri_context *entered; /* the shadow that this thread works in */

void peri_shadow_enter(peri_context *shadow) { entered = shadow; }

/* In whose name a thread speaks that computes in a context: of its home, in that of the shadow. */
static peri_context *speaker(peri_context *context) {
  return entered != NULL && entered->home == context ? entered : context;
}

peri_context *peri_context_here(peri_context *context) { return context->sharing == NULL ? context : speaker(context); }

static void dress(peri_context *shadow, peri_context *home) {
  shadow->kernels = home->kernels;
  shadow->home = home;
  shadow->sharing = home->sharing;
  shadow->threads = 1;
  shadow->keep_blas_threads = home->keep_blas_threads;
  shadow->grad_mode = home->grad_mode;
  shadow->interrupt = home->interrupt;
  shadow->deadline = home->deadline;
  shadow->hooked = home->hooked;
  shadow->references = 1;
  shadow->confined = home->confined;
  shadow->root = home->root;
  shadow->fail_after = -1;
}

static void end_sharing(peri_context *home) {
  pthread_mutex_destroy(&home->sharing->lock);
  free(home->sharing);
  home->sharing = NULL;
}

void peri_shadows_close(int n, peri_context **shadows) {
  if (shadows[0] != NULL) end_sharing(shadows[0]->home);
  for (int i = 0; i < n; i++) free(shadows[i]);
  memset(shadows, 0, (size_t)n * sizeof *shadows);
}

peri_status peri_shadows_open(peri_context *home, int n, peri_context **shadows) {
  bool made = true;
  memset(shadows, 0, (size_t)n * sizeof *shadows);
  home->sharing = calloc(1, sizeof *home->sharing);
  if (home->sharing == NULL) return peri_fail_memory(home, "out of memory");
  pthread_mutex_init(&home->sharing->lock, NULL);
  for (int i = 0; i < n && made; i++) {
    shadows[i] = calloc(1, sizeof **shadows);
    made = shadows[i] != NULL;
    if (made) dress(shadows[i], home);
  }
  if (made) return PERI_OK;
  if (shadows[0] == NULL) end_sharing(home);
  peri_shadows_close(n, shadows);
  return peri_fail_memory(home, "out of memory");
}

/* ---- messages ---- */

/* C writes the sign that a NaN happens to have; what a message quotes stands in quotes or after other letters. */
static void drop_sign_of_nan(char *message) {
  for (char *at = message; (at = strstr(at, " -nan")) != NULL; at++) memmove(at + 1, at + 2, strlen(at + 2) + 1);
}

peri_status peri_fail(peri_context *context, peri_status status, const char *format, ...) {
  va_list arguments;
  context = speaker(context);
  va_start(arguments, format);
  vsnprintf(context->message, sizeof context->message, format, arguments);
  va_end(arguments);
  drop_sign_of_nan(context->message);
  return status;
}

peri_status peri_fail_memory(peri_context *context, const char *format, ...) {
  va_list arguments;
  int used = 0;
  context = speaker(context);
  if (context->operation != NULL) {
    used =
        snprintf(context->message, sizeof context->message, "%s%s: ", context->operation, context->in_place ? "_" : "");
  }
  va_start(arguments, format);
  vsnprintf(context->message + used, sizeof context->message - (size_t)used, format, arguments);
  va_end(arguments);
  return PERI_ERR_MEMORY;
}

const char *peri_message(const peri_context *context) { return context->message; }

void peri_manual_seed(peri_context *context, uint64_t seed) {
  peri_refuse_replay(context, "manual_seed sets the default stream");
  context->stream = (peri_stream){.seed = seed, .block = 0};
}

void peri_set_threads(peri_context *context, int threads) {
  context->threads = threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads;
}

int peri_threads(const peri_context *context) { return context->threads; }

/* ---- cancellation ---- */

static void raise_signal(struct peri_interrupt *interrupt, unsigned signal) {
  atomic_fetch_or(&interrupt->signals, signal);
}
static void clear_signals(struct peri_interrupt *interrupt, unsigned signals) {
  atomic_fetch_and(&interrupt->signals, ~signals);
}

void peri_cancel(peri_context *context) { raise_signal(context->interrupt, PERI_SIGNAL_CANCEL); }
void peri_end_instructions(peri_context *context) { raise_signal(context->interrupt, PERI_SIGNAL_INSTRUCTIONS); }

void peri_clear_cancel(peri_context *context) {
  unsigned signals = atomic_load(&context->interrupt->signals);
  unsigned passed = signals & PERI_SIGNAL_DEADLINE ? PERI_SIGNAL_CLOCK : 0;
  clear_signals(context->interrupt, PERI_SIGNAL_STOPS | passed);
}

void peri_set_deadline(peri_context *context, double seconds) {
  clear_signals(context->interrupt, PERI_SIGNAL_CLOCK | PERI_SIGNAL_DEADLINE);
  if (!(seconds > 0)) return;
  context->deadline = peri_now() + seconds;
  raise_signal(context->interrupt, PERI_SIGNAL_CLOCK);
}

/* What is rare: something stands in the interrupt. */
bool peri_signalled(const peri_context *context, unsigned signals) {
  context = speaker((peri_context *)(uintptr_t)context);
  if (signals & PERI_SIGNAL_COUNT) {
    peri_context *counting = context->home;
    if (atomic_fetch_add(&counting->looks, 1) + 1 == counting->raise_at) peri_cancel(counting);
  }
  if ((signals & PERI_SIGNAL_CLOCK) && !(signals & PERI_SIGNAL_DEADLINE) && peri_now() >= context->deadline)
    raise_signal(context->interrupt, PERI_SIGNAL_DEADLINE);
  return (atomic_load(&context->interrupt->signals) & PERI_SIGNAL_STOPS) && !context->shielded;
}

/* The host's own wish comes first. */
peri_status peri_check_cancel(peri_context *context) {
  if (!peri_cancelled(context)) return PERI_OK;
  unsigned signals = atomic_load(&context->interrupt->signals);
  if (signals & PERI_SIGNAL_CANCEL) return peri_fail(context, PERI_ERR_CANCELLED, "interrupted");
  if (signals & PERI_SIGNAL_DEADLINE) return peri_fail(context, PERI_ERR_DEADLINE, "the time is up");
  return peri_fail(context, PERI_ERR_INSTRUCTIONS, "the instructions are used up");
}

/* ---- interrupts ---- */

peri_status peri_interrupt_new(peri_context *context, peri_interrupt **out) {
  atomic_fetch_add(&context->interrupt->references, 1);
  *out = context->interrupt;
  return PERI_OK;
}

void peri_interrupt_raise(peri_interrupt *interrupt) { raise_signal(interrupt, PERI_SIGNAL_CANCEL); }

void peri_interrupt_release(peri_interrupt **interrupt) {
  peri_interrupt *released = *interrupt;
  *interrupt = NULL;
  if (released != NULL && atomic_fetch_sub(&released->references, 1) == 1) free(released);
}

double peri_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
