/* What every module can do: its parameters, its state, its mode; and the walk that all this rests on. */
#include "nn.h"

#include "nn/parameter.h"
#include "bindings/core/names.h"
#include "bindings/core/options.h"
#include "bindings/core/state_dict.h"

#include <stdio.h>

/* ---- the walk ---- */

static void visit_module(nn_walk *w, int index, int prefix);

/* The full name goes on the stack when it is wanted; index of the prefix 0: not wanted. */
static void visit_parameter(nn_walk *w, int prefix, const char *name, const nn_place *place) {
  if (w->parameter == NULL || !(place->buffer ? w->buffers : w->parameters)) return;
  if (prefix != 0) lua_pushfstring(w->L, "%s%s", lua_tostring(w->L, prefix), name);
  if (*place->tensor == NULL) bind_error(w->L, w->operation, "%s was released", name);
  w->parameter(w, place);
}

static void visit_child(nn_walk *w, int child, int prefix, const char *name) {
  if (prefix != 0) lua_pushfstring(w->L, "%s%s.", lua_tostring(w->L, prefix), name);
  visit_module(w, child, prefix != 0 ? lua_gettop(w->L) : 0);
}

static void visit_layer(nn_walk *w, int index, int prefix) {
  const peri_layer *layer = *(peri_layer **)lua_touserdata(w->L, index);
  int top = lua_gettop(w->L);
  char room[PERI_LAYER_NAME];
  for (int i = 0; i < layer->parameter_count; i++) {
    const bool buffer = peri_layer_parameter_row(layer, i)->buffer;
    if (layer->parameters[i] != NULL) {
      const char *name = prefix != 0 ? peri_layer_parameter_name(layer, i, room) : layer->kind->name;
      visit_parameter(w, prefix, name, &(nn_place){&layer->parameters[i], index, i, buffer});
    }
    lua_settop(w->L, top);
  }
}

static void visit_container(nn_walk *w, int index, int prefix) {
  int n = ((const nn_container *)lua_touserdata(w->L, index))->n, top = lua_gettop(w->L);
  char name[16] = "";
  for (int i = 1; i <= n; i++) {
    lua_getiuservalue(w->L, index, i);
    if (prefix != 0) snprintf(name, sizeof name, "%d", i - w->below);
    visit_child(w, top + 1, prefix, name);
    lua_settop(w->L, top);
  }
}

static void visit_object(nn_walk *w, int index, int prefix) {
  lua_State *L = w->L;
  lua_getiuservalue(L, index, NN_FIELDS);
  lua_getiuservalue(L, index, NN_ORDER);
  int order = lua_gettop(L), fields = order - 1, n = (int)lua_rawlen(L, order);
  for (int i = 1; i <= n; i++) {
    lua_rawgeti(L, order, i);
    lua_pushvalue(L, -1);
    lua_rawget(L, fields);
    peri_tensor *const *place = bind_to_handle(L, w->S, -1);
    if (place != NULL) {
      lua_pushvalue(L, order + 1);
      lua_rawget(L, order);
      bool buffer = lua_type(L, -1) == LUA_TSTRING && *lua_tostring(L, -1) == 'b';
      visit_parameter(w, prefix, lua_tostring(L, order + 1), &(nn_place){place, index, i, buffer});
    } else {
      visit_child(w, order + 2, prefix, lua_tostring(L, order + 1));
    }
    lua_settop(L, order);
  }
  lua_settop(L, fields - 1);
}

static void visit_module(nn_walk *w, int index, int prefix) {
  luaL_checkstack(w->L, 12, "modules are nested too deep");
  if (++w->depth > NN_DEEPEST)
    bind_error(w->L, w->operation, "modules are nested more than %d deep (does one hold itself?)", NN_DEEPEST);
  switch (nn_kind_of(w->L, w->S, index)) {
  case BIND_LAYER:
    visit_layer(w, index, prefix);
    break;
  case BIND_CONTAINER:
    visit_container(w, index, prefix);
    break;
  case BIND_OBJECT:
    visit_object(w, index, prefix);
    break;
  default:
    bind_error(w->L, w->operation, "expected a module (net:%s() with a colon), got %s", w->operation,
               bind_describe(w->L, index));
  }
  if (w->module != NULL) w->module(w, index);
  w->depth--;
}

