#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* pipe2, posix_spawn_file_actions_addclosefrom_np */
#endif
#include "process.h"

#include "data/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

#define GROUP         "peri.process"
#define FOLDER        "peri.folder"
#define MAX_JOBS      64
#define MAX_ARGUMENTS 1024
#define MAX_OUTPUT    ((size_t)256 << 20) /* bytes of one program's stdout, or stderr */
#define POLL_MS       50                  /* how late a raised cancellation flag may be noticed */
#define READ_AT_LEAST ((size_t)64 << 10)

typedef struct buffer {
  uint8_t *bytes;
  size_t size, capacity;
} buffer;

/* One program. Descriptors that are not open are -1, and so is the pid of what does not run. */
typedef struct job {
  char *const *argv; /* borrowed: it stands on the caller's stack */
  pid_t pid;
  int in, out, err;
  const char *input; /* borrowed: the job's table holds the string */
  size_t input_size, written;
  buffer output, errors;
  int status;
  int failure; /* errno when it could not be started */
  bool told;   /* that it has ended */
} job;

/* The handle that owns all that can leak: it is filled only after it is marked to be closed. */
typedef struct group {
  peri_context *context;
  int n, at_once; /* programs, and how many may run side by side */
  int started;    /* the first ones of jobs */
  job jobs[];
} group;

