/* Schedules as objects. Epoch 0 is the time before the first step(). */
#include "optim/optim.h"

#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const peri_schedule_values[PERI_SCHEDULE_VALUES] = {"epoch", "best", "bad_epochs", "cooldown"};

/* ---- making ---- */

static size_t rate_bytes(int64_t n) { return (size_t)n * sizeof(peri_schedule_rate); }

static bool is_by_group(const peri_option *option) { return option->open && option->kind == PERI_OPTION_NUMBER; }

/* A list of numbers has one for each group, or one for all. */
static peri_status check_lists(const peri_schedule *s) {
  const double *values = s->options;
  const int64_t groups = s->optimizer->groups_n;
  for (const peri_option *option = s->kind->options; option->name != NULL; values += peri_option_values(option++)) {
    const int n = peri_option_length(option, values);
    if (!is_by_group(option) || n == 1 || n == groups) continue;
    return peri_fail(s->optimizer->context, PERI_ERR_ARGUMENT,
                     "%s: %s has %d entries (expected 1, or %lld: one for each group)", s->kind->name, option->name, n,
                     (long long)groups);
  }
  return PERI_OK;
}

/* The value that stands for momentum: "momentum" itself or the first of betas; -1 when there is none. */
static int momentum_of(const peri_optimizer *optimizer) {
  const int at = peri_optimizer_option(optimizer->kind, "momentum");
  return at >= 0 ? at : peri_optimizer_option(optimizer->kind, "betas");
}

/* A schedule of the momentum needs an optimiser that has one in use. */
static peri_status check_momentum(const peri_schedule *s) {
  const peri_optimizer *optimizer = s->optimizer;
  const int at = momentum_of(optimizer);
  if (s->kind->momentum == NULL || isnan(s->kind->momentum(0, s->options))) return PERI_OK;
  for (int64_t g = 0; g < optimizer->groups_n; g++) {
    bool ready = at >= 0;
    for (int b = 0; ready && optimizer->kind->buffers[b] != NULL; b++) {
      const bool is_momentum = strcmp(optimizer->kind->buffers[b], "momentum_buffer") == 0;
      ready = !is_momentum || optimizer->slots[optimizer->groups[g].first].buffers[b] != NULL;
    }
    if (ready) continue;
    return peri_fail(optimizer->context, PERI_ERR_ARGUMENT,
                     "%s: cycle_momentum needs an optimizer with momentum, and this %s has none (cycle_momentum = "
                     "false leaves it alone)",
                     s->kind->name, optimizer->kind->name);
  }
  return PERI_OK;
}

peri_status peri_schedule_fit(peri_schedule *s) {
  const peri_optimizer *optimizer = s->optimizer;
  void *block;
  if (s->groups_n == optimizer->groups_n) return PERI_OK;
  PERI_TRY(check_lists(s));
  PERI_TRY(check_momentum(s));
  PERI_TRY(peri_alloc(optimizer->context, rate_bytes(optimizer->groups_n), &block));
  peri_schedule_rate *groups = block;
  if (s->groups_n > 0) memcpy(groups, s->groups, rate_bytes(s->groups_n));
  for (int64_t g = s->groups_n; g < optimizer->groups_n; g++) {
    const double lr = optimizer->groups[g].options[0], initial = optimizer->groups[g].initial;
    const double base = isnan(initial) ? lr : initial;
    groups[g] =
        (peri_schedule_rate){.base = base, .last = lr, .momentum = NAN, .next = lr, .next_momentum = NAN, .product = 1};
  }
  if (s->groups != NULL) peri_free(optimizer->context, s->groups, rate_bytes(s->groups_n));
  s->groups = groups;
  s->groups_n = optimizer->groups_n;
  return PERI_OK;
}

