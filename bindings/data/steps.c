/* Epochs (epoch.h) as lua/train has them: one in a call, or those of many trainings side by side, on the threads of the
 * team. Where no plan fits, the step's own function is called, which records one. */
#include "data.h"
#include "epoch.h"
#include "bindings/core/replay.h"
#include "nn/clip.h"

#include <math.h>
#include <string.h>

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

static void set_whole(lua_State *L, int index, const char *name, double value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, index, name);
}

static void set_number(lua_State *L, int index, const char *name, double value) {
  lua_pushnumber(L, value);
  lua_setfield(L, index, name);
}

/* Of the tables `at` and `how`, and the loader. */
static void read_epoch(lua_State *L, bind_state *S, data_epoch *e, int loader, int at, int how) {
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
}

/* The sums of epochs that are through, at the end of the list `done`: four numbers for each. */
static void write_done(lua_State *L, const data_epoch *e, int at) {
  set_whole(L, at, "ahead", (double)e->ahead);
  lua_getfield(L, at, "done");
  const int done = lua_gettop(L);
  lua_Integer n = (lua_Integer)lua_rawlen(L, done);
  for (int i = 0; i < e->done_n; i++) {
    const double numbers[] = {e->done[i].loss, e->done[i].right, e->done[i].squares, e->done[i].rows};
    for (size_t k = 0; k < PERI_COUNT(numbers); k++) {
      lua_pushnumber(L, numbers[k]);
      lua_rawseti(L, done, ++n);
    }
  }
  lua_pop(L, 1);
}

static void write_epoch(lua_State *L, const data_epoch *e, int at) {
  set_whole(L, at, "batch", (double)e->batch);
  set_whole(L, at, "rows", (double)e->rows);
  set_whole(L, at, "batches", (double)e->batches);
  set_whole(L, at, "steps", (double)e->steps);
  if (e->accumulate > 1) {
    set_whole(L, at, "group", (double)e->group);
    set_whole(L, at, "group_rows", (double)e->group_rows);
  }
  lua_getfield(L, at, "sums");
  const int sums = lua_gettop(L);
  set_number(L, sums, "loss", e->sums.loss);
  void (*const set)(lua_State *, int, const char *, double) = e->tensors == DATA_MOST ? set_number : set_whole;
  set(L, sums, "right", e->sums.right);
  set_number(L, sums, "squares", e->sums.squares);
  set(L, sums, "rows", e->sums.rows);
  lua_pop(L, 1);
  if (e->done_n > 0) write_done(L, e, at);
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
  e->known[e->known_n < DATA_KNOWN ? e->known_n++ : DATA_KNOWN - 1] = kind;
  return true;
}

/* The same for all that is left of the epoch, as far as there is room. */
static void know_all(lua_State *L, bind_state *S, int replay, data_epoch *e) {
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
  data_pass_rows(e->loader);
  e->batch++;
  e->rows += kind.count;
  write_epoch(L, e, at);
  push_kind(L, e, &kind);
  lua_call(L, e->tensors + 3, LUA_MULTRET);
  const peri_tensor *loss = bind_to_tensor(L, S, top + 2);
  if (e->tensors == DATA_MOST) data_note_weights(e, bind_to_tensor(L, S, top + 4), bind_to_tensor(L, S, top + 5));
  data_count_batch(e, &kind, peri_load_number(loss->layout.dtype, loss->data), bind_to_tensor(L, S, top + 3),
                   bind_to_tensor(L, S, top + 1));
  lua_settop(L, top);
  return e->last - e->last != 0 ? DATA_STOPPED : data_rows_ahead(e->loader) > 0 ? DATA_ON : DATA_END;
}

