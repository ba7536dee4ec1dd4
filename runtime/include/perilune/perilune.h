/* Perilune's public C interface: contexts and tensors without Lua.
 *
 * Every fallible function returns a peri_status; when it is not PERI_OK, nothing was changed, and
 * peri_message(context) says what was wrong. Ownership is in the verb: new, retain and every output
 * parameter give a reference, release takes it back and clears the pointer; all else borrows.
 * A context belongs to one thread at a time, and its tensors to that context. */
#ifndef PERILUNE_H
#define PERILUNE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PERI_VERSION        "0.1.0"
#define PERI_VERSION_NUMBER 100 /* 10000 major + 100 minor + patch, for #if */
#define PERI_API            __attribute__((visibility("default")))
#define PERI_MAX_DIMS       8

typedef enum peri_status {
  PERI_OK = 0,
  PERI_ERR_ARGUMENT,     /* a wrong count, kind, shape, dtype or value */
  PERI_ERR_MEMORY,       /* the budget or the machine has no more */
  PERI_ERR_CANCELLED,    /* interrupted: peri_cancel, or an interrupt was raised */
  PERI_ERR_NUMERIC,      /* a singular matrix, a failed decomposition */
  PERI_ERR_IO,           /* a file that is missing, unreadable or malformed */
  PERI_ERR_STATE,        /* used at a wrong moment: a released tensor, a freed graph */
  PERI_ERR_DEADLINE,     /* the time that the host gave has passed */
  PERI_ERR_INSTRUCTIONS, /* a script has used up its Lua instructions (perilune/lua.h) */
  PERI_ERR_SCRIPT,       /* an error of a script's own (perilune/lua.h) */
} peri_status;

typedef enum peri_dtype {
  PERI_FLOAT32,
  PERI_FLOAT64,
  PERI_INT64,
  PERI_UINT8,
  PERI_BOOL,
  /* Those of sources: memory that is lent as it is, which the operation "to" alone takes, and converts. */
  PERI_INT16,
  PERI_INT32,
  PERI_UINT16,
  PERI_FLOAT16, /* IEEE 754 binary16 */
} peri_dtype;
#define PERI_DTYPES        5 /* that operations take */
#define PERI_SOURCE_DTYPES 9 /* and with those of sources */

typedef struct peri_context peri_context;
typedef struct peri_tensor peri_tensor;

/* Of the library that is loaded: PERI_VERSION and PERI_VERSION_NUMBER are those that a host was compiled with. */
PERI_API const char *peri_version(void);
PERI_API int peri_version_number(void);

/* ---- contexts ---- */

/* Zero means the default of each field. Set size to sizeof(peri_options): it says which fields there are. A size of 0,
 * or a field that is set and not known here, is PERI_ERR_ARGUMENT, since a limit that is overlooked is none. */
typedef struct peri_options {
  size_t size;
  size_t memory_limit;   /* bytes that tensors and workspaces may use; default: the machine's memory */
  int threads;           /* default: PERILUNE_NUM_THREADS, else the processors of this process */
  int keep_blas_threads; /* leave OpenBLAS's thread count alone; equal bits are then not promised */
} peri_options;

/* options may be NULL. On failure *out is NULL. */
PERI_API peri_status peri_context_new(const peri_options *options, peri_context **out);
PERI_API void peri_context_release(peri_context **context);
/* What the last failing call said; never NULL. Valid until the next failure. */
PERI_API const char *peri_message(const peri_context *context);
/* May be called from any thread or signal handler while the context lives: a long computation stops within about 20 ms
 * with PERI_ERR_CANCELLED, and every later call fails at once, until peri_clear_cancel. What writes in place is
 * finished first. */
PERI_API void peri_cancel(peri_context *context);
/* Takes back whatever has stopped the context: peri_cancel, an interrupt, a deadline that has passed. */
PERI_API void peri_clear_cancel(peri_context *context);
/* From so many seconds from now on everything stops as by peri_cancel, with PERI_ERR_DEADLINE. A call replaces the
 * deadline before it; 0 (or less): none. By the thread that has the context. */
PERI_API void peri_set_deadline(peri_context *context, double seconds);
/* What another thread or a signal handler holds to stop a context that may be gone by then. It is counted by itself;
 * raising it is peri_cancel, or nothing when the context has gone. Of one context there may be any number; all raise
 * the same. Made and released by ordinary code, raised from anywhere. */
typedef struct peri_interrupt peri_interrupt;
PERI_API peri_status peri_interrupt_new(peri_context *context, peri_interrupt **out);
PERI_API void peri_interrupt_raise(peri_interrupt *interrupt);
PERI_API void peri_interrupt_release(peri_interrupt **interrupt);
PERI_API void peri_set_threads(peri_context *context, int threads);
PERI_API int peri_threads(const peri_context *context);
/* PERI_ERR_STATE when more is in use. */
PERI_API peri_status peri_set_memory_limit(peri_context *context, size_t bytes);
PERI_API size_t peri_memory_in_use(const peri_context *context);
PERI_API size_t peri_memory_peak(const peri_context *context);
PERI_API void peri_manual_seed(peri_context *context, uint64_t seed);

