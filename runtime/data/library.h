/* Memory for libraries that give a block back without its size (zlib, libpng): drawn from the context's budget as all
 * other, with the size in front of the block. */
#ifndef PERI_DATA_LIBRARY_H
#define PERI_DATA_LIBRARY_H

#include "base/base.h"

/* NULL when there is none; the context has the message then. */
void *peri_library_alloc(peri_context *context, size_t bytes);
void peri_library_free(peri_context *context, void *block); /* block may be NULL */
/* As zlib asks for it: opaque is the context. */
void *peri_zlib_alloc(void *context, unsigned items, unsigned size);
void peri_zlib_free(void *context, void *block);

#endif
