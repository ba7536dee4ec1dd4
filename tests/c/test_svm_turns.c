/* Shares of a time limit: who begins has his part of what is left, whatever the clock says in between. */
#include "svm/turns.h"

#include "test.h"

#include <math.h>

static int near(double a, double b) { return fabs(a - b) < 1e-6; }

static void test_one_after_the_other(void) {
  peri_turns turns;
  peri_turns_begin(&turns, peri_now() + 1000, NULL, 4);
  for (int i = 0; i < 4; i++) {
    peri_turn turn;
    peri_turn_begin(&turns, &turn);
    double share = peri_turn_deadline(&turn) - turn.start, left = turns.deadline - turn.start;
    PERI_CHECK(near(share, left / (4 - i)), "item %d: %g of %g seconds", i, share, left);
    PERI_CHECK(!peri_turn_late(&turn), "item %d", i);
    peri_turn_end(&turn);
  }
}

/* With two at work at a time, each has twice as much; once nobody waits, all that is left. */
static void test_side_by_side(void) {
  peri_turns turns;
  peri_turn turn[6];
  peri_turns_begin(&turns, peri_now() + 1000, NULL, 6);
  peri_turn_begin(&turns, &turn[0]);
  double alone = peri_turn_deadline(&turn[0]);
  PERI_CHECK(near(alone - turn[0].start, (turns.deadline - turn[0].start) / 6), "%g", alone - turn[0].start);
  peri_turn_begin(&turns, &turn[1]);
  for (int i = 0; i < 2; i++) {
    double share = peri_turn_deadline(&turn[i]) - turn[i].start, left = turns.deadline - turn[i].start;
    PERI_CHECK(near(share, left / 3), "item %d: %g of %g seconds", i, share, left);
  }
  for (int i = 2; i < 6; i++) {
    peri_turn_end(&turn[i - 2]);
    peri_turn_begin(&turns, &turn[i]);
  }
  for (int i = 0; i < 6; i++) {
    double end = peri_turn_deadline(&turn[i]);
    PERI_CHECK(end == turns.deadline, "item %d ends %g seconds early", i, turns.deadline - end);
  }
}

static void test_divided(void) {
  peri_turns turns, parts;
  peri_turn turn, part;
  peri_turns_begin(&turns, peri_now() + 1000, NULL, 2);
  peri_turn_begin(&turns, &turn);
  peri_turns_begin(&parts, INFINITY, &turn, 5);
  peri_turn_begin(&parts, &part);
  double whole = peri_turn_deadline(&turn) - part.start, share = peri_turn_deadline(&part) - part.start;
  PERI_CHECK(near(share, whole / 5), "%g of %g seconds", share, whole);
}

static void test_ends(void) {
  peri_turns turns;
  peri_turn turn;
  peri_turns_begin(&turns, INFINITY, NULL, 3);
  peri_turn_begin(&turns, &turn);
  PERI_CHECK(isinf(peri_turn_deadline(&turn)) && !peri_turn_late(&turn), "no limit");
  turns.deadline = 0;
  PERI_CHECK(peri_turn_late(&turn), "a limit set to the past");
  peri_turns_begin(&turns, peri_now() - 1, NULL, 3);
  peri_turn_begin(&turns, &turn);
  PERI_CHECK(peri_turn_late(&turn), "a limit that is over");
}

PERI_TEST_MAIN(PERI_TEST(test_one_after_the_other), PERI_TEST(test_side_by_side), PERI_TEST(test_divided),
               PERI_TEST(test_ends))
