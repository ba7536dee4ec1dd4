/* Schedules: peri.optim.lr_scheduler, one constructor for each row of the runtime's table. A schedule
 * is a userdata of one pointer. */
#include "optim.h"

#include "bindings/core/names.h"
#include "bindings/core/options.h"

#include <float.h>
#include <math.h>
#include <string.h>

static peri_schedule *check_schedule(lua_State *L, const char *operation) {
  if (bind_is(L, bind_here(L), 1, BIND_SCHEDULE)) return *(peri_schedule **)lua_touserdata(L, 1);
  bind_error(L, operation, "expected a schedule, got %s", bind_describe(L, 1));
  return NULL;
}

/* What the userdata of a schedule keeps. */
enum {
  KEPT_OPTIMIZER = 1, /* its handle */
  KEPT_PARTS,         /* what the kind takes: a list of functions, one for each group or one for all, or of schedules */
  KEPT_VALUES = KEPT_PARTS
};

/* ---- schedules: the rate of an epoch ---- */

/* The factor that the function of a group, in the list on the stack's top, gives for an epoch; pops the list. */
static double call_factor(lua_State *L, const peri_schedule *schedule, int64_t group, double epoch) {
  const char *name = schedule->kind->name;
  const lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
  if (n != 1 && n != schedule->groups_n) {
    bind_error(L, name, "lr_lambda has %I functions (expected 1, or %I: one for each group)", n,
               (lua_Integer)schedule->groups_n);
  }
  lua_rawgeti(L, -1, n == 1 ? 1 : group + 1);
  lua_pushinteger(L, (lua_Integer)epoch);
  lua_call(L, 1, 1);
  const double factor = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : NAN;
  if (!(factor >= 0 && factor <= DBL_MAX)) {
    bind_error(L, name, "lr_lambda gave %s for epoch %I (expected a number from 0)", bind_describe(L, -1),
               (lua_Integer)epoch);
  }
  lua_pop(L, 2);
  return factor;
}

/* The product of the factors of epochs 1 to `epoch`: on from the one that was asked for last, where that can be. */
static double multiply_factors(lua_State *L, int index, peri_schedule *schedule, int64_t group, double epoch) {
  if (schedule->groups[group].until > epoch) {
    schedule->groups[group].until = 0;
    schedule->groups[group].product = 1;
  }
  while (schedule->groups[group].until < epoch) {
    const double t = schedule->groups[group].until + 1;
    lua_getiuservalue(L, index, KEPT_PARTS);
    const double factor = call_factor(L, schedule, group, t);
    if (schedule->groups[group].until != t - 1) continue; /* the function has asked for another epoch */
    schedule->groups[group].product *= factor;
    schedule->groups[group].until = t;
  }
  return schedule->groups[group].product;
}

static double rate_at(lua_State *L, int index, int64_t group, double base, double epoch, double *momentum);

/* The rate of part k of those in the list on the stack's top. */
static double rate_of_part(lua_State *L, lua_Integer k, int64_t group, double base, double epoch, double *momentum) {
  lua_rawgeti(L, -1, k);
  if (!bind_is(L, bind_here(L), -1, BIND_SCHEDULE)) /* in a finaliser it may be dead already */
    bind_error(L, "step", "part %I of the schedule is %s", k, bind_describe(L, -1));
  peri_schedule *part = *(peri_schedule **)lua_touserdata(L, -1);
  BIND_TRY(L, bind_here(L), peri_schedule_fit(part));
  const double rate = rate_at(L, lua_gettop(L), group, base, epoch, momentum);
  lua_pop(L, 1);
  return rate;
}

static double rate_in_sequence(lua_State *L, const peri_schedule *schedule, int64_t group, double base, double epoch,
                               double *momentum) {
  const lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
  lua_Integer k = 1;
  while (k < n && epoch >= schedule->options[k - 1]) k++;
  return rate_of_part(L, k, group, base, k == 1 ? epoch : epoch - schedule->options[k - 2], momentum);
}

static double rate_in_chain(lua_State *L, int64_t group, double base, double epoch, double *momentum) {
  const lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
  for (lua_Integer k = 1; k <= n; k++) {
    double own;
    base = rate_of_part(L, k, group, base, epoch, &own);
    if (!isnan(own)) *momentum = own;
  }
  return base;
}

/* The rate of a group by the schedule at a positive index, from that base; and its momentum, or NaN. Functions of the
 * script may raise, so nothing is written that counts. */
