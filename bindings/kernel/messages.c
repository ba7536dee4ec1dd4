/* Frames, signatures and JSON; see kernel.h. */
#include "kernel.h"

#include <errno.h>
#include <lauxlib.h>
#include <nettle/hmac.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <zmq.h>

static const char delimiter[] = "<IDS|MSG>";

enum { hex_size = 2 * SHA256_DIGEST_SIZE, most_frames = 64, parts = 4 /* header, parent, metadata, content */ };

/* ---- identifiers and times ---- */

void kernel_identify(char out[37]) {
  unsigned char b[16];
  if (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b) { /* early in a system's life */
    uint64_t now = (uint64_t)time(NULL), address = (uint64_t)(uintptr_t)&b;
    memcpy(b, &now, 8);
    memcpy(b + 8, &address, 8);
  }
  b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
  b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
  snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3],
           b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static void write_date(char *out, size_t size) {
  struct timespec now;
  struct tm parts_of;
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &parts_of);
  size_t n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &parts_of);
  snprintf(out + n, size - n, ".%06ldZ", now.tv_nsec / 1000);
}

/* ---- signatures ---- */

static void sign(const kernel_session *session, const kernel_text part[parts], char out[hex_size + 1]) {
  out[0] = '\0';
  if (session->key.size == 0) return;
  struct hmac_sha256_ctx context;
  uint8_t digest[SHA256_DIGEST_SIZE];
  hmac_sha256_set_key(&context, session->key.size, (const uint8_t *)session->key.bytes);
  for (int i = 0; i < parts; i++) hmac_sha256_update(&context, part[i].size, (const uint8_t *)part[i].bytes);
  hmac_sha256_digest(&context, sizeof digest, digest);
  for (int i = 0; i < SHA256_DIGEST_SIZE; i++) snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* In a time that does not tell how much of it was right. */
static bool is_signed(const kernel_session *session, const kernel_text part[parts], const kernel_text *signature) {
  char expected[hex_size + 1];
  sign(session, part, expected);
  if (session->key.size == 0) return true;
  if (signature->size != hex_size) return false;
  unsigned char different = 0;
  for (int i = 0; i < hex_size; i++) different |= (unsigned char)(signature->bytes[i] ^ expected[i]);
  return different == 0;
}

/* ---- frames in ---- */

static void free_text(kernel_text *text) {
  free(text->bytes);
  *text = (kernel_text){0};
}

static bool copy_text(kernel_text *out, const void *bytes, size_t size) {
  out->bytes = malloc(size + 1);
  if (out->bytes == NULL) return false;
  memcpy(out->bytes, bytes, size);
  out->bytes[size] = '\0';
  out->size = size;
  return true;
}

/* All frames of the next message; -1 with errno when none came. */
static int read_frames(void *socket, kernel_text frames[most_frames]) {
  int count = 0, more = 1;
  while (more) {
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    if (zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT) < 0) {
      int failure = errno;
      zmq_msg_close(&frame);
      if (failure == EINTR && count > 0) continue; /* the rest of a message is there */
      for (int i = 0; i < count; i++) free_text(&frames[i]);
      errno = failure;
      return -1;
    }
    if (count < most_frames) count += copy_text(&frames[count], zmq_msg_data(&frame), zmq_msg_size(&frame));
    more = zmq_msg_more(&frame);
    zmq_msg_close(&frame);
  }
  return count;
}

void kernel_message_free(kernel_message *message) {
  for (int i = 0; i < message->identity_count; i++) free_text(&message->identities[i]);
  free(message->identities);
  free_text(&message->header);
  free(message->type);
  cJSON_Delete(message->content);
  *message = (kernel_message){0};
}

