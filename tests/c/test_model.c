/* Model files that are cut, flipped and lie; descriptions that are none; allocations that fail; and the calls of
 * perilune/model.h. */
#define _GNU_SOURCE
#include "data_support.h"

#include "data/formats/safetensors.h"
#include "model/model.h"

#include <math.h>
#include <zlib.h>

/* A scaler, a net of two layers, and classes. */
static const char good[] = "Model{StandardScaler{mean = true, std = true}, Sequential{Linear(2, 3), Tanh(), "
                           "Linear(3, 2, {bias = false})}, task = 'classes'}";
static const char *const names[] = {"1.mean", "1.scale", "1.var", "2.1.weight", "2.1.bias", "2.3.weight", "classes"};
enum { TENSORS = PERI_COUNT(names) };

static void make_tensors(peri_context *context, peri_tensor **out) {
  const struct {
    peri_dtype dtype;
    int ndim;
    int64_t shape[2];
  } rows[TENSORS] = {{PERI_FLOAT64, 1, {2}},    {PERI_FLOAT64, 1, {2}}, {PERI_FLOAT64, 1, {2}},
                     {PERI_FLOAT32, 2, {3, 2}}, {PERI_FLOAT32, 1, {3}}, {PERI_FLOAT32, 2, {2, 3}},
                     {PERI_INT64, 1, {2}}};
  for (int i = 0; i < TENSORS; i++) {
    if (peri_tensor_new(context, rows[i].dtype, rows[i].ndim, rows[i].shape, &out[i]) != PERI_OK) abort();
    for (int64_t j = 0; j < out[i]->layout.numel; j++)
      peri_store_number(rows[i].dtype, out[i]->data + (size_t)j * peri_dtype_size(rows[i].dtype), (double)j + 1);
  }
}

static void release_tensors(peri_tensor **tensors) {
  for (int i = 0; i < TENSORS; i++) peri_tensor_release(&tensors[i]);
}

static peri_status make(peri_context *context, const char *description, peri_model **out) {
  peri_tensor *tensors[TENSORS];
  make_tensors(context, tensors);
  peri_status status = peri_model_new(context, "model", description, TENSORS, names, tensors, out);
  release_tensors(tensors);
  return status;
}

/* ---- calls ---- */

