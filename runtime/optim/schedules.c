/* The table of schedules: formulas of the epoch t, which is 0 before the first step(). */
#include "optim/optim.h"

#include "kernels/scalar.h"

#include <float.h>
#include <math.h>

#define PI           3.14159265358979323846
#define LIST         PERI_MAX_NUMBERS
#define BELOW_ONE    0x1.fffffffffffffp-1
#define OPTIONS(...) ((const peri_option[]){__VA_ARGS__, {NULL}})
#define COUNT(name, initial, low, doc)                                                                                 \
  { name, PERI_OPTION_INTEGER, initial, low, 9007199254740992.0, NULL, doc }
#define FACTOR(name, initial, doc)                                                                                     \
  { name, PERI_OPTION_NUMBER, initial, 0, DBL_MAX, NULL, doc }
#define BY_GROUP(name, initial, high, doc)                                                                             \
  { name, PERI_OPTION_NUMBER, initial, 0, high, NULL, doc, LIST, .open = true }

/* ---- functions of the epoch t ---- */

static double step_rate(double base, double t, const double *o) { return base * peri_pow(o[1], floor(t / o[0])); }
static const peri_schedule_kind StepLR = {.name = "StepLR",
                                          .options = OPTIONS(COUNT("step_size", NAN, 1, "epochs between two falls"),
                                                             FACTOR("gamma", 0.1, "factor of each fall")),
                                          .rate = step_rate,
                                          .doc = "StepLR(optimizer, {step_size =, gamma = 0.1}) -> schedule\n"
                                                 "The rate times gamma after every step_size epochs."};

static double exponential_rate(double base, double t, const double *o) { return base * peri_pow(o[0], t); }
static const peri_schedule_kind ExponentialLR = {
    .name = "ExponentialLR",
    .options = OPTIONS(FACTOR("gamma", NAN, "factor of each epoch")),
    .rate = exponential_rate,
    .doc = "ExponentialLR(optimizer, {gamma =}) -> schedule\nThe rate times gamma after every epoch."};

static double inverse_time_rate(double base, double t, const double *o) { return base / peri_pow(1 + o[0] * t, o[1]); }
static const peri_schedule_kind InverseTimeLR = {
    .name = "InverseTimeLR",
    .options = OPTIONS(FACTOR("decay", NAN, "how fast the rate falls"), FACTOR("power", 1, "exponent of the fall")),
    .rate = inverse_time_rate,
    .doc = "InverseTimeLR(optimizer, {decay =, power = 1}) -> schedule\n"
           "lr / (1 + decay t)^power after t epochs: the rates under which stochastic approximation converges (H. "
           "Robbins, S. Monro 1951)."};

static double cosine_rate(double base, double t, const double *o) {
  return o[1] + (base - o[1]) * (1 + peri_cos(PI * t / o[0])) / 2;
}
static const peri_schedule_kind CosineAnnealingLR = {
    .name = "CosineAnnealingLR",
    .options = OPTIONS(COUNT("T_max", NAN, 1, "epochs from the largest to the smallest rate"),
                       FACTOR("eta_min", 0, "the smallest rate")),
    .rate = cosine_rate,
    .doc = "CosineAnnealingLR(optimizer, {T_max =, eta_min = 0}) -> schedule\n"
           "Half a cosine from the rate to eta_min over T_max epochs, and up again (I. Loshchilov, F. Hutter 2017)."};

static double constant_rate(double base, double t, const double *o) { return t < o[1] ? base * o[0] : base; }
static const peri_schedule_kind ConstantLR = {
    .name = "ConstantLR",
    .options = OPTIONS(FACTOR("factor", 1.0 / 3, "factor of the first epochs"),
                       COUNT("total_iters", 5, 0, "how many epochs those are")),
    .rate = constant_rate,
    .doc = "ConstantLR(optimizer, {factor = 1/3, total_iters = 5}) -> schedule\n"
           "The rate times factor for total_iters epochs, then the rate itself."};

