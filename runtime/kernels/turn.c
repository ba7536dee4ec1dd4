/* A matrix is turned in squares as wide as a line of memory: what is read and what is written are whole lines, whatever
 * the distance of rows. */
#include "kernels/turn.h"

#include <string.h>

#define LINE 64

typedef uint32_t four __attribute__((vector_size(16)));
typedef uint64_t two __attribute__((vector_size(16)));

/* The rows of four numbers as columns. */
static inline __attribute__((always_inline)) void turn_four(four row[4]) {
  four a = __builtin_shufflevector(row[0], row[1], 0, 4, 1, 5), b = __builtin_shufflevector(row[2], row[3], 0, 4, 1, 5);
  four c = __builtin_shufflevector(row[0], row[1], 2, 6, 3, 7), d = __builtin_shufflevector(row[2], row[3], 2, 6, 3, 7);
  row[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
  row[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
  row[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
  row[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
}
static inline __attribute__((always_inline)) void turn_two(two row[2]) {
  two a = __builtin_shufflevector(row[0], row[1], 0, 2), b = __builtin_shufflevector(row[0], row[1], 1, 3);
  row[0] = a;
  row[1] = b;
}

/* A whole square, of which N x N numbers are turned at a time; `ahead` rows further on is the next to be read. */
#define SQUARE(name, T, V, N, turn)                                                                                    \
  static void name(char *to, ptrdiff_t to_row, const char *from, ptrdiff_t from_row, int64_t ahead) {                  \
    enum { SIDE = LINE / sizeof(T) };                                                                                  \
    T square[SIDE][SIDE];                                                                                              \
    for (int j = 0; j < SIDE; j += N) {                                                                                \
      for (int k = 0; ahead > 0 && k < N; k++) __builtin_prefetch(from + (j + k + ahead) * from_row);                  \
      for (int i = 0; i < SIDE; i += N) {                                                                              \
        V row[N];                                                                                                      \
        for (int k = 0; k < N; k++) memcpy(&row[k], from + (j + k) * from_row + i * (int)sizeof(T), sizeof(V));        \
        turn(row);                                                                                                     \
        for (int k = 0; k < N; k++) memcpy(&square[i + k][j], &row[k], sizeof(V));                                     \
      }                                                                                                                \
    }                                                                                                                  \
    for (int i = 0; i < SIDE; i++) memcpy(to + i * to_row, square[i], sizeof square[i]);                               \
  }
SQUARE(square_4, uint32_t, four, 4, turn_four)
SQUARE(square_8, uint64_t, two, 2, turn_two)

/* What is less than a square: N x N numbers at a time, and then one by one. */
#define REST(name, T, V, N, turn)                                                                                      \
  static void name(int64_t rows, int64_t columns, char *to, ptrdiff_t to_row, const char *from, ptrdiff_t from_row) {  \
    const ptrdiff_t size = sizeof(T);                                                                                  \
    const int64_t whole_rows = rows - rows % N, whole_columns = columns - columns % N;                                 \
    for (int64_t i = 0; i < whole_rows; i += N) {                                                                      \
      for (int64_t j = 0; j < whole_columns; j += N) {                                                                 \
        V row[N];                                                                                                      \
        for (int k = 0; k < N; k++) memcpy(&row[k], from + (j + k) * from_row + i * size, sizeof(V));                  \
        turn(row);                                                                                                     \
        for (int k = 0; k < N; k++) memcpy(to + (i + k) * to_row + j * size, &row[k], sizeof(V));                      \
      }                                                                                                                \
    }                                                                                                                  \
    for (int64_t i = 0; i < rows; i++) {                                                                               \
      for (int64_t j = i < whole_rows ? whole_columns : 0; j < columns; j++)                                           \
        memcpy(to + i * to_row + j * size, from + j * from_row + i * size, sizeof(T));                                 \
    }                                                                                                                  \
  }
REST(rest_4, uint32_t, four, 4, turn_four)
REST(rest_8, uint64_t, two, 2, turn_two)

void peri_turn(int64_t rows, int64_t columns, size_t size, char *to, ptrdiff_t to_row, const char *from,
               ptrdiff_t from_row) {
  const int64_t side = LINE / (int64_t)size, ahead = 2 * side;
  for (int64_t i = 0; i < rows; i += side) {
    for (int64_t j = 0; j < columns; j += side) {
      int64_t height = rows - i < side ? rows - i : side, width = columns - j < side ? columns - j : side;
      char *square = to + i * to_row + j * (ptrdiff_t)size;
      const char *given = from + j * from_row + i * (ptrdiff_t)size;
      if (height < side || width < side) {
        (size == 4 ? rest_4 : rest_8)(height, width, square, to_row, given, from_row);
      } else {
        (size == 4 ? square_4 : square_8)(square, to_row, given, from_row, j + ahead + side <= columns ? ahead : 0);
      }
    }
  }
}
