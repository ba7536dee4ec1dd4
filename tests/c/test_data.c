/* Whole files, circles and digits; measures. */
#include "data/measures.h"
#include "data_support.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- whole files ---- */

static peri_status write_text(peri_context *context, const char *path, const char *text) {
  const void *chunks[] = {text};
  size_t size = strlen(text);
  return peri_file_write_atomic(context, path, chunks, &size, 1);
}

static void check_content(peri_context *context, const char *path, const char *expected) {
  void *bytes;
  size_t size;
  peri_status status = peri_file_read(context, path, &bytes, &size);
  PERI_CHECK(status == PERI_OK, "%s", peri_message(context));
  PERI_CHECK(size == strlen(expected) && (size == 0 || memcmp(bytes, expected, size) == 0), "%zu bytes of %s", size,
             path);
  peri_free(context, bytes, size);
}

static void files_round_trip(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  const char *path = in_folder(&home, "a");
  const void *chunks[] = {"one ", NULL, "two"};
  size_t sizes[] = {4, 0, 3};
  PERI_CHECK(peri_file_write_atomic(context, path, chunks, sizes, 3) == PERI_OK, "%s", peri_message(context));
  check_content(context, path, "one two");
  PERI_CHECK(write_text(context, path, "") == PERI_OK, "%s", peri_message(context));
  check_content(context, path, "");
  PERI_CHECK(files_in(&home) == 1, "%d files", files_in(&home));
  remove_folder(&home);
  close_context(context);
}

static void file_in_the_working_folder(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  int here = open(".", O_RDONLY | O_DIRECTORY);
  PERI_CHECK(chdir(home.path) == 0, "%s", strerror(errno));
  PERI_CHECK(write_text(context, "plain", "x") == PERI_OK, "%s", peri_message(context));
  check_content(context, "plain", "x");
  PERI_CHECK(fchdir(here) == 0, "%s", strerror(errno));
  close(here);
  remove_folder(&home);
  close_context(context);
}

static void writing_keeps_mode_and_link(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  const char *path = in_folder(&home, "a"), *link = in_folder(&home, "link"), *nowhere = in_folder(&home, "nowhere");
  struct stat status;
  put_file(path, "old", 3);
  PERI_CHECK(chmod(path, 0640) == 0 && symlink("a", link) == 0 && symlink("missing", nowhere) == 0, "%s",
             strerror(errno));
  PERI_CHECK(write_text(context, link, "new") == PERI_OK, "%s", peri_message(context));
  check_content(context, path, "new");
  PERI_CHECK(stat(path, &status) == 0 && (status.st_mode & 07777) == 0640, "mode %o", (unsigned)status.st_mode);
  PERI_CHECK(lstat(link, &status) == 0 && S_ISLNK(status.st_mode), "the link is gone");
  check_failed(context, write_text(context, nowhere, "new"), PERI_ERR_IO, "nowhere|symbolic link");
  remove_folder(&home);
  close_context(context);
}

static void new_files_follow_umask(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  const char *path = in_folder(&home, "a");
  struct stat status;
  mode_t mask = umask(027);
  PERI_CHECK(write_text(context, path, "x") == PERI_OK, "%s", peri_message(context));
  umask(mask);
  PERI_CHECK(stat(path, &status) == 0 && (status.st_mode & 0777) == 0640, "mode %o", (unsigned)status.st_mode);
  remove_folder(&home);
  close_context(context);
}

static void files_that_cannot_be_read(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  const char *fifo = in_folder(&home, "fifo");
  void *bytes;
  size_t size;
  PERI_CHECK(mkfifo(fifo, 0600) == 0, "%s", strerror(errno));
  check_failed(context, peri_file_read(context, in_folder(&home, "missing"), &bytes, &size), PERI_ERR_IO,
               "missing|No such file");
  check_failed(context, peri_file_read(context, home.path, &bytes, &size), PERI_ERR_IO, "is a directory");
  check_failed(context, peri_file_read(context, fifo, &bytes, &size), PERI_ERR_IO, "pipe");
  check_failed(context, peri_file_read(context, "/dev/zero", &bytes, &size), PERI_ERR_IO, "device");
  check_failed(context, peri_file_read(context, "", &bytes, &size), PERI_ERR_IO, "No such file");
  PERI_CHECK(bytes == NULL && size == 0, "outputs are left");
  remove_folder(&home);
  close_context(context);
}

