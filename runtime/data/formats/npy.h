/* What NPY and NPZ share: the header, and an array as a reader's whole content. The format is described at
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. */
#ifndef PERI_DATA_NPY_H
#define PERI_DATA_NPY_H

#include "data/formats/decode.h"
#include "data/reader.h"
#include "tensor/tensor.h"

typedef struct peri_npy_type {
  char kind;          /* as NumPy writes it: b i u f */
  unsigned char size; /* bytes of an element in the file */
  peri_dtype dtype;   /* of the tensor that it becomes */
  peri_decode little; /* NULL: the bytes are the elements */
  peri_decode big;
  const char *wrong; /* what is wrong with an element that is refused */
} peri_npy_type;

typedef struct peri_npy_header {
  const peri_npy_type *type;
  peri_decode decode;
  bool fortran_order;
  int ndim;
  int64_t shape[PERI_MAX_DIMS];
} peri_npy_header;

/* Reads the header and checks its form; the reader then stands at the first element. */
peri_status peri_npy_header_read(peri_reader *reader, peri_npy_header *out);

/* The header of version 1.0 for a contiguous tensor of that layout, into `to`; its length, a multiple of 64. */
#define PERI_NPY_HEADER 320
size_t peri_npy_header_write(const peri_layout *layout, unsigned char to[PERI_NPY_HEADER]);

/* The array that is all that the reader has. */
peri_status peri_npy_read_all(peri_reader *reader, peri_tensor **out);

#endif
