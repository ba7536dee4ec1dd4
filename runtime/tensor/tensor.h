/* Tensors: a dtype, a shape and strides over a counted storage.
 *
 * A storage is the bytes, its context and a version that in-place writes raise. A tensor's shape,
 * strides and place never change after it was made; views are further tensors over the same
 * storage. The public functions are in perilune.h; here is what the runtime itself needs. */
#ifndef PERI_TENSOR_H
#define PERI_TENSOR_H

#include "base/base.h"
#include "product/product.h"

/* What computed a tensor, as far as the tensor knows it: a counted thing that its maker (ops/node.c) buries. */
typedef struct peri_computed {
  size_t references;
  void (*bury)(peri_context *context, struct peri_computed *computed);
} peri_computed;

static inline void peri_computed_release(peri_context *context, peri_computed *computed) {
  if (--computed->references == 0) computed->bury(context, computed);
}

struct peri_backward;

/* What somebody above the runtime hangs on a tensor, or on what computed it: functions that a walk back calls. Counted.
 * Its owner is a tensor, or a node, and has several in a list. */
typedef struct peri_hook {
  size_t references;
  uint64_t number;          /* in the order in which they were made */
  int output;               /* of a node's tensor: which output */
  struct peri_hook *next;   /* in the owner's list */
  struct peri_hook **owner; /* where that list begins; NULL: without owner */
  /* The gradient of the tensor, complete: may be replaced by another of its shape and dtype. */
  peri_status (*pass)(struct peri_hook *hook, peri_tensor **gradient);
  /* In place of a row's formula, for a function's node: fills B->answers. */
  peri_status (*grad)(struct peri_hook *hook, struct peri_backward *B);
  /* The last reference is gone. It may be a collector that let go: nothing may be called by it. */
  void (*release)(struct peri_hook *hook);
} peri_hook;

static inline void peri_hook_release(peri_hook *hook) {
  if (--hook->references == 0) hook->release(hook);
}
/* Puts the hook at the end of a list, which takes a reference; and takes it out, if it stands in one. */
void peri_hook_add(peri_hook **list, peri_hook *hook);
void peri_hook_remove(peri_hook *hook);
/* Lets go of a whole list. */
void peri_hooks_drop(peri_hook **list);

typedef struct peri_storage {
  size_t references;
  peri_context *context;
  char *data;
  size_t block_bytes; /* of this structure and the elements behind it, as asked from the context */
  uint64_t number;    /* in the order in which they were made, from 1 */
  uint64_t version;
  void (*deleter)(void *data, void *user); /* lent memory */
  void *user;
  struct peri_packed *packed; /* kept for products (packed.c), or NULL */
  uint64_t multiplied;        /* the version of the last product by it, plus 1 */
  int claim;      /* while plans run side by side: which of them writes to it, or 0 (bindings/data/steps.c) */
  bool exposed;   /* the host has its address, and may write without a word */
  bool lent;      /* its memory is the host's */
  bool read_only; /* of which nothing may be written */
  uint8_t barred; /* a peri_bar: why operations may not touch it; 0: they may */
} peri_storage;

typedef enum peri_bar {
  PERI_REVOKED = 1, /* the host has taken its memory back: nothing may be read or written any more */
  PERI_SOURCE, /* its elements are those of a source (tensor/source.c), which are converted, and not computed with */
} peri_bar;
/* What is said of an argument, by its name, that is so; of a source with the name, its dtype, and the name again. */
#define PERI_REVOKED_TEXT "the memory of %s was lent, and has been taken back"
#define PERI_SOURCE_TEXT  "%s is %s, which is lent as it is (%s:to(\"float32\") converts it)"

/* What a tensor looks like, without its bytes. Strides are in elements. */
typedef struct peri_layout {
  peri_dtype dtype;
  int ndim;
  int64_t numel;
  int64_t offset; /* in elements, from the storage's first; for views */
  int64_t shape[PERI_MAX_DIMS];
  int64_t strides[PERI_MAX_DIMS];
} peri_layout;

/* Elements as they lie in memory that somebody else owns: what a tensor is beside what counts it. Views are made on the
 * stack, to read or write a tensor in another order of dimensions, a part of it, or plain memory, without a new tensor.
 * layout.offset says nothing here. */
#define PERI_VIEW_FIELDS                                                                                               \
  peri_layout layout;                                                                                                  \
  char *data; /* the first element */                                                                                  \
  bool contiguous;
typedef struct peri_view {
  PERI_VIEW_FIELDS
} peri_view;

struct peri_tensor {
  size_t references;
  peri_storage *storage;
  union { /* x->layout is x->view.layout */
    struct {
      PERI_VIEW_FIELDS
    };
    peri_view view;
  };
  bool requires_grad;
  bool base_requires_grad; /* a view, made without recording, of a tensor that requires grad */
  bool first;              /* stands in its storage's block */
  int output;              /* which output of node this is */
  peri_computed *node;     /* what computed it, when recorded */
  peri_tensor *grad;
  peri_tensor *incoming; /* a leaf's gradient while backward runs, before it is known to succeed */
  peri_hook *hooks;      /* of a leaf; those of a computed tensor hang on its node */
  bool known;            /* for the binding: it keeps one handle for this tensor (parameters and gradients) */
};