static void reading_keeps_to_the_budget(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  const char *path = in_folder(&home, "large");
  void *bytes;
  size_t size;
  put_file(path, "", 0);
  PERI_CHECK(truncate(path, (off_t)1 << 40) == 0, "%s", strerror(errno)); /* sparse */
  check_failed(context, peri_file_read(context, path, &bytes, &size), PERI_ERR_MEMORY, "out of memory|1099511627776");
  peri_cancel(context);
  put_file(path, "abc", 3);
  check_failed(context, peri_file_read(context, path, &bytes, &size), PERI_ERR_CANCELLED, "interrupted");
  check_failed(context, write_text(context, path, "new"), PERI_ERR_CANCELLED, "interrupted");
  peri_clear_cancel(context);
  check_content(context, path, "abc");
  PERI_CHECK(files_in(&home) == 1, "%d files", files_in(&home));
  remove_folder(&home);
  close_context(context);
}

static void places_that_cannot_be_written(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  const char *fifo = in_folder(&home, "fifo");
  PERI_CHECK(mkfifo(fifo, 0600) == 0, "%s", strerror(errno));
  check_failed(context, write_text(context, home.path, "x"), PERI_ERR_IO, "is a directory");
  check_failed(context, write_text(context, fifo, "x"), PERI_ERR_IO, "pipe");
  check_failed(context, write_text(context, "/dev/full", "x"), PERI_ERR_IO, "/dev/full|device");
  check_failed(context, write_text(context, in_folder(&home, "no/such"), "x"), PERI_ERR_IO, "no/such|No such file");
  check_failed(context, write_text(context, in_folder(&home, "fifo/such"), "x"), PERI_ERR_IO, "Not a directory");
  check_failed(context, write_text(context, in_folder(&home, "slash/"), "x"), PERI_ERR_IO, "slash/");
  check_failed(context, write_text(context, "", "x"), PERI_ERR_IO, "names no file");
  PERI_CHECK(files_in(&home) == 1, "%d files", files_in(&home));
  remove_folder(&home);
  close_context(context);
}

/* ---- in a child process, whose limits and rights are its own ---- */

/* Runs body in a child; its failed checks are ours. */
static void in_child(void (*body)(const folder *home), const folder *home) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    peri_test_failures = 0;
    body(home);
    fflush(stdout);
    _exit(peri_test_failures != 0);
  }
  int status = -1;
  PERI_CHECK(child > 0 && waitpid(child, &status, 0) == child, "%s", strerror(errno));
  PERI_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ended with %d", status);
}

static void write_beyond_the_disk(const folder *home) {
  static char large[1 << 20];
  peri_context *context = open_context();
  struct rlimit limit = {.rlim_cur = 65536, .rlim_max = 65536};
  const void *chunks[] = {large};
  size_t size = sizeof large;
  signal(SIGXFSZ, SIG_IGN); /* then write() stops short, as on a full disk, and says EFBIG */
  PERI_CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0, "%s", strerror(errno));
  check_failed(context, peri_file_write_atomic(context, in_folder(home, "a"), chunks, &size, 1), PERI_ERR_IO,
               "/a: cannot be written|File too large");
  close_context(context);
}

static void a_full_disk_keeps_the_old_file(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  put_file(in_folder(&home, "a"), "old", 3);
  in_child(write_beyond_the_disk, &home);
  check_content(context, in_folder(&home, "a"), "old");
  PERI_CHECK(files_in(&home) == 1, "%d files", files_in(&home));
  remove_folder(&home);
  close_context(context);
}

