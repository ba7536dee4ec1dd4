/* Temporaries of files that are replaced: what is left of processes that were killed, and savers side by side. */
#include "data/temporary.h"
#include "data_support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>

static bool exists(const char *path) {
  struct stat status;
  return lstat(path, &status) == 0;
}

static void save(peri_context *context, const folder *home, const char *name) {
  const void *chunks[] = {"text"};
  size_t size = 4;
  PERI_CHECK(peri_file_write_atomic(context, in_folder(home, name), chunks, &size, 1) == PERI_OK, "%s",
             peri_message(context));
}

static void abandoned_ones_are_removed(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  put_file(in_folder(&home, ".perilune-1-0.tmp"), "left", 4);
  put_file(in_folder(&home, ".perilune-99999-12.tmp"), "", 0);
  save(context, &home, "a");
  PERI_CHECK(files_in(&home) == 1, "%d files", files_in(&home));
  remove_folder(&home);
  close_context(context);
}

static void those_of_the_living_and_other_files_are_left(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  const char *held = in_folder(&home, ".perilune-1-0.tmp"), *link = in_folder(&home, ".perilune-1-1.tmp");
  put_file(held, "held", 4);
  int file = open(held, O_RDONLY);
  PERI_CHECK(file >= 0 && flock(file, LOCK_EX) == 0, "%s", strerror(errno));
  PERI_CHECK(symlink(held, link) == 0, "%s", strerror(errno));
  PERI_CHECK(mkfifo(in_folder(&home, ".perilune-1-2.tmp"), 0600) == 0, "%s", strerror(errno));
  put_file(in_folder(&home, ".perilune.tmp"), "", 0);
  put_file(in_folder(&home, ".perilune-1-3.tmp.old"), "", 0);
  save(context, &home, "a");
  PERI_CHECK(exists(in_folder(&home, ".perilune-1-0.tmp")), "a file that is written was removed");
  PERI_CHECK(files_in(&home) == 6, "%d files", files_in(&home));
  close(file);
  save(context, &home, "a");
  PERI_CHECK(!exists(in_folder(&home, ".perilune-1-0.tmp")) && files_in(&home) == 5, "%d files", files_in(&home));
  remove_folder(&home);
  close_context(context);
}

/* One that a process in its last moments holds while a save begins, and no more when it ends. */
static void those_of_the_dying_are_removed_in_the_end(void) {
  folder home = make_folder();
  const char *held = in_folder(&home, ".perilune-1-0.tmp");
  for (int form = 0; form < 2; form++) {
    peri_temporary temporary;
    put_file(held, "held", 4);
    int file = open(held, O_RDONLY), descriptor = open(home.path, O_RDONLY | O_DIRECTORY);
    PERI_CHECK(file >= 0 && flock(file, LOCK_EX) == 0, "%s", strerror(errno));
    PERI_CHECK((form == 0 ? peri_temporary_open : peri_temporary_open_named)(&temporary, descriptor), "%s",
               strerror(errno));
    PERI_CHECK(exists(held), "a file that is written was removed");
    close(file);
    peri_temporary_close(&temporary);
    PERI_CHECK(!exists(held), "it is left");
    close(descriptor);
  }
  remove_folder(&home);
}

static const char *temporary_of(const folder *home, pid_t process) {
  char name[64];
  snprintf(name, sizeof name, ".perilune-%ld-0.tmp", (long)process);
  return in_folder(home, name);
}

/* Makes a file and locks it, and ends; a child of its own has the lock then, until the folder was looked at so many
 * times that whoever waits only for a while would have given up. Tells by a byte on `ready` that it watches. */
static void hold_and_die(const folder *home, int ready) {
  int file = open(temporary_of(home, getpid()), O_WRONLY | O_CREAT, 0600), watch = inotify_init();
  if (flock(file, LOCK_EX) != 0 || inotify_add_watch(watch, home->path, IN_OPEN) < 0) _exit(1);
  if (fork() != 0) _exit(0);
  char events[4096];
  int looks = 0;
  if (write(ready, "", 1) != 1) _exit(1);
  for (ssize_t n; looks < 300 && (n = read(watch, events, sizeof events)) > 0;) {
    for (const char *at = events; at < events + n; looks++)
      at += sizeof(struct inotify_event) + ((const struct inotify_event *)at)->len;
  }
  _exit(0);
}

