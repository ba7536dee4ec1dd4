/* Epochs of networks that are alike, in lockstep: their steps run in lanes (plan/lanes.h). */
#include "epoch.h"

void data_release_group(data_group *g) {
  for (int i = 0; i < DATA_KNOWN; i++) peri_lanes_release(&g->lanes[i]);
  for (int l = 0; l < PERI_LANES; l++) data_release_batches(&g->held[l]);
  *g = (data_group){0};
}

/* Whether two epochs have the same mini-batches ahead, as far as counts go. */
static bool in_step(const data_epoch *a, const data_epoch *b) {
  if (a->known_n != b->known_n || a->accumulate != b->accumulate || a->group != b->group || a->in_all != b->in_all ||
      a->batch != b->batch || a->group_rows != b->group_rows || a->running || b->running)
    return false;
  for (int i = 0; i < a->known_n; i++) {
    if (data_find_kind(b, &a->known[i]) != &b->known[i]) return false;
  }
  return data_rows_left(a->loader) == data_rows_left(b->loader) &&
         data_rows_ahead(a->loader) == data_rows_ahead(b->loader);
}

bool data_like(const data_epoch *a, const data_epoch *b) {
  bool like = in_step(a, b) && a->known_n > 0 && a->tensors < DATA_MOST && b->tensors < DATA_MOST;
  for (int i = 0; i < a->known_n && like; i++)
    like = peri_plan_steps(a->known[i].plan) == peri_plan_steps(b->known[i].plan) &&
           peri_plan_bytes(a->known[i].plan) == peri_plan_bytes(b->known[i].plan);
  return like;
}

peri_status data_open_group(data_group *g, peri_context *context, int n, data_epoch *const *epochs) {
  peri_plan *plans[PERI_LANES];
  *g = (data_group){.n = n, .kinds_n = epochs[0]->known_n};
  for (int i = 0; i < g->kinds_n; i++) {
    for (int l = 0; l < n; l++) {
      plans[l] = epochs[l]->known[i].plan;
      g->numbers[i][l] = peri_plan_number(plans[l]);
    }
    peri_status status = peri_lanes_new(context, n, plans, &g->lanes[i]);
    if (status == PERI_OK && g->lanes[i] != NULL) continue;
    for (int k = 0; k < i; k++) peri_lanes_release(&g->lanes[k]);
    g->alone = true; /* remembered, so that it is not tried again */
    return status;
  }
  return PERI_OK;
}

bool data_fill_group(data_group *g, int n, data_epoch *const *epochs, data_epoch **lanes) {
  for (int l = 0; l < g->n; l++) {
    int at = 0;
    while (at < n &&
           !(epochs[at]->known_n == g->kinds_n && peri_plan_number(epochs[at]->known[0].plan) == g->numbers[0][l]))
      at++;
    if (at == n) return false;
    for (int i = 1; i < g->kinds_n; i++) {
      if (peri_plan_number(epochs[at]->known[i].plan) != g->numbers[i][l]) return false;
    }
    lanes[l] = epochs[at];
    if (!in_step(lanes[0], lanes[l])) return false;
  }
  for (int i = 0; i < g->kinds_n && !g->alone; i++) {
    if (!peri_lanes_hold(g->lanes[i])) return false;
  }
  return true;
}

/* ---- running ---- */

static void say(data_group *g, data_said said, peri_status status) {
  for (int l = 0; l < g->n; l++) {
    g->said[l] = said;
    g->epochs[l]->status = status;
  }
}

