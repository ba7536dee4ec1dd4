/* Steps of optimisers whose networks lie side by side. */
#include "kernels/kernels.h"
#include "optim/optim.h"

_Static_assert(PERI_UPDATE_LANES == PERI_LANES, "loops of optimisers go over all lanes");

/* A lane's numbers for the parameters that have taken as many steps. */
typedef struct numbers {
  int64_t steps;        /* before this one */
  double before, after; /* the number that a parameter has */
  peri_update_id id;
} numbers;

/* Those of all lanes. Lanes that are out, or not there, have the numbers of the first that is not. */
typedef struct all_numbers {
  bool known, same; /* same: only the first one's are written, and are those of all */
  int first;
  numbers lanes[PERI_LANES];
  double c[PERI_LANES][PERI_UPDATE_COEFFICIENTS];
} all_numbers;

static bool is_in(const peri_optimizers_abreast *o, uint32_t out, int lane) {
  return lane < o->n && !(out >> lane & 1);
}

/* Whether slot i of all lanes stands where the first of `like`, or each, does. */
static bool stand_alike(const peri_optimizers_abreast *o, uint32_t out, int64_t i, bool same, const all_numbers *like) {
  bool alike = true;
  for (int l = 0; l < o->n; l++) {
    const peri_optimizer_slot *slot = &o->optimizers[l]->slots[i];
    const numbers *own = &like->lanes[same ? like->first : l];
    alike &= !is_in(o, out, l) || (slot->steps == own->steps && slot->number == own->before);
  }
  return alike;
}

static void prepare_lane(const peri_optimizers_abreast *o, int lane, int64_t g, int64_t i, all_numbers *all) {
  const peri_optimizer *optimizer = o->optimizers[lane];
  const peri_optimizer_slot *slot = &optimizer->slots[i];
  numbers *own = &all->lanes[lane];
  *own = (numbers){.steps = slot->steps, .before = slot->number, .after = slot->number};
  memset(all->c[lane], 0, sizeof all->c[lane]);
  own->id = optimizer->kind->prepare(optimizer->groups[g].options, slot->steps + 1, &own->after, all->c[lane]);
}

/* Of slot i of group g. */
static void prepare(const peri_optimizers_abreast *o, uint32_t out, int64_t g, int64_t i, all_numbers *all) {
  if (all->known && stand_alike(o, out, i, all->same, all)) return;
  all->known = true;
  all->first = 0;
  while (all->first < o->n - 1 && !is_in(o, out, all->first)) all->first++;
  prepare_lane(o, all->first, g, i, all);
  all->same = o->same[g] && stand_alike(o, out, i, true, all);
  for (int l = 0; l < PERI_LANES && !all->same; l++) {
    if (is_in(o, out, l)) {
      prepare_lane(o, l, g, i, all);
    } else {
      all->lanes[l] = all->lanes[all->first];
      memcpy(all->c[l], all->c[all->first], sizeof all->c[l]);
    }
  }
}

/* ---- one lane alone ---- */

static void move_lane(const peri_optimizer_lanes *p, int lane, void *wide, void *single, bool out_of_lanes) {
  for (int64_t i = 0; i < p->numel; i++) {
    if (p->dtype == PERI_FLOAT32) {
      float *a = (float *)wide + i * PERI_LANES + lane, *b = (float *)single + i;
      *(out_of_lanes ? b : a) = *(out_of_lanes ? a : b);
    } else {
      double *a = (double *)wide + i * PERI_LANES + lane, *b = (double *)single + i;
      *(out_of_lanes ? b : a) = *(out_of_lanes ? a : b);
    }
  }
}

