/* State dictionaries of optimisers: the options of each group, the steps of each parameter and its buffers, and the
 * tensors of the whole that an optimiser written in Lua has. */
#include "optim.h"

#include "bindings/core/options.h"
#include "nn/parameter.h"

#include <math.h>
#include <string.h>

/* The name of an option's number i: "lr", of a list "betas.1", of a later group "group.2.lr". */
static const char *push_option_name(lua_State *L, int64_t group, const peri_option *option, int i) {
  const char *of = group > 0 ? lua_pushfstring(L, "group.%I.", (lua_Integer)group + 1) : lua_pushliteral(L, "");
  if (option->count > 1) {
    lua_pushfstring(L, "%s%s.%d", of, option->name, i + 1);
  } else {
    lua_pushfstring(L, "%s%s", of, option->name);
  }
  lua_remove(L, -2);
  return lua_tostring(L, -1);
}

static const char *push_slot_name(lua_State *L, const char *name, int64_t slot) {
  return lua_pushfstring(L, "%s.%I", name, (lua_Integer)slot + 1);
}

/* Where a later group begins. */
static const char *push_first_name(lua_State *L, int64_t group) {
  return lua_pushfstring(L, "group.%I.first", (lua_Integer)group + 1);
}

/* ---- giving ---- */

static void add_group(lua_State *L, bind_state *S, int state, const peri_optimizer *optimizer, int64_t g) {
  int at = 0;
  for (const peri_option *option = optimizer->kind->options; option->name != NULL; option++) {
    for (int i = 0; i < peri_option_values(option); i++) {
      push_option_name(L, g, option, i);
      bind_state_add_number(L, S, state, optimizer->groups[g].options[at++]);
    }
  }
  if (g == 0) return;
  push_first_name(L, g);
  bind_state_add_number(L, S, state, (double)optimizer->groups[g].first + 1);
}

static void add_slot(lua_State *L, bind_state *S, int state, const peri_optimizer *optimizer, int64_t i) {
  const peri_optimizer_slot *slot = &optimizer->slots[i];
  push_slot_name(L, "step", i);
  bind_state_add_number(L, S, state, (double)slot->steps);
  if (optimizer->kind->number != NULL) {
    push_slot_name(L, optimizer->kind->number, i);
    bind_state_add_number(L, S, state, slot->number);
  }
  for (int b = 0; optimizer->kind->buffers[b] != NULL; b++) {
    if (slot->buffers[b] == NULL) continue;
    push_slot_name(L, optimizer->kind->buffers[b], i);
    bind_state_add(L, S, state, slot->buffers[b]);
  }
}

/* What the whole has: of the optimiser at stack index 1. */
static void add_buffers(lua_State *L, bind_state *S, int state) {
  lua_getiuservalue(L, 1, OPTIM_BUFFERS);
  const int buffers = lua_gettop(L);
  const lua_Integer n = (lua_Integer)lua_rawlen(L, buffers);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, buffers, i);
    lua_pushvalue(L, -1);
    lua_pushvalue(L, -1);
    lua_rawget(L, buffers);
    peri_tensor *tensor = bind_check_tensor(L, S, -1, "state_dict", lua_tostring(L, -2));
    lua_insert(L, -3); /* the handle stays below the name while the copy is made */
    lua_pop(L, 1);
    bind_state_add(L, S, state, tensor);
    lua_settop(L, buffers);
  }
  lua_pop(L, 1);
}

/* Of the optimiser at stack index 1; returns the index. */
static int push_state(lua_State *L, bind_state *S, const peri_optimizer *optimizer) {
  bind_new_state(L, S);
  const int state = lua_gettop(L);
  for (int64_t g = 0; g < optimizer->groups_n; g++) add_group(L, S, state, optimizer, g);
  for (int64_t i = 0; i < optimizer->n; i++) add_slot(L, S, state, optimizer, i);
  if (optim_is_written(optimizer)) add_buffers(L, S, state);
  return state;
}

int optim_state_dict(lua_State *L) {
  bind_state *S = bind_here(L);
  lua_settop(L, 1);
  push_state(L, S, optim_check_optimizer(L, "state_dict"));
  bind_charge(L, S);
  return 1;
}

/* ---- taking ---- */

/* The options of a group in a state dictionary, checked as those of a constructor are. */
static void read_options(lua_State *L, bind_state *S, int state, const peri_optimizer *optimizer, int64_t g,
                         double *options) {
  const peri_optimizer_kind *kind = optimizer->kind;
  lua_newtable(L);
  for (const peri_option *option = kind->options; option->name != NULL; option++) {
    double values[PERI_MAX_NUMBERS];
    for (int i = 0; i < peri_option_values(option); i++) {
      values[i] = bind_state_number(L, S, state, push_option_name(L, g, option, i));
      lua_pop(L, 1);
    }
    bind_push_option(L, option, values);
    lua_setfield(L, -2, option->name);
  }
  bind_options(L, -1, "load_state_dict", kind->options, NULL, options);
  lua_pop(L, 1);
  BIND_TRY(L, S, peri_optimizer_check_options(optimizer, g, options, "load_state_dict"));
  if (g == 0) return;
  const double first = bind_state_number(L, S, state, push_first_name(L, g));
  if (first != (double)optimizer->groups[g].first + 1) {
    bind_error(L, "load_state_dict", "group %I begins there with parameter %f, and here with %I", (lua_Integer)g + 1,
               first, (lua_Integer)optimizer->groups[g].first + 1);
  }
  lua_pop(L, 1);
}

