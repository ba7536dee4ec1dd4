/* Training by rows alone: same bits, failing allocations, forks, cancellation, contexts side by side; and frames of
 * calls. */
#include "autograd/autograd.h"
#include "context_support.h"
#include "ops/ops.h"
#include "ops/rows.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- training ----
 * One step of a linear model by rows alone: loss = sum((x w - y)^2), w := w - 0.01 / rows * dloss/dw. */

typedef struct model {
  peri_context *context;
  peri_tensor *x, *y, *w;
} model;

static void fill(peri_tensor *x, double scale) {
  float *values = peri_tensor_data(x);
  for (int64_t i = 0; i < peri_tensor_numel(x); i++) values[i] = (float)(scale * sin(0.37 * (double)i));
}

static model open_model(int threads, int64_t rows) {
  model m = {.context = open_context(threads)};
  m.x = make(m.context, PERI_FLOAT32, 2, (int64_t[]){rows, 64});
  m.y = make(m.context, PERI_FLOAT32, 2, (int64_t[]){rows, 32});
  m.w = make(m.context, PERI_FLOAT32, 2, (int64_t[]){64, 32});
  fill(m.x, 1);
  fill(m.y, 3);
  fill(m.w, 0.1);
  PERI_CHECK(peri_require_grad(m.w, true) == PERI_OK, "%s", peri_message(m.context));
  return m;
}

static void close_model(model *m) {
  peri_tensor_release(&m->x);
  peri_tensor_release(&m->y);
  peri_tensor_release(&m->w);
  close_context(m->context);
}

static peri_status apply(peri_context *context, const peri_op *op, bool in_place, peri_tensor *a, peri_tensor *b,
                         double number, peri_tensor **out) {
  peri_call call;
  peri_call_open(&call, context, op);
  call.in_place = in_place;
  call.args[0].given = call.args[1].given = true;
  call.args[0].tensor = a;
  call.args[1].tensor = b;
  if (b == NULL) call.args[1].number = number;
  PERI_TRY(peri_call_run(&call));
  *out = call.outputs[0].tensor;
  return PERI_OK;
}

static peri_status loss_of(const model *m, peri_tensor **loss) {
  peri_tensor *product = NULL, *difference = NULL, *square = NULL;
  peri_status status = apply(m->context, &peri_op_matmul, false, m->x, m->w, 0, &product);
  if (status == PERI_OK) status = apply(m->context, &peri_op_sub, false, product, m->y, 0, &difference);
  if (status == PERI_OK) status = apply(m->context, &peri_op_mul, false, difference, difference, 0, &square);
  if (status == PERI_OK) {
    peri_call call;
    peri_call_open(&call, m->context, &peri_op_sum);
    call.args[0].tensor = square;
    status = peri_call_run(&call);
    if (status == PERI_OK) *loss = call.outputs[0].tensor;
  }
  peri_tensor_release(&product);
  peri_tensor_release(&difference);
  peri_tensor_release(&square);
  return status;
}

static peri_status gradient_step(const model *m, double *loss_value) {
  peri_tensor *loss = NULL;
  PERI_TRY(loss_of(m, &loss));
  peri_status status = peri_backward_run(loss, NULL, false);
  *loss_value = (double)*(float *)peri_tensor_data(loss);
  peri_tensor_release(&loss);
  return status;
}

static peri_status step(model *m, double *loss) {
  peri_tensor *scaled = NULL, *same = NULL;
  PERI_TRY(gradient_step(m, loss));
  m->context->grad_mode = false;
  peri_status status =
      apply(m->context, &peri_op_mul, false, m->w->grad, NULL, -0.01 / (double)peri_tensor_shape(m->x)[0], &scaled);
  if (status == PERI_OK) status = apply(m->context, &peri_op_add, true, m->w, scaled, 0, &same);
  m->context->grad_mode = true;
  peri_tensor_release(&scaled);
  peri_tensor_release(&same);
  peri_tensor_release(&m->w->grad);
  return status;
}

