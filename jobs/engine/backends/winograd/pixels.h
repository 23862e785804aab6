/* Pixels into the first plane, and the last plane into pixels. */

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
