/* Tensors as userdata: what is not a row of the table. Construction, properties, conversion to Lua
 * values, comparison, printing, gradients. Indexing is in index.c. */
#include "tensor.h"
#include "rows.h"
#include "autograd/autograd.h"
#include "kernels/kernels.h"
#include "ops/rows.h"

#include <math.h>
#include <string.h>

static peri_tensor *self(lua_State *L, const char *operation) {
  return bind_check_tensor(L, bind_here(L), 1, operation, "x");
}

/* ---- from Lua values ---- */

typedef struct nest {
  lua_State *L;
  peri_layout layout;
  bool booleans, numbers;
  int dtype;  /* wanted, or < 0 */
  char *next; /* the place of the next element while filling */
} nest;

#define MAX_NEST_ERROR "values must be numbers or booleans in tables of equal length, got %s"

/* The shape of nested tables, from their first entries. */
static void nest_shape(nest *n, int index) {
  lua_State *L = n->L;
  lua_pushvalue(L, index);
  while (lua_type(L, -1) == LUA_TTABLE) {
    if (n->layout.ndim == PERI_MAX_DIMS) bind_error(L, "tensor", "tables are nested more than %d deep", PERI_MAX_DIMS);
    lua_Unsigned length = lua_rawlen(L, -1);
    n->layout.shape[n->layout.ndim++] = (int64_t)length;
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
    if (length == 0) break;
  }
  lua_pop(L, 1);
}

/* Checks that every table has the length of its level and every leaf is a number or boolean. */
static void nest_check(nest *n, int level) {
  lua_State *L = n->L;
  if (level == n->layout.ndim) {
    int type = lua_type(L, -1);
    if (type == LUA_TBOOLEAN) {
      n->booleans = true;
    } else if (type == LUA_TNUMBER) {
      n->numbers = true;
      peri_dtype dtype = n->dtype < 0 ? PERI_FLOAT32 : (peri_dtype)n->dtype;
      if (!(dtype == PERI_INT64 && lua_isinteger(L, -1)) && !peri_number_fits(dtype, lua_tonumber(L, -1))) {
        bind_error(L, "tensor", "%s is no value of %s%s", bind_describe(L, -1), peri_dtype_name(dtype),
                   dtype == PERI_FLOAT32 ? " (dtype = 'float64' holds it)" : "");
      }
    } else {
      bind_error(L, "tensor", MAX_NEST_ERROR, bind_describe(L, -1));
    }
    return;
  }
  if (lua_type(L, -1) != LUA_TTABLE) bind_error(L, "tensor", MAX_NEST_ERROR, bind_describe(L, -1));
  if ((int64_t)lua_rawlen(L, -1) != n->layout.shape[level]) {
    bind_error(L, "tensor", "a table has %I entries but the first of its level has %I", (lua_Integer)lua_rawlen(L, -1),
               (lua_Integer)n->layout.shape[level]);
  }
  for (int64_t i = 1; i <= n->layout.shape[level]; i++) {
    lua_rawgeti(L, -1, i);
    nest_check(n, level + 1);
    lua_pop(L, 1);
  }
}

static void nest_fill(nest *n, int level) {
  lua_State *L = n->L;
  if (level == n->layout.ndim) {
    peri_dtype dtype = n->layout.dtype;
    if (dtype == PERI_INT64 && lua_isinteger(L, -1)) {
      *(int64_t *)(void *)n->next = lua_tointeger(L, -1);
    } else {
      peri_store_number(dtype, n->next, lua_isboolean(L, -1) ? lua_toboolean(L, -1) : lua_tonumber(L, -1));
    }
    n->next += peri_dtype_size(dtype);
    return;
  }
  for (int64_t i = 1; i <= n->layout.shape[level]; i++) {
    lua_rawgeti(L, -1, i);
    nest_fill(n, level + 1);
    lua_pop(L, 1);
  }
}

