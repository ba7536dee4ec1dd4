#include "repl_edit.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

struct peri_editor {
  EditLine *line;
  History *history;
  char *history_path;
  const char *prompt;
  bool pastes; /* the terminal marks what is pasted */
  peri_completer complete;
  void *user;
};

enum { history_length = 2000 };

/* ---- the library: its calls, with the types of its own header ---- */

#define LIBEDIT_CALLS(CALL)                                                                                            \
  CALL(el_init)                                                                                                        \
  CALL(el_end)                                                                                                         \
  CALL(el_set)                                                                                                         \
  CALL(el_wset)                                                                                                        \
  CALL(el_get)                                                                                                         \
  CALL(el_gets)                                                                                                        \
  CALL(el_line)                                                                                                        \
  CALL(el_insertstr)                                                                                                   \
  CALL(el_wgetc)                                                                                                       \
  CALL(el_winsertstr)                                                                                                  \
  CALL(history_init)                                                                                                   \
  CALL(history_end)                                                                                                    \
  CALL(history)

#define MEMBER(name) __typeof__(name) *name;
static struct { LIBEDIT_CALLS(MEMBER) } libedit;

static bool find_call(void *library, const char *name, void *slot) {
  void *symbol = dlsym(library, name);
  memcpy(slot, &symbol, sizeof(symbol)); /* POSIX: pointers to functions and to data are alike */
  return symbol != NULL;
}

static bool load_library(void) {
  void *library = dlopen("libedit.so.2", RTLD_NOW | RTLD_LOCAL);
  if (!library) library = dlopen("libedit.so.0", RTLD_NOW | RTLD_LOCAL); /* its name outside Debian */
#define AND_FIND(name) &&find_call(library, #name, &libedit.name)
  return library LIBEDIT_CALLS(AND_FIND);
}

/* ---- what the library calls ---- */

static peri_editor *editor_of(EditLine *line) {
  void *editor = NULL;
  libedit.el_get(line, EL_CLIENTDATA, &editor);
  return editor;
}

static char *prompt_of(EditLine *line) { return (char *)editor_of(line)->prompt; }

/* Tab. In the indentation, and when more text is waiting because it was pasted, it stands for itself. */
static unsigned char complete_line(EditLine *line, int character) {
  (void)character;
  peri_editor *editor = editor_of(line);
  const LineInfo *info = libedit.el_line(line);
  size_t length = (size_t)(info->cursor - info->buffer), blank = 0;
  while (blank < length && (info->buffer[blank] == ' ' || info->buffer[blank] == '\t')) blank++;
  int waiting = 0;
  ioctl(STDIN_FILENO, FIONREAD, &waiting);
  if (blank == length || waiting > 0) {
    libedit.el_insertstr(line, "\t");
    return CC_REFRESH;
  }
  char *text = strndup(info->buffer, length); /* inserting moves the buffer */
  if (!text) return CC_ERROR;
  editor->complete(editor, text, length, editor->user);
  free(text);
  return CC_REDISPLAY;
}

/* ---- what is pasted ---- */

/* The terminal puts these around it, while it is asked to. */
static const char paste_on[] = "\033[?2004h", paste_off[] = "\033[?2004l", paste_end[] = "\033[201~";

/* What comes up to paste_end becomes text of the line, newlines too: characters, as the library reads and keeps them.
 */
static unsigned char paste(EditLine *line, int character) {
  (void)character;
  enum { most = 1 << 20 };
  size_t capacity = 4096, size = 0, ends = 0;
  wchar_t *text = malloc(capacity * sizeof *text);
  for (wchar_t c; text && ends < sizeof paste_end - 1 && libedit.el_wgetc(line, &c) == 1;) {
    ends = c == (wchar_t)paste_end[ends] ? ends + 1 : c == (wchar_t)paste_end[0];
    if (size + 2 > capacity) {
      wchar_t *larger = size < most ? realloc(text, (capacity *= 2) * sizeof *text) : NULL;
      if (!larger) free(text);
      text = larger;
    }
    if (text) text[size++] = c == L'\r' ? L'\n' : c;
  }
  if (!text) return CC_ERROR;
  size -= ends == sizeof paste_end - 1 ? ends : 0;
  while (size > 0 && text[size - 1] == L'\n') size--; /* the cursor stands behind the last line */
  text[size] = L'\0';
  bool inserted = libedit.el_winsertstr(line, text) == 0;
  free(text);
  return inserted ? CC_REFRESH : CC_ERROR;
}

/* ---- the history ---- */

/* The file has libedit's own form: a line for each entry, after a first line that names it, with white space, controls
 * and backslashes in octal. */
static const char history_head[] = "_HiStOrY_V2_\n";

static bool is_octal(unsigned char c) { return c <= ' ' || c == '\\' || c == 127; }

static bool write_all(int file, const char *text, size_t size) {
  while (size > 0) {
    ssize_t n = write(file, text, size);
    if (n < 0 && errno != EINTR) return false;
    if (n > 0) text += n, size -= (size_t)n;
  }
  return true;
}

