/* Layers and losses: a table of kinds, and the object that holds one kind's parameters and options.
 *
 * A layer owns parameters and calls rows of the operation table; it writes no backward pass. A loss
 * is a layer of two inputs. Everything else reads the table: the C calls below, the Lua constructors,
 * help, the reference and the tests. Option values are as scripts write them: dimensions count from 1.
 *
 * A size or an option can be a list (kernel_size, stride), and then has as many values as numbers: `sizes` and
 * `options` of the functions hold all values one behind the other. */
#ifndef PERI_NN_H
#define PERI_NN_H

#include "base/option.h"
#include "ops/ops.h"

#define PERI_LAYER_INPUTS     5 /* with those that may be left out */
#define PERI_LAYER_OUTPUTS    3
#define PERI_LAYER_SIZES      6  /* values of sizes */
#define PERI_LAYER_VALUES     16 /* of options */
#define PERI_LAYER_PARAMETERS 6  /* rows of them */
#define PERI_LAYER_NAME       64 /* bytes of a parameter's name */

typedef struct peri_layer peri_layer;

typedef struct peri_layer_size {
  const char *name;
  int count; /* from 2 on a list of so many, or one number for all of them */
  bool open; /* the list has from 1 number to so many; those that are missing are 0 */
  bool zero; /* 0 is a size too (padding) */
} peri_layer_size;

typedef struct peri_layer_parameter {
  const char *name;
  const char *option; /* the bool option that must be true for it to exist; NULL: always there */
  int ndim;
  int shape[4]; /* each dimension: which of the values of the layer's sizes */
  peri_status (*initialise)(const peri_layer *layer, peri_tensor *parameter);
  /* in place of ndim and shape, from sizes and options; copy: see peri_layer_kind */
  int (*shape_of)(const peri_layer *layer, int copy, int64_t *shape);
  bool buffer; /* saved and converted, but not trained */
  bool counts; /* a buffer that is int64, whatever the layer's dtype */
  bool given;  /* a buffer that the constructor's option of that name gives, a tensor (peri_layer_give), or nothing */
} peri_layer_parameter;

typedef struct peri_layer_input {
  const char *name;
  bool named; /* scripts give it in the trailing table of a call */
  bool whole; /* of whole numbers: a list stands for an int64 tensor */
} peri_layer_input;

/* What a kind's lists are written as: each ends with a NULL name, and a list that is left out is empty. They are read
 * by peri_kind_sizes and its like. */
#define PERI_NAMED(type, ...)                                                                                          \
  (const type[]) {                                                                                                     \
    __VA_ARGS__, { NULL }                                                                                              \
  }
#define PERI_INPUTS(...)     PERI_NAMED(peri_layer_input, __VA_ARGS__)
#define PERI_SIZES(...)      PERI_NAMED(peri_layer_size, __VA_ARGS__)
#define PERI_OPTIONS(...)    PERI_NAMED(peri_option, __VA_ARGS__)
#define PERI_PARAMETERS(...) PERI_NAMED(peri_layer_parameter, __VA_ARGS__)

typedef struct peri_layer_kind {
  const char *name;
  int inputs;                             /* that must be given: 1; a loss has 2 or more */
  int outputs;                            /* 0 stands for 1; a Sequential hands on the first */
  const peri_layer_input *further;        /* behind those inputs them that may be left out; at most PERI_LAYER_INPUTS */
  const peri_layer_size *sizes;           /* positional arguments, whole numbers from 1; at most PERI_LAYER_SIZES */
  const peri_option *options;             /* at most PERI_LAYER_VALUES values */
  const peri_layer_parameter *parameters; /* at most PERI_LAYER_PARAMETERS */
  /* How often the layer has these parameters (once for each layer and direction of an LSTM), and what stands behind
   * their names then ("_l0_reverse"), in room for PERI_LAYER_NAME bytes; or NULL: once. */
  int (*copies)(const peri_layer *layer);
  void (*suffix)(const peri_layer *layer, int copy, char *text);
  /* What forward does: apply a row to the inputs, with sizes, options and given buffers as its arguments of those
   * names; or a function, whose inputs are NULL where they were left out, and which fills as many outputs. activation
   * is a choice of linear's option of that name: only kinds that have `activates` are asked to apply one. */
  const peri_op *row;
  peri_status (*forward)(const peri_layer *layer, peri_tensor *const *inputs, int activation, peri_tensor **out);
  bool activates;         /* forward can apply the activation that follows, in one row */
  int activation;         /* as which choice of linear's option this kind can be fused; 0: none */
  PERI_FULL_TEXT(sample); /* Lua: lists {constructor arguments, inputs} that tests use: "{{3, 2}, {T(5, 3)}}" */
  PERI_FULL_TEXT(doc);
} peri_layer_kind;

