/* Optimisers written in Lua: bindings/lua/optim.lua makes the classes and the step; here is what they stand on. Their
 * kind is a row made at run time, so that options, groups, buffers, schedules and state dictionaries are those of all
 * optimisers. */
#include "optim.h"

#include "bindings/core/names.h"
#include "bindings/core/options.h"
#include "nn/parameter.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* ---- kinds ---- */

typedef struct written_kind {
  peri_optimizer_kind kind;
  peri_option options[PERI_OPTIMIZER_OPTIONS + 1];
  double defaults[PERI_OPTIMIZER_OPTIONS];
  int options_n, values_n;
} written_kind;

/* The option of that name with the default on the stack's top, which is popped. */
static void add_option(lua_State *L, written_kind *w, const char *name) {
  const int type = lua_type(L, -1), value = lua_gettop(L);
  const lua_Integer n = type == LUA_TTABLE ? (lua_Integer)lua_rawlen(L, value) : 1;
  if ((type != LUA_TNUMBER && type != LUA_TBOOLEAN && type != LUA_TTABLE) || n < 1) {
    bind_error(L, "extend", "the default of %s must be a number, a boolean or a list of numbers, got %s", name,
               bind_describe(L, value));
  }
  if (n > PERI_OPTIMIZER_OPTIONS - w->values_n) {
    bind_error(L, "extend", "there are more than %d options (a list counts as many as it has)",
               PERI_OPTIMIZER_OPTIONS - 1); /* one is maximize */
  }
  double *defaults = &w->defaults[w->values_n];
  for (lua_Integer i = 0; i < n; i++) {
    if (type == LUA_TTABLE) {
      if (lua_rawgeti(L, value, i + 1) != LUA_TNUMBER)
        bind_error(L, "extend", "entry %I of %s must be a number, got %s", i + 1, name, bind_describe(L, -1));
    }
    defaults[i] = type == LUA_TBOOLEAN ? lua_toboolean(L, value) : lua_tonumber(L, -1);
    if (!isfinite(defaults[i]))
      bind_error(L, "extend", "the default of %s is %f (expected a finite number)", name, defaults[i]);
    lua_settop(L, value);
  }
  const bool rate = w->options_n == 0;
  if (rate && (type != LUA_TNUMBER || *defaults < 0))
    bind_error(L, "extend", "the default of lr must be a number from 0, got %s", bind_describe(L, value));
  w->options[w->options_n++] = (peri_option){.name = name,
                                             .kind = type == LUA_TBOOLEAN ? PERI_OPTION_BOOL : PERI_OPTION_NUMBER,
                                             .otherwise = *defaults,
                                             .high = rate ? DBL_MAX : 0,
                                             .count = n > 1 ? (int)n : 0,
                                             .defaults = n > 1 ? defaults : NULL};
  w->values_n += (int)n;
  lua_pop(L, 1);
}

/* internal.optim.kind(name, names, defaults, buffers): a userdata with the row. The names of options, lr first, and of
 * buffers are lists of strings, which it keeps. */
int optim_written_kind(lua_State *L) {
  lua_settop(L, 4);
  written_kind *w = lua_newuserdatauv(L, sizeof *w, 3);
  memset(w, 0, sizeof *w);
  for (int i = 0; i < 3; i++) {
    lua_pushvalue(L, i == 0 ? 1 : i == 1 ? 2 : 4);
    lua_setiuservalue(L, 5, i + 1);
  }
  w->kind = (peri_optimizer_kind){.name = lua_tostring(L, 1), .options = w->options, .doc = ""};
  const lua_Integer options_n = (lua_Integer)lua_rawlen(L, 2), buffers_n = (lua_Integer)lua_rawlen(L, 4);
  for (lua_Integer i = 1; i <= options_n; i++) {
    lua_rawgeti(L, 2, i);
    const char *name = lua_tostring(L, -1);
    lua_rawget(L, 3);
    add_option(L, w, name);
  }
  if (buffers_n > PERI_UPDATE_BUFFERS)
    return bind_error(L, "extend", "state has %I names (expected at most %d)", buffers_n, PERI_UPDATE_BUFFERS);
  for (lua_Integer i = 1; i <= buffers_n; i++) {
    lua_rawgeti(L, 4, i);
    w->kind.buffers[i - 1] = lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  return 1;
}

void optim_written_adopt(lua_State *L, int class) {
  const int optimizer = lua_gettop(L);
  for (int value = OPTIM_FIELDS; value <= OPTIM_BUFFERS; value++) {
    lua_newtable(L);
    lua_setiuservalue(L, optimizer, value);
  }
  lua_pushvalue(L, class);
  lua_setiuservalue(L, optimizer, OPTIM_CLASS);
  if (lua_getfield(L, class, "init") != LUA_TNIL) {
    lua_pushvalue(L, optimizer);
    lua_call(L, 1, 0);
  }
  lua_settop(L, optimizer);
}

/* internal.optim.make(kind, class, parameters, options): the optimiser, whose step is that of the class. */
int optim_written_make(lua_State *L) {
  bind_state *S = bind_here(L);
  lua_settop(L, 4);
  const written_kind *w = lua_touserdata(L, 1);
  optim_new(L, S, &w->kind, 3, 4, OPTIM_VALUES);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, OPTIM_KIND);
  optim_written_adopt(L, 2);
  return 1;
}

