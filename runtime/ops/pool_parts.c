/* The largest element of each of so many parts of an image. */
#include "ops/rows.h"
#include "kernels/kernels.h"

#define MOST_PARTS 1048576

static peri_status infer_parts(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  const int64_t *size = call->args[1].sizes;
  char text[PERI_SHAPE_TEXT];
  PERI_TRY(peri_infer_float(call, 0));
  if (x->ndim != 3 && x->ndim != 4) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s (expected N x C x H x W or C x H x W)",
                          peri_shape_text(x->ndim, x->shape, text));
  }
  for (int d = 1; d < x->ndim; d++) {
    if (x->shape[d] > 0 || (d == 1 && x->ndim == 4)) continue;
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "x is %s (expected elements to choose from)",
                          peri_shape_text(x->ndim, x->shape, text));
  }
  for (int i = 0; i < 2; i++) {
    int64_t wanted = size[call->args[1].count > 1 ? i : 0];
    if (wanted < 1 || wanted > MOST_PARTS)
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "output_size is %lld (expected a whole number from 1 to %d)",
                            (long long)wanted, MOST_PARTS);
    call->note[i] = wanted;
  }
  return PERI_OK;
}

/* Part i of `parts` of n begins at floor(i n / parts) and ends before ceil((i + 1) n / parts). */
static int64_t part_begin(int64_t n, int64_t parts, int64_t i) { return i * n / parts; }
static int64_t part_end(int64_t n, int64_t parts, int64_t i) { return ((i + 1) * n + parts - 1) / parts; }

/* The largest of the parts of one dimension: its elements part by part, all parts filled up to the length of the
 * longest with their last element, and the first of the largest of each. */
static peri_value largest_along(peri_backward *B, peri_value x, int dim, int64_t parts) {
  if (B->formula->status != PERI_OK) return x;
  const peri_layout *layout = &x.tensor->layout;
  int64_t n = layout->shape[dim], length = 1, shape[PERI_MAX_DIMS];
  for (int64_t i = 0; i < parts; i++) length = peri_max(length, part_end(n, parts, i) - part_begin(n, parts, i));
  int64_t count = parts * length;
  peri_layout of_places;
  peri_tensor *places = NULL;
  peri_layout_set(&of_places, PERI_INT64, 1, &count);
  peri_status status = peri_tensor_empty(B->context, &of_places, &places);
  for (int64_t i = 0; status == PERI_OK && i < count; i++) {
    int64_t part = i / length, last = part_end(n, parts, part);
    ((int64_t *)(void *)places->data)[i] = peri_min(part_begin(n, parts, part) + i % length + 1, last);
  }
  peri_value index = peri_formula_fixed(B, status, places);
  if (B->formula->status != PERI_OK) return x;
  int ndim = layout->ndim, at = 0;
  for (int d = 0; d < ndim; d++) {
    shape[at++] = d == dim ? parts : layout->shape[d];
    if (d == dim) shape[at++] = length;
  }
  peri_call call;
  peri_step_open(B, &call, &peri_op_index_select, 1, &x);
  call.args[1].given = call.args[2].given = true;
  call.args[1].integer = dim;
  call.args[2].tensor = index.tensor;
  x = peri_step_reshape(B, peri_step_run(B, &call), at, shape);
  if (B->formula->status != PERI_OK) return x;
  peri_step_open(B, &call, &peri_op_max, 1, &x);
  call.args[1].given = true;
  call.args[1].integer = dim + 1;
  return peri_step_run(B, &call);
}

static peri_status compose_parts(peri_backward *B) {
  int first = B->args[0].tensor->layout.ndim - 2;
  peri_value y = largest_along(B, peri_of(B->args[0].tensor), first, B->note[0]);
  peri_answer(B, 0, largest_along(B, y, first + 1, B->note[1]));
  return PERI_OK;
}
const peri_op peri_op_adaptive_max_pool2d = {
    .name = "adaptive_max_pool2d",
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"output_size", PERI_KIND_SHAPE, .count = 2}},
    .infer = infer_parts,
    .compose = compose_parts,
    .low = -1,
    .high = 1,
    .sample = "{T(2, 3, 5, 7), {2, 3}}, {T(3, 4, 6), 1}, {T(1, 2, 3, 4), {5, 2}}",
    .doc = "adaptive_max_pool2d(x, output_size) -> tensor\n"
           "The largest elements of N x C x H x W, or C x H x W, in so many parts of height and width, which overlap "
           "where they do not divide evenly: part i of n has the rows from floor((i - 1) H / n) + 1 to ceil(i H / n). "
           "output_size is a number or {height, width}. Of equal elements one gets the gradient. Floats only.",
};

const peri_op *const peri_ops_pool_parts[] = {&peri_op_adaptive_max_pool2d, NULL};
