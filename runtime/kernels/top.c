/* The first k elements of each row in the order of a stable sort.
 *
 * A row is read once: what comes before the k-th of those kept so far is kept too, and when the buffer is full it is
 * sorted and cut to k. Few elements of a long row get so far. A long row is read in parts by the team, and the parts'
 * results as a row of their own; the parts depend on the length and k alone. */
#include "kernels/keys.h"
#include "kernels/kernels.h"

/* To measure: ./dev bench tensor topk. */
#define BLOCK      64
#define PART       65536
#define MOST_PARTS 32
#define TINY       128
#define FEW        16 /* kept in order */

typedef struct top_job {
  peri_dtype dtype;
  uint64_t flip;
  int64_t rows, n, k, step;
  const char *x;
  char *y;
  int64_t *index;
  peri_item *items; /* two rooms for each worker; of a long row for each part */
  int64_t room, worker_step;
  int64_t part, parts;
} top_job;

/* Between cuts as many are kept again, and some more. */
static int64_t room_for(int64_t n, int64_t k) { return peri_min(n, 4 * k + 4 * BLOCK) + BLOCK; }

typedef struct buffer {
  int64_t count, k, room;
  bool full; /* k are kept, and `last` is the key of the last */
  uint64_t last;
  int bits;
  peri_item *items, *spare;
} buffer;

static void cut(buffer *b) {
  peri_sort_items(b->count, b->bits, b->items, b->spare);
  b->count = peri_min(b->count, b->k);
  b->full = b->count == b->k;
  if (b->full) b->last = b->items[b->k - 1].key;
}

/* Items come in order of position, so that those equal to the last come after it. */
static void offer(buffer *b, int64_t count, const uint64_t *keys, int64_t first) {
  int64_t better = 0;
  for (int64_t j = 0; j < count; j++) better += keys[j] < b->last;
  if (b->full && better == 0) return;
  if (b->count + count > b->room) cut(b);
  for (int64_t j = 0; j < count; j++) {
    if (!b->full || keys[j] < b->last) b->items[b->count++] = (peri_item){keys[j], first + j};
  }
  if (!b->full && b->count >= 2 * b->k) cut(b); /* from then on little is kept */
}

/* The same of few, which are kept in order. */
static void insert(buffer *b, int64_t count, const uint64_t *keys, int64_t first) {
  int64_t better = 0;
  for (int64_t j = 0; j < count; j++) better += keys[j] < b->last;
  if (b->full && better == 0) return;
  for (int64_t j = 0; j < count; j++) {
    if (b->full && keys[j] >= b->last) continue;
    int64_t at = b->full ? b->k - 1 : b->count++;
    for (; at > 0 && keys[j] < b->items[at - 1].key; at--) b->items[at] = b->items[at - 1];
    b->items[at] = (peri_item){keys[j], first + j};
    b->full = b->count == b->k;
    if (b->full) b->last = b->items[b->k - 1].key;
  }
}

static buffer open_buffer(const top_job *job, peri_item *items) {
  int bits = peri_key_is_short(job->dtype) ? 32 : 64;
  return (buffer){.k = job->k, .room = job->room, .bits = bits, .items = items, .spare = items + job->room};
}

/* The first k of elements from .. to of a row, at the beginning of the buffer, in order. */
static void read_row(const top_job *job, const void *x, int64_t from, int64_t to, buffer *b) {
  uint64_t keys[BLOCK];
  bool ordered = b->k <= FEW && to - from > BLOCK;
  for (int64_t i = from; i < to; i += BLOCK) {
    int64_t count = peri_min(BLOCK, to - i);
    peri_keys(job->dtype, count, x, i, job->flip, keys);
    (ordered ? insert : offer)(b, count, keys, i);
  }
  cut(b);
}

static void put(const top_job *job, const char *x, const peri_item *items, int64_t r) {
  size_t size = peri_key_size(job->dtype);
  for (int64_t j = 0; j < job->k; j++) {
    memcpy(job->y + (size_t)(r * job->k + j) * size, x + (size_t)items[j].from * size, size);
    job->index[r * job->k + j] = items[j].from;
  }
}

static void top_piece(void *arg, int64_t piece) {
  const top_job *job = arg;
  for (int64_t r = piece * job->step; r < peri_min((piece + 1) * job->step, job->rows); r++) {
    const char *x = job->x + (size_t)(r * job->n) * peri_key_size(job->dtype);
    buffer b = open_buffer(job, job->items + peri_worker() * job->worker_step);
    read_row(job, x, 0, job->n, &b);
    put(job, x, b.items, r);
  }
}

