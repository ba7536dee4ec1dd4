/* Reading LIBSVM's model files; see model_libsvm.h. The first pass over the text reads the header and checks every
 * line, the second fills the machine, whose arrays are allocated in between. */
#include "svm/kernel/model_libsvm.h"

#include "data/number.h"
#include "data/sparse.h"
#include "svm/kernel/model.h"

#include <math.h>

typedef struct libsvm {
  peri_context *context;
  peri_blocks blocks; /* of the lists below */
  peri_text text;
  peri_sparse sparse;
  const peri_libsvm_options *given;

  /* the header */
  unsigned seen; /* a bit for each keyword */
  peri_svm_type type;
  peri_svm_kernel_id kernel;
  int64_t degree, k, pairs, supports; /* k: nr_class, 2 where there are no classes */
  double gamma, coef0;
  double *rho, *prob_a, *prob_b;
  int64_t *label, *count; /* count: nr_sv */
  int64_t header_lines;

  /* where things go: for a position in the file's order of classes */
  int64_t *rank;  /* its class among the ascending */
  int64_t *first; /* its first support vector in the machine */
  peri_svm *model;
} libsvm;

/* ---- words of a line ---- */

static peri_status next_word(libsvm *s, const char *what) {
  peri_text_item item;
  PERI_TRY(peri_text_next(&s->text, &item));
  if (item == PERI_TEXT_WORD) return PERI_OK;
  return peri_text_fail(&s->text, s->text.line, "the line ends (expected %s)", what);
}

static peri_status end_line(libsvm *s) {
  peri_text_item item;
  PERI_TRY(peri_text_next(&s->text, &item));
  if (item != PERI_TEXT_WORD) return PERI_OK;
  return peri_text_fail(&s->text, s->text.line, "'%s' follows (expected the end of the line)",
                        peri_text_show(&s->text, s->text.word));
}

static peri_status read_double(libsvm *s, const char *what, double *out) {
  PERI_TRY(next_word(s, what));
  PERI_TRY(peri_sparse_number(&s->text, s->text.word, what, out));
  if (isfinite(*out)) return PERI_OK;
  return peri_text_fail(&s->text, s->text.line, "%s is %g (expected a finite number)", what, *out);
}

static peri_status read_integer(libsvm *s, const char *what, int64_t low, int64_t high, int64_t *out) {
  PERI_TRY(next_word(s, what));
  if (peri_parse_integer(s->text.word, out) && *out >= low && *out <= high) return PERI_OK;
  return peri_text_fail(&s->text, s->text.line, "%s is '%s' (expected a whole number from %lld)", what,
                        peri_text_show(&s->text, s->text.word), (long long)low);
}

/* That so many numbers can stand in the file: each takes a digit and what parts it from the next. */
static peri_status check_count(libsvm *s, const char *what, int64_t count) {
  if ((uint64_t)count <= s->text.window.reader->size / 2) return PERI_OK;
  return peri_text_fail(&s->text, s->text.line, "%s asks for %lld numbers, more than a file of %llu bytes can hold",
                        what, (long long)count, (unsigned long long)s->text.window.reader->size);
}

static peri_status needs_classes(libsvm *s, const char *what) {
  if (s->k > 0) return PERI_OK;
  return peri_text_fail(&s->text, s->text.line, "%s comes before nr_class", what);
}

static peri_status read_doubles(libsvm *s, const char *what, double **out) {
  PERI_TRY(needs_classes(s, what));
  PERI_TRY(peri_blocks_new(&s->blocks, s->pairs, sizeof **out, out));
  for (int64_t i = 0; i < s->pairs; i++) PERI_TRY(read_double(s, what, &(*out)[i]));
  return PERI_OK;
}

static peri_status read_integers(libsvm *s, const char *what, int64_t low, int64_t **out) {
  PERI_TRY(needs_classes(s, what));
  PERI_TRY(peri_blocks_new(&s->blocks, s->k, sizeof **out, out));
  for (int64_t i = 0; i < s->k; i++) PERI_TRY(read_integer(s, what, low, INT64_MAX, &(*out)[i]));
  return PERI_OK;
}

