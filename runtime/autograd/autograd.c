/* The walk back through nodes. A hook may begin another walk, through other nodes: leaves may be the same, so that the
 * outer walk puts their gradients aside. */
#include "autograd/autograd.h"
#include "ops/anomaly.h"
#include "ops/node.h"
#include "ops/ops.h"
#include "ops/rows.h"

typedef struct peri_walk {
  peri_context *context;
  struct peri_walk *outer; /* within a hook of which this one began, or NULL */
  int depth;               /* 1 for the outermost */
  bool begun;
  peri_tensor **aside; /* gradients of the outer walk's leaves meanwhile */
  int aside_count;
  peri_node *nodes; /* every node that the root depends on, latest first */
  int leaves;
  peri_tensor **leaf; /* those whose incoming gradient is set */
  size_t leaf_capacity;
  /* peri.grad: */
  int captures;
  peri_tensor *const *inputs;
  peri_tensor **captured;
  bool create_graph;
  const char *operation; /* for messages */
} walk;

/* ---- one walk within another ---- */

static peri_status begin_walk(walk *w) {
  walk *outer = w->context->walk;
  w->depth = 1;
  if (outer != NULL) {
    void *block;
    PERI_TRY(peri_alloc_array(w->context, (size_t)outer->leaves, sizeof *w->aside, &block));
    w->aside = block;
    w->aside_count = outer->leaves;
    w->depth = outer->depth + 1;
    for (int i = 0; i < outer->leaves; i++) {
      w->aside[i] = outer->leaf[i]->incoming;
      outer->leaf[i]->incoming = NULL;
    }
  }
  w->outer = outer;
  w->context->walk = w;
  w->begun = true;
  return PERI_OK;
}

static void finish_walk(walk *w) {
  if (!w->begun) return;
  w->context->walk = w->outer;
  for (int i = 0; i < w->aside_count; i++) w->outer->leaf[i]->incoming = w->aside[i];
  peri_free(w->context, w->aside, (size_t)w->aside_count * sizeof *w->aside);
}

/* ---- the order ---- */

/* Collects the reachable nodes; the list is unordered. */
static peri_status collect(walk *w, peri_node *root) {
  peri_node *stack = NULL;
  const peri_node *freed = NULL, *foreign = NULL;
  if (root->walk != 0) {
    foreign = root;
  } else {
    stack = root;
    root->walk = w->depth;
    root->next = NULL;
  }
  while (stack != NULL) {
    peri_node *node = stack;
    stack = node->next;
    node->next = w->nodes;
    w->nodes = node;
    if (node->freed) freed = node;
    for (int i = 0; i < node->edges; i++) {
      peri_node *before = node->edge[i].node;
      if (node->edge[i].leaf != NULL) w->leaf_capacity++;
      if (before != NULL && before->walk != 0 && before->walk != w->depth) foreign = before;
      if (before == NULL || before->walk != 0) continue;
      before->walk = w->depth;
      before->next = stack;
      stack = before;
    }
  }
  if (foreign != NULL) {
    return peri_fail(w->context, PERI_ERR_STATE,
                     "%s: reached %s, through which a backward or grad that called this goes (detach what it gave)",
                     w->operation, peri_node_name(foreign));
  }
  if (freed == NULL) return PERI_OK;
  return peri_fail(w->context, PERI_ERR_STATE,
                   "%s: the graph of %s was freed by an earlier backward or grad (pass retain_graph = true there)",
                   w->operation, peri_node_name(freed));
}

static peri_node *merge(peri_node *a, peri_node *b) {
  peri_node *head = NULL, **tail = &head;
  while (a != NULL && b != NULL) {
    peri_node **later = a->number > b->number ? &a : &b;
    *tail = *later;
    tail = &(*tail)->next;
    *later = (*later)->next;
  }
  *tail = a != NULL ? a : b;
  return head;
}

