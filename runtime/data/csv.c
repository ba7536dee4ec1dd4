/* Reading CSV; see csv.h. */
#include "data/csv.h"
#include "data/csv_cells.h"
#include "data/number.h"
#include "tensor/tensor.h"

#include <math.h>

static const char who[] = "read_csv";

/* What a cell is for, beside the column of x that it goes to. */
enum { SKIPPED = -1, LABEL = -2 };

#define WHOLE_DOUBLES 9007199254740992.0 /* whole numbers up to here are exact as doubles */

typedef enum pass_kind { PASS_CHECK, PASS_COLLECT, PASS_FILL } pass_kind;

typedef struct reading {
  peri_csv_cells cells;
  const peri_csv_options *options;
  peri_csv *out;
  int64_t *target; /* of each cell */
  bool *quoted;    /* each cell of the first record */
  int64_t n, row;
  bool numbers, whole; /* every label is one so far */
} reading;

static peri_status changed(reading *r) {
  return peri_csv_fail(&r->cells, r->cells.line, 0, "the file was changed while it was read");
}

/* ---- cells ---- */

static peri_status fail_here(reading *r, const char *problem) {
  peri_csv_cells *c = &r->cells;
  return peri_csv_fail(c, c->cell_line, c->column, "'%s' %s", peri_csv_show(c, c->text), problem);
}

static peri_status need_whole_cell(reading *r) {
  if (!r->cells.cut) return PERI_OK;
  return peri_csv_fail(&r->cells, r->cells.cell_line, r->cells.column, "the cell has more than %d bytes",
                       PERI_LONGEST_CELL);
}

/* The cell as a number for x. */
static peri_status read_number(reading *r, double *value) {
  peri_csv_cells *c = &r->cells;
  PERI_TRY(need_whole_cell(r));
  if (peri_csv_is_missing(c->text)) {
    *value = NAN;
    if (r->options->missing) return PERI_OK;
    if (c->length > 0) return fail_here(r, "(expected a number; missing = 'nan' reads NaN)");
    return peri_csv_fail(c, c->cell_line, c->column,
                         "the cell is empty (expected a number; missing = 'nan' reads NaN)");
  }
  switch (peri_parse_number(c->text, value)) {
  case PERI_NUMBER:
    if (isnan(*value) && !r->options->missing) return fail_here(r, "(expected a number; missing = 'nan' reads NaN)");
    break;
  case PERI_NUMBER_LARGE:
    return fail_here(r, "is beyond the largest float64");
  default:
    return fail_here(r, "(expected a number)");
  }
  if (r->options->dtype != PERI_FLOAT32 || !isfinite(*value) || isfinite((float)*value)) return PERI_OK;
  return fail_here(r, "is beyond the largest float32 (float64 holds it)");
}

/* Whether the cell is a whole number that an int64 holds. */
static bool read_whole(const reading *r, double value, int64_t *whole) {
  if (peri_parse_integer(r->cells.text, whole)) return true;
  if (value != floor(value) || fabs(value) > WHOLE_DOUBLES) return false;
  *whole = (int64_t)value;
  return true;
}

static peri_status read_label(reading *r, pass_kind pass) {
  double value = 0;
  int64_t whole = 0;
  const char *text = r->cells.text;
  PERI_TRY(need_whole_cell(r));
  if (r->cells.length == 0) {
    return peri_csv_fail(&r->cells, r->cells.cell_line, r->cells.column, "the label is empty");
  }
  if (pass == PASS_COLLECT) return peri_words_add(&r->out->classes, text);
  bool number = peri_parse_number(text, &value) == PERI_NUMBER && isfinite(value);
  bool is_whole = number && read_whole(r, value, &whole);
  if (pass == PASS_CHECK) {
    r->numbers &= number;
    r->whole &= is_whole;
    return PERI_OK;
  }
  if ((r->whole && !is_whole) || (r->numbers && !number)) return changed(r);
  if (r->numbers && !r->whole) {
    ((double *)(void *)r->out->y->data)[r->row] = value;
    return PERI_OK;
  }
  if (!r->numbers) {
    int64_t number_of = peri_words_find(&r->out->classes, text);
    if (number_of < 0) return changed(r);
    whole = r->out->classes.ranks[number_of] + 1;
  }
  ((int64_t *)(void *)r->out->y->data)[r->row] = whole;
  return PERI_OK;
}

