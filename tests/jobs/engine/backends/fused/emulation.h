// What ptx.cuh has, on a processor: every CUDA thread is a fiber, and warps meet where their instructions are collective.
//
// Copies and wgmma take effect at the latest or at the earliest moment that is legal; fibers run in random order; shared
// memory starts as NaN; addresses are checked against the buffers that a test names. See emulated_card.py.
#include <ucontext.h>
#include <cstring>
#include <cmath>
#include <vector>
#include <deque>
#include <functional>
#include <random>
#include <type_traits>
#include <utility>
typedef unsigned int u32; typedef unsigned long long u64; typedef unsigned short u16; typedef unsigned char u8;
struct D3 { int x, y, z; };
static D3 blockIdx, gridDim;
#define __global__
#define __restrict__
#define __launch_bounds__(...)
#define DEV static inline
#ifndef N
#define N 8
#endif
static const int SMEM = 232448; static u8 smem[SMEM];
static int cpLate, wgLate, NT;
static ucontext_t mainctx; static ucontext_t* ctx; static std::vector<char*> stacks; static std::vector<char> alive; static int cur;
static D3* tids;
#define threadIdx tids[cur]
static void yield(){ int me = cur; swapcontext(&ctx[me], &mainctx); cur = me; }
static const char* failed;
[[noreturn]] static void fail(const char* why){ failed = why; for (;;) swapcontext(&ctx[cur], &mainctx); }
struct Bar { int cnt = 0; long gen = 0; };
template<class F> static void meet(Bar& b, int n, F f){ long g = b.gen; if (++b.cnt == n) { b.cnt = 0; f(); b.gen++; } else while (b.gen == g) yield(); }
static Bar cta, wbar[64], gbar[16];
static void __syncthreads(){ meet(cta, NT, []{}); }
static u32 smem_base(){ return 1024; }
static u8* sp(u32 a, int n){ if (a + n > SMEM || a % n) fail("address beyond shared memory, or not aligned"); return smem + a; }
static const u64* ranges; static int nranges;
static void touch(const void* p, int n){ u64 a = (u64)p; if (a % (n & -n)) fail("address in memory not aligned");
  if (!nranges) return;
  for (int i = 0; i < nranges; i++) if (a >= ranges[2*i] && a + n <= ranges[2*i + 1]) return;
  fail("access outside of every buffer"); }
typedef std::vector<std::function<void()>> Group;
static std::vector<std::deque<Group>> cpq; static std::vector<Group> cpopen;
static void cp16(u32 dst, const void* src, u32 n){ if (n) touch(src, 16);
  auto f = [=]{ if (n) memcpy(sp(dst, 16), src, 16); else memset(sp(dst, 16), 0, 16); };
  if (cpLate) cpopen[cur].push_back(f); else f(); }
static void cp_commit(){ cpq[cur].push_back(cpopen[cur]); cpopen[cur].clear(); }
template<int K> static void cp_wait(){ while ((int)cpq[cur].size() > K) { for (auto& f : cpq[cur].front()) f(); cpq[cur].pop_front(); } }
static u32 ld_addr[64][32]; static u32* ld_dst[64][32];
static void ldsmx(u32* r, u32 a, int m){ int w = cur / 32, l = cur % 32; ld_addr[w][l] = a; ld_dst[w][l] = r;
  meet(wbar[w], 32, [=]{ for (int k = 0; k < m; k++) for (int row = 0; row < 8; row++) { u8* p = sp(ld_addr[w][k*8 + row], 16);
    for (int c = 0; c < 4; c++) memcpy(&ld_dst[w][row*4 + c][k], p + 4*c, 4); } }); }
static void ldsm4(u32* r, u32 a){ ldsmx(r, a, 4); } static void ldsm2(u32* r, u32 a){ ldsmx(r, a, 2); }
static float tof(u16 h){ _Float16 x; memcpy(&x, &h, 2); return (float)x; }
static float half_of(u32 r, int e){ return tof((u16)(r >> (16*e))); }
static float* md[64][32]; static const u32* ma[64][32]; static const u32* mb[64][32];
static void mma(float* d, const u32* a, const u32* b){ int w = cur / 32, l = cur % 32; md[w][l] = d; ma[w][l] = a; mb[w][l] = b;
  meet(wbar[w], 32, [=]{ float A[16][16], B[16][8];
    for (int l = 0; l < 32; l++) { int g = l / 4, q = l % 4; for (int e = 0; e < 2; e++) {
      A[g][2*q + e] = half_of(ma[w][l][0], e); A[g + 8][2*q + e] = half_of(ma[w][l][1], e); A[g][2*q + 8 + e] = half_of(ma[w][l][2], e); A[g + 8][2*q + 8 + e] = half_of(ma[w][l][3], e);
      B[2*q + e][g] = half_of(mb[w][l][0], e); B[2*q + 8 + e][g] = half_of(mb[w][l][1], e); } }
    for (int l = 0; l < 32; l++) { int g = l / 4, q = l % 4; for (int i = 0; i < 4; i++) { int m = g + 8*(i/2), n = 2*q + i%2; float s = md[w][l][i]; for (int k = 0; k < 16; k++) s += A[m][k]*B[k][n]; md[w][l][i] = s; } } }); }
