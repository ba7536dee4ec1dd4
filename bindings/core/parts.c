/* The parts of the module: the table of them, and how they are opened when they are first asked for. */
#include "parts.h"

#include "hooks.h"
#include "lua_sources.h"
#include "process.h"
#include "ops/rows.h"

#include <string.h>

/* ---- the table ---- */

typedef struct part {
  const char *name;                          /* behind "peri."; one with a dot comes with the part before it */
  void (*open)(lua_State *L, bind_state *S); /* pushes what C has of it; NULL: nothing */
  const char *title;                         /* over its section of the reference; NULL: a function of the module */
  const char *doc;                           /* what it is for, in a few lines */
  const char *file;                          /* that puts it, and perhaps others, into the module; NULL: of its name */
} part;

/* In the order of the reference. The rest of a part, or all of it, is bindings/lua/NAME.lua where there is such a
 * file; functions that share one name it. */
static const part parts[] = {
    {"linalg", NULL, "Linear algebra", "Equations and eigenvalues of matrices: operations, listed with the others."},
    {"nn", bind_open_nn, "Layers and losses",
     "A layer is called with a tensor: net(x). net:parameters() are what an optimiser trains, nn.Sequential puts "
     "layers one behind the other, and nn.Module.extend makes classes of layers in Lua."},
    {"nn.init", NULL, "Initial values",
     "What parameters begin with, in place of what their layers gave them: nn.init.xavier_uniform_(layer.weight). Each "
     "function writes to a tensor and gives it back; nothing is recorded."},
    {"nn.utils", NULL, "Gradients within bounds",
     "What is done to the gradients of parameters between loss:backward() and optimizer:step()."},
    {"optim", bind_open_optim, "Optimisers",
     "An optimiser is made with the parameters that it is to change: opt:zero_grad(), loss:backward(), opt:step()."},
    {"optim.lr_scheduler", NULL, "Schedules",
     "A schedule sets the learning rate of an optimiser; schedule:step() ends an epoch."},
    {"data", bind_open_data, "Data",
     "Sets that are generated or read, files, splits and transforms of features, and a loader of mini-batches."},
    {"svm", bind_open_svm, "Support vector machines",
     "Machines with a kernel, linear machines, and approximations of kernels: options in a table, then m:fit(X, y) and "
     "m:predict(X). X has a row for each example; labels are any whole numbers."},
    {"train", NULL, "Training",
     "The training loop of a network, and networks as estimators, which fit and predict as machines do."},
    {"metrics", NULL, "Metrics", "How good predictions are: what was predicted, then what is true."},
    {"model", NULL, "Pipelines and models",
     "What prepares features and what learns from them as one; and what was trained as C. peri.save_model and "
     "peri.load_model write and read files, which programs without Lua read, too."},
    {.name = "save_model", .file = "model.files"},
    {.name = "load_model", .file = "model.files"},
    {"select", NULL, "Selecting models",
     "Which model, with which parameters. An estimator is whatever has fit, predict and score: a machine, a network of "
     "train, a table written in Lua."},
    {"plot", NULL, "Pictures",
     "A figure is made of layers; it is saved as a file or shown in the terminal. gnuplot draws it."},
    {"run", NULL, "Records of runs", "What a run was made with, and what came of it, in a folder of its own."},
    {"script", NULL, "Scripts",
     "What experiments have in common: options of the command line, tables of results, times, a folder of pictures."},
    {"interactive", NULL, "At the prompt and in a notebook",
     "What the commands of the prompt do, as functions, and what a notebook shows."},
    {"Function", NULL, "Functions with a gradient of one's own",
     "peri.Function.extend makes functions whose gradient is written in Lua, and which are then a part of the graph as "
     "operations are.",
     .file = "autograd.function"},
    {.name = "gradcheck", .file = "autograd.check"},
    {.name = "gradgradcheck", .file = "autograd.check"},
    {.name = "checkpoint", .file = "autograd.checkpoint"},
    {.name = "explain", .file = "autograd.explain"},
    {.name = "jacobian", .file = "autograd.derivatives"},
    {.name = "hessian", .file = "autograd.derivatives"},
    {.name = "vjp", .file = "autograd.derivatives"},
    {.name = "jvp", .file = "autograd.derivatives"},
    {.name = "hvp", .file = "autograd.derivatives"},
    {.name = "per_sample_grad", .file = "autograd.derivatives"},
    {.name = "report"},
    {.name = "help"},
    {.name = "reference"}};

