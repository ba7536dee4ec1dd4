/* Epochs (epoch.h) as lua/train has them, one in a call; those of many are in crew.c. Where no plan fits, the step's
 * own function is called, which records one. */
#include "steps.h"
#include "data.h"
#include "bindings/core/replay.h"
#include "nn/clip.h"

#include <math.h>

/* ---- the record of an epoch, which is a table of the script's ---- */

static double field(lua_State *L, int index, const char *name) {
  lua_getfield(L, index, name);
  const double value = lua_tonumber(L, -1);
  lua_pop(L, 1);
  return value;
}

static bool flag(lua_State *L, int index, const char *name) {
  lua_getfield(L, index, name);
  const bool value = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

void steps_set_whole(lua_State *L, int index, const char *name, double value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, index, name);
}

void steps_set_number(lua_State *L, int index, const char *name, double value) {
  lua_pushnumber(L, value);
  lua_setfield(L, index, name);
}

/* Of the tables `at` and `how`, and the loader. */
void steps_read_epoch(lua_State *L, bind_state *S, data_epoch *e, int loader, int at, int how) {
  e->tensors = flag(L, how, "weighted") ? DATA_MOST : DATA_MOST - 1;
  e->loader = data_plain_loader(L, S, loader, e->tensors);
  e->accumulate = (int64_t)field(L, how, "accumulate");
  e->measures = flag(L, how, "measures");
  e->classes = flag(L, how, "classes");
  e->by_rows = flag(L, how, "by_rows");
  e->in_all = data_count_batches(e->loader);
  e->batch = (int64_t)field(L, at, "batch");
  e->rows = (int64_t)field(L, at, "rows");
  e->batches = (int64_t)field(L, at, "batches");
  e->steps = (int64_t)field(L, at, "steps");
  e->group = (int64_t)field(L, at, "group");
  e->group_rows = (int64_t)field(L, at, "group_rows");
  lua_getfield(L, at, "sums");
  const int sums = lua_gettop(L);
  e->sums = (data_sums){.loss = field(L, sums, "loss"),
                        .right = field(L, sums, "right"),
                        .squares = field(L, sums, "squares"),
                        .rows = field(L, sums, "rows")};
  lua_pop(L, 1);
  e->ahead = (int64_t)field(L, at, "ahead");
  e->done_n = (int64_t)field(L, at, "done_n");
  lua_getfield(L, at, "done");
  const peri_tensor *done = bind_to_tensor(L, bind_here(L), -1);
  if (done != NULL) {
    e->done = (double *)(void *)done->data;
    e->done_room = done->layout.shape[1];
  }
  lua_pop(L, 1);
}

void steps_write_epoch(lua_State *L, const data_epoch *e, int at) {
  steps_set_whole(L, at, "batch", (double)e->batch);
  steps_set_whole(L, at, "rows", (double)e->rows);
  steps_set_whole(L, at, "batches", (double)e->batches);
  steps_set_whole(L, at, "steps", (double)e->steps);
  if (e->accumulate > 1) {
    steps_set_whole(L, at, "group", (double)e->group);
    steps_set_whole(L, at, "group_rows", (double)e->group_rows);
  }
  lua_getfield(L, at, "sums");
  const int sums = lua_gettop(L);
  void (*const set)(lua_State *, int, const char *, double) =
      e->tensors == DATA_MOST ? steps_set_number : steps_set_whole;
  steps_set_number(L, sums, "loss", e->sums.loss);
  set(L, sums, "right", e->sums.right);
  steps_set_number(L, sums, "squares", e->sums.squares);
  set(L, sums, "rows", e->sums.rows);
  lua_pop(L, 1);
  if (e->done == NULL) return;
  steps_set_whole(L, at, "ahead", (double)e->ahead);
  steps_set_whole(L, at, "done_n", (double)e->done_n);
}

/* ---- plans ---- */

/* What a step is called with behind its tensors. */
static void push_kind(lua_State *L, const data_epoch *e, const data_kind *kind) {
  lua_pushboolean(L, kind->first);
  lua_pushboolean(L, kind->last);
  lua_pushinteger(L, kind->last && e->accumulate > 1 ? (lua_Integer)kind->rows : 0);
}

