/* The operation table: one row for each operation, read by the dispatcher, autograd, the Lua
 * binding, help, the reference and the tests.
 *
 * A call is a frame (peri_call) that whoever reads arguments fills: infer checks everything and
 * states the outputs, the dispatcher allocates them, run computes. When any step fails, nothing was
 * changed. Positions, dimensions and indices count from 0 here; the binding translates. */
#ifndef PERI_OPS_H
#define PERI_OPS_H

#include "tensor/tensor.h"

#define PERI_MAX_PARAMS  8
#define PERI_MAX_OUTPUTS 4
#define PERI_MAX_NOTES   8
#define PERI_LIST_ROOM   (2 * PERI_MAX_DIMS) /* numbers in a list argument */

/* ---- parameters ---- */

typedef enum peri_kind {
  PERI_KIND_TENSOR,  /* a tensor */
  PERI_KIND_OPERAND, /* a tensor or a number */
  PERI_KIND_TENSORS, /* a list of at least one tensor; where `spread`, they may also stand one after the other */
  PERI_KIND_INDICES, /* an int64 tensor whose values count positions from 1; scripts may give a table of them */
  PERI_KIND_NUMBER,  /* or one of the words in choices if there are any */
  PERI_KIND_INTEGER,
  PERI_KIND_INDEX, /* a position along a dimension: negative counts from the end */
  PERI_KIND_BOOL,
  PERI_KIND_DIM,      /* one dimension: negative counts from the end */
  PERI_KIND_DIMS,     /* several dimensions */
  PERI_KIND_NUMBERS,  /* a list of `count` numbers, or of any count, or one alone; peri_arg_number reads them */
  PERI_KIND_SHAPE,    /* sizes, or one of the words in choices if there are any */
  PERI_KIND_INTEGERS, /* whole numbers, as many as a table has, or one alone */
  PERI_KIND_DTYPE,
  PERI_KIND_CHOICE, /* one of the words in choices */
  PERI_KIND_TEXT,
  PERI_KIND_AXES, /* how many dimensions, or two lists of them of one length */
} peri_kind;

/* Whether an argument of that kind is a list, of which the frame has room for PERI_MAX_DIMS, of AXES for two. */
static inline bool peri_is_sizes(peri_kind kind) {
  return kind == PERI_KIND_DIMS || kind == PERI_KIND_SHAPE || kind == PERI_KIND_NUMBERS || kind == PERI_KIND_AXES;
}

#define PERI_LISTED (-1) /* count of a DIMS or SHAPE: any, in a table, or one number alone, but no run of numbers */

typedef struct peri_param {
  const char *name;
  peri_kind kind;
  bool optional;       /* may be left out */
  bool named;          /* only in the trailing table of options */
  bool shape_only;     /* TENSOR: nothing but its shape and dtype is read, and no gradient goes there */
  bool bools;          /* TENSOR: of bools beside others, which infer does not read */
  double otherwise;    /* the default of a number, integer, index, bool, dtype or choice left out */
  const char *choices; /* "none sum mean" */
  int count;   /* SHAPE: exactly so many sizes, or one number that stands for all of them; or PERI_LISTED; NUMBERS: so
                  many, 0: any */
  bool reads;  /* TENSOR, OPERAND: infer reads values also of floats, which a replay looks at again */
  bool spread; /* TENSORS: or one after the other, without a table */
  bool masks;  /* TENSORS: scripts may give a bool tensor, for the coordinates of what is true in it */
} peri_param;

/* One argument. A union would save bytes and cost clarity. */
typedef struct peri_arg {
  bool given;
  bool is_integer;     /* NUMBER and OPERAND: written as an integer, or as a boolean; INTEGERS: one number alone */
  bool is_bool;        /* NUMBER and OPERAND: written as a boolean */
  int count;           /* TENSORS, DIMS, SHAPE, NUMBERS, INTEGERS; AXES: of each list, -1 for a number */
  int word;            /* NUMBER: 1 for the first word in its place, 2 for the second, else 0 */
  const char *text;    /* TEXT: the caller's, in a node its own */
  peri_tensor *tensor; /* TENSOR; OPERAND when it is one, else NULL */
  peri_tensor *const *tensors;
  double number;   /* NUMBER, OPERAND */
  int64_t integer; /* INTEGER, INDEX, BOOL, DIM, DTYPE, CHOICE, AXES; NUMBER and OPERAND when is_integer; SHAPE: 1 for
                      the first word in the place of sizes, 2 for the second, else 0 */
  int64_t *sizes;  /* DIMS, SHAPE, NUMBERS (their bits), AXES (the second list from PERI_MAX_DIMS): room of its own in
                      the frame, and in the node; INTEGERS: the same, or the reader's where they are more */
} peri_arg;

