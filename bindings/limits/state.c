/* The state, its allocator and its hook; calls and their statuses. */
#define _GNU_SOURCE /* O_PATH */
#include "limits.h"

#include "base/memory.h"
#include "data/place.h"

#include <fcntl.h>
#include <lualib.h>
#include <stdlib.h>
#include <unistd.h>

#define BETWEEN_HOOKS 1000 /* instructions */
#define MOST_GRACE    1000 /* hooks: what is put back is short */

/* ---- the allocator ---- */

static void free_limits(limits *l) {
  peri_context_release(&l->context);
  free(l);
}

/* Lua's memory comes out of the context's budget. The state's own block is the last to go. */
static void *allocate(void *arg, void *block, size_t before, size_t size) {
  limits *l = arg;
  if (block == NULL) before = 0; /* what it says then is a kind of object */
  if (size > before && !peri_memory_claim(l->context, size - before)) return NULL;
  void *result = NULL;
  if (size == 0)
    free(block);
  else
    result = realloc(block, size);
  if (size > 0 && result == NULL) {
    if (size <= before) return block; /* making less must not fail */
    peri_memory_return(l->context, size - before);
    return NULL;
  }
  if (size < before) peri_memory_return(l->context, before - size);
  l->bytes += size - before;
  if (l->bytes == 0 && l->open) free_limits(l);
  return result;
}

limits *limits_of(lua_State *L) {
  void *l;
  return lua_getallocf(L, &l) == allocate ? l : NULL;
}

/* ---- what ends a call ---- */

bool limits_stopped(const limits *l) { return (atomic_load(&l->context->interrupt->signals) & PERI_SIGNAL_STOPS) != 0; }

/* The error of what has stopped the context, at the line that runs. */
static int raise_stop(lua_State *L, limits *l) {
  bool shielded = l->context->shielded;
  l->context->shielded = false;
  peri_status status = peri_check_cancel(l->context);
  l->context->shielded = shielded;
  luaL_where(L, 0);
  lua_pushstring(L, peri_message(l->context));
  lua_concat(L, 2);
  bind_tell_error(L, bind_open(L, NULL), status);
  return lua_error(L);
}

void limits_look(lua_State *L, int64_t steps) {
  limits *l = limits_of(L);
  if (l->instructions > 0 && l->depth > 0 && (l->left -= steps) <= 0) peri_end_instructions(l->context);
  if (peri_cancelled(l->context) || (limits_stopped(l) && ++l->grace > MOST_GRACE)) raise_stop(L, l);
}

static void hook(lua_State *L, lua_Debug *activation) {
  (void)activation;
  limits_look(L, BETWEEN_HOOKS);
}

/* ---- a new state ---- */

/* A shallow copy of the table at index. */
static void copy_table(lua_State *L, int index) {
  index = lua_absindex(L, index);
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, index) != 0;) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
}

/* What the module's own Lua code works with: globals and libraries that no script can change. */
static void keep_environment(lua_State *L) {
  lua_pushglobaltable(L);
  copy_table(L, -1);
  int environment = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, environment - 1) != 0; lua_pop(L, 1)) {
    if (!lua_istable(L, -1) || lua_rawequal(L, -1, environment - 1)) continue;
    lua_pushvalue(L, -2);
    copy_table(L, -2);
    lua_rawset(L, environment);
  }
  lua_pushliteral(L, "");
  lua_getmetatable(L, -1);
  lua_getfield(L, environment, LUA_STRLIBNAME);
  lua_setfield(L, -2, "__index"); /* methods of strings are those too */
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_settop(L, environment);
  lua_setfield(L, LUA_REGISTRYINDEX, "perilune.environment");
  lua_pop(L, 1);
}

static int set_up(lua_State *L) {
  limits *l = lua_touserdata(L, 1);
  lua_gc(L, LUA_GCGEN, 0, 0); /* most tensors die young */
  luaL_openlibs(L);
  peri_context_retain(l->context);
  bind_open_in(L, l->context);
  limits_guard(L);
  if (l->sandbox) limits_close_sandbox(L);
  keep_environment(L);
  peri_lua_open(L, NULL);
  if (l->sandbox) {
    for (const char *const *name = (const char *const[]){"_fail_after", "_looks", NULL}; *name != NULL; name++) {
      lua_pushnil(L);
      lua_setfield(L, -2, *name);
    }
  }
  lua_setglobal(L, "peri");
  lua_sethook(L, hook, LUA_MASKCOUNT, BETWEEN_HOOKS); /* coroutines have the hook of who makes them */
  return 0;
}

/* Options in the place where no size stands are none at all. */
static bool is_empty(const peri_options *options) {
  static const peri_options none;
  return memcmp(options, &none, sizeof none) == 0;
}

static limits *make_limits(const peri_lua_options *options) {
  limits *l = calloc(1, sizeof *l);
  if (l == NULL) return NULL;
  const peri_options *context = is_empty(&options->context) ? NULL : &options->context;
  if (options->deadline < 0 || options->instructions < 0 || peri_context_new(context, &l->context) != PERI_OK) {
    free(l);
    return NULL;
  }
  l->deadline = options->deadline;
  l->instructions = options->instructions;
  l->sandbox = options->sandbox != 0;
  if (l->sandbox && peri_context_confine(l->context, options->root) != PERI_OK) {
    free_limits(l);
    return NULL;
  }
  return l;
}

