/* Epochs of networks that are alike, in lockstep: their steps run in lanes (plan/lanes.h). */
#include "epoch.h"

void data_release_group(data_group *g) {
  for (int i = 0; i < DATA_KNOWN; i++) peri_lanes_release(&g->lanes[i]);
  *g = (data_group){0};
}

/* Whether two epochs have the same mini-batches ahead, as far as counts go, and plans for all rows. */
static bool in_step(const data_epoch *a, const data_epoch *b) {
  if (a->known_n != b->known_n || a->accumulate != b->accumulate || a->group != b->group || a->in_all != b->in_all ||
      a->batch != b->batch || a->group_rows != b->group_rows || a->running || b->running ||
      a->measures != b->measures || a->classes != b->classes)
    return false;
  for (int i = 0; i < a->known_n; i++) {
    if (data_find_kind(b, &a->known[i]) != &b->known[i] || !a->known[i].accepts || !b->known[i].accepts) return false;
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

/* Gathers the next mini-batch of each, for which there is a plan with all or with none of them; false, and said, where
 * there is none. */
static bool gather(data_group *g) {
  const data_epoch *first = g->epochs[0];
  const data_kind wanted = data_next_kind(first, data_rows_ahead(first->loader));
  const data_kind *known = data_find_kind(first, &wanted);
  data_loader *loaders[PERI_LANES];
  if (known == NULL) {
    say(g, DATA_SCRIPT, PERI_OK);
    return false;
  }
  g->at = (int)(known - first->known);
  for (int l = 0; l < g->n; l++) loaders[l] = g->epochs[l]->loader;
  for (int i = 0; i < 2; i++) data_take_rows_in_lanes(g->n, loaders, i, peri_lanes_argument(g->lanes[g->at], i));
  return true;
}

static void load(data_group *g) {
  if (g->loaded == g->lanes[g->at]) return;
  if (g->loaded != NULL) peri_lanes_store(g->loaded);
  g->loaded = g->lanes[g->at];
  peri_lanes_load(g->loaded);
}

/* Of each lane: how many rows are right, or the sum of squared errors. */
static void find_seconds(const data_group *g, const peri_context *context, double *seconds) {
  const data_epoch *first = g->epochs[0];
  const peri_tensor *x = peri_lanes_results(g->loaded, 1);
  const peri_layout *layout = &x->layout;
  if (!first->measures) return;
  if (first->classes) {
    int64_t hits[PERI_LANES] = {0};
    peri_hits_lanes(context, layout->dtype, layout->shape[0], layout->shape[1], x->data, layout->strides[0],
                    layout->strides[1], peri_lanes_argument(g->loaded, 1), hits);
    for (int l = 0; l < g->n; l++) seconds[l] = (double)hits[l];
  } else {
    for (int l = 0; l < g->n; l++)
      seconds[l] = peri_load_number(layout->dtype, x->data + (size_t)l * peri_dtype_size(layout->dtype));
  }
}

/* Takes in a step of all; false where a lane has stopped. */
static bool count(data_group *g, const peri_context *context, uint32_t stopped) {
  const peri_tensor *loss = peri_lanes_results(g->loaded, 0);
  const size_t size = peri_dtype_size(loss->layout.dtype);
  double seconds[PERI_LANES] = {0};
  find_seconds(g, context, seconds);
  for (int l = 0; l < g->n; l++) {
    data_epoch *e = g->epochs[l];
    data_count_batch(e, &e->kind, peri_load_number(loss->layout.dtype, loss->data + (size_t)l * size), seconds[l]);
    g->said[l] = stopped >> l & 1 ? DATA_STOPPED : DATA_ON;
  }
  return stopped == 0;
}

static peri_status step(data_group *g, peri_context *context, uint32_t *stopped) {
  if (g->running) return peri_lanes_resume(g->loaded, context, stopped);
  load(g);
  for (int l = 0; l < g->n; l++) data_pass_batch(g->epochs[l], &g->epochs[l]->known[g->at]);
  return peri_lanes_run(g->loaded, context, NULL, stopped);
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

static void go(data_group *g, peri_context *context, double until) {
  const data_epoch *first = g->epochs[0];
  for (bool made = false;; made = true) {
    uint32_t stopped = 0;
    if (!g->running) {
      if (data_rows_ahead(first->loader) == 0 && !follow(g)) return;
      say(g, DATA_ON, PERI_OK);
      if (made && first->group == 0 && first->steps % DATA_LOOKS == 0 && peri_now() > until) return;
      if (!gather(g)) return;
    }
    const peri_status status = step(g, context, &stopped);
    g->running = status == PERI_ERR_MEMORY;
    if (status != PERI_OK) say(g, DATA_FAILED, status);
    if (status != PERI_OK || !count(g, context, stopped)) return;
  }
}

void data_go_group(data_group *g, peri_context *context, double until) {
  go(g, context, until);
  if (g->running) return; /* the lanes have the values */
  if (g->loaded != NULL) peri_lanes_store(g->loaded);
  g->loaded = NULL;
}