static peri_status read_cell(reading *r, pass_kind pass) {
  int64_t target = r->target[r->cells.column - 1];
  if (target == SKIPPED) return PERI_OK;
  if (target == LABEL) return read_label(r, pass);
  if (pass == PASS_COLLECT) return PERI_OK;
  double value;
  PERI_TRY(read_number(r, &value));
  if (pass != PASS_FILL) return PERI_OK;
  peri_tensor *x = r->out->x;
  int64_t at = r->row * r->out->d + target;
  peri_store_number(x->layout.dtype, x->data + at * (int64_t)peri_dtype_size(x->layout.dtype), value);
  return PERI_OK;
}

/* ---- records ---- */

static peri_status read_record(reading *r, pass_kind pass) {
  peri_csv_cells *c = &r->cells;
  int64_t width = r->out->width;
  bool last = false;
  while (!last) {
    PERI_TRY(peri_csv_next_cell(c, &last));
    if (c->column <= width) PERI_TRY(read_cell(r, pass));
  }
  if (c->column == width) return PERI_OK;
  return peri_csv_fail(c, c->record_line, 0, "%lld cell%s (expected %lld, as in the first record)",
                       (long long)c->column, c->column == 1 ? "" : "s", (long long)width);
}

static peri_status read_records(reading *r, pass_kind pass) {
  bool there, header = r->out->header;
  PERI_TRY(peri_csv_rewind(&r->cells));
  for (r->row = 0;; r->row += !header, header = false) {
    PERI_TRY(peri_csv_next_record(&r->cells, &there));
    if (!there) break;
    if (header) {
      for (bool last = false; !last;) PERI_TRY(peri_csv_next_cell(&r->cells, &last));
    } else {
      if (pass != PASS_CHECK && r->row == r->n) return changed(r);
      PERI_TRY(read_record(r, pass));
    }
  }
  if (pass == PASS_CHECK) r->n = r->row;
  return r->row == r->n ? PERI_OK : changed(r);
}

/* ---- the first record ---- */

/* Reads it: its width and the bytes of its cells; then, with `keep`, the cells into out->first. */
static peri_status read_first(reading *r, bool keep) {
  peri_csv *out = r->out;
  bool there, last = false;
  size_t bytes = 0;
  PERI_TRY(peri_csv_rewind(&r->cells));
  PERI_TRY(peri_csv_next_record(&r->cells, &there));
  if (!there) return peri_csv_fail(&r->cells, 1, 0, "the file has no record");
  while (!last) {
    PERI_TRY(peri_csv_next_cell(&r->cells, &last));
    size_t size = r->cells.length + 1;
    if (keep) {
      if (r->cells.column > out->width || bytes + size > out->first_size) return changed(r);
      memcpy(out->first + bytes, r->cells.text, size);
      out->starts[r->cells.column - 1] = bytes;
      r->quoted[r->cells.column - 1] = r->cells.quoted;
    }
    bytes += size;
  }
  if (r->cells.column == 1) peri_csv_doubt_separator(&r->cells);
  if (keep) return r->cells.column == out->width && bytes == out->first_size ? PERI_OK : changed(r);
  out->width = r->cells.column;
  out->first_size = bytes;
  return PERI_OK;
}

static peri_status new_array(peri_context *context, int64_t n, size_t size, void **out) {
  return peri_alloc_array(context, (size_t)n, size, out);
}

