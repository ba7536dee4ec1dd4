/* Tensors in C: making, lending, sharing and releasing them; text; rows called without Lua; training,
 * cancellation, failing allocations and a fork in the middle of it. */
#include "autograd/autograd.h"
#include "ops/ops.h"
#include "ops/rows.h"
#include "test.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static peri_context *open_context(int threads) {
  peri_options options = {.size = sizeof options, .threads = threads};
  peri_context *context;
  PERI_CHECK(peri_context_new(&options, &context) == PERI_OK, "a context");
  return context;
}

static void close_context(peri_context *context) {
  PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
  peri_context_release(&context);
}

static peri_tensor *make(peri_context *context, peri_dtype dtype, int ndim, const int64_t *shape) {
  peri_tensor *x;
  PERI_CHECK(peri_tensor_new(context, dtype, ndim, shape, &x) == PERI_OK, "%s", peri_message(context));
  return x;
}

static bool says(const peri_context *context, const char *part) { return strstr(peri_message(context), part) != NULL; }

/* ---- making ---- */

static void new_tensors(void) {
  peri_context *context = open_context(1);
  for (int dtype = 0; dtype < PERI_DTYPES; dtype++) {
    peri_tensor *x = make(context, (peri_dtype)dtype, 3, (int64_t[]){2, 3, 4});
    PERI_CHECK(peri_tensor_dtype(x) == (peri_dtype)dtype && peri_tensor_ndim(x) == 3 && peri_tensor_numel(x) == 24,
               "%s", peri_dtype_name((peri_dtype)dtype));
    PERI_CHECK(memcmp(peri_tensor_shape(x), (int64_t[]){2, 3, 4}, 24) == 0, "shape");
    PERI_CHECK(memcmp(peri_tensor_strides(x), (int64_t[]){12, 4, 1}, 24) == 0, "strides");
    PERI_CHECK(peri_tensor_is_contiguous(x) && (uintptr_t)peri_tensor_data(x) % 64 == 0, "contiguous and aligned");
    const char *bytes = peri_tensor_data(x);
    for (size_t i = 0; i < 24 * peri_dtype_size((peri_dtype)dtype); i++) PERI_CHECK(bytes[i] == 0, "byte %zu", i);
    peri_tensor *same = peri_tensor_retain(x);
    peri_tensor_release(&x);
    PERI_CHECK(x == NULL && peri_tensor_numel(same) == 24, "the second reference holds it");
    peri_tensor_release(&same);
    peri_tensor_release(&same);
  }
  peri_tensor *scalar = make(context, PERI_FLOAT64, 0, NULL);
  PERI_CHECK(peri_tensor_numel(scalar) == 1 && peri_tensor_ndim(scalar) == 0, "no dimensions, one element");
  peri_tensor *empty = make(context, PERI_FLOAT32, 2, (int64_t[]){0, (int64_t)1 << 40});
  PERI_CHECK(peri_tensor_numel(empty) == 0 && peri_tensor_is_contiguous(empty), "an empty tensor may be wide");
  peri_tensor_release(&scalar);
  peri_tensor_release(&empty);
  close_context(context);
}

typedef struct bad_shape {
  int dtype, ndim;
  int64_t shape[2];
  peri_status status;
  const char *message;
} bad_shape;

#define HUGE_SIZE ((int64_t)1 << 40)
static const bad_shape bad_shapes[] = {
    {PERI_FLOAT32, 2, {3, -4}, PERI_ERR_ARGUMENT, "size -4 of dimension 2 is negative"},
    {PERI_FLOAT32, -1, {0, 0}, PERI_ERR_ARGUMENT, "-1 dimensions (expected 0 to 8)"},
    {PERI_FLOAT32, 9, {0, 0}, PERI_ERR_ARGUMENT, "9 dimensions (expected 0 to 8)"},
    {PERI_DTYPES, 1, {1, 0}, PERI_ERR_ARGUMENT, "unknown dtype 5"},
    {-1, 1, {1, 0}, PERI_ERR_ARGUMENT, "unknown dtype -1"},
    {PERI_FLOAT64,
     2,
     {HUGE_SIZE, HUGE_SIZE},
     PERI_ERR_MEMORY,
     "1099511627776x1099511627776 of float64 has too many elements"},
    {PERI_FLOAT64, 1, {INT64_MAX / 4, 0}, PERI_ERR_MEMORY, "too many elements"},
};