/* The message that frames say; it takes over the identities and the header. */
static bool parse(const kernel_session *session, kernel_text *frames, int count, kernel_message *out) {
  int at = 0;
  while (at < count &&
         !(frames[at].size == sizeof delimiter - 1 && memcmp(frames[at].bytes, delimiter, frames[at].size) == 0))
    at++;
  if (count - at < parts + 2 || !is_signed(session, &frames[at + 2], &frames[at + 1])) return false;
  cJSON *header = cJSON_ParseWithLength(frames[at + 2].bytes, frames[at + 2].size);
  const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(header, "msg_type"));
  out->type = type != NULL ? strdup(type) : NULL;
  cJSON_Delete(header);
  out->content = cJSON_ParseWithLength(frames[at + 5].bytes, frames[at + 5].size);
  out->identities = malloc((size_t)(at > 0 ? at : 1) * sizeof *out->identities);
  if (out->type == NULL || !cJSON_IsObject(out->content) || out->identities == NULL) return false;
  out->header = frames[at + 2];
  frames[at + 2] = (kernel_text){0};
  for (int i = 0; i < at; i++) {
    out->identities[i] = frames[i];
    frames[i] = (kernel_text){0};
  }
  out->identity_count = at;
  return true;
}

kernel_received kernel_receive(void *socket, const kernel_session *session, kernel_message *out) {
  kernel_text frames[most_frames] = {{0}};
  *out = (kernel_message){0};
  int count = read_frames(socket, frames);
  if (count < 0) return errno == EINTR ? KERNEL_INTERRUPTED : KERNEL_NOTHING;
  bool right = parse(session, frames, count, out);
  if (!right) kernel_message_free(out);
  for (int i = 0; i < count; i++) free_text(&frames[i]);
  return right ? KERNEL_RECEIVED : KERNEL_WRONG;
}

/* ---- frames out ---- */

static bool send_frame(void *socket, const void *bytes, size_t size, bool more) {
  int sent;
  do sent = zmq_send(socket, bytes, size, more ? ZMQ_SNDMORE : 0);
  while (sent < 0 && errno == EINTR);
  return sent >= 0;
}

static char *new_header(const kernel_session *session, const char *type) {
  char id[37], date[64];
  kernel_identify(id);
  write_date(date, sizeof date);
  cJSON *header = cJSON_CreateObject();
  cJSON_AddStringToObject(header, "msg_id", id);
  cJSON_AddStringToObject(header, "session", session->id);
  cJSON_AddStringToObject(header, "username", session->user);
  cJSON_AddStringToObject(header, "date", date);
  cJSON_AddStringToObject(header, "msg_type", type);
  cJSON_AddStringToObject(header, "version", "5.3");
  char *text = cJSON_PrintUnformatted(header);
  cJSON_Delete(header);
  return text;
}

bool kernel_send(void *socket, const kernel_session *session, const kernel_text *identities, int identity_count,
                 const char *type, const char *parent, const char *metadata, const char *content) {
  char *header = new_header(session, type);
  if (header == NULL || content == NULL) {
    cJSON_free(header);
    return false;
  }
  const char *texts[parts] = {header, parent, metadata != NULL ? metadata : "{}", content};
  kernel_text part[parts];
  for (int i = 0; i < parts; i++) part[i] = (kernel_text){(char *)(uintptr_t)texts[i], strlen(texts[i])};
  char signature[hex_size + 1];
  sign(session, part, signature);
  bool sent = true;
  for (int i = 0; sent && i < identity_count; i++)
    sent = send_frame(socket, identities[i].bytes, identities[i].size, true);
  sent = sent && send_frame(socket, delimiter, sizeof delimiter - 1, true);
  sent = sent && send_frame(socket, signature, strlen(signature), true);
  for (int i = 0; sent && i < parts; i++) sent = send_frame(socket, part[i].bytes, part[i].size, i < parts - 1);
  cJSON_free(header);
  return sent;
}

/* ---- values ---- */

enum { deepest = 60 };

/* The length of the UTF-8 character at s (n bytes are left), 0 where there is none. */
static size_t character(const unsigned char *s, size_t n) {
  if (s[0] < 0x80) return 1;
  size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
  if (s[0] < 0xc2 || s[0] > 0xf4 || length > n) return 0;
  for (size_t i = 1; i < length; i++) {
    if ((s[i] & 0xc0) != 0x80) return 0;
  }
  unsigned second = s[1];
  bool wrong = (s[0] == 0xe0 && second < 0xa0) || (s[0] == 0xed && second >= 0xa0) || (s[0] == 0xf0 && second < 0x90) ||
               (s[0] == 0xf4 && second >= 0x90);
  return wrong ? 0 : length;
}

