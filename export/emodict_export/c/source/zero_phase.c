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

/* The window, or its first or second difference, filtered forward and backward without phase.

   Differences are filtered as differences: taken of what was filtered, they would be lost in its
   rounding. The filter lets no constant through, so it begins at rest with whatever has always been
   the same: the signal less its first sample, and differences as they are. `work` has room for the
   extended window. Where the series begins in it is returned; of order 1, `at_end` is set, which
   order 2 needs: the last difference on the way forward, after which there is none. */
static float *filtered_series(const statistics_spec *spec, const float *window, int order,
                              float *work, float *at_end)
{
    const int length = spec->samples + 2 * spec->padding;
    float states[MOST_STATES] = {0.0f};
    extend(spec, window, work);
    float before = work[0];
    for (int taken = 0; taken < order; taken++) {
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
    if (order == 0) {
        const float last = work[length - 1];
        for (int i = 0; i < length; i++) {
            work[i] -= last;
        }
    } else if (order == 1) {
        *at_end = work[length - 1];
    } else {
        float ending = -*at_end;
        filter(spec->sections, spec->section_count, &ending, 1, 1, states);
    }
    filter(spec->sections, spec->section_count, work + length - 1, length, -1, states);
    return work + spec->padding + order;
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
