/* One floating type's scan of any population: _scan.h includes this. A program says what its rows are, and is read
 * anew at every step for TILE neurons at a time, so that the reading costs little and what it works on stays in the
 * first cache. Every operation is the step loop's, in its order. */

/* to += by * from; by may be null: 1. */
static INLINE void NAME(add)(int n, REAL *to, const REAL *by, const REAL *from) {
    if (by)
        IVDEP for (int j = 0; j < n; j++)
            to[j] = to[j] + by[j] * from[j];
    else
        IVDEP for (int j = 0; j < n; j++)
            to[j] = to[j] + from[j];
}

static INLINE const REAL *NAME(coefficient)(const REAL *k, int64_t all, int which) {
    return which < 0 ? 0 : k + which * all;
}

/* What a line writes: its terms from left to right, then gain x, then the bias. */
static INLINE void NAME(sum)(const Line *line, const REAL *k, int64_t all, int n, REAL *const *from, const REAL *x,
                             REAL *to) {
    const REAL *gain = NAME(coefficient)(k, all, line->gain), *bias = NAME(coefficient)(k, all, line->bias);
    if (line->terms == 0)
        memset(to, 0, n * sizeof(REAL));
    for (int i = 0; i < line->terms; i++) {
        const REAL *state = from[line->reads[i]], *by = NAME(coefficient)(k, all, line->by[i]);
        if (i > 0)
            NAME(add)(n, to, by, state);
        else if (by)
            IVDEP for (int j = 0; j < n; j++)
                to[j] = by[j] * state[j];
        else
            memcpy(to, state, n * sizeof(REAL));
    }
    if (gain)
        NAME(add)(n, to, gain, x);
    if (bias)
        NAME(add)(n, to, 0, bias);
}

/* z = 1[u > 0], 0 where a neuron is held; u is the condition's sum. */
static INLINE void NAME(spikes)(const Program *p, const REAL *k, int64_t all, int n, REAL *const *now, const REAL *free,
                                REAL *u, REAL *z) {
    NAME(sum)(&p->condition, k, all, n, now, 0, u);
    IVDEP for (int j = 0; j < n; j++)
        z[j] = u[j] > 0 ? 1 : 0;
    if (p->held >= 0)
        IVDEP for (int j = 0; j < n; j++)
            z[j] = z[j] * free[j];
}

/* A reset acts: old + z bias where it moves its state, else old (1 - z) + to z. total takes `to`. */
static INLINE void NAME(reset)(const Line *line, const REAL *k, int64_t all, int n, REAL *const *now, const REAL *z,
                               REAL *total) {
    REAL *state = now[line->state];
    if (line->moves) {
        NAME(add)(n, state, NAME(coefficient)(k, all, line->bias), z);
        return;
    }
    NAME(sum)(line, k, all, n, now, 0, total);
    IVDEP for (int j = 0; j < n; j++)
        state[j] = state[j] * (1 - z[j]) + total[j] * z[j];
}

/* A row of the update acts; total takes what it writes. A held v stays what it was before the step. */
static INLINE void NAME(row)(const Job *job, const Line *line, const REAL *k, int n, REAL *const *now, REAL *const *old,
                             const REAL *x, const REAL *free, REAL *total) {
    const Program *p = job->program;
    REAL *state = now[line->state], *before = old[line->state];
    NAME(sum)(line, k, job->neurons, n, line->before ? old : now, x, total);
    if (p->held >= 0 && line->state == p->v)
        IVDEP for (int j = 0; j < n; j++)
            state[j] = free[j] > 0 ? total[j] : before[j];
    else
        memcpy(state, total, n * sizeof(REAL));
}

