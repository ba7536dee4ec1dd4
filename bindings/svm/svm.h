/* The estimators of peri.svm. An estimator holds its options and, once fitted, a machine of the runtime;
 * what differs between them is a row of functions here, so that arguments, methods, options and fields are
 * handled in one way for all.
 *
 *   svm.c        the list of types and their methods
 *   estimator.c  calls, what is computed from a fitted machine, copies, life and fields
 *   options.c    options as Lua values and as text
 *   fit.c        fits: progress, kernels that are Lua functions
 *   paths.c      several machines of one kernel's values: paths over C, held-out rows
 *   file.c       a machine from the arrays of a file
 *   libsvm.c     machines in LIBSVM's files
 *   machines.c   the types with a kernel; machines_file.c makes them from a file's arrays
 *   linear.c     the linear types
 *   lua/svm.lua  what is best written in Lua: files, paths, cross-validation, grids */
#ifndef PERI_BIND_SVM_H
#define PERI_BIND_SVM_H

#include "samples.h"
#include "svm/kernel/svm.h"

typedef struct estimator estimator;
typedef struct estimator_source estimator_source;
typedef struct estimator_type estimator_type;

/* User values of an estimator. */
enum {
  ESTIMATOR_TENSORS = 1, /* the tensors made so far of the machine's arrays, by field; nil: not fitted */
  ESTIMATOR_KERNEL,      /* the kernel when it is a function */
  ESTIMATOR_VECTORS,     /* then the support vectors, a tensor */
  ESTIMATOR_VALUES = ESTIMATOR_VECTORS
};

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
  int kept;      /* the user value that holds its tensor where the kernel is a function; 0: none */
} estimator_field;

/* An option that is no plain value. */
typedef struct estimator_also {
  const char *name;
  /* of the value at index, or nil: raises what is wrong, returns how many entries of `list` it takes */
  size_t (*check)(lua_State *L, const estimator_type *type, int index);
  /* fills e from the checked value, with at most `room` entries of the list; raises nothing */
  void (*take)(lua_State *L, estimator *e, int index, size_t room);
  void (*push)(lua_State *L, const estimator *e); /* the value, nil where it has none */
} estimator_also;
#define ESTIMATOR_MAX_ALSO 2

/* The samples of a call to a fitted estimator, and the machine that they were read for. */
typedef struct estimator_rows {
  peri_svm_samples samples;
  uint64_t generation;
} estimator_rows;

/* Rows of the fit, from 0, whose kernel values decide. */
typedef struct estimator_support {
  int64_t count;
  const int64_t *rows;
} estimator_support;

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

struct estimator_type {
  const char *name, *class_name;
  bind_kind kind;
  peri_svm_targets targets; /* what y holds, and what predict gives: numbers, else int64 labels */
  const peri_option *options;
  const estimator_also *also;
  const char *positive; /* options that must be above 0, or their default */
  const char *callable; /* the option that may be a Lua function, which is then `precomputed`; NULL: none */
  const char *methods;  /* of the list in svm.c, those that it has */
  int machine;          /* peri_svm_type or peri_linear_kind */
  bool reports;         /* its fit calls progress */
  const estimator_field *fields;
  const char *doc;
  estimator_facts (*facts)(const estimator *e);
  /* where a kernel may be a function: what can be said of samples before its values, and the rows that decide */
  peri_status (*check)(const estimator *e, const peri_svm_samples *s);
  estimator_support (*support)(const void *machine);
  /* a new machine of the estimator's options; the caller puts it in place when all went well */
  peri_status (*fit)(const estimator *e, const peri_svm_samples *s, const estimator_watch *watch, void **machine);
  void (*release)(peri_context *context, void **machine);
  peri_status (*predict)(const estimator *e, const peri_svm_samples *s, void *out);
  int64_t (*columns)(const estimator *e); /* of a decision; 1 for two classes */
  peri_status (*decide)(const estimator *e, const peri_svm_samples *s, double *out);
  /* n x k; NULL: there are none. Pushes why not when this estimator has none (NULL: it always has). */
  peri_status (*probabilities)(const estimator *e, const peri_svm_samples *s, double *out);
  const char *(*no_probabilities)(const estimator *e);
  /* a machine from the arrays of a file: the fields' and "n", "gap" and such; see lua/svm.lua */
  peri_status (*restore)(const estimator *e, const estimator_source *source, void **machine);
};

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