/* What is read of a parameter before anything is written. */
typedef struct slot_state {
  int64_t steps;
  double number;
  peri_tensor *buffers[PERI_UPDATE_BUFFERS]; /* of the dictionary */
} slot_state;

static void read_slot(lua_State *L, bind_state *S, int state, const peri_optimizer *optimizer, int64_t i,
                      slot_state *read) {
  const peri_optimizer_kind *kind = optimizer->kind;
  const int top = lua_gettop(L);
  read->steps = (int64_t)optim_read_count(L, S, state, push_slot_name(L, "step", i));
  if (kind->number != NULL) {
    const char *name = push_slot_name(L, kind->number, i);
    read->number = bind_state_number(L, S, state, name);
    if (!isfinite(read->number))
      bind_error(L, "load_state_dict", "%s is %f (expected a finite number)", name, read->number);
  }
  for (int b = 0; b < PERI_UPDATE_BUFFERS; b++) {
    const bool there = optimizer->slots[i].buffers[b] != NULL;
    read->buffers[b] = there ? bind_state_tensor(L, S, state, push_slot_name(L, kind->buffers[b], i)) : NULL;
  }
  lua_settop(L, top);
}

/* The tensors of the whole of the optimiser at stack index 1 take the values of the dictionary's. */
static void assign_buffers(lua_State *L, bind_state *S, int state) {
  lua_getiuservalue(L, 1, OPTIM_BUFFERS);
  const int buffers = lua_gettop(L);
  const lua_Integer n = (lua_Integer)lua_rawlen(L, buffers);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, buffers, i);
    const char *name = lua_tostring(L, -1);
    lua_pushvalue(L, -1);
    lua_rawget(L, buffers);
    peri_tensor *buffer = bind_to_tensor(L, S, -1), *value = bind_state_tensor(L, S, state, name);
    if (buffer != NULL && value != NULL &&
        peri_same_shape(&buffer->layout, &value->layout)) /* as a finaliser left it */
      peri_parameter_assign(buffer, value);
    lua_settop(L, buffers);
  }
}

int optim_load_state_dict(lua_State *L) {
  bind_state *S = bind_here(L);
  peri_optimizer *optimizer = optim_check_optimizer(L, "load_state_dict");
  peri_refuse_replay(S->context, "a state is loaded");
  lua_settop(L, 2);
  const int state = push_state(L, S, optimizer);
  const int64_t n = optimizer->n, groups_n = optimizer->groups_n;
  bind_state_match(L, S, "load_state_dict", 2, state);
  double(*options)[PERI_OPTIMIZER_OPTIONS] = lua_newuserdatauv(L, (size_t)groups_n * sizeof *options, 0);
  slot_state *slots = lua_newuserdatauv(L, (size_t)n * sizeof *slots, 0);
  memset(options, 0, (size_t)groups_n * sizeof *options);
  memset(slots, 0, (size_t)n * sizeof *slots);
  for (int64_t g = 0; g < groups_n; g++) read_options(L, S, state, optimizer, g, options[g]);
  for (int64_t i = 0; i < n; i++) read_slot(L, S, state, optimizer, i, &slots[i]);
  for (int64_t g = 0; g < groups_n; g++) /* from here on nothing fails */
    memcpy(optimizer->groups[g].options, options[g], sizeof options[g]);
  for (int64_t i = 0; i < n; i++) {
    peri_optimizer_slot *slot = &optimizer->slots[i];
    slot->steps = slots[i].steps;
    slot->number = slots[i].number;
    for (int b = 0; b < PERI_UPDATE_BUFFERS; b++) {
      if (slot->buffers[b] != NULL) peri_parameter_assign(slot->buffers[b], slots[i].buffers[b]);
    }
  }
  if (optim_is_written(optimizer)) assign_buffers(L, S, state);
  lua_settop(L, 1);
  return 1;
}

/* ---- the state of one parameter ---- */

void optim_push_slot(lua_State *L, bind_state *S, peri_optimizer *optimizer, int64_t i) {
  const peri_optimizer_kind *kind = optimizer->kind;
  lua_createtable(L, 0, 4);
  lua_pushinteger(L, optimizer->slots[i].steps);
  lua_setfield(L, -2, "step");
  if (kind->number != NULL) {
    lua_pushnumber(L, optimizer->slots[i].number);
    lua_setfield(L, -2, kind->number);
  }
  for (int b = 0; kind->buffers[b] != NULL; b++) {
    peri_tensor *buffer = optimizer->slots[i].buffers[b]; /* a finaliser may move the slots */
    if (buffer == NULL) continue;
    bind_push_tensor(L, S, &buffer);
    lua_setfield(L, -2, kind->buffers[b]);
  }
}

int optim_state(lua_State *L) {
  bind_state *S = bind_here(L);
  peri_optimizer *optimizer = optim_check_optimizer(L, "state");
  const peri_tensor *parameter = bind_check_tensor(L, S, 2, "state", "parameter");
  for (int64_t i = 0; i < optimizer->n; i++) {
    if (optimizer->slots[i].parameter != parameter) continue;
    optim_push_slot(L, S, optimizer, i);
    return 1;
  }
  return bind_error(L, "state", "the tensor is no parameter of this optimizer");
}
