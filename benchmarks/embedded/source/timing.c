/* A model as a library, to be timed in the process that calls it. */
#include "model.c"

#include "signals.h"

static emodict_state state;

int load(const char *path);
int repeat(int times);

/* The first second of a file, again and again until all windows are full of it; 0 where that went
   well. */
int load(const char *path)
{
    FILE *file = fopen(path, "rb");
    const bool whole = read_signals(file);
    emodict_init(&state);
    return whole ? fclose(file) : 2;
}

/* 1 where the model answered the last time. */
int repeat(int times)
{
    for (int i = 0; i < times; i++) {
        emodict_second(&state, SIGNALS &row);
    }
    return row.answered;
}
