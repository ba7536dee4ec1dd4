/* nn.Sequential and nn.ModuleList. Neighbouring C layers of a Sequential run in the runtime, without a
 * handle for what lies between them; other children are called through Lua. */
#include "nn.h"

#include "bindings/core/names.h"

#include <string.h>

static nn_container *check_container(lua_State *L, const char *operation) {
  if (!bind_is(L, bind_here(L), 1, BIND_CONTAINER))
    bind_error(L, operation, "expected a Sequential, got %s", bind_describe(L, 1));
  return lua_touserdata(L, 1);
}

/* ---- construction: upvalue 3 says whether it runs ---- */

#define MOST_CHILDREN 10000

static void check_child(lua_State *L, bind_state *S, const char *operation, bool runs, lua_Integer i) {
  const peri_layer *layer = nn_to_layer(L, S, -1);
  if (nn_kind_of(L, S, -1) == BIND_NONE) {
    bind_error(L, operation, "layer %I is %s (expected a module; functions can be wrapped with nn.Module.extend)", i,
               bind_describe(L, -1));
  }
  if (runs && layer != NULL && layer->kind->inputs != 1) {
    bind_error(L, operation, "layer %I is a %s, which takes %d inputs", i, layer->kind->name, layer->kind->inputs);
  }
}

static int depth_of(lua_State *L, const bind_state *S, const char *operation, int index) {
  int depth = bind_is(L, S, index, BIND_CONTAINER) ? ((const nn_container *)lua_touserdata(L, index))->depth : 1;
  if (depth >= NN_DEEPEST) bind_error(L, operation, "modules are nested more than %d deep", NN_DEEPEST);
  return depth;
}

/* Sequential(a, b, ...) or Sequential{a, b, ...} */
static int new_container(lua_State *L) {
  bind_state *S = bind_here(L);
  bool runs = lua_toboolean(L, lua_upvalueindex(3)), list = lua_gettop(L) == 1 && lua_istable(L, 1);
  const char *operation = runs ? "Sequential" : "ModuleList";
  lua_Integer n = list ? (lua_Integer)lua_rawlen(L, 1) : lua_gettop(L);
  if (n > MOST_CHILDREN)
    return bind_error(L, operation, "%I layers are too many (expected at most %d)", n, MOST_CHILDREN);
  nn_container *container =
      bind_push_object(L, S, BIND_CONTAINER, sizeof *container + (size_t)n * sizeof *container->layers, (int)n);
  int self = lua_gettop(L);
  container->training = true;
  container->runs = runs;
  container->first = -1;
  container->depth = 1;
  for (lua_Integer i = 1; i <= n; i++) {
    if (list) {
      lua_rawgeti(L, 1, i);
    } else {
      lua_pushvalue(L, (int)i);
    }
    check_child(L, S, operation, runs, i);
    container->depth = (int)peri_max(container->depth, 1 + depth_of(L, S, operation, -1));
    peri_layer *layer = nn_to_layer(L, S, -1);
    container->layers[i - 1] = layer != NULL && peri_layer_is_plain(layer->kind) ? peri_layer_retain(layer) : NULL;
    container->n = (int)i;
    lua_setiuservalue(L, self, (int)i);
  }
  return 1;
}

static void collect_container(void *object) {
  nn_container *container = object;
  while (container->n > 0) peri_layer_release(&container->layers[--container->n]);
}

/* ---- sequential(x): stack index 2 holds the value on its way ---- */

/* n layers behind `first` of them. */
static void run_layers(lua_State *L, bind_state *S, nn_container *container, int first, int n) {
  peri_layer *const *layers = container->layers + first;
  peri_tensor *x = bind_check_tensor(L, S, 2, "Sequential", "x"), **y = bind_new_tensor(L, S);
  container->first = first;
  S->running = L;
  peri_status status = peri_layers_forward(n, layers, x, y, &container->at);
  if (bind_retry(L, status)) { /* goes on where it failed */
    const int at = container->at;
    peri_tensor *reached = *y;
    *y = NULL;
    layers += at;
    container->first = first + at;
    status = peri_layers_forward(n - at, layers, reached != NULL ? reached : x, y, &container->at);
    peri_tensor_release(&reached);
  }
  if (status != PERI_OK) nn_raise(L, S, status, layers[container->at], 0);
  if (*y == x) { /* one tensor keeps one handle */
    peri_tensor_release(y);
    lua_settop(L, 2);
  } else {
    lua_replace(L, 2);
  }
  bind_charge(L, S);
}

