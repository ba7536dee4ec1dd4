/* File formats: a table, whose rows give peri.data.read_NAME and write_NAME, and of some peri.load_NAME and save_NAME.
 */
#include "data.h"
#include "named.h"
#include "data/formats/csv.h"
#include "data/formats/formats.h"

#include <string.h>

/* The name that the function was called by. */
static const char *operation_of(lua_State *L) { return lua_tostring(L, lua_upvalueindex(2)); }

/* ---- IDX ---- */

static int read_idx(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *path = bind_check_path(L, 1, "read_idx");
  peri_tensor **x = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_idx_read(S->context, path, x));
  bind_charge(L, S);
  return 1;
}

static int write_idx(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *path = bind_check_path(L, 1, "write_idx");
  BIND_TRY(L, S, peri_idx_write(S->context, path, bind_check_tensor(L, S, 2, "write_idx", "x")));
  return 0;
}

/* ---- NPY and NPZ ---- */

static int read_npy(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *operation = operation_of(L), *path = bind_check_path(L, 1, operation);
  peri_tensor **x = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_npy_read(S->context, operation, path, x));
  bind_charge(L, S);
  return 1;
}

static int write_npy(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *operation = operation_of(L), *path = bind_check_path(L, 1, operation);
  BIND_TRY(L, S, peri_npy_write(S->context, path, bind_check_tensor(L, S, 2, operation, "x")));
  return 0;
}

static int read_npz(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *operation = operation_of(L), *path = bind_check_path(L, 1, operation);
  peri_named_tensors *list = data_push_list(L, S);
  BIND_TRY(L, S, peri_npz_read(S->context, operation, path, list));
  data_push_tensors(L, S, list);
  bind_charge(L, S);
  return 1;
}

static int write_npz(lua_State *L) {
  static const peri_option options[] = {
      {"compress", PERI_OPTION_BOOL, 0, 0, 0, NULL, "deflate the arrays"},
      {"zip64", PERI_OPTION_BOOL, 0, 0, 0, NULL, "the form of large files also for a small one"},
      {NULL}};
  bind_state *S = bind_here(L);
  double values[2];
  const char *operation = operation_of(L), *path = bind_check_path(L, 1, operation);
  lua_settop(L, 3);
  bind_options(L, 3, operation, options, NULL, values);
  peri_npz_options chosen = {.compress = values[0] != 0, .zip64 = values[1] != 0};
  data_named named = data_check_tensors(L, S, 2, operation);
  BIND_TRY(L, S, peri_npz_write(S->context, operation, path, named.n, named.names, named.tensors, &chosen));
  return 0;
}

/* ---- images: each row of the table has a format, and its functions find it by their name ---- */

static peri_image_format image_format(const char *operation) {
  const char *name = strchr(operation, '_') + 1;
  return strcmp(name, "png") == 0 ? PERI_IMAGE_PNG : strcmp(name, "pnm") == 0 ? PERI_IMAGE_PNM : PERI_IMAGE_ANY;
}

static int read_image(lua_State *L) {
  static const peri_option options[] = {
      {"channels", PERI_OPTION_INTEGER, 0, 1, 4, NULL, "of the image, whatever the file has"},
      {"depth", PERI_OPTION_INTEGER, 8, 8, 16, NULL, "bits per sample: 8 or 16"},
      {NULL}};
  bind_state *S = bind_here(L);
  double values[2];
  const char *operation = operation_of(L), *path = bind_check_path(L, 1, operation);
  bind_options(L, 2, operation, options, NULL, values);
  if (values[1] != 8 && values[1] != 16) bind_error(L, operation, "depth is %d (expected 8 or 16)", (int)values[1]);
  peri_image_options chosen = {.channels = (int)values[0], .depth = (int)values[1]};
  peri_tensor **x = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_image_read(S->context, operation, image_format(operation), path, &chosen, x));
  bind_charge(L, S);
  return 1;
}

static int write_image(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *operation = operation_of(L), *path = bind_check_path(L, 1, operation);
  BIND_TRY(L, S,
           peri_image_write(S->context, operation, image_format(operation), path,
                            bind_check_tensor(L, S, 2, operation, "x")));
  return 0;
}

/* ---- svmlight ---- */

