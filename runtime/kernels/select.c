/* Elements by their rank in the order of a stable sort, without sorting.
 *
 * The key of a rank is found digit by digit (keys.h): elements that share the digits so far are counted by the next
 * one. Where few are left, they are partitioned (C. A. R. Hoare, "Algorithm 65: Find", 1961). Then the elements of that
 * key are counted up to the wanted one. A long row is counted in parts by the team; parts depend on the length alone.
 */
#include "kernels/keys.h"
#include "kernels/kernels.h"

/* To measure: ./dev bench tensor median. */
#define BLOCK      64
#define DIGIT_BITS 11
#define BUCKETS    (1 << DIGIT_BITS)
#define FEW        1024 /* keys that are partitioned */
#define PART       65536
#define MOST_PARTS 64

/* ---- the key of a rank among n keys, which are moved ---- */

static uint64_t partition(int64_t n, uint64_t *keys, int64_t rank) {
  int64_t low = 0, high = n - 1;
  while (low < high) {
    uint64_t a = keys[low], b = keys[low + (high - low) / 2], c = keys[high];
    uint64_t pivot = a < b ? (b < c ? b : a < c ? c : a) : (a < c ? a : b < c ? c : b);
    int64_t i = low, j = high;
    while (i <= j) {
      while (keys[i] < pivot) i++;
      while (keys[j] > pivot) j--;
      if (i > j) break;
      uint64_t moved = keys[i];
      keys[i++] = keys[j];
      keys[j--] = moved;
    }
    if (rank <= j) {
      high = j;
    } else if (rank >= i) {
      low = i;
    } else {
      break;
    }
  }
  return keys[rank];
}

/* The bucket that holds the rank, which then counts from the bucket's first. */
static int64_t find_bucket(const int64_t counts[BUCKETS], int64_t *rank) {
  int64_t bucket = 0;
  while (*rank >= counts[bucket]) *rank -= counts[bucket++];
  return bucket;
}

static int bits_of(peri_dtype dtype) { return peri_key_is_short(dtype) ? 32 : 64; }

/* Digit by digit: above `shift` bits the keys that are kept are equal. */
static uint64_t key_of_rank(int bits, int64_t n, uint64_t *keys, int64_t rank) {
  int64_t counts[BUCKETS];
  for (int shift = bits; n > FEW && shift > 0;) {
    int width = shift < DIGIT_BITS ? shift : DIGIT_BITS;
    shift -= width;
    memset(counts, 0, sizeof counts);
    for (int64_t i = 0; i < n; i++) counts[keys[i] >> shift & ((1u << width) - 1)]++;
    uint64_t bucket = (uint64_t)find_bucket(counts, &rank);
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) {
      uint64_t key = keys[i];
      keys[kept] = key;
      kept += (key >> shift & ((1u << width) - 1)) == bucket;
    }
    n = kept;
  }
  return n > FEW ? keys[0] : partition(n, keys, rank); /* more are equal: no bit is open */
}

/* ---- one row, or a part of one ---- */

typedef struct tally {
  int64_t less, equal;
} tally;

typedef struct row {
  peri_dtype dtype;
  int64_t n;
  const void *x;
} row;

static tally count_key(const row *r, int64_t from, int64_t to, uint64_t key) {
  uint64_t keys[BLOCK];
  tally t = {0, 0};
  for (int64_t i = from; i < to; i += BLOCK) {
    int64_t count = peri_min(BLOCK, to - i);
    peri_keys(r->dtype, count, r->x, i, 0, keys);
    for (int64_t j = 0; j < count; j++) {
      t.less += keys[j] < key;
      t.equal += keys[j] == key;
    }
  }
  return t;
}

/* Where the key stands for the number-th time, from 0. */
static int64_t find_key(const row *r, int64_t from, uint64_t key, int64_t number) {
  uint64_t keys[BLOCK];
  for (int64_t i = from; i < r->n; i += BLOCK) {
    int64_t count = peri_min(BLOCK, r->n - i), equal = 0;
    peri_keys(r->dtype, count, r->x, i, 0, keys);
    for (int64_t j = 0; j < count; j++) equal += keys[j] == key;
    if (number >= equal) {
      number -= equal;
      continue;
    }
    for (int64_t j = 0; j < count; j++) {
      if (keys[j] == key && number-- == 0) return i + j;
    }
  }
  return r->n - 1; /* not reached: it stands there so often */
}

