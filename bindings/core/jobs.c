#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* pipe2, posix_spawn_file_actions_addclosefrom_np */
#endif
#include "jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

#define MAX_OUTPUT    ((size_t)256 << 20) /* bytes of one program's stdout, or stderr */
#define POLL_MS       50                  /* how late a raised cancellation flag may be noticed */
#define READ_AT_LEAST ((size_t)64 << 10)

static void close_fd(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

static void free_buffer(peri_context *context, job_bytes *b) {
  peri_free(context, b->bytes, b->capacity);
  *b = (job_bytes){0};
}

void job_group_begin(job_group *g, peri_context *context, int n, int at_once) {
  *g = (job_group){.context = context, .n = n, .at_once = at_once};
  for (int i = 0; i < n; i++) g->jobs[i] = (job){.pid = -1, .in = -1, .out = -1, .err = -1};
}

void job_group_end(job_group *g) {
  for (int i = 0; i < g->n; i++) {
    job *j = &g->jobs[i];
    close_fd(&j->in);
    close_fd(&j->out);
    close_fd(&j->err);
    if (j->pid > 0) {
      kill(j->pid, SIGKILL);
      while (waitpid(j->pid, NULL, 0) < 0 && errno == EINTR) {
      }
      j->pid = -1;
    }
    free_buffer(g->context, &j->output);
    free_buffer(g->context, &j->errors);
  }
}

/* ---- starting ---- */

/* 0, 1 and 2 are where the child's ends go, so no end may start there (a host may have closed its own). */
static int above_stdio(int *fd) {
  if (*fd > 2) return 0;
  int moved = fcntl(*fd, F_DUPFD_CLOEXEC, 3);
  if (moved < 0) return errno;
  close(*fd);
  *fd = moved;
  return 0;
}

static int open_ends(int in[2], int out[2], int err[2]) {
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) return errno;
  int *ends[] = {&in[0], &in[1], &out[0], &out[1], &err[0], &err[1]};
  for (size_t i = 0; i < PERI_COUNT(ends); i++) {
    int failure = above_stdio(ends[i]);
    if (failure != 0) return failure;
  }
  if (fcntl(in[1], F_SETFL, O_NONBLOCK) < 0 || fcntl(out[0], F_SETFL, O_NONBLOCK) < 0 ||
      fcntl(err[0], F_SETFL, O_NONBLOCK) < 0)
    return errno;
  return 0;
}

/* The child gets its three ends, no other descriptor, an empty signal mask and SIGPIPE as usual. */
static int spawn(char *const *argv, int in, int out, int err, pid_t *pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  int failure = posix_spawn_file_actions_init(&actions);
  if (failure != 0) return failure;
  if ((failure = posix_spawnattr_init(&attributes)) != 0) {
    posix_spawn_file_actions_destroy(&actions);
    return failure;
  }
  sigset_t none, usual;
  sigemptyset(&none);
  sigemptyset(&usual);
  sigaddset(&usual, SIGPIPE);
  if ((failure = posix_spawn_file_actions_adddup2(&actions, in, 0)) == 0 &&
      (failure = posix_spawn_file_actions_adddup2(&actions, out, 1)) == 0 &&
      (failure = posix_spawn_file_actions_adddup2(&actions, err, 2)) == 0 &&
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
      (failure = posix_spawn_file_actions_addclosefrom_np(&actions, 3)) == 0 &&
#endif
      (failure = posix_spawnattr_setsigmask(&attributes, &none)) == 0 &&
      (failure = posix_spawnattr_setsigdefault(&attributes, &usual)) == 0 &&
      (failure = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)) == 0)
    failure = posix_spawnp(pid, argv[0], &actions, &attributes, argv, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return failure;
}

static void start(job *j) {
  int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
  pid_t pid = -1;
  j->failure = open_ends(in, out, err);
  if (j->failure == 0) j->failure = spawn(j->argv, in[0], out[1], err[1], &pid);
  close_fd(&in[0]);
  close_fd(&out[1]);
  close_fd(&err[1]);
  j->in = in[1];
  j->out = out[0];
  j->err = err[0];
  if (j->failure == 0) {
    j->pid = pid;
  } else {
    close_fd(&j->in);
    close_fd(&j->out);
    close_fd(&j->err);
  }
}

/* ---- moving bytes ---- */

/* write() to a program that may have stopped reading. SIGPIPE belongs to the host: it is blocked for
 * this thread while we write, and one that we caused is taken away before the mask is as it was. */
