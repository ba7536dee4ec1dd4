/* Storages and tensors: making, viewing, releasing. */
#include "tensor/tensor.h"
#include "base/memory.h"
#include "kernels/kernels.h"
#include "kernels/turn.h"

#include <math.h>
#include <stdio.h>

/* A new tensor stands in the block of its storage: storage, tensor, elements. Views are blocks of
 * their own, and the first tensor's place lasts as long as the storage. */
typedef struct peri_first {
  peri_storage storage;
  peri_tensor tensor;
} peri_first;
#define FEW_BYTES   ((size_t)1 << 17) /* filled at once */
#define FIRST_BYTES ((sizeof(peri_first) + 63) / 64 * 64)

static const struct {
  const char *name;
  size_t size;
} dtypes[PERI_SOURCE_DTYPES] = {
    [PERI_FLOAT32] = {"float32", 4}, [PERI_FLOAT64] = {"float64", 8}, [PERI_INT64] = {"int64", 8},
    [PERI_UINT8] = {"uint8", 1},     [PERI_BOOL] = {"bool", 1},       [PERI_INT16] = {"int16", 2},
    [PERI_INT32] = {"int32", 4},     [PERI_UINT16] = {"uint16", 2},   [PERI_FLOAT16] = {"float16", 2},
};

const char *peri_dtype_name(peri_dtype dtype) { return dtypes[dtype].name; }
size_t peri_dtype_size(peri_dtype dtype) { return dtypes[dtype].size; }

/* ---- layouts ---- */

const char *peri_shape_text(int ndim, const int64_t *shape, char *buffer) {
  size_t used = 0;
  if (ndim == 0) return strcpy(buffer, "0-d");
  for (int d = 0; d < ndim && used < PERI_SHAPE_TEXT; d++) {
    used += (size_t)snprintf(buffer + used, PERI_SHAPE_TEXT - used, d == 0 ? "%lld" : "x%lld", (long long)shape[d]);
  }
  return buffer;
}

#define SMALL_SIZE ((uint64_t)1 << 28)

/* Messages are made out of the way of the loop that every operation runs. */
static peri_status refuse_layout(peri_context *context, const char *operation, const peri_layout *layout) {
  char text[PERI_SHAPE_TEXT];
  for (int d = layout->ndim - 1; d >= 0; d--) {
    if (layout->shape[d] >= 0) continue;
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: size %lld of dimension %d is negative", operation,
                     (long long)layout->shape[d], d + 1);
  }
  return peri_fail(context, PERI_ERR_MEMORY, "%s: out of memory: shape %s of %s has too many elements", operation,
                   peri_shape_text(layout->ndim, layout->shape, text), dtypes[layout->dtype].name);
}

peri_status peri_layout_contiguous(peri_context *context, const char *operation, peri_layout *layout) {
  int64_t stride = 1, bytes;
  bool empty = false, refused = false; /* an empty tensor may have large sizes elsewhere */
  layout->offset = 0;
  if (layout->ndim <= 2) { /* small vectors and matrices, whose count cannot overflow */
    int64_t columns = layout->ndim > 0 ? layout->shape[layout->ndim - 1] : 1;
    int64_t rows = layout->ndim == 2 ? layout->shape[0] : 1;
    if ((uint64_t)(columns - 1) < SMALL_SIZE && (uint64_t)(rows - 1) < SMALL_SIZE) {
      layout->strides[0] = layout->ndim == 2 ? columns : 1;
      layout->strides[1] = 1;
      layout->numel = rows * columns;
      return PERI_OK;
    }
  }
  for (int d = layout->ndim - 1; d >= 0; d--) {
    int64_t size = layout->shape[d];
    layout->strides[d] = stride;
    empty |= size == 0;
    refused |= size < 0 || __builtin_mul_overflow(stride, size == 0 ? 1 : size, &stride);
  }
  layout->numel = empty ? 0 : stride;
  refused |= __builtin_mul_overflow(stride, (int64_t)dtypes[layout->dtype].size, &bytes) || bytes > INT64_MAX / 2;
  return refused ? refuse_layout(context, operation, layout) : PERI_OK;
}

