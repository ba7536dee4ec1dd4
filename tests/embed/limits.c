/* Runs a script of somebody else's under limits:  limits script.lua [folder]
 * It may use 64 MB, ten seconds and the files of the folder, and nothing else of this machine. */
#include <perilune/lua.h>
#include <stdio.h>
#include <stdlib.h>

static char *read_script(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  char *text = malloc(1 << 20);
  *size = file != NULL && text != NULL ? fread(text, 1, 1 << 20, file) : 0;
  if (file != NULL) fclose(file);
  return text;
}

int main(int argc, char **argv) {
  static const char *const said[] = {[PERI_ERR_MEMORY] = "more than its memory", [PERI_ERR_DEADLINE] = "out of time"};
  size_t size;
  char *text = read_script(argc > 1 ? argv[1] : "", &size);
  peri_lua_options options = {.size = sizeof options,
                              .context = {.size = sizeof(peri_options), .memory_limit = 64 << 20},
                              .deadline = argc > 3 ? atof(argv[3]) : 10,
                              .sandbox = 1,
                              .root = argc > 2 ? argv[2] : NULL};
  lua_State *L = peri_lua_new(&options);
  if (L == NULL) return 2;
  peri_status status = peri_lua_load(L, argv[1], text, size);
  if (status == PERI_OK) status = peri_lua_call(L, 0, 1);
  if (status == PERI_OK)
    printf("it gave %g\n", lua_tonumber(L, -1));
  else
    printf("%s: %s\n", status == PERI_ERR_MEMORY || status == PERI_ERR_DEADLINE ? said[status] : "an error",
           lua_tostring(L, -1));
  lua_close(L);
  free(text);
  return status != PERI_OK;
}
