/* The smallest test frame: a test file lists its functions in PERI_TEST_MAIN; a failed check prints
 * file, line and values, and the program's status says whether anything failed. */
#ifndef PERI_TEST_H
#define PERI_TEST_H

#include <stdio.h>
#include <string.h>

#ifdef __has_feature
#define HAS(feature) __has_feature(feature)
#else
#define HAS(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || HAS(address_sanitizer)
enum { ADDRESS_SANITIZED = 1 };
#else
enum { ADDRESS_SANITIZED = 0 };
#endif
enum { SANITIZED = ADDRESS_SANITIZED || HAS(thread_sanitizer) };
#undef HAS

static int peri_test_failures;

#define PERI_CHECK(condition, ...)                                                                                     \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      peri_test_failures++;                                                                                            \
      printf("%s:%d: not (%s): ", __FILE__, __LINE__, #condition);                                                     \
      printf("" __VA_ARGS__);                                                                                          \
      printf("\n");                                                                                                    \
    }                                                                                                                  \
  } while (0)

typedef struct peri_test {
  const char *name;
  void (*run)(void);
} peri_test;

/* Runs every test, or those whose name is given on the command line; ends with "N passed, N failed". */
static int peri_test_run(const peri_test *tests, size_t n, int argc, char **argv) {
  int passed = 0, failed = 0;
  for (size_t i = 0; i < n; i++) {
    int wanted = argc < 2;
    for (int a = 1; a < argc; a++) wanted |= strcmp(argv[a], tests[i].name) == 0;
    if (!wanted) continue;
    int before = peri_test_failures;
    tests[i].run();
    if (peri_test_failures == before) {
      passed++;
    } else {
      failed++;
      printf("FAILED %s\n", tests[i].name);
    }
  }
  printf("%d passed, %d failed\n", passed, failed);
  return failed != 0 || passed == 0;
}

#define PERI_TEST(function)                                                                                            \
  { #function, function }
#define PERI_TEST_MAIN(...)                                                                                            \
  int main(int argc, char **argv) {                                                                                    \
    static const peri_test tests[] = {__VA_ARGS__};                                                                    \
    return peri_test_run(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);                                         \
  }

#endif
