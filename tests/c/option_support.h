/* What every row of options promises its readers; see base/option.h. */
#ifndef PERI_TEST_OPTION_SUPPORT_H
#define PERI_TEST_OPTION_SUPPORT_H

#include "base/option.h"
#include "test.h"

#include <math.h>

static void check_option(const char *row, const peri_option *option) {
  const char *name = option->name;
  const bool number = option->kind == PERI_OPTION_NUMBER || option->kind == PERI_OPTION_INTEGER;
  const bool limited = option->low != 0 || option->high != 0;
  PERI_CHECK(option->count >= 0 && option->count <= PERI_MAX_NUMBERS, "%s: %s is a list of %d", row, name,
             option->count);
  PERI_CHECK(number || option->count <= 1, "%s: %s is a list of what is no number", row, name);
  PERI_CHECK(option->kind != PERI_OPTION_CHOICE || option->choices != NULL, "%s: %s has no choices", row, name);
  PERI_CHECK(option->kind != PERI_OPTION_BOOL || option->choices == NULL, "%s: %s has words", row, name);
  if (!peri_option_has_words(option)) {
    PERI_CHECK(!limited || option->low <= option->high, "%s: the range of %s is empty", row, name);
    return;
  }
  int words = 1;
  for (const char *c = option->choices; *c != '\0'; c++) words += *c == ' ';
  PERI_CHECK(limited && option->low >= 0, "%s: numbers of %s could be taken for words", row, name);
  PERI_CHECK(words <= PERI_MAX_WORDS && peri_option_word(option->otherwise) < words, "%s: %s has no such word", row,
             name);
}

/* most: the room that the row's values have. */
static inline void check_option_row(const char *row, const peri_option *options, int most) {
  PERI_CHECK(peri_option_count(options) <= most, "%s: %d values (there is room for %d)", row,
             peri_option_count(options), most);
  for (; options->name != NULL; options++) check_option(row, options);
}

#endif
