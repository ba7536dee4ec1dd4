/* Operands that do not lie side by side. Elementwise loops are written for contiguous operands alone: what is strided
 * or repeated is gathered into a block on the stack, the loop runs over the block, and its result is scattered. So a
 * row has one loop for each dtype, and an element's arithmetic is the same wherever it stands. A loop that asks for
 * `lanes` gets only whole multiples of so many elements; behind the last one its last operand is repeated. */
#ifndef PERI_KERNELS_BLOCKS_H
#define PERI_KERNELS_BLOCKS_H

#include "kernels/isa.h"
#include "kernels/kernels.h"

enum { BLOCK = 256 };

typedef struct operand {
  const char *data;
  ptrdiff_t stride, size;
} operand;

/* The loop that the blocks are for: one, two or three, by the number of operands; or tuned. */
typedef struct dense_loop {
  peri_loop1 one;
  peri_loop2 two;
  peri_loop3 three;
  peri_tuned1 tuned1;
  peri_tuned2 tuned2;
  const double *numbers; /* of a tuned loop */
} dense_loop;

#define COPY_EACH(type)                                                                                                \
  if (sf == 0 && st == (ptrdiff_t)sizeof(type)) {                                                                      \
    const type value = *(const type *)from;                                                                            \
    for (int64_t i = 0; i < n; i++) ((type *)to)[i] = value;                                                           \
    break;                                                                                                             \
  }                                                                                                                    \
  for (int64_t i = 0; i < n; i++) {                                                                                    \
    PERI_ONE_BY_ONE;                                                                                                   \
    *(type *)(to + i * st) = *(const type *)(from + i * sf);                                                           \
  }                                                                                                                    \
  break

/* One element everywhere, or one by one. */
static PERI_NOINLINE void copy_elements(int64_t n, ptrdiff_t size, char *to, ptrdiff_t st, const char *from,
                                        ptrdiff_t sf) {
  switch (size) {
  case 1:
    COPY_EACH(uint8_t);
  case 4:
    COPY_EACH(uint32_t);
  default:
    COPY_EACH(uint64_t);
  }
}

/* `count` elements from `from` on, and the last again up to `padded`. */
static const char *block_of(const operand *x, int64_t from, int64_t count, int64_t padded, char *buffer) {
  if (x->stride == x->size && padded == count) return x->data + from * x->size;
  if (x->stride == 0 && from > 0) return buffer;
  copy_elements(count, x->size, buffer, x->size, x->data + from * x->stride, x->stride);
  copy_elements(padded - count, x->size, buffer + count * x->size, x->size, buffer + (count - 1) * x->size, 0);
  return buffer;
}

static void run_dense(const dense_loop *l, int operands, int64_t n, char *y, ptrdiff_t sy, const char *const *at,
                      const operand *x) {
  if (l->numbers != NULL) {
    if (operands == 1) {
      l->tuned1(n, y, sy, at[0], x[0].size, l->numbers);
    } else {
      l->tuned2(n, y, sy, at[0], x[0].size, at[1], x[1].size, l->numbers);
    }
  } else if (operands == 1) {
    l->one(n, y, sy, at[0], x[0].size);
  } else if (operands == 2) {
    l->two(n, y, sy, at[0], x[0].size, at[1], x[1].size);
  } else {
    l->three(n, y, sy, at[0], x[0].size, at[1], x[1].size, at[2], x[2].size);
  }
}

/* y = loop(x ...) for any strides. */
static PERI_NOINLINE void in_blocks(int64_t n, operand y, int operands, const operand *x, int64_t lanes,
                                    const dense_loop *l) {
  _Alignas(64) char buffers[3][BLOCK * 8], result[BLOCK * 8];
  bool dense = y.stride == y.size;
  for (int o = 0; o < operands; o++) dense &= x[o].stride == x[o].size;
  for (int64_t from = 0, count; from < n; from += count) {
    count = dense ? n - from : peri_min(BLOCK, n - from);
    if (count > lanes) count -= count % lanes;
    int64_t padded = peri_max(count, lanes);
    const char *at[3] = {NULL};
    for (int o = 0; o < operands; o++) at[o] = block_of(&x[o], from, count, padded, buffers[o]);
    bool direct = y.stride == y.size && padded == count;
    char *out = (char *)(uintptr_t)y.data + from * y.stride;
    run_dense(l, operands, padded, direct ? out : result, y.size, at, x);
    if (!direct) copy_elements(count, y.size, out, y.stride, result, y.size);
  }
}

