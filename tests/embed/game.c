/* A loop as games have it: a script decides for all agents at each tick, 60 of which make a second.
 *   game game.lua [ticks [now]]
 * With "now" it does not wait for the next tick. In the end it says how long the script's part of a tick took. */
#define _POSIX_C_SOURCE 200809L
#include <perilune/lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void wait_until(double time) {
  struct timespec t = {.tv_sec = (time_t)time, .tv_nsec = (long)((time - (double)(time_t)time) * 1e9)};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Calls the function that the script has given, which stays at the bottom of the stack. Nothing here needs memory, so
 * that nothing outside of peri_lua_call can raise. */
static peri_status tick(lua_State *L, double dt) {
  lua_pushvalue(L, 1);
  lua_pushnumber(L, dt);
  return peri_lua_call(L, 1, 0);
}

int main(int argc, char **argv) {
  static char text[1 << 16];
  FILE *file = argc > 1 ? fopen(argv[1], "rb") : NULL;
  size_t size = file != NULL ? fread(text, 1, sizeof text, file) : 0;
  if (file != NULL) fclose(file);
  int ticks = argc > 2 ? atoi(argv[2]) : 600, late = 0;
  double *took = calloc((size_t)ticks + 1, sizeof *took);
  peri_lua_options options = {.size = sizeof options,
                              .context = {.size = sizeof(peri_options), .memory_limit = 128 << 20, .threads = 1},
                              .deadline = 1}; /* for what the script does at its beginning */
  lua_State *L = peri_lua_new(&options);
  if (L == NULL || took == NULL) return 2;
  peri_status status = peri_lua_load(L, argv[1], text, size);
  if (status == PERI_OK) status = peri_lua_call(L, 0, 1);
  double start = now();
  for (int i = 0; i < ticks && status == PERI_OK; i++) {
    if (argc <= 3) wait_until(start + i / 60.0);
    double began = now();
    status = tick(L, 1 / 60.0);
    took[i] = now() - began;
    late += took[i] > 1 / 60.0;
  }
  if (status != PERI_OK) fprintf(stderr, "game: %s\n", lua_tostring(L, -1));
  qsort(took, (size_t)ticks, sizeof *took, compare);
  printf("%d ticks, %d late: half below %.3f ms, all but one of a hundred below %.3f, the longest %.3f\n", ticks, late,
         1e3 * took[ticks / 2], 1e3 * took[ticks * 99 / 100], 1e3 * took[ticks > 0 ? ticks - 1 : 0]);
  lua_close(L);
  free(took);
  return status != PERI_OK;
}
