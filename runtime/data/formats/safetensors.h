/* What the reader and the writer of safetensors share: the format's limits, its table of element
 * types, and its header as a list. The format is described at
 * https://github.com/huggingface/safetensors#format. */
#ifndef PERI_DATA_SAFETENSORS_H
#define PERI_DATA_SAFETENSORS_H

#include "data/formats/decode.h"
#include "data/formats/formats.h"
#include "data/reader.h"
#include "data/utf8.h"

#define PERI_SAFETENSORS_MAX_HEADER 100000000
#define PERI_SAFETENSORS_METADATA   "__metadata__"
/* The checksum as it stands in the header, before its digits: nowhere else can unescaped quotes surround a pair. */
#define PERI_SAFETENSORS_CHECKSUM_TEXT   "\"" PERI_SAFETENSORS_CHECKSUM "\":\""
#define PERI_SAFETENSORS_CHECKSUM_DIGITS 8

typedef struct peri_safetensors_type {
  const char *name;
  unsigned char size; /* bytes of an element in the file */
  peri_dtype dtype;   /* of the tensor that it becomes */
  peri_decode decode; /* NULL: the bytes are the elements */
  const char *wrong;  /* what is wrong with an element that decode refuses */
} peri_safetensors_type;

/* NULL when there is none of the name. */
const peri_safetensors_type *peri_safetensors_type_named(const char *name);
/* The type that has exactly the values of dtype. */
const peri_safetensors_type *peri_safetensors_type_of(peri_dtype dtype);

typedef struct peri_safetensors_entry {
  const char *name;
  const peri_safetensors_type *type;
  int ndim;
  int64_t shape[PERI_MAX_DIMS];
  uint64_t begin, end; /* in the buffer behind the header */
  size_t index;        /* among the header's tensors */
} peri_safetensors_entry;

typedef struct peri_safetensors_pair {
  const char *key, *value;
} peri_safetensors_pair;

/* A parsed header. Strings belong to its text. */
typedef struct peri_safetensors_header {
  char *text;
  size_t text_bytes;
  struct peri_json *document;
  size_t values; /* of the document */
  size_t n, metadata_n;
  peri_safetensors_entry *entries; /* in the order of their bytes, which cover the buffer exactly */
  peri_safetensors_pair *metadata;
  uint64_t end;          /* of header and buffer: the length that the file must have, and has */
  bool checked;          /* it holds a checksum: */
  uint32_t crc, claimed; /* of all before the buffer, and of the whole file as it says itself */
} peri_safetensors_header;

/* Reads the header and checks all of it; the reader then stands at the first tensor. */
peri_status peri_safetensors_header_read(peri_reader *reader, peri_safetensors_header *out);
void peri_safetensors_header_free(peri_context *context, peri_safetensors_header *header);

/* Adds the bytes to a checksum, in slices between which the flag is looked at. */
peri_status peri_safetensors_sum(peri_context *context, const unsigned char *bytes, uint64_t n, uint32_t *crc);

#endif