static double rate_at(lua_State *L, int index, int64_t group, double base, double epoch, double *momentum) {
  peri_schedule *schedule = *(peri_schedule **)lua_touserdata(L, index);
  const int top = lua_gettop(L);
  double rate = base;
  *momentum = NAN;
  luaL_checkstack(L, 10, "schedules of schedules");
  lua_getiuservalue(L, index, KEPT_PARTS);
  switch (schedule->kind->form) {
  case PERI_SCHEDULE_FORMULA:
    rate = peri_schedule_formula(schedule, group, base, epoch, momentum);
    break;
  case PERI_SCHEDULE_FACTOR:
    rate = base * call_factor(L, schedule, group, epoch);
    break;
  case PERI_SCHEDULE_PRODUCT:
    rate = base * multiply_factors(L, index, schedule, group, epoch);
    break;
  case PERI_SCHEDULE_SEQUENCE:
    rate = rate_in_sequence(L, schedule, group, base, epoch, momentum);
    break;
  case PERI_SCHEDULE_CHAIN:
    rate = rate_in_chain(L, group, base, epoch, momentum);
    break;
  case PERI_SCHEDULE_OBSERVER: /* is no part of another, and has no rate of an epoch */
    break;
  }
  lua_settop(L, top);
  return rate;
}

/* Takes the schedule at a positive index to an epoch. */
static void go_to(lua_State *L, int index, double epoch) {
  bind_state *S = bind_here(L);
  peri_schedule *schedule = *(peri_schedule **)lua_touserdata(L, index);
  if (schedule->kind->form == PERI_SCHEDULE_FORMULA) {
    BIND_TRY(L, S, peri_schedule_set_epoch(schedule, epoch));
    return;
  }
  BIND_TRY(L, S, peri_schedule_fit(schedule));
  for (int64_t g = 0; g < schedule->groups_n; g++) {
    double momentum;
    const double rate = rate_at(L, index, g, schedule->groups[g].base, epoch, &momentum);
    schedule->groups[g].next = rate;
    schedule->groups[g].next_momentum = momentum;
  }
  BIND_TRY(L, S, peri_schedule_apply(schedule, epoch));
}

/* ---- schedules: construction ---- */

/* The function or list of functions at index: pushes a list. */
static void read_functions(lua_State *L, const char *operation, int index) {
  lua_newtable(L);
  const bool list = lua_istable(L, index);
  const lua_Integer n = list ? (lua_Integer)lua_rawlen(L, index) : 1;
  for (lua_Integer i = 1; i <= n; i++) {
    if (list) {
      lua_rawgeti(L, index, i);
    } else {
      lua_pushvalue(L, index);
    }
    if (lua_type(L, -1) != LUA_TFUNCTION) {
      bind_error(L, operation, "lr_lambda must be a function of the epoch or a list of them, got %s",
                 bind_describe(L, -1));
    }
    lua_rawseti(L, -2, i);
  }
  if (n == 0) bind_error(L, operation, "lr_lambda has no functions");
}

/* The list of schedules at index: pushes a copy. */
static void read_schedules(lua_State *L, bind_state *S, const peri_schedule_kind *kind, const peri_optimizer *optimizer,
                           int index) {
  if (!lua_istable(L, index) || lua_rawlen(L, index) == 0)
    bind_error(L, kind->name, "schedulers must be a list of schedules, got %s", bind_describe(L, index));
  lua_newtable(L);
  const lua_Integer n = (lua_Integer)lua_rawlen(L, index);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, index, i);
    if (!bind_is(L, S, -1, BIND_SCHEDULE))
      bind_error(L, kind->name, "schedule %I must be a schedule, got %s", i, bind_describe(L, -1));
    const peri_schedule *part = *(peri_schedule **)lua_touserdata(L, -1);
    if (part->optimizer != optimizer) bind_error(L, kind->name, "schedule %I is of another optimizer", i);
    if (part->kind->form == PERI_SCHEDULE_OBSERVER)
      bind_error(L, kind->name, "schedule %I takes a metric (%s steps by itself)", i, part->kind->name);
    lua_rawseti(L, -2, i);
  }
}

/* The milestones between the schedules of the list on the stack's top. */
static void check_milestones(lua_State *L, const peri_schedule_kind *kind, const double *milestones) {
  const lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
  const int count = peri_option_length(kind->options, milestones);
  if (count != n - 1) {
    bind_error(L, kind->name, "milestones has %d entries for %I schedules (expected %I)", count, n, n - 1);
  }
  for (int i = 1; i < count; i++) {
    if (!(milestones[i] > milestones[i - 1]))
      bind_error(L, kind->name, "milestones must ascend, and %f follows %f", milestones[i], milestones[i - 1]);
  }
}

