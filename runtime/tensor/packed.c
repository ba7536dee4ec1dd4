/* Packed forms of matrices that products multiply by: a layer's weights, as long as nobody writes to them. Training
 * writes after each product and never gets here; a net that only answers packs each weight once. */
#include "tensor/tensor.h"

#define LEAST_ELEMENTS 32768 /* below, packing costs next to nothing */

typedef struct peri_packed {
  peri_spare spare; /* first */
  peri_storage *storage;
  uint64_t version;
  peri_product of; /* what it was made for */
  size_t bytes;
} peri_packed;
#define HEADER ((sizeof(peri_packed) + 63) & ~(size_t)63)

static void drop(peri_spare *spare) {
  peri_packed *packed = (peri_packed *)spare;
  peri_context *context = packed->storage->context;
  packed->storage->packed = NULL;
  peri_spare_remove(context, spare);
  peri_free(context, packed, packed->bytes);
}

void peri_packed_drop(peri_storage *storage) { drop(&storage->packed->spare); }

static bool serves(const peri_packed *packed, const peri_product *p) {
  const peri_product *of = &packed->of;
  return packed->version == packed->storage->version && of->b.data == p->b.data && of->dtype == p->dtype &&
         of->n == p->n && of->k == p->k && of->b.along == p->b.along;
}

/* What cannot be had is done without, and no message stays. */
static void keep(peri_storage *storage, const peri_product *p) {
  peri_context *context = storage->context;
  size_t bytes = HEADER + peri_packed_bytes(context, p);
  char message[PERI_MESSAGE_SIZE];
  void *block;
  memcpy(message, context->message, sizeof message);
  peri_status status = peri_alloc(context, bytes, &block);
  if (status == PERI_OK) {
    peri_packed *packed = block;
    *packed =
        (peri_packed){.spare.drop = drop, .storage = storage, .version = storage->version, .of = *p, .bytes = bytes};
    status = peri_pack_columns(context, p, (char *)block + HEADER);
    if (status == PERI_OK) {
      peri_spare_add(context, &packed->spare);
      storage->packed = packed;
    } else {
      peri_free(context, block, bytes);
    }
  }
  if (status != PERI_OK) memcpy(context->message, message, sizeof message);
}

peri_packed *peri_packed_hold(peri_tensor *x, peri_product *p) {
  peri_storage *storage = x->storage;
  if (storage->context->sharing != NULL) return NULL;
  if (p->b.step != 1 || p->n * p->k < LEAST_ELEMENTS || storage->deleter != NULL || storage->exposed) return NULL;
  if (storage->packed == NULL || !serves(storage->packed, p)) {
    if (storage->packed != NULL) peri_packed_drop(storage);
    bool again = storage->multiplied == storage->version + 1;
    storage->multiplied = storage->version + 1;
    if (again) keep(storage, p);
    if (storage->packed == NULL) return NULL;
  }
  storage->packed->spare.held = true;
  p->packed = (const char *)storage->packed + HEADER;
  return storage->packed;
}

void peri_packed_let(peri_packed *packed) {
  if (packed != NULL) packed->spare.held = false;
}
