/* Memory of plans: their rooms and lists, the buffers that stand for storages, the shells that stand for tensors, and
 * the block that buffers share. */
#include "plan/parts.h"

#include "base/memory.h"

#include <stdlib.h>

/* ---- memory ---- */

#define FIRST_CHUNK ((size_t)1 << 12) /* the next are larger: a plan of a few steps is kept for each number of rows */
#define CHUNK       ((size_t)1 << 16)

void *peri_plan_no_memory(peri_plan *plan) {
  peri_refuse_recorder(&plan->recorder, "memory is short");
  return NULL;
}

void *peri_plan_room(peri_plan *plan, size_t bytes) {
  bytes = (bytes + 63) / 64 * 64;
  if (bytes == 0) bytes = 64;
  if (bytes > plan->left) {
    const size_t header = 64, before = plan->chunks == NULL ? 0 : plan->chunks->bytes;
    const size_t next = before == 0 ? FIRST_CHUNK : 2 * before < CHUNK ? 2 * before : CHUNK;
    const size_t all = header + (bytes > next ? bytes : next);
    void *block;
    if (peri_alloc(plan->context, all, &block) != PERI_OK) return peri_plan_no_memory(plan);
    peri_plan_chunk *chunk = block;
    *chunk = (peri_plan_chunk){plan->chunks, all};
    plan->chunks = chunk;
    plan->free = (char *)block + header;
    plan->left = all - header;
  }
  void *room = memset(plan->free, 0, bytes);
  plan->free += bytes;
  plan->left -= bytes;
  return room;
}

bool peri_plan_grow(peri_plan *plan, void **list, int n, int *room, size_t size) {
  if (n < *room) return true;
  const int more = *room == 0 ? 16 : 2 * *room;
  void *larger;
  if (peri_alloc_array(plan->context, (size_t)more, size, &larger) != PERI_OK) return peri_plan_no_memory(plan) != NULL;
  if (n > 0) memcpy(larger, *list, (size_t)n * size);
  if (*list != NULL) peri_free(plan->context, *list, (size_t)*room * size);
  *list = larger;
  *room = more;
  return true;
}
/* ---- buffers ---- */

peri_buffer *peri_plan_add_buffer(peri_plan *plan, peri_plan_place place) {
  peri_buffer *buffer = peri_plan_room(plan, sizeof *buffer);
  if (buffer == NULL || !PERI_PLAN_GROW(plan, buffers)) return NULL;
  buffer->place = place;
  buffer->first = plan->actions_n;
  plan->buffers[plan->buffers_n++] = buffer;
  return buffer;
}

static int *number_of(peri_plan *plan, const peri_storage *storage) {
  const int at = (int)(storage->number - plan->first - 1);
  while (plan->numbers_n <= at) {
    if (!peri_plan_grow(plan, (void **)&plan->by_number, plan->numbers_n, &plan->numbers_room, sizeof *plan->by_number))
      return NULL;
    plan->by_number[plan->numbers_n++] = 0;
  }
  return &plan->by_number[at];
}

peri_buffer *peri_plan_known(peri_plan *plan, const peri_storage *storage) {
  if (peri_plan_is_new(plan, storage)) {
    const int *number = number_of(plan, storage);
    return number == NULL || *number == 0 ? NULL : plan->buffers[*number - 1];
  }
  for (int i = 0; i < plan->buffers_n; i++) {
    peri_buffer *buffer = plan->buffers[i];
    if (buffer->at == storage) return buffer;
  }
  return NULL;
}

peri_buffer *peri_plan_new_buffer(peri_plan *plan, peri_tensor *x, peri_plan_place place) {
  int *number = number_of(plan, x->storage);
  peri_buffer *buffer = number == NULL ? NULL : peri_plan_add_buffer(plan, place);
  if (buffer == NULL) return NULL;
  *number_of(plan, x->storage) = plan->buffers_n;
  buffer->bytes = x->layout.numel * (int64_t)peri_dtype_size(x->layout.dtype);
  buffer->storage = (peri_storage){.references = 1, .context = plan->context};
  buffer->last = buffer->first;
  return buffer;
}

static peri_buffer *outside_buffer(peri_plan *plan, peri_tensor *x) {
  peri_tensor *held;
  if (peri_tensor_detach(x, &held) != PERI_OK) return peri_plan_no_memory(plan);
  peri_buffer *buffer = peri_plan_add_buffer(plan, PERI_PLAN_OUTSIDE);
  if (buffer == NULL) {
    peri_tensor_release(&held);
    return NULL;
  }
  buffer->held = held;
  buffer->at = x->storage;
  plan->borrows |= x->storage->lent;
  return buffer;
}

peri_buffer *peri_plan_buffer(peri_plan *plan, peri_tensor *x) {
  peri_buffer *buffer = peri_plan_known(plan, x->storage);
  if (buffer == NULL && !peri_plan_is_new(plan, x->storage)) buffer = outside_buffer(plan, x);
  if (buffer == NULL || buffer->place == PERI_PLAN_LOST) {
    peri_refuse_recorder(&plan->recorder, "a tensor is made in it of what the script holds, and not by an operation");
    return NULL;
  }
  return buffer;
}

