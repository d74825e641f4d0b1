// What tch lacks: fused optimizers, one call for gradient norm, clipping and the finite check, generators that belong
// to one learner instead of the process, and the CUDA back end loaded at run time.
//
// Tensors are tch's `torch::Tensor*` and stay owned by the caller unless a function says that it returns a new one.

#include <dlfcn.h>

#include <cmath>
#include <string>
#include <vector>

#include "shim.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/EmptyTensor.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

using at::Tensor;
using fl::guarded;

namespace {

std::vector<Tensor> list(Tensor* const* tensors, size_t n) {
  std::vector<Tensor> out;
  out.reserve(n);
  for (size_t i = 0; i < n; ++i) out.push_back(*tensors[i]);
  return out;
}

std::vector<Tensor> gradients(Tensor* const* params, size_t n) {
  std::vector<Tensor> out;
  out.reserve(n);
  for (size_t i = 0; i < n; ++i) out.push_back(params[i]->grad());
  return out;
}

// Below this many elements a plain loop beats a dozen operator calls.
constexpr int64_t kSmall = 1 << 16;

bool plain_float_on_cpu(const std::vector<Tensor>& tensors) {
  int64_t total = 0;
  for (const auto& t : tensors) {
    if (!t.device().is_cpu() || t.scalar_type() != at::kFloat || !t.is_non_overlapping_and_dense()) return false;
    total += t.numel();
  }
  return total <= kSmall;
}

}  // namespace

