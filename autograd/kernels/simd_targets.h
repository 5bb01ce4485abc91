// The instruction sets that every SIMD file is compiled for, chosen at run time by the CPU: AVX-512, AVX2, SSE4 and the
// portable fallback; Highway's others would gain these kernels nothing. Include it before any Highway header.
#pragma once

#ifdef QAD_FEWER_TARGETS  // instrumented, where every one takes long to compile, SSE4 would show nothing that AVX2
                          // doesn't
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#else
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)
#endif