/* Each list ends with NULL. */
extern const peri_layer_kind *const peri_layer_kinds[], *const peri_loss_kinds[];
/* Names of layers that the full library has and this one has not. */
extern const char *const peri_layers_elsewhere[];

/* The kind's lists, never NULL. */
#define PERI_KIND_LIST(type, name)                                                                                     \
  static inline const type *peri_kind_##name(const peri_layer_kind *kind) {                                            \
    static const type none = {NULL};                                                                                   \
    return kind->name != NULL ? kind->name : &none;                                                                    \
  }
PERI_KIND_LIST(peri_layer_input, further)
PERI_KIND_LIST(peri_layer_size, sizes)
PERI_KIND_LIST(peri_option, options)
PERI_KIND_LIST(peri_layer_parameter, parameters)
#undef PERI_KIND_LIST

struct peri_layer {
  size_t references;
  peri_context *context;
  const peri_layer_kind *kind;
  bool training; /* a new layer trains */
  bool hooked;   /* for the binding: a script has given it hooks, and calls it through them */
  peri_dtype dtype;
  int64_t sizes[PERI_LAYER_SIZES];
  double options[PERI_LAYER_VALUES];
  int parameter_count;       /* rows times copies */
  peri_tensor *parameters[]; /* by copy, then by row; NULL where an option leaves it out */
};

/* The row of a parameter, and its name, which may be written into the room that is given. */
const peri_layer_parameter *peri_layer_parameter_row(const peri_layer *layer, int parameter);
const char *peri_layer_parameter_name(const peri_layer *layer, int parameter, char room[PERI_LAYER_NAME]);
/* Which parameter has the name, or -1. */
int peri_layer_find_parameter(const peri_layer *layer, const char *name);

/* Whether a Sequential can run layers of the kind itself: of one tensor it makes one. */
static inline bool peri_layer_is_plain(const peri_layer_kind *kind) {
  return kind->inputs == 1 && peri_kind_further(kind)[0].name == NULL && kind->outputs <= 1;
}
static inline int peri_layer_outputs(const peri_layer_kind *kind) { return kind->outputs > 1 ? kind->outputs : 1; }

static inline int peri_layer_size_values(const peri_layer_size *size) { return size->count > 1 ? size->count : 1; }
/* The defaults of a kind's options, where they are not NaN; some are like its sizes. */
void peri_layer_defaults(const peri_layer_kind *kind, const int64_t *sizes, double *options);

/* A new layer with initialised parameters, from the context's stream. sizes and options in the order
 * of the kind's row. Fails for sizes below 1, dtypes that are not float, and without memory; then the
 * stream is where it was. */
peri_status peri_layer_new(peri_context *context, const peri_layer_kind *kind, peri_dtype dtype, const int64_t *sizes,
                           const double *options, peri_layer **out);
/* The same with parameters that are there already, as those of a file: nothing is initialised. The source gives a new
 * reference to a tensor of that layout; it checks what it has. */
typedef peri_status (*peri_layer_source)(void *arg, const peri_layer *layer, int parameter, const peri_layout *layout,
                                         peri_tensor **out);
peri_status peri_layer_from(peri_context *context, const peri_layer_kind *kind, peri_dtype dtype, const int64_t *sizes,
                            const double *options, peri_layer_source fetch, void *arg, peri_layer **out);
peri_layer *peri_layer_retain(peri_layer *layer);
void peri_layer_release(peri_layer **layer);
/* Puts a leaf of the same shape in a parameter's place, or a tensor of the same shape and dtype in a buffer's; it may
 * be shared with other layers. */
peri_status peri_layer_set_parameter(peri_layer *layer, int parameter, peri_tensor *tensor);

/* Puts a tensor in the place of a buffer that is given; it must be of floats and require no grad, and the layer takes
 * its dtype. */
peri_status peri_layer_give(peri_layer *layer, int parameter, peri_tensor *tensor);

/* While a step is recorded: it rests on the layer's parameters, mode and options. A pass tells it by itself; a caller
 * that takes its parameters for rows of its own does. */
void peri_layer_tell_recorder(const peri_layer *layer);
/* inputs: kind->inputs tensors, and behind them one or NULL for each of peri_kind_further(kind). out: as many new
 * references as the kind has outputs; the first may be an input itself. */
peri_status peri_layer_forward(const peri_layer *layer, peri_tensor *const *inputs, peri_tensor **out);
/* n >= 1 plain layers, one after the other; an activation behind a layer that can apply it is
 * done in the same row. *at is the layer that was reached, from 0: the one that failed. Where memory was short *out is
 * what that one was to be given (NULL: x), so that a second call can go on there: layers before it may have drawn
 * random numbers, or counted the batch. */
peri_status peri_layers_forward(int n, peri_layer *const *layers, peri_tensor *x, peri_tensor **out, int *at);

#endif
