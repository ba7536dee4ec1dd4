/* What index tensors point to: checks, shapes, and the walk over x, the index and what stands beside it. */
#include "ops/index.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

/* ---- positions ---- */

/* The first value, from 0 in row-major order, that is no position. */
static peri_status find_outside(peri_tensor *index, const peri_places *places, int64_t *at, int64_t *value) {
  peri_tensor *own;
  PERI_TRY(peri_tensor_contiguous(index, &own));
  const int64_t *values = (const int64_t *)(const void *)own->data;
  for (int64_t i = 0; i < own->layout.numel && *at < 0; i++) {
    int64_t v = values[i] < 0 ? values[i] + places->wrap : values[i];
    if (v < 1 || v > places->size) *at = i;
  }
  if (*at >= 0) *value = values[*at];
  peri_tensor_release(&own);
  return PERI_OK;
}

static peri_status look_outside(peri_tensor *index, int64_t size, int64_t wrap, int64_t *at, int64_t *value) {
  peri_iterator it;
  peri_places places = {.size = size, .wrap = wrap};
  peri_view once = index->view; /* an expanded index has few values, however many elements */
  *at = -1;
  *value = 0;
  if (index->layout.numel == 0) return PERI_OK;
  for (int d = 0; d < once.layout.ndim; d++) {
    if (once.layout.strides[d] == 0) once.layout.shape[d] = 1;
  }
  peri_iterator_open(&it, once.layout.ndim, once.layout.shape, 1, (const peri_view *[]){&once});
  PERI_TRY(peri_iterate(peri_tensor_context(index), &it, peri_places_check, &places));
  return places.outside ? find_outside(index, &places, at, value) : PERI_OK;
}

peri_status peri_index_outside(peri_tensor *index, int64_t size, int64_t *at, int64_t *value) {
  return look_outside(index, size, 0, at, value);
}

peri_status peri_index_outside_ends(peri_tensor *index, int64_t size, int64_t *at, int64_t *value) {
  return look_outside(index, size, size + 1, at, value);
}

peri_status peri_index_within(peri_call *call, int arg, peri_tensor *index, int64_t size, bool ends) {
  int64_t at, value;
  const char *name = call->op->params[arg].name;
  PERI_TRY(ends ? peri_index_outside_ends(index, size, &at, &value) : peri_index_outside(index, size, &at, &value));
  if (at < 0) return PERI_OK;
  if (size == 0) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s %lld is %lld but there are no positions: the size is 0", name,
                          (long long)at + 1, (long long)value);
  }
  if (!ends) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s %lld is %lld (expected 1 to %lld)", name, (long long)at + 1,
                          (long long)value, (long long)size);
  }
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s %lld is %lld (expected 1 to %lld, or -%lld to -1)", name,
                        (long long)at + 1, (long long)value, (long long)size, (long long)size);
}

peri_status peri_index_shift(peri_tensor *index, int64_t *out) {
  peri_tensor *own;
  PERI_TRY(peri_tensor_contiguous(index, &own));
  const int64_t *values = (const int64_t *)(const void *)own->data;
  for (int64_t i = 0; i < own->layout.numel; i++) out[i] = values[i] - 1;
  peri_tensor_release(&own);
  return PERI_OK;
}

peri_status peri_index_check(peri_call *call, int arg, int64_t size) {
  PERI_TRY(peri_index_within(call, arg, call->args[arg].tensor, size, false));
  call->workspace_bytes = (size_t)call->args[arg].tensor->layout.numel * sizeof(int64_t);
  return PERI_OK;
}

peri_status peri_index_need_int64(peri_call *call, int arg) {
  peri_dtype dtype = call->args[arg].tensor->layout.dtype;
  const char *name = call->op->params[arg].name;
  if (dtype == PERI_INT64) return PERI_OK;
  if (dtype == PERI_BOOL) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is bool (expected int64; nonzero gives a mask's positions)",
                          name);
  }
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s (expected int64)", name, peri_dtype_name(dtype));
}