/* Looks for the plan of a kind that is not known yet; whether there is one. */
static bool know(lua_State *L, bind_state *S, int replay, data_epoch *e, data_kind kind) {
  peri_layout layouts[DATA_MOST];
  if (data_find_kind(e, &kind) != NULL) return true;
  const int top = lua_gettop(L);
  for (int i = 0; i < e->tensors; i++) data_layout_rows(e->loader, i, kind.count, &layouts[i]);
  push_kind(L, e, &kind);
  kind.plan = bind_replay_find(L, S, replay, e->tensors, layouts, top + 1);
  lua_settop(L, top);
  if (kind.plan == NULL) return false;
  kind.accepts = data_all_accepted(e->loader, kind.plan);
  e->known[e->known_n < DATA_KNOWN ? e->known_n++ : DATA_KNOWN - 1] = kind;
  return true;
}

/* The same for all that is left of the epoch, as far as there is room. */
void steps_know_all(lua_State *L, bind_state *S, int replay, data_epoch *e) {
  data_epoch ahead = *e;
  int64_t left = data_rows_left(e->loader);
  const int64_t size = data_rows_ahead(e->loader);
  while (left > 0 && e->known_n < DATA_KNOWN) {
    const data_kind kind = data_next_kind(&ahead, peri_min(size, left));
    const bool passes = ahead.accumulate == 1 && kind.count < left && left - kind.count >= size;
    know(L, S, replay, e, kind);
    if (passes) { /* to the last whole one: those between are as this one */
      ahead.batch += left / size - 1;
      left -= (left / size - 1) * size;
    } else {
      ahead.batch++;
      left -= kind.count;
    }
    ahead.group = kind.last ? 0 : ahead.group + 1;
    ahead.group_rows = kind.last ? 0 : ahead.group_rows + kind.count;
  }
}

/* The step itself, in Lua, on the next mini-batch; what was known of plans may be gone then. Its tensors are its own,
 * as the step may hold them. */
static data_said call_step(lua_State *L, bind_state *S, int replay, int at, data_epoch *e) {
  const int top = lua_gettop(L);
  const data_kind kind = data_next_kind(e, data_rows_ahead(e->loader));
  e->known_n = 0;
  lua_pushvalue(L, replay);
  for (int i = 0; i < e->tensors; i++) {
    peri_tensor **handle = bind_new_tensor(L, S);
    BIND_TRY(L, S, data_take_rows(e->loader, S->context, i, handle));
  }
  lua_pushvalue(L, top + 3); /* y stays */
  lua_insert(L, top + 1);
  data_pass_batch(e, &kind);
  steps_write_epoch(L, e, at);
  push_kind(L, e, &kind);
  lua_call(L, e->tensors + 3, LUA_MULTRET);
  const peri_tensor *loss = bind_to_tensor(L, S, top + 2);
  if (e->tensors == DATA_MOST) data_note_weights(e, bind_to_tensor(L, S, top + 4), bind_to_tensor(L, S, top + 5));
  data_count_batch(e, &kind, peri_load_number(loss->layout.dtype, loss->data),
                   data_second(e, bind_to_tensor(L, S, top + 3), bind_to_tensor(L, S, top + 1)));
  lua_settop(L, top);
  return e->last - e->last != 0 ? DATA_STOPPED : data_rows_ahead(e->loader) > 0 ? DATA_ON : DATA_END;
}

void steps_push_said(lua_State *L, const data_epoch *e, data_said said) {
  static const char *const words[] = {[DATA_END] = "end", [DATA_ON] = "on", [DATA_SCRIPT] = "script"};
  if (said == DATA_STOPPED)
    lua_pushnumber(L, e->last);
  else
    lua_pushstring(L, words[said]);
}

/* ---- one ---- */

/* data_go, and what needs the script in between. */
static data_said go_with_script(lua_State *L, bind_state *S, int replay, int at, data_epoch *e, data_batches *batches,
                                double until) {
  for (;;) {
    S->running = L;
    data_said said = data_go(e, S->context, batches, until);
    if (said == DATA_FAILED && bind_retry(L, e->status)) said = data_go(e, S->context, batches, until);
    if (said != DATA_SCRIPT) return said;
    const data_kind next = data_next_kind(e, data_rows_ahead(e->loader));
    if (data_find_kind(e, &next) == NULL && know(L, S, replay, e, next)) continue;
    said = call_step(L, S, replay, at, e);
    if (said != DATA_ON || (e->group == 0 && peri_now() > until)) return said;
  }
}

static int collect_batches(lua_State *L) {
  data_release_batches(lua_touserdata(L, 1));
  return 0;
}

enum { REPLAY = 1, LOADER, AT, HOW, SECONDS };