void peri_layout_set(peri_layout *layout, peri_dtype dtype, int ndim, const int64_t *shape) {
  layout->dtype = dtype;
  layout->ndim = ndim;
  layout->offset = 0;
  int64_t stride = 1, numel = 1;
  for (int d = ndim - 1; d >= 0; d--) {
    layout->shape[d] = shape[d];
    layout->strides[d] = stride;
    stride *= peri_max(shape[d], 1);
    numel *= shape[d];
  }
  layout->numel = numel;
}

bool peri_layout_is_contiguous(const peri_layout *layout) {
  if (layout->numel == 0) return true;
  int64_t stride = 1;
  for (int d = layout->ndim - 1; d >= 0; d--) {
    if (layout->shape[d] != 1 && layout->strides[d] != stride) return false;
    stride *= layout->shape[d];
  }
  return true;
}

/* ---- storages and tensors ---- */

static void storage_release(peri_storage *storage) {
  if (--storage->references > 0) return;
  peri_context *context = storage->context;
  if (storage->packed != NULL) peri_packed_drop(storage);
  if (storage->deleter != NULL) storage->deleter(storage->data, storage->user);
  peri_free(context, storage, storage->block_bytes);
  peri_context_drop(context);
}

static void set_tensor(peri_tensor *tensor, peri_storage *storage, const peri_layout *layout) {
  tensor->references = 1;
  tensor->storage = storage;
  tensor->data = storage->data + layout->offset * (int64_t)dtypes[layout->dtype].size;
  tensor->contiguous = peri_layout_is_contiguous(layout);
  tensor->requires_grad = tensor->base_requires_grad = tensor->known = tensor->first = false;
  tensor->output = 0;
  tensor->layout = *layout;
  tensor->node = NULL;
  tensor->grad = tensor->incoming = NULL;
  tensor->hooks = NULL;
}

/* A further tensor over a storage. */
static peri_status tensor_over(peri_storage *storage, const peri_layout *layout, peri_tensor **out) {
  void *block;
  PERI_TRY(peri_alloc(storage->context, sizeof(peri_tensor), &block));
  storage->references++;
  *out = block;
  set_tensor(*out, storage, layout);
  return PERI_OK;
}

/* A storage with its first tensor. data NULL: the elements stand behind them, in the same block. */
static peri_status first_tensor(peri_context *context, const peri_layout *layout, void *data, peri_tensor **out) {
  void *block;
  size_t bytes = 0;
  if (data == NULL && (__builtin_mul_overflow((size_t)layout->numel, dtypes[layout->dtype].size, &bytes) ||
                       bytes > PTRDIFF_MAX - FIRST_BYTES)) {
    char text[PERI_SHAPE_TEXT];
    return peri_fail_memory(context, "out of memory: a tensor %s of %s has too many elements",
                            dtypes[layout->dtype].name, peri_shape_text(layout->ndim, layout->shape, text));
  }
  bytes += FIRST_BYTES;
  PERI_TRY(peri_alloc(context, bytes, &block));
  peri_first *first = block;
  first->storage =
      (peri_storage){.references = 1, .data = data == NULL ? (char *)block + FIRST_BYTES : data, .block_bytes = bytes};
  first->storage.number = peri_context_add_storage(context, &first->storage.context);
  set_tensor(&first->tensor, &first->storage, layout);
  first->tensor.first = true;
  *out = &first->tensor;
  return PERI_OK;
}

peri_status peri_tensor_empty(peri_context *context, const peri_layout *layout, peri_tensor **out) {
  return first_tensor(context, layout, NULL, out);
}

peri_status peri_tensor_shaped(peri_context *context, const char *operation, peri_dtype dtype, int ndim,
                               const int64_t *shape, peri_tensor **out) {
  peri_layout layout = {.dtype = dtype, .ndim = ndim};
  for (int d = 0; d < ndim; d++) layout.shape[d] = shape[d];
  PERI_TRY(peri_layout_contiguous(context, operation, &layout));
  return peri_tensor_empty(context, &layout, out);
}