static ssize_t write_quietly(int fd, const char *bytes, size_t size) {
  sigset_t pipe_signal, before, pending;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  sigpending(&pending);
  bool waiting = sigismember(&pending, SIGPIPE) == 1;
  if (pthread_sigmask(SIG_BLOCK, &pipe_signal, &before) != 0) return -1;
  ssize_t n = write(fd, bytes, size);
  int failure = errno;
  if (n < 0 && failure == EPIPE && !waiting) {
    const struct timespec now = {0, 0};
    while (sigtimedwait(&pipe_signal, NULL, &now) < 0 && errno == EINTR) {
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  errno = failure;
  return n;
}

static void feed(job *j) {
  while (j->written < j->input_size) {
    ssize_t n = write_quietly(j->in, j->input + j->written, j->input_size - j->written);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (n <= 0) break; /* it reads no more: what it said on stderr tells why */
    j->written += (size_t)n;
  }
  close_fd(&j->in);
}

static peri_status grow(peri_context *context, job_bytes *b) {
  if (b->capacity - b->size >= READ_AT_LEAST) return PERI_OK;
  if (b->size >= MAX_OUTPUT)
    return peri_fail(context, PERI_ERR_IO, "run: the program wrote more than %zu bytes", MAX_OUTPUT);
  job_bytes larger = {.size = b->size, .capacity = b->capacity * 2 + READ_AT_LEAST};
  void *bytes = NULL;
  PERI_TRY(peri_alloc(context, larger.capacity, &bytes));
  larger.bytes = bytes;
  if (b->size > 0) memcpy(larger.bytes, b->bytes, b->size);
  free_buffer(context, b);
  *b = larger;
  return PERI_OK;
}

static peri_status drain(peri_context *context, int *fd, job_bytes *b) {
  for (;;) {
    PERI_TRY(grow(context, b));
    ssize_t n = read(*fd, b->bytes + b->size, b->capacity - b->size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return PERI_OK;
    if (n <= 0) {
      close_fd(fd);
      return PERI_OK;
    }
    b->size += (size_t)n;
  }
}

/* Takes the exit status if the program has ended. A host that ignores SIGCHLD has the kernel throw
 * statuses away; the program's output is then all there is to judge by. */
static void reap(job *j) {
  int status = 0;
  pid_t pid = waitpid(j->pid, &status, WNOHANG);
  if (pid == 0 || (pid < 0 && errno == EINTR)) return;
  j->pid = -1;
  if (pid < 0) return;
  j->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static bool is_running(const job *j) { return j->pid > 0; }
static bool is_silent(const job *j) { return j->out < 0 && j->err < 0; }

/* Starts programs in their order while there is room for them; says how many run. */
static int start_some(job_group *g) {
  int running = 0;
  for (int i = 0; i < g->started; i++) running += is_running(&g->jobs[i]);
  while (g->started < g->n && running < g->at_once) {
    job *j = &g->jobs[g->started++];
    start(j);
    running += is_running(j);
  }
  return running;
}

/* Moves what can be moved, having waited for it a little. */
static peri_status move_bytes(job_group *g, int wait_ms) {
  struct pollfd fds[3 * JOB_MAX];
  for (int i = 0; i < g->n; i++) {
    const job *j = &g->jobs[i];
    fds[3 * i] = (struct pollfd){.fd = j->in, .events = POLLOUT};
    fds[3 * i + 1] = (struct pollfd){.fd = j->out, .events = POLLIN};
    fds[3 * i + 2] = (struct pollfd){.fd = j->err, .events = POLLIN};
  }
  int ready = poll(fds, (nfds_t)(3 * g->n), wait_ms);
  if (ready < 0 && errno != EINTR) return peri_fail(g->context, PERI_ERR_IO, "run: poll failed: %s", strerror(errno));
  for (int i = 0; ready > 0 && i < g->n; i++) {
    job *j = &g->jobs[i];
    if (fds[3 * i].revents != 0) feed(j);
    if (fds[3 * i + 1].revents != 0) PERI_TRY(drain(g->context, &j->out, &j->output));
    if (fds[3 * i + 2].revents != 0) PERI_TRY(drain(g->context, &j->err, &j->errors));
  }
  return PERI_OK;
}

peri_status job_attend(job_group *g, int *ended) {
  int pause = 1; /* ms; grows while outputs are closed and a program still takes its time to end */
  for (;;) {
    PERI_TRY(peri_check_cancel(g->context));
    int running = start_some(g);
    bool ending = false;
    for (int i = 0; i < g->started; i++) {
      job *j = &g->jobs[i];
      if (is_running(j) && is_silent(j)) reap(j);
      if (is_running(j)) {
        ending = ending || is_silent(j);
      } else if (!j->told) {
        j->told = true;
        *ended = i;
        return PERI_OK;
      }
    }
    if (running == 0) {
      *ended = -1;
      return PERI_OK;
    }
    PERI_TRY(move_bytes(g, ending ? pause : POLL_MS));
    if (ending) pause = (int)peri_min(POLL_MS, 2 * pause);
  }
}
