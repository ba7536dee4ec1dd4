/* Comparisons: one row for each COMPARE of elementwise.def; and tests of single elements, one for each TEST.
 *
 * As the numbers stand: nothing is rounded on the way, whatever the dtypes, but for a fraction beside float32. So a
 * tensor is compared in its own dtype with the number, or with the next number that the dtype has, and int64 with
 * floats by loops of their own. */
#include "ops/elementwise.h"
#include "ops/rows.h"

#include <math.h>

static peri_status infer_compare(peri_call *call) {
  PERI_TRY(peri_need_a_tensor(call));
  return peri_infer_broadcast(call, 0, 2, PERI_BOOL);
}

/* The comparison of b with a that says what id says of a with b. */
static int mirrored(int id) {
  static const int mirror[PERI_COMPARES] = {
      [PERI_COMPARE_eq] = PERI_COMPARE_eq, [PERI_COMPARE_ne] = PERI_COMPARE_ne, [PERI_COMPARE_lt] = PERI_COMPARE_gt,
      [PERI_COMPARE_le] = PERI_COMPARE_ge, [PERI_COMPARE_gt] = PERI_COMPARE_lt, [PERI_COMPARE_ge] = PERI_COMPARE_le};
  return mirror[id];
}

/* The comparison with a number that dtype does not have, by the largest value of dtype below it: less than the number
 * is at most that value. eq and ne keep their id, and get a value that nothing equals where there is one. */
static int with_value_below(int id) {
  if (id == PERI_COMPARE_lt) return PERI_COMPARE_le;
  return id == PERI_COMPARE_ge ? PERI_COMPARE_gt : id;
}

/* Floats: value is the number, rounded. */
static int compare_with_float(int id, const peri_arg *number, peri_dtype dtype, peri_arg *value) {
  double n = number->number, rounded = dtype == PERI_FLOAT32 ? (double)(float)n : n;
  bool below = rounded<n, above = rounded> n; /* where it stands beside the number */
  if (number->is_integer && rounded == n) {
    bool fits = n >= -0x1p63 && n < 0x1p63;
    below = fits && (int64_t)n < number->integer;
    above = !fits || (int64_t)n > number->integer;
  }
  value->number = rounded;
  bool fraction = n != floor(n) && rounded != 0; /* as the elements themselves were rounded: 0.1 equals 0.1 */
  if ((!below && !above) || fraction) return id;
  if (id == PERI_COMPARE_eq || id == PERI_COMPARE_ne) {
    value->number = NAN;
  } else if (above) {
    value->number =
        dtype == PERI_FLOAT32 ? (double)nextafterf((float)rounded, -INFINITY) : nextafter(rounded, -INFINITY);
  }
  return with_value_below(id);
}

/* Integers from low to high: beyond them, and for NaN, the answer is the same for all. */
static int compare_with_integer(int id, const peri_arg *number, peri_dtype dtype, peri_arg *value) {
  int64_t low = dtype == PERI_INT64 ? INT64_MIN : 0;
  int64_t high = dtype == PERI_INT64 ? INT64_MAX : dtype == PERI_UINT8 ? 255 : 1;
  double n = number->number, whole = floor(n);
  bool less = number->is_integer ? number->integer < low : n < (double)low; /* than all of them */
  bool more = number->is_integer ? number->integer > high : dtype == PERI_INT64 ? n >= 0x1p63 : n > (double)high;
  value->is_integer = true;
  if (!less && !more && n == n) {
    value->integer = number->is_integer ? number->integer : (int64_t)whole;
    if (number->is_integer || whole == n) return id;
    if (id != PERI_COMPARE_eq && id != PERI_COMPARE_ne) return with_value_below(id);
  }
  bool holds = id == PERI_COMPARE_ne || (less && (id == PERI_COMPARE_gt || id == PERI_COMPARE_ge)) ||
               (more && (id == PERI_COMPARE_lt || id == PERI_COMPARE_le));
  value->integer = low;
  return holds ? PERI_COMPARE_ge : PERI_COMPARE_lt;
}

