/* peri.nn: the layers and losses of the runtime's table as userdata, one constructor for each row. */
#include "nn.h"

#include "nn/parameter.h"
#include "bindings/core/names.h"
#include "bindings/core/options.h"
#include "bindings/core/tensor.h"

#include <string.h>

/* ---- what all modules share ---- */

bind_kind nn_kind_of(lua_State *L, const bind_state *S, int index) {
  bind_kind kind = bind_kind_of(L, S, index);
  return kind == BIND_LAYER || kind == BIND_CONTAINER || kind == BIND_OBJECT ? kind : BIND_NONE;
}

peri_layer *nn_to_layer(lua_State *L, const bind_state *S, int index) {
  return bind_is(L, S, index, BIND_LAYER) ? *(peri_layer **)lua_touserdata(L, index) : NULL;
}

const char *nn_name(lua_State *L, const bind_state *S, int index) {
  switch (nn_kind_of(L, S, index)) {
  case BIND_LAYER:
    return nn_to_layer(L, S, index)->kind->name;
  case BIND_CONTAINER:
    return ((const nn_container *)lua_touserdata(L, index))->runs ? "Sequential" : "ModuleList";
  case BIND_OBJECT:
    break;
  default:
    return bind_describe(L, index);
  }
  lua_getiuservalue(L, index, NN_CLASS);
  int kind = luaL_getmetafield(L, -1, "__name"); /* the script may have changed, or taken away, the metatable */
  if (kind != LUA_TNIL && kind != LUA_TSTRING) lua_pop(L, 1);
  if (kind != LUA_TSTRING) lua_pushliteral(L, "Module");
  lua_remove(L, -2);
  return lua_tostring(L, -1);
}

const char *nn_called(lua_State *L, int index) { return nn_name(L, bind_open(L, NULL), index); }

/* ---- construction: upvalue 2 is the kind ---- */

/* The numbers of the size at index; returns how many. */
static int read_size(lua_State *L, int index, const peri_layer_kind *kind, const peri_layer_size *size,
                     int64_t *numbers) {
  const int n = peri_layer_size_values(size);
  int whole = 0;
  if (n > 1 && lua_type(L, index) != LUA_TNUMBER) {
    double values[PERI_LAYER_SIZES];
    const peri_option option = nn_size_option(size);
    bind_read_option(L, index, kind->name, &option, values);
    for (int i = 0; i < n; i++) {
      numbers[i] = fabs(values[i]) < 0x1p62 ? (int64_t)values[i] : INT64_MAX;
      if (isnan(values[i])) numbers[i] = 0;
      if (values[i] == 0 && !size->zero) bind_error(L, kind->name, "%s is 0 (expected at least 1)", size->name);
    }
    return n;
  }
  lua_Integer value = lua_type(L, index) == LUA_TNUMBER ? lua_tointegerx(L, index, &whole) : 0;
  if (!whole) bind_error(L, kind->name, "%s must be a whole number, got %s", size->name, bind_describe(L, index));
  for (int i = 0; i < n; i++) numbers[i] = i > 0 && size->open ? 0 : value;
  return n;
}

/* The names that are no options of the row: dtype of a kind with parameters of its own, and tensors that are given. */
static bool more_options(const peri_layer_kind *kind, const char *names[PERI_LAYER_PARAMETERS + 2]) {
  bool own = false;
  int n = 0;
  for (const peri_layer_parameter *row = peri_kind_parameters(kind); row->name != NULL; row++) {
    own |= !row->given;
    if (row->given) names[n++] = row->name;
  }
  if (own) names[n++] = "dtype";
  names[n] = NULL;
  return own;
}

static void give_tensors(lua_State *L, bind_state *S, int table, peri_layer *layer) {
  const peri_layer_kind *kind = layer->kind;
  for (int i = 0; peri_kind_parameters(kind)[i].name != NULL; i++) {
    if (!peri_kind_parameters(kind)[i].given) continue;
    if (bind_push_entry(L, table, peri_kind_parameters(kind)[i].name) != LUA_TNIL)
      BIND_TRY(L, S,
               peri_layer_give(layer, i, bind_check_tensor(L, S, -1, kind->name, peri_kind_parameters(kind)[i].name)));
    lua_pop(L, 1);
  }
}

