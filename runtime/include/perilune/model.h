/* Models: what has been trained, scored without Lua.
 *
 * A model is a network or a machine, with what prepares its features before it (a scaler, principal components), made
 * by a script (peri.save_model) or by peri_fit. It is constant once made: any number of threads may score with one,
 * each through a scorer of its own. A scorer owns its workspace, allocates nothing once it is warm, and has a context
 * of its own, with its message and its flag of cancellation. Results have the bits that the script's own predict gives.
 */
#ifndef PERILUNE_MODEL_H
#define PERILUNE_MODEL_H

#include <perilune/perilune.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct peri_model peri_model;
typedef struct peri_scorer peri_scorer;

/* ---- models ---- */

/* Reads what peri.save_model or peri_model_save has written. All that the file claims is checked, and nothing in it is
 * executed. The model takes at most what the context's budget has left, in a budget of its own; after the call it has
 * nothing to do with the context. On failure *out is NULL, and peri_message(context) says why. */
PERI_API peri_status peri_model_load(peri_context *context, const char *path, peri_model **out);
/* The same from memory, which is not read later; name stands for the file in messages. */
PERI_API peri_status peri_model_parse(peri_context *context, const char *name, const void *bytes, size_t size,
                                      peri_model **out);
/* Fits a model. `description` is data in the notation of scripts: "Sequential{Linear(784, 128), ReLU(), Linear(128,
 * 10)}" of built-in layers, or "svm.SVC{C = 10}". x has a row for each example, y an int64 label each (any values), or
 * float numbers (n, or n x m) for a regression. options of networks, "epochs = 10, batch_size = 32, optimizer = Adam{lr
 * = 0.001}, loss = CrossEntropyLoss{}, seed = 0, shuffle = true", all of which may be left out (MSELoss for numbers);
 * initial weights and orders follow from the seed. Machines have none: theirs stand in the description. options may be
 * NULL. */
PERI_API peri_status peri_fit(peri_context *context, const char *description, const char *options, peri_tensor *x,
                              peri_tensor *y, peri_model **out);
/* Writes the file, whole or not at all; the same model gives the same bytes. */
PERI_API peri_status peri_model_save(peri_context *context, const peri_model *model, const char *path);
/* Any thread may retain and release. Scorers hold a reference of their own. */
PERI_API peri_model *peri_model_retain(peri_model *model);
PERI_API void peri_model_release(peri_model **model);

/* "Sequential", "svm.SVC", ...: of what comes last. Terminated; lives as long as the model. */
PERI_API const char *peri_model_kind(const peri_model *model);
/* The whole of it as text, "Model{StandardScaler{mean = true, std = true}, svm.SVC{...}}". */
PERI_API const char *peri_model_description(const peri_model *model);
PERI_API int64_t peri_model_inputs(const peri_model *model);  /* numbers of a row */
PERI_API int64_t peri_model_outputs(const peri_model *model); /* scores of a row */
/* How many classes, and their labels, ascending; 0: it has none. labels may be NULL. */
PERI_API int64_t peri_model_classes(const peri_model *model, const int64_t **labels);

/* ---- scoring ---- */

/* Rows of a call beyond most_rows (at least 1) are done so many at a time. PERI_ERR_MEMORY when there is none. */
PERI_API peri_status peri_scorer_new(peri_model *model, int64_t most_rows, peri_scorer **out);
PERI_API void peri_scorer_release(peri_scorer **scorer);
/* What the scorer's last failing call said. */
PERI_API const char *peri_scorer_message(const peri_scorer *scorer);
/* The scorer's own context, to cancel it from another thread; borrowed. It computes with one thread. */
PERI_API peri_context *peri_scorer_context(peri_scorer *scorer);

/* x has `rows` rows of peri_model_inputs numbers, float32 or float64, `stride` elements apart (0: one behind the
 * other). out has peri_model_outputs numbers for each row: what a network gives; of a machine its decisions
 * (decision_function), of a regression the prediction. */
PERI_API peri_status peri_score(peri_scorer *scorer, peri_dtype dtype, int64_t rows, const void *x, int64_t stride,
                                double *out);
/* One label for each row. PERI_ERR_STATE for what has no classes (OneClassSVM gives 1 and -1). */
PERI_API peri_status peri_score_labels(peri_scorer *scorer, peri_dtype dtype, int64_t rows, const void *x,
                                       int64_t stride, int64_t *out);
/* A probability for each row and class. PERI_ERR_STATE for what has none. */
PERI_API peri_status peri_score_probabilities(peri_scorer *scorer, peri_dtype dtype, int64_t rows, const void *x,
                                              int64_t stride, double *out);

#ifdef __cplusplus
}
#endif
#endif
