/* peri.nn.utils: what is done to the gradients of parameters between backward and step. */
#include "nn.h"

#include "nn/clip.h"
#include "bindings/core/options.h"

#include <float.h>
#include <math.h>

/* The list of tensors at stack index 1, or the tensor there, as an array; pushes what keeps them. */
static peri_tensor **read_parameters(lua_State *L, bind_state *S, const char *operation, int64_t *n) {
  const bool list = lua_istable(L, 1);
  const lua_Integer count = list ? (lua_Integer)lua_rawlen(L, 1) : 1;
  if (!list && bind_to_tensor(L, S, 1) == NULL) {
    bind_error(L, operation, "parameters must be a list of tensors (see net:parameters()), got %s",
               bind_describe(L, 1));
  }
  lua_createtable(L, (int)count, 0); /* holds the handles: the caller's table may be weak */
  peri_tensor **parameters = lua_newuserdatauv(L, (size_t)count * sizeof *parameters, 0);
  for (lua_Integer i = 0; i < count; i++) {
    if (list) {
      lua_rawgeti(L, 1, i + 1);
    } else {
      lua_pushvalue(L, 1);
    }
    parameters[i] = bind_to_tensor(L, S, -1);
    if (parameters[i] == NULL) {
      const char *name = lua_pushfstring(L, "parameter %I", i + 1);
      bind_check_tensor(L, S, -2, operation, name);
    }
    lua_rawseti(L, -3, i + 1);
  }
  *n = count;
  return parameters;
}

/* The number from 0 at stack index 2. */
static double read_limit(lua_State *L, const char *operation, const char *name) {
  const peri_option option = {name, PERI_OPTION_NUMBER, 0, 0, DBL_MAX, NULL, NULL};
  double value;
  bind_read_option(L, 2, operation, &option, &value);
  return value;
}

static int clip_grad_norm(lua_State *L) {
  static const char operation[] = "clip_grad_norm_";
  static const peri_option options[] = {
      {"norm_type", PERI_OPTION_NUMBER, 2, DBL_MIN, INFINITY, NULL, "the norm's power; math.huge: the largest value"},
      {"error_if_nonfinite", PERI_OPTION_BOOL, 0, 0, 0, NULL, "whether a norm that is no finite number is an error"},
      {NULL}};
  bind_state *S = bind_here(L);
  double values[2], norm;
  int64_t n;
  if (lua_gettop(L) > 3)
    return bind_error(L, operation, "too many arguments: %s was not expected", bind_describe(L, 4));
  lua_settop(L, 3);
  const double limit = read_limit(L, operation, "max_norm");
  bind_options(L, 3, operation, options, NULL, values);
  peri_tensor **parameters = read_parameters(L, S, operation, &n);
  if (values[1] != 0) BIND_TRY(L, S, peri_gradients_norm(S->context, n, parameters, values[0], &norm));
  if (values[1] != 0 && !isfinite(norm)) {
    return bind_error(L, operation,
                      "the norm of the gradients is %f (expected a finite number, as error_if_nonfinite "
                      "is true)",
                      norm);
  }
  BIND_TRY(L, S, peri_gradients_clip(S->context, n, parameters, limit, values[0], &norm));
  peri_refuse_replay(S->context, "clip_grad_norm_ gives the script a number");
  lua_pushnumber(L, norm);
  return 1;
}

static int clip_grad_value(lua_State *L) {
  static const char operation[] = "clip_grad_value_";
  bind_state *S = bind_here(L);
  int64_t n;
  if (lua_gettop(L) > 2)
    return bind_error(L, operation, "too many arguments: %s was not expected", bind_describe(L, 3));
  lua_settop(L, 2);
  const double limit = read_limit(L, operation, "clip_value");
  peri_tensor **parameters = read_parameters(L, S, operation, &n);
  peri_gradients_clamp(n, parameters, limit);
  return 0;
}

void nn_open_utils(lua_State *L, bind_state *S, int module) {
  static const bind_function functions[] = {
      {"clip_grad_norm_", clip_grad_norm,
       "nn.utils.clip_grad_norm_(parameters, max_norm, {norm_type = 2, error_if_nonfinite = false}) -> number\n"
       "Scales the gradients of the parameters (a list, or one) so that their norm together is at most max_norm, and "
       "gives the norm they had (R. Pascanu, T. Mikolov, Y. Bengio 2013). norm_type math.huge is the largest value. "
       "optimizer.param_groups[1].params are those of one group.\n"
       "Errors: with error_if_nonfinite a norm that is no finite number; nothing was changed then."},
      {"clip_grad_value_", clip_grad_value,
       "nn.utils.clip_grad_value_(parameters, clip_value)\n"
       "Limits each value of the gradients of the parameters (a list, or one) to -clip_value .. clip_value."},
      {NULL, NULL, NULL}};
  lua_newtable(L);
  bind_set_documented(L, S, functions);
  lua_newtable(L); /* the rest of which lua/nn/init.lua has */
  bind_set_part(L, -1, "init");
  lua_setfield(L, module, "init");
  bind_set_part(L, -1, "utils");
  lua_setfield(L, module, "utils");
}
