/* Broadcasting and the iterator that walks operands together. */
#include "tensor/tensor.h"

/* Elements in one piece of work for the team; below it, no thread is woken. To measure: ./dev bench parts loops. */
#define GRAIN 32768
#define LINE  64 /* elements after which a thread writes to no line of memory of its neighbour's */

peri_status peri_broadcast(peri_context *context, const char *operation, int n, peri_tensor *const *tensors, int *ndim,
                           int64_t *shape) {
  *ndim = 0;
  for (int i = 0; i < n; i++) {
    if (tensors[i] != NULL && tensors[i]->layout.ndim > *ndim) *ndim = tensors[i]->layout.ndim;
  }
  for (int d = 0; d < *ndim; d++) shape[d] = 1;
  for (int i = 0; i < n; i++) {
    if (tensors[i] == NULL) continue;
    const peri_layout *layout = &tensors[i]->layout;
    int shift = *ndim - layout->ndim;
    for (int d = 0; d < layout->ndim; d++) {
      int64_t size = layout->shape[d];
      if (size == 1 || size == shape[shift + d]) continue;
      if (shape[shift + d] != 1) {
        char first[PERI_SHAPE_TEXT], second[PERI_SHAPE_TEXT];
        const peri_layout *other = NULL;
        for (int j = 0; j < i && other == NULL; j++) {
          int place = tensors[j] == NULL ? -1 : shift + d - (*ndim - tensors[j]->layout.ndim);
          if (place >= 0 && tensors[j]->layout.shape[place] != 1) other = &tensors[j]->layout;
        }
        return peri_fail(context, PERI_ERR_ARGUMENT, "%s: shapes %s and %s cannot be broadcast together", operation,
                         peri_shape_text(other->ndim, other->shape, first),
                         peri_shape_text(layout->ndim, layout->shape, second));
      }
      shape[shift + d] = size;
    }
  }
  return PERI_OK;
}

/* Two neighbouring dimensions are one when stepping past the end of the inner is a step of the outer. */
static bool mergeable(const peri_iterator *it, int outer_operand_dim, const ptrdiff_t outer[PERI_MAX_OPERANDS]) {
  for (int o = 0; o < it->operands; o++) {
    if (it->strides[o][outer_operand_dim] * it->shape[outer_operand_dim] != outer[o]) return false;
  }
  return true;
}

static void add_dimension(peri_iterator *it, int64_t size, const ptrdiff_t stride[PERI_MAX_OPERANDS]) {
  if (size == 1) return;
  if (it->ndim > 0 && mergeable(it, it->ndim - 1, stride)) {
    it->shape[it->ndim - 1] *= size;
    return;
  }
  it->shape[it->ndim] = size;
  for (int o = 0; o < it->operands; o++) it->strides[o][it->ndim] = stride[o];
  it->ndim++;
}

/* A short innermost row costs more in calls than a strided walk along the longest dimension. */
static void lengthen_rows(peri_iterator *it) {
  if (it->ndim < 2 || it->shape[0] >= 16) return;
  int longest = 0;
  for (int d = 1; d < it->ndim; d++) {
    if (it->shape[d] > 4 * it->shape[longest]) longest = d;
  }
  if (longest == 0) return;
  int64_t size = it->shape[0];
  it->shape[0] = it->shape[longest];
  it->shape[longest] = size;
  for (int o = 0; o < it->operands; o++) {
    ptrdiff_t stride = it->strides[o][0];
    it->strides[o][0] = it->strides[o][longest];
    it->strides[o][longest] = stride;
  }
}

void peri_iterator_open_in_order(peri_iterator *it, int ndim, const int64_t *shape, int operands,
                                 const peri_view *const *views) {
  it->operands = operands;
  it->ndim = 0;
  it->numel = 1;
  for (int o = 0; o < operands; o++) it->data[o] = views[o] != NULL ? views[o]->data : NULL;
  for (int d = ndim - 1; d >= 0; d--) {
    ptrdiff_t stride[PERI_MAX_OPERANDS];
    for (int o = 0; o < operands; o++) {
      const peri_layout *layout = views[o] != NULL ? &views[o]->layout : NULL;
      int place = layout != NULL ? d - (ndim - layout->ndim) : -1;
      bool repeated = place < 0 || layout->shape[place] == 1;
      stride[o] = repeated ? 0 : layout->strides[place] * (ptrdiff_t)peri_dtype_size(layout->dtype);
    }
    it->numel *= shape[d];
    add_dimension(it, shape[d], stride);
  }
  if (it->ndim == 0) {
    it->ndim = 1;
    it->shape[0] = 1;
    for (int o = 0; o < operands; o++) {
      it->strides[o][0] = views[o] != NULL ? (ptrdiff_t)peri_dtype_size(views[o]->layout.dtype) : 0;
    }
  }
}

void peri_iterator_open(peri_iterator *it, int ndim, const int64_t *shape, int operands,
                        const peri_view *const *views) {
  peri_iterator_open_in_order(it, ndim, shape, operands, views);
  lengthen_rows(it);
}