static void train(void) {
  model m = open_model(2, 200);
  double first = 0, loss = 0;
  size_t in_use = 0;
  PERI_CHECK(step(&m, &first) == PERI_OK, "%s", peri_message(m.context));
  in_use = peri_memory_in_use(m.context);
  for (int i = 0; i < 50; i++) PERI_CHECK(step(&m, &loss) == PERI_OK, "%s", peri_message(m.context));
  PERI_CHECK(loss < first && loss > 0, "the loss went from %g to %g", first, loss);
  PERI_CHECK(peri_memory_in_use(m.context) == in_use, "%zu bytes after one step, %zu after fifty", in_use,
             peri_memory_in_use(m.context));
  close_model(&m);
}

static void same_bits_with_any_team(void) {
  static const int teams[] = {1, 2, 3, 7};
  float *expected = NULL;
  double loss;
  for (size_t t = 0; t < PERI_COUNT(teams); t++) {
    model m = open_model(teams[t], 3000);
    for (int i = 0; i < 5; i++) PERI_CHECK(step(&m, &loss) == PERI_OK, "%s", peri_message(m.context));
    if (expected == NULL) {
      expected = malloc(64 * 32 * sizeof *expected);
      memcpy(expected, peri_tensor_data(m.w), 64 * 32 * sizeof *expected);
    }
    PERI_CHECK(memcmp(expected, peri_tensor_data(m.w), 64 * 32 * sizeof *expected) == 0, "%d threads", teams[t]);
    close_model(&m);
  }
  free(expected);
}

/* Every allocation of forward and backward fails in turn: nothing is left, no gradient appears, and
 * the gradient that was there before is what it was. */
static void failing_allocations(void) {
  model m = open_model(2, 50);
  double loss;
  float before[64 * 32];
  for (int round = 0; round < 2; round++) {
    size_t in_use = peri_memory_in_use(m.context);
    peri_status status = PERI_ERR_MEMORY;
    int64_t n = 0;
    if (round == 1) memcpy(before, peri_tensor_data(m.w->grad), sizeof before);
    for (; status != PERI_OK && n < 1000; n++) {
      m.context->fail_after = n;
      status = gradient_step(&m, &loss);
      m.context->fail_after = -1;
      if (status == PERI_OK) break;
      PERI_CHECK(status == PERI_ERR_MEMORY && says(m.context, "out of memory"), "%s", peri_message(m.context));
      PERI_CHECK(peri_memory_in_use(m.context) == in_use, "%zu bytes left by failure %d",
                 peri_memory_in_use(m.context) - in_use, (int)n);
      PERI_CHECK(round == 1 || m.w->grad == NULL, "a gradient appeared");
      PERI_CHECK(round == 0 || memcmp(before, peri_tensor_data(m.w->grad), sizeof before) == 0, "the gradient changed");
    }
    PERI_CHECK(status == PERI_OK && n > 5, "%d allocations", (int)n);
  }
  close_model(&m);
}

static void fork_and_train(void) {
  model m = open_model(2, 3000);
  double loss, first;
  PERI_CHECK(step(&m, &first) == PERI_OK, "%s", peri_message(m.context));
  model alone = open_model(1, 3000);
  PERI_CHECK(step(&alone, &loss) == PERI_OK && step(&alone, &loss) == PERI_OK, "%s", peri_message(alone.context));
  fflush(stdout);
  int failures = peri_test_failures;
  pid_t child = fork();
  if (child == 0) {
    bool fine = step(&m, &loss) == PERI_OK;
    fine &= memcmp(peri_tensor_data(m.w), peri_tensor_data(alone.w), 64 * 32 * sizeof(float)) == 0;
    close_model(&m);
    _exit(fine && peri_test_failures == failures ? 0 : 1);
  }
  int status;
  PERI_CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
  PERI_CHECK(step(&m, &loss) == PERI_OK && loss < first, "the parent goes on");
  close_model(&m);
  close_model(&alone);
}

/* ---- cancellation ---- */

