#include "repl_edit.h"

#include <dlfcn.h>
#include <histedit.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct peri_editor {
  EditLine *line;
  History *history;
  char *history_path;
  const char *prompt;
  peri_completer complete;
  void *user;
};

enum { history_length = 2000 };

/* ---- the library: its calls, with the types of its own header ---- */

#define LIBEDIT_CALLS(CALL)                                                                                            \
  CALL(el_init)                                                                                                        \
  CALL(el_end)                                                                                                         \
  CALL(el_set)                                                                                                         \
  CALL(el_get)                                                                                                         \
  CALL(el_gets)                                                                                                        \
  CALL(el_line)                                                                                                        \
  CALL(el_insertstr)                                                                                                   \
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
  if (history) libedit.history(editor->history, &event, H_LOAD, history);
  libedit.el_set(editor->line, EL_CLIENTDATA, editor);
  libedit.el_set(editor->line, EL_EDITOR, "emacs");
  libedit.el_set(editor->line, EL_SIGNAL, 1); /* the terminal is set right before a signal is passed on */
  libedit.el_set(editor->line, EL_PROMPT, prompt_of);
  libedit.el_set(editor->line, EL_HIST, libedit.history, editor->history);
  libedit.el_set(editor->line, EL_ADDFN, "perilune-complete", "Complete a name", complete_line);
  libedit.el_set(editor->line, EL_BIND, "^I", "perilune-complete", NULL);
  libedit.el_set(editor->line, EL_BIND, "^R", "em-inc-search-prev", NULL);
  return editor;
}

void peri_editor_close(peri_editor *editor) {
  if (!editor) return;
  if (editor->line) libedit.el_end(editor->line);
  if (editor->history) libedit.history_end(editor->history);
  free(editor->history_path);
  free(editor);
}

const char *peri_editor_read(peri_editor *editor, const char *prompt) {
  editor->prompt = prompt;
  int length = 0;
  const char *line = libedit.el_gets(editor->line, &length);
  if (line && length > 0) return line;
  putchar('\n');
  return NULL;
}

void peri_editor_remember(peri_editor *editor, const char *line) {
  HistEvent event;
  libedit.history(editor->history, &event, H_ENTER, line);
  if (editor->history_path) libedit.history(editor->history, &event, H_SAVE, editor->history_path);
}

void peri_editor_insert(peri_editor *editor, const char *text) { libedit.el_insertstr(editor->line, text); }

void peri_editor_list(peri_editor *editor, const char *text) {
  (void)editor;
  putchar('\n');
  fputs(text, stdout);
  fflush(stdout);
}
