/* The real parts of four bins, all even or all odd, of a folded window (see four_powers), and of
   those that lie as far from half the length: bin half - k is k's with every other sample's sign
   changed. So no angle is beyond a right one, where the sums would grow. */
static void four_cosines(const float *folded, int length, bool odd, four bend, float *real,
                         float *mirrored)
{
    const int half = length / 2, quarter = length / 4, step = odd ? 1 : -1;
    const float *part = folded + (odd ? half - quarter : quarter);
    float sign = quarter % 2 == 0 ? 1.0f : -1.0f;
    const float last = odd ? 0.0f : *part;
    four change = all(last), sum = change;
    four other_change = all(sign * last), other_sum = other_change;
    for (int left = quarter - 1; left > 0; left--) {
        part += step;
        sign = -sign;
        change = plus_product(plus(change, all(*part)), bend, sum);
        other_change = plus_product(plus(other_change, all(sign * *part)), bend, other_sum);
        sum = plus(sum, change);
        other_sum = plus(other_sum, other_change);
    }
    const four first = all(folded[odd ? half : 0]), half_bend = times(all(0.5f), bend);
    put(plus_product(plus(change, first), half_bend, sum), real);
    put(plus_product(plus(other_change, first), half_bend, other_sum), mirrored);
}

/* The real part of every bin of a folded window's spectrum, the mirrored bins included. `bend`
   holds -4 sin^2(t/2) of the angles t of the bins 0, 2, 4 ... up to a quarter of the length, then
   of 1, 3, 5 ..., both filled up to whole fours. */
static void real_parts(const float *bend, const float *folded, int length, float *real)
{
    const int half = length / 2, quarter = length / 4;
    for (int start = 0; start < 2; start++) {
        for (int bin = start; bin <= quarter; bin += 8) {
            float found[4], mirrored[4];
            four_cosines(folded, length, start == 1, read(bend), found, mirrored);
            for (int j = 0; j < 4 && bin + 2 * j <= quarter; j++) {
                real[bin + 2 * j] = found[j];
                real[half - bin - 2 * j] = mirrored[j];
            }
            bend += 4;
        }
    }
    for (int bin = 1; bin < half; bin++) {
        real[length - bin] = real[bin];
    }
}
