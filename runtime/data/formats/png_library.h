/* libpng, which is opened at the first image: who needs none pays nothing for it. Nothing links it; its routines are
 * reached through the table. */
#ifndef PERI_DATA_PNG_LIBRARY_H
#define PERI_DATA_PNG_LIBRARY_H

#include "base/base.h"

#include <png.h>

/* The routines that are used: to use another, name it here. */
#define PERI_PNG_ROUTINES(ROUTINE)                                                                                     \
  ROUTINE(png_create_read_struct_2)                                                                                    \
  ROUTINE(png_create_write_struct_2)                                                                                   \
  ROUTINE(png_create_info_struct)                                                                                      \
  ROUTINE(png_destroy_read_struct)                                                                                     \
  ROUTINE(png_destroy_write_struct)                                                                                    \
  ROUTINE(png_error)                                                                                                   \
  ROUTINE(png_get_bit_depth)                                                                                           \
  ROUTINE(png_get_channels)                                                                                            \
  ROUTINE(png_get_error_ptr)                                                                                           \
  ROUTINE(png_get_image_height)                                                                                        \
  ROUTINE(png_get_image_width)                                                                                         \
  ROUTINE(png_get_io_ptr)                                                                                              \
  ROUTINE(png_get_mem_ptr)                                                                                             \
  ROUTINE(png_get_rowbytes)                                                                                            \
  ROUTINE(png_read_end)                                                                                                \
  ROUTINE(png_read_info)                                                                                               \
  ROUTINE(png_read_row)                                                                                                \
  ROUTINE(png_read_update_info)                                                                                        \
  ROUTINE(png_set_IHDR)                                                                                                \
  ROUTINE(png_set_benign_errors)                                                                                       \
  ROUTINE(png_set_chunk_cache_max)                                                                                     \
  ROUTINE(png_set_chunk_malloc_max)                                                                                    \
  ROUTINE(png_set_crc_action)                                                                                          \
  ROUTINE(png_set_expand)                                                                                              \
  ROUTINE(png_set_interlace_handling)                                                                                  \
  ROUTINE(png_set_keep_unknown_chunks)                                                                                 \
  ROUTINE(png_set_read_fn)                                                                                             \
  ROUTINE(png_set_user_limits)                                                                                         \
  ROUTINE(png_set_write_fn)                                                                                            \
  ROUTINE(png_write_end)                                                                                               \
  ROUTINE(png_write_info)                                                                                              \
  ROUTINE(png_write_row)

typedef struct peri_png {
#define PERI_PNG_FIELD(name) __typeof__(name) *name;
  PERI_PNG_ROUTINES(PERI_PNG_FIELD)
#undef PERI_PNG_FIELD
} peri_png;

/* Fills the table. PERI_ERR_STATE where there is no such library; `operation` opens the message. */
peri_status peri_png_open(peri_context *context, const char *operation);
/* Never written again once it is filled. */
extern peri_png peri_png_table;

#endif
