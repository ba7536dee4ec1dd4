#include "state_dict.h"

#include "options.h"

#include <stdarg.h>

/* The metatable of a state dictionary holds the order of its names in `order`: a list that is also
 * the set of its members. */

/* ---- iteration ---- */

/* Upvalues: state, order, dictionary, position in the order. */
static int next_entry(lua_State *L) {
  int order = lua_upvalueindex(2), dictionary = lua_upvalueindex(3);
  lua_Integer position = lua_tointeger(L, lua_upvalueindex(4)), n = (lua_Integer)lua_rawlen(L, order);
  lua_settop(L, 2);
  while (position < n) {
    lua_rawgeti(L, order, ++position);
    lua_pushinteger(L, position);
    lua_replace(L, lua_upvalueindex(4));
    lua_pushvalue(L, -1);
    if (lua_rawget(L, dictionary) != LUA_TNIL) return 2;
    lua_settop(L, 2);
  }
  if (position == n) { /* what the script has added comes last */
    lua_pushinteger(L, n + 1);
    lua_replace(L, lua_upvalueindex(4));
    lua_pushnil(L);
    lua_replace(L, 2);
  }
  while (lua_next(L, dictionary) != 0) {
    lua_pushvalue(L, -2);
    bool known = lua_rawget(L, order) != LUA_TNIL;
    lua_pop(L, 1);
    if (!known) return 2;
    lua_pop(L, 1);
  }
  return 0;
}

static int iterate(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  bind_push_function(L, bind_here(L), next_entry, 3);
  return 1;
}

/* ---- making ---- */

void bind_new_state(lua_State *L, bind_state *S) {
  lua_newtable(L);
  lua_createtable(L, 0, 2);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "order");
  bind_push_function(L, S, iterate, 1);
  lua_setfield(L, -2, "__pairs");
  lua_setmetatable(L, -2);
}

static void push_order(lua_State *L, int state) { luaL_getmetafield(L, state, "order"); }

/* Puts the value on the top under the name below it. */
static void add(lua_State *L, int state) {
  push_order(L, state);
  lua_pushvalue(L, -3);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  lua_pushvalue(L, -3);
  lua_pushboolean(L, 1);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  lua_rawset(L, state);
}

void bind_state_add(lua_State *L, bind_state *S, int state, peri_tensor *tensor) {
  peri_tensor **handle = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_tensor_copy(tensor, tensor->layout.dtype, handle));
  add(L, state);
}

void bind_state_add_number(lua_State *L, bind_state *S, int state, double value) {
  peri_tensor **handle = bind_new_tensor(L, S);
  peri_layout layout;
  peri_layout_set(&layout, PERI_FLOAT64, 0, NULL);
  BIND_TRY(L, S, peri_tensor_full(S->context, &layout, 0, handle));
  *(double *)(void *)(*handle)->data = value;
  add(L, state);
}

/* ---- reading ---- */

peri_tensor *bind_state_tensor(lua_State *L, bind_state *S, int state, const char *name) {
  lua_pushstring(L, name);
  lua_rawget(L, state);
  peri_tensor *x = bind_to_tensor(L, S, -1);
  lua_pop(L, 1); /* the dictionary holds it */
  return x;
}

double bind_state_number(lua_State *L, bind_state *S, int state, const char *name) {
  peri_refuse_replay(S->context, "a state is loaded");
  const peri_tensor *x = bind_state_tensor(L, S, state, name);
  return peri_load_number(x->layout.dtype, x->data);
}

/* ---- comparing: complaints are collected in a list on the stack ---- */

static void complain(lua_State *L, int complaints, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  lua_pushvfstring(L, format, arguments);
  va_end(arguments);
  lua_rawseti(L, complaints, (lua_Integer)lua_rawlen(L, complaints) + 1);
}

/* A finite number that would be stored as an infinity. */
static void compare_numbers(lua_State *L, bind_state *S, int complaints, const char *name, const peri_tensor *x,
                            peri_tensor *value) {
  int64_t at = -1;
  double number = 0;
  BIND_TRY(L, S, peri_tensor_find_unfit(value, x->layout.dtype, &at, &number));
  if (at < 0) return;
  complain(L, complaints, "%s has %f in element %I (expected numbers that %s holds)", name, number, (lua_Integer)at + 1,
           peri_dtype_name(x->layout.dtype));
}

