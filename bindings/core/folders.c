/* Files and folders, as internal.process has them; see process.h. */
#include "process.h"

#include "data/file.h"
#include "data/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "peri.folder"

static const char *check_path(lua_State *L) {
  size_t size = 0;
  const char *path = luaL_checklstring(L, 1, &size);
  luaL_argcheck(L, size > 0 && strlen(path) == size, 1, "an empty path, or one with a NUL");
  return path;
}

/* nil, and what the runtime has said behind its own word for what it did: the caller has a better one. */
static int push_failure(lua_State *L, const peri_context *context) {
  const char *message = peri_message(context), *said = strstr(message, ": ");
  lua_pushnil(L);
  lua_pushstring(L, said != NULL ? said + 2 : message);
  return 2;
}

static int process_write(lua_State *L) {
  const char *path = check_path(L);
  size_t size = 0;
  const void *bytes = luaL_checklstring(L, 2, &size);
  peri_context *context = peri_lua_context(L);
  if (peri_file_write_atomic(context, path, &bytes, &size, 1) != PERI_OK) return push_failure(L, context);
  lua_pushboolean(L, 1);
  return 1;
}

/* What a file held, until Lua has it. */
typedef struct content {
  peri_context *context;
  void *bytes;
  size_t size;
} content;

static int free_content(lua_State *L) {
  content *c = lua_touserdata(L, 1);
  if (c->bytes != NULL) peri_free(c->context, c->bytes, c->size);
  c->bytes = NULL;
  return 0;
}

/* read(path) -> all that the file holds; or nil, message */
static int process_read(lua_State *L) {
  const char *path = check_path(L);
  content *c = bind_push_box(L, sizeof *c, free_content);
  c->context = peri_lua_context(L);
  if (peri_file_read(c->context, path, &c->bytes, &c->size) != PERI_OK) return push_failure(L, c->context);
  lua_pushlstring(L, c->bytes != NULL ? c->bytes : "", c->size);
  peri_free(c->context, c->bytes, c->size);
  c->bytes = NULL;
  return 1;
}

static bool is_folder(const peri_context *context, const char *path) {
  struct stat s;
  peri_place place;
  if (!peri_place_open(context, path, &place)) return false;
  bool is = fstatat(place.at, place.name, &s, place.confined ? AT_SYMLINK_NOFOLLOW : 0) == 0 && S_ISDIR(s.st_mode);
  peri_place_close(&place);
  return is;
}

/* mkdir(2), with errno. */
static bool make_folder(const peri_context *context, const char *path) {
  peri_place place;
  if (!peri_place_open(context, path, &place)) return false;
  bool made = mkdirat(place.at, place.name, 0777) == 0;
  peri_place_close(&place);
  return made;
}

/* exists(path) -> boolean: a file or folder */
static int process_exists(lua_State *L) {
  struct stat s;
  peri_place place;
  bool there = peri_place_open(peri_lua_context(L), check_path(L), &place);
  if (there) {
    there = fstatat(place.at, place.name, &s, place.confined ? AT_SYMLINK_NOFOLLOW : 0) == 0;
    peri_place_close(&place);
  }
  lua_pushboolean(L, there);
  return 1;
}

/* mkdir of each prefix in turn; one that exists is passed by. */
static int process_mkdir(lua_State *L) {
  const char *path = check_path(L);
  const peri_context *context = peri_lua_context(L);
  size_t size = strlen(path);
  char *prefix = lua_newuserdatauv(L, size + 1, 0);
  memcpy(prefix, path, size + 1);
  for (size_t i = 1; i <= size; i++) {
    if (path[i] != '/' && path[i] != '\0') continue;
    prefix[i] = '\0';
    if (!make_folder(context, prefix)) {
      int failure = errno == EEXIST ? ENOTDIR : errno;
      if (!is_folder(context, prefix)) {
        lua_pushnil(L);
        lua_pushfstring(L, "cannot make the folder '%s': %s", prefix, strerror(failure));
        return 2;
      }
    }
    prefix[i] = path[i];
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* new_folder(path) -> true; false when something is there already; nil, message */
static int process_new_folder(lua_State *L) {
  const char *path = check_path(L);
  bool made = make_folder(peri_lua_context(L), path);
  if (made || errno == EEXIST) {
    lua_pushboolean(L, made);
    return 1;
  }
  int failure = errno;
  lua_pushnil(L);
  lua_pushfstring(L, "cannot make the folder '%s': %s", path, strerror(failure));
  return 2;
}

/* The folder that is read, as a handle, so that no error leaves it open. */
static int folder_close(lua_State *L) {
  DIR **folder = luaL_checkudata(L, 1, FOLDER);
  if (*folder != NULL) closedir(*folder);
  *folder = NULL;
  return 0;
}

/* When an entry was last written, in nanoseconds; 0 when it is gone. */
static lua_Integer time_of(DIR *folder, const char *name) {
  struct stat s;
  if (fstatat(dirfd(folder), name, &s, 0) != 0) return 0;
  return (lua_Integer)s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec;
}

/* list(path) -> names in no order, {name = time of writing}; or nil, message */
static int process_list(lua_State *L) {
  const char *path = check_path(L);
  DIR **folder = lua_newuserdatauv(L, sizeof(DIR *), 0);
  *folder = NULL;
  luaL_setmetatable(L, FOLDER);
  lua_toclose(L, -1);
  int descriptor = peri_open(peri_lua_context(L), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor >= 0 && (*folder = fdopendir(descriptor)) == NULL) close(descriptor);
  if (*folder == NULL) {
    int failure = errno;
    lua_pushnil(L);
    lua_pushfstring(L, "cannot read the folder '%s': %s", path, strerror(failure));
    return 2;
  }
  lua_newtable(L);
  lua_newtable(L);
  for (const struct dirent *entry; (entry = readdir(*folder)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    lua_pushstring(L, entry->d_name);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -4, (lua_Integer)lua_rawlen(L, -4) + 1);
    lua_pushinteger(L, time_of(*folder, entry->d_name));
    lua_rawset(L, -3);
  }
  return 2;
}

static const luaL_Reg functions[] = {
    {"write", process_write},
    {"read", process_read},
    {"exists", process_exists},
    {"mkdir", process_mkdir},
    {"new_folder", process_new_folder},
    {"list", process_list},
    {NULL, NULL},
};

void bind_open_folders(lua_State *L, bind_state *S) {
  bind_open_closing(L, FOLDER, folder_close);
  bind_set_functions(L, S, functions);
}
