/* The frame of the product engine; see product.h. */
#include "product/panels.h"

#include "kernels/rows.h"

#define WHOLE_WORK   1.5e6 /* multiplications below which a product is not cut */
#define WRITING      8     /* multiplications that an element's way to memory is worth */
#define FINISHING    24    /* and what it is finished with */
#define PIECE_WORK   16e6  /* multiplications of a piece, when there are many */
#define LEAST_PIECES 4
#define MOST_PIECES  65536
#define WIDEST       512                  /* columns of a piece: its block of B stays in the second-level cache */
#define SHARED_BYTES ((size_t)8 << 20)    /* up to here B is packed once for all pieces */
#define MEETING      60000.0              /* elements that could be packed while the team meets once more */
#define NEAR_STEPS   3584                 /* bytes between steps of B, up to which copying it gains nothing */
#define NEAR_ROWS    2048                 /* bytes between rows of A, up to which few columns need no copy of a block */
#define MOST_HERE    2048                 /* columns of a product within a body that are not cut */
#define KEPT_BYTES   ((int64_t)128 << 10) /* in a body, where B is gathered, up to here all of A is packed at once */
#define MOST_PARTS   64
#define STRIPS       4 /* tiles' rows of A that are packed at once */

/* A product and how it is cut. */
typedef struct job {
  peri_product p;
  const peri_context *context;
  const peri_tile_kernels *tiles;
  size_t size;
  int64_t batches;
  int64_t part, parts;
  bool apart;                        /* each part is a piece of its own */
  int64_t rows, columns;             /* of a piece */
  int64_t row_pieces, column_pieces; /* in each batch and part */
  bool in_place;                     /* B is read where it lies */
  bool rows_in_place;                /* A's rows are, too */
  bool shared;                       /* B is packed before the pieces */
  bool by_panels;                    /* A's rows stay packed, and each panel of B meets them all before the next */
  int64_t own_ldc;                   /* where there is no C: rows in different sets of a cache */
  bool biased;                       /* tiles begin with the bias, as the chains have one block */
  bool one_strip;                    /* strips are complete one after the other: where there is no C, one place does */
  int64_t panels, blocks;            /* of B */
  size_t panel_bytes;
  const char *packed; /* shared: panels by batch and block */
  char *results;      /* apart: m x n for each batch and part */
  char *scratch;
  size_t strip_at, part_at, c_at, scratch_bytes; /* a thread's: panels of B, one of A, the sum of a part, C */
} job;

/* ---- cutting ---- */

int64_t peri_part(int64_t k) {
  if (k <= PERI_PART) return peri_max(k, 1);
  return peri_max(PERI_PART / 2, peri_round_up(peri_ceil_div(k, MOST_PARTS), PERI_BLOCK));
}

/* Whether B can be packed once for all: parts begin with a block wherever this is done. */
static bool can_share(const job *j) {
  double bytes = (double)j->p.n * (double)j->p.k * (double)j->size * (double)j->batches;
  return bytes <= (double)SHARED_BYTES && (j->parts == 1 || j->part % PERI_BLOCK == 0);
}

/* Cuts rows and columns into about `wanted` pieces, so that little is packed: each packs its panels of A, and those of
 * B unless they are shared. */
static void cut_outputs(job *j, double wanted) {
  const peri_product *p = &j->p;
  int64_t least_columns = peri_ceil_div(p->n, WIDEST), most_columns = peri_max(least_columns, p->n / j->tiles->columns);
  int64_t most_rows = peri_max(1, p->m / j->tiles->rows);
  double least = 0;
  for (int64_t c = least_columns; c <= peri_min(most_columns, (int64_t)wanted + least_columns); c++) {
    int64_t r = peri_max(1, peri_min(most_rows, (int64_t)(wanted / (double)c + 0.999)));
    bool shares = p->packed == NULL && r > 1 && can_share(j);
    double packed = (double)p->m * (double)c + (p->packed != NULL ? 0 : (double)p->n * (shares ? 1.0 : (double)r));
    double cost = packed * (double)p->k + (shares ? MEETING : 0);
    if ((double)(r * c) < wanted / 2) cost *= 4; /* too few for the team */
    if (least > 0 && cost >= least) continue;
    least = cost;
    j->row_pieces = r;
    j->column_pieces = c;
  }
  j->rows = peri_min(p->m, peri_round_up(peri_ceil_div(p->m, j->row_pieces), j->row_pieces > 1 ? 4 : 1));
  j->columns = peri_min(
      p->n, peri_round_up(peri_ceil_div(p->n, j->column_pieces), j->column_pieces > 1 ? j->tiles->columns : 1));
  j->row_pieces = peri_ceil_div(p->m, j->rows);
  j->column_pieces = peri_ceil_div(p->n, j->columns);
}

