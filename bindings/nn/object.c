/* Modules written in Lua: nn.Module.extend gives a class, which is called to make an object. Children
 * and parameters are registered as they are assigned to an object's fields. */
#include "nn.h"

#include <string.h>

static void check_object(lua_State *L) {
  if (!bind_is(L, bind_here(L), 1, BIND_OBJECT))
    bind_error(L, "Module", "expected a module written in Lua, got %s", bind_describe(L, 1));
}

/* ---- classes ---- */

/* Class(...): an object, initialised by the class's init. */
static int new_object(lua_State *L) {
  nn_object *object = bind_push_object(L, bind_here(L), BIND_OBJECT, sizeof *object, 3);
  object->training = true;
  lua_newtable(L);
  lua_setiuservalue(L, -2, NN_FIELDS);
  lua_newtable(L);
  lua_setiuservalue(L, -2, NN_ORDER);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, NN_CLASS);
  lua_pushvalue(L, -1);
  lua_replace(L, 1); /* in the class's place: init's self; the copy above is the result */
  lua_pushvalue(L, 1);
  if (lua_getfield(L, -1, "init") == LUA_TNIL) {
    lua_pop(L, 2);
    return 1;
  }
  lua_replace(L, -2);
  int arguments = lua_gettop(L) - 3;
  luaL_checkstack(L, arguments + 1, "too many arguments");
  for (int i = 0; i <= arguments; i++) lua_pushvalue(L, 1 + i);
  lua_call(L, arguments + 1, 0);
  return 1;
}

static const peri_option class_options[] = {
    {"replays", PERI_OPTION_BOOL, 0, 0, 0, NULL, "whether a step with it may be replayed"}, {NULL}};

/* nn.Module.extend(name, options), or Class:extend for a class of a class; upvalue 3 is nn.Module. */
static int extend(lua_State *L) {
  bool of_class = lua_istable(L, 1);
  int name = of_class ? 2 : 1;
  double replays;
  if (lua_type(L, name) != LUA_TSTRING)
    return bind_error(L, "extend", "the class's name must be a string, got %s", bind_describe(L, name));
  bind_options(L, name + 1, "extend", class_options, NULL, &replays);
  if (lua_gettop(L) > name + 1)
    return bind_error(L, "extend", "too many arguments: %s was not expected", bind_describe(L, name + 2));
  if (!of_class) {
    lua_pushvalue(L, lua_upvalueindex(3));
    lua_insert(L, 1);
  }
  lua_settop(L, 2);
  lua_newtable(L);
  lua_createtable(L, 0, 3);
  lua_pushvalue(L, 1);
  lua_setfield(L, -2, "__index");
  lua_pushvalue(L, 2);
  lua_setfield(L, -2, "__name");
  bind_push_function(L, bind_here(L), new_object, 0);
  lua_setfield(L, -2, "__call");
  lua_setmetatable(L, -2);
  if (replays != 0) nn_know_class(L, lua_gettop(L));
  return 1;
}

/* ---- reading fields: the object's own, then those of its class ---- */

static int object_index(lua_State *L) {
  check_object(L);
  lua_settop(L, 2);
  lua_getiuservalue(L, 1, NN_FIELDS);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, -2) != LUA_TNIL) return 1;
  if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "training") == 0) {
    lua_pushboolean(L, ((const nn_object *)lua_touserdata(L, 1))->training);
    return 1;
  }
  lua_getiuservalue(L, 1, NN_CLASS);
  lua_pushvalue(L, 2);
  lua_gettable(L, -2);
  return 1;
}

/* ---- assigning fields ---- */

/* Whether the value at stack index 3 is a module or a parameter. */
static bool is_part(lua_State *L, bind_state *S) {
  const peri_tensor *x = bind_to_tensor(L, S, 3);
  return x != NULL ? x->requires_grad && x->node == NULL : nn_kind_of(L, S, 3) != BIND_NONE;
}

/* Whether the value at stack index 3 is to be a buffer: a nn.Buffer, whose tensor takes its place there, or a tensor
 * for a field that holds a buffer already. */
