/* Autograd: an eager tape. A recorded operation is a node; its edges lead to the nodes (or leaf
 * tensors) of its inputs, never the other way, so reference counts form no cycle. A node that needs
 * its own output keeps a detached view of it. */
#ifndef PERI_AUTOGRAD_H
#define PERI_AUTOGRAD_H

#include "tensor/tensor.h"

struct peri_call;
typedef struct peri_node peri_node;

/* Whether a call with these tensors is to be recorded. */
static inline bool peri_tracks(const peri_tensor *x) { return x != NULL && x->requires_grad; }

/* Makes the node of a call that has run and attaches it to the float outputs. */
peri_status peri_node_record(struct peri_call *call);
/* Drops a reference; long chains are released without recursion. */
void peri_node_release(peri_context *context, peri_node *node);

/* Gradients of root (one element, unless gradient is given with root's shape) into .grad of the
 * leaves, accumulating. The graph is freed unless retain_graph. */
peri_status peri_backward_run(peri_tensor *root, peri_tensor *gradient, bool retain_graph);
/* Gradients of root with respect to n inputs (leaves or not) as new tensors; NULL where root does
 * not depend on one. With create_graph they can be differentiated again. .grad is not touched. */
peri_status peri_grad_run(peri_tensor *root, peri_tensor *gradient, int n, peri_tensor *const *inputs,
                          bool retain_graph, bool create_graph, peri_tensor **grads);
/* Marks a leaf. Fails for dtypes that are not float, and when switched off on a computed tensor. */
peri_status peri_require_grad(peri_tensor *x, bool requires_grad);

#endif
