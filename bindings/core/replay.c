/* peri.replay: a step written in Lua that is recorded once and then made again in C (runtime/plan).
 *
 * A replay has a few plans, one for each kind of arguments and state that it met; the oldest gives way. Beside a plan
 * stands what the step's function rested on (closure.h), and the arguments that are no tensors. */
#include "replay.h"
#include "closure.h"
#include "names.h"
#include "rows.h"
#include "tensor.h"
#include "ops/node.h"
#include "plan/plan.h"

#include <stdio.h>
#include <string.h>

#define PLANS      16
#define MOST_GIVEN 16 /* arguments, and results */
/* Recordings that lead nowhere before the step is left as it is: in all, and those of states that do not last. */
#define MOST_REFUSED 3
#define MOST_PASSING 50
#define TIMED        10 /* replays of a plan that are timed */

typedef struct replay {
  peri_plan *plans[PLANS];
  int64_t replays[PLANS]; /* of each plan */
  int last;               /* that fitted, or was made */
  int refused, passing;
  int64_t calls;
  char reason[PERI_REFUSED + 64];
} replay;
enum { STEP = 1, FIRST }; /* user values: the step; then two for each plan: what it rests on, its other arguments */
#define VALUES (STEP + 2 * PLANS)

static void collect_replay(void *object) {
  replay *r = object;
  for (int i = 0; i < PLANS; i++) peri_plan_release(&r->plans[i]);
}

static replay *self(lua_State *L, const char *method) {
  if (!bind_is(L, bind_here(L), 1, BIND_REPLAY))
    bind_error(L, method, "called with %s (expected plan:%s(...))", bind_describe(L, 1), method);
  return lua_touserdata(L, 1);
}

/* ---- arguments: stack indices 2 .. top ---- */

typedef struct given {
  int n, top; /* tensors, and all */
  peri_tensor *tensors[MOST_GIVEN];
} given;

static void read_given(lua_State *L, bind_state *S, given *g) {
  g->n = 0;
  g->top = lua_gettop(L);
  if (g->top - 1 > MOST_GIVEN)
    bind_error(L, "replay", "there are %d arguments (expected at most %d)", g->top - 1, MOST_GIVEN);
  for (int i = 2; i <= g->top; i++) {
    peri_tensor *x = bind_to_tensor(L, S, i);
    if (x != NULL) g->tensors[g->n++] = x;
    if (x == NULL && bind_to_handle(L, S, i) != NULL) bind_check_tensor(L, S, i, "replay", "an argument");
  }
}

/* How many arguments the list at index is of, and itself one more: nil may be among them. */
static int others_of(lua_State *L, int list) {
  lua_rawgeti(L, list, 1);
  const int n = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return n;
}

/* Whether the arguments that are no tensors are those in the list at index. */
static bool same_others(lua_State *L, bind_state *S, int list, int top) {
  bool same = others_of(L, list) == top;
  for (int i = 2; i <= top && same; i++) {
    lua_rawgeti(L, list, i);
    same = bind_to_tensor(L, S, i) != NULL ? lua_isboolean(L, -1) && !lua_toboolean(L, -1) : lua_rawequal(L, i, -1);
    lua_pop(L, 1);
  }
  return same;
}

/* The arguments in a list, with false for tensors, behind the stack's top with them. */
static void push_others(lua_State *L, bind_state *S, int top) {
  lua_createtable(L, top, 0);
  lua_pushinteger(L, top);
  lua_rawseti(L, -2, 1);
  for (int i = 2; i <= top; i++) {
    if (bind_to_tensor(L, S, i) != NULL) {
      lua_pushboolean(L, 0);
    } else {
      lua_pushvalue(L, i);
    }
    lua_rawseti(L, -2, i);
  }
}

/* ---- replaying ---- */

static int find_plan(lua_State *L, bind_state *S, replay *r, const given *g) {
  for (int k = 0; k < PLANS; k++) {
    const int i = (r->last + k) % PLANS;
    if (r->plans[i] == NULL || !peri_plan_fits(r->plans[i], g->n, g->tensors)) continue;
    lua_getiuservalue(L, 1, FIRST + 2 * i);
    lua_getiuservalue(L, 1, FIRST + 2 * i + 1);
    const bool fits = same_others(L, S, g->top + 2, g->top) && bind_closure_holds(L, S, g->top + 1);
    lua_settop(L, g->top);
    if (fits) return i;
  }
  return -1;
}

