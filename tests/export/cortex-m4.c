/* Starts a program on the MPS2 board's Cortex-M4 that qemu has: the vectors, and the floating-point unit switched on.
 * What it prints and its status go to the host by semihosting (newlib's librdimon). */
#include <stdlib.h>

extern char stack_top[];
void initialise_monitor_handles(void);
int main(void);
void _init(void);
void _fini(void);

/* newlib's exit asks for them */
void _init(void) {}
void _fini(void) {}

static void reset(void) {
  volatile unsigned *access = (volatile unsigned *)0xE000ED88; /* CPACR: coprocessors 10 and 11 */
  *access |= 0xFu << 20;
  __asm__ volatile("dsb\n isb");
  initialise_monitor_handles();
  exit(main());
}

static void fault(void) {
  for (;;) continue;
}

__attribute__((section(".vectors"), used)) static void (*const vectors[])(void) = {
    (void (*)(void))stack_top, reset, fault, fault, fault, fault, fault};