/* Latest first: an order in which every node comes before what it depends on. Bottom-up merge sort. */
static peri_node *sort_nodes(peri_node *nodes) {
  peri_node *run[64]; /* of 2^level nodes, or NULL */
  int levels = 0;
  while (nodes != NULL) {
    peri_node *one = nodes;
    nodes = nodes->next;
    one->next = NULL;
    int level = 0;
    for (; level < levels && run[level] != NULL; level++) {
      one = merge(run[level], one);
      run[level] = NULL;
    }
    run[level] = one;
    if (level == levels) levels++;
  }
  peri_node *sorted = NULL;
  for (int level = 0; level < levels; level++) sorted = merge(run[level], sorted);
  return sorted;
}

/* Adds a gradient to what has arrived; takes the reference in *gradient. */
static peri_status accumulate(walk *w, peri_tensor **slot, peri_tensor **gradient) {
  if (*slot == NULL) {
    *slot = *gradient;
    *gradient = NULL;
    return PERI_OK;
  }
  peri_call call;
  peri_call_open(&call, w->context, &peri_op_add);
  call.args[0].tensor = *slot;
  call.args[1].tensor = *gradient;
  call.in_place =
      !w->create_graph && (*slot)->contiguous && (*slot)->references == 1 && (*slot)->storage->references == 1;
  peri_status status = peri_call_run(&call);
  peri_tensor_release(gradient);
  if (status != PERI_OK) return status;
  peri_tensor_release(slot);
  *slot = call.outputs[0].tensor;
  return PERI_OK;
}

/* Where an input was broadcast, its gradient is summed; and it has the input's dtype. */
static peri_status fit_gradient(walk *w, const peri_layout *layout, peri_tensor **gradient) {
  peri_tensor *g = *gradient;
  if (g->layout.dtype == layout->dtype && peri_same_shape(&g->layout, layout)) return PERI_OK;
  peri_backward backward = {.context = w->context, .answers = gradient, .create_graph = w->create_graph};
  peri_formula formula;
  peri_formula_begin(&backward, &formula);
  peri_value value = peri_of(g);
  int64_t dims[PERI_MAX_DIMS];
  int count = 0, shift = g->layout.ndim - layout->ndim;
  for (int d = 0; d < g->layout.ndim; d++) {
    if (d < shift || (layout->shape[d - shift] == 1 && g->layout.shape[d] != 1)) dims[count++] = d;
  }
  if (count > 0) value = peri_step_sum(&backward, value, count, dims, true);
  if (shift > 0) value = peri_step_reshape(&backward, value, layout->ndim, layout->shape);
  if (g->layout.dtype != layout->dtype) value = peri_step_convert(&backward, value, layout->dtype);
  peri_answer(&backward, 0, value);
  peri_status status = peri_formula_end(&backward);
  if (status == PERI_OK) peri_tensor_release(&g);
  return status;
}

static peri_status deliver(walk *w, const peri_edge *edge, peri_tensor **gradient) {
  PERI_TRY(fit_gradient(w, &edge->layout, gradient));
  if (edge->node != NULL) return accumulate(w, &edge->node->incoming[edge->output], gradient);
  if (edge->leaf->incoming == NULL) w->leaf[w->leaves++] = edge->leaf;
  return accumulate(w, &edge->leaf->incoming, gradient);
}

static peri_status check_version(walk *w, const peri_node *node, const char *what, uint64_t saved, uint64_t now) {
  if (saved == now) return PERI_OK;
  return peri_fail(w->context, PERI_ERR_STATE,
                   "%s: %s of %s was changed in place after it was computed (version %llu, now %llu)", w->operation,
                   what, peri_node_name(node), (unsigned long long)saved, (unsigned long long)now);
}

static peri_status check_versions(walk *w, const peri_node *node) {
  for (int i = 0; i < node->params; i++) {
    const peri_tensor *saved = node->args[i].tensor;
    if (saved == NULL) continue;
    PERI_TRY(peri_tensor_check_read(saved, w->operation, "what is needed for a gradient"));
    PERI_TRY(check_version(w, node, node->op->params[i].name, node->versions[i], saved->storage->version));
  }
  for (int i = 0; i < node->op->outputs; i++) {
    const peri_tensor *saved = node->outputs[i];
    if (saved == NULL) continue;
    PERI_TRY(peri_tensor_check_read(saved, w->operation, "what is needed for a gradient"));
    PERI_TRY(check_version(w, node, "the result", node->output_versions[i], saved->storage->version));
  }
  return PERI_OK;
}

