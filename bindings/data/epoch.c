/* An epoch of a training in one call: mini-batches are gathered, steps replayed, losses and hits added up. Where no
 * plan fits, the step's own function is called, which records one. */
#include "data.h"
#include "loader.h"
#include "bindings/core/replay.h"
#include "data/measures.h"
#include "nn/clip.h"
#include "plan/plan.h"

#include <math.h>

enum { REPLAY = 1, LOADER, AT, HOW, SECONDS, FIND, BATCHES }; /* stack; from BATCHES on x and y of each shape */
#define SHAPES 2                                              /* whole mini-batches, and the last */

/* A plan that fits mini-batches of so many rows at a place of a step; rows: of all mini-batches of the step. */
typedef struct known {
  peri_plan *plan;
  bool first, last;
  int64_t count, rows;
} known;
#define KNOWN 8
#define LOOKS 16 /* steps between two looks at the clock */

typedef struct epoch {
  data_loader *loader;
  peri_tensor **tensors[SHAPES][2];
  known known[KNOWN];
  int known_n;
  bool measures, classes, by_rows; /* by_rows: losses are means of rows */
  int64_t accumulate, in_all;      /* mini-batches of a step, and of the epoch */
  int64_t batch, rows, batches, steps;
  double loss, right, squares, summed;
  int64_t group, group_rows; /* of the step that is under way */
} epoch;

/* ---- the record of the epoch, which is a table of the script's ---- */

static double field(lua_State *L, int index, const char *name) {
  lua_getfield(L, index, name);
  const double value = lua_tonumber(L, -1);
  lua_pop(L, 1);
  return value;
}

static void set_whole(lua_State *L, int index, const char *name, double value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, index, name);
}

static void set_number(lua_State *L, int index, const char *name, double value) {
  lua_pushnumber(L, value);
  lua_setfield(L, index, name);
}

static void read_epoch(lua_State *L, epoch *e) {
  lua_getfield(L, AT, "sums");
  const int sums = lua_gettop(L);
  e->batch = (int64_t)field(L, AT, "batch");
  e->rows = (int64_t)field(L, AT, "rows");
  e->batches = (int64_t)field(L, AT, "batches");
  e->steps = (int64_t)field(L, AT, "steps");
  e->loss = field(L, sums, "loss");
  e->right = field(L, sums, "right");
  e->squares = field(L, sums, "squares");
  e->summed = field(L, sums, "rows");
  lua_pop(L, 1);
}

static void write_epoch(lua_State *L, const epoch *e) {
  lua_getfield(L, AT, "sums");
  const int sums = lua_gettop(L);
  set_whole(L, AT, "batch", (double)e->batch);
  set_whole(L, AT, "rows", (double)e->rows);
  set_whole(L, AT, "batches", (double)e->batches);
  set_whole(L, AT, "steps", (double)e->steps);
  set_number(L, sums, "loss", e->loss);
  set_whole(L, sums, "right", e->right);
  set_number(L, sums, "squares", e->squares);
  set_whole(L, sums, "rows", e->summed);
  lua_pop(L, 1);
}

/* ---- one mini-batch ---- */

static double number_of(const peri_tensor *x) { return peri_load_number(x->layout.dtype, x->data); }

/* second: the scores of classes, else the sum of squared errors. */
static void add_measures(epoch *e, double loss, const peri_tensor *second, const peri_tensor *y, int64_t count) {
  if (!e->measures) return;
  if (e->classes) {
    const peri_measure_scores given = {.dtype = second->layout.dtype,
                                       .n = second->layout.shape[0],
                                       .k = second->layout.shape[1],
                                       .scores = second->data,
                                       .row_stride = second->layout.strides[0],
                                       .column_stride = second->layout.strides[1],
                                       .truth = (const int64_t *)(const void *)y->data,
                                       .truth_stride = y->layout.strides[0]};
    e->right += peri_measure_hits(&given, NULL);
  } else {
    e->squares += number_of(second);
  }
  e->loss += e->by_rows ? loss * (double)count : loss;
  e->summed += (double)count;
}

static void push_call(lua_State *L, const epoch *e, int shape, int function, bool first, bool last, int64_t rows) {
  lua_pushvalue(L, function);
  if (function != REPLAY) lua_pushvalue(L, REPLAY);
  lua_pushvalue(L, BATCHES + 2 * shape);
  lua_pushvalue(L, BATCHES + 2 * shape + 1);
  lua_pushboolean(L, first);
  lua_pushboolean(L, last);
  lua_pushinteger(L, last && e->accumulate > 1 ? (lua_Integer)rows : 0);
}

static peri_plan *find_plan(lua_State *L, epoch *e, int shape, const known *wanted) {
  for (int i = 0; i < e->known_n; i++) {
    const known *k = &e->known[i];
    if (k->count == wanted->count && k->first == wanted->first && k->last == wanted->last && k->rows == wanted->rows)
      return k->plan;
  }
  push_call(L, e, shape, FIND, wanted->first, wanted->last, wanted->rows);
  lua_call(L, 6, 1);
  peri_plan *plan = lua_touserdata(L, -1);
  lua_pop(L, 1);
  if (plan == NULL) return NULL;
  known *k = &e->known[e->known_n < KNOWN ? e->known_n++ : KNOWN - 1];
  *k = *wanted;
  k->plan = plan;
  return plan;
}

