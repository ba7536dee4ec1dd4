/* Rotations of planes of one float type: T is the type, FN(name) its functions. Included by images.c alone. */

/* The pixel of x, or the value where there is none. */
static double FN(pixel)(const image_job *job, const T *x, double row, double column) {
  const peri_image_set *set = job->set;
  if (!(row >= 0 && row < (double)set->rows && column >= 0 && column < (double)set->columns)) return job->value;
  return (double)x[(int64_t)row * set->columns + (int64_t)column];
}

/* What lies between four pixels. */
static double FN(between)(const image_job *job, const T *x, place p) {
  const double row = floor(p.row), column = floor(p.column), down = p.row - row, right = p.column - column;
  const double above = (1 - right) * FN(pixel)(job, x, row, column) + right * FN(pixel)(job, x, row, column + 1);
  const double below =
      (1 - right) * FN(pixel)(job, x, row + 1, column) + right * FN(pixel)(job, x, row + 1, column + 1);
  return (1 - down) * above + down * below;
}

static void FN(rotate)(const image_job *job, int64_t plane, int64_t row) {
  const peri_image_set *set = job->set;
  const T *x = (const T *)(const void *)job->from + plane * set->rows * set->columns;
  T *y = (T *)(void *)job->to + (plane * set->rows + row) * set->columns;
  for (int64_t j = 0; j < set->columns; j++) {
    const place p = place_of(job, plane / set->planes, row, j);
    y[j] = (T)(job->nearest ? FN(pixel)(job, x, floor(p.row + 0.5), floor(p.column + 0.5)) : FN(between)(job, x, p));
  }
}
