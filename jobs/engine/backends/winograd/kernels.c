/* 3x3 convolutions by Winograd's minimal filtering F(4x4, 3x3) in fp32, channels last.
 *
 * Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015): a tile of 6x6 inputs gives 4x4 outputs by
 * 36 products per pair of channels where the direct way takes 144. The points of interpolation are 0, +-sqrt(1/2),
 * +-sqrt(2) and infinity, which lose fewer bits than the usual 0, +-1, +-2.
 *
 * Compiled once per instruction set, with vectors as wide as its registers. Every plane of pixels is
 * [1 + H' + 1][1 + W' + 1][stride], H' and W' being H and W rounded up to 4, with zeros around the H x W pixels: so
 * tiles at the border need no care. jobs/engine/backends/winograd/network.py plans the planes and the layers.
 */
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* VL: numbers in a vector. MR x NV: the tile of the matrix product, tiles of the picture by vectors of channels. */
#if defined(__AVX512F__)
#define VL 16
#define MR 12
#define NV 2
#elif defined(__AVX2__)
#define VL 8
#define MR 6
#define NV 2
#elif defined(__aarch64__)
#define VL 4
#define MR 6
#define NV 4
#else
#define VL 4
#define MR 6
#define NV 2
#endif

#ifndef SOURCE
#define SOURCE "unknown"
#endif
#define PUBLIC __attribute__((visibility("default")))
#define INLINE static inline __attribute__((always_inline))

typedef float vf __attribute__((vector_size(4 * VL)));
typedef int32_t vi __attribute__((vector_size(4 * VL)));
typedef float vf_any __attribute__((vector_size(4 * VL), aligned(4), may_alias)); /* anywhere in memory */
typedef int32_t vi_any __attribute__((vector_size(4 * VL), aligned(4), may_alias));

INLINE vf load(const float *from) { return *(const vf_any *)from; }
INLINE void store(float *to, vf value) { *(vf_any *)to = value; }
INLINE vf all(float value) { return value - (vf){0}; }

static int64_t up(int64_t value, int64_t to) { return (value + to - 1) / to * to; }
static int64_t least(int64_t one, int64_t other) { return one < other ? one : other; }

/* ---- What Python hands over: the same fields, in the same order, as in library.py. ---- */

struct plane {
    float *data; /* of the pixel (0, 0) */
    int64_t height, width, stride, row; /* stride, row: floats from pixel to pixel and from row to row */
};

enum { CLEAR, FIRST, WINOGRAD, FEW };

struct step {
    int64_t kind;
    int64_t from, inputs;                /* plane and its channels, from the first on */
    int64_t to, at, outputs;             /* plane, first channel, channels */
    int64_t doubled;                     /* the source has half the resolution */
    const float *weights, *bias;         /* bias: outputs, padded to whole vectors */
    const int32_t *slope;                /* bits of 1 ^ bits of what negative results are multiplied with, or NULL */
    int64_t added, added_outer;          /* planes, or -1: (y * scale + added) * outer_scale + added_outer */
    float scale, outer_scale;
};

struct pixels {
    void *data;                            /* pixel (0, 0) of the window, or of the block */
    int64_t row, channels, first, used;    /* row: numbers; the plane takes "used" channels from "first" on */
    int64_t bytes;                         /* of a number: 1, 2, or 4 (float) */
    float full;
    int64_t top, left, height, width;      /* of the block, in pixels of the result */
};

/* ---- Threads: they sleep between the parts of a layer and after the last one. ---- */

typedef void part_fn(void *job, int64_t part, int64_t thread);

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t begin, end;
    part_fn *fn;
    void *job;
    int64_t parts, next, round, busy, threads, started, stop;
    pthread_t ids[];
};

struct seat {
    struct pool *pool;
    int64_t thread;
};

static void take_parts(struct pool *pool, int64_t thread) {
    for (;;) {
        int64_t part = __atomic_fetch_add(&pool->next, 1, __ATOMIC_RELAXED);
        if (part >= pool->parts)
            return;
        pool->fn(pool->job, part, thread);
    }
}