static PERI_NOINLINE void in_blocks1(int64_t n, char *y, ptrdiff_t sy, ptrdiff_t size_y, const char *a, ptrdiff_t sa,
                                     ptrdiff_t size_a, int64_t lanes, peri_loop1 loop) {
  in_blocks(n, (operand){y, sy, size_y}, 1, &(operand){a, sa, size_a}, lanes, &(dense_loop){.one = loop});
}

static PERI_NOINLINE void in_blocks2(int64_t n, char *y, ptrdiff_t sy, ptrdiff_t size_y, const char *a, ptrdiff_t sa,
                                     const char *b, ptrdiff_t sb, ptrdiff_t size, int64_t lanes, peri_loop2 loop) {
  in_blocks(n, (operand){y, sy, size_y}, 2, (const operand[]){{a, sa, size}, {b, sb, size}}, lanes,
            &(dense_loop){.two = loop});
}

static PERI_NOINLINE void in_blocks3(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, ptrdiff_t size_a,
                                     const char *b, ptrdiff_t sb, const char *c, ptrdiff_t sc, ptrdiff_t size,
                                     int64_t lanes, peri_loop3 loop) {
  in_blocks(n, (operand){y, sy, size}, 3, (const operand[]){{a, sa, size_a}, {b, sb, size}, {c, sc, size}}, lanes,
            &(dense_loop){.three = loop});
}

static PERI_NOINLINE void in_blocks_tuned1(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa,
                                           ptrdiff_t size, const double *p, int64_t lanes, peri_tuned1 loop) {
  in_blocks(n, (operand){y, sy, size}, 1, &(operand){a, sa, size}, lanes, &(dense_loop){.tuned1 = loop, .numbers = p});
}

static PERI_NOINLINE void in_blocks_tuned2(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const char *b,
                                           ptrdiff_t sb, ptrdiff_t size, const double *p, int64_t lanes,
                                           peri_tuned2 loop) {
  in_blocks(n, (operand){y, sy, size}, 2, (const operand[]){{a, sa, size}, {b, sb, size}}, lanes,
            &(dense_loop){.tuned2 = loop, .numbers = p});
}

/* ---- float32 by the loop of float64: the result is that of float64, rounded ---- */

static PERI_NOINLINE void widen(int64_t n, double *to, const char *a, ptrdiff_t sa) {
  if (sa == (ptrdiff_t)sizeof(float)) {
    for (int64_t i = 0; i < n; i++) to[i] = (double)((const float *)a)[i];
  } else {
    for (int64_t i = 0; i < n; i++) to[i] = (double)*(const float *)(a + i * sa);
  }
}

static PERI_NOINLINE void narrow(int64_t n, char *y, ptrdiff_t sy, const double *from) {
  if (sy == (ptrdiff_t)sizeof(float)) {
    for (int64_t i = 0; i < n; i++) ((float *)y)[i] = (float)from[i];
  } else {
    for (int64_t i = 0; i < n; i++) *(float *)(y + i * sy) = (float)from[i];
  }
}

static PERI_NOINLINE void wide1(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, peri_loop1 loop) {
  _Alignas(64) double x[BLOCK], result[BLOCK];
  for (int64_t from = 0; from < n; from += BLOCK) {
    int64_t count = peri_min(BLOCK, n - from);
    widen(count, x, a + from * sa, sa);
    loop(count, (char *)result, sizeof(double), (const char *)x, sizeof(double));
    narrow(count, y + from * sy, sy, result);
  }
}

static PERI_NOINLINE void wide2(int64_t n, char *y, ptrdiff_t sy, const char *a, ptrdiff_t sa, const char *b,
                                ptrdiff_t sb, peri_loop2 loop) {
  _Alignas(64) double left[BLOCK], right[BLOCK], result[BLOCK];
  for (int64_t from = 0; from < n; from += BLOCK) {
    int64_t count = peri_min(BLOCK, n - from);
    widen(count, left, a + from * sa, sa);
    widen(count, right, b + from * sb, sb);
    loop(count, (char *)result, sizeof(double), (const char *)left, sizeof(double), (const char *)right,
         sizeof(double));
    narrow(count, y + from * sy, sy, result);
  }
}

#endif
