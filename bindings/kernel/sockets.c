/* The sockets and the threads of heartbeat and control; see kernel.h.
 *
 * A socket of ZeroMQ may be used by one thread at a time: shell and stdin are the main thread's, control is that of its
 * thread, heartbeat too; iopub is shared behind a mutex. The control thread wakes the main one through a pair of
 * sockets. Signals are the main thread's. */
#include "kernel.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

struct kernel {
  kernel_session session;
  void *context;
  void *shell, *control, *in, *iopub, *heartbeat, *wakes, *woken;
  pthread_mutex_t publishing;
  const kernel_message *current; /* behind the mutex where the streams' thread reads it */
  bool allow_stdin;
  atomic_bool leaves;
  pthread_mutex_t informing;
  char *info;
  pid_t parent;
  char user[64];
};

/* ---- the connection file ---- */

static cJSON *read_connection(const char *path, char *error, size_t error_size) {
  FILE *file = fopen(path, "rb");
  struct stat state;
  if (file == NULL || fstat(fileno(file), &state) != 0 || state.st_size > 65536) {
    snprintf(error, error_size, "%s cannot be read: %s", path, file == NULL ? strerror(errno) : "it is too long");
    if (file != NULL) fclose(file);
    return NULL;
  }
  char text[65537];
  size_t size = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  cJSON *connection = cJSON_ParseWithLength(text, size);
  if (!cJSON_IsObject(connection)) {
    snprintf(error, error_size, "%s is no connection file of Jupyter's (expected an object of JSON)", path);
    cJSON_Delete(connection);
    return NULL;
  }
  return connection;
}

static void *bind_socket(kernel *k, int type, const cJSON *connection, const char *port_name, char *error,
                         size_t error_size) {
  const char *transport = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(connection, "transport"));
  const char *ip = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(connection, "ip"));
  const cJSON *port = cJSON_GetObjectItemCaseSensitive(connection, port_name);
  if (transport == NULL || ip == NULL || !cJSON_IsNumber(port)) {
    snprintf(error, error_size, "the connection file has no %s (expected transport, ip and %s)", port_name, port_name);
    return NULL;
  }
  char address[512];
  snprintf(address, sizeof address, strcmp(transport, "ipc") == 0 ? "%s://%s-%d" : "%s://%s:%d", transport, ip,
           port->valueint);
  void *socket = zmq_socket(k->context, type);
  int at_once = 1, linger = 1000;
  if (socket != NULL) zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
  if (socket != NULL && type == ZMQ_ROUTER) zmq_setsockopt(socket, ZMQ_ROUTER_HANDOVER, &at_once, sizeof at_once);
  if (socket == NULL || zmq_bind(socket, address) != 0) {
    snprintf(error, error_size, "cannot listen at %s: %s", address, zmq_strerror(errno));
    if (socket != NULL) zmq_close(socket);
    return NULL;
  }
  return socket;
}

static bool bind_all(kernel *k, const cJSON *connection, char *error, size_t error_size) {
  const struct {
    void **socket;
    int type;
    const char *port;
  } rows[] = {{&k->shell, ZMQ_ROUTER, "shell_port"},
              {&k->control, ZMQ_ROUTER, "control_port"},
              {&k->in, ZMQ_ROUTER, "stdin_port"},
              {&k->iopub, ZMQ_PUB, "iopub_port"},
              {&k->heartbeat, ZMQ_ROUTER, "hb_port"}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    *rows[i].socket = bind_socket(k, rows[i].type, connection, rows[i].port, error, error_size);
    if (*rows[i].socket == NULL) return false;
  }
  k->wakes = zmq_socket(k->context, ZMQ_PAIR);
  k->woken = zmq_socket(k->context, ZMQ_PAIR);
  if (zmq_bind(k->woken, "inproc://wake") == 0 && zmq_connect(k->wakes, "inproc://wake") == 0) return true;
  snprintf(error, error_size, "no sockets: %s", zmq_strerror(errno));
  return false;
}

/* ---- threads ---- */

/* What comes on the heartbeat's socket goes back as it is. */
static void *beat(void *user) {
  kernel *k = user;
  zmq_proxy(k->heartbeat, k->heartbeat, NULL);
  return NULL;
}