/* The saved output as part of the graph, so that a formula over it can be recorded. */
static peri_status attach_outputs(walk *w, peri_node *node, peri_tensor *outputs[PERI_MAX_OUTPUTS]) {
  for (int i = 0; i < PERI_MAX_OUTPUTS; i++) {
    outputs[i] = NULL;
    if (node->outputs[i] == NULL) continue;
    if (!w->create_graph) {
      outputs[i] = peri_tensor_retain(node->outputs[i]);
      continue;
    }
    PERI_TRY(peri_node_attach(node, i, node->outputs[i], &outputs[i]));
  }
  return PERI_OK;
}

static peri_status run_grad(walk *w, peri_node *node, peri_backward *B, peri_tensor **answers) {
  peri_formula formula;
  PERI_TRY(check_versions(w, node));
  peri_status status = attach_outputs(w, node, B->outputs);
  if (status == PERI_OK) {
    bool detect = w->context->detect_anomaly;
    if (node->function == NULL) w->context->detect_anomaly = false; /* what a step gives is looked at as the answer */
    peri_recorder *r = w->context->recorder;
    if (r != NULL) r->begin_gradient(r);
    peri_formula_begin(B, &formula);
    status = node->op->grad(B);
    w->context->detect_anomaly = detect;
    peri_status steps = peri_formula_end(B);
    if (status == PERI_OK) status = steps;
    if (r != NULL && status == PERI_OK) r->end_gradient(r, B);
    if (status != PERI_OK) peri_refuse_replay(w->context, "the gradient of %s failed", peri_node_name(node));
  }
  for (int i = 0; i < PERI_MAX_OUTPUTS; i++) peri_tensor_release(&B->outputs[i]);
  if (status == PERI_OK && w->context->detect_anomaly) status = peri_anomaly_check_answers(node, answers, w->operation);
  for (int i = 0; status == PERI_OK && i < node->edges; i++) {
    if (answers[i] != NULL && B->needs[i]) status = deliver(w, &node->edge[i], &answers[i]);
  }
  for (int i = 0; i < node->edges; i++) peri_tensor_release(&answers[i]);
  return status;
}

/* ---- hooks ---- */

/* The gradient passes through the hooks for that output. One may take out or add others meanwhile: the next is that
 * with the next higher number. */
static peri_status pass_hooks(peri_hook *const *hooks, int output, peri_tensor **gradient) {
  uint64_t last = 0;
  for (bool first = true;; first = false) {
    peri_hook *hook = *hooks;
    while (hook != NULL && (hook->output != output || (!first && hook->number <= last))) hook = hook->next;
    if (hook == NULL) return PERI_OK;
    last = hook->number;
    hook->references++;
    peri_status status = hook->pass(hook, gradient);
    peri_hook_release(hook);
    PERI_TRY(status);
  }
}

static peri_status pass_node_hooks(peri_node *node) {
  for (int i = 0; i < node->output_count; i++) {
    if (node->incoming[i] != NULL) PERI_TRY(pass_hooks(&node->hooks, i, &node->incoming[i]));
  }
  return PERI_OK;
}

static bool is_input(const walk *w, const peri_tensor *leaf) {
  bool is = false;
  for (int i = 0; i < w->captures; i++) is |= w->inputs[i] == leaf;
  return is;
}

/* When all has arrived; of peri.grad at those leaves alone whose gradients it gives. */
static peri_status pass_leaf_hooks(walk *w) {
  for (int i = 0; i < w->leaves; i++) {
    peri_tensor *leaf = w->leaf[i], *gradient = leaf->incoming;
    if (leaf->hooks == NULL || (w->captures > 0 && !is_input(w, leaf))) continue;
    leaf->incoming = NULL;
    peri_refuse_replay(w->context, "a hook is called with a gradient");
    peri_status status = pass_hooks(&leaf->hooks, 0, &gradient);
    leaf->incoming = gradient;
    PERI_TRY(status);
  }
  return PERI_OK;
}

