/* Samples as scripts give them to estimators: features as a tensor or a table of rows, labels and weights as
 * tensors or tables. What is read is contiguous and of one dtype, kept alive by handles that the readers
 * leave on the stack. All messages begin with the operation. */
#ifndef PERI_BIND_SAMPLES_H
#define PERI_BIND_SAMPLES_H

#include "bindings/core/bind.h"
#include "svm/samples.h"

/* X at index: dtype, n, d, x and ldx. Leaves its tensor on top of the stack. */
void bind_read_features(lua_State *L, bind_state *S, const char *operation, int index, peri_svm_samples *s);
/* The same of an argument that messages call `name`. */
void bind_read_rows(lua_State *L, bind_state *S, const char *operation, const char *name, int index,
                    peri_svm_samples *s);
/* y at index: as many whole numbers as X has rows. */
void bind_read_labels(lua_State *L, bind_state *S, const char *operation, int index, peri_svm_samples *s);
/* y at index: as many numbers as X has rows. */
void bind_read_targets(lua_State *L, bind_state *S, const char *operation, int index, peri_svm_samples *s);
/* sample_weight at index: as many numbers as X has rows. */
void bind_read_weights(lua_State *L, bind_state *S, const char *operation, int index, peri_svm_samples *s);

#endif