/* A string of Lua's; NULs end no string of JSON, but cJSON's, so that they too are replaced. */
cJSON *kernel_string(const char *bytes, size_t size) {
  char *text = malloc(3 * size + 1), *to = text;
  if (text == NULL) return NULL;
  for (size_t i = 0; i < size;) {
    size_t length = bytes[i] == '\0' ? 0 : character((const unsigned char *)bytes + i, size - i);
    memcpy(to, length > 0 ? bytes + i : "\xEF\xBF\xBD", length > 0 ? length : 3);
    to += length > 0 ? length : 3;
    i += length > 0 ? length : 1;
  }
  *to = '\0';
  cJSON *value = cJSON_CreateString(text);
  free(text);
  return value;
}

static cJSON *value_of(lua_State *L, int index, int depth);

static bool is_list(lua_State *L, int index) {
  bool list = lua_rawgeti(L, index, 1) != LUA_TNIL;
  lua_pop(L, 1);
  if (list || !lua_getmetatable(L, index)) return list;
  luaL_getmetatable(L, "peri.list");
  list = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return list;
}

static cJSON *table_of(lua_State *L, int index, int depth) {
  if (is_list(L, index)) {
    cJSON *list = cJSON_CreateArray();
    for (lua_Integer i = 1; list != NULL && i <= (lua_Integer)lua_rawlen(L, index); i++) {
      lua_rawgeti(L, index, i);
      cJSON *item = value_of(L, lua_gettop(L), depth + 1);
      if (item != NULL) cJSON_AddItemToArray(list, item);
      lua_pop(L, 1);
    }
    return list;
  }
  cJSON *object = cJSON_CreateObject();
  for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) continue;
    cJSON *item = value_of(L, lua_gettop(L), depth + 1);
    if (item != NULL) cJSON_AddItemToObject(object, lua_tostring(L, -2), item);
  }
  return object;
}

/* NULL where there is no memory, or no JSON for the value. Raises nothing. */
static cJSON *value_of(lua_State *L, int index, int depth) {
  size_t size;
  switch (lua_type(L, index)) {
  case LUA_TBOOLEAN:
    return cJSON_CreateBool(lua_toboolean(L, index));
  case LUA_TNUMBER:
    return cJSON_CreateNumber(lua_tonumber(L, index));
  case LUA_TSTRING: {
    const char *bytes = lua_tolstring(L, index, &size);
    return kernel_string(bytes, size);
  }
  case LUA_TTABLE:
    return depth < deepest && lua_checkstack(L, 6) ? table_of(L, index, depth) : NULL;
  default:
    return NULL;
  }
}

char *kernel_encode(lua_State *L, int index) {
  luaL_checkstack(L, 8, NULL);
  cJSON *value = value_of(L, lua_absindex(L, index), 0);
  char *text = value != NULL ? cJSON_PrintUnformatted(value) : NULL;
  cJSON_Delete(value);
  if (text == NULL) luaL_error(L, "a message cannot be written as JSON");
  return text;
}

void kernel_push(lua_State *L, const cJSON *value) {
  luaL_checkstack(L, 4, NULL);
  if (cJSON_IsString(value)) {
    lua_pushstring(L, value->valuestring);
  } else if (cJSON_IsBool(value)) {
    lua_pushboolean(L, cJSON_IsTrue(value));
  } else if (cJSON_IsNumber(value)) {
    lua_Integer whole;
    if (lua_numbertointeger(value->valuedouble, &whole) && (lua_Number)whole == value->valuedouble) {
      lua_pushinteger(L, whole);
    } else {
      lua_pushnumber(L, value->valuedouble);
    }
  } else if (cJSON_IsArray(value) || cJSON_IsObject(value)) {
    bool list = cJSON_IsArray(value);
    lua_Integer i = 0;
    lua_newtable(L);
    for (const cJSON *item = value->child; item != NULL; item = item->next) {
      kernel_push(L, item);
      if (list)
        lua_rawseti(L, -2, ++i);
      else
        lua_setfield(L, -2, item->string);
    }
  } else {
    lua_pushnil(L);
  }
}
