/* Stable sort of rows, with the positions where elements came from.
 *
 * Elements become keys (keys.h); keys and positions are sorted together (sort_items.h), as one number of 64 bits where
 * a key has 32. A long row is sorted digit by digit by the team: its parts count a digit, and then deal their items to
 * the places that the counts of all leave them. The parts depend on the length alone. */
#include "kernels/keys.h"
#include "kernels/kernels.h"

/* To measure: ./dev bench tensor sort. */
#define RUN        16
#define FEW        24 /* items for each digit, below which they are merged */
#define DIGIT_BITS 8
#define DIGITS     (64 / DIGIT_BITS)
#define BUCKETS    (1 << DIGIT_BITS)
#define PART       65536
#define MOST_PARTS 64
#define TINY       256

typedef peri_item item;

#define T            item
#define FN(name)     wide_##name
#define BEFORE(a, b) ((a).key < (b).key)
#define DIGIT(x, d)  ((x).key >> (d)*DIGIT_BITS & (BUCKETS - 1))
#include "kernels/sort_items.h"
#undef T
#undef FN
#undef BEFORE
#undef DIGIT
#define T            uint64_t /* key and position: no two are equal */
#define FN(name)     packed_##name
#define BEFORE(a, b) ((a) < (b))
#define DIGIT(x, d)  ((x) >> (32 + (d)*DIGIT_BITS) & (BUCKETS - 1))
#include "kernels/sort_items.h"
#undef T
#undef FN
#undef BEFORE
#undef DIGIT

void peri_sort_items(int64_t n, int bits, peri_item *items, peri_item *spare) {
  wide_sort(n, bits / DIGIT_BITS, items, spare);
}

/* ---- between elements and items ---- */

typedef struct sort_job {
  peri_dtype dtype;
  size_t size;
  bool packed;
  int digits;
  uint64_t flip;
  int64_t rows, n;
  const char *x;
  char *y;
  int64_t *index;
  void *items, *spare; /* short rows: n for each worker; a long row: n */
  size_t item_size;
  int64_t step;        /* rows of a piece */
  int64_t worker_step; /* items of a worker */
  int64_t part;        /* long rows: items of a part */
  int digit;           /* that is dealt by */
  int64_t *counts;     /* of each part, BUCKETS for each digit, or for one */
} sort_job;

static void make_items(const sort_job *job, const char *x, int64_t first, int64_t n, void *items) {
  enum { BLOCK = 64 };
  uint64_t keys[BLOCK], *packed = items;
  item *wide = items;
  for (int64_t i = 0; i < n; i += BLOCK) {
    int64_t count = peri_min(BLOCK, n - i);
    peri_keys(job->dtype, count, x, first + i, job->flip, keys);
    if (job->packed) {
      for (int64_t j = 0; j < count; j++) packed[i + j] = keys[j] << 32 | (uint64_t)(first + i + j);
    } else {
      for (int64_t j = 0; j < count; j++) wide[i + j] = (item){keys[j], first + i + j};
    }
  }
}

/* The element of a key, which does not say which zero or which NaN it was. */
static inline float float_of(uint32_t key) {
  float x;
  key ^= key >> 31 ? 0x80000000u : UINT32_MAX;
  memcpy(&x, &key, sizeof x);
  return x;
}
static inline double double_of(uint64_t key) {
  double x;
  key ^= key >> 63 ? (uint64_t)1 << 63 : UINT64_MAX;
  memcpy(&x, &key, sizeof x);
  return x;
}

static void take_packed(const sort_job *job, int64_t n, const uint64_t *items, const char *x, char *y, int64_t *index) {
  const uint32_t zero = 0x80000000u, nan = UINT32_MAX;
  for (int64_t i = 0; i < n; i++) index[i] = (int64_t)(items[i] & UINT32_MAX);
  if (job->dtype != PERI_FLOAT32) {
    for (int64_t i = 0; i < n; i++) y[i] = (char)((items[i] >> 32) ^ job->flip);
    return;
  }
  for (int64_t i = 0; i < n; i++) {
    uint32_t key = (uint32_t)(items[i] >> 32) ^ (uint32_t)job->flip;
    bool open = key == zero || key == nan;
    ((float *)(void *)y)[i] = open ? ((const float *)(const void *)x)[index[i]] : float_of(key);
  }
}