/* A number in their place is the first option elsewhere: Dropout(0.5). */
static void refuse_number(lua_State *L, const peri_layer_kind *kind, int index) {
  if (lua_type(L, index) != LUA_TNUMBER || peri_kind_options(kind)[0].name == NULL) return;
  const char *value = bind_describe(L, index);
  bind_error(L, kind->name, "options must be a table, got %s (options have names: {%s = %s})", value,
             peri_kind_options(kind)[0].name, value);
}

static int new_layer(lua_State *L) {
  bind_state *S = bind_here(L);
  const peri_layer_kind *kind = lua_touserdata(L, lua_upvalueindex(2));
  int64_t sizes[PERI_LAYER_SIZES] = {0};
  double options[PERI_LAYER_VALUES];
  peri_dtype dtype = PERI_FLOAT32;
  int table = 1, n = 0;
  for (; peri_kind_sizes(kind)[table - 1].name != NULL; table++)
    n += read_size(L, table, kind, &peri_kind_sizes(kind)[table - 1], &sizes[n]);
  if (lua_gettop(L) > table)
    return bind_error(L, kind->name, "too many arguments: %s was not expected", bind_describe(L, table + 1));
  lua_settop(L, table);
  refuse_number(L, kind, table);
  const char *more[PERI_LAYER_PARAMETERS + 2];
  bool has_dtype = more_options(kind, more);
  peri_layer_defaults(kind, sizes, options);
  bind_read_options(L, table, kind->name, peri_kind_options(kind), more, options);
  if (has_dtype && bind_push_entry(L, table, "dtype") != LUA_TNIL) dtype = bind_check_dtype(L, -1, kind->name);
  peri_layer **handle = bind_push_object(L, S, BIND_LAYER, sizeof *handle, 0);
  BIND_TRY(L, S, peri_layer_new(S->context, kind, dtype, sizes, options, handle));
  give_tensors(L, S, table, *handle);
  bind_charge(L, S);
  return 1;
}

static void collect_layer(void *object) { peri_layer_release(object); }

/* ---- layer(x), loss(input, target) ---- */

static peri_layer *check_layer(lua_State *L) {
  peri_layer *layer = nn_to_layer(L, bind_here(L), 1);
  if (layer == NULL) bind_error(L, "forward", "expected a layer, got %s", bind_describe(L, 1));
  return layer;
}

static const char *input_name(const peri_layer_kind *kind, int i) {
  return kind->inputs > 1 ? kind->row->params[i].name : "x";
}

/* Inputs that stand in the trailing table at index `at`; they stay on the stack. A list stands for an int64 tensor. */
static void read_named(lua_State *L, bind_state *S, int at, const peri_layer_kind *kind, const char *const *names,
                       peri_tensor **inputs) {
  const peri_option none = {NULL};
  bind_read_options(L, at, kind->name, &none, names, NULL);
  for (int i = 0; peri_kind_further(kind)[i].name != NULL; i++) {
    const char *name = peri_kind_further(kind)[i].name;
    if (!peri_kind_further(kind)[i].named || bind_push_entry(L, at, name) == LUA_TNIL) continue;
    if (lua_istable(L, -1)) bind_tensor_from_value(L, S, lua_gettop(L), PERI_INT64, kind->name);
    inputs[i] = bind_check_tensor(L, S, -1, kind->name, name);
  }
}

/* States in one table, as in Python. */
static void refuse_list(lua_State *L, const peri_layer_kind *kind) {
  lua_pushfstring(L, "layer(x");
  for (int i = 0; peri_kind_further(kind)[i].name != NULL && !peri_kind_further(kind)[i].named; i++) {
    lua_pushfstring(L, ", %s", peri_kind_further(kind)[i].name);
    lua_concat(L, 2);
  }
  bind_error(L, kind->name, "%s must be a tensor, got a list (expected %s))", peri_kind_further(kind)[0].name,
             lua_tostring(L, -1));
}

