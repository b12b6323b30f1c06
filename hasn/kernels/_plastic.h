/* The loops of _plastic.c, for one floating type: REAL, and NAME(name) for what is called so. */

/* A matrix's part of transmit: by rows, for the weights of a column lie far apart. */
TARGETS static void NAME(multiply)(const Job *job) {
    const REAL *x = job->x[0];
    const int64_t *active = job->active[0], count = job->counts[0];
    for (int64_t k = 0, next; k < count; k = next) {
        const int64_t sample = active[k] / job->inputs, base = sample * job->inputs;
        const REAL *weight = (const REAL *)job->weight + (job->shared ? 0 : sample * job->synapses);
        REAL *made = (REAL *)job->y + sample * job->outputs;
        for (next = k; next < count && active[next] < base + job->inputs;)
            next++;
        for (int64_t o = 0; o < job->outputs; o++, weight += job->inputs) {
            REAL total = 0;
            for (int64_t i = 0; i < next - k; i++)
                total += weight[active[k + i] - base] * x[active[k + i]];
            made[o] = total;
        }
    }
}

/* y (batch, outputs) = the sum of w x over the synapses at which something arrives, by delay and source. */
static void NAME(transmit)(const Job *job) {
    REAL *y = job->y;
    Range *range = job->ranges;
    memset(y, 0, (size_t)(job->batch * job->outputs) * sizeof(REAL));
    if (!job->indptr) {
        NAME(multiply)(job);
        return;
    }
    /* What is read is on its way before it is waited for: first where a source's synapses are, then their weights. */
    const Range *last = job->before;
    for (int64_t lag = 0; lag < job->lags; lag++)
        for (int64_t i = 0; i < job->counts[lag]; i++, range++) {
            range->from = lag && last ? (last++)->to : (int32_t)job->ends[job->active[lag][i] % job->inputs];
            PREFETCH(job->place + range->from);
            if (job->late)
                PREFETCH(job->late + range->from);
        }
    range = job->ranges;
    for (int64_t lag = 0; lag < job->lags; lag++)
        for (int64_t i = 0; i < job->counts[lag]; i++, range++) {
            const int64_t at = job->active[lag][i], sample = at / job->inputs;
            const REAL *weight = (const REAL *)job->weight + (job->shared ? 0 : sample * job->synapses);
            const int32_t end = (int32_t)job->ends[at % job->inputs + 1];
            while (job->late && range->from < end && job->late[range->from] < lag)
                range->from++;
            range->to = job->late ? range->from : end;
            while (range->to < end && job->late[range->to] == lag)
                range->to++;
            for (int32_t k = range->from; k < range->to; k++)
                PREFETCH(weight + job->place[k]), PREFETCH(job->rows + job->place[k] / BLOCK);
        }
    range = job->ranges;
    for (int64_t lag = 0; lag < job->lags; lag++)
        for (int64_t i = 0; i < job->counts[lag]; i++, range++) {
            const int64_t at = job->active[lag][i], sample = at / job->inputs;
            const REAL *weight = (const REAL *)job->weight + (job->shared ? 0 : sample * job->synapses);
            const REAL sent = ((const REAL *)job->x[lag])[at];
            REAL *made = y + sample * job->outputs;
            for (int32_t k = range->from; k < range->to; k++)
                made[target(job, job->place[k])] += weight[job->place[k]] * sent;
        }
}

/* An operand at the tile's synapses. */
static INLINE void NAME(gather)(const Job *job, const Operand *operand, const Tile *tile, int64_t sample,
                                const REAL *restrict weight, REAL *restrict to) {
    const REAL *at = operand->at ? (const REAL *)operand->at + sample * operand->stride : 0;
    const REAL *x = tile->x ? (const REAL *)tile->x + sample * job->inputs : 0, scale = (REAL)operand->scale;
    const int n = tile->n;
    switch (operand->kind) {
    case ALL:
        for (int k = 0; k < n; k++)
            to[k] = at[0];
        break;
    case SOURCE:
        for (int k = 0; k < n; k++)
            to[k] = at[tile->column[k]];
        break;
    case TARGET:
        for (int k = 0; k < n; k++)
            to[k] = at[tile->row[k]];
        break;
    case SYNAPSE:
        for (int k = 0; k < n; k++)
            to[k] = at[tile->synapse[k]] * scale;
        break;
    case ARRIVING:
        for (int k = 0; k < n; k++)
            to[k] = x ? x[tile->column[k]] : 0;
        break;
    default: /* the weight of before the step, whatever has been moved since */
        memcpy(to, weight, n * sizeof(REAL));
    }
}