static void capture_node(walk *w, const peri_node *node) {
  for (int i = 0; i < w->captures; i++) {
    const peri_tensor *input = w->inputs[i];
    if (peri_node_of(input) == node && node->incoming[input->output] != NULL && w->captured[i] == NULL) {
      w->captured[i] = peri_tensor_retain(node->incoming[input->output]);
    }
  }
}

#define FEW_EDGES 8

static peri_status visit_node(walk *w, peri_node *node) {
  bool any = false;
  for (int i = 0; i < node->output_count; i++) any |= node->incoming[i] != NULL;
  if (!any) return PERI_OK;
  if (node->function != NULL) peri_refuse_replay(w->context, "%s is a function of the script", peri_node_name(node));
  if (node->hooks != NULL) {
    peri_refuse_replay(w->context, "a hook is called with a gradient");
    PERI_TRY(pass_node_hooks(node));
  }
  if (w->context->detect_anomaly) PERI_TRY(peri_anomaly_check_arrived(node, w->operation));
  capture_node(w, node);
  const peri_layout *few_layouts[FEW_EDGES], **layouts = few_layouts;
  peri_tensor *few_answers[FEW_EDGES], **answers = few_answers;
  bool few_needs[FEW_EDGES], *needs = few_needs;
  void *block = NULL;
  size_t each = sizeof *layouts + sizeof *answers + sizeof *needs, bytes = (size_t)node->edges * each;
  if (node->edges > FEW_EDGES) {
    PERI_TRY(peri_alloc(w->context, bytes, &block));
    layouts = block;
    answers = (peri_tensor **)(layouts + node->edges);
    needs = (bool *)(answers + node->edges);
  }
  for (int i = 0; i < node->edges; i++) {
    layouts[i] = &node->edge[i].layout;
    answers[i] = NULL;
    needs[i] = node->edge[i].node != NULL || node->edge[i].leaf != NULL;
  }
  peri_backward backward = {.context = w->context,
                            .op = node->op,
                            .edges = node->edges,
                            .create_graph = w->create_graph,
                            .args = node->args,
                            .note = node->note,
                            .layouts = layouts,
                            .needs = needs,
                            .grad_outputs = node->incoming,
                            .answers = answers,
                            .node = node};
  peri_status status = run_grad(w, node, &backward, answers);
  peri_free(w->context, block, bytes);
  for (int i = 0; i < node->output_count; i++) peri_tensor_release(&node->incoming[i]);
  return status;
}

/* ---- from the root ---- */

static peri_status first_gradient(walk *w, peri_tensor *root, peri_tensor *gradient, peri_tensor **out) {
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  if (!root->requires_grad) {
    return peri_fail(w->context, PERI_ERR_STATE,
                     "%s: the tensor does not require grad and was not computed from one that does", w->operation);
  }
  if (gradient == NULL) {
    if (root->layout.numel != 1) {
      return peri_fail(w->context, PERI_ERR_ARGUMENT,
                       "%s: the tensor is %s; without a gradient it must have one element", w->operation,
                       peri_shape_text(root->layout.ndim, root->layout.shape, a));
    }
    peri_layout layout;
    peri_layout_set(&layout, root->layout.dtype, root->layout.ndim, root->layout.shape);
    PERI_TRY(peri_tensor_full(w->context, &layout, 1, out));
    if (w->context->recorder != NULL) w->context->recorder->constant(w->context->recorder, *out);
    return PERI_OK;
  }
  if (!peri_same_shape(&root->layout, &gradient->layout)) {
    return peri_fail(w->context, PERI_ERR_ARGUMENT, "%s: gradient is %s but the tensor is %s", w->operation,
                     peri_shape_text(gradient->layout.ndim, gradient->layout.shape, a),
                     peri_shape_text(root->layout.ndim, root->layout.shape, b));
  }
  *out = peri_tensor_retain(gradient);
  return w->create_graph ? PERI_OK : fit_gradient(w, &root->layout, out);
}

