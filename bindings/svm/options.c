/* Options of estimators: read from a table, pushed as Lua values, written as text; see svm.h. */
#include "svm.h"
#include "bindings/core/options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void check_positive(lua_State *L, const estimator_type *type, const double *values) {
  for (int i = 0; type->row->options[i].name != NULL; i++) {
    bool meant = values[i] > 0 || values[i] == type->row->options[i].otherwise;
    if (meant || bind_choice(type->row->positive, type->row->options[i].name) < 0) continue;
    bind_error(L, type->row->name, "%s is %f (expected a number > 0)", type->row->options[i].name, values[i]);
  }
}

/* ---- options that are no plain values ---- */

const estimator_also *estimator_find_also(const estimator_type *type, const char *name) {
  for (const estimator_also *also = type->also; also->name != NULL; also++) {
    if (strcmp(also->name, name) == 0) return also;
  }
  return NULL;
}

size_t estimator_check_class_weight(lua_State *L, const estimator_type *type, int index) {
  size_t n = 0;
  int kind = lua_type(L, index);
  if (kind == LUA_TNIL) return 0;
  if (kind == LUA_TSTRING && strcmp(lua_tostring(L, index), "balanced") == 0) return 0;
  if (kind != LUA_TTABLE) {
    bind_error(L, type->row->name, "class_weight must be 'balanced' or a table {[label] = weight}, got %s",
               bind_describe(L, index));
  }
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1), n++) {
    if (!lua_isinteger(L, -2)) {
      bind_error(L, type->row->name, "class_weight has the label %s (expected a whole number)", bind_describe(L, -2));
    }
    lua_Integer label = lua_tointeger(L, -2);
    double weight = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
    if (!(weight > 0) || isinf(weight)) {
      bind_error(L, type->row->name, "class_weight of %I is %s (expected a finite number > 0)", label,
                 bind_describe(L, -1));
    }
  }
  return n;
}

void estimator_take_class_weight(lua_State *L, estimator *e, int index, size_t room) {
  e->m.weighted = !lua_isnil(L, index);
  e->m.balanced = lua_type(L, index) == LUA_TSTRING;
  if (!lua_istable(L, index)) return;
  lua_pushnil(L);
  for (; room > 0 && lua_next(L, index); room--, lua_pop(L, 1)) {
    int64_t at = e->m.weights++, label = lua_tointeger(L, -2);
    for (; at > 0 && e->list[at - 1].label > label; at--) e->list[at] = e->list[at - 1];
    e->list[at] = (peri_class_weight){label, lua_tonumber(L, -1)};
  }
}

void estimator_push_class_weight(lua_State *L, const estimator *e) {
  if (!e->m.weighted) {
    lua_pushnil(L);
  } else if (e->m.balanced) {
    lua_pushliteral(L, "balanced");
  } else {
    lua_newtable(L);
    for (int64_t i = 0; i < e->m.weights; i++) {
      lua_pushnumber(L, e->list[i].weight);
      lua_rawseti(L, -2, e->list[i].label);
    }
  }
}

/* Whether a name is that of the option whose value is a Lua function. */
static bool is_function(const estimator *e, const char *name) {
  return e->m.has_function && strcmp(name, e->type->row->callable) == 0;
}

void estimator_push_option(lua_State *L, int index, const estimator *e, const char *name) {
  if (is_function(e, name))
    lua_getiuservalue(L, index, ESTIMATOR_KERNEL);
  else if (!bind_push_named_option(L, e->type->row->options, e->m.values, name))
    estimator_find_also(e->type, name)->push(L, e);
}

void estimator_push_params(lua_State *L, int index, const estimator *e) {
  lua_newtable(L);
  for (const peri_option *option = e->type->row->options; option->name != NULL; option++) {
    estimator_push_option(L, index, e, option->name);
    lua_setfield(L, -2, option->name);
  }
  for (const estimator_also *also = e->type->also; also->name != NULL; also++) {
    also->push(L, e);
    lua_setfield(L, -2, also->name);
  }
}

/* With a kernel that is a function: pushes it, and replaces the options by a copy that says "precomputed". */
static bool take_function(lua_State *L, const estimator_type *type, int index) {
  if (type->row->callable == NULL || bind_push_entry(L, index, type->row->callable) != LUA_TFUNCTION) {
    lua_settop(L, index);
    return false;
  }
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, -5);
  }
  lua_pushliteral(L, "precomputed");
  lua_setfield(L, -2, type->row->callable);
  lua_replace(L, index);
  return true;
}

