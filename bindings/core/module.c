/* The module's table: what `require "perilune"` returns. Nothing global is set. */
#include "bind.h"
#include "names.h"
#include "parts.h"
#include "rows.h"
#include "base/blas.h"
#include "base/memory.h"
#include "kernels/kernels.h"

#include <string.h>

/* ---- settings ---- */

static int manual_seed(lua_State *L) {
  lua_Integer seed = bind_check_whole(L, 1, "manual_seed", "seed", LUA_MININTEGER);
  peri_manual_seed(bind_here(L)->context, (uint64_t)seed);
  /* in the program Lua's own random numbers follow too; other states belong to their hosts */
  if (lua_getfield(L, LUA_REGISTRYINDEX, "perilune.randomseed") == LUA_TFUNCTION) {
    lua_pushinteger(L, seed);
    lua_call(L, 1, 0);
  }
  return 0;
}

static int set_num_threads(lua_State *L) {
  lua_Integer n = bind_check_whole(L, 1, "set_num_threads", "n", 1);
  peri_set_threads(bind_here(L)->context, n > 1024 ? 1024 : (int)n);
  return 0;
}

static int get_num_threads(lua_State *L) {
  lua_pushinteger(L, peri_threads(bind_here(L)->context));
  return 1;
}

/* ---- facts ---- */

static int now(lua_State *L) {
  lua_pushnumber(L, peri_now());
  return 1;
}