/* Reads the value's shape and dtype and makes the tensor. Raises what is wrong with the value. */
static peri_status nest_begin(nest *n, bind_state *S, int index, int dtype, peri_tensor **out) {
  lua_State *L = n->L;
  *n = (nest){.L = L, .dtype = dtype};
  nest_shape(n, index);
  lua_pushvalue(L, index);
  nest_check(n, 0);
  lua_pop(L, 1);
  if (n->booleans && n->numbers) bind_error(L, "tensor", "numbers and booleans are mixed");
  n->layout.dtype = dtype >= 0 ? (peri_dtype)dtype : n->booleans ? PERI_BOOL : PERI_FLOAT32;
  PERI_TRY(peri_layout_contiguous(S->context, "tensor", &n->layout));
  return peri_tensor_empty(S->context, &n->layout, out);
}

/* Pushes a tensor of the Lua value at index; dtype < 0: float32, or bool for booleans. From the check of the value to
 * the last element nothing allocates in Lua: a finaliser might change the tables. */
void bind_tensor_from_value(lua_State *L, bind_state *S, int index, int dtype) {
  nest n = {.L = L};
  index = lua_absindex(L, index);
  luaL_checkstack(L, 2 * PERI_MAX_DIMS + 4, "tensor");
  peri_tensor **handle = bind_new_tensor(L, S);
  BIND_TRY(L, S, nest_begin(&n, S, index, dtype, handle));
  n.next = (*handle)->data;
  lua_pushvalue(L, index);
  nest_fill(&n, 0);
  lua_pop(L, 1);
  bind_charge(L, S);
}

static const char *const tensor_options[] = {"dtype", "requires_grad", NULL};
static const peri_option no_options[] = {{NULL}};

/* peri.tensor(values, {dtype =, requires_grad =}) */
static int new_tensor(lua_State *L) {
  bind_state *S = bind_here(L);
  double unused[1];
  int dtype = -1;
  if (lua_gettop(L) > 2) return bind_error(L, "tensor", "too many arguments: %s was not expected", bind_describe(L, 3));
  lua_settop(L, 2);
  bind_options(L, 2, "tensor", no_options, tensor_options, unused);
  if (bind_push_entry(L, 2, "dtype") != LUA_TNIL) dtype = (int)bind_check_dtype(L, -1, "tensor");
  if (bind_push_entry(L, 2, "requires_grad") != LUA_TNIL && !lua_isboolean(L, -1))
    return bind_error(L, "tensor", "requires_grad must be true or false, got %s", bind_describe(L, -1));
  bool requires_grad = lua_toboolean(L, -1);
  lua_pop(L, 2);
  peri_tensor *x = bind_to_tensor(L, S, 1);
  if (x != NULL) { /* a copy, not part of the graph */
    peri_tensor **handle = bind_new_tensor(L, S);
    BIND_TRY(L, S, peri_tensor_copy(x, dtype >= 0 ? (peri_dtype)dtype : x->layout.dtype, handle));
    bind_charge(L, S);
  } else {
    bind_tensor_from_value(L, S, 1, dtype);
  }
  if (requires_grad) {
    BIND_TRY(L, S, peri_require_grad(bind_to_tensor(L, S, -1), true));
    bind_register_handle(L, S, -1);
  }
  return 1;
}

/* ---- to Lua values ---- */

static int item(lua_State *L) {
  const peri_tensor *x = self(L, "item");
  char text[PERI_SHAPE_TEXT];
  if (x->layout.numel != 1) {
    return bind_error(L, "item", "the tensor is %s (expected one element)",
                      peri_shape_text(x->layout.ndim, x->layout.shape, text));
  }
  bind_push_element(L, &x->view);
  return 1;
}

static void push_nested(lua_State *L, const peri_tensor *x, const char *data, int level) {
  if (level == x->layout.ndim) {
    peri_view element = x->view;
    element.data = (char *)(uintptr_t)data;
    bind_push_element(L, &element);
    return;
  }
  int64_t n = x->layout.shape[level], step = x->layout.strides[level] * (int64_t)peri_dtype_size(x->layout.dtype);
  lua_createtable(L, n < INT32_MAX ? (int)n : 0, 0);
  for (int64_t i = 0; i < n; i++) {
    push_nested(L, x, data + i * step, level + 1);
    lua_rawseti(L, -2, i + 1);
  }
}