static double linear_rate(double base, double t, const double *o) {
  return base * (o[0] + (o[1] - o[0]) * peri_smaller(t, o[2]) / o[2]);
}
static const peri_schedule_kind LinearLR = {
    .name = "LinearLR",
    .options =
        OPTIONS(FACTOR("start_factor", 1.0 / 3, "factor at the start"), FACTOR("end_factor", 1, "factor at the end"),
                COUNT("total_iters", 5, 1, "epochs from start to end")),
    .rate = linear_rate,
    .doc = "LinearLR(optimizer, {start_factor = 1/3, end_factor = 1, total_iters = 5}) -> schedule\n"
           "The rate times a factor that goes straight from start_factor to end_factor in total_iters epochs."};

static double multi_step_rate(double base, double t, const double *o) {
  int passed = 0;
  for (int i = 0; i < LIST; i++) passed += o[1 + i] <= t;
  return base * peri_pow(o[0], passed);
}
static const peri_schedule_kind MultiStepLR = {
    .name = "MultiStepLR",
    .options = OPTIONS(FACTOR("gamma", 0.1, "factor of each fall"),
                       {"milestones", PERI_OPTION_INTEGER, NAN, 0, 9007199254740992.0, NULL,
                        "epochs of the falls, in any order", LIST, .open = true}),
    .rate = multi_step_rate,
    .doc = "MultiStepLR(optimizer, {milestones =, gamma = 0.1}) -> schedule\n"
           "The rate times gamma at each epoch of a list: {30, 80}. An epoch that stands there twice counts twice."};

static double polynomial_rate(double base, double t, const double *o) {
  return base * peri_pow(1 - peri_smaller(t, o[0]) / o[0], o[1]);
}
static const peri_schedule_kind PolynomialLR = {
    .name = "PolynomialLR",
    .options = OPTIONS(COUNT("total_iters", 5, 1, "epochs until the rate is 0"), FACTOR("power", 1, "exponent")),
    .rate = polynomial_rate,
    .doc = "PolynomialLR(optimizer, {total_iters = 5, power = 1}) -> schedule\n"
           "The rate times (1 - t / total_iters)^power, down to 0."};

static double restarts_rate(double base, double t, const double *o) {
  double length = o[0];
  if (o[1] == 1) {
    t -= floor(t / length) * length;
  } else {
    for (; t >= length; length *= o[1]) t -= length;
  }
  return o[2] + (base - o[2]) * (1 + peri_cos(PI * t / length)) / 2;
}
static const peri_schedule_kind CosineAnnealingWarmRestarts = {
    .name = "CosineAnnealingWarmRestarts",
    .options = OPTIONS(COUNT("T_0", NAN, 1, "epochs of the first fall"),
                       COUNT("T_mult", 1, 1, "how many times longer each fall is than the one before"),
                       FACTOR("eta_min", 0, "the smallest rate")),
    .rate = restarts_rate,
    .doc = "CosineAnnealingWarmRestarts(optimizer, {T_0 =, T_mult = 1, eta_min = 0}) -> schedule\n"
           "Half a cosine from the rate down towards eta_min, and from the start again after T_0 epochs, then after "
           "T_mult times as many (Loshchilov and Hutter 2017)."};

/* ---- cycles of the rate, and of the momentum against it ---- */

/* L. Smith, "Cyclical learning rates for training neural networks", 2017. */
enum {
  CYCLIC_BASE,
  CYCLIC_MAX = CYCLIC_BASE + LIST,
  CYCLIC_UP = CYCLIC_MAX + LIST,
  CYCLIC_DOWN,
  CYCLIC_MODE,
  CYCLIC_GAMMA,
  CYCLIC_MOMENTUM,
  CYCLIC_LOW,
  CYCLIC_HIGH = CYCLIC_LOW + LIST
};

/* How far up the cycle is at epoch t: from 0 to 1, scaled by the mode. */
static double cyclic_height(double t, const double *o) {
  const double up = o[CYCLIC_UP], down = o[CYCLIC_DOWN] > 0 ? o[CYCLIC_DOWN] : up, total = up + down,
               share = up / total;
  const double cycle = floor(1 + t / total), x = 1 + t / total - cycle;
  const double height = x <= share ? x / share : (x - 1) / (share - 1);
  if (o[CYCLIC_MODE] == 0) return height;
  return height * (o[CYCLIC_MODE] == 1 ? peri_pow(2, 1 - cycle) : peri_pow(o[CYCLIC_GAMMA], t));
}

