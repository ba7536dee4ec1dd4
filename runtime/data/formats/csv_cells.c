/* Cells and records; see csv_cells.h. */
#include "data/formats/csv_cells.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

peri_status peri_csv_open(peri_csv_cells *cells, peri_reader *reader, char separator) {
  *cells = (peri_csv_cells){.separator = (unsigned char)separator, .line = 1};
  return peri_window_open(&cells->window, reader);
}

void peri_csv_close(peri_csv_cells *cells) { peri_window_close(&cells->window); }

peri_status peri_csv_rewind(peri_csv_cells *cells) {
  cells->line = 1;
  cells->begun = false;
  return peri_window_rewind(&cells->window);
}

bool peri_csv_is_missing(const char *text) {
  static const char *const words[] = {"", "NA", "N/A", "NaN", "null", "none", "?"};
  for (size_t i = 0; i < PERI_COUNT(words); i++) {
    if (strcasecmp(text, words[i]) == 0) return true;
  }
  return false;
}

peri_status peri_csv_fail(const peri_csv_cells *cells, int64_t line, int64_t column, const char *format, ...) {
  char what[512], place[32] = "", hint[80] = "";
  const peri_reader *reader = cells->window.reader;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(what, sizeof what, format, arguments);
  va_end(arguments);
  if (column > 0) snprintf(place, sizeof place, ", column %lld", (long long)column);
  if (cells->other == '\t')
    snprintf(hint, sizeof hint, " (the first record is one cell that holds tabs: separator = '\\t'?)");
  else if (cells->other != 0)
    snprintf(hint, sizeof hint, " (the first record is one cell that holds '%c': separator = '%c'?)", cells->other,
             cells->other);
  return peri_fail(reader->context, PERI_ERR_IO, "%s: " PERI_PATH_TEXT ": line %lld%s: %s%s", reader->operation,
                   reader->name, (long long)line, place, what, hint);
}

const char *peri_csv_show(peri_csv_cells *cells, const char *text) { return peri_name_text(text, cells->shown); }

void peri_csv_doubt_separator(peri_csv_cells *cells) {
  static const char others[] = ";\t,|";
  for (const char *other = others; *other != '\0'; other++) {
    if (*other == cells->separator || strchr(cells->text, *other) == NULL) continue;
    cells->other = *other;
    return;
  }
}

static inline bool is_blank(const peri_csv_cells *cells, int byte) {
  return (byte == ' ' || byte == '\t') && byte != cells->separator;
}

/* Takes a line's end when the next byte begins one. A \r alone is none, and no part of a cell without quotes. */
static peri_status take_line_end(peri_csv_cells *cells, bool *taken) {
  int byte;
  PERI_TRY(peri_window_look(&cells->window, &byte));
  *taken = byte == '\n' || byte == '\r';
  if (!*taken) return PERI_OK;
  cells->window.at++;
  if (byte == '\r') {
    PERI_TRY(peri_window_look(&cells->window, &byte));
    if (byte != '\n' && byte >= 0) {
      return peri_csv_fail(
          cells, cells->line, 0,
          "a carriage return is not followed by a line feed (expected lines that end with \\n or \\r\\n)");
    }
    cells->window.at += byte == '\n';
  }
  cells->line++;
  return PERI_OK;
}

static peri_status begin(peri_csv_cells *cells) {
  int byte;
  const peri_window *window = &cells->window;
  cells->begun = true;
  PERI_TRY(peri_window_look(&cells->window, &byte));
  if (window->filled >= 2 && (memcmp(window->bytes, "\xff\xfe", 2) == 0 || memcmp(window->bytes, "\xfe\xff", 2) == 0))
    return peri_csv_fail(cells, 1, 0, "the file is UTF-16 (expected UTF-8)");
  return PERI_OK;
}

peri_status peri_csv_next_record(peri_csv_cells *cells, bool *there) {
  if (!cells->begun) PERI_TRY(begin(cells));
  for (bool empty = true; empty;) PERI_TRY(take_line_end(cells, &empty));
  int byte;
  PERI_TRY(peri_window_look(&cells->window, &byte));
  cells->column = 0;
  cells->record_line = cells->line;
  *there = byte >= 0;
  return PERI_OK;
}

static peri_status keep(peri_csv_cells *cells, int byte) {
  if (byte == 0) return peri_csv_fail(cells, cells->line, cells->column, "there is a zero byte (expected text)");
  if (cells->length < PERI_LONGEST_CELL) {
    cells->text[cells->length++] = (char)byte;
  } else {
    cells->cut = true;
  }
  cells->window.at++;
  return PERI_OK;
}

static peri_status skip_blanks(peri_csv_cells *cells) {
  int byte;
  PERI_TRY(peri_window_look(&cells->window, &byte));
  while (is_blank(cells, byte)) {
    cells->window.at++;
    PERI_TRY(peri_window_look(&cells->window, &byte));
  }
  return PERI_OK;
}

/* What stands between quotes; the first has been seen. */
static peri_status take_quoted(peri_csv_cells *cells) {
  int byte;
  cells->window.at++;
  for (;;) {
    PERI_TRY(peri_window_look(&cells->window, &byte));
    if (byte < 0) return peri_csv_fail(cells, cells->cell_line, cells->column, "a quote is not closed");
    if (byte == '"') {
      cells->window.at++;
      PERI_TRY(peri_window_look(&cells->window, &byte));
      if (byte != '"') break;
    }
    cells->line += byte == '\n';
    PERI_TRY(keep(cells, byte));
  }
  PERI_TRY(skip_blanks(cells));
  PERI_TRY(peri_window_look(&cells->window, &byte));
  if (byte < 0 || byte == '\n' || byte == '\r' || byte == cells->separator) return PERI_OK;
  return peri_csv_fail(cells, cells->line, cells->column, "more text follows the closing quote");
}

static peri_status take_plain(peri_csv_cells *cells) {
  int byte;
  for (;;) {
    PERI_TRY(peri_window_look(&cells->window, &byte));
    if (byte < 0 || byte == '\n' || byte == '\r' || byte == cells->separator) break;
    if (byte == '"') {
      return peri_csv_fail(cells, cells->line, cells->column,
                           "a quote stands within a cell (expected quotes around it, and \"\" for each)");
    }
    PERI_TRY(keep(cells, byte));
  }
  while (cells->length > 0 && is_blank(cells, cells->text[cells->length - 1])) cells->length--;
  return PERI_OK;
}

peri_status peri_csv_next_cell(peri_csv_cells *cells, bool *last) {
  int byte;
  cells->column++;
  cells->length = 0;
  cells->cut = false;
  PERI_TRY(skip_blanks(cells));
  PERI_TRY(peri_window_look(&cells->window, &byte));
  cells->cell_line = cells->line;
  cells->quoted = byte == '"';
  PERI_TRY(cells->quoted ? take_quoted(cells) : take_plain(cells));
  cells->text[cells->length] = '\0';
  PERI_TRY(peri_window_look(&cells->window, &byte));
  *last = byte != cells->separator;
  if (!*last) {
    cells->window.at++;
    return PERI_OK;
  }
  return take_line_end(cells, &(bool){false});
}