static void push_said(lua_State *L, const data_epoch *e, data_said said) {
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
 * and the sums of those that are through are added to the list at.done (loss, right, squares, rows). The replay's step
 * is f(x, y, first, last, rows) -> loss, scores or the sum of squared errors; where weighted f(x, y, w, first, last,
 * rows) -> the same, the sum of w, w as float64. Without seconds: the next mini-batch alone, by the step itself.
 */
static int make_epoch(lua_State *L) {
  bind_state *S = bind_here(L);
  lua_settop(L, SECONDS);
  data_batches *batches = bind_push_box(L, sizeof *batches, collect_batches);
  data_epoch e = {0};
  data_said said;
  read_epoch(L, S, &e, LOADER, AT, HOW);
  if (lua_isnil(L, SECONDS)) {
    said = data_rows_ahead(e.loader) > 0 ? call_step(L, S, REPLAY, AT, &e) : DATA_END;
  } else {
    said = go_with_script(L, S, REPLAY, AT, &e, batches, peri_now() + lua_tonumber(L, SECONDS));
  }
  write_epoch(L, &e, AT);
  if (said == DATA_FAILED) bind_raise(L, S, e.status);
  push_said(L, &e, said);
  return 1;
}

/* ---- many side by side ---- */

#define MESSAGE 256
#define MISSED  3   /* waves that a group waits for: measures of a set come between epochs */
#define SLICE   0.1 /* seconds after which an epoch is interrupted, so that the script comes by */

typedef struct member {
  data_epoch epoch; /* first */
  data_said said;
  bool alone;         /* it shares with another what one of them writes to */
  data_group *group;  /* or NULL: by itself */
  double seconds;     /* that it took */
  peri_stream stream; /* its default one */
  data_batches held;  /* of the mini-batch that is under way, where memory was short */
  char message[MESSAGE];
} member;

/* What a thread takes. */
typedef struct task {
  member *member;
  data_group *group; /* or one group in place of one member */
} task;

typedef struct crew {
  peri_context *home;
  int most, threads_n;
  int n, tasks_n;
  task *tasks;
  peri_context **shadows; /* of each thread */
  data_batches *batches;  /* of each, for all lanes */
  data_group *groups;     /* most / 2 places; n is 0 where there is none */
  member *members;
} crew;

static int collect_crew(lua_State *L) {
  crew *c = lua_touserdata(L, 1);
  for (int i = 0; i < c->threads_n * PERI_LANES; i++) data_release_batches(&c->batches[i]);
  for (int i = 0; i < c->most / 2; i++) data_release_group(&c->groups[i]);
  for (int i = 0; i < c->most; i++) data_release_batches(&c->members[i].held);
  return 0;
}

/* crew(most) -> what `together` works with, for as many threads as there are now and lists of at most so many */
static int new_crew(lua_State *L) {
  bind_state *S = bind_here(L);
  const size_t most = (size_t)luaL_checkinteger(L, 1), threads = (size_t)peri_threads(S->context);
  const size_t tasks = most * sizeof(task), shadows = threads * sizeof(void *);
  const size_t batches = threads * PERI_LANES * sizeof(data_batches), groups = most / 2 * sizeof(data_group);
  crew *c = bind_push_box(L, sizeof *c + tasks + shadows + batches + groups + most * sizeof(member), collect_crew);
  char *room = (char *)(c + 1);
  c->tasks = (task *)(void *)room;
  c->shadows = (peri_context **)(void *)(room + tasks);
  c->batches = (data_batches *)(void *)(room + tasks + shadows);
  c->groups = (data_group *)(void *)(room + tasks + shadows + batches);
  c->members = (member *)(void *)(room + tasks + shadows + batches + groups);
  c->home = S->context;
  c->most = (int)most;
  c->threads_n = (int)threads;
  return 1;
}

static void move_plans(const data_epoch *e, peri_context *context) {
  for (int i = 0; i < e->known_n; i++) peri_plan_move(e->known[i].plan, context);
}

static void note_failure(member *m, const peri_context *context) {
  if (m->said == DATA_FAILED) strncpy(m->message, peri_message(context), MESSAGE - 1);
}

/* Up to a slice of the member's epoch, with its stream. */
static void go_on_with(member *m, peri_context *context, data_batches *batches) {
  const double start = peri_now();
  context->stream = m->stream;
  m->said = data_go(&m->epoch, context, batches, start + SLICE);
  m->stream = context->stream;
  m->seconds += peri_now() - start;
  note_failure(m, context);
  if (m->said != DATA_FAILED || batches == &m->held) return;
  m->held = *batches; /* others would write over its mini-batch */
  *batches = (data_batches){0};
}

static void go_on_with_group(data_group *g, peri_context *context, data_batches *batches) {
  const double start = peri_now();
  data_go_group(g, context, batches, start + SLICE);
  const double seconds = (peri_now() - start) / g->n;
  for (int l = 0; l < g->n; l++) {
    member *m = (member *)g->epochs[l];
    m->said = g->said[l];
    m->seconds += seconds;
    note_failure(m, context);
  }
}

static void go_in_shadow(void *arg, int64_t piece) {
  const crew *c = arg;
  const task *t = &c->tasks[piece];
  peri_context *shadow = c->shadows[peri_worker()];
  data_batches *batches = &c->batches[peri_worker() * PERI_LANES];
  peri_shadow_enter(shadow);
  if (t->group != NULL) {
    go_on_with_group(t->group, shadow, batches);
  } else {
    move_plans(&t->member->epoch, shadow);
    go_on_with(t->member, shadow, batches);
    move_plans(&t->member->epoch, c->home);
  }
  peri_shadow_enter(NULL);
}

/* By the calling thread, in the context itself. */
static void go_at_home(const crew *c, const task *t, data_batches *batches) {
  const peri_stream stream = c->home->stream;
  if (t->group != NULL)
    go_on_with_group(t->group, c->home, batches);
  else
    go_on_with(t->member, c->home, batches);
  c->home->stream = stream;
}

/* ---- groups ---- */

static void put_in_group(data_group *g, data_epoch **lanes) {
  for (int l = 0; l < g->n; l++) {
    g->epochs[l] = lanes[l];
    ((member *)lanes[l])->group = g;
  }
}

/* Those of the list that are of no group yet, and may go with the one at `first`, which is the first of them. */
static int find_like(const crew *c, int first, data_epoch **like) {
  int n = 0;
  for (int i = first; i < c->n && n < PERI_LANES; i++) {
    member *m = &c->members[i];
    if (!m->alone && m->group == NULL && data_like(&c->members[first].epoch, &m->epoch)) like[n++] = &m->epoch;
  }
  return n;
}

/* Groups of the wave before are kept where all of them are there again; others are made of those that are alike. A
 * group that lanes do not know stands for that. What there is no room for is done without. */
static void find_groups(crew *c) {
  data_epoch *epochs[PERI_LANES], *all[c->n > 0 ? c->n : 1];
  int n = 0;
  for (int i = 0; i < c->n; i++) {
    if (!c->members[i].alone) all[n++] = &c->members[i].epoch;
  }
  for (int i = 0; i < c->most / 2; i++) {
    data_group *g = &c->groups[i];
    const bool filled = g->n > 0 && data_fill_group(g, n, all, epochs);
    g->missed = filled ? 0 : g->missed + 1;
    if (filled) put_in_group(g, epochs);
    if (g->missed > MISSED) data_release_group(g);
  }
  for (int i = 0, at = 0; i < c->n; i++) {
    if (c->members[i].alone || c->members[i].group != NULL) continue;
    n = find_like(c, i, epochs);
    if (n < 2) continue;
    while (at < c->most / 2 && c->groups[at].n > 0) at++;
    if (at == c->most / 2) return;
    if (data_open_group(&c->groups[at], c->home, n, epochs) != PERI_OK) return;
    put_in_group(&c->groups[at], epochs);
  }
}

static void add_task(crew *c, member *m) {
  const bool grouped = m->group != NULL && !m->group->alone;
  if (m->alone || (grouped && m->group->epochs[0] != &m->epoch)) return;
  c->tasks[c->tasks_n++] = (task){m, grouped ? m->group : NULL};
}

/* Marks those of which one writes to what another has. */
static void find_alone(const crew *c) {
  peri_storage *storage;
  bool writes;
  for (int pass = 0; pass < 3; pass++) { /* who writes, who reads that, and all is as it was */
    for (int i = 0; i < c->n; i++) {
      member *m = &c->members[i];
      for (int k = 0; k < m->epoch.known_n; k++) {
        for (int at = 0; (storage = peri_plan_outside(m->epoch.known[k].plan, &at, &writes)) != NULL;) {
          if (pass == 2) storage->claim = 0;
          if (pass == 0 && writes && storage->claim == 0) storage->claim = i + 1;
          if (pass < 2 && storage->claim != 0 && storage->claim != i + 1 && (pass == 1 || writes)) m->alone = true;
        }
      }
    }
  }
}

static peri_status go_together(crew *c) {
  peri_status status = PERI_OK;
  const int given = peri_threads(c->home); /* there may be more by now than there is room for */
  find_alone(c);
  find_groups(c);
  c->tasks_n = 0;
  for (int i = 0; i < c->n; i++) add_task(c, &c->members[i]);
  const int threads = (int)peri_min(peri_min(c->threads_n, given), c->tasks_n);
  if (threads > 1) {
    PERI_TRY(peri_shadows_open(c->home, c->threads_n, c->shadows));
    peri_set_threads(c->home, threads);
    status = peri_parallel(c->home, c->tasks_n, go_in_shadow, c);
    peri_set_threads(c->home, given);
    peri_shadows_close(c->threads_n, c->shadows);
    c->tasks_n = 0;
  }
  for (int i = 0; i < c->n; i++) {
    if (c->members[i].alone) c->tasks[c->tasks_n++] = (task){&c->members[i], NULL};
  }
  for (int i = 0; i < c->tasks_n && !peri_cancelled(c->home); i++) go_at_home(c, &c->tasks[i], &c->batches[0]);
  return status == PERI_OK ? peri_check_cancel(c->home) : status;
}

/* Once more, after a collection, what memory was too short for. */
static void try_again(lua_State *L, const crew *c, member *m) {
  const bool grouped = m->group != NULL && m->group->running;
  if (m->said != DATA_FAILED || m->epoch.status != PERI_ERR_MEMORY || !bind_retry(L, PERI_ERR_MEMORY)) return;
  go_at_home(c, &(task){m, grouped ? m->group : NULL}, grouped ? m->group->held : &m->held);
}

/* Member i of the list at index 2; its loader and replay stay where they are, in the list. */
static void read_member(lua_State *L, bind_state *S, crew *c, int i) {
  member *m = &c->members[i];
  const int top = lua_gettop(L), entry = top + 1;
  enum { ITS_REPLAY = 1, ITS_LOADER, ITS_AT, ITS_HOW };
  lua_rawgeti(L, 2, i + 1);
  lua_getfield(L, entry, "replay");
  lua_getfield(L, entry, "loader");
  lua_getfield(L, entry, "at");
  lua_getfield(L, entry, "how");
  *m = (member){.said = DATA_ON};
  lua_getfield(L, entry, "seed");
  lua_getfield(L, entry, "block");
  m->stream = (peri_stream){(uint64_t)lua_tointeger(L, -2), (uint64_t)lua_tointeger(L, -1)};
  read_epoch(L, S, &m->epoch, entry + ITS_LOADER, entry + ITS_AT, entry + ITS_HOW);
  know_all(L, S, entry + ITS_REPLAY, &m->epoch);
  lua_settop(L, top);
}

static void write_member(lua_State *L, const member *m, int i) {
  const int top = lua_gettop(L), entry = top + 1;
  lua_rawgeti(L, 2, i + 1);
  lua_getfield(L, entry, "at");
  write_epoch(L, &m->epoch, entry + 1);
  lua_pushinteger(L, (lua_Integer)m->stream.seed);
  lua_setfield(L, entry, "seed");
  lua_pushinteger(L, (lua_Integer)m->stream.block);
  lua_setfield(L, entry, "block");
  set_number(L, entry, "seconds", m->seconds);
  if (m->said == DATA_FAILED) {
    set_whole(L, entry, "status", m->epoch.status);
    lua_pushstring(L, m->message);
    lua_setfield(L, entry, "message");
    lua_pushstring(L, "failed");
  } else {
    push_said(L, &m->epoch, m->said);
  }
  lua_setfield(L, entry, "said");
  lua_settop(L, top);
}

/* together(crew, list): the epochs of a list of {replay =, loader =, at =, how =, seed =, block = (of the default
 * stream, of each its own)}, on the threads of the team. Each gets the field said: as of epoch, or "script", where the
 * step itself is to be called for the next mini-batch, or "failed", with status and message; and seconds that it took.
 * What stops the computation is raised, with all that was done written down. */
static int make_epochs(lua_State *L) {
  bind_state *S = bind_here(L);
  crew *c = lua_touserdata(L, 1);
  c->n = 0;
  for (int i = 0; i < (int)lua_rawlen(L, 2); i++) {
    read_member(L, S, c, i);
    c->n = i + 1;
  }
  S->running = L;
  peri_status status = go_together(c);
  for (int i = 0; i < c->n; i++) {
    member *m = &c->members[i];
    if (status == PERI_OK) try_again(L, c, m);
    data_release_batches(&m->held);
    write_member(L, m, i);
  }
  for (int i = 0; i < c->threads_n * PERI_LANES; i++) data_release_batches(&c->batches[i]);
  if (status != PERI_OK) bind_raise(L, S, status);
  return 0;
}

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

/* ---- the rest ---- */

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
                                  {"crew", new_crew},
                                  {"together", make_epochs},
                                  {"fail", fail},
                                  {"stream", swap_stream},
                                  {"new", bind_replay_new},
                                  {"again", bind_replay_again},
                                  {NULL, NULL}};
  lua_newtable(L);
  bind_set_functions(L, S, list);
}
