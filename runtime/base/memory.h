/* The allocator's side of a context's life. */
#ifndef PERI_MEMORY_H
#define PERI_MEMORY_H

#include "base/base.h"

/* Copies what is given of options that begin with their size (NULL: nothing): PERI_ERR_ARGUMENT when the size is none,
 * or when something is set behind what is known here. */
peri_status peri_read_options(const void *given, void *chosen, size_t known);
/* A context with these kernels; peri_context_new chooses them. */
peri_status peri_context_make(const peri_options *options, const struct peri_kernels *kernels, peri_context **out);
/* A context lives as long as its owner or one of its storages. */
void peri_context_retain(peri_context *context);
void peri_context_drop(peri_context *context);
/* One storage more of the context or, of a shadow, its home: a reference to that, which is *home, and its number. */
uint64_t peri_context_add_storage(peri_context *context, peri_context **home);
/* Gives every cached block back to the system. */
void peri_memory_close(peri_context *context);

/* Bytes of the budget that somebody else's allocator takes and gives back; false: there are not so many. */
bool peri_memory_claim(peri_context *context, size_t bytes);
void peri_memory_return(peri_context *context, size_t bytes);

/* Whether the system would map so many bytes more now: limits on address space, strict overcommit. */
bool peri_has_room(size_t bytes);

#endif