/* ---- the header: a keyword and what follows it ---- */

const char *peri_libsvm_kernel_name(peri_svm_kernel_id id) {
  static const char *const names[PERI_SVM_KERNEL_COUNT] = {[PERI_SVM_LINEAR] = "linear",
                                                           [PERI_SVM_POLY] = "polynomial",
                                                           [PERI_SVM_RBF] = "rbf",
                                                           [PERI_SVM_SIGMOID] = "sigmoid",
                                                           [PERI_SVM_PRECOMPUTED] = "precomputed"};
  return names[id];
}

static peri_status read_type(libsvm *s) {
  PERI_TRY(next_word(s, "svm_type"));
  for (int type = 0; type < PERI_SVM_TYPE_COUNT; type++) {
    s->type = (peri_svm_type)type;
    if (strcmp(peri_svm_type_table[type].libsvm, s->text.word) == 0) return PERI_OK;
  }
  return peri_text_fail(&s->text, s->text.line,
                        "svm_type is '%s' (expected c_svc, nu_svc, one_class, epsilon_svr or nu_svr)",
                        peri_text_show(&s->text, s->text.word));
}

static peri_status read_kernel(libsvm *s) {
  PERI_TRY(next_word(s, "kernel_type"));
  for (int id = 0; id < PERI_SVM_KERNEL_COUNT; id++) {
    s->kernel = (peri_svm_kernel_id)id;
    if (strcmp(peri_libsvm_kernel_name(s->kernel), s->text.word) == 0) return PERI_OK;
  }
  return peri_text_fail(&s->text, s->text.line,
                        "kernel_type is '%s' (expected linear, polynomial, rbf, sigmoid or precomputed)",
                        peri_text_show(&s->text, s->text.word));
}

static peri_status read_degree(libsvm *s) { return read_integer(s, "degree", 0, INT32_MAX, &s->degree); }

static peri_status read_gamma(libsvm *s) {
  PERI_TRY(read_double(s, "gamma", &s->gamma));
  if (s->gamma > 0) return PERI_OK;
  return peri_text_fail(&s->text, s->text.line, "gamma is %g (expected a number > 0)", s->gamma);
}

static peri_status read_coef0(libsvm *s) { return read_double(s, "coef0", &s->coef0); }

static peri_status read_classes(libsvm *s) {
  PERI_TRY(read_integer(s, "nr_class", 2, INT32_MAX, &s->k));
  s->pairs = s->k * (s->k - 1) / 2;
  return check_count(s, "nr_class", s->pairs);
}

static peri_status read_total(libsvm *s) {
  PERI_TRY(read_integer(s, "total_sv", 0, INT64_MAX, &s->supports));
  return check_count(s, "total_sv", s->supports);
}

static peri_status read_rho(libsvm *s) { return read_doubles(s, "rho", &s->rho); }
static peri_status read_prob_a(libsvm *s) { return read_doubles(s, "probA", &s->prob_a); }
static peri_status read_prob_b(libsvm *s) { return read_doubles(s, "probB", &s->prob_b); }
static peri_status read_labels(libsvm *s) { return read_integers(s, "label", INT64_MIN, &s->label); }
static peri_status read_counts(libsvm *s) { return read_integers(s, "nr_sv", 0, &s->count); }

/* Densities of a one-class machine, which decisions do not need. */
static peri_status read_marks(libsvm *s) {
  double mark;
  for (int i = 0; i < 10; i++) PERI_TRY(read_double(s, "prob_density_marks", &mark));
  return PERI_OK;
}

