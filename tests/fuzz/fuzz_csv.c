/* Arbitrary bytes as a CSV file, read in every way: an error, or sound tensors with as many rows each, and labels
 * within the classes. */
#include "fuzz.h"

#include "data/formats/csv.h"
#include "tensor/tensor.h"

static peri_status parse(peri_context *context, const uint8_t *bytes, size_t size, uint8_t kind, peri_csv *out) {
  static const peri_csv_column columns[] = {{NULL, 1}, {"b", 0}};
  peri_csv_options options = {.dtype = kind % 2 != 0 ? PERI_FLOAT64 : PERI_FLOAT32,
                              .separator = kind / 2 % 2 != 0 ? '\t' : ',',
                              .missing = kind / 4 % 2 != 0,
                              .labelled = kind / 8 % 2 != 0,
                              .label = {NULL, -1},
                              .columns_n = kind / 16 % 2 != 0 ? 2 : 0,
                              .columns = columns};
  return peri_csv_parse(context, "fuzz", bytes, size, &options, out);
}

static void check(const peri_csv *csv) {
  fuzz_touch(csv->x);
  for (int64_t i = 0; i < csv->d; i++) fuzz_check(strlen(peri_csv_first(csv, csv->columns[i])) < csv->first_size);
  fuzz_check((csv->y != NULL) == (csv->label > 0));
  if (csv->y == NULL) return;
  fuzz_touch(csv->y);
  fuzz_check(csv->x->layout.shape[0] == csv->y->layout.shape[0]);
  for (int64_t i = 0; i < csv->y->layout.shape[0] && csv->classes.n > 0; i++) {
    int64_t label = ((const int64_t *)(const void *)csv->y->data)[i];
    fuzz_check(label >= 1 && label <= csv->classes.n);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  peri_context *context = fuzz_context();
  for (uint8_t kind = 0; kind < 32; kind++) {
    peri_csv csv;
    peri_status status = parse(context, bytes, size, kind, &csv);
    fuzz_check((status == PERI_OK) == (csv.x != NULL));
    fuzz_check(status == PERI_OK || peri_message(context)[0] != '\0');
    if (status == PERI_OK) check(&csv);
    peri_csv_release(&csv);
  }
  fuzz_close(context);
  return 0;
}
