/* What only the full library has. libperilune_score is made of the same sources, compiled with PERI_SCORES: there,
 * tables do not name what scoring does without (gradients, training, documentation), so that nothing calls it and it is
 * not linked. cmake/score.cmake says which files it is made of. */
#ifndef PERI_FULL_H
#define PERI_FULL_H

/* PERI_TRAINS: whether the library records, trains and replays. PERI_FULL: an entry of a table, which is empty in the
 * scorer's. Columns in which all entries are such take next to no room there: PERI_FULL_COLUMN declares one by its name
 * and its declaration, PERI_FULL_TEXT one of texts. */
#ifdef PERI_SCORES
#define PERI_TRAINS                         0
#define PERI_FULL_COLUMN(name, declaration) char name
#define PERI_FULL_TEXT(name)                char name[1]
#define PERI_FULL(...)                                                                                                 \
  { 0 }
#else
#define PERI_TRAINS                         1
#define PERI_FULL_COLUMN(name, declaration) declaration
#define PERI_FULL_TEXT(name)                const char *name
#define PERI_FULL(...)                      __VA_ARGS__
#endif

#endif
