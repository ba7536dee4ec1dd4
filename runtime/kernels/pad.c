/* Padding: rows, which lie along the last padded dimension, are cut into pieces of about a grain. */
#include "kernels/pad.h"
#include "kernels/rows.h"

/* Elements of a row that lie side by side in x too, or are all outside of it. */
typedef struct pad_run {
  int64_t to, from, n; /* in y, in x (-1: outside), how many */
} pad_run;

typedef struct pad_job {
  const peri_padding *padding;
  pad_run *runs; /* of the last dimension */
  int64_t runs_n;
  size_t size; /* bytes of an element */
  const char *element;
  const char *from;
  char *to;
  int64_t rows, step; /* of a piece */
  /* backward: for each dimension, the elements of y of each of x, one list behind the other, and where these begin */
  const int64_t *members[PERI_PAD_DIMS], *starts[PERI_PAD_DIMS];
  void (*add)(int64_t n, const void *x, void *sum);
} pad_job;

static int64_t pieces_of(pad_job *job, int64_t row) {
  job->step = peri_even_step(job->rows, peri_max(1, PERI_GRAIN / peri_max(1, row)));
  return (job->rows + job->step - 1) / job->step;
}

/* Room for as many runs as there can be; the caller frees it. */
static peri_status make_runs(peri_context *context, pad_job *job) {
  const int64_t *map = job->padding->map[job->padding->dims - 1], count = job->padding->count[job->padding->dims - 1];
  void *block;
  PERI_TRY(peri_alloc_array(context, (size_t)count, sizeof *job->runs, &block));
  job->runs = block;
  for (int64_t i = 0, n; i < count; i += n) {
    for (n = 1; i + n < count && map[i + n] == (map[i] < 0 ? -1 : map[i] + n);) n++;
    job->runs[job->runs_n++] = (pad_run){i, map[i], n};
  }
  return PERI_OK;
}

static void free_runs(peri_context *context, pad_job *job) {
  peri_free(context, job->runs, (size_t)job->padding->count[job->padding->dims - 1] * sizeof *job->runs);
}

/* ---- forward ---- */

static void fill(const pad_job *job, int64_t n, char *to) {
  if (job->size == 1) {
    memset(to, *job->element, (size_t)n);
  } else if (job->size == sizeof(uint32_t)) {
    uint32_t value, *out = (uint32_t *)(void *)to;
    memcpy(&value, job->element, sizeof value);
    for (int64_t i = 0; i < n; i++) out[i] = value;
  } else {
    uint64_t value, *out = (uint64_t *)(void *)to;
    memcpy(&value, job->element, sizeof value);
    for (int64_t i = 0; i < n; i++) out[i] = value;
  }
}

/* A row of y: its place along each dimension but the last. */
typedef struct pad_cursor {
  int64_t outer, at[PERI_PAD_DIMS];
} pad_cursor;

static pad_cursor cursor_at(const peri_padding *p, int64_t row) {
  pad_cursor cursor;
  for (int d = p->dims - 2; d >= 0; d--) {
    cursor.at[d] = row % p->count[d];
    row /= p->count[d];
  }
  cursor.outer = row;
  return cursor;
}

static void advance(const peri_padding *p, pad_cursor *cursor) {
  for (int d = p->dims - 2; d >= 0; d--) {
    if (++cursor->at[d] < p->count[d]) return;
    cursor->at[d] = 0;
  }
  cursor->outer++;
}

/* Where the row of x is that becomes that row of y; NULL: nowhere. */
static const char *source_of(const pad_job *job, const pad_cursor *cursor) {
  const peri_padding *p = job->padding;
  const int last = p->dims - 1;
  int64_t source = cursor->outer;
  for (int d = 0; d < last; d++) {
    const int64_t place = p->map[d][cursor->at[d]];
    if (place < 0) return NULL;
    source = source * p->n[d] + place;
  }
  return job->from + (size_t)(source * p->n[last] * p->unit) * job->size;
}

/* A few bytes without a call. */
static void copy(char *to, const char *from, size_t bytes) {
  if (bytes == sizeof(uint32_t)) {
    memcpy(to, from, sizeof(uint32_t));
  } else if (bytes == sizeof(uint64_t)) {
    memcpy(to, from, sizeof(uint64_t));
  } else {
    memcpy(to, from, bytes);
  }
}

static void pad_row(const pad_job *job, const char *from, char *to) {
  const peri_padding *p = job->padding;
  const size_t unit = (size_t)p->unit * job->size;
  if (from == NULL) {
    fill(job, p->count[p->dims - 1] * p->unit, to);
    return;
  }
  for (const pad_run *run = job->runs; run < job->runs + job->runs_n; run++) {
    if (run->from < 0) {
      fill(job, run->n * p->unit, to + (size_t)run->to * unit);
    } else {
      copy(to + (size_t)run->to * unit, from + (size_t)run->from * unit, (size_t)run->n * unit);
    }
  }
}

static void pad_piece(void *arg, int64_t piece) {
  const pad_job *job = arg;
  const peri_padding *p = job->padding;
  const size_t row_bytes = (size_t)(p->count[p->dims - 1] * p->unit) * job->size;
  const int64_t from = piece * job->step, to = peri_min(job->rows, from + job->step);
  pad_cursor cursor = cursor_at(p, from);
  for (int64_t r = from; r < to; r++, advance(p, &cursor)) {
    pad_row(job, source_of(job, &cursor), job->to + (size_t)r * row_bytes);
  }
}