static void run_child(lua_State *L, bind_state *S, int child) {
  lua_getiuservalue(L, 1, child);
  lua_pushvalue(L, 2);
  lua_call(L, 1, 1);
  if (bind_to_tensor(L, S, -1) == NULL) {
    const char *got = bind_describe(L, -1);
    lua_getiuservalue(L, 1, child);
    bind_error(L, "Sequential", "layer %d (%s) gave %s (expected a tensor)", child,
               nn_name(L, bind_here(L), lua_gettop(L)), got);
  }
  lua_replace(L, 2);
}

static int forward(lua_State *L) {
  bind_state *S = bind_here(L);
  nn_container *container = check_container(L, "forward");
  if (!container->runs)
    return bind_error(L, "ModuleList", "a list of modules has no forward (call its elements, or use nn.Sequential)");
  if (bind_to_tensor(L, S, 2) == NULL) bind_check_tensor(L, S, 2, "Sequential", "x");
  if (lua_gettop(L) > 2)
    return bind_error(L, "Sequential", "too many arguments: %s was not expected", bind_describe(L, 3));
  for (int i = 0, run; i < container->n; i += run) {
    for (run = 0; i + run < container->n && container->layers[i + run] != NULL && !container->layers[i + run]->hooked;)
      run++;
    if (run > 0) {
      run_layers(L, S, container, i, run);
    } else {
      run = 1;
      container->first = i;
      container->at = 0;
      run_child(L, S, i + 1);
    }
  }
  return 1;
}

static int call_container(lua_State *L) {
  return check_container(L, "forward")->hooked ? nn_call_hooked(L, forward) : forward(L);
}

/* ---- fields: upvalue 3 holds the methods ---- */

static int container_index(lua_State *L) {
  const nn_container *container = check_container(L, "Sequential");
  int whole = 0;
  lua_settop(L, 2);
  if (lua_type(L, 2) == LUA_TNUMBER) {
    lua_Integer i = lua_tointegerx(L, 2, &whole);
    if (whole && i >= 1 && i <= container->n) {
      lua_getiuservalue(L, 1, (int)i);
    } else {
      lua_pushnil(L);
    }
    return 1;
  }
  lua_pushvalue(L, 2);
  if (lua_gettable(L, lua_upvalueindex(3)) != LUA_TNIL) return 1;
  if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "training") == 0) {
    lua_pushboolean(L, container->training);
    return 1;
  }
  bind_guess guess = bind_guess_for(L, 2);
  bind_guess_keys(L, &guess, lua_upvalueindex(3));
  bind_guess_name(&guess, "training");
  return bind_no_field(L, nn_name(L, bind_here(L), 1), bind_describe(L, 2), &guess);
}

static int container_newindex(lua_State *L) {
  check_container(L, "Sequential");
  return bind_error(L, nn_name(L, bind_here(L), 1), "layers are given when it is made, and cannot be set later");
}

static int container_length(lua_State *L) {
  lua_pushinteger(L, check_container(L, "Sequential")->n);
  return 1;
}

/* ---- opening ---- */

static void set_constructor(lua_State *L, bind_state *S, int module, const char *name, bool runs, const char *doc) {
  lua_pushboolean(L, runs);
  bind_push_member(L, S, NULL, new_container, 1);
  bind_document(L, doc);
  lua_setfield(L, module, name);
}

static const bind_function container_methods[] = {{"forward", forward, NULL}, {NULL, NULL, NULL}};
static const luaL_Reg container_metamethods[] = {{"__call", call_container},   {"__tostring", nn_to_text},
                                                 {"__index", container_index}, {"__newindex", container_newindex},
                                                 {"__len", container_length},  {NULL, NULL}};
static const bind_class container_class = {.kind = BIND_CONTAINER,
                                           .name = "perilune.Container",
                                           .collect = collect_container,
                                           .methods = container_methods,
                                           .metamethods = container_metamethods,
                                           .called = nn_called};

void nn_open_containers(lua_State *L, bind_state *S, int methods, int module) {
  bind_open_class(L, S, &container_class, methods);
  set_constructor(
      L, S, module, "Sequential", true,
      "Sequential(layer, ...) -> module\n"
      "Layers applied one after the other; also of a list: Sequential{layer, ...}. net[i] is a layer, #net how many "
      "there are. An activation behind a Linear is computed in the same pass. Modules nest up to 100 deep.");
  set_constructor(L, S, module, "ModuleList", false,
                  "ModuleList(layer, ...) -> module\n"
                  "Modules in order, also of a list, for a layer written in Lua to keep: list[i], #list. Their "
                  "parameters belong to the whole.");
}