static void write_without_rights(const folder *home) {
  peri_context *context = open_context();
  if (geteuid() == 0) PERI_CHECK(setgid(65534) == 0 && setuid(65534) == 0, "%s", strerror(errno));
  check_failed(context, write_text(context, in_folder(home, "fresh"), "x"), PERI_ERR_IO, "fresh|Permission denied");
  check_failed(context, write_text(context, in_folder(home, "a"), "x"), PERI_ERR_IO, "a: |Permission denied");
  check_failed(context, write_text(context, in_folder(home, "shut"), "x"), PERI_ERR_IO, "shut: |Permission denied");
  void *bytes;
  size_t size;
  check_failed(context, peri_file_read(context, in_folder(home, "shut"), &bytes, &size), PERI_ERR_IO,
               "shut|Permission denied");
  close_context(context);
}

static void a_folder_without_rights(void) {
  peri_context *context = open_context();
  folder home = make_folder();
  put_file(in_folder(&home, "a"), "old", 3);
  put_file(in_folder(&home, "shut"), "old", 3);
  PERI_CHECK(chmod(in_folder(&home, "shut"), 0) == 0 && chmod(home.path, 0555) == 0, "%s", strerror(errno));
  in_child(write_without_rights, &home);
  PERI_CHECK(chmod(home.path, 0755) == 0, "%s", strerror(errno));
  check_content(context, in_folder(&home, "a"), "old");
  PERI_CHECK(files_in(&home) == 2, "%d files", files_in(&home));
  remove_folder(&home);
  close_context(context);
}

static peri_status read_and_write(peri_context *context, void *path) {
  void *bytes;
  size_t size;
  PERI_TRY(write_text(context, path, "text"));
  PERI_TRY(peri_file_read(context, path, &bytes, &size));
  peri_free(context, bytes, size);
  return PERI_OK;
}

static void files_without_memory(void) { check_failures_with_file(NULL, 0, read_and_write, 2); }

/* ---- circles ---- */

static peri_status generate(peri_context *context, const char *name, int64_t n, const double *values, uint64_t seed,
                            peri_dtype dtype, peri_tensor **x, peri_tensor **y) {
  const peri_data_set *set = peri_data_sets;
  while (strcmp(set->name, name) != 0) set++;
  peri_tensor *none;
  peri_status status = peri_data_generate(context, set, n, values, seed, dtype, x, y, &none);
  PERI_CHECK(none == NULL, "%s has numbers of its own", name);
  return status;
}

static peri_status generate_circles(peri_context *context, int64_t n, double noise, double factor, uint64_t seed,
                                    peri_dtype dtype, peri_tensor **x, peri_tensor **y) {
  return generate(context, "circles", n, (double[]){noise, factor}, seed, dtype, x, y);
}

static void circles_without_noise(void) {
  peri_context *context = open_context();
  enum { N = 101 };
  peri_tensor *x, *y;
  PERI_CHECK(generate_circles(context, N, 0, 0.5, 3, PERI_FLOAT64, &x, &y) == PERI_OK, "%s", peri_message(context));
  const double *point = peri_tensor_data(x);
  const int64_t *class = peri_tensor_data(y);
  int outer = 0, in_order = 0, seen[2][N] = {{0}};
  for (int i = 0; i < N; i++) {
    int is_outer = class[i] == 1, points = is_outer ? N / 2 : N - N / 2;
    double angle = atan2(point[2 * i + 1], point[2 * i]) / (2 * acos(-1)) * points;
    int place = (int)lround(angle < -0.25 ? angle + points : angle);
    PERI_CHECK(class[i] == 1 || class[i] == 2, "class %lld", (long long)class[i]);
    PERI_CHECK(fabs(hypot(point[2 * i], point[2 * i + 1]) - (is_outer ? 1 : 0.5)) < 1e-12, "point %d", i);
    PERI_CHECK(place >= 0 && place < points && seen[is_outer][place]++ == 0, "point %d stands at place %d", i, place);
    outer += is_outer;
    in_order += i > 0 && class[i] == class[i - 1];
  }
  PERI_CHECK(outer == N / 2, "%d outer points", outer);
  PERI_CHECK(in_order < 75, "not shuffled: %d neighbours of one class", in_order);
  peri_tensor_release(&x);
  peri_tensor_release(&y);
  close_context(context);
}

