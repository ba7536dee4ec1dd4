/* The derivatives of elementwise.def as formulas: graphs of rows, which can be recorded. */
#include "ops/elementwise.h"
#include "ops/rows.h"

static peri_value greater(peri_backward *B, peri_value a, peri_value b) {
  return peri_step_convert(B, peri_step_gt(B, a, b), B->grad_outputs[0]->layout.dtype);
}

static peri_value choose(peri_backward *B, peri_value x, peri_value t, peri_value yes, peri_value no) {
  return peri_step_where(B, peri_step_gt(B, x, t), yes, no);
}

static peri_value is_number(peri_backward *B, peri_value a) {
  return peri_step_convert(B, peri_step_eq(B, a, a), B->grad_outputs[0]->layout.dtype);
}

#define IS_NUMBER(a)         is_number(B, a)
#define C(number)            peri_constant(number)
#define ADD(a, b)            peri_step_add(B, a, b)
#define SUB(a, b)            peri_step_sub(B, a, b)
#define MUL(a, b)            peri_step_mul(B, a, b)
#define DIV(a, b)            peri_step_div(B, a, b)
#define NEG(a)               peri_step_neg(B, a)
#define OF(row, ...)         peri_step_##row(B, __VA_ARGS__)
#define GT0(a)               greater(B, a, peri_constant(0))
#define GT(a, b)             greater(B, a, b)
#define IF_GT(x, t, yes, no) choose(B, x, t, yes, no)

typedef peri_value (*unary_formula)(peri_backward *B, peri_value x, peri_value y);
typedef peri_value (*tuned_formula)(peri_backward *B, peri_value x, const double *numbers);
typedef peri_value (*binary_formula)(peri_backward *B, peri_value a, peri_value b, peri_value y, peri_value g);

#define UNARY(name, kinds, cost, value, saves, derivative, low, high, doc)                                             \
  static peri_value derivative_of_##name(peri_backward *B, peri_value x, peri_value y) {                               \
    (void)B, (void)x, (void)y;                                                                                         \
    return derivative;                                                                                                 \
  }
#define TUNED(name, params, cost, value, derivative, ...)                                                              \
  static peri_value derivative_of_##name(peri_backward *B, peri_value x, const double *numbers) {                      \
    peri_value p = peri_constant(numbers[0]), q = peri_constant(numbers[1]), r = peri_constant(numbers[2]);            \
    (void)B, (void)x, (void)p, (void)q, (void)r;                                                                       \
    return derivative;                                                                                                 \
  }
#define BINARY(name, metamethod, kinds, cost, value, saves, derivative_a, derivative_b, low, high, doc)                \
  static peri_value derivative_a_of_##name(peri_backward *B, peri_value a, peri_value b, peri_value y, peri_value g) { \
    (void)B, (void)a, (void)b, (void)y, (void)g;                                                                       \
    return derivative_a;                                                                                               \
  }                                                                                                                    \
  static peri_value derivative_b_of_##name(peri_backward *B, peri_value a, peri_value b, peri_value y, peri_value g) { \
    (void)B, (void)a, (void)b, (void)y, (void)g;                                                                       \
    return derivative_b;                                                                                               \
  }
#include "kernels/elementwise.def"

static const unary_formula unary_formulas[] = {
#define UNARY(name, ...) derivative_of_##name,
#include "kernels/elementwise.def"
};
static const tuned_formula tuned_formulas[] = {
#define TUNED(name, ...) derivative_of_##name,
#include "kernels/elementwise.def"
};
static const binary_formula binary_formulas[][2] = {
#define BINARY(name, ...) {derivative_a_of_##name, derivative_b_of_##name},
#include "kernels/elementwise.def"
};

peri_value peri_unary_derivative(peri_backward *B, int id, peri_value x, peri_value y) {
  return unary_formulas[id](B, x, y);
}

peri_value peri_tuned_derivative(peri_backward *B, int id, peri_value x, const double *numbers) {
  return tuned_formulas[id](B, x, numbers);
}

peri_value peri_binary_gradient(peri_backward *B, int id, int operand, peri_value a, peri_value b, peri_value y,
                                peri_value g) {
  return binary_formulas[id][operand](B, a, b, y, g);
}
