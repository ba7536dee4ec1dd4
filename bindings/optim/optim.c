/* peri.optim: optimisers, one constructor for each row of the runtime's table. An optimiser is a
 * userdata of one pointer. Schedules are in optim_schedule.c. */
#include "optim.h"

#include "nn/parameter.h"
#include "bindings/core/names.h"
#include "bindings/core/options.h"
#include "bindings/core/state_dict.h"

#include <float.h>
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

static bool has_option(const peri_option *options, const char *name) {
  for (; options->name != NULL; options++) {
    if (strcmp(options->name, name) == 0) return true;
  }
  return false;
}

/* {betas = {a, b}} at index stands for {beta1 = a, beta2 = b}: a copy with these is put there. */
static void split_betas(lua_State *L, int index, const char *operation) {
  if (bind_push_entry(L, index, "betas") == LUA_TNIL) {
    lua_settop(L, index);
    return;
  }
  int betas = lua_gettop(L);
  if (!lua_istable(L, betas) || lua_rawlen(L, betas) != 2)
    bind_error(L, operation, "betas must be a table of two numbers, got %s", bind_describe(L, betas));
  lua_newtable(L);
  int copy = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, index); lua_settop(L, copy + 1)) {
    lua_pushvalue(L, copy + 1);
    lua_pushvalue(L, copy + 2);
    lua_rawset(L, copy);
  }
  lua_pushnil(L);
  lua_setfield(L, copy, "betas");
  for (int i = 1; i <= 2; i++) {
    const char *name = i == 1 ? "beta1" : "beta2";
    if (lua_getfield(L, copy, name) != LUA_TNIL) bind_error(L, operation, "%s is given twice (also by betas)", name);
    lua_rawgeti(L, betas, i);
    lua_setfield(L, copy, name);
  }
  lua_settop(L, copy);
  lua_replace(L, index);
  lua_settop(L, index);
}

/* The list at index 1 as an array, pushed as a userdata. */
static peri_tensor **read_parameters(lua_State *L, bind_state *S, const char *operation, int64_t *n) {
  if (!lua_istable(L, 1))
    bind_error(L, operation, "parameters must be a list of tensors (see net:parameters()), got %s",
               bind_describe(L, 1));
  lua_Integer count = (lua_Integer)lua_rawlen(L, 1);
  lua_createtable(L, (int)count, 0); /* holds the handles until the optimizer does: the caller's table may be weak */
  peri_tensor **list = lua_newuserdatauv(L, (size_t)count * sizeof *list, 0);
  for (lua_Integer i = 0; i < count; i++) {
    lua_rawgeti(L, 1, i + 1);
    list[i] = bind_to_tensor(L, S, -1);
    if (list[i] == NULL) {
      const char *name = lua_pushfstring(L, "parameter %I", i + 1);
      bind_check_tensor(L, S, -2, operation, name);
    }
    lua_rawseti(L, -3, i + 1);
  }
  *n = count;
  return list;
}

/* Upvalue 2 is the kind. */
static int new_optimizer(lua_State *L) {
  static const char *const betas[] = {"betas", NULL};
  bind_state *S = bind_here(L);
  const peri_optimizer_kind *kind = lua_touserdata(L, lua_upvalueindex(2));
  double options[PERI_OPTIMIZER_OPTIONS];
  int64_t n;
  if (lua_gettop(L) > 2)
    return bind_error(L, kind->name, "too many arguments: %s was not expected", bind_describe(L, 3));
  lua_settop(L, 2);
  bool has_betas = has_option(kind->options, "beta1");
  if (has_betas) split_betas(L, 2, kind->name);
  bind_options(L, 2, kind->name, kind->options, has_betas ? betas : NULL, options);
  peri_tensor **parameters = read_parameters(L, S, kind->name, &n);
  peri_optimizer **handle = bind_push_object(L, S, BIND_OPTIMIZER, sizeof *handle, 0);
  BIND_TRY(L, S, peri_optimizer_new(S->context, kind, options, n, parameters, handle));
  bind_charge(L, S);
  return 1;
}

static void collect_optimizer(void *object) { peri_optimizer_release(object); }

/* ---- optimisers: methods ---- */

static int optimizer_step(lua_State *L) {
  bind_state *S = bind_here(L);
  peri_optimizer *optimizer = optim_check_optimizer(L, "step");
  BIND_TRY(L, S, peri_optimizer_step(optimizer));
  return 0;
}