static inline peri_context *peri_tensor_context(const peri_tensor *x) { return x->storage->context; }
static inline bool peri_is_float(peri_dtype dtype) { return dtype == PERI_FLOAT32 || dtype == PERI_FLOAT64; }

/* ---- layouts ---- */

/* Fills strides for a contiguous tensor and numel. Fails when a size is negative or the bytes
 * overflow; `operation` opens the message. */
peri_status peri_layout_contiguous(peri_context *context, const char *operation, peri_layout *layout);
/* A contiguous layout from dtype and shape already known to be sound. */
void peri_layout_set(peri_layout *layout, peri_dtype dtype, int ndim, const int64_t *shape);
bool peri_layout_is_contiguous(const peri_layout *layout);
static inline bool peri_same_shape(const peri_layout *a, const peri_layout *b) {
  if (a->ndim != b->ndim) return false;
  for (int d = 0; d < a->ndim; d++) {
    if (a->shape[d] != b->shape[d]) return false;
  }
  return true;
}
/* "3x4", "0-d", for messages; buffer of PERI_SHAPE_TEXT bytes, returned. */
#define PERI_SHAPE_TEXT 192
const char *peri_shape_text(int ndim, const int64_t *shape, char *buffer);

/* ---- making tensors ---- */

/* Contiguous, uninitialised; layout->numel must be set. Whatever made the layout: bytes that cannot be counted are out
 * of memory here. */
peri_status peri_tensor_empty(peri_context *context, const peri_layout *layout, peri_tensor **out);
/* The same of a shape that is not known to be sound; `operation` opens the message. */
peri_status peri_tensor_shaped(peri_context *context, const char *operation, peri_dtype dtype, int ndim,
                               const int64_t *shape, peri_tensor **out);
peri_status peri_tensor_full(peri_context *context, const peri_layout *layout, double value, peri_tensor **out);
/* A further tensor over base's storage; layout->offset counts from the storage's first element. */
peri_status peri_tensor_view(peri_tensor *base, const peri_layout *layout, peri_tensor **out);
/* The same elements, cut off from the graph. */
peri_status peri_tensor_detach(peri_tensor *x, peri_tensor **out);
/* That x may be read, or written to: its memory may have been taken back, or be lent to be read alone. */
peri_status peri_tensor_refuse(const peri_tensor *x, const char *operation, const char *name);
static inline peri_status peri_tensor_check_read(const peri_tensor *x, const char *operation, const char *name) {
  return x->storage->barred == 0 ? PERI_OK : peri_tensor_refuse(x, operation, name);
}
static inline peri_status peri_tensor_check_write(const peri_tensor *x, const char *operation, const char *name) {
  const bool may = x->storage->barred == 0 && !x->storage->read_only;
  return may ? PERI_OK : peri_tensor_refuse(x, operation, name);
}
/* x itself (retained) when it is contiguous, else a contiguous copy; not recorded. */
peri_status peri_tensor_contiguous(peri_tensor *x, peri_tensor **out);
/* x itself (retained) when it has the dtype, else a contiguous converted copy; not recorded. */
peri_status peri_tensor_convert(peri_tensor *x, peri_dtype dtype, peri_tensor **out);
/* A new contiguous tensor with the elements of x in that dtype, cut off from the graph. */
peri_status peri_tensor_copy(peri_tensor *x, peri_dtype dtype, peri_tensor **out);
/* Elements of source (any dtype, broadcast to target's shape, already checked) into target. */
peri_status peri_tensor_copy_into(peri_tensor *target, const peri_tensor *source);
/* The offset of x's first element in its storage, in elements. */
int64_t peri_tensor_offset(const peri_tensor *x);
/* Whether a and b may have bytes in common. */
bool peri_tensors_share(const peri_tensor *a, const peri_tensor *b);
/* Whether writing to a can change b otherwise than element for element. */
bool peri_tensors_overlap(const peri_tensor *a, const peri_tensor *b);

/* ---- views ---- */

/* x with dimension dim, from 0, as its last. */
peri_view peri_view_dimension_last(const peri_view *x, int64_t dim);
/* Elements of source (any dtype, those of sources too, broadcast to target's shape, already checked) into target. */
peri_status peri_view_copy_into(peri_context *context, const peri_view *target, const peri_view *source);
/* The same of a source: every value that the dtype has is exact, others are converted as float32 (of float16) or int64
 * would be. */
peri_status peri_source_copy_into(peri_context *context, const peri_view *target, const peri_view *source);
/* A new contiguous tensor with the elements of x, which may be a source, in that dtype. */
peri_status peri_view_copy(peri_context *context, const peri_view *x, peri_dtype dtype, peri_tensor **out);
/* The elements of x one behind the other: x's own, or those of a copy, which *own then holds, else NULL. */
peri_status peri_view_contiguous(peri_context *context, const peri_view *x, const char **data, peri_tensor **own);