static int64_t own_ldc(int64_t columns) { return peri_round_up(columns, 32) + 16; }

/* For the team, or within a body for one thread, where little is cut. */
static void cut(job *j, bool here) {
  const peri_product *p = &j->p;
  j->part = p->part > 0 ? p->part : peri_part(p->k);
  j->parts = peri_max(1, peri_ceil_div(p->k, j->part));
  const double steps = (double)p->k + WRITING + (p->finish != NULL ? FINISHING : 0);
  double work = (double)p->m * (double)peri_max(p->n, j->tiles->columns / 4) * steps * (double)j->batches;
  double wanted = work < WHOLE_WORK ? 1 : work / PIECE_WORK < LEAST_PIECES ? LEAST_PIECES : work / PIECE_WORK;
  if (wanted > MOST_PIECES) wanted = MOST_PIECES;
  wanted = here ? 1 : wanted / (double)j->batches;
  if (here && (p->n <= MOST_HERE || p->c == NULL))
    j->rows = p->m, j->columns = p->n, j->row_pieces = j->column_pieces = 1;
  else
    cut_outputs(j, wanted < 1 ? 1 : wanted);
  j->apart = !here && j->parts > 1 && (double)(j->row_pieces * j->column_pieces) * 2 <= wanted;
  j->in_place = p->packed == NULL && peri_lies_across(&p->b) &&
                (j->rows <= 2 * j->tiles->rows || p->b.step * (int64_t)j->size <= NEAR_STEPS);
  j->rows_in_place = p->a.gather == NULL && p->a.index == NULL && p->a.step == 1 && p->k <= PERI_BLOCK &&
                     p->a.along >= 0 && p->a.along * (int64_t)j->size <= NEAR_ROWS &&
                     j->columns <= 2 * j->tiles->columns;
  j->shared = !here && (p->packed != NULL || (j->row_pieces > 1 && !j->in_place && can_share(j)));
  j->panels = peri_ceil_div(p->n, j->tiles->columns);
  j->blocks = peri_max(1, peri_ceil_div(p->k, PERI_BLOCK));
  j->panel_bytes = (size_t)(peri_min(PERI_BLOCK, peri_max(1, p->k)) * j->tiles->columns) * j->size;
  j->by_panels = here && p->b.gather != NULL && p->c != NULL && p->m * PERI_A_PITCH * (int64_t)j->size <= KEPT_BYTES &&
                 j->panels * (int64_t)j->panel_bytes > KEPT_BYTES;
  j->one_strip = p->c == NULL && j->blocks == 1 && j->parts == 1;
  j->biased = p->bias != NULL && !p->add && !p->onto_zeros && j->blocks == 1 && j->parts == 1;
  j->own_ldc = own_ldc(j->columns);
}

static void lay_out(job *j) {
  size_t output = peri_lines((size_t)(j->rows * j->columns) * j->size);
  int64_t panels = j->shared ? 0 : j->in_place || j->by_panels ? 1 : peri_ceil_div(j->columns, j->tiles->columns);
  j->strip_at = peri_lines((size_t)panels * j->panel_bytes);
  int64_t strips = j->by_panels ? peri_ceil_div(j->rows, j->tiles->rows) : STRIPS;
  j->part_at = j->strip_at + peri_lines((size_t)(strips * j->tiles->rows * PERI_A_PITCH) * j->size);
  j->c_at = j->part_at + (j->parts > 1 && !j->apart ? output : 0);
  int64_t own_rows = j->one_strip ? peri_min(j->rows, j->tiles->rows) : j->rows;
  j->scratch_bytes =
      j->c_at + (j->p.c == NULL && !j->apart ? peri_lines((size_t)(own_rows * j->own_ldc) * j->size) : 0);
}