void nn_walk_from(nn_walk *w, int index) {
  if (w->names) lua_pushliteral(w->L, "");
  visit_module(w, index, w->names ? lua_gettop(w->L) : 0);
  if (w->names) lua_pop(w->L, 1);
}

static nn_walk new_walk(lua_State *L, const char *operation) {
  return (nn_walk){.L = L, .S = bind_here(L), .operation = operation, .parameters = true};
}

/* ---- parameters and buffers, each once ---- */

static void collect_parameter(nn_walk *w, const nn_place *place) {
  lua_State *L = w->L;
  if (lua_rawgetp(L, w->seen, *place->tensor) != LUA_TNIL) {
    lua_pop(L, w->names ? 2 : 1);
    return;
  }
  lua_pop(L, 1);
  lua_pushboolean(L, 1);
  lua_rawsetp(L, w->seen, *place->tensor);
  lua_Integer next = (lua_Integer)lua_rawlen(L, w->tensors) + 1;
  if (w->names) lua_rawseti(L, w->list, next);
  bind_push_tensor(L, w->S, place->tensor);
  lua_rawseti(L, w->tensors, next);
}

typedef enum wanted { PARAMETERS = 1, BUFFERS = 2, BOTH = 3 } wanted;

/* Pushes three tables for the module at stack index 1: names, tensors, and the set of the tensors. */
static nn_walk collect_from(lua_State *L, const char *operation, bool names, wanted what, int first) {
  nn_walk w = new_walk(L, operation);
  w.below = 1 - first;
  w.names = names;
  w.parameters = (what & PARAMETERS) != 0;
  w.buffers = (what & BUFFERS) != 0;
  w.parameter = collect_parameter;
  w.list = lua_gettop(L) + 1;
  w.tensors = w.list + 1;
  w.seen = w.list + 2;
  lua_newtable(L);
  lua_newtable(L);
  lua_newtable(L);
  nn_walk_from(&w, 1);
  return w;
}
static nn_walk collect(lua_State *L, const char *operation, bool names, wanted what) {
  return collect_from(L, operation, names, what, 1);
}

static int parameters(lua_State *L) {
  lua_settop(L, 1);
  nn_walk w = collect(L, "parameters", false, PARAMETERS);
  lua_pushvalue(L, w.tensors);
  return 1;
}

/* Upvalues: state, names, tensors, position. */
static int next_named(lua_State *L) {
  lua_Integer i = lua_tointeger(L, lua_upvalueindex(4)) + 1;
  lua_pushinteger(L, i);
  lua_replace(L, lua_upvalueindex(4));
  lua_rawgeti(L, lua_upvalueindex(2), i);
  lua_rawgeti(L, lua_upvalueindex(3), i);
  return lua_isnil(L, -1) ? 1 : 2;
}
static int named(lua_State *L, const char *operation, wanted what) {
  lua_settop(L, 1);
  nn_walk w = collect(L, operation, true, what);
  lua_pushvalue(L, w.list);
  lua_pushvalue(L, w.tensors);
  lua_pushinteger(L, 0);
  bind_push_function(L, w.S, next_named, 3);
  return 1;
}
static int named_parameters(lua_State *L) { return named(L, "named_parameters", PARAMETERS); }
static int named_buffers(lua_State *L) { return named(L, "named_buffers", BUFFERS); }

/* ---- children ---- */

/* The child at the top goes into the list behind the names; its name is at index `name`. */
static void add_child(lua_State *L, int name) {
  lua_Integer next = (lua_Integer)lua_rawlen(L, 2) + 1;
  lua_rawseti(L, 3, next);
  lua_pushvalue(L, name);
  lua_rawseti(L, 2, next);
}

