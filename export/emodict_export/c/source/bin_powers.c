/* Some bins of a spectrum. `bend` and `sine`, -4 sin^2(t/2) and sin(t) of a bin's angle t, stand in
   eights: every other bin from the first one on, then the others, both filled up to eights. */
typedef struct {
    int length; /* of the window */
    int first, count;
    const float *bend, *sine;
} spectrum_bins;

/* |X|^2 of MANY bins of a folded window, by Clenshaw's sums in the form of Reinsch, which loses
   nothing where the angle is small: no table of cosines, and one multiplication a sample. */
static many many_powers(const float *folded, int length, bool odd, many bend, many sine)
{
    const int half = length / 2, quarter = length / 4, step = odd ? 1 : -1;
    const float *for_cosine = folded + (odd ? half - quarter : quarter);
    const float *for_sine = folded + (odd ? length - quarter : half + quarter);
    /* A quarter of the way an even bin has no sine, and an odd one no cosine. */
    many change = many_all(odd ? 0.0f : *for_cosine), sum = change;
    many sine_change = many_all(odd ? *for_sine : 0.0f), sine_sum = sine_change;
    for (int left = quarter - 1; left > 0; left--) {
        for_cosine += step;
        for_sine += step;
        change = many_plus_product(many_plus(change, many_all(*for_cosine)), bend, sum);
        sum = many_plus(sum, change);
        sine_change = many_plus(sine_change, many_all(*for_sine));
        sine_change = many_plus_product(sine_change, bend, sine_sum);
        sine_sum = many_plus(sine_sum, sine_change);
    }
    const many start = many_plus(change, many_all(folded[odd ? half : 0]));
    const many real = many_plus_product(start, many_times(many_all(0.5f), bend), sum);
    const many imaginary = many_times(sine, sine_sum);
    return many_plus_product(many_times(real, real), imaginary, imaginary);
}

/* |X|^2 of every bin, of a folded window. */
static void bin_powers(const spectrum_bins *bins, const float *folded, float *power)
{
    const float *bend = bins->bend, *sine = bins->sine;
    for (int start = 0; start < 2; start++) {
        const bool odd = (bins->first + start) % 2 == 1;
        for (int i = start; i < bins->count; i += 16) {
            float found[8];
            for (int j = 0; j < 8; j += MANY) {
                const many sines = many_read(sine + j), bends = many_read(bend + j);
                many_put(many_powers(folded, bins->length, odd, bends, sines), found + j);
            }
            for (int j = 0; j < 8 && i + 2 * j < bins->count; j++) {
                power[i + 2 * j] = found[j];
            }
            bend += 8;
            sine += 8;
        }
    }
}