static void bad_tensors(void) {
  peri_context *context = open_context(1);
  peri_tensor *x;
  for (size_t i = 0; i < PERI_COUNT(bad_shapes); i++) {
    const bad_shape *bad = &bad_shapes[i];
    x = (peri_tensor *)context;
    PERI_CHECK(peri_tensor_new(context, (peri_dtype)bad->dtype, bad->ndim, bad->shape, &x) == bad->status, "case %zu",
               i);
    PERI_CHECK(x == NULL && says(context, bad->message), "case %zu: %s", i, peri_message(context));
  }
  peri_options small = {.size = sizeof small, .memory_limit = 1 << 20};
  close_context(context);
  PERI_CHECK(peri_context_new(&small, &context) == PERI_OK, "a small context");
  PERI_CHECK(peri_tensor_new(context, PERI_FLOAT32, 1, (int64_t[]){HUGE_SIZE}, &x) == PERI_ERR_MEMORY, "2^40 elements");
  PERI_CHECK(says(context, "asked 4398046511") && says(context, "in use 0, limit 1048576"), "%s",
             peri_message(context));
  x = make(context, PERI_FLOAT32, 1, (int64_t[]){1000});
  peri_tensor_release(&x);
  close_context(context);
}

/* ---- lending ---- */

static void count_deletion(void *data, void *user) {
  (void)data;
  ++*(int *)user;
}

static void lend(void) {
  peri_context *context = open_context(1);
  float data[6] = {1, 2, 3, 4, 5, 6};
  int deleted = 0;
  peri_tensor *x;
  PERI_CHECK(peri_tensor_lend(context, PERI_FLOAT32, 2, (int64_t[]){2, 3}, data, count_deletion, &deleted, &x) ==
                 PERI_OK,
             "%s", peri_message(context));
  PERI_CHECK(peri_tensor_data(x) == data, "the host's own memory");
  PERI_CHECK(peri_memory_in_use(context) < 1000, "%zu bytes are accounted", peri_memory_in_use(context));
  peri_call call;
  peri_call_open(&call, context, &peri_op_t);
  call.args[0].tensor = x;
  PERI_CHECK(peri_call_run(&call) == PERI_OK, "%s", peri_message(context));
  peri_tensor *view = call.outputs[0].tensor;
  peri_tensor_release(&x);
  PERI_CHECK(deleted == 0 && peri_tensor_data(view) == data, "a view holds the buffer");
  peri_call_open(&call, context, &peri_op_add);
  call.in_place = true;
  call.args[0].tensor = view;
  call.args[1].number = 1;
  PERI_CHECK(peri_call_run(&call) == PERI_OK && data[0] == 2 && data[5] == 7, "written in place: %g %g", data[0],
             data[5]);
  peri_tensor_release(&call.outputs[0].tensor);
  /* The graph holds it as long as it needs the values, and the context lives as long as the tensor. */
  PERI_CHECK(peri_require_grad(view, true) == PERI_OK, "%s", peri_message(context));
  peri_call_open(&call, context, &peri_op_mul);
  call.args[0].tensor = call.args[1].tensor = view;
  PERI_CHECK(peri_call_run(&call) == PERI_OK, "%s", peri_message(context));
  peri_tensor_release(&view);
  peri_context_release(&context);
  PERI_CHECK(deleted == 0, "the graph holds the buffer");
  peri_tensor_release(&call.outputs[0].tensor);
  PERI_CHECK(deleted == 1, "deleted %d times", deleted);
}

static void lend_without_deleter(void) {
  peri_context *context = open_context(1);
  int64_t data[1] = {7};
  peri_tensor *x;
  PERI_CHECK(peri_tensor_lend(context, PERI_INT64, 0, NULL, data, NULL, NULL, &x) == PERI_OK, "%s",
             peri_message(context));
  peri_tensor_release(&x);
  PERI_CHECK(data[0] == 7, "the host keeps it");
  close_context(context);
}

