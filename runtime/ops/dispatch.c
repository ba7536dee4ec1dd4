/* The dispatcher: infer, allocate, run, record. */
#include "ops/ops.h"
#include "ops/anomaly.h"
#include "ops/node.h"
#include "ops/rows.h"

const peri_op *peri_op_find(const char *name) {
  for (const peri_op_group *group = peri_op_groups; group->rows != NULL; group++) {
    for (const peri_op *const *row = group->rows; *row != NULL; row++) {
      if (strcmp((*row)->name, name) == 0) return *row;
    }
  }
  return NULL;
}

void peri_call_open(peri_call *call, peri_context *context, const peri_op *op) {
  call->context = context;
  call->op = op;
  call->in_place = false;
  call->workspace_bytes = 0;
  call->workspace = NULL;
  call->saves = op->saves;
  call->output_count = op->outputs;
  call->outputs = call->few_outputs;
  call->stream = &context->stream;
  if (context->recorder != NULL) { /* plans compare what not every infer sets */
    memset(call->note, 0, sizeof call->note);
    call->dtype = PERI_FLOAT32;
  }
  for (int i = 0; i < PERI_MAX_PARAMS && op->params[i].name != NULL; i++) {
    peri_arg *arg = &call->args[i];
    arg->given = arg->is_integer = arg->is_bool = false;
    arg->count = arg->word = 0;
    arg->text = NULL;
    arg->tensor = NULL;
    arg->tensors = NULL;
    arg->sizes = call->lists[i];
    arg->number = op->params[i].otherwise;
    arg->integer = (int64_t)op->params[i].otherwise;
  }
  for (int i = 0; i < op->outputs; i++) call->outputs[i].unwanted = false;
}

/* ---- checks that hold for every row ---- */

static inline bool is_foreign(const peri_call *call, const peri_tensor *x) {
  return (x->storage->context != call->context->home) | (x->storage->barred != 0);
}

/* Whether a gradient goes through any argument; *foreign is the first that belongs to another context, or that
 * operations may not touch, or -1. */
static bool any_tracked(const peri_call *call, int *foreign) {
  bool tracked = false;
  *foreign = -1;
  for (int i = 0; i < PERI_MAX_PARAMS && call->op->params[i].name != NULL; i++) {
    const peri_arg *arg = &call->args[i];
    int count = arg->tensors != NULL ? arg->count : 0;
    bool other = arg->tensor != NULL && is_foreign(call, arg->tensor);
    tracked |= peri_tracks(arg->tensor) && !call->op->params[i].shape_only;
    for (int j = 0; j < count; j++) {
      tracked |= peri_tracks(arg->tensors[j]);
      other |= is_foreign(call, arg->tensors[j]);
    }
    if (other && *foreign < 0) *foreign = i;
  }
  return tracked;
}

static peri_status check_target(peri_call *call, bool tracked) {
  const peri_tensor *target = call->args[0].tensor;
  if (target == NULL) { /* an operand may be a number, but not one that is written */
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s must be a tensor to be written in place, got a number",
                          call->op->params[0].name);
  }
  if (call->context->grad_mode && (tracked || target->base_requires_grad)) {
    return peri_call_fail(call, PERI_ERR_STATE,
                          "cannot write in place while gradients are recorded (use no_grad, clone or where)");
  }
  if (target->storage->read_only) {
    return peri_call_fail(call, PERI_ERR_STATE,
                          "the memory of %s was lent to be read alone (a clone can be written to)",
                          call->op->params[0].name);
  }
  for (int d = 0; d < target->layout.ndim; d++) {
    if (target->layout.shape[d] > 1 && target->layout.strides[d] == 0) {
      return peri_call_fail(call, PERI_ERR_ARGUMENT,
                            "elements of the target share memory (an expanded view); clone it first");
    }
  }
  return PERI_OK;
}

static peri_status check_touched(peri_call *call, int param, const peri_tensor *x) {
  const char *name = call->op->params[param].name;
  if (x->storage->context != call->context)
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s belongs to another context", name);
  if ((call->op->flags & PERI_OP_SOURCES) && x->storage->barred == PERI_SOURCE) return PERI_OK;
  return peri_tensor_check_read(x, peri_call_name(call), name);
}

