/* One floating type's scan: _scan.c includes this once for float and once for double.
 *
 * REAL, BITS (an unsigned integer of the same size), NAME(x) and the constants of exp are set by _scan.c. All loops run
 * over a block of neurons of one sample, small enough for the first cache, so that time can be the outer loop and the
 * states stay in cache. No loop has a dependency from one neuron to the next: that is what ivdep says. */

/* exp(x) for x <= 0: 2^k * exp(r) with |r| <= ln(2)/2, exp(r) by its Taylor series. Adding SHIFTER rounds to a whole
 * number, which then stands in the lowest bits. */
static INLINE REAL NAME(exp_negative)(REAL x) {
    union { REAL real; BITS bits; } whole, power;
    REAL k, r, sum = 1;
    x = x < EXP_LOWEST ? EXP_LOWEST : x;
    whole.real = x * (REAL)1.4426950408889634 + SHIFTER;
    k = whole.real - SHIFTER;
    r = (x - k * LN2_HIGH) - k * LN2_LOW;
    for (int i = EXP_TERMS; i > 0; i--)
        sum = 1 + sum * r * ((REAL)1 / (REAL)i);
    power.bits = (whole.bits + EXP_BIAS) << MANTISSA;
    return sum * power.real;
}

/* d = ds/dv at u = v - threshold, as snntorch.surrogate 1.0 defines it. */
TARGETS static void NAME(slopes)(int surrogate, double parameter, int n, const REAL *v, const REAL *threshold, REAL *d) {
    const REAL p = (REAL)parameter;
    switch (surrogate) {
    case ATAN: {
        const REAL half = (REAL)(parameter / 2), scale = (REAL)(1.5707963267948966 * parameter);
        IVDEP for (int j = 0; j < n; j++) {
            REAL w = scale * (v[j] - threshold[j]);
            d[j] = half / (1 + w * w);
        }
        break;
    }
    case FAST_SIGMOID:
        IVDEP for (int j = 0; j < n; j++) {
            REAL u = v[j] - threshold[j], w = p * (u < 0 ? -u : u) + 1;
            d[j] = 1 / (w * w);
        }
        break;
    case SIGMOID: /* even in u, so that nothing overflows */
        IVDEP for (int j = 0; j < n; j++) {
            REAL u = p * (v[j] - threshold[j]), e = NAME(exp_negative)(u < 0 ? u : -u), w = e + 1;
            d[j] = p * e / (w * w);
        }
        break;
    case TRIANGULAR:
        IVDEP for (int j = 0; j < n; j++)
            d[j] = v[j] - threshold[j] >= 0 ? -p : p;
        break;
    default: /* straight through */
        for (int j = 0; j < n; j++)
            d[j] = 1;
    }
}

/* A block of neurons of one sample over all steps. `at` is its first element in an array of one step. */
TARGETS static void NAME(forward)(const Job *job, int64_t at, int64_t neuron, int n) {
    const REAL *k = (const REAL *)job->coefficients + neuron, *x = (const REAL *)job->x + at;
    const REAL *keep_v = k, *gain_v = k + job->neurons, *bias = k + 2 * job->neurons, *keep_c = k + 3 * job->neurons;
    const REAL *gain_c = k + 4 * job->neurons, *weight = k + 5 * job->neurons, *threshold = k + 6 * job->neurons;
    const REAL *jump = k + 7 * job->neurons;
    REAL *v_state = (REAL *)job->v + at, *c_state = job->c ? (REAL *)job->c + at : 0;
    REAL *out = (REAL *)job->out + at, *before = job->before ? (REAL *)job->before + at : 0;
    REAL *after = job->after ? (REAL *)job->after + at : 0;
    const int64_t stride = job->batch * job->neurons;
    REAL v[BLOCK], c[BLOCK];
    memcpy(v, v_state, n * sizeof(REAL));
    if (c_state)
        memcpy(c, c_state, n * sizeof(REAL));
    for (int64_t t = 0; t < job->steps; t++, x += stride, out += stride) {
        switch (job->rows) {
        case ONE_ROW:
            IVDEP for (int j = 0; j < n; j++)
                v[j] = keep_v[j] * v[j] + gain_v[j] * x[j] + bias[j];
            break;
        case CURRENT_FIRST:
            IVDEP for (int j = 0; j < n; j++) {
                c[j] = keep_c[j] * c[j] + gain_c[j] * x[j];
                v[j] = keep_v[j] * v[j] + weight[j] * c[j] + bias[j];
            }
            break;
        default:
            IVDEP for (int j = 0; j < n; j++) {
                v[j] = keep_v[j] * v[j] + weight[j] * c[j] + gain_v[j] * x[j] + bias[j];
                c[j] = keep_c[j] * c[j] + gain_c[j] * x[j];
            }
        }
        if (before) {
            memcpy(before, v, n * sizeof(REAL));
            before += stride;
        }
        switch (job->reset) {
        case RESET_NONE:
            memcpy(out, v, n * sizeof(REAL));
            break;
        case RESET_ZERO:
            IVDEP for (int j = 0; j < n; j++) {
                REAL z = v[j] > threshold[j] ? 1 : 0;
                v[j] = v[j] * (1 - z) + jump[j] * z;
                out[j] = z;
            }
            break;
        default:
            IVDEP for (int j = 0; j < n; j++) {
                REAL z = v[j] > threshold[j] ? 1 : 0;
                v[j] = v[j] - z * jump[j];
                out[j] = z;
            }
        }
        if (after) {
            memcpy(after, v, n * sizeof(REAL));
            after += stride;
        }
    }
    memcpy(v_state, v, n * sizeof(REAL));
    if (c_state)
        memcpy(c_state, c, n * sizeof(REAL));
}

