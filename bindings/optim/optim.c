/* peri.optim: optimisers, one constructor for each row of the runtime's table. An optimiser is a
 * userdata of one pointer. */
#include "optim.h"

#include "bindings/core/names.h"
#include "bindings/core/options.h"

#include <math.h>
#include <string.h>

/* ---- what schedules share ---- */

peri_optimizer *optim_check_optimizer(lua_State *L, const char *operation) {
  if (bind_is(L, bind_here(L), 1, BIND_OPTIMIZER)) return *(peri_optimizer **)lua_touserdata(L, 1);
  bind_error(L, operation, "expected an optimizer, got %s", bind_describe(L, 1));
  return NULL;
}

double optim_read_count(lua_State *L, bind_state *S, int state, const char *name) {
  double value = bind_state_number(L, S, state, name);
  if (!(value >= 0 && value < 0x1p53 && value == floor(value)))
    bind_error(L, "load_state_dict", "%s is %f (expected a whole number from 0)", name, value);
  return value;
}

void optim_add_kind(lua_State *L, int n, const char *name, const char *doc, const peri_option *options) {
  lua_createtable(L, 0, 3);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "name");
  lua_pushstring(L, doc);
  lua_setfield(L, -2, "doc");
  bind_push_options(L, options);
  lua_setfield(L, -2, "options");
  lua_rawseti(L, -2, n);
}

/* ---- optimisers: construction ---- */

/* Upvalue 2 is the kind. */
static int new_optimizer(lua_State *L) {
  bind_state *S = bind_here(L);
  const peri_optimizer_kind *kind = lua_touserdata(L, lua_upvalueindex(2));
  if (lua_gettop(L) > 2)
    return bind_error(L, kind->name, "too many arguments: %s was not expected", bind_describe(L, 3));
  lua_settop(L, 2);
  if (kind->prepare != NULL) {
    optim_new(L, S, kind, 1, 2, 0);
    return 1;
  }
  bind_push_internal(L);
  lua_getfield(L, -1, "optim");
  lua_getfield(L, -1, "classes");
  lua_getfield(L, -1, kind->name);
  const int class = lua_gettop(L);
  optim_new(L, S, kind, 1, 2, OPTIM_VALUES);
  optim_written_adopt(L, class);
  return 1;
}

static void collect_optimizer(void *object) { peri_optimizer_release(object); }

/* ---- optimisers: methods ---- */

static int optimizer_step(lua_State *L) {
  bind_state *S = bind_here(L);
  peri_optimizer *optimizer = optim_check_optimizer(L, "step");
  const bool closure = !lua_isnoneornil(L, 2);
  if (closure) {
    lua_settop(L, 2);
    if (lua_type(L, 2) != LUA_TFUNCTION)
      return bind_error(L, "step", "closure must be a function that gives the loss, got %s", bind_describe(L, 2));
    lua_call(L, 0, 1);
  }
  BIND_TRY(L, S, peri_optimizer_step(optimizer));
  return closure;
}

static int optimizer_zero_grad(lua_State *L) {
  peri_optimizer_zero_grad(optim_check_optimizer(L, "zero_grad"));
  return 0;
}

/* ---- optimisers: fields ---- */

/* Upvalue 3 holds the methods. */
static int optimizer_index(lua_State *L) {
  const peri_optimizer *optimizer = optim_check_optimizer(L, "optimizer");
  lua_settop(L, 2);
  if (optim_is_written(optimizer) && optim_written_index(L)) return 1;
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(3)) != LUA_TNIL) return 1;
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (bind_push_named_option(L, optimizer->kind->options, optimizer->groups[0].options, name)) return 1;
  if (strcmp(name, "param_groups") == 0) {
    optim_push_groups(L, bind_here(L), optimizer);
    return 1;
  }
  bind_guess guess = bind_guess_for(L, 2);
  bind_guess_keys(L, &guess, lua_upvalueindex(3));
  bind_guess_options(&guess, optimizer->kind->options);
  bind_guess_name(&guess, "param_groups");
  return bind_no_field(L, optimizer->kind->name, bind_describe(L, 2), &guess);
}

/* optimizer.lr = x: of all groups */
static int optimizer_newindex(lua_State *L) {
  bind_state *S = bind_here(L);
  peri_optimizer *optimizer = optim_check_optimizer(L, "optimizer");
  const bool lr = lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "lr") == 0;
  if (!lr && optim_is_written(optimizer)) return optim_written_newindex(L, S, optimizer);
  if (!lr) {
    return bind_error(L, optimizer->kind->name, "field %s cannot be set (lr can, and the options in param_groups)",
                      bind_describe(L, 2));
  }
  for (int64_t g = 0; g < optimizer->groups_n; g++) optim_set_option(L, S, optimizer, g, "lr", 3);
  return 0;
}