/* ---- matrices that products multiply by again and again ----
 * Gives product->packed of x, whose columns product->b are, when a product by it was made before and nothing was
 * written since; the first such product makes it and keeps it with x's storage for as long as it is true. What is
 * returned is to be let go after the product; NULL without. Short memory is no error: then it is not kept. */
struct peri_packed *peri_packed_hold(peri_tensor *x, peri_product *product);
void peri_packed_let(struct peri_packed *packed);
void peri_packed_drop(peri_storage *storage);

/* ---- single elements ---- */
double peri_load_number(peri_dtype dtype, const void *element);
/* As the kernels convert: to the nearest value that there is, fractions cut off, NaN to 0. */
int64_t peri_load_integer(peri_dtype dtype, const void *element);
void peri_store_number(peri_dtype dtype, void *element, double value);
/* Whether value is one of the dtype: whole for int64, 0 to 255 for uint8, 0 or 1 for bool; floats round, but a finite
 * number beyond float32's range is none of it. */
bool peri_number_fits(peri_dtype dtype, double value);
/* The first element of x, from 0 in row-major order, that is none of the dtype, and its value; -1 when all are. */
peri_status peri_tensor_find_unfit(peri_tensor *x, peri_dtype dtype, int64_t *at, double *value);

/* ---- shapes together ---- */
/* NumPy's broadcasting of n tensors (NULL entries are skipped); fails naming both shapes. */
peri_status peri_broadcast(peri_context *context, const char *operation, int n, peri_tensor *const *tensors, int *ndim,
                           int64_t *shape);

/* ---- the broadcasting iterator ----
 * Walks up to four operands over one shape. Dimensions that lie evenly in all operands are merged,
 * so that contiguous work is one long row. */
#define PERI_MAX_OPERANDS 4
typedef struct peri_iterator {
  int operands, ndim;
  int64_t numel;
  int64_t shape[PERI_MAX_DIMS];                        /* innermost first */
  ptrdiff_t strides[PERI_MAX_OPERANDS][PERI_MAX_DIMS]; /* bytes, innermost first */
  char *data[PERI_MAX_OPERANDS];
} peri_iterator;

/* shape is the common one; operands are broadcast to it. NULL stands for a scalar that is given later. */
void peri_iterator_open(peri_iterator *iterator, int ndim, const int64_t *shape, int operands,
                        const peri_view *const *views);
/* The same, which never walks along another dimension than the last to make its rows longer. */
void peri_iterator_open_in_order(peri_iterator *iterator, int ndim, const int64_t *shape, int operands,
                                 const peri_view *const *views);
/* Replaces an operand by one element that is repeated. */
void peri_iterator_scalar(peri_iterator *iterator, int operand, const void *element);
/* Runs row(arg, n, data, strides) over the whole, cut into pieces for the team. */
typedef void (*peri_row_body)(void *arg, int64_t n, char *const *data, const ptrdiff_t *strides);
peri_status peri_iterate(peri_context *context, const peri_iterator *iterator, peri_row_body row, void *arg);
/* The same where rows write to what operand `target` says together with others: elements between which it does not step
 * are visited in row-major order by one thread. The iterator was opened in order. */
peri_status peri_iterate_in_order(peri_context *context, const peri_iterator *iterator, int target, peri_row_body row,
                                  void *arg);

/* ---- equality ---- */
/* |a - b| <= absolute + relative |b|, or both the same infinity, or both NaN with equal_nan; integers are compared
 * exactly, with each other and, when both tolerances are 0, with floats. */
typedef struct peri_closeness {
  double relative, absolute;
  bool equal_nan;
} peri_closeness;
/* Whether that holds for every element, and the shapes are the same. Cancelled by a flag that is raised meanwhile. */
peri_status peri_tensor_close(const peri_tensor *a, const peri_tensor *b, const peri_closeness *how, bool *close);

/* y, which is bool, has for each element whether it holds; a and b are broadcast to y's shape, already checked. */
peri_status peri_tensor_close_each(peri_tensor *y, const peri_tensor *a, const peri_tensor *b,
                                   const peri_closeness *how);

/* ---- text ---- */
typedef enum peri_notation { PERI_NOTATION_CHOSEN, PERI_NOTATION_FIXED, PERI_NOTATION_SCIENTIFIC } peri_notation;
#define PERI_MOST_DIGITS 17
typedef struct peri_text_options {
  int precision;          /* digits behind the point, up to PERI_MOST_DIGITS */
  int64_t threshold;      /* elements; of more the middle is left out */
  int64_t edge_items;     /* entries shown at each end of a dimension whose middle is left out */
  int line_width;         /* characters */
  peri_notation notation; /* of floats: CHOSEN by their sizes */
} peri_text_options;
/* As NumPy prints: aligned columns, elided when large, in lines of at most so many characters; the footer has dtype and
 * shape. Writes a terminated text into a new block of *bytes bytes of the context. */
peri_status peri_tensor_text(peri_tensor *x, const peri_text_options *how, char **text, size_t *bytes);

#endif
