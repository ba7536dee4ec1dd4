/* Tensors from Lua values, and back. */
#include "tensor.h"
#include "rows.h"
#include "autograd/autograd.h"
#include "ops/rows.h"

/* ---- from Lua values ---- */

typedef struct nest {
  lua_State *L;
  peri_layout layout;
  bool booleans, numbers;
  int dtype;  /* wanted, or < 0 */
  char *next; /* the place of the next element while filling */
  const char *operation;
} nest;

#define MAX_NEST_ERROR "values must be numbers or booleans in tables of equal length, got %s"

/* The shape of nested tables, from their first entries. */
static void nest_shape(nest *n, int index) {
  lua_State *L = n->L;
  lua_pushvalue(L, index);
  while (lua_type(L, -1) == LUA_TTABLE) {
    if (n->layout.ndim == PERI_MAX_DIMS)
      bind_error(L, n->operation, "tables are nested more than %d deep", PERI_MAX_DIMS);
    lua_Unsigned length = lua_rawlen(L, -1);
    n->layout.shape[n->layout.ndim++] = (int64_t)length;
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
    if (length == 0) break;
  }
  lua_pop(L, 1);
}

bool bind_holds_booleans(lua_State *L, int index) {
  lua_pushvalue(L, index);
  for (int depth = 0; lua_type(L, -1) == LUA_TTABLE && depth <= PERI_MAX_DIMS; depth++) {
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
  }
  bool booleans = lua_isboolean(L, -1);
  lua_pop(L, 1);
  return booleans;
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
        bind_error(L, n->operation, "%s is no value of %s%s", bind_describe(L, -1), peri_dtype_name(dtype),
                   dtype == PERI_FLOAT32 ? " (dtype = 'float64' holds it)" : "");
      }
    } else {
      bind_error(L, n->operation, MAX_NEST_ERROR, bind_describe(L, -1));
    }
    return;
  }
  if (lua_type(L, -1) != LUA_TTABLE) bind_error(L, n->operation, MAX_NEST_ERROR, bind_describe(L, -1));
  if ((int64_t)lua_rawlen(L, -1) != n->layout.shape[level]) {
    bind_error(L, n->operation, "a table has %I entries but the first of its level has %I",
               (lua_Integer)lua_rawlen(L, -1), (lua_Integer)n->layout.shape[level]);
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
static peri_status nest_begin(nest *n, bind_state *S, int index, int dtype, const char *operation, peri_tensor **out) {
  lua_State *L = n->L;
  *n = (nest){.L = L, .dtype = dtype, .operation = operation};
  nest_shape(n, index);
  lua_pushvalue(L, index);
  nest_check(n, 0);
  lua_pop(L, 1);
  if (n->booleans && n->numbers) bind_error(L, n->operation, "numbers and booleans are mixed");
  n->layout.dtype = dtype >= 0 ? (peri_dtype)dtype : n->booleans ? PERI_BOOL : PERI_FLOAT32;
  PERI_TRY(peri_layout_contiguous(S->context, operation, &n->layout));
  return peri_tensor_empty(S->context, &n->layout, out);
}

/* Pushes a tensor of the Lua value at index; dtype < 0: float32, or bool for booleans. From the check of the value to
 * the last element nothing allocates in Lua: a finaliser might change the tables. */
void bind_tensor_from_value(lua_State *L, bind_state *S, int index, int dtype, const char *operation) {
  nest n = {.L = L};
  index = lua_absindex(L, index);
  luaL_checkstack(L, 2 * PERI_MAX_DIMS + 4, operation);
  peri_tensor **handle = bind_new_tensor(L, S);
  BIND_TRY(L, S, nest_begin(&n, S, index, dtype, operation, handle));
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
    bind_tensor_from_value(L, S, 1, dtype, "tensor");
  }
  if (requires_grad) {
    BIND_TRY(L, S, peri_require_grad(bind_to_tensor(L, S, -1), true));
    bind_register_handle(L, S, -1);
  }
  return 1;
}

/* ---- from bytes ---- */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "bytes are taken and given as they lie");

/* The shape at index, of which one size may be -1, for that many elements; without one a vector. */
static void read_bytes_shape(lua_State *L, int index, int64_t elements, peri_layout *layout) {
  int64_t known = 1;
  int open = -1;
  char text[PERI_SHAPE_TEXT];
  if (lua_isnil(L, index)) {
    layout->ndim = 1;
    layout->shape[0] = elements;
    return;
  }
  if (!lua_istable(L, index) || lua_rawlen(L, index) > PERI_MAX_DIMS)
    bind_error(L, "frombytes", "shape must be a table of at most %d sizes, got %s", PERI_MAX_DIMS,
               bind_describe(L, index));
  layout->ndim = (int)lua_rawlen(L, index);
  for (int d = 0; d < layout->ndim; d++) {
    int whole = 0;
    lua_rawgeti(L, index, d + 1);
    layout->shape[d] = lua_type(L, -1) == LUA_TNUMBER ? lua_tointegerx(L, -1, &whole) : 0;
    if (!whole) bind_error(L, "frombytes", "shape[%d] must be a whole number, got %s", d + 1, bind_describe(L, -1));
    lua_pop(L, 1);
    if (layout->shape[d] == -1 && open < 0) {
      open = d;
    } else if (layout->shape[d] < 0 || __builtin_mul_overflow(known, layout->shape[d], &known)) {
      bind_error(L, "frombytes", "%s is not a shape", peri_shape_text(d + 1, layout->shape, text));
    }
  }
  if (open >= 0 && known > 0 && elements % known == 0) {
    layout->shape[open] = elements / known;
    known = elements;
  }
  if (known != elements || (open >= 0 && layout->shape[open] < 0))
    bind_error(L, "frombytes", "%I elements do not fit the shape %s", (lua_Integer)elements,
               peri_shape_text(layout->ndim, layout->shape, text));
}