static void update_lane(const peri_update_kernels *kernels, const peri_optimizer_lanes *p, int lane,
                        const all_numbers *all, double *scratch) {
  void *parameter = scratch, *gradient = scratch + p->numel, *buffers[PERI_UPDATE_BUFFERS];
  move_lane(p, lane, p->parameter, parameter, true);
  move_lane(p, lane, p->gradient, gradient, true);
  for (int b = 0; b < PERI_UPDATE_BUFFERS; b++) {
    buffers[b] = p->buffers[b] == NULL ? NULL : scratch + (2 + b) * p->numel;
    if (buffers[b] != NULL) move_lane(p, lane, p->buffers[b], buffers[b], true);
  }
  kernels->update[all->lanes[lane].id][p->dtype == PERI_FLOAT64](p->numel, parameter, gradient, buffers, all->c[lane]);
  move_lane(p, lane, p->parameter, parameter, false);
  for (int b = 0; b < PERI_UPDATE_BUFFERS; b++) {
    if (buffers[b] != NULL) move_lane(p, lane, p->buffers[b], buffers[b], false);
  }
}

/* ---- the whole ---- */

bool peri_optimizers_alike(const peri_optimizer *a, const peri_optimizer *b) {
  if (a->kind != b->kind || a->n != b->n || a->groups_n != b->groups_n) return false;
  for (int64_t g = 0; g < a->groups_n; g++) {
    if (a->groups[g].first != b->groups[g].first || a->groups[g].n != b->groups[g].n) return false;
  }
  for (int64_t i = 0; i < a->n; i++) {
    const peri_optimizer_slot *x = &a->slots[i], *y = &b->slots[i];
    if (x->parameter == y->parameter || x->parameter->layout.dtype != y->parameter->layout.dtype) return false;
    if (!peri_same_shape(&x->parameter->layout, &y->parameter->layout)) return false;
    if ((x->parameter->grad == NULL) != (y->parameter->grad == NULL)) return false;
    for (int k = 0; k < PERI_UPDATE_BUFFERS; k++) {
      if ((x->buffers[k] == NULL) != (y->buffers[k] == NULL)) return false;
    }
  }
  return a->kind->prepare != NULL;
}

void peri_optimizers_compare(peri_optimizers_abreast *o) {
  const peri_optimizer *first = o->optimizers[0];
  const size_t bytes = (size_t)peri_option_count(first->kind->options) * sizeof(double);
  for (int64_t g = 0; g < first->groups_n; g++) {
    o->same[g] = true;
    for (int l = 1; l < o->n; l++)
      o->same[g] = o->same[g] && memcmp(o->optimizers[l]->groups[g].options, first->groups[g].options, bytes) == 0;
  }
}

static void update(const peri_update_kernels *kernels, const peri_optimizers_abreast *o, uint32_t out,
                   const peri_optimizer_lanes *p, const all_numbers *all, void *scratch) {
  const bool wide = p->dtype == PERI_FLOAT64;
  const peri_update_id id = all->lanes[all->first].id;
  bool one_loop = kernels->lanes[id][wide] != NULL;
  if (all->same) {
    kernels->update[id][wide](p->numel * PERI_LANES, p->parameter, p->gradient, p->buffers, all->c[all->first]);
    return;
  }
  for (int l = 0; l < PERI_LANES; l++) one_loop &= all->lanes[l].id == id;
  if (one_loop) {
    kernels->lanes[id][wide](p->numel, p->parameter, p->gradient, p->buffers, all->c);
    return;
  }
  for (int l = 0; l < o->n; l++) {
    if (is_in(o, out, l)) update_lane(kernels, p, l, all, scratch);
  }
}

void peri_optimizers_step_lanes(const peri_optimizers_abreast *o, uint32_t out, void *scratch) {
  const peri_optimizer *shape = o->optimizers[0];
  const peri_update_kernels *kernels = shape->context->kernels->update;
  for (int64_t g = 0; g < shape->groups_n; g++) {
    all_numbers all;
    all.known = false;
    const int64_t from = shape->groups[g].first, to = from + shape->groups[g].n;
    for (int64_t i = from; i < to; i++) {
      const peri_optimizer_lanes *p = &o->slots[i];
      if (p->gradient == NULL) continue;
      prepare(o, out, g, i, &all);
      update(kernels, o, out, p, &all, scratch);
      for (int l = 0; l < o->n; l++) {
        peri_optimizer_slot *slot = &o->optimizers[l]->slots[i];
        if (!is_in(o, out, l)) continue;
        slot->steps++;
        slot->number = all.lanes[all.same ? all.first : l].after;
      }
    }
  }
}
