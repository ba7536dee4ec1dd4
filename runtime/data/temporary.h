/* The file that a new content is written to before it replaces an old one.
 *
 * Where the file system can, it has no name until it is complete, so that nothing is left of a process that is killed.
 * Else it has one from the start, `.perilune-PID-N.tmp`. Whoever writes such a file holds a lock on it (flock) as long
 * as it has that name; so one whose lock can be had belongs to nobody, in any PID namespace, and the next temporary
 * made in the folder removes it. */
#ifndef PERI_DATA_TEMPORARY_H
#define PERI_DATA_TEMPORARY_H

#include <stdbool.h>

typedef struct peri_temporary {
  int folder;    /* descriptor, borrowed */
  int file;      /* open for writing; -1: none */
  bool nameless; /* it was made without a name, as all are there */
  char name[64]; /* in the folder, "" while it has none */
} peri_temporary;

/* Removes what others left in the folder and opens a new one with the mode that the umask leaves of 0666. False with
 * errno when none can be made. */
bool peri_temporary_open(peri_temporary *temporary, int folder);
/* The same with a name from the start, as where the file system has no files without one. */
bool peri_temporary_open_named(peri_temporary *temporary, int folder);
/* Puts it, complete, in the place of `base` in the folder; false with errno. */
bool peri_temporary_rename(peri_temporary *temporary, const char *base);
/* Closes it, and removes it when it was not renamed; and looks once more for what others left: a process that was
 * killed may hold its own until it is gone. It is waited for as long as /proc says that it is dying, for ten seconds at
 * most; where nothing says so, for a twentieth of one. Idempotent. */
void peri_temporary_close(peri_temporary *temporary);

#endif