static int totable(lua_State *L) {
  const peri_tensor *x = self(L, "totable");
  luaL_checkstack(L, 2 * PERI_MAX_DIMS, "totable");
  push_nested(L, x, x->data, 0);
  return 1;
}

/* The elements as a string of their bytes, row-major: what a checksum or another program takes. */
static int bytes(lua_State *L) {
  bind_state *S = bind_here(L);
  peri_tensor *x = self(L, "bytes");
  if (!x->contiguous) {
    peri_tensor **copy = bind_new_tensor(L, S);
    BIND_TRY(L, S, peri_tensor_contiguous(x, copy));
    x = *copy;
  }
  lua_pushlstring(L, x->data, (size_t)x->layout.numel * peri_dtype_size(x->layout.dtype));
  return 1;
}

/* ---- shape ---- */

static void push_shape(lua_State *L, const peri_tensor *x) {
  lua_createtable(L, x->layout.ndim, 0);
  for (int d = 0; d < x->layout.ndim; d++) {
    lua_pushinteger(L, x->layout.shape[d]);
    lua_rawseti(L, -2, d + 1);
  }
}

static int size(lua_State *L) {
  const peri_tensor *x = self(L, "size");
  if (lua_isnoneornil(L, 2)) {
    push_shape(L, x);
    return 1;
  }
  int whole;
  lua_Integer wanted = lua_tointegerx(L, 2, &whole), d = wanted < 0 ? wanted + x->layout.ndim : wanted - 1;
  if (!whole || wanted == 0 || d < 0 || d >= x->layout.ndim) {
    return bind_error(L, "size", "dim is %s but the tensor has %d dimensions", bind_describe(L, 2), x->layout.ndim);
  }
  lua_pushinteger(L, x->layout.shape[d]);
  return 1;
}

static int dim(lua_State *L) {
  lua_pushinteger(L, self(L, "dim")->layout.ndim);
  return 1;
}
static int numel(lua_State *L) {
  lua_pushinteger(L, self(L, "numel")->layout.numel);
  return 1;
}
static int is_contiguous(lua_State *L) {
  lua_pushboolean(L, self(L, "is_contiguous")->contiguous);
  return 1;
}
static int length(lua_State *L) {
  const peri_tensor *x = self(L, "#");
  if (x->layout.ndim == 0) return bind_error(L, "#", "the tensor has no dimensions");
  lua_pushinteger(L, x->layout.shape[0]);
  return 1;
}

/* ---- whole-tensor comparisons ---- */

static int compare_all(lua_State *L, const char *operation, const peri_closeness *how) {
  bind_state *S = bind_here(L);
  const peri_tensor *a = self(L, operation), *b = bind_check_tensor(L, S, 2, operation, "other");
  bool close;
  BIND_TRY(L, S, peri_tensor_close(a, b, how, &close));
  lua_pushboolean(L, close);
  return 1;
}

static int equal(lua_State *L) { return compare_all(L, "equal", &(peri_closeness){0, 0, false}); }

static int allclose(lua_State *L) {
  static const peri_option options[] = {{"rtol", PERI_OPTION_NUMBER, 1e-5, 0, 1, NULL, ""},
                                        {"atol", PERI_OPTION_NUMBER, 1e-8, 0, HUGE_VAL, NULL, ""},
                                        {"equal_nan", PERI_OPTION_BOOL, 0, 0, 0, NULL, ""},
                                        {NULL}};
  double values[3];
  bind_options(L, 3, "allclose", options, NULL, values);
  return compare_all(L, "allclose", &(peri_closeness){values[0], values[1], values[2] != 0});
}

