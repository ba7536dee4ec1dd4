/* Steps of optimisers whose networks lie side by side. */
#include "kernels/kernels.h"
#include "optim/optim.h"

/* A lane's numbers for the parameters that have taken as many steps. */
typedef struct numbers {
  bool known;
  int64_t steps;        /* before this one */
  double before, after; /* the number that a parameter has */
  peri_update_id id;
  double c[PERI_UPDATE_COEFFICIENTS];
} numbers;

static void prepare(const peri_optimizer *optimizer, const peri_optimizer_group *group, const peri_optimizer_slot *slot,
                    numbers *own) {
  if (own->known && own->steps == slot->steps && own->before == slot->number) return;
  *own = (numbers){.known = true, .steps = slot->steps, .before = slot->number, .after = slot->number};
  own->id = optimizer->kind->prepare(group->options, slot->steps + 1, &own->after, own->c);
}

static size_t group_bytes(const peri_optimizer *optimizer) {
  return (size_t)peri_option_count(optimizer->kind->options) * sizeof(double);
}

/* The numbers of all lanes for a slot, and whether they are the same in all. */
static bool prepare_lanes(int n, peri_optimizer *const *optimizers, uint32_t out, int64_t g, int64_t i, numbers *own) {
  const numbers *first = NULL;
  const peri_optimizer_group *group = NULL;
  bool same = true;
  for (int l = 0; l < n; l++) {
    const peri_optimizer *o = optimizers[l];
    const peri_optimizer_slot *slot = &o->slots[i];
    if (out >> l & 1) continue;
    if (first != NULL && slot->steps == first->steps && slot->number == first->before &&
        memcmp(o->groups[g].options, group->options, group_bytes(o)) == 0) {
      own[l] = *first;
      continue;
    }
    prepare(o, &o->groups[g], slot, &own[l]);
    if (first != NULL) same = same && own[l].id == first->id && memcmp(own[l].c, first->c, sizeof first->c) == 0;
    if (first == NULL) first = &own[l], group = &o->groups[g];
  }
  return same;
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

static void update_lane(const peri_optimizer *optimizer, const peri_optimizer_lanes *p, int lane, const numbers *own,
                        double *scratch) {
  void *parameter = scratch, *gradient = scratch + p->numel, *buffers[PERI_UPDATE_BUFFERS];
  move_lane(p, lane, p->parameter, parameter, true);
  move_lane(p, lane, p->gradient, gradient, true);
  for (int b = 0; b < PERI_UPDATE_BUFFERS; b++) {
    buffers[b] = p->buffers[b] == NULL ? NULL : scratch + (2 + b) * p->numel;
    if (buffers[b] != NULL) move_lane(p, lane, p->buffers[b], buffers[b], true);
  }
  optimizer->context->kernels->update->update[own->id][p->dtype == PERI_FLOAT64](p->numel, parameter, gradient, buffers,
                                                                                 own->c);
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

void peri_optimizers_step_lanes(int n, peri_optimizer *const *optimizers, uint32_t out,
                                const peri_optimizer_lanes *lanes, void *scratch) {
  const peri_optimizer *shape = optimizers[0];
  for (int64_t g = 0; g < shape->groups_n; g++) {
    numbers own[PERI_LANES] = {{0}};
    const int64_t from = shape->groups[g].first, to = from + shape->groups[g].n;
    for (int64_t i = from; i < to; i++) {
      const peri_optimizer_lanes *p = &lanes[i];
      if (p->gradient == NULL) continue;
      int first = 0;
      while (first < n - 1 && (out >> first & 1)) first++;
      if (prepare_lanes(n, optimizers, out, g, i, own)) {
        shape->context->kernels->update->update[own[first].id][p->dtype == PERI_FLOAT64](
            p->numel * PERI_LANES, p->parameter, p->gradient, p->buffers, own[first].c);
      } else {
        for (int l = 0; l < n; l++) {
          if (!(out >> l & 1)) update_lane(optimizers[l], p, l, &own[l], scratch);
        }
      }
      for (int l = 0; l < n; l++) {
        peri_optimizer_slot *slot = &optimizers[l]->slots[i];
        if (out >> l & 1) continue;
        slot->steps++;
        slot->number = own[l].after;
      }
    }
  }
}
