/* Sums of products over shared dimensions; see contraction.h. Also the rows that are one contraction. */
#include "ops/contraction.h"
#include "ops/rows.h"

#define BIT(label) ((uint64_t)1 << (label))

uint64_t peri_factor_labels(const peri_factor *x) {
  uint64_t labels = 0;
  for (int d = 0; d < x->ndim; d++) labels |= BIT(x->label[d]);
  return labels;
}

static bool failed(const peri_backward *B) { return B->formula->status != PERI_OK; }

static void drop_label(peri_factor *x, int d) {
  x->ndim--;
  for (; d < x->ndim; d++) x->label[d] = x->label[d + 1];
}

void peri_factor_diagonal(peri_backward *B, peri_factor *x) {
  for (int d = 0; d < x->ndim; d++) {
    for (int e = d + 1; e < x->ndim;) {
      if (x->label[e] != x->label[d]) {
        e++;
        continue;
      }
      x->value = peri_step_merge(B, x->value, d, e);
      drop_label(x, e);
    }
  }
}

void peri_factor_sum(peri_backward *B, peri_factor *x, uint64_t keep) {
  int64_t dims[PERI_MAX_DIMS];
  int count = 0;
  for (int d = 0; d < x->ndim; d++) {
    if (!(keep & BIT(x->label[d]))) dims[count++] = d;
  }
  if (count == 0) return;
  x->value = peri_step_sum(B, x->value, count, dims, false);
  while (count > 0) drop_label(x, (int)dims[--count]);
}

/* ---- the product of two ---- */

/* Appends the labels of x that are in the set, in x's order. */
static int append(const peri_factor *x, uint64_t set, int *label, int count) {
  for (int d = 0; d < x->ndim; d++) {
    if (set & BIT(x->label[d])) label[count++] = x->label[d];
  }
  return count;
}

peri_value peri_factor_ordered(peri_backward *B, const peri_factor *x, int ndim, const int *label) {
  int64_t order[PERI_MAX_DIMS];
  bool moved = false;
  for (int d = 0; d < ndim; d++) {
    order[d] = d;
    for (int e = 0; e < x->ndim; e++) {
      if (x->label[e] == label[d]) order[d] = e;
    }
    moved |= order[d] != d;
  }
  return moved ? peri_step_permute(B, x->value, ndim, order) : x->value;
}

/* What becomes of the labels of a pair: in both and kept, in one alone, in both and summed. */
typedef struct pair {
  int batch, left, right, inner; /* how many */
  int label[4 * PERI_MAX_DIMS];  /* in this order */
} pair;

static pair classify(const peri_factor *a, const peri_factor *b, uint64_t keep) {
  uint64_t of_a = peri_factor_labels(a), of_b = peri_factor_labels(b);
  const peri_factor *larger = a->value.tensor != NULL && b->value.tensor != NULL &&
                                      b->value.tensor->layout.numel > a->value.tensor->layout.numel
                                  ? b
                                  : a;
  pair p;
  p.batch = append(a, of_a & of_b & keep, p.label, 0);
  p.left = append(a, of_a & ~of_b, p.label, p.batch) - p.batch;
  int at = p.batch + p.left;
  p.right = append(b, of_b & ~of_a, p.label, at) - at;
  at += p.right;
  p.inner = append(larger, of_a & of_b & ~keep, p.label, at) - at; /* so that the larger is not copied */
  return p;
}

static int64_t product_of(const int64_t *sizes, int n) {
  int64_t product = 1;
  for (int i = 0; i < n; i++) product *= sizes[i];
  return product;
}

/* x as matrices: its dimensions in order, which are `batch`, then rows of them and columns of them, each as one. */
static peri_value as_matrices(peri_backward *B, const peri_factor *x, int batch, int rows, int columns,
                              const int *label) {
  peri_value y = peri_factor_ordered(B, x, batch + rows + columns, label);
  if (failed(B) || (rows == 1 && columns == 1)) return y;
  int64_t shape[PERI_MAX_DIMS];
  const int64_t *sizes = y.tensor->layout.shape;
  memcpy(shape, sizes, (size_t)batch * sizeof *shape);
  shape[batch] = product_of(sizes + batch, rows);
  shape[batch + 1] = product_of(sizes + batch + rows, columns);
  return peri_step_reshape(B, y, batch + 2, shape);
}

