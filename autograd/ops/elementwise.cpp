#include "autograd/ops/elementwise.h"

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "autograd/kernels/table.h"

namespace qad {

Variable add(const Variable& a, Variable b) {
  QAD_ASSERT(a.shape() == b.shape());
  Tensor out = b.value().reusable();
  kernel_table(out.device()).add(out.size(), a.value().data(), b.value().data(), out.data());
  return record("add", std::move(out), {a, b}, [a = a.sink(), b = b.sink()](const Tensor& d) {
    if (a != nullptr) a->share(d);
    if (b != nullptr) b->share(d);
  });
}

Variable scaled(Variable x, float factor) {
  const auto multiply = [factor](const Tensor& from) {
    Tensor out = from.reusable();
    parallel_for(out.size(), 1 << 14, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) out.data()[i] = factor * from.data()[i];
    });
    return out;
  };
  Tensor out = multiply(x.value());
  return record("scaled", std::move(out), {x},
                [sink = x.sink(), multiply](const Tensor& d) { sink->give(multiply(d)); });
}

Variable swiglu(const Variable& gate, const Variable& up) {
  QAD_ASSERT(gate.shape() == up.shape());
  Tensor out(gate.shape());
  kernel_table(out.device()).swiglu_forward(out.size(), gate.value().data(), up.value().data(), out.data());
  return record("swiglu", std::move(out), {gate, up},
                [gate_sink = gate.sink(), up_sink = up.sink(), gate = gate.value(), up = up.value()](const Tensor& d) {
                  Tensor d_gate = gate.reusable();
                  Tensor d_up = up.reusable();
                  kernel_table(d.device())
                      .swiglu_backward(d.size(), gate.data(), up.data(), d.data(), d_gate.data(), d_up.data());
                  if (gate_sink != nullptr) gate_sink->give(std::move(d_gate));
                  if (up_sink != nullptr) up_sink->give(std::move(d_up));
                });
}

Variable squared_relu(const Variable& x) {
  Tensor out(x.shape());
  kernel_table(out.device()).squared_relu_forward(out.size(), x.value().data(), out.data());
  return record("squared_relu", std::move(out), {x}, [sink = x.sink(), x = x.value()](const Tensor& d) {
    Tensor dx = d.reusable();
    kernel_table(d.device()).squared_relu_backward(d.size(), x.data(), d.data(), dx.data());
    sink->give(std::move(dx));
  });
}

Variable sigmoid_gated(const Variable& x, const Variable& gate) {
  QAD_ASSERT(x.shape() == gate.shape());
  Tensor out(x.shape());
  kernel_table(out.device()).sigmoid_gated_forward(out.size(), x.value().data(), gate.value().data(), out.data());
  return record("sigmoid_gated", std::move(out), {x, gate},
                [x_sink = x.sink(), gate_sink = gate.sink(), x = x.value(), gate = gate.value()](const Tensor& d) {
                  Tensor dx = d.reusable(), d_gate(d.shape());
                  kernel_table(d.device())
                      .sigmoid_gated_backward(d.size(), x.data(), gate.data(), d.data(), dx.data(), d_gate.data());
                  if (x_sink != nullptr) x_sink->give(std::move(dx));
                  if (gate_sink != nullptr) gate_sink->give(std::move(d_gate));
                });
}

}  // namespace qad
