/* Scans: each element of y is the sum, product, extreme or log-sum-exp of x up to it, along the middle dimension of
 * outer x n x inner; and linear recurrences.
 *
 * Columns are walked in tiles, with what came before in a state for each column. Where inner is 1, a row is walked in
 * blocks, through the same state. A row of float32 is computed in double. Sums of floats keep their rounding errors in
 * a second number (as reduce_floats.h), and a long row of them is cut into parts, whose sums are found first: cuts
 * depend on n alone. */
#include "kernels/rows.h"

#define TILE  64    /* elements of a block of a row */
#define WIDE  512   /* columns of a tile */
#define PART  32768 /* elements of a long row, between two looks at the cancellation flag */
#define CHAIN 16    /* a block is four chains, which a processor adds at once */

typedef union number {
  double f;
  int64_t i;
} number;

typedef struct scan_job {
  const peri_elementwise_kernels *loops;
  peri_scan scan;
  peri_dtype dtype;
  size_t size;
  int64_t outer, n, inner, tiles;
  bool reverse;
  const char *x;
  char *y;
  int64_t *index; /* MAX, MIN */
  void (*sum)(int64_t n, int64_t stride, int64_t width, const void *x, void *out);
  number *parts; /* of a long row: their sums, then what lies before each, a sum and its error */
} scan_job;

/* What is known of the elements before: of WIDE columns, or of one row in place 0. */
typedef struct state {
  number value[WIDE];
  double error[WIDE];  /* SUM: what rounding lost; LOGSUMEXP: the sum of e^(x - value) */
  int64_t index[WIDE]; /* MAX, MIN */
  bool begun;
} state;

static bool in_floats(const scan_job *job) { return job->dtype == PERI_FLOAT32 || job->dtype == PERI_FLOAT64; }

/* ---- elements ---- */

static void load(peri_dtype dtype, int64_t count, const char *x, number *v) {
  switch (dtype) {
  case PERI_FLOAT32:
    for (int64_t j = 0; j < count; j++) v[j].f = (double)((const float *)(const void *)x)[j];
    break;
  case PERI_FLOAT64:
  case PERI_INT64:
    memcpy(v, x, (size_t)count * sizeof *v);
    break;
  default:
    for (int64_t j = 0; j < count; j++) v[j].i = ((const uint8_t *)x)[j];
  }
}

static void store(peri_dtype dtype, int64_t count, const number *v, char *y) {
  switch (dtype) {
  case PERI_FLOAT32:
    for (int64_t j = 0; j < count; j++) ((float *)(void *)y)[j] = (float)v[j].f;
    break;
  case PERI_FLOAT64:
  case PERI_INT64:
    memcpy(y, v, (size_t)count * sizeof *v);
    break;
  default:
    for (int64_t j = 0; j < count; j++) ((uint8_t *)y)[j] = (uint8_t)v[j].i;
  }
}

static void turn(int64_t count, number *v) {
  for (int64_t i = 0, j = count - 1; i < j; i++, j--) {
    number moved = v[i];
    v[i] = v[j];
    v[j] = moved;
  }
}

/* ---- one step of columns ---- */

/* sum + error grows by x; infinities leave no meaningful error behind. */
static inline void add(double *sum, double *error, double x) {
  double total = *sum + x, part = total - *sum;
  double lost = (*sum - (total - part)) + (x - part);
  *error += lost == lost ? lost : 0;
  *sum = total;
}

/* The last of equal ones is taken; NaN beats all. */
static inline bool beats(bool floats, bool largest, number x, number best) {
  if (!floats) return largest ? x.i >= best.i : x.i <= best.i;
  return x.f != x.f || (largest ? x.f >= best.f : x.f <= best.f);
}

static void take_extremes(bool floats, bool largest, int64_t width, int64_t i, number *v, state *s) {
  for (int64_t j = 0; j < width; j++) {
    bool better = !s->begun || beats(floats, largest, v[j], s->value[j]);
    v[j] = s->value[j] = better ? v[j] : s->value[j];
    s->index[j] = better ? i : s->index[j];
  }
}

