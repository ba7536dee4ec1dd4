/* Readers and writers of file formats.
 *
 * A reader trusts nothing that a file says: every count is checked with overflow-safe products
 * against the file's length before anything is allocated, and what does not fit is PERI_ERR_IO with
 * the file, the offset and what was expected. Nothing in a file is executed or used as a path. A
 * writer replaces a file whole or leaves it as it was (data/file.h). The context's cancellation flag stops a long
 * read or write. Every output is a new reference, and is NULL (or empty) on failure. CSV is in csv.h. */
#ifndef PERI_DATA_FORMATS_H
#define PERI_DATA_FORMATS_H

#include "base/base.h"

/* ---- IDX (the MNIST family) ----
 * Two zero bytes, the element type, the rank, big-endian 32-bit sizes, big-endian elements.
 *   0x08 ubyte -> uint8    0x09 sbyte -> int64     0x0B short  -> int64
 *   0x0C int   -> int64    0x0D float -> float32   0x0E double -> float64 */

/* Reads IDX, plain or compressed with gzip (told apart by content), 1 to 8 dimensions. A compressed
 * file is inflated straight into the tensor that its header announces, never further. */
peri_status peri_idx_read(peri_context *context, const char *path, peri_tensor **out);
/* The same from memory; name stands for the file in messages. */
peri_status peri_idx_parse(peri_context *context, const char *name, const void *bytes, size_t size, peri_tensor **out);
/* Writes a uint8 tensor of 1 to 8 dimensions, uncompressed. */
peri_status peri_idx_write(peri_context *context, const char *path, peri_tensor *tensor);

/* ---- safetensors (weights and checkpoints) ----
 * An 8-byte little-endian header length (at most 100,000,000), a JSON header, the tensors' bytes.
 * F32 F64 I64 U8 BOOL are float32 float64 int64 uint8 bool; F16 and BF16 are widened to float32,
 * I8 I16 I32 U16 U32 to int64, and U64 where every value fits. */

/* A pair of __metadata__ with this key holds the CRC-32 of the whole file, in 8 hexadecimal digits that stand as zeros
 * in what is summed. The writer puts it in the place of the value that it is given; a file that has it and does not fit
 * it is refused. */
#define PERI_SAFETENSORS_CHECKSUM "perilune.crc32"

/* Tensors in the order of their bytes in the file, and the pairs of __metadata__ in the order of the
 * header. Strings are UTF-8. */
typedef struct peri_named_tensors {
  size_t n;
  char **names;
  peri_tensor **tensors;
  size_t metadata_n;
  char **keys, **values;
  size_t block_size; /* arrays and strings are one block, at names */
} peri_named_tensors;

peri_status peri_safetensors_read(peri_context *context, const char *path, peri_named_tensors *out);
/* The same from memory; name stands for the file in messages. */
peri_status peri_safetensors_parse(peri_context *context, const char *name, const void *bytes, size_t size,
                                   peri_named_tensors *out);
/* Releases the tensors and the block; the list is then empty. Idempotent. */
void peri_named_tensors_release(peri_context *context, peri_named_tensors *list);

/* Writes n named tensors and metadata_n pairs (0 writes no __metadata__). Names and keys are unique
 * UTF-8. The file is sorted by element size, largest first, then by name, so every tensor is aligned. */
peri_status peri_safetensors_write(peri_context *context, const char *path, size_t n, const char *const *names,
                                   peri_tensor *const *tensors, size_t metadata_n, const char *const *keys,
                                   const char *const *values);

/* ---- NPY and NPZ (NumPy's arrays) ----
 * One array, and named arrays in a ZIP archive. bool, int64, uint8, float32 and float64 are the dtypes of that name;
 * float16 becomes float32, the other integers int64, uint64 where every value fits; in either order of bytes, and of
 * dimensions. `operation` opens the messages. */

/* Versions 1.0, 2.0 and 3.0. The file's length must be exactly what its header says. */
peri_status peri_npy_read(peri_context *context, const char *operation, const char *path, peri_tensor **out);
/* The same from memory; name stands for the file in messages. */
peri_status peri_npy_parse(peri_context *context, const char *name, const void *bytes, size_t size, peri_tensor **out);
/* Version 1.0, in C's order. */
peri_status peri_npy_write(peri_context *context, const char *path, peri_tensor *tensor);

