/* Tensors in C: making, lending, sharing and releasing them; text. */
#include "autograd/autograd.h"
#include "ops/ops.h"
#include "ops/rows.h"
#include "context_support.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

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
    {PERI_SOURCE_DTYPES, 1, {1, 0}, PERI_ERR_ARGUMENT, "unknown dtype 9"},
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
  peri_text_options how = {.precision = 4, .threshold = 1000, .edge_items = 3, .line_width = characters};
  PERI_CHECK(peri_tensor_text(x, &how, &text, &bytes) == PERI_OK, "%s", peri_message(context));
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

/* ---- cancellation ---- */

typedef struct cancelling {
  peri_context *context;
  int64_t seen;
} cancelling;

static void cancel_at_once(void *arg, int64_t n, char *const *data, const ptrdiff_t *strides) {
  cancelling *c = arg;
  (void)data, (void)strides;
  c->seen += n;
  peri_cancel(c->context);
}

/* However many elements are behind each place of the target. */
static void cancelled_in_order(void) {
  peri_context *context = open_context(1);
  peri_tensor *x = make(context, PERI_FLOAT32, 2, (int64_t[]){1, 4}), *every;
  const int64_t shape[2] = {(int64_t)1 << 40, 4};
  PERI_CHECK(
      peri_tensor_view(
          x,
          &(peri_layout){
              .dtype = PERI_FLOAT32, .ndim = 2, .shape = {shape[0], 4}, .strides = {0, 1}, .numel = shape[0] * 4},
          &every) == PERI_OK,
      "a view");
  peri_iterator it;
  peri_iterator_open_in_order(&it, 2, shape, 1, (const peri_view *[]){&every->view});
  cancelling c = {context, 0};
  PERI_CHECK(peri_iterate_in_order(context, &it, 0, cancel_at_once, &c) == PERI_ERR_CANCELLED, "the call says so");
  PERI_CHECK(c.seen > 0 && c.seen < (int64_t)1 << 24, "%lld elements", (long long)c.seen);
  peri_clear_cancel(context);
  peri_tensor_release(&every);
  peri_tensor_release(&x);
  close_context(context);
}

PERI_TEST_MAIN(PERI_TEST(new_tensors), PERI_TEST(bad_tensors), PERI_TEST(lend), PERI_TEST(lend_without_deleter),
               PERI_TEST(lend_fails), PERI_TEST(chain_of_gradients), PERI_TEST(texts), PERI_TEST(texts_in_lines),
               PERI_TEST(cancelled_in_order))
