/* Learning-rate schedules. Epoch 0 is the time before the first step(). */
#include "optim/optim.h"

#include "kernels/scalar.h"

#include <float.h>
#include <math.h>

#define PI 3.14159265358979323846
#define COUNT(name, initial, low, doc)                                                                                 \
  { name, PERI_OPTION_INTEGER, initial, low, 9007199254740992.0, NULL, doc }
#define FACTOR(name, initial, doc)                                                                                     \
  { name, PERI_OPTION_NUMBER, initial, 0, DBL_MAX, NULL, doc }

/* ---- functions of the epoch t ---- */

static double step_rate(double base, double t, const double *o) { return base * peri_pow(o[1], floor(t / o[0])); }
static const peri_schedule_kind StepLR = {
    .name = "StepLR",
    .options = {COUNT("step_size", NAN, 1, "epochs between two falls"), FACTOR("gamma", 0.1, "factor of each fall")},
    .rate = step_rate,
    .doc = "StepLR(optimizer, {step_size =, gamma = 0.1}) -> schedule\n"
           "The rate times gamma after every step_size epochs."};

static double exponential_rate(double base, double t, const double *o) { return base * peri_pow(o[0], t); }
static const peri_schedule_kind ExponentialLR = {
    .name = "ExponentialLR",
    .options = {FACTOR("gamma", NAN, "factor of each epoch")},
    .rate = exponential_rate,
    .doc = "ExponentialLR(optimizer, {gamma =}) -> schedule\nThe rate times gamma after every epoch."};

static double inverse_time_rate(double base, double t, const double *o) { return base / peri_pow(1 + o[0] * t, o[1]); }
static const peri_schedule_kind InverseTimeLR = {
    .name = "InverseTimeLR",
    .options = {FACTOR("decay", NAN, "how fast the rate falls"), FACTOR("power", 1, "exponent of the fall")},
    .rate = inverse_time_rate,
    .doc = "InverseTimeLR(optimizer, {decay =, power = 1}) -> schedule\n"
           "lr / (1 + decay t)^power after t epochs: the rates under which stochastic approximation converges (H. "
           "Robbins, S. Monro 1951)."};

static double cosine_rate(double base, double t, const double *o) {
  return o[1] + (base - o[1]) * (1 + peri_cos(PI * t / o[0])) / 2;
}
static const peri_schedule_kind CosineAnnealingLR = {
    .name = "CosineAnnealingLR",
    .options = {COUNT("T_max", NAN, 1, "epochs from the largest to the smallest rate"),
                FACTOR("eta_min", 0, "the smallest rate")},
    .rate = cosine_rate,
    .doc = "CosineAnnealingLR(optimizer, {T_max =, eta_min = 0}) -> schedule\n"
           "Half a cosine from the rate to eta_min over T_max epochs, and up again (I. Loshchilov, F. Hutter 2017)."};

static double constant_rate(double base, double t, const double *o) { return t < o[1] ? base * o[0] : base; }
static const peri_schedule_kind ConstantLR = {
    .name = "ConstantLR",
    .options = {FACTOR("factor", 1.0 / 3, "factor of the first epochs"),
                COUNT("total_iters", 5, 0, "how many epochs those are")},
    .rate = constant_rate,
    .doc = "ConstantLR(optimizer, {factor = 1/3, total_iters = 5}) -> schedule\n"
           "The rate times factor for total_iters epochs, then the rate itself."};

static double linear_rate(double base, double t, const double *o) {
  return base * (o[0] + (o[1] - o[0]) * peri_smaller(t, o[2]) / o[2]);
}
static const peri_schedule_kind LinearLR = {
    .name = "LinearLR",
    .options = {FACTOR("start_factor", 1.0 / 3, "factor at the start"), FACTOR("end_factor", 1, "factor at the end"),
                COUNT("total_iters", 5, 1, "epochs from start to end")},
    .rate = linear_rate,
    .doc = "LinearLR(optimizer, {start_factor = 1/3, end_factor = 1, total_iters = 5}) -> schedule\n"
           "The rate times a factor that goes straight from start_factor to end_factor in total_iters epochs."};

/* ---- ReduceLROnPlateau ---- */
enum {
  PLATEAU_MODE,
  PLATEAU_FACTOR,
  PLATEAU_PATIENCE,
  PLATEAU_THRESHOLD,
  PLATEAU_THRESHOLD_MODE,
  PLATEAU_COOLDOWN,
  PLATEAU_MIN,
  PLATEAU_EPS
};

/* Better by more than the threshold, which is relative to the size of the best (so that it asks for more below 0 too)
 * or absolute. Anything is better than the infinite best before the first metric; NaN is never better. */
static bool is_better(const double *o, double metric, double best) {
  double margin = o[PLATEAU_THRESHOLD] * (o[PLATEAU_THRESHOLD_MODE] == 0 ? fabs(best) : 1);
  if (isinf(best)) margin = 0;
  return o[PLATEAU_MODE] == 0 ? metric < best - margin : metric > best + margin;
}

