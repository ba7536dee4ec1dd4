/* LIBSVM's model files: any order of classes means the same machine, and what does not agree is refused by its line. */
#include "svm/kernel/model_libsvm.h"

#include "data_support.h"

#include <math.h>

static const peri_libsvm_options plain = {.features = 0};

static peri_svm *parse(peri_context *context, const char *text, const peri_libsvm_options *options) {
  peri_svm *model;
  peri_status status = peri_svm_parse_libsvm(context, "test", text, strlen(text), options, &model);
  PERI_CHECK(status == PERI_OK && model != NULL, "%s", peri_message(context));
  if (model == NULL) exit(1);
  return model;
}

static void refuse_with(peri_context *context, const char *text, const peri_libsvm_options *options,
                        const char *words) {
  peri_svm *model;
  size_t before = peri_memory_in_use(context);
  peri_status status = peri_svm_parse_libsvm(context, "test", text, strlen(text), options, &model);
  check_failed(context, status, PERI_ERR_IO, words);
  check_failed(context, status, PERI_ERR_IO, "load_libsvm: test: line ");
  PERI_CHECK(model == NULL, "an output is left");
  PERI_CHECK(peri_memory_in_use(context) == before, "%zu bytes leak", peri_memory_in_use(context) - before);
}

static void refuse(peri_context *context, const char *text, const char *words) {
  refuse_with(context, text, &plain, words);
}

static double decide(peri_context *context, const peri_svm *model, const double *x, int64_t pair) {
  double out[16];
  peri_status status = peri_svm_decision(context, model, PERI_FLOAT64, 1, model->d, x, model->d, out);
  PERI_CHECK(status == PERI_OK, "%s", peri_message(context));
  return out[pair];
}

static void check_near(double value, double expected) {
  PERI_CHECK(fabs(value - expected) < 1e-12, "%.17g, expected %.17g", value, expected);
}

/* ---- what is right ---- */

/* One support vector for each class, at 1, 10 and 100: (i, j) decides c_ij x x_i + c_ji x x_j - rho_ij. */
static const char ascending[] = "svm_type c_svc\nkernel_type linear\nnr_class 3\ntotal_sv 3\nrho 0.5 0.25 -1\n"
                                "label 2 4 6\nprobA -1 -2 -3\nprobB 0.1 0.2 0.3\nnr_sv 1 1 1\nSV\n"
                                "1 2 1:1\n-1 3 1:10\n-2 -3 1:100\n";
/* The same machine with the classes in the order 6, 2, 4. */
static const char turned[] = "svm_type c_svc\nkernel_type linear\nnr_class 3\ntotal_sv 3\nrho -0.25 1 0.5\n"
                             "label 6 2 4\nprobA -2 -3 -1\nprobB -0.2 -0.3 0.1\nnr_sv 1 1 1\nSV\n"
                             "2 3 1:100\n-2 1 1:1\n-3 -1 1:10\n";

static void classes_in_any_order(void) {
  peri_context *context = open_context();
  static const char *const texts[] = {ascending, turned};
  for (int i = 0; i < 2; i++) {
    peri_svm *model = parse(context, texts[i], &plain);
    double one = 1;
    PERI_CHECK(model->k == 3 && model->supports == 3 && model->d == 1, "sizes");
    PERI_CHECK(model->classes[0] == 2 && model->classes[1] == 4 && model->classes[2] == 6, "classes");
    check_near(decide(context, model, &one, 0), 1 - 10 - 0.5);
    check_near(decide(context, model, &one, 1), 2 - 200 - 0.25);
    check_near(decide(context, model, &one, 2), 30 - 300 + 1);
    for (int pair = 0; pair < 3; pair++) {
      check_near(model->prob_a[pair], -1 - pair);
      check_near(model->prob_b[pair], 0.1 * (pair + 1));
    }
    const double *vectors = model->support_vectors;
    PERI_CHECK(vectors[0] == 1 && vectors[1] == 10 && vectors[2] == 100, "support vectors");
    PERI_CHECK(model->support[0] == (i == 0 ? 0 : 1), "support tells the place in the file");
    peri_svm_release(context, &model);
  }
  close_context(context);
}