/* Pushes what the kind takes of the options at stack index 2, or nil. */
static void read_parts(lua_State *L, bind_state *S, const peri_schedule_kind *kind, const peri_optimizer *optimizer,
                       const double *options) {
  if (kind->takes == NULL) {
    lua_pushnil(L);
    return;
  }
  if (bind_push_entry(L, 2, kind->takes) == LUA_TNIL) bind_error(L, kind->name, "option %s is missing", kind->takes);
  const int index = lua_gettop(L);
  if (kind->form == PERI_SCHEDULE_FACTOR || kind->form == PERI_SCHEDULE_PRODUCT) {
    read_functions(L, kind->name, index);
  } else {
    read_schedules(L, S, kind, optimizer, index);
  }
  if (kind->form == PERI_SCHEDULE_SEQUENCE) check_milestones(L, kind, options);
  lua_replace(L, index);
}

/* Upvalue 2 is the kind. */
static int new_schedule(lua_State *L) {
  bind_state *S = bind_here(L);
  const peri_schedule_kind *kind = lua_touserdata(L, lua_upvalueindex(2));
  peri_optimizer *optimizer = optim_check_optimizer(L, kind->name);
  const char *const also[] = {kind->takes, NULL};
  double options[PERI_SCHEDULE_OPTIONS];
  if (lua_gettop(L) > 2)
    return bind_error(L, kind->name, "too many arguments: %s was not expected", bind_describe(L, 3));
  lua_settop(L, 2);
  bind_options(L, 2, kind->name, kind->options, also, options);
  read_parts(L, S, kind, optimizer, options);
  const int parts = lua_gettop(L);
  peri_schedule **handle = bind_push_object(L, S, BIND_SCHEDULE, sizeof *handle, KEPT_VALUES);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, KEPT_OPTIMIZER);
  lua_pushvalue(L, parts);
  lua_setiuservalue(L, -2, KEPT_PARTS);
  BIND_TRY(L, S, peri_schedule_new(optimizer, kind, options, handle));
  if (kind->form > PERI_SCHEDULE_OBSERVER) go_to(L, lua_gettop(L), 0);
  return 1;
}

static void collect_schedule(void *object) { peri_schedule_release(object); }

/* internal.optim.drives(schedule, optimizer): whether it is the optimizer whose rate the schedule sets. */
int optim_schedule_drives(lua_State *L) {
  const peri_schedule *schedule = check_schedule(L, "drives");
  lua_settop(L, 2);
  lua_insert(L, 1);
  lua_pushboolean(L, schedule->optimizer == optim_check_optimizer(L, "drives"));
  return 1;
}

/* ---- schedules: methods ---- */

static double read_metric(lua_State *L, const peri_schedule *schedule) {
  const peri_tensor *x = bind_to_tensor(L, bind_here(L), 2);
  if (x != NULL && x->layout.numel == 1) return peri_load_number(x->layout.dtype, x->data);
  if (lua_type(L, 2) != LUA_TNUMBER) {
    bind_error(L, schedule->kind->name, "step needs the metric: a number or a tensor of one element, got %s",
               bind_describe(L, 2));
  }
  return lua_tonumber(L, 2);
}

static int schedule_step(lua_State *L) {
  peri_schedule *schedule = check_schedule(L, "step");
  peri_refuse_replay(bind_here(L)->context, "a schedule is stepped in it");
  if (schedule->kind->observe != NULL) {
    const double metric = read_metric(L, schedule);
    BIND_TRY(L, bind_here(L), peri_schedule_step(schedule, metric));
    return 0;
  }
  if (!lua_isnoneornil(L, 2))
    return bind_error(L, schedule->kind->name, "step takes no metric, got %s", bind_describe(L, 2));
  lua_settop(L, 1);
  go_to(L, 1, schedule->values[PERI_SCHEDULE_epoch] + 1);
  return 0;
}

static int schedule_last_rates(lua_State *L) {
  const peri_schedule *schedule = check_schedule(L, "get_last_lr");
  lua_createtable(L, (int)schedule->groups_n, 0);
  for (int64_t g = 0; g < schedule->groups_n; g++) {
    lua_pushnumber(L, schedule->groups[g].last);
    lua_rawseti(L, -2, g + 1);
  }
  return 1;
}

/* ---- schedules: state ---- */

/* "base_lr", of a later group "group.2.base_lr" */
static const char *push_rate_name(lua_State *L, int64_t group, const char *name) {
  if (group == 0) return lua_pushstring(L, name);
  return lua_pushfstring(L, "group.%I.%s", (lua_Integer)group + 1, name);
}

