/* The table of optimisers: their options, and what step t needs to know. In the formulas g is the gradient (with
 * maximize the negative one) and d = g + weight_decay p. */
#include "optim/optim.h"

#include "kernels/scalar.h"

#include <float.h>
#include <math.h>

#define BELOW_ONE    0x1.fffffffffffffp-1 /* the largest number below 1 */
#define OPTIONS(...) ((const peri_option[]){__VA_ARGS__, {NULL}})
#define RATE(initial)                                                                                                  \
  { "lr", PERI_OPTION_NUMBER, initial, 0, DBL_MAX, NULL, "learning rate" }
#define DECAY(initial)                                                                                                 \
  { "weight_decay", PERI_OPTION_NUMBER, initial, 0, DBL_MAX, NULL, "factor of the L2 penalty's gradient" }
#define SHRINKING(initial)                                                                                             \
  { "weight_decay", PERI_OPTION_NUMBER, initial, 0, DBL_MAX, NULL, "how fast the parameters themselves shrink" }
#define EPS(initial)                                                                                                   \
  { "eps", PERI_OPTION_NUMBER, initial, 0, DBL_MAX, NULL, "added to the denominator" }
#define BETAS(values)                                                                                                  \
  {                                                                                                                    \
    "betas", PERI_OPTION_NUMBER, 0, 0, BELOW_ONE, NULL, "decay of the means of gradients and of squared ones", 2,      \
        .defaults = values                                                                                             \
  }
#define MAXIMIZE                                                                                                       \
  { "maximize", PERI_OPTION_BOOL, 0, 0, 0, NULL, "go up the gradient, not down" }
#define MOMENTUM                                                                                                       \
  { "momentum", PERI_OPTION_NUMBER, 0, 0, DBL_MAX, NULL, "how much of the last direction is kept" }

static const double usual_betas[] = {0.9, 0.999};

static double sign_of(double maximize) { return maximize != 0 ? -1 : 1; }

/* ---- SGD ----
 * b_1 = d, b_t = momentum b_{t-1} + (1 - dampening) d; p -= lr b, or with Nesterov's form p -= lr (d + momentum b).
 * I. Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013, in PyTorch's
 * variables. */
enum { SGD_LR, SGD_MOMENTUM, SGD_DAMPENING, SGD_DECAY, SGD_NESTEROV, SGD_MAXIMIZE };

static bool sgd_uses(const double *o, int buffer) {
  (void)buffer;
  return o[SGD_MOMENTUM] != 0;
}

static const char *sgd_check(const double *o) {
  if (o[SGD_NESTEROV] == 0 || (o[SGD_MOMENTUM] > 0 && o[SGD_DAMPENING] == 0)) return NULL;
  return "nesterov needs momentum above 0 and dampening 0";
}

static peri_update_id sgd_prepare(const double *o, int64_t t, double *number, double c[PERI_UPDATE_COEFFICIENTS]) {
  (void)number;
  c[0] = o[SGD_LR];
  c[1] = o[SGD_DECAY];
  c[4] = sign_of(o[SGD_MAXIMIZE]);
  if (o[SGD_MOMENTUM] == 0) return PERI_UPDATE_sgd;
  c[2] = o[SGD_MOMENTUM];
  c[3] = 1 - o[SGD_DAMPENING];
  if (o[SGD_NESTEROV] != 0) return t == 1 ? PERI_UPDATE_first_nesterov : PERI_UPDATE_nesterov;
  return t == 1 ? PERI_UPDATE_first_momentum : PERI_UPDATE_momentum;
}

static const peri_optimizer_kind SGD = {
    .name = "SGD",
    .options =
        OPTIONS(RATE(0.001), MOMENTUM,
                {"dampening", PERI_OPTION_NUMBER, 0, -DBL_MAX, DBL_MAX, NULL, "how much less of the gradient is taken"},
                DECAY(0), {"nesterov", PERI_OPTION_BOOL, 0, 0, 0, NULL, "Nesterov's momentum"}, MAXIMIZE),
    .buffers = {"momentum_buffer"},
    .uses = sgd_uses,
    .check = sgd_check,
    .prepare = sgd_prepare,
    .doc = "SGD(parameters, {lr = 0.001, momentum = 0, dampening = 0, weight_decay = 0, nesterov = false, maximize = "
           "false}) -> optimizer\n"
           "Stochastic gradient descent: p = p - lr (g + weight_decay p), with momentum if asked (Sutskever et al. "
           "2013; PyTorch's form)."};