static int64_t batches_of(const peri_product *p) {
  int64_t batches = 1;
  for (int d = 0; d < p->batch_dims; d++) batches *= p->batch_shape[d];
  return batches;
}

static bool is_empty(const peri_product *p) { return p->m == 0 || p->n == 0 || batches_of(p) == 0; }

static void prepare(job *j, const peri_context *context, const peri_product *product, bool here) {
  *j = (job){.p = *product, .context = context, .batches = batches_of(product)};
  bool wide = product->dtype == PERI_FLOAT64;
  j->tiles = &context->kernels->tiles->of[wide];
  j->size = wide ? sizeof(double) : sizeof(float);
  cut(j, here);
  lay_out(j);
}

/* ---- packing ---- */

/* Some tiles' rows of A, each tile's in a panel of its own. */
static peri_layout_of_a pack_a(const job *j, const char *data, int64_t first, int64_t count, int64_t from,
                               int64_t steps, void *panel) {
  const peri_operand *a = &j->p.a;
  const peri_tile_kernels *tiles = j->tiles;
  if (peri_lies_across(a) && a->step != 1) {
    tiles->copy_rows(count, steps, data + (first + from * a->step) * (int64_t)j->size, a->step, panel);
    return PERI_A_STEPS;
  }
  for (int64_t i = 0; i < count; i += tiles->rows) {
    int64_t rows = peri_min(tiles->rows, count - i);
    char *to = (char *)panel + (size_t)i * PERI_A_PITCH * j->size;
    const void *vectors[PERI_TILE_ROWS];
    if (a->gather != NULL) {
      a->gather(a->source, tiles, first + i, rows, from, steps, to);
      continue;
    }
    peri_find_vectors(j->size, a, data, first + i, rows, from, vectors);
    if (a->step != 1) tiles->collect(rows, tiles->rows, steps, vectors, a->step, to);
    for (int64_t r = 0; r < rows && a->step == 1; r++)
      memcpy(to + (size_t)(r * PERI_A_PITCH) * j->size, vectors[r], (size_t)steps * j->size);
  }
  return a->gather != NULL || a->step == 1 ? PERI_A_ROWS : PERI_A_STEPS;
}

/* ---- a piece ---- */

typedef struct piece {
  int64_t batch, i, rows, column, columns; /* of C */
  const char *a, *b;
  char *scratch;
} piece;

static void add_bias(const job *j, const piece *t, int64_t rows, char *c, int64_t ldc) {
  j->tiles->add_rows(rows, t->columns, (const char *)j->p.bias + t->column * (int64_t)j->size, 0, c, ldc);
}

static void finish_strip(const job *j, const piece *t, int64_t i, int64_t rows, char *c, int64_t ldc) {
  if (j->p.bias != NULL && !j->biased) add_bias(j, t, rows, c, ldc);
  if (j->p.finish != NULL) j->p.finish(j->p.state, t->batch, t->i + i, rows, t->column, t->columns, c, ldc);
}

/* Rows of A, packed or where they lie. */
typedef struct strip {
  const char *data;
  int64_t row, step;      /* elements from one row, and from one step, to the next */
  const peri_tile *whole; /* tiles of a whole strip that is packed, by vectors; or NULL */
} strip;

static strip packed_strip(const job *j, peri_layout_of_a layout, const char *data) {
  const bool by_rows = layout == PERI_A_ROWS;
  return (strip){data, by_rows ? PERI_A_PITCH : 1, by_rows ? 1 : j->tiles->rows, j->tiles->whole[layout]};
}