static void two_classes_turn_their_sign(void) {
  peri_context *context = open_context();
  double half = 0.5;
  for (int i = 0; i < 2; i++) {
    char text[256];
    snprintf(text, sizeof text,
             "svm_type nu_svc\nkernel_type rbf\ngamma 2\nnr_class 2\ntotal_sv 2\nrho 0.25\n"
             "label %s\nnr_sv 1 1\nSV\n1 1:1 \n-1 \n",
             i == 0 ? "-1 1" : "1 -1");
    peri_svm *model = parse(context, text, &plain);
    double f = exp(-0.5) - exp(-0.5) - 0.25;
    PERI_CHECK(model->classes[0] == -1 && model->classes[1] == 1, "classes");
    check_near(decide(context, model, &half, 0), i == 0 ? f : -f);
    check_near(model->intercept[0], i == 0 ? 0.25 : -0.25); /* in public positive for the second class */
    peri_svm_release(context, &model);
  }
  close_context(context);
}

static void other_types(void) {
  peri_context *context = open_context();
  double x[3] = {1, 2, 3};
  peri_svm *model = parse(context,
                          "svm_type epsilon_svr\r\nkernel_type polynomial\r\ndegree 2\r\ngamma 0.5\r\ncoef0 1\r\n"
                          "nr_class 2\r\ntotal_sv 1\r\nrho 3\r\nprobA 0.1\r\nSV\r\n2 1:1 3:1\r\n",
                          &plain);
  check_near(decide(context, model, x, 0), 2 * 9 - 3);
  PERI_CHECK(model->k == 0 && model->prob_a == NULL && model->options.type == PERI_EPSILON_SVR, "an SVR");
  peri_svm_release(context, &model);

  model = parse(context,
                "svm_type one_class\nkernel_type sigmoid\ngamma 1\ncoef0 0.5\nnr_class 2\ntotal_sv 1\nrho 0.1\n"
                "prob_density_marks 1 2 3 4 5 6 7 8 9 10\nSV\n0.5 0:1\n",
                &(peri_libsvm_options){.zero_based = true, .features = 3});
  check_near(decide(context, model, x, 0), 0.5 * tanh(1.5) - 0.1);
  peri_svm_release(context, &model);

  model = parse(context, "svm_type nu_svr\nkernel_type precomputed\nnr_class 2\ntotal_sv 2\nrho 1\nSV\n2 0:3\n1 0:1\n",
                &plain);
  check_near(decide(context, model, x, 0), 2 * 3 + 1 * 1 - 1);
  PERI_CHECK(model->n == 3 && model->support[0] == 2 && model->support[1] == 0, "rows of the fit");
  peri_svm_release(context, &model);

  static const char *const kernels[] = {"linear", "rbf\ngamma 1", "precomputed"};
  for (size_t i = 0; i < PERI_COUNT(kernels); i++) { /* no support vector: the constant -rho */
    char text[128];
    snprintf(text, sizeof text, "svm_type epsilon_svr\nkernel_type %s\nnr_class 2\ntotal_sv 0\nrho -7\nSV\n",
             kernels[i]);
    model = parse(context, text, &(peri_libsvm_options){.features = 3});
    check_near(decide(context, model, x, 0), 7);
    peri_svm_release(context, &model);
  }
  close_context(context);
}

/* ---- what is refused ---- */

#define HEAD "svm_type c_svc\nkernel_type linear\n"
#define TWO  HEAD "nr_class 2\ntotal_sv 2\nrho 0\nlabel 1 2\nnr_sv 1 1\n"

