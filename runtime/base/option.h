/* Options that come in tables: the rows of layers, losses, optimisers, schedules and estimators name
 * theirs here once; the binding, help and the tests read them. Values are doubles in row order. */
#ifndef PERI_OPTION_H
#define PERI_OPTION_H

#include "base/base.h"

#define PERI_MAX_OPTIONS 20

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
  const char *choices; /* "min max": the value is the word's position from 0 */
  const char *doc;
} peri_option;

#endif
