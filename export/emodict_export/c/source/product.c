/* x -> weights x + bias. The weights of four outputs stand side by side for each input;
   scale and bias are filled up to whole fours. */
typedef struct {
    int inputs, outputs;
    const weight *weights;
    const float *scale; /* of each output's weights; NULL: 1 */
    const float *bias;  /* NULL: 0 */
} linear;

/* Four outputs of one row; each of the sums waits only on itself. */
static four one_row(const weight *weights, int inputs, const float *in)
{
    four sums[4] = {all(0.0f), all(0.0f), all(0.0f), all(0.0f)};
    int i = 0;
    for (; i + 3 < inputs; i += 4) {
        sums[0] = plus_product(sums[0], all(in[i]), read_weights(weights));
        sums[1] = plus_product(sums[1], all(in[i + 1]), read_weights(weights + 4));
        sums[2] = plus_product(sums[2], all(in[i + 2]), read_weights(weights + 8));
        sums[3] = plus_product(sums[3], all(in[i + 3]), read_weights(weights + 12));
        weights += 16;
    }
    for (; i < inputs; i++) {
        sums[0] = plus_product(sums[0], all(in[i]), read_weights(weights));
        weights += 4;
    }
    return plus(plus(sums[0], sums[1]), plus(sums[2], sums[3]));
}

/* The same of four rows, for which each weight is read once. */
static void four_rows(const weight *weights, int inputs, const float *in, four *sums)
{
    four a = all(0.0f), b = a, c = a, d = a;
    for (int i = 0; i < inputs; i++) {
        const four read = read_weights(weights);
        a = plus_product(a, all(in[i]), read);
        b = plus_product(b, all(in[i + inputs]), read);
        c = plus_product(c, all(in[i + 2 * inputs]), read);
        d = plus_product(d, all(in[i + 3 * inputs]), read);
        weights += 4;
    }
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
}

static void finish(const linear *layer, four sum, int column, float *out)
{
    if (layer->scale != NULL) {
        sum = times(sum, read(layer->scale + column));
    }
    if (layer->bias != NULL) {
        sum = plus(sum, read(layer->bias + column));
    }
    if (column + 4 <= layer->outputs) {
        put(sum, out + column);
        return;
    }
    float last[4];
    put(sum, last);
    for (int i = 0; column + i < layer->outputs; i++) {
        out[column + i] = last[i];
    }
}

/* (rows, inputs) -> (rows, outputs); they must not overlap. */
static void product(const linear *layer, const float *in, int rows, float *out)
{
    const int inputs = layer->inputs, outputs = layer->outputs;
    const weight *weights = layer->weights;
    for (int column = 0; column < outputs; column += 4) {
        int row = 0;
        for (; row + 3 < rows; row += 4) {
            four sums[4];
            four_rows(weights, inputs, in + row * inputs, sums);
            for (int i = 0; i < 4; i++) {
                finish(layer, sums[i], column, out + (row + i) * outputs);
            }
        }
        for (; row < rows; row++) {
            const four only = one_row(weights, inputs, in + row * inputs);
            finish(layer, only, column, out + row * outputs);
        }
        weights += 4 * inputs;
    }
}