static void take_wide(const sort_job *job, int64_t n, const item *items, const char *x, char *y, int64_t *index) {
  const uint64_t zero = (uint64_t)1 << 63, nan = UINT64_MAX;
  for (int64_t i = 0; i < n; i++) {
    uint64_t key = items[i].key ^ job->flip;
    int64_t from = index[i] = items[i].from;
    if (job->dtype == PERI_FLOAT64) {
      bool open = key == zero || key == nan;
      ((double *)(void *)y)[i] = open ? ((const double *)(const void *)x)[from] : double_of(key);
    } else if (job->dtype == PERI_INT64) {
      ((uint64_t *)(void *)y)[i] = key ^ zero;
    } else { /* a row too long for packed items */
      memcpy(y + (size_t)i * job->size, x + (size_t)from * job->size, job->size);
    }
  }
}

static void take_items(const sort_job *job, int64_t n, const void *items, const char *x, char *y, int64_t *index) {
  if (job->packed) {
    take_packed(job, n, items, x, y, index);
  } else {
    take_wide(job, n, items, x, y, index);
  }
}

static void sort_all(const sort_job *job, int64_t n, void *items, void *spare) {
  if (job->packed) {
    packed_sort(n, job->digits, items, spare);
  } else {
    wide_sort(n, job->digits, items, spare);
  }
}

/* ---- short rows ---- */

static void sort_piece(void *arg, int64_t piece) {
  const sort_job *job = arg;
  size_t offset = (size_t)(peri_worker() * job->worker_step) * job->item_size;
  void *items = (char *)job->items + offset, *spare = (char *)job->spare + offset;
  for (int64_t r = piece * job->step; r < peri_min((piece + 1) * job->step, job->rows); r++) {
    const char *x = job->x + (size_t)(r * job->n) * job->size;
    make_items(job, x, 0, job->n, items);
    sort_all(job, job->n, items, spare);
    take_items(job, job->n, items, x, job->y + (size_t)(r * job->n) * job->size, job->index + r * job->n);
  }
}

/* ---- a long row ---- */

static char *item_at(const sort_job *job, void *items, int64_t i) { return (char *)items + (size_t)i * job->item_size; }
static int64_t part_length(const sort_job *job, int64_t part) { return peri_min(job->part, job->n - part * job->part); }

static void make_part(void *arg, int64_t part) {
  const sort_job *job = arg;
  void *items = item_at(job, job->items, part * job->part);
  int64_t n = part_length(job, part), (*counts)[BUCKETS] = (void *)(job->counts + part * DIGITS * BUCKETS);
  make_items(job, job->x, part * job->part, n, items);
  memset(counts, 0, DIGITS * sizeof *counts);
  if (job->packed) {
    packed_count_all(n, job->digits, items, counts);
  } else {
    wide_count_all(n, job->digits, items, counts);
  }
}

static void count_part(void *arg, int64_t part) {
  const sort_job *job = arg;
  const void *items = item_at(job, job->items, part * job->part);
  int64_t n = part_length(job, part), *counts = job->counts + part * BUCKETS;
  if (job->packed) {
    packed_count(n, job->digit, items, counts);
  } else {
    wide_count(n, job->digit, items, counts);
  }
}

static void deal_part(void *arg, int64_t part) {
  const sort_job *job = arg;
  const void *items = item_at(job, job->items, part * job->part);
  int64_t n = part_length(job, part), *places = job->counts + part * BUCKETS;
  if (job->packed) {
    packed_deal(n, job->digit, items, places, job->spare);
  } else {
    wide_deal(n, job->digit, items, places, job->spare);
  }
}

