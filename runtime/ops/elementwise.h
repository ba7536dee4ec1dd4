/* What elementwise rows share: operands of one dtype, loops over them, and the derivatives of elementwise.def as
 * formulas. */
#ifndef PERI_ELEMENTWISE_H
#define PERI_ELEMENTWISE_H

#include "ops/ops.h"
#include "kernels/kernels.h"

/* ---- checks of infer functions ---- */

/* Output 0: dtype, and the shape of arguments first .. first + n-1 broadcast; at most 3. */
peri_status peri_infer_broadcast(peri_call *call, int first, int n, peri_dtype dtype);
peri_status peri_refuse_dtype(peri_call *call, int arg, const char *expected);
/* Of the operands a and b one is a tensor. */
peri_status peri_need_a_tensor(peri_call *call);

/* ---- running ---- */

/* Up to three operands brought to one dtype, as the iterator takes them. */
typedef struct peri_operands {
  int n;
  peri_tensor *converted[3];
  double number[3];
} peri_operands;

/* Adds an operand; n is 0 at first. */
peri_status peri_open_operand(peri_operands *o, const peri_arg *arg, peri_dtype dtype);
/* Arguments first .. first + n-1; closed again when one fails. */
peri_status peri_open_operands(peri_call *call, peri_operands *o, int first, int n, peri_dtype dtype);
void peri_close_operands(peri_operands *o);

#define PERI_TUNED_NUMBERS 3 /* of a TUNED function, beside its tensor */

/* One of these, for as many operands. */
typedef struct peri_loops {
  peri_loop1 one;
  peri_loop2 two;
  peri_loop3 three;
  peri_tuned1 tuned1;
  peri_tuned2 tuned2;
  const double *numbers; /* of a tuned one */
} peri_loops;

/* y = loop(operands) over y's shape; closes the operands. */
peri_status peri_run_loops(peri_tensor *y, peri_operands *o, peri_loops *l);
/* The call's output = loop(a, b), computed in dtype. */
peri_status peri_run_two(peri_call *call, peri_loop2 loop, const peri_arg *a, const peri_arg *b, peri_dtype dtype);

/* Rows of one tensor: float32 and float64 stay, int64 becomes float64. */
peri_status peri_infer_floats(peri_call *call);
/* The call's output = the UNARY with that id of argument 0, computed in the call's dtype. */
peri_status peri_run_unary(peri_call *call, int id);
/* gx from the loop over (g, x, y), or over (g, x); what it does not read may be NULL. */
peri_value peri_fused_gradient(peri_backward *B, peri_loops *l, peri_tensor *g, peri_tensor *x, peri_tensor *y);

/* ---- derivatives, recorded under create_graph ---- */

/* g times the derivative of the UNARY with that id at x, where the value is y: fused, or as a formula. */
peri_value peri_unary_gradient(peri_backward *B, int id, peri_value g, peri_value x, peri_value y);
/* Of the UNARY with that id, in x and y; of a TUNED with its numbers; and the gradient of operand 0 or 1 of the
 * BINARY. */
peri_value peri_unary_derivative(peri_backward *B, int id, peri_value x, peri_value y);
peri_value peri_tuned_derivative(peri_backward *B, int id, peri_value x, const double *numbers);
peri_value peri_binary_gradient(peri_backward *B, int id, int operand, peri_value a, peri_value b, peri_value y,
                                peri_value g);

/* A function that serves other rows alone has no documentation. */
#define PERI_SERVES(doc) (sizeof(doc) == 1 ? PERI_OP_INTERNAL : 0)

#endif
