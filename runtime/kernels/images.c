/* Images that are moved: rows of all planes, counted through, are cut into pieces of about a grain. */
#include "kernels/images.h"
#include "kernels/rows.h"

#include <math.h>

typedef struct image_job {
  const peri_image_set *set;
  int64_t rows, step; /* of y, in all; of a piece */
  size_t size;
  const char *element;
  const char *from;
  char *to;
  const peri_move *moves;
  const double *sines, *cosines;
  double value;
  bool nearest;
  void (*rotate)(const struct image_job *job, int64_t plane, int64_t row);
} image_job;

static peri_status run(peri_context *context, image_job *job, peri_body body) {
  const peri_image_set *set = job->set;
  job->rows = set->count * set->planes * set->out_rows;
  if (job->rows == 0 || set->out_columns == 0) return PERI_OK;
  job->step = peri_max(1, PERI_GRAIN / set->out_columns);
  return peri_parallel(context, (job->rows + job->step - 1) / job->step, body, job);
}

/* ---- moves ---- */

static void fill(const image_job *job, char *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) memcpy(to + (size_t)i * job->size, job->element, job->size);
}

/* A row of y from a row of x. */
static void move_columns(const image_job *job, const peri_move *move, const char *from, char *to) {
  const peri_image_set *set = job->set;
  const size_t size = job->size;
  const int64_t first = peri_min(peri_max(0, move->right), set->out_columns);
  const int64_t end = peri_max(first, peri_min(set->out_columns, set->columns + move->right));
  fill(job, to, first);
  if (end > first && !move->mirror_columns) {
    memcpy(to + (size_t)first * size, from + (size_t)(first - move->right) * size, (size_t)(end - first) * size);
  } else {
    for (int64_t j = first; j < end; j++) {
      memcpy(to + (size_t)j * size, from + (size_t)(set->columns - 1 - (j - move->right)) * size, size);
    }
  }
  fill(job, to + (size_t)end * size, set->out_columns - end);
}

static void move_piece(void *arg, int64_t piece) {
  const image_job *job = arg;
  const peri_image_set *set = job->set;
  const int64_t from = piece * job->step, to = peri_min(job->rows, from + job->step);
  for (int64_t r = from; r < to; r++) {
    const int64_t plane = r / set->out_rows;
    const peri_move *move = &job->moves[plane / set->planes];
    const int64_t row = r % set->out_rows - move->down;
    char *y = job->to + (size_t)(r * set->out_columns) * job->size;
    if (row < 0 || row >= set->rows || set->columns == 0) {
      fill(job, y, set->out_columns);
      continue;
    }
    const int64_t source = plane * set->rows + (move->mirror_rows ? set->rows - 1 - row : row);
    move_columns(job, move, job->from + (size_t)(source * set->columns) * job->size, y);
  }
}

peri_status peri_move_images(peri_context *context, const peri_image_set *set, const peri_move *moves, size_t size,
                             const void *element, const void *x, void *y) {
  image_job job = {.set = set, .size = size, .element = element, .from = x, .to = y, .moves = moves};
  return run(context, &job, move_piece);
}

/* ---- rotations ---- */

/* Where a pixel of y came from, in rows and columns of x. */
typedef struct place {
  double row, column;
} place;

static place place_of(const image_job *job, int64_t image, int64_t row, int64_t column) {
  const double middle_row = (double)(job->set->rows - 1) / 2, middle_column = (double)(job->set->columns - 1) / 2;
  const double up = middle_row - (double)row, right = (double)column - middle_column;
  const double s = job->sines[image], c = job->cosines[image];
  return (place){middle_row - (c * up - s * right), middle_column + (c * right + s * up)};
}

#define T        float
#define FN(name) name##_f32
#include "kernels/images_loops.h"
#undef T
#undef FN
#define T        double
#define FN(name) name##_f64
#include "kernels/images_loops.h"
#undef T
#undef FN

static void rotate_piece(void *arg, int64_t piece) {
  const image_job *job = arg;
  const int64_t from = piece * job->step, to = peri_min(job->rows, from + job->step);
  for (int64_t r = from; r < to; r++) job->rotate(job, r / job->set->rows, r % job->set->rows);
}

peri_status peri_rotate_images(peri_context *context, const peri_image_set *set, const double *sines,
                               const double *cosines, bool nearest, peri_dtype dtype, double value, const void *x,
                               void *y) {
  image_job job = {.set = set,
                   .from = x,
                   .to = y,
                   .sines = sines,
                   .cosines = cosines,
                   .value = value,
                   .nearest = nearest,
                   .rotate = dtype == PERI_FLOAT32 ? rotate_f32 : rotate_f64};
  return run(context, &job, rotate_piece);
}
