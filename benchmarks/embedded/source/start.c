/* What happens on QEMU's mps2-an386 (Cortex-M4F) and mps2-an500 (Cortex-M7) before main. */
#include <stdint.h>

extern uint32_t data_from[], data_start[], data_end[], bss_start[], bss_end[], stack_top[];
extern void initialise_monitor_handles(void);
extern int main(void);
extern void exit(int status) __attribute__((noreturn));
void start(void);
void _fini(void);

#define CPACR (*(volatile uint32_t *)0xE000ED88u)

void start(void)
{
    CPACR |= 0xFu << 20; /* the FPU is off after a reset */
    __asm__ volatile("dsb\n isb" ::: "memory");
    for (uint32_t *from = data_from, *to = data_start; to < data_end;) {
        *to++ = *from++;
    }
    for (uint32_t *to = bss_start; to < bss_end;) {
        *to++ = 0;
    }
    initialise_monitor_handles();
    exit(main());
}

/* newlib's exit asks for it, and here it has nothing to do. */
void _fini(void)
{
}

/* A fault is told as one. */
static void fault(void)
{
    exit(3);
}

__attribute__((section(".vectors"), used)) static const uintptr_t vectors[16] = {
    (uintptr_t)stack_top, (uintptr_t)start, (uintptr_t)fault, (uintptr_t)fault,
    (uintptr_t)fault,     (uintptr_t)fault, (uintptr_t)fault,
};