extern "C" {

void fl_free_text(char* text) { std::free(text); }

// Writes 1 for each parameter that has a gradient.
char* fl_has_grad(Tensor* const* params, size_t n, uint8_t* out) {
  return guarded([&] {
    for (size_t i = 0; i < n; ++i) out[i] = params[i]->grad().defined() ? 1 : 0;
  });
}

// Drops the gradients (set_to_none).
char* fl_zero_grad(Tensor* const* params, size_t n) {
  return guarded([&] {
    for (size_t i = 0; i < n; ++i) params[i]->mutable_grad().reset();
  });
}

// Global L2 norm of the gradients (`norm`, a float scalar on their device, overwritten), the finite check into
// `found_inf` (1 where the norm or the loss is not finite; `sticky` keeps a 1 that is there) and, for clip > 0,
// scaling as torch.nn.utils.clip_grad_norm_ does it: factor min(1, clip / (norm + 1e-6)). Gradients are left as they are
// where one is not finite. `each` receives a new tensor: the norm of each gradient, a float vector beside `norm`.
char* fl_check_and_clip(Tensor* const* params, size_t n, const Tensor* loss, double clip, int sticky, Tensor* norm,
                        Tensor* found_inf, Tensor** each) {
  return guarded([&] {
    at::NoGradGuard guard;
    auto grads = gradients(params, n);
    if (plain_float_on_cpu(grads)) {
      Tensor own(at::detail::empty_cpu({static_cast<int64_t>(n)}, at::kFloat));
      float* norms = own.mutable_data_ptr<float>();
      double sum = 0.0;
      for (const auto& g : grads) {
        const float* v = g.const_data_ptr<float>();
        const int64_t count = g.numel();
        // Four partial sums: the order is fixed, so the bits are the same each time.
        double part[4] = {0.0, 0.0, 0.0, 0.0};
        int64_t i = 0;
        for (; i + 4 <= count; i += 4)
          for (int k = 0; k < 4; ++k) part[k] += static_cast<double>(v[i + k]) * v[i + k];
        for (; i < count; ++i) part[0] += static_cast<double>(v[i]) * v[i];
        const double of_this = (part[0] + part[1]) + (part[2] + part[3]);
        *norms++ = static_cast<float>(std::sqrt(of_this));
        sum += of_this;
      }
      const float total = static_cast<float>(std::sqrt(sum));
      const bool finite = std::isfinite(total) && std::isfinite(loss->item<float>());
      *norm->mutable_data_ptr<float>() = total;
      float* found = found_inf->mutable_data_ptr<float>();
      *found = (!finite || (sticky && *found != 0.0f)) ? 1.0f : 0.0f;
      if (clip > 0 && finite) {
        const float factor = std::min(1.0f, static_cast<float>(clip) / (total + 1e-6f));
        if (factor < 1.0f) {
          for (auto& g : grads) {
            float* v = g.mutable_data_ptr<float>();
            const int64_t count = g.numel();
            for (int64_t i = 0; i < count; ++i) v[i] *= factor;
          }
        }
      }
      *each = new Tensor(std::move(own));
      return;
    }
    const auto norms = at::stack(at::_foreach_norm(grads, 2));
    const auto total = at::linalg_vector_norm(norms, 2).to(at::kFloat);
    auto bad = at::isfinite(total).logical_and(at::isfinite(loss->detach())).logical_not().to(at::kFloat);
    norm->copy_(total);
    if (sticky) {
      found_inf->copy_(at::maximum(*found_inf, bad.reshape(found_inf->sizes())));
    } else {
      found_inf->copy_(bad.reshape(found_inf->sizes()));
    }
    if (clip > 0) {
      auto factor = at::clamp_max(clip / (total + 1e-6), 1.0);
      factor = at::where(at::isfinite(factor).logical_and(total.isfinite()), factor, at::ones_like(factor));
      at::_foreach_mul_(grads, factor);
    }
    *each = new Tensor(norms.to(at::kFloat));
  });
}

// steps += 1 - found_inf, for each tensor once.
char* fl_advance_steps(Tensor* const* steps, size_t n, const Tensor* found_inf) {
  return guarded([&] {
    at::NoGradGuard guard;
    if (found_inf == nullptr) {
      for (size_t i = 0; i < n; ++i) steps[i]->add_(1);
    } else {
      auto one = at::rsub(*found_inf, 1).reshape({});
      for (size_t i = 0; i < n; ++i) steps[i]->add_(one);
    }
  });
}

// One fused Adam (decoupled = 0) or AdamW (decoupled = 1) update of one parameter group.
char* fl_adam(int decoupled, Tensor* const* params, Tensor* const* exp_avgs, Tensor* const* exp_avg_sqs,
              Tensor* const* max_exp_avg_sqs, Tensor* const* steps, size_t n, double lr, double beta1, double beta2,
              double weight_decay, double eps, int amsgrad, const Tensor* found_inf) {
  return guarded([&] {
    at::NoGradGuard guard;
    auto p = list(params, n);
    auto g = gradients(params, n);
    auto m = list(exp_avgs, n);
    auto v = list(exp_avg_sqs, n);
    auto x = amsgrad ? list(max_exp_avg_sqs, n) : std::vector<Tensor>{};
    auto s = list(steps, n);
    std::optional<Tensor> found;
    if (found_inf != nullptr) found = *found_inf;
    if (decoupled) {
      at::_fused_adamw_(p, g, m, v, x, s, lr, beta1, beta2, weight_decay, eps, amsgrad != 0, false, {}, found);
    } else {
      at::_fused_adam_(p, g, m, v, x, s, lr, beta1, beta2, weight_decay, eps, amsgrad != 0, false, {}, found);
    }
  });
}

// One fused SGD update of one parameter group; `buffers` is ignored where momentum is 0.
char* fl_sgd(Tensor* const* params, Tensor* const* buffers, size_t n, double lr, double weight_decay, double momentum,
             double dampening, int nesterov, int first_step, const Tensor* found_inf) {
  return guarded([&] {
    at::NoGradGuard guard;
    auto p = list(params, n);
    auto g = gradients(params, n);
    auto b = momentum != 0.0 ? list(buffers, n) : std::vector<Tensor>{};
    std::optional<Tensor> found;
    if (found_inf != nullptr) found = *found_inf;
    at::_fused_sgd_(p, g, b, weight_decay, momentum, lr, dampening, nesterov != 0, false, first_step != 0, {}, found);
  });
}

// A generator on a device ("cpu", "cuda:0"), freed with `fl_generator_free`.
char* fl_generator_new(const char* device, uint64_t seed, at::Generator** out) {
  return guarded([&] {
    auto d = c10::Device(std::string(device));
    at::Generator g = d.is_cpu() ? at::detail::createCPUGenerator(seed)
                                 : at::globalContext().getAcceleratorHooksInterface(d.type()).getNewGenerator(d.index());
    g.set_current_seed(seed);
    *out = new at::Generator(std::move(g));
  });
}

void fl_generator_free(at::Generator* g) { delete g; }

char* fl_generator_seed(at::Generator* g, uint64_t seed) {
  return guarded([&] {
    std::lock_guard<std::mutex> lock(g->mutex());
    g->set_current_seed(seed);
  });
}

// x * mask / (1 - p), with the mask drawn from the generator. Returns a new tensor.
char* fl_dropout(const Tensor* x, double p, at::Generator* g, Tensor** out) {
  return guarded([&] {
    if (p >= 1.0) {
      *out = new Tensor(*x * 0);
      return;
    }
    auto mask = at::empty_like(*x);
    mask.bernoulli_(1.0 - p, *g).div_(1.0 - p);
    *out = new Tensor(*x * mask);
  });
}

char* fl_uniform(Tensor* t, double from, double to, at::Generator* g) {
  return guarded([&] {
    at::NoGradGuard guard;
    t->uniform_(from, to, *g);
  });
}

char* fl_normal(Tensor* t, double mean, double std, at::Generator* g) {
  return guarded([&] {
    at::NoGradGuard guard;
    t->normal_(mean, std, *g);
  });
}

// Threads of one operator, for the calling thread and those that it starts.
char* fl_set_threads(int n) {
  return guarded([&] {
    // A thread takes over the process's last number at its first use; after this call, that would undo it.
    at::get_num_threads();
    at::set_num_threads(n);
  });
}

int fl_threads() { return at::get_num_threads(); }

// Folder of the loaded libtorch_cpu, or the empty string.
void fl_libtorch_folder(char* out, size_t n) {
  out[0] = '\0';
  Dl_info info;
  if (dladdr(reinterpret_cast<const void*>(&at::get_num_threads), &info) && info.dli_fname) {
    std::strncpy(out, info.dli_fname, n - 1);
    out[n - 1] = '\0';
    if (char* slash = std::strrchr(out, '/')) *slash = '\0';
  }
}

// Loads a library for good, with its symbols visible to those that come after.
char* fl_load_library(const char* path) {
  return guarded([&] {
    if (dlopen(path, RTLD_NOW | RTLD_GLOBAL) == nullptr) throw std::runtime_error(dlerror());
  });
}

int fl_cuda_device_count() {
  try {
    return at::hasCUDA() ? static_cast<int>(at::detail::getCUDAHooks().deviceCount()) : 0;
  } catch (...) {
    return 0;
  }
}

}  // extern "C"
