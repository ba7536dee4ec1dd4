/* What a model is made of. The public calls are in perilune/model.h.
 *
 * A model is a text, its description, and tensors by name; all else follows from both and is made, and checked, in one
 * place (peri_model_make), whether they come from a file, a script or a fit.
 *
 *   Model{StandardScaler{mean = true, std = true}, Sequential{Linear(2, 10), Tanh(), Linear(10, 3)}, task = 'classes'}
 *
 * Steps are the children without a name: transforms, then one network (Sequential, or a layer) or machine. The tensors
 * of step i, from 1, are "i.name": fields of a transform or a machine; of a network those of its state_dict,
 * "2.0.weight". task     of a network: 'scores' (none is said), 'classes' (the tensor `classes` has the labels) or
 * 'numbers' input    of a network: the sizes of a row, {1, 28, 28} flat     of numbers: predictions are a vector A file
 * is safetensors with the metadata `model` (the description), `perilune` ("model 1") and a checksum. */
#ifndef PERI_MODEL_INTERNAL_H
#define PERI_MODEL_INTERNAL_H

#include "data/formats/formats.h"
#include "kernels/kernels.h"
#include "model/description.h"
#include "model/machine.h"
#include "nn/nn.h"

#include <perilune/model.h>
#include <pthread.h>
#include <stdatomic.h>

#define PERI_MODEL_VERSION    "model 1"
#define PERI_MODEL_TRANSFORMS 16
#define PERI_MODEL_LAYERS     10000
#define PERI_MODEL_TEXT       ((size_t)4 << 20) /* longest description */

typedef enum peri_transform_kind {
  PERI_STANDARD_SCALER,
  PERI_MIN_MAX_SCALER,
  PERI_PCA,
  PERI_TRANSFORMS
} peri_transform_kind;

/* Numbers belong to the model's tensors. */
typedef struct peri_transform {
  peri_transform_kind kind;
  int64_t in, out;
  const double *centre;     /* in: subtracted; or NULL */
  const double *scale;      /* in, of PCA out: divided by; or NULL */
  const double *components; /* PCA: out x in */
  double low, high;         /* MinMaxScaler */
  bool clip;
} peri_transform;

typedef enum peri_task { PERI_TASK_SCORES, PERI_TASK_CLASSES, PERI_TASK_NUMBERS } peri_task;

/* One step of a dense network as scorers run it; see scorer.c. */
typedef struct peri_dense {
  int64_t n, k; /* a product with packed weights; 0: none */
  const void *packed, *bias;
  peri_loop1 loop;   /* then this; or NULL */
  peri_tuned1 tuned; /* or this, with numbers; or NULL */
  double numbers[3];
} peri_dense;

typedef struct peri_named_tensor {
  const char *name;
  peri_tensor *tensor;
} peri_named_tensor;

struct peri_model {
  _Atomic size_t references;
  pthread_mutex_t lock;  /* of what writes files, which retains tensors */
  peri_context *context; /* its own: memory, and nothing that scorers touch */
  char *text;            /* the description */
  size_t text_bytes;
  peri_named_tensors list;
  peri_named_tensor *sorted; /* by name */
  int transforms;
  peri_transform transform[PERI_MODEL_TRANSFORMS];
  peri_machine machine; /* type NULL: it is a network */
  peri_class_weight *weights;
  int layer_count;
  peri_layer **layers; /* in the order in which they run */
  int dense_count;
  peri_dense *dense; /* NULL: layers are run as they are */
  void *packed;      /* memory of theirs */
  size_t packed_bytes;
  char kind[64];
  peri_task task;
  bool flat;
  peri_dtype dtype;  /* of a network's rows: that of its parameters, int64 where it begins with an embedding */
  peri_dtype result; /* of what it gives */
  int ndim;          /* of a network's row */
  int64_t shape[PERI_MAX_DIMS];
  int64_t inputs, features, outputs, widest; /* features: what the network or the machine gets */
  int64_t k;
  const int64_t *classes;
};

/* A model of n tensors by name, which are copied; they may be of any context. `operation` opens messages. */
peri_status peri_model_new(peri_context *context, const char *operation, const char *description, size_t n,
                           const char *const *names, peri_tensor *const *tensors, peri_model **out);

/* A contiguous copy in another context. */
peri_status peri_model_copy_tensor(peri_context *context, peri_tensor *x, peri_tensor **out);

/* ---- parts of making one ---- */

/* The tensor "step.name", or NULL. */
peri_tensor *peri_model_tensor(const peri_model *model, int step, const char *name);
/* NULL where the item is no transform. */
const char *peri_transform_name(const peri_item *item, peri_transform_kind *kind);
peri_status peri_transform_read(const peri_model *model, const char *operation, const peri_item *item, int step,
                                peri_transform *out);
/* A network's layers run once, over a row of zeros: that they fit, and how many numbers they give. */
peri_status peri_model_try(peri_model *model, const char *operation);
/* What scorers need of a network that is dense: packed weights and loops. */
peri_status peri_model_plan(peri_model *model);

/* x, rows x in of dtype, through the transform into y, rows x out of the same dtype; work has 2 rows (in + out)
 * doubles. */
peri_status peri_transform_apply(peri_context *context, const peri_transform *t, peri_dtype dtype, int64_t rows,
                                 const void *x, void *y, double *work);

/* ---- layers and machines as descriptions ---- */

void peri_write_layer(peri_writer *writer, const peri_layer *layer);
void peri_write_machine(peri_writer *writer, const peri_machine *e);
/* A layer of an item; `source` as in peri_layer_from, NULL: with initial values. */
peri_status peri_read_layer(peri_context *context, const char *operation, const peri_item *item,
                            peri_layer_source source, void *arg, peri_layer **out);
/* The type and the options; *weights is what e->list points to, e->weights entries of the context's memory, or NULL. */
peri_status peri_read_machine(peri_context *context, const char *operation, const peri_item *item, peri_machine *e,
                              peri_class_weight **weights);

#endif
