/* Formulas: gradients written as steps over rows of the table. */
#include "ops/ops.h"
#include "ops/rows.h"

void peri_formula_begin(peri_backward *backward, peri_formula *formula) {
  formula->status = PERI_OK;
  formula->count = 0;
  formula->capacity = (int)PERI_COUNT(formula->first);
  formula->owned = formula->first;
  backward->formula = formula;
}

peri_status peri_formula_end(peri_backward *backward) {
  peri_formula *formula = backward->formula;
  for (int i = 0; i < formula->count; i++) peri_tensor_release(&formula->owned[i]);
  if (formula->owned != formula->first) {
    peri_free(backward->context, formula->owned, (size_t)formula->capacity * sizeof *formula->owned);
  }
  return formula->status;
}

static peri_status make_room(peri_backward *backward, int values) {
  peri_formula *formula = backward->formula;
  if (formula->count + values <= formula->capacity) return PERI_OK;
  void *larger;
  PERI_TRY(peri_alloc_array(backward->context, 2 * (size_t)formula->capacity, sizeof *formula->owned, &larger));
  memcpy(larger, formula->owned, (size_t)formula->count * sizeof *formula->owned);
  if (formula->owned != formula->first) {
    peri_free(backward->context, formula->owned, (size_t)formula->capacity * sizeof *formula->owned);
  }
  formula->owned = larger;
  formula->capacity *= 2;
  return PERI_OK;
}

void peri_step_open(peri_backward *backward, peri_call *call, const peri_op *op, int n, const peri_value *operands) {
  peri_call_open(call, backward->context, op);
  for (int i = 0; i < n; i++) {
    call->args[i].given = true;
    call->args[i].tensor = operands[i].tensor;
    call->args[i].number = operands[i].number;
  }
}

void peri_step_run_outputs(peri_backward *backward, peri_call *call, int n, peri_value *values) {
  peri_formula *formula = backward->formula;
  for (int i = 0; i < n; i++) values[i] = peri_constant(0);
  if (formula->status == PERI_OK) formula->status = make_room(backward, n);
  if (formula->status == PERI_OK) formula->status = peri_call_run(call);
  if (formula->status != PERI_OK) return;
  for (int i = n; i < call->op->outputs; i++) peri_tensor_release(&call->outputs[i].tensor);
  for (int i = 0; i < n; i++) {
    formula->owned[formula->count++] = call->outputs[i].tensor;
    values[i] = peri_of(call->outputs[i].tensor);
  }
}

peri_value peri_step_run(peri_backward *backward, peri_call *call) {
  peri_value value;
  peri_step_run_outputs(backward, call, 1, &value);
  return value;
}

peri_value peri_formula_own(peri_backward *backward, peri_status status, peri_tensor *tensor) {
  peri_formula *formula = backward->formula;
  if (formula->status == PERI_OK) formula->status = status;
  if (formula->status == PERI_OK) formula->status = make_room(backward, 1);
  if (formula->status != PERI_OK) {
    if (status == PERI_OK) peri_tensor_release(&tensor);
    return peri_constant(0);
  }
  formula->owned[formula->count++] = tensor;
  return peri_of(tensor);
}

peri_value peri_apply(peri_backward *backward, const peri_op *op, int n, const peri_value *operands) {
  peri_call call;
  if (backward->formula->status != PERI_OK) return peri_constant(0);
  peri_step_open(backward, &call, op, n, operands);
  return peri_step_run(backward, &call);
}

void peri_answer(peri_backward *backward, int edge, peri_value value) {
  peri_formula *formula = backward->formula;
  if (formula->status != PERI_OK || value.tensor == NULL) return;
  for (int i = formula->count - 1; i >= 0; i--) {
    if (formula->owned[i] == value.tensor) { /* hand the formula's own reference on */
      formula->owned[i] = formula->owned[--formula->count];
      backward->answers[edge] = value.tensor;
      return;
    }
  }
  backward->answers[edge] = peri_tensor_retain(value.tensor);
}

/* ---- common steps ---- */

peri_value peri_step_reshape(peri_backward *backward, peri_value x, int ndim, const int64_t *shape) {
  peri_call call;
  if (backward->formula->status != PERI_OK) return x;
  peri_step_open(backward, &call, &peri_op_reshape, 1, &x);
  peri_call_sizes(&call, 1, ndim, shape);
  return peri_step_run(backward, &call);
}

peri_value peri_step_sum(peri_backward *backward, peri_value x, int dims, const int64_t *dim, bool keepdim) {
  peri_call call;
  if (backward->formula->status != PERI_OK) return x;
  peri_step_open(backward, &call, &peri_op_sum, 1, &x);
  peri_call_sizes(&call, 1, dims, dim);
  call.args[2].integer = keepdim;
  return peri_step_run(backward, &call);
}

peri_value peri_step_convert(peri_backward *backward, peri_value x, peri_dtype dtype) {
  peri_call call;
  if (backward->formula->status != PERI_OK) return x;
  peri_step_open(backward, &call, &peri_op_to, 1, &x);
  call.args[1].given = true;
  call.args[1].integer = dtype;
  return peri_step_run(backward, &call);
}

peri_value peri_step_matmul(peri_backward *backward, peri_value a, peri_value b, bool transpose_a, bool transpose_b) {
  peri_call call;
  if (backward->formula->status != PERI_OK) return a;
  peri_step_open(backward, &call, &peri_op_matmul, 2, (peri_value[]){a, b});
  call.args[2].integer = transpose_a;
  call.args[3].integer = transpose_b;
  return peri_step_run(backward, &call);
}