/* The tile of rows of A and a panel of B, for columns from `column` on. */
static void run_tile(const job *j, const strip *a, int64_t rows, int64_t column, int64_t columns, int64_t steps,
                     const void *b, int64_t b_step, void *c, int64_t ldc, bool add) {
  const peri_tile_kernels *tiles = j->tiles;
  const bool whole = a->whole != NULL && rows == tiles->rows && columns * 4 > tiles->columns;
  peri_tile tile = whole ? a->whole[columns * 2 > tiles->columns] : peri_tile_of(tiles, rows, columns);
  tile(steps, a->data, a->row, a->step, b, b_step, c, ldc, columns,
       j->biased ? (const char *)j->p.bias + column * (int64_t)j->size : peri_tile_start(&j->p, add, c), add ? ldc : 0);
}

/* One block of steps for all of a piece, panel by panel. */
static void run_block_by_panels(const job *j, const piece *t, int64_t from, int64_t steps, bool add, char *c,
                                int64_t ldc, bool last) {
  const peri_tile_kernels *tiles = j->tiles;
  const int64_t nr = tiles->columns, size = (int64_t)j->size, strip_bytes = tiles->rows * PERI_A_PITCH * size;
  char *strips = t->scratch + j->strip_at, *panel = t->scratch;
  peri_layout_of_a layout = pack_a(j, t->a, t->i, t->rows, from, steps, strips);
  for (int64_t at = 0; at < t->columns; at += nr) {
    int64_t columns = peri_min(nr, t->columns - at);
    peri_pack_panel(tiles, j->size, &j->p.b, t->b, t->column + at, columns, from, steps, panel);
    for (int64_t i = 0; i < t->rows; i += tiles->rows) {
      const strip a = packed_strip(j, layout, strips + i / tiles->rows * strip_bytes);
      run_tile(j, &a, peri_min(tiles->rows, t->rows - i), t->column + at, columns, steps, panel, nr,
               c + (i * ldc + at) * size, ldc, add);
    }
  }
  for (int64_t i = 0; i < t->rows && last; i += tiles->rows)
    finish_strip(j, t, i, peri_min(tiles->rows, t->rows - i), c + i * ldc * size, ldc);
}

static bool is_row(const job *j, const piece *t) {
  return t->rows == 1 && !j->shared && j->p.a.gather == NULL && j->p.a.index == NULL && j->p.b.gather == NULL &&
         (j->p.b.step == 1 || peri_lies_across(&j->p.b));
}

/* C = 0 + C, of a single row */
static void add_zeros(const peri_tile_kernels *tiles, int64_t columns, char *c, size_t size) {
  for (int64_t at = 0; at < columns; at += PERI_PANEL_COLUMNS)
    tiles->add_rows(1, peri_min(PERI_PANEL_COLUMNS, columns - at), peri_zeros, 0, c + (size_t)at * size, 0);
}

/* A block of steps for a single row. */
static void run_row(const job *j, const piece *t, int64_t from, int64_t steps, bool add, char *c) {
  const char *a = t->a + (t->i * j->p.a.along + from * j->p.a.step) * (int64_t)j->size;
  if (peri_lies_across(&j->p.b)) {
    const char *b = t->b + (t->column + from * j->p.b.step) * (int64_t)j->size;
    j->tiles->row_across(steps, a, j->p.a.step, b, j->p.b.step, c, t->columns, add);
    return;
  }
  const void *vectors[PERI_PANEL_COLUMNS];
  for (int64_t at = 0; at < t->columns; at += PERI_PANEL_COLUMNS) {
    int64_t columns = peri_min(PERI_PANEL_COLUMNS, t->columns - at);
    peri_find_vectors(j->size, &j->p.b, t->b, t->column + at, columns, from, vectors);
    j->tiles->row_along(steps, a, j->p.a.step, vectors, c + at * (int64_t)j->size, columns, add);
  }
}

