/* More than half of the samples within 1 % of an extreme: clipped, or dwarfed by one spike. */
static bool saturated(const float *x, int samples, int stride, const extremes *found)
{
    const float margin = RAIL_SHARE_OF_RANGE * found->swing;
    const float top = found->swing - margin;
    int at_rail = 0;
    for (int i = 0; i < samples; i++) {
        const float above = x[i * stride] - found->low;
        at_rail += above <= margin || above >= top;
    }
    return 2 * at_rail > samples;
}

/* The same sample again and again for more than half of the window: the run covers its middle. */
static bool stuck(const float *x, int samples, int stride, const extremes *found)
{
    const float middle = x[samples / 2 * stride];
    int after = samples / 2, before = after;
    while (after < samples && fabsf(x[after * stride] - middle) <= found->still) {
        after++;
    }
    while (before >= 0 && fabsf(x[before * stride] - middle) <= found->still) {
        before--;
    }
    return 2 * (after - before - 1) > samples;
}