peri_status peri_schedule_new(peri_optimizer *optimizer, const peri_schedule_kind *kind, const double *options,
                              peri_schedule **out) {
  void *block;
  const char *problem = kind->check != NULL ? kind->check(options) : NULL;
  *out = NULL;
  if (problem != NULL) return peri_fail(optimizer->context, PERI_ERR_ARGUMENT, "%s: %s", kind->name, problem);
  PERI_TRY(peri_alloc(optimizer->context, sizeof(peri_schedule), &block));
  peri_schedule *s = block;
  *s = (peri_schedule){.references = 1, .kind = kind, .optimizer = peri_optimizer_retain(optimizer)};
  memcpy(s->options, options, (size_t)peri_option_count(kind->options) * sizeof(double));
  peri_status status = peri_schedule_fit(s);
  if (status == PERI_OK && kind->form == PERI_SCHEDULE_FORMULA) status = peri_schedule_set_epoch(s, 0);
  if (status != PERI_OK) peri_schedule_release(&s);
  *out = s;
  return status;
}

void peri_schedule_release(peri_schedule **schedule) {
  peri_schedule *own = *schedule;
  *schedule = NULL;
  if (own == NULL || --own->references > 0) return;
  peri_optimizer *optimizer = own->optimizer;
  if (own->groups != NULL) peri_free(optimizer->context, own->groups, rate_bytes(own->groups_n));
  peri_free(optimizer->context, own, sizeof *own);
  peri_optimizer_release(&optimizer);
}

/* ---- epochs ---- */

double peri_schedule_formula(const peri_schedule *s, int64_t group, double base, double epoch, double *momentum) {
  const peri_schedule_kind *kind = s->kind;
  double own[PERI_SCHEDULE_OPTIONS];
  const int n = peri_option_count(kind->options);
  memcpy(own, s->options, (size_t)n * sizeof *own);
  double *value = own;
  for (const peri_option *option = kind->options; option->name != NULL; value += peri_option_values(option++)) {
    if (is_by_group(option) && peri_option_length(option, value) > 1) *value = value[group];
  }
  *momentum = kind->momentum == NULL ? NAN : kind->momentum(epoch, own);
  return kind->rate(base, epoch, own);
}

void peri_schedule_write(peri_schedule *s) {
  peri_optimizer *optimizer = s->optimizer;
  const int momentum = momentum_of(optimizer);
  for (int64_t g = 0; g < s->groups_n; g++) {
    const peri_schedule_rate *rate = &s->groups[g];
    optimizer->groups[g].options[0] = rate->last;
    if (!isnan(rate->momentum) && momentum >= 0) optimizer->groups[g].options[momentum] = rate->momentum;
    if (isnan(optimizer->groups[g].initial)) optimizer->groups[g].initial = rate->base;
  }
}

peri_status peri_schedule_apply(peri_schedule *s, double epoch) {
  for (int64_t g = 0; g < s->groups_n; g++) {
    const double rate = s->groups[g].next;
    if (isfinite(rate) && rate >= 0) continue;
    char text[40];
    snprintf(text, sizeof text, "%g", rate);
    return peri_fail(s->optimizer->context, PERI_ERR_ARGUMENT,
                     "%s: lr is %s after epoch %.0f, from %g (expected a finite number%s)", s->kind->name,
                     isnan(rate) ? "nan" : text, epoch, s->groups[g].base, isfinite(rate) ? " from 0" : "");
  }
  s->values[PERI_SCHEDULE_epoch] = epoch;
  for (int64_t g = 0; g < s->groups_n; g++) {
    s->groups[g].last = s->groups[g].next;
    s->groups[g].momentum = s->groups[g].next_momentum;
  }
  peri_schedule_write(s);
  return PERI_OK;
}

peri_status peri_schedule_set_epoch(peri_schedule *s, double epoch) {
  PERI_TRY(peri_schedule_fit(s));
  for (int64_t g = 0; g < s->groups_n; g++) {
    peri_schedule_rate *rate = &s->groups[g];
    rate->next = peri_schedule_formula(s, g, rate->base, epoch, &rate->next_momentum);
  }
  return peri_schedule_apply(s, epoch);
}

peri_status peri_schedule_step(peri_schedule *s, double metric) {
  if (s->kind->observe == NULL) return peri_schedule_set_epoch(s, s->values[PERI_SCHEDULE_epoch] + 1);
  PERI_TRY(peri_schedule_fit(s));
  s->values[PERI_SCHEDULE_epoch]++;
  s->kind->observe(s, metric);
  return peri_schedule_apply(s, s->values[PERI_SCHEDULE_epoch]);
}
