/* A model as a library, to be timed in the process that calls it. */
#include "model.c"

#define KEPT 40
#include "signals.h"

static emodict_state state;
static int seconds;

int load(const char *path);
int repeat(int times);

/* The first seconds of a file, KEPT at most: how many. */
int load(const char *path)
{
    FILE *file = fopen(path, "rb");
    emodict_init(&state);
    for (now = 0; now < KEPT && read_signals(file);) {
        now++;
    }
    seconds = now;
    now = 0;
    return file == NULL || fclose(file) ? 0 : seconds;
}

/* So many seconds in turn, over and over, from where the last call ended; how many were answered.
 */
int repeat(int times)
{
    int answered = 0;
    for (int i = 0; i < times; i++) {
        emodict_second(&state, SIGNALS &row);
        answered += row.answered;
        now = now + 1 < seconds ? now + 1 : 0;
    }
    return answered;
}