/* Gathers and checks the next mini-batch of each; false, and said, where one cannot go on in lanes. */
static bool gather(data_group *g, peri_context *context, data_batches *batches) {
  for (int l = 0; l < g->n; l++) {
    data_epoch *e = g->epochs[l];
    data_kind wanted = data_next_kind(e, data_rows_ahead(e->loader));
    const data_kind *known = data_find_kind(e, &wanted);
    peri_status status = PERI_OK;
    if (known != NULL) status = data_gather(e, context, &batches[l], wanted.count);
    if (known == NULL || status != PERI_OK || !peri_plan_accepts(known->plan, e->arguments)) {
      say(g, DATA_ON, PERI_OK);
      g->said[l] = status != PERI_OK ? DATA_FAILED : DATA_SCRIPT;
      e->status = status;
      return false;
    }
    e->kind = *known;
    g->at = (int)(known - e->known);
  }
  return true;
}

static void load(data_group *g) {
  if (g->loaded == g->lanes[g->at]) return;
  if (g->loaded != NULL) peri_lanes_store(g->loaded);
  g->loaded = g->lanes[g->at];
  peri_lanes_load(g->loaded);
}

/* Takes in a step of all; false where a lane has stopped. */
static bool count(data_group *g, uint32_t stopped) {
  for (int l = 0; l < g->n; l++) {
    data_epoch *e = g->epochs[l];
    const peri_tensor *loss = peri_lanes_result(g->loaded, l, 0);
    const double value = peri_load_number(loss->layout.dtype, loss->data);
    data_count_batch(e, &e->kind, value, peri_lanes_result(g->loaded, l, 1), e->arguments[1]);
    g->said[l] = stopped >> l & 1 ? DATA_STOPPED : DATA_ON;
  }
  return stopped == 0;
}

static peri_status step(data_group *g, peri_context *context, uint32_t *stopped) {
  peri_tensor *const *arguments[PERI_LANES];
  if (g->running) return peri_lanes_resume(g->loaded, context, stopped);
  load(g);
  for (int l = 0; l < g->n; l++) {
    data_epoch *e = g->epochs[l];
    arguments[l] = e->arguments;
    data_pass_rows(e->loader);
    e->batch++;
    e->rows += e->kind.count;
  }
  return peri_lanes_run(g->loaded, context, arguments, stopped);
}

/* Begins the next epoch of all; false, and said, where one ends. */
static bool follow(data_group *g) {
  bool all = true;
  say(g, DATA_ON, PERI_OK);
  for (int l = 0; l < g->n; l++) {
    const data_epoch *e = g->epochs[l];
    if (data_may_follow(e)) continue;
    all = false;
    if (e->ahead == 0 || e->done_n == 0) g->said[l] = DATA_END;
  }
  for (int l = 0; l < g->n && all; l++) {
    const peri_status status = data_follow(g->epochs[l]);
    if (status == PERI_OK) continue;
    all = false;
    g->said[l] = DATA_FAILED;
    g->epochs[l]->status = status;
  }
  return all;
}

static void go(data_group *g, peri_context *context, data_batches *batches, double until) {
  const data_epoch *first = g->epochs[0];
  for (bool made = false;; made = true) {
    uint32_t stopped = 0;
    if (!g->running) {
      if (data_rows_ahead(first->loader) == 0 && !follow(g)) return;
      say(g, DATA_ON, PERI_OK);
      if (made && first->group == 0 && first->steps % DATA_LOOKS == 0 && peri_now() > until) return;
      if (!gather(g, context, batches)) return;
    }
    const peri_status status = step(g, context, &stopped);
    g->running = status == PERI_ERR_MEMORY;
    if (status != PERI_OK) say(g, DATA_FAILED, status);
    if (status != PERI_OK || !count(g, stopped)) return;
  }
}

void data_go_group(data_group *g, peri_context *context, data_batches *batches, double until) {
  go(g, context, batches, until);
  if (g->running && batches != g->held) {
    memcpy(g->held, batches, sizeof g->held); /* others would write over the mini-batches */
    memset(batches, 0, sizeof g->held);
  }
  if (g->running) return; /* the lanes have the values */
  if (g->loaded != NULL) peri_lanes_store(g->loaded);
  g->loaded = NULL;
}