static int read_svmlight(lua_State *L) {
  static const peri_option options[] = {
      {"features", PERI_OPTION_INTEGER, 0, 1, 9007199254740992.0, NULL, "columns of X; left out: the largest index"},
      {"zero_based", PERI_OPTION_BOOL, 0, 0, 0, NULL, "indices count from 0"},
      {NULL}};
  static const char *const also[] = {"dtype", NULL};
  bind_state *S = bind_here(L);
  double values[2];
  const char *path = bind_check_path(L, 1, "read_svmlight");
  bind_options(L, 2, "read_svmlight", options, also, values);
  peri_svmlight_options chosen = {.dtype = PERI_FLOAT32, .features = (int64_t)values[0], .zero_based = values[1] != 0};
  if (bind_push_entry(L, 2, "dtype") != LUA_TNIL) chosen.dtype = bind_check_dtype(L, -1, "read_svmlight");
  peri_tensor **x = bind_new_tensor(L, S), **y = bind_new_tensor(L, S), **qid = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_svmlight_read(S->context, path, &chosen, x, y, qid));
  bind_charge(L, S);
  if (*qid == NULL) {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
  return 3;
}

/* The tensor at index, and a reference to it in a handle that is pushed: a collection may run finalisers, which
 * may release the script's own. */
static peri_tensor *keep_tensor(lua_State *L, bind_state *S, int index, const char *operation, const char *name) {
  peri_tensor **handle = bind_new_tensor(L, S);
  *handle = peri_tensor_retain(bind_check_tensor(L, S, index, operation, name));
  return *handle;
}

static int write_svmlight(lua_State *L) {
  static const peri_option options[] = {{"zero_based", PERI_OPTION_BOOL, 0, 0, 0, NULL, "indices count from 0"},
                                        {NULL}};
  static const char *const also[] = {"qid", NULL};
  bind_state *S = bind_here(L);
  double values[1];
  const char *path = bind_check_path(L, 1, "write_svmlight");
  lua_settop(L, 4);
  bind_options(L, 4, "write_svmlight", options, also, values);
  bool grouped = bind_push_entry(L, 4, "qid") != LUA_TNIL;
  int qid_at = lua_gettop(L);
  peri_tensor *qid = grouped ? keep_tensor(L, S, qid_at, "write_svmlight", "qid") : NULL;
  peri_tensor *x = keep_tensor(L, S, 2, "write_svmlight", "X"), *y = keep_tensor(L, S, 3, "write_svmlight", "y");
  BIND_TRY(L, S, peri_svmlight_write(S->context, path, x, y, qid, values[0] != 0));
  return 0;
}

/* ---- CSV: what lua/data/csv.lua asks for, having checked its options ---- */

static int close_csv(lua_State *L) {
  peri_csv_release(lua_touserdata(L, 1));
  return 0;
}

/* The name or position at index. */
static peri_csv_column to_column(lua_State *L, int index) {
  if (lua_type(L, index) == LUA_TSTRING) return (peri_csv_column){.name = lua_tostring(L, index)};
  return (peri_csv_column){.position = luaL_checkinteger(L, index)};
}

static int64_t list_length(lua_State *L, int index) {
  return lua_istable(L, index) ? (int64_t)lua_rawlen(L, index) : 0;
}

/* Userdata with the n entries of the list at index as columns or strings; the list keeps the strings alive. */
static const peri_csv_column *push_columns(lua_State *L, int index, int64_t n) {
  peri_csv_column *columns = lua_newuserdatauv(L, (size_t)n * sizeof *columns + 1, 0);
  for (int64_t i = 0; i < n; i++) {
    lua_rawgeti(L, index, i + 1);
    columns[i] = to_column(L, -1);
    lua_pop(L, 1);
  }
  return columns;
}

static const char *const *push_strings(lua_State *L, int index, int64_t n) {
  const char **strings = lua_newuserdatauv(L, (size_t)n * sizeof *strings + 1, 0);
  for (int64_t i = 0; i < n; i++) {
    lua_rawgeti(L, index, i + 1);
    strings[i] = luaL_checkstring(L, -1);
    lua_pop(L, 1);
  }
  return strings;
}

/* A table of what was read beside the tensors. */
static void push_csv_info(lua_State *L, const peri_csv *csv) {
  lua_createtable(L, 0, 4);
  lua_pushboolean(L, csv->header);
  lua_setfield(L, -2, "header");
  lua_createtable(L, (int)peri_min(csv->d, 1 << 20), 0);
  for (int64_t i = 0; i < csv->d; i++) {
    if (csv->header) {
      lua_pushstring(L, peri_csv_first(csv, csv->columns[i]));
    } else {
      lua_pushinteger(L, csv->columns[i]);
    }
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "columns");
  if (csv->label == 0) return;
  if (csv->header) {
    lua_pushstring(L, peri_csv_first(csv, csv->label));
  } else {
    lua_pushinteger(L, csv->label);
  }
  lua_setfield(L, -2, "label");
  if (csv->classes.n == 0) return;
  lua_createtable(L, (int)peri_min(csv->classes.n, 1 << 20), 0);
  for (int64_t i = 0; i < csv->classes.n; i++) {
    lua_pushstring(L, csv->classes.text + csv->classes.starts[i]);
    lua_rawseti(L, -2, csv->classes.ranks[i] + 1);
  }
  lua_setfield(L, -2, "classes");
}

