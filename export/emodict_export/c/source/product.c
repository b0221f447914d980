/* x -> weights x + bias. The weights of four outputs stand side by side for each input;
   scale and bias are filled up to whole fours. */
typedef struct {
    int inputs, outputs;
    const weight *weights;
    const float *scale; /* of each output's weights; NULL: 1 */
    const float *bias;  /* NULL: 0 */
} linear;

/* Four outputs of one row; each of two sums waits only on itself. */
static four one_row(const weight *weights, int inputs, const float *in)
{
    four sum = all(0.0f), other = sum;
    int i = 0;
    for (; i + 1 < inputs; i += 2) {
        sum = plus_product(sum, all(in[i]), read_weights(weights));
        other = plus_product(other, all(in[i + 1]), read_weights(weights + 4));
        weights += 8;
    }
    if (i < inputs) {
        sum = plus_product(sum, all(in[i]), read_weights(weights));
    }
    return plus(sum, other);
}

/* The same of two rows, for which each weight is read once. */
static void two_rows(const weight *weights, int inputs, const float *in, four *first, four *second)
{
    four sum = all(0.0f), other = sum;
    for (int i = 0; i < inputs; i++) {
        const four read = read_weights(weights);
        sum = plus_product(sum, all(in[i]), read);
        other = plus_product(other, all(in[i + inputs]), read);
        weights += 4;
    }
    *first = sum;
    *second = other;
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
        for (; row + 1 < rows; row += 2) {
            four first, second;
            two_rows(weights, inputs, in + row * inputs, &first, &second);
            finish(layer, first, column, out + row * outputs);
            finish(layer, second, column, out + (row + 1) * outputs);
        }
        if (row < rows) {
            const four only = one_row(weights, inputs, in + row * inputs);
            finish(layer, only, column, out + row * outputs);
        }
        weights += 4 * inputs;
    }
}