/* ---- Adam and AdamW ----
 * m_t = beta1 m_{t-1} + (1 - beta1) d, v_t = beta2 v_{t-1} + (1 - beta2) d^2,
 * p -= lr m_t / (1 - beta1^t) / (sqrt(v_t / (1 - beta2^t)) + eps). D. Kingma, J. Ba, "Adam: a method for
 * stochastic optimization", 2015; AMSGrad: S. Reddi, S. Kale, S. Kumar, 2018. AdamW takes weight decay
 * out of d and shrinks p by 1 - lr weight_decay: I. Loshchilov, F. Hutter, 2019. */
enum { ADAM_LR, ADAM_BETA1, ADAM_BETA2, ADAM_EPS, ADAM_DECAY, ADAM_AMSGRAD, ADAM_MAXIMIZE };

static bool adam_uses(const double *o, int buffer) { return buffer < 2 || o[ADAM_AMSGRAD] != 0; }

static peri_update_id adam_prepare(const double *o, int64_t t, double *number, double c[PERI_UPDATE_COEFFICIENTS]) {
  (void)number;
  c[0] = o[ADAM_LR] / (1 - peri_pow(o[ADAM_BETA1], (double)t));
  c[1] = o[ADAM_DECAY];
  c[2] = 1;
  c[3] = o[ADAM_BETA1];
  c[4] = o[ADAM_BETA2];
  c[5] = o[ADAM_EPS];
  c[6] = sqrt(1 - peri_pow(o[ADAM_BETA2], (double)t));
  c[7] = sign_of(o[ADAM_MAXIMIZE]);
  return o[ADAM_AMSGRAD] != 0 ? PERI_UPDATE_amsgrad : PERI_UPDATE_adam;
}

static peri_update_id adamw_prepare(const double *o, int64_t t, double *number, double c[PERI_UPDATE_COEFFICIENTS]) {
  peri_update_id id = adam_prepare(o, t, number, c);
  c[1] = 0;
  c[2] = 1 - o[ADAM_LR] * o[ADAM_DECAY];
  return id;
}

#define AMSGRAD                                                                                                        \
  { "amsgrad", PERI_OPTION_BOOL, 0, 0, 0, NULL, "divide by the largest mean of squares so far" }
#define ADAM_BUFFERS                                                                                                   \
  { "exp_avg", "exp_avg_sq", "max_exp_avg_sq" }

static const peri_optimizer_kind Adam = {
    .name = "Adam",
    .options = OPTIONS(RATE(0.001), BETAS(usual_betas), EPS(1e-8), DECAY(0), AMSGRAD, MAXIMIZE),
    .buffers = ADAM_BUFFERS,
    .uses = adam_uses,
    .prepare = adam_prepare,
    .doc = "Adam(parameters, {lr = 0.001, betas = {0.9, 0.999}, eps = 1e-8, weight_decay = 0, amsgrad = false, "
           "maximize = false}) -> optimizer\n"
           "Steps scaled by running means of gradients and of their squares (Kingma and Ba 2015). With eps = 0 there "
           "is no step where no gradient has arrived."};
static const peri_optimizer_kind AdamW = {
    .name = "AdamW",
    .options = OPTIONS(RATE(0.001), BETAS(usual_betas), EPS(1e-8), SHRINKING(0.01), AMSGRAD, MAXIMIZE),
    .buffers = ADAM_BUFFERS,
    .uses = adam_uses,
    .prepare = adamw_prepare,
    .doc = "AdamW(parameters, {lr = 0.001, betas = {0.9, 0.999}, eps = 1e-8, weight_decay = 0.01, amsgrad = false, "
           "maximize = false}) -> optimizer\n"
           "Adam whose weight decay shrinks the parameters themselves (Loshchilov and Hutter 2019). With eps = 0 "
           "there is no step where no gradient has arrived."};

/* ---- Adamax ----
 * m as in Adam, u = max(beta2 u, |d| + eps), p -= lr m / (1 - beta1^t) / u. Kingma and Ba 2015, section 7.1. */
