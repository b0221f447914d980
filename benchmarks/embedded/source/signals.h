/* Seconds of whatever signals the model has: what of them was in the file, or NULL. */
#include "model.h"

#include <stddef.h>
#include <stdio.h>

/* So many seconds are kept, and the one that is read or used now. */
#ifndef KEPT
#define KEPT 1
#endif
static int now;

/* Not static: a compiler that saw that nothing sets them would leave the model out. */
#ifdef EMODICT_EEG_SAMPLES
static float eeg[KEPT][EMODICT_EEG_SAMPLES][EMODICT_EEG_CHANNELS];
bool has_eeg[KEPT];
#define EEG has_eeg[now] ? eeg[now] : NULL,
#else
#define EEG
#endif
#ifdef EMODICT_GSR_SAMPLES
static float gsr[KEPT][EMODICT_GSR_SAMPLES];
bool has_gsr[KEPT];
#define GSR has_gsr[now] ? gsr[now] : NULL,
#else
#define GSR
#endif
#ifdef EMODICT_PPG_SAMPLES
static float ppg[KEPT][EMODICT_PPG_SAMPLES];
bool has_ppg[KEPT];
#define PPG has_ppg[now] ? ppg[now] : NULL,
#else
#define PPG
#endif
#ifdef EMODICT_VIDEO_VALUES
static float video[KEPT][EMODICT_VIDEO_VALUES];
bool has_video[KEPT];
#define VIDEO has_video[now] ? video[now] : NULL,
#else
#define VIDEO
#endif

/* Arguments of emodict_second, in the order of every model. */
#define SIGNALS EEG PPG GSR VIDEO

static emodict_row row;

/* A float that is 1 where the modality is there, and its samples; false at the end of the file. */
static inline bool read_samples(FILE *file, float *samples, size_t count, bool *there)
{
    float flag;
    if (fread(&flag, sizeof flag, 1, file) != 1) {
        return false;
    }
    *there = flag > 0.0f;
    return fread(samples, sizeof *samples, count, file) == count;
}

static inline bool read_signals(FILE *file)
{
    bool whole = file != NULL;
#ifdef EMODICT_EEG_SAMPLES
    whole = whole
        && read_samples(file, eeg[now][0], EMODICT_EEG_SAMPLES * EMODICT_EEG_CHANNELS, &has_eeg[now]);
#endif
#ifdef EMODICT_GSR_SAMPLES
    whole = whole && read_samples(file, gsr[now], EMODICT_GSR_SAMPLES, &has_gsr[now]);
#endif
#ifdef EMODICT_PPG_SAMPLES
    whole = whole && read_samples(file, ppg[now], EMODICT_PPG_SAMPLES, &has_ppg[now]);
#endif
#ifdef EMODICT_VIDEO_VALUES
    whole = whole && read_samples(file, video[now], EMODICT_VIDEO_VALUES, &has_video[now]);
#endif
    return whole;
}
