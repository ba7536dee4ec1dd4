/* The estimators of peri.svm. An estimator holds its options and, once fitted, a machine of the runtime;
 * what differs between them is a row of runtime/model/machine.h, so that arguments, methods, options and fields are
 * handled in one way for all.
 *
 *   svm.c        the list of types and their methods
 *   estimator.c  calls, what is computed from a fitted machine, copies, life and fields
 *   options.c    options as Lua values and as text
 *   fit.c        fits: progress, kernels that are Lua functions
 *   paths.c      several machines of one kernel's values: paths over C, held-out rows
 *   file.c       a machine from the arrays of a file
 *   libsvm.c     machines in LIBSVM's files
 *   machines.c   the types with a kernel, and what their documentation says
 *   linear.c     the linear types
 *   lua/svm.lua  what is best written in Lua: files, paths, cross-validation, grids */
#ifndef PERI_BIND_SVM_H
#define PERI_BIND_SVM_H

#include "samples.h"
#include "model/machine.h"

typedef struct estimator estimator;
typedef struct estimator_type estimator_type;

/* User values of an estimator. */
enum {
  ESTIMATOR_TENSORS = 1, /* the tensors made so far of the machine's arrays, by field; nil: not fitted */
  ESTIMATOR_KERNEL,      /* the kernel when it is a function */
  ESTIMATOR_VECTORS,     /* then the support vectors, a tensor */
  ESTIMATOR_VALUES = ESTIMATOR_VECTORS
};

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
  const peri_machine_type *row; /* what it is and does */
  const char *class_name;
  bind_kind kind;
  const estimator_also *also;
  const char *methods; /* of the list in svm.c, those that it has */
  const char *doc;
};

extern const estimator_type peri_bind_svc, peri_bind_nu_svc, peri_bind_svr, peri_bind_nu_svr, peri_bind_one_class,
    peri_bind_linear_svc, peri_bind_linear_svr, peri_bind_logistic;

struct estimator {
  peri_machine m;
  const estimator_type *type;
  uint64_t generation;      /* of the machine: how many were dropped before */
  peri_class_weight list[]; /* m.list */
};

#define ESTIMATOR_TIME_DOC                                                                                             \
  "time_limit the seconds of a fit, of which each machine has a fair share: what one leaves passes on to the rest. "
#define ESTIMATOR_FIT_FIELDS_DOC                                                                                       \
  "Arrays are copies, made when first read; counts and rows count from 1. fit_status is 0, or 1 (with a warning) "     \
  "when max_iter, time_limit or rounding came first, as where C lets coefficients grow for ever; gap is what was "     \
  "left of the violation that tol bounds, gaps the same for each machine. "

/* ---- options.c ---- */

const estimator_also *estimator_find_also(const estimator_type *type, const char *name);
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
peri_machine_watch estimator_read_progress(lua_State *L, const char *operation, estimator_reporter *out);
/* Raises the progress function's error, or the runtime's. */
void estimator_check_fit(lua_State *L, bind_state *S, const estimator_reporter *r, peri_status status);
void estimator_warn_unless_converged(lua_State *L, const char *operation, const estimator *e);
/* These rows of the tensor at index, as a new tensor on the stack. */
void estimator_push_rows(lua_State *L, bind_state *S, int index, peri_machine_support rows);

/* ---- paths.c ---- */

int estimator_path(lua_State *L);
int estimator_cross_predict(lua_State *L);
int estimator_folds(lua_State *L);

/* ---- file.c ---- */

/* restore(m, {name = tensor}): m becomes fitted */
int estimator_restore(lua_State *L);

/* ---- libsvm.c ---- */

/* svm.load_libsvm and m:save_libsvm, which lua/svm.lua puts in their places */
int bind_load_libsvm(lua_State *L);
int bind_save_libsvm(lua_State *L);

#endif