/* internal.parts: the rows as a list of {name =, title =, doc =}, for help and the reference */
static void push_parts(lua_State *L, bind_state *S) {
  (void)S;
  lua_createtable(L, (int)PERI_COUNT(parts), 0);
  for (size_t i = 0; i < PERI_COUNT(parts); i++) {
    lua_createtable(L, 0, 3);
    lua_pushstring(L, parts[i].name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, parts[i].title);
    lua_setfield(L, -2, "title");
    lua_pushstring(L, parts[i].doc);
    lua_setfield(L, -2, "doc");
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

/* Of the internal table: no script reaches these. What C does not open is bindings/lua/internal/NAME.lua. */
static const part internal_parts[] = {{.name = "process", .open = bind_open_process},
                                      {.name = "data", .open = bind_open_data_internal},
                                      {.name = "kernels", .open = bind_open_kernels},
                                      {.name = "steps", .open = bind_open_steps},
                                      {.name = "parts", .open = push_parts},
                                      {.name = "autograd", .open = bind_open_autograd},
                                      {.name = "model", .open = bind_open_models},
                                      {.name = "check"},
                                      {.name = "json"},
                                      {.name = "text"},
                                      {.name = "tree"},
                                      {.name = "augment"},
                                      {.name = "base64"},
                                      {.name = "describe_tensor"}};

static const part *find_part(const part *list, size_t n, const char *name) {
  for (; n > 0; n--, list++) {
    if (strcmp(list->name, name) == 0) return list;
  }
  return NULL;
}

/* ---- what is written in Lua ---- */

/* Pushes the chunk of an embedded file ("plot", "plot.input"); false when there is none. */
static bool push_source(lua_State *L, const char *name) {
  for (const struct peri_lua_source *source = peri_lua_sources; source->name != NULL; source++) {
    if (strcmp(source->name, name) != 0) continue;
    lua_pushfstring(L, "=perilune/%s.lua", name);
    if (luaL_loadbufferx(L, source->text, source->size, lua_tostring(L, -1), "t") != LUA_OK) lua_error(L);
    lua_remove(L, -2);
    if (lua_getfield(L, LUA_REGISTRYINDEX, "perilune.environment") == LUA_TTABLE)
      lua_setupvalue(L, -2, 1); /* a limited state's own globals, where no script reaches (bindings/limits) */
    else
      lua_pop(L, 1);
    return true;
  }
  return false;
}

/* What the part's chunk gives when it is called with the module's table, the
 * internal table, and the table that C has begun (or nil) at `begun`. */
static bool load_part(lua_State *L, const char *name, int module, int begun) {
  if (!push_source(L, name)) return false;
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

/* internal.source(name): the text of a file of the runtime, "kernels/mathfun.h" */
static int push_runtime_source(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  for (const struct peri_lua_source *source = peri_runtime_sources; source->name != NULL; source++) {
    if (strcmp(source->name, name) != 0) continue;
    lua_pushlstring(L, source->text, source->size);
    return 1;
  }
  return luaL_error(L, "no file %s", name);
}

/* ---- opening ---- */

static const char *key_of(lua_State *L) { return lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : ""; }

/* The module's __index; its table is an upvalue, so that no other table is ever given parts, nor is one opened twice.
 */
static int open_part(lua_State *L) {
  const part *row = find_part(parts, PERI_COUNT(parts), key_of(L));
  lua_settop(L, 2);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_replace(L, 1);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, 1) != LUA_TNIL) return 1;
  lua_pop(L, 1);
  if (row == NULL) return 0;
  if (row->open != NULL) {
    row->open(L, bind_here(L));
  } else {
    lua_pushnil(L);
  }
  if (!load_part(L, row->file != NULL ? row->file : row->name, 1, 3) && row->open == NULL) return 0;
  if (row->file != NULL) { /* it has put all of its functions into the module */
    lua_pushvalue(L, 2);
    lua_rawget(L, 1);
    if (lua_istable(L, -1)) bind_set_part(L, -1, row->name);
    return 1;
  }
  if (lua_istable(L, -1)) bind_set_part(L, -1, row->name);
  lua_pushvalue(L, -1);
  lua_setfield(L, 1, row->name);
  return 1;
}

/* The same for the internal table; a file is called with the module's table (an upvalue) and the internal one. */
static int open_internal_part(lua_State *L) {
  const part *row = find_part(internal_parts, PERI_COUNT(internal_parts), key_of(L));
  lua_settop(L, 2);
  if (row == NULL) return 0;
  if (row->open != NULL) {
    row->open(L, bind_here(L));
  } else {
    if (!push_source(L, lua_pushfstring(L, "internal.%s", row->name))) return 0;
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_pushvalue(L, 1);
    lua_call(L, 2, 1);
  }
  lua_pushvalue(L, -1);
  lua_setfield(L, 1, row->name);
  return 1;
}

/* The names as keys: the second upvalue of open_part, where the prompt's completion looks for what may follow "peri.".
 */
static void push_part_names(lua_State *L) {
  lua_newtable(L);
  for (size_t i = 0; i < PERI_COUNT(parts); i++) {
    if (strchr(parts[i].name, '.') != NULL) continue;
    lua_pushboolean(L, true);
    lua_setfield(L, -2, parts[i].name);
  }
}

/* internal.part(value): the name of a part that was loaded, or nil */
static int part_name(lua_State *L) {
  lua_settop(L, 1);
  bind_push_part_name(L, 1);
  return 1;
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
  bind_set_part(L, -1, "select");
  lua_setfield(L, module, "select");
}

/* ---- the module's and the internal table ---- */

static void open_internal(lua_State *L, bind_state *S, int module) {
  static const luaL_Reg internals[] = {
      {"load", load_piece}, {"part", part_name}, {"source", push_runtime_source}, {NULL, NULL}};
  bind_push_internal(L);
  bind_set_functions(L, S, internals);
  lua_createtable(L, 0, 1);
  lua_pushvalue(L, module);
  bind_push_function(L, S, open_internal_part, 1);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
}

void bind_open_parts(lua_State *L, bind_state *S, int module) {
  open_internal(L, S, module);
  open_select(L, S, module);
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
}