static void step_columns(const scan_job *job, int64_t width, int64_t i, number *v, state *s) {
  bool floats = in_floats(job);
  if (job->scan == PERI_SCAN_SUM && floats) {
    for (int64_t j = 0; j < width; j++) {
      add(&s->value[j].f, &s->error[j], v[j].f);
      v[j].f = s->value[j].f + s->error[j];
    }
  } else if (job->scan == PERI_SCAN_SUM) {
    for (int64_t j = 0; j < width; j++) v[j].i = s->value[j].i = (int64_t)((uint64_t)s->value[j].i + (uint64_t)v[j].i);
  } else if (job->scan == PERI_SCAN_PROD && floats) {
    for (int64_t j = 0; j < width; j++) v[j].f = s->value[j].f *= v[j].f;
  } else if (job->scan == PERI_SCAN_PROD) {
    for (int64_t j = 0; j < width; j++) v[j].i = s->value[j].i = (int64_t)((uint64_t)s->value[j].i * (uint64_t)v[j].i);
  } else {
    take_extremes(floats, job->scan == PERI_SCAN_MAX, width, i, v, s);
  }
}

/* ---- blocks of a row ---- */

/* Four chains, and each of them moved by what lies before it. */
static void sum_floats(int64_t count, number *v, state *s) {
  double before = s->error[0], total = 0;
  if (count == TILE) {
    double a = v[0].f, b = v[CHAIN].f, c = v[2 * CHAIN].f, d = v[3 * CHAIN].f;
    for (int64_t i = 1; i < CHAIN; i++) { /* sums in registers: through memory each would wait for the last */
      v[i].f = a += v[i].f;
      v[CHAIN + i].f = b += v[CHAIN + i].f;
      v[2 * CHAIN + i].f = c += v[2 * CHAIN + i].f;
      v[3 * CHAIN + i].f = d += v[3 * CHAIN + i].f;
    }
    for (int64_t chain = 0; chain < TILE; chain += CHAIN) {
      double base = s->value[0].f + (before + total), own = v[chain + CHAIN - 1].f;
      for (int64_t i = 0; i < CHAIN; i++) v[chain + i].f += base;
      total += own;
    }
  } else {
    for (int64_t i = 0; i < count; i++) {
      total += v[i].f;
      v[i].f = s->value[0].f + (before + total);
    }
  }
  add(&s->value[0].f, &s->error[0], total);
}

/* With m the largest so far: the sum of e^(x - m) becomes sum e^(m' - m) + e^(x - m). */
static void log_sum_block(const scan_job *job, int64_t count, number *v, state *s) {
  double most[TILE], terms[TILE], factors[TILE], sums[TILE], before = s->value[0].f, sum = s->error[0];
  for (int64_t i = 0; i < count; i++) {
    double x = v[i].f, m = before > x || before != before ? before : x;
    terms[i] = x == m ? 0 : x - m;
    factors[i] = before == m ? 0 : before - m;
    most[i] = before = m;
  }
  peri_loop1 exps = job->loops->unary[PERI_UNARY_exp][PERI_FLOAT64];
  peri_loop1 logs = job->loops->unary[PERI_UNARY_log][PERI_FLOAT64];
  ptrdiff_t step = sizeof(double);
  exps(count, (char *)terms, step, (const char *)terms, step);
  exps(count, (char *)factors, step, (const char *)factors, step);
  for (int64_t i = 0; i < count; i++) sums[i] = sum = sum * factors[i] + terms[i];
  logs(count, (char *)sums, step, (const char *)sums, step);
  for (int64_t i = 0; i < count; i++) v[i].f = most[i] + sums[i];
  s->value[0].f = before;
  s->error[0] = sum;
}

static void scan_block(const scan_job *job, int64_t first, int64_t count, number *v, int64_t *index, state *s) {
  if (job->scan == PERI_SCAN_SUM && in_floats(job)) {
    sum_floats(count, v, s);
  } else if (job->scan == PERI_SCAN_LOGSUMEXP) {
    log_sum_block(job, count, v, s);
  } else {
    for (int64_t i = 0; i < count; i++) {
      step_columns(job, 1, first + i, v + i, s);
      index[i] = s->index[0];
      s->begun = true;
    }
  }
}

static void begin(const scan_job *job, int64_t width, state *s) {
  bool floats = in_floats(job);
  s->begun = false;
  s->index[0] = 0;
  for (int64_t j = 0; j < width; j++) {
    s->error[j] = 0;
    s->value[j].i = 0;
    if (job->scan == PERI_SCAN_PROD && floats) s->value[j].f = 1;
    if (job->scan == PERI_SCAN_PROD && !floats) s->value[j].i = 1;
    if (job->scan == PERI_SCAN_LOGSUMEXP) s->value[j].f = -__builtin_inf();
  }
}

