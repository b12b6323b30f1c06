/* A connection that learns by events: what it sends, and what a step does to its weights, at the synapses alone at which
 * something has happened (hasn.program.learning says when that is all of them).
 *
 * Addresses of C-contiguous memory of one floating type: weight (groups, synapses), x (batch, inputs) and what Operands
 * have. A group has weights of its own: a sample, or where the weights are shared all samples together. Sums and
 * products run in the order of the tensor code, without contraction, so that a weight moves as it does there. */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "_portable.h"

/* What a rule may have; hasn.kernels.plastic has the same numbers. */
#define MAX_OPERANDS 16
#define MAX_TERMS 32
#define MAX_NAMES 8
#define MAX_FORMULAS 9
/* Synapses that one operation takes at a time: all operands of a tile stay in the first cache or near it. */
#define TILE 256
/* Synapses for which it is noted once whose target's the first one is. */
#define BLOCK 16

/* How an operand's value is found at a synapse: one a sample; by source; by target; its own; what arrives; its weight. */
enum { ALL, SOURCE, TARGET, SYNAPSE, ARRIVING, WEIGHT };

/* Numbers of a sample begin at at + sample * stride; a SYNAPSE's value is what stands there times scale. */
typedef struct {
    int64_t kind, stride;
    void *at;
    double scale;
} Operand;

/* factor * (a * b ...) * (c ...): opens[i] where a bracket begins. */
typedef struct {
    double factor;
    int64_t count, names[MAX_NAMES], opens[MAX_NAMES];
} Term;

/* The sum of some terms is added to an operand (the weight, or a SYNAPSE); sets: where it is not 0 it replaces it. */
typedef struct {
    int64_t from, to, target, sets;
} Formula;

/* Synapses that stand next to each other. */
typedef struct {
    int32_t from, to;
} Range;

/* No indptr: a matrix. late: synapses have delays: x, active and counts are those of now and of lags - 1 steps before,
 * and an ARRIVING number that of the synapse's own delay. active: places in the flat x that are not 0, in order.
 *
 * By target, indptr says where a row of synapses begins, and rows[b] the row of synapse b BLOCK, up to that of the last.
 * Turned by source and then delay, synapse place[k] is at k, and takes late[k] steps; ends are by source. ranges,
 * one for each of active, is where transmit notes what arrives, for learn; before: those of the step before, where what
 * was sent then is what x has of it, or null. marks: a bit for each synapse of each group, all 0 between calls (with
 * delays only). everything: samples of which all synapses are touched; else those whose source has sent something (by_source) or whose target has spiked (by_target). */
typedef struct {
    int64_t batch, inputs, outputs, synapses, lags, shared;
    double low, high;
    void *weight;
    const int64_t *indptr;
    const int32_t *columns;
    const int32_t *rows;
    const int32_t *place;
    const int64_t *ends;
    const uint16_t *late;
    uint8_t *marks;
    const void *const *x;
    const int64_t *const *active;
    const int64_t *counts;
    Range *ranges;
    const Range *before;
    void *y;
    const uint8_t *everything;
    const void *post;
    int64_t by_source, by_target, operands, formulas;
    Operand operand[MAX_OPERANDS];
    Term term[MAX_TERMS];
    Formula formula[MAX_FORMULAS];
} Job;

/* Synapses whose turn has come: all of one group, and with what arrives after as many steps. */
typedef struct {
    int64_t group, touched, traces;
    const void *x; /* null: nothing arrives */
    const void *trace[MAX_OPERANDS];
    int n;
    int32_t row[TILE], column[TILE], synapse[TILE];
} Tile;

/* The target of a synapse. */
static INLINE int32_t target(const Job *job, int32_t synapse) {
    int32_t row = job->rows[synapse / BLOCK], last = job->rows[synapse / BLOCK + 1];
    if (last - row < 2) /* most often; without branches that nobody can foretell */
        return row + (last - row) * (job->indptr[last] <= synapse);
    while (row < last) {
        const int32_t middle = last - (last - row) / 2;
        if (job->indptr[middle] <= synapse)
            row = middle;
        else
            last = middle - 1;
    }
    return row;
}

/* Of `count` rising numbers, how many are smaller than `bound`. */
static int64_t below(const int64_t *numbers, int64_t count, int64_t bound) {
    int64_t low = 0, high = count;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (numbers[middle] < bound)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The places of `active` that are a group's: from *first to the result. */
static int64_t sent_by(const Job *job, int64_t group, int64_t lag, int64_t *first) {
    *first = job->shared ? 0 : below(job->active[lag], job->counts[lag], group * job->inputs);
    return job->shared ? job->counts[lag] : below(job->active[lag], job->counts[lag], (group + 1) * job->inputs);
}

#define MARKED(job, at) ((job)->marks[(at) >> 3] >> ((at)&7) & 1)

#define REAL float
#define NAME(name) name##_float
#include "_plastic.h"
#undef REAL
#undef NAME
#define REAL double
#define NAME(name) name##_double
#include "_plastic.h"

/* The number that hasn.kernels.plastic has as well, so that an old build is not called. */
#define INTERFACE 3

static PyObject *transmit(PyObject *self, PyObject *args) {
    int is_double;
    unsigned long long at;
    (void)self;
    if (!PyArg_ParseTuple(args, "pK:transmit", &is_double, &at))
        return NULL;
    const Job *job = (const Job *)(uintptr_t)at;
    Py_BEGIN_ALLOW_THREADS
    (is_double ? transmit_double : transmit_float)(job);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *learn(PyObject *self, PyObject *args) {
    int is_double;
    unsigned long long at;
    int64_t touched;
    (void)self;
    if (!PyArg_ParseTuple(args, "pK:learn", &is_double, &at))
        return NULL;
    const Job *job = (const Job *)(uintptr_t)at;
    uint8_t *room = calloc((size_t)(job->shared ? 1 : job->batch) * (job->outputs + job->inputs) + 1, 1);
    int32_t *columns = malloc((size_t)(job->inputs + 1) * sizeof(int32_t));
    if (room == NULL || columns == NULL) {
        free(room);
        free(columns);
        return PyErr_NoMemory();
    }
    Py_BEGIN_ALLOW_THREADS
    touched = (is_double ? learn_double : learn_float)(job, room, columns);
    Py_END_ALLOW_THREADS
    free(room);
    free(columns);
    return PyLong_FromLongLong(touched);
}

static PyMethodDef methods[] = {
    {"transmit", transmit, METH_VARARGS, "transmit(is_double, job): what the connection sends, into job's y"},
    {"learn", learn, METH_VARARGS, "learn(is_double, job): move weights and traces; how many synapses were touched"},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_plastic", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__plastic(void) {
    PyObject *made = PyModule_Create(&module);
    if (made != NULL) {
        PyModule_AddIntConstant(made, "interface", INTERFACE);
        PyModule_AddIntConstant(made, "job_bytes", (long)sizeof(Job));
    }
    return made;
}
