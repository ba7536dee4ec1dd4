/* Whole files: reading one, and replacing one whole or leaving it as it was. The context's cancellation flag stops a
 * long read or write. */
#ifndef PERI_DATA_FILE_H
#define PERI_DATA_FILE_H

#include "base/base.h"

/* Reads a regular file into memory of the context's budget; the caller gives *bytes back with
 * peri_free(context, *bytes, *size). An empty file gives NULL and 0. */
peri_status peri_file_read(peri_context *context, const char *path, void **bytes, size_t *size);

/* Makes the n chunks, one after the other, the content of path: they go to a temporary file in the
 * same folder (temporary.h), which is flushed and renamed, then the folder is flushed. A reader sees the
 * old file or the new one, whole; on any error (a full disk too) the old file stays and the temporary is
 * removed; what a process leaves that is killed, the next write into the folder removes.
 * The mode of an existing file is kept; a symbolic link stays and its target is replaced; a file that
 * may not be written, or is no regular file, is left alone. */
peri_status peri_file_write_atomic(peri_context *context, const char *path, const void *const *chunks,
                                   const size_t *sizes, int n);
/* The same of a content that is made while it is written: source gives chunk after chunk, each valid until
 * the next call, and size 0 at the end. Its failure leaves the old file. */
typedef peri_status (*peri_chunk_source)(void *arg, const void **bytes, size_t *size);
peri_status peri_file_write_from(peri_context *context, const char *path, peri_chunk_source source, void *arg);
/* The same with a buffer of PERI_FILE_BUFFER bytes, for the source to fill, at *buffer while it is at work. */
#define PERI_FILE_BUFFER 65536
peri_status peri_file_write_buffered(peri_context *context, const char *path, char **buffer, peri_chunk_source source,
                                     void *arg);

#endif