static double cyclic_rate(double base, double t, const double *o) {
  (void)base;
  return o[CYCLIC_BASE] + (o[CYCLIC_MAX] - o[CYCLIC_BASE]) * cyclic_height(t, o);
}

static double cyclic_momentum(double t, const double *o) {
  if (o[CYCLIC_MOMENTUM] == 0) return NAN;
  return o[CYCLIC_HIGH] - (o[CYCLIC_HIGH] - o[CYCLIC_LOW]) * cyclic_height(t, o);
}

#define CYCLE_MOMENTUM                                                                                                 \
  { "cycle_momentum", PERI_OPTION_BOOL, 1, 0, 0, NULL, "whether the momentum falls while the rate rises" }

static const peri_schedule_kind CyclicLR = {
    .name = "CyclicLR",
    .options = OPTIONS(BY_GROUP("base_lr", NAN, DBL_MAX, "smallest rate"),
                       BY_GROUP("max_lr", NAN, DBL_MAX, "largest rate"), COUNT("step_size_up", 2000, 1, "steps up"),
                       COUNT("step_size_down", 0, 0, "steps down; 0: as many as up"),
                       {"mode", PERI_OPTION_CHOICE, 0, 0, 0, "triangular triangular2 exp_range",
                        "all cycles of one height, each half as high, or times gamma at each step"},
                       FACTOR("gamma", 1, "of exp_range"), CYCLE_MOMENTUM,
                       BY_GROUP("base_momentum", 0.8, BELOW_ONE, "momentum at the largest rate"),
                       BY_GROUP("max_momentum", 0.9, BELOW_ONE, "momentum at the smallest rate")),
    .rate = cyclic_rate,
    .momentum = cyclic_momentum,
    .doc = "CyclicLR(optimizer, {base_lr =, max_lr =, step_size_up = 2000, step_size_down = 0, mode = 'triangular', "
           "gamma = 1, cycle_momentum = true, base_momentum = 0.8, max_momentum = 0.9}) -> schedule\n"
           "The rate goes straight up from base_lr to max_lr and down again (Smith 2017), in steps of mini-batches: "
           "call step() after each. Rates and momenta may be lists with one for each group. The momentum is the option "
           "of that name, or the first of betas.\n"
           "Errors: cycle_momentum and an optimizer without momentum."};

/* L. Smith, N. Topin, "Super-convergence", 2018. */
enum {
  ONE_MAX,
  ONE_TOTAL = ONE_MAX + LIST,
  ONE_EPOCHS,
  ONE_STEPS,
  ONE_START,
  ONE_ANNEAL,
  ONE_MOMENTUM,
  ONE_LOW,
  ONE_HIGH = ONE_LOW + LIST,
  ONE_DIV = ONE_HIGH + LIST,
  ONE_FINAL,
  ONE_THREE
};

static const char *one_cycle_check(const double *o) {
  if (o[ONE_TOTAL] > 0 || (o[ONE_EPOCHS] > 0 && o[ONE_STEPS] > 0)) return NULL;
  return "option total_steps is missing (or epochs and steps_per_epoch)";
}

/* What has `first` at the start, `peak` at pct_start of the steps and `last` at the end; with three phases it comes
 * back to `first` in as many steps as it took to the peak. */
static double one_cycle(double t, const double *o, double first, double peak, double last) {
  const double total = o[ONE_TOTAL] > 0 ? o[ONE_TOTAL] : o[ONE_EPOCHS] * o[ONE_STEPS];
  const double up = o[ONE_START] * total - 1, back = o[ONE_THREE] != 0 ? 2 * o[ONE_START] * total - 2 : up;
  double from = peak, to = last, start = up, end = total - 1;
  if (t <= up) {
    from = first, to = peak, start = 0, end = up;
  } else if (o[ONE_THREE] != 0) {
    from = t <= back ? peak : first, to = t <= back ? first : last;
    start = t <= back ? up : back, end = t <= back ? back : total - 1;
  }
  const double share = end > start ? peri_smaller((t - start) / (end - start), 1) : 1;
  if (o[ONE_ANNEAL] != 0) return from + (to - from) * share;
  return to + (from - to) / 2 * (1 + peri_cos(PI * share));
}

