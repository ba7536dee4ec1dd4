/* Matrices written with rows and columns exchanged. */
#ifndef PERI_KERNELS_TURN_H
#define PERI_KERNELS_TURN_H

#include <stddef.h>
#include <stdint.h>

/* Element j of row i, at to + i to_row + j size, is what stands at from + j from_row + i size; sizes of 4 and 8 bytes.
 */
void peri_turn(int64_t rows, int64_t columns, size_t size, char *to, ptrdiff_t to_row, const char *from,
               ptrdiff_t from_row);

#endif
