/* einsum: the equation, in which order its operands are multiplied, and the diagonals that it may ask for. */
#include "ops/contraction.h"
#include "ops/rows.h"

#include <math.h>

#define MOST_OPERANDS 32
#define FEW_OPERANDS  8 /* of which every order is tried */
#define LETTERS       52
#define BIT(label)    ((uint64_t)1 << (label))

/* ---- the equation ---- */

typedef struct term {
  int ndim;
  int label[PERI_MAX_DIMS];
} term;

typedef struct equation {
  int count;
  term operand[MOST_OPERANDS], output;
  int64_t size[PERI_MAX_LABELS];
  int ellipsis; /* dimensions that it stands for, at most */
} equation;

static peri_status wrong(peri_call *call, const char *what) {
  return peri_call_fail(call, PERI_ERR_ARGUMENT, "equation is '%.200s': %s", call->args[0].text, what);
}

/* A-Z before a-z, as the letters of an implicit result are ordered; -1 for what is no letter. */
static int letter(char c) { return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? 26 + c - 'a' : -1; }

/* Reads one term up to `end`: its letters, and where the ellipsis stands among them, or -1. */
static peri_status read_term(peri_call *call, const char *text, const char *end, term *out, int *ellipsis) {
  *ellipsis = -1;
  out->ndim = 0;
  for (; text < end; text++) {
    if (*text == ' ') continue;
    if (end - text >= 3 && memcmp(text, "...", 3) == 0 && *ellipsis < 0) {
      *ellipsis = out->ndim;
      text += 2;
      continue;
    }
    int label = letter(*text);
    if (label < 0) return wrong(call, "expected letters, one ... in a term, commas and ->, as in 'ij,jk->ik'");
    if (out->ndim == PERI_MAX_DIMS) return wrong(call, "a term has more than 8 letters");
    out->label[out->ndim++] = label;
  }
  return PERI_OK;
}

/* Puts `count` labels of the ellipsis, the last ones, in its place. */
static void place_ellipsis(term *t, int at, int count) {
  if (at < 0) return;
  memmove(t->label + at + count, t->label + at, (size_t)(t->ndim - at) * sizeof *t->label);
  for (int i = 0; i < count; i++) t->label[at + i] = PERI_MAX_LABELS - count + i;
  t->ndim += count;
}

static peri_status read_operand(peri_call *call, equation *e, int i, const char *text, const char *end) {
  term *t = &e->operand[i];
  const peri_layout *x = &call->args[1].tensors[i]->layout;
  int at;
  char shape[PERI_SHAPE_TEXT];
  PERI_TRY(read_term(call, text, end, t, &at));
  int more = x->ndim - t->ndim;
  if (more < 0 || (more > 0 && at < 0)) {
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "equation is '%.200s' but tensor %d is %s (%d dimension%s named)",
                          call->args[0].text, i + 1, peri_shape_text(x->ndim, x->shape, shape), t->ndim,
                          t->ndim == 1 ? " is" : "s are");
  }
  place_ellipsis(t, at, more);
  if (at >= 0 && more > e->ellipsis) e->ellipsis = more;
  for (int d = 0; d < t->ndim; d++) {
    int64_t *size = &e->size[t->label[d]];
    for (int before = 0; before < d; before++) {
      if (t->label[before] == t->label[d] && x->shape[before] != x->shape[d])
        return wrong(call, "a letter that stands twice in a term has different sizes there");
    }
    if (*size < 0 || *size == 1) {
      *size = x->shape[d];
    } else if (x->shape[d] != 1 && x->shape[d] != *size) {
      return peri_call_fail(
          call, PERI_ERR_ARGUMENT,
          "equation is '%.200s' but tensor %d is %s (a dimension of the same name has %lld elsewhere)",
          call->args[0].text, i + 1, peri_shape_text(x->ndim, x->shape, shape), (long long)*size);
    }
  }
  return PERI_OK;
}

static peri_status read_output(peri_call *call, equation *e, const char *text) {
  int at;
  uint64_t seen = 0;
  PERI_TRY(read_term(call, text, text + strlen(text), &e->output, &at));
  for (int d = 0; d < e->output.ndim; d++) {
    int label = e->output.label[d];
    if (e->size[label] < 0) return wrong(call, "a letter of the result is in no operand");
    if (seen & BIT(label)) return wrong(call, "a letter stands twice in the result");
    seen |= BIT(label);
  }
  if (at >= 0 && e->output.ndim + e->ellipsis > PERI_MAX_DIMS) return wrong(call, "the result has too many dimensions");
  place_ellipsis(&e->output, at, e->ellipsis);
  return PERI_OK;
}

