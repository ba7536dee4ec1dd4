/* The JSON of headers: objects, lists, strings and whole numbers from 0 to 2^53, at most three deep. Nothing else is
 * JSON here: what a header may hold is little, and how much memory it takes follows from counting. */
#ifndef PERI_DATA_JSON_H
#define PERI_DATA_JSON_H

#include "data/reader.h"

typedef enum peri_json_kind { PERI_JSON_OBJECT, PERI_JSON_LIST, PERI_JSON_STRING, PERI_JSON_NUMBER } peri_json_kind;

typedef struct peri_json {
  peri_json_kind kind;
  const char *key;  /* of a member of an object */
  const char *text; /* of a string; UTF-8 without zero bytes, as keys */
  uint64_t number;
  const struct peri_json *first; /* of an object's members or a list's elements; or NULL */
  const struct peri_json *next;  /* beside it, or NULL */
} peri_json;

#define PERI_JSON_EACH(item, parent)                                                                                   \
  for (const peri_json *item = (parent)->first; (item) != NULL; (item) = (item)->next)

/* The document of a text of `length` bytes and a zero byte, in which strings are then terminated where they stand; it
 * is the first of *values values, one block. The text begins with an object, and may end in spaces. offset: of the text
 * in the file, for messages. */
peri_status peri_json_parse(const peri_reader *reader, uint64_t offset, char *text, size_t length, peri_json **out,
                            size_t *values);

#endif
