/* The table of optimisers: their options, and what step t needs to know. */
#include "optim/optim.h"

#include "kernels/scalar.h"

#include <float.h>
#include <math.h>

#define BELOW_ONE 0x1.fffffffffffffp-1 /* the largest number below 1 */
#define RATE(initial)                                                                                                  \
  { "lr", PERI_OPTION_NUMBER, initial, 0, DBL_MAX, NULL, "learning rate" }
#define DECAY(initial)                                                                                                 \
  { "weight_decay", PERI_OPTION_NUMBER, initial, 0, DBL_MAX, NULL, "factor of the L2 penalty's gradient" }
#define EPS(initial)                                                                                                   \
  { "eps", PERI_OPTION_NUMBER, initial, 0, DBL_MAX, NULL, "added to the denominator" }
#define BETAS                                                                                                          \
  {"beta1", PERI_OPTION_NUMBER, 0.9, 0, BELOW_ONE, NULL, "decay of the mean of gradients"}, {                          \
    "beta2", PERI_OPTION_NUMBER, 0.999, 0, BELOW_ONE, NULL, "decay of the mean of squared gradients"                   \
  }

/* ---- SGD ----
 * d = g + weight_decay p; b_1 = d, b_t = momentum b_{t-1} + (1 - dampening) d; p -= lr b, or with
 * Nesterov's form p -= lr (d + momentum b). I. Sutskever et al., "On the importance of initialization
 * and momentum in deep learning", 2013, in PyTorch's variables. */
enum { SGD_LR, SGD_MOMENTUM, SGD_DAMPENING, SGD_DECAY, SGD_NESTEROV };

static bool sgd_uses(const double *o, int buffer) {
  (void)buffer;
  return o[SGD_MOMENTUM] != 0;
}

static const char *sgd_check(const double *o) {
  if (o[SGD_NESTEROV] == 0 || (o[SGD_MOMENTUM] > 0 && o[SGD_DAMPENING] == 0)) return NULL;
  return "nesterov needs momentum above 0 and dampening 0";
}

static peri_update_id sgd_prepare(const double *o, int64_t t, double c[PERI_UPDATE_COEFFICIENTS]) {
  c[0] = o[SGD_LR];
  c[1] = o[SGD_DECAY];
  if (o[SGD_MOMENTUM] == 0) return PERI_UPDATE_sgd;
  c[2] = o[SGD_MOMENTUM];
  c[3] = 1 - o[SGD_DAMPENING];
  if (o[SGD_NESTEROV] != 0) return t == 1 ? PERI_UPDATE_first_nesterov : PERI_UPDATE_nesterov;
  return t == 1 ? PERI_UPDATE_first_momentum : PERI_UPDATE_momentum;
}

static const peri_optimizer_kind SGD = {
    .name = "SGD",
    .options = {RATE(0.001),
                {"momentum", PERI_OPTION_NUMBER, 0, 0, DBL_MAX, NULL, "how much of the last direction is kept"},
                {"dampening", PERI_OPTION_NUMBER, 0, -DBL_MAX, DBL_MAX, NULL, "how much less of the gradient is taken"},
                DECAY(0),
                {"nesterov", PERI_OPTION_BOOL, 0, 0, 0, NULL, "Nesterov's momentum"}},
    .buffers = {"momentum_buffer"},
    .uses = sgd_uses,
    .check = sgd_check,
    .prepare = sgd_prepare,
    .doc = "SGD(parameters, {lr = 0.001, momentum = 0, dampening = 0, weight_decay = 0, nesterov = false}) -> "
           "optimizer\n"
           "Stochastic gradient descent: p = p - lr (g + weight_decay p), with momentum if asked (Sutskever et al. "
           "2013; PyTorch's form)."};

/* ---- Adam and AdamW ----
 * m_t = beta1 m_{t-1} + (1 - beta1) d, v_t = beta2 v_{t-1} + (1 - beta2) d^2,
 * p -= lr m_t / (1 - beta1^t) / (sqrt(v_t / (1 - beta2^t)) + eps). D. Kingma, J. Ba, "Adam: a method for
 * stochastic optimization", 2015; AMSGrad: S. Reddi, S. Kale, S. Kumar, 2018. AdamW takes weight decay
 * out of d and shrinks p by 1 - lr weight_decay: I. Loshchilov, F. Hutter, 2019. */
enum { ADAM_LR, ADAM_BETA1, ADAM_BETA2, ADAM_EPS, ADAM_DECAY, ADAM_AMSGRAD };

static bool adam_uses(const double *o, int buffer) { return buffer < 2 || o[ADAM_AMSGRAD] != 0; }

static peri_update_id adam_prepare(const double *o, int64_t t, double c[PERI_UPDATE_COEFFICIENTS]) {
  c[0] = o[ADAM_LR] / (1 - peri_pow(o[ADAM_BETA1], (double)t));
  c[1] = o[ADAM_DECAY];
  c[2] = 1;
  c[3] = o[ADAM_BETA1];
  c[4] = o[ADAM_BETA2];
  c[5] = o[ADAM_EPS];
  c[6] = sqrt(1 - peri_pow(o[ADAM_BETA2], (double)t));
  return o[ADAM_AMSGRAD] != 0 ? PERI_UPDATE_amsgrad : PERI_UPDATE_adam;
}