/* Upvalues of the iterator as named_parameters has them. */
static int named_children(lua_State *L) {
  bind_state *S = bind_here(L);
  bind_kind kind = nn_kind_of(L, S, 1);
  if (kind == BIND_NONE)
    return bind_error(L, "named_children", "expected a module (net:named_children() with a colon), got %s",
                      bind_describe(L, 1));
  lua_settop(L, 1);
  lua_newtable(L);
  lua_newtable(L);
  int count = kind == BIND_CONTAINER ? ((const nn_container *)lua_touserdata(L, 1))->n : 0;
  for (int i = 1; i <= count; i++, lua_settop(L, 3)) {
    lua_pushfstring(L, "%d", i);
    lua_getiuservalue(L, 1, i);
    add_child(L, 4);
  }
  if (kind == BIND_OBJECT) {
    lua_getiuservalue(L, 1, NN_FIELDS);
    lua_getiuservalue(L, 1, NN_ORDER);
    for (lua_Integer i = 1; lua_rawgeti(L, 5, i) != LUA_TNIL; i++, lua_settop(L, 5)) {
      lua_pushvalue(L, 6);
      lua_rawget(L, 4);
      if (bind_to_handle(L, S, -1) == NULL) add_child(L, 6);
    }
    lua_settop(L, 3);
  }
  lua_pushinteger(L, 0);
  bind_push_function(L, S, next_named, 3);
  return 1;
}

/* ---- state ---- */

/* Pushes the state dictionary behind what collect has pushed. */
static int push_state(nn_walk *w) {
  lua_State *L = w->L;
  bind_new_state(L, w->S);
  int state = lua_gettop(L);
  lua_Integer n = (lua_Integer)lua_rawlen(L, w->tensors);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, w->tensors, i);
    peri_tensor *x = bind_to_tensor(L, w->S, -1);
    lua_rawgeti(L, w->list, i);
    bind_state_add(L, w->S, state, x);
    lua_settop(L, state);
  }
  return state;
}

/* The option first of the table at index: the name of a container's first child. */
static int read_first(lua_State *L, int index, const char *operation) {
  static const peri_option options[] = {{"first", PERI_OPTION_INTEGER, 1, 0, 1}, {NULL}};
  double first = 1;
  bind_read_options(L, index, operation, options, NULL, &first);
  return (int)first;
}

static int state_dict(lua_State *L) {
  lua_settop(L, 2);
  int first = read_first(L, 2, "state_dict");
  lua_settop(L, 1);
  nn_walk w = collect_from(L, "state_dict", true, BOTH, first);
  push_state(&w);
  bind_charge(L, w.S);
  return 1;
}

static int load_state_dict(lua_State *L) {
  lua_settop(L, 3);
  int first = read_first(L, 3, "load_state_dict");
  lua_settop(L, 2);
  nn_walk w = collect_from(L, "load_state_dict", true, BOTH, first);
  int state = push_state(&w);
  bind_state_match(L, w.S, "load_state_dict", 2, state);
  lua_Integer n = (lua_Integer)lua_rawlen(L, w.tensors);
  for (lua_Integer i = 1; i <= n; i++) { /* before the first is written */
    lua_rawgeti(L, w.tensors, i);
    BIND_TRY(L, w.S, peri_tensor_check_write(bind_to_tensor(L, w.S, -1), "load_state_dict", "a parameter"));
    lua_pop(L, 1);
  }
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, w.tensors, i);
    lua_rawgeti(L, w.list, i);
    lua_rawget(L, state);
    peri_parameter_assign(bind_to_tensor(L, w.S, -2), bind_to_tensor(L, w.S, -1));
    lua_settop(L, state);
  }
  lua_settop(L, 1);
  return 1;
}

/* ---- mode ---- */

static bool mode_of(nn_walk *w, int index) {
  switch (nn_kind_of(w->L, w->S, index)) {
  case BIND_LAYER:
    return nn_to_layer(w->L, w->S, index)->training;
  case BIND_CONTAINER:
    return ((nn_container *)lua_touserdata(w->L, index))->training;
  default:
    return ((nn_object *)lua_touserdata(w->L, index))->training;
  }
}

