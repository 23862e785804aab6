/* 3x3 convolutions by Winograd's minimal filtering F(4x4, 3x3) in fp32, channels last.
 *
 * Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015): a tile of 6x6 inputs gives 4x4 outputs by
 * 36 products per pair of channels where the direct way takes 144. The points of interpolation are 0, +-sqrt(1/2),
 * +-sqrt(2) and infinity, which lose fewer bits than the usual 0, +-1, +-2.
 *
 * One source, compiled once per instruction set by build.py. plan.py says which layer reads and writes which plane.
 */
#include "abi.h"
#include "threads.h"
#include "weights.h"

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

/* Up to four results beside each other: pixels (y, x) to (y, x + wide - 1) of a plane. */
INLINE void finish(const struct tail *tail, int64_t y, int64_t x, int64_t wide, int64_t c, vf *value, vf bias,
                   vi slope) {
    const struct plane *to = tail->to, *added = tail->added, *outer = tail->outer;
    float *at = pixel(to, y, x) + tail->step->at + c;
    _Pragma("GCC unroll 4") for (int j = 0; j < 4; j++) {
        value[j] = activated(value[j] + bias, slope);
        __builtin_prefetch(at + (j + 4) * to->stride, 1); /* the tile to the right is next */
    }
    if (added) {
        const float *more = pixel(added, y, x) + c;
        _Pragma("GCC unroll 4") for (int j = 0; j < 4; j++)
            value[j] = value[j] * tail->step->scale + load(more + (j < wide ? j : 0) * added->stride);
    }
    if (outer) {
        const float *more = pixel(outer, y, x) + c;
        _Pragma("GCC unroll 4") for (int j = 0; j < 4; j++)
            value[j] = value[j] * tail->step->outer_scale + load(more + (j < wide ? j : 0) * outer->stride);
    }
    if (wide == 4) {
        _Pragma("GCC unroll 4") for (int j = 0; j < 4; j++) store(at + j * to->stride, value[j]);
    } else {
        for (int j = 0; j < wide; j++)
            store(at + j * to->stride, value[j]);
    }
}

/* ---- Winograd: a part is some tiles of the picture, whose numbers stay in the second cache. ---- */

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
            _Pragma("GCC unroll 1") for (int j = 0; j < 6; j++) {
                const int64_t at = columns_at[j] + c;
                enter_1d(load(rows[0] + at), load(rows[1] + at), load(rows[2] + at), load(rows[3] + at),
                         load(rows[4] + at), load(rows[5] + at), half + j, 6);
            }
            float *to_v = v + t * lda + c;
            _Pragma("GCC unroll 1") for (int i = 0; i < 6; i++, to_v += 6 * v_apart) {
                const vf *h = half + 6 * i;
                enter_1d(h[0], h[1], h[2], h[3], h[4], h[5], out, 1);
                _Pragma("GCC unroll 6") for (int j = 0; j < 6; j++) store(to_v + j * v_apart, out[j]);
                /* Four columns are new in the tile to the right. */
                _Pragma("GCC unroll 4") for (int j = 2; j < 6; j++)
                    __builtin_prefetch(rows[i] + columns_at[j] + c + ahead);
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
        for (int64_t c = 0; c < columns; c += VL) {
            vf half[24], out[4];
            const float *in = m + t * columns + c;
            _Pragma("GCC unroll 1") for (int j = 0; j < 6; j++, in += m_apart)
                leave_1d(load(in), load(in + 6 * m_apart), load(in + 12 * m_apart), load(in + 18 * m_apart),
                         load(in + 24 * m_apart), load(in + 30 * m_apart), half + j, 6);
            const vf bias = load(step->bias + c);
            const vi slope = slope_at(&job->tail, c);
            _Pragma("GCC unroll 1") for (int i = 0; i < high; i++) {
                const vf *h = half + 6 * i;
                leave_1d(h[0], h[1], h[2], h[3], h[4], h[5], out, 1);
                finish(&job->tail, y + i, x, wide, c, out, bias, slope);
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
        for (int64_t p = 0; p < MR && x + p < from->width; p += 4)
            for (int64_t c = 0; c < job->columns; c += VL) {
                vf out[4];
                for (int j = 0; j < 4; j++)
                    out[j] = load(made + (p + j < MR ? p + j : p) * job->columns + c);
                finish(&job->tail, y, x + p, least(4, least(MR - p, from->width - x - p)), c, out,
                       load(step->bias + c), slope_at(&job->tail, c));
            }
    }
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

/* ---- The entries ---- */

/* Tiles of a part of a Winograd layer: so many that its numbers fill "cache" bytes, a multiple of MR. */
static int64_t part_tiles(const struct step *step, int64_t cache) {
    int64_t each = 36 * 4 * (up(step->inputs, VL) + up(step->outputs, VL));
    int64_t tiles = cache / each / MR * MR;
    return tiles < MR ? MR : tiles;
}

static int64_t layer_scratch(const struct step *step, int64_t cache) {
    int64_t columns = up(step->outputs, VL);
    if (step->kind == FIRST)
        return MR * columns;
    if (step->kind != WINOGRAD)
        return 0;
    int64_t tiles = part_tiles(step, cache);
    return 36 * (apart(tiles, up(step->inputs, VL)) + apart(tiles, columns));
}

/* Floats of scratch memory that each thread needs for these layers: whole cache lines. */
PUBLIC int64_t winograd_scratch(const struct step *steps, int64_t count, int64_t cache) {
    int64_t most = 16;
    for (int64_t i = 0; i < count; i++) {
        int64_t floats = layer_scratch(steps + i, cache);
        most = floats > most ? floats : most;
    }
    return up(most, 16);
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

#include "pixels.h"

/* For library.py: is this what it expects? */
PUBLIC const char *winograd_source(void) { return SOURCE; }
PUBLIC int64_t winograd_vector(void) { return VL; }
PUBLIC int64_t winograd_sizes(void) {
    return (int64_t)(sizeof(struct plane) << 32 | sizeof(struct step) << 16 | sizeof(struct pixels));
}