static int build_info(lua_State *L) {
  lua_createtable(L, 0, 7);
  lua_pushstring(L, peri_version());
  lua_setfield(L, -2, "version");
#ifdef __clang__
  lua_pushfstring(L, "clang %d.%d.%d", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
  lua_pushliteral(L, "gcc " __VERSION__);
#endif
  lua_setfield(L, -2, "compiler");
  lua_pushstring(L, bind_here(L)->context->kernels->name);
  lua_setfield(L, -2, "kernels");
  lua_pushboolean(L, bind_here(L)->context->kernels->same_bits);
  lua_setfield(L, -2, "same_bits");
  peri_blas_facts facts;
  BIND_TRY(L, bind_here(L), peri_blas_facts_get(bind_here(L)->context, &facts));
  lua_pushstring(L, facts.config);
  lua_setfield(L, -2, "openblas");
  lua_pushstring(L, facts.core);
  lua_setfield(L, -2, "openblas_core");
  return 1;
}

/* peri.memory(): bytes that tensors and workspaces use, their peak, and the limit */
static int memory(lua_State *L) {
  const peri_context *context = bind_here_always(L)->context;
  bind_sweep_hooks(L, bind_here_always(L));
  lua_createtable(L, 0, 3);
  lua_pushinteger(L, (lua_Integer)peri_memory_in_use(context));
  lua_setfield(L, -2, "in_use");
  lua_pushinteger(L, (lua_Integer)context->peak);
  lua_setfield(L, -2, "peak");
  lua_pushinteger(L, (lua_Integer)context->limit);
  lua_setfield(L, -2, "limit");
  return 1;
}

/* ---- for the parts that are written in Lua ---- */

/* internal.raise(message): an error with the position of the script, not of the module's own Lua code */
static int raise_message(lua_State *L) { return bind_error(L, NULL, "%s", luaL_checkstring(L, 1)); }

/* internal.document(name, doc, function, table): puts a documented function into a table */
static int document(lua_State *L) {
  lua_settop(L, 4);
  lua_pushvalue(L, 3);
  bind_document_value(L, 2);
  lua_setfield(L, 4, luaL_checkstring(L, 1));
  return 0;
}

/* internal.set_class(name, title, methods, metatable): see bind_set_class; metatable where methods is not the same */
static int set_class(lua_State *L) {
  lua_settop(L, 4);
  bind_set_class(L, luaL_checkstring(L, 1), luaL_optstring(L, 2, NULL), 3);
  if (lua_isnil(L, 4)) return 0;
  bind_push_internal(L);
  lua_getfield(L, -1, "classes");
  lua_pushvalue(L, 4);
  lua_setfield(L, -2, lua_tostring(L, 1));
  return 0;
}

/* internal.describe(value): as messages of the C functions name a value */
static int describe(lua_State *L) {
  lua_settop(L, 1);
  lua_pushstring(L, bind_describe(L, 1));
  return 1;
}

/* internal.meant(name, known): ": did you mean NAME?" when one of the known (a list of names, a table with names as
 * keys, or a string with words) is close to it, else "" */
static int meant(lua_State *L) {
  lua_settop(L, 2);
  bind_guess guess = bind_guess_for(L, 1);
  if (lua_type(L, 2) == LUA_TSTRING) {
    const char *word = lua_tostring(L, 2);
    lua_newtable(L);
    for (size_t n; word += strspn(word, ", "), (n = strcspn(word, ", ")) > 0; word += n) {
      lua_pushlstring(L, word, n);
      lua_rawseti(L, 3, (lua_Integer)lua_rawlen(L, 3) + 1);
    }
    lua_replace(L, 2);
  }
  luaL_checktype(L, 2, LUA_TTABLE);
  for (lua_Integer i = 1; lua_rawgeti(L, 2, i) == LUA_TSTRING; i++, lua_pop(L, 1))
    bind_guess_name(&guess, lua_tostring(L, -1));
  bind_guess_keys(L, &guess, 2);
  bind_push_guess(L, &guess);
  return 1;
}

/* internal.look(): raises what has stopped the context; functions in Lua begin with it, as those in C with bind_here */
static int look(lua_State *L) {
  bind_here(L);
  return 0;
}

/* internal.joined(table, ...) -> a new table of what they hold, the later before the earlier: with room for it at once
 */
static int joined(lua_State *L) {
  const int n = lua_gettop(L);
  int entries = 0;
  for (int i = 1; i <= n; i++) {
    for (lua_pushnil(L); lua_next(L, i) != 0; lua_pop(L, 1)) entries++;
  }
  lua_createtable(L, 0, entries);
  for (int i = 1; i <= n; i++) {
    for (lua_pushnil(L); lua_next(L, i) != 0;) {
      lua_pushvalue(L, -2);
      lua_insert(L, -2);
      lua_rawset(L, n + 1);
    }
  }
  return 1;
}

/* internal.put_back(f, ...): calls f, which puts something back where it was, though the context may be stopped */
static int put_back(lua_State *L) {
  peri_context *context = bind_here_always(L)->context;
  bool shielded = context->shielded;
  context->shielded = true;
  int status = lua_pcall(L, lua_gettop(L) - 1, 0, 0);
  context->shielded = shielded;
  return status == LUA_OK ? 0 : lua_error(L);
}

/* internal.say(text): to io.stderr; nothing where a host has left io out */
static int say(lua_State *L) {
  luaL_checkstring(L, 1);
  if (lua_getglobal(L, "io") != LUA_TTABLE || lua_getfield(L, -1, "stderr") == LUA_TNIL) return 0;
  lua_getfield(L, -1, "write");
  lua_insert(L, -2);
  lua_pushvalue(L, 1);
  lua_call(L, 2, 0);
  return 0;
}

/* internal.is_contents(options): see bind.h */
static int is_contents(lua_State *L) {
  lua_pushboolean(L, bind_is_contents(L, 1));
  return 1;
}

/* peri.documentation(value): the text of a function of the module, or nil */
static int documentation(lua_State *L) {
  lua_settop(L, 1);
  bind_push_document(L, 1);
  return 1;
}

/* ---- for tests ---- */

/* peri._fail_after(n): n further allocations succeed, then none; negative: off. For tests. */
static int fail_after(lua_State *L) {
  bind_here_always(L)->context->fail_after = luaL_checkinteger(L, 1);
  return 0;
}

/* peri._looks(n) -> how often computations have looked whether they were stopped, since they were counted. From now on
 * they are, and look n is the one at which they find that they were; 0: none; nothing: they are no longer counted. */
static int looks(lua_State *L) {
  peri_context *context = bind_here_always(L)->context;
  bool counted = !lua_isnoneornil(L, 1);
  int64_t raise_at = luaL_optinteger(L, 1, 0);
  lua_pushinteger(L, atomic_load(&context->looks));
  atomic_fetch_and(&context->interrupt->signals, ~(unsigned)(PERI_SIGNAL_COUNT | PERI_SIGNAL_CANCEL));
  atomic_store(&context->looks, 0);
  context->raise_at = raise_at;
  if (counted) atomic_fetch_or(&context->interrupt->signals, PERI_SIGNAL_COUNT);
  return 1;
}

/* ---- opening ---- */

static const luaL_Reg internals[] = {{"raise", raise_message},
                                     {"document", document},
                                     {"describe", describe},
                                     {"set_class", set_class},
                                     {"meant", meant},
                                     {"is_contents", is_contents},
                                     {"look", look},
                                     {"joined", joined},
                                     {"say", say},
                                     {"put_back", put_back},
                                     {NULL, NULL}};

static const bind_function functions[] = {
    {"manual_seed", manual_seed,
     "manual_seed(seed)\n"
     "Starts the default random stream anew: draws, initial weights and orders follow from the seed; in the program "
     "math.random's too."},
    {"set_num_threads", set_num_threads,
     "set_num_threads(n)\nHow many threads work on large operations. Results do not depend on it."},
    {"get_num_threads", get_num_threads, "get_num_threads() -> integer\nHow many threads work on large operations."},
    {"now", now, "now() -> number\nMonotonic seconds, for measuring."},
    {"build_info", build_info,
     "build_info() -> table\n"
     "version, compiler, kernels (the instruction set chosen), same_bits, openblas and openblas_core. same_bits is "
     "true "
     "where results have the bits that they have on every machine with FMA (x86-64-v3, v4 and aarch64), false where "
     "they are this processor's own: on an x86-64 without FMA, unless PERILUNE_EXACT=1 stands in the environment, "
     "which "
     "computes the same bits there slowly."},
    {"memory", memory, "memory() -> {in_use =, peak =, limit =}\nBytes that tensors and workspaces use."},
    {"documentation", documentation,
     "documentation(x) -> string or nil\n"
     "The documentation of a function or class of the module, as help shows it."},
    {NULL, NULL, NULL}};

/* For tests: they make calls fail and reach nothing. */
static const luaL_Reg hooks[] = {{"_fail_after", fail_after}, {"_looks", looks}, {NULL, NULL}};

/* A compiler takes the address of a function for one. */
static bool is_there(volatile uintptr_t function) { return function != 0; }

/* In another Lua than 5.4 nothing may be called that this one alone has (lua_later.h). */
static int refuse_lua(lua_State *L) {
  enum { GLOBALS_OF_5_1 = -10002 };
  if (is_there((uintptr_t)&lua_getglobal))
    lua_getglobal(L, "_VERSION");
  else
    lua_getfield(L, GLOBALS_OF_5_1, "_VERSION");
  return luaL_error(L, "perilune needs Lua 5.4, this is %s", lua_tolstring(L, -1, NULL));
}

int luaopen_perilune(lua_State *L) {
  if (!is_there((uintptr_t)&lua_newuserdatauv)) return refuse_lua(L);
  bind_state *S = bind_open(L, NULL);
  lua_newtable(L);
  int module = lua_gettop(L);
  bind_push_internal(L);
  bind_set_functions(L, S, internals);
  lua_settop(L, module);
  bind_open_tensor(L, S);
  lua_settop(L, module);
  bind_set_documented(L, S, functions);
  bind_set_functions(L, S, hooks);
  bind_open_files(L, S);
  lua_settop(L, module);
  bind_open_replay(L, S);
  lua_pushstring(L, peri_version());
  lua_setfield(L, module, "version");
  bind_open_parts(L, S, module);
  return 1;
}

/* ---- for hosts ---- */

/* Of options that come when there is a context: a limit must not be void in silence. */
static void apply_options(lua_State *L, bind_state *S, const peri_options *options) {
  peri_options given = {0};
  if (peri_read_options(options, &given, sizeof given) != PERI_OK)
    luaL_error(L,
               "perilune: the options have no size (expected sizeof(peri_options)), or a field that is not known here");
  if (given.memory_limit != 0 && peri_set_memory_limit(S->context, given.memory_limit) != PERI_OK)
    luaL_error(L, "perilune: %s", peri_message(S->context));
  if (given.threads > 0) peri_set_threads(S->context, given.threads);
  if (given.keep_blas_threads != 0) S->context->keep_blas_threads = true;
}

void peri_lua_open(lua_State *L, const peri_options *options) {
  apply_options(L, bind_open(L, options), options);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "perilune") == LUA_TTABLE) {
    lua_remove(L, -2);
    return;
  }
  lua_pop(L, 1);
  luaopen_perilune(L);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "perilune");
  lua_remove(L, -2);
}

void peri_lua_push_tensor(lua_State *L, peri_tensor *tensor) {
  bind_state *S = bind_open(L, NULL);
  if (peri_tensor_context(tensor) != S->context) luaL_error(L, "push_tensor: the tensor belongs to another context");
  if (S->meta[BIND_TENSOR] == NULL) { /* the context was asked for before the module */
    peri_lua_open(L, NULL);
    lua_pop(L, 1);
  }
  bind_push_tensor(L, S, &tensor);
}

peri_tensor *peri_lua_to_tensor(lua_State *L, int index) { return bind_to_tensor(L, bind_open(L, NULL), index); }

peri_tensor *peri_lua_check_tensor(lua_State *L, int index) {
  return bind_check_tensor(L, bind_open(L, NULL), index, "tensor", "the argument");
}