peri_status peri_index_need_vector(peri_call *call, int arg) {
  const peri_layout *index = &call->args[arg].tensor->layout;
  char text[PERI_SHAPE_TEXT];
  if (index->ndim == 1) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s (expected one dimension)", call->op->params[arg].name,
                        peri_shape_text(index->ndim, index->shape, text));
}

peri_status peri_index_from_zero(peri_call *call, int arg, const int64_t **out) {
  *out = call->workspace;
  return peri_index_shift(call->args[arg].tensor, call->workspace);
}

/* ---- shapes ---- */

peri_status peri_choose_dims(peri_call *call, int arg, const peri_layout *x, int n, int64_t *dims) {
  const peri_arg *given = &call->args[arg];
  char text[PERI_SHAPE_TEXT];
  if (n > x->ndim) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%d index tensors for x of %s", n,
                          peri_shape_text(x->ndim, x->shape, text));
  }
  if (given->given && given->count != n)
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "dims has %d entries for %d index tensors", given->count, n);
  for (int k = 0; k < n; k++) {
    int64_t wanted = given->given ? given->sizes[k] : k;
    dims[k] = wanted < 0 ? wanted + x->ndim : wanted;
    if (dims[k] < 0 || dims[k] >= x->ndim) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "dims has %lld but x has %d dimensions",
                            (long long)(wanted < 0 ? wanted : wanted + 1), x->ndim);
    }
    if (k > 0 && dims[k] <= dims[k - 1]) return peri_call_fail(call, PERI_ERR_ARGUMENT, "dims must ascend");
  }
  return PERI_OK;
}

peri_status peri_choose(peri_call *call, const peri_layout *x, int n, const int64_t *dims, int index_ndim,
                        const int64_t *index_shape, peri_choice *c) {
  bool taken[PERI_MAX_DIMS] = {false};
  c->n = n;
  c->ndim = x->ndim - n + index_ndim;
  c->of_index = index_ndim;
  c->before = n > 0 && dims[n - 1] - dims[0] == n - 1 ? (int)dims[0] : 0;
  c->size = 1;
  if (c->ndim > PERI_MAX_DIMS) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "the result has %d dimensions (expected at most %d)", c->ndim,
                          PERI_MAX_DIMS);
  }
  for (int k = 0; k < n; k++) {
    taken[dims[k]] = true;
    c->dim[k] = dims[k];
    if (__builtin_mul_overflow(c->size, x->shape[dims[k]], &c->size)) c->size = INT64_MAX; /* beside a size of 0 */
  }
  for (int d = 0, to = 0; d < x->ndim; d++) {
    if (taken[d]) continue;
    if (to == c->before) to += index_ndim;
    c->shape[to++] = x->shape[d];
  }
  for (int d = 0; d < index_ndim; d++) c->shape[c->before + d] = index_shape[d];
  return PERI_OK;
}

/* ---- walking ---- */

/* Whether the dimensions that the index runs over lie evenly behind one another; then so many elements apart. */
static bool lie_evenly(const peri_choice *c, const peri_layout *x, int64_t *step) {
  int64_t run = 0; /* elements of the dimensions so far; 0 where they are expanded */
  bool first = true;
  *step = 0;
  for (int k = c->n - 1; k >= 0; k--) {
    int64_t size = x->shape[c->dim[k]], stride = x->strides[c->dim[k]];
    if (size == 1) continue;
    if (first) {
      *step = stride;
      run = stride * size;
      first = false;
    } else if (stride != run) {
      return false;
    } else {
      run *= size;
    }
  }
  return true;
}

/* Where they do not, each position becomes an offset in bytes, plus 1. */
typedef struct unravelling {
  const peri_choice *c;
  const peri_layout *x;
  peri_places *places;
  int64_t bytes;
} unravelling;

