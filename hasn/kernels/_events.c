/* A dense connection that reads the weights of active inputs only: y = b + sum over i with x_i != 0 of x_i W[:, i].
 *
 * For one sample at a time, where the product is bound by the memory that it reads. Addresses of C-contiguous memory,
 * all of one floating type: x (batch, inputs), weights (inputs, outputs), bias (outputs) or 0, y (batch, outputs).
 * Sums run in the order of i, whatever the number of threads. */
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

typedef struct {
    int64_t batch, inputs, outputs;
    const void *x, *weights, *bias;
    void *y;
} Job;

/* Rows added in one pass over y: it saves loading and storing y, and gives the processor that many streams to fetch. */
#define ROWS 4

#define DEFINE(REAL, NAME)                                                                                             \
    /* Outputs from..to of a sample; active: the inputs that are not 0, in order. */                                   \
    TARGETS static void NAME##_part(const Job *job, const REAL *x, const int32_t *active, int64_t count, int64_t from, \
                                    int64_t to, REAL *restrict y) {                                                    \
        const REAL *weights = job->weights, *bias = job->bias;                                                         \
        const int64_t n = job->outputs;                                                                                \
        int64_t k = 0;                                                                                                 \
        if (bias)                                                                                                      \
            memcpy(y + from, bias + from, (to - from) * sizeof(REAL));                                                 \
        else                                                                                                           \
            memset(y + from, 0, (to - from) * sizeof(REAL));                                                           \
        for (; k + ROWS <= count; k += ROWS) {                                                                         \
            const REAL *a = weights + active[k] * n, *b = weights + active[k + 1] * n;                                 \
            const REAL *c = weights + active[k + 2] * n, *d = weights + active[k + 3] * n;                             \
            const REAL p = x[active[k]], q = x[active[k + 1]], r = x[active[k + 2]], s = x[active[k + 3]];             \
            IVDEP for (int64_t j = from; j < to; j++)                                                                  \
                y[j] = (((y[j] + p * a[j]) + q * b[j]) + r * c[j]) + s * d[j];                                         \
        }                                                                                                              \
        for (; k < count; k++) {                                                                                       \
            const REAL *a = weights + active[k] * n, p = x[active[k]];                                                 \
            IVDEP for (int64_t j = from; j < to; j++)                                                                  \
                y[j] = y[j] + p * a[j];                                                                                \
        }                                                                                                              \
    }                                                                                                                  \
                                                                                                                       \
    static void NAME(const Job *job, int32_t *active, int threads) {                                                   \
        for (int64_t s = 0; s < job->batch; s++) {                                                                     \
            const REAL *x = (const REAL *)job->x + s * job->inputs;                                                    \
            REAL *y = (REAL *)job->y + s * job->outputs;                                                               \
            int64_t count = 0;                                                                                         \
            for (int64_t i = 0; i < job->inputs; i++) {                                                                \
                active[count] = (int32_t)i;                                                                            \
                count += x[i] != 0; /* true of NaN */                                                                  \
            }                                                                                                          \
            const int64_t n = job->outputs, work = count * n / SHARE, most = work < threads ? work : threads;          \
            const int parts = most > 1 ? (int)most : 1;                                                                \
            PARALLEL                                                                                                   \
            for (int p = 0; p < parts; p++)                                                                            \
                NAME##_part(job, x, active, count, n * p / parts, n * (p + 1) / parts, y);                             \
        }                                                                                                              \
    }

/* A thread gets at least this many products: waking one costs some microseconds. */
#define SHARE 32768
#ifdef _OPENMP
#define PARALLEL _Pragma("omp parallel for schedule(static) num_threads(parts) if (parts > 1)")
#else
#define PARALLEL
#endif

DEFINE(float, run_float)
DEFINE(double, run_double)

/* The number that hasn.kernels.events has as well, so that an old build is not called. */
#define INTERFACE 1

static PyObject *product(PyObject *self, PyObject *args) {
    Job job;
    int is_double, threads;
    long long batch, inputs, outputs;
    unsigned long long x, weights, bias, y;
    int32_t *active;
    (void)self;
    if (!PyArg_ParseTuple(args, "piLLLKKKK:product", &is_double, &threads, &batch, &inputs, &outputs, &x, &weights,
                          &bias, &y))
        return NULL;
    job.batch = batch, job.inputs = inputs, job.outputs = outputs;
    job.x = (const void *)(uintptr_t)x, job.weights = (const void *)(uintptr_t)weights;
    job.bias = (const void *)(uintptr_t)bias, job.y = (void *)(uintptr_t)y;
    active = malloc((size_t)(inputs + 1) * sizeof(int32_t));
    if (active == NULL)
        return PyErr_NoMemory();
    Py_BEGIN_ALLOW_THREADS
    if (is_double)
        run_double(&job, active, threads);
    else
        run_float(&job, active, threads);
    Py_END_ALLOW_THREADS
    free(active);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"product", product, METH_VARARGS,
     "product(is_double, threads, batch, inputs, outputs, x, weights, bias, y): arrays are addresses, 0 for none"},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_events", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__events(void) {
    PyObject *made = PyModule_Create(&module);
    if (made != NULL)
        PyModule_AddIntConstant(made, "interface", INTERFACE);
    return made;
}
