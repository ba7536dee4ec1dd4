/* A ring buffer whose newest samples a script scores at each tick, where they lie.
 *   ring ring.lua [ticks]
 * The window may reach over the buffer's end: it is lent as two tensors, the older part and the newer one, to be read
 * alone, and taken back after the tick, so that a script that keeps one cannot read what is written over. */
#include <lauxlib.h>
#include <lualib.h>
#include <math.h>
#include <perilune/lua.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROOM = 100, WINDOW = 64, CHANNELS = 2 };

typedef struct ring {
  float samples[ROOM][CHANNELS];
  long written;
} ring;

typedef struct job {
  const char *path;
  long ticks;
  ring ring;
  peri_tensor *part[2]; /* main releases them, after an error as well */
} job;

static void write_sample(ring *r) {
  float *sample = r->samples[r->written % ROOM];
  sample[0] = (float)sin(0.1 * (double)r->written);
  sample[1] = (float)cos(0.03 * (double)r->written);
  r->written++;
}

static peri_status lend(peri_context *context, const float *from, int64_t rows, peri_tensor **out) {
  const int64_t shape[2] = {rows, CHANNELS};
  return peri_tensor_borrow(
      context,
      &(peri_loan){
          .size = sizeof(peri_loan), .dtype = PERI_FLOAT32, .ndim = 2, .shape = shape, .read_only = 1, .data = from},
      out);
}

/* What the script is to find: the mean of the first channel less half the second. */
static double expected(const ring *r) {
  double sum = 0;
  for (long i = r->written - WINDOW; i < r->written; i++)
    sum += r->samples[i % ROOM][0] - 0.5 * r->samples[i % ROOM][1];
  return sum / WINDOW;
}

/* Calls the script's function, which is on top of the stack and stays there. */
static double tick(lua_State *L, peri_context *context, job *j) {
  const long first = (j->ring.written - WINDOW) % ROOM;
  const long older = first + WINDOW <= ROOM ? WINDOW : ROOM - first;
  if (lend(context, j->ring.samples[first], older, &j->part[0]) != PERI_OK ||
      lend(context, j->ring.samples[0], WINDOW - older, &j->part[1]) != PERI_OK)
    luaL_error(L, "%s", peri_message(context));
  lua_pushvalue(L, -1);
  for (int i = 0; i < 2; i++) peri_lua_push_tensor(L, j->part[i]);
  lua_call(L, 2, 1);
  const double score = luaL_checknumber(L, -1);
  lua_pop(L, 1);
  for (int i = 0; i < 2; i++) {
    peri_tensor_revoke(j->part[i]);
    peri_tensor_release(&j->part[i]);
  }
  return score;
}

/* Everything that may raise runs in here, called by lua_pcall. */
static int run(lua_State *L) {
  job *j = lua_touserdata(L, 1);
  double worst = 0;
  long in_two = 0;
  peri_lua_open(L, &(peri_options){.size = sizeof(peri_options), .memory_limit = 16 << 20, .threads = 1});
  peri_context *context = peri_lua_context(L);
  if (luaL_loadfile(L, j->path) != LUA_OK) return lua_error(L);
  lua_call(L, 0, 1);
  while (j->ring.written < WINDOW) write_sample(&j->ring);
  for (long i = 0; i < j->ticks; i++) {
    in_two += (j->ring.written - WINDOW) % ROOM + WINDOW > ROOM;
    worst = fmax(worst, fabs(tick(L, context, j) - expected(&j->ring)));
    write_sample(&j->ring);
  }
  lua_gc(L, LUA_GCCOLLECT);
  printf("%ld ticks, %ld of them in two parts, %s, %s\n", j->ticks, in_two,
         worst < 1e-6 ? "the scores are right" : "the scores are WRONG",
         peri_memory_peak(context) < 1 << 20 ? "memory is flat" : "memory GREW");
  return 0;
}

int main(int argc, char **argv) {
  static job j;
  lua_State *L = argc > 1 ? luaL_newstate() : NULL;
  if (L == NULL) {
    fprintf(stderr, "usage: ring ring.lua [ticks]\n");
    return 2;
  }
  j.path = argv[1];
  j.ticks = argc > 2 ? atol(argv[2]) : 1000;
  luaL_openlibs(L);
  lua_pushcfunction(L, run);
  lua_pushlightuserdata(L, &j);
  const int failed = lua_pcall(L, 1, 0, 0) != LUA_OK;
  if (failed) fprintf(stderr, "ring: %s\n", lua_tostring(L, -1));
  for (int i = 0; i < 2; i++) peri_tensor_release(&j.part[i]); /* NULL is nothing */
  lua_close(L);
  return failed;
}