/* What is wrong with the value on the top, which stands under `name` in place of x. */
static void compare_entry(lua_State *L, bind_state *S, int complaints, const char *name, const peri_tensor *x) {
  peri_tensor *value = bind_to_tensor(L, S, -1);
  char a[PERI_SHAPE_TEXT], b[PERI_SHAPE_TEXT];
  if (lua_isnil(L, -1)) {
    complain(L, complaints, "%s is missing", name);
  } else if (value == NULL) {
    const char *got = bind_describe(L, -1);
    complain(L, complaints, "%s is %s (expected a tensor)", name, got);
  } else if (!peri_same_shape(&value->layout, &x->layout)) {
    complain(L, complaints, "%s is %s (expected %s)", name, peri_shape_text(value->layout.ndim, value->layout.shape, a),
             peri_shape_text(x->layout.ndim, x->layout.shape, b));
  } else if (value->layout.dtype != x->layout.dtype &&
             !(peri_is_float(value->layout.dtype) && peri_is_float(x->layout.dtype))) {
    complain(L, complaints, "%s is %s (expected %s)", name, peri_dtype_name(value->layout.dtype),
             peri_dtype_name(x->layout.dtype));
  } else if (value->layout.dtype != x->layout.dtype) {
    compare_numbers(L, S, complaints, name, x, value);
  }
}

/* Moves the last complaint to its place among those from `first` on, which are sorted. */
static void sink_last(lua_State *L, int complaints, lua_Integer first) {
  for (lua_Integer i = (lua_Integer)lua_rawlen(L, complaints); i > first; i--) {
    lua_rawgeti(L, complaints, i - 1);
    lua_rawgeti(L, complaints, i);
    bool sorted = !lua_compare(L, -1, -2, LUA_OPLT);
    if (!sorted) {
      lua_rawseti(L, complaints, i - 1);
      lua_rawseti(L, complaints, i);
      continue;
    }
    lua_pop(L, 2);
    return;
  }
}

/* Adds the keys of `given` that are not in the order, sorted, since a table has no order of its own. */
static void find_unexpected(lua_State *L, int complaints, int given, int order) {
  lua_Integer first = (lua_Integer)lua_rawlen(L, complaints) + 1;
  lua_pushnil(L);
  int key = lua_gettop(L);
  for (; lua_next(L, given); lua_settop(L, key)) {
    bool is_name = lua_type(L, key) == LUA_TSTRING;
    lua_pushvalue(L, key);
    if (is_name && lua_rawget(L, order) != LUA_TNIL) continue;
    const char *name = is_name ? lua_tostring(L, key) : bind_describe(L, key);
    complain(L, complaints, "%s is unexpected", name);
    sink_last(L, complaints, first);
  }
}

/* Whether a key of the table names the element `digit` of a container: "0.weight", "layers.0.bias". */
static bool names_element(lua_State *L, int table, char digit) {
  const char inner[] = {'.', digit, '.', 0};
  bool found = false;
  int top = lua_gettop(L);
  for (lua_pushnil(L); !found && lua_next(L, table); lua_pop(L, 1)) {
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
    found = strncmp(key, inner + 1, 2) == 0 || strstr(key, inner) != NULL;
  }
  lua_settop(L, top);
  return found;
}

static void raise_complaints(lua_State *L, const char *operation, int complaints) {
  if (lua_rawlen(L, complaints) == 0) return;
  lua_pushvalue(L, complaints);
  bind_join(L, "; ");
  bind_error(L, operation, "%s", lua_tostring(L, -1));
}

void bind_state_match(lua_State *L, bind_state *S, const char *operation, int given, int own) {
  if (!lua_istable(L, given))
    bind_error(L, operation, "expected a table of names and tensors, got %s", bind_describe(L, given));
  int top = lua_gettop(L), order = top + 1, complaints = top + 2;
  push_order(L, own);
  lua_newtable(L);
  lua_Integer n = (lua_Integer)lua_rawlen(L, order);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, order, i);
    const char *name = lua_tostring(L, -1);
    const peri_tensor *wanted = bind_state_tensor(L, S, own, name);
    lua_pushvalue(L, -1);
    lua_rawget(L, given);
    compare_entry(L, S, complaints, name, wanted);
    lua_settop(L, complaints);
  }
  find_unexpected(L, complaints, given, order);
  if (lua_rawlen(L, complaints) > 0 && names_element(L, given, '0') && !names_element(L, own, '0'))
    complain(L, complaints, "%s", "names that count from 0, as PyTorch's, need the option {first = 0}");
  raise_complaints(L, operation, complaints);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, order, i);
    lua_pushvalue(L, -1);
    lua_rawget(L, own);
    lua_pushvalue(L, -2);
    lua_rawget(L, given);
    peri_tensor *value = bind_check_tensor(L, S, -1, operation, lua_tostring(L, -3));
    BIND_TRY(L, S, peri_tensor_copy_into(bind_to_tensor(L, S, -2), value));
    lua_settop(L, complaints);
  }
  lua_settop(L, top);
}