/* The inputs that may be left out: by place, then those in a trailing table. */
static void read_further(lua_State *L, bind_state *S, const peri_layer_kind *kind, peri_tensor **inputs) {
  const char *names[PERI_LAYER_INPUTS + 1] = {NULL};
  int at = kind->inputs + 2, n = 0;
  for (int i = 0; peri_kind_further(kind)[i].name != NULL; i++) {
    if (peri_kind_further(kind)[i].named) names[n++] = peri_kind_further(kind)[i].name;
  }
  for (int i = 0; peri_kind_further(kind)[i].name != NULL; i++) {
    inputs[i] = NULL;
    if (i == 0 && n > 0 && lua_istable(L, at) && lua_rawlen(L, at) > 0) refuse_list(L, kind);
    if (peri_kind_further(kind)[i].named || (n > 0 && lua_istable(L, at))) continue;
    if (peri_kind_further(kind)[i].whole && lua_istable(L, at)) {
      bind_tensor_from_value(L, S, at, PERI_INT64, kind->name);
      lua_replace(L, at);
    }
    if (!lua_isnoneornil(L, at)) inputs[i] = bind_check_tensor(L, S, at, kind->name, peri_kind_further(kind)[i].name);
    at++;
  }
  if (n == 0) at--; /* there is no table */
  if (lua_gettop(L) > at)
    bind_error(L, kind->name, "too many arguments: %s was not expected", bind_describe(L, at + 1));
  if (n > 0 && !lua_isnoneornil(L, at)) read_named(L, S, at, kind, names, inputs);
}

static int call_for_several(lua_State *L, bind_state *S, const peri_layer *layer, peri_tensor *const *inputs) {
  const int n = layer->kind->outputs;
  peri_tensor *results[PERI_LAYER_OUTPUTS], **handles[PERI_LAYER_OUTPUTS];
  for (int i = 0; i < n; i++) handles[i] = bind_new_tensor(L, S);
  peri_status status = peri_layer_forward(layer, inputs, results);
  if (bind_retry(L, status)) status = peri_layer_forward(layer, inputs, results);
  if (status != PERI_OK) return nn_raise(L, S, status, layer, 1);
  for (int i = 0; i < n; i++) *handles[i] = results[i];
  bind_charge(L, S);
  return n;
}

static int forward(lua_State *L) {
  bind_state *S = bind_here(L);
  const peri_layer *layer = check_layer(L);
  const int n = layer->kind->inputs;
  peri_tensor *inputs[PERI_LAYER_INPUTS];
  for (int i = 0; i < n; i++) {
    inputs[i] = bind_to_tensor(L, S, 2 + i);
    if (inputs[i] == NULL) bind_check_tensor(L, S, 2 + i, layer->kind->name, input_name(layer->kind, i));
  }
  if (peri_kind_further(layer->kind)[0].name != NULL)
    read_further(L, S, layer->kind, inputs + n);
  else if (lua_gettop(L) > n + 1)
    return bind_error(L, layer->kind->name, "too many arguments: %s was not expected", bind_describe(L, n + 2));
  S->running = L;
  if (layer->kind->outputs > 1) return call_for_several(L, S, layer, inputs);
  peri_tensor **handle = bind_new_tensor(L, S);
  peri_status status = peri_layer_forward(layer, inputs, handle);
  if (bind_retry(L, status)) status = peri_layer_forward(layer, inputs, handle);
  if (status != PERI_OK) return nn_raise(L, S, status, layer, 1);
  if (*handle == inputs[0]) { /* one tensor keeps one handle */
    peri_tensor_release(handle);
    lua_pushvalue(L, 2);
  }
  bind_charge(L, S);
  return 1;
}

static int call_layer(lua_State *L) { return check_layer(L)->hooked ? nn_call_hooked(L, forward) : forward(L); }

/* ---- fields ---- */

static void push_size(lua_State *L, const peri_layer_size *size, const int64_t *values) {
  if (size->count <= 1) {
    lua_pushinteger(L, *values);
    return;
  }
  lua_createtable(L, size->count, 0);
  for (int i = 0; i < size->count && (values[i] != 0 || !size->open); i++) {
    lua_pushinteger(L, values[i]);
    lua_rawseti(L, -2, i + 1);
  }
}

