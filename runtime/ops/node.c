/* Recording operations, and releasing what was recorded. */
#include "ops/node.h"
#include "ops/anomaly.h"
#include "ops/rows.h"

/* ---- releasing ---- */

/* Nodes that die by it go to the context's list. */
void peri_node_free(peri_context *context, peri_node *node) {
  if (node->freed) return;
  node->freed = true;
  if (node->function != NULL) peri_hook_release(node->function);
  node->function = NULL;
  peri_hooks_drop(&node->hooks);
  for (int i = 0; i < node->params; i++) peri_tensor_release(&node->args[i].tensor);
  for (int i = 0; i < PERI_MAX_OUTPUTS; i++) peri_tensor_release(&node->outputs[i]);
  for (int i = 0; i < node->edges; i++) {
    peri_tensor_release(&node->edge[i].leaf);
    if (node->edge[i].node != NULL) peri_node_release(context, node->edge[i].node);
    node->edge[i].node = NULL;
  }
}

static void bury(peri_context *context, peri_computed *computed) {
  peri_node *node = (peri_node *)computed;
  node->next = context->dying_nodes;
  context->dying_nodes = node;
  if (context->burying) return;
  context->burying = true;
  while ((node = context->dying_nodes) != NULL) {
    context->dying_nodes = node->next;
    peri_node_free(context, node);
    if (node->where != NULL) peri_free(context, node->where, strlen(node->where) + 1);
    peri_free(context, node, node->bytes);
  }
  context->burying = false;
}

/* ---- recording ---- */

static bool is_list(const peri_call *call, int param) { return call->op->params[param].kind == PERI_KIND_TENSORS; }

/* Up to the last argument that is a tensor. */
static int count_edges(const peri_call *call, int params) {
  int edges = 0, last = 0;
  for (int i = 0; i < params; i++) {
    edges += is_list(call, i) ? call->args[i].count : 1;
    if (is_list(call, i) || call->args[i].tensor != NULL) last = edges;
  }
  return last;
}

static void record_edge(peri_edge *edge, peri_tensor *input) {
  *edge = (peri_edge){.node = NULL};
  if (input == NULL) return;
  edge->layout = input->layout;
  if (!input->requires_grad) return;
  edge->output = input->output;
  if (input->node != NULL) {
    edge->node = peri_node_of(input);
    input->node->references++;
  } else {
    edge->leaf = peri_tensor_retain(input);
  }
}

static void record_edges(peri_node *node, const peri_call *call) {
  int edge = 0;
  for (int i = 0; i < node->params && edge < node->edges; i++) {
    if (!is_list(call, i)) {
      record_edge(&node->edge[edge++], call->op->params[i].shape_only ? NULL : call->args[i].tensor);
    }
    for (int j = 0; is_list(call, i) && j < call->args[i].count; j++)
      record_edge(&node->edge[edge++], call->args[i].tensors[j]);
  }
}

/* How many numbers of a list a node keeps. */
static size_t list_room(const peri_call *call, int param) {
  peri_kind kind = call->op->params[param].kind;
  if (kind == PERI_KIND_INTEGERS) return (size_t)call->args[param].count;
  return kind == PERI_KIND_AXES ? PERI_LIST_ROOM : peri_is_sizes(kind) ? PERI_MAX_DIMS : 0;
}

/* Arguments as they were given; tensors only where the row saves them, and lists of numbers in the room behind, whose
 * end is returned. */
static int64_t *save_arguments(peri_node *node, const peri_call *call, int64_t *room) {
  for (int i = 0; i < node->params; i++) {
    const peri_arg *given = &call->args[i];
    peri_arg *arg = &node->args[i];
    *arg = (peri_arg){.given = given->given,
                      .is_integer = given->is_integer,
                      .is_bool = given->is_bool,
                      .count = given->count,
                      .word = given->word,
                      .text = given->text,
                      .number = given->number,
                      .integer = given->integer,
                      .sizes = given->sizes};
    if (given->tensor != NULL && (call->saves & PERI_SAVE_INPUT(i))) arg->tensor = peri_tensor_retain(given->tensor);
    if (arg->tensor != NULL) node->versions[i] = arg->tensor->storage->version;
    size_t numbers = list_room(call, i);
    if (numbers == 0) continue;
    arg->sizes = memcpy(room, arg->sizes, numbers * sizeof *room);
    room += numbers;
  }
  return room;
}

/* And texts, into the room at the block's end. */
static void save_texts(peri_node *node, char *room) {
  for (int i = 0; i < node->params; i++) {
    peri_arg *arg = &node->args[i];
    if (arg->text == NULL) continue;
    size_t bytes = strlen(arg->text) + 1;
    arg->text = memcpy(room, arg->text, bytes);
    room += bytes;
  }
}

static peri_status save_outputs(peri_node *node, peri_call *call) {
  for (int i = 0; i < call->op->outputs; i++) {
    peri_tensor *output = call->outputs[i].tensor;
    if (!(call->saves & PERI_SAVE_OUTPUT(i)) || output == NULL) continue;
    PERI_TRY(peri_tensor_detach(output, &node->outputs[i]));
    node->output_versions[i] = output->storage->version;
  }
  return PERI_OK;
}

#define PLACE_ROOM 256

