/* The module's table: what `require "perilune"` returns. Nothing global is set. */
#include "bind.h"
#include "lua_sources.h"
#include "names.h"
#include "process.h"
#include "rows.h"
#include "base/blas.h"
#include "kernels/kernels.h"
#include "ops/rows.h"

#include <string.h>

/* ---- settings ---- */

static int manual_seed(lua_State *L) {
  int whole = 0;
  lua_Integer seed = lua_type(L, 1) == LUA_TNUMBER ? lua_tointegerx(L, 1, &whole) : 0;
  if (!whole) return bind_error(L, "manual_seed", "seed must be a whole number, got %s", bind_describe(L, 1));
  peri_manual_seed(bind_here(L)->context, (uint64_t)seed);
  /* in the program Lua's own random numbers follow too; other states belong to their hosts */
  if (lua_getfield(L, LUA_REGISTRYINDEX, "perilune.randomseed") == LUA_TFUNCTION) {
    lua_pushinteger(L, seed);
    lua_call(L, 1, 0);
  }
  return 0;
}

static int set_num_threads(lua_State *L) {
  int whole = 0;
  lua_Integer n = lua_type(L, 1) == LUA_TNUMBER ? lua_tointegerx(L, 1, &whole) : 0;
  if (!whole || n < 1)
    return bind_error(L, "set_num_threads", "n must be a whole number from 1, got %s", bind_describe(L, 1));
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
  const peri_context *context = bind_here(L)->context;
  lua_createtable(L, 0, 3);
  lua_pushinteger(L, (lua_Integer)context->in_use);
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
  bind_here(L)->context->fail_after = luaL_checkinteger(L, 1);
  return 0;
}

/* ---- parts that are loaded when they are first asked for ---- */

typedef struct part {
  const char *name;
  void (*open)(lua_State *L, bind_state *S); /* pushes the part */
} part;

static const part parts[] = {
    {"nn", bind_open_nn}, {"optim", bind_open_optim}, {"data", bind_open_data}, {"svm", bind_open_svm}, {NULL, NULL}};

/* Of the internal table: no script reaches these. */
static const part internal_parts[] = {
    {"process", bind_open_process}, {"data", bind_open_data_internal}, {"kernels", bind_open_kernels}, {NULL, NULL}};

/* Pushes the part of that name, or nothing. */
static bool push_part(lua_State *L, const part *list, const char *name) {
  for (; list->name != NULL; list++) {
    if (strcmp(list->name, name) != 0) continue;
    list->open(L, bind_here(L));
    return true;
  }
  return false;
}

/* Pushes the chunk of an embedded file ("plot", "plot.input"); false when there is none. */
static bool push_source(lua_State *L, const char *name) {
  for (const struct peri_lua_source *source = peri_lua_sources; source->name != NULL; source++) {
    if (strcmp(source->name, name) != 0) continue;
    lua_pushfstring(L, "=perilune/%s.lua", name);
    if (luaL_loadbufferx(L, source->text, source->size, lua_tostring(L, -1), "t") != LUA_OK) lua_error(L);
    lua_remove(L, -2);
    return true;
  }
  return false;
}

/* The part NAME ("plot": no piece of one) is what its chunk gives when it is called with the module's table, the
 * internal table, and the table that C has begun (or nil) at `begun`. */
static bool load_part(lua_State *L, const char *name, int module, int begun) {
  if (strchr(name, '.') != NULL || !push_source(L, name)) return false;
  lua_pushvalue(L, module);
  bind_push_internal(L);
  lua_pushvalue(L, begun);
  lua_call(L, 3, 1);
  return true;
}

/* internal.load(name, ...): what the embedded file gives when it is called with the arguments */
static int load_piece(lua_State *L) {
  int top = lua_gettop(L);
  if (!push_source(L, luaL_checkstring(L, 1))) return luaL_error(L, "no part %s", lua_tostring(L, 1));
  lua_replace(L, 1);
  lua_call(L, top - 1, 1);
  return 1;
}

static const char *key_of(lua_State *L) { return lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : ""; }

/* The module's __index; its table is an upvalue, so that no other table is ever given parts, nor is one opened twice.
 */
static int open_part(lua_State *L) {
  const char *name = key_of(L);
  lua_settop(L, 2);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_replace(L, 1);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, 1) != LUA_TNIL) return 1;
  lua_pop(L, 1);
  bool begun = push_part(L, parts, name);
  if (!begun) lua_pushnil(L);
  if (!load_part(L, name, 1, 3) && !begun) return 0;
  if (lua_istable(L, -1)) bind_set_part(L, -1, name);
  lua_pushvalue(L, -1);
  lua_setfield(L, 1, name);
  return 1;
}

/* The names of all parts as keys: the second upvalue of open_part, where the prompt's completion looks for what may
 * follow "peri.". */