static void scores(void) {
  peri_context *context = open_context();
  peri_model *model = NULL;
  peri_scorer *scorer = NULL;
  const int64_t *labels;
  PERI_CHECK(make(context, good, &model) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(peri_model_inputs(model) == 2 && peri_model_outputs(model) == 2, "sizes");
  PERI_CHECK(strcmp(peri_model_kind(model), "Sequential") == 0, "%s", peri_model_kind(model));
  PERI_CHECK(peri_model_classes(model, &labels) == 2 && labels[0] == 1 && labels[1] == 2, "classes");
  PERI_CHECK(peri_scorer_new(model, 2, &scorer) == PERI_OK, "a scorer");
  const double x[4][3] = {{1, 2, 9}, {3, -1, 9}, {0, 0, 9}, {-5, 7, 9}};
  double out[4][2], probability[4][2];
  int64_t predicted[4];
  PERI_CHECK(peri_score(scorer, PERI_FLOAT64, 4, x, 3, out[0]) == PERI_OK, "%s", peri_scorer_message(scorer));
  PERI_CHECK(peri_score_labels(scorer, PERI_FLOAT64, 4, x, 3, predicted) == PERI_OK, "labels");
  PERI_CHECK(peri_score_probabilities(scorer, PERI_FLOAT64, 4, x, 3, probability[0]) == PERI_OK, "probabilities");
  for (int i = 0; i < 4; i++) { /* by hand */
    double z[2] = {(x[i][0] - 1) / 1, (x[i][1] - 2) / 2}, h[3];
    for (int j = 0; j < 3; j++) h[j] = tanh((2 * j + 1) * z[0] + (2 * j + 2) * z[1] + j + 1);
    for (int k = 0; k < 2; k++) {
      double expected = 0;
      for (int j = 0; j < 3; j++) expected += (3 * k + j + 1) * h[j];
      PERI_CHECK(fabs(out[i][k] - expected) < 1e-5 * (1 + fabs(expected)), "%g, expected %g", out[i][k], expected);
    }
    PERI_CHECK(predicted[i] == 1 + (out[i][1] > out[i][0]), "label %lld", (long long)predicted[i]);
    double share = 1 / (1 + exp(out[i][1] - out[i][0]));
    PERI_CHECK(fabs(probability[i][0] - share) < 1e-6, "%g, expected %g", probability[i][0], share);
  }
  /* wrong calls say so, and the next right one works */
  PERI_CHECK(peri_score(scorer, PERI_INT64, 4, x, 3, out[0]) == PERI_ERR_ARGUMENT, "a dtype");
  PERI_CHECK(peri_score(scorer, PERI_FLOAT64, 4, x, 1, out[0]) == PERI_ERR_ARGUMENT, "a stride");
  PERI_CHECK(strstr(peri_scorer_message(scorer), "1 numbers apart") != NULL, "%s", peri_scorer_message(scorer));
  PERI_CHECK(peri_score(scorer, PERI_FLOAT64, -1, x, 3, out[0]) == PERI_ERR_ARGUMENT, "rows");
  PERI_CHECK(peri_score(scorer, PERI_FLOAT64, 1, NULL, 3, out[0]) == PERI_ERR_ARGUMENT, "NULL");
  PERI_CHECK(peri_score(scorer, PERI_FLOAT64, 0, NULL, 0, NULL) == PERI_OK, "no rows");
  peri_cancel(peri_scorer_context(scorer));
  PERI_CHECK(peri_score(scorer, PERI_FLOAT64, 4, x, 3, out[0]) == PERI_ERR_CANCELLED, "cancelled");
  peri_clear_cancel(peri_scorer_context(scorer));
  PERI_CHECK(peri_score(scorer, PERI_FLOAT64, 4, x, 3, out[0]) == PERI_OK, "and not any more");
  peri_model_release(&model); /* the scorer has it still */
  PERI_CHECK(peri_score(scorer, PERI_FLOAT64, 4, x, 3, out[0]) == PERI_OK, "of a model that was let go");
  peri_scorer_release(&scorer);
  peri_scorer_release(&scorer);
  close_context(context);
}

/* ---- files ---- */

static void *read_file(peri_context *context, const peri_model *model, size_t *size) {
  folder home = make_folder();
  void *bytes = NULL;
  PERI_CHECK(peri_model_save(context, model, in_folder(&home, "a")) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(peri_file_read(context, in_folder(&home, "a"), &bytes, size) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(peri_model_save(context, model, "/nowhere/a") == PERI_ERR_IO, "no such folder");
  remove_folder(&home);
  return bytes;
}

/* The checksum that the bytes should have, into its place. */
static void mend(char *bytes, size_t size) {
  char digits[16], *place = memmem(bytes, size, PERI_SAFETENSORS_CHECKSUM_TEXT, strlen(PERI_SAFETENSORS_CHECKSUM_TEXT));
  if (place == NULL || (size_t)(place - bytes) + 40 > size) return;
  place += strlen(PERI_SAFETENSORS_CHECKSUM_TEXT);
  memset(place, '0', PERI_SAFETENSORS_CHECKSUM_DIGITS);
  snprintf(digits, sizeof digits, "%08x", (unsigned)crc32_z(0, (const unsigned char *)bytes, size));
  memcpy(place, digits, PERI_SAFETENSORS_CHECKSUM_DIGITS);
}

/* Refused, or a model that scores. */
static int try_bytes(peri_context *context, const void *bytes, size_t size) {
  peri_model *model;
  peri_status status = peri_model_parse(context, "bytes", bytes, size, &model);
  PERI_CHECK((status == PERI_OK) == (model != NULL), "status %d and %p", (int)status, (void *)model);
  if (model == NULL) {
    PERI_CHECK(status == PERI_ERR_IO || status == PERI_ERR_MEMORY, "status %d: %s", (int)status, peri_message(context));
    return 0;
  }
  peri_scorer *scorer = NULL;
  double x[2] = {0.5, -0.5}, out[2];
  if (peri_model_inputs(model) == 2 && peri_model_outputs(model) == 2 && peri_scorer_new(model, 1, &scorer) == PERI_OK)
    PERI_CHECK(peri_score(scorer, PERI_FLOAT64, 1, x, 0, out) == PERI_OK, "%s", peri_scorer_message(scorer));
  peri_scorer_release(&scorer);
  peri_model_release(&model);
  return 1;
}

static void damaged(void) {
  peri_context *context = open_context();
  peri_model *model = NULL, *again = NULL;
  size_t size, same_size;
  PERI_CHECK(make(context, good, &model) == PERI_OK, "%s", peri_message(context));
  char *bytes = read_file(context, model, &size), *copy = malloc(size);
  PERI_CHECK(peri_model_parse(context, "bytes", bytes, size, &again) == PERI_OK, "%s", peri_message(context));
  char *same = read_file(context, again, &same_size);
  PERI_CHECK(same_size == size && memcmp(same, bytes, size) == 0, "another file of the same model");
  for (size_t length = 0; length < size; length++)
    PERI_CHECK(try_bytes(context, bytes, length) == 0, "cut to %zu bytes it is a model", length);
  int sound = 0;
  for (size_t bit = 0; bit < 8 * size; bit++) {
    memcpy(copy, bytes, size);
    copy[bit / 8] ^= (char)(1 << bit % 8);
    PERI_CHECK(try_bytes(context, copy, size) == 0, "bit %zu may be any", bit);
    mend(copy, size); /* which only who means harm does */
    sound += try_bytes(context, copy, size);
  }
  PERI_CHECK(sound > 200, "of the changed files only %d are models, as those are whose numbers are others", sound);
  free(copy);
  peri_free(context, bytes, size);
  peri_free(context, same, same_size);
  peri_model_release(&model);
  peri_model_release(&again);
  close_context(context);
}

static void lies(void) {
  static const struct {
    const char *description, *says;
  } rows[] = {
      {"", "character 1"},
      {"Model", "( or {"},
      {"Model{", "a number"},
      {"Net{Linear(2, 3)}", "of no Model"},
      {"Model{}", "there is no network"},
      {"Model{task = 'classes'}", "there is no network"},
      {"Model{7, Linear(2, 3)}", "cannot stand there"},
      {"Model{StandardScaler{}, Sequential{}, Sequential{}}", "cannot stand there"},
      {"Model{Sequential{Mine(2)}}", "Mine is no layer"},
      {"Model{Sequential{7}}", "is no layer"},
      {"Model{Sequential{Linear(2)}}", "out_features is missing"},
      {"Model{Sequential{Linear(2, 'a')}}", "must be a whole number"},
      {"Model{Sequential{Linear(2, -3)}}", "out_features is -3"},
      {"Model{Sequential{Linear(2, 3, 4)}}", "too many arguments"},
      {"Model{Sequential{Linear(2, 3, {bais = true})}}", "unknown option bais"},
      {"Model{Sequential{Linear(2, 3, {bias = 1})}}", "must be true or false"},
      {"Model{Sequential{Linear(2, 3, {dtype = 'int64'})}}", "dtype must be"},
      {"Model{Sequential{Linear(2, 3)}}", "there is no tensor 1.1.weight"},
      {"Model{StandardScaler{}, Sequential{Linear(3, 3)}}", "is float32 of 3x2 (expected float32 of 3x3)"},
      {"Model{StandardScaler{}, Sequential{Linear(2, 3, {dtype = 'float64'})}}", "expected float64"},
      {"Model{StandardScaler{}, Sequential{Linear(4503599627370496, 4503599627370496)}}", "Linear"},
      {"Model{StandardScaler{}, Sequential{Identity()}}", "input is missing"},
      {"Model{StandardScaler{}, Sequential{Identity()}, input = {3}}", "gives 2 numbers, and the next takes 3"},
      {"Model{StandardScaler{}, Sequential{Identity()}, input = {0}}", "is 0"},
      {"Model{StandardScaler{}, Sequential{Identity()}, input = {2147483647, 2147483647}}", "too many numbers"},
      {"Model{StandardScaler{}, Sequential{Identity()}, input = 2}", "input must be a list"},
      {"Model{StandardScaler{}, Sequential{Softmax({dim = 1})}, input = {2}}", "mixes rows"},
      {"Model{StandardScaler{}, Sequential{Unflatten({7})}, input = {2}}", "Unflatten"},
      {"Model{MinMaxScaler{}, Sequential{Identity()}, input = {2}}", "min is missing"},
      {"Model{MinMaxScaler{low = 1, high = 0}, Sequential{Identity()}, input = {2}}", "low is not below high"},
      {"Model{PCA{}, Sequential{Identity()}, input = {2}}", "components is missing"},
      {"Model{StandardScaler{with = 1}, Sequential{Identity()}, input = {2}}", "unknown option with"},
      {"Model{StandardScaler{}, Sequential{Identity()}, input = {2}, task = 'guess'}", "must be one of"},
      {"Model{StandardScaler{}, Sequential{Linear(2, 3)}, task = 'classes'}", "3 scores, but there are 2 classes"},
      {"Model{StandardScaler{}, Sequential{Identity()}, input = {2}, colour = 1}", "unknown option colour"},
      {"Model{svm.Mine{}}", "svm.Mine is no machine"},
      {"Model{svm.SVC{C = -1}}", "C is -1"},
      {"Model{svm.SVC{C = 1, C = 1}}", "there twice"},
      {"Model{svm.SVC{}}", "there is no n"},
      {"Model{svm.SVC{}, task = 'classes'}", "there is no n"},
      {"Model{svm.SVC{class_weight = {[1] = 0}}}", "no label and weight"},
      {"Model{svm.SVC{class_weight = {[1] = 1, [1] = 2}}}", "twice"},
      {"Model{Linear(2, 3)} Model{}", "the end"},
      {"Model{Linear(os.exit(), 3)}", "must be a whole number"},
      {"Model{Linear(2, 3, {bias = 1e999})}", "a number"},
  };
  peri_context *context = open_context();
  peri_model *model = NULL;
  for (size_t i = 0; i < PERI_COUNT(rows); i++) {
    peri_status status = make(context, rows[i].description, &model);
    PERI_CHECK(status != PERI_OK && model == NULL, "%s is a model", rows[i].description);
    PERI_CHECK(strstr(peri_message(context), rows[i].says) != NULL, "%s: '%s' lacks '%s'", rows[i].description,
               peri_message(context), rows[i].says);
  }
  /* as deep as it may be, and deeper; as many layers, and more */
  for (int deep = 30; deep <= 60; deep += 30) {
    char text[2000] = "Model{StandardScaler{}, ";
    for (int i = 0; i < deep; i++) strcat(text, "Sequential{");
    strcat(text, "Identity()");
    for (int i = 0; i < deep; i++) strcat(text, "}");
    strcat(text, ", input = {2}}");
    PERI_CHECK((make(context, text, &model) == PERI_OK) == (deep == 30), "%d deep: %s", deep, peri_message(context));
    peri_model_release(&model);
  }
  char *many = malloc(200000);
  strcpy(many, "Model{StandardScaler{}, Sequential{");
  for (int i = 0; i <= PERI_MODEL_LAYERS; i++) strcpy(many + 35 + 11 * i, "Identity(),");
  strcat(many, "}, input = {2}}");
  PERI_CHECK(make(context, many, &model) == PERI_ERR_ARGUMENT && strstr(peri_message(context), "more than") != NULL,
             "%s", peri_message(context));
  free(many);
  close_context(context);
}

/* ---- allocations that fail ---- */

static peri_status make_and_release(peri_context *context, void *arg) {
  peri_model *model = NULL;
  peri_tensor **tensors = arg;
  peri_status status = peri_model_new(context, "model", good, TENSORS, names, tensors, &model);
  peri_model_release(&model);
  return status;
}

static void short_of_memory(void) {
  peri_context *context = open_context();
  peri_tensor *tensors[TENSORS];
  make_tensors(context, tensors);
  check_allocation_failures(context, make_and_release, tensors, 10);
  release_tensors(tensors);
  close_context(context);
}

/* ---- descriptions ---- */

static void numbers(void) {
  static const peri_option options[] = {{"a", PERI_OPTION_NUMBER, 0, -HUGE_VAL, HUGE_VAL, NULL, ""},
                                        {"b", PERI_OPTION_NUMBER, 1, 0, 9, NULL, "", .count = 2},
                                        {"c", PERI_OPTION_CHOICE, 0, 0, 0, "one two three", ""},
                                        {"d", PERI_OPTION_NUMBER, 1, 0, 9, "low high", ""},
                                        {"e", PERI_OPTION_BOOL, 0, 0, 0, NULL, ""},
                                        {NULL}};
  static const double values[][6] = {{0.1, 1, 2, 2, PERI_OPTION_WORD(1), 1},
                                     {-HUGE_VAL, 0, 0, 0, 9, 0},
                                     {1e-320, 3, 4, 1, PERI_OPTION_WORD(0), 1},
                                     {-0x1.fffffffffffffp1023, 9, 9, 0, 0.3, 0}};
  peri_context *context = open_context();
  for (size_t i = 0; i < PERI_COUNT(values); i++) {
    peri_writer writer = {.context = context};
    peri_description description;
    double read[6];
    peri_write_options(&writer, options, values[i]);
    peri_option_defaults(options, read);
    PERI_CHECK(peri_description_read_options(context, "test", writer.text, &description) == PERI_OK &&
                   peri_item_options(context, "test", description.root, options, NULL, false, read) == PERI_OK,
               "%s: %s", writer.text, peri_message(context));
    PERI_CHECK(memcmp(read, values[i], sizeof read) == 0, "%s is read as other numbers", writer.text);
    peri_description_release(&description);
    peri_writer_release(&writer);
  }
  close_context(context);
}

/* ---- what stops the caller stops the model ---- */

static void stopped(void) {
  peri_context *context = open_context();
  peri_tensor *tensors[TENSORS];
  peri_model *model, *again;
  void *bytes;
  size_t size;
  char path[] = "/tmp/perilune_model_XXXXXX";
  const int file = mkstemp(path);
  PERI_CHECK(file >= 0 && make(context, good, &model) == PERI_OK, "%s", peri_message(context));
  close(file);
  PERI_CHECK(peri_model_save(context, model, path) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(peri_file_read(context, path, &bytes, &size) == PERI_OK, "%s", peri_message(context));
  make_tensors(context, tensors);
  for (int deadline = 0; deadline < 2; deadline++) {
    const peri_status expected = deadline ? PERI_ERR_DEADLINE : PERI_ERR_CANCELLED;
    if (deadline)
      peri_set_deadline(context, 1e-12);
    else
      peri_cancel(context);
    PERI_CHECK(peri_model_load(context, path, &again) == expected && again == NULL, "load");
    PERI_CHECK(peri_model_parse(context, "m", bytes, size, &again) == expected && again == NULL, "parse");
    PERI_CHECK(peri_model_save(context, model, path) == expected, "save");
    PERI_CHECK(strstr(peri_message(context), deadline ? "the time is up" : "interrupted") != NULL, "%s",
               peri_message(context));
    peri_clear_cancel(context);
    PERI_CHECK(peri_model_load(context, path, &again) == PERI_OK, "%s", peri_message(context));
    peri_model_release(&again);
  }
  /* raised at each look in turn, until there are no more */
  int looks = 0;
  for (peri_status status = PERI_ERR_CANCELLED; status != PERI_OK; looks++) {
    atomic_store(&context->looks, 0);
    context->raise_at = looks + 1;
    atomic_fetch_or(&context->interrupt->signals, PERI_SIGNAL_COUNT);
    status = peri_model_load(context, path, &again);
    PERI_CHECK(status == PERI_OK || (status == PERI_ERR_CANCELLED && again == NULL), "look %d: status %d: %s",
               looks + 1, (int)status, peri_message(context));
    atomic_fetch_and(&context->interrupt->signals, ~(unsigned)PERI_SIGNAL_COUNT);
    peri_clear_cancel(context);
    peri_model_release(&again);
  }
  PERI_CHECK(looks > TENSORS, "%d looks", looks);
  peri_interrupt *interrupt; /* the model's is its own again, when the caller has gone */
  PERI_CHECK(peri_interrupt_new(context, &interrupt) == PERI_OK, "an interrupt");
  release_tensors(tensors);
  peri_free(context, bytes, size);
  peri_interrupt_raise(interrupt);
  peri_interrupt_release(&interrupt);
  peri_context_release(&context);
  context = open_context();
  PERI_CHECK(peri_model_save(context, model, path) == PERI_OK, "%s", peri_message(context));
  peri_model_release(&model);
  remove(path);
  close_context(context);
}

PERI_TEST_MAIN(PERI_TEST(stopped), PERI_TEST(scores), PERI_TEST(damaged), PERI_TEST(lies), PERI_TEST(short_of_memory),
               PERI_TEST(numbers))
