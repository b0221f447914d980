/* Instructions of a model, counted by the SysTick of QEMU's mps2-an386 under -icount shift=0: there
   an instruction takes 1 ns, and a tick 40 ns. Prints a name and a number on each line. */
#include "model.c"

#include "signals.h"

#include <stdint.h>

static emodict_state state;

#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)
#define MOST_TICKS 0xFFFFFFu
#define INSTRUCTIONS_A_TICK 40u

static void begin(void)
{
    SYST_RVR = MOST_TICKS;
    SYST_CVR = 0;
    SYST_CSR = 5; /* on, by the processor's clock, without interrupts */
}

static unsigned long counted(void)
{
    return (unsigned long)(MOST_TICKS - SYST_CVR) * INSTRUCTIONS_A_TICK;
}

/* One million rounds of four instructions. */
static unsigned long calibration(void)
{
    unsigned rounds = 1000000u;
    begin();
    __asm__ volatile("1:\n nop\n nop\n subs %0, %0, #1\n bne 1b" : "+r"(rounds) : : "cc");
    return counted();
}

/* Was everything done that there is to do in a second? */
static bool all_valid(void)
{
    bool all = true;
    for (int i = 0; i < EMODICT_MODALITIES; i++) {
        all = all && row.valid[i];
    }
    return all;
}

int main(void)
{
    FILE *file = fopen("seconds.bin", "rb");
    unsigned long most = 0, sum = 0, seconds = 0;
    printf("calibration %lu\n", calibration());
    emodict_init(&state);
    while (read_signals(file)) {
        begin();
        emodict_second(&state, SIGNALS &row);
        const unsigned long spent = counted();
        if (all_valid()) {
            most = spent > most ? spent : most;
            sum += spent;
            seconds++;
        }
    }
    begin();
    answer_all(state.features, row.valid, state.work, &row);
    const unsigned long network = counted();
    printf("network %lu\nseconds %lu\n", network, seconds);
    if (seconds > 0) {
        printf("mean %lu\nmost %lu\n", sum / seconds, most);
    }
    return 0;
}
