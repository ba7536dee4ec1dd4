/* Images: which format a file has, and what is the same of all. */
#include "data/formats/image.h"

#include <strings.h>

/* ---- what readers share ---- */

peri_status peri_image_check_depth(const peri_reader *reader, int bits, const peri_image_options *options) {
  if ((bits > 8) == (options->depth == 16)) return PERI_OK;
  if (bits > 8) return peri_reader_fail(reader, 0, "has 16 bits per sample (expected 8, or the option depth = 16)");
  return peri_reader_fail(reader, 0, "has %d bits per sample (expected 16, as depth says)", bits);
}

static peri_status new_image(peri_context *context, const char *operation, peri_dtype dtype, int64_t height,
                             int64_t width, int64_t channels, peri_tensor **out) {
  const int64_t shape[] = {height, width, channels};
  return peri_tensor_shaped(context, operation, dtype, 3, shape, out);
}

peri_status peri_image_new(const peri_reader *reader, const peri_image_options *options, int64_t height, int64_t width,
                           int64_t channels, peri_tensor **out) {
  return new_image(reader->context, reader->operation, options->depth == 16 ? PERI_INT64 : PERI_UINT8, height, width,
                   channels, out);
}

/* ---- channels ---- */

/* Luma of ITU-R BT.601, 0.299 R + 0.587 G + 0.114 B, in 65536ths, rounded. */
#define LUMA(p) ((19595 * (int64_t)(p)[0] + 38470 * (int64_t)(p)[1] + 7471 * (int64_t)(p)[2] + 32768) >> 16)

#define DEFINE_CONVERT(name, type, opaque)                                                                             \
  static void name(int64_t n, int from, const type *x, int to, type *y) {                                              \
    for (int64_t i = 0; i < n; i++, x += from, y += to) {                                                              \
      const type alpha = from % 2 == 0 ? x[from - 1] : (opaque);                                                       \
      if (to <= 2) y[0] = from <= 2 ? x[0] : (type)LUMA(x);                                                            \
      for (int c = 0; to > 2 && c < 3; c++) y[c] = from <= 2 ? x[0] : x[c];                                            \
      if (to % 2 == 0) y[to - 1] = alpha;                                                                              \
    }                                                                                                                  \
  }
DEFINE_CONVERT(convert_bytes, uint8_t, 255)
DEFINE_CONVERT(convert_words, int64_t, 65535)

/* *x becomes an image of so many channels. Rows are short: the flag is looked at between them. */
static peri_status convert(peri_context *context, const char *operation, int channels, peri_tensor **x) {
  const int64_t height = (*x)->layout.shape[0], width = (*x)->layout.shape[1];
  const int from = (int)(*x)->layout.shape[2];
  peri_tensor *y;
  PERI_TRY(new_image(context, operation, (*x)->layout.dtype, height, width, channels, &y));
  peri_status status = PERI_OK;
  for (int64_t i = 0; i < height && status == PERI_OK; i++) {
    const size_t size = peri_dtype_size((*x)->layout.dtype);
    const void *source = (*x)->data + (size_t)(i * width * from) * size;
    void *target = y->data + (size_t)(i * width * channels) * size;
    status = peri_check_cancel(context);
    if (size == 1) {
      convert_bytes(width, from, source, channels, target);
    } else {
      convert_words(width, from, source, channels, target);
    }
  }
  if (status != PERI_OK) {
    peri_tensor_release(&y);
    return status;
  }
  peri_tensor_release(x);
  *x = y;
  return PERI_OK;
}

/* ---- reading ---- */

typedef peri_status (*read_all)(peri_reader *reader, const peri_image_options *options, peri_tensor **out);

/* By the first bytes. */
static peri_status find_format(peri_reader *reader, read_all *read) {
  unsigned char magic[8] = {0};
  uint64_t got;
  PERI_TRY(peri_reader_read_some(reader, magic, sizeof magic, &got));
  PERI_TRY(peri_reader_rewind(reader));
  if (memcmp(magic, "\x89PNG\r\n\x1a\n", 8) == 0) {
    *read = peri_png_read_all;
  } else if (magic[0] == 'P' && magic[1] >= '1' && magic[1] <= '7') {
    *read = peri_pnm_read_all;
  } else {
    return peri_reader_fail(reader, 0, "begins as no image does that is known (expected PNG, PGM or PPM)");
  }
  return PERI_OK;
}