/* The step itself, in Lua; what was known of plans may be gone then. */
static double call_step(lua_State *L, bind_state *S, epoch *e, int shape, const known *k) {
  const int top = lua_gettop(L);
  e->known_n = 0;
  write_epoch(L, e);
  push_call(L, e, shape, REPLAY, k->first, k->last, k->rows);
  lua_call(L, 5, LUA_MULTRET);
  const double loss = number_of(bind_to_tensor(L, S, top + 1));
  if (loss - loss == 0) add_measures(e, loss, bind_to_tensor(L, S, top + 2), *e->tensors[shape][1], k->count);
  lua_settop(L, top);
  for (int i = 0; i < 2; i++) peri_tensor_release(e->tensors[shape][i]); /* the step may hold them */
  return loss;
}

static double replay_step(lua_State *L, bind_state *S, epoch *e, int shape, peri_plan *plan, const known *k) {
  peri_tensor *const arguments[2] = {*e->tensors[shape][0], *e->tensors[shape][1]};
  S->running = L;
  peri_status status = peri_plan_run(plan, arguments, NULL);
  if (bind_retry(L, status)) status = peri_plan_resume(plan, NULL);
  if (status != PERI_OK) {
    write_epoch(L, e);
    bind_raise(L, S, status);
  }
  const double loss = number_of(peri_plan_result(plan, 0));
  if (loss - loss == 0) add_measures(e, loss, peri_plan_result(plan, 1), arguments[1], k->count);
  return loss;
}

/* The next mini-batch through the step: its loss, which is not finite where there was no step. */
static double make_batch(lua_State *L, bind_state *S, epoch *e) {
  const int64_t count = data_rows_ahead(e->loader);
  const int shape =
      e->tensors[0][0] != NULL && *e->tensors[0][0] != NULL && (*e->tensors[0][0])->layout.shape[0] != count ? 1 : 0;
  for (int i = 0; i < 2; i++) {
    peri_tensor **into = e->tensors[shape][i];
    if (*into != NULL && (*into)->layout.shape[0] != count) peri_tensor_release(into);
    BIND_TRY(L, S, data_take_rows(e->loader, i, into));
  }
  data_pass_rows(e->loader);
  e->batch++;
  e->rows += count;
  const known k = {.first = e->group == 0,
                   .last = e->group + 1 == e->accumulate || e->batch == e->in_all,
                   .count = count,
                   .rows = e->accumulate > 1 ? e->group_rows + count : 0};
  peri_tensor *const arguments[2] = {*e->tensors[shape][0], *e->tensors[shape][1]};
  peri_plan *plan = find_plan(L, e, shape, &k);
  const double loss = plan != NULL && peri_plan_accepts(plan, arguments) ? replay_step(L, S, e, shape, plan, &k)
                                                                         : call_step(L, S, e, shape, &k);
  if (loss - loss != 0) return loss;
  e->batches++;
  e->group++;
  e->group_rows += count;
  if (k.last) {
    e->steps++;
    e->group = e->group_rows = 0;
  }
  return loss;
}

/* epoch(replay, loader, at, how, seconds) -> "end", "on" (when the seconds are over, between two steps), or the loss
 * that is not finite. at: batch, rows, batches, steps and sums of the epoch that is under way, from batch 0; how:
 * accumulate, measures, classes, by_rows. The replay's step is f(x, y, first, last, rows) -> loss, scores or the sum of
 * squared errors. */
static int make_epoch(lua_State *L) {
  bind_state *S = bind_here(L);
  lua_settop(L, SECONDS);
  const double seconds = lua_tonumber(L, SECONDS), start = peri_now();
  epoch e = {.loader = data_plain_loader(L, S, LOADER, 2)};
  bind_push_function(L, S, bind_replay_find, 0);
  for (int i = 0; i < 2 * SHAPES; i++) e.tensors[i / 2][i % 2] = bind_new_tensor(L, S);
  e.accumulate = (int64_t)field(L, HOW, "accumulate");
  e.in_all = data_count_batches(e.loader);
  lua_getfield(L, HOW, "measures");
  lua_getfield(L, HOW, "classes");
  lua_getfield(L, HOW, "by_rows");
  e.measures = lua_toboolean(L, -3);
  e.classes = lua_toboolean(L, -2);
  e.by_rows = lua_toboolean(L, -1);
  lua_pop(L, 3);
  read_epoch(L, &e);
  if (e.batch == 0) BIND_TRY(L, S, data_begin_epoch(e.loader));
  while (data_rows_ahead(e.loader) > 0) {
    const double loss = make_batch(L, S, &e);
    if (loss - loss != 0) {
      write_epoch(L, &e);
      lua_pushnumber(L, loss);
      return 1;
    }
    if (e.group == 0 && e.steps % LOOKS == 0 && peri_now() - start > seconds) break;
  }
  write_epoch(L, &e);
  lua_pushstring(L, data_rows_ahead(e.loader) > 0 ? "on" : "end");
  return 1;
}

/* takes(loader) -> whether its mini-batches are x and y as they are */
static int takes(lua_State *L) {
  lua_pushboolean(L, data_plain_loader(L, bind_here(L), 1, 2) != NULL);
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
  static const luaL_Reg list[] = {{"epoch", make_epoch}, {"takes", takes},         {"go_on", go_on},
                                  {"clip", clip},        {"new", bind_replay_new}, {NULL, NULL}};
  lua_newtable(L);
  bind_set_functions(L, S, list);
}
