/* Elements of x that an index tensor points to: what is done along one run of positions. A run has three operands,
 * p[0] in x, p[1] an int64 position, p[2] a value beside it, and their strides in bytes; position v of the index is
 * the element v - 1 steps behind p[0]. The runs have the form of an iterator's (tensor/tensor.h). */
#ifndef PERI_KERNELS_PLACES_H
#define PERI_KERNELS_PLACES_H

#include "kernels/kernels.h"

typedef struct peri_places {
  int64_t size;        /* positions are 1 .. size */
  int64_t wrap;        /* size + 1 where they are also -size .. -1, from the end; else 0 */
  ptrdiff_t step;      /* bytes of x from one position to the next */
  size_t bytes;        /* of an element */
  atomic_bool outside; /* a position was none: neither read nor written there, and the run not finished */
} peri_places;

typedef void (*peri_places_run)(void *places, int64_t n, char *const *p, const ptrdiff_t *s);

/* Looks at the positions alone, which are p[0] here. */
void peri_places_check(void *places, int64_t n, char *const *p, const ptrdiff_t *s);
/* value = x, and x = value */
peri_places_run peri_places_read(size_t bytes);
peri_places_run peri_places_write(size_t bytes);

/* x = x op value, in the order of the positions; float dtypes and int64. Sums of int64 wrap around; the larger and the
 * smaller of two is NaN where one is. */
typedef enum peri_combination {
  PERI_COMBINE_SUM,
  PERI_COMBINE_PROD,
  PERI_COMBINE_MAX,
  PERI_COMBINE_MIN
} peri_combination;
peri_places_run peri_places_combine(peri_combination op, peri_dtype dtype);

#endif
