/* Names that a script wrote and that do not exist: which it may have meant. One measure for options, fields, methods
 * and functions, here and (internal.meant) in Lua.
 *
 * And what an object is asked about its names: bind_has is the method `has` of all classes of userdata. */
#ifndef PERI_BIND_NAMES_H
#define PERI_BIND_NAMES_H

#include "bind.h"

#define BIND_FEW 16
typedef struct bind_guess {
  const char *word;          /* NULL: no name at all */
  const char *best;          /* the closest so far, or NULL; of those equally close the first in the alphabet */
  int distance;              /* of it; what is further than the word's length allows is never taken */
  int count;                 /* of the names that there are */
  const char *few[BIND_FEW]; /* the first of them */
} bind_guess;

/* A guess for the value at index, which stays on the stack. */
bind_guess bind_guess_for(lua_State *L, int index);
/* Names that there are; they must stay alive until the guess is told. */
void bind_guess_name(bind_guess *guess, const char *name);
void bind_guess_names(bind_guess *guess, const char *const *names); /* ended by NULL; may be NULL */
void bind_guess_options(bind_guess *guess, const peri_option *options);
/* The keys of the table at index, and of the tables that its metatables' __index lead to. */
void bind_guess_keys(lua_State *L, bind_guess *guess, int index);
/* Pushes the end of a message, ": did you mean NAME?", or an empty text. */
const char *bind_push_guess(lua_State *L, const bind_guess *guess);

/* Raises that the object has no field or method of that name; without a guess it says which there are, if they are few.
 */
int bind_no_field(lua_State *L, const char *object, const char *name, const bind_guess *guess);

/* object:has(name) */
int bind_has(lua_State *L);
#define BIND_HAS(object)                                                                                               \
  {                                                                                                                    \
    "has", bind_has,                                                                                                   \
        object ":has(name) -> boolean\n"                                                                               \
               "Whether there is a field or method of that name and it is not nil now; reading one that is not there " \
               "is an error."                                                                                          \
  }

/* peri.type(x) */
int bind_type(lua_State *L);
#define BIND_TYPE_DOC                                                                                                  \
  "type(x) -> string or nil\n"                                                                                         \
  "What of Perilune's x is: 'tensor', 'layer' (losses, containers and layers written in Lua too; nn.type tells "       \
  "which), 'buffer', 'optimizer', 'group' (of its parameters), 'schedule', 'loader', 'generator', 'estimator' "        \
  "(machines, networks that are estimators, what train.fit gives), 'figure', 'run', 'options', 'search', 'curve', "    \
  "'grid', 'confusion', 'average' (optim.EMA). nil for all else, also for a tensor that was released."

#endif