/* ---- a long row ---- */

static void top_part(void *arg, int64_t part) {
  const top_job *job = arg;
  buffer b = open_buffer(job, job->items + part * 2 * job->room);
  read_row(job, job->x, part * job->part, peri_min((part + 1) * job->part, job->n), &b);
}

/* The parts' items, in order of position where they are equal, sorted as one row. */
static void join_parts(const top_job *job, peri_item *joined, peri_item *spare) {
  int64_t count = 0;
  for (int64_t part = 0; part < job->parts; part++) {
    int64_t own = peri_min(job->k, peri_min(job->part, job->n - part * job->part));
    memcpy(joined + count, job->items + part * 2 * job->room, (size_t)own * sizeof *joined);
    count += own;
  }
  peri_sort_items(count, peri_key_is_short(job->dtype) ? 32 : 64, joined, spare);
}

static peri_status top_long_rows(peri_context *context, top_job *job) {
  job->parts = peri_min(MOST_PARTS, (job->n + PART - 1) / PART);
  job->part = (job->n + job->parts - 1) / job->parts;
  job->parts = (job->n + job->part - 1) / job->part;
  job->room = room_for(job->part, job->k);
  size_t count = (size_t)(job->parts * 2 * (job->room + job->k));
  void *memory;
  PERI_TRY(peri_alloc_array(context, count, sizeof(peri_item), &memory));
  job->items = memory;
  peri_item *joined = job->items + job->parts * 2 * job->room;
  peri_status status = PERI_OK;
  for (int64_t r = 0; r < job->rows && status == PERI_OK; r++) {
    status = peri_parallel(context, job->parts, top_part, job);
    if (status != PERI_OK) break;
    join_parts(job, joined, joined + job->parts * job->k);
    put(job, job->x, joined, 0);
    job->x += (size_t)job->n * peri_key_size(job->dtype);
    job->y += (size_t)job->k * peri_key_size(job->dtype);
    job->index += job->k;
  }
  peri_free(context, memory, count * sizeof(peri_item));
  return status;
}

/* Of a long row a good deal: it is sorted. */
static peri_status top_by_sorting(peri_context *context, const top_job *job) {
  size_t size = peri_key_size(job->dtype);
  void *memory;
  PERI_TRY(peri_alloc_array(context, (size_t)job->n, sizeof(int64_t) + size, &memory));
  int64_t *index = memory;
  char *values = (char *)(index + job->n);
  peri_status status = PERI_OK;
  for (int64_t r = 0; r < job->rows && status == PERI_OK; r++) {
    status = peri_sort_rows(context, job->dtype, 1, job->n, job->flip != 0, job->x + (size_t)(r * job->n) * size,
                            values, index);
    memcpy(job->y + (size_t)(r * job->k) * size, values, (size_t)job->k * size);
    memcpy(job->index + r * job->k, index, (size_t)job->k * sizeof *index);
  }
  peri_free(context, memory, (size_t)job->n * (sizeof(int64_t) + size));
  return status;
}

peri_status peri_top_rows(peri_context *context, peri_dtype dtype, int64_t rows, int64_t n, int64_t k, bool largest,
                          const void *x, void *y, int64_t *index) {
  if (rows == 0 || k == 0) return PERI_OK;
  top_job job = {
      .dtype = dtype,
      .flip = largest ? peri_key_mask(dtype) : 0,
      .rows = rows,
      .n = n,
      .k = k,
      .step = peri_max(1, PART / 16 / n),
      .x = x,
      .y = y,
      .index = index,
      .room = room_for(n, k),
  };
  if (n > PART) {
    return k <= n / (8 * MOST_PARTS) ? top_long_rows(context, &job) : top_by_sorting(context, &job);
  }
  if (n <= TINY && rows <= job.step) {
    peri_item tiny[2 * (TINY + BLOCK)];
    job.items = tiny; /* no team, so whatever worker calls this has the buffer for itself */
    top_piece(&job, 0);
    return PERI_OK;
  }
  job.worker_step = 2 * job.room;
  size_t room = (size_t)context->threads * (size_t)job.worker_step;
  void *items;
  PERI_TRY(peri_alloc_array(context, room, sizeof(peri_item), &items));
  job.items = items;
  peri_status status = peri_parallel(context, (rows + job.step - 1) / job.step, top_piece, &job);
  peri_free(context, items, room * sizeof(peri_item));
  return status;
}
