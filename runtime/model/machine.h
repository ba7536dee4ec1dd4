/* Machines as one kind of thing: a table of types, whose rows say options, calls and what a fitted machine shows; and
 * the object that holds a type's options and, once fitted, a machine of runtime/svm.
 *
 * Whoever fits, scores, saves or exports a machine goes by the table: the binding, model files, descriptions. A fitted
 * machine is constant, and may be used through several peri_machine at once, each with a context of its own. */
#ifndef PERI_MACHINE_H
#define PERI_MACHINE_H

#include "base/option.h"
#include "svm/kernel/svm.h"
#include "tensor/tensor.h"

typedef struct peri_machine peri_machine;
typedef struct peri_machine_source peri_machine_source;
typedef struct peri_machine_type peri_machine_type;

/* What every fitted machine knows. */
typedef struct peri_machine_facts {
  int64_t n, d, k; /* shape of the fit, classes (0: none) */
  const int64_t *classes;
  double gap;
  int fit_status;
} peri_machine_facts;

typedef struct peri_machine_array {
  peri_dtype dtype;
  int ndim;
  int64_t shape[2];
  const void *data; /* NULL: there is none */
} peri_machine_array;

/* What can be read of a fitted machine: an array, or a number; with neither it is shape_fit, whose readers know it. */
typedef struct peri_machine_field {
  const char *name;
  peri_machine_array (*array)(const peri_machine *e);
  double (*number)(const peri_machine *e);
  bool whole;    /* the number */
  int64_t first; /* added to the elements of an int64 array that counts from 0 */
  bool kept;     /* where the kernel is a function of the host's, the host keeps it */
} peri_machine_field;

/* Rows of the fit, from 0, whose kernel values decide. */
typedef struct peri_machine_support {
  int64_t count;
  const int64_t *rows;
} peri_machine_support;

/* How a fit reports and ends early; see peri_svm_options. */
typedef struct peri_machine_watch {
  peri_svm_verdict (*progress)(void *arg, const peri_svm_progress *state);
  void *arg;
} peri_machine_watch;

struct peri_machine_type {
  const char *name;
  peri_svm_targets targets; /* what y holds, and what predict gives: numbers, else int64 labels */
  const peri_option *options;
  bool weighs;          /* has the option class_weight */
  const char *positive; /* options that must be above 0, or their default; NULL: fit checks */
  const char *callable; /* the option that may be a function of the host's, which is then `precomputed`; NULL: none */
  int which;            /* peri_svm_type or peri_linear_kind */
  bool reports;         /* its fit calls progress */
  const peri_machine_field *fields;
  peri_machine_facts (*facts)(const peri_machine *e);
  /* where a kernel may be a function: what can be said of samples before its values, and the rows that decide */
  peri_status (*check)(const peri_machine *e, const peri_svm_samples *s);
  peri_machine_support (*support)(const void *fitted);
  /* a new machine of the options; the caller puts it in place when all went well */
  peri_status (*fit)(const peri_machine *e, const peri_svm_samples *s, const peri_machine_watch *watch, void **fitted);
  void (*release)(peri_context *context, void **fitted);
  peri_status (*predict)(const peri_machine *e, const peri_svm_samples *s, void *out);
  int64_t (*columns)(const peri_machine *e); /* of a decision; 1 for two classes */
  peri_status (*decide)(const peri_machine *e, const peri_svm_samples *s, double *out);
  /* n x k; NULL: there are none. Says why not when this machine has none (NULL: it always has). */
  peri_status (*probabilities)(const peri_machine *e, const peri_svm_samples *s, double *out);
  const char *(*no_probabilities)(const peri_machine *e);
  /* a machine from the arrays of a file: the fields' and "n", "d" */
  peri_status (*restore)(const peri_machine *e, const peri_machine_source *source, void **fitted);
};