/* "SGD(4 parameters, {lr = 0.1})", with a semicolon between groups */
static int optimizer_text(lua_State *L) {
  const peri_optimizer *optimizer = optim_check_optimizer(L, "tostring");
  lua_newtable(L);
  for (int64_t g = 0; g < optimizer->groups_n; g++) {
    optim_push_group_text(L, optimizer, g);
    lua_rawseti(L, -2, g + 1);
  }
  bind_join(L, "; ");
  lua_pushfstring(L, "%s(%s)", optimizer->kind->name, lua_tostring(L, -1));
  return 1;
}

/* ---- for training ---- */

/* internal.optim.holds(optimizer, tensors): whether one of the tensors is a parameter of it. */
static int holds(lua_State *L) {
  bind_state *S = bind_here(L);
  const peri_optimizer *optimizer = optim_check_optimizer(L, "holds");
  bool found = false;
  lua_Integer n = (lua_Integer)lua_rawlen(L, 2);
  for (lua_Integer i = 1; i <= n && !found; i++) {
    lua_rawgeti(L, 2, i);
    const peri_tensor *x = bind_to_tensor(L, S, -1);
    for (int64_t k = 0; k < optimizer->n && !found; k++) found = optimizer->slots[k].parameter == x;
    lua_pop(L, 1);
  }
  lua_pushboolean(L, found);
  return 1;
}

/* ---- opening ---- */

static int list_optimizers(lua_State *L) {
  lua_newtable(L);
  for (int i = 0; peri_optimizer_kinds[i] != NULL; i++) {
    optim_add_kind(L, i + 1, peri_optimizer_kinds[i]->name, peri_optimizer_kinds[i]->doc,
                   peri_optimizer_kinds[i]->options);
    lua_rawgeti(L, -1, i + 1);
    lua_pushboolean(L, peri_optimizer_kinds[i]->closure);
    lua_setfield(L, -2, "closure");
    lua_pop(L, 1);
  }
  return 1;
}

static const bind_function optimizer_methods[] = {
    {"step", optimizer_step,
     "optimizer:step(closure) -> loss\n"
     "One step for every parameter that has a gradient. When a gradient does not fit, nothing was changed. A closure is "
     "called first, to compute the loss and the gradients; step gives back what it gave. LBFGS needs one."},
    {"zero_grad", optimizer_zero_grad,
     "optimizer:zero_grad()\nFills the gradients of the parameters with zeros, in place."},
    {"add_param_group", optim_add_param_group,
     "optimizer:add_param_group({params =, ...}) -> optimizer\n"
     "One group of parameters more, with the options of the first group where it does not say its own. Schedules of the "
     "optimizer take it in at their next step, with its lr as the rate it begins with.\n"
     "Errors: a tensor that is in a group already."},
    {"state", optim_state,
     "optimizer:state(parameter) -> table\n"
     "What the optimizer keeps of a parameter: step, how many it has taken, and its buffers by name, the tensors "
     "themselves."},
    {"state_dict", optim_state_dict,
     "optimizer:state_dict() -> table\n"
     "Copies of the options of each group, step counts and buffers by name, for peri.save or load_state_dict."},
    {"load_state_dict", optim_load_state_dict,
     "optimizer:load_state_dict(state) -> optimizer\n"
     "Takes over a state; the next steps are those that would have followed there, bit for bit.\n"
     "Errors: names that are missing or unexpected, other shapes or groups; nothing changes then."},
    BIND_HAS("optimizer"),
    {NULL, NULL, NULL}};

static const luaL_Reg optimizer_metamethods[] = {
    {"__index", optimizer_index}, {"__newindex", optimizer_newindex}, {"__tostring", optimizer_text}, {NULL, NULL}};

static const char *optimizer_name(lua_State *L, int index) {
  return (*(const peri_optimizer **)lua_touserdata(L, index))->kind->name;
}

static const bind_class optimizer_class = {.kind = BIND_OPTIMIZER,
                                           .name = "perilune.Optimizer",
                                           .collect = collect_optimizer,
                                           .methods = optimizer_methods,
                                           .metamethods = optimizer_metamethods,
                                           .called = optimizer_name};

void bind_open_optim(lua_State *L, bind_state *S) {
  static const luaL_Reg internals[] = {{"holds", holds},
                                       {"drives", optim_schedule_drives},
                                       {"kind", optim_written_kind},
                                       {"make", optim_written_make},
                                       {"ready", optim_written_ready},
                                       {"sizes", optim_written_sizes},
                                       {"options", optim_written_options},
                                       {"entry", optim_written_entry},
                                       {"keep", optim_written_keep},
                                       {"assign", optim_written_assign},
                                       {NULL, NULL}};
  bind_set_internal(L, S, "optim", internals);
  optim_open_groups(L, S);
  bind_open_class(L, S, &optimizer_class, 0);
  bind_set_class(L, "optim.optimizer", "Methods of optimisers", -1);
  lua_newtable(L);
  lua_replace(L, -2);
  for (const peri_optimizer_kind *const *kind = peri_optimizer_kinds; *kind != NULL; kind++)
    bind_set_member(L, S, *kind, (*kind)->name, new_optimizer, (*kind)->doc);
  bind_set_member(L, S, NULL, "optimizers", list_optimizers, NULL);
  optim_open_schedules(L, S);
}