static const struct {
  const char *name;
  peri_status (*read)(libsvm *s);
} keywords[] = {
    {"svm_type", read_type}, {"kernel_type", read_kernel}, {"degree", read_degree},  {"gamma", read_gamma},
    {"coef0", read_coef0},   {"nr_class", read_classes},   {"total_sv", read_total}, {"rho", read_rho},
    {"label", read_labels},  {"probA", read_prob_a},       {"probB", read_prob_b},   {"prob_density_marks", read_marks},
    {"nr_sv", read_counts}};

static bool has(const libsvm *s, const char *name) {
  for (size_t i = 0; i < PERI_COUNT(keywords); i++) {
    if (strcmp(keywords[i].name, name) == 0) return (s->seen >> i & 1) != 0;
  }
  return false;
}

/* The word is a keyword; *ended when it is SV. */
static peri_status read_keyword(libsvm *s, bool *ended) {
  int64_t line = s->text.line;
  *ended = strcmp(s->text.word, "SV") == 0;
  if (*ended) return end_line(s);
  size_t i = 0;
  while (i < PERI_COUNT(keywords) && strcmp(keywords[i].name, s->text.word) != 0) i++;
  if (i == PERI_COUNT(keywords)) {
    return peri_text_fail(&s->text, line, "'%s' is no keyword of a model (svm_type, kernel_type, .. SV)",
                          peri_text_show(&s->text, s->text.word));
  }
  if ((s->seen >> i & 1) != 0) return peri_text_fail(&s->text, line, "%s is there twice", keywords[i].name);
  s->seen |= 1u << i;
  PERI_TRY(keywords[i].read(s));
  return end_line(s);
}

static bool is_classifier(const libsvm *s) { return peri_svm_type_table[s->type].targets == PERI_TARGET_LABELS; }

static peri_status require(libsvm *s, const char *name) {
  if (has(s, name)) return PERI_OK;
  return peri_text_fail(&s->text, s->header_lines, "the header ends without %s", name);
}

static peri_status check_labels(libsvm *s) {
  int64_t left = s->supports;
  for (int64_t p = 0; p < s->k; p++) {
    if (s->count[p] > left) break; /* also keeps the sum from overflowing */
    left -= s->count[p];
    if (p == s->k - 1 && left == 0) return PERI_OK;
  }
  return peri_text_fail(&s->text, s->header_lines, "the sum of nr_sv is not total_sv, %lld", (long long)s->supports);
}

/* That the header is whole and of one piece. */
static peri_status check_header(libsvm *s) {
  static const char *const always[] = {"svm_type", "kernel_type", "nr_class", "total_sv", "rho"};
  for (size_t i = 0; i < PERI_COUNT(always); i++) PERI_TRY(require(s, always[i]));
  bool poly = s->kernel == PERI_SVM_POLY, sigmoid = s->kernel == PERI_SVM_SIGMOID;
  if (poly) PERI_TRY(require(s, "degree"));
  if (poly || sigmoid || s->kernel == PERI_SVM_RBF) PERI_TRY(require(s, "gamma"));
  if (poly || sigmoid) PERI_TRY(require(s, "coef0"));
  if (is_classifier(s)) {
    PERI_TRY(require(s, "label"));
    PERI_TRY(require(s, "nr_sv"));
    if (has(s, "probA") != has(s, "probB"))
      return peri_text_fail(&s->text, s->header_lines, "there is probA or probB alone (expected both or none)");
    int64_t numbers;
    if (__builtin_mul_overflow(s->supports, s->k - 1, &numbers)) numbers = INT64_MAX;
    PERI_TRY(check_count(s, "total_sv", numbers));
    return check_labels(s);
  }
  const char *name = peri_svm_type_table[s->type].libsvm;
  if (s->k != 2)
    return peri_text_fail(&s->text, s->header_lines, "nr_class is %lld (expected 2 of %s)", (long long)s->k, name);
  if (has(s, "label") || has(s, "nr_sv"))
    return peri_text_fail(&s->text, s->header_lines, "there is label or nr_sv, which %s does not have", name);
  return PERI_OK;
}

