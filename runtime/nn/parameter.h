/* What is done to parameters, the leaf tensors that training changes: making them, writing their
 * values, and setting their gradients to zero. What is written in place is written whole. */
#ifndef PERI_PARAMETER_H
#define PERI_PARAMETER_H

#include "tensor/tensor.h"

/* A leaf that requires grad and is contiguous: x itself when it is one, else a new tensor over x's
 * memory, or over a copy where x is not contiguous. Fails for dtypes that are not float. */
peri_status peri_parameter_new(peri_tensor *x, peri_tensor **out);
/* The parameter's values in another float dtype, as a new leaf without a gradient. */
peri_status peri_parameter_convert(peri_tensor *parameter, peri_dtype dtype, peri_tensor **out);
/* Writes the values of source (the same shape, any dtype, other memory) into the parameter. */
void peri_parameter_assign(peri_tensor *parameter, peri_tensor *source);
/* Fills the gradient with zeros where there is one. */
void peri_parameter_zero_grad(peri_tensor *parameter);

#endif