/* A step of n neurons of a sample, whose values begin at `at` in an array of all steps. */
static INLINE void NAME(rows_step)(const Job *job, const REAL *k, int n, int64_t at, REAL *const *now, REAL *work) {
    const Program *p = job->program;
    const int64_t all = job->neurons;
    const REAL *x = (const REAL *)job->x + at;
    REAL *total = work, *z = work + TILE_STEP, *free = work + 2 * TILE_STEP, *left = now[p->states], *old[MAX_STATES];
    for (int i = 0; i < p->states; i++) {
        old[i] = work + (3 + i) * TILE_STEP;
        if (p->saved >> i & 1)
            memcpy(old[i], now[i], n * sizeof(REAL));
    }
    for (int i = 0; i < p->states; i++)
        if (p->begun[i])
            memcpy((REAL *)p->begun[i] + at, now[i], n * sizeof(REAL));
    if (p->held >= 0)
        IVDEP for (int j = 0; j < n; j++)
            free[j] = left[j] <= 0 ? 1 : 0;
    for (int i = 0; i < p->rows; i++)
        NAME(row)(job, &p->row[i], k, n, now, old, x, free, total);
    for (int i = 0; i < p->states; i++)
        if (p->kept[i])
            memcpy((REAL *)p->kept[i] + at, now[i], n * sizeof(REAL));
    if (p->spiking) {
        NAME(spikes)(p, k, all, n, now, free, total, z);
        if (p->held >= 0) {
            const REAL *held = NAME(coefficient)(k, all, p->held);
            uint8_t *kept_free = p->kept_free ? p->kept_free + at : 0;
            if (kept_free)
                IVDEP for (int j = 0; j < n; j++)
                    kept_free[j] = free[j] > 0;
            IVDEP for (int j = 0; j < n; j++) {
                REAL fewer = left[j] - 1;
                left[j] = z[j] > 0 ? held[j] : fewer > 0 ? fewer : 0;
            }
        }
        for (int i = 0; i < p->resets; i++)
            NAME(reset)(&p->reset[i], k, all, n, now, z, total);
    }
    memcpy((REAL *)job->out + at, p->spiking ? z : now[p->v], n * sizeof(REAL));
    if (job->after)
        memcpy((REAL *)job->after + at, now[p->v], n * sizeof(REAL));
}

/* A block over all steps. */
TARGETS static void NAME(rows_forward)(const Job *job, const Block *block) {
    const Program *p = job->program;
    const REAL *k = (const REAL *)job->coefficients + block->neuron;
    const int states = p->states + (p->held >= 0);
    REAL *memory = room_of(p), *now[MAX_STATES + 1] = {0};
    for (int i = 0; i < states; i++)
        NAME(load)(memory + i * ROOM_STEP, p->start[i], job, block);
    for (int64_t t = 0; t < job->steps; t++)
        for (int64_t s = 0; s < block->samples; s++)
            for (int first = 0; first < block->n; first += TILE) {
                const int n = block->n - first < TILE ? block->n - first : TILE;
                for (int i = 0; i < states; i++)
                    now[i] = memory + i * ROOM_STEP + s * block->n + first;
                NAME(rows_step)(job, k + first, n, (t * job->batch + s) * job->neurons + block->at + first, now,
                                memory + states * ROOM_STEP);
            }
    for (int i = 0; i < states; i++)
        NAME(store)(p->end[i], memory + i * ROOM_STEP, job, block);
}

/* A coefficient's share of a step: by times of; of may be null: 1. Nothing where there is none, or none trains. */
static INLINE void NAME(learn)(const Job *job, int which, int n, int64_t at, const REAL *by, const REAL *of) {
    const int64_t all = job->batch * job->neurons;
    if (which < 0 || !job->program->by_k)
        return;
    REAL *to = (REAL *)job->program->by_k + which * all + at % all;
    if (of)
        IVDEP for (int j = 0; j < n; j++)
            to[j] = to[j] + by[j] * of[j];
    else
        NAME(add)(n, to, 0, by);
}

/* The same of a line's terms, which read `from`, and of its bias. */
static INLINE void NAME(learn_line)(const Job *job, const Line *line, int n, int64_t at, const REAL *by,
                                    REAL *const *from) {
    for (int m = 0; m < line->terms; m++)
        NAME(learn)(job, line->by[m], n, at, by, from[line->reads[m]]);
    NAME(learn)(job, line->bias, n, at, by, 0);
}

/* The update once more, for coefficients that train: begun are the states before it, now those after it, and was[i] is
 * what row i wrote over. */