static void copy_labels(int *to, const int *from, int n) { memcpy(to, from, (size_t)n * sizeof *to); }

static peri_value multiply_matrices(peri_backward *B, const peri_factor *a, const peri_factor *b, const pair *p,
                                    const int64_t *shape) {
  int of_a[PERI_MAX_DIMS], of_b[PERI_MAX_DIMS];
  const int *left = p->label + p->batch, *right = left + p->left, *inner = right + p->right;
  copy_labels(of_a, p->label, p->batch + p->left);
  copy_labels(of_a + p->batch + p->left, inner, p->inner);
  copy_labels(of_b, p->label, p->batch);
  copy_labels(of_b + p->batch, inner, p->inner);
  copy_labels(of_b + p->batch + p->inner, right, p->right);
  peri_value x = as_matrices(B, a, p->batch, p->left, p->inner, of_a);
  peri_value y = as_matrices(B, b, p->batch, p->inner, p->right, of_b);
  peri_value z = peri_step_matmul(B, x, y, false, false);
  return p->left == 1 && p->right == 1 ? z : peri_step_reshape(B, z, p->batch + p->left + p->right, shape);
}

/* x with a dimension for each label of the pair, of size 1 where it has none. */
static peri_value as_broadcast(peri_backward *B, const peri_factor *x, const pair *p) {
  int own[PERI_MAX_DIMS] = {0}, all = p->batch + p->left + p->right + p->inner, count = 0;
  int64_t shape[PERI_MAX_DIMS];
  uint64_t labels = peri_factor_labels(x);
  for (int d = 0; d < all; d++) {
    if (labels & BIT(p->label[d])) own[count++] = p->label[d];
  }
  peri_value y = peri_factor_ordered(B, x, count, own);
  if (failed(B) || count == all) return y;
  for (int d = 0, from = 0; d < all; d++) {
    shape[d] = labels & BIT(p->label[d]) ? y.tensor->layout.shape[from++] : 1;
  }
  return peri_step_reshape(B, y, all, shape);
}

static peri_value multiply_elements(peri_backward *B, const peri_factor *a, const peri_factor *b, const pair *p) {
  int64_t dims[PERI_MAX_DIMS];
  peri_value z = peri_step_mul(B, as_broadcast(B, a, p), as_broadcast(B, b, p));
  for (int i = 0; i < p->inner; i++) dims[i] = p->batch + p->left + p->right + i;
  return p->inner == 0 ? z : peri_step_sum(B, z, p->inner, dims, false);
}

static int64_t size_of_label(const peri_factor *a, const peri_factor *b, int label) {
  for (int d = 0; d < a->ndim; d++) {
    if (a->label[d] == label) return a->value.tensor->layout.shape[d];
  }
  for (int d = 0; d < b->ndim; d++) {
    if (b->label[d] == label) return b->value.tensor->layout.shape[d];
  }
  return 1;
}

peri_factor peri_contract(peri_call *call, peri_backward *B, peri_factor a, peri_factor b, uint64_t keep) {
  peri_factor result = {.ndim = 0};
  int64_t shape[PERI_MAX_DIMS];
  peri_factor_sum(B, &a, keep | peri_factor_labels(&b));
  peri_factor_sum(B, &b, keep | peri_factor_labels(&a));
  if (failed(B)) return result;
  pair p = classify(&a, &b, keep);
  int kept = p.batch + p.left + p.right;
  bool matrices = p.inner > 0 && p.batch + 2 <= PERI_MAX_DIMS && peri_is_float(a.value.tensor->layout.dtype);
  if (kept > PERI_MAX_DIMS || (!matrices && kept + p.inner > PERI_MAX_DIMS)) {
    B->formula->status =
        peri_call_fail(call, PERI_ERR_ARGUMENT, "a product on the way has %d dimensions (at most %d can be had)",
                       kept + (matrices ? 0 : p.inner), PERI_MAX_DIMS);
    return result;
  }
  for (int d = 0; d < kept; d++) shape[d] = size_of_label(&a, &b, p.label[d]);
  result.value = matrices ? multiply_matrices(B, &a, &b, &p, shape) : multiply_elements(B, &a, &b, &p);
  result.ndim = kept;
  copy_labels(result.label, p.label, kept);
  return result;
}

