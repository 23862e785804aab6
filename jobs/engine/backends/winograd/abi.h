/* Vectors as wide as the instruction set's registers, and the structures that Python hands over. */
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

INLINE float sum_of(vf value) {
    float total = 0;
    for (int i = 0; i < VL; i++)
        total += value[i];
    return total;
}

static int64_t up(int64_t value, int64_t to) { return (value + to - 1) / to * to; }
static int64_t least(int64_t one, int64_t other) { return one < other ? one : other; }

/* The same fields, in the same order, as in library.py. */

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

/* A plane is [1 + H' + 1][1 + W' + 1][stride], H' and W' being H and W rounded up to 4, with zeros around its H x W
 * pixels: so tiles at the border need no care. The last ones read beyond its end, and use nothing of that. */
PUBLIC int64_t winograd_plane(int64_t height, int64_t width, int64_t stride) {
    return ((up(height, 4) + 2) * (up(width, 4) + 2) + MR) * stride;
}

/* Write those zeros. */
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