static void push_part_names(lua_State *L) {
  lua_newtable(L);
  for (const part *row = parts; row->name != NULL; row++) {
    lua_pushboolean(L, true);
    lua_setfield(L, -2, row->name);
  }
  for (const struct peri_lua_source *source = peri_lua_sources; source->name != NULL; source++) {
    if (strchr(source->name, '.') != NULL) continue;
    lua_pushboolean(L, true);
    lua_setfield(L, -2, source->name);
  }
}

/* internal.parts(): the same */
static int part_names(lua_State *L) {
  push_part_names(L);
  return 1;
}

/* internal.part(value): the name of a part that was loaded, or nil */
static int part_name(lua_State *L) {
  lua_settop(L, 1);
  bind_push_part_name(L, 1);
  return 1;
}

/* The same for the internal table. */
static int open_internal_part(lua_State *L) {
  const char *name = key_of(L);
  lua_settop(L, 2);
  if (!push_part(L, internal_parts, name)) return 0;
  lua_pushvalue(L, -1);
  lua_setfield(L, 1, name);
  return 1;
}

/* Makes the internal table (bind.h). */
static void open_internal(lua_State *L, bind_state *S) {
  static const luaL_Reg internals[] = {
      {"load", load_piece}, {"raise", raise_message}, {"document", document}, {"describe", describe},
      {"meant", meant},     {"parts", part_names},    {"part", part_name},    {"is_contents", is_contents},
      {NULL, NULL}};
  bind_push_internal(L);
  bind_set_functions(L, S, internals);
  lua_createtable(L, 0, 1);
  bind_push_function(L, S, open_internal_part, 0);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
}

/* ---- peri.select ----
 * The name of a row is also that of the part that selects models: a table that can be called as the row is, and that
 * lua/select.lua fills when something in it is first asked for. */

static int call_select(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_replace(L, 1); /* in the place of the table */
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

/* Fills the table at 1, whose metatable then has no say in its fields. */
static void fill_select(lua_State *L) {
  if (load_part(L, "select", lua_upvalueindex(2), 1)) lua_pop(L, 1);
  lua_getmetatable(L, 1);
  for (const char *const *name = (const char *const[]){"__index", "__pairs", NULL}; *name != NULL; name++) {
    lua_pushnil(L);
    lua_setfield(L, -2, *name);
  }
  lua_pop(L, 1);
}

static int index_select(lua_State *L) {
  lua_settop(L, 2);
  fill_select(L);
  lua_rawget(L, 1);
  return 1;
}

static int next_entry(lua_State *L) {
  lua_settop(L, 2);
  return lua_next(L, 1) != 0 ? 2 : 0;
}

static int pairs_select(lua_State *L) {
  lua_settop(L, 1);
  fill_select(L);
  lua_pushcfunction(L, next_entry);
  lua_insert(L, 1);
  return 2;
}

/* Puts the table in the place of the row's function. */
static void open_select(lua_State *L, bind_state *S, int module) {
  lua_newtable(L);
  lua_createtable(L, 0, 4);
  lua_getfield(L, module, "select");
  bind_push_function(L, S, call_select, 1);
  lua_setfield(L, -2, "__call");
  lua_pushvalue(L, module);
  bind_push_function(L, S, index_select, 1);
  lua_setfield(L, -2, "__index");
  lua_pushvalue(L, module);
  bind_push_function(L, S, pairs_select, 1);
  lua_setfield(L, -2, "__pairs");
  lua_setmetatable(L, -2);
  bind_document(L, peri_op_select.doc);
  lua_setfield(L, module, "select");
}

/* ---- opening ---- */

static const bind_function functions[] = {
    {"manual_seed", manual_seed,
     "manual_seed(seed)\n"
     "Starts the default random stream anew: draws, initial weights and orders "
     "follow from the seed; in the program math.random's too."},
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
static const luaL_Reg hooks[] = {{"_fail_after", fail_after}, {NULL, NULL}};

int luaopen_perilune(lua_State *L) {
  bind_state *S = bind_open(L, NULL);
  lua_newtable(L);
  int module = lua_gettop(L);
  open_internal(L, S);
  bind_open_tensor(L, S);
  lua_settop(L, module);
  open_select(L, S, module);
  bind_set_documented(L, S, functions);
  bind_set_functions(L, S, hooks);
  bind_open_files(L, S);
  lua_pushstring(L, peri_version());
  lua_setfield(L, module, "version");
  lua_createtable(L, 0, 1);
  lua_pushvalue(L, module);
  push_part_names(L);
  bind_push_function(L, S, open_part, 2);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, module);
  bind_set_part(L, module, "peri");
  lua_getfield(L, module, "linalg");
  bind_set_part(L, -1, "linalg");
  lua_settop(L, module);
  return 1;
}

/* ---- for hosts ---- */

void peri_lua_open(lua_State *L, const peri_options *options) {
  bind_open(L, options);
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