/* Without an arrow: the ellipsis, then every letter that stands once, in the alphabet's order. */
static peri_status implicit_output(peri_call *call, equation *e) {
  int times[LETTERS] = {0};
  for (int i = 0; i < e->count; i++) {
    for (int d = 0; d < e->operand[i].ndim; d++) {
      if (e->operand[i].label[d] < LETTERS) times[e->operand[i].label[d]]++;
    }
  }
  e->output.ndim = 0;
  place_ellipsis(&e->output, 0, e->ellipsis);
  for (int label = 0; label < LETTERS; label++) {
    if (times[label] != 1) continue;
    if (e->output.ndim == PERI_MAX_DIMS) return wrong(call, "the result has too many dimensions");
    e->output.label[e->output.ndim++] = label;
  }
  return PERI_OK;
}

static peri_status read_equation(peri_call *call, equation *e) {
  const char *text = call->args[0].text, *arrow = strstr(text, "->"),
             *end = arrow == NULL ? text + strlen(text) : arrow;
  int count = call->args[1].count;
  if (count > MOST_OPERANDS)
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "there are %d tensors (expected at most %d)", count, MOST_OPERANDS);
  int terms = 1;
  for (const char *c = text; c < end; c++) terms += *c == ',';
  if (terms != count)
    return peri_call_fail(call, PERI_ERR_ARGUMENT, "equation is '%.200s', of %d term%s, but there %s %d tensor%s", text,
                          terms, terms == 1 ? "" : "s", count == 1 ? "is" : "are", count, count == 1 ? "" : "s");
  e->count = count;
  e->ellipsis = 0;
  for (int label = 0; label < PERI_MAX_LABELS; label++) e->size[label] = -1;
  for (int i = 0; i < count; i++) {
    const char *comma = memchr(text, ',', (size_t)(end - text)), *stop = comma == NULL ? end : comma;
    PERI_TRY(read_operand(call, e, i, text, stop));
    text = stop + 1;
  }
  return arrow == NULL ? implicit_output(call, e) : read_output(call, e, arrow + 2);
}

static peri_status infer_einsum(peri_call *call) {
  equation e;
  int64_t shape[PERI_MAX_DIMS];
  const peri_arg *list = &call->args[1];
  PERI_TRY(read_equation(call, &e));
  peri_dtype dtype = list->tensors[0]->layout.dtype;
  for (int i = 0; i < list->count; i++) {
    peri_dtype own = list->tensors[i]->layout.dtype;
    dtype = peri_wider_dtype(dtype, own);
    if (!peri_is_float(own) && own != PERI_INT64)
      return peri_call_fail(call, PERI_ERR_ARGUMENT, "tensor %d is %s (expected floats or int64)", i + 1,
                            peri_dtype_name(own));
  }
  call->dtype = dtype;
  for (int d = 0; d < e.output.ndim; d++) shape[d] = e.size[e.output.label[d]];
  return peri_infer_output(call, 0, dtype, e.output.ndim, shape);
}

/* ---- the order of products ---- */

typedef struct plan {
  peri_call *call;
  peri_backward *B;
  const equation *e;
  int count;
  peri_factor factor[MOST_OPERANDS];
  uint64_t labels[MOST_OPERANDS], output;
  unsigned split[1 << FEW_OPERANDS]; /* of each set of operands, what is multiplied first on one side */
} plan;

static double elements(const plan *p, uint64_t labels) {
  double product = 1;
  for (int label = 0; label < PERI_MAX_LABELS; label++) {
    if (labels & BIT(label)) product *= (double)p->e->size[label];
  }
  return product;
}

/* What the product of a set of operands still has: labels of the result and of the other operands. */
static uint64_t kept(const plan *p, unsigned set, uint64_t *own) {
  uint64_t inside = 0, needed = p->output;
  for (int i = 0; i < p->count; i++) {
    if (set >> i & 1) {
      inside |= p->labels[i];
    } else {
      needed |= p->labels[i];
    }
  }
  *own = inside;
  return inside & needed;
}

