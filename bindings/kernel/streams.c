/* stdin, stdout and stderr of a notebook; see kernel.h. What is written gathers in one place, in its order; a thread
 * sends it after a moment, so that many small writes are one message. */
#include "kernel.h"

#include <errno.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { most_gathered = 1 << 20, moment = 30 * 1000 * 1000 /* nanoseconds */ };

static struct {
  kernel *k;
  pthread_mutex_t mutex;
  pthread_cond_t there_is;
  char *text;
  size_t size, capacity;
  const char *name; /* of the stream that text is of */
  char *answer;     /* what is left of a line that the front end gave */
  size_t at;
} streams = {.mutex = PTHREAD_MUTEX_INITIALIZER, .there_is = PTHREAD_COND_INITIALIZER};

/* How many bytes at the end begin a character that is not whole. */
static size_t unfinished(const char *text, size_t size) {
  for (size_t back = 1; back <= 3 && back <= size; back++) {
    unsigned char c = (unsigned char)text[size - back];
    if ((c & 0xc0) == 0x80) continue;
    size_t length = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

static char *content_of(const char *name, const char *text, size_t size) {
  cJSON *content = cJSON_CreateObject();
  cJSON_AddStringToObject(content, "name", name);
  cJSON_AddItemToObject(content, "text", kernel_string(text, size));
  char *json = cJSON_PrintUnformatted(content);
  cJSON_Delete(content);
  return json;
}

/* With the mutex. A character that is not whole waits for its rest, unless that is another stream's. */
static void send_gathered(bool all) {
  size_t rest = all ? 0 : unfinished(streams.text, streams.size), size = streams.size - rest;
  if (size == 0) return;
  char *content = content_of(streams.name, streams.text, size);
  if (content != NULL) kernel_publish(streams.k, "stream", NULL, content);
  cJSON_free(content);
  memmove(streams.text, streams.text + size, rest);
  streams.size = rest;
}

static ssize_t write_stream(void *name, const char *bytes, size_t size) {
  pthread_mutex_lock(&streams.mutex);
  if (streams.size > 0 && streams.name != name) send_gathered(true);
  streams.name = name;
  if (streams.size + size + 1 > streams.capacity) {
    size_t capacity = 2 * (streams.size + size) + 4096;
    char *larger = realloc(streams.text, capacity);
    if (larger != NULL) streams.text = larger, streams.capacity = capacity;
  }
  bool fits = streams.size + size + 1 <= streams.capacity;
  if (fits) memcpy(streams.text + streams.size, bytes, size);
  if (fits) streams.size += size;
  if (streams.size > most_gathered) send_gathered(false);
  pthread_cond_signal(&streams.there_is);
  pthread_mutex_unlock(&streams.mutex);
  return fits ? (ssize_t)size : 0;
}

static void *send_now_and_then(void *unused) {
  (void)unused;
  pthread_mutex_lock(&streams.mutex);
  for (;;) {
    while (streams.size == 0) pthread_cond_wait(&streams.there_is, &streams.mutex);
    pthread_mutex_unlock(&streams.mutex);
    nanosleep(&(struct timespec){.tv_nsec = moment}, NULL);
    pthread_mutex_lock(&streams.mutex);
    size_t before = streams.size;
    send_gathered(false);
    if (streams.size == before) send_gathered(true); /* it has waited long enough */
  }
  return NULL;
}

void kernel_flush_streams(kernel *k) {
  (void)k;
  fflush(stdout);
  fflush(stderr);
  pthread_mutex_lock(&streams.mutex);
  send_gathered(true);
  pthread_mutex_unlock(&streams.mutex);
}

/* A line at a time is asked for, and given in as many pieces as are wanted. */
static ssize_t read_stream(void *unused, char *out, size_t size) {
  (void)unused;
  if (streams.answer == NULL) {
    kernel_flush_streams(streams.k);
    char *line = kernel_ask(streams.k, "", false);
    if (line == NULL) return 0;
    size_t length = strlen(line);
    streams.answer = realloc(line, length + 2);
    if (streams.answer == NULL) {
      free(line);
      return 0;
    }
    memcpy(streams.answer + length, "\n", 2);
    streams.at = 0;
  }
  size_t left = strlen(streams.answer + streams.at), n = left < size ? left : size;
  memcpy(out, streams.answer + streams.at, n);
  streams.at += n;
  if (n == left) {
    free(streams.answer);
    streams.answer = NULL;
  }
  return (ssize_t)n;
}

/* Lua's own file of that name is turned to the same stream. */
static void turn_file(lua_State *L, const char *name, FILE *file) {
  lua_getglobal(L, "io");
  lua_getfield(L, -1, name);
  luaL_Stream *stream = luaL_testudata(L, -1, LUA_FILEHANDLE);
  if (stream != NULL) stream->f = file;
  lua_pop(L, 2);
}

static FILE *open_stream(const char *name, const char *mode) {
  cookie_io_functions_t functions = {.read = mode[0] == 'r' ? read_stream : NULL,
                                     .write = mode[0] == 'w' ? write_stream : NULL};
  FILE *file = fopencookie((void *)(uintptr_t)name, mode, functions);
  if (file != NULL) setvbuf(file, NULL, _IONBF, 0);
  return file;
}

bool kernel_turn_streams(lua_State *L, kernel *k) {
  streams.k = k;
  FILE *in = open_stream("stdin", "r"), *out = open_stream("stdout", "w"), *err = open_stream("stderr", "w");
  if (in == NULL || out == NULL || err == NULL) return false;
  fflush(stdout);
  stdin = in;
  stdout = out;
  stderr = err;
  turn_file(L, "stdin", in);
  turn_file(L, "stdout", out);
  turn_file(L, "stderr", err);
  sigset_t all, before;
  pthread_t thread;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool started = pthread_create(&thread, NULL, send_now_and_then, NULL) == 0;
  if (started) pthread_detach(thread);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return started;
}
