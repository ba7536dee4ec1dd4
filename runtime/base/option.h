/* Options that come in tables: the rows of layers, losses, optimisers, schedules and estimators name
 * theirs here once; the binding, help and the tests read them. Values are doubles in row order, a list's one behind
 * the other. */
#ifndef PERI_OPTION_H
#define PERI_OPTION_H

#include "base/base.h"

#define PERI_MAX_OPTIONS 20
#define PERI_MAX_NUMBERS 32  /* of a list */
#define PERI_MAX_WORDS   100 /* to choose from */
#define PERI_NO_VALUE    __builtin_nan("")

typedef enum peri_option_kind {
  PERI_OPTION_NUMBER,
  PERI_OPTION_INTEGER,
  PERI_OPTION_BOOL,
  PERI_OPTION_CHOICE
} peri_option_kind;

typedef struct peri_option {
  const char *name; /* NULL ends a list */
  peri_option_kind kind;
  double otherwise;    /* the default; NaN: must be given */
  double low, high;    /* inclusive; both 0: any finite number */
  const char *choices; /* "min max": the value is the word's position from 0; for numbers see below */
  PERI_FULL_TEXT(doc);
  int count;              /* numbers: from 2 on a list of so many, or one number for all of them */
  const char *like;       /* of layers: the size whose values are the default in place of `otherwise` */
  const double *defaults; /* of a list whose numbers differ: one for each, in place of `otherwise` */
  bool open;              /* a list of 1 to `count` numbers; values behind the last are NaN */
} peri_option;

/* Numbers may have choices too, words that can stand in place of the number or the list. `low` is then at least 0,
 * since a word is kept as a number below (each number of a list is the same one): -1 the first, -2 the second. */
#define PERI_OPTION_WORD(position) (-1 - (position))
/* The position of the word that stands there, or -1: a number. */
static inline int peri_option_word(double value) {
  if (!(value < 0)) return -1;
  return value >= -PERI_MAX_WORDS ? -1 - (int)value : PERI_MAX_WORDS;
}

/* How many values an option has. */
static inline int peri_option_values(const peri_option *option) { return option->count > 1 ? option->count : 1; }

/* How many values the options of a row have together. */
static inline int peri_option_count(const peri_option *options) {
  int n = 0;
  for (; options->name != NULL; options++) n += peri_option_values(options);
  return n;
}

/* Whether words may stand in place of its numbers. */
static inline bool peri_option_has_words(const peri_option *option) {
  return option->choices != NULL && option->kind != PERI_OPTION_CHOICE;
}

/* The default of its number i. */
static inline double peri_option_default(const peri_option *option, int i) {
  if (option->defaults != NULL) return option->defaults[i];
  return option->open && i > 0 ? PERI_NO_VALUE : option->otherwise;
}

/* How many numbers stand in a list: all that it can have, but for an open one. */
static inline int peri_option_length(const peri_option *option, const double *values) {
  int n = peri_option_values(option);
  while (option->open && n > 1 && values[n - 1] != values[n - 1]) n--;
  return n;
}

/* The defaults of a row's options. */
static inline void peri_option_defaults(const peri_option *options, double *values) {
  for (; options->name != NULL; options++) {
    for (int i = 0; i < peri_option_values(options); i++) *values++ = peri_option_default(options, i);
  }
}

#endif
