/* Packed forms of weights: made by the second product, true as long as nobody wrote, counted, and given back where
 * memory is short. */
#include "context_support.h"
#include "ops/ops.h"
#include "ops/rows.h"

#define INPUTS  300
#define OUTPUTS 200
#define LIMIT   ((size_t)2 << 20)

static peri_tensor *filled(peri_context *context, int64_t rows, int64_t columns, uint64_t seed) {
  peri_tensor *x = make(context, PERI_FLOAT32, 2, (int64_t[]){rows, columns});
  peri_stream stream = {.seed = seed};
  for (int64_t i = 0; i < rows * columns; i++) ((float *)x->data)[i] = (float)(peri_stream_uniform(&stream) - 0.5);
  return x;
}

static peri_tensor *linear(peri_context *context, peri_tensor *x, peri_tensor *weight) {
  peri_call call;
  peri_call_open(&call, context, &peri_op_linear);
  call.args[0].given = call.args[1].given = true;
  call.args[0].tensor = x, call.args[1].tensor = weight;
  PERI_CHECK(peri_call_run(&call) == PERI_OK, "%s", peri_message(context));
  return call.outputs[0].tensor;
}

/* The product once more; whether its bits are those of y, and y's release. */
static void same_again(peri_context *context, peri_tensor *x, peri_tensor *weight, peri_tensor *y, const char *when) {
  peri_tensor *again = linear(context, x, weight);
  PERI_CHECK(memcmp(again->data, y->data, (size_t)y->layout.numel * sizeof(float)) == 0, "%s: other bits", when);
  peri_tensor_release(&again);
}

static void test_bits_and_life(void) {
  peri_context *context = open_context(2);
  peri_tensor *weight = filled(context, OUTPUTS, INPUTS, 1);
  for (int64_t rows = 1; rows < 200; rows += rows + 3) {
    peri_tensor *x = filled(context, rows, INPUTS, 2), *fresh = filled(context, OUTPUTS, INPUTS, 1);
    peri_tensor *y = linear(context, x, fresh);
    PERI_CHECK(fresh->storage->packed == NULL, "packed by one product");
    for (int i = 0; i < 3; i++) same_again(context, x, weight, y, "packed");
    PERI_CHECK(weight->storage->packed != NULL, "not packed");
    peri_tensor_release(&x), peri_tensor_release(&y), peri_tensor_release(&fresh);
  }
  size_t before = peri_memory_in_use(context);
  peri_tensor_release(&weight);
  PERI_CHECK(peri_memory_in_use(context) + OUTPUTS * INPUTS * 8 <= before, "%zu bytes of %zu stay",
             peri_memory_in_use(context), before);
  close_context(context);
}

static void test_writes(void) {
  peri_context *context = open_context(1);
  peri_tensor *x = filled(context, 20, INPUTS, 2), *weight = filled(context, OUTPUTS, INPUTS, 1);
  peri_tensor *other = filled(context, OUTPUTS, INPUTS, 7), *wanted = linear(context, x, other);
  for (int i = 0; i < 3; i++) {
    peri_tensor *y = linear(context, x, weight);
    peri_tensor_release(&y);
  }
  PERI_CHECK(weight->storage->packed != NULL, "not packed");
  PERI_CHECK(peri_tensor_copy_into(weight, other) == PERI_OK, "%s", peri_message(context));
  for (int i = 0; i < 3; i++) same_again(context, x, weight, wanted, "after a write");
  /* the host has the address from here on, and writes without a word */
  float *values = peri_tensor_data(weight);
  PERI_CHECK(weight->storage->packed == NULL, "kept although the host may write");
  for (int64_t i = 0; i < OUTPUTS * INPUTS; i++) {
    values[i] = (float)(i % 7);
    ((float *)other->data)[i] = (float)(i % 7);
  }
  other->storage->version++;
  peri_tensor_release(&wanted);
  wanted = linear(context, x, other);
  for (int i = 0; i < 3; i++) same_again(context, x, weight, wanted, "after a write of the host");
  peri_tensor_release(&x), peri_tensor_release(&weight), peri_tensor_release(&other), peri_tensor_release(&wanted);
  close_context(context);
}

static void test_short_memory(void) {
  peri_context *context = open_limited(LIMIT, 1);
  peri_tensor *x = filled(context, 20, INPUTS, 2), *weight = filled(context, OUTPUTS, INPUTS, 1);
  peri_tensor *y = linear(context, x, weight);
  for (int i = 0; i < 2; i++) same_again(context, x, weight, y, "packed");
  PERI_CHECK(weight->storage->packed != NULL, "not packed");
  size_t room = LIMIT - peri_memory_in_use(context);
  void *block;
  PERI_CHECK(peri_alloc(context, room + 1000, &block) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(weight->storage->packed == NULL, "kept where memory is short");
  PERI_CHECK(peri_message(context)[0] == '\0', "%s", peri_message(context));
  for (int i = 0; i < 3; i++) same_again(context, x, weight, y, "no room to pack");
  peri_free(context, block, room + 1000);
  context->fail_after = 1; /* the output; then packing fails, and scratch */
  peri_call call;
  peri_call_open(&call, context, &peri_op_linear);
  call.args[0].given = call.args[1].given = true;
  call.args[0].tensor = x, call.args[1].tensor = weight;
  PERI_CHECK(peri_call_run(&call) == PERI_ERR_MEMORY, "no memory");
  context->fail_after = -1;
  same_again(context, x, weight, y, "after a failure");
  peri_tensor_release(&x), peri_tensor_release(&weight), peri_tensor_release(&y);
  close_context(context);
}

PERI_TEST_MAIN(PERI_TEST(test_bits_and_life), PERI_TEST(test_writes), PERI_TEST(test_short_memory))
