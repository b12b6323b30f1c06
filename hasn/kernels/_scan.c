/* A population of hasn.program.model.Neurons over all time steps, forward and backward.
 *
 * Rows, in the order of the step loop (no contraction to fused multiply-add: it would change spikes):
 *     ONE_ROW         v <- keep_v v + gain_v x + bias
 *     CURRENT_FIRST   c <- keep_c c + gain_c x,  then  v <- keep_v v + weight c + bias
 *     VOLTAGE_FIRST   v <- keep_v v + weight c + gain_v x + bias,  then  c <- keep_c c + gain_c x
 * then z = 1[v > threshold], and v <- v (1 - z) + jump z (RESET_ZERO) or v <- v - z jump (RESET_SUBTRACT).
 *
 * Arrays are C-contiguous and of one floating type: x, out, before, after (steps, batch, neurons); v, c, v_end, c_end
 * (batch, neurons); coefficients (8, neurons): keep_v, gain_v, bias, keep_c, gain_c, weight, threshold, jump.
 *
 * A population whose rows are others comes with a Program of them (_rows.h). */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#include "_portable.h"

enum { ONE_ROW, CURRENT_FIRST, VOLTAGE_FIRST };
enum { RESET_NONE, RESET_ZERO, RESET_SUBTRACT };
enum { ATAN, FAST_SIGMOID, SIGMOID, TRIANGULAR, STRAIGHT_THROUGH };

/* What a program may have, and neurons that one of its operations takes at a time. */
#define MAX_STATES 8
#define MAX_LINES 12
#define MAX_TERMS 8
#define TILE 1024

/* From one array to the next: not a page's multiple, or a processor takes a load for one of what it has just stored. */
#define ROOM_STEP (ROOM + 48)
#define TILE_STEP (TILE + 48)

/* A row, as hasn.kernels.rows.Line has it: state <- sum of by * reads, + gain x + bias. Coefficients are rows of the
 * array, -1 for none (of a term: 1). */
typedef struct {
    int state, before, moves, gain, bias, terms, reads[MAX_TERMS], by[MAX_TERMS];
} Line;

/* hasn.kernels.rows.RowProgram; saved is a set of states, a bit each. start and end are what Job's v, c, v_end and c_end
 * are of two states; where neurons are held, the steps left are one more state. kept (of some states, their values between
 * update and reset) and kept_free (who was not held) are what forward leaves for the way back, like x. Where coefficients
 * train it leaves begun too, every state of before the step, and backward reads input, the forward call's x, and adds to
 * by_k what a sample's coefficients get, (coefficients, batch, neurons). */
typedef struct {
    int states, v, held, saved, rows, spiking, resets;
    Line row[MAX_LINES], condition, reset[MAX_LINES];
    const void *start[MAX_STATES + 1];
    void *end[MAX_STATES + 1], *kept[MAX_STATES], *begun[MAX_STATES];
    const void *input;
    void *by_k;
    uint8_t *kept_free;
    char *memory;
    size_t bytes;
} Program;

/* Forward: x in, v and c the initial states, v_end and c_end take the final ones; out gets spikes (v where nothing
 * resets), before and after get v around the reset, and before may be x itself. Backward: x is dL/dout, v and c are
 * dL/d(final states), before is what forward wrote; out gets dL/dx, v_end and c_end dL/d(initial states). Null: zeros
 * to read, or not wanted. shared: the initial states have no batch axis. */
typedef struct {
    int64_t steps, batch, neurons;
    int rows, reset, surrogate, shared;
    double parameter;
    const void *coefficients, *x, *v, *c;
    void *v_end, *c_end, *out, *before, *after;
    const Program *program; /* null: rows and reset say it */
} Job;

/* Neurons in a block: its states take 32 KiB each in float32, 64 in float64, and stay in the second cache. */
#define ROOM 8192

/* `samples` rows of n neurons. `at` is the first element in an array of one step, `neuron` its place in its row. */
typedef struct {
    int64_t at, neuron, samples;
    int n;
} Block;

/* This thread's own memory. */
static void *room_of(const Program *program) {
#ifdef _OPENMP
    return program->memory + omp_get_thread_num() * program->bytes;
#else
    return program->memory;
#endif
}

