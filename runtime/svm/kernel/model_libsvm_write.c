/* Writing LIBSVM's model files; see model_libsvm.h. */
#include "svm/kernel/model_libsvm.h"

#include "data/file.h"
#include "data/number.h"
#include "svm/grouping.h"

#include <inttypes.h>
#include <stdio.h>

#define ITEM 64 /* the longest word with what is around it */

/* The text in the making: part after part, in each item after item, as far as the buffer goes. */
typedef struct writer {
  const peri_svm *model;
  double sign;           /* from public arrays to LIBSVM's: of two classes theirs are positive for the first */
  int64_t part, row, at; /* what comes next */
  bool keep_width;       /* no support vector has the last feature */
  char *buffer;
  size_t size;
} writer;

static void put_text(writer *w, const char *text) {
  size_t length = strlen(text);
  memcpy(w->buffer + w->size, text, length);
  w->size += length;
}

static void put_number(writer *w, double value) {
  w->size += peri_number_text(value == 0 ? 0 : value, false, w->buffer + w->size);
}

static void put_integer(writer *w, int64_t value) {
  w->size += (size_t)snprintf(w->buffer + w->size, ITEM, "%" PRId64, value);
}

/* For another item; a part begins with room for two, so that what stands before its first item is written once. */
static bool has_room(const writer *w, size_t items) { return w->size + items * 2 * ITEM <= PERI_FILE_BUFFER; }

/* ---- the header ---- */

static void put_head(writer *w) {
  const peri_svm *m = w->model;
  peri_svm_kernel_id kernel = m->options.kernel;
  bool poly = kernel == PERI_SVM_POLY, sigmoid = kernel == PERI_SVM_SIGMOID;
  put_text(w, "svm_type ");
  put_text(w, peri_svm_type_table[m->options.type].libsvm);
  put_text(w, "\nkernel_type ");
  put_text(w, peri_libsvm_kernel_name(kernel));
  if (poly) {
    put_text(w, "\ndegree ");
    put_integer(w, m->options.degree);
  }
  if (poly || sigmoid || kernel == PERI_SVM_RBF) {
    put_text(w, "\ngamma ");
    put_number(w, m->gamma);
  }
  if (poly || sigmoid) {
    put_text(w, "\ncoef0 ");
    put_number(w, m->options.coef0);
  }
  put_text(w, "\nnr_class ");
  put_integer(w, m->k > 0 ? m->k : 2);
  put_text(w, "\ntotal_sv ");
  put_integer(w, m->supports);
  put_text(w, "\n");
}

static void put_rho(writer *w, int64_t i) { put_number(w, -w->sign * w->model->intercept[i]); }
static void put_class(writer *w, int64_t i) { put_integer(w, w->model->classes[i]); }
static void put_prob_a(writer *w, int64_t i) { put_number(w, w->model->prob_a[i]); }
static void put_prob_b(writer *w, int64_t i) { put_number(w, w->model->prob_b[i]); }
static void put_count(writer *w, int64_t i) { put_integer(w, w->model->n_support[i]); }

typedef enum header_count { OF_PAIRS, OF_CLASSES, OF_PROBABILITIES } header_count;

static const struct {
  const char *name;
  header_count count;
  void (*put)(writer *w, int64_t i);
} lists[] = {{"rho", OF_PAIRS, put_rho},
             {"label", OF_CLASSES, put_class},
             {"probA", OF_PROBABILITIES, put_prob_a},
             {"probB", OF_PROBABILITIES, put_prob_b},
             {"nr_sv", OF_CLASSES, put_count}};

static int64_t length_of(const peri_svm *m, header_count count) {
  if (count == OF_CLASSES) return m->k;
  return count == OF_PAIRS || m->prob_a != NULL ? m->pairs : 0;
}

/* The list of the part, a line; true when it is done. */
static bool put_list(writer *w) {
  int64_t length = length_of(w->model, lists[w->part].count);
  if (length == 0) return true;
  if (w->at == 0) put_text(w, lists[w->part].name);
  for (; w->at < length && has_room(w, 1); w->at++) {
    put_text(w, " ");
    lists[w->part].put(w, w->at);
  }
  if (w->at < length) return false;
  put_text(w, "\n");
  return true;
}

/* ---- support vectors ---- */

/* The coefficients, then the features that are not 0, of the row; true when it is done. */
static bool put_row(writer *w) {
  const peri_svm *m = w->model;
  bool given = m->options.kernel == PERI_SVM_PRECOMPUTED;
  int64_t items = m->rows + (given ? 1 : m->d);
  for (; w->at < items && has_room(w, 1); w->at++) {
    int64_t column = w->at - m->rows;
    if (column < 0) {
      put_number(w, w->sign * m->dual_coef[w->at * m->supports + w->row]);
      put_text(w, " ");
      continue;
    }
    double value =
        given ? (double)(m->support[w->row] + 1) : peri_value(m->dtype, m->support_vectors, w->row * m->d + column);
    if (value == 0 && !(w->keep_width && w->row == 0 && column == m->d - 1)) continue;
    put_integer(w, given ? 0 : column + 1);
    put_text(w, ":");
    put_number(w, value);
    put_text(w, " ");
  }
  if (w->at < items) return false;
  put_text(w, "\n");
  return true;
}

static peri_status next_text(void *arg, const void **bytes, size_t *size) {
  writer *w = arg;
  const int64_t header = (int64_t)PERI_COUNT(lists);
  w->size = 0;
  if (w->part < 0) {
    put_head(w);
    w->part = 0;
  }
  while (w->part < header && has_room(w, 2)) {
    if (!put_list(w)) break;
    w->at = 0;
    w->part++;
    if (w->part == header) put_text(w, "SV\n");
  }
  while (w->part == header && w->row < w->model->supports && has_room(w, 2)) {
    if (!put_row(w)) break;
    w->at = 0;
    w->row++;
  }
  *bytes = w->buffer;
  *size = w->size;
  return PERI_OK;
}

static bool last_feature_is_zero(const peri_svm *m) {
  if (m->support_vectors == NULL) return false;
  for (int64_t s = 0; s < m->supports; s++) {
    if (peri_value(m->dtype, m->support_vectors, (s + 1) * m->d - 1) != 0) return false;
  }
  return true;
}

peri_status peri_svm_write_libsvm(peri_context *context, const char *path, const peri_svm *model) {
  writer w = {.model = model, .sign = model->k == 2 ? -1 : 1, .part = -1, .keep_width = last_feature_is_zero(model)};
  return peri_file_write_buffered(context, path, &w.buffer, next_text, &w);
}