/* Pushes the only element of the operand at index, as a number, for Lua to compare. */
static void push_single(lua_State *L, int index, const char *method) {
  const peri_tensor *x = bind_to_tensor(L, bind_here(L), index);
  char text[PERI_SHAPE_TEXT];
  if (x == NULL) {
    if (lua_type(L, index) != LUA_TNUMBER)
      bind_error(L, method, "cannot compare a tensor with %s", bind_describe(L, index));
    lua_pushvalue(L, index);
    return;
  }
  if (x->layout.numel != 1) {
    bind_error(L, method, "Lua compares single values, and the tensor is %s (use a:%s(b) for each element)",
               peri_shape_text(x->layout.ndim, x->layout.shape, text), method);
  }
  if (x->layout.dtype == PERI_BOOL) {
    lua_pushinteger(L, peri_load_integer(PERI_BOOL, x->data));
  } else {
    bind_push_element(L, &x->view);
  }
}
static int compare_single(lua_State *L, const char *method, int comparison) {
  push_single(L, 1, method);
  push_single(L, 2, method);
  lua_pushboolean(L, lua_compare(L, -2, -1, comparison));
  return 1;
}
static int less(lua_State *L) { return compare_single(L, "lt", LUA_OPLT); }
static int less_or_equal(lua_State *L) { return compare_single(L, "le", LUA_OPLE); }

/* ---- text ---- */

typedef struct text {
  peri_context *context;
  char *characters;
  size_t bytes;
} text;

static int push_text(lua_State *L) {
  lua_pushstring(L, ((const text *)lua_touserdata(L, 1))->characters);
  return 1;
}

/* lua_pushstring may raise, so that it runs protected while C owns the text. */
static int to_string(lua_State *L) {
  bind_state *S = bind_here(L);
  peri_tensor *x = bind_to_tensor(L, S, 1);
  text t = {.context = S->context};
  if (x == NULL) {
    lua_pushliteral(L, "released tensor");
    return 1;
  }
  lua_pushcfunction(L, push_text);
  lua_pushlightuserdata(L, &t);
  BIND_TRY(L, S, peri_tensor_text(x, &t.characters, &t.bytes));
  int failed = lua_pcall(L, 1, 1, 0);
  peri_free(t.context, t.characters, t.bytes);
  return failed ? lua_error(L) : 1;
}

/* ---- gradients ---- */

static const char *const no_names[] = {NULL};

static int backward(lua_State *L) {
  static const peri_option options[] = {{"retain_graph", PERI_OPTION_BOOL, 0, 0, 0, NULL, ""}, {NULL}};
  bind_state *S = bind_here(L);
  peri_tensor *x = self(L, "backward"), *gradient = bind_to_tensor(L, S, 2);
  double values[1];
  int at = gradient != NULL || lua_isnil(L, 2) ? 3 : 2;
  if (at == 2 && !lua_isnone(L, 2) && !lua_istable(L, 2)) bind_check_tensor(L, S, 2, "backward", "gradient");
  bind_options(L, at, "backward", options, no_names, values);
  BIND_TRY(L, S, peri_backward_run(x, gradient, values[0] != 0));
  bind_charge(L, S);
  return 0;
}