/* The adjoint of `forward`: v and c come in as dL/d(final state) and leave as dL/d(initial state). */
TARGETS static void NAME(backward)(const Job *job, int64_t at, int64_t neuron, int n) {
    const REAL *k = (const REAL *)job->coefficients + neuron;
    const REAL *keep_v = k, *gain_v = k + job->neurons, *keep_c = k + 3 * job->neurons, *gain_c = k + 4 * job->neurons;
    const REAL *weight = k + 5 * job->neurons, *threshold = k + 6 * job->neurons, *jump = k + 7 * job->neurons;
    const int64_t stride = job->batch * job->neurons, last = at + (job->steps - 1) * stride;
    const REAL *given = job->x ? (const REAL *)job->x + last : 0;
    const REAL *before = job->before ? (const REAL *)job->before + last : 0;
    REAL *v_state = (REAL *)job->v + at, *c_state = job->c ? (REAL *)job->c + at : 0, *out = (REAL *)job->out + last;
    REAL v[BLOCK], c[BLOCK], d[BLOCK], g[BLOCK];
    memcpy(v, v_state, n * sizeof(REAL));
    if (c_state)
        memcpy(c, c_state, n * sizeof(REAL));
    memset(g, 0, sizeof g);
    for (int64_t t = 0; t < job->steps; t++, out -= stride) {
        const REAL *gradient = given ? given - t * stride : g;
        if (job->reset != RESET_NONE)
            NAME(slopes)(job->surrogate, job->parameter, n, before, threshold, d);
        switch (job->reset) { /* from dL/dv after the reset to dL/dv before it */
        case RESET_NONE:
            IVDEP for (int j = 0; j < n; j++)
                v[j] = v[j] + gradient[j];
            break;
        case RESET_ZERO:
            IVDEP for (int j = 0; j < n; j++) {
                REAL quiet = before[j] > threshold[j] ? 0 : 1;
                v[j] = v[j] * quiet + (gradient[j] + v[j] * (jump[j] - before[j])) * d[j];
            }
            break;
        default:
            IVDEP for (int j = 0; j < n; j++)
                v[j] = v[j] + (gradient[j] - v[j] * jump[j]) * d[j];
        }
        if (before)
            before -= stride;
        switch (job->rows) {
        case ONE_ROW:
            IVDEP for (int j = 0; j < n; j++) {
                out[j] = gain_v[j] * v[j];
                v[j] = keep_v[j] * v[j];
            }
            break;
        case CURRENT_FIRST:
            IVDEP for (int j = 0; j < n; j++) {
                REAL a = c[j] + weight[j] * v[j];
                out[j] = gain_c[j] * a;
                c[j] = keep_c[j] * a;
                v[j] = keep_v[j] * v[j];
            }
            break;
        default:
            IVDEP for (int j = 0; j < n; j++) {
                out[j] = gain_c[j] * c[j] + gain_v[j] * v[j];
                c[j] = keep_c[j] * c[j] + weight[j] * v[j];
                v[j] = keep_v[j] * v[j];
            }
        }
    }
    memcpy(v_state, v, n * sizeof(REAL));
    if (c_state)
        memcpy(c_state, c, n * sizeof(REAL));
}

/* Every block; a thread takes neighbouring ones. */
static void NAME(run)(const Job *job, int is_backward, int threads) {
    const int64_t blocks = (job->neurons + BLOCK - 1) / BLOCK, all = job->batch * blocks;
    (void)threads;
    PARALLEL
    for (int64_t i = 0; i < all; i++) {
        const int64_t sample = i / blocks, neuron = (i % blocks) * BLOCK, left = job->neurons - neuron;
        const int n = (int)(left < BLOCK ? left : BLOCK);
        (is_backward ? NAME(backward) : NAME(forward))(job, sample * job->neurons + neuron, neuron, n);
    }
}