static void close_fd(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

static void free_buffer(peri_context *context, buffer *b) {
  peri_free(context, b->bytes, b->capacity);
  *b = (buffer){0};
}

/* Idempotent: __close on every way out of run_all, and __gc for a state that is torn down. */
static int group_close(lua_State *L) {
  group *g = luaL_checkudata(L, 1, GROUP);
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
  return 0;
}

static group *push_group(lua_State *L, int n, int at_once) {
  group *g = lua_newuserdatauv(L, sizeof(group) + (size_t)n * sizeof(job), 0);
  *g = (group){.context = peri_lua_context(L), .n = n, .at_once = at_once};
  for (int i = 0; i < n; i++) g->jobs[i] = (job){.pid = -1, .in = -1, .out = -1, .err = -1};
  luaL_setmetatable(L, GROUP);
  lua_toclose(L, -1);
  return g;
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

static peri_status grow(peri_context *context, buffer *b) {
  if (b->capacity - b->size >= READ_AT_LEAST) return PERI_OK;
  if (b->size >= MAX_OUTPUT)
    return peri_fail(context, PERI_ERR_IO, "run: the program wrote more than %zu bytes", MAX_OUTPUT);
  buffer larger = {.size = b->size, .capacity = b->capacity * 2 + READ_AT_LEAST};
  void *bytes = NULL;
  PERI_TRY(peri_alloc(context, larger.capacity, &bytes));
  larger.bytes = bytes;
  if (b->size > 0) memcpy(larger.bytes, b->bytes, b->size);
  free_buffer(context, b);
  *b = larger;
  return PERI_OK;
}

static peri_status drain(peri_context *context, int *fd, buffer *b) {
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
static int start_some(group *g) {
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
static peri_status move_bytes(group *g, int wait_ms) {
  struct pollfd fds[3 * MAX_JOBS];
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

/* Until a program has ended, both its outputs being read to the end, or could not be started: *ended is
 * its number, each being told once; -1 when there are no more. */
static peri_status attend(group *g, int *ended) {
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

/* ---- the Lua side ---- */

/* A string without NUL, or an error that names what it should have been. */
static const char *c_string(lua_State *L, int index, const char *what) {
  size_t size = 0;
  const char *s = lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, &size) : NULL;
  if (s == NULL || strlen(s) != size)
    bind_error(L, "run", "%s is %s (expected a string without NUL)", what,
               s ? "cut by a NUL" : luaL_typename(L, index));
  return s;
}

/* Raw, so that no metamethod runs and the table itself holds what is pushed. */
static int raw_field(lua_State *L, int table, const char *name) {
  lua_pushstring(L, name);
  return lua_rawget(L, table);
}

/* The argument vector of the job table on top, as a userdata pushed above it. The job's own table
 * keeps the strings alive, and no Lua code runs before they are used. */
static char **push_argv(lua_State *L) {
  int table = lua_gettop(L);
  if (raw_field(L, table, "argv") != LUA_TTABLE) bind_error(L, "run", "argv is missing (expected a list of strings)");
  lua_Unsigned n = lua_rawlen(L, -1);
  if (n < 1 || n > MAX_ARGUMENTS)
    bind_error(L, "run", "argv has %I strings (expected 1 to %d)", (lua_Integer)n, MAX_ARGUMENTS);
  char **argv = lua_newuserdatauv(L, (n + 1) * sizeof(char *), 0);
  for (lua_Unsigned i = 1; i <= n; i++) {
    lua_rawgeti(L, -2, (lua_Integer)i);
    argv[i - 1] = (char *)(uintptr_t)c_string(L, -1, "an argument");
    lua_pop(L, 1);
  }
  argv[n] = NULL;
  lua_replace(L, table + 1);
  lua_settop(L, table + 1);
  return argv;
}

/* Reads the job table on top; leaves its argument vector in its place. */
static void read_job(lua_State *L, job *j) {
  luaL_checktype(L, -1, LUA_TTABLE);
  int top = lua_gettop(L);
  char **argv = push_argv(L);
  if (raw_field(L, top, "input") == LUA_TSTRING)
    j->input = lua_tolstring(L, -1, &j->input_size);
  else if (!lua_isnil(L, -1))
    bind_error(L, "run", "input is a %s (expected a string)", luaL_typename(L, -1));
  j->argv = argv;
  lua_settop(L, top + 1);
  lua_replace(L, top);
}

static void push_bytes(lua_State *L, const buffer *b) {
  lua_pushlstring(L, b->size > 0 ? (const char *)b->bytes : "", b->size);
}

/* run's results: status, stdout, stderr; or nil, message, missing. */
static void push_result(lua_State *L, const job *j) {
  if (j->failure != 0) {
    lua_pushnil(L);
    lua_pushfstring(L, "cannot be started: %s", strerror(j->failure));
    lua_pushboolean(L, j->failure == ENOENT);
  } else {
    lua_pushinteger(L, j->status);
    push_bytes(L, &j->output);
    push_bytes(L, &j->errors);
  }
}

static void attend_or_raise(lua_State *L, group *g, int *ended) {
  if (attend(g, ended) != PERI_OK) bind_error(L, NULL, "%s", peri_message(g->context));
}

static int process_run(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  group *g = push_group(L, 1, 1);
  lua_pushvalue(L, 1);
  read_job(L, &g->jobs[0]);
  int ended;
  attend_or_raise(L, g, &ended);
  push_result(L, &g->jobs[0]);
  return 3;
}

static void push_result_table(lua_State *L, const job *j) {
  lua_createtable(L, 0, 3);
  push_result(L, j);
  lua_setfield(L, -4, j->failure != 0 ? "missing" : "stderr");
  lua_setfield(L, -3, j->failure != 0 ? "error" : "stdout");
  lua_setfield(L, -2, "status");
}

static int process_run_all(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer at_once = luaL_optinteger(L, 2, MAX_JOBS);
  luaL_argcheck(L, at_once >= 1, 2, "expected at least 1");
  if (!lua_isnoneornil(L, 3)) luaL_checktype(L, 3, LUA_TFUNCTION);
  lua_settop(L, 3);
  lua_Unsigned n = lua_rawlen(L, 1);
  if (n > MAX_JOBS)
    return bind_error(L, "run_all", "%I programs at once (expected at most %d)", (lua_Integer)n, MAX_JOBS);
  luaL_checkstack(L, (int)n + LUA_MINSTACK, NULL);
  group *g = push_group(L, (int)n, (int)peri_min(at_once, MAX_JOBS));
  for (int i = 0; i < g->n; i++) {
    lua_rawgeti(L, 1, i + 1);
    read_job(L, &g->jobs[i]);
  }
  lua_createtable(L, g->n, 0);
  for (int ended; attend_or_raise(L, g, &ended), ended >= 0;) {
    push_result_table(L, &g->jobs[ended]);
    if (!lua_isnil(L, 3)) {
      lua_pushvalue(L, 3);
      lua_pushinteger(L, ended + 1);
      lua_pushvalue(L, -3);
      lua_call(L, 2, 0);
    }
    lua_rawseti(L, -2, ended + 1);
  }
  return 1;
}

static const char *check_path(lua_State *L) {
  size_t size = 0;
  const char *path = luaL_checklstring(L, 1, &size);
  luaL_argcheck(L, size > 0 && strlen(path) == size, 1, "an empty path, or one with a NUL");
  return path;
}

static int process_write(lua_State *L) {
  const char *path = check_path(L);
  size_t size = 0;
  const void *bytes = luaL_checklstring(L, 2, &size);
  peri_context *context = peri_lua_context(L);
  if (peri_file_write_atomic(context, path, &bytes, &size, 1) != PERI_OK) {
    lua_pushnil(L);
    lua_pushstring(L, peri_message(context));
    return 2;
  }
  lua_pushboolean(L, 1);
  return 1;
}

static bool is_folder(const char *path) {
  struct stat s;
  return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

/* mkdir of each prefix in turn; one that exists is passed by. */
static int process_mkdir(lua_State *L) {
  const char *path = check_path(L);
  size_t size = strlen(path);
  char *prefix = lua_newuserdatauv(L, size + 1, 0);
  memcpy(prefix, path, size + 1);
  for (size_t i = 1; i <= size; i++) {
    if (path[i] != '/' && path[i] != '\0') continue;
    prefix[i] = '\0';
    if (mkdir(prefix, 0777) != 0) {
      int failure = errno == EEXIST ? ENOTDIR : errno;
      if (!is_folder(prefix)) {
        lua_pushnil(L);
        lua_pushfstring(L, "cannot make the folder '%s': %s", prefix, strerror(failure));
        return 2;
      }
    }
    prefix[i] = path[i];
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* new_folder(path) -> true; false when something is there already; nil, message */
static int process_new_folder(lua_State *L) {
  const char *path = check_path(L);
  bool made = mkdir(path, 0777) == 0;
  if (made || errno == EEXIST) {
    lua_pushboolean(L, made);
    return 1;
  }
  int failure = errno;
  lua_pushnil(L);
  lua_pushfstring(L, "cannot make the folder '%s': %s", path, strerror(failure));
  return 2;
}

/* The folder that is read, as a handle, so that no error leaves it open. */
static int folder_close(lua_State *L) {
  DIR **folder = luaL_checkudata(L, 1, FOLDER);
  if (*folder != NULL) closedir(*folder);
  *folder = NULL;
  return 0;
}

/* When an entry was last written, in nanoseconds; 0 when it is gone. */
static lua_Integer time_of(DIR *folder, const char *name) {
  struct stat s;
  if (fstatat(dirfd(folder), name, &s, 0) != 0) return 0;
  return (lua_Integer)s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec;
}

/* list(path) -> names in no order, {name = time of writing}; or nil, message */
static int process_list(lua_State *L) {
  const char *path = check_path(L);
  DIR **folder = lua_newuserdatauv(L, sizeof(DIR *), 0);
  *folder = NULL;
  luaL_setmetatable(L, FOLDER);
  lua_toclose(L, -1);
  *folder = opendir(path);
  if (*folder == NULL) {
    int failure = errno;
    lua_pushnil(L);
    lua_pushfstring(L, "cannot read the folder '%s': %s", path, strerror(failure));
    return 2;
  }
  lua_newtable(L);
  lua_newtable(L);
  for (const struct dirent *entry; (entry = readdir(*folder)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    lua_pushstring(L, entry->d_name);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -4, (lua_Integer)lua_rawlen(L, -4) + 1);
    lua_pushinteger(L, time_of(*folder, entry->d_name));
    lua_rawset(L, -3);
  }
  return 2;
}

/* is_terminal(descriptor) -> boolean */
static int process_is_terminal(lua_State *L) {
  lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
  return 1;
}

static const luaL_Reg functions[] = {
    {"run", process_run},
    {"run_all", process_run_all},
    {"write", process_write},
    {"mkdir", process_mkdir},
    {"new_folder", process_new_folder},
    {"list", process_list},
    {"is_terminal", process_is_terminal},
    {NULL, NULL},
};

static void make_metatable(lua_State *L, const char *name, lua_CFunction close) {
  if (luaL_newmetatable(L, name)) {
    lua_pushcfunction(L, close);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, close);
    lua_setfield(L, -2, "__close");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
  }
  lua_pop(L, 1);
}

void bind_open_process(lua_State *L, bind_state *S) {
  make_metatable(L, GROUP, group_close);
  make_metatable(L, FOLDER, folder_close);
  lua_newtable(L);
  bind_set_functions(L, S, functions);
}