/* The cheapest way to multiply each set, from those of its parts: counted are the products of elements. */
static void plan_all(plan *p) {
  double cost[1 << FEW_OPERANDS];
  uint64_t result[1 << FEW_OPERANDS], own;
  for (unsigned set = 1; set < 1u << p->count; set++) {
    result[set] = kept(p, set, &own);
    cost[set] = 0;
    if ((set & (set - 1)) == 0) continue;
    cost[set] = HUGE_VAL;
    p->split[set] = set & -set;
    for (unsigned part = (set - 1) & set; part > 0; part = (part - 1) & set) {
      unsigned rest = set ^ part;
      if (part < rest) continue;
      double whole = cost[part] + cost[rest] + elements(p, result[part] | result[rest]);
      if (whole < cost[set]) {
        cost[set] = whole;
        p->split[set] = part;
      }
    }
  }
}

static peri_factor multiply_set(plan *p, unsigned set) {
  int first = __builtin_ctz(set);
  uint64_t own, keep = kept(p, set, &own);
  if ((set & (set - 1)) == 0) return p->factor[first];
  unsigned part = p->split[set], rest = set ^ part;
  if (part & (1u << first)) return peri_contract(p->call, p->B, multiply_set(p, part), multiply_set(p, rest), keep);
  return peri_contract(p->call, p->B, multiply_set(p, rest), multiply_set(p, part), keep);
}

/* Of many operands, always the two whose product is smallest beside what it replaces. */
static peri_factor multiply_greedily(plan *p) {
  while (p->count > 1) {
    int a = 0, b = 1;
    double best = HUGE_VAL;
    for (int i = 0; i < p->count; i++) {
      for (int j = i + 1; j < p->count; j++) {
        uint64_t own, keep = kept(p, 1u << i | 1u << j, &own);
        double growth = elements(p, keep) - elements(p, p->labels[i]) - elements(p, p->labels[j]);
        if (growth >= best) continue;
        best = growth;
        a = i;
        b = j;
      }
    }
    uint64_t own, keep = kept(p, 1u << a | 1u << b, &own);
    p->factor[a] = peri_contract(p->call, p->B, p->factor[a], p->factor[b], keep);
    p->labels[a] = keep;
    p->count--;
    p->factor[b] = p->factor[p->count];
    p->labels[b] = p->labels[p->count];
  }
  return p->factor[0];
}

/* A dimension of size 1 beside a larger one of that name says nothing. */
static void drop_ones(const plan *p, peri_factor *x) {
  if (p->B->formula->status != PERI_OK) return;
  const peri_layout *layout = &x->value.tensor->layout;
  int64_t shape[PERI_MAX_DIMS];
  int ndim = 0;
  for (int d = 0; d < x->ndim; d++) {
    if (layout->shape[d] == 1 && p->e->size[x->label[d]] != 1) continue;
    shape[ndim] = layout->shape[d];
    x->label[ndim++] = x->label[d];
  }
  if (ndim == x->ndim) return;
  x->ndim = ndim;
  x->value = peri_step_reshape(p->B, x->value, ndim, shape);
}

static void open_factor(plan *p, int i) {
  const term *t = &p->e->operand[i];
  peri_factor *x = &p->factor[i];
  *x = (peri_factor){.value = peri_of(p->call->args[1].tensors[i]), .ndim = t->ndim};
  memcpy(x->label, t->label, sizeof t->label);
  if (x->value.tensor->layout.dtype != p->call->dtype) x->value = peri_step_convert(p->B, x->value, p->call->dtype);
  peri_factor_diagonal(p->B, x);
  drop_ones(p, x);
  p->labels[i] = peri_factor_labels(x);
}

static peri_status compose_einsum(peri_backward *B) {
  peri_call *call = B->call;
  equation e;
  PERI_TRY(read_equation(call, &e));
  plan p = {.call = call, .B = B, .e = &e, .count = e.count};
  for (int d = 0; d < e.output.ndim; d++) p.output |= BIT(e.output.label[d]);
  for (int i = 0; i < e.count; i++) open_factor(&p, i);
  for (int i = 0; i < e.count; i++) { /* what stands in one operand alone is summed at once */
    uint64_t own, keep = kept(&p, 1u << i, &own);
    peri_factor_sum(B, &p.factor[i], keep);
    p.labels[i] = keep;
  }
  peri_factor result;
  if (p.count > FEW_OPERANDS) {
    result = multiply_greedily(&p);
  } else {
    plan_all(&p);
    result = multiply_set(&p, (1u << p.count) - 1);
  }
  peri_answer(B, 0, peri_factor_ordered(B, &result, e.output.ndim, e.output.label));
  return PERI_OK;
}