void peri_iterator_scalar(peri_iterator *it, int operand, const void *element) {
  it->data[operand] = (char *)(uintptr_t)element;
  for (int d = 0; d < it->ndim; d++) it->strides[operand][d] = 0;
}

typedef struct walk {
  const peri_iterator *it;
  peri_row_body row;
  void *arg;
  int64_t step; /* elements of a piece */
} walk;

/* Elements begin .. end-1 in the iterator's order. */
static void walk_range(const walk *job, int64_t begin, int64_t end) {
  const peri_iterator *it = job->it;
  int64_t index[PERI_MAX_DIMS], rest = begin;
  char *data[PERI_MAX_OPERANDS];
  ptrdiff_t strides[PERI_MAX_OPERANDS];
  for (int d = 0; d < it->ndim; d++) {
    index[d] = rest % it->shape[d];
    rest /= it->shape[d];
  }
  for (int o = 0; o < it->operands; o++) {
    data[o] = it->data[o];
    strides[o] = it->strides[o][0];
    for (int d = 0; d < it->ndim; d++) data[o] += index[d] * it->strides[o][d];
  }
  while (begin < end) {
    int64_t n = peri_min(it->shape[0] - index[0], end - begin);
    job->row(job->arg, n, data, strides);
    begin += n;
    if (begin >= end) break;
    for (int o = 0; o < it->operands; o++) data[o] -= index[0] * strides[o];
    index[0] = 0;
    for (int d = 1; d < it->ndim; d++) {
      for (int o = 0; o < it->operands; o++) data[o] += it->strides[o][d];
      if (++index[d] < it->shape[d]) break;
      for (int o = 0; o < it->operands; o++) data[o] -= it->shape[d] * it->strides[o][d];
      index[d] = 0;
    }
  }
}

static void walk_piece(void *arg, int64_t piece) {
  const walk *job = arg;
  walk_range(job, piece * job->step, peri_min((piece + 1) * job->step, job->it->numel));
}

peri_status peri_iterate(peri_context *context, const peri_iterator *it, peri_row_body row, void *arg) {
  if (it->numel == 0) return PERI_OK;
  walk job = {it, row, arg, 0};
  if (it->numel <= GRAIN) {
    if (it->ndim == 1) {
      ptrdiff_t strides[PERI_MAX_OPERANDS];
      for (int o = 0; o < it->operands; o++) strides[o] = it->strides[o][0];
      row(arg, it->numel, it->data, strides);
    } else {
      walk_range(&job, 0, it->numel);
    }
    return PERI_OK;
  }
  job.step = (peri_even_step(it->numel, GRAIN) + LINE - 1) / LINE * LINE;
  return peri_parallel(context, (it->numel + job.step - 1) / job.step, walk_piece, &job);
}

/* ---- in order ---- */

/* One thread, with a look at the flag now and then. */
static void walk_alone(const peri_context *context, const walk *job) {
  for (int64_t begin = 0; begin < job->it->numel && !peri_cancelled(context); begin += 32 * GRAIN) {
    walk_range(job, begin, peri_min(begin + 32 * GRAIN, job->it->numel));
  }
}

typedef struct strips {
  const peri_context *context;
  walk job;
  int cut;
  int64_t step;
} strips;

/* A strip of the iterator: some places of one dimension, and all of the others. */
static peri_iterator take_strip(const strips *s, int64_t piece) {
  peri_iterator it = *s->job.it;
  int64_t from = piece * s->step, size = it.shape[s->cut];
  it.shape[s->cut] = peri_min(s->step, size - from);
  it.numel = it.numel / size * it.shape[s->cut];
  for (int o = 0; o < it.operands; o++) it.data[o] += from * it.strides[o][s->cut];
  return it;
}

static void walk_strip(void *arg, int64_t piece) {
  const strips *s = arg;
  peri_iterator it = take_strip(s, piece);
  walk_alone(s->context, &(walk){&it, s->job.row, s->job.arg, 0});
}

peri_status peri_iterate_in_order(peri_context *context, const peri_iterator *it, int target, peri_row_body row,
                                  void *arg) {
  strips s = {context, .job = {it, row, arg, 0}, .cut = -1};
  if (it->numel == 0) return PERI_OK;
  for (int d = 0; d < it->ndim; d++) {
    if (it->strides[target][d] != 0 && (s.cut < 0 || it->shape[d] > it->shape[s.cut])) s.cut = d;
  }
  if (s.cut < 0 || it->numel <= GRAIN) {
    walk_alone(context, &s.job);
    return peri_check_cancel(context);
  }
  int64_t size = it->shape[s.cut];
  int64_t step = peri_even_step(size, peri_max(1, GRAIN / (it->numel / size)));
  s.step = peri_max(s.cut == 0 ? LINE : 1, step); /* strips of neighbours share no line */
  return peri_parallel(context, (size + s.step - 1) / s.step, walk_strip, &s);
}