struct WOp { u64 a, b; int s; float* d[128]; };
static std::vector<WOp> wopen[16]; static std::deque<std::vector<WOp>> wq[16]; static float* wd[16][128];
static void wdo(const WOp& o, int n){
  auto cell = [](u64 d, int row, int k){ u32 addr = (u32)(d & 0x3fff)*16, lbo = (u32)((d >> 16) & 0x3fff)*16, sbo = (u32)((d >> 32) & 0x3fff)*16;
     u16 h; memcpy(&h, sp(addr + (row/8)*sbo + (row%8)*16 + (k/8)*lbo, 16) + (k%8)*2, 2); return tof(h); };
  if (o.a >> 46 || o.b >> 46) fail("descriptor with high bits");
  static float A[64][16], B[256][16];
  for (int m = 0; m < 64; m++) for (int k = 0; k < 16; k++) A[m][k] = cell(o.a, m, k);
  for (int m = 0; m < n; m++) for (int k = 0; k < 16; k++) B[m][k] = cell(o.b, m, k);
  for (int t = 0; t < 128; t++) { int w = t/32, l = t%32; for (int i = 0; i < n/2; i++) { int m = 16*w + l/4 + 8*((i/2)%2), c = 8*(i/4) + 2*(l%4) + i%2;
     float s = o.s ? o.d[t][i] : 0.f; for (int k = 0; k < 16; k++) s += A[m][k]*B[c][k]; o.d[t][i] = s; } } }
static u64 wa[16][128], wb[16][128];
static void wgmma(float* d, u64 a, u64 b, int s){ int g = cur/128; wd[g][cur%128] = d; wa[g][cur%128] = a; wb[g][cur%128] = b;
  meet(gbar[g], 128, [=]{ WOp o; o.a = a; o.b = b; o.s = s; memcpy(o.d, wd[g], sizeof o.d); for (int t = 0; t < 128; t++) if (wa[g][t] != a || wb[g][t] != b) fail("descriptors differ between threads");
    if (wgLate) wopen[g].push_back(o); else wdo(o, N); }); }
static void wg_commit(){ int g = cur/128; meet(gbar[g], 128, [=]{ wq[g].push_back(wopen[g]); wopen[g].clear(); }); }
template<int K> static void wg_wait(){ int g = cur/128; meet(gbar[g], 128, [=]{ while ((int)wq[g].size() > K) { for (auto& o : wq[g].front()) wdo(o, N); wq[g].pop_front(); } }); }
static void wg_fence(){} static void proxy_fence(){} static void keep(float&){}
static u32 pack2(float lo, float hi){ _Float16 a = (_Float16)lo, b = (_Float16)hi; u16 x, y; memcpy(&x, &a, 2); memcpy(&y, &b, 2); return x | (u32)y << 16; }
static float h2f(u16 h){ return tof(h); }
static void ld128(u32* r, const void* p){ touch(p, 16); memcpy(r, p, 16); }
static void st128(void* p, const u32* r){ touch(p, 16); memcpy(p, r, 16); }
static void st16(void* p, u32 v){ touch(p, 2); memcpy(p, &v, 2); }
static void ldf4(float* r, const void* p){ if ((u64)p % 16) fail("address in memory not aligned"); memcpy(r, p, 16); }

// One launch: blocks one after another. Arguments come as pointers to them, as cuLaunchKernel takes them.
static std::function<void()> job;
static void entry(){ job(); alive[cur] = 0; for (;;) swapcontext(&ctx[cur], &mainctx); }
template<class... A, size_t... I> static void call(void (*kernel)(A...), void** a, std::index_sequence<I...>){ kernel(*(std::remove_cv_t<A>*)a[I]...); }
template<class... A> static void start(void (*kernel)(A...), void** a){ call(kernel, a, std::index_sequence_for<A...>{}); }
template<class Kernel> static const char* launch(Kernel kernel, int grid, int threads, int shared, int late, unsigned seed, const u64* r, int nr, void** arguments){
  NT = threads; cpLate = late & 1; wgLate = late >> 1; ranges = r; nranges = nr; failed = nullptr;
  if (shared + 1024 > SMEM) return "too much shared memory";
  std::mt19937 random(seed);
  gridDim.x = grid; std::vector<ucontext_t> contexts(NT); std::vector<D3> numbers(NT); ctx = contexts.data(); tids = numbers.data();
  cpq.assign(NT, {}); cpopen.assign(NT, {}); cta = Bar(); for (auto& b : wbar) b = Bar(); for (auto& b : gbar) b = Bar();
  while ((int)stacks.size() < NT) stacks.push_back((char*)malloc(1 << 17));
  job = [=]{ start(kernel, arguments); };
  for (int block = 0; block < grid && !failed; block++) {
    blockIdx.x = block; alive.assign(NT, 1);
    for (auto& q : cpq) q.clear(); for (auto& q : cpopen) q.clear(); for (auto& q : wq) q.clear(); for (auto& o : wopen) o.clear();
    for (int i = 0; i < SMEM/2; i++) ((u16*)smem)[i] = 0x7e00;
    for (int i = 0; i < NT; i++) { tids[i] = {i, 0, 0}; getcontext(&ctx[i]); ctx[i].uc_stack.ss_sp = stacks[i]; ctx[i].uc_stack.ss_size = 1 << 17; ctx[i].uc_link = 0; makecontext(&ctx[i], entry, 0); }
    for (int left = NT; left && !failed;) {
      int first = random() % NT, step = random() & 1 ? 1 : NT - 1; left = 0;
      for (int k = 0; k < NT && !failed; k++) { int i = (first + k*step) % NT; if (alive[i]) { cur = i; swapcontext(&mainctx, &ctx[i]); left += alive[i]; } } }
  }
  return failed; }
