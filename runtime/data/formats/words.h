/* A set of different texts, numbered as they come and then sorted: the classes that labels of a file name. */
#ifndef PERI_DATA_WORDS_H
#define PERI_DATA_WORDS_H

#include "base/base.h"

typedef struct peri_words {
  peri_context *context;
  char *text; /* the words, terminated, one after the other */
  size_t text_used, text_room;
  size_t *starts; /* of each word in text */
  int64_t *ranks; /* once sorted: its place from 0 in the order of bytes */
  int64_t n;
  size_t room;   /* of starts and ranks */
  size_t *slots; /* a hash table: number + 1, or 0 */
  size_t slots_n;
} peri_words;

/* Adds a word unless it is there. The set takes its memory from the context that it was begun with. */
peri_status peri_words_add(peri_words *words, const char *word);
/* The number of a word, or -1. */
int64_t peri_words_find(const peri_words *words, const char *word);
/* Sets ranks; nothing is added any more. */
peri_status peri_words_sort(peri_words *words);
void peri_words_release(peri_words *words);

#endif
