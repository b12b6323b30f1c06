/* C = op(A) op(B) + bias in float32, from products of bf16 in the tiles of AMX (Sapphire Rapids and later, on Linux).
 *
 * a = a_hi + a_lo + e with |e| <= 2^-17 |a|, both parts bf16. Two parts: a b ~ a_lo b_hi + a_hi b_hi + a_hi b_lo, which
 * leaves out a_lo b_lo (up to 2^-16 |a b|). One part: a_hi b_hi. Products are exact and summed in float32; tiles take
 * subnormal numbers for zeros. Where a packed panel has no lo, its products are not computed: spikes have none.
 *
 * Blocks: WIDE columns and LONG k's of B are packed once, for all threads; then each thread packs 256 rows of A at a
 * time, over DEPTH k's, and multiplies panel by panel. A's panels and the sums stay in the second cache, in an order of
 * their own: tiles in C itself would be 16 lines and pages each (measured: 20 ms a product instead of 10). Where blocks
 * of k end is a constant, so the order of each sum, and its bits, do not depend on the threads. */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#if defined(__x86_64__) && defined(__linux__) && defined(__has_include)
#if __has_include(<amxbf16intrin.h>)
#define HAS_TILES
#endif
#endif

/* What product's arguments mean; hasn.kernels.bf16 has the same number, so that an old build is not called. */
#define INTERFACE 1

#ifdef HAS_TILES
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "_product.h"
#ifdef _OPENMP
#define PARALLEL _Pragma("omp parallel num_threads(job->threads) if (job->threads > 1)")
#define FOR_THREADS _Pragma("omp for schedule(static)")
#define THREAD omp_get_thread_num()
#else
#define PARALLEL
#define FOR_THREADS
#define THREAD 0
#endif

typedef struct {
    int64_t m, n, k;
    int parts, threads;
    Operand a, b;
    const float *bias;
    float *c;
} Job;

/* Panels packed together; columns and k's of a block of B, which takes 8 MiB at most; multiplications a thread gets at
 * least (some microseconds: what waking it costs). */
enum { GROUP = 8, WIDE = 1024, LONG = 4 * DEPTH, SHARE = 1 << 22, PAGE = 4096 };

/* Packed panels of a block of B; of the group of A that this thread is at, and its sums; flags of the panels. */
typedef struct {
    char *b, *a;
    float *c;
    uint8_t *b_flags, *a_flags;
} Room;

/* A block of B: `panels` panels of columns from `column` on, in k's from k to `end`, in `depths` times DEPTH. */
typedef struct {
    int64_t column, panels, k, end, depths;
} Block;

static int64_t smaller(int64_t x, int64_t y) { return x < y ? x : y; }
static int64_t parts_of(int64_t x, int64_t size) { return (x + size - 1) / size; }

/* `panels` panels of rows of C, from `row` on, in the block's panels of columns from `left` to `right`. */
static void multiply_group(const Job *job, const Room *room, const Block *block, int64_t row, int panels, int64_t left,
                           int64_t right) {
    const int64_t column = block->column + left * PANEL, columns = smaller(job->n - column, (right - left) * PANEL);
    const int64_t rows = smaller(job->m - row, panels * PANEL);
    for (int64_t d = 0; d < block->depths; d++) {
        const int64_t k = block->k + d * DEPTH, end = smaller(block->end, k + DEPTH);
        pack(&job->a, 1, row, panels, k, end, job->parts, room->a, room->a_flags);
        for (int64_t j = left; j < right; j++) {
            const int64_t at = d * block->panels + j;
            for (int i = 0; i < panels; i++)
                multiply(room->a + (int64_t)i * PANEL_ROOM, room->b + at * PANEL_ROOM, (int)parts_of(end - k, STEP),
                         room->a_flags[i], room->b_flags[at], job->parts, d > 0,
                         room->c + (i * (right - left) + j - left) * PANEL * PANEL);
        }
    }
    for (int64_t i = 0; i < rows; i++) {
        float *c = job->c + (row + i) * job->n + column;
        const float *before = block->k ? c : job->bias ? job->bias + column : NULL;
        unpack_row(room->c + i / PANEL * (right - left) * PANEL * PANEL, (int)(i % PANEL), before, c, columns);
    }
}

/* Packs a block of B and multiplies all rows of A by it; the threads share the work of both. */
static void multiply_block(const Job *job, const Room *room, const Block *block) {
    const int64_t groups = parts_of(block->panels, GROUP), panels = parts_of(job->m, PANEL);
    const int64_t height = smaller(GROUP, parts_of(panels, job->threads)), stripes = parts_of(panels, height);
    const int64_t sides = smaller(block->panels, parts_of(job->threads, stripes));
    const int64_t width = parts_of(block->panels, sides);
    FOR_THREADS
    for (int64_t i = 0; i < groups * block->depths; i++) {
        const int64_t first = i % groups * GROUP, k = block->k + i / groups * DEPTH;
        const int64_t at = i / groups * block->panels + first;
        pack(&job->b, 0, block->column + first * PANEL, (int)smaller(GROUP, block->panels - first), k,
             smaller(block->end, k + DEPTH), job->parts, room->b + at * PANEL_ROOM, room->b_flags + at);
    }
    FOR_THREADS
    for (int64_t i = 0; i < stripes * sides; i++) {
        const int64_t first = i / sides * height, left = i % sides * width;
        multiply_group(job, room, block, first * PANEL, (int)smaller(height, panels - first), left,
                       smaller(block->panels, left + width));
    }
}

