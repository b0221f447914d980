/* Standardised features, one token's after another's; 0 for a modality that is not valid. */
static void standardise(const member *model, const float *features, const bool *valid, float *z)
{
    for (int m = 0, i = 0; m < EMODICT_MODALITIES; m++) {
        for (; i < modality_end[m] * TOKEN_WIDTH; i++) {
            z[i] = valid[m] ? (features[i] - model->mean[i]) * model->inverse_scale[i] : 0.0f;
        }
    }
}

/* What the readout makes of the tokens; `spare` has room for one of them. */
static const float *pooled(const float *x, float *spare)
{
    if (READOUT == READOUT_LAST) {
        return x + (TOKENS - 1) * D_MODEL;
    }
    if (READOUT == READOUT_FLATTEN) {
        return x;
    }
    for (int i = 0; i < D_MODEL; i++) {
        spare[i] = 0.0f;
        for (int token = 0; token < TOKENS; token++) {
            spare[i] += x[token * D_MODEL + i] / (float)TOKENS;
        }
    }
    return spare;
}

/* One trained network. */
static void answer(const member *model, const float *features, const bool *valid, float *work,
                   float *distribution, float *weights)
{
    float *const x = work, *const rest = work + TOKENS * D_MODEL;
    standardise(model, features, valid, rest);
    product(&model->embed, rest, TOKENS, x);
    for (int i = 0; i < TOKENS * D_MODEL; i++) {
        x[i] += model->positions[i];
    }
    for (int layer = 0; layer < LAYERS; layer++) {
        const bool last_only = READOUT == READOUT_LAST && layer == LAYERS - 1;
        encode(&model->layers[layer], last_only ? TOKENS - 1 : 0, x, rest);
    }
    product(&model->to_weights, pooled(x, rest), 1, weights);
    classify(model, weights, work, distribution);
}

/* The members' distributions averaged, their weights side by side. */
static void answer_all(const float *features, const bool *valid, float *work, emodict_row *row)
{
    for (int i = 0; i < EMODICT_EMOTIONS; i++) {
        row->distribution[i] = 0.0f;
    }
    for (int m = 0; m < MEMBERS; m++) {
        float distribution[EMODICT_EMOTIONS];
        answer(&members[m], features, valid, work, distribution, row->weights + m * ELEMENTS);
        for (int i = 0; i < EMODICT_EMOTIONS; i++) {
            row->distribution[i] += distribution[i] / (float)MEMBERS;
        }
    }
}
