/* Log band powers of causally filtered channels: emodict/features/band_power.py. */
typedef struct {
    int first_bin, bins;
    const float *weights;
} band;

typedef struct {
    int samples, channels;
    float lower, upper;
    float clean;           /* a swing up to this is of quality 1 */
    const float *unmixing; /* (channels, channels) that a sample is multiplied by; NULL: none */
    int settle;          /* seconds until the filter's output is trusted */
    const section *sections;
    int section_count;
    float rest1, rest2;  /* where a constant 1 brings the first section, which lets none through */
    const float *taper;  /* the filter's gain included */
    spectrum_bins bins; /* of all bands */
    const band *bands;
    int band_count;
    float log_scale, log_offset;
    int band_step, channel_step; /* in the features */
} band_power_spec;

/* In place of the seconds since a channel's filter began: it is broken in this one. */
#define BROKEN 255

/* Look at every channel as it was recorded; false where one is broken. */
static bool judge_channels(const band_power_spec *spec, const float *x, unsigned char *seconds,
                           float *quality)
{
    bool valid = true;
    float clean = 0.0f;
    for (int c = 0; c < spec->channels; c++) {
        extremes found;
        if (!within(x + c, spec->samples, spec->channels, spec->lower, spec->upper, &found)
            || !moves(&found) || stuck(x + c, spec->samples, spec->channels, &found)
            || saturated(x + c, spec->samples, spec->channels, &found)) {
            seconds[c] = BROKEN;
            valid = false;
        } else {
            clean += spec->clean / larger(found.swing, spec->clean);
        }
    }
    *quality = clean / (float)spec->channels;
    return valid;
}

/* A channel against its first sample of this second: the filter never sees an electrode's offset.
   What is returned is how far that sample lies below the last second's, its reference. */
static float take_channel(const band_power_spec *spec, const float *x, const float *references,
                          int channel, float *out)
{
    const int channels = spec->channels;
    if (spec->unmixing == NULL) {
        for (int i = 0; i < spec->samples; i++) {
            out[i] = x[i * channels + channel] - x[channel];
        }
        return references[channel] - x[channel];
    }
    const float *const unmixing = spec->unmixing + channel * channels;
    float moved = 0.0f;
    for (int j = 0; j < channels; j++) {
        moved += unmixing[j] * (references[j] - x[j]);
    }
    for (int i = 0; i < spec->samples; i++) {
        out[i] = 0.0f;
        for (int j = 0; j < channels; j++) {
            out[i] += unmixing[j] * (x[i * channels + j] - x[j]);
        }
    }
    return moved;
}

/* Filter one channel's second in place, its states carried on; false while the filter settles. */
static bool filter_channel(const band_power_spec *spec, float moved, float *work, float *states,
                           unsigned char *seconds)
{
    if (*seconds == 0) {
        /* As if the first sample had always been there. */
        for (int i = 0; i < 2 * spec->section_count; i++) {
            states[i] = 0.0f;
        }
    } else {
        /* Another reference: the first section moves by what the difference has made of it. */
        states[0] += spec->rest1 * moved;
        states[1] += spec->rest2 * moved;
    }
    filter(spec->sections, spec->section_count, work, spec->samples, 1, states);
    const bool settled = *seconds >= spec->settle;
    *seconds = (unsigned char)(settled ? spec->settle : *seconds + 1);
    return settled;
}

/* One value a band, from a filtered second, which is overwritten; false where a band is empty. */
static bool band_values(const band_power_spec *spec, float *work, float *features)
{
    float power[MOST_BINS];
    for (int i = 0; i < spec->samples; i++) {
        work[i] *= spec->taper[i];
    }
    fold(work, spec->samples);
    bin_powers(&spec->bins, work, power);
    for (int b = 0; b < spec->band_count; b++) {
        const band *wanted = &spec->bands[b];
        float sum = 0.0f;
        for (int i = 0; i < wanted->bins; i++) {
            sum += wanted->weights[i] * power[wanted->first_bin - spec->bins.first + i];
        }
        if (!(sum > 0.0f)) {
            return false;
        }
        features[b * spec->band_step] = spec->log_scale * logf(sum) + spec->log_offset;
    }
    return true;
}

/* A second of all channels, time first; `states`, `references` and `seconds` hold one entry each.

   A broken channel begins anew after it, and the others go on; unmixed they all hang together. */
static bool band_powers(const band_power_spec *spec, const float *x, float *states,
                        float *references, unsigned char *seconds, float *work, float *features,
                        float *quality)
{
    bool valid = x != NULL && judge_channels(spec, x, seconds, quality);
    if (x == NULL || (spec->unmixing != NULL && !valid)) {
        for (int c = 0; c < spec->channels; c++) {
            seconds[c] = 0;
        }
        *quality = 0.0f;
        return false;
    }
    for (int c = 0; c < spec->channels; c++) {
        if (seconds[c] == BROKEN) {
            seconds[c] = 0;
            continue;
        }
        const float moved = take_channel(spec, x, references, c, work);
        float *const own = states + 2 * spec->section_count * c;
        valid = filter_channel(spec, moved, work, own, seconds + c) && valid;
        valid = valid && band_values(spec, work, features + c * spec->channel_step);
    }
    for (int c = 0; c < spec->channels; c++) {
        references[c] = x[c];
    }
    valid = valid && usable(features, spec->channels * spec->band_count);
    if (!valid) {
        *quality = 0.0f;
    }
    return valid;
}