/* One thread's part of the whole product. */
static void multiply_all(const Job *job, const Room *room) {
    configure_tiles();
    for (int64_t column = 0; column < job->n; column += WIDE)
        for (int64_t k = 0; k < job->k; k += LONG) {
            const int64_t columns = smaller(WIDE, job->n - column), end = smaller(job->k, k + LONG);
            const Block block = {column, parts_of(columns, PANEL), k, end, parts_of(end - k, DEPTH)};
            multiply_block(job, room, &block);
        }
    release_tiles();
}

/* No k: the bias, or zeros. */
static void no_products(const Job *job) {
    for (int64_t i = 0; i < job->m; i++) {
        if (job->bias)
            memcpy(job->c + i * job->n, job->bias, job->n * sizeof(float));
        else
            memset(job->c + i * job->n, 0, job->n * sizeof(float));
    }
}

/* Memory that a call leaves for the next one: asking the system for it anew takes as long as a small product. */
static char *kept;

/* At least `size` bytes on a page's start, the first page for the caller of `take`; null if there are none. */
static char *take(size_t size) {
    char *room = __atomic_exchange_n(&kept, NULL, __ATOMIC_ACQ_REL);
    if (room && *(size_t *)room >= size)
        return room;
    free(room);
    room = aligned_alloc(PAGE, size + PAGE);
    if (room)
        *(size_t *)room = size;
    return room;
}

static void give_back(char *room) { free(__atomic_exchange_n(&kept, room, __ATOMIC_ACQ_REL)); }

/* Whether there was memory for the packed blocks. */
static int run(Job *job) {
    const int64_t wide = parts_of(smaller(job->n, WIDE), PANEL), deep = parts_of(smaller(job->k, LONG), DEPTH);
    const int64_t work = parts_of(job->m, PANEL) * PANEL * job->n * job->k / SHARE;
    job->threads = (int)smaller(job->threads, work > 1 ? work : 1);
    const int64_t sums = GROUP * wide * PANEL * PANEL * sizeof(float), own = GROUP * PANEL_ROOM + sums + PAGE;
    char *const room = take(wide * deep * PANEL_ROOM + job->threads * own + wide * deep);
    if (room == NULL)
        return 0;
    PARALLEL
    {
        char *const b = room + PAGE, *const mine = b + wide * deep * PANEL_ROOM + THREAD * own;
        const Room here = {b, mine + PAGE, (float *)(mine + PAGE + GROUP * PANEL_ROOM),
                           (uint8_t *)b + wide * deep * PANEL_ROOM + job->threads * own, (uint8_t *)mine};
        multiply_all(job, &here);
    }
    give_back(room);
    return 1;
}

/* "" if the processor and the system let this process use tiles, else why not. */
static const char *why_not(void) {
    static const char *why = NULL;
    unsigned a, b, c, d, low, high;
    if (why)
        return why;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 24 & 1) || !(d >> 22 & 1))
        return why = "the processor has no AMX tiles for bf16";
    if (!(b >> 16 & 1) || !(b >> 30 & 1))
        return why = "the processor has no AVX-512";
    __cpuid(1, a, b, c, d);
    if (!(c >> 27 & 1))
        return why = "the system saves no extended registers";
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & 0x600e6) != 0x600e6) /* tile configuration and data; AVX-512's three parts; AVX; SSE */
        return why = "the system does not save the registers of AVX-512 and AMX";
    if (syscall(SYS_arch_prctl, 0x1023 /* ARCH_REQ_XCOMP_PERM */, 18 /* XFEATURE_XTILEDATA */))
        return why = "the system does not let this process use AMX tiles";
    return why = "";
}
#else
static const char *why_not(void) { return "compiled without AMX: not x86-64, not Linux, or an old compiler"; }
#endif

static PyObject *product(PyObject *self, PyObject *args) {
    int transpose_a, transpose_b, parts, threads, done = 1;
    long long m, n, k;
    unsigned long long a, b, c, bias;
    (void)self;
    if (!PyArg_ParseTuple(args, "LLLppiiKKKK:product", &m, &n, &k, &transpose_a, &transpose_b, &parts, &threads, &a, &b,
                          &c, &bias))
        return NULL;
    if (why_not()[0]) {
        PyErr_SetString(PyExc_RuntimeError, why_not());
        return NULL;
    }
    if (m <= 0 || n <= 0) /* nothing to write */
        Py_RETURN_NONE;
#ifdef HAS_TILES
    Job job = {m, n, k, parts, threads > 1 ? threads : 1, {(const float *)(uintptr_t)a, m, k, !transpose_a},
               {(const float *)(uintptr_t)b, n, k, transpose_b}, (const float *)(uintptr_t)bias, (float *)(uintptr_t)c};
    Py_BEGIN_ALLOW_THREADS
    if (k > 0)
        done = run(&job);
    else
        no_products(&job);
    Py_END_ALLOW_THREADS
#endif
    return done ? Py_NewRef(Py_None) : PyErr_NoMemory();
}

static PyMethodDef methods[] = {
    {"product", product, METH_VARARGS,
     "product(m, n, k, transpose_a, transpose_b, parts, threads, a, b, c, bias): arrays are addresses, bias may be 0"},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_product", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__product(void) {
    PyObject *made = PyModule_Create(&module);
    if (made == NULL)
        return NULL;
#ifdef _OPENMP
    PyModule_AddIntConstant(made, "openmp", 1);
#else
    PyModule_AddIntConstant(made, "openmp", 0);
#endif
    PyModule_AddIntConstant(made, "interface", INTERFACE);
    PyModule_AddStringConstant(made, "why_not", why_not());
    return made;
}
