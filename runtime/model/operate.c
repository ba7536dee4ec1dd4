/* Operations and gradients for hosts without Lua: a row of the table by its name, its arguments as a description. */
#include "model/description.h"

#include "autograd/autograd.h"
#include "ops/ops.h"

#include <math.h>

#define MOST_INPUTS 10000

/* The value of an argument, as scripts write it, into the frame. */
typedef struct writing {
  peri_call *call;
  const peri_param *row;
  peri_arg *arg;
  const peri_item *item;
} writing;

static peri_status refuse(const writing *w, const char *expected) {
  return peri_call_fail(w->call, PERI_ERR_ARGUMENT, "%s is not what it must be (expected %s)", w->row->name, expected);
}

static int find_word(const char *words, const char *word) {
  const size_t length = strlen(word);
  for (int i = 0; words != NULL && *words != '\0'; i++) {
    const size_t n = strcspn(words, " ");
    if (n == length && memcmp(words, word, n) == 0) return i;
    words += words[n] == '\0' ? n : n + 1;
  }
  return -1;
}

/* Dimensions and positions count from 1, or from the end. */
static peri_status read_whole(const writing *w, const peri_item *item, bool position, int64_t *out) {
  if (item->kind != PERI_ITEM_NUMBER || item->number != floor(item->number) || fabs(item->number) > 0x1p62)
    return refuse(w, "a whole number");
  *out = (int64_t)item->number;
  if (!position) return PERI_OK;
  if (*out == 0) return refuse(w, "positions from 1, or from -1 at the end");
  if (*out > 0) --*out;
  return PERI_OK;
}

static peri_status read_sizes(const writing *w, int most) {
  const bool position = w->row->kind == PERI_KIND_DIMS, number = w->row->kind == PERI_KIND_NUMBERS;
  const peri_item *item = w->item, *child = item->kind == PERI_ITEM_TABLE ? item->first : item;
  peri_arg *arg = w->arg;
  arg->is_integer = item->kind != PERI_ITEM_TABLE;
  for (arg->count = 0; child != NULL; child = arg->is_integer ? NULL : child->next) {
    if (arg->count == most) return refuse(w, "fewer entries");
    if (number && child->kind == PERI_ITEM_NUMBER)
      memcpy(&arg->sizes[arg->count++], &child->number, sizeof child->number);
    else
      PERI_TRY(read_whole(w, child, position, &arg->sizes[arg->count++]));
  }
  if (w->row->count <= 0 || arg->count == w->row->count) return PERI_OK;
  if (arg->count != 1 || number) return refuse(w, "as many numbers as it has");
  while (arg->count < w->row->count) arg->sizes[arg->count++] = arg->sizes[0]; /* one for all */
  return PERI_OK;
}

static peri_status read_number(const writing *w) {
  const peri_item *item = w->item;
  if (item->kind != PERI_ITEM_NUMBER && item->kind != PERI_ITEM_BOOL) return refuse(w, "a number");
  w->arg->number = item->number;
  w->arg->is_bool = item->kind == PERI_ITEM_BOOL;
  w->arg->is_integer = w->arg->is_bool || (item->number == floor(item->number) && fabs(item->number) < 0x1p53);
  if (w->arg->is_integer) w->arg->integer = (int64_t)item->number;
  return PERI_OK;
}

static peri_status read_dtype(const writing *w) {
  for (int d = 0; w->item->kind == PERI_ITEM_WORD && d < PERI_DTYPES; d++) {
    if (strcmp(peri_dtype_name((peri_dtype)d), w->item->text) != 0) continue;
    w->arg->integer = d;
    return PERI_OK;
  }
  return refuse(w, "the name of a dtype");
}

static peri_status read_value(const writing *w) {
  const peri_item *item = w->item;
  peri_arg *arg = w->arg;
  const int word = item->kind == PERI_ITEM_WORD ? find_word(w->row->choices, item->text) : -1;
  arg->given = true;
  switch (w->row->kind) {
  case PERI_KIND_NUMBER:
    arg->word = 1 + word;
    return word >= 0 ? PERI_OK : read_number(w);
  case PERI_KIND_OPERAND:
    return read_number(w);
  case PERI_KIND_INTEGER:
    return read_whole(w, item, false, &arg->integer);
  case PERI_KIND_INDEX:
  case PERI_KIND_DIM:
    return read_whole(w, item, true, &arg->integer);
  case PERI_KIND_BOOL:
    arg->integer = item->number != 0;
    return item->kind == PERI_ITEM_BOOL ? PERI_OK : refuse(w, "true or false");
  case PERI_KIND_SHAPE:
    arg->integer = 1 + word;
    return word >= 0 ? PERI_OK : read_sizes(w, PERI_MAX_DIMS);
  case PERI_KIND_DIMS:
  case PERI_KIND_NUMBERS:
  case PERI_KIND_INTEGERS:
    return read_sizes(w, PERI_MAX_DIMS);
  case PERI_KIND_DTYPE:
    return read_dtype(w);
  case PERI_KIND_CHOICE:
    arg->integer = word;
    return word >= 0 ? PERI_OK : refuse(w, w->row->choices);
  case PERI_KIND_TEXT:
    arg->text = item->text;
    return item->kind == PERI_ITEM_WORD ? PERI_OK : refuse(w, "a text in quotes");
  case PERI_KIND_AXES:
    arg->count = -1;
    return read_whole(w, item, false, &arg->integer);
  default:
    return refuse(w, "a tensor among the inputs");
  }
}

static bool is_tensor(peri_kind kind) {
  return kind == PERI_KIND_TENSOR || kind == PERI_KIND_INDICES || kind == PERI_KIND_TENSORS;
}