/* ---- rows by pieces ---- */

typedef struct select_job {
  row row; /* the first */
  int64_t rows, ranks, step;
  const int64_t *rank;
  int64_t *index;
  uint64_t *keys; /* worker_step for each worker */
  int64_t worker_step;
  /* a long row */
  int64_t part, parts;
  int shift, width;
  uint64_t prefix; /* of the keys that are counted, above shift + width; then the key that was found */
  bool found;
  tally total;     /* of that key */
  int64_t *counts; /* BUCKETS for each part */
  tally *tallies;  /* one for each part */
} select_job;

static row row_at(const select_job *job, int64_t r) {
  row at = job->row;
  at.x = (const char *)at.x + (size_t)(r * at.n) * peri_key_size(at.dtype);
  return at;
}

static void select_piece(void *arg, int64_t piece) {
  const select_job *job = arg;
  uint64_t *keys = job->keys + peri_worker() * job->worker_step;
  for (int64_t r = piece * job->step; r < peri_min((piece + 1) * job->step, job->rows); r++) {
    row at = row_at(job, r);
    for (int64_t k = 0; k < job->ranks; k++) {
      int64_t rank = job->rank[r * job->ranks + k];
      peri_keys(at.dtype, at.n, at.x, 0, 0, keys);
      uint64_t key = key_of_rank(bits_of(at.dtype), at.n, keys, rank);
      job->index[r * job->ranks + k] = find_key(&at, 0, key, rank - count_key(&at, 0, at.n, key).less);
    }
  }
}

/* ---- a long row ---- */

static void count_part(void *arg, int64_t part) {
  const select_job *job = arg;
  int64_t *counts = job->counts + part * BUCKETS;
  uint64_t keys[BLOCK], most = (1u << job->width) - 1;
  int above = job->shift + job->width;
  bool first = above == bits_of(job->row.dtype);
  memset(counts, 0, BUCKETS * sizeof *counts);
  for (int64_t i = part * job->part; i < peri_min((part + 1) * job->part, job->row.n); i += BLOCK) {
    int64_t count = peri_min(BLOCK, peri_min((part + 1) * job->part, job->row.n) - i);
    peri_keys(job->row.dtype, count, job->row.x, i, 0, keys);
    for (int64_t j = 0; j < count; j++) {
      if (first || keys[j] >> above == job->prefix) counts[keys[j] >> job->shift & most]++;
    }
  }
}

static void tally_part(void *arg, int64_t part) {
  const select_job *job = arg;
  job->tallies[part] =
      count_key(&job->row, part * job->part, peri_min((part + 1) * job->part, job->row.n), job->prefix);
}

/* The key of a rank, as job->prefix, digit by digit to its last. */
static peri_status find_long_key(peri_context *context, select_job *job, int64_t rank) {
  job->prefix = 0;
  for (job->shift = bits_of(job->row.dtype); job->shift > 0;) {
    job->width = job->shift < DIGIT_BITS ? job->shift : DIGIT_BITS;
    job->shift -= job->width;
    PERI_TRY(peri_parallel(context, job->parts, count_part, job));
    for (int64_t part = 1; part < job->parts; part++) {
      for (int64_t bucket = 0; bucket < BUCKETS; bucket++) {
        job->counts[bucket] += job->counts[part * BUCKETS + bucket];
      }
    }
    job->prefix = job->prefix << job->width | (uint64_t)find_bucket(job->counts, &rank);
  }
  return PERI_OK;
}

/* The smallest key above the one that was found, as counts[0] of each part. */
static void next_part(void *arg, int64_t part) {
  const select_job *job = arg;
  uint64_t keys[BLOCK], next = UINT64_MAX;
  int64_t end = peri_min((part + 1) * job->part, job->row.n);
  for (int64_t i = part * job->part; i < end; i += BLOCK) {
    int64_t count = peri_min(BLOCK, end - i);
    peri_keys(job->row.dtype, count, job->row.x, i, 0, keys);
    for (int64_t j = 0; j < count; j++) next = keys[j] > job->prefix && keys[j] < next ? keys[j] : next;
  }
  memcpy(&job->counts[part * BUCKETS], &next, sizeof next);
}