struct peri_machine {
  peri_context *context; /* what calls compute with, and say */
  const peri_machine_type *type;
  double values[PERI_MAX_OPTIONS]; /* in the order of type->options */
  void *fitted;                    /* NULL: not fitted */
  bool has_function;               /* the kernel is a function of the host's, and an option says precomputed */
  int64_t features;                /* and this the number of features of the fit */
  bool weighted, balanced;         /* a class_weight was given; it is "balanced" */
  int64_t weights;                 /* entries of list, ascending by label */
  const peri_class_weight *list;
};

extern const peri_machine_type peri_machine_svc, peri_machine_nu_svc, peri_machine_svr, peri_machine_nu_svr,
    peri_machine_one_class, peri_machine_linear_svc, peri_machine_linear_svr, peri_machine_logistic;
extern const peri_machine_type *const peri_machine_types[]; /* ends with NULL */

/* gamma, with the words of peri_gamma_mode in its order. */
#define PERI_MACHINE_GAMMA(least)                                                                                      \
  {                                                                                                                    \
    "gamma", PERI_OPTION_NUMBER, PERI_OPTION_WORD(PERI_GAMMA_SCALE), least, DBL_MAX, "scale auto",                     \
        "of poly, rbf and sigmoid: a word or a positive number"                                                        \
  }

/* The value of an option, or `otherwise` where the type has none of that name. */
double peri_machine_value(const peri_machine *e, const char *name, double otherwise);
static inline peri_class_weights peri_machine_class_weights(const peri_machine *e) {
  return (peri_class_weights){.balanced = e->balanced, .count = e->weights, .list = e->list};
}

/* Of a machine with a kernel. */
peri_svm_options peri_machine_svm_options(const peri_machine *e);

/* Fields that all types have. */
peri_machine_array peri_machine_classes(const peri_machine *e);
double peri_machine_gap(const peri_machine *e);
double peri_machine_fit_status(const peri_machine *e);

/* ---- machines from arrays ---- */

/* What restore reads from: the array of that name, of the dtype asked for, with the shape that `out` asks for (-1: any
 * size, which it then says). data NULL: there is none. */
struct peri_machine_source {
  const void *arg;
  peri_status (*array)(const struct peri_machine_source *self, const char *name, peri_machine_array *out);
};

/* A source of tensors by name. */
typedef struct peri_machine_arrays {
  const peri_machine *e;
  size_t n;
  const char *prefix; /* of the names; or NULL */
  const char *const *names;
  const peri_tensor *const *tensors; /* NULL: what has the name is no tensor */
} peri_machine_arrays;
peri_machine_source peri_machine_source_of(const peri_machine_arrays *arrays);

/* An array that has to be there; a number, which is a float64 array without dimensions; and one that is a size. */
peri_status peri_machine_source_array(const peri_machine *e, const peri_machine_source *source, const char *name,
                                      peri_machine_array *out);
peri_status peri_machine_source_number(const peri_machine *e, const peri_machine_source *source, const char *name,
                                       double *out);
peri_status peri_machine_source_size(const peri_machine *e, const peri_machine_source *source, const char *name,
                                     int64_t *out);
/* fit_status, 0 or 1, and gap, a number that is not negative. */
peri_status peri_machine_source_end(const peri_machine *e, const peri_machine_source *source, int *fit_status,
                                    double *gap);
/* That there is no array of that name, which a machine like this does not have. */
peri_status peri_machine_source_none(const peri_machine *e, const peri_machine_source *source, const char *name);
/* Copies an array of that shape (-1 columns: one dimension), whose numbers are finite; the same of n numbers that are
 * not negative; and k ascending classes. */
peri_status peri_machine_copy_array(const peri_machine *e, const peri_machine_source *source, const char *name,
                                    peri_dtype dtype, int64_t rows, int64_t columns, void *out);
peri_status peri_machine_copy_amounts(const peri_machine *e, const peri_machine_source *source, const char *name,
                                      peri_dtype dtype, int64_t n, void *out);
peri_status peri_machine_copy_classes(const peri_machine *e, const peri_machine_source *source, int64_t k,
                                      int64_t *out);
/* Fails: what the file says is no machine. */
peri_status peri_machine_refuse(const peri_machine *e, const char *what);

#endif