static void *worker(void *given) {
    struct seat seat = *(struct seat *)given;
    struct pool *pool = seat.pool;
    int64_t seen = 0;
    free(given);
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->round == seen && !pool->stop)
            pthread_cond_wait(&pool->begin, &pool->lock);
        if (pool->stop)
            break;
        seen = pool->round;
        pthread_mutex_unlock(&pool->lock);
        take_parts(pool, seat.thread);
        pthread_mutex_lock(&pool->lock);
        if (--pool->busy == 0)
            pthread_cond_signal(&pool->end);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Compute all parts; the caller takes its share. Not for two callers at once: library.py has a lock. */
static void run_parts(struct pool *pool, part_fn *fn, void *job, int64_t parts) {
    if (parts <= 1 || pool->started == 0) {
        for (int64_t part = 0; part < parts; part++)
            fn(job, part, 0);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->fn = fn, pool->job = job, pool->parts = parts, pool->next = 0;
    pool->busy = pool->started;
    pool->round++;
    pthread_cond_broadcast(&pool->begin);
    pthread_mutex_unlock(&pool->lock);
    take_parts(pool, 0);
    pthread_mutex_lock(&pool->lock);
    while (pool->busy)
        pthread_cond_wait(&pool->end, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

PUBLIC void winograd_close(struct pool *pool) {
    pthread_mutex_lock(&pool->lock);
    pool->stop = 1;
    pthread_cond_broadcast(&pool->begin);
    pthread_mutex_unlock(&pool->lock);
    for (int64_t i = 0; i < pool->started; i++)
        pthread_join(pool->ids[i], NULL);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->begin);
    pthread_cond_destroy(&pool->end);
    free(pool);
}

/* Start threads - 1 threads, or as many as the system allows. NULL: memory is short. */
PUBLIC struct pool *winograd_open(int64_t threads) {
    struct pool *pool = calloc(1, sizeof *pool + (size_t)threads * sizeof(pthread_t));
    if (!pool)
        return NULL;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->begin, NULL);
    pthread_cond_init(&pool->end, NULL);
    pool->threads = threads;
    for (int64_t i = 1; i < threads; i++) {
        struct seat *seat = malloc(sizeof *seat);
        if (!seat)
            break;
        seat->pool = pool, seat->thread = i;
        if (pthread_create(&pool->ids[pool->started], NULL, worker, seat)) {
            free(seat);
            break;
        }
        pool->started++;
    }
    return pool;
}

/* ---- The matrix product of MR rows with M x N vectors. ---- */

/* c[m] = sum over segments s and i < k of a[m * lda + s * segment + i] * b[s * k + i], N vectors each */
#define PRODUCT(NAME, N)                                                                                               \
    static void NAME(const float *a, int64_t lda, int64_t segments, int64_t segment, int64_t k, const float *b,        \
                     float *c, int64_t ldc) {                                                                          \
        vf sum[MR][N];                                                                                                 \
        _Pragma("GCC unroll 12") for (int m = 0; m < MR; m++)                                                          \
            _Pragma("GCC unroll 4") for (int n = 0; n < N; n++) sum[m][n] = (vf){0};                                   \
        for (int64_t s = 0; s < segments; s++, a += segment)                                                           \
            for (int64_t i = 0; i < k; i++, b += N * VL) {                                                             \
                vf right[N];                                                                                           \
                _Pragma("GCC unroll 4") for (int n = 0; n < N; n++) right[n] = load(b + n * VL);                       \
                _Pragma("GCC unroll 12") for (int m = 0; m < MR; m++) {                                                \
                    vf left = all(a[m * lda + i]);                                                                     \
                    _Pragma("GCC unroll 4") for (int n = 0; n < N; n++) sum[m][n] += left * right[n];                  \
                }                                                                                                      \
            }                                                                                                          \
        _Pragma("GCC unroll 12") for (int m = 0; m < MR; m++)                                                          \
            _Pragma("GCC unroll 4") for (int n = 0; n < N; n++) store(c + m * ldc + n * VL, sum[m][n]);                \
    }
PRODUCT(product_wide, NV)
PRODUCT(product_one, 1)

/* All output channels ("columns", whole vectors) of "rows" rows, a multiple of MR. */
static void product(const float *a, int64_t lda, int64_t segments, int64_t segment, int64_t k, const float *b, float *c,
                    int64_t rows, int64_t columns) {
    for (int64_t n = 0; n < columns;) {
        int64_t width = columns - n >= NV * VL ? NV * VL : VL;
        for (int64_t m = 0; m < rows; m += MR)
            (width == VL ? product_one : product_wide)(a + m * lda, lda, segments, segment, k, b, c + m * columns + n,
                                                       columns);
        b += segments * k * width;
        n += width;
    }
}

/* ---- What is done with a result before it is stored. ---- */

struct tail {
    const struct plane *to, *added, *outer;
    const struct step *step;
};

/* The bits that a negative value's factor differs from 1 by: zeros where there is no activation. */
INLINE vi slope_at(const struct tail *tail, int64_t c) {
    if (!tail->step->slope)
        return (vi){0};
    return *(const vi_any *)(tail->step->slope + c);
}

/* Exact, without a branch, and NaN stays NaN. */
INLINE vf activated(vf value, vi slope) {
    return value * (vf)((vi)all(1.0f) ^ (((vi)value >> 31) & slope));
}

INLINE float *pixel(const struct plane *plane, int64_t y, int64_t x) {
    return plane->data + y * plane->row + x * plane->stride;
}

INLINE void finish(const struct tail *tail, int64_t y, int64_t x, int64_t c, vf value, vf bias, vi slope) {
    value = activated(value + bias, slope);
    if (tail->added)
        value = value * tail->step->scale + load(pixel(tail->added, y, x) + c);
    if (tail->outer)
        value = value * tail->step->outer_scale + load(pixel(tail->outer, y, x) + c);
    store(pixel(tail->to, y, x) + tail->step->at + c, value);
}

/* A row of a tile, whole, for layers that add nothing: most of them. */
INLINE void finish_plain(float *to, int64_t stride, const vf *value, vf bias, vi slope) {
    _Pragma("GCC unroll 4") for (int j = 0; j < 4; j++) store(to + j * stride, activated(value[j] + bias, slope));
}

/* ---- Winograd ---- */

#define R12 0.70710678118654752440f /* sqrt(1/2) */
#define R2 1.41421356237309504880f

/* The six rows of B^T. */
INLINE void enter_1d(vf d0, vf d1, vf d2, vf d3, vf d4, vf d5, vf *o, int by) {
    vf a = d4 - 2.0f * d2, b = d3 - 2.0f * d1, c = d4 - 0.5f * d2, e = d3 - 0.5f * d1;
    o[0] = d0 - 2.5f * d2 + d4;
    o[by] = a + R12 * b;
    o[2 * by] = a - R12 * b;
    o[3 * by] = c + R2 * e;
    o[4 * by] = c - R2 * e;
    o[5 * by] = d1 - 2.5f * d3 + d5;
}

/* The four rows of A^T. */
INLINE void leave_1d(vf m0, vf m1, vf m2, vf m3, vf m4, vf m5, vf *o, int by) {
    vf a = m1 + m2, b = m1 - m2, c = m3 + m4, e = m3 - m4;
    o[0] = m0 + a + c;
    o[by] = R12 * b + R2 * e;
    o[2 * by] = 0.5f * a + 2.0f * c;
    o[3 * by] = (0.5f * R12) * b + (2.0f * R2) * e + m5;
}

/* Columns and rows by which Winograd's numbers of neighbours lie apart: an odd number of cache lines. */
static int64_t apart(int64_t tiles, int64_t channels) { return up(tiles * channels, 16) + 16; }

struct layer_job {
    const struct plane *from;
    struct tail tail;
    const struct step *step;
    float *scratch;
    int64_t scratch_floats, tiles, across, count, columns;
};

static void winograd_part(void *given, int64_t part, int64_t thread) {
    const struct layer_job *job = given;
    const struct step *step = job->step;
    const struct plane *from = job->from, *to = job->tail.to;
    const int64_t first = part * job->tiles, count = least(job->tiles, job->count - first);
    const int64_t lda = up(step->inputs, VL), columns = job->columns;
    const int64_t v_apart = apart(job->tiles, lda), m_apart = apart(job->tiles, columns);
    float *v = job->scratch + thread * job->scratch_floats, *m = v + 36 * v_apart;

    const int64_t ahead = (step->doubled ? 2 : 4) * from->stride;
    for (int64_t t = 0; t < count; t++) {
        const int64_t y = (first + t) / job->across * 4 - 1, x = (first + t) % job->across * 4 - 1;
        const float *rows[6];
        int64_t columns_at[6];
        for (int i = 0; i < 6; i++) {
            rows[i] = from->data + (step->doubled ? (y + i) >> 1 : y + i) * from->row;
            columns_at[i] = (step->doubled ? (x + i) >> 1 : x + i) * from->stride;
        }
        for (int64_t c = 0; c < lda; c += VL) {
            vf half[36], out[6];
            float *to_v = v + t * lda + c;
            _Pragma("GCC unroll 6") for (int j = 0; j < 6; j++) {
                const int64_t at = columns_at[j] + c;
                if (j > 1) /* new in the tile to the right */
                    for (int i = 0; i < 6; i++)
                        __builtin_prefetch(rows[i] + at + ahead);
                enter_1d(load(rows[0] + at), load(rows[1] + at), load(rows[2] + at), load(rows[3] + at),
                         load(rows[4] + at), load(rows[5] + at), half + j, 6);
            }
            _Pragma("GCC unroll 6") for (int i = 0; i < 6; i++) {
                const vf *h = half + 6 * i;
                enter_1d(h[0], h[1], h[2], h[3], h[4], h[5], out, 1);
                _Pragma("GCC unroll 6") for (int j = 0; j < 6; j++) store(to_v + (6 * i + j) * v_apart, out[j]);
            }
        }
    }
    const int64_t rows_up = up(count, MR);
    for (int f = 0; f < 36; f++)
        product(v + f * v_apart, lda, 1, 0, step->inputs, step->weights + f * step->inputs * columns, m + f * m_apart,
                rows_up, columns);
    for (int64_t t = 0; t < count; t++) {
        const int64_t y = (first + t) / job->across * 4, x = (first + t) % job->across * 4;
        const int64_t high = least(4, to->height - y), wide = least(4, to->width - x);
        const int plain = high == 4 && wide == 4 && !job->tail.added;
        for (int64_t c = 0; c < columns; c += VL) {
            vf half[24], out[4];
            const float *in = m + t * columns + c;
            const vf bias = load(step->bias + c);
            const vi slope = slope_at(&job->tail, c);
            float *to_c = pixel(to, y, x) + step->at + c;
            _Pragma("GCC unroll 6") for (int j = 0; j < 6; j++) {
                const float *f = in + j * m_apart;
                leave_1d(load(f), load(f + 6 * m_apart), load(f + 12 * m_apart), load(f + 18 * m_apart),
                         load(f + 24 * m_apart), load(f + 30 * m_apart), half + j, 6);
            }
            for (int i = 0; i < high; i++) {
                const vf *h = half + 6 * i;
                leave_1d(h[0], h[1], h[2], h[3], h[4], h[5], out, 1);
                if (plain)
                    finish_plain(to_c + i * to->row, to->stride, out, bias, slope);
                else
                    for (int j = 0; j < wide; j++)
                        finish(&job->tail, y + i, x + j, c, out[j], bias, slope);
            }
        }
    }
}

/* ---- Directly: few input channels (a row is one part), and few output channels. ---- */

static void first_part(void *given, int64_t y, int64_t thread) {
    const struct layer_job *job = given;
    const struct step *step = job->step;
    const struct plane *from = job->from;
    float *made = job->scratch + thread * job->scratch_floats;
    for (int64_t x = 0; x < from->width; x += MR) {
        product(from->data + (y - 1) * from->row + (x - 1) * from->stride, from->stride, 3, from->row, 3 * step->inputs,
                step->weights, made, MR, job->columns);
        for (int64_t p = 0; p < MR && x + p < from->width; p++)
            for (int64_t c = 0; c < job->columns; c += VL)
                finish(&job->tail, y, x + p, c, load(made + p * job->columns + c), load(step->bias + c),
                       slope_at(&job->tail, c));
    }
}

INLINE float sum_of(vf value) {
    float total = 0;
    for (int i = 0; i < VL; i++)
        total += value[i];
    return total;
}

/* Weights are [3][3][outputs][inputs, whole vectors], four pixels are computed at once. */
INLINE void few_row(const struct layer_job *job, int64_t y, const int outputs) {
    const struct plane *from = job->from, *to = job->tail.to;
    const int64_t inputs = up(job->step->inputs, VL);
    for (int64_t x = 0; x < from->width; x += 4) {
        vf sum[4][3];
        for (int p = 0; p < 4; p++)
            for (int o = 0; o < outputs; o++)
                sum[p][o] = (vf){0};
        for (int ky = 0; ky < 3; ky++)
            for (int64_t c = 0; c < inputs; c += VL) {
                const float *in = from->data + (y + ky - 1) * from->row + (x - 1) * from->stride + c;
                const float *w = job->step->weights + ky * 3 * outputs * inputs + c;
                _Pragma("GCC unroll 6") for (int j = 0; j < 6; j++) {
                    const vf here = load(in + j * from->stride);
                    _Pragma("GCC unroll 4") for (int p = 0; p < 4; p++) {
                        if (j - p < 0 || j - p > 2)
                            continue;
                        _Pragma("GCC unroll 3") for (int o = 0; o < outputs; o++)
                            sum[p][o] += here * load(w + ((j - p) * outputs + o) * inputs);
                    }
                }
            }
        for (int p = 0; p < 4 && x + p < to->width; p++)
            for (int o = 0; o < outputs; o++)
                to->data[y * to->row + (x + p) * to->stride + o] = sum_of(sum[p][o]) + job->step->bias[o];
    }
}

static void few_part(void *given, int64_t y, int64_t thread) {
    const struct layer_job *job = given;
    (void)thread;
    if (job->step->outputs == 1)
        few_row(job, y, 1);
    else
        few_row(job, y, 3);
}

/* Zeros around the pixels of a plane, and wherever a tile at its end reaches. */
static void clear(const struct plane *plane) {
    const int64_t high = up(plane->height, 4) + 1, wide = up(plane->width, 4) + 1;
    for (int64_t y = -1; y < high; y++) {
        float *row = plane->data + y * plane->row;
        if (y < 0 || y >= plane->height) {
            memset(row - plane->stride, 0, (size_t)((wide + 1) * plane->stride) * sizeof(float));
        } else {
            memset(row - plane->stride, 0, (size_t)plane->stride * sizeof(float));
            memset(row + plane->width * plane->stride, 0, (size_t)((wide - plane->width) * plane->stride) * sizeof(float));
        }
    }
}

/* ---- The entries ---- */

/* Floats of scratch memory per thread for a layer; tiles: how many 6x6 tiles a part has. */
static int64_t layer_scratch(const struct step *step, int64_t tiles) {
    int64_t columns = up(step->outputs, VL);
    if (step->kind == FIRST)
        return up(MR * columns, 16);
    return step->kind == WINOGRAD ? 36 * (apart(tiles, up(step->inputs, VL)) + apart(tiles, columns)) : 0;
}

/* So many that a part's numbers stay in a cache of so many bytes, a multiple of MR. */
static int64_t part_tiles(const struct step *step, int64_t cache) {
    int64_t each = 36 * 4 * (up(step->inputs, VL) + up(step->outputs, VL));
    int64_t tiles = cache / each / MR * MR;
    return tiles < MR ? MR : tiles;
}

PUBLIC int64_t winograd_scratch(const struct step *steps, int64_t count, int64_t cache) {
    int64_t most = 16;
    for (int64_t i = 0; i < count; i++) {
        int64_t floats = layer_scratch(steps + i, part_tiles(steps + i, cache));
        most = floats > most ? floats : most;
    }
    return most;
}

PUBLIC void winograd_layers(struct pool *pool, const struct plane *planes, const struct step *steps, int64_t count,
                            float *scratch, int64_t scratch_floats, int64_t cache) {
    for (int64_t i = 0; i < count; i++) {
        const struct step *step = steps + i;
        const struct plane *to = planes + step->to;
        if (step->kind == CLEAR) {
            clear(to);
            continue;
        }
        struct layer_job job = {
            .from = planes + step->from,
            .tail = {.to = to, .step = step,
                     .added = step->added < 0 ? NULL : planes + step->added,
                     .outer = step->added_outer < 0 ? NULL : planes + step->added_outer},
            .step = step, .scratch = scratch, .scratch_floats = scratch_floats, .columns = up(step->outputs, VL),
        };
        if (step->kind == WINOGRAD) {
            job.across = (to->width + 3) / 4;
            job.count = job.across * ((to->height + 3) / 4);
            /* Three parts for each thread at least: the last ones of a layer leave others idle. */
            int64_t fair = up((job.count + 3 * pool->threads - 1) / (3 * pool->threads), MR);
            job.tiles = least(part_tiles(step, cache), pool->threads > 1 ? fair : job.count + MR);
            run_parts(pool, winograd_part, &job, (job.count + job.tiles - 1) / job.tiles);
        } else {
            run_parts(pool, step->kind == FIRST ? first_part : few_part, &job, to->height);
        }
    }
}

/* Weights (outputs, inputs, 3, 3) as the layers read them. "to" holds winograd_packed floats, zeros at first. */
PUBLIC int64_t winograd_packed(int64_t kind, int64_t inputs, int64_t outputs) {
    if (kind == FEW)
        return 9 * outputs * up(inputs, VL);
    return (kind == FIRST ? 9 : 36) * inputs * up(outputs, VL);
}

/* Where the weight of row k and output o is among those of one product with "rows" rows. */
static int64_t place(int64_t k, int64_t o, int64_t rows, int64_t columns) {
    int64_t wide = columns / (NV * VL) * (NV * VL), width = o < wide ? NV * VL : VL;
    int64_t panel = o / width * width;
    return panel * rows + k * width + o - panel;
}

PUBLIC void winograd_pack(int64_t kind, int64_t inputs, int64_t outputs, const float *from, float *to) {
    static const double r12 = 0.70710678118654752440, r2 = 1.41421356237309504880;
    const double g[6][3] = {{1, 0, 0},
                            {-2.0 / 3, -2.0 / 3 * r12, -1.0 / 3},
                            {-2.0 / 3, 2.0 / 3 * r12, -1.0 / 3},
                            {1.0 / 6, r2 / 6, 1.0 / 3},
                            {1.0 / 6, -r2 / 6, 1.0 / 3},
                            {0, 0, 1}};
    const int64_t columns = up(outputs, VL), padded = up(inputs, VL);
    for (int64_t o = 0; o < outputs; o++)
        for (int64_t k = 0; k < inputs; k++) {
            const float *w = from + (o * inputs + k) * 9;
            if (kind != WINOGRAD) {
                for (int tap = 0; tap < 9; tap++)
                    if (kind == FEW)
                        to[(tap * outputs + o) * padded + k] = w[tap];
                    else
                        to[place(tap * inputs + k, o, 9 * inputs, columns)] = w[tap];
                continue;
            }
            for (int i = 0; i < 6; i++) {
                double row[3];
                for (int j = 0; j < 3; j++)
                    row[j] = g[i][0] * w[j] + g[i][1] * w[3 + j] + g[i][2] * w[6 + j];
                for (int j = 0; j < 6; j++)
                    to[(i * 6 + j) * inputs * columns + place(k, o, inputs, columns)] =
                        (float)(g[j][0] * row[0] + g[j][1] * row[1] + g[j][2] * row[2]);
            }
        }
}

/* ---- Pixels ---- */

struct pixel_job {
    struct pixels pixels;
    const struct plane *plane, *base;
    int64_t step; /* unshuffle or shuffle */
    int32_t bad;
};

static void enter_part(void *given, int64_t y, int64_t thread) {
    struct pixel_job *job = given;
    const struct pixels *in = &job->pixels;
    const int64_t by = job->step, used = in->used;
    (void)thread;
    for (int64_t x = 0; x < job->plane->width; x++) {
        float *to = job->plane->data + y * job->plane->row + x * job->plane->stride;
        for (int64_t c = 0; c < used; c++)
            for (int64_t dy = 0; dy < by; dy++)
                for (int64_t dx = 0; dx < by; dx++) {
                    int64_t at = (y * by + dy) * in->row + (x * by + dx) * in->channels + in->first +
                                 (in->channels == 1 ? 0 : c);
                    float value = in->bytes == 1 ? ((uint8_t *)in->data)[at] : ((uint16_t *)in->data)[at];
                    to[(c * by + dy) * by + dx] = value / in->full;
                }
    }
}

/* Pixels of a window into the first plane, in [0, 1]; unshuffled: the numbers of a square become channels. */
PUBLIC void winograd_enter(struct pool *pool, const struct plane *planes, const struct pixels *pixels, int64_t unshuffle) {
    struct pixel_job job = {.pixels = *pixels, .plane = planes, .step = unshuffle};
    clear(planes);
    run_parts(pool, enter_part, &job, planes->height);
}

/* A row of the plane gives "step" rows of the result; its numbers are checked whether they are wanted or not. */
static void leave_part(void *given, int64_t y, int64_t thread) {
    struct pixel_job *job = given;
    const struct pixels *out = &job->pixels;
    const struct plane *plane = job->plane, *base = job->base;
    const int64_t by = job->step, used = out->used, gray = out->channels == 1 && used == 3;
    const float *row = plane->data + y * plane->row;
    vf check = {0};
    (void)thread;
    for (int64_t i = 0; i < plane->width * plane->stride / VL * VL; i += VL)
        check += load(row + i) * 0.0f;
    float total = sum_of(check);
    for (int64_t i = plane->width * plane->stride / VL * VL; i < plane->width * plane->stride; i++)
        total += row[i] * 0.0f;
    if (total != 0.0f)
        __atomic_store_n(&job->bad, 1, __ATOMIC_RELAXED);
    for (int64_t dy = 0; dy < by; dy++) {
        const int64_t line = y * by + dy - out->top;
        if (line < 0 || line >= out->height)
            continue;
        for (int64_t x = out->left / by; x < plane->width && x * by < out->left + out->width; x++) {
            const float *in = row + x * plane->stride + dy * by * used;
            for (int64_t dx = 0; dx < by; dx++) {
                const int64_t column = x * by + dx - out->left;
                if (column < 0 || column >= out->width)
                    continue;
                float value[3] = {0};
                for (int64_t c = 0; c < used; c++) {
                    float v = in[dx * used + c];
                    if (base)
                        v += base->data[y * base->row + x * base->stride + c];
                    v = v > 0.0f ? v : 0.0f;
                    value[c] = v < 1.0f ? v : 1.0f;
                }
                if (gray) /* ITU-R BT.601, as pixel_module.py */
                    value[0] = value[0] * 0.299f + value[1] * 0.587f + value[2] * 0.114f;
                const int64_t at = line * out->row + column * out->channels + out->first;
                for (int64_t c = 0; c < (gray ? 1 : used); c++) {
                    /* Adding and taking away 1.5 * 2^23 rounds to whole numbers, halves to even. */
                    const float whole = value[c] * out->full + 12582912.0f - 12582912.0f;
                    if (out->bytes == 1)
                        ((uint8_t *)out->data)[at + c] = (uint8_t)(int32_t)whole;
                    else if (out->bytes == 2)
                        ((uint16_t *)out->data)[at + c] = (uint16_t)(int32_t)whole;
                    else
                        ((float *)out->data)[at + c] = value[c];
                }
            }
        }
    }
}

/* The last plane's numbers, [shuffle][shuffle][channels] for each pixel, plus the base picture, as pixels.
 * Returns 1 when all numbers are finite, else 0. */
PUBLIC int64_t winograd_leave(struct pool *pool, const struct plane *plane, const struct plane *base,
                              const struct pixels *pixels, int64_t shuffle) {
    struct pixel_job job = {.pixels = *pixels, .plane = plane, .base = base, .step = shuffle};
    run_parts(pool, leave_part, &job, plane->height);
    return !job.bad;
}

/* For library.py: is this what it expects? */
PUBLIC const char *winograd_source(void) { return SOURCE; }
PUBLIC int64_t winograd_vector(void) { return VL; }
PUBLIC int64_t winograd_sizes(void) {
    return (int64_t)(sizeof(struct plane) << 32 | sizeof(struct step) << 16 | sizeof(struct pixels));
}