enum { MAX_LR, MAX_BETA1, MAX_BETA2, MAX_EPS, MAX_DECAY, MAX_MAXIMIZE };

static peri_update_id adamax_prepare(const double *o, int64_t t, double *number, double c[PERI_UPDATE_COEFFICIENTS]) {
  (void)number;
  c[0] = o[MAX_LR] / (1 - peri_pow(o[MAX_BETA1], (double)t));
  c[1] = o[MAX_DECAY];
  c[2] = o[MAX_BETA1];
  c[3] = o[MAX_BETA2];
  c[4] = o[MAX_EPS];
  c[5] = sign_of(o[MAX_MAXIMIZE]);
  return PERI_UPDATE_adamax;
}

static const peri_optimizer_kind Adamax = {
    .name = "Adamax",
    .options = OPTIONS(RATE(0.002), BETAS(usual_betas), EPS(1e-8), DECAY(0), MAXIMIZE),
    .buffers = {"exp_avg", "exp_inf"},
    .prepare = adamax_prepare,
    .doc = "Adamax(parameters, {lr = 0.002, betas = {0.9, 0.999}, eps = 1e-8, weight_decay = 0, maximize = false}) -> "
           "optimizer\n"
           "Adam with the largest recent gradient in place of the mean of squares (Kingma and Ba 2015). With eps = 0 "
           "there is no step where no gradient has arrived."};

/* ---- NAdam ----
 * m, v as in Adam; mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2), M_t = mu_1 .. mu_t;
 * p -= lr ((1 - mu_t) d / (1 - M_t) + mu_{t+1} m / (1 - M_t mu_{t+1})) / (sqrt(v / (1 - beta2^t)) + eps).
 * T. Dozat, "Incorporating Nesterov momentum into Adam", 2016. The number of a parameter is M_t. */
enum { NADAM_LR, NADAM_BETA1, NADAM_BETA2, NADAM_EPS, NADAM_DECAY, NADAM_MOMENTUM_DECAY, NADAM_MAXIMIZE };

static double nadam_mu(const double *o, int64_t t) {
  return o[NADAM_BETA1] * (1 - 0.5 * peri_pow(0.96, (double)t * o[NADAM_MOMENTUM_DECAY]));
}

static peri_update_id nadam_prepare(const double *o, int64_t t, double *number, double c[PERI_UPDATE_COEFFICIENTS]) {
  const double mu = nadam_mu(o, t), next = nadam_mu(o, t + 1);
  *number = t == 1 ? mu : *number * mu;
  c[0] = o[NADAM_LR] * (1 - mu) / (1 - *number);
  c[1] = o[NADAM_DECAY];
  c[2] = o[NADAM_LR] * next / (1 - *number * next);
  c[3] = o[NADAM_BETA1];
  c[4] = o[NADAM_BETA2];
  c[5] = o[NADAM_EPS];
  c[6] = sqrt(1 - peri_pow(o[NADAM_BETA2], (double)t));
  c[7] = sign_of(o[NADAM_MAXIMIZE]);
  return PERI_UPDATE_nadam;
}

static const peri_optimizer_kind NAdam = {
    .name = "NAdam",
    .options = OPTIONS(
        RATE(0.002), BETAS(usual_betas), EPS(1e-8), DECAY(0),
        {"momentum_decay", PERI_OPTION_NUMBER, 0.004, 0, DBL_MAX, NULL, "how fast the momentum comes to its full size"},
        MAXIMIZE),
    .buffers = {"exp_avg", "exp_avg_sq"},
    .number = "mu_product",
    .prepare = nadam_prepare,
    .doc = "NAdam(parameters, {lr = 0.002, betas = {0.9, 0.999}, eps = 1e-8, weight_decay = 0, momentum_decay = "
           "0.004, maximize = false}) -> optimizer\n"
           "Adam with Nesterov's momentum (Dozat 2016). With eps = 0 there is no step where no gradient has arrived."};

/* ---- RAdam ----
 * m, v as in Adam; rho = 2 / (1 - beta2) - 1, rho_t = rho - 2 t beta2^t / (1 - beta2^t). Where rho_t > 5,
 * r = sqrt((rho_t - 4) (rho_t - 2) rho / ((rho - 4) (rho - 2) rho_t)),
 * p -= lr r m / (1 - beta1^t) sqrt(1 - beta2^t) / (sqrt(v) + eps), elsewhere p -= lr m / (1 - beta1^t).
 * L. Liu et al., "On the variance of the adaptive learning rate and beyond", 2020. */