/* epoch(replay, loader, at, how, seconds) -> "end", "on" (when the seconds are over, between two steps), or the loss
 * that is not finite. at: batch, rows, batches, steps and sums of the epoch that is under way (`begin`); how:
 * accumulate, measures, classes, by_rows, weighted (of three tensors); at.ahead (nil: 0) is how many epochs may follow,
 * and the sums of those that are through become columns of at.done (float64, loss, right, squares, rows), of which
 * at.done_n are filled. The replay's step is f(x, y, first, last, rows) -> loss, scores or the sum of squared errors;
 * where weighted f(x, y, w, first, last, rows) -> the same, the sum of w, w as float64. Without seconds: the next
 * mini-batch alone, by the step itself.
 */
static int make_epoch(lua_State *L) {
  bind_state *S = bind_here(L);
  lua_settop(L, SECONDS);
  data_batches *batches = bind_push_box(L, sizeof *batches, collect_batches);
  data_epoch e = {0};
  data_said said;
  steps_read_epoch(L, S, &e, LOADER, AT, HOW);
  if (lua_isnil(L, SECONDS)) {
    said = data_rows_ahead(e.loader) > 0 ? call_step(L, S, REPLAY, AT, &e) : DATA_END;
  } else {
    said = go_with_script(L, S, REPLAY, AT, &e, batches, peri_now() + lua_tonumber(L, SECONDS));
  }
  steps_write_epoch(L, &e, AT);
  if (said == DATA_FAILED) bind_raise(L, S, e.status);
  steps_push_said(L, &e, said);
  return 1;
}

/* ---- the rest ---- */

/* fail(status, message): raises what a member failed with */
static int fail(lua_State *L) {
  bind_state *S = bind_here(L);
  const peri_status status = (peri_status)lua_tointeger(L, 1);
  return bind_raise(L, S, peri_fail(S->context, status, "%s", lua_tostring(L, 2)));
}

/* stream(seed, block) -> seed, block: the default stream becomes that one; where it stood */
static int swap_stream(lua_State *L) {
  bind_state *S = bind_here(L);
  const peri_stream before = S->context->stream;
  if (!lua_isnoneornil(L, 1))
    S->context->stream = (peri_stream){(uint64_t)lua_tointeger(L, 1), (uint64_t)lua_tointeger(L, 2)};
  lua_pushinteger(L, (lua_Integer)before.seed);
  lua_pushinteger(L, (lua_Integer)before.block);
  return 2;
}

/* begin(loader, n): an epoch, as the first call of a loop does; of n tensors */
static int begin(lua_State *L) {
  bind_state *S = bind_here(L);
  BIND_TRY(L, S, data_begin_epoch(data_plain_loader(L, S, 1, (int)lua_tointeger(L, 2))));
  return 0;
}

/* takes(loader, n) -> whether its mini-batches are n tensors as they are */
static int takes(lua_State *L) {
  lua_pushboolean(L, data_plain_loader(L, bind_here(L), 1, (int)lua_tointeger(L, 2)) != NULL);
  return 1;
}

/* go_on(loss) -> whether it is finite; a replay ends here where it is not */
static int go_on(lua_State *L) {
  bind_state *S = bind_here(L);
  lua_pushboolean(L, peri_plan_go_on(bind_check_tensor(L, S, 1, "fit", "the loss")));
  return 1;
}

/* clip(parameters, most): as nn.utils.clip_grad_norm_, without telling */
static int clip(lua_State *L) {
  bind_state *S = bind_here(L);
  const int64_t n = (int64_t)lua_rawlen(L, 1);
  double norm;
  peri_tensor **parameters = lua_newuserdatauv(L, (size_t)n * sizeof *parameters, 0);
  for (int64_t i = 0; i < n; i++) {
    lua_rawgeti(L, 1, i + 1); /* stays, as it is the training's own list */
    parameters[i] = bind_to_tensor(L, S, -1);
    lua_pop(L, 1);
  }
  BIND_TRY(L, S, peri_gradients_clip(S->context, n, parameters, lua_tonumber(L, 2), 2, &norm));
  return 0;
}

void bind_open_steps(lua_State *L, bind_state *S) {
  static const luaL_Reg list[] = {{"epoch", make_epoch},
                                  {"begin", begin},
                                  {"takes", takes},
                                  {"go_on", go_on},
                                  {"clip", clip},
                                  {"crew", steps_new_crew},
                                  {"together", steps_together},
                                  {"fail", fail},
                                  {"stream", swap_stream},
                                  {"new", bind_replay_new},
                                  {"again", bind_replay_again},
                                  {NULL, NULL}};
  lua_newtable(L);
  bind_set_functions(L, S, list);
}