static int push_schedule_state(lua_State *L, bind_state *S, peri_schedule *schedule) {
  BIND_TRY(L, S, peri_schedule_fit(schedule));
  bind_new_state(L, S);
  int state = lua_gettop(L);
  for (int64_t g = 0; g < schedule->groups_n; g++) {
    const peri_schedule_rate rate = schedule->groups[g];
    push_rate_name(L, g, "base_lr");
    bind_state_add_number(L, S, state, rate.base);
    push_rate_name(L, g, "last_lr");
    bind_state_add_number(L, S, state, rate.last);
    if (isnan(rate.momentum)) continue;
    push_rate_name(L, g, "momentum");
    bind_state_add_number(L, S, state, rate.momentum);
  }
  for (int i = 0; i < PERI_SCHEDULE_VALUES; i++) {
    lua_pushstring(L, peri_schedule_values[i]);
    bind_state_add_number(L, S, state, schedule->values[i]);
  }
  return state;
}

static int schedule_state_dict(lua_State *L) {
  push_schedule_state(L, bind_here(L), check_schedule(L, "state_dict"));
  return 1;
}

static double read_rate(lua_State *L, bind_state *S, int state, const char *name) {
  double value = bind_state_number(L, S, state, name);
  if (!(value >= 0 && value <= DBL_MAX))
    bind_error(L, "load_state_dict", "%s is %f (expected a number from 0)", name, value);
  lua_pop(L, 1);
  return value;
}

static int schedule_load_state_dict(lua_State *L) {
  bind_state *S = bind_here(L);
  peri_schedule *schedule = check_schedule(L, "load_state_dict");
  double values[PERI_SCHEDULE_VALUES];
  lua_settop(L, 2);
  int state = push_schedule_state(L, S, schedule);
  const int64_t groups_n = schedule->groups_n;
  bind_state_match(L, S, "load_state_dict", 2, state);
  peri_schedule_rate *rates = lua_newuserdatauv(L, (size_t)groups_n * sizeof *rates, 0);
  for (int64_t g = 0; g < groups_n; g++) {
    rates[g] = schedule->groups[g];
    rates[g].base = read_rate(L, S, state, push_rate_name(L, g, "base_lr"));
    rates[g].last = read_rate(L, S, state, push_rate_name(L, g, "last_lr"));
    if (!isnan(rates[g].momentum)) rates[g].momentum = read_rate(L, S, state, push_rate_name(L, g, "momentum"));
  }
  for (int i = 0; i < PERI_SCHEDULE_VALUES; i++) {
    const char *name = peri_schedule_values[i];
    values[i] = i == PERI_SCHEDULE_best ? bind_state_number(L, S, state, name) : optim_read_count(L, S, state, name);
  }
  memcpy(schedule->values, values, sizeof values); /* from here on nothing fails */
  memcpy(schedule->groups, rates, (size_t)groups_n * sizeof *rates);
  peri_schedule_write(schedule);
  lua_settop(L, 1);
  return 1;
}

/* ---- schedules: fields ---- */

/* Upvalue 3 holds the methods. */
static int schedule_index(lua_State *L) {
  const peri_schedule *schedule = check_schedule(L, "schedule");
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(3)) != LUA_TNIL) return 1;
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (strcmp(name, "epoch") == 0) {
    lua_pushinteger(L, (lua_Integer)schedule->values[PERI_SCHEDULE_epoch]);
    return 1;
  }
  if (bind_push_named_option(L, schedule->kind->options, schedule->options, name)) return 1;
  const bool last = strcmp(name, "last_lr") == 0;
  if (last || strcmp(name, "base_lr") == 0) {
    lua_pushnumber(L, last ? schedule->groups[0].last : schedule->groups[0].base);
    return 1;
  }
  int fields = schedule->kind->observe != NULL ? PERI_SCHEDULE_VALUES : PERI_SCHEDULE_epoch + 1;
  for (int i = PERI_SCHEDULE_epoch + 1; i < fields; i++) {
    if (strcmp(name, peri_schedule_values[i]) != 0) continue;
    lua_pushnumber(L, schedule->values[i]);
    return 1;
  }
  bind_guess guess = bind_guess_for(L, 2);
  bind_guess_keys(L, &guess, lua_upvalueindex(3));
  bind_guess_options(&guess, schedule->kind->options);
  for (int i = 0; i < fields; i++) bind_guess_name(&guess, peri_schedule_values[i]);
  bind_guess_name(&guess, "base_lr");
  bind_guess_name(&guess, "last_lr");
  return bind_no_field(L, schedule->kind->name, bind_describe(L, 2), &guess);
}