static double one_cycle_rate(double base, double t, const double *o) {
  const double first = o[ONE_MAX] / o[ONE_DIV];
  (void)base;
  return one_cycle(t, o, first, o[ONE_MAX], first / o[ONE_FINAL]);
}

static double one_cycle_momentum(double t, const double *o) {
  return o[ONE_MOMENTUM] == 0 ? NAN : one_cycle(t, o, o[ONE_HIGH], o[ONE_LOW], o[ONE_HIGH]);
}

static const peri_schedule_kind OneCycleLR = {
    .name = "OneCycleLR",
    .options = OPTIONS(
        BY_GROUP("max_lr", NAN, DBL_MAX, "largest rate"),
        COUNT("total_steps", 0, 0, "steps of the whole; 0: epochs * steps_per_epoch"),
        COUNT("epochs", 0, 0, "of the whole"), COUNT("steps_per_epoch", 0, 0, "mini-batches"),
        {"pct_start", PERI_OPTION_NUMBER, 0.3, 0, 1, NULL, "share of the steps in which the rate rises"},
        {"anneal_strategy", PERI_OPTION_CHOICE, 0, 0, 0, "cos linear", "the form of rise and fall"}, CYCLE_MOMENTUM,
        BY_GROUP("base_momentum", 0.85, BELOW_ONE, "momentum at the largest rate"),
        BY_GROUP("max_momentum", 0.95, BELOW_ONE, "momentum at the smallest rates"),
        {"div_factor", PERI_OPTION_NUMBER, 25, DBL_MIN, DBL_MAX, NULL, "the first rate is max_lr by this"},
        {"final_div_factor", PERI_OPTION_NUMBER, 1e4, DBL_MIN, DBL_MAX, NULL, "the last rate is the first by this"},
        {"three_phase", PERI_OPTION_BOOL, 0, 0, 0, NULL, "back to the first rate, then down to the last"}),
    .check = one_cycle_check,
    .rate = one_cycle_rate,
    .momentum = one_cycle_momentum,
    .doc = "OneCycleLR(optimizer, {max_lr =, total_steps =, epochs =, steps_per_epoch =, pct_start = 0.3, "
           "anneal_strategy = 'cos', cycle_momentum = true, base_momentum = 0.85, max_momentum = 0.95, div_factor = "
           "25, final_div_factor = 1e4, three_phase = false}) -> schedule\n"
           "The rate rises once, to max_lr, and then falls to almost nothing, where it stays; the momentum goes the "
           "other way (Smith and Topin 2018). Steps are those of mini-batches: total_steps, or epochs times "
           "steps_per_epoch. Rates and momenta may be lists with one for each group. The momentum is the option of "
           "that name, or the first of betas.\n"
           "Errors: cycle_momentum and an optimizer without momentum."};

/* ---- of functions and of other schedules: the binding evaluates them ---- */

static const peri_schedule_kind LambdaLR = {
    .name = "LambdaLR",
    .options = OPTIONS({NULL}),
    .form = PERI_SCHEDULE_FACTOR,
    .takes = "lr_lambda",
    .doc =
        "LambdaLR(optimizer, {lr_lambda = function(epoch) return factor end}) -> schedule\n"
        "The rate times what the function gives for the epoch; a list has a function for each group. When it raises, "
        "or gives no number from 0, nothing changes."};

static const peri_schedule_kind MultiplicativeLR = {
    .name = "MultiplicativeLR",
    .options = OPTIONS({NULL}),
    .form = PERI_SCHEDULE_PRODUCT,
    .takes = "lr_lambda",
    .doc =
        "MultiplicativeLR(optimizer, {lr_lambda = function(epoch) return factor end}) -> schedule\n"
        "The rate times what the function gives for epoch 1, times that for epoch 2, and so on; a list has a function "
        "for each group. When it raises, or gives no number from 0, nothing changes."};

static const peri_schedule_kind SequentialLR = {
    .name = "SequentialLR",
    .options = OPTIONS({"milestones", PERI_OPTION_INTEGER, NAN, 1, 9007199254740992.0, NULL,
                        "epochs at which the next schedule begins, ascending", LIST, .open = true}),
    .form = PERI_SCHEDULE_SEQUENCE,
    .takes = "schedulers",
    .doc =
        "SequentialLR(optimizer, {schedulers = {a, b}, milestones = {10}}) -> schedule\n"
        "Schedules one after the other: from each milestone on the next, which counts its epochs from there. They "
        "are made on the same optimizer and stepped by this one alone; all begin with the rate that there was before "
        "the first of them. A warm-up is {LinearLR, then another}.\n"
        "Errors: a schedule of another optimizer, or one that takes a metric; another number of milestones than of "
        "schedules less one."};