/* Of an argument that is foreign: what is wrong with it. */
static peri_status check_foreign(peri_call *call, int param) {
  const peri_arg *arg = &call->args[param];
  if (arg->tensor != NULL) PERI_TRY(check_touched(call, param, arg->tensor));
  for (int j = 0; arg->tensors != NULL && j < arg->count; j++) PERI_TRY(check_touched(call, param, arg->tensors[j]));
  return PERI_OK;
}

/* A float that depends on what requires grad and has no gradient would miss in a loss without a word. */
static peri_status check_gradient(peri_call *call) {
  const peri_op *op = call->op;
  bool floats = false;
  if (op->grad || op->compose != NULL || (op->flags & PERI_OP_NO_GRADIENT)) return PERI_OK;
  for (int i = 0; i < call->output_count; i++) floats |= peri_is_float(call->outputs[i].layout.dtype);
  if (!floats) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_STATE,
                        "gradients are recorded, and the operation has no gradient (use detach or no_grad)");
}

/* ---- outputs ---- */

static void drop_outputs(peri_call *call) {
  for (int i = 0; i < call->output_count; i++) peri_tensor_release(&call->outputs[i].tensor);
}

static peri_status allocate_output(peri_call *call, int i) {
  peri_output *output = &call->outputs[i];
  if (i == 0 && (call->in_place || (call->op->flags & PERI_OP_WRITES))) {
    output->tensor = peri_tensor_retain(call->args[0].tensor);
    return PERI_OK;
  }
  if (call->op->flags & PERI_OP_VIEW) {
    peri_tensor *base = call->args[0].tensors != NULL ? call->args[0].tensors[i] : call->args[0].tensor;
    return peri_tensor_view(base, &output->layout, &output->tensor);
  }
  if ((call->op->saves & PERI_HIDDEN_OUTPUT(i)) && !call->recording) return PERI_OK;
  if (output->unwanted) return PERI_OK;
  return peri_tensor_empty(call->context, &output->layout, &output->tensor);
}

static peri_status allocate(peri_call *call) {
  for (int i = 0; i < call->output_count; i++) call->outputs[i].tensor = NULL;
  bool makes_own = call->op->compose != NULL || (call->op->flags & PERI_OP_ALLOCATES);
  for (int i = 0; i < call->output_count && !makes_own; i++) PERI_TRY(allocate_output(call, i));
  return call->workspace_bytes == 0 ? PERI_OK : peri_alloc(call->context, call->workspace_bytes, &call->workspace);
}

/* ---- writing in place ---- */

/* An operand that shares bytes with the target otherwise than element for element is copied first, and one that is
 * read element for element too when the row places it elsewhere. */
static peri_status separate_operands(peri_call *call, peri_tensor *copies[PERI_MAX_PARAMS]) {
  peri_tensor *target = call->args[0].tensor;
  bool (*disturbed)(const peri_tensor *a, const peri_tensor *b) =
      call->op->flags & PERI_OP_PLACES ? peri_tensors_share : peri_tensors_overlap;
  for (int i = 1; i < PERI_MAX_PARAMS && call->op->params[i].name != NULL; i++) {
    peri_tensor *operand = call->args[i].tensor;
    if (operand == NULL || !disturbed(target, operand)) continue;
    peri_refuse_replay(call->context, "%s_ reads what it writes over", call->op->name);
    peri_layout layout;
    peri_layout_set(&layout, operand->layout.dtype, operand->layout.ndim, operand->layout.shape);
    PERI_TRY(peri_tensor_empty(call->context, &layout, &copies[i]));
    PERI_TRY(peri_tensor_copy_into(copies[i], operand));
    call->args[i].tensor = copies[i];
  }
  return PERI_OK;
}

static peri_status run_in_place(peri_call *call) {
  peri_tensor *copies[PERI_MAX_PARAMS] = {NULL}, *given[PERI_MAX_PARAMS];
  for (int i = 0; i < PERI_MAX_PARAMS; i++) given[i] = call->args[i].tensor;
  peri_status status = separate_operands(call, copies);
  if (status == PERI_OK) status = peri_check_cancel(call->context);
  if (status == PERI_OK) {
    bool shielded = call->context->shielded;
    call->context->shielded = true;
    status = call->op->run(call);
    call->context->shielded = shielded;
    if (status == PERI_OK) call->args[0].tensor->storage->version++;
  }
  for (int i = 0; i < PERI_MAX_PARAMS; i++) {
    if (copies[i] != NULL) peri_tensor_release(&copies[i]);
    call->args[i].tensor = given[i];
  }
  return status;
}