static inline double peri_arg_number(const peri_arg *arg, int i) {
  double number;
  memcpy(&number, &arg->sizes[i], sizeof number);
  return number;
}

/* The number of a NUMBER or OPERAND as an element of dtype: integers exactly, else rounded as a conversion does. */
static inline void peri_arg_store(const peri_arg *arg, peri_dtype dtype, void *element) {
  if (dtype == PERI_INT64 && arg->is_integer) {
    memcpy(element, &arg->integer, sizeof arg->integer);
  } else {
    peri_store_number(dtype, element, arg->number);
  }
}

/* ---- calls ---- */

typedef struct peri_output {
  peri_layout layout;  /* set by infer */
  peri_tensor *tensor; /* set by the dispatcher */
  bool unwanted; /* set by infer: not asked for, so that scripts do not get it; NULL where run makes no use of it */
} peri_output;

typedef struct peri_call {
  peri_context *context;
  const struct peri_op *op;
  bool recording; /* known before infer */
  bool in_place;  /* the form that writes to its first argument */
  unsigned saves; /* the row's; infer may find that less is needed */
  peri_arg args[PERI_MAX_PARAMS];
  int64_t lists[PERI_MAX_PARAMS][PERI_LIST_ROOM]; /* room for the arguments that are lists of sizes */
  int output_count;
  peri_output *outputs; /* those below; of a row that gives a list, room that the caller made */
  peri_output few_outputs[PERI_MAX_OUTPUTS];
  peri_stream *stream;    /* for random rows: the context's, or a generator's */
  size_t workspace_bytes; /* set by infer */
  void *workspace;
  peri_dtype dtype;             /* infer's note to run: in which dtype to compute */
  int64_t note[PERI_MAX_NOTES]; /* further notes */
} peri_call;

/* ---- gradients ---- */

/* A value in a gradient's formula: a tensor, a number, or nothing (no gradient). */
typedef struct peri_value {
  peri_tensor *tensor;
  double number;
} peri_value;

/* What a row's grad sees and fills. Each argument has an edge, in order, and a list of tensors one for each element:
 * where no list comes before it, edge i is argument i. */
typedef struct peri_backward {
  peri_context *context;
  const struct peri_op *op;
  int edges;
  bool create_graph;                      /* the formula is to be recorded */
  const peri_arg *args;                   /* as given; tensors only where saved */
  const int64_t *note;                    /* what infer noted */
  const peri_layout *const *layouts;      /* by edge: dtype and shape of the input */
  const bool *needs;                      /* by edge: is its gradient wanted */
  peri_tensor *outputs[PERI_MAX_OUTPUTS]; /* saved outputs */
  peri_tensor *const *grad_outputs;       /* NULL where nothing arrived */
  peri_tensor **answers;                  /* by edge: new references, or NULL for zero */
  struct peri_formula *formula;
  struct peri_call *call;     /* of a composed row, else NULL */
  struct peri_node *node;     /* whose gradient it is (ops/node.h), else NULL */
  peri_tensor *const *supply; /* in a replay: what peri_formula_new gives, in order; else NULL */
} peri_backward;

/* ---- what is run again and again ---- */

/* A call, or a gradient that a kernel makes at once, of a plan: only the elements of its tensors, and where they lie,
 * differ from one run to the next. All that follows from the rest is noted once. */
#define PERI_READY_BYTES 384
typedef struct peri_ready {
  peri_status (*run)(struct peri_ready *ready); /* needs no memory; fails where it is cancelled, and has done nothing */
  const peri_call *call;                        /* of a call, which names its tensors and the context */
  _Alignas(16) char note[PERI_READY_BYTES];
} peri_ready;

/* ---- rows ---- */

