/* The element types of safetensors, and the text of names. */
#include "data/safetensors.h"

PERI_DEFINE_DECODE(decode_i8, int64_t, 1, (int8_t)b[0])
PERI_DEFINE_DECODE(decode_i16, int64_t, 2, (int16_t)peri_load_le16(b))
PERI_DEFINE_DECODE(decode_u16, int64_t, 2, peri_load_le16(b))
PERI_DEFINE_DECODE(decode_i32, int64_t, 4, (int32_t)peri_load_le32(b))
PERI_DEFINE_DECODE(decode_u32, int64_t, 4, peri_load_le32(b))
PERI_DEFINE_DECODE(decode_bf16, float, 2, peri_float_of_bits((uint32_t)peri_load_le16(b) << 16))

/* IEEE 754 binary16 has 1 + 5 + 10 bits. A float has room for every value of it, so nothing rounds. */
static float half_value(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
  if (exponent == 31) return peri_float_of_bits(sign | 0x7f800000 | fraction << 13);
  if (exponent > 0) return peri_float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
  float magnitude = (float)fraction * 0x1p-24f; /* zero or subnormal */
  return sign != 0 ? -magnitude : magnitude;
}
PERI_DEFINE_DECODE(decode_f16, float, 2, half_value(peri_load_le16(b)))

static int64_t decode_u64(void *elements, const unsigned char *bytes, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    uint64_t value = peri_load_le64(bytes + 8 * i);
    if (value > INT64_MAX) return i;
    memcpy((unsigned char *)elements + 8 * i, &value, sizeof value);
  }
  return -1;
}

/* The bytes stay; other values than 0 and 1 would be neither false nor true to the kernels. */
static int64_t decode_bool(void *elements, const unsigned char *bytes, int64_t n) {
  (void)elements;
  for (int64_t i = 0; i < n; i++) {
    if (bytes[i] > 1) return i;
  }
  return -1;
}

static const peri_safetensors_type types[] = {
    {"F64", 8, PERI_FLOAT64, NULL, NULL},
    {"I64", 8, PERI_INT64, NULL, NULL},
    {"F32", 4, PERI_FLOAT32, NULL, NULL},
    {"U8", 1, PERI_UINT8, NULL, NULL},
    {"BOOL", 1, PERI_BOOL, decode_bool, "is a bool other than 0 and 1"},
    {"F16", 2, PERI_FLOAT32, decode_f16, NULL},
    {"BF16", 2, PERI_FLOAT32, decode_bf16, NULL},
    {"I8", 1, PERI_INT64, decode_i8, NULL},
    {"I16", 2, PERI_INT64, decode_i16, NULL},
    {"U16", 2, PERI_INT64, decode_u16, NULL},
    {"I32", 4, PERI_INT64, decode_i32, NULL},
    {"U32", 4, PERI_INT64, decode_u32, NULL},
    {"U64", 8, PERI_INT64, decode_u64, "is a U64 beyond the largest int64"},
};

const peri_safetensors_type *peri_safetensors_type_named(const char *name) {
  for (size_t i = 0; i < PERI_COUNT(types); i++) {
    if (strcmp(types[i].name, name) == 0) return &types[i];
  }
  return NULL;
}

const peri_safetensors_type *peri_safetensors_type_of(peri_dtype dtype) {
  const peri_safetensors_type *type = types; /* the first row of a dtype is the exact one */
  while (type->dtype != dtype) type++;
  return type;
}