/* ---- rows that are one contraction ---- */

static peri_status infer_common_dtype(peri_call *call) {
  const peri_tensor *a = call->args[0].tensor, *b = call->args[1].tensor;
  PERI_TRY(peri_infer_promote(call, 0, 2, &call->dtype));
  if (peri_is_float(call->dtype) || call->dtype == PERI_INT64) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "a and b are %s and %s (expected floats or int64)",
                        peri_dtype_name(a->layout.dtype), peri_dtype_name(b->layout.dtype));
}

/* notes: in dimension d of b stands, from 1, the dimension of a that it is multiplied with, or 0 */
static peri_status infer_contraction(peri_call *call) {
  const peri_layout *a = &call->args[0].tensor->layout, *b = &call->args[1].tensor->layout;
  char s[PERI_SHAPE_TEXT], t[PERI_SHAPE_TEXT];
  int64_t shape[2 * PERI_MAX_DIMS];
  int ndim = 0;
  uint64_t summed = 0;
  PERI_TRY(infer_common_dtype(call));
  for (int d = 0; d < b->ndim; d++) {
    int64_t e = call->note[d];
    if (e == 0) continue;
    summed |= BIT(e - 1);
    if (a->shape[e - 1] == b->shape[d]) continue;
    return peri_call_fail(call, PERI_ERR_ARGUMENT,
                          "a is %s but b is %s (dimension %d of a and dimension %d of b must be equal)",
                          peri_shape_text(a->ndim, a->shape, s), peri_shape_text(b->ndim, b->shape, t), (int)e, d + 1);
  }
  for (int d = 0; d < a->ndim; d++) {
    if (!(summed & BIT(d))) shape[ndim++] = a->shape[d];
  }
  for (int d = 0; d < b->ndim; d++) {
    if (call->note[d] == 0) shape[ndim++] = b->shape[d];
  }
  if (ndim > PERI_MAX_DIMS)
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "the result has %d dimensions (expected at most %d)", ndim,
                          PERI_MAX_DIMS);
  return peri_infer_output(call, 0, call->dtype, ndim, shape);
}

static peri_status compose_contraction(peri_backward *B) {
  peri_call *call = B->call;
  peri_factor a = {.value = peri_of(call->args[0].tensor), .ndim = call->args[0].tensor->layout.ndim};
  peri_factor b = {.value = peri_of(call->args[1].tensor), .ndim = call->args[1].tensor->layout.ndim};
  uint64_t keep = 0;
  for (int d = 0; d < a.ndim; d++) keep |= BIT(a.label[d] = d);
  for (int d = 0; d < b.ndim; d++) {
    b.label[d] = call->note[d] > 0 ? (int)call->note[d] - 1 : PERI_MAX_DIMS + d;
    keep = call->note[d] > 0 ? keep & ~BIT(b.label[d]) : keep | BIT(b.label[d]);
  }
  if (a.value.tensor->layout.dtype != call->dtype) a.value = peri_step_convert(B, a.value, call->dtype);
  if (b.value.tensor->layout.dtype != call->dtype) b.value = peri_step_convert(B, b.value, call->dtype);
  peri_answer(B, 0, peri_contract(call, B, a, b, keep).value);
  return PERI_OK;
}

