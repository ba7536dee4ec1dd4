/* Convolutions, on the product engine: patches of images are packed as panels of an operand, a block of steps at a
 * time, and stand nowhere as a matrix.
 *
 * Images are N x C x H x W, weights M x C / groups x KH x KW, contiguous. Zeros around an image are factors like
 * others. Every element is an element of a product (product.h), whose steps are
 * - y: (c, kh, kw) of its group, kw fastest;
 * - the gradient of x: (m, kh, kw) of its group, those kh and kw that reach it;
 * - the gradient of the weights: (n, oh, ow). */
#ifndef PERI_CONVOLUTION_H
#define PERI_CONVOLUTION_H

#include "kernels/kernels.h"

/* Pairs are of rows and columns. y[oh][ow] is the sum of x[oh stride + kh dilation - padding][...] w[kh][kw]. */
typedef struct peri_convolution {
  peri_dtype dtype; /* a float */
  int64_t images, groups, in_channels, out_channels;
  int64_t in[2], out[2]; /* of an image in x, and in y */
  int64_t kernel[2], stride[2], dilation[2];
  int64_t padding[2]; /* zeros above and on the left; as many below and on the right as `out` takes */
} peri_convolution;

/* What is done to every element of a result: the value of its channel is added, then the loop applied. Or NULL. */
typedef struct peri_convolution_end {
  const void *bias;
  peri_loop1 activation;
} peri_convolution_end;

peri_status peri_convolve(peri_context *context, const peri_convolution *convolution, const void *x, const void *weight,
                          const peri_convolution_end *end, void *y);
/* The gradient of x from that of y; every element of it is written. */
peri_status peri_convolve_input(peri_context *context, const peri_convolution *convolution, const void *gy,
                                const void *weight, const peri_convolution_end *end, void *gx);
/* The gradient of the weights. */
peri_status peri_convolve_weight(peri_context *context, const peri_convolution *convolution, const void *x,
                                 const void *gy, void *gw);

#endif
