// Values of many small tensors, kept and put back: a model has hundreds of moving buffers, and a GPU takes longer to be told
// of a copy than to make it. Those of one type are copied together.

#include <memory>
#include <vector>

#include "shim.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

using at::Tensor;
using fl::guarded;

namespace {

// Tensors of one type. `before` and `after` are views of the flat ones, shaped as the tensors.
struct Group {
  std::vector<Tensor> tensors, before, after;
  Tensor flat_before, flat_after;
};

struct Kept {
  std::vector<Group> groups;
  // Bytes on the CPU that a plain copy can take.
  bool plain;
};

std::vector<Tensor> views(const Tensor& flat, const std::vector<Tensor>& like) {
  std::vector<Tensor> out;
  int64_t at = 0;
  for (const auto& t : like) {
    out.push_back(flat.narrow(0, at, t.numel()).view(t.sizes()));
    at += t.numel();
  }
  return out;
}

}  // namespace

extern "C" {

// Room for the values of these tensors, which it shares. With `plain`, memcpy is used where it can be.
char* fl_kept_new(Tensor* const* tensors, size_t n, int plain, Kept** out) {
  return guarded([&] {
    at::NoGradGuard guard;
    auto kept = std::make_unique<Kept>();
    kept->plain = plain != 0;
    for (size_t i = 0; i < n; ++i) {
      const auto& t = *tensors[i];
      kept->plain = kept->plain && t.device().is_cpu() && t.is_contiguous();
      Group* group = nullptr;
      for (auto& g : kept->groups)
        if (g.tensors[0].scalar_type() == t.scalar_type() && g.tensors[0].device() == t.device()) group = &g;
      if (group == nullptr) group = &kept->groups.emplace_back();
      group->tensors.push_back(t);
    }
    for (auto& g : kept->groups) {
      int64_t total = 0;
      for (const auto& t : g.tensors) total += t.numel();
      g.flat_before = at::empty({total}, g.tensors[0].options());
      g.before = views(g.flat_before, g.tensors);
      if (kept->plain) continue;
      g.flat_after = at::empty({total}, g.tensors[0].options());
      g.after = views(g.flat_after, g.tensors);
    }
    *out = kept.release();
  });
}

void fl_kept_free(Kept* kept) { delete kept; }

// Keeps the values as they are now.
char* fl_kept_keep(Kept* kept) {
  return guarded([&] {
    at::NoGradGuard guard;
    for (auto& g : kept->groups) {
      if (!kept->plain) {
        at::_foreach_copy_(g.before, g.tensors);
        continue;
      }
      auto* to = static_cast<char*>(g.flat_before.mutable_data_ptr());
      for (const auto& t : g.tensors) {
        if (t.nbytes() > 0) std::memcpy(to, t.const_data_ptr(), t.nbytes());
        to += t.nbytes();
      }
    }
  });
}

// Puts the kept values back, with a condition only where that scalar is not 0. Takes no memory of its own to speak of, and
// waits for no GPU.
char* fl_kept_restore(Kept* kept, const Tensor* condition) {
  return guarded([&] {
    at::NoGradGuard guard;
    if (kept->groups.empty()) return;
    if (condition == nullptr || kept->plain) {
      if (condition != nullptr && *condition->const_data_ptr<float>() == 0.0f) return;
      for (auto& g : kept->groups) at::_foreach_copy_(g.tensors, g.before);
      return;
    }
    const auto on = condition->ne(0);
    for (auto& g : kept->groups) {
      at::_foreach_copy_(g.after, g.tensors);
      at::where_out(g.flat_after, on, g.flat_before, g.flat_after);
      at::_foreach_copy_(g.tensors, g.after);
    }
  });
}

}  // extern "C"