#ifdef _OPENMP
#define PARALLEL _Pragma("omp parallel for schedule(static) num_threads(threads) if (threads > 1)")
#else
#define PARALLEL
#endif

#define REAL float
#define BITS uint32_t
#define NAME(x) x##_float
#define MANTISSA 23
#define EXP_BIAS 127u
#define EXP_TERMS 7
#define EXP_LOWEST (-60.0f)
#define SHIFTER 12582912.0f /* 1.5 * 2^23 */
#define LN2_HIGH 0.693359375f
#define LN2_LOW (-2.12194440e-4f)
#include "_scan.h"
#undef REAL
#undef BITS
#undef NAME
#undef MANTISSA
#undef EXP_BIAS
#undef EXP_TERMS
#undef EXP_LOWEST
#undef SHIFTER
#undef LN2_HIGH
#undef LN2_LOW

#define REAL double
#define BITS uint64_t
#define NAME(x) x##_double
#define MANTISSA 52
#define EXP_BIAS 1023u
#define EXP_TERMS 14
#define EXP_LOWEST (-600.0)
#define SHIFTER 6755399441055744.0 /* 1.5 * 2^52 */
#define LN2_HIGH 6.93147180369123816490e-01
#define LN2_LOW 1.90821492927058770002e-10
#include "_scan.h"

/* What scan's arguments mean; hasn.kernels.implementation has the same number, so that an old build is not called. */
#define INTERFACE 3

/* A thread gets at least this many neuron updates: waking one costs some microseconds. */
#define SHARE 16384

static int worth_waking(int threads, long long updates) {
    const long long work = updates / SHARE;
    threads = work < threads ? (int)work : threads;
    return threads > 1 ? threads : 1;
}

