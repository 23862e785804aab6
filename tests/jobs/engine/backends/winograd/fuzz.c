/* Random layers and pixels through the kernels, held against plain loops in double. For sanitizers: every plane is a
 * block of memory of its own, of the very size that the kernels ask for.
 *
 *     fuzz SECONDS SEED
 */
#include "kernels.c"

#include <math.h>
#include <stdio.h>
#include <time.h>

static uint64_t state;

static uint64_t any(void) { /* xorshift64 */
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
}
static int64_t between(int64_t low, int64_t high) { return low + (int64_t)(any() % (uint64_t)(high - low + 1)); }
static float number(void) { return (float)(int32_t)(uint32_t)any() / 2147483648.0f; }

static struct plane made(int64_t height, int64_t width, int64_t stride, float **memory) {
    int64_t floats = winograd_plane(height, width, stride);
    *memory = malloc((size_t)floats * sizeof(float));
    for (int64_t i = 0; i < floats; i++)
        (*memory)[i] = NAN; /* whoever uses what nobody wrote is found out */
    struct plane plane = {.height = height, .width = width, .stride = stride, .row = (up(width, 4) + 2) * stride};
    plane.data = *memory + plane.row + stride;
    return plane;
}

static void fill(const struct plane *plane, int64_t channels) {
    for (int64_t y = 0; y < plane->height; y++)
        for (int64_t x = 0; x < plane->width; x++)
            for (int64_t c = 0; c < channels; c++)
                pixel(plane, y, x)[c] = number();
}

static double at(const struct plane *plane, int64_t y, int64_t x, int64_t c, int64_t doubled) {
    if (doubled)
        y = y >> 1, x = x >> 1;
    return y < 0 || x < 0 || y >= plane->height || x >= plane->width ? 0.0 : pixel(plane, y, x)[c];
}

static int layer(struct pool *pool) {
    static const int64_t kinds[] = {FIRST, WINOGRAD, WINOGRAD, FEW};
    const int64_t kind = kinds[between(0, 3)], doubled = kind == WINOGRAD && between(0, 3) == 0;
    const int64_t height = between(1, 21), width = between(1, 40), times = doubled ? 2 : 1;
    const int64_t inputs = kind == FIRST ? between(1, 48) : between(1, 70);
    const int64_t outputs = kind == FEW ? 1 + 2 * between(0, 1) : between(1, 70);
    const int64_t stride = kind == FIRST ? inputs : up(inputs, VL), at_channel = kind == FEW ? 0 : between(0, 20);
    const int64_t residuals = kind == FEW ? 0 : between(0, 2);
    float *memory[4] = {0};
    struct plane planes[4] = {
        made(height, width, stride, memory),
        made(height * times, width * times, kind == FEW ? outputs : at_channel + up(outputs, VL), memory + 1),
        made(height * times, width * times, up(outputs, VL), memory + 2),
        made(height * times, width * times, up(outputs, VL), memory + 3),
    };
    fill(planes, stride), fill(planes + 2, up(outputs, VL)), fill(planes + 3, up(outputs, VL));

    float *plain = malloc((size_t)(outputs * inputs * 9) * sizeof(float));
    float *packed = calloc((size_t)winograd_packed(kind, inputs, outputs), sizeof(float));
    float *bias = calloc((size_t)up(outputs, VL), sizeof(float)), *slope = calloc((size_t)up(outputs, VL), sizeof(float));
    int32_t *bits = calloc((size_t)up(outputs, VL), sizeof(int32_t));
    const float one = 1.0f;
    for (int64_t i = 0; i < outputs * inputs * 9; i++)
        plain[i] = number();
    for (int64_t o = 0; o < outputs; o++) {
        int32_t its, of_one;
        bias[o] = number(), slope[o] = 2 * number();
        memcpy(&its, slope + o, sizeof its), memcpy(&of_one, &one, sizeof one);
        bits[o] = its ^ of_one;
    }
    winograd_pack(kind, inputs, outputs, plain, packed);
    const int active = kind != FEW && between(0, 1);
    struct step steps[3] = {
        {.kind = CLEAR, .to = 0},
        {.kind = CLEAR, .to = 1},
        {.kind = kind, .from = 0, .inputs = inputs, .to = 1, .at = at_channel, .outputs = outputs, .doubled = doubled,
         .weights = packed, .bias = bias, .slope = active ? bits : NULL, .added = residuals > 0 ? 2 : -1,
         .added_outer = residuals > 1 ? 3 : -1, .scale = number(), .outer_scale = number()},
    };
    const int64_t cache = between(1, 300) * 1024, floats = winograd_scratch(steps, 3, cache);
    float *scratch = calloc((size_t)(floats * pool->threads), sizeof(float));
    winograd_layers(pool, planes, steps, 3, scratch, floats, cache);

    int bad = 0;
    for (int64_t y = 0; y < planes[1].height; y++)
        for (int64_t x = 0; x < planes[1].width; x++)
            for (int64_t o = 0; o < outputs; o++) {
                double wanted = bias[o];
                for (int64_t k = 0; k < inputs; k++)
                    for (int tap = 0; tap < 9; tap++)
                        wanted += plain[(o * inputs + k) * 9 + tap] *
                                  at(planes, y + tap / 3 - 1, x + tap % 3 - 1, k, doubled);
                if (active && wanted < 0)
                    wanted *= slope[o];
                if (residuals > 0)
                    wanted = wanted * steps[2].scale + pixel(planes + 2, y, x)[o];
                if (residuals > 1)
                    wanted = wanted * steps[2].outer_scale + pixel(planes + 3, y, x)[o];
                bad |= !(fabs(wanted - pixel(planes + 1, y, x)[at_channel + o]) < 1e-3);
            }
    for (int64_t y = -1; y <= up(planes[1].height, 4); y++) /* the next layer needs zeros around */
        for (int64_t x = -1; x <= up(planes[1].width, 4); x++)
            if (y < 0 || x < 0 || y >= planes[1].height || x >= planes[1].width)
                for (int64_t c = 0; c < planes[1].stride; c++)
                    bad |= pixel(planes + 1, y, x)[c] != 0.0f;
    if (bad)
        printf("wrong: kind %d, %dx%d, %d to %d channels, doubled %d, residuals %d\n", (int)kind, (int)width,
               (int)height, (int)inputs, (int)outputs, (int)doubled, (int)residuals);
    for (int i = 0; i < 4; i++)
        free(memory[i]);
    free(plain), free(packed), free(bias), free(slope), free(bits), free(scratch);
    return bad;
}

