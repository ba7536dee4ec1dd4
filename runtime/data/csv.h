/* CSV and TSV files (RFC 4180): a record is a sample, its cells are numbers, and one may be the label. Numbers are
 * decimal in every locale. */
#ifndef PERI_DATA_CSV_H
#define PERI_DATA_CSV_H

#include "data/words.h"

/* A column by name, or (name NULL) by position: from 1, or from -1 at the end. */
typedef struct peri_csv_column {
  const char *name;
  int64_t position;
} peri_csv_column;

typedef enum peri_csv_header {
  /* the first record is one when a cell of x's columns is no number there, or all of them stand in quotes, or a name
   * was given */
  PERI_CSV_HEADER_AUTO,
  PERI_CSV_HEADER_YES,
  PERI_CSV_HEADER_NO
} peri_csv_header;

typedef struct peri_csv_options {
  peri_dtype dtype; /* of x: float32 or float64 */
  char separator;
  peri_csv_header header;
  bool missing; /* empty cells and NA, N/A, NaN, null, none, ? are NaN; else they are errors */
  bool labelled;
  peri_csv_column label;
  int64_t columns_n; /* of x, in this order; 0: all but the label */
  const peri_csv_column *columns;
} peri_csv_options;

/* What was read. Everything but the tensors belongs to the table. */
typedef struct peri_csv {
  peri_context *context;
  peri_tensor *x; /* n x d */
  /* n: int64 when every label is a whole number, float64 when every one is a number; else int64, the place of the text
   * among classes, from 1. NULL without a label. */
  peri_tensor *y;
  bool header;
  int64_t width;       /* cells of each record */
  int64_t d, *columns; /* the positions of x's columns, from 1 */
  int64_t label;       /* position, 0: there is none */
  char *first;         /* the cells of the first record, terminated, one after the other */
  size_t *starts, first_size;
  peri_words classes; /* none when labels are numbers */
} peri_csv;

/* Reads a file, plain or compressed with gzip. Every record has as many cells as the first. */
peri_status peri_csv_read(peri_context *context, const char *path, const peri_csv_options *options, peri_csv *out);
/* The same from memory; name stands for the file in messages. */
peri_status peri_csv_parse(peri_context *context, const char *name, const void *bytes, size_t size,
                           const peri_csv_options *options, peri_csv *out);
/* A cell of the first record, from 1. */
static inline const char *peri_csv_first(const peri_csv *csv, int64_t position) {
  return csv->first + csv->starts[position - 1];
}
/* Releases the tensors and all else. Idempotent. */
void peri_csv_release(peri_csv *csv);

typedef struct peri_csv_writing {
  char separator;
  const char *const *names; /* a name for each column of x, then for y; NULL: no header */
  int64_t classes_n;        /* texts for the labels 1 .. classes_n; 0: y is written as numbers */
  const char *const *classes;
} peri_csv_writing;

/* Writes x (n x d numbers) and y (n, or NULL) as its last column, numbers with as many digits as give the same bits
 * again. */
peri_status peri_csv_write(peri_context *context, const char *path, peri_tensor *x, peri_tensor *y,
                           const peri_csv_writing *options);

#endif