peri_status peri_tensor_new(peri_context *context, peri_dtype dtype, int ndim, const int64_t *shape,
                            peri_tensor **out) {
  peri_layout layout = {.dtype = dtype, .ndim = ndim};
  *out = NULL;
  if (ndim < 0 || ndim > PERI_MAX_DIMS) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "tensor: %d dimensions (expected 0 to %d)", ndim, PERI_MAX_DIMS);
  }
  if ((int)dtype < 0 || dtype >= PERI_SOURCE_DTYPES) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "tensor: unknown dtype %d", (int)dtype);
  }
  if (dtype >= PERI_DTYPES) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "tensor: dtype is %s, which only lent memory has", dtypes[dtype].name);
  }
  if (ndim > 0) memcpy(layout.shape, shape, (size_t)ndim * sizeof *shape);
  PERI_TRY(peri_layout_contiguous(context, "tensor", &layout));
  return peri_tensor_full(context, &layout, 0, out);
}

/* The strides of a loan: none is negative, the bytes can be counted, and where it may be written to, no two elements
 * share memory. */
static peri_status lay_strides(peri_context *context, const int64_t *strides, bool read_only, peri_layout *layout) {
  int64_t last = 0, at;
  for (int d = 0; d < layout->ndim && layout->numel > 0; d++) {
    if (strides[d] < 0)
      return peri_fail(context, PERI_ERR_ARGUMENT, "tensor: stride %d is %lld (expected 0 or more)", d + 1,
                       (long long)strides[d]);
    if (__builtin_mul_overflow(layout->shape[d] - 1, strides[d], &at) || __builtin_add_overflow(last, at, &last) ||
        last > PTRDIFF_MAX / 16)
      return peri_fail(context, PERI_ERR_ARGUMENT, "tensor: strides reach beyond all memory");
  }
  int order[PERI_MAX_DIMS], n = 0; /* ascending by stride */
  for (int d = 0; d < layout->ndim; d++) {
    layout->strides[d] = strides[d];
    if (layout->shape[d] < 2) continue;
    int place = n++;
    for (; place > 0 && strides[order[place - 1]] > strides[d]; place--) order[place] = order[place - 1];
    order[place] = d;
  }
  int64_t reach = 1; /* elements from the first to the last of the dimensions so far */
  for (int i = 0; i < n && !read_only && layout->numel > 0; i++) {
    if (strides[order[i]] < reach)
      return peri_fail(context, PERI_ERR_ARGUMENT,
                       "tensor: elements of the loan share memory (expected read_only, or other strides)");
    reach += (layout->shape[order[i]] - 1) * strides[order[i]];
  }
  return PERI_OK;
}

static peri_status borrow(peri_context *context, peri_dtype dtype, int ndim, const int64_t *shape,
                          const int64_t *strides, bool read_only, void *data, void (*deleter)(void *data, void *user),
                          void *user, peri_tensor **out) {
  peri_layout layout = {.dtype = dtype, .ndim = ndim};
  peri_status status = PERI_OK;
  *out = NULL;
  if (ndim < 0 || ndim > PERI_MAX_DIMS) {
    status = peri_fail(context, PERI_ERR_ARGUMENT, "tensor: %d dimensions (expected 0 to %d)", ndim, PERI_MAX_DIMS);
  } else if ((int)dtype < 0 || dtype >= PERI_SOURCE_DTYPES) {
    status = peri_fail(context, PERI_ERR_ARGUMENT, "tensor: unknown dtype %d", (int)dtype);
  } else if (data == NULL) {
    status = peri_fail(context, PERI_ERR_ARGUMENT, "tensor: lent memory is NULL");
  } else if ((uintptr_t)data % dtypes[dtype].size != 0) {
    status = peri_fail(context, PERI_ERR_ARGUMENT, "tensor: lent memory at %p is not aligned for %s", data,
                       dtypes[dtype].name);
  } else {
    if (ndim > 0) memcpy(layout.shape, shape, (size_t)ndim * sizeof *shape);
    status = peri_layout_contiguous(context, "tensor", &layout);
    if (status == PERI_OK && strides != NULL) status = lay_strides(context, strides, read_only, &layout);
  }
  if (status == PERI_OK) status = first_tensor(context, &layout, data, out);
  if (status != PERI_OK) {
    if (deleter != NULL) deleter(data, user);
    return status;
  }
  peri_storage *storage = (*out)->storage;
  storage->deleter = deleter;
  storage->user = user;
  storage->lent = storage->exposed = true;
  storage->read_only = read_only;
  storage->barred = dtype >= PERI_DTYPES ? PERI_SOURCE : 0;
  return PERI_OK;
}

