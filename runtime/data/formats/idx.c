/* IDX, the format of the MNIST family, plain or compressed with gzip. */
#include "data/formats/decode.h"
#include "data/file.h"
#include "data/formats/formats.h"
#include "data/reader.h"
#include "tensor/tensor.h"

#define MAX_HEADER (4 + 4 * PERI_MAX_DIMS)

/* ---- element types ---- */

typedef struct idx_type {
  unsigned char code;
  unsigned char size;
  peri_dtype dtype;
  peri_decode decode; /* NULL: the bytes are the elements */
} idx_type;

static const idx_type types[] = {
    {0x08, 1, PERI_UINT8, NULL},
    {0x09, 1, PERI_INT64, peri_decode_i8},
    {0x0B, 2, PERI_INT64, peri_decode_i16_be},
    {0x0C, 4, PERI_INT64, peri_decode_i32_be},
    {0x0D, 4, PERI_FLOAT32, peri_decode_f32_be},
    {0x0E, 8, PERI_FLOAT64, peri_decode_f64_be},
};

static const idx_type *find_type(unsigned char code) {
  for (size_t i = 0; i < PERI_COUNT(types); i++) {
    if (types[i].code == code) return &types[i];
  }
  return NULL;
}

/* ---- reading ---- */

static peri_status read_header(peri_reader *reader, const idx_type **type, peri_layout *layout) {
  unsigned char magic[4], sizes[4 * PERI_MAX_DIMS];
  PERI_TRY(peri_reader_read(reader, magic, sizeof magic, "IDX magic number"));
  if (magic[0] != 0 || magic[1] != 0) {
    return peri_reader_fail(reader, 0, "begins with bytes %02x %02x (expected the 00 00 of an IDX file)", magic[0],
                            magic[1]);
  }
  *type = find_type(magic[2]);
  if (*type == NULL) {
    return peri_reader_fail(reader, 2, "element type 0x%02X (expected 0x08, 0x09, 0x0B, 0x0C, 0x0D or 0x0E)", magic[2]);
  }
  if (magic[3] < 1 || magic[3] > PERI_MAX_DIMS) {
    return peri_reader_fail(reader, 3, "%d dimensions (expected 1 to %d)", magic[3], PERI_MAX_DIMS);
  }
  layout->dtype = (*type)->dtype;
  layout->ndim = magic[3];
  PERI_TRY(peri_reader_read(reader, sizes, 4 * (uint64_t)layout->ndim, "sizes of the dimensions"));
  for (int d = 0; d < layout->ndim; d++) layout->shape[d] = peri_load_be32(sizes + 4 * d);
  return PERI_OK;
}

/* What the header announces must fit what the file can hold, before a byte of it is allocated. */
static peri_status check_length(peri_reader *reader, const idx_type *type, const peri_layout *layout,
                                uint64_t *announced) {
  char text[PERI_SHAPE_TEXT];
  peri_shape_text(layout->ndim, layout->shape, text);
  uint64_t product = type->size, capacity = peri_reader_capacity(reader);
  bool empty = false;
  for (int d = 0; d < layout->ndim; d++) {
    uint64_t size = (uint64_t)layout->shape[d];
    empty |= size == 0;
    if (__builtin_mul_overflow(product, size == 0 ? 1 : size, &product) || product > INT64_MAX / 2) {
      return peri_reader_fail(reader, 4, "sizes %s overflow", text);
    }
  }
  *announced = empty ? 0 : product;
  if (*announced > capacity || reader->at > capacity - *announced) {
    return peri_reader_fail(reader, 4, "sizes %s need %llu bytes of elements, more than the file's %llu bytes can hold",
                            text, (unsigned long long)*announced, (unsigned long long)reader->size);
  }
  if (reader->inflater == NULL && reader->at + *announced != reader->size) {
    return peri_reader_fail(reader, reader->at + *announced,
                            "the elements of sizes %s end here, but the file has %llu bytes", text,
                            (unsigned long long)reader->size);
  }
  return PERI_OK;
}

static peri_status read_elements(peri_reader *reader, const idx_type *type, uint64_t announced, peri_tensor *x) {
  size_t bytes = (size_t)x->layout.numel * peri_dtype_size(x->layout.dtype);
  unsigned char *tail = (unsigned char *)x->data + (bytes - (size_t)announced);
  PERI_TRY(peri_reader_read(reader, tail, announced, "elements"));
  PERI_TRY(peri_reader_finish(reader));
  if (type->decode != NULL) type->decode(x->data, tail, x->layout.numel);
  return PERI_OK;
}

static peri_status read_idx(peri_reader *reader, peri_tensor **out) {
  const idx_type *type = NULL;
  peri_layout layout = {0};
  uint64_t announced = 0;
  PERI_TRY(peri_reader_detect_gzip(reader));
  PERI_TRY(read_header(reader, &type, &layout));
  PERI_TRY(check_length(reader, type, &layout, &announced));
  PERI_TRY(peri_layout_contiguous(reader->context, reader->operation, &layout));
  peri_tensor *x;
  PERI_TRY(peri_tensor_empty(reader->context, &layout, &x));
  peri_status status = read_elements(reader, type, announced, x);
  if (status == PERI_OK) {
    *out = x;
  } else {
    peri_tensor_release(&x);
  }
  return status;
}

peri_status peri_idx_read(peri_context *context, const char *path, peri_tensor **out) {
  *out = NULL;
  peri_reader reader;
  PERI_TRY(peri_reader_open(context, "read_idx", path, &reader));
  peri_status status = read_idx(&reader, out);
  peri_reader_close(&reader);
  return status;
}

peri_status peri_idx_parse(peri_context *context, const char *name, const void *bytes, size_t size, peri_tensor **out) {
  *out = NULL;
  peri_reader reader;
  peri_reader_open_memory(context, "read_idx", name, bytes, size, &reader);
  peri_status status = read_idx(&reader, out);
  peri_reader_close(&reader);
  return status;
}

/* ---- writing ---- */

static peri_status check_writable(peri_context *context, const peri_tensor *x) {
  const peri_layout *layout = &x->layout;
  char text[PERI_SHAPE_TEXT];
  if (layout->dtype != PERI_UINT8) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "write_idx: the tensor is %s (expected uint8)",
                     peri_dtype_name(layout->dtype));
  }
  if (layout->ndim < 1) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "write_idx: the tensor is 0-d (expected 1 to %d dimensions)",
                     PERI_MAX_DIMS);
  }
  for (int d = 0; d < layout->ndim; d++) {
    if (layout->shape[d] > INT32_MAX) {
      return peri_fail(context, PERI_ERR_ARGUMENT, "write_idx: shape %s has a size above %d",
                       peri_shape_text(layout->ndim, layout->shape, text), INT32_MAX);
    }
  }
  return PERI_OK;
}

peri_status peri_idx_write(peri_context *context, const char *path, peri_tensor *tensor) {
  unsigned char header[MAX_HEADER] = {0, 0, 0x08};
  PERI_TRY(check_writable(context, tensor));
  peri_tensor *x;
  PERI_TRY(peri_tensor_contiguous(tensor, &x));
  header[3] = (unsigned char)x->layout.ndim;
  for (int d = 0; d < x->layout.ndim; d++) peri_store_be32(header + 4 + 4 * d, (uint32_t)x->layout.shape[d]);
  const void *chunks[] = {header, x->data};
  size_t sizes[] = {4 + 4 * (size_t)x->layout.ndim, (size_t)x->layout.numel};
  peri_status status = peri_file_write_atomic(context, path, chunks, sizes, 2);
  peri_tensor_release(&x);
  return status;
}