/* Sizes and options, as the layer was made. */
static bool push_argument(lua_State *L, const peri_layer *layer, const char *name) {
  const int64_t *values = layer->sizes;
  for (const peri_layer_size *size = peri_kind_sizes(layer->kind); size->name != NULL; size++) {
    if (strcmp(size->name, name) == 0) {
      push_size(L, size, values);
      return true;
    }
    values += peri_layer_size_values(size);
  }
  return bind_push_named_option(L, peri_kind_options(layer->kind), layer->options, name);
}

static int no_field(lua_State *L, const peri_layer *layer) {
  bind_guess guess = bind_guess_for(L, 2);
  bind_guess_keys(L, &guess, lua_upvalueindex(3));
  bind_guess_options(&guess, peri_kind_options(layer->kind));
  char room[PERI_LAYER_NAME];
  for (int i = 0; i < layer->parameter_count; i++) bind_guess_name(&guess, peri_layer_parameter_name(layer, i, room));
  for (const peri_layer_size *size = peri_kind_sizes(layer->kind); size->name != NULL; size++)
    bind_guess_name(&guess, size->name);
  return bind_no_field(L, layer->kind->name, bind_describe(L, 2), &guess);
}

/* Upvalue 3 holds the methods. */
static int layer_index(lua_State *L) {
  const peri_layer *layer = check_layer(L);
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (lua_gettable(L, lua_upvalueindex(3)) != LUA_TNIL) return 1;
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  int parameter = peri_layer_find_parameter(layer, name);
  if (parameter >= 0 && layer->parameters[parameter] != NULL) {
    bind_push_tensor(L, bind_here(L), &layer->parameters[parameter]);
  } else if (parameter >= 0) {
    lua_pushnil(L);
  } else if (strcmp(name, "training") == 0) {
    lua_pushboolean(L, layer->training);
  } else if (!push_argument(L, layer, name)) {
    return no_field(L, layer);
  }
  return 1;
}

static int layer_newindex(lua_State *L) {
  bind_state *S = bind_here(L);
  peri_layer *layer = check_layer(L);
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  int parameter = peri_layer_find_parameter(layer, name);
  if (parameter < 0) return bind_error(L, layer->kind->name, "field %s cannot be set", bind_describe(L, 2));
  BIND_TRY(L, S, peri_layer_set_parameter(layer, parameter, bind_check_tensor(L, S, 3, layer->kind->name, name)));
  return 0;
}

/* ---- nn.Parameter ---- */

static int new_parameter(lua_State *L) {
  bind_state *S = bind_here(L);
  peri_tensor *x = bind_check_tensor(L, S, 1, "Parameter", "the argument");
  lua_settop(L, 1);
  peri_tensor **handle = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_parameter_new(x, handle));
  if (*handle == x) {
    peri_tensor_release(handle);
    lua_settop(L, 1);
  } else {
    bind_register_handle(L, S, -1);
  }
  return 1;
}

/* ---- nn.type ---- */

static int type_of(lua_State *L) {
  luaL_checkany(L, 1);
  if (nn_kind_of(L, bind_here(L), 1) == BIND_NONE) {
    lua_pushnil(L);
  } else {
    lua_pushstring(L, nn_name(L, bind_here(L), 1));
  }
  return 1;
}

/* ---- the table, for help, the reference and the tests: upvalue 2 is a list of kinds ---- */

/* {name =, optional =, named =} for each input. */
static void push_inputs(lua_State *L, const peri_layer_kind *kind) {
  lua_newtable(L);
  for (int i = 0; i < kind->inputs || peri_kind_further(kind)[i - kind->inputs].name != NULL; i++) {
    const peri_layer_input *further = i < kind->inputs ? NULL : &peri_kind_further(kind)[i - kind->inputs];
    lua_createtable(L, 0, 3);
    lua_pushstring(L, further == NULL ? input_name(kind, i) : further->name);
    lua_setfield(L, -2, "name");
    lua_pushboolean(L, further != NULL);
    lua_setfield(L, -2, "optional");
    lua_pushboolean(L, further != NULL && further->named);
    lua_setfield(L, -2, "named");
    lua_rawseti(L, -2, i + 1);
  }
}