/* ---- tensors ---- */

/* A new contiguous tensor of zeros; shape has ndim sizes. */
PERI_API peri_status peri_tensor_new(peri_context *context, peri_dtype dtype, int ndim, const int64_t *shape,
                                     peri_tensor **out);
/* A tensor over the host's own memory, contiguous, which is a source where its dtype is one of theirs. deleter(data,
 * user) runs exactly once, when the last tensor over it is released, or at once when the call fails. deleter may be
 * NULL. */
PERI_API peri_status peri_tensor_lend(peri_context *context, peri_dtype dtype, int ndim, const int64_t *shape,
                                      void *data, void (*deleter)(void *data, void *user), void *user,
                                      peri_tensor **out);
/* A loan with strides, or of memory that must not be written to. Set size to sizeof(peri_loan). */
typedef struct peri_loan {
  size_t size;
  peri_dtype dtype;
  int ndim;
  const int64_t *shape;
  const int64_t *strides; /* in elements, 0 or more; NULL: contiguous */
  int read_only;          /* what would write there fails before the first write, PERI_ERR_STATE */
  const void *data;
  void (*deleter)(void *data, void *user);
  void *user;
} peri_loan;
/* As peri_tensor_lend. Where it may be written to, no two elements may share memory. */
PERI_API peri_status peri_tensor_borrow(peri_context *context, const peri_loan *loan, peri_tensor **out);
/* Takes lent memory back now: the deleter runs, and whatever would read or write it through the tensor, its views,
 * other tensors over the loan or graphs fails from here on, PERI_ERR_STATE. The references stay the holders'. Not while
 * a call works on the context. PERI_ERR_ARGUMENT when the memory is not lent. */
PERI_API peri_status peri_tensor_revoke(peri_tensor *tensor);
PERI_API peri_tensor *peri_tensor_retain(peri_tensor *tensor);
PERI_API void peri_tensor_release(peri_tensor **tensor);
PERI_API peri_dtype peri_tensor_dtype(const peri_tensor *tensor);
PERI_API int peri_tensor_ndim(const peri_tensor *tensor);
PERI_API const int64_t *peri_tensor_shape(const peri_tensor *tensor);   /* ndim sizes */
PERI_API const int64_t *peri_tensor_strides(const peri_tensor *tensor); /* ndim strides, in elements */
PERI_API int64_t peri_tensor_numel(const peri_tensor *tensor);
PERI_API bool peri_tensor_is_contiguous(const peri_tensor *tensor);
/* The first element; NULL when the memory was taken back. Writing through it is the host's own affair: autograd is not
 * told. */
PERI_API void *peri_tensor_data(peri_tensor *tensor);
PERI_API const char *peri_dtype_name(peri_dtype dtype);
PERI_API size_t peri_dtype_size(peri_dtype dtype);

/* ---- operations and gradients ---- */

/* One operation by its name ("matmul", "linalg.solve", "add_" in place), as scripts have it. inputs are its tensors in
 * order; options are data, "dim = 1, keepdim = true" or by place, "{2, 3}", and may be NULL. The first `outputs`
 * results are new references. While recording, results of what requires grad remember how they came about. */
PERI_API peri_status peri_operate(peri_context *context, const char *operation, int n, peri_tensor *const *inputs,
                                  const char *options, int outputs, peri_tensor **out);
/* Whether operations record; a new context does. Returns what was before. */
PERI_API int peri_set_recording(peri_context *context, int recording);
/* Makes a float tensor a leaf, whose gradient backward gathers. */
PERI_API peri_status peri_require_grad(peri_tensor *tensor, bool requires_grad);
/* Gradients of root (one element, or with its gradient, of root's shape) into those of its leaves, added to what is
 * there. The graph is freed unless it is retained. */
PERI_API peri_status peri_tensor_backward(peri_tensor *root, peri_tensor *gradient, int retain_graph);
/* Gradients of root with respect to n inputs as new tensors, NULL where it does not depend on one. */
PERI_API peri_status peri_gradients(peri_tensor *root, peri_tensor *gradient, int n, peri_tensor *const *inputs,
                                    int create_graph, peri_tensor **gradients);
/* A leaf's gradient, borrowed, or NULL; and without it again. */
PERI_API peri_tensor *peri_tensor_grad(const peri_tensor *tensor);
PERI_API void peri_tensor_clear_grad(peri_tensor *tensor);

#ifdef __cplusplus
}
#endif
#endif
