/* How machines share a time limit. Items that are solved one after the other, or some at a time by the team, begin
 * in turn; each has an equal share of the time that is left when it begins, and what it does not use passes on to
 * those that still wait. Once nobody waits, all that is left is for those that are at work. An item may be divided
 * again, into items of its own. */
#ifndef PERI_SVM_TURNS_H
#define PERI_SVM_TURNS_H

#include "base/base.h"

typedef struct peri_turn peri_turn;

typedef struct peri_turns {
  double deadline;         /* on the clock of peri_now, infinity for none; where there is no `within` */
  const peri_turn *within; /* the turn that is divided; NULL: none */
  int64_t items;
  _Atomic int64_t begun, busy, most; /* items that have begun, are at work, have been at work at a time */
} peri_turns;

struct peri_turn {
  peri_turns *among;
  double start;
  int64_t waiting; /* items that had not begun before it did, itself included */
};

void peri_turns_begin(peri_turns *turns, double deadline, const peri_turn *within, int64_t items);
/* An item's turn begins, or is over. Any thread may call these. */
void peri_turn_begin(peri_turns *turns, peri_turn *turn);
void peri_turn_end(const peri_turn *turn);
/* When the turn's time is over, as things stand: on the clock of peri_now, infinity for never. */
double peri_turn_deadline(const peri_turn *turn);
bool peri_turn_late(const peri_turn *turn);

#endif