/* However it fails, the deleter runs once, at once. */
static void lend_fails(void) {
  peri_context *context = open_context(1);
  double data[4] = {0};
  peri_tensor *x;
  int deleted = 0, expected = 0;
  for (size_t i = 0; i < PERI_COUNT(bad_shapes); i++) {
    const bad_shape *bad = &bad_shapes[i];
    peri_status status =
        peri_tensor_lend(context, (peri_dtype)bad->dtype, bad->ndim, bad->shape, data, count_deletion, &deleted, &x);
    PERI_CHECK(status == bad->status && x == NULL && says(context, bad->message), "case %zu: %s", i,
               peri_message(context));
    PERI_CHECK(deleted == ++expected, "case %zu: deleted %d times", i, deleted - expected + 1);
  }
  PERI_CHECK(peri_tensor_lend(context, PERI_FLOAT64, 1, (int64_t[]){4}, NULL, count_deletion, &deleted, &x) ==
                 PERI_ERR_ARGUMENT,
             "no memory at all");
  PERI_CHECK(says(context, "NULL") && deleted == ++expected, "%s", peri_message(context));
  PERI_CHECK(peri_tensor_lend(context, PERI_FLOAT64, 1, (int64_t[]){3}, (char *)data + 4, count_deletion, &deleted,
                              &x) == PERI_ERR_ARGUMENT,
             "between two doubles");
  PERI_CHECK(says(context, "not aligned for float64") && deleted == ++expected, "%s", peri_message(context));
  peri_status status = PERI_ERR_MEMORY;
  for (int allocations = 0; status != PERI_OK; allocations++) {
    context->fail_after = allocations;
    status = peri_tensor_lend(context, PERI_FLOAT64, 1, (int64_t[]){4}, data, count_deletion, &deleted, &x);
    context->fail_after = -1;
    if (status == PERI_OK) break;
    PERI_CHECK(status == PERI_ERR_MEMORY && x == NULL && deleted == ++expected, "deleted %d times", deleted);
    PERI_CHECK(peri_memory_in_use(context) == 0, "%zu bytes left", peri_memory_in_use(context));
  }
  peri_tensor_release(&x);
  PERI_CHECK(deleted == ++expected, "and once when it succeeds");
  close_context(context);
}

/* ---- text ---- */

/* A script decides how many gradients hang from each other: letting go of them takes no stack. */
static void *release_chain(void *chain) {
  peri_tensor_release((peri_tensor **)chain);
  return NULL;
}

static void chain_of_gradients(void) {
  peri_context *context = open_context(1);
  peri_tensor *chain = NULL;
  for (int i = 0; i < 50000; i++) {
    peri_tensor *x = make(context, PERI_FLOAT32, 0, NULL);
    x->grad = chain;
    chain = x;
  }
  peri_tensor *middle = peri_tensor_retain(chain->grad->grad);
  pthread_t thread;
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, (size_t)256 << 10);
  PERI_CHECK(pthread_create(&thread, &small, release_chain, &chain) == 0, "a thread");
  pthread_join(thread, NULL);
  PERI_CHECK(chain == NULL && middle->references == 1 && middle->grad != NULL, "what is held stays");
  PERI_CHECK(pthread_create(&thread, &small, release_chain, &middle) == 0, "a thread");
  pthread_join(thread, NULL);
  pthread_attr_destroy(&small);
  close_context(context);
}