peri_status peri_node_record(peri_call *call) {
  char place[PLACE_ROOM] = "";
  if (call->context->detect_anomaly && call->context->where != NULL)
    call->context->where(call->context->where_user, place, sizeof place);
  int params = peri_op_params(call->op), edges = count_edges(call, params);
  size_t edge_bytes = sizeof(peri_node) + (size_t)edges * sizeof(peri_edge);
  size_t numbers = 0, incoming_bytes = (size_t)call->output_count * sizeof(peri_tensor *);
  size_t text_bytes = 0;
  for (int i = 0; i < params; i++) {
    numbers += list_room(call, i);
    if (call->args[i].text != NULL) text_bytes += strlen(call->args[i].text) + 1;
  }
  size_t bytes = edge_bytes + (size_t)params * (sizeof(peri_arg) + sizeof(uint64_t)) + numbers * sizeof(int64_t) +
                 incoming_bytes + text_bytes;
  void *block;
  PERI_TRY(peri_alloc(call->context, bytes, &block));
  peri_node *node = block;
  memset(node, 0, sizeof *node);
  node->computed = (peri_computed){.references = 1, .bury = bury};
  node->op = call->op;
  node->number = call->context->next_node++;
  node->bytes = bytes;
  node->edges = edges;
  node->params = params;
  node->output_count = call->output_count;
  node->args = (peri_arg *)((char *)block + edge_bytes);
  node->versions = (uint64_t *)(node->args + params);
  memcpy(node->note, call->note, sizeof node->note);
  node->incoming = (peri_tensor **)(void *)save_arguments(node, call, (int64_t *)(node->versions + params));
  memset(node->incoming, 0, incoming_bytes);
  save_texts(node, (char *)node->incoming + incoming_bytes);
  record_edges(node, call);
  peri_status status = save_outputs(node, call);
  if (status == PERI_OK && place[0] != '\0') status = peri_anomaly_place(call->context, node, place);
  for (int i = 0; status == PERI_OK && i < call->output_count; i++) {
    peri_tensor *output = call->outputs[i].tensor;
    if (output == NULL || !peri_is_float(output->layout.dtype)) continue;
    output->requires_grad = true;
    output->base_requires_grad = false;
    output->node = &node->computed;
    output->output = i;
    node->computed.references++;
  }
  peri_node_release(call->context, node);
  return status;
}

/* ---- functions that are no rows ---- */

static peri_status function_grad(peri_backward *B) { return B->node->function->grad(B->node->function, B); }

const peri_op peri_op_function = {
    .name = "function",
    .flags = PERI_OP_INTERNAL,
    .params = {{"inputs", PERI_KIND_TENSORS}, {"name", PERI_KIND_TEXT}},
    .grad = function_grad,
};

const char *peri_node_name(const peri_node *node) {
  return node->op == &peri_op_function ? node->args[1].text : node->op->name;
}

static peri_status record_results(peri_call *call, peri_hook *hook, peri_tensor **results) {
  peri_node *node = NULL;
  for (int i = 0; i < call->output_count; i++) call->outputs[i].tensor = NULL;
  for (int i = 0; i < call->output_count; i++) PERI_TRY(peri_tensor_detach(results[i], &call->outputs[i].tensor));
  PERI_TRY(peri_node_record(call));
  for (int i = 0; i < call->output_count; i++) {
    if (call->outputs[i].tensor->node != NULL) node = peri_node_of(call->outputs[i].tensor);
    peri_tensor_release(&results[i]);
    results[i] = call->outputs[i].tensor;
  }
  node->function = hook;
  hook->references++;
  return PERI_OK;
}

peri_status peri_node_record_function(peri_context *context, peri_hook *hook, const char *name, int n,
                                      peri_tensor *const *inputs, int m, peri_tensor **results) {
  peri_call call;
  void *outputs;
  peri_call_open(&call, context, &peri_op_function);
  call.recording = true;
  call.args[0].tensors = inputs;
  call.args[0].count = n;
  call.args[1].text = name;
  PERI_TRY(peri_alloc_array(context, (size_t)m, sizeof *call.outputs, &outputs));
  call.outputs = outputs;
  call.output_count = m;
  peri_status status = record_results(&call, hook, results);
  for (int i = 0; status != PERI_OK && i < m; i++) peri_tensor_release(&call.outputs[i].tensor);
  peri_free(context, outputs, (size_t)m * sizeof *call.outputs);
  return status;
}

peri_status peri_node_attach(peri_node *node, int output, peri_tensor *x, peri_tensor **out) {
  PERI_TRY(peri_tensor_detach(x, out));
  (*out)->requires_grad = true;
  (*out)->node = &node->computed;
  (*out)->output = output;
  node->computed.references++;
  return PERI_OK;
}

/* ---- hooks ---- */

peri_status peri_tensor_hook(peri_tensor *x, peri_hook *hook) {
  peri_context *context = peri_tensor_context(x);
  peri_node *node = peri_node_of(x);
  if (!x->requires_grad)
    return peri_fail(context, PERI_ERR_STATE, "register_hook: the tensor does not require grad, so none reaches it");
  if (node != NULL && node->freed) {
    return peri_fail(context, PERI_ERR_STATE, "register_hook: the graph of %s was freed by an earlier backward or grad",
                     peri_node_name(node));
  }
  hook->number = context->next_node++;
  hook->output = x->output;
  peri_hook_add(node != NULL ? &node->hooks : &x->hooks, hook);
  return PERI_OK;
}
