/* Different elements, or slices along a dimension: of all, in sorted order, or of runs of equal ones. */
#include "ops/ops.h"
#include "ops/rows.h"
#include "kernels/kernels.h"
#include "kernels/keys.h"

enum { VALUES, INVERSE, COUNTS }; /* outputs */

/* Argument `first` asks for the inverse, then counts, then the dimension. */
static int first_option(const peri_op *op) { return op->id == 1 ? 1 : 2; }

static peri_status infer_unique(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  int at = first_option(call->op), dim = 0;
  if (call->args[at + 2].given) PERI_TRY(peri_infer_dim(call, at + 2, x->ndim, &dim));
  call->note[0] = dim;
  call->outputs[VALUES].layout.dtype = x->dtype;
  call->outputs[INVERSE].layout.dtype = call->outputs[COUNTS].layout.dtype = PERI_INT64;
  call->outputs[INVERSE].unwanted = !call->args[at].integer;
  call->outputs[COUNTS].unwanted = !call->args[at + 1].integer;
  return PERI_OK;
}

/* n slices of m elements, one behind the other, and an order of them. */
typedef struct slices {
  peri_dtype dtype;
  size_t size;
  int64_t n, m;
  const char *x;
  int64_t *order, *spare;
  const char *sequence; /* single elements in that order, or NULL */
} slices;

/* Below 0, 0 or above as slice a stands before b, is the same, or stands after it; NaN is the largest, and one. */
static int compare_elements(const slices *s, const char *a, const char *b) {
  if (s->dtype == PERI_INT64) {
    int64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
  }
  double x = peri_load_number(s->dtype, a), y = peri_load_number(s->dtype, b);
  if (x != x || y != y) return (x != x) - (y != y);
  return (x > y) - (x < y);
}
static int compare(const slices *s, int64_t a, int64_t b) {
  const char *x = s->x + (size_t)(a * s->m) * s->size, *y = s->x + (size_t)(b * s->m) * s->size;
  int order = 0;
  for (int64_t i = 0; i < s->m && order == 0; i++, x += s->size, y += s->size) order = compare_elements(s, x, y);
  return order;
}

/* Merges runs of growing length, so that equal slices keep their order. */
static peri_status sort_slices(peri_context *context, slices *s) {
  for (int64_t run = 1; run < s->n; run *= 2) {
    PERI_TRY(peri_check_cancel(context));
    for (int64_t first = 0; first < s->n; first += 2 * run) {
      int64_t i = first, middle = peri_min(first + run, s->n), j = middle, end = peri_min(first + 2 * run, s->n);
      for (int64_t k = first; k < end; k++) {
        bool second = i == middle || (j < end && compare(s, s->order[j], s->order[i]) < 0);
        s->spare[k] = s->order[second ? j++ : i++];
      }
    }
    int64_t *swap = s->order;
    s->order = s->spare;
    s->spare = swap;
  }
  return PERI_OK;
}

/* The order in which equal slices stand side by side: sorted, or as they are. */
static peri_status find_order(peri_call *call, slices *s, void *sorted) {
  if (s->m == 1) s->sequence = call->op->id == 1 ? s->x : sorted;
  if (s->m != 1 || call->op->id == 1) {
    for (int64_t i = 0; i < s->n; i++) s->order[i] = i;
    return call->op->id == 1 ? PERI_OK : sort_slices(call->context, s);
  }
  return peri_sort_rows(call->context, s->dtype, 1, s->n, false, s->x, sorted, s->order);
}

/* Of elements, which stand in a sequence in that order: equal ones have equal keys. */
static int64_t number_elements(const peri_context *context, const slices *s, const void *sequence) {
  enum { BLOCK = 64, BETWEEN_LOOKS = 1 << 16 };
  uint64_t keys[BLOCK], last = 0;
  int64_t count = 0;
  for (int64_t i = 0; i < s->n; i += BLOCK) {
    if (i % BETWEEN_LOOKS == 0 && peri_cancelled(context)) break;
    int64_t length = peri_min(BLOCK, s->n - i);
    peri_keys(s->dtype, length, sequence, i, 0, keys);
    for (int64_t j = 0; j < length; j++) {
      count += (i + j == 0) | (keys[j] != last);
      last = keys[j];
      s->spare[i + j] = count - 1;
    }
  }
  return count;
}