static peri_status keep_first(reading *r) {
  peri_csv *out = r->out;
  void *block;
  PERI_TRY(read_first(r, false));
  PERI_TRY(new_array(out->context, out->width, sizeof *out->starts, &block));
  out->starts = block;
  PERI_TRY(new_array(out->context, (int64_t)out->first_size, 1, &block));
  out->first = block;
  PERI_TRY(new_array(out->context, out->width, sizeof *out->columns, &block));
  out->columns = block;
  PERI_TRY(new_array(out->context, out->width, sizeof *r->target, &block));
  r->target = block;
  PERI_TRY(new_array(out->context, out->width, sizeof *r->quoted, &block));
  r->quoted = block;
  return read_first(r, true);
}

/* ---- which columns ---- */

static peri_status find_by_name(reading *r, const char *what, const char *name, int64_t *position) {
  const peri_csv *out = r->out;
  *position = 0;
  for (int64_t c = 1; c <= out->width; c++) {
    if (strcmp(peri_csv_first(out, c), name) != 0) continue;
    if (*position > 0) {
      return peri_csv_fail(&r->cells, 1, c, "%s is '%s', but column %lld has that name, too", what,
                           peri_csv_show(&r->cells, name), (long long)*position);
    }
    *position = c;
  }
  if (*position > 0) return PERI_OK;
  return peri_csv_fail(&r->cells, 1, 0, "%s is '%s', which is none of the %lld names in the first record", what,
                       peri_csv_show(&r->cells, name), (long long)out->width);
}

static peri_status find_column(reading *r, const char *what, const peri_csv_column *column, int64_t *position) {
  if (column->name != NULL) return find_by_name(r, what, column->name, position);
  int64_t width = r->out->width;
  *position = column->position < 0 ? width + 1 + column->position : column->position;
  if (*position >= 1 && *position <= width) return PERI_OK;
  return peri_csv_fail(&r->cells, 1, 0, "%s is %lld, but there are %lld columns", what, (long long)column->position,
                       (long long)width);
}

static bool has_names(const peri_csv_options *options) {
  bool named = options->labelled && options->label.name != NULL;
  for (int64_t i = 0; i < options->columns_n; i++) named |= options->columns[i].name != NULL;
  return named;
}

static peri_status choose_columns(reading *r) {
  const peri_csv_options *options = r->options;
  peri_csv *out = r->out;
  for (int64_t c = 0; c < out->width; c++) r->target[c] = SKIPPED;
  if (options->labelled) {
    PERI_TRY(find_column(r, "label", &options->label, &out->label));
    r->target[out->label - 1] = LABEL;
  }
  for (int64_t i = 0; i < options->columns_n; i++) {
    int64_t position;
    PERI_TRY(find_column(r, "an entry of columns", &options->columns[i], &position));
    if (r->target[position - 1] != SKIPPED) {
      return peri_csv_fail(&r->cells, 1, position, "the column is asked for twice");
    }
    r->target[position - 1] = out->d;
    out->columns[out->d++] = position;
  }
  for (int64_t c = 0; c < out->width && options->columns_n == 0; c++) {
    if (r->target[c] == LABEL) continue;
    r->target[c] = out->d;
    out->columns[out->d++] = c + 1;
  }
  if (out->d > 0) return PERI_OK;
  return peri_csv_fail(&r->cells, 1, 0, "there is no column but the label");
}

/* Whether the first record is a header: a name among numbers is one, and so are numbers that all stand in quotes. */
static bool detect_header(const reading *r) {
  const peri_csv *out = r->out;
  if (r->options->header != PERI_CSV_HEADER_AUTO) return r->options->header == PERI_CSV_HEADER_YES;
  if (has_names(r->options)) return true;
  bool all_quoted = true;
  for (int64_t i = 0; i < out->d; i++) {
    double value;
    const char *text = peri_csv_first(out, out->columns[i]);
    if (!peri_csv_is_missing(text) && peri_parse_number(text, &value) == PERI_NUMBER_NONE) return true;
    all_quoted &= r->quoted[out->columns[i] - 1];
  }
  return all_quoted;
}