static peri_status read_image(peri_reader *reader, peri_image_format format, const peri_image_options *options,
                              peri_tensor **out) {
  read_all read = format == PERI_IMAGE_PNG ? peri_png_read_all : peri_pnm_read_all;
  peri_tensor *x = NULL;
  if (format == PERI_IMAGE_ANY) PERI_TRY(find_format(reader, &read));
  PERI_TRY(read(reader, options, &x));
  peri_status status = PERI_OK;
  if (options->channels != 0 && x->layout.shape[2] != options->channels) {
    status = convert(reader->context, reader->operation, options->channels, &x);
  }
  if (status == PERI_OK) {
    *out = x;
  } else {
    peri_tensor_release(&x);
  }
  return status;
}

peri_status peri_image_read(peri_context *context, const char *operation, peri_image_format format, const char *path,
                            const peri_image_options *options, peri_tensor **out) {
  *out = NULL;
  peri_reader reader;
  PERI_TRY(peri_reader_open(context, operation, path, &reader));
  peri_status status = read_image(&reader, format, options, out);
  peri_reader_close(&reader);
  return status;
}

peri_status peri_image_parse(peri_context *context, peri_image_format format, const char *name, const void *bytes,
                             size_t size, const peri_image_options *options, peri_tensor **out) {
  static const char *const operations[] = {"read_image", "read_png", "read_pnm"};
  *out = NULL;
  peri_reader reader;
  peri_reader_open_memory(context, operations[format], name, bytes, size, &reader);
  peri_status status = read_image(&reader, format, options, out);
  peri_reader_close(&reader);
  return status;
}

/* ---- writing ---- */

peri_status peri_image_take(peri_context *context, const char *operation, unsigned channels, peri_tensor *x,
                            peri_image *out) {
  const peri_layout *layout = &x->layout;
  char text[PERI_SHAPE_TEXT];
  *out = (peri_image){.channels = layout->ndim == 3 ? layout->shape[2] : 1};
  if (layout->dtype != PERI_UINT8) {
    return peri_fail(context, PERI_ERR_ARGUMENT,
                     "%s: x is %s (expected uint8: x:mul(255):round():to('uint8') of [0, 1])", operation,
                     peri_dtype_name(layout->dtype));
  }
  if ((layout->ndim != 2 && layout->ndim != 3) || layout->shape[0] < 1 || layout->shape[1] < 1 ||
      layout->shape[0] > PERI_IMAGE_MAX_SIDE || layout->shape[1] > PERI_IMAGE_MAX_SIDE) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: x is %s (expected H x W x C or H x W, H and W from 1 to %d)",
                     operation, peri_shape_text(layout->ndim, layout->shape, text), PERI_IMAGE_MAX_SIDE);
  }
  if (out->channels < 1 || out->channels > 4 || !(channels & 1u << out->channels)) {
    return peri_fail(context, PERI_ERR_ARGUMENT, "%s: x is %s (expected H x W x C, C %s)", operation,
                     peri_shape_text(layout->ndim, layout->shape, text),
                     channels == (1u << 1 | 1u << 3) ? "1 or 3"
                     : channels == 1u << 1           ? "1, as the file's name ends"
                     : channels == 1u << 3           ? "3, as the file's name ends"
                                                     : "1 to 4");
  }
  out->height = layout->shape[0];
  out->width = layout->shape[1];
  return peri_tensor_contiguous(x, &out->tensor);
}

bool peri_path_ends(const char *path, const char *ending) {
  size_t n = strlen(path), length = strlen(ending);
  return n > length && strcasecmp(path + n - length, ending) == 0;
}

peri_status peri_image_write(peri_context *context, const char *operation, peri_image_format format, const char *path,
                             peri_tensor *tensor) {
  if (format == PERI_IMAGE_PNG || (format == PERI_IMAGE_ANY && peri_path_ends(path, ".png"))) {
    return peri_png_write(context, operation, path, tensor);
  }
  if (format == PERI_IMAGE_PNM || peri_path_ends(path, ".pgm") || peri_path_ends(path, ".ppm") ||
      peri_path_ends(path, ".pnm")) {
    return peri_pnm_write(context, operation, path, tensor);
  }
  return peri_fail(context, PERI_ERR_ARGUMENT, "%s: path is \"" PERI_PATH_TEXT "\" (expected .png, .pgm, .ppm or .pnm)",
                   operation, path);
}
