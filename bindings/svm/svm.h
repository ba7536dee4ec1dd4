/* The estimators of peri.svm. An estimator holds its options and, once fitted, a machine of the runtime;
 * what differs between them is a row of functions here, so that arguments, methods, options and fields are
 * handled in one way for all.
 *
 *   svm.c           life, calls and fields; the list of types
 *   svm_options.c   options as Lua values and as text
 *   svm_fit.c       fits: progress, kernels that are Lua functions, paths and held-out rows
 *   lua/svm.lua     what is best written in Lua: files, paths, cross-validation, grids
 *   svm_file.c      a machine from the arrays of a file
 *   svm_libsvm.c    machines in LIBSVM's files
 *   svm_machines.c  the types with a kernel
 *   svm_linear.c    the linear types */
#ifndef PERI_BIND_SVM_H
#define PERI_BIND_SVM_H

#include "samples.h"
#include "svm/svm.h"

typedef struct estimator estimator;
typedef struct estimator_source estimator_source;

/* What every fitted machine knows. */
typedef struct estimator_facts {
  int64_t n, d, k; /* shape of the fit, classes (0: none) */
  const int64_t *classes;
  double gap;
  int fit_status;
} estimator_facts;

typedef struct estimator_array {
  peri_dtype dtype;
  int ndim;
  int64_t shape[2];
  const void *data; /* NULL: there is none, and the field is nil */
} estimator_array;

/* What can be read of a fitted estimator: an array, which becomes a tensor, or a value that is pushed. */
typedef struct estimator_field {
  const char *name;
  estimator_array (*array)(const estimator *e);
  void (*push)(lua_State *L, const estimator *e);
  int64_t first; /* added to the elements of an int64 array that counts from 0 */
} estimator_field;

/* How a fit reports and ends early; see peri_svm_options. */
typedef struct estimator_watch {
  peri_svm_verdict (*progress)(void *arg, const peri_svm_progress *state);
  void *arg;
} estimator_watch;

/* The classes of estimators, among all of them. */
enum {
  BIND_SVC = BIND_ESTIMATOR,
  BIND_NU_SVC,
  BIND_SVR,
  BIND_NU_SVR,
  BIND_ONE_CLASS,
  BIND_LINEAR_SVC,
  BIND_LINEAR_SVR,
  BIND_LOGISTIC
};

typedef struct estimator_type {
  const char *name, *class_name;
  bind_kind kind;
  peri_svm_targets targets; /* what y holds, and what predict gives: numbers, else int64 labels */
  const peri_option *options;
  const char *const *also; /* options that are no plain values: gamma, class_weight */
  const char *positive;    /* options that must be above 0, or their default */
  bool reports;            /* its fit calls progress */
  const estimator_field *fields;
  const char *doc;
  estimator_facts (*facts)(const estimator *e);
  /* a new machine of the estimator's options; the caller puts it in place when all went well */
  peri_status (*fit)(const estimator *e, const samples *s, const estimator_watch *watch, void **machine);
  void (*release)(peri_context *context, void **machine);
  peri_status (*predict)(const estimator *e, const samples *s, void *out);
  int64_t (*columns)(const estimator *e); /* of a decision; 1 for two classes */
  peri_status (*decide)(const estimator *e, const samples *s, double *out);
  /* n x k; NULL: there are none. Pushes why not when this estimator has none (NULL: it always has). */
  peri_status (*probabilities)(const estimator *e, const samples *s, double *out);
  const char *(*no_probabilities)(const estimator *e);
  /* a machine from the arrays of a file: the fields' and "n", "gap" and such; see lua/svm.lua */
  peri_status (*restore)(const estimator *e, const estimator_source *source, void **machine);
} estimator_type;

/* What restore reads from: the array of that name, of the dtype asked for, with the shape that `out` asks for (-1: any
 * size, which it then says). data NULL: there is none. */
struct estimator_source {
  void *arg;
  peri_status (*array)(const struct estimator_source *self, const char *name, estimator_array *out);
};

/* An array that has to be there; a number, which is a float64 array without dimensions; and one that is a size. */
peri_status estimator_source_array(const estimator *e, const estimator_source *source, const char *name,
                                   estimator_array *out);
peri_status estimator_source_number(const estimator *e, const estimator_source *source, const char *name, double *out);
peri_status estimator_source_size(const estimator *e, const estimator_source *source, const char *name, int64_t *out);
/* fit_status, 0 or 1, and gap, a number that is not negative. */
peri_status estimator_source_end(const estimator *e, const estimator_source *source, int *fit_status, double *gap);
/* That there is no array of that name, which a machine like this does not have. */
peri_status estimator_source_none(const estimator *e, const estimator_source *source, const char *name);
/* Copies an array of that shape (-1 columns: one dimension), whose numbers are finite; the same of n numbers that are
 * not negative; and k ascending classes. */