/* read_csv(path, {separator, header (0 auto, 1 yes, 2 no), missing, dtype, columns or false, label or false}) ->
 * X, y or nil, info */
int data_read_csv(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *path = bind_check_path(L, 1, "read_csv");
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  for (int i = 1; i <= 6; i++) lua_rawgeti(L, 2, i);
  peri_csv_options options = {.separator = luaL_checkstring(L, 3)[0],
                              .header = (peri_csv_header)luaL_checkinteger(L, 4),
                              .missing = lua_toboolean(L, 5),
                              .dtype = bind_check_dtype(L, 6, "read_csv"),
                              .labelled = lua_toboolean(L, 8),
                              .columns_n = list_length(L, 7)};
  if (options.labelled) options.label = to_column(L, 8);
  options.columns = push_columns(L, 7, options.columns_n);
  peri_csv *csv = bind_push_box(L, sizeof *csv, close_csv);
  peri_tensor **x = bind_new_tensor(L, S), **y = bind_new_tensor(L, S);
  BIND_TRY(L, S, peri_csv_read(S->context, path, &options, csv));
  *x = csv->x;
  *y = csv->y;
  csv->x = csv->y = NULL;
  if (*y == NULL) {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
  push_csv_info(L, csv);
  peri_csv_release(csv);
  bind_charge(L, S);
  return 3;
}

/* write_csv(path, X, y or nil, {separator, names or false, classes or false}); names has one for each column */
int data_write_csv(lua_State *L) {
  bind_state *S = bind_here(L);
  const char *path = bind_check_path(L, 1, "write_csv");
  luaL_checktype(L, 4, LUA_TTABLE);
  lua_settop(L, 4);
  for (int i = 1; i <= 3; i++) lua_rawgeti(L, 4, i);
  peri_csv_writing options = {.separator = luaL_checkstring(L, 5)[0], .classes_n = list_length(L, 7)};
  if (lua_istable(L, 6)) options.names = push_strings(L, 6, list_length(L, 6));
  options.classes = push_strings(L, 7, options.classes_n);
  peri_tensor *x = keep_tensor(L, S, 2, "write_csv", "X");
  peri_tensor *y = lua_isnil(L, 3) ? NULL : keep_tensor(L, S, 3, "write_csv", "y");
  BIND_TRY(L, S, peri_csv_write(S->context, path, x, y, &options));
  return 0;
}

/* ---- the table ---- */

typedef struct data_format {
  const char *name;
  lua_CFunction read, write;        /* NULL: lua/data/NAME.lua checks options first, and documents them */
  const char *read_doc, *write_doc; /* the first line behind the function's name */
  bool in_module;                   /* also as peri.load_NAME and save_NAME */
} data_format;

static const data_format formats[] = {
    {"idx", read_idx, write_idx,
     "(path) -> tensor\n"
     "Reads an IDX file (the MNIST family), plain or compressed with gzip.",
     "(path, x)\nWrites a uint8 tensor of 1 to 8 dimensions as IDX."},
    {"npy", read_npy, write_npy,
     "(path) -> tensor\n"
     "Reads an array of NumPy's (NPY 1.0 to 3.0; either order of bytes, C or Fortran order). bool, int64, uint8, float32 "
     "and float64 are the dtypes of that name; float16 becomes float32, all other integers int64.\n"
     "Errors: other types (objects, structures, complex numbers, texts, dates), a uint64 beyond int64, a file that is "
     "shorter or longer than its header says. Nothing in the file is executed.",
     "(path, x)\nWrites a tensor as NPY 1.0, for numpy.load. The file is written whole or not at all.",
     .in_module = true},
    {"npz", read_npz, write_npz,
     "(path) -> tensors\n"
     "Reads a file of numpy.savez or savez_compressed: a table of names and tensors, each as read_npy reads it.\n"
     "Errors name file, member and offset: as read_npy's, members that are no .npy, checksums that are wrong, and "
     "whatever the archive says in two places and not the same.",
     "(path, tensors, {compress = false, zip64 = false})\n"
     "Writes a table of names and tensors for numpy.load, in the order of the names; compress: deflated; zip64: in the "
     "form that files from 4 GB have. The file is written whole or not at all.\n"
     "Errors: names that are not UTF-8, or longer than 32764 bytes.",
     .in_module = true},
    {"image", read_image, write_image,
     "(path, {channels =, depth = 8}) -> tensor\n"
     "Reads an image, PNG, PGM or PPM, told apart by content: uint8, H x W x C, where C = 1 is grey, 2 grey and alpha, 3 "
     "RGB, 4 RGB and alpha. x:permute(3, 1, 2):to('float32'):div(255) is what layers take.\n"
     "channels: the image is converted: grey is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), alpha is dropped, or "
     "opaque. depth = 16: files of 16 bits per sample, and only these, as int64 up to 65535.\n"
     "Errors name file and offset: another content, what is cut or damaged, 16 bits without depth = 16, sides above "
     "1000000, sizes that the file cannot hold.",
     "(path, x)\n"
     "Writes a uint8 tensor, H x W x C or H x W, as the path ends: .png, .pgm (C = 1), .ppm (C = 3) or .pnm. The file is "
     "written whole or not at all."},
    {"png", read_image, write_image,
     "(path, {channels =, depth = 8}) -> tensor\n"
     "Reads a PNG file as read_image does: palettes become RGB (black beyond their end), a transparent colour alpha, fewer bits than 8 grey; "
     "gamma and profiles of colours are not applied.\n"
     "Errors: as read_image's; libpng is missing.",
     "(path, x)\nWrites a uint8 tensor, H x W x C or H x W with C from 1 to 4, as PNG."},
    {"pnm", read_image, write_image,
     "(path, {channels =, depth = 8}) -> tensor\n"
     "Reads a PGM (P2, P5) or PPM (P3, P6) file as read_image does; values are scaled so that the largest that the file "
     "may have is 255, or 65535.\n"
     "Errors: as read_image's; values above that; several images in one file.",
     "(path, x)\nWrites a uint8 tensor, H x W x C or H x W, as PGM (C = 1) or PPM (C = 3)."},
    {"svmlight", read_svmlight, write_svmlight,
     "(path, {dtype = 'float32', features =, zero_based = false}) -> X, y, qid\n"
     "Reads a file of SVMlight and LIBSVM (`label qid:query index:value ..`, `#` begins a comment), plain or "
     "compressed with gzip. X is n x d of dtype (float32 or float64), d = features or the largest index; y is n, "
     "int64 when every label is a whole number, else float64; qid is n int64, or nil when the file has none. "
     "zero_based: indices count from 0, not from 1.\n"
     "Errors name file and line: what is no number or index:value, indices that do not ascend, several labels, a qid "
     "in some lines only, an X that has no room within the memory limit (before it is allocated), or that a short "
     "text makes huge without features.",
     "(path, X, y, {qid =, zero_based = false})\n"
     "Writes X (n x d, float32 or float64), y (n finite numbers) and qid (n int64) as read_svmlight reads them, with "
     "as many digits as give the same bits again; zeros are left out. The file is written whole or not at all."},
    {"csv", NULL, NULL, NULL, NULL}};

/* data.formats() -> list of names: each has read_NAME and write_NAME */
static int list_formats(lua_State *L) {
  lua_createtable(L, (int)PERI_COUNT(formats), 0);
  for (size_t i = 0; i < PERI_COUNT(formats); i++) {
    lua_pushstring(L, formats[i].name);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static void set_format(lua_State *L, bind_state *S, const char *part, const char *verb, const char *name,
                       lua_CFunction function, const char *doc) {
  if (function == NULL) return;
  lua_pushfstring(L, "%s_%s", verb, name);
  lua_pushvalue(L, -1);
  bind_push_function(L, S, function, 1);
  lua_pushfstring(L, "%s%s_%s%s", part, verb, name, doc);
  lua_insert(L, -2);
  bind_document_value(L, -2);
  lua_remove(L, -2);
  lua_rawset(L, -3);
}

void data_open_formats(lua_State *L, bind_state *S) {
  for (size_t i = 0; i < PERI_COUNT(formats); i++) {
    set_format(L, S, "data.", "read", formats[i].name, formats[i].read, formats[i].read_doc);
    set_format(L, S, "data.", "write", formats[i].name, formats[i].write, formats[i].write_doc);
  }
  bind_set_member(L, S, NULL, "formats", list_formats, NULL);
}

void data_open_files(lua_State *L, bind_state *S) {
  for (size_t i = 0; i < PERI_COUNT(formats); i++) {
    if (!formats[i].in_module) continue;
    set_format(L, S, "", "load", formats[i].name, formats[i].read, formats[i].read_doc);
    set_format(L, S, "", "save", formats[i].name, formats[i].write, formats[i].write_doc);
  }
}