/* peri.grad(output, inputs, {grad_output =, retain_graph =, create_graph =}) */
static int grad(lua_State *L) {
  static const peri_option options[] = {{"retain_graph", PERI_OPTION_BOOL, 0, 0, 0, NULL, ""},
                                        {"create_graph", PERI_OPTION_BOOL, 0, 0, 0, NULL, ""},
                                        {NULL}};
  static const char *const also[] = {"grad_output", NULL};
  bind_state *S = bind_here(L);
  double values[2];
  peri_tensor *output = bind_check_tensor(L, S, 1, "grad", "output"), *gradient = NULL;
  bind_options(L, 3, "grad", options, also, values);
  lua_settop(L, 3);
  if (bind_push_entry(L, 3, "grad_output") != LUA_TNIL) gradient = bind_check_tensor(L, S, -1, "grad", "grad_output");
  bool one = !lua_istable(L, 2);
  if (one) bind_check_tensor(L, S, 2, "grad", "inputs");
  lua_Integer n = one ? 1 : (lua_Integer)lua_rawlen(L, 2);
  if (n < 1 || n > 1000000) return bind_error(L, "grad", "inputs has %I entries (expected 1 or more tensors)", n);
  peri_tensor **inputs = lua_newuserdatauv(L, (size_t)n * sizeof *inputs, 0);
  peri_tensor **grads = lua_newuserdatauv(L, (size_t)n * sizeof *grads, 0);
  lua_createtable(L, (int)n, 0); /* holds the inputs: the caller's table may be weak */
  for (lua_Integer i = 0; i < n; i++) {
    if (one) {
      lua_pushvalue(L, 2);
    } else {
      lua_rawgeti(L, 2, i + 1);
    }
    inputs[i] = bind_check_tensor(L, S, -1, "grad", "inputs");
    lua_rawseti(L, -2, i + 1);
  }
  lua_createtable(L, (int)n, 0);
  int list = lua_gettop(L);
  for (lua_Integer i = 0; i < n; i++) {
    bind_new_tensor(L, S);
    lua_rawseti(L, list, i + 1);
  }
  BIND_TRY(L, S, peri_grad_run(output, gradient, (int)n, inputs, values[0] != 0, values[1] != 0, grads));
  for (lua_Integer i = 0; i < n; i++) {
    lua_rawgeti(L, list, i + 1);
    *(peri_tensor **)lua_touserdata(L, -1) = grads[i];
    lua_pop(L, 1);
    if (grads[i] != NULL) continue;
    lua_pushboolean(L, 0); /* no dependence: false, so that the list has no holes */
    lua_rawseti(L, list, i + 1);
  }
  if (one) lua_rawgeti(L, list, 1);
  bind_charge(L, S);
  return 1;
}

static int requires_grad_(lua_State *L) {
  bind_state *S = bind_here(L);
  peri_tensor *x = self(L, "requires_grad_");
  bool wanted = lua_isnoneornil(L, 2) || lua_toboolean(L, 2);
  if (!lua_isnoneornil(L, 2) && !lua_isboolean(L, 2))
    return bind_error(L, "requires_grad_", "requires_grad must be true or false, got %s", bind_describe(L, 2));
  BIND_TRY(L, S, peri_require_grad(x, wanted));
  if (wanted && x->node == NULL && !x->known) bind_register_handle(L, S, 1);
  lua_settop(L, 1);
  return 1;
}

/* ---- the life of a handle ---- */

static int collect_handle(lua_State *L) {
  bind_handle *handle = lua_touserdata(L, 1);
  peri_tensor_release(&handle->tensor);
  if (handle->parked != NULL) peri_tensor_release(&handle->parked);
  return 0;
}

static int release(lua_State *L) {
  bind_state *S = bind_here(L);
  if (bind_is_released(L, S, 1)) return 0;
  const peri_tensor *x = self(L, "release");
  if (x->known) return bind_error(L, "release", "the tensor is a parameter or a gradient, and others hold it");
  bind_handle *handle = lua_touserdata(L, 1);
  if (bind_in_finaliser(L)) {
    handle->parked = handle->tensor;
    handle->tensor = NULL;
  } else {
    peri_tensor_release(&handle->tensor);
  }
  return 0;
}

/* ---- iteration ---- */

static int next_row(lua_State *L) {
  bind_state *S = bind_here(L);
  const peri_tensor *x = bind_check_tensor(L, S, 1, "pairs", "x");
  lua_Integer before = lua_tointeger(L, 2);
  if (x->layout.ndim == 0 || before < 0 || before >= x->layout.shape[0]) return 0;
  lua_pushinteger(L, before + 1);
  lua_pushinteger(L, before + 1);
  lua_gettable(L, 1);
  return 2;
}
static int iterate(lua_State *L) {
  const peri_tensor *x = self(L, "pairs");
  if (x->layout.ndim == 0) return bind_error(L, "pairs", "the tensor has no dimensions");
  bind_push_function(L, bind_here(L), next_row, 0);
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  return 3;
}

/* ---- properties: t.shape, t.dtype, t.grad, t.requires_grad, t.is_leaf ---- */

