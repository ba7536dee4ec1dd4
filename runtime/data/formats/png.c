/* PNG, by libpng.
 *
 * libpng reports an error by a function that must not return. Ours jumps to `guarded`, over frames of libpng and of the
 * bodies in this file alone: no call of the runtime is left by a jump. What a body has made stands in its job, and is
 * released by who called `guarded`. */
#include "data/file.h"
#include "data/formats/decode.h"
#include "data/formats/image.h"
#include "data/formats/png_library.h"
#include "data/library.h"

#include <setjmp.h>

#define CHUNK_MEMORY ((png_alloc_size_t)1 << 20)

typedef struct job {
  jmp_buf jump;
  peri_context *context;
  const char *operation;
  png_structp state;
  png_infop info;
  peri_status status; /* of the callback that failed */
  /* reading */
  peri_reader *reader;
  const peri_image_options *options;
  peri_tensor *x;
  /* writing */
  const peri_image *image;
  unsigned char *bytes; /* the file so far */
  size_t size, room;
} job;

/* ---- callbacks ---- */

/* The first failure counts: what libpng makes of it says less. */
static void on_error(png_structp state, png_const_charp message) {
  job *j = peri_png_table.png_get_error_ptr(state);
  if (j->status == PERI_OK && j->reader != NULL) {
    j->status = peri_reader_fail(j->reader, j->reader->at, "libpng: %s", message);
  } else if (j->status == PERI_OK) {
    j->status = peri_fail(j->context, PERI_ERR_IO, "%s: libpng: %s", j->operation, message);
  }
  longjmp(j->jump, 1);
}

static void on_warning(png_structp state, png_const_charp message) {
  (void)state;
  (void)message;
}

/* Without memory libpng goes on or calls on_error. */
static png_voidp on_malloc(png_structp state, png_alloc_size_t size) {
  job *j = peri_png_table.png_get_mem_ptr(state);
  void *block = peri_library_alloc(j->context, size);
  if (block == NULL) j->status = PERI_ERR_MEMORY;
  return block;
}

static void on_free(png_structp state, png_voidp block) {
  job *j = peri_png_table.png_get_mem_ptr(state);
  peri_library_free(j->context, block);
}

static void on_read(png_structp state, png_bytep to, size_t n) {
  job *j = peri_png_table.png_get_io_ptr(state);
  j->status = peri_reader_read(j->reader, to, n, "a chunk");
  if (j->status != PERI_OK) peri_png_table.png_error(state, "reading");
}

static peri_status append(job *j, const void *from, size_t n) {
  if (n > j->room - j->size) {
    size_t room = j->room + (j->room / 2 > n ? j->room / 2 : n) + PERI_FILE_BUFFER;
    void *larger;
    PERI_TRY(peri_alloc(j->context, room, &larger));
    if (j->size > 0) memcpy(larger, j->bytes, j->size);
    peri_free(j->context, j->bytes, j->room);
    j->bytes = larger;
    j->room = room;
  }
  memcpy(j->bytes + j->size, from, n);
  j->size += n;
  return PERI_OK;
}

static void on_write(png_structp state, png_bytep from, size_t n) {
  job *j = peri_png_table.png_get_io_ptr(state);
  j->status = append(j, from, n);
  if (j->status != PERI_OK) peri_png_table.png_error(state, "writing");
}

static void on_flush(png_structp state) { (void)state; }

/* ---- the guard ---- */

typedef peri_status (*body)(job *j);

static peri_status guarded(job *j, body run) {
  if (setjmp(j->jump) == 0) j->status = run(j);
  return j->status;
}

/* After the library has failed to make its own structures. */
static peri_status no_structure(job *j) {
  if (j->status != PERI_OK) return j->status;
  return peri_fail(j->context, PERI_ERR_STATE, "%s: %s is not the libpng that this was built for (%s)", j->operation,
                   PERI_PNG_LIBRARY, PNG_LIBPNG_VER_STRING);
}

/* ---- reading ---- */