static void circles_noise_has_its_deviation(void) {
  peri_context *context = open_context();
  enum { N = 20000 };
  peri_tensor *x, *y;
  PERI_CHECK(generate_circles(context, N, 0.15, 0, 5, PERI_FLOAT32, &x, &y) == PERI_OK, "%s", peri_message(context));
  const float *point = peri_tensor_data(x);
  const int64_t *class = peri_tensor_data(y);
  double sum[2] = {0}, squares[2] = {0}, product = 0;
  for (int i = 0; i < N; i++) {
    if (class[i] == 1) continue; /* with factor 0 the inner points are noise alone */
    for (int c = 0; c < 2; c++) {
      sum[c] += (double)point[2 * i + c];
      squares[c] += (double)point[2 * i + c] * (double)point[2 * i + c];
    }
    product += (double)point[2 * i] * (double)point[2 * i + 1];
  }
  for (int c = 0; c < 2; c++) {
    double mean = sum[c] / (N / 2), deviation = sqrt(squares[c] / (N / 2) - mean * mean);
    PERI_CHECK(fabs(mean) < 0.006, "mean %g", mean);
    PERI_CHECK(fabs(deviation - 0.15) < 0.005, "deviation %g", deviation);
  }
  PERI_CHECK(fabs(product / (N / 2)) < 0.001, "covariance %g", product / (N / 2));
  peri_tensor_release(&x);
  peri_tensor_release(&y);
  close_context(context);
}

static void circles_depend_on_the_seed(void) {
  peri_context *context = open_context();
  peri_tensor *x[3], *y[3];
  for (int i = 0; i < 3; i++) {
    PERI_CHECK(generate_circles(context, 50, 0.1, 0.5, i == 2 ? 8 : 7, PERI_FLOAT32, &x[i], &y[i]) == PERI_OK, "%s",
               peri_message(context));
  }
  check_equal(x[0], x[1]);
  check_equal(y[0], y[1]);
  PERI_CHECK(memcmp(x[0]->data, x[2]->data, 50 * 2 * sizeof(float)) != 0, "seeds 7 and 8 give the same points");
  for (int i = 0; i < 3; i++) {
    peri_tensor_release(&x[i]);
    peri_tensor_release(&y[i]);
  }
  PERI_CHECK(generate_circles(context, 1, 0, 0.25, 1, PERI_FLOAT32, &x[0], &y[0]) == PERI_OK, "%s",
             peri_message(context));
  PERI_CHECK(*(int64_t *)peri_tensor_data(y[0]) == 2, "one point is an inner one");
  peri_tensor_release(&x[0]);
  peri_tensor_release(&y[0]);
  close_context(context);
}

static void circles_check_their_arguments(void) {
  static const struct {
    int64_t n;
    double noise, factor;
    peri_dtype dtype;
    const char *words;
  } wrong[] = {
      {0, 0.1, 0.5, PERI_FLOAT32, "circles: n is 0"},      {-3, 0.1, 0.5, PERI_FLOAT32, "circles: n is -3"},
      {9, -0.1, 0.5, PERI_FLOAT32, "noise is -0.1"},       {9, (double)INFINITY, 0.5, PERI_FLOAT32, "noise is inf"},
      {9, (double)NAN, 0.5, PERI_FLOAT32, "noise is nan"}, {9, 0.1, 1, PERI_FLOAT32, "factor is 1"},
      {9, 0.1, -0.5, PERI_FLOAT32, "factor is -0.5"},      {9, 0.1, (double)NAN, PERI_FLOAT32, "factor is nan"},
      {9, 0.1, 0.5, PERI_INT64, "dtype is int64"},
  };
  peri_context *context = open_context();
  for (size_t i = 0; i < PERI_COUNT(wrong); i++) {
    peri_tensor *x, *y;
    peri_status status =
        generate_circles(context, wrong[i].n, wrong[i].noise, wrong[i].factor, 1, wrong[i].dtype, &x, &y);
    check_failed(context, status, PERI_ERR_ARGUMENT, wrong[i].words);
    PERI_CHECK(x == NULL && y == NULL, "outputs are left");
  }
  peri_tensor *x, *y;
  check_failed(context, generate_circles(context, (int64_t)1 << 62, 0, 0, 1, PERI_FLOAT32, &x, &y), PERI_ERR_MEMORY,
               "out of memory");
  close_context(context);
}