static peri_status read_header(libsvm *s) {
  for (bool ended = false; !ended;) {
    peri_text_item item;
    PERI_TRY(peri_text_next(&s->text, &item));
    if (item == PERI_TEXT_LINE_END) continue;
    if (item == PERI_TEXT_END)
      return peri_text_fail(&s->text, s->text.line, "the file ends within the header (expected SV)");
    PERI_TRY(read_keyword(s, &ended));
  }
  s->header_lines = s->text.line;
  return check_header(s);
}

/* In the second pass: what was read is kept. */
static peri_status skip_header(libsvm *s) {
  peri_text_item item = PERI_TEXT_WORD;
  while (item != PERI_TEXT_LINE_END || s->text.line < s->header_lines) {
    PERI_TRY(peri_text_next(&s->text, &item));
    if (item == PERI_TEXT_END) break;
  }
  return PERI_OK;
}

/* ---- support vectors ---- */

/* Where the r-th support vector of the file goes. */
typedef struct place {
  int64_t position; /* of its class in the file; 0 where there are no classes */
  int64_t row;      /* of the machine's support vectors */
} place;

static place place_of(const libsvm *s, int64_t r) {
  if (!is_classifier(s)) return (place){.row = r};
  int64_t position = 0;
  for (; r >= s->count[position]; position++) r -= s->count[position];
  return (place){.position = position, .row = s->first[position] + r};
}

/* A coefficient against the class at position `other`: with the order of a pair's classes its sign turns. */
static void put_coefficient(const libsvm *s, place at, int64_t other, double value) {
  peri_svm *m = s->model;
  if (m->k == 0) {
    m->dual_coef[at.row] = value;
    return;
  }
  int64_t a = s->rank[at.position], b = s->rank[other];
  bool turned = (at.position < other) != (a < b);
  bool shown_turned = m->k == 2; /* public arrays of two classes are positive for classes[1] */
  m->dual_coef[(b < a ? b : b - 1) * m->supports + at.row] = turned != shown_turned ? -value : value;
}

static peri_status put_feature(libsvm *s, place at, int64_t column, double value) {
  peri_svm *m = s->model;
  if (column >= m->d) return peri_text_fail(&s->text, s->text.line, "the file was changed while it was read");
  ((double *)m->support_vectors)[at.row * m->d + column] = value;
  return PERI_OK;
}

/* 0:row, the row of the fit that a support vector of a precomputed kernel is. */
static peri_status read_serial(libsvm *s, place at) {
  int64_t row = 0, line = s->text.line;
  PERI_TRY(next_word(s, "0:row"));
  if (strncmp(s->text.word, "0:", 2) != 0 || !peri_parse_integer(s->text.word + 2, &row) || row < 1 ||
      row > INT32_MAX) {
    return peri_text_fail(&s->text, line, "'%s' (expected 0: and the row of the fit, from 1)",
                          peri_text_show(&s->text, s->text.word));
  }
  if (s->given->features > 0 && row > s->given->features) {
    return peri_text_fail(&s->text, line, "row %lld is beyond the %lld that were asked for", (long long)row,
                          (long long)s->given->features);
  }
  if (s->model == NULL) {
    s->sparse.d = peri_max(s->sparse.d, row);
  } else if (row > s->model->n) {
    return peri_text_fail(&s->text, line, "the file was changed while it was read");
  } else {
    s->model->support[at.row] = row - 1;
  }
  return end_line(s);
}