enum { RADAM_LR, RADAM_BETA1, RADAM_BETA2, RADAM_EPS, RADAM_DECAY, RADAM_MAXIMIZE };

static peri_update_id radam_prepare(const double *o, int64_t t, double *number, double c[PERI_UPDATE_COEFFICIENTS]) {
  (void)number;
  const double beta2 = o[RADAM_BETA2], power = peri_pow(beta2, (double)t), rest = 1 - power;
  const double rho = 2 / (1 - beta2) - 1, now = rho - 2 * (double)t * power / rest;
  c[0] = o[RADAM_LR] / (1 - peri_pow(o[RADAM_BETA1], (double)t));
  c[1] = o[RADAM_DECAY];
  c[2] = o[RADAM_BETA1];
  c[3] = beta2;
  c[4] = o[RADAM_EPS];
  c[5] = sign_of(o[RADAM_MAXIMIZE]);
  if (!(now > 5)) return PERI_UPDATE_plain_radam;
  c[0] *= sqrt(rest) * sqrt((now - 4) * (now - 2) * rho / ((rho - 4) * (rho - 2) * now));
  return PERI_UPDATE_radam;
}

static const peri_optimizer_kind RAdam = {
    .name = "RAdam",
    .options = OPTIONS(RATE(0.001), BETAS(usual_betas), EPS(1e-8), DECAY(0), MAXIMIZE),
    .buffers = {"exp_avg", "exp_avg_sq"},
    .prepare = radam_prepare,
    .doc = "RAdam(parameters, {lr = 0.001, betas = {0.9, 0.999}, eps = 1e-8, weight_decay = 0, maximize = false}) -> "
           "optimizer\n"
           "Adam that begins with momentum alone, until the mean of squares can be relied on (Liu et al. 2020). With "
           "eps = 0 there is no step where no gradient has arrived."};

/* ---- Adadelta ----
 * v = rho v + (1 - rho) d^2, x = sqrt(a + eps) / sqrt(v + eps) d, a = rho a + (1 - rho) x^2, p -= lr x.
 * M. Zeiler, "ADADELTA: an adaptive learning rate method", 2012. */
enum { DELTA_LR, DELTA_RHO, DELTA_EPS, DELTA_DECAY, DELTA_MAXIMIZE };

static peri_update_id adadelta_prepare(const double *o, int64_t t, double *number, double c[PERI_UPDATE_COEFFICIENTS]) {
  (void)t;
  (void)number;
  c[0] = o[DELTA_LR];
  c[1] = o[DELTA_DECAY];
  c[2] = o[DELTA_RHO];
  c[3] = o[DELTA_EPS];
  c[4] = sign_of(o[DELTA_MAXIMIZE]);
  return PERI_UPDATE_adadelta;
}

static const peri_optimizer_kind Adadelta = {
    .name = "Adadelta",
    .options =
        OPTIONS(RATE(1), {"rho", PERI_OPTION_NUMBER, 0.9, 0, 1, NULL, "decay of the means of squares"},
                {"eps", PERI_OPTION_NUMBER, 1e-6, 0, DBL_MAX, NULL, "added under both roots"}, DECAY(0), MAXIMIZE),
    .buffers = {"square_avg", "acc_delta"},
    .prepare = adadelta_prepare,
    .doc = "Adadelta(parameters, {lr = 1, rho = 0.9, eps = 1e-6, weight_decay = 0, maximize = false}) -> optimizer\n"
           "Steps as long as the last ones were, by the root of a running mean of their squares over that of the "
           "gradients (Zeiler 2012). With eps = 0 there is no step at all."};

/* ---- RMSprop ----
 * v = alpha v + (1 - alpha) d^2, p -= lr d / (sqrt(v) + eps). T. Tieleman, G. Hinton, lecture 6.5 of
 * "Neural networks for machine learning", 2012; centred: A. Graves, 2013. */
enum { RMS_LR, RMS_ALPHA, RMS_EPS, RMS_DECAY, RMS_MOMENTUM, RMS_CENTERED, RMS_MAXIMIZE };