static int run_plan(lua_State *L, bind_state *S, replay *r, int i, const given *g) {
  peri_plan *plan = r->plans[i];
  const int n = peri_plan_results(plan);
  peri_tensor **handles[MOST_GIVEN], *results[MOST_GIVEN];
  luaL_checkstack(L, n + 4, "replay");
  for (int k = 0; k < n; k++) handles[k] = bind_new_tensor(L, S);
  peri_plan_time(plan, r->replays[i] > 0 && r->replays[i] <= TIMED); /* the first is slower than those to come */
  r->last = i;
  S->running = L;
  peri_status status = peri_plan_run(plan, g->tensors, results);
  if (bind_retry(L, status)) status = peri_plan_resume(plan, results);
  if (status != PERI_OK) bind_raise(L, S, status);
  r->replays[i]++;
  for (int k = 0; k < n; k++) *handles[k] = results[k];
  bind_charge(L, S);
  return n;
}

/* ---- recording ---- */

/* What the step gave, behind the stack's first `top`, as tensors; false, and refused, where it gave anything else. */
static bool read_results(lua_State *L, bind_state *S, peri_recorder *recorder, int top, peri_tensor **results) {
  for (int i = top + 1; i <= lua_gettop(L); i++) {
    peri_tensor *x = bind_to_tensor(L, S, i);
    if (x == NULL || i - top > MOST_GIVEN) {
      peri_refuse_recorder(recorder, "it gives %s (expected at most %d tensors)",
                           x == NULL ? bind_describe(L, i) : "more", MOST_GIVEN);
      return false;
    }
    results[i - top - 1] = x;
  }
  return true;
}

/* Results whose graph is gone are given as a replay gives them. */
static void detach_results(lua_State *L, bind_state *S, int top) {
  for (int i = top + 1; i <= lua_gettop(L); i++) {
    peri_tensor *x = bind_to_tensor(L, S, i);
    if (x == NULL || x->node == NULL || !peri_node_of(x)->freed) continue;
    peri_tensor **handle = bind_new_tensor(L, S);
    BIND_TRY(L, S, peri_tensor_detach(x, handle));
    lua_replace(L, i);
  }
}

static void check_strangers(lua_State *L, bind_state *S, peri_plan *plan, const given *g, int watched) {
  peri_tensor *x;
  for (int i = 0; (x = peri_plan_stranger(plan, i)) != NULL; i++) {
    if (!bind_closure_has(L, S, watched, x))
      peri_plan_refuse(plan, "it works on a tensor that is no argument, no parameter of a layer or an optimizer, and "
                             "no variable of its own (give it as an argument)");
  }
  for (int i = 0; i < g->n; i++) {
    if (bind_closure_has(L, S, watched, g->tensors[i])) peri_plan_refuse(plan, "an argument is a variable of it, too");
  }
}

/* The plan goes where it fits, and the table of what it rests on with it. */
static void keep_plan(lua_State *L, bind_state *S, replay *r, peri_plan **plan, int watched, int top) {
  int at = 0;
  while (at < PLANS && r->plans[at] != NULL) at++;
  const bool crowded = at == PLANS;
  if (crowded) at = (r->last + 1) % PLANS;
  lua_pushvalue(L, watched);
  lua_setiuservalue(L, 1, FIRST + 2 * at);
  push_others(L, S, top);
  lua_setiuservalue(L, 1, FIRST + 2 * at + 1);
  peri_plan_release(&r->plans[at]);
  r->plans[at] = *plan;
  r->replays[at] = 0;
  r->last = at;
  *plan = NULL;
  r->refused = 0;
  snprintf(r->reason, sizeof r->reason, "%s",
           crowded
               ? "more than 16 kinds of arguments came, and the oldest is forgotten (a number that changes may be a "
                 "tensor)"
               : "");
}

/* Calls the step at the stack's place behind `top` with its arguments. */
static int call_step(lua_State *L, int top, bool guarded) {
  luaL_checkstack(L, top + 8, "replay");
  lua_getiuservalue(L, 1, STEP);
  for (int i = 2; i <= top; i++) lua_pushvalue(L, i);
  if (guarded) return lua_pcall(L, top - 1, LUA_MULTRET, 0);
  lua_call(L, top - 1, LUA_MULTRET);
  return LUA_OK;
}

