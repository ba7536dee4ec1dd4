/* Nodes: what a recorded operation leaves behind. Its edges lead to the nodes (or leaf tensors) of its inputs, never
 * the other way, so reference counts form no cycle. A node that needs its own output keeps a detached view of it. The
 * dispatcher records; the walk back (autograd/) reads. */
#ifndef PERI_NODE_H
#define PERI_NODE_H

#include "ops/ops.h"

typedef struct peri_node peri_node;

typedef struct peri_edge {
  peri_node *node;   /* what computed the input, or */
  peri_tensor *leaf; /* the leaf that the input is; both NULL: no gradient wanted */
  int output;
  peri_layout layout; /* the input's, to which its gradient is summed */
} peri_edge;

struct peri_node {
  peri_computed computed; /* what a tensor sees */
  const peri_op *op;
  uint64_t number;
  size_t bytes; /* of this block: the node, its edges, its arguments, their versions, their lists, and room for the
                   gradients of the outputs */
  int edges, params, output_count;
  bool freed;                             /* by an earlier backward: edges and saved tensors are gone */
  int walk;                               /* that reached it, counted from the outermost; 0: none */
  peri_node *next;                        /* in a walk's list, or among the dying */
  peri_tensor **incoming;                 /* gradients of the outputs while a walk runs */
  peri_tensor *outputs[PERI_MAX_OUTPUTS]; /* saved */
  uint64_t output_versions[PERI_MAX_OUTPUTS];
  int64_t note[PERI_MAX_NOTES];
  peri_arg *args;
  uint64_t *versions;  /* of the saved arguments */
  peri_hook *function; /* of a function's node, else NULL */
  peri_hook *hooks;    /* on its outputs */
  char *where;         /* the script's place, where it was recorded in the mode that detects anomalies, or NULL */
  peri_edge edge[];
};

/* The node of a tensor, or NULL for a leaf. */
static inline peri_node *peri_node_of(const peri_tensor *x) { return (peri_node *)x->node; }
/* Whether a call with this tensor is to be recorded. */
static inline bool peri_tracks(const peri_tensor *x) { return x != NULL && x->requires_grad; }
/* What messages call it: the row, or the function that a hook stands for. */
const char *peri_node_name(const peri_node *node);
/* Makes the node of a call that has run and attaches it to the float outputs. */
peri_status peri_node_record(peri_call *call);
/* A function that is no row: its name, what it was called with, and what it gave, of which at least one is a float. The
 * results are replaced by tensors that share their elements and are computed by it; its gradient is hook->grad. On
 * failure nothing is replaced. */
peri_status peri_node_record_function(peri_context *context, peri_hook *hook, const char *name, int n,
                                      peri_tensor *const *inputs, int m, peri_tensor **results);
/* x, the elements of an output, as a tensor that the node computed. */
peri_status peri_node_attach(peri_node *node, int output, peri_tensor *x, peri_tensor **out);
/* A hook on a tensor that requires grad, at the end of those that are there; fails when the graph was freed. */
peri_status peri_tensor_hook(peri_tensor *x, peri_hook *hook);
/* Drops a reference; long chains are released without recursion. */
static inline void peri_node_release(peri_context *context, peri_node *node) {
  peri_computed_release(context, &node->computed);
}
/* Lets go of edges and saved tensors: nothing can be computed through the node any more. */
void peri_node_free(peri_context *context, peri_node *node);

#endif