/* Members NAME.npy, stored or deflated, with or without ZIP64, become NAME; there is no metadata. */
peri_status peri_npz_read(peri_context *context, const char *operation, const char *path, peri_named_tensors *out);
peri_status peri_npz_parse(peri_context *context, const char *name, const void *bytes, size_t size,
                           peri_named_tensors *out);

typedef struct peri_npz_options {
  bool compress; /* deflate members */
  bool zip64;    /* that form although the file is small enough for the old one */
} peri_npz_options;

/* Writes n named tensors, in the order of their names, which are unique UTF-8. */
peri_status peri_npz_write(peri_context *context, const char *operation, const char *path, size_t n,
                           const char *const *names, peri_tensor *const *tensors, const peri_npz_options *options);

/* ---- images: PNG, and PGM and PPM (PNM) ----
 * H x W x C, uint8, also of fewer bits: C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha. */

typedef enum peri_image_format {
  PERI_IMAGE_ANY, /* told apart by content, or by the ending of the path */
  PERI_IMAGE_PNG,
  PERI_IMAGE_PNM
} peri_image_format;

typedef struct peri_image_options {
  int depth;    /* 8, or 16: samples of 16 bits, as int64 */
  int channels; /* 1 to 4: the image is converted; 0: as it is */
} peri_image_options;

/* `operation` opens the messages. PNG needs libpng, which is opened at the first use. */
peri_status peri_image_read(peri_context *context, const char *operation, peri_image_format format, const char *path,
                            const peri_image_options *options, peri_tensor **out);
/* The same from memory; name stands for the file in messages. */
peri_status peri_image_parse(peri_context *context, peri_image_format format, const char *name, const void *bytes,
                             size_t size, const peri_image_options *options, peri_tensor **out);
/* uint8, H x W x C or H x W; PNM has no alpha. */
peri_status peri_image_write(peri_context *context, const char *operation, peri_image_format format, const char *path,
                             peri_tensor *tensor);
peri_status peri_png_write(peri_context *context, const char *operation, const char *path, peri_tensor *tensor);
peri_status peri_pnm_write(peri_context *context, const char *operation, const char *path, peri_tensor *tensor);

/* ---- svmlight, the text format of SVMlight and LIBSVM ----
 * A line is a sample: `label qid:query index:value index:value ..`, indices ascending from 1, features that
 * are not listed 0, `#` begins a comment. Numbers are decimal in every locale; values may be nan and inf. */

typedef struct peri_svmlight_options {
  peri_dtype dtype; /* of x: float32 or float64 */
  int64_t features; /* columns of x; 0: the largest index of the file, unless that would make a short file huge */
  bool zero_based;  /* indices count from 0 */
} peri_svmlight_options;

/* Reads a file, plain or compressed with gzip, in two passes: the first checks every line and counts, so
 * that x is measured against the budget before it is allocated. *x is n x d; *y is n, int64 when every
 * label is a whole number, else float64; *qid is n, int64, or NULL when the file has none (all
 * lines have one, or none has). */
peri_status peri_svmlight_read(peri_context *context, const char *path, const peri_svmlight_options *options,
                               peri_tensor **x, peri_tensor **y, peri_tensor **qid);
/* The same from memory; name stands for the file in messages. */
peri_status peri_svmlight_parse(peri_context *context, const char *name, const void *bytes, size_t size,
                                const peri_svmlight_options *options, peri_tensor **x, peri_tensor **y,
                                peri_tensor **qid);
/* Writes x (n x d, float32 or float64), y (n numbers) and qid (n int64, or NULL) so that reading gives
 * the same bits (of a NaN its sign). Zeros are left out; a last column that has nothing else
 * stands as a zero in the first line, so that d is read back. */
peri_status peri_svmlight_write(peri_context *context, const char *path, peri_tensor *x, peri_tensor *y,
                                peri_tensor *qid, bool zero_based);

#endif
