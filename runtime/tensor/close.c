/* Whether two tensors are equal, or nearly. */
#include "tensor/tensor.h"
#include "kernels/kernels.h"

#include <math.h>

typedef struct comparison {
  const peri_closeness *how;
  peri_dtype a, b;
  peri_loop2 same; /* of an int64 and a double, unrounded */
  atomic_bool differs;
} comparison;

static bool close_integers(const comparison *c, int64_t a, int64_t b) { /* doubles would lose their difference */
  uint64_t apart = a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
  return (double)apart <= c->how->absolute + c->how->relative * fabs((double)b);
}

static bool same_mixed(const comparison *c, const char *integer, peri_dtype dtype, const char *number) {
  bool same;
  double other = peri_load_number(dtype, number);
  c->same(1, (char *)&same, 1, integer, 8, (const char *)&other, 8);
  return same;
}

static bool close_numbers(const comparison *c, double a, double b) {
  if (a == b || (c->how->equal_nan && isnan(a) && isnan(b))) return true;
  return isfinite(a) && isfinite(b) && fabs(a - b) <= c->how->absolute + c->how->relative * fabs(b);
}

static bool close_elements(const comparison *c, const char *a, const char *b) {
  bool long_a = c->a == PERI_INT64, long_b = c->b == PERI_INT64;
  if (long_a && long_b) return close_integers(c, peri_load_integer(c->a, a), peri_load_integer(c->b, b));
  if ((long_a || long_b) && c->how->relative == 0 && c->how->absolute == 0) {
    return long_a ? same_mixed(c, a, c->b, b) : same_mixed(c, b, c->a, a);
  }
  return close_numbers(c, peri_load_number(c->a, a), peri_load_number(c->b, b));
}

static void compare_row(void *arg, int64_t n, char *const *data, const ptrdiff_t *strides) {
  comparison *c = arg;
  const char *a = data[0], *b = data[1];
  if (atomic_load_explicit(&c->differs, memory_order_relaxed)) return;
  for (int64_t i = 0; i < n; i++, a += strides[0], b += strides[1]) {
    if (close_elements(c, a, b)) continue;
    atomic_store_explicit(&c->differs, true, memory_order_relaxed);
    return;
  }
}

peri_status peri_tensor_close(const peri_tensor *a, const peri_tensor *b, const peri_closeness *how, bool *close) {
  peri_refuse_replay(peri_tensor_context(a), "tensors are compared, and the script is told");
  peri_context *context = peri_tensor_context(a);
  comparison c = {.how = how,
                  .a = a->layout.dtype,
                  .b = b->layout.dtype,
                  .same = context->kernels->elementwise->compare_mixed[PERI_COMPARE_eq]};
  *close = false;
  if (!peri_same_shape(&a->layout, &b->layout)) return PERI_OK;
  peri_iterator iterator;
  peri_iterator_open(&iterator, a->layout.ndim, a->layout.shape, 2, (const peri_view *[]){&a->view, &b->view});
  peri_status status = peri_iterate(context, &iterator, compare_row, &c);
  *close = status == PERI_OK && !c.differs;
  return status;
}

static void mark_row(void *arg, int64_t n, char *const *data, const ptrdiff_t *strides) {
  const comparison *c = arg;
  for (int64_t i = 0; i < n; i++) {
    data[0][i * strides[0]] = close_elements(c, data[1] + i * strides[1], data[2] + i * strides[2]);
  }
}

peri_status peri_tensor_close_each(peri_tensor *y, const peri_tensor *a, const peri_tensor *b,
                                   const peri_closeness *how) {
  peri_context *context = peri_tensor_context(y);
  comparison c = {.how = how,
                  .a = a->layout.dtype,
                  .b = b->layout.dtype,
                  .same = context->kernels->elementwise->compare_mixed[PERI_COMPARE_eq]};
  peri_iterator iterator;
  peri_iterator_open(&iterator, y->layout.ndim, y->layout.shape, 3,
                     (const peri_view *[]){&y->view, &a->view, &b->view});
  return peri_iterate(context, &iterator, mark_row, &c);
}