static INLINE void NAME(update_again)(const Job *job, const REAL *k, int n, int64_t at, const REAL *free,
                                      REAL *const *begun, REAL *const *now, REAL *const *was, REAL *total) {
    const Program *p = job->program;
    for (int i = 0; i < p->states; i++) {
        memcpy(begun[i], (REAL *)p->begun[i] + at, n * sizeof(REAL));
        memcpy(now[i], begun[i], n * sizeof(REAL));
    }
    for (int i = 0; i < p->rows; i++) {
        memcpy(was[i], now[p->row[i].state], n * sizeof(REAL));
        NAME(row)(job, &p->row[i], k, n, now, begun, (const REAL *)p->input + at, free, total);
    }
}

/* The adjoint of the condition and the resets: g from dL/d(states after) to dL/d(states before them), by the states
 * between: what forward kept of them or, where coefficients train, all of them. */
static INLINE void NAME(spikes_back)(const Job *job, const REAL *k, int n, int64_t at, REAL *const *g, const REAL *free,
                                     REAL *const *between, REAL *work) {
    const Program *p = job->program;
    const int64_t all = job->neurons;
    const REAL *gradient = job->x;
    REAL *total = work, *z = work + TILE_STEP, *u = work + 2 * TILE_STEP, *by_z = work + 3 * TILE_STEP;
    REAL *zeros = work + 4 * TILE_STEP;
    REAL *now[MAX_STATES], *by[MAX_LINES], *was[MAX_LINES];
    const int learns = p->by_k != 0;
    work += 5 * TILE_STEP;
    for (int i = 0; i < p->states; i++, work += TILE_STEP) {
        now[i] = work;
        if (learns)
            memcpy(now[i], between[i], n * sizeof(REAL));
        else if (p->kept[i])
            memcpy(now[i], (REAL *)p->kept[i] + at, n * sizeof(REAL));
    }
    NAME(spikes)(p, k, all, n, now, free, u, z);
    for (int i = 0; i < p->resets; i++, work += TILE_STEP) { /* by[i]: what z adds to its state */
        const Line *line = &p->reset[i];
        REAL *state = now[line->state];
        by[i] = work;
        if (!line->moves)
            memcpy(by[i], state, n * sizeof(REAL));
        if (learns)
            was[i] = memcpy(work += TILE_STEP, state, n * sizeof(REAL));
        if (!line->moves || learns || p->kept[line->state])
            NAME(reset)(line, k, all, n, now, z, total);
        if (!line->moves)
            IVDEP for (int j = 0; j < n; j++)
                by[i][j] = total[j] - by[i][j];
    }
    memset(zeros, 0, n * sizeof(REAL));
    memcpy(by_z, gradient ? gradient + at : zeros, n * sizeof(REAL));
    for (int i = p->resets - 1; i >= 0; i--) {
        const Line *line = &p->reset[i];
        REAL *state = g[line->state];
        if (learns)
            memcpy(now[line->state], was[i], n * sizeof(REAL));
        if (line->moves) {
            NAME(add)(n, by_z, NAME(coefficient)(k, all, line->bias), state);
            NAME(learn)(job, line->bias, n, at, state, z);
            continue;
        }
        NAME(add)(n, by_z, by[i], state);
        IVDEP for (int j = 0; j < n; j++) {
            total[j] = state[j] * z[j];
            state[j] = state[j] * (1 - z[j]);
        }
        NAME(learn_line)(job, line, n, at, total, now);
        for (int m = 0; m < line->terms; m++)
            NAME(add)(n, g[line->reads[m]], NAME(coefficient)(k, all, line->by[m]), total);
    }
    NAME(slopes)(job->surrogate, job->parameter, n, u, zeros, total);
    IVDEP for (int j = 0; j < n; j++)
        total[j] = by_z[j] * total[j];
    if (p->held >= 0)
        IVDEP for (int j = 0; j < n; j++)
            total[j] = free[j] > 0 ? total[j] : 0;
    NAME(learn_line)(job, &p->condition, n, at, total, now);
    for (int i = 0; i < p->condition.terms; i++)
        NAME(add)(n, g[p->condition.reads[i]], NAME(coefficient)(k, all, p->condition.by[i]), total);
}

