// bench_kernels: GFLOP/s of matrix products and attention, GB/s of everything else, on one and two threads.
// The last number of a name is the number of threads.
#include <benchmark/benchmark.h>

#include "autograd/kernels/table.h"

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  benchmark::AddCustomContext("kernels", qad::kernel_description());
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