/* A line of which the first word is at hand. */
static peri_status read_support(libsvm *s, place at) {
  int64_t coefficients = is_classifier(s) ? s->k - 1 : 1, last = -1;
  for (int64_t i = 0; i < coefficients; i++) {
    double value;
    if (i > 0) PERI_TRY(next_word(s, "a coefficient"));
    PERI_TRY(peri_sparse_number(&s->text, s->text.word, "a coefficient", &value));
    if (!isfinite(value))
      return peri_text_fail(&s->text, s->text.line, "a coefficient is %g (expected a finite number)", value);
    if (s->model != NULL) put_coefficient(s, at, i < at.position ? i : i + 1, value);
  }
  if (s->kernel == PERI_SVM_PRECOMPUTED) return read_serial(s, at);
  for (;;) {
    peri_text_item item;
    int64_t column = 0;
    double value = 0;
    PERI_TRY(peri_text_next(&s->text, &item));
    if (item != PERI_TEXT_WORD) return PERI_OK;
    PERI_TRY(peri_sparse_read(&s->sparse, &last, &column, &value));
    if (!isfinite(value))
      return peri_text_fail(&s->text, s->text.line, "the value is %g (expected a finite number)", value);
    if (s->model != NULL) PERI_TRY(put_feature(s, at, column, value));
  }
}

static peri_status read_supports(libsvm *s) {
  for (int64_t r = 0;;) {
    peri_text_item item;
    PERI_TRY(peri_text_next(&s->text, &item));
    if (item == PERI_TEXT_LINE_END) continue;
    if (item == PERI_TEXT_WORD && r < s->supports) {
      place at = s->model != NULL ? place_of(s, r) : (place){.row = 0};
      if (s->model != NULL) s->model->support[at.row] = r;
      PERI_TRY(read_support(s, at));
      r++;
      continue;
    }
    if (item == PERI_TEXT_END && s->text.cut)
      return peri_text_fail(&s->text, s->text.line - 1,
                            "the file ends within the line (expected a line end, without which a number may be cut)");
    if (item == PERI_TEXT_END && r == s->supports) return PERI_OK;
    return peri_text_fail(
        &s->text, s->text.line, "%s %lld support vectors (expected %lld of them, which total_sv says)",
        item == PERI_TEXT_END ? "the file ends after" : "more follows", (long long)r, (long long)s->supports);
  }
}

/* ---- the machine ---- */

/* The ascending order of the file's classes. */
static peri_status rank_classes(libsvm *s) {
  PERI_TRY(peri_blocks_new_zeroed(&s->blocks, s->k, sizeof *s->rank, &s->rank));
  PERI_TRY(peri_blocks_new_zeroed(&s->blocks, s->k, sizeof *s->first, &s->first));
  for (int64_t p = 0; p < s->k; p++) {
    for (int64_t q = 0; q < s->k; q++) {
      if (q != p && s->label[q] == s->label[p])
        return peri_text_fail(&s->text, s->header_lines, "the label %lld is there twice", (long long)s->label[p]);
      if (s->label[q] >= s->label[p]) continue;
      s->rank[p]++;
      s->first[p] += s->count[q];
    }
  }
  return PERI_OK;
}

static void fill_pairs(const libsvm *s) {
  peri_svm *m = s->model;
  if (m->k == 0) {
    m->intercept[0] = -s->rho[0];
    return;
  }
  for (int64_t p = 0; p < m->k; p++) {
    m->classes[s->rank[p]] = s->label[p];
    for (int64_t q = p + 1; q < m->k; q++) {
      int64_t from = peri_svm_pair_number(m->k, p, q), a = s->rank[p], b = s->rank[q];
      bool turned = a > b;
      int64_t to = turned ? peri_svm_pair_number(m->k, b, a) : peri_svm_pair_number(m->k, a, b);
      m->intercept[to] = turned != (m->k == 2) ? s->rho[from] : -s->rho[from];
      if (m->prob_a == NULL) continue;
      /* P(first) = 1 / (1 + exp(a f + b)); of the other order it is 1 - P at -f */
      m->prob_a[to] = s->prob_a[from];
      m->prob_b[to] = turned ? -s->prob_b[from] : s->prob_b[from];
    }
  }
}