static peri_status walk_back(walk *w, peri_tensor *root, peri_tensor **gradient) {
  void *block;
  if (root->node != NULL) PERI_TRY(collect(w, peri_node_of(root)));
  w->leaf_capacity += root->node == NULL;
  PERI_TRY(peri_alloc_array(w->context, w->leaf_capacity, sizeof *w->leaf, &block));
  w->leaf = block;
  if (root->node == NULL) {
    w->leaf[w->leaves++] = root;
    PERI_TRY(accumulate(w, &root->incoming, gradient));
    return pass_leaf_hooks(w);
  }
  w->nodes = sort_nodes(w->nodes);
  PERI_TRY(accumulate(w, &peri_node_of(root)->incoming[root->output], gradient));
  for (peri_node *node = w->nodes; node != NULL; node = node->next) {
    PERI_TRY(peri_check_cancel(w->context));
    PERI_TRY(visit_node(w, node));
  }
  return pass_leaf_hooks(w);
}

static void capture_leaves(walk *w) {
  for (int i = 0; i < w->captures; i++) {
    peri_tensor *input = w->inputs[i];
    if (input->node == NULL && input->incoming != NULL) w->captured[i] = peri_tensor_retain(input->incoming);
  }
}

/* A new .grad must be the leaf's own: contiguous, and shared with nobody. */
static peri_status prepare_leaf(peri_tensor *leaf) {
  peri_tensor *g = leaf->incoming;
  bool own_already = g->contiguous && g->references == 1 && g->storage->references == 1;
  if (leaf->grad != NULL ? !peri_tensors_overlap(leaf->grad, g) : own_already) return PERI_OK;
  peri_layout layout;
  peri_tensor *own;
  peri_layout_set(&layout, g->layout.dtype, g->layout.ndim, g->layout.shape);
  PERI_TRY(peri_tensor_empty(peri_tensor_context(g), &layout, &own));
  peri_status status = peri_tensor_copy_into(own, g);
  if (status != PERI_OK) {
    peri_tensor_release(&own);
    return status;
  }
  peri_tensor_release(&leaf->incoming);
  leaf->incoming = own;
  return PERI_OK;
}

/* Nothing here can fail: memory is there, and an addition in place is not cancelled. */
static void commit_leaf(peri_context *context, peri_tensor *leaf) {
  if (context->recorder != NULL) context->recorder->leaf(context->recorder, leaf, true);
  if (leaf->grad == NULL) {
    leaf->grad = leaf->incoming;
    leaf->incoming = NULL;
    return;
  }
  peri_call call;
  peri_call_open(&call, context, &peri_op_add);
  call.args[0].tensor = leaf->grad;
  call.args[1].tensor = leaf->incoming;
  call.in_place = true;
  call.context->shielded = true;
  if (peri_call_run(&call) == PERI_OK) peri_tensor_release(&call.outputs[0].tensor);
  call.context->shielded = false;
}

static void end_walk(walk *w, bool free_graph) {
  for (int i = 0; i < w->leaves; i++) peri_tensor_release(&w->leaf[i]->incoming);
  peri_free(w->context, w->leaf, w->leaf_capacity * sizeof *w->leaf);
  for (peri_node *node = w->nodes; node != NULL; node = node->next) {
    node->computed.references++; /* so that the list holds while contents go */
    node->walk = 0;
    for (int i = 0; i < node->output_count; i++) peri_tensor_release(&node->incoming[i]);
  }
  for (peri_node *node = w->nodes, *next; node != NULL; node = next) {
    next = node->next;
    if (free_graph) peri_node_free(w->context, node);
    peri_node_release(w->context, node);
  }
  finish_walk(w);
}

static peri_status run(walk *w, peri_tensor *root, peri_tensor *gradient) {
  peri_tensor *first = NULL;
  bool grad_mode = w->context->grad_mode;
  w->context->grad_mode = w->create_graph;
  peri_status status = begin_walk(w);
  if (status == PERI_OK) status = first_gradient(w, root, gradient, &first);
  if (status == PERI_OK) status = walk_back(w, root, &first);
  peri_tensor_release(&first);
  w->context->grad_mode = grad_mode;
  return status;
}

