/* Trains a network on MNIST, or a set of its family, without Lua: mnist FOLDER MODEL [options], see peri_fit. */
#include <perilune/model.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The bytes of an IDX file behind its header of `header` bytes; *n is how many items it has. */
static unsigned char *read_idx(const char *folder, const char *name, long header, int64_t *n) {
  char path[4096];
  unsigned char *bytes = NULL;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "rb");
  if (file != NULL && fseek(file, 0, SEEK_END) == 0) {
    const long size = ftell(file);
    rewind(file);
    bytes = malloc((size_t)size);
    if (bytes == NULL || fread(bytes, 1, (size_t)size, file) != (size_t)size || size < header) exit(1);
    *n = (int64_t)bytes[4] << 24 | bytes[5] << 16 | bytes[6] << 8 | bytes[7];
    memmove(bytes, bytes + header, (size_t)(size - header));
  }
  if (file != NULL) fclose(file);
  return bytes;
}

int main(int argc, char **argv) {
  peri_context *context = NULL;
  peri_tensor *x = NULL, *y = NULL;
  peri_model *model = NULL;
  peri_scorer *scorer = NULL;
  int64_t n, tests, right = 0;
  if (argc < 3 || peri_context_new(NULL, &context) != PERI_OK) return 2;
  unsigned char *images = read_idx(argv[1], "train-images-idx3-ubyte", 16, &n);
  unsigned char *labels = read_idx(argv[1], "train-labels-idx1-ubyte", 8, &n);
  unsigned char *test_images = read_idx(argv[1], "t10k-images-idx3-ubyte", 16, &tests);
  unsigned char *test_labels = read_idx(argv[1], "t10k-labels-idx1-ubyte", 8, &tests);
  if (!images || !labels || !test_images || !test_labels) return 1;
  if (peri_tensor_new(context, PERI_FLOAT32, 2, (int64_t[]){n, 784}, &x) != PERI_OK ||
      peri_tensor_new(context, PERI_INT64, 1, &n, &y) != PERI_OK)
    goto failed;
  for (int64_t i = 0; i < n * 784; i++) ((float *)peri_tensor_data(x))[i] = images[i] / 255.0f;
  for (int64_t i = 0; i < n; i++) ((int64_t *)peri_tensor_data(y))[i] = labels[i];
  if (peri_fit(context, "Sequential{Linear(784, 128), ReLU(), Linear(128, 10)}",
               argc > 3 ? argv[3] : "epochs = 5, batch_size = 50", x, y, &model) != PERI_OK ||
      peri_model_save(context, model, argv[2]) != PERI_OK || peri_scorer_new(model, 1, &scorer) != PERI_OK)
    goto failed;
  for (int64_t i = 0; i < tests; i++) {
    float row[784];
    int64_t label = -1;
    for (int j = 0; j < 784; j++) row[j] = test_images[i * 784 + j] / 255.0f;
    if (peri_score_labels(scorer, PERI_FLOAT32, 1, row, 0, &label) != PERI_OK) goto failed;
    right += label == test_labels[i];
  }
  printf("%s: %.2f%% of %lld images\n", peri_model_kind(model), 100.0 * (double)right / (double)tests,
         (long long)tests);
failed:
  if (scorer == NULL) fprintf(stderr, "mnist: %s\n", peri_message(context));
  peri_scorer_release(&scorer), peri_model_release(&model);
  peri_tensor_release(&x), peri_tensor_release(&y);
  peri_context_release(&context);
  return right > 0 ? free(images), free(labels), free(test_images), free(test_labels), 0 : 1;
}
