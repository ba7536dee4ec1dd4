/* Different texts; see words.h. */
#include "data/formats/words.h"

#include <stdlib.h>

/* FNV-1a, 64 bits. */
static uint64_t hash(const char *word) {
  uint64_t h = 14695981039346656037u;
  for (; *word != '\0'; word++) h = (h ^ (unsigned char)*word) * 1099511628211u;
  return h;
}

/* The slot of a word, or the empty one where it would be. */
static size_t slot_of(const peri_words *words, const char *word) {
  size_t slot = (size_t)hash(word) & (words->slots_n - 1);
  while (words->slots[slot] != 0 && strcmp(words->text + words->starts[words->slots[slot] - 1], word) != 0) {
    slot = (slot + 1) & (words->slots_n - 1);
  }
  return slot;
}

/* A block with twice the room, at least `least` entries, in the place of `old`, of whose *room entries some are used.
 */
static peri_status grow(peri_context *context, void *old, size_t size, size_t used, size_t *room, size_t least,
                        void **out) {
  size_t wanted = *room * 2 > least ? *room * 2 : least;
  PERI_TRY(peri_alloc_array(context, wanted, size, out));
  if (used > 0) memcpy(*out, old, used * size);
  peri_free(context, old, *room * size);
  *room = wanted;
  return PERI_OK;
}

/* A table of twice as many slots, all words in it. */
static peri_status grow_slots(peri_words *words) {
  size_t n = words->slots_n > 0 ? words->slots_n * 2 : 64;
  void *fresh;
  PERI_TRY(peri_alloc_array(words->context, n, sizeof *words->slots, &fresh));
  memset(fresh, 0, n * sizeof *words->slots);
  peri_free(words->context, words->slots, words->slots_n * sizeof *words->slots);
  words->slots = fresh;
  words->slots_n = n;
  for (int64_t i = 0; i < words->n; i++) {
    words->slots[slot_of(words, words->text + words->starts[i])] = (size_t)i + 1;
  }
  return PERI_OK;
}

peri_status peri_words_add(peri_words *words, const char *word) {
  if ((size_t)words->n >= words->slots_n / 2) PERI_TRY(grow_slots(words));
  size_t slot = slot_of(words, word), length = strlen(word) + 1;
  if (words->slots[slot] != 0) return PERI_OK;
  void *fresh;
  if ((size_t)words->n == words->room) {
    PERI_TRY(grow(words->context, words->starts, sizeof *words->starts, (size_t)words->n, &words->room, 32, &fresh));
    words->starts = fresh;
  }
  if (words->text_used + length > words->text_room) {
    size_t least = words->text_used + length > 512 ? words->text_used + length : 512;
    PERI_TRY(grow(words->context, words->text, 1, words->text_used, &words->text_room, least, &fresh));
    words->text = fresh;
  }
  memcpy(words->text + words->text_used, word, length);
  words->starts[words->n++] = words->text_used;
  words->text_used += length;
  words->slots[slot] = (size_t)words->n;
  return PERI_OK;
}

int64_t peri_words_find(const peri_words *words, const char *word) {
  return words->n > 0 ? (int64_t)words->slots[slot_of(words, word)] - 1 : -1;
}

typedef struct entry {
  const char *word;
  int64_t number;
} entry;

static int by_bytes(const void *a, const void *b) { return strcmp(((const entry *)a)->word, ((const entry *)b)->word); }

peri_status peri_words_sort(peri_words *words) {
  if (words->n == 0) return PERI_OK;
  void *ranks, *block;
  PERI_TRY(peri_alloc_array(words->context, words->room, sizeof *words->ranks, &ranks));
  words->ranks = ranks;
  PERI_TRY(peri_alloc_array(words->context, (size_t)words->n, sizeof(entry), &block));
  entry *entries = block;
  for (int64_t i = 0; i < words->n; i++) entries[i] = (entry){words->text + words->starts[i], i};
  qsort(entries, (size_t)words->n, sizeof *entries, by_bytes);
  for (int64_t i = 0; i < words->n; i++) words->ranks[entries[i].number] = i;
  peri_free(words->context, block, (size_t)words->n * sizeof(entry));
  return PERI_OK;
}

void peri_words_release(peri_words *words) {
  peri_free(words->context, words->text, words->text_room);
  peri_free(words->context, words->starts, words->room * sizeof *words->starts);
  if (words->ranks != NULL) peri_free(words->context, words->ranks, words->room * sizeof *words->ranks);
  peri_free(words->context, words->slots, words->slots_n * sizeof *words->slots);
  *words = (peri_words){.context = words->context};
}
