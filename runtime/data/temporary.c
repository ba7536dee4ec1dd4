#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* O_TMPFILE */
#endif
#include "data/temporary.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PREFIX ".perilune-"
#define ENDING ".tmp"
#define NAMES  10000

#define PAUSE 1000000 /* ns */
/* Pauses for what a process holds of which nothing says that it is dying: where files have a name for a moment alone,
 * and where they have one while they are written; and for what one holds that is dying. */
#define NAMELESS 1000
#define NAMED    50
#define DYING    10000

static bool is_same_file(const struct stat *a, const struct stat *b) {
  return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* ---- what others left ---- */

static bool is_temporary_name(const char *name) {
  size_t n = strlen(name), prefix = strlen(PREFIX), ending = strlen(ENDING);
  return n > prefix + ending && strncmp(name, PREFIX, prefix) == 0 && strcmp(name + n - ending, ENDING) == 0;
}

typedef enum holder { NOBODY, SOMEBODY, SOMEBODY_DYING } holder;

/* The process that made the file, as its name says. */
static long process_of(const char *name) { return strtol(name + strlen(PREFIX), NULL, 10); }

#define SKIP_7 "%*s %*s %*s %*s %*s %*s %*s "

/* Whether a process is a zombie, was killed and has not yet come to notice it, or is on its way out: what it holds will
 * be free, however long a busy machine keeps it waiting. */
static bool is_dying(long process) {
  enum { KILLED = 1 << (SIGKILL - 1), EXITING = 4 /* the kernel's PF_EXITING */ };
  char path[64], text[1024], state = '?';
  unsigned flags = 0, pending = 0;
  snprintf(path, sizeof path, "/proc/%ld/stat", process);
  FILE *file = process > 0 ? fopen(path, "re") : NULL;
  if (file == NULL) return false;
  text[fread(text, 1, sizeof text - 1, file)] = '\0';
  fclose(file);
  const char *fields = strrchr(text, ')'); /* the end of the command's name, in which anything may be */
  if (fields == NULL) return false;
  sscanf(fields + 1, " %c %*s %*s %*s %*s %*s %u " SKIP_7 SKIP_7 SKIP_7 "%u", &state, &flags, &pending);
  return state == 'Z' || state == 'X' || (flags & EXITING) != 0 || (pending & KILLED) != 0;
}

/* Removes the file unless somebody holds its lock, and tells who does. While we hold it, nobody renames the file; that
 * its name may have gone over to another one before is looked at. */
static holder remove_abandoned(int folder, const char *name) {
  struct stat file, named;
  int descriptor = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (descriptor < 0) return NOBODY;
  bool regular = fstat(descriptor, &file) == 0 && S_ISREG(file.st_mode);
  bool held = regular && flock(descriptor, LOCK_EX | LOCK_NB) != 0;
  if (regular && !held && fstatat(folder, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && is_same_file(&file, &named))
    unlinkat(folder, name, 0);
  close(descriptor);
  if (!held) return NOBODY;
  return is_dying(process_of(name)) ? SOMEBODY_DYING : SOMEBODY;
}

/* What cannot be listed, opened or locked is left alone. Tells whether somebody holds one, and one who dies before one
 * who lives. */
static holder sweep(int folder) {
  int again = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *entries = again >= 0 ? fdopendir(again) : NULL;
  if (entries == NULL) {
    if (again >= 0) close(again);
    return NOBODY;
  }
  holder found = NOBODY;
  for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    if (!is_temporary_name(entry->d_name)) continue;
    holder of_this = remove_abandoned(folder, entry->d_name);
    if (of_this > found) found = of_this;
  }
  closedir(entries);
  return found;
}

/* ---- a new one ---- */

static void set_name(peri_temporary *t, int i) {
  snprintf(t->name, sizeof t->name, PREFIX "%ld-%d" ENDING, (long)getpid(), i);
}

#ifdef O_TMPFILE
static void path_of_descriptor(int file, char path[64]) { snprintf(path, 64, "/proc/self/fd/%d", file); }

/* A file without a name, that can be given one. */
static bool open_nameless(peri_temporary *t) {
  struct stat file, seen;
  char path[64];
  t->file = openat(t->folder, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
  if (t->file < 0) return false;
  path_of_descriptor(t->file, path);
  if (fstat(t->file, &file) == 0 && stat(path, &seen) == 0 && is_same_file(&file, &seen)) return true;
  close(t->file);
  t->file = -1;
  return false;
}

static bool give_name(peri_temporary *t) {
  char path[64];
  path_of_descriptor(t->file, path);
  flock(t->file, LOCK_EX | LOCK_NB); /* nobody else has the file; without locks nobody removes it either */
  for (int i = 0; i < NAMES; i++) {
    set_name(t, i);
    if (linkat(AT_FDCWD, path, t->folder, t->name, AT_SYMLINK_FOLLOW) == 0) return true;
    if (errno != EEXIST) break;
  }
  t->name[0] = '\0';
  return false;
}
#else
static bool open_nameless(peri_temporary *t) { return (void)t, false; }
static bool give_name(peri_temporary *t) { return (void)t, false; }
#endif

/* The new file is ours when it is locked and still there: somebody may have taken it for abandoned before. */
static bool is_ours(int file) {
  struct stat status;
  if (flock(file, LOCK_EX | LOCK_NB) != 0) return errno != EWOULDBLOCK;
  return fstat(file, &status) != 0 || status.st_nlink > 0;
}

/* Not mkstemp, whose files nobody else may read: the process's umask shall decide, as for any file. */
bool peri_temporary_open_named(peri_temporary *t, int folder) {
  *t = (peri_temporary){.folder = folder, .file = -1};
  sweep(folder);
  for (int i = 0; i < NAMES; i++) {
    set_name(t, i);
    t->file = openat(t->folder, t->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (t->file < 0 && errno != EEXIST) break;
    if (t->file >= 0 && is_ours(t->file)) return true;
    if (t->file >= 0) close(t->file);
    t->file = -1;
    errno = EEXIST;
  }
  t->name[0] = '\0';
  return false;
}

bool peri_temporary_open(peri_temporary *t, int folder) {
  *t = (peri_temporary){.folder = folder, .file = -1};
  t->nameless = open_nameless(t);
  if (!t->nameless) return peri_temporary_open_named(t, folder);
  sweep(folder);
  return true;
}

bool peri_temporary_rename(peri_temporary *t, const char *base) {
  if (t->name[0] == '\0' && !give_name(t)) return false;
  if (renameat(t->folder, t->name, t->folder, base) != 0) return false;
  t->name[0] = '\0';
  return true;
}

void peri_temporary_close(peri_temporary *t) {
  if (t->file < 0) return;
  if (t->name[0] != '\0') unlinkat(t->folder, t->name, 0);
  close(t->file); /* and the lock is free */
  t->file = -1;
  const struct timespec pause = {.tv_nsec = PAUSE};
  const int living = t->nameless ? NAMELESS : NAMED;
  for (int i = 0; i < DYING; i++) {
    holder found = sweep(t->folder);
    if (found == NOBODY || (found == SOMEBODY && i >= living)) return;
    nanosleep(&pause, NULL);
  }
}