enum {
  PERI_OP_IN_PLACE = 1,       /* has the derived form name_ */
  PERI_OP_VIEW = 2,           /* outputs share the first argument's storage, placed by layout.offset; where that is a
                                 list of tensors, output k that of tensor k */
  PERI_OP_WRITES = 4,         /* changes its first argument and returns it: copy_, fill_ */
  PERI_OP_ELEMENTWISE = 8,    /* the same bits for views and copies */
  PERI_OP_RANDOM = 16,        /* draws from call->stream; scripts may say which: the option generator */
  PERI_OP_CREATES = 32,       /* makes a tensor of numbers; has the option requires_grad as its last parameter */
  PERI_OP_NO_METHOD = 64,     /* not a method although its first argument is a tensor */
  PERI_OP_ALLOCATES = 256,    /* run makes its outputs itself: views at times, or sizes known late */
  PERI_OP_FULL_VALUE = 512,   /* without its second argument: the result is one Lua value */
  PERI_OP_FULL_ONE = 1024,    /* without its second argument: the first output alone */
  PERI_OP_PLACES = 2048,      /* writes its operands elsewhere than element for element */
  PERI_OP_NO_GRADIENT = 4096, /* floats without a gradient, by design: 0 everywhere, or cut off */
  PERI_OP_LATE = 8192,        /* shapes, or how it computes, follow from values: a step with it is not replayed */
  PERI_OP_COUNTS = 16384,     /* infer's notes and shapes follow from values, which must be known before a replay */
  PERI_OP_SOURCES = 32768,    /* takes sources, too: memory that is lent in another dtype than those of operations */
  PERI_OP_JOINS = 65536,      /* an element of the output is a function of those in its place: of contiguous operands of
                                 one dtype, and numbers, run is a loop that allocates nothing, and any thread may run it
                                 on a part of them (plan/join.c) */
  PERI_OP_INTERNAL = 128,     /* serves gradients and indexing; not shown to scripts */
};

#define PERI_SAVE_INPUT(i)    (1u << (i)) /* argument i */
#define PERI_SAVE_OUTPUT(i)   (1u << (16 + (i)))
#define PERI_HIDDEN_OUTPUT(i) (1u << (24 + (i))) /* computed for the gradient alone; NULL in run when not recording */

typedef struct peri_op {
  const char *name;
  PERI_FULL_COLUMN(metamethod, const char *metamethod); /* "__add", or NULL */
  PERI_FULL_TEXT(also);                                 /* further names, "swapaxes swapdims", or NULL */
  unsigned flags;
  unsigned saves;
  int outputs;
  /* Instead of `outputs`, of a row that gives a list of tensors: how many (peri_call_list), asked before infer and
   * known from the arguments alone. Such a row saves no outputs. */
  peri_status (*list)(peri_call *call, int64_t *count);
  peri_param params[PERI_MAX_PARAMS]; /* ended by a NULL name */
  peri_status (*infer)(peri_call *call);
  peri_status (*run)(peri_call *call); /* NULL for views */
  /* In place of run: the outputs as a formula over other rows, which answers them by number; infer then states no
   * outputs, but where the row has a form in place. Without a grad its steps are recorded, and are the gradient. It
   * sees args, op, note and call. What fails in a step names the row. */
  peri_status (*compose)(peri_backward *B);
  /* As run, but each element is 0 + what run gives, which no zero of is negative: for plans, which need not add what a
   * gradient of zeros is to get. NULL for most. */
  PERI_FULL_COLUMN(run_onto_zeros, peri_status (*run_onto_zeros)(peri_call *call));
  /* Whether a call, whose outputs are there, can be made ready, and that done: run of what is ready gives the bits that
   * run (onto_zeros: run_onto_zeros) does. The same for what grad makes at once, into the one tensor that it asks for
   * (peri_formula_new). NULL: it cannot; that costs time alone. */
  PERI_FULL_COLUMN(ready, bool (*ready)(const peri_call *call, bool onto_zeros, peri_ready *ready));
  PERI_FULL_COLUMN(grad_ready, bool (*grad_ready)(const peri_backward *B, peri_tensor *answer, peri_ready *ready));
  /* What the row writes to arguments beside its results, with the workspace as run left it: called last, when nothing
   * can fail any more, and raises the versions itself. NULL for most. */
  void (*commit)(peri_call *call);
  /* NULL: no gradient; floats computed while recording are then an error, unless PERI_OP_NO_GRADIENT says so */
  PERI_FULL_COLUMN(grad, peri_status (*grad)(peri_backward *B));
  /* Of PERI_LANES networks side by side (plan/lanes.h): run, on tensors with a dimension of so many behind the others,
   * which gives each lane the bits that it has alone, with what commit does; NULL: nobody has said how. An elementwise
   * row's is its run.
   * A random row takes from the streams of all lanes, of which call->stream is the first.
   * lanes_fit: whether it can do a call of single networks; NULL: always. And what the row's gradient gives at once
   * (peri_formula_new), into tensors that are there. */
  PERI_FULL_COLUMN(run_lanes, peri_status (*run_lanes)(peri_call *call));
  PERI_FULL_COLUMN(lanes_fit, bool (*lanes_fit)(const peri_call *call));
  PERI_FULL_COLUMN(grad_lanes, peri_status (*grad_lanes)(const peri_backward *B, peri_tensor *const *answers));
  /* Of an argument that infer reads: whether infer, and what follows from it, is the same whatever elements of x it
   * holds, x being contiguous. NULL: nobody has said. */
  PERI_FULL_COLUMN(reads_alike, bool (*reads_alike)(const peri_call *call, int arg, const peri_tensor *x));
  /* Called with its first argument alone it is this internal row, whose matrix scripts get as the list of its rows. */
  PERI_FULL_COLUMN(alone, const struct peri_op *alone);
  /* tensors of this interval test the gradient */
  PERI_FULL_COLUMN(low, double low);
  PERI_FULL_COLUMN(high, double high);
  PERI_FULL_TEXT(sample); /* Lua: a list of argument lists that tests call the row with, for instance "{T(3, 4), 1}" */
  PERI_FULL_TEXT(doc);    /* first line: "name(parameters) -> result"; then what it does, shapes, errors, source */
  int id;                 /* of an elementwise row: which function of its table of loops it is */
} peri_op;

