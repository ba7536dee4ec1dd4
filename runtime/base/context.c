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

peri_status peri_context_make(const peri_options *options, const struct peri_kernels *kernels, peri_context **out) {
  *out = NULL;
  peri_options chosen = {0};
  if (options != NULL) memcpy(&chosen, options, options->size < sizeof chosen ? options->size : sizeof chosen);
  peri_context *context = calloc(1, sizeof *context);
  if (context == NULL) return PERI_ERR_MEMORY;
  pthread_once(&process_once, peri_team_prepare);
  context->keep_blas_threads = chosen.keep_blas_threads != 0;
  context->kernels = kernels;
  context->grad_mode = true;
  context->references = 1;
  context->limit = chosen.memory_limit != 0 ? chosen.memory_limit : machine_memory();
  context->fail_after = -1;
  peri_set_threads(context, chosen.threads > 0 ? chosen.threads : default_threads());
  peri_manual_seed(context, 0);
  *out = context;
  return PERI_OK;
}

void peri_context_retain(peri_context *context) { context->references++; }

void peri_context_drop(peri_context *context) {
  if (--context->references > 0) return;
  peri_team_close(context->team);
  peri_memory_close(context);
  free(context);
}

void peri_context_release(peri_context **context) {
  if (*context == NULL) return;
  peri_context_drop(*context);
  *context = NULL;
}

/* C writes the sign that a NaN happens to have; what a message quotes stands in quotes or after other letters. */
static void drop_sign_of_nan(char *message) {
  for (char *at = message; (at = strstr(at, " -nan")) != NULL; at++) memmove(at + 1, at + 2, strlen(at + 2) + 1);
}

peri_status peri_fail(peri_context *context, peri_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(context->message, sizeof context->message, format, arguments);
  va_end(arguments);
  drop_sign_of_nan(context->message);
  return status;
}

peri_status peri_fail_memory(peri_context *context, const char *format, ...) {
  va_list arguments;
  int used = 0;
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
  context->stream = (peri_stream){.seed = seed, .block = 0};
}

void peri_set_threads(peri_context *context, int threads) {
  context->threads = threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads;
}

int peri_threads(const peri_context *context) { return context->threads; }

/* ---- cancellation ---- */

void peri_cancel(peri_context *context) { atomic_store(&context->cancelled, true); }
void peri_clear_cancel(peri_context *context) { atomic_store(&context->cancelled, false); }

peri_status peri_check_cancel(peri_context *context) {
  return peri_cancelled(context) ? peri_fail(context, PERI_ERR_CANCELLED, "interrupted") : PERI_OK;
}

double peri_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