/* peri.frombytes(bytes, {dtype =, shape =}) */
static int from_bytes(lua_State *L) {
  static const char *const also[] = {"dtype", "shape", NULL};
  bind_state *S = bind_here(L);
  double unused[1];
  size_t length;
  if (lua_gettop(L) > 2)
    return bind_error(L, "frombytes", "too many arguments: %s was not expected", bind_describe(L, 3));
  lua_settop(L, 2);
  if (lua_type(L, 1) != LUA_TSTRING)
    return bind_error(L, "frombytes", "bytes must be a string, got %s", bind_describe(L, 1));
  const char *bytes = lua_tolstring(L, 1, &length);
  bind_options(L, 2, "frombytes", no_options, also, unused);
  peri_layout layout = {.dtype = PERI_FLOAT32};
  if (bind_push_entry(L, 2, "dtype") != LUA_TNIL) layout.dtype = bind_check_dtype(L, 3, "frombytes");
  bind_push_entry(L, 2, "shape");
  size_t size = peri_dtype_size(layout.dtype);
  if (length % size != 0)
    return bind_error(L, "frombytes", "there are %I bytes (expected a multiple of %d, the size of a %s)",
                      (lua_Integer)length, (int)size, peri_dtype_name(layout.dtype));
  read_bytes_shape(L, 4, (int64_t)(length / size), &layout);
  for (size_t i = 0; layout.dtype == PERI_BOOL && i < length; i++) {
    if ((unsigned char)bytes[i] > 1)
      return bind_error(L, "frombytes", "byte %I is %d, which is no bool (expected 0 or 1)", (lua_Integer)i + 1,
                        (unsigned char)bytes[i]);
  }
  peri_tensor **handle = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_tensor_shaped(S->context, "frombytes", layout.dtype, layout.ndim, layout.shape, handle));
  memcpy((*handle)->data, bytes, length);
  bind_charge(L, S);
  return 1;
}

/* ---- to Lua values ---- */

static int item(lua_State *L) {
  const peri_tensor *x = bind_self(L, "item");
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
  const peri_tensor *x = bind_self(L, "totable");
  luaL_checkstack(L, 2 * PERI_MAX_DIMS, "totable");
  push_nested(L, x, x->data, 0);
  return 1;
}

/* The elements as a string of their bytes, row-major: what a checksum or another program takes. */
static int bytes(lua_State *L) {
  bind_state *S = bind_here(L);
  peri_tensor *x = bind_self(L, "bytes");
  peri_refuse_replay(S->context, "the script reads the bytes of a tensor");
  if (!x->contiguous) {
    peri_tensor **copy = bind_new_tensor(L, S);
    BIND_TRY(L, S, peri_tensor_contiguous(x, copy));
    x = *copy;
  }
  lua_pushlstring(L, x->data, (size_t)x->layout.numel * peri_dtype_size(x->layout.dtype));
  return 1;
}

/* ---- registration ---- */

static const bind_function methods[] = {
    {"item", item, "x:item() -> number or boolean\nThe only element as a Lua value."},
    {"totable", totable, "x:totable() -> table\nThe elements as nested Lua tables; of a 0-d tensor its value."},
    {"bytes", bytes,
     "x:bytes() -> string\n"
     "The elements in row-major order as raw bytes, little endian, each in the size of its dtype; peri.frombytes takes "
     "them."},
    {NULL, NULL, NULL}};
static const bind_function functions[] = {
    {"tensor", new_tensor,
     "tensor(values, {dtype =, requires_grad = false}) -> tensor\n"
     "A tensor of nested tables of numbers (float32) or booleans (bool), of one number, or a copy of a tensor."},
    {"frombytes", from_bytes,
     "frombytes(bytes, {dtype = 'float32', shape =}) -> tensor\n"
     "A tensor whose elements are the bytes of a string in row-major order, little endian, as x:bytes() gives them. "
     "Without shape a vector; one of its sizes may be -1. Errors: bytes that are no whole number of elements, a shape "
     "of another number, a bool that is neither 0 nor 1."},
    {NULL, NULL, NULL}};

void bind_open_values(lua_State *L, bind_state *S, int module, int method_table) {
  bind_add_functions(L, S, method_table, methods);
  bind_add_functions(L, S, module, functions);
}