static void broken_headers(void) {
  peri_context *context = open_context();
  refuse(context, "", "line 1: the file ends within the header");
  refuse(context, "svm_type c_svc\n", "line 2: the file ends within the header");
  refuse(context, "hello\n", "line 1: 'hello' is no keyword");
  refuse(context, "svm_type svc\n", "svm_type is 'svc'");
  refuse(context, "svm_type\n", "the line ends");
  refuse(context, "svm_type c_svc x\n", "'x' follows");
  refuse(context, "svm_type c_svc\nsvm_type c_svc\n", "line 2: svm_type is there twice");
  refuse(context, "kernel_type gauss\n", "kernel_type is 'gauss'");
  refuse(context, "gamma 0\n", "gamma is 0");
  refuse(context, "gamma nan\n", "gamma is nan");
  refuse(context, "gamma 1e999\n", "gamma 1e999 is beyond");
  refuse(context, "degree 1.5\n", "degree is '1.5'");
  refuse(context, "degree -1\n", "degree is '-1'");
  refuse(context, "coef0 x\n", "coef0 is 'x'");
  refuse(context, "nr_class 1\n", "nr_class is '1'");
  refuse(context, "nr_class 100000\n", "nr_class asks for 4999950000 numbers, more than a file of 16 bytes");
  refuse(context, "total_sv 9223372036854775807\n", "total_sv asks for 9223372036854775807 numbers");
  refuse(context, "total_sv -1\n", "total_sv is '-1'");
  refuse(context, "rho 1\n", "rho comes before nr_class");
  refuse(context, "label 1 2\n", "label comes before nr_class");
  refuse(context, HEAD "nr_class 3\nrho 1 2\n", "line 4: the line ends (expected rho)");
  refuse(context, HEAD "nr_class 2\nrho 1 2\n", "line 4: '2' follows");
  refuse(context, HEAD "nr_class 2\nlabel 1 x\n", "label is 'x'");
  refuse(context, HEAD "nr_class 2\nlabel 1 2.5\n", "label is '2.5'");
  refuse(context, HEAD "nr_class 2\nnr_sv 1 -1\n", "nr_sv is '-1'");
  refuse(context, HEAD "nr_class 2\nrho 0\nSV\n", "line 5: the header ends without total_sv");
  refuse(context, HEAD "nr_class 2\ntotal_sv 2\nSV\n", "without rho");
  refuse(context, HEAD "nr_class 2\ntotal_sv 2\nrho 0\nSV\n", "without label");
  refuse(context, HEAD "nr_class 2\ntotal_sv 2\nrho 0\nlabel 1 2\nSV\n", "without nr_sv");
  refuse(context, HEAD "nr_class 2\ntotal_sv 2\nrho 0\nlabel 1 1\nnr_sv 1 1\nSV\n1 1:1\n1 1:1\n",
         "label 1 is there twice");
  refuse(context, HEAD "nr_class 2\ntotal_sv 2\nrho 0\nlabel 1 2\nnr_sv 1 2\nSV\n1 1:1\n1 1:1\n",
         "the sum of nr_sv is not");
  refuse(context, HEAD "nr_class 2\ntotal_sv 2\nrho 0\nlabel 1 2\nnr_sv 1 9223372036854775807\nSV\n",
         "the sum of nr_sv");
  refuse(context, HEAD "nr_class 2\ntotal_sv 2\nrho 0\nlabel 1 2\nnr_sv 0 1\nSV\n1 1:1\n1 1:1\n",
         "the sum of nr_sv is not");
  refuse(context, HEAD "nr_class 2\ntotal_sv 2\nrho 0\nlabel 1 2\nnr_sv 1 1\nprobA 1\nSV\n", "probA or probB alone");
  refuse(context, "svm_type c_svc\nkernel_type rbf\nnr_class 2\ntotal_sv 0\nrho 0\nSV\n", "without gamma");
  refuse(context, "svm_type c_svc\nkernel_type polynomial\nnr_class 2\ntotal_sv 0\nrho 0\nSV\n", "without degree");
  refuse(context, "svm_type c_svc\nkernel_type sigmoid\ngamma 1\nnr_class 2\ntotal_sv 0\nrho 0\nSV\n", "without coef0");
  refuse(context, "svm_type nu_svr\nkernel_type linear\nnr_class 3\ntotal_sv 0\nrho 0 0 0\nSV\n",
         "nr_class is 3 (expected 2");
  refuse(context, "svm_type nu_svr\nkernel_type linear\nnr_class 2\ntotal_sv 0\nrho 0\nlabel 1 2\nSV\n",
         "label or nr_sv");
  close_context(context);
}

