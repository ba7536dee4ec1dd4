/* Schedules: peri.optim.lr_scheduler, one constructor for each row of the runtime's table. A schedule
 * is a userdata of one pointer. */
#include "optim.h"

#include "bindings/core/names.h"
#include "bindings/core/options.h"
#include "bindings/core/state_dict.h"

#include <float.h>
#include <string.h>

static peri_schedule *check_schedule(lua_State *L, const char *operation) {
  if (bind_is(L, bind_here(L), 1, BIND_SCHEDULE)) return *(peri_schedule **)lua_touserdata(L, 1);
  bind_error(L, operation, "expected a schedule, got %s", bind_describe(L, 1));
  return NULL;
}

/* ---- schedules: construction ---- */

/* Upvalue 2 is the kind. */
static int new_schedule(lua_State *L) {
  bind_state *S = bind_here(L);
  const peri_schedule_kind *kind = lua_touserdata(L, lua_upvalueindex(2));
  peri_optimizer *optimizer = optim_check_optimizer(L, kind->name);
  double options[PERI_SCHEDULE_OPTIONS];
  if (lua_gettop(L) > 2)
    return bind_error(L, kind->name, "too many arguments: %s was not expected", bind_describe(L, 3));
  bind_options(L, 2, kind->name, kind->options, NULL, options);
  peri_schedule **handle = bind_push_object(L, S, BIND_SCHEDULE, sizeof *handle, 0);
  BIND_TRY(L, S, peri_schedule_new(optimizer, kind, options, handle));
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
  double metric = 0;
  if (schedule->kind->observe != NULL) {
    metric = read_metric(L, schedule);
  } else if (!lua_isnoneornil(L, 2)) {
    return bind_error(L, schedule->kind->name, "step takes no metric, got %s", bind_describe(L, 2));
  }
  BIND_TRY(L, bind_here(L), peri_schedule_step(schedule, metric));
  return 0;
}

static int push_schedule_state(lua_State *L, bind_state *S, const peri_schedule *schedule) {
  bind_new_state(L, S);
  int state = lua_gettop(L);
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
  return value;
}

static int schedule_load_state_dict(lua_State *L) {
  bind_state *S = bind_here(L);
  peri_schedule *schedule = check_schedule(L, "load_state_dict");
  double values[PERI_SCHEDULE_VALUES];
  lua_settop(L, 2);
  int state = push_schedule_state(L, S, schedule);
  bind_state_match(L, S, "load_state_dict", 2, state);
  for (int i = 0; i < PERI_SCHEDULE_VALUES; i++) {
    const char *name = peri_schedule_values[i];
    bool rate = i == PERI_SCHEDULE_base || i == PERI_SCHEDULE_last;
    values[i] = rate                      ? read_rate(L, S, state, name)
                : i == PERI_SCHEDULE_best ? bind_state_number(L, S, state, name)
                                          : optim_read_count(L, S, state, name);
  }
  memcpy(schedule->values, values, sizeof values);
  schedule->optimizer->options[0] = values[PERI_SCHEDULE_last];
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
  int fields = schedule->kind->observe != NULL ? PERI_SCHEDULE_VALUES : PERI_SCHEDULE_epoch;
  for (int i = 0; i < fields; i++) {
    if (strcmp(name, peri_schedule_values[i]) != 0) continue;
    lua_pushnumber(L, schedule->values[i]);
    return 1;
  }
  bind_guess guess = bind_guess_for(L, 2);
  bind_guess_keys(L, &guess, lua_upvalueindex(3));
  bind_guess_options(&guess, schedule->kind->options);
  for (int i = 0; i < fields; i++) bind_guess_name(&guess, peri_schedule_values[i]);
  bind_guess_name(&guess, "epoch");
  return bind_no_field(L, schedule->kind->name, bind_describe(L, 2), &guess);
}

/* schedule.epoch = n: the rate of that epoch, where it is a function of it */
static int schedule_newindex(lua_State *L) {
  peri_schedule *schedule = check_schedule(L, "schedule");
  bool epoch = lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "epoch") == 0;
  if (!epoch || schedule->kind->rate == NULL)
    return bind_error(L, schedule->kind->name, "field %s cannot be set", bind_describe(L, 2));
  lua_Integer n = bind_check_whole(L, 3, schedule->kind->name, "epoch", 0);
  BIND_TRY(L, bind_here(L), peri_schedule_set_epoch(schedule, (double)n));
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
                  (lua_Integer)schedule->values[PERI_SCHEDULE_epoch], schedule->values[PERI_SCHEDULE_last]);
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
    lua_pop(L, 1);
  }
  return 1;
}

static const bind_function schedule_methods[] = {
    {"step", schedule_step,
     "schedule:step(metric)\n"
     "The next epoch begins: sets the optimiser's lr. Only ReduceLROnPlateau takes a metric, a number or a tensor, "
     "and goes on from the lr there is; the others compute it from the lr that the optimiser had when they were "
     "made. So of two schedules on one optimiser the one that steps last is followed; they do not multiply.\n"
     "Errors: an lr that is no finite number (a gamma above 1 in time); nothing changes then."},
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
