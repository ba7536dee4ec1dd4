/* Formulas: gradients written as steps over rows of the table. */
#include "ops/ops.h"
#include "ops/rows.h"
#include "kernels/kernels.h"

void peri_formula_begin(peri_backward *B, peri_formula *formula) {
  formula->status = PERI_OK;
  formula->count = 0;
  formula->capacity = (int)PERI_COUNT(formula->first);
  formula->owned = formula->first;
  B->formula = formula;
}

peri_status peri_formula_end(peri_backward *B) {
  peri_formula *formula = B->formula;
  for (int i = 0; i < formula->count; i++) peri_tensor_release(&formula->owned[i]);
  if (formula->owned != formula->first) {
    peri_free(B->context, formula->owned, (size_t)formula->capacity * sizeof *formula->owned);
  }
  return formula->status;
}

static peri_status make_room(peri_backward *B, int values) {
  peri_formula *formula = B->formula;
  if (formula->count + values <= formula->capacity) return PERI_OK;
  void *larger;
  PERI_TRY(peri_alloc_array(B->context, 2 * (size_t)formula->capacity, sizeof *formula->owned, &larger));
  memcpy(larger, formula->owned, (size_t)formula->count * sizeof *formula->owned);
  if (formula->owned != formula->first) {
    peri_free(B->context, formula->owned, (size_t)formula->capacity * sizeof *formula->owned);
  }
  formula->owned = larger;
  formula->capacity *= 2;
  return PERI_OK;
}

void peri_step_open(peri_backward *B, peri_call *call, const peri_op *op, int n, const peri_value *operands) {
  peri_call_open(call, B->context, op);
  for (int i = 0; i < n; i++) {
    call->args[i].given = true;
    call->args[i].tensor = operands[i].tensor;
    call->args[i].number = operands[i].number;
  }
}

void peri_step_run_outputs(peri_backward *B, peri_call *call, int n, peri_value *values) {
  peri_formula *formula = B->formula;
  for (int i = 0; i < n; i++) values[i] = peri_constant(0);
  if (formula->status == PERI_OK) formula->status = make_room(B, n);
  if (formula->status == PERI_OK) formula->status = peri_call_run(call);
  if (formula->status != PERI_OK) return;
  for (int i = n; i < call->output_count; i++) peri_tensor_release(&call->outputs[i].tensor);
  for (int i = 0; i < n; i++) {
    formula->owned[formula->count++] = call->outputs[i].tensor;
    values[i] = peri_of(call->outputs[i].tensor);
  }
}

peri_value peri_step_run(peri_backward *B, peri_call *call) {
  peri_value value;
  peri_step_run_outputs(B, call, 1, &value);
  return value;
}

peri_value peri_formula_own(peri_backward *B, peri_status status, peri_tensor *tensor) {
  peri_formula *formula = B->formula;
  if (formula->status == PERI_OK) formula->status = status;
  if (formula->status == PERI_OK) formula->status = make_room(B, 1);
  if (formula->status != PERI_OK) {
    if (status == PERI_OK) peri_tensor_release(&tensor);
    return peri_constant(0);
  }
  if (B->context->recorder != NULL) B->context->recorder->owned(B->context->recorder, tensor);
  formula->owned[formula->count++] = tensor;
  return peri_of(tensor);
}

peri_value peri_formula_fixed(peri_backward *B, peri_status status, peri_tensor *tensor) {
  peri_recorder *r = B->context->recorder;
  if (status == PERI_OK && r != NULL) r->constant(r, tensor);
  return peri_formula_own(B, status, tensor);
}

peri_status peri_formula_new(peri_backward *B, const peri_layout *layout, peri_tensor **out) {
  peri_recorder *r = B->context->recorder;
  if (B->supply != NULL) {
    *out = peri_tensor_retain(*B->supply++);
    return PERI_OK;
  }
  PERI_TRY(peri_tensor_empty(B->context, layout, out));
  if (r != NULL) r->made(r, *out);
  return PERI_OK;
}

peri_value peri_apply(peri_backward *B, const peri_op *op, int n, const peri_value *operands) {
  peri_call call;
  if (B->formula->status != PERI_OK) return peri_constant(0);
  peri_step_open(B, &call, op, n, operands);
  return peri_step_run(B, &call);
}

