/* Second-order sections. Their states turn like a wheel (poles h +- i w), so that rounding does not
   ring on where poles come near 1; the numerator begins with 1, the gain stands elsewhere. */
typedef struct {
    float hold;   /* h */
    float across; /* from the second state to the first: -w, or w where the poles are real */
    float turn;   /* from the first state to the second: w */
    float tap1, tap2;
} section;

/* Three sections in series in one go, with their six states; a shorter filter is filled up with
   sections of zeros, which pass everything on. */
static void three_sections(const section *sections, float *x, int samples, int step, float *states)
{
    const section a = sections[0], b = sections[1], c = sections[2];
    float a1 = states[0], a2 = states[1], b1 = states[2], b2 = states[3];
    float c1 = states[4], c2 = states[5];
    for (; samples > 0; samples--) {
        const float in = *x;
        const float from_a = in + a.tap1 * a1 + a.tap2 * a2;
        const float from_b = from_a + b.tap1 * b1 + b.tap2 * b2;
        *x = from_b + c.tap1 * c1 + c.tap2 * c2;
        x += step;
        const float next_a = in + a.across * a2 + a.hold * a1;
        const float next_b = from_a + b.across * b2 + b.hold * b1;
        const float next_c = from_b + c.across * c2 + c.hold * c1;
        a2 = a.turn * a1 + a.hold * a2;
        b2 = b.turn * b1 + b.hold * b2;
        c2 = c.turn * c1 + c.hold * c2;
        a1 = next_a;
        b1 = next_b;
        c1 = next_c;
    }
    states[0] = a1;
    states[1] = a2;
    states[2] = b1;
    states[3] = b2;
    states[4] = c1;
    states[5] = c2;
}

/* Filter x in place, one sample after the other, `step` apart. */
static void filter(const section *sections, int count, float *x, int samples, int step,
                   float *states)
{
    for (int s = 0; s < count; s += 3) {
        three_sections(sections + s, x, samples, step, states + 2 * s);
    }
}
