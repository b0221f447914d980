/* Is a channel's window fit to be used? The rules of emodict/features/quality.py. */

/* Of the samples of one channel. `still` is what the rounding of a constant may move it by. */
typedef struct {
    float low, high, swing, still;
} extremes;

/* False where a sample is missing or out of range; NaN compares false. */
static bool within(const float *x, int samples, int stride, float lower, float upper,
                   extremes *found)
{
    float low = x[0], high = x[0];
    for (int i = 0; i < samples; i++) {
        const float sample = x[i * stride];
        if (!(sample >= lower && sample <= upper)) {
            return false;
        }
        low = sample < low ? sample : low;
        high = sample > high ? sample : high;
    }
    found->low = low;
    found->high = high;
    found->swing = high - low;
    found->still = CONSTANT_SHARE * larger(fabsf(low), fabsf(high));
    return true;
}

static bool moves(const extremes *found)
{
    return found->swing > found->still;
}