void peri_answer(peri_backward *B, int edge, peri_value value) {
  peri_formula *formula = B->formula;
  if (formula->status != PERI_OK || value.tensor == NULL) return;
  for (int i = formula->count - 1; i >= 0; i--) {
    if (formula->owned[i] == value.tensor) { /* hand the formula's own reference on */
      formula->owned[i] = formula->owned[--formula->count];
      B->answers[edge] = value.tensor;
      return;
    }
  }
  B->answers[edge] = peri_tensor_retain(value.tensor);
}

/* ---- elementwise steps ---- */

/* A number as a tensor of no dimensions, of the dtype of what arrived. */
static peri_value as_tensor(peri_backward *B, double number) {
  peri_layout layout;
  peri_tensor *constant = NULL;
  int given = 0;
  while (B->grad_outputs[given] == NULL) given++;
  peri_layout_set(&layout, B->grad_outputs[given]->layout.dtype, 0, NULL);
  peri_status status = peri_tensor_full(B->context, &layout, number, &constant);
  return peri_formula_fixed(B, status, constant);
}

static peri_value apply_one(peri_backward *B, const peri_op *op, peri_value x) {
  if (B->formula->status != PERI_OK) return peri_constant(0);
  if (x.tensor == NULL) x = as_tensor(B, x.number);
  return peri_apply(B, op, 1, &x);
}

/* Of two numbers the four operations of arithmetic give a number. */
static bool fold(const peri_op *op, double a, double b, double *value) {
  if (op != &peri_op_add && op != &peri_op_sub && op != &peri_op_mul && op != &peri_op_div) return false;
  *value = op == &peri_op_add ? a + b : op == &peri_op_sub ? a - b : op == &peri_op_mul ? a * b : a / b;
  return true;
}

static peri_value apply_two(peri_backward *B, const peri_op *op, peri_value a, peri_value b) {
  double value;
  if (B->formula->status != PERI_OK) return peri_constant(0);
  if (PERI_TRAINS && a.tensor == NULL && b.tensor == NULL) {
    if (fold(op, a.number, b.number, &value)) return peri_constant(value);
    a = as_tensor(B, a.number);
  }
  return peri_apply(B, op, 2, (peri_value[]){a, b});
}

#define UNARY(name, ...)                                                                                               \
  peri_value peri_step_##name(peri_backward *B, peri_value x) { return apply_one(B, &peri_op_##name, x); }
#define BINARY(name, ...)                                                                                              \
  peri_value peri_step_##name(peri_backward *B, peri_value a, peri_value b) {                                          \
    return apply_two(B, &peri_op_##name, a, b);                                                                        \
  }
#define COMPARE(name, ...) BINARY(name)
#include "kernels/elementwise.def"

/* ---- other common steps ---- */

peri_value peri_step_where(peri_backward *B, peri_value mask, peri_value a, peri_value b) {
  if (B->formula->status != PERI_OK) return a;
  if (a.tensor == NULL && b.tensor == NULL) a = as_tensor(B, a.number);
  return peri_apply(B, &peri_op_where, 3, (peri_value[]){mask, a, b});
}

peri_value peri_step_t(peri_backward *B, peri_value matrix) { return peri_apply(B, &peri_op_t, 1, &matrix); }

/* A row of a tensor and one list. */
static peri_value with_sizes(peri_backward *B, const peri_op *op, peri_value x, int n, const int64_t *sizes) {
  peri_call call;
  if (B->formula->status != PERI_OK) return x;
  peri_step_open(B, &call, op, 1, &x);
  peri_call_sizes(&call, 1, n, sizes);
  return peri_step_run(B, &call);
}

peri_value peri_step_permute(peri_backward *B, peri_value x, int ndim, const int64_t *order) {
  return with_sizes(B, &peri_op_permute, x, ndim, order);
}

peri_value peri_step_expand_to(peri_backward *B, peri_value x, int ndim, const int64_t *shape) {
  return with_sizes(B, &peri_op_expand, x, ndim, shape);
}