static peri_status make_room(libsvm *s) {
  bool classes = is_classifier(s);
  int64_t *counts = &s->supports;
  PERI_TRY(peri_svm_new(s->context, &s->model));
  peri_svm *m = s->model;
  m->options = peri_svm_defaults(s->type);
  m->options.kernel = s->kernel;
  m->options.degree = has(s, "degree") ? s->degree : m->options.degree;
  m->options.coef0 = s->coef0;
  if (has(s, "gamma")) {
    m->options.gamma_mode = PERI_GAMMA_VALUE;
    m->options.gamma = s->gamma;
  }
  m->options.probability = classes && s->prob_a != NULL;
  m->dtype = PERI_FLOAT64;
  m->d = s->sparse.d;
  m->n = s->kernel == PERI_SVM_PRECOMPUTED ? m->d : peri_max(s->supports, 1);
  m->gamma = has(s, "gamma") ? s->gamma : 0;
  if (classes) {
    PERI_TRY(peri_blocks_new(&s->blocks, s->k, sizeof *counts, &counts));
    for (int64_t p = 0; p < s->k; p++) counts[s->rank[p]] = s->count[p];
  }
  PERI_TRY(peri_svm_make_room(m, classes ? s->k : 0, counts));
  if (m->support_vectors != NULL) memset(m->support_vectors, 0, (size_t)m->supports * (size_t)m->d * sizeof(double));
  fill_pairs(s);
  return PERI_OK;
}

static peri_status read_twice(libsvm *s) {
  PERI_TRY(read_header(s));
  if (is_classifier(s)) PERI_TRY(rank_classes(s));
  PERI_TRY(read_supports(s));
  if (s->given->features > 0) s->sparse.d = s->given->features;
  if (s->sparse.d == 0)
    return peri_text_fail(&s->text, s->header_lines,
                          "no support vector has a feature, so that their number is unknown (ask for features)");
  if (s->sparse.d > INT32_MAX)
    return peri_text_fail(&s->text, s->sparse.largest_line, "there would be %lld features (expected at most 2^31 - 1)",
                          (long long)s->sparse.d);
  if (s->kernel != PERI_SVM_PRECOMPUTED)
    PERI_TRY(peri_sparse_check_size(&s->sparse, "the matrix of support vectors", s->supports, PERI_FLOAT64));
  PERI_TRY(make_room(s));
  PERI_TRY(peri_text_rewind(&s->text));
  PERI_TRY(skip_header(s));
  PERI_TRY(read_supports(s));
  return peri_svm_prepare(s->context, s->model);
}

static peri_status read_model(peri_reader *reader, const peri_libsvm_options *options, peri_svm **out) {
  libsvm s = {.context = reader->context, .blocks = {.context = reader->context}, .given = options};
  if (options->features < 0 || options->features > INT32_MAX) {
    return peri_fail(reader->context, PERI_ERR_ARGUMENT, "%s: features is %lld (expected a number from 1)",
                     reader->operation, (long long)options->features);
  }
  PERI_TRY(peri_text_open(&s.text, reader, PERI_NO_COMMENTS));
  s.sparse = (peri_sparse){.text = &s.text, .first = options->zero_based ? 0 : 1, .features = options->features};
  peri_status status = read_twice(&s);
  if (status == PERI_OK) {
    *out = s.model;
  } else {
    peri_svm_release(reader->context, &s.model);
  }
  peri_blocks_release(&s.blocks);
  peri_text_close(&s.text);
  return status;
}

peri_status peri_svm_read_libsvm(peri_context *context, const char *path, const peri_libsvm_options *options,
                                 peri_svm **out) {
  peri_reader reader;
  *out = NULL;
  PERI_TRY(peri_reader_open(context, "load_libsvm", path, &reader));
  peri_status status = read_model(&reader, options, out);
  peri_reader_close(&reader);
  return status;
}

peri_status peri_svm_parse_libsvm(peri_context *context, const char *name, const void *bytes, size_t size,
                                  const peri_libsvm_options *options, peri_svm **out) {
  peri_reader reader;
  *out = NULL;
  peri_reader_open_memory(context, "load_libsvm", name, bytes, size, &reader);
  peri_status status = read_model(&reader, options, out);
  peri_reader_close(&reader);
  return status;
}
