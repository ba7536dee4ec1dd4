/* tostring of modules: the structure as one would write it, a line for each child, and beside them how many numbers
 * each trains, and in which shapes.
 *
 *   Sequential(           -- 30 parameters
 *     (1): Linear(2, 10)  -- 30: weight 10x2, bias 10
 *     (2): Tanh()
 *   ) */
#include "nn.h"

#include "bindings/core/options.h"

#include <stdio.h>
#include <string.h>

/* "Linear(2, 10, {bias = false})" */
static void push_layer(lua_State *L, const peri_layer *layer) {
  lua_newtable(L);
  int list = lua_gettop(L), n = 0;
  const int64_t *values = layer->sizes;
  double defaults[PERI_LAYER_VALUES];
  for (const peri_layer_size *size = peri_kind_sizes(layer->kind); size->name != NULL; size++, n++) {
    double numbers[PERI_LAYER_SIZES];
    const peri_option row = nn_size_option(size);
    for (int i = 0; i < peri_layer_size_values(size); i++, values++)
      numbers[i] = size->open && *values == 0 ? NAN : (double)*values;
    bind_push_option_text(L, &row, numbers);
    lua_rawseti(L, list, n + 1);
  }
  lua_newtable(L);
  peri_layer_defaults(layer->kind, layer->sizes, defaults);
  bind_add_option_texts(L, peri_kind_options(layer->kind), defaults, layer->options);
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

/* ---- what stands beside a line ---- */

#define MARK        '\x01' /* where it begins, until lines are put under each other */
#define MOST_SHAPES 4      /* of a layer with more parameters the shapes are not said */

static void count_parameter(nn_walk *w, const nn_place *place) {
  lua_State *L = w->L;
  if (lua_rawgetp(L, w->seen, *place->tensor) == LUA_TNIL) {
    lua_pushboolean(L, 1);
    lua_rawsetp(L, w->seen, *place->tensor);
    lua_pushinteger(L, lua_tointeger(L, w->list) + (*place->tensor)->layout.numel);
    lua_replace(L, w->list);
  }
  lua_pop(L, 1);
}

static lua_Integer count_parameters(lua_State *L, bind_state *S, int index) {
  int top = lua_gettop(L);
  nn_walk w = {.L = L, .S = S, .operation = "tostring", .parameters = true, .parameter = count_parameter};
  index = lua_absindex(L, index);
  lua_pushinteger(L, 0);
  lua_newtable(L);
  w.list = top + 1;
  w.seen = top + 2;
  nn_walk_from(&w, index);
  lua_Integer count = lua_tointeger(L, top + 1);
  lua_settop(L, top);
  return count;
}

/* The same for pcall: a module that holds itself, or a tensor that was released, has no number, and is printed. */
static int count_of(lua_State *L) {
  lua_settop(L, 1);
  lua_pushinteger(L, count_parameters(L, bind_here(L), 1));
  return 1;
}
static lua_Integer try_to_count(lua_State *L, bind_state *S, int index) {
  bind_push_function(L, S, count_of, 0);
  lua_pushvalue(L, index);
  lua_Integer count = lua_pcall(L, 1, 1, 0) == LUA_OK ? lua_tointeger(L, -1) : 0;
  lua_pop(L, 1);
  return count;
}

/* 1234567 as 1,234,567 */
static void push_number(lua_State *L, lua_Integer n) {
  char digits[32], text[48];
  int length = snprintf(digits, sizeof digits, "%lld", (long long)n), at = 0;
  for (int i = 0; i < length; i++) {
    if (i > 0 && (length - i) % 3 == 0) text[at++] = ',';
    text[at++] = digits[i];
  }
  lua_pushlstring(L, text, (size_t)at);
}

/* "weight 10x2, bias 10" */
static void push_shapes(lua_State *L, const peri_layer *layer) {
  char room[PERI_LAYER_NAME], shape[PERI_SHAPE_TEXT];
  int n = 0;
  lua_newtable(L);
  for (int i = 0; i < layer->parameter_count; i++) {
    const peri_tensor *x = layer->parameters[i];
    if (x == NULL || peri_layer_parameter_row(layer, i)->buffer) continue;
    lua_pushfstring(L, "%s %s", peri_layer_parameter_name(layer, i, room),
                    peri_shape_text(x->layout.ndim, x->layout.shape, shape));
    lua_rawseti(L, -2, ++n);
  }
  if (n > MOST_SHAPES) lua_newtable(L), lua_replace(L, -2);
  bind_join(L, ", ");
}

/* Puts what the module at index trains behind the text on the top. */
static void add_beside(lua_State *L, bind_state *S, int index, bool first) {
  index = lua_absindex(L, index);
  int text = lua_gettop(L);
  const peri_layer *layer = nn_to_layer(L, S, index);
  lua_Integer count = try_to_count(L, S, index);
  if (count == 0) return;
  push_number(L, count);
  if (layer != NULL)
    push_shapes(L, layer);
  else
    lua_pushliteral(L, "");
  const char *shapes = lua_tostring(L, text + 2);
  lua_pushfstring(L, "%s%c-- %s%s%s%s", lua_tostring(L, text), MARK, lua_tostring(L, text + 1),
                  first ? " parameters" : "", *shapes != '\0' ? ": " : "", shapes);
  lua_replace(L, text);
  lua_settop(L, text);
}

/* The text on the top with what stands beside its lines in one column; of a single line without it. */
static void put_in_column(lua_State *L) {
  size_t length, widest = 0;
  const char *text = lua_tolstring(L, -1, &length), *end = text + length;
  const bool single = memchr(text, '\n', length) == NULL;
  luaL_Buffer b;
  for (const char *line = text, *next; line < end; line = next + 1) {
    next = memchr(line, '\n', (size_t)(end - line));
    if (next == NULL) next = end;
    const char *mark = memchr(line, MARK, (size_t)(next - line));
    if (mark != NULL && (size_t)(mark - line) > widest) widest = (size_t)(mark - line);
  }
  luaL_buffinit(L, &b);
  for (size_t i = 0, column = 0; i < length; i++, column++) {
    if (text[i] == MARK) {
      if (single) break;
      for (; column < widest + 2; column++) luaL_addchar(&b, ' ');
      continue;
    }
    luaL_addchar(&b, text[i]);
    if (text[i] == '\n') column = (size_t)-1;
  }
  luaL_pushresult(&b);
  lua_remove(L, -2);
}

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
    add_beside(L, S, index, false);
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
    lua_pushfstring(L, "%s(%s%s", name, lua_tostring(L, list + 2), empty ? ")" : "");
    add_beside(L, S, index, indent == 0);
    if (!empty) {
      lua_pushfstring(L, "%s\n%s\n%s)", lua_tostring(L, list + 3), lua_tostring(L, list), lua_tostring(L, list + 1));
    }
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
  put_in_column(L);
  return 1;
}