/* Every row, by file; each list ends with NULL, and the list of lists where rows is NULL. */
typedef struct peri_op_group {
  const char *subject; /* what help puts its rows under; several files may share one */
  const peri_op *const *rows;
} peri_op_group;
extern const peri_op_group peri_op_groups[];
const peri_op *peri_op_find(const char *name); /* NULL when there is none */
static inline int peri_op_params(const peri_op *op) {
  int n = 0;
  while (n < PERI_MAX_PARAMS && op->params[n].name != NULL) n++;
  return n;
}

/* ---- the dispatcher ---- */

/* Clears the frame's arguments to "not given, default". */
void peri_call_open(peri_call *call, peri_context *context, const peri_op *op);
/* infer, allocate, run, record. On success the outputs hold new references (an in-place form:
 * outputs[0] is the first argument, retained). On failure there are none. */
peri_status peri_call_run(peri_call *call);
/* Of a row that gives a list: how many outputs a call will have. The caller then makes room for them, call->outputs,
 * which stays until it has taken them. */
peri_status peri_call_list(peri_call *call);

/* Sets a list argument. */
static inline void peri_call_sizes(peri_call *call, int arg, int n, const int64_t *sizes) {
  call->args[arg].given = true;
  call->args[arg].count = n;
  memcpy(call->args[arg].sizes, sizes, (size_t)n * sizeof *sizes);
}