static peri_status find_next_key(peri_context *context, select_job *job) {
  uint64_t next = UINT64_MAX;
  PERI_TRY(peri_parallel(context, job->parts, next_part, job));
  for (int64_t part = 0; part < job->parts; part++) {
    uint64_t own;
    memcpy(&own, &job->counts[part * BUCKETS], sizeof own);
    next = own < next ? own : next;
  }
  job->prefix = next;
  return PERI_OK;
}

/* Neighbouring ranks, as quantiles ask for, mostly need less than the whole way. */
static peri_status find_and_tally(peri_context *context, select_job *job, int64_t rank) {
  int64_t next = job->total.less + job->total.equal;
  if (job->found && rank >= job->total.less && rank < next) return PERI_OK;
  PERI_TRY(job->found && rank == next ? find_next_key(context, job) : find_long_key(context, job, rank));
  PERI_TRY(peri_parallel(context, job->parts, tally_part, job));
  job->found = true;
  job->total = (tally){0, 0};
  for (int64_t part = 0; part < job->parts; part++) {
    job->total.less += job->tallies[part].less;
    job->total.equal += job->tallies[part].equal;
  }
  return PERI_OK;
}

static peri_status select_long(peri_context *context, select_job *job, int64_t rank, int64_t *index) {
  PERI_TRY(find_and_tally(context, job, rank));
  int64_t part = 0, number = rank - job->total.less;
  while (part < job->parts - 1 && number >= job->tallies[part].equal) number -= job->tallies[part++].equal;
  *index = find_key(&job->row, part * job->part, job->prefix, number);
  return PERI_OK;
}

static peri_status select_long_rows(peri_context *context, select_job *job) {
  size_t bytes = BUCKETS * sizeof(int64_t) + sizeof(tally);
  void *memory;
  job->parts = peri_min(MOST_PARTS, (job->row.n + PART - 1) / PART);
  job->part = (job->row.n + job->parts - 1) / job->parts;
  job->parts = (job->row.n + job->part - 1) / job->part;
  PERI_TRY(peri_alloc_array(context, (size_t)job->parts, bytes, &memory));
  job->counts = memory;
  job->tallies = (tally *)(void *)(job->counts + job->parts * BUCKETS);
  peri_status status = PERI_OK;
  for (int64_t r = 0; r < job->rows; r++) {
    select_job one = *job;
    one.row = row_at(job, r);
    for (int64_t k = r * job->ranks; k < (r + 1) * job->ranks && status == PERI_OK; k++) {
      status = select_long(context, &one, job->rank[k], &job->index[k]);
    }
  }
  peri_free(context, memory, (size_t)job->parts * bytes);
  return status;
}

peri_status peri_select_rows(peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, int64_t ranks,
                             const int64_t *rank, const void *x, int64_t *index) {
  if (rows == 0 || n == 0 || ranks == 0) return PERI_OK;
  select_job job = {
      .row = {dtype, n, x},
      .rows = rows,
      .ranks = ranks,
      .step = peri_max(1, PART / 16 / n),
      .rank = rank,
      .index = index,
  };
  if (n > PART) return select_long_rows(context, &job);
  uint64_t few[BLOCK];
  if (n <= BLOCK && rows <= job.step) {
    job.keys = few; /* no team, so whatever worker calls this has the buffer for itself */
    select_piece(&job, 0);
    return PERI_OK;
  }
  size_t room = (size_t)context->threads * (size_t)n;
  void *keys;
  PERI_TRY(peri_alloc_array(context, room, sizeof(uint64_t), &keys));
  job.keys = keys;
  job.worker_step = n;
  peri_status status = peri_parallel(context, (rows + job.step - 1) / job.step, select_piece, &job);
  peri_free(context, keys, room * sizeof(uint64_t));
  return status;
}
