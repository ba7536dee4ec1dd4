/* Recording operations, and releasing what was recorded. */
#include "ops/node.h"

/* ---- releasing ---- */

/* Nodes that die by it go to the context's list. */
void peri_node_free(peri_context *context, peri_node *node) {
  if (node->freed) return;
  node->freed = true;
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
    peri_free(context, node, node->bytes);
  }
  context->burying = false;
}

/* ---- recording ---- */

static int count_edges(const peri_call *call, int params) {
  for (int i = 0; i < params; i++) {
    if (call->op->params[i].kind == PERI_KIND_TENSORS) return call->args[i].count;
  }
  while (params > 0 && call->args[params - 1].tensor == NULL) params--;
  return params;
}

static peri_tensor *edge_input(const peri_call *call, int edge) {
  for (int i = 0; i < PERI_MAX_PARAMS && call->op->params[i].name != NULL; i++) {
    if (call->op->params[i].kind == PERI_KIND_TENSORS) return call->args[i].tensors[edge];
  }
  return call->args[edge].tensor;
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

static peri_status save_outputs(peri_node *node, peri_call *call) {
  for (int i = 0; i < call->op->outputs; i++) {
    peri_tensor *output = call->outputs[i].tensor;
    if (!(call->saves & PERI_SAVE_OUTPUT(i)) || output == NULL) continue;
    PERI_TRY(peri_tensor_detach(output, &node->outputs[i]));
    node->output_versions[i] = output->storage->version;
  }
  return PERI_OK;
}

peri_status peri_node_record(peri_call *call) {
  int params = peri_op_params(call->op), edges = count_edges(call, params);
  size_t edge_bytes = sizeof(peri_node) + (size_t)edges * sizeof(peri_edge);
  size_t bytes = edge_bytes + (size_t)params * (sizeof(peri_arg) + sizeof(uint64_t));
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
  node->args = (peri_arg *)((char *)block + edge_bytes);
  node->versions = (uint64_t *)(node->args + params);
  memcpy(node->note, call->note, sizeof node->note);
  for (int i = 0; i < params; i++) {
    node->args[i] = call->args[i];
    node->args[i].tensor = node->args[i].tensor != NULL && (call->saves & PERI_SAVE_INPUT(i))
                               ? peri_tensor_retain(call->args[i].tensor)
                               : NULL;
    node->args[i].tensors = NULL;
    node->args[i].sizes = NULL;
    if (node->args[i].tensor != NULL) node->versions[i] = node->args[i].tensor->storage->version;
  }
  for (int i = 0; i < edges; i++) record_edge(&node->edge[i], edge_input(call, i));
  peri_status status = save_outputs(node, call);
  for (int i = 0; status == PERI_OK && i < call->op->outputs; i++) {
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
