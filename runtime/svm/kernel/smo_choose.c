/* The block of a decomposition: the most violating variables, and some of the block before; see smo_solver.h. */
#include "svm/kernel/smo_solver.h"

/* Keeps the largest values in a heap whose root is the smallest of them. */
static void heap_offer(double *value, int64_t *at, int64_t most, int64_t *count, double v, int64_t t) {
  int64_t hole;
  if (*count < most) {
    for (hole = (*count)++; hole > 0 && value[(hole - 1) / 2] > v; hole = (hole - 1) / 2) {
      value[hole] = value[(hole - 1) / 2];
      at[hole] = at[(hole - 1) / 2];
    }
  } else {
    if (most == 0 || v <= value[0]) return;
    hole = 0;
    for (int64_t child; (child = 2 * hole + 1) < most; hole = child) {
      if (child + 1 < most && value[child + 1] < value[child]) child++;
      if (value[child] >= v) break;
      value[hole] = value[child];
      at[hole] = at[child];
    }
  }
  value[hole] = v;
  at[hole] = t;
}

/* Adds to the block up to `most` variables of the segments first .. last that may move `way`, the most violating
 * first. */
static void choose_violating(peri_smo_solver *self, int64_t first, int64_t last, int8_t way, int64_t most,
                             double beyond) {
  const peri_smo *smo = self->smo;
  const peri_dense *p = &self->whole;
  peri_smo_block *block = smo->block;
  int64_t count = 0, end = smo->segment[last].position + smo->segment[last].count;
  for (int64_t t = smo->segment[first].position; t < end; t++) {
    double v = way == PERI_SVM_UP ? -peri_dense_up_slope(p, t) : peri_dense_down_slope(p, t);
    if ((smo->state[t] & way) && !block->chosen[t] && v > beyond) {
      heap_offer(block->heap_value, block->heap_at, most, &count, v, t);
    }
  }
  for (int64_t h = 0; h < count; h++) {
    block->chosen[block->heap_at[h]] = 1;
    block->member[block->count++] = block->heap_at[h];
  }
}

/* Keeps up to `most` of the previous block, free variables before others, newest first. */
static void choose_kept(peri_smo_solver *self, int64_t kept, int64_t most) {
  const peri_smo *smo = self->smo;
  peri_smo_block *block = smo->block;
  for (int pass = 0; pass < 2; pass++) {
    for (int64_t r = kept - 1; r >= 0 && block->count < most; r--) {
      int64_t t = block->kept[r];
      if (t < 0) continue;
      if (block->chosen[t] || peri_dense_is_free(&self->whole, t) != (pass == 0)) continue;
      block->chosen[t] = 1;
      block->member[block->count++] = t;
    }
  }
}

void peri_smo_choose(peri_smo_solver *self, const peri_dense_view *view) {
  const peri_smo *smo = self->smo;
  peri_smo_block *block = smo->block;
  int64_t groups = smo->separate ? smo->segments : 1, kept = block->count;
  int64_t each = peri_max((kept == 0 ? block->most : block->most / 2) / (2 * groups), 1);
  memcpy(block->kept, block->member, (size_t)kept * sizeof *block->kept);
  memset(block->chosen, 0, (size_t)smo->n);
  block->count = 0;
  for (int64_t g = 0; g < groups; g++) {
    int64_t last = smo->separate ? g : smo->segments - 1;
    choose_violating(self, g, last, PERI_SVM_UP, each, -view->of[g].down);
    choose_violating(self, g, last, PERI_SVM_DOWN, each, view->of[g].up);
  }
  choose_kept(self, kept, block->most);
}
