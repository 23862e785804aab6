// out[..., :cout] = act(conv3x3(in[..., :cin]) + bias) (* s1 + res1 (* s2 + res2)) in one pass over memory.
//
// NHWC, halves in memory, sums in float32. Pictures are cut into tiles of THxTW pixels and N output channels, and a block
// takes tiles until there are none. While it multiplies KS input channels of a tile, ST-1 stages further ones are loaded.
// Shared memory holds [chunk of 8 channels][pixel] cells of 16 bytes, so a shift by one of the nine taps is a multiple of
// 16 bytes: free of bank conflicts for ldmatrix, and a plain descriptor without swizzle for wgmma.
//
// Defined from outside: MODE (0 mma.sync, sm_80 and later; 1 wgmma, sm_90a), N (output channels of a tile: 8, 32, 64),
// TH, TW (pixels of a tile), RM (rows of 16 pixels per warp, or patches of 8x8 pixels per four warps), ST (stages),
// MINB (blocks per multiprocessor), RES (1: residuals may follow; N 64 only by our choice).
#define KS 16                                                     // input channels of a stage
#define HWD (TW+2)                                                // a tile with its border of one pixel
#define HP ((TH+2)*(TW+2))
#define CH (KS/8)
#define PLANE (HP + ((4 - HP%8) + 8)%8)                           // cells of a chunk: 4 modulo 8 keeps chunks in other banks
#define ABYTES (PLANE*CH*16)
#define BBYTES (9*CH*N*16)
#define STAGE (ABYTES+BBYTES)
#if MODE == 1
#define NTH (TH/8*128)
#define DIST (ST-2)                                               // stages ahead: wgmma still reads the last one
#define YOFF(i, h) (h)
#define XOFF(i, h) ((i)*8)
#else
#define WX (TW/16)
#define NTH (TW/16*(TH/RM)*32)
#define DIST (ST-1)
#define YOFF(i, h) (i)
#define XOFF(i, h) ((h)*8)
#endif
#define BI 4                                                      // rows of the epilogue in flight
#define AITEMS (HP*CH)
#define BITEMS (9*CH*N)
#define NA ((AITEMS+NTH-1)/NTH)
#define NB ((BITEMS+NTH-1)/NTH)

extern "C" __global__ void __launch_bounds__(NTH, MINB) conv3x3(
    const u16* __restrict__ in, int in_cs, int cin, int flags,  // 1: nearest x2 read, 2: tiles in reverse order
    const u16* __restrict__ w, const float* __restrict__ bias, const float* __restrict__ slope,
    u16* out, int out_cs, int cout, const u16* res1, int r1_cs, float s1, const u16* res2, int r2_cs, float s2, int nres,
    int batch, int H, int W)
{
  const u32 sb = smem_base();
  const int tid = threadIdx.x, lane = tid & 31, warp = tid >> 5;
  const int tiles_x = (W + TW - 1)/TW, tiles_y = (H + TH - 1)/TH, ntn = (cout + N - 1)/N;
  const int total = batch*tiles_y*tiles_x*ntn, nsl = cin/KS;
  const int up = flags & 1, rev = flags >> 1;
  const int Hin = H >> up, Win = W >> up;
  const u32 a_dst = (u32)((tid % CH)*PLANE + tid/CH)*16u;      // NTH is a multiple of CH: chunk is the same for all items
  int goff[NA];
  int lw = blockIdx.x, lsl = 0, lslot = 0;                      // what is loaded next
  const u16* lwp = w;
#define SET_TILE() { \
    int t_ = rev ? total - 1 - lw : lw; const int nt_ = t_ % ntn; t_ /= ntn; const int tx_ = t_ % tiles_x; \
    t_ /= tiles_x; const int ty_ = t_ % tiles_y; const int n_ = t_ / tiles_y; \
    lwp = w + (u64)nt_*(u32)(cin*9*N) + tid*8; \
    _Pragma("unroll") for (int i = 0; i < NA; i++) { \
      const int px_ = tid/CH + i*(NTH/CH); const int hy_ = px_/HWD, hx_ = px_ - hy_*HWD; \
      const int y_ = ty_*TH + hy_ - 1, x_ = tx_*TW + hx_ - 1; \
      const bool ok_ = px_ < HP && (u32)y_ < (u32)H && (u32)x_ < (u32)W; \
      goff[i] = ok_ ? ((n_*Hin + (y_ >> up))*Win + (x_ >> up))*in_cs + (tid % CH)*8 : -1; } }
