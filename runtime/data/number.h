/* Numbers as text, the same in every locale. */
#ifndef PERI_DATA_NUMBER_H
#define PERI_DATA_NUMBER_H

#include "base/base.h"

typedef enum peri_number_kind {
  PERI_NUMBER,      /* *value is the double next to what is written */
  PERI_NUMBER_NONE, /* the text is no number */
  PERI_NUMBER_LARGE /* a number beyond the largest double */
} peri_number_kind;

/* The whole of a terminated text as a decimal number: sign, digits with a point, exponent; or nan, inf,
 * infinity in any case. What is too small for a double becomes 0. */
peri_number_kind peri_parse_number(const char *text, double *value);
/* The whole text as a sign and digits that an int64 holds; false when it is anything else. */
bool peri_parse_integer(const char *text, int64_t *value);

/* Writes value with the fewest digits that peri_parse_number reads back to the same bits (of a float32
 * when `single`, whose value it then is; NaNs keep their sign alone). Terminated; returns the length. */
#define PERI_NUMBER_TEXT 32
size_t peri_number_text(double value, bool single, char text[PERI_NUMBER_TEXT]);

#endif
