static void softmax(float *x, int count)
{
    float most = x[0], sum = 0.0f;
    for (int i = 1; i < count; i++) {
        most = larger(most, x[i]);
    }
    for (int i = 0; i < count; i++) {
        x[i] = expf(x[i] - most);
        sum += x[i];
    }
    for (int i = 0; i < count; i++) {
        x[i] /= sum;
    }
}

/* x = norm(x + added), row by row. */
static void add_and_norm(const norm *layer, const float *added, int rows, float *x)
{
    for (int row = 0; row < rows; row++) {
        float mean = 0.0f, variance = 0.0f;
        for (int i = 0; i < D_MODEL; i++) {
            x[i] += added[i];
            mean += x[i];
        }
        mean /= (float)D_MODEL;
        for (int i = 0; i < D_MODEL; i++) {
            x[i] -= mean;
            variance += x[i] * x[i];
        }
        const float gain = 1.0f / sqrtf(variance / (float)D_MODEL + LAYER_NORM_EPS);
        for (int i = 0; i < D_MODEL; i++) {
            x[i] = x[i] * gain * layer->scale[i] + layer->bias[i];
        }
        x += D_MODEL;
        added += D_MODEL;
    }
}

/* softmax(q k^T) v of one head, of one row; q is overwritten. */
static void attend(float *query, const float *keys, const float *values)
{
    float share[TOKENS];
    for (int token = 0; token < TOKENS; token++) {
        share[token] = 0.0f;
        for (int i = 0; i < HEAD_WIDTH; i++) {
            share[token] += query[i] * keys[token * D_MODEL + i];
        }
    }
    softmax(share, TOKENS);
    for (int i = 0; i < HEAD_WIDTH; i++) {
        query[i] = 0.0f;
    }
    for (int token = 0; token < TOKENS; token++) {
        for (int i = 0; i < HEAD_WIDTH; i++) {
            query[i] += share[token] * values[token * D_MODEL + i];
        }
    }
}

/* One layer of the Transformer over x (TOKENS, D_MODEL); of the rows before `first` nothing is
   asked any more. `work` has room for ENCODER_WORK floats. */
static void encode(const encoder_layer *layer, int first, float *x, float *work)
{
    const int rows = TOKENS - first;
    float *const asking = x + first * D_MODEL;
    float *const query = work, *const key = work + TOKENS * D_MODEL;
    float *const value = key + TOKENS * D_MODEL;
    product(&layer->query, asking, rows, query);
    product(&layer->key, x, TOKENS, key);
    product(&layer->value, x, TOKENS, value);
    for (int row = 0; row < rows; row++) {
        for (int i = 0; i < D_MODEL; i += HEAD_WIDTH) {
            attend(query + row * D_MODEL + i, key + i, value + i);
        }
    }
    product(&layer->out, query, rows, key);
    add_and_norm(&layer->norm1, key, rows, asking);
    float *const hidden = work, *const fed = work + TOKENS * FEED_FORWARD;
    product(&layer->expand, asking, rows, hidden);
    for (int i = 0; i < rows * FEED_FORWARD; i++) {
        hidden[i] = larger(hidden[i], 0.0f);
    }
    product(&layer->contract, hidden, rows, fed);
    add_and_norm(&layer->norm2, fed, rows, asking);
}
