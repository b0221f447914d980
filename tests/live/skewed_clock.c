/* A machine whose steady clock started at another time and runs at another speed, for one process:
   LD_PRELOADed into it, this answers for CLOCK_MONOTONIC, on which LSL's local clock stands. */
#define _GNU_SOURCE
#include <math.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *time) {
    long failed = syscall(SYS_clock_gettime, id, time);
    const char *offset = getenv("SKEW_OFFSET_S"), *drift = getenv("SKEW_DRIFT"), *origin = getenv("SKEW_ORIGIN_S");
    if (failed || id != CLOCK_MONOTONIC || !offset || !drift || !origin) return (int)failed;
    double real = (double)time->tv_sec + 1e-9 * (double)time->tv_nsec;
    double skewed = real + atof(offset) + atof(drift) * (real - atof(origin));
    time->tv_sec = (time_t)floor(skewed);
    time->tv_nsec = (long)(1e9 * (skewed - floor(skewed)));
    return 0;
}