/* spare[i]: which of the different slices order[i] is, from 0; gives how many there are. Both end early when stopped.
 */
static int64_t number_slices(const peri_context *context, const slices *s) {
  if (s->sequence != NULL) return number_elements(context, s, s->sequence);
  int64_t count = 0;
  for (int64_t i = 0; i < s->n && !peri_cancelled(context); i++) {
    if (i == 0 || compare(s, s->order[i - 1], s->order[i]) != 0) count++;
    s->spare[i] = count - 1;
  }
  return count;
}

static peri_status make_indices(peri_call *call, int output, int ndim, const int64_t *shape) {
  peri_layout layout;
  peri_layout_set(&layout, PERI_INT64, ndim, shape);
  PERI_TRY(peri_tensor_empty(call->context, &layout, &call->outputs[output].tensor));
  memset(call->outputs[output].tensor->data, 0, (size_t)layout.numel * sizeof(int64_t));
  return PERI_OK;
}

/* The first slice of each kind, where the dimension stood. */
static peri_status take_values(peri_call *call, const slices *s, const peri_view *moved, int64_t count) {
  peri_layout layout;
  peri_tensor *taken = NULL;
  int64_t shape[PERI_MAX_DIMS];
  memcpy(shape, moved->layout.shape, sizeof shape);
  shape[0] = count;
  peri_layout_set(&layout, s->dtype, moved->layout.ndim, shape);
  PERI_TRY(peri_tensor_empty(call->context, &layout, &taken));
  size_t bytes = (size_t)s->m * s->size;
  for (int64_t i = 0; i < s->n; i++) {
    if (i > 0 && s->spare[i] == s->spare[i - 1]) continue;
    const char *from = s->sequence != NULL ? s->sequence + (size_t)i * bytes : s->x + (size_t)s->order[i] * bytes;
    memcpy(taken->data + (size_t)s->spare[i] * bytes, from, bytes);
  }
  if (call->note[0] == 0) {
    call->outputs[VALUES].tensor = taken;
    return PERI_OK;
  }
  /* the dimension back to its place: those before it move to the left */
  peri_view back = taken->view;
  for (int64_t d = 0; d < call->note[0]; d++) {
    back.layout.shape[d] = taken->layout.shape[d + 1];
    back.layout.strides[d] = taken->layout.strides[d + 1];
  }
  back.layout.shape[call->note[0]] = count;
  back.layout.strides[call->note[0]] = taken->layout.strides[0];
  back.contiguous = false;
  peri_status status = peri_view_copy(call->context, &back, s->dtype, &call->outputs[VALUES].tensor);
  peri_tensor_release(&taken);
  return status;
}

static peri_status put_unique(peri_call *call, slices *s, const peri_view *moved) {
  const peri_layout *x = &call->args[0].tensor->layout;
  bool along = call->args[first_option(call->op) + 2].given;
  int64_t count = number_slices(call->context, s);
  PERI_TRY(peri_check_cancel(call->context));
  PERI_TRY(take_values(call, s, moved, count));
  if (!call->outputs[INVERSE].unwanted) {
    PERI_TRY(make_indices(call, INVERSE, along ? 1 : x->ndim, along ? &s->n : x->shape));
    int64_t *inverse = (int64_t *)(void *)call->outputs[INVERSE].tensor->data;
    for (int64_t i = 0; i < s->n; i++) inverse[s->order[i]] = s->spare[i] + 1;
  }
  if (!call->outputs[COUNTS].unwanted) {
    PERI_TRY(make_indices(call, COUNTS, 1, &count));
    int64_t *counts = (int64_t *)(void *)call->outputs[COUNTS].tensor->data;
    for (int64_t i = 0; i < s->n; i++) counts[s->spare[i]]++;
  }
  return PERI_OK;
}

