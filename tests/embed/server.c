/* A server's loop without its sockets: a model from a file, and threads that score one row after the other.
 *   server MODEL [threads [rows]]
 * Each thread has a scorer of its own; the model is shared. Prints how long a row takes, p50 and p99. */
#define _POSIX_C_SOURCE 200809L
#include <perilune/model.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { WARM = 100, TIMED = 16 }; /* rows before the clock counts; rows between two looks at it */

typedef struct worker {
  pthread_t thread;
  peri_model *model;
  long rounds;
  double *nanoseconds; /* of a row, by round */
  const char *wrong;
} worker;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static void *serve(void *arg) {
  worker *w = arg;
  const int64_t inputs = peri_model_inputs(w->model), outputs = peri_model_outputs(w->model);
  float *x = calloc((size_t)inputs, sizeof *x);
  double *scores = calloc((size_t)outputs, sizeof *scores);
  peri_scorer *scorer = NULL;
  if (x == NULL || scores == NULL || peri_scorer_new(w->model, 1, &scorer) != PERI_OK) w->wrong = "out of memory";
  for (long round = -WARM / TIMED; w->wrong == NULL && round < w->rounds; round++) {
    const double start = now();
    for (int i = 0; i < TIMED && w->wrong == NULL; i++) {
      x[i % inputs] = (float)(round * TIMED + i) / 1000; /* the request */
      if (peri_score(scorer, PERI_FLOAT32, 1, x, 0, scores) != PERI_OK) w->wrong = "peri_score failed";
    }
    if (round >= 0) w->nanoseconds[round] = (now() - start) / TIMED;
  }
  if (w->wrong != NULL && scorer != NULL) fprintf(stderr, "server: %s\n", peri_scorer_message(scorer));
  peri_scorer_release(&scorer);
  free(scores);
  free(x);
  return NULL;
}

static int by_size(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  const long threads = argc > 2 ? atol(argv[2]) : 8, rows = argc > 3 ? atol(argv[3]) : 200000;
  const long rounds = rows / threads / TIMED;
  if (argc < 2 || threads < 1 || rounds < 1) {
    fprintf(stderr, "usage: server MODEL [threads [rows]]\n");
    return 2;
  }
  peri_context *context = NULL;
  peri_model *model = NULL;
  if (peri_context_new(NULL, &context) != PERI_OK) return 1;
  if (peri_model_load(context, argv[1], &model) != PERI_OK) {
    fprintf(stderr, "server: %s\n", peri_message(context));
    peri_context_release(&context);
    return 1;
  }
  peri_context_release(&context); /* the model does not need it */
  worker *workers = calloc((size_t)threads, sizeof *workers);
  double *all = calloc((size_t)(threads * rounds), sizeof *all);
  if (workers == NULL || all == NULL) return 1;
  const double start = now();
  for (long t = 0; t < threads; t++) {
    workers[t] = (worker){.model = model, .rounds = rounds, .nanoseconds = all + t * rounds};
    pthread_create(&workers[t].thread, NULL, serve, &workers[t]);
  }
  int failed = 0;
  for (long t = 0; t < threads; t++) {
    pthread_join(workers[t].thread, NULL);
    failed |= workers[t].wrong != NULL;
  }
  const double seconds = (now() - start) / 1e9;
  qsort(all, (size_t)(threads * rounds), sizeof *all, by_size);
  if (!failed)
    printf("%s: %ld threads, %.0f rows a second, a row takes p50 %.2f us, p99 %.2f us\n", peri_model_kind(model),
           threads, (double)(threads * rounds * TIMED) / seconds, all[threads * rounds / 2] / 1e3,
           all[threads * rounds * 99 / 100] / 1e3);
  peri_model_release(&model);
  free(all);
  free(workers);
  return failed;
}