estimator *estimator_push_new(lua_State *L, bind_state *S, const estimator_type *type, int index) {
  double values[PERI_MAX_OPTIONS];
  const char *names[ESTIMATOR_MAX_ALSO + 1] = {NULL};
  size_t rooms[ESTIMATOR_MAX_ALSO] = {0}, room = 0;
  int top = lua_gettop(L), count = 0;
  lua_pushvalue(L, index);
  index = lua_gettop(L);
  bool function = take_function(L, type, index);
  for (; type->also[count].name != NULL; count++) names[count] = type->also[count].name;
  bind_options(L, index, type->row->name, type->row->options, names, values);
  check_positive(L, type, values);
  int first = lua_gettop(L) + 1;
  for (int i = 0; i < count; i++) {
    bind_push_entry(L, index, names[i]);
    room += rooms[i] = type->also[i].check(L, type, first + i);
  }
  estimator *e = bind_push_object(L, S, type->kind, sizeof *e + room * sizeof *e->list, ESTIMATOR_VALUES);
  *e = (estimator){.m = {.context = S->context, .type = type->row, .list = e->list, .has_function = function},
                   .type = type};
  memcpy(e->m.values, values, sizeof values);
  for (int i = 0; i < count; i++) type->also[i].take(L, e, first + i, rooms[i]);
  lua_settop(L, first + count);
  if (function) {
    lua_pushvalue(L, index + 1);
    lua_setiuservalue(L, -2, ESTIMATOR_KERNEL);
  }
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
  return e;
}

/* ---- text ---- */

/* Pushes a number as one would write it. */
static const char *push_number(lua_State *L, double value) {
  char digits[40];
  snprintf(digits, sizeof digits, "%.14g", value);
  return lua_pushstring(L, isinf(value) ? "math.huge" : digits);
}

static void push_weights_text(lua_State *L, const estimator *e) {
  lua_pushliteral(L, "");
  for (int64_t i = 0; i < e->m.weights; i++) {
    const char *weight = push_number(L, e->list[i].weight);
    lua_pushfstring(L, "%s%s[%I] = %s", lua_tostring(L, -2), i == 0 ? "" : ", ", (lua_Integer)e->list[i].label, weight);
    lua_replace(L, -3);
    lua_pop(L, 1);
  }
  lua_pushfstring(L, "{%s}", lua_tostring(L, -1));
  lua_remove(L, -2);
}

/* Adds "name = value", unless the option is not set. */
static void add_option(lua_State *L, luaL_Buffer *text, int index, const estimator *e, const char *name) {
  const char *value = "";
  int top = lua_gettop(L);
  estimator_push_option(L, index, e, name);
  switch (lua_type(L, -1)) {
  case LUA_TNIL:
    lua_pop(L, 1);
    return;
  case LUA_TBOOLEAN:
    value = lua_toboolean(L, -1) ? "true" : "false";
    break;
  case LUA_TNUMBER:
    value = push_number(L, lua_tonumber(L, -1));
    break;
  case LUA_TSTRING:
    value = lua_pushfstring(L, "\"%s\"", lua_tostring(L, -1));
    break;
  case LUA_TFUNCTION:
    value = "a function";
    break;
  default:
    push_weights_text(L, e);
    value = lua_tostring(L, -1);
  }
  lua_pushfstring(L, "%s%s = %s", name == e->type->row->options[0].name ? "" : ", ", name, value);
  lua_insert(L, top + 1);
  lua_settop(L, top + 1);
  luaL_addvalue(text);
}

void estimator_push_text(lua_State *L, int index, const estimator *e) {
  luaL_Buffer text;
  luaL_buffinit(L, &text);
  luaL_addstring(&text, e->type->row->name);
  luaL_addchar(&text, '{');
  for (const peri_option *option = e->type->row->options; option->name != NULL; option++) {
    add_option(L, &text, index, e, option->name);
  }
  for (const estimator_also *also = e->type->also; also->name != NULL; also++) {
    add_option(L, &text, index, e, also->name);
  }
  luaL_addchar(&text, '}');
  luaL_pushresult(&text);
}