/* ---- composed rows ---- */

static bool is_shared(const peri_call *call, const peri_tensor *result) {
  for (int i = 0; i < PERI_MAX_PARAMS && call->op->params[i].name != NULL; i++) {
    const peri_arg *arg = &call->args[i];
    if (arg->tensor != NULL && arg->tensor->storage == result->storage) return true;
    for (int j = 0; arg->tensors != NULL && j < arg->count; j++) {
      if (arg->tensors[j]->storage == result->storage) return true;
    }
  }
  return false;
}

/* A result that is an argument or a view of one becomes a copy, unless the row gives views. */
static peri_status own_results(peri_call *call, peri_tensor **results) {
  for (int i = 0; i < call->op->outputs && !(call->op->flags & (PERI_OP_VIEW | PERI_OP_ALLOCATES)); i++) {
    if (results[i] == NULL || !is_shared(call, results[i])) continue;
    peri_call copy;
    peri_call_open(&copy, call->context, &peri_op_clone);
    copy.args[0].given = true;
    copy.args[0].tensor = results[i];
    PERI_TRY(peri_call_run(&copy));
    peri_tensor_release(&results[i]);
    results[i] = copy.outputs[0].tensor;
  }
  return PERI_OK;
}

static peri_status run_steps(peri_call *call, peri_tensor **results) {
  peri_context *context = call->context;
  peri_formula formula;
  peri_backward B = {.context = context, .op = call->op, .args = call->args, .note = call->note, .call = call};
  bool composing = context->composing, grad_mode = context->grad_mode;
  B.answers = results;
  context->composing = true;
  if (call->op->grad) context->grad_mode = false; /* recorded as one */
  peri_formula_begin(&B, &formula);
  peri_status status = call->op->compose(&B);
  peri_status steps = peri_formula_end(&B);
  if (status == PERI_OK) status = steps;
  if (status == PERI_OK) status = own_results(call, results);
  context->composing = composing;
  context->grad_mode = grad_mode;
  return status;
}

/* In place, the result is computed beside the target, and then copied. */
static peri_status run_composed(peri_call *call) {
  peri_tensor *results[PERI_MAX_OUTPUTS] = {NULL};
  peri_status status = run_steps(call, results);
  if (status == PERI_OK && call->in_place) {
    bool shielded = call->context->shielded;
    call->outputs[0].tensor = peri_tensor_retain(call->args[0].tensor);
    call->context->shielded = true;
    status = peri_tensor_copy_into(call->outputs[0].tensor, results[0]);
    call->context->shielded = shielded;
    if (status == PERI_OK) call->args[0].tensor->storage->version++;
    if (status == PERI_OK && call->context->recorder != NULL)
      call->context->recorder->copy(call->context->recorder, call->outputs[0].tensor, results[0]);
  }
  for (int i = 0; i < call->op->outputs; i++) {
    if (status == PERI_OK && !call->in_place) {
      call->outputs[i].tensor = results[i];
    } else {
      peri_tensor_release(&results[i]);
    }
  }
  return status;
}

/* ---- the whole ---- */

static peri_status check_in_place_result(peri_call *call) {
  const peri_layout *target = &call->args[0].tensor->layout, *result = &call->outputs[0].layout;
  char wanted[PERI_SHAPE_TEXT], got[PERI_SHAPE_TEXT];
  if (!peri_same_shape(target, result)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "the result is %s but the target is %s",
                          peri_shape_text(result->ndim, result->shape, got),
                          peri_shape_text(target->ndim, target->shape, wanted));
  }
  if (target->dtype != result->dtype) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "the result is %s but the target is %s",
                          peri_dtype_name(result->dtype), peri_dtype_name(target->dtype));
  }
  return PERI_OK;
}

/* What whoever records a step is told of a call: where its stream stood, and what infer noted, over which run may have
 * written. */
static void tell_recorder(peri_call *call, peri_status status, const peri_stream *before, const int64_t *note) {
  peri_recorder *r = call->context->recorder;
  if (status != PERI_OK) {
    peri_refuse_recorder(r, "%s failed", peri_call_name(call));
  } else if (call->op->compose == NULL) {
    r->call(r, call, before, note);
  }
}