/* The process that made the file is a zombie, as one that was killed and is kept waiting by a busy machine. */
static void the_dying_are_waited_for(void) {
  folder home = make_folder();
  int ready[2], descriptor = open(home.path, O_RDONLY | O_DIRECTORY);
  char byte;
  PERI_CHECK(pipe(ready) == 0, "%s", strerror(errno));
  pid_t child = fork();
  if (child == 0) hold_and_die(&home, ready[1]);
  const char *held = temporary_of(&home, child);
  close(ready[1]);
  PERI_CHECK(read(ready[0], &byte, 1) == 1, "the child did not lock its file");
  siginfo_t info;
  PERI_CHECK(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) == 0, "%s", strerror(errno));
  peri_temporary temporary;
  PERI_CHECK(peri_temporary_open_named(&temporary, descriptor), "%s", strerror(errno));
  PERI_CHECK(exists(held), "a file that is held was removed");
  peri_temporary_close(&temporary);
  PERI_CHECK(!exists(held), "it is left");
  for (int i = 0; i < 300; i++) close(open(home.path, O_RDONLY)); /* whoever holds it after all sees these */
  waitpid(child, NULL, 0);
  close(ready[0]), close(descriptor);
  remove_folder(&home);
}

/* A child that has opened a temporary and written to it, and then is killed. */
static void die_while_writing(const folder *home, bool (*open_temporary)(peri_temporary *, int)) {
  pid_t child = fork();
  if (child == 0) {
    peri_temporary temporary;
    int descriptor = open(home->path, O_RDONLY | O_DIRECTORY);
    bool written = open_temporary(&temporary, descriptor) && write(temporary.file, "half", 4) == 4;
    raise(written ? SIGKILL : SIGABRT);
  }
  int status = -1;
  PERI_CHECK(child > 0 && waitpid(child, &status, 0) == child, "%s", strerror(errno));
  PERI_CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the child ended with %d", status);
}

static void killed_savers_leave_nothing(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  for (int i = 0; i < 3; i++) die_while_writing(&home, peri_temporary_open_named);
  PERI_CHECK(files_in(&home) == 1, "the next one takes away what is there: %d files", files_in(&home));
  for (int i = 0; i < 3; i++) die_while_writing(&home, peri_temporary_open);
  PERI_CHECK(files_in(&home) <= 1, "%d files", files_in(&home));
  save(context, &home, "a");
  PERI_CHECK(files_in(&home) == 1, "%d files", files_in(&home));
  remove_folder(&home);
  close_context(context);
}

/* One of several processes that replace files in one folder, each looking for what the others left. */
static bool save_often(const char *path, bool (*open_temporary)(peri_temporary *, int), int who) {
  char name[16], text[16];
  int descriptor = open(path, O_RDONLY | O_DIRECTORY);
  snprintf(name, sizeof name, "file%d", who);
  for (int i = 0; i < 300; i++) {
    peri_temporary temporary;
    if (!open_temporary(&temporary, descriptor)) return false;
    int n = snprintf(text, sizeof text, "%d", i);
    if (write(temporary.file, text, (size_t)n) != n || !peri_temporary_rename(&temporary, name)) return false;
    peri_temporary_close(&temporary);
    int file = openat(descriptor, name, O_RDONLY);
    char seen[16] = "";
    if (file < 0 || read(file, seen, sizeof seen - 1) != n || strcmp(seen, text) != 0) return false;
    close(file);
  }
  return true;
}

static void savers_side_by_side(void) {
  bool (*const ways[])(peri_temporary *, int) = {peri_temporary_open, peri_temporary_open_named};
  for (int way = 0; way < 2; way++) {
    folder home = make_folder();
    pid_t children[4];
    for (int i = 0; i < 4; i++) {
      children[i] = fork();
      if (children[i] == 0) _exit(save_often(home.path, ways[way], i) ? 0 : 1);
    }
    for (int i = 0; i < 4; i++) {
      int status = -1;
      PERI_CHECK(waitpid(children[i], &status, 0) == children[i] && WIFEXITED(status) && WEXITSTATUS(status) == 0,
                 "way %d, saver %d ended with %d", way, i, status);
    }
    PERI_CHECK(files_in(&home) == 4, "%d files", files_in(&home));
    remove_folder(&home);
  }
}

PERI_TEST_MAIN(PERI_TEST(abandoned_ones_are_removed), PERI_TEST(those_of_the_living_and_other_files_are_left),
               PERI_TEST(those_of_the_dying_are_removed_in_the_end), PERI_TEST(the_dying_are_waited_for),
               PERI_TEST(killed_savers_leave_nothing), PERI_TEST(savers_side_by_side))