/* ---- the step ---- */

static peri_optimizer *check_written(lua_State *L) {
  peri_optimizer *optimizer = optim_check_optimizer(L, "step");
  if (!optim_is_written(optimizer))
    bind_error(L, "step", "%s is not written in Lua (expected an object of a class of Optimizer.extend)",
               optimizer->kind->name);
  return optimizer;
}

/* internal.optim.ready(optimizer): raises when a gradient does not fit. */
int optim_written_ready(lua_State *L) {
  peri_optimizer *optimizer = check_written(L);
  peri_refuse_replay(optimizer->context, "%s is an optimizer written in Lua", optimizer->kind->name);
  BIND_TRY(L, bind_here(L), peri_optimizer_check_gradients(optimizer));
  return 0;
}

/* internal.optim.sizes(optimizer): how many parameters each group has */
int optim_written_sizes(lua_State *L) {
  const peri_optimizer *optimizer = check_written(L);
  lua_newtable(L);
  for (int64_t g = 0; g < optimizer->groups_n; g++) {
    lua_pushinteger(L, optimizer->groups[g].n);
    lua_rawseti(L, -2, g + 1);
  }
  return 1;
}

/* internal.optim.options(optimizer, group): a table of its options */
int optim_written_options(lua_State *L) {
  const peri_optimizer *optimizer = check_written(L);
  const int64_t g = (int64_t)luaL_checkinteger(L, 2) - 1;
  lua_newtable(L);
  for (const peri_option *option = optimizer->kind->options; option->name != NULL; option++) {
    bind_push_named_option(L, optimizer->kind->options, optimizer->groups[g].options, option->name);
    lua_setfield(L, -2, option->name);
  }
  return 1;
}

/* internal.optim.entry(optimizer, i): parameter i, its gradient and its state, which counts the step that is made; nil
 * without a gradient */
int optim_written_entry(lua_State *L) {
  bind_state *S = bind_here(L);
  peri_optimizer *optimizer = check_written(L);
  const int64_t i = (int64_t)luaL_checkinteger(L, 2) - 1;
  peri_tensor *parameter = optimizer->slots[i].parameter;
  if (parameter->grad == NULL) return 0;
  bind_push_tensor(L, S, &parameter);
  bind_push_tensor(L, S, &parameter->grad);
  optim_push_slot(L, S, optimizer, i);
  lua_pushinteger(L, optimizer->slots[i].steps + 1);
  lua_setfield(L, -2, "step");
  return 3;
}

/* internal.optim.keep(optimizer, i, state): counts the step of parameter i, and keeps what stands in its state where
 * the update put other tensors there. */