int bind_tensor_property(lua_State *L, bind_state *S, peri_tensor *x, const char *name) {
  if (strcmp(name, "shape") == 0) {
    push_shape(L, x);
  } else if (strcmp(name, "dtype") == 0) {
    lua_pushstring(L, peri_dtype_name(x->layout.dtype));
  } else if (strcmp(name, "requires_grad") == 0) {
    lua_pushboolean(L, x->requires_grad);
  } else if (strcmp(name, "is_leaf") == 0) {
    lua_pushboolean(L, x->node == NULL);
  } else if (strcmp(name, "grad") == 0) {
    if (x->grad == NULL) {
      lua_pushnil(L);
    } else {
      x->grad->known = true;
      bind_push_tensor(L, S, &x->grad);
    }
  } else {
    return bind_error(L, "tensor", "there is no field or method %s", name);
  }
  return 1;
}

void bind_set_tensor_property(lua_State *L, bind_state *S, peri_tensor *x, const char *name) {
  if (strcmp(name, "requires_grad") == 0 && lua_isboolean(L, 3)) {
    BIND_TRY(L, S, peri_require_grad(x, lua_toboolean(L, 3)));
    if (x->requires_grad && !x->known) bind_register_handle(L, S, 1);
  } else if (strcmp(name, "grad") == 0 && lua_isnil(L, 3)) {
    peri_tensor_release(&x->grad);
  } else {
    bind_error(L, "tensor", "field %s cannot be set to %s", name, bind_describe(L, 3));
  }
}

/* ---- grad mode ---- */

static int restore_mode(lua_State *L) {
  bool **guard = lua_touserdata(L, 1);
  const bool *before = (const bool *)(guard + 1);
  **guard = *before;
  return 0;
}

/* A coroutine that dies keeps what it had to close, so that there an error is caught and raised again. */
static int with_mode_in_coroutine(lua_State *L, bind_state *S, bool mode) {
  bool before = S->context->grad_mode;
  S->context->grad_mode = mode;
  int failed = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  S->context->grad_mode = before;
  return failed ? lua_error(L) : lua_gettop(L);
}

/* Calls f with recording on or off; the mode comes back however f ends. f cannot yield, so that no
 * other coroutine runs in its mode. */
static int with_mode(lua_State *L, const char *name, bool mode) {
  bind_state *S = bind_here(L);
  if (lua_type(L, 1) != LUA_TFUNCTION && luaL_getmetafield(L, 1, "__call") == LUA_TNIL)
    return bind_error(L, name, "f must be a function, got %s", bind_describe(L, 1));
  if (lua_type(L, 1) != LUA_TFUNCTION) lua_pop(L, 1);
  bool is_main = lua_pushthread(L);
  lua_pop(L, 1);
  if (!is_main) return with_mode_in_coroutine(L, S, mode);
  bool **guard = lua_newuserdatauv(L, sizeof(bool *) + sizeof(bool), 0);
  guard[0] = &S->context->grad_mode;
  *(bool *)(guard + 1) = S->context->grad_mode;
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  lua_insert(L, 1);
  lua_toclose(L, 1);
  S->context->grad_mode = mode;
  lua_call(L, lua_gettop(L) - 2, LUA_MULTRET);
  lua_closeslot(L, 1);
  return lua_gettop(L) - 1;
}
static int no_grad(lua_State *L) { return with_mode(L, "no_grad", false); }
static int enable_grad(lua_State *L) { return with_mode(L, "enable_grad", true); }

static int is_grad_enabled(lua_State *L) {
  lua_pushboolean(L, bind_here(L)->context->grad_mode);
  return 1;
}
static int is_tensor(lua_State *L) {
  lua_pushboolean(L, bind_to_tensor(L, bind_here(L), 1) != NULL);
  return 1;
}

/* ---- registration ---- */

