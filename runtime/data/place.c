#define _GNU_SOURCE /* O_PATH */
#include "data/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

peri_status peri_context_confine(peri_context *context, const char *folder) {
  int root = -1;
  if (folder != NULL) {
    root = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) return peri_fail(context, PERI_ERR_IO, "confine: there is no folder %s", folder);
  }
  context->root = root;
  context->confined = true;
  return PERI_OK;
}

void peri_place_close(peri_place *place) {
  int number = errno;
  if (place->opened) close(place->at);
  place->opened = false;
  errno = number;
}

static bool refuse(peri_place *place, int number) {
  peri_place_close(place);
  errno = number;
  return false;
}

/* One component after the other, none of them a link, so that nothing that others do meanwhile leads out. */
static bool walk(const peri_context *context, const char *path, peri_place *place) {
  char name[NAME_MAX + 1];
  *place = (peri_place){.at = context->root, .name = path, .confined = true};
  if (context->root < 0 || *path == '/' || *path == '\0') return refuse(place, EACCES);
  for (const char *slash; (slash = strchr(place->name, '/')) != NULL; place->name = slash + 1) {
    size_t size = (size_t)(slash - place->name);
    if (size > NAME_MAX) return refuse(place, ENAMETOOLONG);
    memcpy(name, place->name, size);
    name[size] = '\0';
    if (size == 0 || strcmp(name, ".") == 0) continue;
    if (strcmp(name, "..") == 0) return refuse(place, EACCES);
    int next = openat(place->at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (next < 0) return refuse(place, errno);
    peri_place_close(place);
    place->at = next;
    place->opened = true;
  }
  if (strcmp(place->name, "..") == 0) return refuse(place, EACCES);
  if (*place->name == '\0') place->name = ".";
  return true;
}

bool peri_place_open(const peri_context *context, const char *path, peri_place *out) {
  if (context->confined) return walk(context, path, out);
  *out = (peri_place){.at = AT_FDCWD, .name = path};
  return true;
}

int peri_place_open_file(const peri_place *place, int flags, mode_t mode) {
  return openat(place->at, place->name, flags | (place->confined ? O_NOFOLLOW : 0), mode);
}

int peri_open(const peri_context *context, const char *path, int flags) {
  peri_place place;
  if (!peri_place_open(context, path, &place)) return -1;
  int descriptor = peri_place_open_file(&place, flags, 0);
  peri_place_close(&place);
  return descriptor;
}
