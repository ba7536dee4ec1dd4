/* Ctrl-C. The handler raises the context's flag, for kernels and operations, and sets a hook on every Lua thread: which
 * of them runs Lua does not tell. So the program knows them all: its allocator sees each as it is made (the manual of
 * lua_Alloc promises the kind of a new object) and as it is freed. That costs a comparison for each allocation, and
 * nothing while Lua code runs.
 *
 * The hook raises "interrupted!" where Lua takes its next step, and takes itself away: a script that catches the error
 * goes on. When Ctrl-C is pressed again, the hook stays until the call has ended, and no pcall holds it. */
#include "program.h"

#include <errno.h>
#include <lauxlib.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void stop(lua_State *L, lua_Debug *activation);

/* ---- every Lua thread ----
 * A hash table with linear probing, by the thread's address. The handler may interrupt any of this, so that at each
 * step every thread stands in the table that `threads` points to, if need be twice. */

typedef struct hooked {
  lua_State *volatile L; /* NULL: free */
  lua_Hook hook;         /* what the script's own hook was, while ours is set */
  int mask, count;
} hooked;

typedef struct thread_table {
  size_t capacity; /* a power of two, more than twice used */
  size_t used;
  hooked slots[];
} thread_table;

static thread_table *volatile threads;
static lua_State *unborn;  /* allocated, not yet made: the next allocation is made for it, or by its creator */
static size_t thread_size; /* bytes of a Lua thread's block, once one was made */

#define IN_ORDER atomic_signal_fence(memory_order_seq_cst)