peri_status peri_tensor_lend(peri_context *context, peri_dtype dtype, int ndim, const int64_t *shape, void *data,
                             void (*deleter)(void *data, void *user), void *user, peri_tensor **out) {
  return borrow(context, dtype, ndim, shape, NULL, false, data, deleter, user, out);
}

peri_status peri_tensor_borrow(peri_context *context, const peri_loan *loan, peri_tensor **out) {
  *out = NULL;
  if (loan->size != sizeof *loan)
    return peri_fail(context, PERI_ERR_ARGUMENT, "tensor: the loan's size is %zu (expected sizeof(peri_loan), %zu)",
                     loan->size, sizeof *loan);
  return borrow(context, loan->dtype, loan->ndim, loan->shape, loan->strides, loan->read_only != 0, (void *)loan->data,
                loan->deleter, loan->user, out);
}

peri_status peri_tensor_revoke(peri_tensor *tensor) {
  peri_storage *storage = tensor->storage;
  if (!storage->lent)
    return peri_fail(storage->context, PERI_ERR_ARGUMENT, "tensor: its memory was not lent, and cannot be taken back");
  if (storage->barred == PERI_REVOKED) return PERI_OK;
  void (*deleter)(void *data, void *user) = storage->deleter;
  storage->deleter = NULL;
  storage->barred = PERI_REVOKED;
  storage->version++; /* graphs over it have lost what they saved */
  if (storage->packed != NULL) peri_packed_drop(storage);
  if (deleter != NULL) deleter(storage->data, storage->user);
  return PERI_OK;
}

peri_status peri_tensor_refuse(const peri_tensor *x, const char *operation, const char *name) {
  if (x->storage->barred == PERI_SOURCE)
    return peri_fail(peri_tensor_context(x), PERI_ERR_ARGUMENT, "%s: " PERI_SOURCE_TEXT, operation, name,
                     dtypes[x->layout.dtype].name, name);
  if (x->storage->barred == PERI_REVOKED)
    return peri_fail(peri_tensor_context(x), PERI_ERR_STATE, "%s: " PERI_REVOKED_TEXT, operation, name);
  return peri_fail(peri_tensor_context(x), PERI_ERR_STATE,
                   "%s: the memory of %s was lent to be read alone (a clone can be written to)", operation, name);
}

peri_status peri_tensor_view(peri_tensor *base, const peri_layout *layout, peri_tensor **out) {
  PERI_TRY(tensor_over(base->storage, layout, out));
  (*out)->base_requires_grad = base->requires_grad || base->base_requires_grad;
  return PERI_OK;
}

int64_t peri_tensor_offset(const peri_tensor *x) {
  return (x->data - x->storage->data) / (int64_t)dtypes[x->layout.dtype].size;
}

peri_status peri_tensor_detach(peri_tensor *x, peri_tensor **out) {
  peri_layout layout = x->layout;
  layout.offset = peri_tensor_offset(x);
  return tensor_over(x->storage, &layout, out);
}

peri_tensor *peri_tensor_retain(peri_tensor *tensor) {
  tensor->references++;
  return tensor;
}

/* A gradient may have a gradient, and so on: a loop, because a script decides how far. */
void peri_tensor_release(peri_tensor **tensor) {
  peri_tensor *x = *tensor;
  *tensor = NULL;
  while (x != NULL && --x->references == 0) {
    peri_storage *storage = x->storage;
    peri_tensor *grad = x->grad;
    if (x->node != NULL) peri_computed_release(storage->context, x->node);
    if (x->hooks != NULL) peri_hooks_drop(&x->hooks);
    if (!x->first) peri_free(storage->context, x, sizeof *x);
    storage_release(storage);
    x = grad;
  }
}

peri_dtype peri_tensor_dtype(const peri_tensor *tensor) { return tensor->layout.dtype; }
int peri_tensor_ndim(const peri_tensor *tensor) { return tensor->layout.ndim; }
const int64_t *peri_tensor_shape(const peri_tensor *tensor) { return tensor->layout.shape; }
const int64_t *peri_tensor_strides(const peri_tensor *tensor) { return tensor->layout.strides; }
int64_t peri_tensor_numel(const peri_tensor *tensor) { return tensor->layout.numel; }
bool peri_tensor_is_contiguous(const peri_tensor *tensor) { return tensor->contiguous; }
void *peri_tensor_data(peri_tensor *tensor) {
  if (tensor->storage->barred == PERI_REVOKED) return NULL;
  peri_refuse_replay(tensor->storage->context, "the host is given a tensor's memory");
  tensor->storage->exposed = true;
  if (tensor->storage->packed != NULL) peri_packed_drop(tensor->storage);
  return tensor->data;
}