static peri_status infer_inner(peri_call *call) {
  int a = call->args[0].tensor->layout.ndim, b = call->args[1].tensor->layout.ndim;
  memset(call->note, 0, sizeof call->note);
  if (a > 0 && b > 0) call->note[b - 1] = a;
  return infer_contraction(call);
}

static const peri_op row_inner = {
    .name = "inner",
    .outputs = 1,
    .params = {{"a", PERI_KIND_TENSOR}, {"b", PERI_KIND_TENSOR}},
    .infer = infer_inner,
    .compose = compose_contraction,
    .low = -1,
    .high = 1,
    .sample = "{T(4), T(4)}, {T(2, 3), T(4, 3)}, {T(2, 3), T(2, 2, 3)}, {T(2, 3), T()}",
    .doc = "inner(a, b) -> tensor\n"
           "The sums of products along the last dimension of both, whose sizes must be equal: the result has the other "
           "dimensions of a, then those of b; a tensor without dimensions multiplies. Floats or int64.",
};

/* A dimension that is asked for, of x; -1 after a failure. */
static peri_status resolve(peri_call *call, int64_t wanted, const peri_layout *x, const char *name, int *dim) {
  int64_t d = wanted < 0 ? wanted + x->ndim : wanted;
  *dim = (int)d;
  if (d >= 0 && d < x->ndim) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "dims has dimension %lld of %s, which has %d",
                        (long long)(wanted < 0 ? wanted : wanted + 1), name, x->ndim);
}

static peri_status infer_tensordot(peri_call *call) {
  const peri_layout *a = &call->args[0].tensor->layout, *b = &call->args[1].tensor->layout;
  const peri_arg *dims = &call->args[2];
  uint64_t summed = 0;
  memset(call->note, 0, sizeof call->note);
  if (!dims->given || dims->count < 0) {
    int64_t count = dims->given ? dims->integer : 2;
    if (count < 0 || count > a->ndim || count > b->ndim)
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "dims is %lld but a has %d and b has %d dimensions",
                            (long long)count, a->ndim, b->ndim);
    for (int64_t d = 0; d < count; d++) call->note[d] = a->ndim - count + d + 1;
    return infer_contraction(call);
  }
  for (int i = 0; i < dims->count; i++) {
    int of_a, of_b;
    PERI_TRY(resolve(call, dims->sizes[i], a, "a", &of_a));
    PERI_TRY(resolve(call, dims->sizes[PERI_MAX_DIMS + i], b, "b", &of_b));
    if (call->note[of_b] != 0 || (summed & BIT(of_a)))
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "dims has a dimension of %s twice (dimension %d)",
                            summed & BIT(of_a) ? "a" : "b", summed & BIT(of_a) ? of_a + 1 : of_b + 1);
    summed |= BIT(of_a);
    call->note[of_b] = of_a + 1;
  }
  return infer_contraction(call);
}

static const peri_op row_tensordot = {
    .name = "tensordot",
    .outputs = 1,
    .params = {{"a", PERI_KIND_TENSOR}, {"b", PERI_KIND_TENSOR}, {"dims", PERI_KIND_AXES, .optional = true}},
    .infer = infer_tensordot,
    .compose = compose_contraction,
    .low = -1,
    .high = 1,
    .sample = "{T(2, 3, 4), T(3, 4, 2)}, {T(3, 2), T(2, 4), 1}, {T(3), T(2), 0}, {T(2, 3, 4), T(4, 5, 2), {{3, 1}, {1, "
              "3}}}, {T(2, 3), T(3, 2), {{-1}, {-2}}}",
    .doc =
        "tensordot(a, b, dims = 2) -> tensor\n"
        "The sums of products along dims: a number n for the last n dimensions of a with the first n of b, or "
        "{{dimensions of a}, {those of b}}, pair by pair. The result has the other dimensions of a, then those of b. "
        "Sizes of a pair must be equal; floats or int64.",
};

const peri_op *const peri_ops_contraction[] = {&row_inner, &row_tensordot, &peri_op_einsum, &peri_op_merge, NULL};
