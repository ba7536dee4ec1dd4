/* Stable sorting of items; sort.c includes this file for each form of an item: T, FN(name), BEFORE(a, b), which is
 * strict, and DIGIT(item, d), the d-th byte of its key from the lowest.
 *
 * Few items are merged from runs that insertion sorts; more are sorted digit by digit (radix sort, least significant
 * first), without digits that all share. */

static void FN(insertion_sort)(int64_t n, T *items) {
  for (int64_t i = 1; i < n; i++) {
    T moving = items[i];
    int64_t j = i;
    for (; j > 0 && BEFORE(moving, items[j - 1]); j--) items[j] = items[j - 1];
    items[j] = moving;
  }
}

static void FN(merge)(const T *a, int64_t na, const T *b, int64_t nb, T *out) {
  int64_t i = 0, j = 0;
  while (i < na && j < nb) {
    bool second = BEFORE(b[j], a[i]);
    *out++ = second ? b[j] : a[i];
    j += second;
    i += !second;
  }
  memcpy(out, a + i, (size_t)(na - i) * sizeof(T));
  memcpy(out + (na - i), b + j, (size_t)(nb - j) * sizeof(T));
}

static void FN(merge_sort)(int64_t n, T *items, T *spare) {
  for (int64_t i = 0; i < n; i += RUN) FN(insertion_sort)(peri_min(RUN, n - i), items + i);
  T *from = items, *to = spare;
  for (int64_t run = RUN; run < n; run *= 2) {
    for (int64_t i = 0; i < n; i += 2 * run) {
      int64_t left = peri_min(run, n - i), right = peri_min(run, n - i - left);
      FN(merge)(from + i, left, from + i + left, right, to + i);
    }
    T *swap = from;
    from = to;
    to = swap;
  }
  if (from != items) memcpy(items, from, (size_t)n * sizeof(T));
}

/* How often each value of each digit stands. */
static void FN(count_all)(int64_t n, int digits, const T *items, int64_t counts[][BUCKETS]) {
  for (int64_t i = 0; i < n; i++) {
    for (int d = 0; d < digits; d++) counts[d][DIGIT(items[i], d)]++;
  }
}

static void FN(count)(int64_t n, int d, const T *items, int64_t counts[BUCKETS]) {
  memset(counts, 0, BUCKETS * sizeof *counts);
  for (int64_t i = 0; i < n; i++) counts[DIGIT(items[i], d)]++;
}

/* Each item to the next place of its bucket. */
static void FN(deal)(int64_t n, int d, const T *items, int64_t places[BUCKETS], T *to) {
  for (int64_t i = 0; i < n; i++) to[places[DIGIT(items[i], d)]++] = items[i];
}

static void FN(radix_sort)(int64_t n, int digits, T *items, T *spare) {
  int64_t counts[DIGITS][BUCKETS];
  memset(counts, 0, (size_t)digits * sizeof *counts);
  FN(count_all)(n, digits, items, counts);
  T *from = items, *to = spare;
  for (int d = 0; d < digits; d++) {
    if (counts[d][DIGIT(from[0], d)] == n) continue;
    int64_t start = 0;
    for (int bucket = 0; bucket < BUCKETS; bucket++) {
      int64_t count = counts[d][bucket];
      counts[d][bucket] = start;
      start += count;
    }
    FN(deal)(n, d, from, counts[d], to);
    T *swap = from;
    from = to;
    to = swap;
  }
  if (from != items) memcpy(items, from, (size_t)n * sizeof(T));
}

static void FN(sort)(int64_t n, int digits, T *items, T *spare) {
  bool sorted = true;
  for (int64_t i = 1; i < n; i++) sorted &= !BEFORE(items[i], items[i - 1]);
  if (sorted) return;
  if (n < FEW * digits) {
    FN(merge_sort)(n, items, spare);
  } else {
    FN(radix_sort)(n, digits, items, spare);
  }
}
