/* The loops that copy patches of images, of one float type; tiles.isa.c includes this file behind tile.h. A vector of
 * columns may come from several runs: each is loaded into its own lanes, and nothing beside them is read. */

#define NR (2 * LANES)

/* What one run gives to a vector: `from` is where its lane 0 would lie. */
typedef struct FN(part) {
  int64_t from;
  MASK lanes;
} FN(part);

static PERI_ALWAYS_INLINE void FN(patch_steps)(const int first, const int second, const FN(part) * left,
                                               const FN(part) * right, int64_t steps, const int64_t *offsets,
                                               const T *x, T *panel) {
  for (int64_t p = 0; p < steps; p++, panel += NR) {
    const T *from = x + offsets[p];
    V a = {0}, b = {0};
    __builtin_prefetch(from + left[0].from + NR); /* for the next panel */
    for (int i = 0; i < first; i++) a = MERGE(a, left[i].lanes, from + left[i].from);
    for (int i = 0; i < second; i++) b = MERGE(b, right[i].lanes, from + right[i].from);
    FN(store)(panel, a);
    FN(store)(panel + LANES, b);
  }
}

/* The parts of the vector whose first column is `column`; returns how many. */
static int FN(find_parts)(int64_t column, int64_t runs, const peri_patch_run *run, FN(part) * parts) {
  int n = 0;
  for (int64_t i = 0; i < runs; i++) {
    int64_t low = run[i].at - column, high = low + run[i].count;
    if (high <= 0 || low >= LANES) continue;
    parts[n++] = (FN(part)){run[i].from - low, MASK_OF((int)(low < 0 ? 0 : low), (int)(high > LANES ? LANES : high))};
  }
  return n;
}

static void FN(patches)(int64_t runs, const peri_patch_run *run, int64_t steps, const int64_t *offsets,
                        const void *from, void *panel) {
  FN(part) left[LANES], right[LANES];
  int first = FN(find_parts)(0, runs, run, left), second = FN(find_parts)(LANES, runs, run, right);
  if (first == 1 && second == 1)
    FN(patch_steps)(1, 1, left, right, steps, offsets, from, panel);
  else if (first == 1 && second == 2)
    FN(patch_steps)(1, 2, left, right, steps, offsets, from, panel);
  else if (first == 2 && second == 1)
    FN(patch_steps)(2, 1, left, right, steps, offsets, from, panel);
  else if (first == 2 && second == 2)
    FN(patch_steps)(2, 2, left, right, steps, offsets, from, panel);
  else
    FN(patch_steps)(first, second, left, right, steps, offsets, from, panel);
}

/* Whole vectors are written: what goes beyond a run is written again by the next one, or lies between rows. */
static void FN(patch_rows)(int64_t runs, const peri_patch_run *run, int64_t rows, const int64_t *offsets,
                           const void *from, void *panel) {
  for (int64_t r = 0; r < rows; r++) {
    const T *x = (const T *)from + offsets[r];
    T *row = (T *)panel + r * PERI_A_PITCH;
    for (int64_t i = 0; i < runs; i++) {
      const T *source = x + run[i].from;
      T *to = row + run[i].at;
      int64_t at = 0, count = run[i].count;
      for (; at + LANES <= count; at += LANES) FN(store)(to + at, FN(load)(source + at));
      if (at < count) FN(store)(to + at, LOAD(source + at, count - at));
    }
  }
}

/* Exact lengths: a vector that was written beside its run would be waited for when the next run is read. */
typedef T FN(wide) __attribute__((vector_size(32)));
typedef T FN(narrow) __attribute__((vector_size(16)));
#define ADD(type)                                                                                                      \
  {                                                                                                                    \
    type a, b;                                                                                                         \
    memcpy(&a, y + at, sizeof a);                                                                                      \
    memcpy(&b, x + at, sizeof b);                                                                                      \
    a += b;                                                                                                            \
    memcpy(y + at, &a, sizeof a);                                                                                      \
    at += (int64_t)(sizeof(type) / sizeof(T));                                                                         \
  }
static PERI_ALWAYS_INLINE void FN(add_run)(int64_t count, const T *x, T *y) {
  int64_t at = 0;
  while (at + LANES <= count) ADD(V)
#if PERI_VECTOR > 32
  if (at + (int64_t)(sizeof(FN(wide)) / sizeof(T)) <= count) ADD(FN(wide))
#endif
#if PERI_VECTOR > 16
  if (at + (int64_t)(sizeof(FN(narrow)) / sizeof(T)) <= count) ADD(FN(narrow))
#endif
#pragma GCC unroll 3
  for (int i = 0; i < 3; i++) {
    if (at < count) y[at] += x[at], at++;
  }
}
#undef ADD

static void FN(add_patches)(int64_t runs, int64_t count, const peri_patch_run *run, int64_t rows,
                            const int64_t *offsets, const void *from, int64_t ld, void *to) {
  for (int64_t r = 0; r < rows; r++) {
    const T *x = (const T *)from + r * ld;
    T *y = (T *)to + offsets[r];
    if (count == LANES) {
      for (int64_t i = 0; i < runs; i++) FN(add_run)(LANES, x + run[i].at, y + run[i].from);
    } else if (count == 2 * LANES) {
      for (int64_t i = 0; i < runs; i++) FN(add_run)(2 * LANES, x + run[i].at, y + run[i].from);
    } else {
      for (int64_t i = 0; i < runs; i++) FN(add_run)(count, x + run[i].at, y + run[i].from);
    }
  }
}

#define EVEN(l, side) (2 * (l))
static void FN(pick)(int64_t n, int64_t step, const void *from, void *to) {
  const T *x = from;
  T *y = to;
  int64_t i = 0;
  for (; step == 2 && i + LANES < n; i += LANES) { /* of the last pair, the second element may not be there */
    V first = FN(load)(x + 2 * i), second = FN(load)(x + 2 * i + LANES);
    FN(store)(y + i, __builtin_shufflevector(first, second, EACH_LANE(EVEN, 0)));
  }
  for (; i < n; i++) y[i] = x[i * step];
}
#undef EVEN

static void FN(pad)(int64_t rows, int64_t before, int64_t n, int64_t after, const void *from, int64_t ld, void *to,
                    int64_t pitch) {
  const T *x = from;
  T *y = to;
  const V zero = {0};
  for (int64_t r = 0; r < rows; r++, x += ld, y += pitch) {
    int64_t at = 0;
    for (int64_t i = 0; i < before; i += LANES) FN(store)(y + i, zero);
    for (; at + LANES <= n; at += LANES) FN(store)(y + before + at, FN(load)(x + at));
    if (at < n) FN(store)(y + before + at, LOAD(x + at, n - at));
    for (int64_t i = 0; i < after; i += LANES) FN(store)(y + before + n + i, zero);
  }
}

#undef NR
