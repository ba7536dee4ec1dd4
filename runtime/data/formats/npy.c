/* NPY, NumPy's format of one array. */
#include "data/formats/npy.h"
#include "data/file.h"
#include "data/formats/formats.h"

/* ---- reading ---- */

/* The elements that the header announces end where the data do, before a byte of them is allocated. */
static peri_status check_length(peri_reader *reader, const peri_npy_header *header, uint64_t *announced) {
  char text[PERI_SHAPE_TEXT];
  peri_shape_text(header->ndim, header->shape, text);
  uint64_t product = header->type->size, capacity = peri_reader_capacity(reader);
  uint64_t left = capacity < reader->at ? 0 : capacity - reader->at;
  bool empty = false;
  for (int d = 0; d < header->ndim; d++) {
    uint64_t size = (uint64_t)header->shape[d];
    empty |= size == 0;
    if (__builtin_mul_overflow(product, size == 0 ? 1 : size, &product) || product > INT64_MAX / 8) {
      return peri_reader_fail(reader, 10, "shape %s overflows", text);
    }
  }
  *announced = empty ? 0 : product;
  if (*announced != left) {
    return peri_reader_fail(reader, reader->at, "shape %s needs %llu bytes of elements, but %llu bytes follow", text,
                            (unsigned long long)*announced, (unsigned long long)left);
  }
  return PERI_OK;
}

static peri_status read_elements(peri_reader *reader, const peri_npy_header *header, uint64_t announced,
                                 peri_tensor *x) {
  size_t bytes = (size_t)x->layout.numel * peri_dtype_size(x->layout.dtype);
  unsigned char *tail = (unsigned char *)x->data + (bytes - (size_t)announced);
  uint64_t start = reader->at;
  PERI_TRY(peri_reader_read(reader, tail, announced, "elements"));
  PERI_TRY(peri_reader_finish(reader));
  if (header->decode == NULL) return PERI_OK;
  int64_t wrong = header->decode(x->data, tail, x->layout.numel);
  if (wrong < 0) return PERI_OK;
  return peri_reader_fail(reader, start + (uint64_t)wrong * header->type->size, "element %lld %s", (long long)wrong + 1,
                          header->type->wrong);
}

static void reverse(int n, int64_t *list) {
  for (int i = 0; i < n / 2; i++) {
    int64_t kept = list[i];
    list[i] = list[n - 1 - i];
    list[n - 1 - i] = kept;
  }
}

/* In Fortran's order the elements are those of the transposed array: *x becomes its transpose. */
static peri_status turn(peri_tensor **x) {
  peri_layout layout = (*x)->layout;
  peri_tensor *turned, *view;
  reverse(layout.ndim, layout.shape);
  reverse(layout.ndim, layout.strides);
  PERI_TRY(peri_tensor_view(*x, &layout, &view));
  peri_status status = peri_tensor_contiguous(view, &turned);
  peri_tensor_release(&view);
  if (status != PERI_OK) return status;
  peri_tensor_release(x);
  *x = turned;
  return PERI_OK;
}

peri_status peri_npy_read_all(peri_reader *reader, peri_tensor **out) {
  peri_npy_header header;
  uint64_t announced = 0;
  PERI_TRY(peri_npy_header_read(reader, &header));
  PERI_TRY(check_length(reader, &header, &announced));
  peri_layout layout = {.dtype = header.type->dtype, .ndim = header.ndim};
  memcpy(layout.shape, header.shape, sizeof layout.shape);
  if (header.fortran_order) reverse(layout.ndim, layout.shape);
  PERI_TRY(peri_layout_contiguous(reader->context, reader->operation, &layout));
  peri_tensor *x;
  PERI_TRY(peri_tensor_empty(reader->context, &layout, &x));
  peri_status status = read_elements(reader, &header, announced, x);
  if (status == PERI_OK && header.fortran_order && layout.ndim > 1) status = turn(&x);
  if (status == PERI_OK) {
    *out = x;
  } else {
    peri_tensor_release(&x);
  }
  return status;
}

peri_status peri_npy_read(peri_context *context, const char *operation, const char *path, peri_tensor **out) {
  *out = NULL;
  peri_reader reader;
  PERI_TRY(peri_reader_open(context, operation, path, &reader));
  peri_status status = peri_npy_read_all(&reader, out);
  peri_reader_close(&reader);
  return status;
}

peri_status peri_npy_parse(peri_context *context, const char *name, const void *bytes, size_t size, peri_tensor **out) {
  *out = NULL;
  peri_reader reader;
  peri_reader_open_memory(context, "read_npy", name, bytes, size, &reader);
  peri_status status = peri_npy_read_all(&reader, out);
  peri_reader_close(&reader);
  return status;
}

/* ---- writing ---- */

peri_status peri_npy_write(peri_context *context, const char *path, peri_tensor *tensor) {
  unsigned char header[PERI_NPY_HEADER];
  peri_tensor *x;
  PERI_TRY(peri_tensor_contiguous(tensor, &x));
  const void *chunks[] = {header, x->data};
  size_t sizes[] = {peri_npy_header_write(&x->layout, header),
                    (size_t)x->layout.numel * peri_dtype_size(x->layout.dtype)};
  peri_status status = peri_file_write_atomic(context, path, chunks, sizes, 2);
  peri_tensor_release(&x);
  return status;
}