typedef struct holder {
  peri_plan *plan;
} holder;
static int collect_holder(lua_State *L) {
  holder *h = lua_touserdata(L, 1);
  peri_plan_release(&h->plan);
  return 0;
}

static int record(lua_State *L, bind_state *S, replay *r, const given *g) {
  const int top = g->top;
  bool passing;
  holder *h = bind_push_box(L, sizeof *h, collect_holder); /* top + 1 */
  lua_getiuservalue(L, 1, STEP);
  bind_watch_closure(L, S, top + 2);
  lua_replace(L, top + 2);
  BIND_TRY(L, S, peri_plan_begin(S->context, g->n, g->tensors, &h->plan));
  const int failed = call_step(L, top, true);
  bind_unwatch_closure(L, S, top + 2);
  peri_tensor *results[MOST_GIVEN];
  if (failed != LUA_OK) {
    peri_plan_refuse(h->plan, "it failed");
    peri_plan_release(&h->plan);
    return lua_error(L);
  }
  if (peri_plan_refused(h->plan, NULL) == NULL) {
    read_results(L, S, S->context->recorder, top + 2, results);
    peri_plan_end(h->plan, lua_gettop(L) - top - 2, results);
    check_strangers(L, S, h->plan, g, top + 2);
  }
  peri_plan_refuse(h->plan, ""); /* whatever it was: nothing is recorded any more */
  const char *reason = peri_plan_refused(h->plan, &passing);
  if (reason != NULL) {
    snprintf(r->reason, sizeof r->reason, "%s", reason);
    *(passing ? &r->passing : &r->refused) += 1;
    peri_plan_release(&h->plan);
  } else {
    keep_plan(L, S, r, &h->plan, top + 2, top);
  }
  detach_results(L, S, top + 2);
  return lua_gettop(L) - top - 2;
}

static int call_replay(lua_State *L) {
  bind_state *S = bind_here(L);
  replay *r = lua_touserdata(L, 1); /* only __call of replays leads here */
  given g;
  read_given(L, S, &g);
  r->calls++;
  const int plan = find_plan(L, S, r, &g);
  if (plan >= 0) return run_plan(L, S, r, plan, &g);
  if (r->refused < MOST_REFUSED && r->passing < MOST_PASSING && S->context->recorder == NULL)
    return record(L, S, r, &g);
  call_step(L, g.top, false);
  detach_results(L, S, g.top);
  return lua_gettop(L) - g.top;
}

int bind_replay_again(lua_State *L) {
  bind_state *S = bind_here(L);
  replay *r = self(L, "again");
  given g;
  read_given(L, S, &g);
  const bool grad_mode = S->context->grad_mode;
  S->context->grad_mode = false;
  const int plan = find_plan(L, S, r, &g); /* raises nothing; the run is in the plan's own mode */
  S->context->grad_mode = grad_mode;
  r->calls += plan >= 0;
  return plan < 0 ? 0 : run_plan(L, S, r, plan, &g);
}

/* Whether the list at index is that of a call with n tensors and then the values from `first` to the top. */
static bool same_behind(lua_State *L, int list, int n, int first) {
  const int values = lua_gettop(L) - first + 1 - (list > first);
  bool same = others_of(L, list) == 1 + n + values;
  for (int i = 0; i < n + values && same; i++) {
    lua_rawgeti(L, list, 2 + i);
    same = i < n ? lua_isboolean(L, -1) && !lua_toboolean(L, -1) : lua_rawequal(L, first + i - n, -1);
    lua_pop(L, 1);
  }
  return same;
}

peri_plan *bind_replay_find(lua_State *L, bind_state *S, int index, int n, const peri_layout *layouts, int first) {
  replay *r = lua_touserdata(L, index);
  const int top = lua_gettop(L);
  for (int k = 0; k < PLANS; k++) {
    const int i = (r->last + k) % PLANS;
    if (r->plans[i] == NULL || !peri_plan_suits(r->plans[i], n, layouts)) continue;
    lua_getiuservalue(L, index, FIRST + 2 * i + 1);
    bool fits = same_behind(L, top + 1, n, first);
    lua_getiuservalue(L, index, FIRST + 2 * i);
    fits = fits && bind_closure_holds(L, S, top + 2);
    lua_settop(L, top);
    if (fits) return r->plans[i];
  }
  return NULL;
}

/* ---- fields, methods, texts ---- */