static int list_kinds(lua_State *L) {
  const peri_layer_kind *const *kind = lua_touserdata(L, lua_upvalueindex(2));
  lua_newtable(L);
  for (int n = 1; *kind != NULL; kind++, n++) {
    lua_createtable(L, 0, 6);
    lua_pushstring(L, (*kind)->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, (*kind)->doc);
    lua_setfield(L, -2, "doc");
    lua_pushstring(L, (*kind)->sample);
    lua_setfield(L, -2, "sample");
    lua_newtable(L);
    for (int i = 0; peri_kind_sizes(*kind)[i].name != NULL; i++) {
      lua_pushstring(L, peri_kind_sizes(*kind)[i].name);
      lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "sizes");
    lua_newtable(L);
    for (int i = 0; peri_kind_sizes(*kind)[i].name != NULL; i++) {
      lua_pushboolean(L, peri_kind_sizes(*kind)[i].zero);
      lua_setfield(L, -2, peri_kind_sizes(*kind)[i].name);
    }
    lua_setfield(L, -2, "from_zero");
    bind_push_options(L, peri_kind_options(*kind));
    lua_setfield(L, -2, "options");
    lua_newtable(L);
    for (int i = 0; peri_kind_parameters(*kind)[i].name != NULL; i++) {
      lua_pushstring(L, peri_kind_parameters(*kind)[i].name);
      lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "parameters");
    push_inputs(L, *kind);
    lua_setfield(L, -2, "inputs");
    lua_pushinteger(L, peri_layer_outputs(*kind));
    lua_setfield(L, -2, "outputs");
    lua_rawseti(L, -2, n);
  }
  return 1;
}

/* ---- opening ---- */

void nn_push_constructor(lua_State *L, bind_state *S, const peri_layer_kind *kind) {
  bind_push_member(L, S, kind, new_layer, 0);
  bind_document(L, kind->doc);
}

static void set_kinds(lua_State *L, bind_state *S, const peri_layer_kind *const *kinds, const char *list_name) {
  for (const peri_layer_kind *const *kind = kinds; *kind != NULL; kind++) {
    nn_push_constructor(L, S, *kind);
    lua_setfield(L, -2, (*kind)->name);
  }
  bind_set_member(L, S, kinds, list_name, list_kinds, NULL);
}

static const bind_function layer_methods[] = {{"forward", forward, NULL}, {NULL, NULL, NULL}};
static const luaL_Reg layer_metamethods[] = {{"__call", call_layer},
                                             {"__tostring", nn_to_text},
                                             {"__newindex", layer_newindex},
                                             {"__index", layer_index},
                                             {NULL, NULL}};
static const bind_class layer_class = {.kind = BIND_LAYER,
                                       .name = "perilune.Layer",
                                       .collect = collect_layer,
                                       .methods = layer_methods,
                                       .metamethods = layer_metamethods,
                                       .called = nn_called};

void bind_open_nn(lua_State *L, bind_state *S) {
  lua_newtable(L);
  int module = lua_gettop(L), methods = module + 1;
  nn_open_methods(L, S);
  bind_set_class(L, "nn.Module", "Methods of layers", methods);
  bind_open_class(L, S, &layer_class, methods);
  nn_open_containers(L, S, methods, module);
  nn_open_objects(L, S, methods, module);
  nn_open_utils(L, S, module);
  nn_open_path(L, S);
  nn_open_hooks(L, S);
  lua_settop(L, module);
  set_kinds(L, S, peri_layer_kinds, "layers");
  set_kinds(L, S, peri_loss_kinds, "losses");
  bind_set_member(L, S, NULL, "Parameter", new_parameter,
                  "Parameter(tensor) -> tensor\n"
                  "A leaf that requires grad over the tensor's memory (a copy where it is not contiguous): what a "
                  "layer written in Lua keeps in its fields to be trained.");
  bind_set_member(
      L, S, NULL, "type", type_of,
      "nn.type(x) -> string or nil\n"
      "Which layer, loss or container x is: 'Linear', 'Sequential', the name of a class written in Lua; nil for what "
      "is none.");
}