static void plateau_observe(peri_schedule *s, double metric) {
  const double *o = s->options;
  double *v = s->values;
  if (v[PERI_SCHEDULE_epoch] == 1) v[PERI_SCHEDULE_best] = o[PLATEAU_MODE] == 0 ? INFINITY : -INFINITY;
  if (is_better(o, metric, v[PERI_SCHEDULE_best])) {
    v[PERI_SCHEDULE_best] = metric;
    v[PERI_SCHEDULE_bad] = 0;
  } else {
    v[PERI_SCHEDULE_bad]++;
  }
  if (v[PERI_SCHEDULE_waiting] > 0) {
    v[PERI_SCHEDULE_waiting]--;
    v[PERI_SCHEDULE_bad] = 0;
  }
  double now = s->optimizer->options[0], next = now;
  if (v[PERI_SCHEDULE_bad] > o[PLATEAU_PATIENCE]) {
    next = peri_larger(now * o[PLATEAU_FACTOR], o[PLATEAU_MIN]);
    if (now - next <= o[PLATEAU_EPS]) next = now;
    v[PERI_SCHEDULE_waiting] = o[PLATEAU_COOLDOWN];
    v[PERI_SCHEDULE_bad] = 0;
  }
  v[PERI_SCHEDULE_last] = next;
}

static const peri_schedule_kind ReduceLROnPlateau = {
    .name = "ReduceLROnPlateau",
    .options = {{"mode", PERI_OPTION_CHOICE, 0, 0, 0, "min max", "whether the metric is to fall or to rise"},
                {"factor", PERI_OPTION_NUMBER, 0.1, 0, 0x1.fffffffffffffp-1, NULL, "factor of each fall"},
                COUNT("patience", 10, 0, "epochs without improvement that are borne"),
                FACTOR("threshold", 1e-4, "what counts as improvement"),
                {"threshold_mode", PERI_OPTION_CHOICE, 0, 0, 0, "rel abs",
                 "threshold times the size of the best metric, or by itself"},
                COUNT("cooldown", 0, 0, "epochs after a fall in which nothing is counted"),
                FACTOR("min_lr", 0, "the smallest rate"),
                FACTOR("eps", 1e-8, "smaller falls are left out")},
    .observe = plateau_observe,
    .doc = "ReduceLROnPlateau(optimizer, {mode = 'min', factor = 0.1, patience = 10, threshold = 1e-4, "
           "threshold_mode = 'rel', cooldown = 0, min_lr = 0, eps = 1e-8}) -> schedule\n"
           "step(metric): the rate times factor when the metric has not improved for more than patience epochs. A "
           "relative threshold is times the size of the best metric, also where that is negative."};

const peri_schedule_kind *const peri_schedule_kinds[] = {
    &StepLR, &ExponentialLR, &InverseTimeLR, &CosineAnnealingLR, &ConstantLR, &LinearLR, &ReduceLROnPlateau, NULL};

/* ---- schedules as objects ---- */

const char *const peri_schedule_values[PERI_SCHEDULE_VALUES] = {"base_lr", "last_lr",    "epoch",
                                                                "best",    "bad_epochs", "cooldown"};

/* The rate of an epoch, which a large factor may take beyond all numbers. */
static peri_status rate_at(peri_context *context, const peri_schedule_kind *kind, double base, double epoch,
                           const double *options, double *rate) {
  *rate = kind->rate(base, epoch, options);
  if (isfinite(*rate)) return PERI_OK;
  return peri_fail(context, PERI_ERR_ARGUMENT, "%s: lr is %s after epoch %.0f, from %g (expected a finite number)",
                   kind->name, isnan(*rate) ? "nan" : "inf", epoch, base);
}

static void set_rate(peri_schedule *s) { s->optimizer->options[0] = s->values[PERI_SCHEDULE_last]; }

peri_status peri_schedule_new(peri_optimizer *optimizer, const peri_schedule_kind *kind, const double *options,
                              peri_schedule **out) {
  void *block;
  double base = optimizer->options[0], first = base;
  *out = NULL;
  if (kind->rate != NULL) PERI_TRY(rate_at(optimizer->context, kind, base, 0, options, &first));
  PERI_TRY(peri_alloc(optimizer->context, sizeof(peri_schedule), &block));
  peri_schedule *s = block;
  *s = (peri_schedule){.references = 1, .kind = kind, .optimizer = peri_optimizer_retain(optimizer)};
  for (int i = peri_option_count(kind->options) - 1; i >= 0; i--) s->options[i] = options[i];
  s->values[PERI_SCHEDULE_base] = base;
  s->values[PERI_SCHEDULE_last] = first;
  set_rate(s);
  *out = s;
  return PERI_OK;
}

void peri_schedule_release(peri_schedule **schedule) {
  peri_schedule *own = *schedule;
  *schedule = NULL;
  if (own == NULL || --own->references > 0) return;
  peri_optimizer *optimizer = own->optimizer;
  peri_free(optimizer->context, own, sizeof *own);
  peri_optimizer_release(&optimizer);
}

peri_status peri_schedule_set_epoch(peri_schedule *s, double epoch) {
  double next;
  PERI_TRY(rate_at(s->optimizer->context, s->kind, s->values[PERI_SCHEDULE_base], epoch, s->options, &next));
  s->values[PERI_SCHEDULE_epoch] = epoch;
  s->values[PERI_SCHEDULE_last] = next;
  set_rate(s);
  return PERI_OK;
}

peri_status peri_schedule_step(peri_schedule *s, double metric) {
  if (s->kind->observe == NULL) return peri_schedule_set_epoch(s, s->values[PERI_SCHEDULE_epoch] + 1);
  s->values[PERI_SCHEDULE_epoch]++;
  s->kind->observe(s, metric);
  set_rate(s);
  return PERI_OK;
}