/* x as a vector, or with the dimension first. */
static peri_status open_slices(peri_call *call, slices *s, peri_view *moved, peri_tensor **own) {
  const peri_tensor *x = call->args[0].tensor;
  *moved = x->view;
  *s = (slices){.dtype = x->layout.dtype, .size = peri_dtype_size(x->layout.dtype), .n = x->layout.numel, .m = 1};
  if (call->args[first_option(call->op) + 2].given) {
    int64_t dim = call->note[0];
    s->n = x->layout.shape[dim];
    for (int d = 0; d < x->layout.ndim; d++) s->m *= d == dim ? 1 : x->layout.shape[d];
    for (int64_t d = dim; d > 0; d--) {
      moved->layout.shape[d] = x->layout.shape[d - 1];
      moved->layout.strides[d] = x->layout.strides[d - 1];
    }
    moved->layout.shape[0] = x->layout.shape[dim];
    moved->layout.strides[0] = x->layout.strides[dim];
    moved->contiguous = peri_layout_is_contiguous(&moved->layout);
  }
  PERI_TRY(peri_view_contiguous(call->context, moved, &s->x, own));
  if (call->args[first_option(call->op) + 2].given) return PERI_OK;
  moved->layout.ndim = 1;
  moved->layout.shape[0] = s->n;
  return PERI_OK;
}

static peri_status run_unique(peri_call *call) {
  slices s;
  peri_view moved;
  peri_tensor *own = NULL;
  void *memory = NULL;
  PERI_TRY(open_slices(call, &s, &moved, &own));
  size_t words = s.m == 1 && call->op->id == 0 ? 3 : 2;
  peri_status status = peri_alloc_array(call->context, (size_t)s.n, words * sizeof(int64_t), &memory);
  if (status == PERI_OK) {
    s.order = memory;
    s.spare = s.n > 0 ? s.order + s.n : NULL;
    if (s.n > 0) status = find_order(call, &s, s.spare + s.n);
    if (status == PERI_OK) status = put_unique(call, &s, &moved);
    peri_free(call->context, memory, (size_t)s.n * words * sizeof(int64_t));
  }
  peri_tensor_release(&own);
  return status;
}

#define RETURN_PARAMS                                                                                                  \
  {"return_inverse", PERI_KIND_BOOL, .optional = true}, {"return_counts", PERI_KIND_BOOL, .optional = true}, {         \
    "dim", PERI_KIND_DIM, .optional = true                                                                             \
  }
const peri_op peri_op_unique = {
    .name = "unique",
    .flags = PERI_OP_ALLOCATES | PERI_OP_LATE | PERI_OP_ELEMENTWISE,
    .outputs = 3,
    .params = {{"x", PERI_KIND_TENSOR}, {"sorted", PERI_KIND_BOOL, .optional = true, .otherwise = 1}, RETURN_PARAMS},
    .infer = infer_unique,
    .run = run_unique,
    .low = -1,
    .high = 1,
    .sample = "{I(4, 12)}, {I(3, 3, 4), true, true, true}, {I(2, 5, 2), {dim = 1, return_counts = true}}, {T(5)}, "
              "{I(2, 2, 6), {dim = 2, return_inverse = true}}",
    .doc =
        "unique(x, sorted = true, return_inverse = false, return_counts = false, dim) -> values, inverse, counts\n"
        "The different elements of x, sorted in any case, or with dim the different slices along it, in order of their "
        "elements. inverse says which of them each element (slice) is, counts how often each stands; both come only "
        "where they are asked for. NaN is the largest, and all NaN are one.",
    .id = 0,
};
const peri_op peri_op_unique_consecutive = {
    .name = "unique_consecutive",
    .flags = PERI_OP_ALLOCATES | PERI_OP_LATE | PERI_OP_ELEMENTWISE,
    .outputs = 3,
    .params = {{"x", PERI_KIND_TENSOR}, RETURN_PARAMS},
    .infer = infer_unique,
    .run = run_unique,
    .low = -1,
    .high = 1,
    .sample = "{I(2, 12)}, {I(2, 3, 4), true, true}, {I(2, 5, 1), {dim = 1, return_counts = true}}, {T(5)}",
    .doc = "unique_consecutive(x, return_inverse = false, return_counts = false, dim) -> values, inverse, counts\n"
           "The first element of each run of equal ones, or with dim the first of equal slices along it, in x's order; "
           "the rest as of unique.",
    .id = 1,
};

const peri_op *const peri_ops_unique[] = {&peri_op_unique, &peri_op_unique_consecutive, NULL};