static peri_status begin_reading(job *j) {
  const peri_png *png = &peri_png_table;
  j->state = png->png_create_read_struct_2(PNG_LIBPNG_VER_STRING, j, on_error, on_warning, j, on_malloc, on_free);
  if (j->state == NULL) return no_structure(j);
  j->info = png->png_create_info_struct(j->state);
  if (j->info == NULL) return no_structure(j);
  png->png_set_read_fn(j->state, j, on_read);
  png->png_set_user_limits(j->state, PERI_IMAGE_MAX_SIDE, PERI_IMAGE_MAX_SIDE);
  png->png_set_chunk_cache_max(j->state, 1);
  png->png_set_chunk_malloc_max(j->state, CHUNK_MEMORY);
  /* chunks that libpng calls ancillary are passed over, but for tRNS */
  png->png_set_keep_unknown_chunks(j->state, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
  png->png_set_crc_action(j->state, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
  png->png_set_benign_errors(j->state, 0);
  png->png_read_info(j->state, j->info);
  return PERI_OK;
}

/* Packed rows, each with its filter's byte, must be what deflate can make of the file. */
static peri_status check_length(const job *j, uint64_t height) {
  uint64_t bytes =
      (peri_png_table.png_get_rowbytes(j->state, j->info) + 1) * height; /* below 2^63: sides are limited */
  if (bytes <= peri_deflate_capacity(j->reader->size)) return PERI_OK;
  return peri_reader_fail(j->reader, 16, "rows of %llu bytes, more than the file's %llu bytes can hold",
                          (unsigned long long)bytes, (unsigned long long)j->reader->size);
}

/* The tensor, once it is known that there is enough for it. */
static peri_status make_tensor(job *j) {
  const peri_png *png = &peri_png_table;
  const uint64_t height = png->png_get_image_height(j->state, j->info);
  PERI_TRY(peri_image_check_depth(j->reader, png->png_get_bit_depth(j->state, j->info), j->options));
  PERI_TRY(check_length(j, height));
  png->png_set_expand(j->state); /* palettes, fewer bits than 8, and a transparent colour as alpha */
  png->png_set_interlace_handling(j->state);
  png->png_read_update_info(j->state, j->info);
  return peri_image_new(j->reader, j->options, (int64_t)height, png->png_get_image_width(j->state, j->info),
                        png->png_get_channels(j->state, j->info), &j->x);
}

/* Rows of bytes as they are; of 16 bits at the end of their place, to be decoded from its front. */
static peri_status read_rows(job *j) {
  const int64_t height = j->x->layout.shape[0], row = j->x->layout.strides[0];
  const bool wide = j->options->depth == 16;
  unsigned char *data = (unsigned char *)j->x->data + (wide ? 6 * row : 0);
  const int64_t pitch = wide ? 8 * row : row;
  for (int passes = peri_png_table.png_set_interlace_handling(j->state); passes > 0; passes--) {
    for (int64_t i = 0; i < height; i++) {
      PERI_TRY(peri_check_cancel(j->context));
      peri_png_table.png_read_row(j->state, data + i * pitch, NULL);
    }
  }
  peri_png_table.png_read_end(j->state, NULL);
  for (int64_t i = 0; wide && i < height; i++) peri_decode_u16_be(j->x->data + i * pitch, data + i * pitch, row);
  return peri_reader_finish(j->reader);
}

peri_status peri_png_read_all(peri_reader *reader, const peri_image_options *options, peri_tensor **out) {
  job j = {.context = reader->context, .operation = reader->operation, .reader = reader, .options = options};
  PERI_TRY(peri_png_open(j.context, j.operation));
  peri_status status = guarded(&j, begin_reading);
  if (status == PERI_OK) status = guarded(&j, make_tensor);
  if (status == PERI_OK) status = guarded(&j, read_rows);
  if (j.state != NULL) peri_png_table.png_destroy_read_struct(&j.state, &j.info, NULL);
  if (status == PERI_OK) {
    *out = j.x;
  } else {
    peri_tensor_release(&j.x);
  }
  return status;
}

/* ---- writing ---- */

static peri_status write_image(job *j) {
  static const int colors[] = {0, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                               PNG_COLOR_TYPE_RGB_ALPHA};
  const peri_png *png = &peri_png_table;
  const peri_image *image = j->image;
  const unsigned char *data = (const unsigned char *)image->tensor->data;
  j->state = png->png_create_write_struct_2(PNG_LIBPNG_VER_STRING, j, on_error, on_warning, j, on_malloc, on_free);
  if (j->state == NULL) return no_structure(j);
  j->info = png->png_create_info_struct(j->state);
  if (j->info == NULL) return no_structure(j);
  png->png_set_write_fn(j->state, j, on_write, on_flush);
  png->png_set_IHDR(j->state, j->info, (png_uint_32)image->width, (png_uint_32)image->height, 8,
                    colors[image->channels], PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_BASE, PNG_FILTER_TYPE_BASE);
  png->png_write_info(j->state, j->info);
  for (int64_t i = 0; i < image->height; i++) {
    PERI_TRY(peri_check_cancel(j->context));
    png->png_write_row(j->state, data + i * image->width * image->channels);
  }
  png->png_write_end(j->state, j->info);
  return PERI_OK;
}

peri_status peri_png_write(peri_context *context, const char *operation, const char *path, peri_tensor *tensor) {
  peri_image image;
  job j = {.context = context, .operation = operation, .image = &image};
  PERI_TRY(peri_image_take(context, operation, 1u << 1 | 1u << 2 | 1u << 3 | 1u << 4, tensor, &image));
  peri_status status = peri_png_open(context, operation);
  if (status == PERI_OK) {
    status = guarded(&j, write_image);
    if (j.state != NULL) peri_png_table.png_destroy_write_struct(&j.state, &j.info);
  }
  const void *chunks[] = {j.bytes};
  if (status == PERI_OK) status = peri_file_write_atomic(context, path, chunks, &j.size, 1);
  peri_free(context, j.bytes, j.room);
  peri_tensor_release(&image.tensor);
  return status;
}
