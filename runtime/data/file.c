/* Whole files: reading one within the budget, and replacing one so that no reader ever sees half. */
#include "data/file.h"
#include "data/place.h"
#include "data/reader.h"
#include "data/temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

peri_status peri_file_read(peri_context *context, const char *path, void **bytes, size_t *size) {
  *bytes = NULL;
  *size = 0;
  peri_reader reader;
  PERI_TRY(peri_reader_open(context, "read", path, &reader));
  void *block = NULL;
  peri_status status = peri_alloc(context, (size_t)reader.size, &block);
  if (status == PERI_OK) status = peri_reader_read(&reader, block, reader.size, "the file");
  if (status == PERI_OK) {
    *bytes = block;
    *size = (size_t)reader.size;
  } else {
    peri_free(context, block, (size_t)reader.size);
  }
  peri_reader_close(&reader);
  return status;
}

/* ---- replacing a file ---- */

/* One replacement under way: the folder is held open, so that the temporary, the rename and the flush
 * are all of the same folder even if a path to it changes meanwhile. */
typedef struct replacement {
  peri_context *context;
  const char *path; /* as the caller wrote it, for messages */
  peri_place place;
  char *target;     /* with symbolic links resolved; malloc'ed by realpath, else NULL */
  const char *base; /* the last component of the target */
  int folder;       /* descriptor, -1 when closed */
  peri_temporary temporary;
  bool replaces; /* there is an old file, of this mode: */
  mode_t mode;
} replacement;

static peri_status fail(const replacement *r, const char *action, int number) {
  return peri_fail(r->context, PERI_ERR_IO, "write: " PERI_PATH_TEXT ": %s: %s", r->path, action,
                   peri_system_error(number));
}

/* What stands at the path may be nothing or a regular file that may be written. */
static peri_status examine(replacement *r) {
  struct stat status;
  if (!peri_place_open(r->context, r->path, &r->place)) return fail(r, "cannot be reached", errno);
  if (fstatat(r->place.at, r->place.name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return PERI_OK;
    return fail(r, "cannot be examined", errno);
  }
  if (S_ISLNK(status.st_mode)) {
    if (r->place.confined) return fail(r, "cannot be reached", ELOOP);
    r->target = realpath(r->path, NULL);
    if (r->target == NULL) return fail(r, "the symbolic link cannot be followed", errno);
    if (stat(r->target, &status) != 0) return fail(r, "cannot be examined", errno);
  }
  if (!S_ISREG(status.st_mode)) {
    return peri_fail(r->context, PERI_ERR_IO, "write: " PERI_PATH_TEXT ": is %s (expected a file)", r->path,
                     S_ISDIR(status.st_mode) ? "a directory" : "a pipe, socket or device");
  }
  if (faccessat(r->place.at, r->place.name, W_OK, AT_EACCESS) != 0) return fail(r, "may not be written", errno);
  r->replaces = true;
  r->mode = status.st_mode & 07777;
  return PERI_OK;
}

static peri_status open_folder(replacement *r) {
  if (r->place.confined) {
    r->base = r->place.name;
    r->folder = openat(r->place.at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return r->folder < 0 ? fail(r, "its folder cannot be opened", errno) : PERI_OK;
  }
  const char *path = r->target != NULL ? r->target : r->path;
  const char *slash = strrchr(path, '/');
  r->base = slash != NULL ? slash + 1 : path;
  if (*r->base == '\0') {
    return peri_fail(r->context, PERI_ERR_IO, "write: \"" PERI_PATH_TEXT "\" names no file", r->path);
  }
  size_t length = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
  void *block;
  PERI_TRY(peri_alloc(r->context, length + 1, &block));
  char *name = block;
  memcpy(name, slash == NULL ? "." : path, length);
  name[length] = '\0';
  r->folder = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int number = errno;
  peri_free(r->context, block, length + 1);
  return r->folder < 0 ? fail(r, "its folder cannot be opened", number) : PERI_OK;
}

static peri_status write_chunk(replacement *r, const unsigned char *bytes, uint64_t n) {
  while (n > 0) {
    PERI_TRY(peri_check_cancel(r->context));
    ssize_t done = write(r->temporary.file, bytes, (size_t)(n < PERI_IO_SLICE ? n : PERI_IO_SLICE));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return fail(r, "cannot be written", done < 0 ? errno : ENOSPC);
    bytes += done;
    n -= (uint64_t)done;
  }
  return PERI_OK;
}

static peri_status write_all(replacement *r, peri_chunk_source source, void *arg) {
  if (r->replaces && fchmod(r->temporary.file, r->mode) != 0) return fail(r, "its mode cannot be kept", errno);
  for (;;) {
    const void *bytes = NULL;
    size_t size = 0;
    PERI_TRY(source(arg, &bytes, &size));
    if (size == 0) break;
    PERI_TRY(write_chunk(r, bytes, size));
  }
  return fsync(r->temporary.file) != 0 ? fail(r, "cannot be flushed to the disk", errno) : PERI_OK;
}

static peri_status put_in_place(replacement *r) {
  if (!peri_temporary_rename(&r->temporary, r->base)) return fail(r, "cannot be replaced", errno);
  /* Some file systems cannot flush a folder and say EINVAL: there is nothing more to be had there. */
  if (fsync(r->folder) != 0 && errno != EINVAL) {
    return fail(r, "is written, but its folder cannot be flushed to the disk", errno);
  }
  return PERI_OK;
}

static peri_status replace(replacement *r, peri_chunk_source source, void *arg) {
  PERI_TRY(examine(r));
  PERI_TRY(open_folder(r));
  if (!peri_temporary_open(&r->temporary, r->folder)) {
    return fail(r, "no temporary file can be made in its folder", errno);
  }
  PERI_TRY(write_all(r, source, arg));
  return put_in_place(r);
}

peri_status peri_file_write_from(peri_context *context, const char *path, peri_chunk_source source, void *arg) {
  replacement r = {.context = context, .path = path, .folder = -1, .temporary.file = -1};
  peri_status status = replace(&r, source, arg);
  peri_temporary_close(&r.temporary);
  if (r.folder >= 0) close(r.folder);
  peri_place_close(&r.place);
  free(r.target);
  return status;
}

peri_status peri_file_write_buffered(peri_context *context, const char *path, char **buffer, peri_chunk_source source,
                                     void *arg) {
  void *bytes;
  PERI_TRY(peri_alloc(context, PERI_FILE_BUFFER, &bytes));
  *buffer = bytes;
  peri_status status = peri_file_write_from(context, path, source, arg);
  peri_free(context, bytes, PERI_FILE_BUFFER);
  *buffer = NULL;
  return status;
}

typedef struct chunk_list {
  const void *const *chunks;
  const size_t *sizes;
  int n, at;
} chunk_list;

static peri_status next_of_list(void *arg, const void **bytes, size_t *size) {
  chunk_list *list = arg;
  while (list->at < list->n && list->sizes[list->at] == 0) list->at++;
  if (list->at == list->n) return PERI_OK;
  *bytes = list->chunks[list->at];
  *size = list->sizes[list->at++];
  return PERI_OK;
}

peri_status peri_file_write_atomic(peri_context *context, const char *path, const void *const *chunks,
                                   const size_t *sizes, int n) {
  chunk_list list = {.chunks = chunks, .sizes = sizes, .n = n};
  return peri_file_write_from(context, path, next_of_list, &list);
}
