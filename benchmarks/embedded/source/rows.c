/* Seconds from seconds.bin through a model, the rows to rows.bin: on a desk, or on a board whose
   files are its debugger's (semihosting). All numbers are floats. */
#include "signals.h"

/* So many streams take turns, each with a state of its own. */
#ifndef STREAMS
#define STREAMS 1
#endif

static emodict_state states[STREAMS];

static void put(FILE *file, const float *values, size_t count)
{
    fwrite(values, sizeof *values, count, file);
}

static void put_row(FILE *file)
{
    float flags[1 + EMODICT_MODALITIES];
    flags[0] = row.answered ? 1.0f : 0.0f;
    for (int i = 0; i < EMODICT_MODALITIES; i++) {
        flags[1 + i] = row.valid[i] ? 1.0f : 0.0f;
    }
    put(file, flags, 1 + EMODICT_MODALITIES);
    put(file, row.quality, EMODICT_MODALITIES);
    put(file, row.distribution, EMODICT_EMOTIONS);
    put(file, row.weights, EMODICT_WEIGHTS);
}

int main(void)
{
    FILE *seconds = fopen("seconds.bin", "rb"), *rows = fopen("rows.bin", "wb");
    if (rows == NULL) {
        return 2;
    }
    for (int i = 0; i < STREAMS; i++) {
        emodict_init(&states[i]);
    }
    for (int i = 0; read_signals(seconds); i++) {
        emodict_second(&states[i % STREAMS], SIGNALS &row);
        put_row(rows);
    }
    return fclose(rows);
}