static peri_status make_circles(peri_context *context, void *arg) {
  peri_tensor *x, *y;
  (void)arg;
  peri_status status = generate_circles(context, 10, 0.1, 0.5, 1, PERI_FLOAT32, &x, &y);
  if (status != PERI_OK) PERI_CHECK(x == NULL && y == NULL, "outputs are left");
  peri_tensor_release(&x);
  peri_tensor_release(&y);
  return status;
}

static void circles_without_memory(void) {
  peri_context *context = open_context();
  check_allocation_failures(context, make_circles, NULL, 2);
  close_context(context);
}

/* ---- digits ---- */

#define PIXELS 784

static peri_status generate_digits(peri_context *context, int64_t n, uint64_t seed, peri_tensor **x, peri_tensor **y) {
  return generate(context, "digits", n, NULL, seed, PERI_FLOAT32, x, y);
}

static void make_digits(peri_context *context, int64_t n, uint64_t seed, peri_tensor **x, peri_tensor **y) {
  peri_status status = generate_digits(context, n, seed, x, y);
  PERI_CHECK(status == PERI_OK, "%s", peri_message(context));
  if (status != PERI_OK) exit(1);
}

static void digits_are_a_prefix(void) {
  peri_context *context = open_context();
  peri_tensor *x[2], *y[2];
  make_digits(context, 87, 4, &x[0], &y[0]);
  make_digits(context, 200, 4, &x[1], &y[1]);
  PERI_CHECK(memcmp(x[0]->data, x[1]->data, 87 * PIXELS * sizeof(float)) == 0, "images differ");
  PERI_CHECK(memcmp(y[0]->data, y[1]->data, 87 * sizeof(int64_t)) == 0, "labels differ");
  for (int i = 0; i < 2; i++) {
    peri_tensor_release(&x[i]);
    peri_tensor_release(&y[i]);
  }
  close_context(context);
}

static void digits_on_any_number_of_threads(void) {
  peri_context *context = open_context();
  static const int threads[] = {1, 2, 3, 7};
  peri_tensor *x[4], *y[4];
  for (int i = 0; i < 4; i++) {
    peri_set_threads(context, threads[i]);
    make_digits(context, 333, 9, &x[i], &y[i]);
    check_equal(x[i], x[0]);
    check_equal(y[i], y[0]);
  }
  for (int i = 0; i < 4; i++) {
    peri_tensor_release(&x[i]);
    peri_tensor_release(&y[i]);
  }
  close_context(context);
}

static const float *sorted_images;
static int compare_images(const void *a, const void *b) {
  return memcmp(sorted_images + *(const int *)a * PIXELS, sorted_images + *(const int *)b * PIXELS,
                PIXELS * sizeof(float));
}

static void digits_are_all_different(void) {
  peri_context *context = open_context();
  enum { N = 5000 };
  static int order[N];
  peri_tensor *x, *y;
  make_digits(context, N, 1, &x, &y);
  sorted_images = peri_tensor_data(x);
  for (int i = 0; i < N; i++) order[i] = i;
  qsort(order, N, sizeof *order, compare_images);
  for (int i = 1; i < N; i++) {
    PERI_CHECK(compare_images(&order[i - 1], &order[i]) != 0, "images %d and %d are equal", order[i - 1], order[i]);
  }
  peri_tensor_release(&x);
  peri_tensor_release(&y);
  close_context(context);
}

