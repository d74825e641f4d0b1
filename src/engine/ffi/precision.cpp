// Number formats and memory layout: autocast, loss scaling for float16, channels_last; and the process's flags.

#include <memory>
#include <vector>

#include "shim.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_amp_foreach_non_finite_check_and_unscale.h>
#include <ATen/ops/_amp_update_scale.h>

using at::Tensor;
using fl::guarded;

namespace {

// torch.amp.GradScaler's numbers.
constexpr double kGrowth = 2.0;
constexpr double kBackoff = 0.5;
constexpr int64_t kInterval = 2000;

bool tf32(at::Float32Op op) {
  return at::globalContext().float32Precision(at::Float32Backend::CUDA, op) == at::Float32Precision::TF32;
}

}  // namespace

extern "C" {

// Autocast on the calling thread for a device type, to bfloat16 or (half) float16; off clears the cast cache.
char* fl_autocast(const char* device, int half, int on) {
  return guarded([&] {
    auto type = c10::Device(std::string(device)).type();
    if (on) {
      at::autocast::set_autocast_dtype(type, half ? at::kHalf : at::kBFloat16);
      at::autocast::increment_nesting();
    } else if (at::autocast::decrement_nesting() == 0) {
      at::autocast::clear_cache();
    }
    at::autocast::set_autocast_enabled(type, on != 0);
  });
}

// Divides the gradients by the scale, in place; `overflow` becomes 1 where one is not finite, else 0.
char* fl_scaler_unscale(Tensor* const* params, size_t n, const Tensor* scale, Tensor* overflow) {
  return guarded([&] {
    at::NoGradGuard guard;
    std::vector<Tensor> grads;
    grads.reserve(n);
    for (size_t i = 0; i < n; ++i) grads.push_back(params[i]->grad());
    overflow->zero_();
    // Rounded once, as GradScaler does it.
    auto inverse = scale->to(at::kDouble).reciprocal().to(at::kFloat);
    at::_amp_foreach_non_finite_check_and_unscale_(grads, *overflow, inverse);
  });
}

// Whose business a step is that has something that is not finite. `found` holds the finite check of unscaled gradients and
// loss; what the scale explains is taken out of it: gradients that overflowed with a finite loss, as long as the scale is
// 1 or more. `before` (null: none) is a 1 to be kept. `skip`: the update is not to be applied, for either reason.
char* fl_scaler_judge(const Tensor* loss, const Tensor* scale, const Tensor* overflow, const Tensor* before, int careful,
                      Tensor* found, Tensor* skip) {
  return guarded([&] {
    at::NoGradGuard guard;
    auto explained = overflow->ne(0).logical_and(at::isfinite(loss->detach())).logical_and(scale->ge(1));
    auto bad = found->ne(0).logical_and(explained.logical_not());
    if (before != nullptr) bad = bad.logical_or(before->ne(0));
    found->copy_(bad);
    skip->copy_(careful ? overflow->ne(0).logical_or(bad) : overflow->ne(0));
  });
}

// Scale and growth of the next step, as new tensors: the scale is halved after an overflow, doubled after 2000 steps without
// one. Both are as before where `hold` (null: never) is 1.
char* fl_scaler_next(const Tensor* scale, const Tensor* growth, const Tensor* overflow, const Tensor* hold,
                     Tensor** next_scale, Tensor** next_growth) {
  return guarded([&] {
    at::NoGradGuard guard;
    auto next = scale->clone();
    auto count = growth->clone();
    at::_amp_update_scale_(next, count, *overflow, kGrowth, kBackoff, kInterval);
    if (hold != nullptr) {
      const auto held = hold->ne(0);
      next = at::where(held, *scale, next);
      count = at::where(held, *growth, count);
    }
    auto made = std::make_unique<Tensor>(std::move(next));
    *next_growth = new Tensor(std::move(count));
    *next_scale = made.release();
  });
}

// Lays 4-d tensors out as NHWC, in place: whoever shares them sees it too.
char* fl_channels_last(Tensor* const* tensors, size_t n) {
  return guarded([&] {
    at::NoGradGuard guard;
    for (size_t i = 0; i < n; ++i) {
      if (tensors[i]->dim() == 4) tensors[i]->set_data(tensors[i]->contiguous(at::MemoryFormat::ChannelsLast));
    }
  });
}

// A tensor with the values of one and the layout of another of the same shape. Returns a new tensor.
char* fl_laid_out_like(const Tensor* values, const Tensor* like, Tensor** out) {
  return guarded([&] {
    at::NoGradGuard guard;
    auto made = at::empty_like(*like, values->options());
    made.copy_(*values);
    *out = new Tensor(std::move(made));
  });
}

// Sets the process's flags. One that stands as it is wanted is not written: other threads read it.
char* fl_set_flags(int deterministic, int benchmark, int allow_tf32) {
  return guarded([&] {
    auto& context = at::globalContext();
    const bool same_bits = deterministic != 0, fastest = benchmark != 0, fast = allow_tf32 != 0;
    if (context.deterministicAlgorithms() != same_bits) context.setDeterministicAlgorithms(same_bits, false);
    if (context.deterministicCuDNN() != same_bits) context.setDeterministicCuDNN(same_bits);
    if (context.benchmarkCuDNN() != fastest) context.setBenchmarkCuDNN(fastest);
    if (tf32(at::Float32Op::MATMUL) != fast) context.setAllowTF32CuBLAS(fast);
    if (tf32(at::Float32Op::CONV) != fast) context.setAllowTF32CuDNN(fast);
  });
}

// The same as they stand; each is on where all of its parts are.
char* fl_flags(int* deterministic, int* benchmark, int* allow_tf32) {
  return guarded([&] {
    auto& context = at::globalContext();
    *deterministic = context.deterministicAlgorithms() && context.deterministicCuDNN();
    *benchmark = context.benchmarkCuDNN();
    *allow_tf32 = tf32(at::Float32Op::MATMUL) && tf32(at::Float32Op::CONV);
  });
}

}  // extern "C"