static int optimizer_zero_grad(lua_State *L) {
  peri_optimizer_zero_grad(optim_check_optimizer(L, "zero_grad"));
  return 0;
}

/* The name of an option's number i: "lr", and of a list "betas.1". */
static const char *push_state_name(lua_State *L, const peri_option *option, int i) {
  return option->count > 1 ? lua_pushfstring(L, "%s.%d", option->name, i + 1) : lua_pushstring(L, option->name);
}

/* What the state dictionary holds: the options, the steps of each parameter, and the buffers as
 * "momentum_buffer.1" with the parameter's number. */
static int push_optimizer_state(lua_State *L, bind_state *S, const peri_optimizer *optimizer) {
  bind_new_state(L, S);
  int state = lua_gettop(L);
  const double *value = optimizer->options;
  for (const peri_option *option = optimizer->kind->options; option->name != NULL; option++) {
    for (int i = 0; i < peri_option_values(option); i++) {
      push_state_name(L, option, i);
      bind_state_add_number(L, S, state, *value++);
    }
  }
  for (int64_t i = 0; i < optimizer->n; i++) {
    const peri_optimizer_slot *slot = &optimizer->slots[i];
    lua_pushfstring(L, "step.%I", (lua_Integer)i + 1);
    bind_state_add_number(L, S, state, (double)slot->steps);
    for (int b = 0; optimizer->kind->buffers[b] != NULL; b++) {
      if (slot->buffers[b] == NULL) continue;
      lua_pushfstring(L, "%s.%I", optimizer->kind->buffers[b], (lua_Integer)i + 1);
      bind_state_add(L, S, state, slot->buffers[b]);
    }
  }
  return state;
}

static int optimizer_state_dict(lua_State *L) {
  bind_state *S = bind_here(L);
  push_optimizer_state(L, S, optim_check_optimizer(L, "state_dict"));
  bind_charge(L, S);
  return 1;
}

/* The options of a state dictionary, checked as those of a constructor are. */
static void read_options(lua_State *L, bind_state *S, int state, const peri_optimizer *optimizer, double *options) {
  const peri_optimizer_kind *kind = optimizer->kind;
  lua_newtable(L);
  for (const peri_option *option = kind->options; option->name != NULL; option++) {
    double values[PERI_MAX_NUMBERS];
    for (int i = 0; i < peri_option_values(option); i++) {
      values[i] = bind_state_number(L, S, state, push_state_name(L, option, i));
      lua_pop(L, 1);
    }
    bind_push_option(L, option, values);
    lua_setfield(L, -2, option->name);
  }
  bind_options(L, -1, "load_state_dict", kind->options, NULL, options);
  lua_pop(L, 1);
  const char *problem = kind->check != NULL ? kind->check(options) : NULL;
  if (problem != NULL) bind_error(L, "load_state_dict", "%s", problem);
  for (int b = 0; kind->buffers[b] != NULL; b++) {
    bool used = kind->uses == NULL || kind->uses(options, b);
    if (used != (optimizer->slots[0].buffers[b] != NULL)) {
      bind_error(L, "load_state_dict", "the options there %s a %s, and this optimizer %s", used ? "need" : "do without",
                 kind->buffers[b], used ? "has none" : "has one");
    }
  }
}

static int optimizer_load_state_dict(lua_State *L) {
  bind_state *S = bind_here(L);
  peri_optimizer *optimizer = optim_check_optimizer(L, "load_state_dict");
  double options[PERI_OPTIMIZER_OPTIONS];
  lua_settop(L, 2);
  int state = push_optimizer_state(L, S, optimizer);
  bind_state_match(L, S, "load_state_dict", 2, state);
  read_options(L, S, state, optimizer, options);
  int64_t *steps = lua_newuserdatauv(L, (size_t)optimizer->n * sizeof *steps, 0);
  peri_tensor **buffers = lua_newuserdatauv(L, (size_t)optimizer->n * PERI_UPDATE_BUFFERS * sizeof *buffers, 0);
  for (int64_t i = 0; i < optimizer->n; i++) {
    steps[i] = (int64_t)optim_read_count(L, S, state, lua_pushfstring(L, "step.%I", (lua_Integer)i + 1));
    for (int b = 0; b < PERI_UPDATE_BUFFERS; b++) {
      bool there = optimizer->slots[i].buffers[b] != NULL;
      const char *name = there ? lua_pushfstring(L, "%s.%I", optimizer->kind->buffers[b], (lua_Integer)i + 1) : NULL;
      buffers[i * PERI_UPDATE_BUFFERS + b] = there ? bind_state_tensor(L, S, state, name) : NULL;
    }
    lua_settop(L, state + 2);
  }
  memcpy(optimizer->options, options, sizeof options); /* from here on nothing fails */
  for (int64_t i = 0; i < optimizer->n; i++) {
    optimizer->slots[i].steps = steps[i];
    for (int b = 0; b < PERI_UPDATE_BUFFERS; b++) {
      if (optimizer->slots[i].buffers[b] != NULL)
        peri_parameter_assign(optimizer->slots[i].buffers[b], buffers[i * PERI_UPDATE_BUFFERS + b]);
    }
  }
  lua_settop(L, 1);
  return 1;
}

