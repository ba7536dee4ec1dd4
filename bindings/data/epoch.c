/* An epoch of a training without Lua. */
#include "epoch.h"
#include "data/measures.h"

static double number_of(const peri_tensor *x) { return peri_load_number(x->layout.dtype, x->data); }

void data_release_batches(data_batches *batches) {
  for (int i = 0; i < DATA_MOST * DATA_SHAPES; i++)
    peri_tensor_release(&batches->tensors[i / DATA_MOST][i % DATA_MOST]);
}

/* ---- kinds of mini-batches ---- */

data_kind data_next_kind(const data_epoch *e, int64_t count) {
  return (data_kind){.first = e->group == 0,
                     .last = e->group + 1 == e->accumulate || e->batch + 1 == e->in_all,
                     .count = count,
                     .rows = e->accumulate > 1 ? e->group_rows + count : 0};
}

const data_kind *data_find_kind(const data_epoch *e, const data_kind *wanted) {
  for (int i = 0; i < e->known_n; i++) {
    const data_kind *k = &e->known[i];
    if (k->count == wanted->count && k->first == wanted->first && k->last == wanted->last && k->rows == wanted->rows)
      return k;
  }
  return NULL;
}

/* ---- one mini-batch ---- */

double data_second(const data_epoch *e, const peri_tensor *second, const peri_tensor *y) {
  if (!e->measures) return 0;
  if (!e->classes) return number_of(second);
  const peri_measure_scores given = {.dtype = second->layout.dtype,
                                     .n = second->layout.shape[0],
                                     .k = second->layout.shape[1],
                                     .scores = second->data,
                                     .row_stride = second->layout.strides[0],
                                     .column_stride = second->layout.strides[1],
                                     .truth = (const int64_t *)(const void *)y->data,
                                     .truth_stride = y->layout.strides[0]};
  return peri_measure_hits(&given, e->tensors == DATA_MOST ? e->weights : NULL);
}

void data_count_batch(data_epoch *e, const data_kind *kind, double loss, double second) {
  e->last = loss;
  if (loss - loss != 0) return;
  if (e->measures) {
    const double rows = e->tensors == DATA_MOST ? e->weight : (double)kind->count;
    *(e->classes ? &e->sums.right : &e->sums.squares) += second;
    e->sums.loss += e->by_rows ? loss * rows : loss;
    e->sums.rows += rows;
  }
  e->batches++;
  e->group++;
  e->group_rows += kind->count;
  if (!kind->last) return;
  e->steps++;
  e->group = e->group_rows = 0;
}

void data_note_weights(data_epoch *e, const peri_tensor *sum, const peri_tensor *weights) {
  e->weight = number_of(sum);
  e->weights = (const double *)(const void *)weights->data;
}

void data_pass_batch(data_epoch *e, const data_kind *kind) {
  data_pass_rows(e->loader);
  e->kind = *kind;
  e->batch++;
  e->rows += kind->count;
}

/* Whole mini-batches and the last one have memory of their own. */
static peri_tensor **room_for(data_batches *batches, int64_t count) {
  const peri_tensor *whole = batches->tensors[0][0];
  return batches->tensors[whole != NULL && whole->layout.shape[0] != count ? 1 : 0];
}

static peri_status gather(data_epoch *e, peri_context *context, data_batches *batches, int64_t count) {
  peri_tensor **room = room_for(batches, count);
  for (int i = 0; i < e->tensors; i++) {
    PERI_TRY(data_take_rows(e->loader, context, i, &room[i]));
    e->arguments[i] = room[i];
  }
  return PERI_OK;
}

/* Takes the next mini-batch and begins its step; false where the step itself is to be called for it. */
static bool begin(data_epoch *e, peri_context *context, data_batches *batches, int64_t count) {
  data_kind wanted = data_next_kind(e, count);
  const data_kind *known = data_find_kind(e, &wanted);
  if (known == NULL) return false;
  e->status = gather(e, context, batches, count);
  if (e->status != PERI_OK) return true;
  if (!known->accepts && !peri_plan_accepts(known->plan, e->arguments)) return false;
  data_pass_batch(e, known);
  e->running = true;
  e->status = peri_plan_run(e->kind.plan, e->arguments, NULL);
  return true;
}

bool data_may_follow(const data_epoch *e) {
  return e->ahead > 0 && e->done_n < e->done_room && e->sums.loss - e->sums.loss == 0;
}

peri_status data_follow(data_epoch *e) {
  PERI_TRY(data_begin_epoch(e->loader));
  const double sums[DATA_SUMS] = {e->sums.loss, e->sums.right, e->sums.squares, e->sums.rows};
  for (int i = 0; i < DATA_SUMS; i++) e->done[i * e->done_room + e->done_n] = sums[i];
  e->done_n++;
  e->sums = (data_sums){0};
  e->batch = e->rows = 0;
  e->ahead--;
  return PERI_OK;
}

static data_said stop(const data_epoch *e) {
  return e->status != PERI_OK ? DATA_FAILED : e->last - e->last != 0 ? DATA_STOPPED : DATA_END;
}

data_said data_go(data_epoch *e, peri_context *context, data_batches *batches, double until) {
  int64_t count;
  bool made = false;
  e->status = PERI_OK;
  e->last = 0;
  if (e->running) e->status = peri_plan_resume(e->kind.plan, NULL);
  for (;;) {
    if (e->running && e->status == PERI_OK) {
      const peri_plan *plan = e->kind.plan;
      e->running = false;
      if (e->tensors == DATA_MOST) data_note_weights(e, peri_plan_result(plan, 2), peri_plan_result(plan, 3));
      made = true;
      data_count_batch(e, &e->kind, number_of(peri_plan_result(plan, 0)),
                       data_second(e, peri_plan_result(plan, 1), e->arguments[1]));
    }
    if (stop(e) != DATA_END) return stop(e);
    count = data_rows_ahead(e->loader);
    if (count == 0 && !data_may_follow(e)) return e->ahead > 0 && e->done_n > 0 ? DATA_ON : DATA_END;
    if (count == 0) {
      e->status = data_follow(e);
      continue;
    }
    if (made && e->group == 0 && e->steps % DATA_LOOKS == 0 && peri_now() > until) return DATA_ON;
    if (!begin(e, context, batches, count)) return DATA_SCRIPT;
  }
}