/* Elements from .. to of a row, counted in the order of the scan. */
static void scan_run(const scan_job *job, int64_t row, int64_t from, int64_t to, state *s) {
  number v[TILE];
  int64_t index[TILE];
  for (int64_t i = from; i < to; i += TILE) {
    int64_t count = peri_min(TILE, to - i), at = row * job->n + (job->reverse ? job->n - i - count : i);
    load(job->dtype, count, job->x + (size_t)at * job->size, v);
    if (job->reverse) turn(count, v);
    scan_block(job, i, count, v, index, s);
    if (job->reverse) turn(count, v);
    store(job->dtype, count, v, job->y + (size_t)at * job->size);
    if (job->index != NULL) memcpy(job->index + at, index, (size_t)count * sizeof *index);
  }
}

static void log_sum_column(const scan_job *job, int64_t first) {
  state s;
  number v[TILE];
  begin(job, 1, &s);
  for (int64_t i = 0; i < job->n; i += TILE) {
    int64_t count = peri_min(TILE, job->n - i);
    for (int64_t k = 0; k < count; k++) {
      load(job->dtype, 1, job->x + (size_t)(first + (i + k) * job->inner) * job->size, v + k);
    }
    log_sum_block(job, count, v, &s);
    for (int64_t k = 0; k < count; k++) {
      store(job->dtype, 1, v + k, job->y + (size_t)(first + (i + k) * job->inner) * job->size);
    }
  }
}

/* Sums of TILE rows begin anew, and are moved by what lies before them. */
static void sum_columns(const scan_job *job, int64_t first, int64_t width, state *s) {
  double own[WIDE], base[WIDE];
  for (int64_t i = 0; i < job->n; i++) {
    int64_t at = first + (job->reverse ? job->n - 1 - i : i) * job->inner;
    for (int64_t j = 0; i % TILE == 0 && j < width; j++) {
      if (i > 0) add(&s->value[j].f, &s->error[j], own[j]);
      base[j] = s->value[j].f + s->error[j];
      own[j] = 0;
    }
    if (job->dtype == PERI_FLOAT32) {
      const float *x = (const float *)(const void *)job->x + at;
      float *y = (float *)(void *)job->y + at;
      for (int64_t j = 0; j < width; j++) {
        own[j] += (double)x[j];
        y[j] = (float)(base[j] + own[j]);
      }
    } else {
      const double *x = (const double *)(const void *)job->x + at;
      double *y = (double *)(void *)job->y + at;
      for (int64_t j = 0; j < width; j++) {
        own[j] += x[j];
        y[j] = base[j] + own[j];
      }
    }
  }
}

static void scan_columns(const scan_job *job, int64_t first, int64_t width) {
  state s;
  number v[WIDE];
  if (job->scan == PERI_SCAN_LOGSUMEXP) {
    for (int64_t j = 0; j < width; j++) log_sum_column(job, first + j);
    return;
  }
  begin(job, width, &s);
  if (job->scan == PERI_SCAN_SUM && in_floats(job)) {
    sum_columns(job, first, width, &s);
    return;
  }
  for (int64_t i = 0; i < job->n; i++) {
    int64_t at = first + (job->reverse ? job->n - 1 - i : i) * job->inner;
    load(job->dtype, width, job->x + (size_t)at * job->size, v);
    step_columns(job, width, i, v, &s);
    store(job->dtype, width, v, job->y + (size_t)at * job->size);
    if (job->index != NULL) memcpy(job->index + at, s.index, (size_t)width * sizeof *s.index);
    s.begun = true;
  }
}

/* ---- jobs ---- */

static void scan_piece(void *arg, int64_t piece) {
  const scan_job *job = arg;
  state s;
  if (job->inner == 1) {
    int64_t rows = peri_max(1, PART / job->n);
    for (int64_t r = piece * rows; r < peri_min((piece + 1) * rows, job->outer); r++) {
      begin(job, 1, &s);
      scan_run(job, r, 0, job->n, &s);
    }
    return;
  }
  int64_t outer = piece / job->tiles, tile = piece % job->tiles;
  scan_columns(job, outer * job->n * job->inner + tile * WIDE, peri_min(WIDE, job->inner - tile * WIDE));
}

/* The sum of a part, and its scan from what lies before it. */
static void sum_part(void *arg, int64_t part) {
  const scan_job *job = arg;
  int64_t count = peri_min(PART, job->n - part * PART), at = part * PART;
  if (job->reverse) at = job->n - at - count;
  job->sum(count, 1, 1, job->x + (size_t)at * job->size, job->parts + part);
}

static void scan_part(void *arg, int64_t part) {
  const scan_job *job = arg;
  state s;
  begin(job, 1, &s);
  s.value[0] = job->parts[2 * part];
  s.error[0] = job->parts[2 * part + 1].f;
  scan_run(job, 0, part * PART, peri_min((part + 1) * PART, job->n), &s);
}