/* Values are k/255; there is ink in the middle and none along the border; ten images show ten digits. */
static void digits_look_like_mnist(void) {
  peri_context *context = open_context();
  enum { N = 1000 };
  peri_tensor *x, *y;
  make_digits(context, N, 2, &x, &y);
  const float *image = peri_tensor_data(x);
  const int64_t *label = peri_tensor_data(y);
  int odd = 0, border = 0;
  unsigned shown = 0;
  double total = 0;
  for (int64_t i = 0; i < N; i++, image += PIXELS) {
    double ink = 0;
    for (int p = 0; p < PIXELS; p++) {
      float k = roundf(image[p] * 255);
      odd += !(k >= 0 && k <= 255 && image[p] == k / 255.0f);
      border += image[p] > 0 && (p / 28 == 0 || p / 28 == 27 || p % 28 == 0 || p % 28 == 27);
      ink += (double)image[p];
    }
    PERI_CHECK(ink > 15 && ink < 330, "image %lld has ink %g", (long long)i, ink);
    total += ink;
    shown |= 1u << label[i];
    if (i % 10 == 9) {
      PERI_CHECK(shown == 0x7fe, "images %lld to %lld show %x", (long long)i - 9, (long long)i, shown);
      shown = 0;
    }
  }
  PERI_CHECK(odd == 0, "%d values are no k/255", odd);
  PERI_CHECK(border < N / 5, "%d pixels of the border have ink", border);
  PERI_CHECK(total / N / PIXELS > 0.10 && total / N / PIXELS < 0.15, "mean %g (MNIST has 0.13)", total / N / PIXELS);
  peri_tensor_release(&x);
  peri_tensor_release(&y);
  close_context(context);
}

/* What makes the set a task: the mean image of a class is some help, not all. */
static void digits_are_neither_easy_nor_hard(void) {
  peri_context *context = open_context();
  enum { N = 5000, T = 1000 };
  static double mean[10][PIXELS];
  peri_tensor *x, *y, *tx, *ty;
  make_digits(context, N, 1, &x, &y);
  make_digits(context, T, 2, &tx, &ty);
  const float *image = peri_tensor_data(x), *test = peri_tensor_data(tx);
  const int64_t *label = peri_tensor_data(y), *expected = peri_tensor_data(ty);
  for (int i = 0; i < N; i++) {
    for (int p = 0; p < PIXELS; p++) mean[label[i] - 1][p] += (double)image[i * PIXELS + p] * 10 / N;
  }
  int right = 0;
  for (int i = 0; i < T; i++) {
    double best = (double)INFINITY;
    int nearest = -1;
    for (int c = 0; c < 10; c++) {
      double distance = 0;
      for (int p = 0; p < PIXELS; p++) {
        double difference = (double)test[i * PIXELS + p] - mean[c][p];
        distance += difference * difference;
      }
      if (distance < best) best = distance, nearest = c;
    }
    right += nearest + 1 == expected[i];
  }
  PERI_CHECK(right >= T * 60 / 100 && right <= T * 85 / 100, "nearest class mean gets %d of %d", right, T);
  peri_tensor_release(&x);
  peri_tensor_release(&y);
  peri_tensor_release(&tx);
  peri_tensor_release(&ty);
  close_context(context);
}

static void digits_check_their_arguments(void) {
  peri_context *context = open_context();
  peri_tensor *x, *y;
  check_failed(context, generate_digits(context, 0, 1, &x, &y), PERI_ERR_ARGUMENT, "digits: n is 0");
  check_failed(context, generate_digits(context, -1, 1, &x, &y), PERI_ERR_ARGUMENT, "digits: n is -1");
  check_failed(context, generate_digits(context, INT64_MAX, 1, &x, &y), PERI_ERR_MEMORY, "digits: out of memory");
  check_failed(context, generate_digits(context, 1 << 30, 1, &x, &y), PERI_ERR_MEMORY, "out of memory");
  peri_cancel(context);
  check_failed(context, generate_digits(context, 100, 1, &x, &y), PERI_ERR_CANCELLED, "interrupted");
  peri_clear_cancel(context);
  PERI_CHECK(x == NULL && y == NULL, "outputs are left");
  close_context(context);
}

static peri_status some_digits(peri_context *context, void *arg) {
  peri_tensor *x, *y;
  (void)arg;
  peri_status status = generate_digits(context, 3, 1, &x, &y);
  if (status != PERI_OK) PERI_CHECK(x == NULL && y == NULL, "outputs are left");
  peri_tensor_release(&x);
  peri_tensor_release(&y);
  return status;
}

static void digits_without_memory(void) {
  peri_context *context = open_context();
  check_allocation_failures(context, some_digits, NULL, 2);
  close_context(context);
}

/* ---- measures ---- */