static bool take_buffer(lua_State *L, bind_state *S, bool was_buffer) {
  if (bind_is(L, S, 3, BIND_BUFFER)) {
    lua_getiuservalue(L, 3, 1);
    lua_replace(L, 3);
    return true;
  }
  const peri_tensor *x = bind_to_tensor(L, S, 3);
  return was_buffer && x != NULL && !x->requires_grad;
}

/* A table whose first entry is a module would hide its parameters. */
static void reject_list(lua_State *L, bind_state *S) {
  if (!lua_istable(L, 3)) return;
  lua_rawgeti(L, 3, 1);
  bool modules = nn_kind_of(L, S, -1) != BIND_NONE;
  lua_pop(L, 1);
  if (modules) {
    bind_error(L, nn_name(L, S, 1),
               "field %s: a table of modules hides their parameters (use nn.ModuleList or nn.Sequential)",
               bind_describe(L, 2));
  }
}

/* Upvalue 3 is nn.Module, whose methods a part must not cover. */
static void check_part_name(lua_State *L, bind_state *S) {
  if (lua_type(L, 2) != LUA_TSTRING) {
    bind_error(L, nn_name(L, S, 1), "a module or parameter must be assigned to a field with a name, got %s",
               bind_describe(L, 2));
  }
  lua_pushvalue(L, 2);
  if (lua_gettable(L, lua_upvalueindex(3)) != LUA_TNIL)
    bind_error(L, nn_name(L, S, 1), "%s is a method and cannot be a module or parameter", lua_tostring(L, 2));
  lua_pop(L, 1);
  if (strchr(lua_tostring(L, 2), '.') != NULL)
    bind_error(L, nn_name(L, S, 1), "the name %s of a module or parameter holds a dot", bind_describe(L, 2));
}

/* The field at stack index 2 leaves the order, which is at index 5. */
static void unregister(lua_State *L) {
  lua_Integer n = (lua_Integer)lua_rawlen(L, 5), at = 1;
  for (bool found = false; at <= n && !found; at++) {
    lua_rawgeti(L, 5, at);
    found = lua_rawequal(L, -1, 2);
    lua_pop(L, 1);
  }
  for (; at <= n; at++) {
    lua_rawgeti(L, 5, at);
    lua_rawseti(L, 5, at - 1);
  }
  lua_pushnil(L);
  lua_rawseti(L, 5, n);
  lua_pushvalue(L, 2);
  lua_pushnil(L);
  lua_rawset(L, 5);
}

static int object_newindex(lua_State *L) {
  bind_state *S = bind_here(L);
  check_object(L);
  lua_settop(L, 3);
  lua_getiuservalue(L, 1, NN_FIELDS);
  lua_getiuservalue(L, 1, NN_ORDER);
  if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "training") == 0) {
    return bind_error(L, nn_name(L, S, 1), "training is set by train() and eval()");
  }
  lua_pushvalue(L, 2);
  bool registered = lua_type(L, 2) == LUA_TSTRING && lua_rawget(L, 5) != LUA_TNIL;
  bool buffer = take_buffer(L, S, registered && *lua_tostring(L, -1) == 'b');
  bool part = buffer || is_part(L, S);
  lua_settop(L, 5);
  if (part) {
    check_part_name(L, S);
  } else {
    reject_list(L, S);
  }
  nn_field_changed(lua_touserdata(L, 1));
  lua_pushvalue(L, 2);
  lua_pushvalue(L, 3);
  lua_rawset(L, 4);
  if (registered && !part) unregister(L);
  if (part) {
    lua_pushvalue(L, 2);
    lua_pushstring(L, buffer ? "buffer" : "part");
    lua_rawset(L, 5);
  }
  if (part && !registered) {
    lua_pushvalue(L, 2);
    lua_rawseti(L, 5, (lua_Integer)lua_rawlen(L, 5) + 1);
  }
  return 0;
}

/* ---- object(...) ---- */

