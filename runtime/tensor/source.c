/* Sources: memory that is lent in a dtype that operations do not compute with. It is converted, and that is all: a
 * block at a time each element becomes the float32 or int64 that has its value, and those are converted as ever. */
#include "kernels/kernels.h"
#include "kernels/scalar.h"
#include "tensor/tensor.h"

enum { BLOCK = 512 };

typedef struct conversion {
  void (*widen)(int64_t n, void *wide, const char *x, ptrdiff_t stride);
  peri_dtype wide;
  peri_loop1 convert;
} conversion;

#define WIDEN(name, type, wider, expression)                                                                           \
  static void widen_##name(int64_t n, void *wide, const char *x, ptrdiff_t stride) {                                   \
    for (int64_t i = 0; i < n; i++) {                                                                                  \
      const type value = *(const type *)(const void *)(x + i * stride);                                                \
      ((wider *)wide)[i] = (expression);                                                                               \
    }                                                                                                                  \
  }
WIDEN(int16, int16_t, int64_t, value)
WIDEN(int32, int32_t, int64_t, value)
WIDEN(uint16, uint16_t, int64_t, value)
WIDEN(float16, uint16_t, float, peri_float_of_half(value))
#undef WIDEN

static void convert_row(void *arg, int64_t n, char *const *data, const ptrdiff_t *strides) {
  const conversion *c = arg;
  const ptrdiff_t size = (ptrdiff_t)peri_dtype_size(c->wide);
  int64_t wide[BLOCK];
  for (int64_t i = 0; i < n; i += BLOCK) {
    const int64_t count = peri_min(BLOCK, n - i);
    c->widen(count, wide, data[1] + i * strides[1], strides[1]);
    c->convert(count, data[0] + i * strides[0], strides[0], (const char *)wide, size);
  }
}

peri_status peri_source_copy_into(peri_context *context, const peri_view *target, const peri_view *source) {
  static const conversion conversions[] = {{widen_int16, PERI_INT64, NULL},
                                           {widen_int32, PERI_INT64, NULL},
                                           {widen_uint16, PERI_INT64, NULL},
                                           {widen_float16, PERI_FLOAT32, NULL}};
  conversion c = conversions[source->layout.dtype - PERI_DTYPES];
  peri_iterator it;
  c.convert = context->kernels->elementwise->convert[c.wide][target->layout.dtype];
  peri_iterator_open(&it, target->layout.ndim, target->layout.shape, 2, (const peri_view *[]){target, source});
  return peri_iterate(context, &it, convert_row, &c);
}