static void cancelled_rows(void) {
  model m = open_model(2, 3000);
  size_t in_use = peri_memory_in_use(m.context);
  double loss;
  float before[64 * 32];
  memcpy(before, peri_tensor_data(m.w), sizeof before);
  peri_cancel(m.context);
  PERI_CHECK(gradient_step(&m, &loss) == PERI_ERR_CANCELLED, "a long product stops");
  PERI_CHECK(says(m.context, "interrupted") && peri_memory_in_use(m.context) == in_use, "%s", peri_message(m.context));
  peri_tensor *same = NULL;
  PERI_CHECK(apply(m.context, &peri_op_mul, true, m.x, NULL, 2, &same) == PERI_ERR_CANCELLED && same == NULL,
             "nothing is begun under the flag");
  PERI_CHECK(*((float *)peri_tensor_data(m.x) + 1) == (float)sin(0.37), "nor was anything written");
  peri_clear_cancel(m.context);
  /* The flag rises between forward and backward. */
  peri_tensor *loss_tensor = NULL;
  PERI_CHECK(loss_of(&m, &loss_tensor) == PERI_OK, "%s", peri_message(m.context));
  peri_cancel(m.context);
  PERI_CHECK(peri_backward_run(loss_tensor, NULL, false) == PERI_ERR_CANCELLED && m.w->grad == NULL, "no gradient");
  peri_clear_cancel(m.context);
  PERI_CHECK(peri_backward_run(loss_tensor, NULL, false) == PERI_OK && m.w->grad != NULL,
             "the graph is still there: %s", peri_message(m.context));
  peri_tensor_release(&loss_tensor);
  PERI_CHECK(memcmp(before, peri_tensor_data(m.w), sizeof before) == 0, "the weights are what they were");
  close_model(&m);
}

typedef struct raiser {
  peri_context *context;
  atomic_bool go;
  int delay;
} raiser;

static void *raise_flag(void *arg) {
  raiser *r = arg;
  while (!r->go) {
  }
  for (volatile int i = 0; i < r->delay; i++) {
  }
  peri_cancel(r->context);
  return NULL;
}

/* Whenever the flag rises: an operation in place is done wholly or not at all. */
static void in_place_is_whole(void) {
  peri_context *context = open_context(2);
  enum { N = 1 << 21 };
  peri_tensor *x = make(context, PERI_FLOAT32, 1, (int64_t[]){N});
  const float *values = peri_tensor_data(x);
  float expected = 0;
  for (int round = 0; round < 40; round++) {
    raiser r = {.context = context, .delay = round * 20000};
    pthread_t thread;
    peri_tensor *same = NULL;
    pthread_create(&thread, NULL, raise_flag, &r);
    r.go = true;
    peri_status status = apply(context, &peri_op_add, true, x, NULL, 1, &same);
    PERI_CHECK(status == PERI_OK || status == PERI_ERR_CANCELLED, "%s", peri_message(context));
    if (status == PERI_OK) expected++;
    pthread_join(thread, NULL);
    peri_clear_cancel(context);
    peri_tensor_release(&same);
    int64_t wrong = 0;
    for (int64_t i = 0; i < N; i++) wrong += values[i] != expected;
    PERI_CHECK(wrong == 0, "%d elements of %d", (int)wrong, N);
  }
  peri_tensor_release(&x);
  close_context(context);
}

/* ---- contexts side by side ---- */

static void foreign_tensors(void) {
  peri_context *here = open_context(1), *there = open_context(1);
  peri_tensor *a = make(here, PERI_FLOAT32, 1, (int64_t[]){3}), *b = make(there, PERI_FLOAT32, 1, (int64_t[]){3}),
              *sum = NULL;
  PERI_CHECK(apply(here, &peri_op_add, false, a, b, 0, &sum) == PERI_ERR_ARGUMENT, "they do not mix");
  PERI_CHECK(says(here, "add: ") && says(here, "belongs to another context"), "%s", peri_message(here));
  PERI_CHECK(peri_op_find("matmul") == &peri_op_matmul && peri_op_find("nonsense") == NULL, "rows are found by name");
  peri_tensor_release(&a);
  peri_tensor_release(&b);
  close_context(here);
  close_context(there);
}

static void *train_alone(void *arg) {
  model m = open_model(2, 1000);
  double loss;
  for (int i = 0; i < 20; i++) {
    if (step(&m, &loss) != PERI_OK) return NULL;
  }
  memcpy(arg, peri_tensor_data(m.w), 64 * 32 * sizeof(float));
  close_model(&m);
  return arg;
}

