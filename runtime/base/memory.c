/* Memory within a budget. Blocks up to 64 MB come in size classes, four to each power of two, and go
 * back to a list of their class: a training step takes the same blocks again and again, and what the
 * system maps anew it must fill with zeros page by page. */
#include "base/memory.h"

#include <stdlib.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define CACHE_BLOCKS 0 /* a cached block would hide a use after release */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CACHE_BLOCKS 0
#endif
#endif
#ifndef CACHE_BLOCKS
#define CACHE_BLOCKS 1
#endif

#define ALIGNMENT     64
#define HUGE_PAGE     ((size_t)2 << 20)
#define HUGE_BLOCK    ((size_t)16 << 20)
#define SMALL_BLOCK   ((size_t)64 << 10)
#define FETCHED       ((size_t)512)
#define LARGEST_CLASS ((size_t)64 << 20)
/* The lists hold at most this and as much as is in use. */
#define CACHE_FLOOR ((size_t)32 << 20)

typedef struct peri_free_block {
  struct peri_free_block *next;
} peri_free_block;

/* Class c < 4 holds (c + 1) * 64 bytes; then each power of two from 256 on is cut into quarters. */
static inline int size_class(size_t bytes, size_t *rounded) {
  if (bytes <= 256) {
    int class = (int)((bytes + 63) / 64) - 1;
    *rounded = (size_t)(class + 1) * 64;
    return class;
  }
  int power = 63 - __builtin_clzll((unsigned long long)(bytes - 1)); /* 2^power < bytes <= 2^(power+1) */
  size_t quarter = (size_t)1 << (power - 2);
  size_t quarters = (bytes - ((size_t)1 << power) + quarter - 1) / quarter; /* 1 to 4 */
  *rounded = ((size_t)1 << power) + quarters * quarter;
  return 4 + (power - 8) * 4 + (int)quarters - 1;
}

static peri_status out_of_memory(peri_context *context, size_t bytes) {
  return peri_fail_memory(context, "out of memory: asked %zu bytes, in use %zu, limit %zu", bytes,
                          peri_memory_in_use(context), context->limit);
}

/* The block that is taken next has mostly left the cache since it was freed. */
static inline void ask_for(const void *block, size_t bytes) {
  for (size_t at = 0; at < bytes; at += ALIGNMENT) __builtin_prefetch((const char *)block + at, 1);
}

static inline peri_free_block *cached(peri_context *context, int class, size_t rounded) {
  peri_free_block *block = context->free_blocks[class];
  if (block == NULL) return NULL;
  context->free_blocks[class] = block->next;
  context->cached -= rounded;
  if (rounded <= FETCHED) ask_for(block->next, rounded);
  return block;
}

static void empty_cache(peri_context *context) {
  for (int i = 0; i < PERI_FREE_CLASSES; i++) {
    for (peri_free_block *block = context->free_blocks[i], *next; block != NULL; block = next) {
      next = block->next;
      free(block);
    }
    context->free_blocks[i] = NULL;
  }
  context->cached = 0;
}

/* A block of the C library's. Large ones ask for huge pages: filling a matrix of kernel values for the first time, half
 * the time went into mapping it 4 KB at a time. */