static void broken_support_vectors(void) {
  peri_context *context = open_context();
  refuse(context, TWO "SV x\n", "'x' follows");
  refuse(context, TWO "SV\n", "line 9: the file ends after 0 support vectors (expected 2");
  refuse(context, TWO "SV\n1 1:1\n", "line 10: the file ends after 1 support vectors");
  refuse(context, TWO "SV\n1 1:1\n1 1:1\n1 1:1\n", "line 11: more follows 2 support vectors");
  refuse(context, TWO "SV\nx 1:1\n1 1:1\n", "line 9: a coefficient is 'x'");
  refuse(context, TWO "SV\ninf 1:1\n1 1:1\n", "a coefficient is inf");
  refuse(context, TWO "SV\n1 2\n1 1:1\n", "'2' (expected index:value)");
  refuse(context, TWO "SV\n1 0:1\n1 1:1\n", "index 0 (expected indices from 1");
  refuse(context, TWO "SV\n1 2:1 1:1\n1 1:1\n", "index 1 comes after 2");
  refuse(context, TWO "SV\n1 1:nan\n1 1:1\n", "the value is nan");
  refuse(context, TWO "SV\n1 1:\n1 1:1\n", "the value is ''");
  refuse(context, TWO "SV\n1 2147483648:1\n1 1:1\n", "line 9: there would be 2147483648 features");
  refuse(context, TWO "SV\n1 1:1\n1 2147483647:1\n", "line 10: the matrix of support vectors would be 2 x 2147483647");
  refuse(context, TWO "SV\n1 \n1 \n", "no support vector has a feature");
  refuse_with(context, TWO "SV\n1 3:1\n1 1:1\n", &(peri_libsvm_options){.features = 2},
              "index 3 is beyond the 2 features");
  refuse(context, HEAD "nr_class 3\ntotal_sv 1\nrho 0 0 0\nlabel 1 2 3\nnr_sv 1 0 0\nSV\n1\n",
         "the line ends (expected a coeff");
  refuse(context, HEAD "nr_class 3\ntotal_sv 1\nrho 0 0 0\nlabel 1 2 3\nnr_sv 1 0 0\nSV\n1 1:1\n",
         "a coefficient is '1:1'");
  refuse(context, "svm_type nu_svr\nkernel_type precomputed\nnr_class 2\ntotal_sv 1\nrho 0\nSV\n1 1:1\n",
         "'1:1' (expected 0:");
  refuse(context, "svm_type nu_svr\nkernel_type precomputed\nnr_class 2\ntotal_sv 1\nrho 0\nSV\n1 0:0\n", "'0:0'");
  refuse(context, "svm_type nu_svr\nkernel_type precomputed\nnr_class 2\ntotal_sv 1\nrho 0\nSV\n1 0:1.5\n", "'0:1.5'");
  refuse(context, "svm_type nu_svr\nkernel_type precomputed\nnr_class 2\ntotal_sv 1\nrho 0\nSV\n1 0:1 1:1\n",
         "'1:1' follows");
  peri_svm *model;
  peri_libsvm_options wrong = {.features = -1};
  check_failed(context, peri_svm_parse_libsvm(context, "test", TWO, sizeof TWO - 1, &wrong, &model), PERI_ERR_ARGUMENT,
               "features is -1");
  close_context(context);
}

/* A file that was cut anywhere is refused: within a number the rest of it would be another one. */
static void cut_files(void) {
  peri_context *context = open_context();
  static const char *const texts[] = {
      ascending, "svm_type epsilon_svr\nkernel_type rbf\ngamma 0.25\nnr_class 2\ntotal_sv 0\nrho -7.5\nSV\n",
      "svm_type one_class\nkernel_type precomputed\nnr_class 2\ntotal_sv 2\nrho 1\nSV\n2 0:3 \n1 0:12 \n"};
  for (size_t t = 0; t < PERI_COUNT(texts); t++) {
    peri_libsvm_options three = {.features = t == 1 ? 3 : 0};
    peri_svm *model = parse(context, texts[t], &three);
    peri_svm_release(context, &model);
    for (size_t size = 0; size < strlen(texts[t]); size++) {
      char *part = malloc(size + 1); /* of its own, so that a read behind it is seen */
      PERI_CHECK(part != NULL, "no memory");
      memcpy(part, texts[t], size);
      peri_status status = peri_svm_parse_libsvm(context, "test", part, size, &three, &model);
      check_failed(context, status, PERI_ERR_IO, "load_libsvm: test: line");
      PERI_CHECK(model == NULL, "%zu bytes give a machine", size);
      free(part);
    }
  }
  refuse(context, TWO "SV\n1 1:1\n1 1:1", "line 10: the file ends within the line");
  close_context(context);
}

