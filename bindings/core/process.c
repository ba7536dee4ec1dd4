/* Programs and files as Lua has them; see process.h. */
#include "process.h"

#include "jobs.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define GROUP         "peri.process"
#define MAX_ARGUMENTS 1024

static int group_close(lua_State *L) {
  job_group_end(luaL_checkudata(L, 1, GROUP));
  return 0;
}

/* Its group starts programs only after it is marked to be closed. */
static job_group *push_group(lua_State *L, int n, int at_once) {
  job_group *g = lua_newuserdatauv(L, sizeof(job_group) + (size_t)n * sizeof(job), 0);
  job_group_begin(g, peri_lua_context(L), n, at_once);
  luaL_setmetatable(L, GROUP);
  lua_toclose(L, -1);
  return g;
}

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

static void push_bytes(lua_State *L, const job_bytes *b) {
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

static void attend_or_raise(lua_State *L, job_group *g, int *ended) {
  if (job_attend(g, ended) != PERI_OK) bind_error(L, NULL, "%s", peri_message(g->context));
}

static void check_permission(lua_State *L) {
  if (peri_lua_context(L)->confined) bind_error(L, NULL, "no program is run here (expected a host that allows it)");
}

static int process_run(lua_State *L) {
  check_permission(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  job_group *g = push_group(L, 1, 1);
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
  check_permission(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer at_once = luaL_optinteger(L, 2, JOB_MAX);
  luaL_argcheck(L, at_once >= 1, 2, "expected at least 1");
  if (!lua_isnoneornil(L, 3)) luaL_checktype(L, 3, LUA_TFUNCTION);
  lua_settop(L, 3);
  lua_Unsigned n = lua_rawlen(L, 1);
  if (n > JOB_MAX)
    return bind_error(L, "run_all", "%I programs at once (expected at most %d)", (lua_Integer)n, JOB_MAX);
  luaL_checkstack(L, (int)n + LUA_MINSTACK, NULL);
  job_group *g = push_group(L, (int)n, (int)peri_min(at_once, JOB_MAX));
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

/* is_terminal(descriptor) -> boolean */
static int process_is_terminal(lua_State *L) {
  lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
  return 1;
}

static const luaL_Reg functions[] = {
    {"run", process_run},
    {"run_all", process_run_all},
    {"is_terminal", process_is_terminal},
    {NULL, NULL},
};

void bind_open_closing(lua_State *L, const char *name, lua_CFunction close) {
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
  bind_open_closing(L, GROUP, group_close);
  lua_newtable(L);
  bind_set_functions(L, S, functions);
  bind_open_folders(L, S);
  bind_open_terminal(L);
}
