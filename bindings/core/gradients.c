/* Gradients of tensors, and whether operations are recorded. */
#include "anomaly.h"
#include "hooks.h"
#include "tensor.h"
#include "autograd/autograd.h"

/* ---- gradients ---- */

static const char *const no_names[] = {NULL};

static int backward(lua_State *L) {
  static const peri_option options[] = {{"retain_graph", PERI_OPTION_BOOL, 0, 0, 0, NULL, ""}, {NULL}};
  bind_state *S = bind_here(L);
  peri_tensor *x = bind_self(L, "backward"), *gradient = bind_to_tensor(L, S, 2);
  double values[1];
  int at = gradient != NULL || lua_isnil(L, 2) ? 3 : 2;
  if (at == 2 && !lua_isnone(L, 2) && !lua_istable(L, 2)) bind_check_tensor(L, S, 2, "backward", "gradient");
  bind_options(L, at, "backward", options, no_names, values);
  BIND_WALK(L, S, peri_backward_run(x, gradient, values[0] != 0));
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
  BIND_WALK(L, S, peri_grad_run(output, gradient, (int)n, inputs, values[0] != 0, values[1] != 0, grads));
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
  peri_tensor *x = bind_self(L, "requires_grad_");
  bool wanted = lua_isnoneornil(L, 2) || lua_toboolean(L, 2);
  if (!lua_isnoneornil(L, 2) && !lua_isboolean(L, 2))
    return bind_error(L, "requires_grad_", "requires_grad must be true or false, got %s", bind_describe(L, 2));
  BIND_TRY(L, S, peri_require_grad(x, wanted));
  if (wanted && x->node == NULL && !x->known) bind_register_handle(L, S, 1);
  lua_settop(L, 1);
  return 1;
}

/* ---- grad mode ---- */

static int restore_mode(lua_State *L) {
  bool **guard = lua_touserdata(L, 1);
  const bool *before = (const bool *)(guard + 1);
  **guard = *before;
  return 0;
}

/* A coroutine that dies keeps what it had to close, so that there an error is caught and raised again. */
static int with_mode_in_coroutine(lua_State *L, bool *mode, bool value) {
  bool before = *mode;
  *mode = value;
  int failed = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  *mode = before;
  return failed ? lua_error(L) : lua_gettop(L);
}

/* Calls f with the mode of that value; it comes back however f ends. f cannot yield, so that no other coroutine runs in
 * its mode. */
static int with_mode(lua_State *L, const char *name, bool *mode, bool value) {
  if (lua_type(L, 1) != LUA_TFUNCTION && luaL_getmetafield(L, 1, "__call") == LUA_TNIL)
    return bind_error(L, name, "f must be a function, got %s", bind_describe(L, 1));
  if (lua_type(L, 1) != LUA_TFUNCTION) lua_pop(L, 1);
  bool is_main = lua_pushthread(L);
  lua_pop(L, 1);
  if (!is_main) return with_mode_in_coroutine(L, mode, value);
  bool **guard = lua_newuserdatauv(L, sizeof(bool *) + sizeof(bool), 0);
  guard[0] = mode;
  *(bool *)(guard + 1) = *mode;
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  lua_insert(L, 1);
  lua_toclose(L, 1);
  *mode = value;
  lua_call(L, lua_gettop(L) - 2, LUA_MULTRET);
  lua_closeslot(L, 1);
  return lua_gettop(L) - 1;
}
static int no_grad(lua_State *L) { return with_mode(L, "no_grad", &bind_here(L)->context->grad_mode, false); }
static int enable_grad(lua_State *L) { return with_mode(L, "enable_grad", &bind_here(L)->context->grad_mode, true); }
static int detect_anomaly(lua_State *L) {
  return with_mode(L, "detect_anomaly", &bind_here(L)->context->detect_anomaly, true);
}

static int set_detect_anomaly(lua_State *L) {
  if (!lua_isboolean(L, 1))
    return bind_error(L, "set_detect_anomaly", "on must be true or false, got %s", bind_describe(L, 1));
  bind_here(L)->context->detect_anomaly = lua_toboolean(L, 1);
  return 0;
}

static int is_grad_enabled(lua_State *L) {
  lua_pushboolean(L, bind_here(L)->context->grad_mode);
  return 1;
}
/* ---- registration ---- */

static const bind_function methods[] = {
    {"backward", backward,
     "x:backward(gradient, {retain_graph = false})\n"
     "Adds the gradients of x to .grad of the leaves that it was computed from and that require grad. gradient, of x's "
     "shape, is 1 for one element. The graph is freed unless retain_graph."},
    {"requires_grad_", requires_grad_,
     "x:requires_grad_(on = true) -> x\nWhether gradients of what is computed from x shall reach it."},
    {"register_hook", bind_register_hook,
     "x:register_hook(f) -> hook\n"
     "f(gradient) is called when backward, or grad, has the whole gradient of x, a leaf or not: before it goes on, or into "
     ".grad, or is given; grad calls the hooks of those leaves alone that it is asked for. f gives nil, or a tensor of "
     "the same shape and dtype that takes the gradient's place. Several are called in order. Where the gradient is to be "
     "differentiated again, what f does is recorded. hook:remove() ends it; else f lives as long as x, and where it "
     "refers to x, x as long as f. The gradient is not to be written in place. Where memory is short, the walk may begin "
     "anew, and call f again.\n"
     "Errors: a tensor that does not require grad; a gradient of another shape. An error of f goes on, and no .grad has "
     "changed."},
    {NULL, NULL, NULL}};
static const bind_function functions[] = {
    {"grad", grad,
     "grad(output, inputs, {grad_output =, retain_graph = false, create_graph = false}) -> list\n"
     "The gradients of a one-element output (or of output times grad_output) with respect to a list of tensors, or to "
     "one; false where output does not depend on an input. With create_graph they can be differentiated again."},
    {"set_detect_anomaly", set_detect_anomaly,
     "set_detect_anomaly(on)\n"
     "Whether anomalies are detected: then NaN or an infinity in the result of an operation whose arguments are finite "
     "is an error, which names the operation, shapes, and the layer where one runs; and so is one in a gradient while "
     "backward or grad walk back, which also names the line of the script that recorded the operation. Each call then "
     "looks at all numbers, several times as slow; off, nothing is paid. What was recorded before has no line. An "
     "operation in place has written when it raises."},
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

void bind_open_gradients(lua_State *L, bind_state *S, int module, int method_table) {
  bind_add_functions(L, S, method_table, methods);
  bind_add_functions(L, S, module, functions);
  set_mode_function(
      L, S, module, "no_grad", no_grad,
      "no_grad(f, ...) -> what f gives\n"
      "Calls f(...) without recording for gradients; the mode comes back also after an error. f cannot yield.");
  set_mode_function(L, S, module, "enable_grad", enable_grad,
                    "enable_grad(f, ...) -> what f gives\nCalls f(...) with recording, inside no_grad.");
  set_mode_function(L, S, module, "detect_anomaly", detect_anomaly,
                    "detect_anomaly(f, ...) -> what f gives\n"
                    "Calls f(...) while anomalies are detected, as set_detect_anomaly says; the mode comes back also "
                    "after an error. f cannot yield.");
  bind_open_anomaly(S);
}