lua_State *peri_lua_new(const peri_lua_options *options) {
  peri_lua_options chosen = {0};
  if (peri_read_options(options, &chosen, sizeof chosen) != PERI_OK) return NULL;
  limits *l = make_limits(&chosen);
  if (l == NULL) return NULL;
  lua_State *L = lua_newstate(allocate, l);
  if (L == NULL) {
    free_limits(l);
    return NULL;
  }
  l->open = true;
  lua_pushcfunction(L, set_up);
  lua_pushlightuserdata(L, l);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return L;
  lua_close(L);
  return NULL;
}

/* ---- calls ---- */

/* The message of an error, with a traceback. What is no string says so itself, if it can. */
static int tell(lua_State *L) {
  bind_state *S = bind_open(L, NULL);
  peri_status status = bind_error_status(L, S, 1);
  if (lua_type(L, 1) != LUA_TSTRING) {
    if (luaL_callmeta(L, 1, "__tostring") && lua_type(L, -1) == LUA_TSTRING)
      lua_replace(L, 1);
    else
      lua_pushfstring(L, "(the error is a %s value)", luaL_typename(L, 1)), lua_replace(L, 1);
  }
  luaL_traceback(L, L, lua_tostring(L, 1), 1);
  bind_tell_error(L, S, status);
  return 1;
}

/* The stop that was caught, as the message of the call. */
static int tell_stop(lua_State *L) { return raise_stop(L, limits_of(L)); }

static void begin_call(limits *l) {
  if (l->depth++ > 0) return;
  atomic_fetch_and(&l->context->interrupt->signals, ~(unsigned)PERI_SIGNAL_INSTRUCTIONS);
  peri_set_deadline(l->context, l->deadline);
  l->left = l->instructions;
  l->grace = 0;
}

/* What has stopped the call, if anything has. */
static peri_status end_call(limits *l) {
  bool shielded = l->context->shielded;
  l->context->shielded = false;
  peri_status status = peri_check_cancel(l->context);
  l->context->shielded = shielded;
  if (--l->depth > 0) return status;
  atomic_fetch_and(&l->context->interrupt->signals, ~(unsigned)PERI_SIGNAL_INSTRUCTIONS);
  peri_set_deadline(l->context, 0);
  return status;
}

static peri_status status_of(lua_State *L, int code) {
  if (code == LUA_OK) return PERI_OK;
  if (code == LUA_ERRMEM) return PERI_ERR_MEMORY;
  return lua_type(L, -1) == LUA_TSTRING ? bind_error_status(L, bind_open(L, NULL), -1) : PERI_ERR_SCRIPT;
}

peri_status peri_lua_call(lua_State *L, int arguments, int results) {
  limits *l = limits_of(L);
  int function = lua_gettop(L) - arguments;
  if (!lua_checkstack(L, LUA_MINSTACK)) {
    lua_settop(L, function - 1);
    lua_pushliteral(L, "the stack is full");
    return PERI_ERR_MEMORY;
  }
  lua_pushcfunction(L, tell);
  lua_insert(L, function);
  if (l != NULL) begin_call(l);
  int code = lua_pcall(L, arguments, results, function);
  peri_status status = status_of(L, code);
  if (l != NULL && code == LUA_OK && limits_stopped(l)) {
    lua_settop(L, function);
    lua_pushcfunction(L, tell_stop);
    code = lua_pcall(L, 0, 0, 0);
  }
  peri_status stopped = l != NULL ? end_call(l) : PERI_OK;
  lua_remove(L, function);
  /* what the call has let go may hold what the next one needs, and no emergency of Lua's lets go of tensors */
  if (l != NULL && l->depth == 0 && (status != PERI_OK || stopped != PERI_OK)) lua_gc(L, LUA_GCCOLLECT);
  if (stopped != PERI_OK) bind_tell_error(L, bind_open(L, NULL), stopped); /* whatever was made of the message */
  return stopped != PERI_OK ? stopped : status;
}

typedef struct source {
  const char *name, *text;
  size_t size;
} source;

static int load_source(lua_State *L) {
  const source *s = lua_touserdata(L, 1);
  lua_pushfstring(L, "=%s", s->name);
  int code = luaL_loadbufferx(L, s->text, s->size, lua_tostring(L, -1), "t");
  if (code == LUA_ERRMEM) luaL_error(L, "not enough memory to load %s", s->name);
  return code == LUA_OK ? 1 : lua_error(L);
}

peri_status peri_lua_load(lua_State *L, const char *name, const char *text, size_t size) {
  source s = {name, text, size};
  lua_pushcfunction(L, load_source);
  lua_pushlightuserdata(L, &s);
  return status_of(L, lua_pcall(L, 1, 1, 0));
}

peri_status peri_lua_status(lua_State *L, int index) { return bind_error_status(L, bind_open(L, NULL), index); }