static void check_text_in(peri_tensor *x, int characters, const char *expected) {
  char *text;
  size_t bytes;
  peri_context *context = peri_tensor_context(x);
  PERI_CHECK(peri_tensor_text(x, characters, &text, &bytes) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(strcmp(text, expected) == 0 && bytes == strlen(expected) + 1, "'%s'", text);
  peri_free(context, text, bytes);
}

static void check_text(peri_tensor *x, const char *expected) { check_text_in(x, 80, expected); }

/* Lines of a few characters: vectors go on below, matrices in blocks of columns, and one cell always has room. */
static void texts_in_lines(void) {
  peri_context *context = open_context(1);
  peri_tensor *x = make(context, PERI_INT64, 1, (int64_t[]){5});
  for (int64_t i = 0; i < 5; i++) ((int64_t *)peri_tensor_data(x))[i] = i + 8;
  check_text_in(x, 18, " 8   9  10  11  12\n[int64 5]");
  check_text_in(x, 17, " 8   9  10  11\n12\n[int64 5]");
  check_text_in(x, 1, " 8\n 9\n10\n11\n12\n[int64 5]");
  peri_tensor_release(&x);
  x = make(context, PERI_UINT8, 2, (int64_t[]){2, 4});
  for (int i = 0; i < 8; i++) ((uint8_t *)peri_tensor_data(x))[i] = (uint8_t)i;
  check_text_in(x, 10, "0  1  2  3\n4  5  6  7\n[uint8 2x4]");
  check_text_in(x, 9, "columns 1 to 3\n0  1  2\n4  5  6\ncolumn 4\n3\n7\n[uint8 2x4]");
  peri_tensor_release(&x);
  x = make(context, PERI_BOOL, 3, (int64_t[]){2, 1, 2});
  check_text_in(x, 5, "column 1\nfalse\ncolumn 2\nfalse\n\ncolumn 1\nfalse\ncolumn 2\nfalse\n[bool 2x1x2]");
  peri_tensor_release(&x);
  x = make(context, PERI_UINT8, 2, (int64_t[]){1, 1001});
  check_text_in(x, 21, "0  0  0  ...  0  0  0\n[uint8 1x1001]");
  check_text_in(x, 20, "columns 1 to 1000\n0  0  0  ...  0  0\ncolumn 1001\n0\n[uint8 1x1001]");
  peri_tensor_release(&x);
  close_context(context);
}

static void texts(void) {
  peri_context *context = open_context(1);
  peri_tensor *x = make(context, PERI_FLOAT32, 2, (int64_t[]){2, 2});
  float *values = peri_tensor_data(x);
  check_text(x, "0.  0.\n0.  0.\n[float32 2x2]");
  values[0] = 1.5f, values[1] = -2, values[2] = INFINITY, values[3] = NAN;
  check_text(x, " 1.5000  -2.0000\n    inf      nan\n[float32 2x2]");
  peri_tensor_release(&x);
  x = make(context, PERI_INT64, 0, NULL);
  *(int64_t *)peri_tensor_data(x) = INT64_MIN;
  check_text(x, "-9223372036854775808  [int64 0-d]");
  peri_tensor_release(&x);
  x = make(context, PERI_BOOL, 1, (int64_t[]){0});
  check_text(x, "[bool 0]");
  peri_tensor_release(&x);
  x = make(context, PERI_UINT8, 1, (int64_t[]){1001});
  check_text(x, "0  0  0  ...  0  0  0\n[uint8 1001]");
  peri_tensor_release(&x);
  x = make(context, PERI_FLOAT64, 1, (int64_t[]){2}); /* the widest texts that a number can have */
  ((double *)peri_tensor_data(x))[0] = -1.7976931348623157e308;
  ((double *)peri_tensor_data(x))[1] = 4.9406564584124654e-324;
  check_text(x, "-1.7977e+308   4.9407e-324\n[float64 2]");
  peri_tensor_release(&x);
  close_context(context);
}

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

PERI_TEST_MAIN(PERI_TEST(new_tensors), PERI_TEST(bad_tensors), PERI_TEST(lend), PERI_TEST(lend_without_deleter),
               PERI_TEST(lend_fails), PERI_TEST(chain_of_gradients), PERI_TEST(texts), PERI_TEST(texts_in_lines),
               PERI_TEST(train), PERI_TEST(same_bits_with_any_team), PERI_TEST(failing_allocations),
               PERI_TEST(fork_and_train), PERI_TEST(cancelled_rows), PERI_TEST(in_place_is_whole),
               PERI_TEST(foreign_tensors), PERI_TEST(two_threads_train), PERI_TEST(no_gradient_is_an_error),
               PERI_TEST(lists_have_their_own_room))