/* Errors that name the row. */
#define peri_call_fail(call, status, format, ...)                                                                      \
  peri_fail((call)->context, status, "%s%s: " format, peri_call_name(call), (call)->in_place ? "_" : "", ##__VA_ARGS__)
/* The row's name, or of a step that composes another row's result, that row's. */
static inline const char *peri_call_name(const peri_call *call) {
  return call->context->composing ? call->context->operation : call->op->name;
}

/* Helpers of infer functions: each fails with the row's name and the value. */
peri_status peri_infer_dim(peri_call *call, int arg, int ndim, int *dim);
/* The dtype that operands are computed in: PyTorch's promotion, numbers never widen a float tensor. Where integers
 * become floats without a float tensor beside them, those of int64 become float64: float32 holds 24 bits of them. */
peri_status peri_infer_promote(peri_call *call, int first, int n, peri_dtype *dtype);
/* The dtype of two tensors together; one that holds what both hold, but for int64 beside a float. */
peri_dtype peri_wider_dtype(peri_dtype a, peri_dtype b);
peri_status peri_infer_float(peri_call *call, int arg); /* a float tensor is required */
/* Two tensors that a row takes in one dtype alone, of which the second may be missing. */
peri_status peri_infer_same_dtype(peri_call *call, int first, int second);
/* The number that is argument arg must be a value of dtype (peri_number_fits); tensors pass. */
peri_status peri_infer_fits(peri_call *call, int arg, peri_dtype dtype);
/* Of how many elements of a vector the values are to be looked at: those of an expanded one are all its first. */
static inline int64_t peri_infer_values(const peri_layout *vector) {
  return vector->ndim == 1 && vector->numel > 0 && vector->strides[0] == 0 ? 1 : vector->numel;
}
/* Output number `output` is contiguous, of that shape; an error when its elements or bytes cannot be counted. */
peri_status peri_infer_output(peri_call *call, int output, peri_dtype dtype, int ndim, const int64_t *shape);

/* ---- formulas: how grad functions are written ----
 * A formula owns the values of its steps. The first failure sticks, and later steps do nothing.
 * With create_graph the steps are recorded. Each elementwise row is a step by its name (ops/rows.h). */
static inline peri_value peri_of(peri_tensor *tensor) { return (peri_value){tensor, 0}; }
static inline peri_value peri_constant(double number) { return (peri_value){NULL, number}; }
/* The row's first output for operands alone; further arguments have their defaults. */
peri_value peri_apply(peri_backward *B, const peri_op *op, int n, const peri_value *operands);
/* For rows with other arguments: open, set call->args, run. */
void peri_step_open(peri_backward *B, peri_call *call, const peri_op *op, int n, const peri_value *operands);
peri_value peri_step_run(peri_backward *B, peri_call *call);
/* The same of a row with several outputs: the first n of them. */
void peri_step_run_outputs(peri_backward *B, peri_call *call, int n, peri_value *values);
/* Gives the formula a new tensor made otherwise; status is that of making it. */
peri_value peri_formula_own(peri_backward *B, peri_status status, peri_tensor *tensor);
/* The same of elements that follow from shapes and numbers alone, and to which no step writes. */
peri_value peri_formula_fixed(peri_backward *B, peri_status status, peri_tensor *tensor);
/* A tensor for what a kernel computes at once in place of a formula: contiguous, of that layout, uninitialised. The
 * formula is given it by peri_formula_own. */
peri_status peri_formula_new(peri_backward *B, const peri_layout *layout, peri_tensor **out);
/* The answer for edge i; it is summed to the input's shape and converted to its dtype later. */
void peri_answer(peri_backward *B, int edge, peri_value value);
/* Steps that many formulas take. */
peri_value peri_step_reshape(peri_backward *B, peri_value x, int ndim, const int64_t *shape);
peri_value peri_step_sum(peri_backward *B, peri_value x, int dims, const int64_t *dim, bool keepdim);
peri_value peri_step_convert(peri_backward *B, peri_value x, peri_dtype dtype);
/* g times the derivative of a unary row whose derivative reads y alone */
peri_value peri_step_derivative(peri_backward *B, const peri_op *unary, peri_value g, peri_value y);
peri_value peri_step_matmul(peri_backward *B, peri_value a, peri_value b, bool transpose_a, bool transpose_b);
/* what lies along the last dimension, as a column of a matrix or as its row; nothing stays nothing */
peri_value peri_step_as_matrix(peri_backward *B, peri_value x, bool column);
/* the last two dimensions exchanged */
peri_value peri_step_transpose(peri_backward *B, peri_value x);
/* A matrix that has one number below its diagonal, one on it, one above. A product with it takes triangles of others.
 */
peri_value peri_step_triangles(peri_backward *B, peri_dtype dtype, int64_t rows, int64_t columns, double below,
                               double on, double above);

void peri_formula_begin(peri_backward *B, struct peri_formula *formula);
peri_status peri_formula_end(peri_backward *B); /* releases the steps; the first failure */

typedef struct peri_formula {
  peri_status status;
  int count, capacity;
  peri_tensor **owned;
  peri_tensor *first[24];
} peri_formula;

#endif