static void measures(void) {
  const int64_t truth[] = {3, -1, 3, 7}, said[] = {3, 3, 3, 7};
  const double weights[] = {1, 5, 0, 2}, z[] = {1, 2, 3, 6}, off[] = {0, 0, -1, 1}, zero[4] = {0};
  PERI_CHECK(peri_measure_accuracy(4, truth, said, NULL) == 0.75, "three of four");
  PERI_CHECK(peri_measure_accuracy(4, truth, said, weights) == 3.0 / 8, "weights 1, 0 and 2 of 8");
  PERI_CHECK(peri_measure_r_squared(4, z, off, NULL) == 1 - 2.0 / 14, "residual 2, total 14");
  const double twice[] = {1, 1, 2, 2}, long_z[] = {1, 2, 3, 3, 6, 6}, long_off[] = {0, 0, -1, -1, 1, 1};
  double weighted = peri_measure_r_squared(4, z, off, twice),
         repeated = peri_measure_r_squared(6, long_z, long_off, NULL);
  PERI_CHECK(fabs(weighted - repeated) < 1e-15, "a weight of 2 is the row twice: %.17g, %.17g", weighted, repeated);
  const double flat[] = {0.1, 0.1, 0.1, 0.1}; /* whose mean is rounded */
  PERI_CHECK(peri_measure_r_squared(4, flat, zero, NULL) == 1 && peri_measure_r_squared(4, flat, off, NULL) == 0,
             "no variance");
  const double huge[] = {1e300, 2e300, 3e300, 6e300}, far[] = {0, 0, -1e300, 1e300};
  PERI_CHECK(fabs(peri_measure_r_squared(4, huge, far, NULL) - (1 - 2.0 / 14)) < 1e-15, "squares beyond the range");
  PERI_CHECK(isnan(peri_measure_r_squared(4, z, off, zero)) && isnan(peri_measure_accuracy(4, truth, said, zero)),
             "no weight");
  /* by columns, two apart: the first of equals, NaN before all */
  const float scores[] = {1, 0, 3, 0, -2, 0, 5, 0, 2, 0, 3, 0, NAN, 0, 5, 0, 9, 0, 3, 0, 9, 0, 5, 0};
  const int64_t places[] = {3, 0, 1, 0, 2, 0, 1, 0};
  peri_measure_scores s = {.dtype = PERI_FLOAT32,
                           .n = 4,
                           .k = 3,
                           .scores = scores,
                           .row_stride = 2,
                           .column_stride = 8,
                           .truth = places,
                           .truth_stride = 2};
  PERI_CHECK(peri_measure_hits(&s, NULL) == 4, "%g", peri_measure_hits(&s, NULL));
  PERI_CHECK(peri_measure_hits(&s, weights) == 8, "%g", peri_measure_hits(&s, weights));
  s.truth_stride = 1;
  PERI_CHECK(peri_measure_hits(&s, NULL) == 1, "%g", peri_measure_hits(&s, NULL));
}

PERI_TEST_MAIN(PERI_TEST(measures), PERI_TEST(files_round_trip), PERI_TEST(file_in_the_working_folder),
               PERI_TEST(writing_keeps_mode_and_link), PERI_TEST(new_files_follow_umask),
               PERI_TEST(files_that_cannot_be_read), PERI_TEST(reading_keeps_to_the_budget),
               PERI_TEST(places_that_cannot_be_written), PERI_TEST(a_full_disk_keeps_the_old_file),
               PERI_TEST(a_folder_without_rights), PERI_TEST(files_without_memory), PERI_TEST(circles_without_noise),
               PERI_TEST(circles_noise_has_its_deviation), PERI_TEST(circles_depend_on_the_seed),
               PERI_TEST(circles_check_their_arguments), PERI_TEST(circles_without_memory),
               PERI_TEST(digits_are_a_prefix), PERI_TEST(digits_on_any_number_of_threads),
               PERI_TEST(digits_are_all_different), PERI_TEST(digits_look_like_mnist),
               PERI_TEST(digits_are_neither_easy_nor_hard), PERI_TEST(digits_check_their_arguments),
               PERI_TEST(digits_without_memory))