static bool publish(kernel *k, const char *type, const char *parent, const char *metadata, const char *content) {
  kernel_text topic = {(char *)(uintptr_t)type, strlen(type)};
  pthread_mutex_lock(&k->publishing);
  bool sent = kernel_send(k->iopub, &k->session, &topic, 1, type, parent, metadata, content);
  pthread_mutex_unlock(&k->publishing);
  return sent;
}

/* Ends what the main thread computes, or what it waits for. */
static void interrupt(void) { kill(getpid(), SIGINT); }

static void answer_control(kernel *k, const kernel_message *request) {
  char type[64];
  size_t stem = strlen(request->type);
  bool asks = stem > 8 && stem < 50 && strcmp(request->type + stem - 8, "_request") == 0;
  if (!asks) return;
  snprintf(type, sizeof type, "%.*s_reply", (int)(stem - 8), request->type);
  publish(k, "status", request->header.bytes, NULL, "{\"execution_state\":\"busy\"}");
  char content[128] = "{\"status\":\"ok\"}";
  const char *answer = content;
  bool shuts = strcmp(request->type, "shutdown_request") == 0, stops = strcmp(request->type, "interrupt_request") == 0;
  pthread_mutex_lock(&k->informing);
  if (shuts) {
    bool restart = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(request->content, "restart"));
    snprintf(content, sizeof content, "{\"status\":\"ok\",\"restart\":%s}", restart ? "true" : "false");
  } else if (strcmp(request->type, "kernel_info_request") == 0 && k->info != NULL) {
    answer = k->info;
  } else if (!stops) {
    answer = "{\"status\":\"error\",\"ename\":\"NotImplemented\",\"evalue\":\"the kernel has no such request\","
             "\"traceback\":[]}";
  }
  kernel_send(k->control, &k->session, request->identities, request->identity_count, type, request->header.bytes, NULL,
              answer);
  pthread_mutex_unlock(&k->informing);
  if (shuts) k->leaves = true;
  if (shuts || stops) interrupt();
  if (shuts) zmq_send(k->wakes, "", 0, ZMQ_DONTWAIT);
  publish(k, "status", request->header.bytes, NULL, "{\"execution_state\":\"idle\"}");
}

/* Also ends the process when the one that has started it is gone, so that no kernel is left behind. */
static void *control(void *user) {
  kernel *k = user;
  while (!k->leaves) {
    zmq_pollitem_t item = {.socket = k->control, .events = ZMQ_POLLIN};
    zmq_poll(&item, 1, 1000);
    if (k->parent > 1 && getppid() != k->parent) _exit(0);
    kernel_message request;
    kernel_received received;
    while ((received = kernel_receive(k->control, &k->session, &request)) != KERNEL_NOTHING) {
      if (received == KERNEL_RECEIVED) answer_control(k, &request);
      kernel_message_free(&request);
    }
  }
  return NULL;
}

static bool start(kernel *k, void *(*body)(void *)) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, body, k) != 0) return false;
  pthread_detach(thread);
  return true;
}

/* Threads begin with every signal blocked. */
static bool start_threads(kernel *k) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool started = start(k, beat) && start(k, control);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return started;
}

/* ---- the whole ---- */

static void set_user(kernel *k) {
  const struct passwd *entry = getpwuid(getuid());
  snprintf(k->user, sizeof k->user, "%s", entry != NULL ? entry->pw_name : "perilune");
  k->session.user = k->user;
}