static void *library_block(size_t bytes) {
#ifdef MADV_HUGEPAGE
  if (bytes >= HUGE_BLOCK) {
    void *block = aligned_alloc(HUGE_PAGE, (bytes + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
    if (block != NULL) madvise(block, bytes, MADV_HUGEPAGE); /* a wish: without them all is as before */
    return block;
  }
#endif
  return aligned_alloc(ALIGNMENT, bytes);
}

/* From the system. What the lists hold goes back first when the budget has no room for both, or when
 * the system has no more. */
static void *system_block(peri_context *context, size_t bytes) {
  size_t room = context->limit - peri_memory_in_use(context); /* at least what was asked, which rounding may exceed */
  if (bytes > room || context->cached > room - bytes) empty_cache(context);
  void *block = library_block(bytes);
  if (block != NULL || context->cached == 0) return block;
  empty_cache(context);
  return library_block(bytes);
}

static inline void note_peak(peri_context *context) {
  size_t used = peri_memory_in_use(context);
  if (used > context->peak) context->peak = used;
}

/* Whether the budget has so many bytes more, beside what is in use and what calls hold that were left. */
static inline bool has_budget(const peri_context *context, size_t bytes) {
  const size_t left = atomic_load_explicit(&context->interrupt->left, memory_order_relaxed);
  return bytes <= context->limit && peri_memory_in_use(context) + left <= context->limit - bytes;
}

/* A block within the budget, or NULL. */
static void *take_block(peri_context *context, size_t bytes) {
  if (bytes > PTRDIFF_MAX || !has_budget(context, bytes)) return NULL;
  if (bytes > LARGEST_CLASS) return system_block(context, (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1));
  size_t rounded;
  int class = size_class(bytes, &rounded);
  void *block = cached(context, class, rounded);
  return block != NULL ? block : system_block(context, rounded);
}

peri_status peri_clear(peri_context *context, void *block, size_t bytes) {
  char *at = block;
  for (size_t n; bytes > 0; at += n, bytes -= n) {
    PERI_TRY(peri_check_cancel(context));
    n = bytes < HUGE_BLOCK ? bytes : HUGE_BLOCK;
    memset(at, 0, n);
  }
  return PERI_OK;
}

void peri_spare_add(peri_context *context, peri_spare *spare) {
  spare->previous = NULL;
  spare->next = context->spares;
  if (spare->next != NULL) spare->next->previous = spare;
  context->spares = spare;
}

void peri_spare_remove(peri_context *context, peri_spare *spare) {
  if (spare->next != NULL) spare->next->previous = spare->previous;
  if (spare->previous != NULL)
    spare->previous->next = spare->next;
  else
    context->spares = spare->next;
}

/* Whether there was any that nobody reads now. */
static bool drop_spares(peri_context *context) {
  bool dropped = false;
  for (peri_spare *spare = context->spares, *next; spare != NULL; spare = next) {
    next = spare->next;
    if (spare->held) continue;
    spare->drop(spare);
    dropped = true;
  }
  return dropped;
}

static peri_status alloc_here(peri_context *context, size_t bytes, void **out) {
  if (context->fail_after >= 0 && context->fail_after-- == 0) {
    context->fail_after = 0; /* and so does every later one */
    return out_of_memory(context, bytes);
  }
  void *block = take_block(context, bytes);
  if (block == NULL && context->sharing == NULL && drop_spares(context)) block = take_block(context, bytes);
  if (block == NULL) return out_of_memory(context, bytes);
  context->in_use += bytes;
  note_peak(context);
  *out = block;
  return PERI_OK;
}

/* The same for a shadow, or beside shadows: it is the home's memory, one at a time. */
static peri_status alloc_shared(peri_context *context, size_t bytes, void **out) {
  struct peri_sharing *sharing = context->sharing;
  pthread_mutex_lock(&sharing->lock);
  peri_status status = alloc_here(context->home, bytes, out);
  pthread_mutex_unlock(&sharing->lock);
  return status;
}

peri_status peri_alloc(peri_context *context, size_t bytes, void **out) {
  *out = NULL;
  if (bytes == 0) return PERI_OK;
  if (context->sharing != NULL) return alloc_shared(context, bytes, out);
  return alloc_here(context, bytes, out);
}

peri_status peri_alloc_array(peri_context *context, size_t count, size_t size, void **out) {
  size_t bytes;
  *out = NULL;
  if (__builtin_mul_overflow(count, size, &bytes)) return out_of_memory(context, SIZE_MAX);
  return peri_alloc(context, bytes, out);
}

static void free_here(peri_context *context, void *block, size_t bytes) {
  context->in_use -= bytes;
  size_t rounded = 0, most = context->in_use + CACHE_FLOOR;
  int class = bytes <= LARGEST_CLASS ? size_class(bytes, &rounded) : -1;
  bool too_much = bytes > SMALL_BLOCK && context->cached + rounded > most; /* that one, not the small ones */
  if (!CACHE_BLOCKS || class < 0 || too_much) {
    free(block);
    return;
  }
  ((peri_free_block *)block)->next = context->free_blocks[class];
  context->free_blocks[class] = block;
  context->cached += rounded;
  if (context->cached > most) empty_cache(context);
}

void peri_free(peri_context *context, void *block, size_t bytes) {
  if (block == NULL) return;
  struct peri_sharing *sharing = context->sharing;
  if (sharing == NULL) {
    free_here(context, block, bytes);
    return;
  }
  pthread_mutex_lock(&sharing->lock);
  free_here(context->home, block, bytes);
  pthread_mutex_unlock(&sharing->lock);
}

bool peri_memory_claim(peri_context *context, size_t bytes) {
  if (!has_budget(context, bytes) && !(drop_spares(context) && has_budget(context, bytes))) return false;
  if (context->cached > context->limit - peri_memory_in_use(context) - bytes) empty_cache(context);
  context->claimed += bytes;
  note_peak(context);
  return true;
}

void peri_memory_return(peri_context *context, size_t bytes) { context->claimed -= bytes; }

void peri_memory_close(peri_context *context) { empty_cache(context); }

bool peri_has_room(size_t bytes) {
  void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) return false;
  munmap(block, bytes);
  return true;
}

size_t peri_memory_in_use(const peri_context *context) { return context->in_use + context->claimed; }

peri_status peri_set_memory_limit(peri_context *context, size_t bytes) {
  size_t used = peri_memory_in_use(context);
  if (bytes < used)
    return peri_fail(context, PERI_ERR_STATE, "set_memory_limit: %zu bytes are less than are in use, %zu", bytes, used);
  context->limit = bytes;
  if (context->cached > bytes - used) empty_cache(context);
  return PERI_OK;
}

size_t peri_memory_peak(const peri_context *context) { return context->peak; }