static bool rmsprop_uses(const double *o, int buffer) {
  return buffer == 0 || (buffer == 1 ? o[RMS_CENTERED] != 0 : o[RMS_MOMENTUM] != 0);
}

static peri_update_id rmsprop_prepare(const double *o, int64_t t, double *number, double c[PERI_UPDATE_COEFFICIENTS]) {
  (void)t;
  (void)number;
  c[0] = o[RMS_LR];
  c[1] = o[RMS_DECAY];
  c[2] = o[RMS_ALPHA];
  c[3] = o[RMS_EPS];
  c[4] = o[RMS_MOMENTUM];
  c[5] = sign_of(o[RMS_MAXIMIZE]);
  c[6] = o[RMS_CENTERED];
  c[7] = o[RMS_MOMENTUM] != 0;
  return PERI_UPDATE_rmsprop;
}

static const peri_optimizer_kind RMSprop = {
    .name = "RMSprop",
    .options = OPTIONS(
        RATE(0.01), {"alpha", PERI_OPTION_NUMBER, 0.99, 0, 1, NULL, "decay of the mean of squared gradients"},
        EPS(1e-8), DECAY(0), MOMENTUM,
        {"centered", PERI_OPTION_BOOL, 0, 0, 0, NULL, "divide by the deviation about the mean gradient"}, MAXIMIZE),
    .buffers = {"square_avg", "grad_avg", "momentum_buffer"},
    .uses = rmsprop_uses,
    .prepare = rmsprop_prepare,
    .doc = "RMSprop(parameters, {lr = 0.01, alpha = 0.99, eps = 1e-8, weight_decay = 0, momentum = 0, centered = "
           "false, maximize = false}) -> optimizer\n"
           "Steps divided by the root of a running mean of squared gradients (Tieleman and Hinton 2012). With eps = "
           "0 there is no step where no gradient has arrived."};

/* ---- Adagrad ----
 * s_0 = initial_accumulator_value, s += d^2, p -= lr / (1 + (t - 1) lr_decay) d / (sqrt(s) + eps). J. Duchi, E. Hazan,
 * Y. Singer, 2011. */
enum { ADA_LR, ADA_LR_DECAY, ADA_DECAY, ADA_INITIAL, ADA_EPS, ADA_MAXIMIZE };

static peri_update_id adagrad_prepare(const double *o, int64_t t, double *number, double c[PERI_UPDATE_COEFFICIENTS]) {
  (void)number;
  c[0] = o[ADA_LR] / (1 + (double)(t - 1) * o[ADA_LR_DECAY]);
  c[1] = o[ADA_DECAY];
  c[2] = o[ADA_EPS];
  c[3] = t == 1 ? o[ADA_INITIAL] : 0;
  c[4] = sign_of(o[ADA_MAXIMIZE]);
  return PERI_UPDATE_adagrad;
}

static const peri_optimizer_kind Adagrad = {
    .name = "Adagrad",
    .options = OPTIONS(
        RATE(0.01), {"lr_decay", PERI_OPTION_NUMBER, 0, 0, DBL_MAX, NULL, "how fast the rate falls with the steps"},
        DECAY(0),
        {"initial_accumulator_value", PERI_OPTION_NUMBER, 0, 0, DBL_MAX, NULL, "what the sum of squares begins with"},
        EPS(1e-10), MAXIMIZE),
    .buffers = {"sum"},
    .prepare = adagrad_prepare,
    .doc = "Adagrad(parameters, {lr = 0.01, lr_decay = 0, weight_decay = 0, initial_accumulator_value = 0, eps = "
           "1e-10, maximize = false}) -> optimizer\n"
           "Steps divided by the root of the sum of all squared gradients (Duchi, Hazan and Singer 2011). With eps = "
           "0 there is no step where no gradient has arrived."};

/* ---- ASGD ----
 * p = (1 - lambd e_t) p - e_t d, e_1 = lr, e_{t+1} = lr / (1 + lambd lr t)^alpha; the average: a += (p - a) / max(1, t
 * - 1 - t0). B. Polyak, A. Juditsky, "Acceleration of stochastic approximation by averaging", 1992. The number of a
 * parameter is e_{t+1}. */