kernel *kernel_open(const char *connection_file, char *error, size_t error_size) {
  kernel *k = calloc(1, sizeof *k); /* for the process's life: its threads use it to the end */
  cJSON *connection = k != NULL ? read_connection(connection_file, error, error_size) : NULL;
  if (connection == NULL) {
    free(k);
    return NULL;
  }
  const char *scheme = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(connection, "signature_scheme"));
  const char *key = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(connection, "key"));
  kernel_identify(k->session.id);
  set_user(k);
  k->session.key.bytes = strdup(key != NULL ? key : "");
  k->session.key.size = k->session.key.bytes != NULL ? strlen(k->session.key.bytes) : 0;
  k->parent = getppid();
  pthread_mutex_init(&k->publishing, NULL);
  pthread_mutex_init(&k->informing, NULL);
  k->context = zmq_ctx_new();
  bool known = k->session.key.size == 0 || scheme == NULL || strcmp(scheme, "hmac-sha256") == 0;
  if (!known) snprintf(error, error_size, "signature_scheme is %s (expected hmac-sha256)", scheme);
  bool open = known && k->context != NULL && bind_all(k, connection, error, error_size);
  cJSON_Delete(connection);
  if (open && start_threads(k)) return k;
  if (open) snprintf(error, error_size, "no threads could be started");
  return NULL;
}

kernel_received kernel_next(kernel *k, bool wait, kernel_message *out) {
  for (;;) {
    if (k->leaves) return KERNEL_INTERRUPTED;
    kernel_received received = kernel_receive(k->shell, &k->session, out);
    if (received == KERNEL_WRONG) continue;
    if (received != KERNEL_NOTHING || !wait) return received;
    zmq_pollitem_t items[] = {{.socket = k->shell, .events = ZMQ_POLLIN}, {.socket = k->woken, .events = ZMQ_POLLIN}};
    if (zmq_poll(items, 2, -1) < 0 && errno == EINTR) return KERNEL_INTERRUPTED;
  }
}

bool kernel_leaves(const kernel *k) { return k->leaves; }

void kernel_set_info(kernel *k, const char *info) {
  pthread_mutex_lock(&k->informing);
  free(k->info);
  k->info = strdup(info);
  pthread_mutex_unlock(&k->informing);
}

void kernel_set_current(kernel *k, const kernel_message *message, bool allow_stdin) {
  pthread_mutex_lock(&k->publishing);
  k->current = message;
  k->allow_stdin = allow_stdin;
  pthread_mutex_unlock(&k->publishing);
}

static const char *parent_of(const kernel *k) { return k->current != NULL ? k->current->header.bytes : "{}"; }

bool kernel_reply(kernel *k, const char *type, const char *content) {
  const kernel_message *request = k->current;
  return request != NULL && kernel_send(k->shell, &k->session, request->identities, request->identity_count, type,
                                        parent_of(k), NULL, content);
}

bool kernel_publish(kernel *k, const char *type, const char *metadata, const char *content) {
  kernel_text topic = {(char *)(uintptr_t)type, strlen(type)};
  pthread_mutex_lock(&k->publishing);
  bool sent = kernel_send(k->iopub, &k->session, &topic, 1, type, parent_of(k), metadata, content);
  pthread_mutex_unlock(&k->publishing);
  return sent;
}

/* Answers to earlier questions that nobody waits for any more. */
static void drop_answers(kernel *k) {
  kernel_message old;
  while (kernel_receive(k->in, &k->session, &old) != KERNEL_NOTHING) kernel_message_free(&old);
}

char *kernel_ask(kernel *k, const char *prompt, bool password) {
  if (k->current == NULL || !k->allow_stdin) return NULL;
  drop_answers(k);
  cJSON *question = cJSON_CreateObject();
  cJSON_AddStringToObject(question, "prompt", prompt);
  cJSON_AddBoolToObject(question, "password", password);
  char *content = cJSON_PrintUnformatted(question), *answer = NULL;
  cJSON_Delete(question);
  bool sent = content != NULL && kernel_send(k->in, &k->session, k->current->identities, k->current->identity_count,
                                             "input_request", parent_of(k), NULL, content);
  cJSON_free(content);
  while (sent && answer == NULL && !k->leaves) {
    zmq_pollitem_t items[] = {{.socket = k->in, .events = ZMQ_POLLIN}, {.socket = k->woken, .events = ZMQ_POLLIN}};
    if (zmq_poll(items, 2, -1) < 0) return NULL; /* a signal */
    kernel_message reply;
    if (kernel_receive(k->in, &k->session, &reply) != KERNEL_RECEIVED) continue;
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(reply.content, "value"));
    if (strcmp(reply.type, "input_reply") == 0) answer = strdup(value != NULL ? value : "");
    kernel_message_free(&reply);
  }
  return answer;
}