peri_status estimator_copy_array(const estimator *e, const estimator_source *source, const char *name, peri_dtype dtype,
                                 int64_t rows, int64_t columns, void *out);
peri_status estimator_copy_amounts(const estimator *e, const estimator_source *source, const char *name,
                                   peri_dtype dtype, int64_t n, void *out);
peri_status estimator_copy_classes(const estimator *e, const estimator_source *source, int64_t k, int64_t *out);
/* Fails: what the file says is no machine. */
peri_status estimator_refuse(const estimator *e, const char *what);

extern const estimator_type peri_bind_svc, peri_bind_nu_svc, peri_bind_svr, peri_bind_nu_svr, peri_bind_one_class,
    peri_bind_linear_svc, peri_bind_linear_svr, peri_bind_logistic;

/* User values of an estimator. */
enum {
  ESTIMATOR_TENSORS = 1, /* the tensors made so far of the machine's arrays, by field; nil: not fitted */
  ESTIMATOR_KERNEL,      /* the kernel when it is a function */
  ESTIMATOR_VECTORS,     /* then the support vectors, a tensor */
  ESTIMATOR_VALUES = ESTIMATOR_VECTORS
};

struct estimator {
  peri_context *context;
  const estimator_type *type;
  double values[PERI_MAX_OPTIONS]; /* in the order of type->options */
  peri_gamma_mode gamma_mode;
  double gamma;
  void *machine;           /* NULL: not fitted */
  uint64_t generation;     /* of the machine: how many were dropped before */
  bool has_function;       /* the kernel is a Lua function; `kernel` among values is then precomputed */
  int64_t features;        /* and this the number of features of the fit */
  bool weighted, balanced; /* a class_weight was given; it is "balanced" */
  int64_t weights;         /* entries of list, ascending by label */
  peri_class_weight list[];
};

static inline peri_class_weights estimator_class_weights(const estimator *e) {
  return (peri_class_weights){.balanced = e->balanced, .count = e->weights, .list = e->list};
}

/* The fields that all fitted estimators have. */
estimator_array estimator_classes(const estimator *e);
void estimator_push_gap(lua_State *L, const estimator *e);
void estimator_push_fit_status(lua_State *L, const estimator *e);
void estimator_push_shape_fit(lua_State *L, const estimator *e);
#define ESTIMATOR_TIME_DOC                                                                                             \
  "time_limit the seconds of a fit, of which each machine has a fair share: what one leaves passes on to the rest. "
#define ESTIMATOR_FIT_FIELDS_DOC                                                                                       \
  "Arrays are copies, made when first read; counts and rows count from 1. fit_status is 0, or 1 (with a warning) "     \
  "when max_iter, time_limit or rounding came first, as where C lets coefficients grow for ever; gap is what was "     \
  "left "                                                                                                              \
  "of the violation that tol bounds, gaps the same for "                                                               \
  "each machine. "

/* ---- svm_options.c ---- */

/* Pushes an unfitted estimator with the options at index. */
estimator *estimator_push_new(lua_State *L, bind_state *S, const estimator_type *type, int index);
/* Pushes the value of an option that e, at index, has. */
void estimator_push_option(lua_State *L, int index, const estimator *e, const char *name);
/* Pushes a table of all options with their values. */
void estimator_push_params(lua_State *L, int index, const estimator *e);
/* Pushes the options of e, at index, as one would write them: "SVC{C = 1}". */
void estimator_push_text(lua_State *L, int index, const estimator *e);

/* ---- svm.c ---- */

/* A method's estimator and name, "SVC.fit"; the stack gets `arguments` entries and the name. */
estimator *estimator_begin(lua_State *L, const char *method, int arguments, const char **operation);
void estimator_check_fitted(lua_State *L, const estimator *e);
/* Puts a machine in the place of the one that e had. */
void estimator_place(estimator *e, void *machine);

/* ---- svm_fit.c ---- */

int estimator_fit(lua_State *L);
int estimator_path(lua_State *L);
int estimator_cross_predict(lua_State *L);
int estimator_folds(lua_State *L);
/* The samples of a call to a fitted estimator, X at 2: kernel values where the kernel is a function. */
void estimator_read_fresh(lua_State *L, bind_state *S, const char *operation, const estimator *e, samples *s);
/* X, y and {sample_weight =} at 2, 3 and 4. */
void estimator_read_targets(lua_State *L, bind_state *S, const char *operation, const estimator *e, samples *s);

/* ---- svm_machines.c ---- */

peri_svm_options estimator_svm_options(const estimator *e);

/* ---- svm_file.c ---- */

/* restore(m, {name = tensor}): m becomes fitted */
int estimator_restore(lua_State *L);

/* ---- svm_libsvm.c ---- */

/* svm.load_libsvm and m:save_libsvm, which lua/svm.lua puts in their places */
int bind_load_libsvm(lua_State *L);
int bind_save_libsvm(lua_State *L);

#endif
