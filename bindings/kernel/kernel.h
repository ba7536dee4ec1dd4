/* The kernel of a notebook: what speaks Jupyter's messaging protocol (version 5.3 of its documentation) over ZeroMQ.
 * What is evaluated, completed and shown is decided in bindings/lua/program/kernel.lua.
 *
 * A library of its own, which the program opens for `perilune kernel` alone; it is built where libzmq, nettle and a C
 * library with streams of one's own (fopencookie) are found. messages.c: frames, signatures, JSON; sockets.c: the five
 * sockets and the threads of heartbeat and control; streams.c: stdin, stdout and stderr; kernel.c: all of it for Lua.
 */
#ifndef PERI_BINDINGS_KERNEL_H
#define PERI_BINDINGS_KERNEL_H

#include <cjson/cJSON.h>
#include <lua.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* ---- messages ---- */

typedef struct kernel_text {
  char *bytes; /* ends in a NUL that size does not count */
  size_t size;
} kernel_text;

/* A message as it came. All of it is owned, and let go of by kernel_message_free. */
typedef struct kernel_message {
  kernel_text *identities; /* frames before the delimiter: whom to answer */
  int identity_count;
  kernel_text header; /* as JSON, for the answers' parent */
  char *type;
  cJSON *content;
} kernel_message;
void kernel_message_free(kernel_message *message);

typedef struct kernel_session {
  char id[37];     /* of this kernel, in the headers of what it sends */
  kernel_text key; /* of signatures; empty: none */
  const char *user;
} kernel_session;

typedef enum kernel_received { KERNEL_RECEIVED, KERNEL_NOTHING, KERNEL_INTERRUPTED, KERNEL_WRONG } kernel_received;
/* Reads a message of a socket, without waiting: KERNEL_NOTHING when there is none; KERNEL_WRONG, and it is thrown away,
 * when it is no message of the protocol or has not been signed with the key. */
kernel_received kernel_receive(void *socket, const kernel_session *session, kernel_message *out);
/* Sends a message. identities: as of the request, or a topic for subscribers; parent: the request's header as JSON,
 * "{}" for none; content and metadata are JSON (metadata NULL: none). False when there is no memory or the socket is
 * closed. */
bool kernel_send(void *socket, const kernel_session *session, const kernel_text *identities, int identity_count,
                 const char *type, const char *parent, const char *metadata, const char *content);
/* A random identifier, in the form of RFC 4122. */
void kernel_identify(char out[37]);

/* ---- values ----
 * Lua tables as JSON: a list where there is an element 1 or the metatable is that of peri.list, else an object with
 * string keys. Strings that are not UTF-8 get U+FFFD in the place of wrong bytes. */

/* The value at index as JSON text, to be freed with cJSON_free; raises for functions and the like. */
char *kernel_encode(lua_State *L, int index);
/* Bytes as a string of JSON; NULL when there is no memory. */
cJSON *kernel_string(const char *bytes, size_t size);
/* Pushes what JSON says; null is nil. */
void kernel_push(lua_State *L, const cJSON *value);

/* ---- sockets ---- */

typedef struct kernel kernel;

/* The one kernel of a process. Reads the connection file, binds, and begins to answer heartbeats and what comes on the
 * control socket. NULL, and a message in `error`, when that fails. */
kernel *kernel_open(const char *connection_file, char *error, size_t error_size);
/* Waits for a request on the shell socket, or takes one that is there. KERNEL_INTERRUPTED: a signal came, or the kernel
 * is to end (kernel_leaves). */
kernel_received kernel_next(kernel *k, bool wait, kernel_message *out);
bool kernel_leaves(const kernel *k);
/* What the control socket answers to kernel_info_request: JSON, which is copied. */
void kernel_set_info(kernel *k, const char *info);
/* The request that is worked on: answers, streams and what is published have its header as their parent. It must stay
 * until another is set; NULL: none. */
void kernel_set_current(kernel *k, const kernel_message *message, bool allow_stdin);
bool kernel_reply(kernel *k, const char *type, const char *content);
bool kernel_publish(kernel *k, const char *type, const char *metadata, const char *content);
/* Asks the front end for a line. NULL when it gives none, or a signal came; else to be freed. */
char *kernel_ask(kernel *k, const char *prompt, bool password);

/* ---- streams ---- */

/* From here on what is written to stdout and stderr, by Lua or C, is sent in its order as streams of the current
 * request, after a moment or when asked; reading stdin asks the front end. Lua's own files are turned too. */
bool kernel_turn_streams(lua_State *L, kernel *k);
void kernel_flush_streams(kernel *k);

#endif