static const bind_function methods[] = {
    {"size", size, "x:size(dim) -> integer, or a list without dim\nThe size of a dimension, or the shape."},
    {"dim", dim, "x:dim() -> integer\nThe number of dimensions."},
    {"numel", numel, "x:numel() -> integer\nThe number of elements."},
    {"item", item, "x:item() -> number or boolean\nThe only element as a Lua value."},
    {"totable", totable, "x:totable() -> table\nThe elements as nested Lua tables; of a 0-d tensor its value."},
    {"bytes", bytes, "x:bytes() -> string\nThe elements in row-major order as raw bytes."},
    {"is_contiguous", is_contiguous,
     "x:is_contiguous() -> boolean\nWhether the elements lie one behind the other in row-major order."},
    {"equal", equal, "x:equal(y) -> boolean\nWhether the shapes and all elements are the same."},
    {"allclose", allclose,
     "x:allclose(y, {rtol = 1e-5, atol = 1e-8, equal_nan = false}) -> boolean\n"
     "Whether every |x - y| <= atol + rtol |y|."},
    {"backward", backward,
     "x:backward(gradient, {retain_graph = false})\n"
     "Adds the gradients of x to .grad of the leaves that it was computed from and that require grad. gradient, of x's "
     "shape, is 1 for one element. The graph is freed unless retain_graph."},
    {"requires_grad_", requires_grad_,
     "x:requires_grad_(on = true) -> x\nWhether gradients of what is computed from x shall reach it."},
    {"release", release,
     "x:release()\nFrees a big temporary at once instead of when the collector finds it. Its use afterwards is an "
     "error."},
    {NULL, NULL, NULL}};
static const luaL_Reg metamethods[] = {{"__gc", collect_handle},
                                       {"__close", release},
                                       {"__len", length},
                                       {"__tostring", to_string},
                                       {"__pairs", iterate},
                                       {"__lt", less},
                                       {"__le", less_or_equal},
                                       {"__index", bind_tensor_index},
                                       {"__newindex", bind_tensor_newindex},
                                       {NULL, NULL}};
/* Its finaliser is its own: a collected tensor is a released one, and costs no more than that. */
static const bind_class tensor_class = {
    .kind = BIND_TENSOR, .name = "perilune.Tensor", .methods = methods, .metamethods = metamethods};
static const bind_function functions[] = {
    {"tensor", new_tensor,
     "tensor(values, {dtype =, requires_grad = false}) -> tensor\n"
     "A tensor of nested tables of numbers (float32) or booleans (bool), of one number, or a copy of a tensor."},
    {"grad", grad,
     "grad(output, inputs, {grad_output =, retain_graph = false, create_graph = false}) -> list\n"
     "The gradients of a one-element output (or of output times grad_output) with respect to a list of tensors, or to "
     "one; false where output does not depend on an input. With create_graph they can be differentiated again."},
    {"is_tensor", is_tensor, "is_tensor(x) -> boolean\nWhether x is a tensor that was not released."},
    {"is_grad_enabled", is_grad_enabled,
     "is_grad_enabled() -> boolean\nWhether operations are recorded for gradients."},
    {NULL, NULL, NULL}};

static void set_mode_function(lua_State *L, bind_state *S, int module, const char *name, lua_CFunction function,
                              const char *doc) {
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, restore_mode);
  lua_setfield(L, -2, "__close");
  bind_push_function(L, S, function, 1);
  bind_document(L, doc);
  lua_setfield(L, module, name);
}

void bind_open_tensor(lua_State *L, bind_state *S) {
  int module = lua_gettop(L), method_table = module + 1;
  bind_open_class(L, S, &tensor_class, 0);
  bind_set_class(L, "Tensor", method_table);
  lua_rawgetp(L, LUA_REGISTRYINDEX, S->meta[BIND_TENSOR]);
  bind_rows(L, S, module, method_table, method_table + 1);
  lua_settop(L, module);
  bind_set_documented(L, S, functions);
  set_mode_function(
      L, S, module, "no_grad", no_grad,
      "no_grad(f, ...) -> what f gives\n"
      "Calls f(...) without recording for gradients; the mode comes back also after an error. f cannot yield.");
  set_mode_function(L, S, module, "enable_grad", enable_grad,
                    "enable_grad(f, ...) -> what f gives\nCalls f(...) with recording, inside no_grad.");
  bind_push_function(L, S, bind_list_ops, 0);
  lua_setfield(L, module, "ops");
}