/* Pixels in and out again through a plane, by a network that changes nothing. */
static int pixels(struct pool *pool) {
    const int64_t by = between(1, 3), height = between(1, 12), width = between(1, 12), used = 1 + 2 * between(0, 1);
    const int64_t channels = 1 + 2 * between(0, 1), first = used == 1 ? between(0, channels - 1) : 0;
    const int64_t bytes = between(1, 2), wide = width * by, high = height * by;
    uint8_t *source = malloc((size_t)(wide * high * channels * bytes));
    for (int64_t i = 0; i < wide * high * channels * bytes; i++)
        source[i] = (uint8_t)any();
    float *memory[2];
    struct plane entry = made(height, width, used * by * by, memory);
    struct plane last = made(height, width, used * by * by, memory + 1);
    struct pixels in = {.data = source, .row = wide * channels, .channels = channels, .first = first, .used = used,
                        .bytes = bytes, .full = bytes == 1 ? 255.0f : 65535.0f};
    winograd_enter(pool, &entry, &in, by);
    for (int64_t y = 0; y < height; y++) /* unshuffled (c, dy, dx) to what a last layer gives, (dy, dx, c) */
        for (int64_t x = 0; x < width; x++)
            for (int64_t c = 0; c < used; c++)
                for (int64_t d = 0; d < by * by; d++)
                    pixel(&last, y, x)[d * used + c] = pixel(&entry, y, x)[c * by * by + d];
    const int poisoned = between(0, 4) == 0;
    if (poisoned)
        pixel(&last, between(0, height - 1), between(0, width - 1))[between(0, used * by * by - 1)] = INFINITY;
    struct pixels out = in;
    out.top = between(0, high - 1), out.left = between(0, wide - 1);
    out.height = between(1, high - out.top), out.width = between(1, wide - out.left);
    out.row = out.width * channels;
    uint8_t *result = calloc((size_t)(out.width * out.height * channels), (size_t)bytes);
    out.data = result;
    int bad = winograd_leave(pool, &last, NULL, &out, by) == poisoned;
    for (int64_t y = 0; y < out.height && !poisoned; y++)
        for (int64_t x = 0; x < out.width; x++)
            for (int64_t c = first; c < (used == 1 ? first + 1 : channels); c++) {
                int64_t i = y * out.row + x * channels + c, j = ((y + out.top) * wide + x + out.left) * channels + c;
                int64_t had = bytes == 1 ? source[j] : ((uint16_t *)source)[j];
                int64_t has = bytes == 1 ? result[i] : ((uint16_t *)result)[i];
                bad |= llabs(had - has) > 1; /* a gray picture's luma may be rounded the other way */
            }
    if (bad)
        printf("wrong: pixels %dx%d by %d, %d of %d channels\n", (int)width, (int)height, (int)by, (int)used,
               (int)channels);
    free(source), free(result), free(memory[0]), free(memory[1]);
    return bad;
}

int main(int count, char **words) {
    if (count != 3)
        return 2;
    state = (uint64_t)atoll(words[2]) * 2 + 1;
    const time_t end = time(NULL) + atoll(words[1]);
    int64_t runs = 0;
    int bad = 0;
    while (time(NULL) < end) {
        struct pool *pool = winograd_open(between(1, 4));
        for (int i = 0; i < 20; i++, runs++)
            bad |= layer(pool) | pixels(pool);
        winograd_close(pool);
    }
    printf("%d layers\n", (int)runs);
    return bad;
}