struct estimator {
  peri_context *context;
  const estimator_type *type;
  double values[PERI_MAX_OPTIONS]; /* in the order of type->options */
  void *machine;                   /* NULL: not fitted */
  uint64_t generation;             /* of the machine: how many were dropped before */
  bool has_function;               /* the kernel is a Lua function; `kernel` among values is then precomputed */
  int64_t features;                /* and this the number of features of the fit */
  bool weighted, balanced;         /* a class_weight was given; it is "balanced" */
  int64_t weights;                 /* entries of list, ascending by label */
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
  "left of the violation that tol bounds, gaps the same for each machine. "

/* ---- options.c ---- */

/* The value of an option, or `otherwise` where the type has none of that name. */
double estimator_value(const estimator *e, const char *name, double otherwise);
const estimator_also *estimator_find_also(const estimator_type *type, const char *name);
/* gamma, with the words of peri_gamma_mode in its order. */
#define BIND_GAMMA(least)                                                                                              \
  {                                                                                                                    \
    "gamma", PERI_OPTION_NUMBER, PERI_OPTION_WORD(PERI_GAMMA_SCALE), least, DBL_MAX, "scale auto",                     \
        "of poly, rbf and sigmoid: a word or a positive number"                                                        \
  }
/* class_weight: "balanced" or weights by label */
size_t estimator_check_class_weight(lua_State *L, const estimator_type *type, int index);
void estimator_take_class_weight(lua_State *L, estimator *e, int index, size_t room);
void estimator_push_class_weight(lua_State *L, const estimator *e);
#define ESTIMATOR_CLASS_WEIGHT                                                                                         \
  { "class_weight", estimator_check_class_weight, estimator_take_class_weight, estimator_push_class_weight }
/* Pushes an unfitted estimator with the options at index. */
estimator *estimator_push_new(lua_State *L, bind_state *S, const estimator_type *type, int index);
/* Pushes the value of an option that e, at index, has. */
void estimator_push_option(lua_State *L, int index, const estimator *e, const char *name);
/* Pushes a table of all options with their values. */
void estimator_push_params(lua_State *L, int index, const estimator *e);
/* Pushes the options of e, at index, as one would write them: "SVC{C = 1}". */
void estimator_push_text(lua_State *L, int index, const estimator *e);

/* ---- estimator.c ---- */

/* A method's estimator and name, "SVC.fit"; the stack gets `arguments` entries and the name. */
estimator *estimator_begin(lua_State *L, const char *method, int arguments, const char **operation);
void estimator_check_fitted(lua_State *L, const estimator *e);
/* Puts a machine in the place of the one that e had. */
void estimator_place(estimator *e, void *machine);
int estimator_predict(lua_State *L);
int estimator_decision_function(lua_State *L);
int estimator_predict_proba(lua_State *L);
int estimator_score(lua_State *L);
int estimator_params(lua_State *L);
int estimator_clone(lua_State *L);
int estimator_release(lua_State *L);
int estimator_get_field(lua_State *L);
int estimator_set_field(lua_State *L);
int estimator_to_string(lua_State *L);
void estimator_collect(void *object);

/* ---- fit.c ---- */

int estimator_fit(lua_State *L);
/* A fit's X, y and {sample_weight =} at 2, 3 and 4; where the kernel is a function, X becomes its values, when all
 * else is known to be right. Returns where X's tensor stands. */
int estimator_read_samples(lua_State *L, bind_state *S, const char *operation, const estimator *e, peri_svm_samples *s);
/* The samples of a call to a fitted estimator, X at 2: kernel values where the kernel is a function. */
void estimator_read_fresh(lua_State *L, bind_state *S, const char *operation, const estimator *e, estimator_rows *rows);
/* X, y and {sample_weight =} at 2, 3 and 4. */
void estimator_read_targets(lua_State *L, bind_state *S, const char *operation, const estimator *e,
                            peri_svm_samples *s);
/* That the options of a fit, at 4, are known ones. */
void estimator_check_call(lua_State *L, const char *operation, const estimator *e);

typedef struct estimator_reporter {
  lua_State *L;
  int function, error; /* where the function stands, and where its error goes */
} estimator_reporter;

/* Leaves two places on the stack: the function of {progress =} at 4 and its error. */
estimator_watch estimator_read_progress(lua_State *L, const char *operation, estimator_reporter *out);
/* Raises the progress function's error, or the runtime's. */
void estimator_check_fit(lua_State *L, bind_state *S, const estimator_reporter *r, peri_status status);
void estimator_warn_unless_converged(lua_State *L, const char *operation, const estimator *e);
/* These rows of the tensor at index, as a new tensor on the stack. */
void estimator_push_rows(lua_State *L, bind_state *S, int index, estimator_support rows);

/* ---- paths.c ---- */

int estimator_path(lua_State *L);
int estimator_cross_predict(lua_State *L);
int estimator_folds(lua_State *L);

/* ---- machines.c ---- */

peri_svm_options estimator_svm_options(const estimator *e);

/* ---- machines_file.c ---- */

peri_status estimator_restore_svm(const estimator *e, const estimator_source *source, void **machine);

/* ---- file.c ---- */

/* restore(m, {name = tensor}): m becomes fitted */
int estimator_restore(lua_State *L);

/* ---- libsvm.c ---- */

/* svm.load_libsvm and m:save_libsvm, which lua/svm.lua puts in their places */
int bind_load_libsvm(lua_State *L);
int bind_save_libsvm(lua_State *L);

#endif