const peri_op peri_op_einsum = {
    .name = "einsum",
    .flags = PERI_OP_NO_METHOD,
    .outputs = 1,
    .params = {{"equation", PERI_KIND_TEXT}, {"tensors", PERI_KIND_TENSORS, .spread = true}},
    .infer = infer_einsum,
    .compose = compose_einsum,
    .low = -1,
    .high = 1,
    .sample = "{'ij,jk->ik', T(3, 4), T(4, 2)}, {'ii', T(3, 3)}, {'...ij,...jk', {T(2, 1, 2, 3), T(3, 3, 2)}}, {'i,j', "
              "T(3), T(2)}, {'bij,bjk,bk->b', T(2, 3, 4), T(2, 4, 5), T(2, 5)}, {'ij->ji', T(2, 3)}",
    .doc =
        "einsum(equation, tensors...) -> tensor\n"
        "Sums of products by the names of dimensions, as NumPy writes them: 'ij,jk->ik' multiplies matrices, 'ii' is the "
        "trace, 'ii->i' the diagonal, 'i,j' all products, 'ij->' the sum, '...ij->...ji' transposes the last two. "
        "Names that are not in the result are summed; without -> the result has the names that stand once, in the "
        "alphabet's order, behind what ... stands for, which is broadcast. The tensors stand one after the other or in "
        "a table. They are multiplied two by two, by matrix products, in the order that takes fewest products of "
        "elements (of more than 8: always the pair whose product grows least). Floats or int64.",
};

/* ---- diagonals ---- */

/* The diagonal of two dimensions, dim2 behind dim1, as one in the place of dim1: a view. */
static peri_status infer_merge(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  peri_layout *y = &call->outputs[0].layout;
  int first, second;
  PERI_TRY(peri_infer_dim(call, 1, x->ndim, &first));
  PERI_TRY(peri_infer_dim(call, 2, x->ndim, &second));
  *y = *x;
  y->offset = peri_tensor_offset(call->args[0].tensor);
  y->strides[first] += x->strides[second];
  y->numel = x->shape[second] == 0 ? 0 : x->numel / x->shape[second];
  y->ndim--;
  for (int d = second; d < y->ndim; d++) {
    y->shape[d] = x->shape[d + 1];
    y->strides[d] = x->strides[d + 1];
  }
  return PERI_OK;
}

/* Zeros but on the diagonal: a mask with the places of both dimensions chooses. */
static peri_status grad_merge(peri_backward *B) {
  const peri_layout *x = B->layouts[0];
  int64_t first = B->args[1].integer, second = B->args[2].integer, n = x->shape[first];
  int64_t sizes[PERI_MAX_DIMS], places[PERI_MAX_DIMS];
  for (int d = 0; d < x->ndim; d++) {
    sizes[d] = d == second ? 1 : x->shape[d];
    places[d] = d == first || d == second ? n : 1;
  }
  peri_value mask = peri_step_convert(B, peri_step_triangles(B, PERI_FLOAT32, n, n, 0, 1, 0), PERI_BOOL);
  peri_value g = peri_step_reshape(B, peri_of(B->grad_outputs[0]), x->ndim, sizes);
  peri_answer(B, 0, peri_step_where(B, peri_step_reshape(B, mask, x->ndim, places), g, peri_constant(0)));
  return PERI_OK;
}

const peri_op peri_op_merge = {
    .name = "merge",
    .flags = PERI_OP_VIEW | PERI_OP_INTERNAL,
    .outputs = 1,
    .params = {{"x", PERI_KIND_TENSOR}, {"dim1", PERI_KIND_DIM}, {"dim2", PERI_KIND_DIM}},
    .infer = infer_merge,
    .grad = grad_merge,
    .doc = "merge(x, dim1, dim2) -> tensor\nThe diagonal of two dimensions in the place of the first. A view.",
};

peri_value peri_step_merge(peri_backward *B, peri_value x, int64_t first, int64_t second) {
  peri_call call;
  if (B->formula->status != PERI_OK) return x;
  peri_step_open(B, &call, &peri_op_merge, 1, &x);
  call.args[1].integer = first;
  call.args[2].integer = second;
  return peri_step_run(B, &call);
}
