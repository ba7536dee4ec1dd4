/* The two estimators of peri.svm. An estimator holds its options and, once fitted, a machine of the runtime;
 * what differs between SVC and LinearSVC is a row of functions here, so that arguments, methods, options
 * and fields are handled in one way for both. */
#ifndef PERI_BIND_SVM_H
#define PERI_BIND_SVM_H

#include "samples.h"
#include "svm/svm.h"

typedef struct estimator estimator;

/* What every fitted machine knows. */
typedef struct estimator_facts {
  int64_t n, d, k; /* shape of the fit, classes */
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

typedef struct estimator_type {
  const char *name, *metatable;
  const peri_option *options;
  const char *const *also; /* options that are no plain values: gamma, class_weight */
  const char *positive;    /* options that must be above 0 */
  const estimator_field *fields;
  const char *doc;
  estimator_facts (*facts)(const estimator *e);
  peri_status (*fit)(estimator *e, const samples *s); /* replaces the machine when all went well */
  peri_status (*predict)(const estimator *e, const samples *s, int64_t *out);
  int64_t (*columns)(const estimator *e); /* of a decision; 1 for two classes */
  peri_status (*decide)(const estimator *e, const samples *s, double *out);
} estimator_type;

extern const estimator_type peri_bind_svc, peri_bind_linear_svc;

struct estimator {
  peri_context *context;
  const estimator_type *type;
  double values[PERI_MAX_OPTIONS]; /* in the order of type->options */
  peri_gamma_mode gamma_mode;
  double gamma;
  peri_svc *svc; /* the machine, by type; both NULL: not fitted */
  peri_linear_svc *linear;
  bool weighted, balanced; /* a class_weight was given; it is "balanced" */
  int64_t weights;         /* entries of list, ascending by label */
  peri_class_weight list[];
};

#endif
