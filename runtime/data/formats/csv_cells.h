/* The cells of CSV (RFC 4180), one after the other, over a reader: records end with \n or \r\n, the last one may lack
 * its end, empty lines are left out. A cell in quotes may hold the separator, line ends and "" for a quote; blanks
 * around a cell are not part of it. A window and one cell are all the memory that is used. */
#ifndef PERI_DATA_CSV_CELLS_H
#define PERI_DATA_CSV_CELLS_H

#include "data/utf8.h"
#include "data/window.h"

#define PERI_LONGEST_CELL 1000 /* bytes that are kept */

typedef struct peri_csv_cells {
  peri_window window;
  int separator;
  int64_t line;        /* of the next byte, from 1 */
  int64_t column;      /* of the last cell, from 1 */
  int64_t record_line; /* where the record began */
  int64_t cell_line;   /* where the last cell began */
  bool begun;          /* the first bytes have been looked at */
  bool cut;            /* the last cell has more bytes than were kept */
  bool quoted;         /* it stood in quotes */
  size_t length;
  char text[PERI_LONGEST_CELL + 1]; /* the last cell, terminated */
  char shown[PERI_NAME_TEXT];
  char other; /* a separator that the only cell of the first record holds, for messages; 0: none */
} peri_csv_cells;

/* Takes a window from the budget; the reader stays the caller's. On failure there is nothing to close. */
peri_status peri_csv_open(peri_csv_cells *cells, peri_reader *reader, char separator);
void peri_csv_close(peri_csv_cells *cells);
/* To the first record again. */
peri_status peri_csv_rewind(peri_csv_cells *cells);
/* Whether a cell's text says that there is no number: empty, NA, N/A, NaN, null, none or ?, in any case. */
bool peri_csv_is_missing(const char *text);
/* To the next record; false at the end. The one before must have been read to its last cell. */
peri_status peri_csv_next_record(peri_csv_cells *cells, bool *there);
/* Reads a cell; *last when it ends its record. */
peri_status peri_csv_next_cell(peri_csv_cells *cells, bool *last);

/* PERI_ERR_IO with "operation: name: line N, column M: ..."; column 0 is left out. */
peri_status peri_csv_fail(const peri_csv_cells *cells, int64_t line, int64_t column, const char *format, ...)
    PERI_PRINTF(4, 5);
/* When the first record, just read, is a single cell: whether another separator stands in it, which messages then name.
 */
void peri_csv_doubt_separator(peri_csv_cells *cells);
/* A text for a message (utf8.h). One at a time. */
const char *peri_csv_show(peri_csv_cells *cells, const char *text);

#endif
