/* Epochs of many trainings side by side, on the threads of the team. */
#include "steps.h"

#include <string.h>

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
  data_batches *batches;  /* of each */
  data_group *groups;     /* most / 2 places; n is 0 where there is none */
  member *members;
} crew;

static int collect_crew(lua_State *L) {
  crew *c = lua_touserdata(L, 1);
  for (int i = 0; i < c->threads_n; i++) data_release_batches(&c->batches[i]);
  for (int i = 0; i < c->most / 2; i++) data_release_group(&c->groups[i]);
  for (int i = 0; i < c->most; i++) data_release_batches(&c->members[i].held);
  return 0;
}

/* crew(most) -> what `together` works with, for as many threads as there are now and lists of at most so many */
int steps_new_crew(lua_State *L) {
  bind_state *S = bind_here(L);
  const size_t most = (size_t)luaL_checkinteger(L, 1), threads = (size_t)peri_threads(S->context);
  const size_t tasks = most * sizeof(task), shadows = threads * sizeof(void *);
  const size_t batches = threads * sizeof(data_batches), groups = most / 2 * sizeof(data_group);
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

static void go_on_with_group(data_group *g, peri_context *context) {
  const double start = peri_now();
  data_go_group(g, context, start + SLICE);
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
  peri_shadow_enter(shadow);
  if (t->group != NULL) {
    go_on_with_group(t->group, shadow);
  } else {
    move_plans(&t->member->epoch, shadow);
    go_on_with(t->member, shadow, &c->batches[peri_worker()]);
    move_plans(&t->member->epoch, c->home);
  }
  peri_shadow_enter(NULL);
}

/* By the calling thread, in the context itself. */
static void go_at_home(const crew *c, const task *t, data_batches *batches) {
  const peri_stream stream = c->home->stream;
  if (t->group != NULL)
    go_on_with_group(t->group, c->home);
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
  go_at_home(c, &(task){m, grouped ? m->group : NULL}, &m->held);
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
  steps_read_epoch(L, S, &m->epoch, entry + ITS_LOADER, entry + ITS_AT, entry + ITS_HOW);
  steps_know_all(L, S, entry + ITS_REPLAY, &m->epoch);
  lua_settop(L, top);
}

static void write_member(lua_State *L, const member *m, int i) {
  const int top = lua_gettop(L), entry = top + 1;
  lua_rawgeti(L, 2, i + 1);
  lua_getfield(L, entry, "at");
  steps_write_epoch(L, &m->epoch, entry + 1);
  lua_pushinteger(L, (lua_Integer)m->stream.seed);
  lua_setfield(L, entry, "seed");
  lua_pushinteger(L, (lua_Integer)m->stream.block);
  lua_setfield(L, entry, "block");
  steps_set_number(L, entry, "seconds", m->seconds);
  if (m->said == DATA_FAILED) {
    steps_set_whole(L, entry, "status", m->epoch.status);
    lua_pushstring(L, m->message);
    lua_setfield(L, entry, "message");
    lua_pushstring(L, "failed");
  } else {
    steps_push_said(L, &m->epoch, m->said);
  }
  lua_setfield(L, entry, "said");
  lua_settop(L, top);
}

/* together(crew, list): the epochs of a list of {replay =, loader =, at =, how =, seed =, block = (of the default
 * stream, of each its own)}, on the threads of the team. Each gets the field said: as of epoch, or "script", where the
 * step itself is to be called for the next mini-batch, or "failed", with status and message; and seconds that it took.
 * What stops the computation is raised, with all that was done written down. */
int steps_together(lua_State *L) {
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
  for (int i = 0; i < c->threads_n; i++) data_release_batches(&c->batches[i]);
  if (status != PERI_OK) bind_raise(L, S, status);
  return 0;
}
