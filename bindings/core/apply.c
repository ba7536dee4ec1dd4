/* A Lua function for each element: apply and map. It is called with nothing of the runtime running; what it gives is
 * gathered in a tensor that only the stack knows, and the target is written when all are there. */
#include "rows.h"
#include "tensor.h"

#include "ops/rows.h"

#include <string.h>

typedef struct application {
  const char *name;
  bool in_place, second; /* second: the elements of another tensor go with those of x */
} application;

static void push_at(lua_State *L, const peri_tensor *own, int64_t i) {
  peri_view element = own->view;
  element.data += i * (int64_t)peri_dtype_size(own->layout.dtype);
  bind_push_element(L, &element);
}

/* The value on top, which f gave, as element i of own. */
static void take_at(lua_State *L, const application *a, peri_tensor *own, int64_t i) {
  peri_dtype dtype = own->layout.dtype;
  char *at = own->data + i * (int64_t)peri_dtype_size(dtype);
  if (lua_type(L, -1) != LUA_TNUMBER && !lua_isboolean(L, -1)) {
    bind_error(L, a->name, "f gave %s for element %I (expected a number)", bind_describe(L, -1), (lua_Integer)i + 1);
  }
  peri_arg value = {.given = true, .is_integer = lua_isinteger(L, -1) || lua_isboolean(L, -1)};
  value.integer = lua_isboolean(L, -1) ? lua_toboolean(L, -1) : value.is_integer ? lua_tointeger(L, -1) : 0;
  value.number = value.is_integer ? (double)value.integer : lua_tonumber(L, -1);
  bool exact = dtype == PERI_INT64 && value.is_integer;
  if (!exact && !peri_number_fits(dtype, value.number)) {
    bind_error(L, a->name, "f gave %s for element %I, which is no value of %s", bind_describe(L, -1),
               (lua_Integer)i + 1, peri_dtype_name(dtype));
  }
  peri_arg_store(&value, dtype, at);
  lua_pop(L, 1);
}

/* A contiguous copy, in a handle on the stack. */
static peri_tensor *push_copy(lua_State *L, bind_state *S, int index, const char *name, const char *argument) {
  peri_tensor **handle = bind_new_tensor(L, S), *x = bind_check_tensor(L, S, index, name, argument);
  BIND_TRY(L, S, peri_tensor_copy(x, x->layout.dtype, handle));
  return *handle;
}

static void check_arguments(lua_State *L, bind_state *S, const application *a) {
  int f = a->second ? 3 : 2;
  const peri_tensor *x = bind_check_tensor(L, S, 1, a->name, "x");
  if (lua_type(L, f) != LUA_TFUNCTION) bind_error(L, a->name, "f must be a function, got %s", bind_describe(L, f));
  if (lua_gettop(L) > f) {
    bind_error(L, a->name, "too many arguments: %s was not expected", bind_describe(L, f + 1));
  }
  if (x->requires_grad && S->context->grad_mode) {
    bind_error(L, a->name, "x requires grad, and no gradient goes through a Lua function (use detach or no_grad)");
  }
  if (!a->second) return;
  const peri_tensor *b = bind_check_tensor(L, S, 2, a->name, "b");
  char text[PERI_SHAPE_TEXT], other[PERI_SHAPE_TEXT];
  if (!peri_same_shape(&x->layout, &b->layout)) {
    bind_error(L, a->name, "b is %s but x is %s", peri_shape_text(b->layout.ndim, b->layout.shape, other),
               peri_shape_text(x->layout.ndim, x->layout.shape, text));
  }
}

static int run(lua_State *L, const application *a) {
  bind_state *S = bind_here(L);
  check_arguments(L, S, a);
  int f = lua_gettop(L);
  peri_tensor *own = push_copy(L, S, 1, a->name, "x"), *other = a->second ? push_copy(L, S, 2, a->name, "b") : NULL;
  for (int64_t i = 0; i < own->layout.numel; i++) {
    lua_pushvalue(L, f);
    push_at(L, own, i);
    if (other != NULL) push_at(L, other, i);
    lua_call(L, other != NULL ? 2 : 1, 1);
    take_at(L, a, own, i);
  }
  lua_settop(L, f + 1);
  bind_charge(L, S);
  if (!a->in_place) return 1;
  peri_call call;
  peri_call_open(&call, S->context, &peri_op_copy_);
  call.args[0] =
      (peri_arg){.given = true, .tensor = bind_check_tensor(L, S, 1, a->name, "x")}; /* f may have released it */
  call.args[1] = (peri_arg){.given = true, .tensor = own};
  BIND_TRY(L, S, peri_call_run(&call));
  peri_tensor_release(&call.outputs[0].tensor);
  lua_settop(L, 1);
  return 1;
}

int bind_tensor_apply(lua_State *L) { return run(L, &(application){"apply", false, false}); }
int bind_tensor_apply_(lua_State *L) { return run(L, &(application){"apply_", true, false}); }
int bind_tensor_map(lua_State *L) { return run(L, &(application){"map", false, true}); }
int bind_tensor_map_(lua_State *L) { return run(L, &(application){"map_", true, true}); }