#define LOAD() { if (lw < total) { \
    const u32 d_ = sb + lslot*STAGE; \
    _Pragma("unroll") for (int i = 0; i < NA; i++) \
      if ((i+1)*NTH <= AITEMS || tid + i*NTH < AITEMS) \
        cp16(d_ + a_dst + i*(NTH/CH)*16, in + (goff[i] >= 0 ? (u32)goff[i] + lsl*KS : 0u), goff[i] >= 0 ? 16u : 0u); \
    _Pragma("unroll") for (int i = 0; i < NB; i++) \
      if ((i+1)*NTH <= BITEMS || tid + i*NTH < BITEMS) \
        cp16(d_ + ABYTES + (tid + i*NTH)*16, lwp + i*NTH*8, 16u); \
    lwp += KS*9*N; lslot = lslot + 1 == ST ? 0 : lslot + 1; \
    if (++lsl == nsl) { lsl = 0; lw += gridDim.x; if (lw < total) SET_TILE(); } } \
    cp_commit(); }

  if (lw < total) SET_TILE();
  #pragma unroll
  for (int s = 0; s < DIST; s++) LOAD();

  float acc[RM][N/2];
  int slot = 0;
#if MODE == 1
  const int wg = warp >> 2;
  const int py = wg*8 + (warp & 3)*2, px0 = lane >> 2;           // row of h = 0, column within patch
  const u32 a_hi = HWD, b_hi = 8;                                 // SBO
  const u32 a_lo0 = ((sb + wg*8*HWD*16) >> 4) | ((u32)PLANE << 16);
  const u32 b_lo0 = ((sb + ABYTES) >> 4) | ((u32)N << 16);
#else
  const int wx = warp % WX, wy = warp / WX;
  const int py = wy*RM, px0 = wx*16 + (lane >> 2);
  const u32 a_lane = sb + (u32)((lane >> 4)*PLANE + (wy*RM)*HWD + wx*16 + (lane & 15))*16u;
  const u32 b_lane = sb + ABYTES + (N == 8 ? (u32)(((lane >> 3) & 1)*N + (lane & 7))*16u
                                           : (u32)(((lane >> 3) & 1)*N + (lane >> 4)*8 + (lane & 7))*16u);