static int forget(lua_State *L) {
  replay *r = self(L, "forget");
  collect_replay(r);
  r->refused = r->passing = 0;
  r->reason[0] = '\0';
  lua_settop(L, 1);
  return 1;
}

static int steps(lua_State *L) {
  const replay *r = self(L, "steps");
  const peri_plan *plan = r->plans[r->last];
  const int n = plan == NULL ? 0 : peri_plan_steps(plan);
  const int64_t timed = peri_min(TIMED, r->replays[r->last] - 1);
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    const peri_plan_step step = peri_plan_step_at(plan, i);
    lua_createtable(L, 0, 5);
    lua_pushstring(L, step.name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, step.kind);
    lua_setfield(L, -2, "kind");
    if (step.within > 0) {
      lua_pushinteger(L, i + 1 - step.within);
      lua_setfield(L, -2, "within");
      lua_rawseti(L, -2, i + 1);
      continue;
    }
    lua_pushinteger(L, step.bytes);
    lua_setfield(L, -2, "bytes");
    lua_pushinteger(L, step.products);
    lua_setfield(L, -2, "multiply_adds");
    if (timed > 0) {
      lua_pushnumber(L, step.seconds / (double)timed);
      lua_setfield(L, -2, "seconds");
    }
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

static int64_t count_replays(const replay *r) {
  int64_t n = 0;
  for (int i = 0; i < PLANS; i++) n += r->plans[i] != NULL ? r->replays[i] : 0;
  return n;
}

static int64_t count_plans(const replay *r) {
  int64_t n = 0;
  for (int i = 0; i < PLANS; i++) n += r->plans[i] != NULL;
  return n;
}

static const char *const fields[] = {"reason", "plans", "replays", "calls", "bytes", NULL};

/* Upvalue 3 holds the methods. */
static int field(lua_State *L) {
  const replay *r = self(L, "field");
  lua_settop(L, 2);
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(3)) != LUA_TNIL) return 1;
  if (strcmp(name, "reason") == 0) {
    if (r->reason[0] == '\0') return 0;
    lua_pushstring(L, r->reason);
  } else if (strcmp(name, "plans") == 0) {
    lua_pushinteger(L, count_plans(r));
  } else if (strcmp(name, "replays") == 0) {
    lua_pushinteger(L, count_replays(r));
  } else if (strcmp(name, "calls") == 0) {
    lua_pushinteger(L, r->calls);
  } else if (strcmp(name, "bytes") == 0) {
    size_t bytes = 0;
    for (int i = 0; i < PLANS; i++) bytes += r->plans[i] == NULL ? 0 : peri_plan_bytes(r->plans[i]);
    lua_pushinteger(L, (lua_Integer)bytes);
  } else {
    bind_guess guess = bind_guess_for(L, 2);
    bind_guess_keys(L, &guess, lua_upvalueindex(3));
    bind_guess_names(&guess, fields);
    return bind_no_field(L, "plan", bind_describe(L, 2), &guess);
  }
  return 1;
}

static void add_step(luaL_Buffer *text, const peri_plan_step *step, int64_t timed) {
  char line[160];
  const char *kind = strcmp(step->kind, "gradient") == 0 ? " (gradient)"
                     : strcmp(step->kind, "check") == 0  ? " (check)"
                                                         : "";
  char name[64];
  snprintf(name, sizeof name, "%s%s%s", step->within > 0 ? "  " : "", step->name, kind);
  if (step->joined > 0) snprintf(name, sizeof name, "joined, %d steps", step->joined);
  if (step->within > 0) {
    luaL_addstring(text, "\n  ");
    luaL_addstring(text, name);
    return;
  }
  int used = snprintf(line, sizeof line, "\n  %-32s %10lld bytes %12lld multiply-adds", name, (long long)step->bytes,
                      (long long)step->products);
  if (timed > 0) snprintf(line + used, sizeof line - (size_t)used, " %9.3f us", step->seconds / (double)timed * 1e6);
  luaL_addstring(text, line);
}

