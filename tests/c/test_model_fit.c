/* Operations by name, gradients and fits, as hosts without Lua call them. */
#include "data_support.h"

#include <math.h>
#include <perilune/model.h>

static peri_tensor *numbers(peri_context *context, int ndim, const int64_t *shape, const double *values) {
  peri_tensor *x = NULL;
  if (peri_tensor_new(context, PERI_FLOAT64, ndim, shape, &x) != PERI_OK) abort();
  memcpy(peri_tensor_data(x), values, (size_t)peri_tensor_numel(x) * sizeof *values);
  return x;
}

static double at(peri_tensor *x, int64_t i) {
  return peri_load_number(x->layout.dtype, x->data + (size_t)i * peri_dtype_size(x->layout.dtype));
}

/* ---- operations ---- */

static void operations(void) {
  static const struct {
    const char *name, *options;
    int inputs;
    double first;
    int64_t numel;
  } rows[] = {{"matmul", NULL, 2, 1 * 1 + 2 * 3, 4},
              {"add", NULL, 2, 2, 4},
              {"add", "10", 1, 11, 4},
              {"sum", NULL, 1, 10, 1},
              {"sum", "dims = 1", 1, 4, 2},
              {"sum", "2, keepdim = true", 1, 3, 2},
              {"sum", "{1, 2}", 1, 10, 1},
              {"reshape", "{4, 1}", 1, 1, 4},
              {"transpose", "1, 2", 1, 1, 4},
              {"narrow", "dim = 1, start = 2, length = 1", 1, 3, 2},
              {"cat", "dim = 2", 2, 1, 8},
              {"softmax", "-1", 1, 1 / (1 + M_E), 4},
              {"norm", NULL, 1, 5.477225575051661, 1},
              {"to", "'float32'", 1, 1, 4},
              {"clamp", "min = 2, max = 3", 1, 2, 4},
              {"linalg.inv", NULL, 1, -2, 4},
              {"einsum", NULL, 0, 0, 0},
              {"pad", "{1, 1}", 1, 0, 8}};
  static const struct {
    const char *name, *options, *says;
    int inputs, outputs;
  } wrong[] = {{"frobnicate", NULL, "no operation frobnicate", 1, 1},
               {"matmul", NULL, "b is missing", 1, 1},
               {"exp", NULL, "there are 2 inputs (it takes 1)", 2, 1},
               {"sum", "dimension = 1", "unknown option dimension", 1, 1},
               {"sum", "dims = 0", "positions from 1", 1, 1},
               {"sum", "dims = 3", "dim", 1, 1},
               {"sum", "dims = 'a'", "a whole number", 1, 1},
               {"sum", "dims = ", "a number", 1, 1},
               {"sum", "dims = 1, dims = 2", "given twice", 1, 1},
               {"sum", NULL, "2 outputs are asked for (it has 1)", 1, 2},
               {"to", "'int7'", "the name of a dtype", 1, 1},
               {"exp__", NULL, "no operation", 1, 1}};
  peri_context *context = open_context();
  peri_tensor *x = numbers(context, 2, (int64_t[]){2, 2}, (double[]){1, 2, 3, 4}), *in[2] = {x, x}, *y = NULL;
  for (size_t i = 0; i < PERI_COUNT(rows); i++) {
    if (rows[i].inputs == 0) continue;
    peri_status status = peri_operate(context, rows[i].name, rows[i].inputs, in, rows[i].options, 1, &y);
    PERI_CHECK(status == PERI_OK, "%s: %s", rows[i].name, peri_message(context));
    if (y == NULL) continue;
    PERI_CHECK(peri_tensor_numel(y) == rows[i].numel && fabs(at(y, 0) - rows[i].first) < 1e-12, "%s: %lld of %g",
               rows[i].name, (long long)peri_tensor_numel(y), at(y, 0));
    peri_tensor_release(&y);
  }
  for (size_t i = 0; i < PERI_COUNT(wrong); i++) {
    peri_tensor *out[2];
    peri_status status =
        peri_operate(context, wrong[i].name, wrong[i].inputs, in, wrong[i].options, wrong[i].outputs, out);
    PERI_CHECK(status == PERI_ERR_ARGUMENT && out[0] == NULL, "%s %s: status %d", wrong[i].name, wrong[i].says,
               (int)status);
    PERI_CHECK(strstr(peri_message(context), wrong[i].says) != NULL, "'%s' lacks '%s'", peri_message(context),
               wrong[i].says);
  }
  /* several results, a list, and in place */
  peri_tensor *several[3];
  PERI_CHECK(peri_operate(context, "max", 1, in, "dim = 2", 2, several) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(at(several[0], 1) == 4 && at(several[1], 1) == 2, "max");
  for (int i = 0; i < 2; i++) peri_tensor_release(&several[i]);
  PERI_CHECK(peri_operate(context, "unbind", 1, in, NULL, 2, several) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(at(several[1], 0) == 3, "unbind");
  for (int i = 0; i < 2; i++) peri_tensor_release(&several[i]);
  PERI_CHECK(peri_operate(context, "mul_", 1, in, "2", 1, &y) == PERI_OK && y == x, "%s", peri_message(context));
  PERI_CHECK(at(x, 3) == 8, "in place");
  peri_tensor_release(&y);
  peri_tensor_release(&x);
  close_context(context);
}

/* ---- gradients ---- */

static void gradients(void) {
  peri_context *context = open_context();
  peri_tensor *x = numbers(context, 1, (int64_t[]){3}, (double[]){1, 2, 3}), *square = NULL, *sum = NULL, *g = NULL,
              *h = NULL;
  PERI_CHECK(peri_require_grad(x, true) == PERI_OK, "a leaf");
  PERI_CHECK(peri_operate(context, "square", 1, &x, NULL, 1, &square) == PERI_OK, "square");
  PERI_CHECK(peri_operate(context, "sum", 1, &square, NULL, 1, &sum) == PERI_OK, "sum");
  PERI_CHECK(peri_gradients(sum, NULL, 1, &x, 1, &g) == PERI_OK && at(g, 2) == 6, "first order");
  PERI_CHECK(peri_tensor_grad(x) == NULL, "is left alone");
  peri_tensor_release(&sum);
  PERI_CHECK(peri_operate(context, "sum", 1, &g, NULL, 1, &sum) == PERI_OK, "sum");
  PERI_CHECK(peri_gradients(sum, NULL, 1, &x, 0, &h) == PERI_OK && at(h, 0) == 2, "second order");
  peri_tensor_release(&sum);
  peri_tensor_release(&square);
  PERI_CHECK(peri_operate(context, "square", 1, &x, NULL, 1, &square) == PERI_OK, "square");
  PERI_CHECK(peri_tensor_backward(square, h, 0) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(peri_tensor_grad(x) != NULL && at(peri_tensor_grad(x), 1) == 8, "backward");
  peri_tensor_clear_grad(x);
  PERI_CHECK(peri_tensor_grad(x) == NULL, "cleared");
  PERI_CHECK(peri_set_recording(context, 0) == 1, "recording was on");
  peri_tensor_release(&square);
  PERI_CHECK(peri_operate(context, "square", 1, &x, NULL, 1, &square) == PERI_OK, "square");
  PERI_CHECK(peri_tensor_backward(square, h, 0) != PERI_OK, "nothing was recorded");
  peri_tensor_release(&g), peri_tensor_release(&h), peri_tensor_release(&square), peri_tensor_release(&x);
  close_context(context);
}

/* ---- fits ---- */

enum { N = 200 };

/* Rows of three classes around three points, and a target that is linear. */
static void make_rows(peri_context *context, peri_tensor **x, peri_tensor **labels, peri_tensor **targets) {
  peri_stream stream = {.seed = 5};
  const int64_t n = N;
  peri_tensor_new(context, PERI_FLOAT32, 2, (int64_t[]){N, 2}, x);
  peri_tensor_new(context, PERI_INT64, 1, &n, labels);
  peri_tensor_new(context, PERI_FLOAT32, 1, &n, targets);
  for (int64_t i = 0; i < N; i++) {
    const int c = (int)(i % 3);
    float *row = (float *)(void *)(*x)->data + 2 * i;
    row[0] = (float)(3 * (c == 1) + peri_stream_uniform(&stream));
    row[1] = (float)(3 * (c == 2) + peri_stream_uniform(&stream));
    ((int64_t *)(void *)(*labels)->data)[i] = 10 * c - 7;
    ((float *)(void *)(*targets)->data)[i] = 2 * row[0] - row[1] + 1;
  }
}

static double right(peri_model *model, peri_tensor *x, peri_tensor *labels) {
  peri_scorer *scorer = NULL;
  int64_t found[N], good = 0;
  PERI_CHECK(peri_scorer_new(model, N, &scorer) == PERI_OK, "a scorer");
  PERI_CHECK(peri_score_labels(scorer, PERI_FLOAT32, N, x->data, 0, found) == PERI_OK, "%s",
             peri_scorer_message(scorer));
  for (int i = 0; i < N; i++) good += found[i] == ((int64_t *)(void *)labels->data)[i];
  peri_scorer_release(&scorer);
  return (double)good / N;
}

static void fits(void) {
  static const char *const descriptions[][2] = {
      {"Sequential{Linear(2, 8), ReLU(), Sequential{Linear(8, 8), Tanh()}, Linear(8, 3)}",
       "epochs = 20, batch_size = 16, optimizer = Adam{lr = 0.02}, seed = 3"},
      {"Sequential{Linear(2, 3)}",
       "epochs = 30, optimizer = SGD{lr = 0.3, momentum = 0.5}, loss = CrossEntropyLoss{label_smoothing = 0.1}"},
      {"svm.SVC{C = 10, probability = true, class_weight = {[-7] = 2}}", NULL},
      {"svm.SVC{kernel = 'linear'}", ""},
      {"svm.LogisticRegression{}", NULL}};
  peri_context *context = open_context();
  peri_tensor *x, *labels, *targets;
  peri_model *model = NULL, *again = NULL;
  make_rows(context, &x, &labels, &targets);
  for (size_t i = 0; i < PERI_COUNT(descriptions); i++) {
    PERI_CHECK(peri_fit(context, descriptions[i][0], descriptions[i][1], x, labels, &model) == PERI_OK, "%s: %s",
               descriptions[i][0], peri_message(context));
    if (model == NULL) continue;
    PERI_CHECK(peri_model_classes(model, NULL) == 3 && right(model, x, labels) > 0.98, "%s: %g", descriptions[i][0],
               right(model, x, labels));
    peri_fit(context, descriptions[i][0], descriptions[i][1], x, labels, &again);
    PERI_CHECK(strcmp(peri_model_description(model), peri_model_description(again)) == 0, "the same fit");
    peri_model_release(&model);
    peri_model_release(&again);
  }
  PERI_CHECK(peri_fit(context, "Linear(2, 1)", "epochs = 50, optimizer = Adam{lr = 0.1}", x, targets, &model) ==
                 PERI_OK,
             "%s", peri_message(context));
  peri_scorer *scorer = NULL;
  double out;
  PERI_CHECK(peri_scorer_new(model, 1, &scorer) == PERI_OK, "a scorer");
  PERI_CHECK(peri_score(scorer, PERI_FLOAT32, 1, (float[]){1, 2}, 0, &out) == PERI_OK && fabs(out - 1) < 0.05,
             "%g, expected 1", out);
  peri_scorer_release(&scorer);
  peri_model_release(&model);
  PERI_CHECK(peri_fit(context, "svm.OneClassSVM{}", NULL, x, NULL, &model) == PERI_OK, "%s", peri_message(context));
  peri_model_release(&model);
  static const char *const wrong[][3] = {{"Linear(2, 3)", "epoch = 1", "unknown option epoch"},
                                         {"Linear(2, 3)", "optimizer = Adem{}", "Adem is no optimiser"},
                                         {"Linear(2, 3)", "optimizer = Adam{lr = -1}", "lr"},
                                         {"Linear(2, 3)", "loss = HingeLoss{}", "no loss"},
                                         {"Linear(3, 3)", NULL, "expected x's last dimension"},
                                         {"Linear(2, 2)", NULL, "target"},
                                         {"Linear(2, 3) + 1", NULL, "the end"},
                                         {"LSTM(2, 3)", NULL, "no layer of one input"},
                                         {"Mine(2, 3)", NULL, "Mine is no layer"},
                                         {"svm.SVC{C = 0}", NULL, "C is 0"},
                                         {"svm.SVC{}", "epochs = 3", "stand in their description"}};
  for (size_t i = 0; i < PERI_COUNT(wrong); i++) {
    peri_status status = peri_fit(context, wrong[i][0], wrong[i][1], x, labels, &model);
    PERI_CHECK(status != PERI_OK && model == NULL, "%s is fitted", wrong[i][0]);
    PERI_CHECK(strstr(peri_message(context), wrong[i][2]) != NULL, "'%s' lacks '%s'", peri_message(context),
               wrong[i][2]);
  }
  PERI_CHECK(peri_fit(context, "Linear(2, 3)", NULL, x, x, &model) != PERI_OK, "another shape of targets");
  peri_tensor_release(&x), peri_tensor_release(&labels), peri_tensor_release(&targets);
  close_context(context);
}

static peri_status fit_and_release(peri_context *context, void *arg) {
  peri_tensor **rows = arg;
  peri_model *model;
  peri_status status = peri_fit(context, "Sequential{Linear(2, 4), Tanh(), Linear(4, 3)}",
                                "epochs = 1, batch_size = 100", rows[0], rows[1], &model);
  peri_model_release(&model);
  return status;
}

static void short_of_memory(void) {
  peri_context *context = open_context();
  peri_tensor *rows[3];
  make_rows(context, &rows[0], &rows[1], &rows[2]);
  check_allocation_failures(context, fit_and_release, rows, 20);
  for (int i = 0; i < 3; i++) peri_tensor_release(&rows[i]);
  close_context(context);
}

PERI_TEST_MAIN(PERI_TEST(operations), PERI_TEST(gradients), PERI_TEST(fits), PERI_TEST(short_of_memory))