/* ---- writing ---- */

static void written_is_read(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  const char *path = in_folder(&home, "a.model");
  peri_svm *model = parse(context, turned, &plain), *back;
  PERI_CHECK(peri_svm_write_libsvm(context, path, model) == PERI_OK, "%s", peri_message(context));
  void *bytes;
  size_t size;
  PERI_CHECK(peri_file_read(context, path, &bytes, &size) == PERI_OK, "%s", peri_message(context));
  static const char expected[] = "svm_type c_svc\nkernel_type linear\nnr_class 3\ntotal_sv 3\nrho 0.5 0.25 -1\n"
                                 "label 2 4 6\nprobA -1 -2 -3\nprobB 0.1 0.2 0.3\nnr_sv 1 1 1\nSV\n"
                                 "1 2 1:1 \n-1 3 1:10 \n-2 -3 1:100 \n";
  PERI_CHECK(size == sizeof expected - 1 && memcmp(bytes, expected, size) == 0, "%.*s", (int)size, (char *)bytes);
  peri_free(context, bytes, size);
  PERI_CHECK(peri_svm_read_libsvm(context, path, &plain, &back) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(memcmp(back->dual_coef, model->dual_coef, 6 * sizeof(double)) == 0, "coefficients differ");
  peri_svm_release(context, &back);
  peri_svm_release(context, &model);
  remove_folder(&home);
  close_context(context);
}

/* Many classes and features: all that goes into the file is more than its buffer. */
static void large_machines(void) {
  enum { CLASSES = 120, FEATURES = 5000 };
  peri_context *context = open_context();
  folder home = make_folder();
  const char *path = in_folder(&home, "a.model");
  static int64_t y[CLASSES];
  double *x = calloc((size_t)CLASSES * FEATURES, sizeof *x);
  PERI_CHECK(x != NULL, "no memory");
  for (int i = 0; i < CLASSES; i++) {
    y[i] = CLASSES - 7 * i;
    for (int j = 0; j < FEATURES; j += 97) x[i * FEATURES + j] = sin(i * 31 + j);
  }
  peri_svm_options options = peri_svm_defaults(PERI_C_SVC);
  peri_svm_samples samples = {.dtype = PERI_FLOAT64, .n = CLASSES, .d = FEATURES, .x = x, .ldx = FEATURES, .labels = y};
  peri_svm *model, *back;
  PERI_CHECK(peri_svm_fit(context, &options, &samples, &model) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(peri_svm_write_libsvm(context, path, model) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(peri_svm_read_libsvm(context, path, &plain, &back) == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(back->d == FEATURES && back->k == CLASSES && back->supports == model->supports, "sizes");
  size_t bytes = (size_t)(model->rows * model->supports) * sizeof(double);
  PERI_CHECK(memcmp(back->dual_coef, model->dual_coef, bytes) == 0, "coefficients differ");
  bytes = (size_t)(model->supports * model->d) * sizeof(double);
  PERI_CHECK(memcmp(back->support_vectors, model->support_vectors, bytes) == 0, "support vectors differ");
  PERI_CHECK(memcmp(back->intercept, model->intercept, (size_t)model->pairs * sizeof(double)) == 0, "rho differs");
  peri_svm_release(context, &back);
  peri_svm_release(context, &model);
  free(x);
  remove_folder(&home);
  close_context(context);
}

static peri_status read_and_write(peri_context *context, void *path) {
  peri_svm *model;
  PERI_TRY(peri_svm_parse_libsvm(context, "test", turned, sizeof turned - 1, &plain, &model));
  peri_status status = peri_svm_write_libsvm(context, path, model);
  peri_svm_release(context, &model);
  return status;
}

static void files_without_memory(void) { check_failures_with_file(NULL, 0, read_and_write, 15); }

PERI_TEST_MAIN(PERI_TEST(classes_in_any_order), PERI_TEST(two_classes_turn_their_sign), PERI_TEST(other_types),
               PERI_TEST(broken_headers), PERI_TEST(broken_support_vectors), PERI_TEST(cut_files),
               PERI_TEST(written_is_read), PERI_TEST(large_machines), PERI_TEST(files_without_memory))