static peri_status run_call(peri_call *call) {
  const peri_op *op = call->op;
  bool writes = call->in_place || (op->flags & PERI_OP_WRITES);
  int foreign;
  bool tracked = any_tracked(call, &foreign);
  const peri_stream stream = *call->stream;
  call->recording = PERI_TRAINS && tracked && call->context->grad_mode && op->grad && !writes;
  if (foreign >= 0) PERI_TRY(check_foreign(call, foreign));
  bool watched = PERI_TRAINS && call->context->detect_anomaly && !call->context->composing && peri_anomaly_free(call);
  if (peri_cancelled(call->context)) return peri_check_cancel(call->context); /* a loop of small ones stops too */
  if (writes) PERI_TRY(check_target(call, tracked));
  PERI_TRY(op->infer(call));
  if (call->in_place) PERI_TRY(check_in_place_result(call));
  if (tracked && !call->recording && call->context->grad_mode && !writes) PERI_TRY(check_gradient(call));
  peri_recorder *recorder = PERI_TRAINS ? call->context->recorder : NULL;
  int64_t note[PERI_MAX_NOTES];
  if (recorder != NULL && op->compose != NULL) recorder->check(recorder, call);
  if (recorder != NULL) memcpy(note, call->note, sizeof note);
  peri_status status = allocate(call);
  if (status == PERI_OK && op->run != NULL) status = writes ? run_in_place(call) : op->run(call);
  if (status == PERI_OK && op->compose != NULL) status = run_composed(call);
  if (status == PERI_OK && watched) status = peri_anomaly_check_results(call);
  if (PERI_TRAINS && status == PERI_OK && call->recording) status = peri_node_record(call);
  if (status == PERI_OK && op->commit != NULL) op->commit(call);
  if (recorder != NULL) tell_recorder(call, status, &stream, note);
  peri_free(call->context, call->workspace, call->workspace == NULL ? 0 : call->workspace_bytes);
  call->workspace = NULL;
  if (status != PERI_OK) drop_outputs(call);
  if (status != PERI_OK && (op->flags & PERI_OP_RANDOM)) *call->stream = stream; /* made again it draws the same */
  return status;
}

peri_status peri_call_run(peri_call *call) {
  peri_context *context = call->context;
  const char *operation = context->operation;
  bool in_place = context->in_place;
  if (!context->composing) {
    context->operation = call->op->name;
    context->in_place = call->in_place;
  }
  peri_status status = run_call(call);
  context->operation = operation;
  context->in_place = in_place;
  return status;
}

#define MOST_OUTPUTS 1000000

peri_status peri_call_list(peri_call *call) {
  int64_t count = 0;
  PERI_TRY(call->op->list(call, &count));
  if (count > MOST_OUTPUTS) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "the list would have %lld tensors (expected at most %d)",
                          (long long)count, MOST_OUTPUTS);
  }
  call->output_count = (int)count;
  return PERI_OK;
}

/* ---- helpers of infer ---- */

peri_status peri_infer_output(peri_call *call, int output, peri_dtype dtype, int ndim, const int64_t *shape) {
  peri_layout *layout = &call->outputs[output].layout;
  layout->dtype = dtype;
  layout->ndim = ndim;
  for (int d = 0; d < ndim; d++) layout->shape[d] = shape[d];
  return peri_layout_contiguous(call->context, peri_call_name(call), layout);
}

peri_status peri_infer_dim(peri_call *call, int arg, int ndim, int *dim) {
  int64_t wanted = call->args[arg].integer, resolved = wanted < 0 ? wanted + ndim : wanted;
  if (resolved < 0 || resolved >= ndim) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %lld but the tensor has %d dimension%s",
                          call->op->params[arg].name, (long long)(wanted < 0 ? wanted : wanted + 1), ndim,
                          ndim == 1 ? "" : "s");
  }
  *dim = (int)resolved;
  return PERI_OK;
}

peri_status peri_infer_float(peri_call *call, int arg) {
  peri_dtype dtype = call->args[arg].tensor->layout.dtype;
  if (peri_is_float(dtype)) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %s (expected float32 or float64)", call->op->params[arg].name,
                        peri_dtype_name(dtype));
}