static peri_status compare_with_number(peri_call *call, int id, const peri_arg *x, const peri_arg *number) {
  peri_dtype dtype = x->tensor->layout.dtype;
  peri_arg value = {.given = true};
  id = peri_is_float(dtype) ? compare_with_float(id, number, dtype, &value)
                            : compare_with_integer(id, number, dtype, &value);
  if (value.is_integer) value.number = (double)value.integer;
  return peri_run_two(call, call->context->kernels->elementwise->compare[id][dtype], x, &value, dtype);
}

static peri_status run_compare(peri_call *call) {
  const peri_elementwise_kernels *kernels = call->context->kernels->elementwise;
  const peri_arg *a = &call->args[0], *b = &call->args[1];
  int id = call->op->id;
  if (a->tensor == NULL) return compare_with_number(call, mirrored(id), b, a);
  if (b->tensor == NULL) return compare_with_number(call, id, a, b);
  peri_dtype left = a->tensor->layout.dtype, right = b->tensor->layout.dtype;
  bool mixed = (left == PERI_INT64 && peri_is_float(right)) || (right == PERI_INT64 && peri_is_float(left));
  if (!mixed) {
    peri_dtype dtype = peri_wider_dtype(left, right);
    return peri_run_two(call, kernels->compare[id][dtype], a, b, dtype);
  }
  peri_operands o = {.n = 0};
  peri_status status = peri_open_operand(&o, left == PERI_INT64 ? a : b, PERI_INT64);
  if (status == PERI_OK) status = peri_open_operand(&o, left == PERI_INT64 ? b : a, PERI_FLOAT64);
  peri_loops l = {.two = kernels->compare_mixed[left == PERI_INT64 ? id : mirrored(id)]};
  if (status == PERI_OK) return peri_run_loops(call->outputs[0].tensor, &o, &l);
  peri_close_operands(&o);
  return status;
}

#define COMPARE(name_, value, doc_)                                                                                    \
  const peri_op peri_op_##name_ = {                                                                                    \
      .name = #name_,                                                                                                  \
      .flags = PERI_OP_ELEMENTWISE | PERI_OP_JOINS,                                                                    \
      .outputs = 1,                                                                                                    \
      .params = {{"a", PERI_KIND_OPERAND}, {"b", PERI_KIND_OPERAND}},                                                  \
      .infer = infer_compare,                                                                                          \
      .run = run_compare,                                                                                              \
      .low = -3,                                                                                                       \
      .high = 3,                                                                                                       \
      .sample = "{T(3, 4), T(3, 4)}, {T(3, 1), T(4)}, {T(3, 4), 0}",                                                   \
      .doc =                                                                                                           \
          #name_ "(a, b) -> bool tensor\n" doc_ " Shapes are broadcast. Numbers are compared as they stand, whatever " \
                 "the dtypes; only a fraction beside float32 is rounded to it first.",                                 \
      .id = PERI_COMPARE_##name_,                                                                                      \
  };
#include "kernels/elementwise.def"

/* ---- tests ---- */

static peri_status infer_test(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  return peri_infer_output(call, 0, PERI_BOOL, x->ndim, x->shape);
}

static peri_status run_test(peri_call *call) {
  peri_tensor *x = call->args[0].tensor;
  return peri_apply_loop(call->context->kernels->elementwise->test[call->op->id][x->layout.dtype], x,
                         call->outputs[0].tensor);
}

#define TEST(name_, value, doc_)                                                                                       \
  const peri_op peri_op_##name_ = {                                                                                    \
      .name = #name_,                                                                                                  \
      .flags = PERI_OP_ELEMENTWISE | PERI_OP_JOINS,                                                                    \
      .outputs = 1,                                                                                                    \
      .params = {{"x", PERI_KIND_TENSOR}},                                                                             \
      .infer = infer_test,                                                                                             \
      .run = run_test,                                                                                                 \
      .low = -3,                                                                                                       \
      .high = 3,                                                                                                       \
      .sample = "{T(3, 4)}, {T()}, {T(0)}",                                                                            \
      .doc = #name_ "(x) -> bool tensor\n" doc_,                                                                       \
      .id = PERI_TEST_##name_,                                                                                         \
  };
#include "kernels/elementwise.def"

const peri_op *const peri_ops_compare[] = {
#define TEST(name, ...) &peri_op_##name,

#define COMPARE(name, ...) &peri_op_##name,
#include "kernels/elementwise.def"
    NULL};