static void unravel_row(void *arg, int64_t n, char *const *p, const ptrdiff_t *s) {
  const unravelling *u = arg;
  for (int64_t i = 0; i < n; i++) {
    int64_t v = *(const int64_t *)(const void *)(p[1] + i * s[1]), offset = 0;
    if (v < 0) v += u->places->wrap;
    if (v < 1 || v > u->places->size) {
      atomic_store_explicit(&u->places->outside, true, memory_order_relaxed);
      return;
    }
    int64_t rest = v - 1;
    for (int k = u->c->n - 1; k >= 0; k--) {
      int64_t size = u->x->shape[u->c->dim[k]];
      offset += rest % size * u->x->strides[u->c->dim[k]];
      rest /= size;
    }
    *(int64_t *)(void *)(p[0] + i * s[0]) = offset * u->bytes + 1;
  }
}

static peri_status make_offsets(peri_call *call, const peri_choice *c, const peri_layout *x, const peri_tensor *index,
                                peri_pointing *p) {
  peri_layout layout;
  peri_iterator it;
  unravelling u = {.c = c, .x = x, .places = &p->places, .bytes = (int64_t)peri_dtype_size(x->dtype)};
  peri_layout_set(&layout, PERI_INT64, index->layout.ndim, index->layout.shape);
  PERI_TRY(peri_tensor_empty(call->context, &layout, &p->offsets));
  peri_iterator_open(&it, layout.ndim, layout.shape, 2, (const peri_view *[]){&p->offsets->view, &index->view});
  peri_status status = peri_iterate(call->context, &it, unravel_row, &u);
  if (status != PERI_OK) peri_tensor_release(&p->offsets);
  return status;
}

peri_status peri_point_chosen(peri_call *call, const peri_choice *c, const peri_tensor *x, const peri_tensor *index,
                              bool ends, const peri_view *beside, peri_pointing *p) {
  int64_t bytes = (int64_t)peri_dtype_size(x->layout.dtype), step;
  *p = (peri_pointing){.places = {.size = c->size, .wrap = ends ? c->size + 1 : 0, .bytes = (size_t)bytes}};
  bool even = lie_evenly(c, &x->layout, &step);
  p->places.step = step * bytes;
  if (!even) {
    PERI_TRY(make_offsets(call, c, &x->layout, index, p));
    if (p->places.outside) return PERI_OK;
    p->places.size = INT64_MAX;
    p->places.wrap = 0;
    p->places.step = 1;
  }
  const peri_tensor *positions = even ? index : p->offsets;
  peri_view from = {.data = x->data}, at = {.data = positions->data};
  from.layout = (peri_layout){.dtype = x->layout.dtype, .ndim = c->ndim};
  at.layout = (peri_layout){.dtype = PERI_INT64, .ndim = c->ndim};
  for (int d = 0, rest = 0, k = 0; d < c->ndim; d++) {
    bool of_index = d >= c->before && d < c->before + c->of_index;
    from.layout.shape[d] = at.layout.shape[d] = c->shape[d];
    from.layout.strides[d] = at.layout.strides[d] = 0;
    if (of_index) {
      at.layout.strides[d] = positions->layout.strides[d - c->before];
      continue;
    }
    for (; k < c->n && c->dim[k] == rest; k++) rest++;
    from.layout.strides[d] = x->layout.strides[rest++];
  }
  peri_iterator_open_in_order(&p->it, c->ndim, c->shape, 3, (const peri_view *[]){&from, &at, beside});
  return PERI_OK;
}

void peri_point_along(const peri_view *x, const peri_view *index, const peri_view *beside, int dim, peri_pointing *p) {
  const int64_t *shape = index->layout.shape;
  int64_t bytes = (int64_t)peri_dtype_size(x->layout.dtype);
  peri_view from = *x, next = beside == NULL ? (peri_view){.data = NULL} : *beside;
  *p = (peri_pointing){
      .places = {.size = x->layout.shape[dim], .step = x->layout.strides[dim] * bytes, .bytes = (size_t)bytes}};
  from.layout.strides[dim] = 0;
  for (int d = 0; d < index->layout.ndim; d++) from.layout.shape[d] = next.layout.shape[d] = shape[d];
  peri_iterator_open_in_order(&p->it, index->layout.ndim, shape, 3,
                              (const peri_view *[]){&from, index, beside == NULL ? NULL : &next});
}

void peri_point_close(peri_pointing *p) { peri_tensor_release(&p->offsets); }
