/* Weights in the order in which the layers read them; packed once, when a network is loaded. */

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
