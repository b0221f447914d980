/* The real parts of MANY bins, all even or all odd, of a folded window (see many_powers), and of
   those that lie as far from half the length: bin half - k is k's with every other sample's sign
   changed. So no angle is beyond a right one, where the sums would grow. */
static void many_cosines(const float *folded, int length, bool odd, many bend, float *real,
                         float *mirrored)
{
    const int half = length / 2, quarter = length / 4, step = odd ? 1 : -1;
    const float *part = folded + (odd ? half - quarter : quarter);
    float sign = quarter % 2 == 0 ? 1.0f : -1.0f;
    const float last = odd ? 0.0f : *part;
    many change = many_all(last), sum = change;
    many other_change = many_all(sign * last), other_sum = other_change;
    for (int left = quarter - 1; left > 0; left--) {
        part += step;
        sign = -sign;
        change = many_plus_product(many_plus(change, many_all(*part)), bend, sum);
        other_change = many_plus(other_change, many_all(sign * *part));
        other_change = many_plus_product(other_change, bend, other_sum);
        sum = many_plus(sum, change);
        other_sum = many_plus(other_sum, other_change);
    }
    const many first = many_all(folded[odd ? half : 0]);
    const many half_bend = many_times(many_all(0.5f), bend);
    many_put(many_plus_product(many_plus(change, first), half_bend, sum), real);
    many_put(many_plus_product(many_plus(other_change, first), half_bend, other_sum), mirrored);
}

/* The real part of every bin of a folded window's spectrum, the mirrored bins included. `bend`
   holds -4 sin^2(t/2) of the angles t of the bins 0, 2, 4 ... up to a quarter of the length, then
   of 1, 3, 5 ..., both filled up to eights. */
static void real_parts(const float *bend, const float *folded, int length, float *real)
{
    const int half = length / 2, quarter = length / 4;
    for (int start = 0; start < 2; start++) {
        for (int bin = start; bin <= quarter; bin += 16) {
            float found[8], mirrored[8];
            for (int j = 0; j < 8; j += MANY) {
                const many bends = many_read(bend + j);
                many_cosines(folded, length, start == 1, bends, found + j, mirrored + j);
            }
            for (int j = 0; j < 8 && bin + 2 * j <= quarter; j++) {
                real[bin + 2 * j] = found[j];
                real[half - bin - 2 * j] = mirrored[j];
            }
            bend += 8;
        }
    }
    for (int bin = 1; bin < half; bin++) {
        real[length - bin] = real[bin];
    }
}