/* One block of steps for all of a piece; strips are finished after the last one of the product. */
static void run_block(const job *j, const piece *t, int64_t from, int64_t steps, bool add, char *c, int64_t ldc,
                      bool last) {
  const peri_tile_kernels *tiles = j->tiles;
  const int64_t nr = tiles->columns, size = (int64_t)j->size;
  if (is_row(j, t)) {
    run_row(j, t, from, steps, add, c);
    if (j->p.onto_zeros && !add) add_zeros(tiles, t->columns, c, j->size);
    if (j->biased) add_bias(j, t, 1, c, ldc);
    if (last) finish_strip(j, t, 0, 1, c, ldc);
    return;
  }
  char *strips = t->scratch + j->strip_at;
  const char *packed = t->scratch;
  if (j->shared) {
    int64_t panel = (t->batch * j->blocks + from / PERI_BLOCK) * j->panels + t->column / nr;
    packed = j->packed + (size_t)panel * j->panel_bytes;
  }
  peri_layout_of_a layout = PERI_A_ROWS;
  for (int64_t i = 0; i < t->rows; i += tiles->rows) {
    int64_t rows = peri_min(tiles->rows, t->rows - i), number = i / tiles->rows % STRIPS;
    if (number == 0 && !j->rows_in_place)
      layout = pack_a(j, t->a, t->i + i, peri_min(STRIPS * tiles->rows, t->rows - i), from, steps, strips);
    char *own = c + (j->one_strip ? 0 : i * ldc * size);
    const strip a = j->rows_in_place ? (strip){t->a + ((t->i + i) * j->p.a.along + from) * size, j->p.a.along, 1, NULL}
                                     : packed_strip(j, layout, strips + number * tiles->rows * PERI_A_PITCH * size);
    for (int64_t at = 0; at < t->columns; at += nr) {
      int64_t columns = peri_min(nr, t->columns - at), b_step = nr;
      size_t panel = (size_t)(j->in_place ? 0 : at / nr) * j->panel_bytes;
      const char *b = packed + panel;
      if (j->in_place && (columns == nr || columns * 2 == nr)) {
        b_step = j->p.b.step;
        b = t->b + (t->column + at + from * b_step) * size;
      } else if (!j->shared && (i == 0 || j->in_place)) {
        peri_pack_panel(tiles, j->size, &j->p.b, t->b, t->column + at, columns, from, steps, t->scratch + panel);
      }
      run_tile(j, &a, rows, t->column + at, columns, steps, b, b_step, own + at * size, ldc, add);
    }
    if (last) finish_strip(j, t, i, rows, own, ldc);
  }
}

/* Adds to what stands in c when add is set. */
static void run_part(const job *j, const piece *t, int64_t part, bool add, char *c, int64_t ldc, bool last) {
  int64_t from = part * j->part, end = peri_min(j->p.k, from + j->part), at = from;
  do {
    int64_t steps = peri_min(PERI_BLOCK, end - at);
    (j->by_panels ? run_block_by_panels : run_block)(j, t, at, steps, at > from || add, c, ldc,
                                                     last && at + steps >= end);
    at += PERI_BLOCK;
  } while (at < end);
}

/* All parts of a piece one after the other. */
static void run_parts(const job *j, const piece *t, char *c, int64_t ldc) {
  if (j->parts == 1 || !j->p.add) run_part(j, t, 0, j->p.add, c, ldc, j->parts == 1);
  if (j->parts == 1) return;
  char *sum = t->scratch + j->part_at;
  for (int64_t part = j->p.add ? 0 : 1; part < j->parts; part++) {
    run_part(j, t, part, false, sum, t->columns, false);
    j->tiles->add_rows(t->rows, t->columns, sum, t->columns, c, ldc);
  }
  for (int64_t i = 0; i < t->rows; i += j->tiles->rows)
    finish_strip(j, t, i, peri_min(j->tiles->rows, t->rows - i), c + i * ldc * (int64_t)j->size, ldc);
}

/* ---- pieces ---- */

/* Where batch number `batch` of an operand begins. */
static const char *batch_of(const job *j, const peri_operand *x, const int64_t *strides, int64_t batch) {
  int64_t offset = 0;
  if (j->p.batch_dims == 0) return x->data; /* NULL where vectors are gathered */
  for (int d = j->p.batch_dims - 1; d >= 0; d--) {
    offset += batch % j->p.batch_shape[d] * strides[d];
    batch /= j->p.batch_shape[d];
  }
  return (const char *)x->data + offset * (int64_t)j->size;
}