/* ---- hooks ---- */

void peri_hook_add(peri_hook **list, peri_hook *hook) {
  hook->owner = list;
  hook->next = NULL;
  hook->references++;
  while (*list != NULL) list = &(*list)->next;
  *list = hook;
}

void peri_hook_remove(peri_hook *hook) {
  peri_hook **place = hook->owner;
  if (place == NULL) return;
  while (*place != hook) place = &(*place)->next;
  *place = hook->next;
  hook->owner = NULL;
  peri_hook_release(hook);
}

void peri_hooks_drop(peri_hook **list) {
  while (*list != NULL) peri_hook_remove(*list);
}

/* ---- copies ---- */

typedef struct conversion {
  peri_loop1 loop;
} conversion;

static void convert_row(void *arg, int64_t n, char *const *data, const ptrdiff_t *strides) {
  ((conversion *)arg)->loop(n, data[0], strides[0], data[1], strides[1]);
}

peri_status peri_tensor_full(peri_context *context, const peri_layout *layout, double value, peri_tensor **out) {
  PERI_TRY(peri_tensor_empty(context, layout, out));
  peri_view *x = &(*out)->view;
  size_t bytes = (size_t)layout->numel * dtypes[layout->dtype].size;
  if (value == 0 && bytes < FEW_BYTES) {
    memset(x->data, 0, bytes);
    return PERI_OK;
  }
  double element;
  peri_store_number(layout->dtype, &element, value);
  conversion job = {context->kernels->elementwise->convert[layout->dtype][layout->dtype]};
  peri_iterator it;
  peri_iterator_open(&it, layout->ndim, layout->shape, 2, (const peri_view *[]){x, NULL});
  peri_iterator_scalar(&it, 1, &element);
  peri_status status = peri_iterate(context, &it, convert_row, &job);
  if (status != PERI_OK) peri_tensor_release(out);
  return status;
}

/* A copy of which the target's rows are columns of the source: dimensions 0 and `across` of the iterator are matrices
 * that are turned, and pieces are parts of one, or several. */
typedef struct turning {
  peri_iterator it;
  int across;
  int64_t matrices, several; /* all, and of a piece */
  int64_t blocks, step;      /* of a matrix: its pieces, and their rows */
} turning;

#define LEAST_SIDE 8
#define TURN_GRAIN 32768

/* The dimension along which the source's elements lie side by side, or -1. */
static int dimension_across(const peri_iterator *it, ptrdiff_t size) {
  if (size < 4 || it->ndim < 2 || it->shape[0] < LEAST_SIDE || it->strides[0][0] != size) return -1;
  for (int d = 1; d < it->ndim && it->strides[1][0] != size; d++) {
    if ((it->strides[1][d] == size || it->strides[1][d] == -size) && it->shape[d] >= LEAST_SIDE) return d;
  }
  return -1;
}

static void turn_piece(void *arg, int64_t piece) {
  const turning *t = arg;
  const peri_iterator *it = &t->it;
  int64_t first = piece / t->blocks * t->several, row = piece % t->blocks * t->step;
  int64_t rows = peri_min(t->step, it->shape[t->across] - row);
  for (int64_t m = first; m < peri_min(first + t->several, t->matrices); m++) {
    char *to = it->data[0] + row * it->strides[0][t->across], *from = it->data[1] + row * it->strides[1][t->across];
    int64_t rest = m;
    for (int d = 1; d < it->ndim; d++) {
      if (d == t->across) continue;
      to += rest % it->shape[d] * it->strides[0][d];
      from += rest % it->shape[d] * it->strides[1][d];
      rest /= it->shape[d];
    }
    peri_turn(rows, it->shape[0], (size_t)it->strides[0][0], to, it->strides[0][t->across], from, it->strides[1][0]);
  }
}

