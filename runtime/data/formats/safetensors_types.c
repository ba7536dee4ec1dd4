/* The element types of safetensors, and the text of names. */
#include "data/formats/safetensors.h"

static const peri_safetensors_type types[] = {
    {"F64", 8, PERI_FLOAT64, NULL, NULL},
    {"I64", 8, PERI_INT64, NULL, NULL},
    {"F32", 4, PERI_FLOAT32, NULL, NULL},
    {"U8", 1, PERI_UINT8, NULL, NULL},
    {"BOOL", 1, PERI_BOOL, peri_decode_bool, "is a bool other than 0 and 1"},
    {"F16", 2, PERI_FLOAT32, peri_decode_f16, NULL},
    {"BF16", 2, PERI_FLOAT32, peri_decode_bf16, NULL},
    {"I8", 1, PERI_INT64, peri_decode_i8, NULL},
    {"I16", 2, PERI_INT64, peri_decode_i16, NULL},
    {"U16", 2, PERI_INT64, peri_decode_u16, NULL},
    {"I32", 4, PERI_INT64, peri_decode_i32, NULL},
    {"U32", 4, PERI_INT64, peri_decode_u32, NULL},
    {"U64", 8, PERI_INT64, peri_decode_u64, "is a U64 beyond the largest int64"},
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