static peri_update_id adamw_prepare(const double *o, int64_t t, double c[PERI_UPDATE_COEFFICIENTS]) {
  peri_update_id id = adam_prepare(o, t, c);
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
    .options = {RATE(0.001), BETAS, EPS(1e-8), DECAY(0), AMSGRAD},
    .buffers = ADAM_BUFFERS,
    .uses = adam_uses,
    .prepare = adam_prepare,
    .doc = "Adam(parameters, {lr = 0.001, betas = {0.9, 0.999}, eps = 1e-8, weight_decay = 0, amsgrad = false}) -> "
           "optimizer\n"
           "Steps scaled by running means of gradients and of their squares (Kingma and Ba 2015). With eps = 0 there "
           "is no step where no gradient has arrived."};
static const peri_optimizer_kind AdamW = {
    .name = "AdamW",
    .options = {RATE(0.001), BETAS, EPS(1e-8), DECAY(0.01), AMSGRAD},
    .buffers = ADAM_BUFFERS,
    .uses = adam_uses,
    .prepare = adamw_prepare,
    .doc = "AdamW(parameters, {lr = 0.001, betas = {0.9, 0.999}, eps = 1e-8, weight_decay = 0.01, amsgrad = false}) "
           "-> optimizer\n"
           "Adam whose weight decay shrinks the parameters themselves (Loshchilov and Hutter 2019). With eps = 0 "
           "there is no step where no gradient has arrived."};

/* ---- RMSprop ----
 * v = alpha v + (1 - alpha) d^2, p -= lr d / (sqrt(v) + eps). T. Tieleman, G. Hinton, lecture 6.5 of
 * "Neural networks for machine learning", 2012; centred: A. Graves, 2013. */
enum { RMS_LR, RMS_ALPHA, RMS_EPS, RMS_DECAY, RMS_MOMENTUM, RMS_CENTERED };

static bool rmsprop_uses(const double *o, int buffer) {
  return buffer == 0 || (buffer == 1 ? o[RMS_CENTERED] != 0 : o[RMS_MOMENTUM] != 0);
}

static peri_update_id rmsprop_prepare(const double *o, int64_t t, double c[PERI_UPDATE_COEFFICIENTS]) {
  (void)t;
  c[0] = o[RMS_LR];
  c[1] = o[RMS_DECAY];
  c[2] = o[RMS_ALPHA];
  c[3] = o[RMS_EPS];
  c[4] = o[RMS_MOMENTUM];
  return PERI_UPDATE_rmsprop;
}

static const peri_optimizer_kind RMSprop = {
    .name = "RMSprop",
    .options = {RATE(0.01),
                {"alpha", PERI_OPTION_NUMBER, 0.99, 0, 1, NULL, "decay of the mean of squared gradients"},
                EPS(1e-8),
                DECAY(0),
                {"momentum", PERI_OPTION_NUMBER, 0, 0, DBL_MAX, NULL, "how much of the last direction is kept"},
                {"centered", PERI_OPTION_BOOL, 0, 0, 0, NULL, "divide by the deviation about the mean gradient"}},
    .buffers = {"square_avg", "grad_avg", "momentum_buffer"},
    .uses = rmsprop_uses,
    .prepare = rmsprop_prepare,
    .doc = "RMSprop(parameters, {lr = 0.01, alpha = 0.99, eps = 1e-8, weight_decay = 0, momentum = 0, centered = "
           "false}) -> optimizer\n"
           "Steps divided by the root of a running mean of squared gradients (Tieleman and Hinton 2012). With eps = "
           "0 there is no step where no gradient has arrived."};

/* ---- Adagrad ----
 * s += d^2, p -= lr / (1 + (t - 1) lr_decay) d / (sqrt(s) + eps). J. Duchi, E. Hazan, Y. Singer, 2011. */
enum { ADA_LR, ADA_LR_DECAY, ADA_DECAY, ADA_EPS };

static peri_update_id adagrad_prepare(const double *o, int64_t t, double c[PERI_UPDATE_COEFFICIENTS]) {
  c[0] = o[ADA_LR] / (1 + (double)(t - 1) * o[ADA_LR_DECAY]);
  c[1] = o[ADA_DECAY];
  c[2] = o[ADA_EPS];
  return PERI_UPDATE_adagrad;
}

static const peri_optimizer_kind Adagrad = {
    .name = "Adagrad",
    .options = {RATE(0.01),
                {"lr_decay", PERI_OPTION_NUMBER, 0, 0, DBL_MAX, NULL, "how fast the rate falls with the steps"},
                DECAY(0),
                EPS(1e-10)},
    .buffers = {"sum"},
    .prepare = adagrad_prepare,
    .doc = "Adagrad(parameters, {lr = 0.01, lr_decay = 0, weight_decay = 0, eps = 1e-10}) -> optimizer\n"
           "Steps divided by the root of the sum of all squared gradients (Duchi, Hazan and Singer 2011). With eps = "
           "0 there is no step where no gradient has arrived."};

const peri_optimizer_kind *const peri_optimizer_kinds[] = {&SGD, &Adam, &AdamW, &RMSprop, &Adagrad, NULL};