static peri_status turn(peri_context *context, turning *t) {
  peri_iterator *it = &t->it;
  int64_t rows = it->shape[t->across], matrix = rows * it->shape[0];
  if (it->strides[1][t->across] < 0) { /* rows from the last to the first */
    for (int o = 0; o < 2; o++) {
      it->data[o] += (rows - 1) * it->strides[o][t->across];
      it->strides[o][t->across] *= -1;
    }
  }
  t->matrices = it->numel / matrix;
  t->several = peri_max(1, TURN_GRAIN / matrix);
  t->step = (peri_even_step(rows, peri_max(1, TURN_GRAIN / it->shape[0])) + 15) / 16 * 16;
  t->blocks = (rows - 1) / t->step + 1;
  return peri_parallel(context, ((t->matrices - 1) / t->several + 1) * t->blocks, turn_piece, t);
}

peri_status peri_view_copy_into(peri_context *context, const peri_view *target, const peri_view *source) {
  if (source->layout.dtype >= PERI_DTYPES) return peri_source_copy_into(context, target, source);
  conversion job = {context->kernels->elementwise->convert[source->layout.dtype][target->layout.dtype]};
  peri_iterator iterator;
  int last = target->layout.ndim - 1;
  bool scattered = last > 0 && source->layout.ndim == last + 1 && source->layout.strides[last] != 1;
  if (scattered && source->layout.dtype == target->layout.dtype && target->layout.numel > 0) {
    turning t;
    peri_iterator_open_in_order(&t.it, target->layout.ndim, target->layout.shape, 2,
                                (const peri_view *[]){target, source});
    t.across = dimension_across(&t.it, (ptrdiff_t)dtypes[target->layout.dtype].size);
    if (t.across > 0) return turn(context, &t);
  }
  peri_iterator_open(&iterator, target->layout.ndim, target->layout.shape, 2, (const peri_view *[]){target, source});
  return peri_iterate(context, &iterator, convert_row, &job);
}

peri_status peri_view_copy(peri_context *context, const peri_view *x, peri_dtype dtype, peri_tensor **out) {
  peri_layout layout;
  peri_layout_set(&layout, dtype, x->layout.ndim, x->layout.shape);
  PERI_TRY(peri_tensor_empty(context, &layout, out));
  peri_status status = peri_view_copy_into(context, &(*out)->view, x);
  if (status != PERI_OK) peri_tensor_release(out);
  return status;
}

peri_status peri_view_contiguous(peri_context *context, const peri_view *x, const char **data, peri_tensor **own) {
  *own = NULL;
  if (!x->contiguous) PERI_TRY(peri_view_copy(context, x, x->layout.dtype, own));
  *data = *own != NULL ? (*own)->data : x->data;
  return PERI_OK;
}

peri_view peri_view_dimension_last(const peri_view *x, int64_t dim) {
  peri_view moved = *x;
  int last = x->layout.ndim - 1;
  if (dim >= last) return moved;
  for (int64_t d = dim; d < last; d++) {
    moved.layout.shape[d] = x->layout.shape[d + 1];
    moved.layout.strides[d] = x->layout.strides[d + 1];
  }
  moved.layout.shape[last] = x->layout.shape[dim];
  moved.layout.strides[last] = x->layout.strides[dim];
  moved.contiguous = peri_layout_is_contiguous(&moved.layout);
  return moved;
}

peri_status peri_tensor_copy_into(peri_tensor *target, const peri_tensor *source) {
  PERI_TRY(peri_tensor_check_write(target, "copy", "the target"));
  PERI_TRY(peri_tensor_check_read(source, "copy", "the source"));
  target->storage->version++;
  return peri_view_copy_into(peri_tensor_context(target), &target->view, &source->view);
}

peri_status peri_tensor_copy(peri_tensor *x, peri_dtype dtype, peri_tensor **out) {
  PERI_TRY(peri_tensor_check_read(x, "copy", "a tensor"));
  return peri_view_copy(peri_tensor_context(x), &x->view, dtype, out);
}

peri_status peri_tensor_contiguous(peri_tensor *x, peri_tensor **out) {
  PERI_TRY(peri_tensor_check_read(x, "copy", "a tensor"));
  if (!x->contiguous) return peri_tensor_copy(x, x->layout.dtype, out);
  *out = peri_tensor_retain(x);
  return PERI_OK;
}