static int to_text(lua_State *L) {
  const replay *r = self(L, "tostring");
  const peri_plan *plan = r->plans[r->last];
  luaL_Buffer text;
  char line[96 + sizeof r->reason];
  luaL_buffinit(L, &text);
  if (plan == NULL) {
    snprintf(line, sizeof line, "plan of nothing%s%s%s", r->refused > 0 ? "" : " yet", r->reason[0] != '\0' ? ": " : "",
             r->reason);
    luaL_addstring(&text, line);
    luaL_pushresult(&text);
    return 1;
  }
  const int n = peri_plan_steps(plan);
  int joined = 0;
  for (int i = 0; i < n; i++) joined += peri_plan_step_at(plan, i).joined > 0;
  snprintf(line, sizeof line, "plan of %d step%s over %zu bytes, replayed %lld time%s", n - joined,
           n - joined == 1 ? "" : "s", peri_plan_bytes(plan), (long long)r->replays[r->last],
           r->replays[r->last] == 1 ? "" : "s");
  luaL_addstring(&text, line);
  for (int i = 0; i < n; i++) {
    const peri_plan_step step = peri_plan_step_at(plan, i);
    add_step(&text, &step, peri_min(TIMED, r->replays[r->last] - 1));
  }
  luaL_pushresult(&text);
  return 1;
}

/* ---- opening ---- */

int bind_replay_new(lua_State *L) {
  bind_state *S = bind_here(L);
  const int n = lua_gettop(L);
  if (!lua_isfunction(L, 1))
    return bind_error(L, "replay", "step must be a function, got %s", n > 0 ? bind_describe(L, 1) : "nothing");
  bind_push_object(L, S, BIND_REPLAY, sizeof(replay), VALUES);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, STEP);
  if (n == 1) return 1;
  lua_replace(L, 1); /* the step; the examples are behind it */
  lua_pushvalue(L, 1);
  lua_insert(L, 1);
  lua_call(L, n - 1, 0);
  return 1;
}

static const bind_function replay_methods[] = {
    {"forget", forget,
     "plan:forget() -> plan\n"
     "Drops what was recorded: the next call records anew, also where the step was given up."},
    {"steps", steps,
     "plan:steps() -> list\n"
     "What the plan that ran last is made of, in order: {name, kind, bytes, multiply_adds, seconds}. kind is operation, "
     "gradient, copy, check, act (what an optimizer does), or joined: the elementwise steps behind it, whose `within` "
     "is its place in the list, done together block by block, so that they have no bytes and seconds of their own. bytes are "
     "read and written; multiply_adds are those of products; seconds, once there were a few replays, are the mean of "
     "ten."},
    BIND_HAS("plan"),
    {NULL, NULL, NULL}};
static const luaL_Reg replay_metamethods[] = {
    {"__call", call_replay}, {"__index", field}, {"__tostring", to_text}, {NULL, NULL}};
static const bind_class replay_class = {.kind = BIND_REPLAY,
                                        .name = "perilune.Plan",
                                        .collect = collect_replay,
                                        .methods = replay_methods,
                                        .metamethods = replay_metamethods};

void bind_open_replay(lua_State *L, bind_state *S) {
  static const bind_function functions[] = {
      {"replay", bind_replay_new,
       "replay(step, ...) -> plan\n"
       "A function that does what step does, faster: plan(x, y) calls step(x, y) the first time and records what it does, "
       "operations, gradients, the optimizer's step. Later calls with tensors of the same shapes make that again without "
       "Lua, tape or allocation, bit for bit as step would. With examples behind step, it is called with them at once.\n"
       "step takes up to 16 tensors, and numbers, strings or booleans, each value of which is recorded for itself; it "
       "gives up to 16 tensors, which come detached. It must do the same whenever it is called with such arguments: of "
       "what it finds in tables, nothing is looked at again, and numbers that Lua computes in it (math.random, os.time, "
       "counters) stay those of the recording; give them as arguments or tensors. Other shapes, train or eval mode, frozen parameters, other "
       "variables are recorded for themselves, the last 16 of all these; lr, parameters and data may change in between.\n"
       "What cannot be replayed is done by step itself, and plan.reason says why: a value that the script reads (item, "
       "comparison, printing), hooks, layers of the script's own, optimizers written in Lua, shapes by values, random generators, "
       "schedules, a result that is part of a graph. plan.plans, plan.replays, plan.calls count; plan.bytes is what "
       "plans hold; tostring(plan) lists the steps with their times.\n"
       "Errors: those of step; what it had done before an error in a replay stays done, as in step."},
      {NULL, NULL, NULL}};
  bind_set_documented(L, S, functions);
  bind_open_class(L, S, &replay_class, 0);
  bind_set_class(L, "plan", "Methods of plans", -1);
  lua_pop(L, 1);
}