static void two_threads_train(void) {
  static float weights[3][64 * 32];
  pthread_t threads[2];
  void *results[2];
  train_alone(weights[2]);
  for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, train_alone, weights[i]);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], &results[i]);
  for (int i = 0; i < 2; i++) {
    PERI_CHECK(results[i] != NULL && memcmp(weights[i], weights[2], sizeof weights[2]) == 0, "thread %d", i);
  }
}

/* A row that gives floats and has no gradient, called while recording: not a word would be wrong in the loss. */
static peri_status infer_twin(peri_call *call) {
  const peri_layout *x = &call->args[0].tensor->layout;
  return peri_infer_output(call, 0, (peri_dtype)call->op->id, x->ndim, x->shape);
}
static peri_status run_twin(peri_call *call) {
  return peri_tensor_copy_into(call->outputs[0].tensor, call->args[0].tensor);
}
static void no_gradient_is_an_error(void) {
  peri_context *context = open_context(1);
  peri_tensor *x = make(context, PERI_FLOAT32, 1, (int64_t[]){3});
  for (int id = 0; id < PERI_DTYPES; id++) {
    for (int i = 0; i < 8; i++) {
      bool recording = i & 1, leaf = i & 2, by_design = i & 4;
      peri_op row = {.name = "twin",
                     .flags = by_design ? PERI_OP_NO_GRADIENT : 0,
                     .outputs = 1,
                     .params = {{"x", PERI_KIND_TENSOR}},
                     .infer = infer_twin,
                     .run = run_twin,
                     .id = id};
      peri_call call;
      PERI_CHECK(peri_require_grad(x, leaf) == PERI_OK, "%s", peri_message(context));
      context->grad_mode = recording;
      peri_call_open(&call, context, &row);
      call.args[0].tensor = x;
      peri_status status = peri_call_run(&call);
      bool refused = recording && leaf && !by_design && peri_is_float((peri_dtype)id);
      PERI_CHECK(status == (refused ? PERI_ERR_STATE : PERI_OK), "dtype %d, case %d: status %d", id, i, (int)status);
      if (refused)
        PERI_CHECK(says(context, "twin: gradients are recorded, and the operation has no gradient"), "%s",
                   peri_message(context));
      if (status == PERI_OK) {
        PERI_CHECK(!call.outputs[0].tensor->requires_grad, "case %d", i);
        peri_tensor_release(&call.outputs[0].tensor);
      }
    }
  }
  peri_tensor_release(&x);
  close_context(context);
}

/* ---- frames ---- */

static void lists_have_their_own_room(void) {
  static const peri_op three_lists = {.name = "three",
                                      .params = {{"x", PERI_KIND_TENSOR},
                                                 {"stride", PERI_KIND_SHAPE},
                                                 {"groups", PERI_KIND_INTEGER},
                                                 {"padding", PERI_KIND_SHAPE},
                                                 {"dims", PERI_KIND_DIMS}}};
  peri_context *context = open_context(1);
  peri_call call;
  peri_call_open(&call, context, &three_lists);
  for (int i = 1; i <= 4; i++) {
    if (i != 2) peri_call_sizes(&call, i, 2, (int64_t[]){10 * i, 10 * i + 1});
  }
  for (int i = 1; i <= 4; i++) {
    const peri_arg *arg = &call.args[i];
    if (i == 2) continue;
    PERI_CHECK(arg->count == 2 && arg->sizes[0] == 10 * i && arg->sizes[1] == 10 * i + 1, "list %d", i);
  }
  close_context(context);
}

PERI_TEST_MAIN(PERI_TEST(train), PERI_TEST(same_bits_with_any_team), PERI_TEST(failing_allocations),
               PERI_TEST(fork_and_train), PERI_TEST(cancelled_rows), PERI_TEST(in_place_is_whole),
               PERI_TEST(foreign_tensors), PERI_TEST(two_threads_train), PERI_TEST(no_gradient_is_an_error),
               PERI_TEST(lists_have_their_own_room))
