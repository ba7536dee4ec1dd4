/* Tensors as userdata: what is not a row of the table. Shape, comparison, properties, the life of a handle. Conversion
 * from and to Lua values is in values.c, printing in print.c, gradients in gradients.c, indexing in index.c. */
#include "tensor.h"
#include "hooks.h"
#include "key.h"
#include "names.h"
#include "rows.h"
#include "autograd/autograd.h"
#include "ops/rows.h"

#include <math.h>
#include <string.h>

/* ---- shape ---- */

static void push_shape(lua_State *L, const peri_tensor *x) {
  lua_createtable(L, x->layout.ndim, 0);
  for (int d = 0; d < x->layout.ndim; d++) {
    lua_pushinteger(L, x->layout.shape[d]);
    lua_rawseti(L, -2, d + 1);
  }
}

static int size(lua_State *L) {
  const peri_tensor *x = bind_source(L, "size");
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
  lua_pushinteger(L, bind_source(L, "dim")->layout.ndim);
  return 1;
}
static int numel(lua_State *L) {
  lua_pushinteger(L, bind_source(L, "numel")->layout.numel);
  return 1;
}
static int is_contiguous(lua_State *L) {
  lua_pushboolean(L, bind_source(L, "is_contiguous")->contiguous);
  return 1;
}
static int length(lua_State *L) {
  const peri_tensor *x = bind_source(L, "#");
  if (x->layout.ndim == 0) return bind_error(L, "#", "the tensor has no dimensions");
  lua_pushinteger(L, x->layout.shape[0]);
  return 1;
}

/* ---- whole-tensor comparisons ---- */