/* ---- files ---- */

static peri_status read_tables(reading *r) {
  peri_csv *out = r->out;
  PERI_TRY(keep_first(r));
  PERI_TRY(choose_columns(r));
  out->header = detect_header(r);
  r->numbers = r->whole = true;
  PERI_TRY(read_records(r, PASS_CHECK));
  if (out->label > 0 && !r->numbers) {
    r->whole = false;
    PERI_TRY(read_records(r, PASS_COLLECT));
    PERI_TRY(peri_words_sort(&out->classes));
  }
  PERI_TRY(peri_tensor_new(out->context, r->options->dtype, 2, (int64_t[]){r->n, out->d}, &out->x));
  if (out->label > 0) {
    peri_dtype dtype = r->numbers && !r->whole ? PERI_FLOAT64 : PERI_INT64;
    PERI_TRY(peri_tensor_new(out->context, dtype, 1, &r->n, &out->y));
  }
  return read_records(r, PASS_FILL);
}

static peri_status read_csv(peri_reader *reader, const peri_csv_options *options, peri_csv *out) {
  reading r = {.options = options, .out = out};
  PERI_TRY(peri_reader_detect_gzip(reader));
  PERI_TRY(peri_csv_open(&r.cells, reader, options->separator));
  peri_status status = read_tables(&r);
  if (r.target != NULL) peri_free(out->context, r.target, (size_t)out->width * sizeof *r.target);
  if (r.quoted != NULL) peri_free(out->context, r.quoted, (size_t)out->width * sizeof *r.quoted);
  peri_csv_close(&r.cells);
  if (status != PERI_OK) peri_csv_release(out);
  return status;
}

static peri_status check_options(peri_context *context, const peri_csv_options *options) {
  if (!peri_is_float(options->dtype)) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: dtype is %s (expected float32 or float64)", who,
                     peri_dtype_name(options->dtype));
  }
  if (strchr("\"\r\n", options->separator) != NULL) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: the separator is a quote, a line's end or a zero byte", who);
  }
  if (options->header == PERI_CSV_HEADER_NO && has_names(options)) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: columns have names only with a header", who);
  }
  return PERI_OK;
}

peri_status peri_csv_read(peri_context *context, const char *path, const peri_csv_options *options, peri_csv *out) {
  *out = (peri_csv){.context = context, .classes.context = context};
  peri_reader reader;
  PERI_TRY(check_options(context, options));
  PERI_TRY(peri_reader_open(context, who, path, &reader));
  peri_status status = read_csv(&reader, options, out);
  peri_reader_close(&reader);
  return status;
}

peri_status peri_csv_parse(peri_context *context, const char *name, const void *bytes, size_t size,
                           const peri_csv_options *options, peri_csv *out) {
  *out = (peri_csv){.context = context, .classes.context = context};
  peri_reader reader;
  PERI_TRY(check_options(context, options));
  peri_reader_open_memory(context, who, name, bytes, size, &reader);
  peri_status status = read_csv(&reader, options, out);
  peri_reader_close(&reader);
  return status;
}

void peri_csv_release(peri_csv *csv) {
  if (csv->context == NULL) return;
  peri_tensor_release(&csv->x);
  peri_tensor_release(&csv->y);
  if (csv->starts != NULL) peri_free(csv->context, csv->starts, (size_t)csv->width * sizeof *csv->starts);
  if (csv->first != NULL) peri_free(csv->context, csv->first, csv->first_size);
  if (csv->columns != NULL) peri_free(csv->context, csv->columns, (size_t)csv->width * sizeof *csv->columns);
  peri_words_release(&csv->classes);
  *csv = (peri_csv){.context = csv->context, .classes.context = csv->context};
}