static piece piece_of(const job *j, int64_t number) {
  piece t = {.column = number % j->column_pieces * j->columns};
  number /= j->column_pieces;
  t.i = number % j->row_pieces * j->rows;
  t.batch = number / j->row_pieces;
  t.rows = peri_min(j->rows, j->p.m - t.i);
  t.columns = peri_min(j->columns, j->p.n - t.column);
  t.a = batch_of(j, &j->p.a, j->p.batch_a, t.batch);
  t.b = batch_of(j, &j->p.b, j->p.batch_b, t.batch);
  t.scratch = j->scratch + (size_t)peri_worker() * j->scratch_bytes;
  return t;
}

static char *c_of(const job *j, const piece *t) {
  return (char *)j->p.c + ((t->batch * j->p.m + t->i) * j->p.ldc + t->column) * (int64_t)j->size;
}

/* The sum of a part that was a piece of its own; n columns. */
static char *result_of(const job *j, const piece *t, int64_t part) {
  return j->results + (((t->batch * j->parts + part) * j->p.m + t->i) * j->p.n + t->column) * (int64_t)j->size;
}

static void run_piece(void *arg, int64_t number) {
  const job *j = arg;
  if (j->apart) {
    piece t = piece_of(j, number / j->parts);
    run_part(j, &t, number % j->parts, false, result_of(j, &t, number % j->parts), j->p.n, false);
    return;
  }
  piece t = piece_of(j, number);
  if (j->p.c == NULL)
    run_parts(j, &t, t.scratch + j->c_at, j->own_ldc);
  else
    run_parts(j, &t, c_of(j, &t), j->p.ldc);
}

/* Adds what the parts of a piece gave, in their order. */
static void combine_piece(void *arg, int64_t number) {
  const job *j = arg;
  piece t = piece_of(j, number);
  int64_t ldc = j->p.c == NULL ? j->p.n : j->p.ldc;
  char *c = j->p.c == NULL ? result_of(j, &t, 0) : c_of(j, &t);
  for (int64_t i = 0; i < t.rows; i++) {
    int64_t at = i * ldc * (int64_t)j->size, from = i * j->p.n * (int64_t)j->size;
    if (j->p.c != NULL && !j->p.add) memcpy(c + at, result_of(j, &t, 0) + from, (size_t)t.columns * j->size);
    for (int64_t part = j->p.add ? 0 : 1; part < j->parts; part++)
      j->tiles->add_rows(1, t.columns, result_of(j, &t, part) + from, 0, c + at, 0);
  }
  for (int64_t i = 0; i < t.rows; i += j->tiles->rows)
    finish_strip(j, &t, i, peri_min(j->tiles->rows, t.rows - i), c + i * ldc * (int64_t)j->size, ldc);
}

/* Packs one panel of B for all. */
static void share_panel(void *arg, int64_t number) {
  const job *j = arg;
  int64_t nr = j->tiles->columns, column = number % j->panels * nr, from = number / j->panels % j->blocks * PERI_BLOCK;
  const char *b = batch_of(j, &j->p.b, j->p.batch_b, number / j->panels / j->blocks);
  peri_pack_panel(j->tiles, j->size, &j->p.b, b, column, peri_min(nr, j->p.n - column), from,
                  peri_min(PERI_BLOCK, j->p.k - from), (char *)j->packed + (size_t)number * j->panel_bytes);
}

static peri_status run_all(peri_context *context, job *j) {
  int64_t pieces = j->batches * j->row_pieces * j->column_pieces;
  if (j->shared && j->p.packed == NULL)
    PERI_TRY(peri_parallel(context, j->batches * j->blocks * j->panels, share_panel, j));
  PERI_TRY(peri_parallel(context, j->apart ? pieces * j->parts : pieces, run_piece, j));
  return j->apart ? peri_parallel(context, pieces, combine_piece, j) : PERI_OK;
}

/* ---- the driver ---- */

