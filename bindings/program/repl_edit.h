/* Line editing for the REPL: libedit, opened by dlopen when a terminal gets its first prompt, so that
 * scripts neither load it nor need it. Without the library a terminal still works, line by line. */
#ifndef PERI_BINDINGS_REPL_EDIT_H
#define PERI_BINDINGS_REPL_EDIT_H

#include <stddef.h>

typedef struct peri_editor peri_editor;

/* Asked on Tab; line is the text up to the cursor. Answers with peri_editor_insert and peri_editor_list. */
typedef void (*peri_completer)(peri_editor *editor, const char *line, size_t length, void *user);

/* NULL when libedit or memory is missing. history is the path of a file, or NULL to remember nothing. */
peri_editor *peri_editor_open(const char *history, peri_completer complete, void *user);
void peri_editor_close(peri_editor *editor);

/* The next line with its newline if it has one, valid until the next call; NULL at the end of the input, and when a
 * signal came. What is pasted, or recalled, may be several lines. */
const char *peri_editor_read(peri_editor *editor, const char *prompt);
/* Adds an input, of one or more lines, to the history and to the end of its file, which only its owner reads. Several
 * prompts write to one file: none loses what another has written. */
void peri_editor_remember(peri_editor *editor, const char *input);
/* Every entry of the history, the oldest first. */
void peri_editor_entries(peri_editor *editor, void (*each)(const char *input, void *user), void *user);
/* Inserts text at the cursor. */
void peri_editor_insert(peri_editor *editor, const char *text);
/* Shows text, which ends with a newline, below the line that is edited. */
void peri_editor_list(peri_editor *editor, const char *text);

#endif