static void set_mode(nn_walk *w, int index, bool training) {
  if (w->S->context->recorder != NULL && mode_of(w, index) != training)
    peri_refuse_this_time(w->S->context, "it changes a module to %s mode", training ? "train" : "eval");
  switch (nn_kind_of(w->L, w->S, index)) {
  case BIND_LAYER:
    nn_to_layer(w->L, w->S, index)->training = training;
    break;
  case BIND_CONTAINER:
    ((nn_container *)lua_touserdata(w->L, index))->training = training;
    break;
  case BIND_OBJECT:
    nn_set_mode(lua_touserdata(w->L, index), training);
    break;
  default:
    break;
  }
}
static void start_training(nn_walk *w, int index) { set_mode(w, index, true); }
static void end_training(nn_walk *w, int index) { set_mode(w, index, false); }

static int train(lua_State *L) {
  bool on = lua_isnoneornil(L, 2) || lua_toboolean(L, 2);
  if (!lua_isnoneornil(L, 2) && !lua_isboolean(L, 2))
    return bind_error(L, "train", "on must be true or false, got %s", bind_describe(L, 2));
  lua_settop(L, 1);
  nn_walk w = new_walk(L, "train");
  w.module = on ? start_training : end_training;
  nn_walk_from(&w, 1);
  return 1;
}
static int eval(lua_State *L) {
  lua_settop(L, 1);
  nn_walk w = new_walk(L, "eval");
  w.module = end_training;
  nn_walk_from(&w, 1);
  return 1;
}

/* ---- gradients ---- */

static void zero_parameter(nn_walk *w, const nn_place *place) {
  (void)w;
  peri_parameter_zero_grad(*place->tensor);
}
static int zero_grad(lua_State *L) {
  lua_settop(L, 1);
  nn_walk w = new_walk(L, "zero_grad");
  w.parameter = zero_parameter;
  nn_walk_from(&w, 1);
  return 0;
}

/* ---- apply ---- */

static void list_module(nn_walk *w, int index) {
  lua_pushvalue(w->L, index);
  lua_rawseti(w->L, w->list, (lua_Integer)lua_rawlen(w->L, w->list) + 1);
}
static int apply(lua_State *L) {
  lua_settop(L, 2);
  if (!lua_isfunction(L, 2)) return bind_error(L, "apply", "expected a function, got %s", bind_describe(L, 2));
  lua_newtable(L);
  nn_walk w = new_walk(L, "apply");
  w.list = 3;
  w.module = list_module;
  nn_walk_from(&w, 1);
  lua_Integer n = (lua_Integer)lua_rawlen(L, 3);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_pushvalue(L, 2);
    lua_rawgeti(L, 3, i);
    lua_call(L, 1, 0);
  }
  lua_settop(L, 1);
  return 1;
}

/* ---- to(dtype): all parameters are converted first, then put in place ---- */

/* A parameter's successor stands in `seen` under its address. */
static void replace_parameter(nn_walk *w, const nn_place *place) {
  lua_State *L = w->L;
  lua_rawgetp(L, w->seen, *place->tensor);
  peri_tensor *successor = bind_to_tensor(L, w->S, -1);
  if (successor == NULL) { /* put there by a finaliser, after the conversions */
    lua_pop(L, 1);
    return;
  }
  if (bind_is(L, w->S, place->owner, BIND_LAYER)) {
    peri_layer *layer = nn_to_layer(L, w->S, place->owner);
    peri_tensor *before = layer->parameters[place->position];
    layer->parameters[place->position] = peri_tensor_retain(successor);
    if (peri_is_float(successor->layout.dtype)) layer->dtype = successor->layout.dtype;
    peri_tensor_release(&before);
  } else {
    nn_field_changed(lua_touserdata(L, place->owner));
    lua_getiuservalue(L, place->owner, NN_FIELDS);
    lua_getiuservalue(L, place->owner, NN_ORDER);
    lua_rawgeti(L, -1, place->position);
    lua_pushvalue(L, -4);
    lua_rawset(L, -4);
    lua_pop(L, 2);
  }
  lua_pop(L, 1);
}