/* schedule.epoch = n: the rate of that epoch, where it is a function of it */
static int schedule_newindex(lua_State *L) {
  peri_schedule *schedule = check_schedule(L, "schedule");
  bool epoch = lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "epoch") == 0;
  if (!epoch || schedule->kind->form == PERI_SCHEDULE_OBSERVER)
    return bind_error(L, schedule->kind->name, "field %s cannot be set", bind_describe(L, 2));
  lua_Integer n = bind_check_whole(L, 3, schedule->kind->name, "epoch", 0);
  go_to(L, 1, (double)n);
  return 0;
}

static int schedule_text(lua_State *L) {
  const peri_schedule *schedule = check_schedule(L, "tostring");
  double defaults[PERI_SCHEDULE_OPTIONS];
  lua_newtable(L);
  peri_option_defaults(schedule->kind->options, defaults);
  bind_add_option_texts(L, schedule->kind->options, defaults, schedule->options);
  bind_join(L, ", ");
  lua_pushfstring(L, "%s({%s}), epoch %I, lr %f", schedule->kind->name, lua_tostring(L, -1),
                  (lua_Integer)schedule->values[PERI_SCHEDULE_epoch], schedule->groups[0].last);
  return 1;
}

/* ---- opening ---- */

static int list_schedules(lua_State *L) {
  lua_newtable(L);
  for (int i = 0; peri_schedule_kinds[i] != NULL; i++) {
    optim_add_kind(L, i + 1, peri_schedule_kinds[i]->name, peri_schedule_kinds[i]->doc,
                   peri_schedule_kinds[i]->options);
    lua_rawgeti(L, -1, i + 1);
    lua_pushboolean(L, peri_schedule_kinds[i]->observe != NULL);
    lua_setfield(L, -2, "observes");
    lua_pushstring(L, peri_schedule_kinds[i]->takes);
    lua_setfield(L, -2, "takes");
    lua_pop(L, 1);
  }
  return 1;
}

static const bind_function schedule_methods[] = {
    {"step", schedule_step,
     "schedule:step(metric)\n"
     "The next epoch begins: sets the lr of each group of the optimiser. Only ReduceLROnPlateau takes a metric, a "
     "number or a tensor, and goes on from the lr there is; the others compute it from the lr that the group had before "
     "the first schedule was made, or that was set by hand since. So of two schedules on one optimiser the one that "
     "steps last is followed; ChainedScheduler multiplies them.\n"
     "Errors: an lr that is no finite number from 0 (a gamma above 1 in time), what a function of the script raises; "
     "nothing changes then."},
    {"get_last_lr", schedule_last_rates,
     "schedule:get_last_lr() -> list\nThe rate that it gave last to each group; last_lr is that of the first."},
    {"state_dict", schedule_state_dict,
     "schedule:state_dict() -> table\nThe epoch and what else a schedule remembers, by name."},
    {"load_state_dict", schedule_load_state_dict,
     "schedule:load_state_dict(state) -> schedule\n"
     "Takes over a state, the lr it began with too, and sets the optimiser's lr to the one it gave last. The "
     "optimiser's own state holds its lr as well: whichever is loaded last sets it, and two that were saved together "
     "agree."},
    BIND_HAS("schedule"),
    {NULL, NULL, NULL}};

static const luaL_Reg schedule_metamethods[] = {
    {"__index", schedule_index}, {"__newindex", schedule_newindex}, {"__tostring", schedule_text}, {NULL, NULL}};

static const char *schedule_name(lua_State *L, int index) {
  return (*(const peri_schedule **)lua_touserdata(L, index))->kind->name;
}

static const bind_class schedule_class = {.kind = BIND_SCHEDULE,
                                          .name = "perilune.Schedule",
                                          .collect = collect_schedule,
                                          .methods = schedule_methods,
                                          .metamethods = schedule_metamethods,
                                          .called = schedule_name};

void optim_open_schedules(lua_State *L, bind_state *S) {
  bind_open_class(L, S, &schedule_class, 0);
  bind_set_class(L, "optim.lr_scheduler.schedule", "Methods of schedules", -1);
  lua_newtable(L);
  lua_replace(L, -2);
  for (const peri_schedule_kind *const *kind = peri_schedule_kinds; *kind != NULL; kind++)
    bind_set_member(L, S, *kind, (*kind)->name, new_schedule, (*kind)->doc);
  bind_set_part(L, -1, "lr_scheduler");
  lua_setfield(L, -2, "lr_scheduler");
  bind_set_member(L, S, NULL, "schedules", list_schedules, NULL);
}
