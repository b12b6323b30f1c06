/* One floating type's scan: _scan.c includes this once for float and once for double.
 *
 * REAL, BITS (an unsigned integer of the same size), NAME(x) and the constants of exp are set by _scan.c. A block
 * is some samples, or some neurons of one where there are many: its states stay in cache while time is the outer loop,
 * and what it reads and writes at a step is long enough in one piece for the processor to fetch ahead. The inner loops
 * run over the neurons of a sample, and none has a dependency from one neuron to the next: that is what ivdep says. */

/* exp(x) for x <= 0: 2^k * exp(r) with |r| <= ln(2)/2, exp(r) by its Taylor series. Adding SHIFTER rounds to a whole
 * number, which then stands in the lowest bits. 0 where x < EXP_LOWEST: gradients that small are none, and would become
 * subnormal numbers, which are slow. */
static INLINE REAL NAME(exp_negative)(REAL x) {
    union { REAL real; BITS bits; } whole, power;
    REAL k, r, sum = 1, given = x;
    x = x < EXP_LOWEST ? EXP_LOWEST : x;
    whole.real = x * (REAL)1.4426950408889634 + SHIFTER;
    k = whole.real - SHIFTER;
    r = (x - k * LN2_HIGH) - k * LN2_LOW;
    for (int i = EXP_TERMS; i > 0; i--)
        sum = 1 + sum * r * ((REAL)1 / (REAL)i);
    power.bits = (whole.bits + EXP_BIAS) << MANTISSA;
    return given < EXP_LOWEST ? 0 : sum * power.real;
}

/* d = ds/dv at u = v - threshold, as snntorch.surrogate 1.0 defines it. */
static INLINE void NAME(slopes)(int surrogate, double parameter, int n, const REAL *v, const REAL *threshold, REAL *d) {
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

/* States of a block, zeros where none are given. */
static INLINE void NAME(load)(REAL *to, const void *from, const Job *job, const Block *block) {
    for (int64_t s = 0; s < block->samples; s++, to += block->n) {
        const int64_t at = job->shared ? block->neuron : block->at + s * job->neurons;
        if (from)
            memcpy(to, (const REAL *)from + at, block->n * sizeof(REAL));
        else
            memset(to, 0, block->n * sizeof(REAL));
    }
}

static INLINE void NAME(store)(void *to, const REAL *from, const Job *job, const Block *block) {
    for (int64_t s = 0; to && s < block->samples; s++)
        memcpy((REAL *)to + block->at + s * job->neurons, from + s * block->n, block->n * sizeof(REAL));
}

/* A step of n neurons of a sample: the states v and c move on. */
static INLINE void NAME(step)(const Job *job, const REAL *k, int n, const REAL *x, REAL *v, REAL *c, REAL *out,
                              REAL *before, REAL *after) {
    const int64_t all = job->neurons;
    const REAL *keep_v = k, *gain_v = k + all, *bias = k + 2 * all, *keep_c = k + 3 * all, *gain_c = k + 4 * all;
    const REAL *weight = k + 5 * all, *threshold = k + 6 * all, *jump = k + 7 * all;
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
    if (before)
        memcpy(before, v, n * sizeof(REAL));
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
    if (after)
        memcpy(after, v, n * sizeof(REAL));
}

/* A block over all steps. */
TARGETS static void NAME(forward)(const Job *job, const Block *block) {
    const REAL *k = (const REAL *)job->coefficients + block->neuron, *x = job->x;
    REAL *out = job->out, *before = job->before, *after = job->after, v[ROOM], c[ROOM];
    NAME(load)(v, job->v, job, block);
    NAME(load)(c, job->c, job, block);
    for (int64_t t = 0; t < job->steps; t++)
        for (int64_t s = 0; s < block->samples; s++) {
            const int64_t at = (t * job->batch + s) * job->neurons + block->at, in = s * block->n;
            NAME(step)(job, k, block->n, x + at, v + in, c + in, out + at, before ? before + at : 0,
                       after ? after + at : 0);
        }
    NAME(store)(job->v_end, v, job, block);
    NAME(store)(job->c_end, c, job, block);
}

/* The adjoint of `step`: v and c from dL/d(state after the step) to dL/d(state before it). */
static INLINE void NAME(step_back)(const Job *job, const REAL *k, int n, const REAL *gradient, REAL *v, REAL *c,
                                   REAL *out, const REAL *before, REAL *d) {
    const int64_t all = job->neurons;
    const REAL *keep_v = k, *gain_v = k + all, *keep_c = k + 3 * all, *gain_c = k + 4 * all;
    const REAL *weight = k + 5 * all, *threshold = k + 6 * all, *jump = k + 7 * all;
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

/* The adjoint of `forward`: v and c are dL/d(final state), v_end and c_end take dL/d(initial state). */
TARGETS static void NAME(backward)(const Job *job, const Block *block) {
    const REAL *k = (const REAL *)job->coefficients + block->neuron, *given = job->x, *before = job->before;
    REAL *out = job->out, v[ROOM], c[ROOM], d[ROOM], none[ROOM];
    NAME(load)(v, job->v, job, block);
    NAME(load)(c, job->c, job, block);
    if (!given)
        memset(none, 0, block->n * sizeof(REAL));
    for (int64_t t = job->steps - 1; t >= 0; t--)
        for (int64_t s = 0; s < block->samples; s++) {
            const int64_t at = (t * job->batch + s) * job->neurons + block->at, in = s * block->n;
            NAME(step_back)(job, k, block->n, given ? given + at : none, v + in, c + in, out + at,
                            before ? before + at : 0, d);
        }
    NAME(store)(job->v_end, v, job, block);
    NAME(store)(job->c_end, c, job, block);
}

#include "_rows.h"

/* Every block; a thread takes neighbouring ones. */
static void NAME(run)(const Job *job, int is_backward, int threads) {
    const int64_t parts = (job->neurons + ROOM - 1) / ROOM, share = (job->batch + threads - 1) / threads;
    const int64_t fit = parts > 1 ? 1 : ROOM / (job->neurons ? job->neurons : 1), samples = fit < share ? fit : share;
    const int64_t groups = samples ? (job->batch + samples - 1) / samples : 0;
    PARALLEL
    for (int64_t i = 0; i < groups * parts; i++) {
        const int64_t sample = i / parts * samples, neuron = i % parts * ROOM, left = job->neurons - neuron;
        Block block = {sample * job->neurons + neuron, neuron, job->batch - sample, (int)(left < ROOM ? left : ROOM)};
        block.samples = block.samples < samples ? block.samples : samples;
        if (job->program)
            (is_backward ? NAME(rows_backward) : NAME(rows_forward))(job, &block);
        else
            (is_backward ? NAME(backward) : NAME(forward))(job, &block);
    }
}
