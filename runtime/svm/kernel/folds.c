/* Folds of rows for cross-validation; see svm.h. */
#include "svm/grouping.h"

#include <stdlib.h>

typedef struct entry {
  int64_t label, place, row; /* place: in a random order */
} entry;

static int by_label_and_place(const void *a, const void *b) {
  const entry *x = a, *y = b;
  if (x->label != y->label) return x->label < y->label ? -1 : 1;
  return x->place < y->place ? -1 : x->place > y->place;
}

peri_status peri_svm_folds(peri_context *context, int64_t n, const int64_t *labels, int64_t folds, uint64_t seed,
                           int64_t *fold) {
  peri_blocks blocks = {.context = context};
  peri_stream stream = {.seed = seed};
  entry *entries;
  PERI_TRY(peri_blocks_new(&blocks, n, sizeof *entries, &entries));
  for (int64_t i = 0; i < n; i++) entries[i] = (entry){.label = labels != NULL ? labels[i] : 0, .place = i, .row = i};
  for (int64_t i = n - 1; i > 0; i--) {
    int64_t other = (int64_t)peri_stream_below(&stream, (uint64_t)i + 1), kept = entries[i].place;
    entries[i].place = entries[other].place;
    entries[other].place = kept;
  }
  if (n > 0) qsort(entries, (size_t)n, sizeof *entries, by_label_and_place);
  for (int64_t i = 0; i < n; i++) fold[entries[i].row] = i % folds;
  peri_blocks_release(&blocks);
  return PERI_OK;
}
