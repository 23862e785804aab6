// Pixels to the network's first input, and its last output to pixels: what PixelModule does, in one pass each.
//
// A network of one channel takes an RGB picture as three pictures; `first` is the number of the first network picture of
// this call, since a large batch comes in several.

// (N, H*r, W*r, C) bytes or 16-bit words, 0 to full -> (M, H, W, cs) halves in [0, 1], unshuffled by r, zeros behind.
extern "C" __global__ void __launch_bounds__(256) enter(
    const void* __restrict__ pixels, int wide, int C, float full, u16* __restrict__ out, int cs, int K, int r,
    int first, int M, int H, int W)
{
  const u64 item = (u64)blockIdx.x*256 + threadIdx.x;
  const int groups = cs/8;
  if (item >= (u64)M*H*W*groups) return;
  const int g = (int)(item % groups);
  u64 pixel = item/groups;
  const int x = (int)(pixel % W); pixel /= W;
  const int y = (int)(pixel % H), m = (int)(pixel / H);
  const bool split = K == 1 && C == 3;
  const int n = split ? (first + m)/3 : first + m, own = split ? (first + m) % 3 : 0;
  float v[8];
  #pragma unroll
  for (int e = 0; e < 8; e++) {
    const int k = g*8 + e, c = k/(r*r), i = k/r % r, j = k % r;
    v[e] = 0.f;
    if (c < K) {
      const int channel = split ? own : C == 1 ? 0 : c;
      const u64 at = (((u64)n*H*r + y*r + i)*W*r + x*r + j)*C + channel;
      v[e] = (float)(wide ? ((const u16*)pixels)[at] : ((const u8*)pixels)[at])/full;
    }
  }
  u32 o[4];
  #pragma unroll
  for (int e = 0; e < 4; e++) o[e] = pack2(v[2*e], v[2*e + 1]);
  st128(out + item*8, o);
}

// (M, H, W, rcs) halves, K*s*s channels -> (N, H*s, W*s, C) bytes (OUT 0), 16-bit words (1) or floats in [0, 1] (2).
// Pixel shuffle by s, plus the nearest pixel of `base` where there is one. bad[n] is set for NaN and infinity.
template <int C, int OUT> DEV void leave(
    const u16* raw, int rcs, const u16* base, int bcs, void* out, int* bad, int K, int s, int first, int M, int H, int W)
{
  const int wide = W*s, high = H*s, strips = (wide + 3)/4;
  const u64 item = (u64)blockIdx.x*256 + threadIdx.x;
  if (item >= (u64)M*high*strips) return;
  const int strip = (int)(item % strips);
  const u64 row = item/strips;
  const int Y = (int)(row % high), m = (int)(row/high);
  const bool split = K == 1 && C == 3;
  const int n = split ? (first + m)/3 : first + m, own = split ? (first + m) % 3 : 0;
  const int y = Y/s, ry = Y - y*s, left = wide - strip*4 < 4 ? wide - strip*4 : 4;
  bool fine = true;
  float v[4][C];
  #pragma unroll
  for (int p = 0; p < 4; p++) {
    const int X = strip*4 + p;
    float colour[3] = {0.f, 0.f, 0.f};
    if (p < left) {
      const int x = X/s;
      const u64 at = ((u64)m*H + y)*W + x;
      for (int k = 0; k < K; k++) {
        float f = h2f(raw[at*rcs + (k*s + ry)*s + X - x*s]);
        if (base) f += h2f(base[at*bcs + k]);
        fine = fine && f - f == 0.f;
        colour[k] = f < 0.f ? 0.f : f > 1.f ? 1.f : f;
      }
    }
    if (C == 1) v[p][0] = K == 3 ? colour[0]*0.299f + colour[1]*0.587f + colour[2]*0.114f : colour[0];
    else {
      #pragma unroll
      for (int c = 0; c < C; c++) v[p][c] = colour[c];
    }
  }
  if (!fine) bad[n] = 1;
  const u64 to = (((u64)n*high + Y)*wide + strip*4)*C;
  if (OUT == 0 && !split && left == 4 && to % 4 == 0) {
    #pragma unroll
    for (int word = 0; word < C; word++) {
      u32 o = 0;
      #pragma unroll
      for (int b = 0; b < 4; b++) o |= (u32)rintf(v[(word*4 + b)/C][(word*4 + b) % C]*255.f) << 8*b;
      ((u32*)((u8*)out + to))[word] = o;
    }
    return;
  }
  #pragma unroll
  for (int p = 0; p < 4; p++)
    if (p < left)
      #pragma unroll
      for (int c = 0; c < C; c++)
        if (!split || c == own) {
          const float f = split ? v[p][0] : v[p][c];
          const u64 at = to + p*C + c;
          if (OUT == 0) ((u8*)out)[at] = (u8)rintf(f*255.f);
          else if (OUT == 1) ((u16*)out)[at] = (u16)rintf(f*65535.f);
          else ((float*)out)[at] = f;
        }
}

#define LEAVE(NAME, C, OUT) \
  extern "C" __global__ void __launch_bounds__(256) NAME( \
      const u16* __restrict__ raw, int rcs, const u16* __restrict__ base, int bcs, void* __restrict__ out, int* bad, \
      int K, int s, int first, int M, int H, int W) \
  { leave<C, OUT>(raw, rcs, base, bcs, out, bad, K, s, first, M, H, W); }
LEAVE(leave1_uint8, 1, 0)
LEAVE(leave3_uint8, 3, 0)
LEAVE(leave1_uint16, 1, 1)
LEAVE(leave3_uint16, 3, 1)
LEAVE(leave1_float32, 1, 2)
LEAVE(leave3_float32, 3, 2)
