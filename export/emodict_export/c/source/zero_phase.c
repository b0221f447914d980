/* The window against its first sample, mirrored about both ends. */
static void extend(const statistics_spec *spec, const float *window, float *out)
{
    const int last = spec->samples - 1;
    const float first = window[0], rise = window[last] - first;
    for (int i = spec->padding; i > 0; i--) {
        *out++ = first - window[i];
    }
    for (int i = 0; i <= last; i++) {
        *out++ = window[i] - first;
    }
    for (int i = 1; i <= spec->padding; i++) {
        *out++ = rise + (window[last] - window[last - i]);
    }
}

/* The window, or its second differences, filtered forward and backward without phase, in `work`,
   which has room for the extended window; where it begins there is returned.

   Differences are filtered as differences: taken of what was filtered, they would be lost in its
   rounding. The filter lets no constant through, so it begins at rest with whatever has always been
   the same: the signal less its first sample, and differences as they are. Of differences, `last`
   becomes the first difference of the last sample. */
static float *filtered_series(const statistics_spec *spec, const float *window, bool differences,
                              float *work, float *last)
{
    const int length = spec->samples + 2 * spec->padding;
    float states[MOST_STATES] = {0.0f};
    extend(spec, window, work);
    float before = work[0];
    for (int taken = 0; differences && taken < 2; taken++) {
        /* What was before the first sample is the same as it. */
        for (int i = length - 1; i > 0; i--) {
            work[i] -= work[i - 1];
        }
        work[0] = before = 0.0f;
    }
    for (int i = 0; i < length; i++) {
        work[i] = spec->gain * (work[i] - before);
    }
    filter(spec->sections, spec->section_count, work, length, 1, states);
    for (int i = 0; i < MOST_STATES; i++) {
        states[i] = 0.0f;
    }
    if (differences) {
        /* Behind the last sample nothing changes any more: the last first difference ends there. */
        float ending = 0.0f;
        for (int i = 0; i < length; i++) {
            ending -= work[i];
        }
        filter(spec->sections, spec->section_count, &ending, 1, 1, states);
        *last = -ending;
    } else {
        const float end = work[length - 1];
        for (int i = 0; i < length; i++) {
            work[i] -= end;
        }
    }
    filter(spec->sections, spec->section_count, work + length - 1, length, -1, states);
    return work + spec->padding + (differences ? 2 : 0);
}

/* First differences in the place of second ones, from the last one back. */
static void add_up(float *x, int length, float last)
{
    for (int i = length - 1; i > 0; i--) {
        const float change = x[i];
        x[i] = last;
        last -= change;
    }
}

/* Differences of a window that is not filtered; `order` 0 is the window itself. */
static float *plain_series(const float *window, int samples, int order, float *out)
{
    for (int i = 0; i < samples; i++) {
        out[i] = window[i];
    }
    for (int taken = 1; taken <= order; taken++) {
        for (int i = 0; i < samples - taken; i++) {
            out[i] = out[i + 1] - out[i];
        }
    }
    return out;
}