/* The adjoint of `rows_step`: g from dL/d(states after the step) to dL/d(states before it). */
static INLINE void NAME(rows_step_back)(const Job *job, const REAL *k, int n, int64_t at, REAL *const *g, REAL *work) {
    const Program *p = job->program;
    const int64_t all = job->neurons;
    const REAL *gradient = job->x;
    const uint8_t *kept_free = p->held >= 0 ? p->kept_free + at : 0;
    REAL *out = (REAL *)job->out + at, *total = work, *free = work + TILE_STEP, *old[MAX_STATES];
    REAL *begun[MAX_STATES] = {0}, *now[MAX_STATES] = {0}, *was[MAX_LINES] = {0};
    work += 2 * TILE_STEP;
    for (int i = 0; i < p->states; i++, work += TILE_STEP)
        if (p->saved >> i & 1)
            old[i] = memset(work, 0, n * sizeof(REAL)); /* dL/d(state before), by those who read it there */
    if (p->held >= 0)
        IVDEP for (int j = 0; j < n; j++)
            free[j] = kept_free[j];
    if (p->by_k) {
        for (int i = 0; i < p->states; i++, work += 2 * TILE_STEP)
            begun[i] = work, now[i] = work + TILE_STEP;
        for (int i = 0; i < p->rows; i++, work += TILE_STEP)
            was[i] = work;
        NAME(update_again)(job, k, n, at, free, begun, now, was, total);
    }
    if (p->spiking)
        NAME(spikes_back)(job, k, n, at, g, free, now, work);
    else if (gradient)
        NAME(add)(n, g[p->v], 0, gradient + at);
    memset(out, 0, n * sizeof(REAL));
    for (int i = p->rows - 1; i >= 0; i--) {
        const Line *line = &p->row[i];
        const REAL *gain = NAME(coefficient)(k, all, line->gain);
        REAL *state = g[line->state];
        memcpy(total, state, n * sizeof(REAL));
        if (p->held >= 0 && line->state == p->v) {
            REAL *before = old[line->state];
            IVDEP for (int j = 0; j < n; j++) {
                before[j] = free[j] > 0 ? before[j] : before[j] + total[j];
                total[j] = free[j] > 0 ? total[j] : 0;
            }
        }
        if (p->by_k) {
            memcpy(now[line->state], was[i], n * sizeof(REAL));
            NAME(learn_line)(job, line, n, at, total, line->before ? begun : now);
            NAME(learn)(job, line->gain, n, at, total, (const REAL *)p->input + at);
        }
        memset(state, 0, n * sizeof(REAL)); /* what it was before, nobody else has read */
        for (int m = 0; m < line->terms; m++)
            NAME(add)(n, (line->before ? old : g)[line->reads[m]], NAME(coefficient)(k, all, line->by[m]), total);
        if (gain)
            NAME(add)(n, out, gain, total);
    }
    for (int i = 0; i < p->states; i++)
        if (p->saved >> i & 1)
            NAME(add)(n, g[i], 0, old[i]);
}

/* The adjoint of `rows_forward`. How many steps a neuron is held has no gradient. */
TARGETS static void NAME(rows_backward)(const Job *job, const Block *block) {
    const Program *p = job->program;
    const REAL *k = (const REAL *)job->coefficients + block->neuron;
    REAL *memory = room_of(p), *g[MAX_STATES] = {0};
    for (int i = 0; i < p->states; i++)
        NAME(load)(memory + i * ROOM_STEP, p->start[i], job, block);
    for (int64_t t = job->steps - 1; t >= 0; t--)
        for (int64_t s = 0; s < block->samples; s++)
            for (int first = 0; first < block->n; first += TILE) {
                const int n = block->n - first < TILE ? block->n - first : TILE;
                for (int i = 0; i < p->states; i++)
                    g[i] = memory + i * ROOM_STEP + s * block->n + first;
                NAME(rows_step_back)(job, k + first, n, (t * job->batch + s) * job->neurons + block->at + first, g,
                                     memory + p->states * ROOM_STEP);
            }
    for (int i = 0; i < p->states; i++)
        NAME(store)(p->end[i], memory + i * ROOM_STEP, job, block);
}
