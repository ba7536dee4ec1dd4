/* What the terminal says that it can draw; see process.h. */
#include "process.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* An image of one pixel that is only asked about (kitty's protocol), then the device attributes, which every terminal
 * answers, so that the answer to the first is awaited no longer than there is none. */
static const char questions[] = "\033_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\033\\\033[c";

enum { patience = 500 /* milliseconds that a terminal behind a network may take */, answer_size = 256 };

/* Reads until the attributes have come, "ESC [ ? 62 ; 4 c"; gives how many bytes. */
static size_t read_answer(char *answer) {
  size_t n = 0;
  struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
  while (n < answer_size - 1 && poll(&in, 1, patience) > 0) {
    if (read(STDIN_FILENO, answer + n, 1) != 1) break;
    n++;
    answer[n] = '\0';
    const char *attributes = strstr(answer, "\033[?");
    if (attributes != NULL && answer[n - 1] == 'c') break;
  }
  answer[n] = '\0';
  return n;
}

/* Whether 4, sixel, is among the attributes. */
static bool has_sixel(const char *answer) {
  const char *at = strstr(answer, "\033[?");
  for (at = at != NULL ? at + 3 : NULL; at != NULL; at = strchr(at, ';')) {
    if (*at == ';') at++;
    if (strtol(at, NULL, 10) == 4) return true;
  }
  return false;
}

static const char *ask(void) {
  struct termios before, raw;
  if (tcgetattr(STDIN_FILENO, &before) != 0) return NULL;
  raw = before;
  raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
  raw.c_cc[VMIN] = 1;
  raw.c_cc[VTIME] = 0;
  if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0) return NULL;
  char answer[answer_size] = "";
  if (write(STDOUT_FILENO, questions, sizeof questions - 1) == (ssize_t)sizeof questions - 1) read_answer(answer);
  tcsetattr(STDIN_FILENO, TCSANOW, &before);
  if (strstr(answer, "\033_Gi=31;OK") != NULL) return "kitty";
  return has_sixel(answer) ? "sixel" : NULL;
}

static int terminal_pictures(lua_State *L) {
  const char *term = getenv("TERM");
  bool asks = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp() && term != NULL &&
              strcmp(term, "dumb") != 0 && strcmp(term, "linux") != 0;
  lua_pushstring(L, asks ? ask() : NULL);
  return 1;
}

void bind_open_terminal(lua_State *L) {
  lua_pushcfunction(L, terminal_pictures);
  lua_setfield(L, -2, "terminal_pictures");
}