/* ---- shells ---- */

static const char *base_of(const peri_buffer *buffer, const peri_tensor *x) {
  return buffer->place == PERI_PLAN_ARGUMENT ? buffer->base : x->storage->data;
}

peri_shell *peri_plan_shell(peri_plan *plan, const peri_tensor *x) {
  peri_buffer *buffer = peri_plan_buffer(plan, (peri_tensor *)(uintptr_t)x);
  if (buffer == NULL) return NULL;
  buffer->last = plan->actions_n;
  buffer->mentions++;
  const ptrdiff_t offset = x->data - base_of(buffer, x);
  for (peri_shell *shell = buffer->shells; shell != NULL; shell = shell->next) {
    if (shell->offset == offset && peri_same_place(&shell->tensor.layout, &x->layout)) return shell;
  }
  peri_shell *shell = peri_plan_room(plan, sizeof *shell);
  if (shell == NULL) return NULL;
  shell->buffer = buffer;
  shell->offset = offset;
  shell->tensor.references = 1;
  shell->tensor.layout = x->layout;
  shell->tensor.contiguous = x->contiguous;
  shell->tensor.storage = buffer->place == PERI_PLAN_OUTSIDE || buffer->place == PERI_PLAN_CONSTANT
                              ? buffer->held->storage
                              : &buffer->storage;
  shell->tensor.data = x->data;
  shell->next = buffer->shells;
  buffer->shells = shell;
  return shell;
}

void peri_shells_move(peri_buffer *buffer, peri_storage *storage, char *base) {
  for (peri_shell *shell = buffer->shells; shell != NULL; shell = shell->next) {
    shell->tensor.storage = storage;
    shell->tensor.data = base + shell->offset;
  }
}

/* ---- the block ---- */

/* Where lives do not meet, bytes are shared: the largest first, each at the lowest place that is free while it lives.
 * In joined steps a value may take the bytes of one that is read for the last time before it is made, block by block,
 * but these alone: each block in the place of its block. */
static int64_t room_of(const peri_buffer *buffer) { return (buffer->bytes + 63) / 64 * 64; }
static bool meet(const peri_buffer *a, const peri_buffer *b) { return a->first <= b->last && b->first <= a->last; }
static bool meet_in_joined(const peri_buffer *a, const peri_buffer *b) { return a->from <= b->to && b->from <= a->to; }

static bool stand_apart(const peri_buffer *placed, const peri_buffer *buffer, int64_t at) {
  if (at >= placed->offset + room_of(placed) || placed->offset >= at + room_of(buffer)) return true;
  if (meet(placed, buffer)) return false;
  if (!meet_in_joined(placed, buffer)) return true;
  return placed->even && buffer->even && at == placed->offset && placed->bytes == buffer->bytes;
}

static int by_size(const void *a, const void *b) {
  const peri_buffer *x = *(peri_buffer *const *)a, *y = *(peri_buffer *const *)b;
  return x->bytes != y->bytes ? (x->bytes < y->bytes ? 1 : -1) : x->first - y->first;
}

static void place_buffer(peri_buffer *const *placed, int n, peri_buffer *buffer) {
  int64_t at = 0;
  for (bool moved = true; moved;) {
    moved = false;
    for (int i = 0; i < n; i++) {
      const peri_buffer *other = placed[i];
      if (stand_apart(other, buffer, at)) continue;
      at = other->offset + room_of(other);
      moved = true;
    }
  }
  buffer->offset = at;
}

/* Whether it lies in the block. */
static bool is_shared(const peri_buffer *buffer) {
  return buffer->place == PERI_PLAN_INSIDE && !buffer->fresh && !buffer->in_blocks;
}

bool peri_plan_lay_out(peri_plan *plan) {
  void *block;
  int n = 0;
  if (peri_alloc_array(plan->context, (size_t)plan->buffers_n + 1, sizeof(peri_buffer *), &block) != PERI_OK)
    return peri_plan_no_memory(plan) != NULL;
  peri_buffer **list = block;
  for (int i = 0; i < plan->buffers_n; i++) {
    peri_buffer *buffer = plan->buffers[i];
    if (is_shared(buffer)) list[n++] = buffer;
  }
  qsort(list, (size_t)n, sizeof *list, by_size);
  plan->block_bytes = 0;
  for (int i = 0; i < n; i++) {
    place_buffer(list, i, list[i]);
    plan->block_bytes = peri_max(plan->block_bytes, list[i]->offset + room_of(list[i]));
  }
  peri_free(plan->context, block, ((size_t)plan->buffers_n + 1) * sizeof(peri_buffer *));
  return true;
}

void peri_plan_share(peri_plan *plan) {
  void *shared = NULL;
  if (plan->block_bytes > 0 && peri_alloc(plan->context, (size_t)plan->block_bytes, &shared) != PERI_OK)
    peri_plan_no_memory(plan);
  plan->block = shared;
  for (int i = 0; i < plan->buffers_n && shared != NULL; i++) {
    peri_buffer *buffer = plan->buffers[i];
    if (!is_shared(buffer)) continue;
    buffer->storage.data = plan->block + buffer->offset;
    peri_shells_move(buffer, &buffer->storage, buffer->storage.data);
  }
}