enum { ASGD_LR, ASGD_LAMBD, ASGD_ALPHA, ASGD_T0, ASGD_DECAY, ASGD_MAXIMIZE };

static peri_update_id asgd_prepare(const double *o, int64_t t, double *number, double c[PERI_UPDATE_COEFFICIENTS]) {
  const double eta = t == 1 ? o[ASGD_LR] : *number;
  *number = o[ASGD_LR] / peri_pow(1 + o[ASGD_LAMBD] * o[ASGD_LR] * (double)t, o[ASGD_ALPHA]);
  c[0] = eta;
  c[1] = o[ASGD_DECAY];
  c[2] = 1 - o[ASGD_LAMBD] * eta;
  c[3] = 1 / peri_larger(1, (double)(t - 1) - o[ASGD_T0]);
  c[4] = sign_of(o[ASGD_MAXIMIZE]);
  return c[3] == 1 ? PERI_UPDATE_first_asgd : PERI_UPDATE_asgd;
}

static const peri_optimizer_kind ASGD = {
    .name = "ASGD",
    .options = OPTIONS(RATE(0.01), {"lambd", PERI_OPTION_NUMBER, 1e-4, 0, DBL_MAX, NULL, "decay of the parameters"},
                       {"alpha", PERI_OPTION_NUMBER, 0.75, 0, DBL_MAX, NULL, "how fast the rate falls with the steps"},
                       {"t0", PERI_OPTION_NUMBER, 1e6, 0, DBL_MAX, NULL, "the step after which the average begins"},
                       DECAY(0), MAXIMIZE),
    .buffers = {"ax"},
    .number = "eta",
    .prepare = asgd_prepare,
    .doc = "ASGD(parameters, {lr = 0.01, lambd = 1e-4, alpha = 0.75, t0 = 1e6, weight_decay = 0, maximize = false}) -> "
           "optimizer\n"
           "Stochastic gradient descent whose rate falls, and the average of the parameters after step t0 (Polyak and "
           "Juditsky 1992): opt:state(p).ax."};

/* ---- Rprop ----
 * Each value has a step of its own, lr at first: times etas[2] while its gradient keeps its sign, times etas[1] when it
 * turns, and then no step is made; p -= step sign(g). M. Riedmiller, H. Braun, "A direct adaptive method for faster
 * backpropagation learning", 1993. */
enum { RPROP_LR, RPROP_MINUS, RPROP_PLUS, RPROP_LEAST, RPROP_MOST, RPROP_MAXIMIZE };

static const char *rprop_check(const double *o) {
  if (!(o[RPROP_MINUS] > 0 && o[RPROP_MINUS] < 1 && o[RPROP_PLUS] > 1))
    return "etas must be a number between 0 and 1, and one above 1";
  return o[RPROP_LEAST] <= o[RPROP_MOST] ? NULL : "step_sizes must be the smallest, then the largest";
}

static peri_update_id rprop_prepare(const double *o, int64_t t, double *number, double c[PERI_UPDATE_COEFFICIENTS]) {
  (void)number;
  for (int i = RPROP_LR; i <= RPROP_MOST; i++) c[i] = o[i];
  c[5] = sign_of(o[RPROP_MAXIMIZE]);
  c[6] = t == 1;
  return PERI_UPDATE_rprop;
}

static const double rprop_etas[] = {0.5, 1.2}, rprop_sizes[] = {1e-6, 50};
static const peri_optimizer_kind Rprop = {
    .name = "Rprop",
    .options = OPTIONS({"lr", PERI_OPTION_NUMBER, 0.01, 0, DBL_MAX, NULL, "the first step of each value"},
                       {"etas", PERI_OPTION_NUMBER, 0, DBL_MIN, DBL_MAX, NULL, "factors of a step: after a turn, else",
                        2, .defaults = rprop_etas},
                       {"step_sizes", PERI_OPTION_NUMBER, 0, 0, DBL_MAX, NULL, "smallest and largest step", 2,
                        .defaults = rprop_sizes},
                       MAXIMIZE),
    .buffers = {"prev", "step_size"},
    .check = rprop_check,
    .prepare = rprop_prepare,
    .doc = "Rprop(parameters, {lr = 0.01, etas = {0.5, 1.2}, step_sizes = {1e-6, 50}, maximize = false}) -> "
           "optimizer\n"
           "Steps by the signs of gradients alone, longer while the sign stays (Riedmiller and Braun 1993): for "
           "gradients of all examples, not of mini-batches. lr is the first step; a schedule changes nothing later."};