#endif
  for (int work = blockIdx.x; work < total; work += gridDim.x) {
#if !MODE
    #pragma unroll
    for (int i = 0; i < RM; i++)
      #pragma unroll
      for (int j = 0; j < N/2; j++) acc[i][j] = 0.f;
#endif
    for (int sl = 0; sl < nsl; sl++) {
      cp_wait<DIST-1>();
#if MODE
      proxy_fence();
      __syncthreads();
      {
        const u32 so = (u32)(slot*STAGE) >> 4;
        #pragma unroll
        for (int i = 0; i < RM; i++)
          #pragma unroll
          for (int j = 0; j < N/2; j++) keep(acc[i][j]);
        wg_fence();
        #pragma unroll
        for (int tap = 0; tap < 9; tap++) {
          const u64 bd = ((u64)b_hi << 32) | (b_lo0 + so + tap*2*N);
          #pragma unroll
          for (int i = 0; i < RM; i++) {
            const u64 ad = ((u64)a_hi << 32) | (a_lo0 + so + (tap/3)*HWD + tap%3 + 8*i);
            wgmma(acc[i], ad, bd, sl + tap);                        // the very first product replaces what acc holds
          }
        }
        wg_commit();
      }
      LOAD();
      wg_wait<1>();
      #pragma unroll
      for (int i = 0; i < RM; i++)
        #pragma unroll
        for (int j = 0; j < N/2; j++) keep(acc[i][j]);
#else
      __syncthreads();
      LOAD();
      {
        const u32 ab = a_lane + slot*STAGE, bb = b_lane + slot*STAGE;
        #pragma unroll
        for (int dx = 0; dx < 3; dx++) {
          u32 a[RM+2][4];
          #pragma unroll
          for (int r = 0; r < RM+2; r++) ldsm4(a[r], ab + (r*HWD + dx)*16);
          #pragma unroll
          for (int dy = 0; dy < 3; dy++) {
            u32 b[N == 8 ? 1 : N/16][4];
            #pragma unroll
            for (int j = 0; j < (N == 8 ? 1 : N/16); j++) {
              const u32 ad = bb + (((dy*3 + dx)*2)*N + j*16)*16;
              if (N == 8) ldsm2(b[j], ad); else ldsm4(b[j], ad);
            }
            #pragma unroll
            for (int i = 0; i < RM; i++)
              #pragma unroll
              for (int j = 0; j < N/8; j++) mma(&acc[i][j*4], a[i+dy], &b[j/2][(j&1)*2]);
          }
        }
      }
#endif
      slot = slot + 1 == ST ? 0 : slot + 1;
    }
#if MODE
    wg_wait<0>();
    #pragma unroll
    for (int i = 0; i < RM; i++)
      #pragma unroll
      for (int j = 0; j < N/2; j++) keep(acc[i][j]);
#endif
    // Bias, activation and residuals: a thread of a quad holds 8 channels in a row, see column_channels in weights.py.
    int t = rev ? total - 1 - work : work;
    const int nt = t % ntn; t /= ntn;
    const int tx = t % tiles_x; t /= tiles_x;
    const int ty = t % tiles_y, n = t / tiles_y;
    const int q = lane & 3;
#if N >= 32
    #pragma unroll
    for (int g = 0; g < N/32; g++) {
      const int ch = nt*N + g*32 + q*8;
      float bv[8], sv[8];
      ldf4(bv, bias + ch); ldf4(bv + 4, bias + ch + 4); ldf4(sv, slope + ch); ldf4(sv + 4, slope + ch + 4);
      #pragma unroll
      for (int h = 0; h < 2; h++)
        #pragma unroll
        for (int i0 = 0; i0 < RM; i0 += BI) {
#if RES == 1
          u32 r1[BI][4], r2[BI][4];
          #pragma unroll
          for (int i = 0; i < BI; i++) {
            const int y = ty*TH + py + YOFF(i0 + i, h), x = tx*TW + px0 + XOFF(i0 + i, h);
            const bool ok = y < H && x < W && ch < cout;
            const u64 pix = ok ? ((u64)n*H + y)*W + x : 0;
            const int c = ok ? ch : 0;
            if (nres > 0) ld128(r1[i], res1 + pix*(u32)r1_cs + c);
            if (nres > 1) ld128(r2[i], res2 + pix*(u32)r2_cs + c);
          }
#endif
          #pragma unroll
          for (int i = 0; i < BI; i++) {
            const int y = ty*TH + py + YOFF(i0 + i, h), x = tx*TW + px0 + XOFF(i0 + i, h);
            const bool ok = y < H && x < W && ch < cout;
            const u64 pix = ((u64)n*H + y)*W + x;
            u32 o[4];
            #pragma unroll
            for (int k = 0; k < 4; k++) {
              float v0 = acc[i0 + i][(4*g + k)*4 + 2*h] + bv[2*k], v1 = acc[i0 + i][(4*g + k)*4 + 2*h + 1] + bv[2*k + 1];
              v0 = v0 >= 0.f ? v0 : v0*sv[2*k]; v1 = v1 >= 0.f ? v1 : v1*sv[2*k + 1];
#if RES == 1
              if (nres > 0) { v0 = v0*s1 + h2f((u16)r1[i][k]); v1 = v1*s1 + h2f((u16)(r1[i][k] >> 16)); }
              if (nres > 1) { v0 = v0*s2 + h2f((u16)r2[i][k]); v1 = v1*s2 + h2f((u16)(r2[i][k] >> 16)); }
#endif
              o[k] = pack2(v0, v1);
            }
            if (ok) st128(out + pix*(u32)out_cs + ch, o);
          }
        }
    }
#else
    const int ch = nt*N + q*2;
    const float b0 = bias[ch], b1 = bias[ch + 1], l0 = slope[ch], l1 = slope[ch + 1];
    #pragma unroll
    for (int i = 0; i < RM; i++)
      #pragma unroll
      for (int h = 0; h < 2; h++) {
        const int y = ty*TH + py + YOFF(i, h), x = tx*TW + px0 + XOFF(i, h);
        float v0 = acc[i][2*h] + b0, v1 = acc[i][2*h + 1] + b1;
        v0 = v0 >= 0.f ? v0 : v0*l0; v1 = v1 >= 0.f ? v1 : v1*l1;
        const u32 o = pack2(v0, v1);
        if (y < H && x < W) {
          u16* p = out + (((u64)n*H + y)*W + x)*(u32)out_cs + ch;
          if (ch < cout) st16(p, o & 0xffffu);
          if (ch + 1 < cout) st16(p + 1, o >> 16);
        }
      }
#endif
  }
}