peri_status peri_infer_same_dtype(peri_call *call, int first, int second) {
  const peri_tensor *a = call->args[first].tensor, *b = call->args[second].tensor;
  if (b == NULL || a->layout.dtype == b->layout.dtype) return PERI_OK;
  const char *own = call->op->params[first].name, *other = call->op->params[second].name;
  const char *own_dtype = peri_dtype_name(a->layout.dtype), *other_dtype = peri_dtype_name(b->layout.dtype);
  return peri_call_fail(call, PERI_ERR_ARGUMENT,
                        "%s is %s but %s is %s (%s:to \"%s\" converts a tensor, net:to \"%s\" a network)", own,
                        own_dtype, other, other_dtype, own, other_dtype, own_dtype);
}

peri_status peri_infer_fits(peri_call *call, int arg, peri_dtype dtype) {
  const peri_arg *value = &call->args[arg];
  static const char *const expected[PERI_DTYPES] = {[PERI_FLOAT32] = "at most 3.4028234663852886e+38; float64 holds it",
                                                    [PERI_FLOAT64] = "a number",
                                                    [PERI_INT64] = "a whole number from -2^63 to 2^63 - 1",
                                                    [PERI_UINT8] = "a whole number from 0 to 255",
                                                    [PERI_BOOL] = "false, true, 0 or 1"};
  if (value->tensor != NULL || (dtype == PERI_INT64 && value->is_integer)) return PERI_OK;
  if (peri_number_fits(dtype, value->number)) return PERI_OK;
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is %.17g, which is no value of %s (expected %s)",
                        call->op->params[arg].name, value->number, peri_dtype_name(dtype), expected[dtype]);
}

/* Promotion in PyTorch's manner: among tensors with dimensions the widest counts; 0-d tensors and
 * numbers count only when their category (bool, integer, float) is higher. */
static int category(peri_dtype dtype) { return peri_is_float(dtype) ? 2 : dtype == PERI_BOOL ? 0 : 1; }

peri_dtype peri_wider_dtype(peri_dtype a, peri_dtype b) {
  if (category(a) != category(b)) return category(a) > category(b) ? a : b;
  if (a == b) return a;
  return category(a) == 2 ? PERI_FLOAT64 : PERI_INT64;
}

/* Two tensors of one dtype, or a float tensor and a number, which are most calls. */
static bool promotes_to_own(const peri_call *call, int first, int n, peri_dtype *dtype) {
  const peri_tensor *a = call->args[first].tensor, *b = n == 2 ? call->args[first + 1].tensor : NULL;
  const peri_tensor *one = a != NULL ? a : b;
  if (n != 2 || one == NULL || (call->in_place && first > 0)) return false;
  *dtype = one->layout.dtype;
  return a != NULL && b != NULL ? a->layout.dtype == b->layout.dtype : peri_is_float(*dtype);
}

peri_status peri_infer_promote(peri_call *call, int first, int n, peri_dtype *dtype) {
  if (promotes_to_own(call, first, n, dtype)) return PERI_OK;
  bool any[3] = {false, false, false}; /* with dimensions, 0-d, number */
  peri_dtype found[3] = {PERI_BOOL, PERI_BOOL, PERI_BOOL};
  for (int i = first; i < first + n; i++) {
    const peri_arg *arg = &call->args[i];
    int rank = arg->tensor == NULL ? 2 : arg->tensor->layout.ndim == 0 ? 1 : 0;
    peri_dtype own = arg->tensor != NULL ? arg->tensor->layout.dtype
                     : arg->is_bool      ? PERI_BOOL
                     : arg->is_integer   ? PERI_INT64
                                         : PERI_FLOAT32;
    found[rank] = any[rank] ? peri_wider_dtype(found[rank], own) : own;
    any[rank] = true;
  }
  peri_dtype result = any[0] ? found[0] : any[1] ? found[1] : found[2];
  for (int rank = 1; rank < 3; rank++) {
    if (!any[rank] || category(found[rank]) <= category(result)) continue;
    bool of_int64 = (any[0] && found[0] == PERI_INT64) || (any[1] && found[1] == PERI_INT64);
    result = rank == 2 && of_int64 ? PERI_FLOAT64 : found[rank];
  }
  if (call->in_place) {
    peri_dtype target = call->args[0].tensor->layout.dtype;
    if (category(result) <= category(target)) result = target;
  }
  *dtype = result;
  return PERI_OK;
}