/* ---- Lion ----
 * p = (1 - lr weight_decay) p - lr sign(beta1 m + (1 - beta1) g), m = beta2 m + (1 - beta2) g. X. Chen et al.,
 * "Symbolic discovery of optimization algorithms", 2023. */
enum { LION_LR, LION_BETA1, LION_BETA2, LION_DECAY, LION_MAXIMIZE };

static peri_update_id lion_prepare(const double *o, int64_t t, double *number, double c[PERI_UPDATE_COEFFICIENTS]) {
  (void)t;
  (void)number;
  c[0] = o[LION_LR];
  c[1] = 1 - o[LION_LR] * o[LION_DECAY];
  c[2] = o[LION_BETA1];
  c[3] = o[LION_BETA2];
  c[4] = sign_of(o[LION_MAXIMIZE]);
  return PERI_UPDATE_lion;
}

static const double lion_betas[] = {0.9, 0.99};
static const peri_optimizer_kind Lion = {
    .name = "Lion",
    .options = OPTIONS(RATE(1e-4),
                       {"betas", PERI_OPTION_NUMBER, 0, 0, BELOW_ONE, NULL,
                        "share of the mean of gradients in the step, and its decay", 2, .defaults = lion_betas},
                       SHRINKING(0), MAXIMIZE),
    .buffers = {"exp_avg"},
    .prepare = lion_prepare,
    .doc = "Lion(parameters, {lr = 1e-4, betas = {0.9, 0.99}, weight_decay = 0, maximize = false}) -> optimizer\n"
           "Steps by the sign of a running mean of gradients (Chen et al. 2023), each value by lr. weight_decay "
           "shrinks the parameters themselves, as in AdamW."};

/* ---- LBFGS ----
 * The step is written in Lua (bindings/lua/optim/lbfgs.lua), over operations on all parameters as one vector. */
static const peri_optimizer_kind LBFGS = {
    .name = "LBFGS",
    .options = OPTIONS(
        RATE(1), {"max_iter", PERI_OPTION_INTEGER, 20, 1, 0x1p53, NULL, "iterations of a step"},
        {"max_eval", PERI_OPTION_INTEGER, 0, 0, 0x1p53, NULL, "calls of the closure in a step; 0: max_iter * 5 // 4"},
        {"tolerance_grad", PERI_OPTION_NUMBER, 1e-7, 0, DBL_MAX, NULL, "a step ends when no gradient is larger"},
        {"tolerance_change", PERI_OPTION_NUMBER, 1e-9, 0, DBL_MAX, NULL, "and when loss or parameters change by less"},
        {"history_size", PERI_OPTION_INTEGER, 100, 1, 0x1p53, NULL, "changes that are remembered"},
        {"line_search_fn", PERI_OPTION_CHOICE, 0, 0, 0, "none strong_wolfe",
         "how the length of an iteration is found; none: it is lr"},
        MAXIMIZE),
    .closure = true,
    .doc =
        "LBFGS(parameters, {lr = 1, max_iter = 20, max_eval = 0, tolerance_grad = 1e-7, tolerance_change = 1e-9, "
        "history_size = 100, line_search_fn = 'none', maximize = false}) -> optimizer\n"
        "A quasi-Newton method for gradients of all examples (Liu and Nocedal 1989). step(closure) makes up to max_iter "
        "iterations and calls the closure for each, which sets gradients to zero, computes the loss, calls backward and "
        "gives the loss; line_search_fn = 'strong_wolfe' finds the length of each. It keeps 2 history_size + 2 times "
        "as many numbers as there are parameters.\n"
        "Errors: more than one group; what the closure raises, or a loss that is no number: then parameters and state "
        "are as before the step."};

const peri_optimizer_kind *const peri_optimizer_kinds[] = {
    &SGD, &Adam, &AdamW, &Adamax, &NAdam, &RAdam, &Adadelta, &RMSprop, &Adagrad, &ASGD, &Rprop, &Lion, &LBFGS, NULL};