static peri_status multiply_cut(peri_context *context, const peri_product *product) {
  job j;
  prepare(&j, context, product, false);
  int64_t pieces = j.batches * j.row_pieces * j.column_pieces * (j.apart ? j.parts : 1);
  size_t threads = (size_t)peri_min(peri_threads(context), pieces);
  bool shares = j.shared && product->packed == NULL;
  size_t packed = shares ? (size_t)(j.batches * j.blocks * j.panels) * j.panel_bytes : 0;
  size_t results = j.apart ? (size_t)(j.batches * j.parts * j.p.m * j.p.n) * j.size : 0;
  size_t bytes = threads * j.scratch_bytes + peri_lines(packed) + results;
  void *memory;
  PERI_TRY(peri_alloc(context, bytes, &memory));
  j.packed = product->packed != NULL ? product->packed : memory;
  j.scratch = (char *)memory + peri_lines(packed);
  j.results = j.scratch + threads * j.scratch_bytes;
  peri_status status = run_all(context, &j);
  peri_free(context, memory, bytes);
  return status;
}

/* ---- B packed for many products ---- */

size_t peri_packed_bytes(const peri_context *context, const peri_product *product) {
  job j;
  prepare(&j, context, product, false);
  return (size_t)(j.blocks * j.panels) * j.panel_bytes;
}

peri_status peri_pack_columns(peri_context *context, const peri_product *product, void *packed) {
  job j;
  prepare(&j, context, product, false);
  j.packed = packed;
  return peri_parallel(context, j.blocks * j.panels, share_panel, &j);
}

/* ---- one long chain ---- */

#define DOT_STEPS  512 /* from which blocks are computed side by side */
#define DOT_BLOCKS 64  /* of a piece */

typedef struct dot {
  const job *j;
  char *sums; /* of blocks */
} dot;

static bool is_dot(const peri_product *p) {
  return p->m == 1 && p->n == 1 && p->k >= DOT_STEPS && p->batch_dims == 0 && p->c != NULL && !p->add && p->part == 0 &&
         p->a.gather == NULL && p->b.gather == NULL && p->a.index == NULL && p->b.index == NULL && p->a.step == 1 &&
         p->b.step == 1;
}

static void run_blocks(void *arg, int64_t number) {
  const dot *d = arg;
  const job *j = d->j;
  int64_t size = (int64_t)j->size, from = number * DOT_BLOCKS, end = peri_min(j->blocks, from + DOT_BLOCKS);
  int64_t whole = peri_min(end, j->p.k / PERI_BLOCK);
  const char *a = (const char *)j->p.a.data + from * PERI_BLOCK * size,
             *b = (const char *)j->p.b.data + from * PERI_BLOCK * size;
  j->tiles->blocks(whole - from, a, b, d->sums + from * size);
  if (whole == end) return;
  const void *rest = b + (whole - from) * PERI_BLOCK * size;
  j->tiles->row_along(j->p.k % PERI_BLOCK, a + (whole - from) * PERI_BLOCK * size, 1, &rest, d->sums + whole * size, 1,
                      false);
}

/* Blocks are chains of their own, so that as many as a vector has lanes are computed at once. */
static peri_status multiply_dot(peri_context *context, const peri_product *product) {
  job j;
  prepare(&j, context, product, false);
  dot d = {.j = &j};
  void *sums;
  size_t bytes = (size_t)j.blocks * j.size;
  PERI_TRY(peri_alloc(context, bytes, &sums));
  d.sums = sums;
  peri_status status = peri_parallel(context, peri_ceil_div(j.blocks, DOT_BLOCKS), run_blocks, &d);
  int64_t part_blocks = peri_ceil_div(j.part, PERI_BLOCK);
  for (int64_t from = 0; from < j.blocks && status == PERI_OK; from += part_blocks) {
    char *part = d.sums + from * (int64_t)j.size;
    for (int64_t i = 1; i < peri_min(part_blocks, j.blocks - from); i++)
      j.tiles->add_rows(1, 1, part + i * (int64_t)j.size, 0, part, 0);
    if (from > 0) j.tiles->add_rows(1, 1, part, 0, d.sums, 0);
  }
  if (status == PERI_OK) {
    memcpy(product->c, d.sums, j.size);
    if (product->onto_zeros) add_zeros(j.tiles, 1, product->c, j.size);
    finish_strip(&j, &(piece){.rows = 1, .columns = 1}, 0, 1, product->c, 1);
  }
  peri_free(context, sums, bytes);
  return status;
}

/* ---- the other way round ---- */

#define TURN_WORK 10000 /* multiplications from which it pays */

