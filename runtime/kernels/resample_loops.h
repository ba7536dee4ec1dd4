/* Loops of resampling for one element type: resample.c includes this file with T the type and FN(name) the name with
 * the type's suffix. */

/* A row of y's width from a row of x. */
static void FN(across)(const peri_taps *taps, const T *row, T *out) {
  const int32_t *low = taps->low, *high = taps->high;
  const T *a = taps->low_weight, *b = taps->high_weight;
  if (a == NULL) {
    for (int64_t j = 0; j < taps->count; j++) out[j] = row[low[j]];
  } else {
    for (int64_t j = 0; j < taps->count; j++) out[j] = a[j] * row[low[j]] + b[j] * row[high[j]];
  }
}

/* Rows of x that were resampled across, and which they are; two at a time. */
typedef struct FN(rows) {
  T *row[2];
  int64_t held[2];
} FN(rows);

/* The row of x of that number, across; the one called `other` is not lost. */
static const T *FN(take)(FN(rows) * rows, const peri_taps *taps, const T *x, int64_t number, int64_t other) {
  for (int k = 0; k < 2; k++) {
    if (rows->held[k] == number) return rows->row[k];
  }
  int k = rows->held[0] == other;
  FN(across)(taps, x + number * taps->n, rows->row[k]);
  rows->held[k] = number;
  return rows->row[k];
}

static void FN(down)(int64_t n, T a, const T *restrict low, T b, const T *restrict high, T *restrict out) {
  for (int64_t j = 0; j < n; j++) out[j] = a * low[j] + b * high[j];
}

/* Rows from .. to of all planes' rows of y, counted through. */
static void FN(forward)(const resample_job *job, int64_t from, int64_t to, void *scratch) {
  const peri_taps *down = &job->taps[0], *across = &job->taps[1];
  const int64_t width = across->count;
  FN(rows) rows = {{(T *)scratch, (T *)scratch + width}, {-1, -1}};
  T *y = (T *)job->to + from * width;
  for (int64_t r = from; r < to; r++, y += width) {
    const int64_t plane = r / down->count, i = r % down->count;
    const T *x = (const T *)job->from + plane * down->n * across->n;
    if (i == 0) rows.held[0] = rows.held[1] = -1;
    if (down->n == 1 && down->count == 1) {
      FN(across)(across, x, y);
    } else if (down->low_weight == NULL) {
      if (r > from && i > 0 && down->low[i] == down->low[i - 1]) {
        memcpy(y, y - width, (size_t)width * sizeof(T));
      } else {
        FN(across)(across, x + down->low[i] * across->n, y);
      }
    } else {
      const T *low = FN(take)(&rows, across, x, down->low[i], down->high[i]);
      const T *high = FN(take)(&rows, across, x, down->high[i], down->low[i]);
      FN(down)(width, ((const T *)down->low_weight)[i], low, ((const T *)down->high_weight)[i], high, y);
    }
  }
}

static void FN(add_scaled)(int64_t n, T a, const T *restrict x, T *restrict sum) {
  for (int64_t j = 0; j < n; j++) sum[j] += a * x[j];
}

static void FN(add)(int64_t n, const T *restrict x, T *restrict sum) {
  for (int64_t j = 0; j < n; j++) sum[j] += x[j];
}

/* What the rows of gy have for one row of x, before it goes across: from row `i` of gy on. Returns where it ended. */
static int64_t FN(gather)(const peri_taps *down, int64_t width, const T *gy, int64_t row, int64_t i, T *sum) {
  memset(sum, 0, (size_t)width * sizeof(T));
  for (; i < down->count && down->low[i] <= row; i++) {
    const T *g = gy + i * width;
    if (down->low_weight == NULL) {
      if (down->low[i] == row) FN(add)(width, g, sum);
      continue;
    }
    if (down->low[i] == row) FN(add_scaled)(width, ((const T *)down->low_weight)[i], g, sum);
    if (down->high[i] == row) FN(add_scaled)(width, ((const T *)down->high_weight)[i], g, sum);
  }
  return i;
}

static void FN(spread)(const peri_taps *taps, const T *g, T *gx) {
  const T *a = taps->low_weight, *b = taps->high_weight;
  memset(gx, 0, (size_t)taps->n * sizeof(T));
  for (int64_t j = 0; j < taps->count; j++) {
    if (a == NULL) {
      gx[taps->low[j]] += g[j];
    } else {
      gx[taps->low[j]] += a[j] * g[j];
      gx[taps->high[j]] += b[j] * g[j];
    }
  }
}

/* Rows from .. to of all planes' rows of x. */
static void FN(backward)(const resample_job *job, int64_t from, int64_t to, void *scratch) {
  const peri_taps *down = &job->taps[0], *across = &job->taps[1];
  const int64_t width = across->count;
  T *gx = (T *)job->to + from * across->n;
  for (int64_t r = from; r < to; r++, gx += across->n) {
    const int64_t plane = r / down->n, row = r % down->n;
    const T *gy = (const T *)job->from + plane * down->count * width;
    if (down->n == 1 && down->count == 1) {
      FN(spread)(across, gy, gx);
      continue;
    }
    FN(gather)(down, width, gy, row, first_of(down, row), scratch);
    FN(spread)(across, scratch, gx);
  }
}
