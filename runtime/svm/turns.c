/* Shares of a time limit; see turns.h. */
#include "svm/turns.h"

#include <math.h>

void peri_turns_begin(peri_turns *turns, double deadline, const peri_turn *within, int64_t items) {
  turns->deadline = deadline;
  turns->within = within;
  turns->items = items;
  atomic_init(&turns->begun, 0);
  atomic_init(&turns->busy, 0);
  atomic_init(&turns->most, 1);
}

static double deadline_of_all(const peri_turns *turns) {
  return turns->within != NULL ? peri_turn_deadline(turns->within) : turns->deadline;
}

double peri_turn_deadline(const peri_turn *turn) {
  const peri_turns *among = turn->among;
  double end = deadline_of_all(among);
  if (isinf(end) || atomic_load(&among->begun) >= among->items) return end;
  int64_t most = atomic_load(&among->most), rounds = (turn->waiting + most - 1) / most;
  return turn->start + (end - turn->start) / (double)rounds;
}

bool peri_turn_late(const peri_turn *turn) {
  double end = peri_turn_deadline(turn);
  return !isinf(end) && peri_now() >= end;
}

void peri_turn_begin(peri_turns *turns, peri_turn *turn) {
  int64_t busy = atomic_fetch_add(&turns->busy, 1) + 1, most = atomic_load(&turns->most);
  while (busy > most && !atomic_compare_exchange_weak(&turns->most, &most, busy)) continue;
  turn->among = turns;
  turn->waiting = turns->items - atomic_fetch_add(&turns->begun, 1);
  turn->start = isinf(deadline_of_all(turns)) ? 0 : peri_now();
}

void peri_turn_end(const peri_turn *turn) { atomic_fetch_sub(&turn->among->busy, 1); }