/* The object is at index 2. */
static void tell_recorder(lua_State *L, bind_state *S) {
  const int top = lua_gettop(L);
  if (nn_is_known(L, 2))
    nn_tell_recorder(L, S, 2);
  else
    peri_refuse_replay(S->context, "%s is a layer written in Lua, whose class does not promise it (nn.Module.extend)",
                       nn_name(L, S, 2));
  lua_settop(L, top);
}

static int forward(lua_State *L) {
  if (lua_getfield(L, 1, "forward") == LUA_TNIL) {
    const char *name = nn_name(L, bind_here(L), 1);
    return bind_error(L, name, "there is no method forward (define function %s:forward(x))", name);
  }
  lua_insert(L, 1);
  if (bind_here(L)->context->recorder != NULL) tell_recorder(L, bind_here(L));
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

static int call_object(lua_State *L) {
  check_object(L);
  return ((const nn_object *)lua_touserdata(L, 1))->hooked ? nn_call_hooked(L, forward) : forward(L);
}

/* ---- nn.Buffer ---- */

static int new_buffer(lua_State *L) {
  bind_state *S = bind_here(L);
  const peri_tensor *x = bind_check_tensor(L, S, 1, "Buffer", "the argument");
  if (x->requires_grad) return bind_error(L, "Buffer", "the tensor requires grad (use nn.Parameter, or detach it)");
  bind_push_object(L, S, BIND_BUFFER, 1, 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

static int buffer_index(lua_State *L) {
  return bind_error(L, "Buffer",
                    "it is a tensor once it is assigned to a field of a module (self.mean = nn.Buffer(x))");
}

/* ---- opening ---- */

static const luaL_Reg object_metamethods[] = {{"__call", call_object},
                                              {"__tostring", nn_to_text},
                                              {"__index", object_index},
                                              {"__newindex", object_newindex},
                                              {NULL, NULL}};
static const bind_class object_class = {.kind = BIND_OBJECT,
                                        .name = "perilune.Module",
                                        .collect = nn_collect_object,
                                        .metamethods = object_metamethods,
                                        .called = nn_called};

static const luaL_Reg buffer_metamethods[] = {{"__index", buffer_index}, {"__newindex", buffer_index}, {NULL, NULL}};
static const bind_class buffer_class = {
    .kind = BIND_BUFFER, .name = "perilune.Buffer", .metamethods = buffer_metamethods};

void nn_open_objects(lua_State *L, bind_state *S, int methods, int module) {
  bind_open_class(L, S, &buffer_class, 0);
  bind_push_member(L, S, NULL, new_buffer, 0);
  bind_document(L, "Buffer(tensor) -> buffer\n"
                   "What a layer written in Lua keeps in a field without training it: self.mean = nn.Buffer(x). The "
                   "field is the tensor; state_dict, load_state_dict and to() take it along, parameters() does not. A "
                   "tensor assigned to the field later is the buffer then.\n"
                   "Errors: a tensor that requires grad.");
  lua_setfield(L, module, "Buffer");
  lua_settop(L, lua_gettop(L) - 1);
  bind_open_class(L, S, &object_class, methods);
  lua_pushvalue(L, methods);
  bind_push_member(L, S, NULL, extend, 1);
  bind_document(L, "Module.extend(name, {replays = false}) -> class\n"
                   "A class of modules written in Lua: define init(self, ...) and forward(self, x). Modules and "
                   "parameters assigned to the object's fields belong to it, in the order of assignment. A "
                   "__tostring is used when it is printed. Class:extend(name) builds on a class.\n"
                   "replays = true promises that forward does the same operations whenever the object's fields, its "
                   "mode, and the shapes of what it is given are the same, whatever the values: steps with it are "
                   "replayed then (peri.replay, train.fit). Assigning to a field is noticed; what lies in a table is "
                   "not looked at.\nErrors: a name that is no string; unknown options.");
  lua_setfield(L, methods, "extend");
  lua_pushvalue(L, methods);
  lua_setfield(L, module, "Module");
}