/* A formula's sum, of operands (each TILE numbers). */
static INLINE void NAME(sum)(const Job *job, const Formula *formula, const REAL (*operand)[TILE], int n,
                             REAL *restrict total) {
    REAL product[TILE], bracket[TILE];
    memset(total, 0, n * sizeof(REAL));
    for (int64_t t = formula->from; t < formula->to; t++) {
        const Term *term = &job->term[t];
        for (int k = 0; k < n; k++)
            product[k] = (REAL)term->factor;
        for (int64_t i = 0, next; i < term->count; i = next) {
            const REAL *first = operand[term->names[i]];
            for (next = i + 1; next < term->count && !term->opens[next]; next++) {
                const REAL *by = operand[term->names[next]];
                for (int k = 0; k < n; k++)
                    bracket[k] = first[k] * by[k];
                first = bracket;
            }
            for (int k = 0; k < n; k++)
                product[k] = product[k] * first[k];
        }
        for (int k = 0; k < n; k++)
            total[k] = total[k] + product[k];
    }
}

/* What a step does at the tile's synapses: all is read before anything is written. */
TARGETS static void NAME(flush)(const Job *job, Tile *tile) {
    REAL *all = (REAL *)job->weight + tile->group * job->synapses;
    REAL operand[MAX_OPERANDS][TILE], total[TILE], weight[TILE], change[TILE];
    const int64_t first = job->shared ? 0 : tile->group, last = job->shared ? job->batch : first + 1;
    const int n = tile->n;
    int moves = 0;
    if (!n)
        return;
    for (int k = 0; k < n; k++)
        weight[k] = all[tile->synapse[k]], change[k] = 0;
    for (int64_t sample = first; sample < last; sample++) {
        for (int64_t i = 0; i < job->operands; i++)
            NAME(gather)(job, &job->operand[i], tile, sample, weight, operand[i]);
        for (int64_t f = 0; f < job->formulas; f++) {
            const Formula *formula = &job->formula[f];
            const Operand *target = &job->operand[formula->target];
            NAME(sum)(job, formula, (const REAL(*)[TILE])operand, n, total);
            if (target->kind == WEIGHT) {
                moves = 1;
                for (int k = 0; k < n; k++)
                    change[k] = change[k] + total[k];
                continue;
            }
            REAL *kept = (REAL *)target->at + sample * target->stride, scale = (REAL)target->scale;
            for (int k = 0; k < n; k++) /* a trace stands divided by its scale */
                if (total[k] != 0)
                    kept[tile->synapse[k]] = (formula->sets ? 0 : kept[tile->synapse[k]]) + total[k] / scale;
        }
    }
    for (int k = 0; moves && k < n; k++) {
        const REAL low = (REAL)job->low, high = (REAL)job->high;
        const REAL moved = weight[k] + (job->shared ? change[k] / (REAL)job->batch : change[k]);
        const REAL raised = moved < low ? low : moved;
        all[tile->synapse[k]] = raised > high ? high : raised;
    }
    tile->touched += n;
    tile->n = 0;
}

static INLINE void NAME(add)(const Job *job, Tile *tile, int64_t synapse, int64_t row, int64_t column) {
    const int n = tile->n++;
    tile->synapse[n] = (int32_t)synapse, tile->row[n] = (int32_t)row, tile->column[n] = (int32_t)column;
    if (n == TILE - 1)
        NAME(flush)(job, tile);
}

/* What flush will read of a synapse is on its way while the tile fills. */
static INLINE void NAME(fetch)(const Job *job, const Tile *tile, int64_t synapse) {
    PREFETCH((const REAL *)job->weight + tile->group * job->synapses + synapse);
    for (int64_t i = 0; i < tile->traces; i++)
        PREFETCH((const REAL *)tile->trace[i] + synapse);
}

/* The synapses of a hot target. */
static void NAME(row)(const Job *job, Tile *tile, int64_t row) {
    const int64_t end = job->indptr[row + 1], marks = tile->group * job->synapses;
    for (int64_t s = job->indptr[row]; s < end; s += 64 / (int64_t)sizeof(REAL))
        NAME(fetch)(job, tile, s);
    for (int64_t s = job->indptr[row]; s < end; s++)
        if (!job->late)
            NAME(add)(job, tile, s, row, job->columns[s]);
        else if (!MARKED(job, marks + s))
            NAME(add)(job, tile, s, row, 0);
}

/* Which traces of a synapse to fetch: of the group's first sample. */
static void NAME(reads)(const Job *job, Tile *tile) {
    tile->traces = 0;
    for (int64_t i = 0; i < job->operands; i++)
        if (job->operand[i].kind == SYNAPSE)
            tile->trace[tile->traces++] =
                (const REAL *)job->operand[i].at + (job->shared ? 0 : tile->group * job->operand[i].stride);
}