static int compare_all(lua_State *L, const char *operation, const peri_closeness *how) {
  bind_state *S = bind_here(L);
  const peri_tensor *a = bind_self(L, operation), *b = bind_check_tensor(L, S, 2, operation, "other");
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
  bind_check_tensor(L, bind_here(L), index, method, "x"); /* whose memory may have been taken back */
  if (x->layout.numel != 1) {
    bind_error(L, method, "Lua compares single values, and the tensor is %s (use a:%s(b) for each element)",
               peri_shape_text(x->layout.ndim, x->layout.shape, text), method);
  }
  if (x->layout.dtype == PERI_BOOL) {
    peri_refuse_replay(bind_here(L)->context, "the script reads a value of a tensor");
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

/* ---- the life of a handle ---- */

/* Debug lets a script call it with anything. */
static int collect_handle(lua_State *L) {
  bind_handle *handle = lua_touserdata(L, 1);
  if (handle == NULL || lua_rawlen(L, 1) != sizeof *handle || handle->mark != &bind_handle_mark) return 0;
  peri_tensor_release(&handle->tensor);
  if (handle->parked != NULL) peri_tensor_release(&handle->parked);
  return 0;
}

static int release(lua_State *L) {
  bind_state *S = bind_here_always(L);
  if (bind_is_released(L, S, 1)) return 0;
  const peri_tensor *x = bind_to_tensor(L, S, 1); /* also one whose memory was taken back */
  if (x == NULL) x = bind_self(L, "release");
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
  const peri_tensor *x = bind_self(L, "pairs");
  if (x->layout.ndim == 0) return bind_error(L, "pairs", "the tensor has no dimensions");
  bind_push_function(L, bind_here(L), next_row, 0);
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  return 3;
}

/* ---- properties: t.shape, t.ndim, t.dtype, t.T, t.grad, t.requires_grad, t.is_leaf ---- */

/* Upvalue 3 holds the methods. */
static int no_field(lua_State *L) {
  static const char *const properties[] = {"shape", "ndim", "dtype", "T", "requires_grad", "is_leaf", "grad", NULL};
  bind_guess guess = bind_guess_for(L, 2);
  bind_guess_keys(L, &guess, lua_upvalueindex(3));
  bind_guess_names(&guess, properties);
  return bind_no_field(L, "tensor", lua_tostring(L, 2), &guess);
}

int bind_tensor_property(lua_State *L, bind_state *S, peri_tensor *x, const char *name) {
  if (strcmp(name, "shape") == 0) {
    push_shape(L, x);
  } else if (strcmp(name, "ndim") == 0) {
    lua_pushinteger(L, x->layout.ndim);
  } else if (strcmp(name, "T") == 0) {
    bind_apply(L, S, &peri_op_t, 1, &x);
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
    return no_field(L);
  }
  return 1;
}

void bind_set_tensor_property(lua_State *L, bind_state *S, peri_tensor *x, const char *name) {
  if (strcmp(name, "requires_grad") == 0 && lua_isboolean(L, 3)) {
    peri_refuse_replay(S->context, "the script sets requires_grad");
    BIND_TRY(L, S, peri_require_grad(x, lua_toboolean(L, 3)));
    if (x->requires_grad && !x->known) bind_register_handle(L, S, 1);
  } else if (strcmp(name, "grad") == 0 && lua_isnil(L, 3)) {
    peri_refuse_replay(S->context, "the script drops a gradient");
    peri_tensor_release(&x->grad);
  } else {
    bind_error(L, "tensor", "field %s cannot be set to %s", name, bind_describe(L, 3));
  }
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
    {"is_contiguous", is_contiguous,
     "x:is_contiguous() -> boolean\nWhether the elements lie one behind the other in row-major order."},
    {"equal", equal, "x:equal(y) -> boolean\nWhether the shapes and all elements are the same."},
    {"allclose", allclose,
     "x:allclose(y, {rtol = 1e-5, atol = 1e-8, equal_nan = false}) -> boolean\n"
     "Whether every |x - y| <= atol + rtol |y|."},
    {"apply", bind_tensor_apply,
     "x:apply(f) -> tensor\n"
     "f(element) for each element, in row-major order, as a new tensor of x's dtype. Slow: a call of Lua for each; rows of "
     "the table are hundreds of times as fast. f gives numbers that the dtype has. No gradient."},
    {"apply_", bind_tensor_apply_,
     "x:apply_(f) -> x\nThe same in place; x is written when f has been called for all elements."},
    {"map", bind_tensor_map,
     "x:map(b, f) -> tensor\nf(element of x, element of b) for each element of two tensors of one shape, as apply."},
    {"map_", bind_tensor_map_,
     "x:map_(b, f) -> x\nThe same in place; x is written when f has been called for all elements."},
    {"release", release,
     "x:release()\n"
     "Frees a big temporary at once instead of when the collector finds it. Its use afterwards is an error."},
    {NULL, NULL, NULL}};
static const luaL_Reg metamethods[] = {{"__gc", collect_handle},
                                       {"__close", release},
                                       {"__len", length},
                                       {"__tostring", bind_tensor_to_string},
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
    {"is_tensor", is_tensor, "is_tensor(x) -> boolean\nWhether x is a tensor that was not released."},
    {"type", bind_type, BIND_TYPE_DOC},
    {NULL, NULL, NULL}};

void bind_open_tensor(lua_State *L, bind_state *S) {
  int module = lua_gettop(L), method_table = module + 1;
  bind_open_class(L, S, &tensor_class, 0);
  bind_set_class(L, "Tensor", "Methods of tensors that are not operations", method_table);
  bind_open_values(L, S, module, method_table);
  bind_open_gradients(L, S, module, method_table);
  bind_open_print(L, S, module, method_table);
  lua_rawgetp(L, LUA_REGISTRYINDEX, S->meta[BIND_TENSOR]);
  bind_rows(L, S, module, method_table, method_table + 1);
  lua_settop(L, module);
  bind_open_generator(L, S, module);
  bind_open_hooks(L, S);
  bind_set_documented(L, S, functions);
  lua_pushliteral(L, BIND_NEWAXIS);
  lua_setfield(L, module, "newaxis");
  bind_push_function(L, S, bind_list_ops, 0);
  lua_setfield(L, module, "ops");
}