/* One write, at the file's end, while no other prompt writes. */
static void append(const char *path, const char *input) {
  size_t size = strlen(input), n = 0;
  char *text = malloc(sizeof history_head + 4 * size + 1);
  int file = text ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
  struct stat state;
  if (file >= 0 && flock(file, LOCK_EX) == 0 && fstat(file, &state) == 0) {
    fchmod(file, 0600);
    if (state.st_size == 0) n = strlen(strcpy(text, history_head));
    for (size_t i = 0; i < size; i++) {
      unsigned char c = (unsigned char)input[i];
      n += (size_t)(is_octal(c) ? snprintf(text + n, 5, "\\%03o", c) : snprintf(text + n, 2, "%c", c));
    }
    text[n++] = '\n';
    write_all(file, text, n);
  }
  if (file >= 0) close(file);
  free(text);
}

/* Leaves the last lines of a file that has grown to more than twice of them. */
static void shorten(const char *path, int lines) {
  int file = open(path, O_RDWR | O_CLOEXEC);
  struct stat state;
  char *text = NULL;
  if (file < 0 || flock(file, LOCK_EX) != 0 || fstat(file, &state) != 0 || state.st_size > (off_t)1 << 28) goto done;
  text = malloc((size_t)state.st_size + 1);
  if (!text) goto done;
  ssize_t size = read(file, text, (size_t)state.st_size), from = size;
  int there = 0;
  for (ssize_t i = 0; i < size; i++) there += text[i] == '\n';
  if (size != state.st_size || there <= 2 * lines) goto done;
  for (int left = lines + 1; from > 0 && left > 0; from--) left -= text[from - 1] == '\n';
  from += from > 0;
  bool written = lseek(file, 0, SEEK_SET) == 0 && write_all(file, history_head, sizeof history_head - 1) &&
                 write_all(file, text + from, (size_t)(size - from));
  if (written && ftruncate(file, (off_t)sizeof history_head - 1 + size - from) != 0) goto done; /* then it stays long */
done:
  if (file >= 0) close(file);
  free(text);
}

/* ---- the editor ---- */

peri_editor *peri_editor_open(const char *history, peri_completer complete, void *user) {
  if (!load_library()) return NULL;
  peri_editor *editor = calloc(1, sizeof(*editor));
  if (!editor) return NULL;
  setlocale(LC_CTYPE, ""); /* so that a line is cut into the terminal's characters */
  editor->complete = complete;
  editor->user = user;
  editor->prompt = "";
  editor->line = libedit.el_init("perilune", stdin, stdout, stderr);
  editor->history = libedit.history_init();
  editor->history_path = history ? strdup(history) : NULL;
  if (!editor->line || !editor->history || (history && !editor->history_path)) {
    peri_editor_close(editor);
    return NULL;
  }
  HistEvent event;
  libedit.history(editor->history, &event, H_SETSIZE, history_length);
  libedit.history(editor->history, &event, H_SETUNIQUE, 1);
  if (history) shorten(history, history_length);
  if (history) libedit.history(editor->history, &event, H_LOAD, history);
  libedit.el_set(editor->line, EL_CLIENTDATA, editor);
  libedit.el_set(editor->line, EL_EDITOR, "emacs");
  libedit.el_set(editor->line, EL_SIGNAL, 1); /* the terminal is set right before a signal is passed on */
  libedit.el_set(editor->line, EL_PROMPT, prompt_of);
  libedit.el_set(editor->line, EL_HIST, libedit.history, editor->history);
  /* wide names, which the library does not copy and lose */
  libedit.el_wset(editor->line, EL_ADDFN, L"perilune-complete", L"Complete a name", complete_line);
  libedit.el_set(editor->line, EL_BIND, "^I", "perilune-complete", NULL);
  libedit.el_set(editor->line, EL_BIND, "^R", "em-inc-search-prev", NULL);
  const char *term = getenv("TERM");
  editor->pastes = term && strcmp(term, "dumb") != 0;
  if (editor->pastes) {
    libedit.el_wset(editor->line, EL_ADDFN, L"perilune-paste", L"Insert what is pasted", paste);
    libedit.el_set(editor->line, EL_BIND, "\033[200~", "perilune-paste", NULL);
  }
  return editor;
}

void peri_editor_close(peri_editor *editor) {
  if (!editor) return;
  if (editor->line) libedit.el_end(editor->line);
  if (editor->history) libedit.history_end(editor->history);
  free(editor->history_path);
  free(editor);
}

static void tell(const peri_editor *editor, const char *sequence) {
  if (!editor->pastes) return;
  fputs(sequence, stdout);
  fflush(stdout);
}

const char *peri_editor_read(peri_editor *editor, const char *prompt) {
  editor->prompt = prompt;
  int length = 0;
  tell(editor, paste_on);
  const char *line = libedit.el_gets(editor->line, &length);
  tell(editor, paste_off);
  if (line && length > 0) return line;
  putchar('\n');
  return NULL;
}

void peri_editor_remember(peri_editor *editor, const char *input) {
  HistEvent event;
  libedit.history(editor->history, &event, H_ENTER, input);
  if (editor->history_path) append(editor->history_path, input);
}

void peri_editor_entries(peri_editor *editor, void (*each)(const char *input, void *user), void *user) {
  HistEvent event;
  for (int more = libedit.history(editor->history, &event, H_LAST); more >= 0;
       more = libedit.history(editor->history, &event, H_PREV)) {
    each(event.str, user);
  }
}

void peri_editor_insert(peri_editor *editor, const char *text) { libedit.el_insertstr(editor->line, text); }

void peri_editor_list(peri_editor *editor, const char *text) {
  (void)editor;
  putchar('\n');
  fputs(text, stdout);
  fflush(stdout);
}
