/* Lines of index:value pairs that become rows of a dense matrix: what svmlight files and LIBSVM's models share. */
#ifndef PERI_DATA_SPARSE_H
#define PERI_DATA_SPARSE_H

#include "data/text.h"

typedef struct peri_sparse {
  peri_text *text;
  int64_t first;    /* what indices count from: 0 or 1 */
  int64_t features; /* columns that were asked for; 0: as many as the largest index makes */
  int64_t d;        /* columns so far */
  int64_t largest_line;
} peri_sparse;

/* Takes the text's word apart, which is to be index:value with an index above *last (that before it in the line; -1 at
 * its beginning). *column counts from 0. */
peri_status peri_sparse_read(peri_sparse *sparse, int64_t *last, int64_t *column, double *value);
/* That n rows of d columns have room in the budget, and that a short text does not make a huge matrix unless its width
 * was asked for; `what` names the matrix. To be called when the text has been read once, before it is allocated. */
peri_status peri_sparse_check_size(const peri_sparse *sparse, const char *what, int64_t n, peri_dtype dtype);

/* The word as a number that a double holds; `what` begins the message. */
peri_status peri_sparse_number(peri_text *text, const char *word, const char *what, double *value);

#endif