/* ---- optimisers: fields ---- */

/* Upvalue 3 holds the methods. */
static int optimizer_index(lua_State *L) {
  const peri_optimizer *optimizer = optim_check_optimizer(L, "optimizer");
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(3)) != LUA_TNIL) return 1;
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (bind_push_named_option(L, optimizer->kind->options, optimizer->options, name)) return 1;
  if (strcmp(name, "betas") == 0 && has_option(optimizer->kind->options, "beta1")) {
    lua_createtable(L, 2, 0);
    for (int i = 1; i <= 2; i++) {
      bind_push_named_option(L, optimizer->kind->options, optimizer->options, i == 1 ? "beta1" : "beta2");
      lua_rawseti(L, -2, i);
    }
    return 1;
  }
  bind_guess guess = bind_guess_for(L, 2);
  bind_guess_keys(L, &guess, lua_upvalueindex(3));
  bind_guess_options(&guess, optimizer->kind->options);
  return bind_no_field(L, optimizer->kind->name, bind_describe(L, 2), &guess);
}

static int optimizer_newindex(lua_State *L) {
  peri_optimizer *optimizer = optim_check_optimizer(L, "optimizer");
  if (lua_type(L, 2) != LUA_TSTRING || strcmp(lua_tostring(L, 2), "lr") != 0) {
    return bind_error(L, optimizer->kind->name, "field %s cannot be set (lr can)", bind_describe(L, 2));
  }
  bind_read_option(L, 3, optimizer->kind->name, &optimizer->kind->options[0], optimizer->options);
  return 0;
}

/* "SGD(4 parameters, {lr = 0.1})" */
static int optimizer_text(lua_State *L) {
  const peri_optimizer *optimizer = optim_check_optimizer(L, "tostring");
  double defaults[PERI_OPTIMIZER_OPTIONS];
  lua_newtable(L);
  peri_option_defaults(optimizer->kind->options, defaults);
  bind_add_option_texts(L, optimizer->kind->options, defaults, optimizer->options);
  bind_join(L, ", ");
  lua_pushfstring(L, "%s(%I parameters, {%s})", optimizer->kind->name, (lua_Integer)optimizer->n, lua_tostring(L, -1));
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
  }
  return 1;
}

static const bind_function optimizer_methods[] = {
    {"step", optimizer_step,
     "optimizer:step()\n"
     "One step for every parameter that has a gradient. When a gradient does not fit, nothing was changed."},
    {"zero_grad", optimizer_zero_grad,
     "optimizer:zero_grad()\nFills the gradients of the parameters with zeros, in place."},
    {"state_dict", optimizer_state_dict,
     "optimizer:state_dict() -> table\n"
     "Copies of the options, step counts and buffers by name, for peri.save or load_state_dict."},
    {"load_state_dict", optimizer_load_state_dict,
     "optimizer:load_state_dict(state) -> optimizer\n"
     "Takes over a state; the next steps are those that would have followed there, bit for bit."},
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
  static const luaL_Reg internals[] = {{"holds", holds}, {"drives", optim_schedule_drives}, {NULL, NULL}};
  bind_set_internal(L, S, "optim", internals);
  bind_open_class(L, S, &optimizer_class, 0);
  bind_set_class(L, "optim.optimizer", "Methods of optimisers", -1);
  lua_newtable(L);
  lua_replace(L, -2);
  for (const peri_optimizer_kind *const *kind = peri_optimizer_kinds; *kind != NULL; kind++)
    bind_set_member(L, S, *kind, (*kind)->name, new_optimizer, (*kind)->doc);
  bind_set_member(L, S, NULL, "optimizers", list_optimizers, NULL);
  optim_open_schedules(L, S);
}
