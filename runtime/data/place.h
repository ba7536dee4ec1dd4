/* Where paths lead: every file that a context opens, writes, makes or lists is reached through here. A context may be
 * confined to a folder; then paths begin in it, and `..`, links and whatever begins with a slash lead nowhere (EACCES,
 * ELOOP). */
#ifndef PERI_DATA_PLACE_H
#define PERI_DATA_PLACE_H

#include "base/base.h"

#include <sys/types.h>

/* From now on paths begin in the folder and do not leave it; NULL: there are no files at all. PERI_ERR_IO when there is
 * no such folder. */
peri_status peri_context_confine(peri_context *context, const char *folder);

/* A place: name in the folder of descriptor at, for openat(2) and its like. */
typedef struct peri_place {
  int at;
  const char *name;
  bool opened;   /* at is to be closed */
  bool confined; /* a link at the name is not to be followed */
} peri_place;

/* The place of a path, which lives as long as the path; false with errno. */
bool peri_place_open(const peri_context *context, const char *path, peri_place *out);
/* Idempotent. Keeps errno. */
void peri_place_close(peri_place *place);
/* open(2) there; -1 with errno. Of a path at once: peri_open. */
int peri_place_open_file(const peri_place *place, int flags, mode_t mode);
int peri_open(const peri_context *context, const char *path, int flags);

#endif