peri_value peri_step_narrow(peri_backward *B, peri_value x, int64_t dim, int64_t start, int64_t length) {
  peri_call call;
  if (B->formula->status != PERI_OK) return x;
  peri_step_open(B, &call, &peri_op_narrow, 1, &x);
  call.args[1].integer = dim;
  call.args[2].integer = start;
  call.args[3].integer = length;
  return peri_step_run(B, &call);
}

peri_value peri_step_cat(peri_backward *B, peri_value a, peri_value b, int64_t dim) {
  peri_call call;
  if (B->formula->status != PERI_OK) return a;
  peri_step_open(B, &call, &peri_op_cat, 0, NULL);
  call.args[0].given = true;
  call.args[0].tensors = (peri_tensor *[]){a.tensor, b.tensor};
  call.args[0].count = 2;
  call.args[1].integer = dim;
  return peri_step_run(B, &call);
}

peri_value peri_step_index_select(peri_backward *B, peri_value x, int64_t dim, peri_value index) {
  peri_call call;
  if (B->formula->status != PERI_OK) return x;
  peri_step_open(B, &call, &peri_op_index_select, 3, (peri_value[]){x, peri_constant(0), index});
  call.args[1].integer = dim;
  return peri_step_run(B, &call);
}

peri_value peri_step_scatter(peri_backward *B, peri_value g, int ndim, const int64_t *shape, peri_value index,
                             int64_t dim) {
  peri_call call;
  if (B->formula->status != PERI_OK) return g;
  peri_step_open(B, &call, &peri_op_gather_backward, 3, (peri_value[]){g, peri_constant(0), index});
  peri_call_sizes(&call, 1, ndim, shape);
  call.args[3].integer = dim;
  return peri_step_run(B, &call);
}

peri_value peri_step_reshape(peri_backward *B, peri_value x, int ndim, const int64_t *shape) {
  return with_sizes(B, &peri_op_reshape, x, ndim, shape);
}

peri_value peri_step_sum(peri_backward *B, peri_value x, int dims, const int64_t *dim, bool keepdim) {
  peri_call call;
  if (B->formula->status != PERI_OK) return x;
  peri_step_open(B, &call, &peri_op_sum, 1, &x);
  peri_call_sizes(&call, 1, dims, dim);
  call.args[2].integer = keepdim;
  return peri_step_run(B, &call);
}

peri_value peri_step_convert(peri_backward *B, peri_value x, peri_dtype dtype) {
  peri_call call;
  if (B->formula->status != PERI_OK) return x;
  peri_step_open(B, &call, &peri_op_to, 1, &x);
  call.args[1].given = true;
  call.args[1].integer = dtype;
  return peri_step_run(B, &call);
}

peri_value peri_step_matmul(peri_backward *B, peri_value a, peri_value b, bool transpose_a, bool transpose_b) {
  peri_call call;
  if (B->formula->status != PERI_OK) return a;
  peri_step_open(B, &call, &peri_op_matmul, 2, (peri_value[]){a, b});
  call.args[2].integer = transpose_a;
  call.args[3].integer = transpose_b;
  return peri_step_run(B, &call);
}

peri_value peri_step_transpose(peri_backward *B, peri_value x) {
  peri_call call;
  if (B->formula->status != PERI_OK) return x;
  peri_step_open(B, &call, &peri_op_transpose, 1, &x);
  call.args[1].integer = -1;
  call.args[2].integer = -2;
  return peri_step_run(B, &call);
}

peri_value peri_step_triangles(peri_backward *B, peri_dtype dtype, int64_t rows, int64_t columns, double below,
                               double on, double above) {
  peri_layout layout;
  peri_tensor *mask = NULL;
  if (B->formula->status != PERI_OK) return peri_constant(0);
  peri_layout_set(&layout, dtype, 2, (int64_t[]){rows, columns});
  peri_status status = peri_tensor_empty(B->context, &layout, &mask);
  size_t size = peri_dtype_size(dtype);
  char *element = status == PERI_OK ? mask->data : NULL;
  for (int64_t i = 0; element != NULL && i < rows; i++) {
    for (int64_t j = 0; j < columns; j++, element += size) {
      peri_store_number(dtype, element, i > j ? below : i == j ? on : above);
    }
  }
  return peri_formula_fixed(B, status, mask);
}