peri_status peri_backward_run(peri_tensor *root, peri_tensor *gradient, bool retain_graph) {
  peri_context *context = peri_tensor_context(root);
  walk w = {.context = context, .operation = "backward"};
  peri_tensor *held = peri_tensor_retain(root); /* a hook may let go of it */
  peri_status status = run(&w, root, gradient);
  for (int i = 0; status == PERI_OK && i < w.leaves; i++) status = prepare_leaf(w.leaf[i]);
  if (status == PERI_OK) {
    bool grad_mode = context->grad_mode;
    context->grad_mode = false;
    for (int i = 0; i < w.leaves; i++) commit_leaf(context, w.leaf[i]);
    context->grad_mode = grad_mode;
  }
  end_walk(&w, status == PERI_OK && !retain_graph);
  peri_tensor_release(&held);
  return status;
}

peri_status peri_grad_run(peri_tensor *root, peri_tensor *gradient, int n, peri_tensor *const *inputs,
                          bool retain_graph, bool create_graph, peri_tensor **grads) {
  peri_context *context = peri_tensor_context(root);
  for (int i = 0; i < n; i++) {
    grads[i] = NULL;
    if (!inputs[i]->requires_grad) {
      return peri_fail(context, PERI_ERR_STATE, "grad: input %d does not require grad", i + 1);
    }
  }
  walk w = {.context = context,
            .captures = n,
            .inputs = inputs,
            .captured = grads,
            .create_graph = create_graph,
            .operation = "grad"};
  peri_tensor_retain(root); /* a hook may let go of it, and of the inputs */
  for (int i = 0; i < n; i++) peri_tensor_retain(inputs[i]);
  peri_status status = run(&w, root, gradient);
  if (status == PERI_OK) capture_leaves(&w);
  end_walk(&w, status == PERI_OK && !retain_graph && !create_graph);
  for (int i = 0; i < n; i++) peri_tensor_release(&(peri_tensor *){inputs[i]});
  peri_tensor_release(&root);
  for (int i = 0; status != PERI_OK && i < n; i++) peri_tensor_release(&grads[i]);
  return status;
}

peri_status peri_require_grad(peri_tensor *x, bool requires_grad) {
  peri_context *context = peri_tensor_context(x);
  if (x->node != NULL && !requires_grad) {
    return peri_fail(context, PERI_ERR_STATE, "requires_grad: the tensor was computed while recording (use detach)");
  }
  if (requires_grad && !peri_is_float(x->layout.dtype)) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "requires_grad: the tensor is %s (expected float32 or float64)",
                     peri_dtype_name(x->layout.dtype));
  }
  x->requires_grad = requires_grad;
  return PERI_OK;
}

/* ---- the graph as it is ---- */

peri_status peri_graph_nodes(peri_tensor *root, const char *operation, peri_node ***nodes, size_t *n) {
  peri_context *context = peri_tensor_context(root);
  walk w = {.context = context, .operation = operation};
  void *block = NULL;
  *nodes = NULL;
  *n = 0;
  if (root->node == NULL) return PERI_OK;
  PERI_TRY(begin_walk(&w));
  peri_status status = collect(&w, peri_node_of(root));
  w.nodes = sort_nodes(w.nodes);
  for (const peri_node *node = w.nodes; node != NULL; node = node->next) ++*n;
  if (status == PERI_OK) status = peri_alloc_array(context, *n, sizeof **nodes, &block);
  if (status == PERI_OK) {
    peri_node **next = *nodes = block;
    for (peri_node *node = w.nodes; node != NULL; node = node->next) {
      node->computed.references++;
      *next++ = node;
    }
  }
  end_walk(&w, false);
  return status;
}

void peri_graph_release(peri_context *context, peri_node ***nodes, size_t n) {
  peri_node **list = *nodes;
  *nodes = NULL;
  for (size_t i = 0; list != NULL && i < n; i++) peri_node_release(context, list[i]);
  peri_free(context, list, n * sizeof *list);
}