int optim_written_keep(lua_State *L) {
  bind_state *S = bind_here(L);
  peri_optimizer *optimizer = check_written(L);
  const peri_optimizer_kind *kind = optimizer->kind;
  const int64_t i = (int64_t)luaL_checkinteger(L, 2) - 1;
  for (lua_pushnil(L); lua_next(L, 3); lua_pop(L, 1)) {
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
    int b = 0;
    while (kind->buffers[b] != NULL && strcmp(kind->buffers[b], name) != 0) b++;
    if (strcmp(name, "step") == 0) continue;
    if (kind->buffers[b] == NULL) {
      return bind_error(L, kind->name, "state.%s is not kept (expected a name that extend was given)",
                        *name != '\0' ? name : bind_describe(L, -2));
    }
    peri_tensor *x = bind_to_tensor(L, S, -1), *buffer = optimizer->slots[i].buffers[b];
    if (x == buffer) continue;
    if (x == NULL || !peri_same_shape(&x->layout, &buffer->layout))
      return bind_error(L, kind->name, "state.%s must be a tensor of the parameter's shape, got %s", name,
                        bind_describe(L, -1));
    BIND_TRY(L, S, peri_tensor_copy_into(buffer, x));
  }
  optimizer->slots[i].steps++;
  return 0;
}

/* internal.optim.assign(x, value): the values of a tensor of the same shape, in other memory. It is not cancelled, and
 * asks for no memory: what is to be brought back after an error is. */
int optim_written_assign(lua_State *L) {
  bind_state *S = bind_here_always(L);
  peri_tensor *x = bind_check_tensor(L, S, 1, "assign", "x"), *value = bind_check_tensor(L, S, 2, "assign", "value");
  if (!peri_same_shape(&x->layout, &value->layout)) return bind_error(L, "assign", "the shapes differ");
  BIND_TRY(L, S, peri_tensor_check_write(x, "assign", "x"));
  peri_parameter_assign(x, value);
  return 0;
}

/* ---- fields ---- */

static bool is_option(const peri_optimizer *optimizer, const char *name) {
  return peri_optimizer_option(optimizer->kind, name) >= 0;
}

bool optim_written_index(lua_State *L) {
  lua_getiuservalue(L, 1, OPTIM_CLASS);
  lua_pushvalue(L, 2);
  if (lua_gettable(L, -2) != LUA_TNIL) return true;
  for (int value = OPTIM_FIELDS; lua_type(L, 2) == LUA_TSTRING && value <= OPTIM_BUFFERS; value++) {
    lua_getiuservalue(L, 1, value);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, -2) != LUA_TNIL) return true;
  }
  lua_settop(L, 2);
  return false;
}

/* The tensor of the nn.Buffer at stack index 3, or one for a name that is a buffer already, becomes a tensor of the
 * whole, whose names and tensors are in the table at index 4. */
static void set_buffer(lua_State *L, bind_state *S, bool known) {
  if (bind_is(L, S, 3, BIND_BUFFER)) {
    lua_getiuservalue(L, 3, 1);
    lua_replace(L, 3);
  }
  peri_tensor *x = bind_check_tensor(L, S, 3, lua_tostring(L, 2), "the buffer");
  if (!x->contiguous) {
    peri_tensor **copy = bind_new_tensor(L, S);
    BIND_TRY(L, S, peri_tensor_contiguous(x, copy));
    lua_replace(L, 3);
  }
  lua_pushvalue(L, 2);
  lua_pushvalue(L, 3);
  lua_rawset(L, 4);
  if (known) return;
  lua_pushvalue(L, 2);
  lua_rawseti(L, 4, (lua_Integer)lua_rawlen(L, 4) + 1);
}

int optim_written_newindex(lua_State *L, bind_state *S, peri_optimizer *optimizer) {
  lua_settop(L, 3);
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : NULL;
  if (name == NULL || is_option(optimizer, name) || strcmp(name, "param_groups") == 0) {
    return bind_error(L, optimizer->kind->name, "field %s cannot be set (lr can, and the options in param_groups)",
                      bind_describe(L, 2));
  }
  if (strchr(name, '.') != NULL && bind_is(L, S, 3, BIND_BUFFER))
    return bind_error(L, optimizer->kind->name, "the name %s of a buffer holds a dot", bind_describe(L, 2));
  lua_getiuservalue(L, 1, OPTIM_BUFFERS);
  lua_pushvalue(L, 2);
  const bool known = lua_rawget(L, 4) != LUA_TNIL;
  lua_settop(L, 4);
  if (known || bind_is(L, S, 3, BIND_BUFFER)) {
    set_buffer(L, S, known);
    return 0;
  }
  lua_getiuservalue(L, 1, OPTIM_FIELDS);
  lua_pushvalue(L, 2);
  lua_pushvalue(L, 3);
  lua_rawset(L, -3);
  return 0;
}
