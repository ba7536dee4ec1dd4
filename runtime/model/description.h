/* Descriptions: data in the notation of scripts, "Sequential{Linear(784, 128, {bias = false}), ReLU()}" or
 * "svm.SVC{C = 10, class_weight = {[3] = 2}}". Read by a parser of data, which knows numbers, words in quotes, true,
 * false, tables, and names that are called with them; nothing is run. Numbers are read and written the same in every
 * locale, and bit for bit.
 *
 * What is read becomes a list of items, each of which knows its first child and what stands beside it. */
#ifndef PERI_DESCRIPTION_H
#define PERI_DESCRIPTION_H

#include "base/option.h"

typedef enum peri_item_kind {
  PERI_ITEM_NUMBER,
  PERI_ITEM_WORD, /* in quotes */
  PERI_ITEM_BOOL,
  PERI_ITEM_TABLE,
  PERI_ITEM_CALL /* name(children), name{children} or name{} alone */
} peri_item_kind;

typedef struct peri_item {
  peri_item_kind kind;
  const char *key; /* name = item; or NULL */
  bool labelled;   /* [label] = item */
  double label;
  double number;                        /* NUMBER; BOOL: 0 or 1 */
  const char *text;                     /* WORD; name of a CALL */
  const struct peri_item *first, *next; /* child, and what stands beside it; NULL: none */
  int count;                            /* children */
} peri_item;

typedef struct peri_description {
  peri_context *context;
  void *block; /* items, and their texts */
  size_t bytes;
  const peri_item *root;
} peri_description;

#define PERI_DESCRIPTION_DEEPEST 40

/* PERI_ERR_ARGUMENT with `operation`, the place in the text and what was expected. */
peri_status peri_description_read(peri_context *context, const char *operation, const char *text,
                                  peri_description *out);
/* The same of "name = value, ..." without braces around: the root is a TABLE. text may be NULL: an empty one. */
peri_status peri_description_read_options(peri_context *context, const char *operation, const char *text,
                                          peri_description *out);
void peri_description_release(peri_description *description);

/* The child of that name, or NULL. */
const peri_item *peri_item_find(const peri_item *item, const char *name);
/* A whole number from low to high. */
peri_status peri_item_whole(peri_context *context, const char *operation, const peri_item *item, const char *what,
                            int64_t low, int64_t high, int64_t *out);
/* The options among an item's children: defaults stand in `values` already. Names of `also` (ended by NULL; or NULL)
 * are left to the caller; children without a name are an error unless `places`. */
peri_status peri_item_options(peri_context *context, const char *operation, const peri_item *item,
                              const peri_option *options, const char *const *also, bool places, double *values);

/* ---- writing ---- */

/* Text that grows within the context's budget; the first failure sticks. */
typedef struct peri_writer {
  peri_context *context;
  char *text; /* terminated; NULL: nothing yet */
  size_t length, room;
  peri_status status;
} peri_writer;

void peri_write(peri_writer *writer, const char *format, ...) PERI_PRINTF(2, 3);
/* As scripts write it: math.huge, and the fewest digits that give the same bits. */
void peri_write_number(peri_writer *writer, double value);
/* "name = value, name = value" of a row's options, all of them. */
void peri_write_options(peri_writer *writer, const peri_option *options, const double *values);
void peri_writer_release(peri_writer *writer);

#endif