/* The part of the lanes of its tiles that so many columns use. */
static double used_lanes(const peri_tile_kernels *tiles, int64_t columns) {
  const int64_t lanes = tiles->columns / (peri_is_half(tiles, columns) ? 4 : 2);
  return (double)columns / (double)peri_round_up(columns, lanes);
}

/* Few columns leave lanes idle: then C' = B' A' is computed, whose rows they are. Not of small products, since that
 * packs all of A, which they read where it lies. */
static bool is_narrow(const peri_context *context, const peri_product *p) {
  const peri_tile_kernels *tiles = &context->kernels->tiles->of[p->dtype == PERI_FLOAT64];
  if (p->a.gather != NULL || p->b.gather != NULL || p->c == NULL || p->add || p->packed != NULL) return false;
  if (p->n == 1 && p->m > 1) return true;
  return p->n < 2 * tiles->columns && !peri_is_small(p) && p->m * p->n * p->k >= TURN_WORK &&
         used_lanes(tiles, p->n) < 0.75 * used_lanes(tiles, p->m);
}

static peri_product turned(const peri_product *product) {
  peri_product p = *product;
  p.a = product->b, p.b = product->a;
  p.batch_a = product->batch_b, p.batch_b = product->batch_a;
  p.m = product->n, p.n = product->m;
  p.ldc = product->m;
  p.bias = NULL, p.finish = NULL;
  return p;
}

static peri_status multiply_turned(peri_context *context, const peri_product *product) {
  peri_product p = turned(product);
  if (product->n == 1 && product->ldc == 1 && product->bias == NULL && product->finish == NULL)
    return peri_multiply_small(context, &p) ? PERI_OK : multiply_cut(context, &p);
  int64_t batches = batches_of(product), matrix = product->m * product->n;
  size_t size = product->dtype == PERI_FLOAT64 ? sizeof(double) : sizeof(float),
         bytes = (size_t)(batches * matrix) * size;
  PERI_TRY(peri_alloc(context, bytes, &p.c));
  peri_status status = peri_multiply_small(context, &p) ? PERI_OK : multiply_cut(context, &p);
  const peri_tile_kernels *tiles = &context->kernels->tiles->of[product->dtype == PERI_FLOAT64];
  job j = {.p = *product, .context = context, .tiles = tiles, .size = size, .biased = true};
  for (int64_t batch = 0; batch < batches && status == PERI_OK; batch++) {
    char *c = (char *)product->c + batch * product->m * product->ldc * (int64_t)size;
    tiles->scatter(product->n, product->m, (char *)p.c + batch * matrix * (int64_t)size, product->bias, c,
                   product->ldc);
    finish_strip(&j, &(piece){.batch = batch, .rows = product->m, .columns = product->n}, 0, product->m, c,
                 product->ldc);
  }
  peri_free(context, p.c, bytes);
  return status;
}

peri_status peri_multiply(peri_context *context, const peri_product *product) {
  if (is_empty(product)) return PERI_OK;
  if (is_dot(product)) return multiply_dot(context, product);
  if (is_narrow(context, product)) return multiply_turned(context, product);
  return peri_multiply_small(context, product) ? PERI_OK : multiply_cut(context, product);
}

/* ---- within a body ---- */

size_t peri_multiply_scratch(const peri_context *context, const peri_product *product) {
  job j;
  if (is_empty(product)) return 0;
  prepare(&j, context, product, true);
  j.columns =
      product->c == NULL
          ? product->n
          : peri_min(product->n, MOST_HERE); /* smaller products may be cut into larger pieces, or read otherwise */
  j.rows = product->m;
  j.in_place = j.by_panels = false;
  j.own_ldc = own_ldc(j.columns);
  lay_out(&j);
  return j.scratch_bytes;
}

void peri_multiply_here(const peri_context *context, const peri_product *product, void *scratch) {
  job j;
  if (is_empty(product)) return;
  prepare(&j, context, product, true);
  j.scratch = (char *)scratch - (size_t)peri_worker() * j.scratch_bytes;
  for (int64_t number = 0; number < j.batches * j.row_pieces * j.column_pieces; number++) run_piece(&j, number);
}
