/* EmotionDict, its batch norms, dictionary and standardisation folded: tokens -> a distribution. */

typedef struct {
    const float *scale, *bias;
} norm;

typedef struct {
    linear query, key, value, out, expand, contract;
    norm norm1, norm2;
} encoder_layer;

typedef struct {
    const float *mean, *inverse_scale; /* of every feature */
    linear embed;
    const float *positions;
    const encoder_layer *layers;
    linear to_weights, lbl1, lbl2, lbl3, gate, to_emotions;
} member;
