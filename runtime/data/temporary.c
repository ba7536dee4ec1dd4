#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* O_TMPFILE */
#endif
#include "data/temporary.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PREFIX ".perilune-"
#define ENDING ".tmp"
#define NAMES  10000
#define PAUSE  1000000 /* ns */

static bool is_same_file(const struct stat *a, const struct stat *b) {
  return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* ---- what others left ---- */

static bool is_temporary_name(const char *name) {
  size_t n = strlen(name), prefix = strlen(PREFIX), ending = strlen(ENDING);
  return n > prefix + ending && strncmp(name, PREFIX, prefix) == 0 && strcmp(name + n - ending, ENDING) == 0;
}

/* Removes the file unless somebody holds its lock, and tells whether somebody does. While we hold it, nobody renames
 * the file; that its name may have gone over to another one before is looked at. */
static bool remove_abandoned(int folder, const char *name) {
  struct stat file, named;
  int descriptor = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (descriptor < 0) return false;
  bool regular = fstat(descriptor, &file) == 0 && S_ISREG(file.st_mode);
  bool held = regular && flock(descriptor, LOCK_EX | LOCK_NB) != 0;
  if (regular && !held && fstatat(folder, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && is_same_file(&file, &named))
    unlinkat(folder, name, 0);
  close(descriptor);
  return held;
}

/* What cannot be listed, opened or locked is left alone. Tells whether somebody holds one. */
static bool sweep(int folder) {
  int again = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *entries = again >= 0 ? fdopendir(again) : NULL;
  if (entries == NULL) {
    if (again >= 0) close(again);
    return false;
  }
  bool held = false;
  for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    if (is_temporary_name(entry->d_name) && remove_abandoned(folder, entry->d_name)) held = true;
  }
  closedir(entries);
  return held;
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
  const int pauses = t->nameless ? 1000 : 50;
  for (int i = 0; sweep(t->folder) && i < pauses; i++) nanosleep(&pause, NULL);
}
