/* tostring of modules: the structure as one would write it, a line for each child.
 *
 *   Sequential(
 *     (1): Linear(2, 10)
 *     (2): Tanh()
 *   ) */
#include "nn.h"

#include "bindings/core/options.h"

/* "Linear(2, 10, {bias = false})" */
static void push_layer(lua_State *L, const peri_layer *layer) {
  lua_newtable(L);
  int list = lua_gettop(L), n = 0;
  const int64_t *values = layer->sizes;
  double defaults[PERI_LAYER_VALUES];
  for (const peri_layer_size *size = layer->kind->sizes; size->name != NULL; size++, n++) {
    double numbers[PERI_LAYER_SIZES];
    const peri_option row = nn_size_option(size);
    for (int i = 0; i < peri_layer_size_values(size); i++, values++)
      numbers[i] = size->open && *values == 0 ? NAN : (double)*values;
    bind_push_option_text(L, &row, numbers);
    lua_rawseti(L, list, n + 1);
  }
  lua_newtable(L);
  peri_layer_defaults(layer->kind, layer->sizes, defaults);
  bind_add_option_texts(L, layer->kind->options, defaults, layer->options);
  if (layer->dtype != PERI_FLOAT32) {
    lua_pushfstring(L, "dtype = \"%s\"", peri_dtype_name(layer->dtype));
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  }
  if (lua_rawlen(L, -1) > 0) {
    bind_join(L, ", ");
    lua_pushfstring(L, "{%s}", lua_tostring(L, -1));
    lua_rawseti(L, list, n + 1);
  }
  lua_settop(L, list);
  bind_join(L, ", ");
  lua_pushfstring(L, "%s(%s)", layer->kind->name, lua_tostring(L, -1));
  lua_remove(L, -2);
}

static void push_module(lua_State *L, bind_state *S, int index, int indent);

static void push_spaces(lua_State *L, int n) {
  luaL_Buffer spaces;
  luaL_buffinit(L, &spaces);
  for (int i = 0; i < n; i++) luaL_addchar(&spaces, ' ');
  luaL_pushresult(&spaces);
}

/* Adds "  (name): text" of the module on the top, whose name lies below it, to the list; pops both. */
static void add_child(lua_State *L, bind_state *S, int list, int indent) {
  int child = lua_gettop(L);
  push_module(L, S, child, indent + 2);
  luaL_tolstring(L, child - 1, NULL);
  push_spaces(L, indent + 2);
  lua_pushfstring(L, "%s(%s): %s", lua_tostring(L, child + 3), lua_tostring(L, child + 2), lua_tostring(L, child + 1));
  lua_rawseti(L, list, (lua_Integer)lua_rawlen(L, list) + 1);
  lua_settop(L, child - 2);
}

static void add_container(lua_State *L, bind_state *S, int index, int list, int indent) {
  int n = ((const nn_container *)lua_touserdata(L, index))->n;
  for (int i = 1; i <= n; i++) {
    lua_pushinteger(L, i);
    lua_getiuservalue(L, index, i);
    add_child(L, S, list, indent);
  }
}

static void add_object(lua_State *L, bind_state *S, int index, int list, int indent) {
  lua_getiuservalue(L, index, NN_FIELDS);
  lua_getiuservalue(L, index, NN_ORDER);
  int order = lua_gettop(L), n = (int)lua_rawlen(L, order);
  for (int i = 1; i <= n; i++) {
    lua_rawgeti(L, order, i);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, order - 1) == LUA_TUSERDATA && nn_kind_of(L, S, -1) != BIND_NONE) {
      add_child(L, S, list, indent);
    } else {
      lua_settop(L, order); /* a parameter of its own */
    }
  }
  lua_settop(L, order - 2);
}

/* The text of an object whose class has a __tostring of its own, its lines after the first indented; nothing where the
 * class has none. */
static bool push_own_text(lua_State *L, int index, const char *name, int indent) {
  int top = lua_gettop(L);
  index = lua_absindex(L, index);
  lua_getiuservalue(L, index, NN_CLASS);
  if (lua_getfield(L, -1, "__tostring") == LUA_TNIL) {
    lua_settop(L, top);
    return false;
  }
  lua_pushvalue(L, index);
  lua_call(L, 1, 1);
  if (lua_type(L, -1) != LUA_TSTRING)
    bind_error(L, name, "__tostring gave %s (expected a string)", bind_describe(L, -1));
  lua_pushliteral(L, "\n");
  push_spaces(L, indent);
  lua_concat(L, 2);
  luaL_gsub(L, lua_tostring(L, -2), "\n", lua_tostring(L, -1));
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
  return true;
}

/* What the method extra_repr of an object's class says stands in its brackets, before its children; "" without one. */
static void push_extra(lua_State *L, int index, const char *name) {
  index = lua_absindex(L, index);
  lua_pushvalue(L, index);
  lua_pushliteral(L, "extra_repr");
  lua_gettable(L, -2);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 2);
    lua_pushliteral(L, "");
    return;
  }
  lua_insert(L, -2);
  lua_call(L, 1, 1);
  if (lua_type(L, -1) != LUA_TSTRING)
    bind_error(L, name, "extra_repr gave %s (expected a string)", bind_describe(L, -1));
}

static void push_module(lua_State *L, bind_state *S, int index, int indent) {
  bind_kind sort = nn_kind_of(L, S, index);
  int result = lua_gettop(L) + 1;
  luaL_checkstack(L, 20, "modules are nested too deep");
  if (sort == BIND_LAYER) {
    push_layer(L, nn_to_layer(L, S, index));
    return;
  }
  const char *name = nn_name(L, S, index);
  if (sort == BIND_OBJECT && push_own_text(L, index, name, indent)) {
    lua_replace(L, result);
    lua_settop(L, result);
    return;
  }
  lua_newtable(L);
  int list = lua_gettop(L);
  if (indent > 2 * NN_DEEPEST) {
    lua_pushfstring(L, "%s(...)", name);
  } else {
    if (sort == BIND_CONTAINER) {
      add_container(L, S, index, list, indent);
    } else {
      add_object(L, S, index, list, indent);
    }
    const bool empty = lua_rawlen(L, list) == 0;
    bind_join(L, "\n");
    push_spaces(L, indent);
    if (sort == BIND_OBJECT)
      push_extra(L, index, name);
    else
      lua_pushliteral(L, "");
    if (empty)
      lua_pushfstring(L, "%s(%s)", name, lua_tostring(L, list + 2));
    else
      lua_pushfstring(L, "%s(%s\n%s\n%s)", name, lua_tostring(L, list + 2), lua_tostring(L, list),
                      lua_tostring(L, list + 1));
  }
  lua_replace(L, result);
  lua_settop(L, result);
}

int nn_to_text(lua_State *L) {
  bind_state *S = bind_here(L);
  lua_settop(L, 1);
  if (nn_kind_of(L, S, 1) == BIND_NONE)
    return bind_error(L, "tostring", "expected a module, got %s", bind_describe(L, 1));
  push_module(L, S, 1, 0);
  return 1;
}
