/* Stable sort of rows, with the positions where elements came from.
 *
 * Elements of every dtype become 64-bit keys whose unsigned order is the wanted one: NaN is the
 * largest, the zeros are equal, a descending order inverts the bits (and keeps equal elements in
 * order). Pairs of key and position are sorted: short runs by insertion, then merged; long ones digit
 * by digit (radix sort, least significant digit first, skipping digits that all keys share). A row of
 * more than one part is sorted in parts of fixed size by the team, and the parts are merged. */
#include "kernels/rows.h"

typedef struct item {
  uint64_t key;
  int64_t from;
} item;

/* To measure: ./dev bench parts loops. */
#define RUN        16
#define RADIX_FROM 2048
#define DIGIT_BITS 8
#define DIGITS     (64 / DIGIT_BITS)
#define BUCKETS    (1 << DIGIT_BITS)
#define PART       65536
#define TINY       256

/* ---- keys ---- */

/* The bits of a float grow with its size; a negative one's must fall. */
static uint64_t key_of_f32(float x) {
  if (x != x) return UINT32_MAX;
  uint32_t bits;
  x += 0.0f; /* -0 becomes 0 */
  memcpy(&bits, &x, sizeof bits);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static uint64_t key_of_f64(double x) {
  if (x != x) return UINT64_MAX;
  uint64_t bits;
  x += 0.0;
  memcpy(&bits, &x, sizeof bits);
  return bits >> 63 ? ~bits : bits | (uint64_t)1 << 63;
}

static void make_items(peri_dtype dtype, int64_t n, bool descending, const void *x, int64_t first, item *items) {
  uint64_t flip = descending ? UINT64_MAX : 0;
  for (int64_t i = 0; i < n; i++) {
    uint64_t key = 0;
    switch (dtype) {
    case PERI_FLOAT32:
      key = key_of_f32(((const float *)x)[first + i]);
      break;
    case PERI_FLOAT64:
      key = key_of_f64(((const double *)x)[first + i]);
      break;
    case PERI_INT64:
      key = (uint64_t)((const int64_t *)x)[first + i] ^ (uint64_t)1 << 63;
      break;
    case PERI_UINT8:
    case PERI_BOOL:
      key = ((const uint8_t *)x)[first + i];
      break;
    }
    items[i] = (item){key ^ flip, first + i};
  }
}

static void take_items(peri_dtype dtype, int64_t n, const item *items, const void *x, void *y, int64_t *index) {
  for (int64_t i = 0; i < n; i++) {
    int64_t from = items[i].from;
    index[i] = from;
    switch (dtype) {
    case PERI_FLOAT32:
      ((float *)y)[i] = ((const float *)x)[from];
      break;
    case PERI_FLOAT64:
      ((double *)y)[i] = ((const double *)x)[from];
      break;
    case PERI_INT64:
      ((int64_t *)y)[i] = ((const int64_t *)x)[from];
      break;
    case PERI_UINT8:
    case PERI_BOOL:
      ((uint8_t *)y)[i] = ((const uint8_t *)x)[from];
      break;
    }
  }
}

/* ---- sorting items; the result is in items, spare is as long ---- */

static void insertion_sort(int64_t n, item *items) {
  for (int64_t i = 1; i < n; i++) {
    item moving = items[i];
    int64_t j = i;
    for (; j > 0 && items[j - 1].key > moving.key; j--) items[j] = items[j - 1];
    items[j] = moving;
  }
}

static void merge(const item *a, int64_t na, const item *b, int64_t nb, item *out) {
  int64_t i = 0, j = 0;
  while (i < na && j < nb) *out++ = b[j].key < a[i].key ? b[j++] : a[i++];
  memcpy(out, a + i, (size_t)(na - i) * sizeof(item));
  memcpy(out + (na - i), b + j, (size_t)(nb - j) * sizeof(item));
}

static void merge_sort(int64_t n, item *items, item *spare) {
  for (int64_t i = 0; i < n; i += RUN) insertion_sort(peri_min(RUN, n - i), items + i);
  item *from = items, *to = spare;
  for (int64_t run = RUN; run < n; run *= 2) {
    for (int64_t i = 0; i < n; i += 2 * run) {
      int64_t left = peri_min(run, n - i), right = peri_min(run, n - i - left);
      merge(from + i, left, from + i + left, right, to + i);
    }
    item *swap = from;
    from = to;
    to = swap;
  }
  if (from != items) memcpy(items, from, (size_t)n * sizeof(item));
}

static void radix_sort(int64_t n, item *items, item *spare) {
  int64_t counts[DIGITS][BUCKETS];
  memset(counts, 0, sizeof counts);
  for (int64_t i = 0; i < n; i++) {
    for (int d = 0; d < DIGITS; d++) counts[d][items[i].key >> d * DIGIT_BITS & (BUCKETS - 1)]++;
  }
  item *from = items, *to = spare;
  for (int d = 0; d < DIGITS; d++) {
    int shift = d * DIGIT_BITS;
    if (counts[d][from[0].key >> shift & (BUCKETS - 1)] == n) continue;
    int64_t start = 0;
    for (int bucket = 0; bucket < BUCKETS; bucket++) {
      int64_t count = counts[d][bucket];
      counts[d][bucket] = start;
      start += count;
    }
    for (int64_t i = 0; i < n; i++) to[counts[d][from[i].key >> shift & (BUCKETS - 1)]++] = from[i];
    item *swap = from;
    from = to;
    to = swap;
  }
  if (from != items) memcpy(items, from, (size_t)n * sizeof(item));
}

static void sort_items(int64_t n, item *items, item *spare) {
  if (n < RADIX_FROM) {
    merge_sort(n, items, spare);
  } else {
    radix_sort(n, items, spare);
  }
}

/* ---- jobs ---- */

typedef struct sort_job {
  peri_dtype dtype;
  size_t size;
  int64_t rows, n;
  bool descending;
  const char *x;
  char *y;
  int64_t *index;
  item *items, *spare; /* short rows: n for each worker; a long row: n */
  int64_t step;        /* rows of a piece */
  int64_t worker_step; /* items of a worker */
  int64_t run;         /* long rows: the length of what is merged */
} sort_job;

static void sort_piece(void *arg, int64_t piece) {
  const sort_job *job = arg;
  item *items = job->items + peri_worker() * job->worker_step, *spare = job->spare + peri_worker() * job->worker_step;
  for (int64_t r = piece * job->step; r < peri_min((piece + 1) * job->step, job->rows); r++) {
    const char *x = job->x + (size_t)(r * job->n) * job->size;
    make_items(job->dtype, job->n, job->descending, x, 0, items);
    sort_items(job->n, items, spare);
    take_items(job->dtype, job->n, items, x, job->y + (size_t)(r * job->n) * job->size, job->index + r * job->n);
  }
}

static void sort_part(void *arg, int64_t piece) {
  const sort_job *job = arg;
  int64_t first = piece * PART, count = peri_min(PART, job->n - first);
  make_items(job->dtype, count, job->descending, job->x, first, job->items + first);
  sort_items(count, job->items + first, job->spare + first);
}

static void merge_piece(void *arg, int64_t piece) {
  const sort_job *job = arg;
  int64_t first = piece * 2 * job->run, left = peri_min(job->run, job->n - first);
  int64_t right = peri_min(job->run, job->n - first - left);
  merge(job->items + first, left, job->items + first + left, right, job->spare + first);
}

static void take_piece(void *arg, int64_t piece) {
  const sort_job *job = arg;
  int64_t first = piece * PART, count = peri_min(PART, job->n - first);
  take_items(job->dtype, count, job->items + first, job->x, job->y + (size_t)first * job->size, job->index + first);
}

static peri_status sort_long_row(peri_context *context, sort_job *job) {
  int64_t parts = (job->n + PART - 1) / PART;
  PERI_TRY(peri_parallel(context, parts, sort_part, job));
  for (job->run = PART; job->run < job->n; job->run *= 2) {
    PERI_TRY(peri_parallel(context, (job->n + 2 * job->run - 1) / (2 * job->run), merge_piece, job));
    item *swap = job->items;
    job->items = job->spare;
    job->spare = swap;
  }
  return peri_parallel(context, parts, take_piece, job);
}

static peri_status sort_long_rows(peri_context *context, sort_job *job) {
  for (int64_t r = 0; r < job->rows; r++) {
    PERI_TRY(sort_long_row(context, job));
    job->x += (size_t)job->n * job->size;
    job->y += (size_t)job->n * job->size;
    job->index += job->n;
  }
  return PERI_OK;
}

peri_status peri_sort_rows(peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, bool descending,
                           const void *x, void *y, int64_t *index) {
  if (rows == 0 || n == 0) return PERI_OK;
  static const size_t sizes[PERI_DTYPES] = {4, 8, 8, 1, 1};
  sort_job job = {
      .dtype = dtype,
      .size = sizes[dtype],
      .rows = rows,
      .n = n,
      .descending = descending,
      .x = x,
      .y = y,
      .index = index,
      .step = peri_max(1, PERI_GRAIN / 8 / n),
      .worker_step = n,
  };
  if (n <= TINY && rows <= job.step) {
    item tiny[2 * TINY];
    job.items = tiny;
    job.spare = tiny + TINY;
    job.worker_step = 0; /* no team, so whatever worker calls this has the buffer for itself */
    sort_piece(&job, 0);
    return PERI_OK;
  }
  size_t room = n <= PART ? (size_t)context->threads * (size_t)n : (size_t)n;
  void *items;
  PERI_TRY(peri_alloc_array(context, room, 2 * sizeof(item), &items));
  job.items = items;
  job.spare = job.items + room;
  peri_status status = n <= PART ? peri_parallel(context, (rows + job.step - 1) / job.step, sort_piece, &job)
                                 : sort_long_rows(context, &job);
  peri_free(context, items, room * 2 * sizeof(item));
  return status;
}
