/* Instructions of a model, counted by the SysTick of QEMU's mps2-an386 under -icount shift=0: there
   an instruction takes 1 ns, and a tick 40 ns. Prints one line for each thing that is counted. */
#include "model.c"

#include <stdint.h>
#include <stdio.h>

#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)
#define MOST_TICKS 0xFFFFFFu
#define INSTRUCTIONS_A_TICK 40u

static emodict_state state;
static emodict_row row;
#ifdef EMODICT_EEG_SAMPLES
static float eeg[EMODICT_EEG_SAMPLES][EMODICT_EEG_CHANNELS];
#define EEG eeg,
#else
#define EEG
#endif
#ifdef EMODICT_GSR_SAMPLES
static float gsr[EMODICT_GSR_SAMPLES];
#define GSR gsr,
#else
#define GSR
#endif
#ifdef EMODICT_PPG_SAMPLES
static float ppg[EMODICT_PPG_SAMPLES];
#define PPG ppg,
#else
#define PPG
#endif
#ifdef EMODICT_VIDEO_VALUES
static float video[EMODICT_VIDEO_VALUES];
#define VIDEO video,
#else
#define VIDEO
#endif

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

static bool read_all(FILE *file, float *samples, size_t count)
{
    float there;
    return fread(&there, sizeof there, 1, file) == 1
        && fread(samples, sizeof *samples, count, file) == count;
}

static bool read_second(FILE *file)
{
    bool whole = true;
#ifdef EMODICT_EEG_SAMPLES
    whole = whole && read_all(file, &eeg[0][0], EMODICT_EEG_SAMPLES * EMODICT_EEG_CHANNELS);
#endif
#ifdef EMODICT_GSR_SAMPLES
    whole = whole && read_all(file, gsr, EMODICT_GSR_SAMPLES);
#endif
#ifdef EMODICT_PPG_SAMPLES
    whole = whole && read_all(file, ppg, EMODICT_PPG_SAMPLES);
#endif
#ifdef EMODICT_VIDEO_VALUES
    whole = whole && read_all(file, video, EMODICT_VIDEO_VALUES);
#endif
    return whole;
}

int main(void)
{
    FILE *file = fopen("seconds.bin", "rb");
    unsigned long most = 0, network;
    int answered = 0;
    if (file == NULL) {
        return 2;
    }
    printf("calibration %lu\n", calibration());
    emodict_init(&state);
    while (read_second(file)) {
        begin();
        emodict_second(&state, EEG GSR PPG VIDEO &row);
        const unsigned long spent = counted();
        bool all = true;
        for (int i = 0; i < EMODICT_MODALITIES; i++) {
            all = all && row.valid[i];
        }
        if (all) {
            most = spent > most ? spent : most;
            answered++;
        }
    }
    begin();
    answer_all(state.features, row.valid, state.work, &row);
    network = counted();
    printf("second %lu\nnetwork %lu\nanswered %d\n", most, network, answered);
    return 0;
}