/* The synapses of what a group's samples have sent now, or with delays sent so long ago that it arrives now. Without
 * delays those of hot targets are left out: they come with their target. */
static void NAME(arrivals)(const Job *job, Tile *tile, const uint8_t *hot, uint8_t *seen) {
    const int64_t group = tile->group, marks = group * job->synapses;
    const Range *ranges = job->ranges;
    for (int64_t lag = 0; lag < job->lags; ranges += job->counts[lag++]) {
        int64_t i, end = sent_by(job, group, lag, &i);
        tile->x = job->x[lag];
        for (; i < end; i++) {
            const int64_t source = job->active[lag][i] % job->inputs;
            if (!job->late && seen[source])
                continue;
            seen[source] = 1;
            for (int32_t k = ranges[i].from; k < ranges[i].to; k++) {
                const int64_t synapse = job->place[k], row = target(job, job->place[k]);
                if (job->late ? MARKED(job, marks + synapse) : hot[row])
                    continue;
                if (job->late)
                    job->marks[(marks + synapse) >> 3] |= (uint8_t)(1 << ((marks + synapse) & 7));
                NAME(fetch)(job, tile, synapse);
                NAME(add)(job, tile, synapse, row, source);
            }
        }
        NAME(flush)(job, tile);
    }
}

/* Take the marks away again. */
static void NAME(unmark)(const Job *job) {
    const Range *range = job->ranges;
    for (int64_t lag = 0; lag < job->lags; lag++)
        for (int64_t i = 0; i < job->counts[lag]; i++, range++) {
            const int64_t marks = job->shared ? 0 : job->active[lag][i] / job->inputs * job->synapses;
            for (int32_t k = range->from; k < range->to; k++) /* whatever else the byte has goes as well */
                job->marks[(marks + job->place[k]) >> 3] = 0;
        }
}

/* A matrix: whole rows of hot targets, elsewhere the columns of what was sent. */
static void NAME(matrix)(const Job *job, Tile *tile, const uint8_t *hot, uint8_t *seen, int32_t *columns) {
    int64_t sent = 0;
    tile->x = job->x[0];
    int64_t i, end = sent_by(job, tile->group, 0, &i);
    for (; job->by_source && i < end; i++)
        seen[job->active[0][i] % job->inputs] = 1;
    for (int64_t source = 0; source < job->inputs; source++)
        if (seen[source])
            columns[sent++] = (int32_t)source;
    for (int64_t o = 0; o < job->outputs; o++) {
        const int64_t count = hot[o] ? job->inputs : sent;
        for (int64_t k = 0; k < count; k++) {
            const int64_t column = hot[o] ? k : columns[k];
            if (!hot[o])
                NAME(fetch)(job, tile, o * job->inputs + column);
            NAME(add)(job, tile, o * job->inputs + column, o, column);
        }
    }
    NAME(flush)(job, tile);
}

/* A step. room: zeros, (groups, outputs + inputs); columns: room for as many as there are inputs. */
static int64_t NAME(learn)(const Job *job, uint8_t *room, int32_t *columns) {
    const int64_t groups = job->shared ? 1 : job->batch;
    const REAL *post = job->post;
    Tile tile;
    tile.touched = 0, tile.n = 0;
    for (int64_t sample = 0; sample < job->batch; sample++) {
        uint8_t *hot = room + (job->shared ? 0 : sample * job->outputs);
        const REAL *spikes = post + sample * job->outputs;
        if (job->everything[sample])
            memset(hot, 1, (size_t)job->outputs);
        for (int64_t o = 0; o < (job->by_target ? job->outputs : 0); o++)
            hot[o] |= spikes[o] != 0;
    }
    for (tile.group = 0; tile.group < groups; tile.group++) {
        NAME(reads)(job, &tile);
        uint8_t *hot = room + tile.group * job->outputs, *seen = room + groups * job->outputs + tile.group * job->inputs;
        if (!job->indptr) {
            NAME(matrix)(job, &tile, hot, seen, columns);
            continue;
        }
        if (job->by_source)
            NAME(arrivals)(job, &tile, hot, seen);
        tile.x = job->late ? 0 : job->x[0]; /* what arrives late has had its turn */
        for (const uint8_t *o = hot; (o = memchr(o, 1, (size_t)(hot + job->outputs - o))) != NULL; o++)
            NAME(row)(job, &tile, o - hot);
        NAME(flush)(job, &tile);
    }
    if (job->late && job->by_source)
        NAME(unmark)(job);
    return tile.touched;
}
