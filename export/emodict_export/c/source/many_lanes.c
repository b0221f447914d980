/* Two fours of bins at a time: each would wait on itself. */
#define MANY 8
typedef struct {
    four low, high;
} many;

static many many_all(float x)
{
    return (many){all(x), all(x)};
}

static many many_read(const float *x)
{
    return (many){read(x), read(x + 4)};
}

static void many_put(many x, float *out)
{
    put(x.low, out);
    put(x.high, out + 4);
}

static many many_plus(many x, many y)
{
    return (many){plus(x.low, y.low), plus(x.high, y.high)};
}

static many many_times(many x, many y)
{
    return (many){times(x.low, y.low), times(x.high, y.high)};
}

static many many_plus_product(many x, many y, many z)
{
    return (many){plus_product(x.low, y.low, z.low), plus_product(x.high, y.high, z.high)};
}
