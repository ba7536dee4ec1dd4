/* Autograd: an eager tape. The dispatcher records nodes (ops/node.h); here is the walk back through them. */
#ifndef PERI_AUTOGRAD_H
#define PERI_AUTOGRAD_H

#include "tensor/tensor.h"

/* Gradients of root (one element, unless gradient is given with root's shape) into .grad of the
 * leaves, accumulating. The graph is freed unless retain_graph. */
peri_status peri_backward_run(peri_tensor *root, peri_tensor *gradient, bool retain_graph);
/* Gradients of root with respect to n inputs (leaves or not) as new tensors; NULL where root does
 * not depend on one. With create_graph they can be differentiated again. .grad is not touched. */
peri_status peri_grad_run(peri_tensor *root, peri_tensor *gradient, int n, peri_tensor *const *inputs,
                          bool retain_graph, bool create_graph, peri_tensor **grads);
/* The nodes that root depends on, latest first, each with a reference: an array to be let go with the function behind
 * it. `operation` opens messages: a graph that was freed, or that a walk goes through. */
peri_status peri_graph_nodes(peri_tensor *root, const char *operation, struct peri_node ***nodes, size_t *n);
void peri_graph_release(peri_context *context, struct peri_node ***nodes, size_t n);
/* Marks a leaf. Fails for dtypes that are not float, and when switched off on a computed tensor. */
peri_status peri_require_grad(peri_tensor *x, bool requires_grad);

#endif