static size_t home_of(const thread_table *table, const lua_State *L) {
  return (size_t)(((uint64_t)(uintptr_t)L * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (table->capacity - 1);
}

/* The slot of L, or the free one where it belongs. */
static hooked *find(thread_table *table, const lua_State *L) {
  size_t i = home_of(table, L);
  while (table->slots[i].L != NULL && table->slots[i].L != L) i = (i + 1) & (table->capacity - 1);
  return &table->slots[i];
}

static void put(thread_table *table, hooked entry) {
  hooked *slot = find(table, entry.L);
  slot->hook = entry.hook;
  slot->mask = entry.mask;
  slot->count = entry.count;
  IN_ORDER;
  slot->L = entry.L;
  table->used++;
}

/* Room for one more; false when there is no memory. */
static bool reserve(void) {
  thread_table *old = threads;
  if (old != NULL && 2 * (old->used + 1) < old->capacity) return true;
  size_t capacity = old != NULL ? 2 * old->capacity : 64;
  thread_table *table = calloc(1, sizeof *table + capacity * sizeof table->slots[0]);
  if (table == NULL) return false;
  table->capacity = capacity;
  for (size_t i = 0; old != NULL && i < old->capacity; i++) {
    if (old->slots[i].L != NULL) put(table, old->slots[i]);
  }
  IN_ORDER;
  threads = table;
  IN_ORDER;
  free(old);
  return true;
}

static void add(lua_State *L) { put(threads, (hooked){.L = L}); }

static void take_out(const lua_State *L) {
  thread_table *table = threads;
  hooked *slot = find(table, L);
  if (slot->L == NULL) return;
  size_t mask = table->capacity - 1, hole = (size_t)(slot - table->slots);
  for (size_t i = (hole + 1) & mask; table->slots[i].L != NULL; i = (i + 1) & mask) {
    size_t home = home_of(table, table->slots[i].L);
    if (((i - home) & mask) < ((i - hole) & mask)) continue; /* the hole is before its home */
    table->slots[hole].hook = table->slots[i].hook;
    table->slots[hole].mask = table->slots[i].mask;
    table->slots[hole].count = table->slots[i].count;
    IN_ORDER;
    table->slots[hole].L = table->slots[i].L;
    IN_ORDER;
    hole = i;
  }
  table->slots[hole].L = NULL;
  table->used--;
}

/* Lua's own allocator but for threads: a block begins with LUA_EXTRASPACE bytes, then comes the state. */
static void *allocate(void *unused, void *block, size_t old_size, size_t size) {
  (void)unused;
  if (unborn != NULL) {
    add(unborn);
    unborn = NULL;
  }
  if (size == 0) {
    if (block != NULL && old_size == thread_size) take_out((lua_State *)(void *)((char *)block + LUA_EXTRASPACE));
    free(block);
    return NULL;
  }
  if (block != NULL || old_size != LUA_TTHREAD) return realloc(block, size);
  if (!reserve()) return NULL;
  char *thread = malloc(size);
  if (thread == NULL) return NULL;
  thread_size = size;
  unborn = (lua_State *)(void *)(thread + LUA_EXTRASPACE);
  return thread;
}

/* ---- the hook ---- */

static pthread_t main_thread;
static peri_context *volatile context; /* NULL until the module is open */
static volatile sig_atomic_t calling;  /* within peri_program_call */
static volatile sig_atomic_t kept;     /* there is a prompt, which Ctrl-C never ends */
static volatile sig_atomic_t came;     /* at the prompt, or between a line and its call */
static volatile sig_atomic_t waiting;  /* in a call, and was not yet raised */
static volatile sig_atomic_t asked;    /* in this call */
static volatile sig_atomic_t insists;  /* asked again */
static volatile sig_atomic_t told;     /* that it does not stop */

static void set_hooks(void) {
  thread_table *table = threads;
  for (size_t i = 0; i < table->capacity; i++) {
    hooked *slot = &table->slots[i];
    lua_State *L = slot->L;
    if (L == NULL) continue;
    if (lua_gethook(L) != stop) {
      slot->hook = lua_gethook(L);
      slot->mask = lua_gethookmask(L);
      slot->count = lua_gethookcount(L);
    }
    lua_sethook(L, stop, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
  }
}

static void restore_hooks(void) {
  thread_table *table = threads;
  for (size_t i = 0; i < table->capacity; i++) {
    hooked *slot = &table->slots[i];
    if (slot->L == NULL || lua_gethook(slot->L) != stop) continue;
    lua_sethook(slot->L, slot->hook, slot->mask, slot->count);
    slot->hook = NULL;
    slot->mask = slot->count = 0;
  }
}

static void ask(void) {
  insists = asked;
  asked = waiting = 1;
  if (context != NULL) module.peri_cancel(context);
  set_hooks();
}

/* The error is about to be raised. */
static void delivered(void) {
  waiting = told = 0;
  if (insists) return;
  restore_hooks();
  if (context != NULL) module.peri_clear_cancel(context);
}

static bool is_script(const lua_Debug *frame) {
  return frame->currentline > 0 && strncmp(frame->source, "=perilune/", 10) != 0 &&
         strncmp(frame->source, "=[program.", 10) != 0;
}

/* "script:line: " of the nearest Lua code that is neither the module's nor the prompt's own. */
static void push_position(lua_State *L) {
  lua_Debug frame;
  for (int level = 0; lua_getstack(L, level, &frame); level++) {
    lua_getinfo(L, "Sl", &frame);
    if (!is_script(&frame)) continue;
    lua_pushfstring(L, "%s:%d: ", frame.short_src, frame.currentline);
    return;
  }
  lua_pushliteral(L, "");
}

static void stop(lua_State *L, lua_Debug *activation) {
  (void)activation;
  delivered();
  push_position(L);
  lua_pushliteral(L, "interrupted!");
  lua_concat(L, 2);
  lua_error(L);
}

/* Whether L runs a finaliser: Lua throws its errors away, so that what is raised there reaches nobody. */
static bool in_finaliser(lua_State *L) {
  lua_Debug frame;
  for (int level = 0; lua_getstack(L, level, &frame); level++) {
    lua_getinfo(L, "n", &frame);
    if (frame.name != NULL && strcmp(frame.name, "__gc") == 0) return true;
  }
  return false;
}

int peri_interrupt_delivered(lua_State *L) {
  if (!in_finaliser(L)) delivered();
  return 0;
}

/* ---- the signal ---- */

static void on_interrupt(int number) {
  static const char advice[] = "\nperilune: what runs does not stop yet (Ctrl-\\ ends the program and all it holds)\n";
  int failure = errno;
  if (!pthread_equal(pthread_self(), main_thread)) {
    pthread_kill(main_thread, number);
  } else if (!calling) {
    came = 1;
  } else if (waiting && !kept) { /* a script that does not stop is ended */
    signal(number, SIG_DFL);
    raise(number);
  } else {
    bool says = waiting && insists && !told;
    ask();
    if (says) told = write(STDERR_FILENO, advice, sizeof advice - 1) > 0;
  }
  errno = failure;
}

static void set_handler(struct sigaction *previous) {
  struct sigaction action = {.sa_handler = on_interrupt}; /* no SA_RESTART: a read that waits is interrupted too */
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, previous);
}

bool peri_interrupt_open(lua_State *L) {
  main_thread = pthread_self();
  if (!reserve()) return false;
  add(L);
  lua_setallocf(L, allocate, NULL);
  return true;
}

void peri_interrupt_context(peri_context *opened) { context = opened; }

void peri_interrupt_keep(void) {
  kept = 1;
  set_handler(NULL);
}

void peri_interrupt_end(void) {
  signal(SIGINT, SIG_DFL);
  context = NULL;
}

bool peri_interrupt_came(void) {
  bool result = came;
  if (result) came = 0;
  return result;
}

int peri_program_call(lua_State *L, int arguments, int results, int handler) {
  struct sigaction previous;
  asked = waiting = insists = told = 0;
  calling = 1;
  if (!kept) set_handler(&previous);
  if (peri_interrupt_came()) ask();
  int status = lua_pcall(L, arguments, results, handler);
  if (!kept) sigaction(SIGINT, &previous, NULL);
  calling = 0;
  restore_hooks();
  if (context != NULL) module.peri_clear_cancel(context);
  return status;
}