static PyObject *scan(PyObject *self, PyObject *args) {
    Job job;
    int is_backward, is_double, threads;
    long long steps, batch, neurons;
    unsigned long long coefficients, x, v, c, v_end, c_end, out, before, after;
    (void)self;
    if (!PyArg_ParseTuple(args, "ppiLLLiiidpKKKKKKKKK:scan", &is_backward, &is_double, &threads, &steps, &batch,
                          &neurons, &job.rows, &job.reset, &job.surrogate, &job.parameter, &job.shared, &coefficients,
                          &x, &v, &c, &v_end, &c_end, &out, &before, &after))
        return NULL;
    job.steps = steps, job.batch = batch, job.neurons = neurons;
    job.coefficients = (const void *)(uintptr_t)coefficients, job.x = (const void *)(uintptr_t)x;
    job.v = (const void *)(uintptr_t)v, job.c = (const void *)(uintptr_t)c;
    job.v_end = (void *)(uintptr_t)v_end, job.c_end = (void *)(uintptr_t)c_end, job.out = (void *)(uintptr_t)out;
    job.before = (void *)(uintptr_t)before, job.after = (void *)(uintptr_t)after;
    threads = worth_waking(threads, steps * batch * neurons);
    job.program = NULL;
    Py_BEGIN_ALLOW_THREADS
    if (is_double)
        run_double(&job, is_backward, threads);
    else
        run_float(&job, is_backward, threads);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

/* The numbers of a program, as hasn.kernels.rows writes them; 0 where there are too many. */
static const int32_t *line_of(const int32_t *from, const int32_t *end, Line *line) {
    if (from == NULL || end - from < 6 || from[5] < 0 || from[5] > MAX_TERMS || end - from < 6 + 2 * from[5])
        return NULL;
    line->state = from[0], line->before = from[1], line->moves = from[2];
    line->gain = from[3], line->bias = from[4], line->terms = from[5];
    from += 6;
    for (int i = 0; i < line->terms; i++, from += 2)
        line->reads[i] = from[0], line->by[i] = from[1];
    return from;
}

static int program_of(const int32_t *from, Py_ssize_t length, Program *p) {
    const int32_t *end = from + length;
    if (length < 7)
        return 0;
    p->states = from[0], p->v = from[1], p->held = from[2], p->saved = from[3];
    p->rows = from[4], p->spiking = from[5], p->resets = from[6];
    if (p->states > MAX_STATES || p->rows > MAX_LINES || p->resets > MAX_LINES)
        return 0;
    from += 7;
    for (int i = 0; i < p->rows; i++)
        from = line_of(from, end, &p->row[i]);
    if (p->spiking)
        from = line_of(from, end, &p->condition);
    for (int i = 0; i < p->resets; i++)
        from = line_of(from, end, &p->reset[i]);
    return from == end;
}

static PyObject *rows(PyObject *self, PyObject *args) {
    Job job;
    Program program;
    const char *numbers, *addresses;
    char *memory;
    uint64_t at[4 * MAX_STATES + 2];
    Py_ssize_t length, ends;
    int is_backward, is_double, threads, states;
    long long steps, batch, neurons;
    unsigned long long coefficients, x, out, is_free, after, input, by_k;
    (void)self;
    if (!PyArg_ParseTuple(args, "ppiLLLidpy#y#KKKKKKK:rows", &is_backward, &is_double, &threads, &steps, &batch, &neurons,
                          &job.surrogate, &job.parameter, &job.shared, &numbers, &length, &addresses, &ends,
                          &coefficients, &x, &out, &is_free, &after, &input, &by_k))
        return NULL;
    if (!program_of((const int32_t *)numbers, length / (Py_ssize_t)sizeof(int32_t), &program) ||
        ends != (4 * program.states + 2 * (program.held >= 0)) * (Py_ssize_t)sizeof(uint64_t)) {
        PyErr_SetString(PyExc_ValueError, "no program of rows that fits, or other states than it has");
        return NULL;
    }
    states = program.states + (program.held >= 0);
    memcpy(at, addresses, ends);
    for (int i = 0; i < states; i++) {
        program.start[i] = (const void *)(uintptr_t)at[i], program.end[i] = (void *)(uintptr_t)at[states + i];
        if (i < program.states) {
            program.kept[i] = (void *)(uintptr_t)at[2 * states + i];
            program.begun[i] = (void *)(uintptr_t)at[2 * states + program.states + i];
        }
    }
    job.steps = steps, job.batch = batch, job.neurons = neurons, job.program = &program;
    job.coefficients = (const void *)(uintptr_t)coefficients, job.x = (const void *)(uintptr_t)x;
    job.out = (void *)(uintptr_t)out, job.after = (void *)(uintptr_t)after;
    program.kept_free = (uint8_t *)(uintptr_t)is_free;
    program.input = (const void *)(uintptr_t)input, program.by_k = (void *)(uintptr_t)by_k;
    threads = worth_waking(threads, steps * batch * neurons);
    program.bytes = (size_t)states * ROOM_STEP + (size_t)(2 * program.states + program.resets + 7) * TILE_STEP;
    if (by_k)
        program.bytes += (size_t)(2 * program.states + program.rows + program.resets) * TILE_STEP;
    program.bytes *= is_double ? sizeof(double) : sizeof(float);
    memory = malloc(program.bytes * threads + 64);
    if (memory == NULL)
        return PyErr_NoMemory();
    program.memory = memory + (64 - (uintptr_t)memory % 64);
    Py_BEGIN_ALLOW_THREADS
    if (is_double)
        run_double(&job, is_backward, threads);
    else
        run_float(&job, is_backward, threads);
    Py_END_ALLOW_THREADS
    free(memory);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"scan", scan, METH_VARARGS,
     "scan(is_backward, is_double, threads, steps, batch, neurons, rows, reset, surrogate, parameter, shared, "
     "coefficients, x, v, c, v_end, c_end, out, before, after): arrays are addresses, 0 for none"},
    {"rows", rows, METH_VARARGS,
     "rows(is_backward, is_double, threads, steps, batch, neurons, surrogate, parameter, shared, program, states, "
     "coefficients, x, out, free, after, input, by_k): program is bytes of int32, states (start, end, kept, begun) of "
     "uint64 addresses"},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_scan", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__scan(void) {
    PyObject *made = PyModule_Create(&module);
    if (made == NULL)
        return NULL;
#ifdef _OPENMP
    PyModule_AddIntConstant(made, "openmp", 1);
#else
    PyModule_AddIntConstant(made, "openmp", 0);
#endif
    PyModule_AddIntConstant(made, "interface", INTERFACE);
    PyModule_AddStringConstant(made, "targets", COMPILED_FOR);
    return made;
}