static void convert_parameters(nn_walk *w, peri_dtype dtype) {
  lua_State *L = w->L;
  lua_Integer n = (lua_Integer)lua_rawlen(L, w->tensors);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, w->tensors, i);
    peri_tensor *x = bind_to_tensor(L, w->S, -1);
    if (!peri_is_float(x->layout.dtype)) { /* a buffer that counts stays as it is */
      lua_rawsetp(L, w->seen, x);
      continue;
    }
    peri_tensor **successor = bind_new_tensor(L, w->S);
    BIND_TRY(L, w->S, peri_parameter_convert(x, dtype, successor));
    if ((*successor)->requires_grad) bind_register_handle(L, w->S, -1);
    lua_rawsetp(L, w->seen, x);
    lua_pop(L, 1);
  }
}

static int to(lua_State *L) {
  lua_settop(L, 2);
  peri_dtype dtype = bind_check_dtype(L, 2, "to");
  if (!peri_is_float(dtype))
    return bind_error(L, "to", "dtype is %s (expected float32 or float64)", peri_dtype_name(dtype));
  nn_walk w = collect(L, "to", false, BOTH);
  convert_parameters(&w, dtype);
  w.parameter = replace_parameter;
  nn_walk_from(&w, 1);
  lua_settop(L, 1);
  bind_charge(L, w.S);
  return 1;
}

/* ---- opening ---- */

/* Pushes nn.Module, as yet without extend. */
void nn_open_methods(lua_State *L, bind_state *S) {
  static const bind_function list[] = {
      {"parameters", parameters,
       "net:parameters() -> list\nThe parameters in the order of registration, each once: what an optimiser is given."},
      {"named_parameters", named_parameters,
       "net:named_parameters() -> iterator\n"
       "for name, p in net:named_parameters() do: names such as \"1.weight\" or \"fc1.bias\", in the order of "
       "registration. A parameter in two places comes once, under its first name."},
      {"named_buffers", named_buffers,
       "net:named_buffers() -> iterator\n"
       "for name, b in net:named_buffers() do: tensors that are saved and converted with the module but not trained "
       "(nn.Buffer), named as parameters are."},
      {"named_children", named_children,
       "net:named_children() -> iterator\n"
       "for name, m in net:named_children() do: the modules that it holds itself, in the order of registration; those of "
       "a Sequential or ModuleList are named \"1\", \"2\" and so on. net:apply(f) goes through all that these hold, too."},
      {"state_dict", state_dict,
       "net:state_dict({first = 1}) -> table\n"
       "Copies of the parameters and buffers by name, for peri.save or load_state_dict; pairs() goes in the order of "
       "registration. first = 0 names what a Sequential or ModuleList holds from 0, as PyTorch does."},
      {"load_state_dict", load_state_dict,
       "net:load_state_dict(state, {first = 1}) -> net\n"
       "Copies values into the parameters and buffers. Names and shapes must be the module's own: what is missing, "
       "unexpected or of another shape is an error, and then nothing was changed. float32 and float64 are converted. first = 0 takes names that count from 0, "
       "\"0.weight\" of a Sequential, as in files of PyTorch."},
      {"train", train,
       "net:train(on = true) -> net\nTraining mode for the module and all that it holds (Dropout drops)."},
      {"eval", eval, "net:eval() -> net\nThe mode for predictions: the end of training mode."},
      {"zero_grad", zero_grad, "net:zero_grad()\nFills the gradients of the parameters with zeros, in place."},
      {"apply", apply, "net:apply(f) -> net\nCalls f(module) for every module in it, children before parents."},
      {"to", to,
       "net:to(dtype) -> net\n"
       "Parameters become new ones of dtype float32 or float64, without gradients, and buffers of floats too. "
       "Optimisers hold the parameters that they were given: make them afterwards."},
      BIND_HAS("net"),
      {NULL, NULL, NULL}};
  lua_newtable(L);
  bind_set_documented(L, S, list);
}