static const peri_schedule_kind ChainedScheduler = {
    .name = "ChainedScheduler",
    .options = OPTIONS({NULL}),
    .form = PERI_SCHEDULE_CHAIN,
    .takes = "schedulers",
    .doc = "ChainedScheduler(optimizer, {schedulers = {a, b}}) -> schedule\n"
           "Schedules at once: each begins with the rate that the one before it gives for the epoch, so that factors "
           "multiply. They are made on the same optimizer and stepped by this one alone.\n"
           "Errors: a schedule of another optimizer, or one that takes a metric."};

/* ---- ReduceLROnPlateau ---- */
enum {
  PLATEAU_MODE,
  PLATEAU_FACTOR,
  PLATEAU_PATIENCE,
  PLATEAU_THRESHOLD,
  PLATEAU_THRESHOLD_MODE,
  PLATEAU_COOLDOWN,
  PLATEAU_MIN,
  PLATEAU_EPS = PLATEAU_MIN + LIST
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
  const bool falls = v[PERI_SCHEDULE_bad] > o[PLATEAU_PATIENCE];
  for (int64_t g = 0; g < s->groups_n; g++) {
    const double *least = &o[PLATEAU_MIN], now = s->optimizer->groups[g].options[0];
    const double next = peri_larger(now * o[PLATEAU_FACTOR], isnan(least[1]) ? least[0] : least[g]);
    s->groups[g].next = falls && now - next > o[PLATEAU_EPS] ? next : now;
  }
  if (!falls) return;
  v[PERI_SCHEDULE_waiting] = o[PLATEAU_COOLDOWN];
  v[PERI_SCHEDULE_bad] = 0;
}

static const peri_schedule_kind ReduceLROnPlateau = {
    .name = "ReduceLROnPlateau",
    .options =
        OPTIONS({"mode", PERI_OPTION_CHOICE, 0, 0, 0, "min max", "whether the metric is to fall or to rise"},
                {"factor", PERI_OPTION_NUMBER, 0.1, 0, 0x1.fffffffffffffp-1, NULL, "factor of each fall"},
                COUNT("patience", 10, 0, "epochs without improvement that are borne"),
                FACTOR("threshold", 1e-4, "what counts as improvement"),
                {"threshold_mode", PERI_OPTION_CHOICE, 0, 0, 0, "rel abs",
                 "threshold times the size of the best metric, or by itself"},
                COUNT("cooldown", 0, 0, "epochs after a fall in which nothing is counted"),
                BY_GROUP("min_lr", 0, DBL_MAX, "the smallest rate"), FACTOR("eps", 1e-8, "smaller falls are left out")),
    .form = PERI_SCHEDULE_OBSERVER,
    .observe = plateau_observe,
    .doc =
        "ReduceLROnPlateau(optimizer, {mode = 'min', factor = 0.1, patience = 10, threshold = 1e-4, "
        "threshold_mode = 'rel', cooldown = 0, min_lr = 0, eps = 1e-8}) -> schedule\n"
        "step(metric): the rate times factor when the metric has not improved for more than patience epochs. A "
        "relative threshold is times the size of the best metric, also where that is negative. min_lr may be a list with "
        "one for each group."};

const peri_schedule_kind *const peri_schedule_kinds[] = {&StepLR,
                                                         &MultiStepLR,
                                                         &ExponentialLR,
                                                         &InverseTimeLR,
                                                         &PolynomialLR,
                                                         &CosineAnnealingLR,
                                                         &CosineAnnealingWarmRestarts,
                                                         &ConstantLR,
                                                         &LinearLR,
                                                         &CyclicLR,
                                                         &OneCycleLR,
                                                         &LambdaLR,
                                                         &MultiplicativeLR,
                                                         &SequentialLR,
                                                         &ChainedScheduler,
                                                         &ReduceLROnPlateau,
                                                         NULL};