peri_status peri_tensor_convert(peri_tensor *x, peri_dtype dtype, peri_tensor **out) {
  if (x->layout.dtype != dtype) return peri_tensor_copy(x, dtype, out);
  *out = peri_tensor_retain(x);
  return PERI_OK;
}

/* The bytes from the first to the last element, whatever the signs of the strides. */
static void extent(const peri_tensor *x, const char **low, const char **high) {
  int64_t size = (int64_t)dtypes[x->layout.dtype].size;
  *low = x->data;
  *high = x->data + size;
  for (int d = 0; d < x->layout.ndim; d++) {
    int64_t span = (x->layout.shape[d] - 1) * x->layout.strides[d] * size;
    if (span < 0) *low += span;
    if (span > 0) *high += span;
  }
}

bool peri_tensors_share(const peri_tensor *a, const peri_tensor *b) {
  if (a->storage != b->storage || a->layout.numel == 0 || b->layout.numel == 0) return false;
  const char *a_low, *a_high, *b_low, *b_high;
  extent(a, &a_low, &a_high);
  extent(b, &b_low, &b_high);
  return a_low < b_high && b_low < a_high;
}

bool peri_tensors_overlap(const peri_tensor *a, const peri_tensor *b) {
  if (a->storage != b->storage) return false;
  if (a->data == b->data && a->layout.dtype == b->layout.dtype && peri_same_shape(&a->layout, &b->layout) &&
      memcmp(a->layout.strides, b->layout.strides, (size_t)a->layout.ndim * sizeof(int64_t)) == 0) {
    return false; /* element for element */
  }
  return peri_tensors_share(a, b);
}

/* ---- single elements ---- */

double peri_load_number(peri_dtype dtype, const void *element) {
  switch (dtype) {
  case PERI_FLOAT32:
    return (double)*(const float *)element;
  case PERI_FLOAT64:
    return *(const double *)element;
  case PERI_INT64:
    return (double)*(const int64_t *)element;
  default:
    return (double)*(const uint8_t *)element;
  }
}

int64_t peri_load_integer(peri_dtype dtype, const void *element) {
  if (dtype == PERI_INT64) return *(const int64_t *)element;
  double value = peri_load_number(dtype, element);
  if (value >= -0x1p63 && value < 0x1p63) return (int64_t)value;
  return value > 0 ? INT64_MAX : value < 0 ? INT64_MIN : 0;
}

bool peri_number_fits(peri_dtype dtype, double value) {
  switch (dtype) {
  case PERI_FLOAT32:
    return isfinite((float)value) || !isfinite(value);
  case PERI_FLOAT64:
    return true;
  case PERI_INT64:
    return value == floor(value) && value >= -0x1p63 && value < 0x1p63;
  case PERI_UINT8:
    return value == floor(value) && value >= 0 && value <= 255;
  default:
    return value == 0 || value == 1;
  }
}

peri_status peri_tensor_find_unfit(peri_tensor *x, peri_dtype dtype, int64_t *at, double *value) {
  peri_refuse_replay(peri_tensor_context(x), "values of a tensor are checked outside operations");
  peri_tensor *own;
  PERI_TRY(peri_tensor_contiguous(x, &own));
  size_t size = peri_dtype_size(own->layout.dtype);
  *at = -1;
  for (int64_t i = 0; i < own->layout.numel && *at < 0; i++) {
    *value = peri_load_number(own->layout.dtype, own->data + (size_t)i * size);
    if (!peri_number_fits(dtype, *value)) *at = i;
  }
  peri_tensor_release(&own);
  return PERI_OK;
}

void peri_store_number(peri_dtype dtype, void *element, double value) {
  switch (dtype) {
  case PERI_FLOAT32:
    *(float *)element = (float)value;
    return;
  case PERI_FLOAT64:
    *(double *)element = value;
    return;
  case PERI_INT64:
    *(int64_t *)element = peri_load_integer(PERI_FLOAT64, &value);
    return;
  case PERI_UINT8:
    *(uint8_t *)element = value > 0 ? value < 255 ? (uint8_t)value : 255 : 0;
    return;
  default:
    *(uint8_t *)element = value != 0;
  }
}