peri_status peri_pad(peri_context *context, const peri_padding *padding, size_t size, const void *element,
                     const void *x, void *y) {
  pad_job job = {.padding = padding, .size = size, .element = element, .from = x, .to = y, .rows = padding->outer};
  for (int d = 0; d < padding->dims - 1; d++) job.rows *= padding->count[d];
  const int64_t row = padding->count[padding->dims - 1] * padding->unit;
  if (row == 0) return PERI_OK;
  PERI_TRY(make_runs(context, &job));
  peri_status status = peri_parallel(context, pieces_of(&job, row), pad_piece, &job);
  free_runs(context, &job);
  return status;
}

/* ---- backward ---- */

static void add_f32(int64_t n, const void *x, void *sum) {
  const float *restrict from = x;
  float *restrict to = sum;
  for (int64_t i = 0; i < n; i++) to[i] += from[i];
}
static void add_f64(int64_t n, const void *x, void *sum) {
  const double *restrict from = x;
  double *restrict to = sum;
  for (int64_t i = 0; i < n; i++) to[i] += from[i];
}

/* Adds a row of gy to the row of gx. */
static void add_row(const pad_job *job, const char *from, char *to) {
  const size_t unit = (size_t)job->padding->unit * job->size;
  for (const pad_run *run = job->runs; run < job->runs + job->runs_n; run++) {
    job->add(run->n * job->padding->unit, from + (size_t)run->to * unit, to + (size_t)run->from * unit);
  }
}

/* All rows of gy that one row of gx became, in their order: an odometer over the members of its places. */
static void gather_row(const pad_job *job, int64_t row, char *to) {
  const peri_padding *p = job->padding;
  const int last = p->dims - 1;
  const size_t bytes = (size_t)(p->count[last] * p->unit) * job->size;
  int64_t next[PERI_PAD_DIMS], first[PERI_PAD_DIMS], end[PERI_PAD_DIMS];
  for (int d = last - 1; d >= 0; d--) {
    next[d] = first[d] = job->starts[d][row % p->n[d]];
    end[d] = job->starts[d][row % p->n[d] + 1];
    if (first[d] == end[d]) return;
    row /= p->n[d];
  }
  for (int d = 0; d >= 0;) {
    int64_t source = row;
    for (int k = 0; k < last; k++) source = source * p->count[k] + job->members[k][next[k]];
    add_row(job, job->from + (size_t)source * bytes, to);
    for (d = last - 1; d >= 0 && ++next[d] == end[d]; d--) next[d] = first[d];
  }
}

static void gather_piece(void *arg, int64_t piece) {
  const pad_job *job = arg;
  const peri_padding *p = job->padding;
  const size_t row_bytes = (size_t)(p->n[p->dims - 1] * p->unit) * job->size;
  const int64_t from = piece * job->step, to = peri_min(job->rows, from + job->step);
  for (int64_t r = from; r < to; r++) {
    memset(job->to + (size_t)r * row_bytes, 0, row_bytes);
    gather_row(job, r, job->to + (size_t)r * row_bytes);
  }
}

/* Counts, then places, the elements of y of each element of x; those that are none of x are in no list. */
static void make_lists(int64_t n, int64_t count, const int64_t *map, int64_t *starts, int64_t *members) {
  memset(starts, 0, (size_t)(n + 1) * sizeof *starts);
  for (int64_t i = 0; i < count; i++) {
    if (map[i] >= 0) starts[map[i] + 1]++;
  }
  for (int64_t k = 0; k < n; k++) starts[k + 1] += starts[k];
  for (int64_t i = 0; i < count; i++) {
    if (map[i] >= 0) members[starts[map[i]]++] = i;
  }
  for (int64_t k = n; k > 0; k--) starts[k] = starts[k - 1];
  starts[0] = 0;
}

/* Those of all dimensions but the last, in room for them. */
static void all_lists(pad_job *job, int64_t *at) {
  const peri_padding *p = job->padding;
  for (int d = 0; d < p->dims - 1; d++) {
    int64_t *members = at + p->n[d] + 1;
    make_lists(p->n[d], p->count[d], p->map[d], at, members);
    job->starts[d] = at;
    job->members[d] = members;
    at = members + p->count[d];
  }
}

peri_status peri_pad_backward(peri_context *context, peri_dtype dtype, const peri_padding *padding, const void *gy,
                              void *gx) {
  const bool single = dtype == PERI_FLOAT32;
  pad_job job = {.padding = padding, .from = gy, .to = gx, .rows = padding->outer};
  const int last = padding->dims - 1;
  int64_t lists = 0, work = padding->count[last] * padding->unit;
  job.size = single ? sizeof(float) : sizeof(double);
  job.add = single ? add_f32 : add_f64;
  for (int d = 0; d < last; d++) {
    job.rows *= padding->n[d];
    lists += padding->n[d] + 1 + padding->count[d];
    work *= peri_max(1, padding->count[d] / peri_max(1, padding->n[d]));
  }
  if (padding->n[last] * padding->unit == 0) return PERI_OK;
  void *block;
  PERI_TRY(make_runs(context, &job));
  peri_status status = peri_alloc_array(context, (size_t)lists, sizeof(int64_t), &block);
  if (status == PERI_OK) {
    all_lists(&job, block);
    status = peri_parallel(context, pieces_of(&job, work), gather_piece, &job);
    peri_free(context, block, (size_t)lists * sizeof(int64_t));
  }
  free_runs(context, &job);
  return status;
}