/* Sums of one long row, in parts. */
static peri_status scan_in_parts(peri_context *context, scan_job *job) {
  int64_t parts = (job->n + PART - 1) / PART;
  void *memory;
  PERI_TRY(peri_alloc_array(context, (size_t)parts, 3 * sizeof(number), &memory));
  number *before = memory, *sums = before + 2 * parts;
  job->parts = sums;
  peri_status status = peri_parallel(context, parts, sum_part, job);
  number total = {.i = 0};
  double error = 0;
  for (int64_t part = 0; status == PERI_OK && part < parts; part++) {
    before[2 * part] = total;
    before[2 * part + 1].f = error;
    if (in_floats(job)) {
      add(&total.f, &error, sums[part].f);
    } else {
      total.i = (int64_t)((uint64_t)total.i + (uint64_t)sums[part].i);
    }
  }
  job->parts = before;
  if (status == PERI_OK) status = peri_parallel(context, parts, scan_part, job);
  peri_free(context, memory, (size_t)parts * 3 * sizeof(number));
  return status;
}

static peri_status scan_in_order(peri_context *context, const scan_job *job) {
  state s;
  begin(job, 1, &s);
  for (int64_t from = 0; from < job->n; from += PART) {
    PERI_TRY(peri_check_cancel(context));
    scan_run(job, 0, from, peri_min(from + PART, job->n), &s);
  }
  return PERI_OK;
}

peri_status peri_scan_along(peri_context *context, peri_scan scan, bool reverse, peri_dtype dtype, int64_t outer,
                            int64_t n, int64_t inner, const void *x, void *y, int64_t *index) {
  static const size_t sizes[PERI_DTYPES] = {4, 8, 8, 1, 1};
  if (outer == 0 || n == 0 || inner == 0) return PERI_OK;
  scan_job job = {
      .loops = context->kernels->elementwise,
      .scan = scan,
      .dtype = dtype,
      .size = sizes[dtype],
      .outer = outer,
      .n = n,
      .inner = inner,
      .tiles = (inner + WIDE - 1) / WIDE,
      .reverse = reverse,
      .x = x,
      .y = y,
      .index = index,
  };
  if (inner > 1) return peri_parallel(context, outer * job.tiles, scan_piece, &job);
  if (outer > 1 || n <= PART) {
    int64_t rows = peri_max(1, PART / n);
    return peri_parallel(context, (outer + rows - 1) / rows, scan_piece, &job);
  }
  if (scan != PERI_SCAN_SUM) return scan_in_order(context, &job);
  job.sum = context->kernels->rows->reduce->sum[dtype];
  return scan_in_parts(context, &job);
}

/* ---- recurrences ---- */

typedef struct recurrence_job {
  peri_dtype dtype;
  int64_t n, inner, lines, step;
  bool reverse;
  const void *g, *a;
  void *y;
} recurrence_job;

static void recurrence_piece(void *arg, int64_t piece) {
  const recurrence_job *job = arg;
  bool wide = job->dtype == PERI_FLOAT64;
  for (int64_t line = piece * job->step; line < peri_min((piece + 1) * job->step, job->lines); line++) {
    int64_t first = line / job->inner * job->n * job->inner + line % job->inner;
    double before = 0;
    for (int64_t i = 0; i < job->n; i++) {
      int64_t at = first + (job->reverse ? job->n - 1 - i : i) * job->inner;
      double g = wide ? ((const double *)job->g)[at] : (double)((const float *)job->g)[at];
      double a = wide ? ((const double *)job->a)[at] : (double)((const float *)job->a)[at];
      before = i == 0 ? g : g + a * before;
      if (wide) {
        ((double *)job->y)[at] = before;
      } else {
        ((float *)job->y)[at] = (float)before;
      }
    }
  }
}

peri_status peri_recurrence(peri_context *context, bool reverse, peri_dtype dtype, int64_t outer, int64_t n,
                            int64_t inner, const void *g, const void *a, void *y) {
  if (outer == 0 || n == 0 || inner == 0) return PERI_OK;
  recurrence_job job = {.dtype = dtype,
                        .n = n,
                        .inner = inner,
                        .lines = outer * inner,
                        .step = peri_max(1, PART / n),
                        .reverse = reverse,
                        .g = g,
                        .a = a,
                        .y = y};
  return peri_parallel(context, (job.lines + job.step - 1) / job.step, recurrence_piece, &job);
}