/* Inputs go to the parameters that are tensors, in order; a list takes all that are left. An operand is one of the
 * inputs while there are any. */
static peri_status take_inputs(peri_call *call, int n, peri_tensor *const *inputs) {
  int used = 0;
  for (int i = 0; i < PERI_MAX_PARAMS && call->op->params[i].name != NULL && used < n; i++) {
    const peri_kind kind = call->op->params[i].kind;
    peri_arg *arg = &call->args[i];
    if (!is_tensor(kind) && kind != PERI_KIND_OPERAND) continue;
    arg->given = true;
    if (kind == PERI_KIND_TENSORS) {
      arg->tensors = inputs + used;
      arg->count = n - used;
      used = n;
    } else {
      arg->tensor = inputs[used++];
      arg->given = arg->tensor != NULL;
    }
  }
  return used == n ? PERI_OK : peri_call_fail(call, PERI_ERR_ARGUMENT, "there are %d inputs (it takes %d)", n, used);
}

/* An option by its name; one without a name goes to the first parameter that has nothing yet. */
static peri_status take_option(peri_call *call, const peri_item *item) {
  for (int i = 0; i < PERI_MAX_PARAMS && call->op->params[i].name != NULL; i++) {
    const peri_param *row = &call->op->params[i];
    const bool meant =
        item->key != NULL ? strcmp(item->key, row->name) == 0 : !is_tensor(row->kind) && !call->args[i].given;
    if (!meant) continue;
    if (call->args[i].given) return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is given twice", row->name);
    return read_value(&(writing){.call = call, .row = row, .arg = &call->args[i], .item = item});
  }
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "unknown option %.40s", item->key == NULL ? "at the end" : item->key);
}

static peri_status check_given(peri_call *call) {
  for (int i = 0; i < PERI_MAX_PARAMS && call->op->params[i].name != NULL; i++) {
    const peri_param *row = &call->op->params[i];
    if (!row->optional && !call->args[i].given)
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "%s is missing", row->name);
  }
  return PERI_OK;
}

/* Runs the frame; the first `count` outputs go out, the others are let go. */
static peri_status run(peri_call *call, int count, peri_tensor **out) {
  peri_context *context = call->context;
  peri_output *list = NULL;
  size_t bytes = 0;
  if (call->op->list != NULL) {
    void *block;
    PERI_TRY(peri_call_list(call));
    bytes = (size_t)call->output_count * sizeof *list;
    PERI_TRY(peri_alloc(context, bytes, &block));
    list = call->outputs = block;
    for (int i = 0; i < call->output_count; i++) list[i].unwanted = false;
  }
  peri_status status = PERI_OK;
  if (count < 1 || count > call->output_count)
    status = peri_call_fail(call, PERI_ERR_ARGUMENT, "%d outputs are asked for (it has %d)", count, call->output_count);
  if (status == PERI_OK) status = peri_call_run(call);
  for (int i = 0; status == PERI_OK && i < call->output_count; i++) {
    if (i < count)
      out[i] = call->outputs[i].tensor;
    else
      peri_tensor_release(&call->outputs[i].tensor);
  }
  peri_free(context, list, bytes);
  return status;
}

static peri_status find_row(peri_context *context, const char *operation, const peri_op **op, bool *in_place) {
  char name[64];
  const size_t length = strlen(operation);
  *in_place = false;
  *op = peri_op_find(operation);
  if (*op == NULL && length > 1 && length < sizeof name && operation[length - 1] == '_') {
    memcpy(name, operation, length);
    name[length - 1] = '\0';
    *op = peri_op_find(name);
    *in_place = true;
    if (*op != NULL && !((*op)->flags & PERI_OP_IN_PLACE)) *op = NULL;
  }
  if (*op != NULL && !((*op)->flags & PERI_OP_INTERNAL)) return PERI_OK;
  return peri_fail(context, PERI_ERR_ARGUMENT, "there is no operation %.60s", operation);
}

peri_status peri_operate(peri_context *context, const char *operation, int n, peri_tensor *const *inputs,
                         const char *options, int outputs, peri_tensor **out) {
  const peri_op *op;
  peri_description description;
  peri_call call;
  bool in_place;
  for (int i = 0; i < outputs; i++) out[i] = NULL;
  PERI_TRY(find_row(context, operation, &op, &in_place));
  if (n < 0 || n > MOST_INPUTS)
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: there are %d inputs (expected at most %d)", operation, n,
                     MOST_INPUTS);
  PERI_TRY(peri_description_read_options(context, operation, options, &description));
  peri_call_open(&call, context, op);
  call.in_place = in_place;
  peri_status status = take_inputs(&call, n, inputs);
  for (const peri_item *item = description.root->first; item != NULL && status == PERI_OK; item = item->next)
    status = take_option(&call, item);
  if (status == PERI_OK) status = check_given(&call);
  if (status == PERI_OK) status = run(&call, outputs, out);
  peri_description_release(&description);
  return status;
}

/* ---- gradients ---- */

peri_status peri_tensor_backward(peri_tensor *root, peri_tensor *gradient, int retain_graph) {
  return peri_backward_run(root, gradient, retain_graph != 0);
}

peri_status peri_gradients(peri_tensor *root, peri_tensor *gradient, int n, peri_tensor *const *inputs,
                           int create_graph, peri_tensor **gradients) {
  return peri_grad_run(root, gradient, n, inputs, create_graph != 0, create_graph != 0, gradients);
}

peri_tensor *peri_tensor_grad(const peri_tensor *tensor) { return tensor->grad; }

void peri_tensor_clear_grad(peri_tensor *tensor) { peri_tensor_release(&tensor->grad); }

int peri_set_recording(peri_context *context, int recording) {
  const int before = context->grad_mode;
  context->grad_mode = recording != 0;
  return before;
}