static void take_part(void *arg, int64_t part) {
  const sort_job *job = arg;
  int64_t first = part * job->part;
  take_items(job, part_length(job, part), item_at(job, job->items, first), job->x, job->y + (size_t)first * job->size,
             job->index + first);
}

/* Which digits tell items apart, as bits. */
static unsigned find_digits(const sort_job *job, int64_t parts) {
  unsigned digits = 0;
  for (int d = 0; d < job->digits; d++) {
    bool shared = false;
    for (int bucket = 0; bucket < BUCKETS; bucket++) {
      int64_t count = 0;
      for (int64_t part = 0; part < parts; part++) count += job->counts[(part * DIGITS + d) * BUCKETS + bucket];
      shared |= count == job->n;
    }
    digits |= shared ? 0 : 1u << d;
  }
  return digits;
}

/* Counts become the places where each part's items of each bucket go. */
static void find_places(const sort_job *job, int64_t parts) {
  int64_t start = 0;
  for (int bucket = 0; bucket < BUCKETS; bucket++) {
    for (int64_t part = 0; part < parts; part++) {
      int64_t count = job->counts[part * BUCKETS + bucket];
      job->counts[part * BUCKETS + bucket] = start;
      start += count;
    }
  }
}

static peri_status sort_long_row(peri_context *context, sort_job *job, int64_t parts) {
  PERI_TRY(peri_parallel(context, parts, make_part, job));
  unsigned digits = find_digits(job, parts);
  for (job->digit = 0; job->digit < job->digits; job->digit++) {
    if (!(digits >> job->digit & 1)) continue;
    PERI_TRY(peri_parallel(context, parts, count_part, job));
    find_places(job, parts);
    PERI_TRY(peri_parallel(context, parts, deal_part, job));
    void *swap = job->items;
    job->items = job->spare;
    job->spare = swap;
  }
  return peri_parallel(context, parts, take_part, job);
}

static peri_status sort_long_rows(peri_context *context, sort_job *job) {
  int64_t parts = peri_min(MOST_PARTS, (job->n + PART - 1) / PART);
  void *counts;
  job->part = (job->n + parts - 1) / parts;
  parts = (job->n + job->part - 1) / job->part;
  PERI_TRY(peri_alloc_array(context, (size_t)parts * DIGITS * BUCKETS, sizeof(int64_t), &counts));
  job->counts = counts;
  peri_status status = PERI_OK;
  for (int64_t r = 0; r < job->rows && status == PERI_OK; r++) {
    status = sort_long_row(context, job, parts);
    job->x += (size_t)job->n * job->size;
    job->y += (size_t)job->n * job->size;
    job->index += job->n;
  }
  peri_free(context, counts, (size_t)parts * DIGITS * BUCKETS * sizeof(int64_t));
  return status;
}

peri_status peri_sort_rows(peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, bool descending,
                           const void *x, void *y, int64_t *index) {
  if (rows == 0 || n == 0) return PERI_OK;
  sort_job job = {
      .dtype = dtype,
      .size = peri_key_size(dtype),
      .packed = peri_key_is_short(dtype) && n <= UINT32_MAX,
      .digits = peri_key_is_short(dtype) ? DIGITS / 2 : DIGITS,
      .flip = descending ? peri_key_mask(dtype) : 0,
      .rows = rows,
      .n = n,
      .x = x,
      .y = y,
      .index = index,
      .step = peri_max(1, PART / 16 / n),
      .worker_step = n,
  };
  job.item_size = job.packed ? sizeof(uint64_t) : sizeof(item);
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
  PERI_TRY(peri_alloc_array(context, room, 2 * job.item_size, &items));
  job.items = items;
  job.spare = (char *)items + room * job.item_size;
  peri_status status = n <= PART ? peri_parallel(context, (rows + job.step - 1) / job.step, sort_piece, &job)
                                 : sort_long_rows(context, &job);
  peri_free(context, items, room * 2 * job.item_size);
  return status;
}
