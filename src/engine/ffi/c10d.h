// What the files over PyTorch's distributed engine share.
//
// A group is a team of ranks, one thread or process each, that all call the same functions in the same order. Every
// function that communicates can fail where another rank has gone: a message then, as in shim.h.
#pragma once

#include <chrono>

#include "shim.h"

#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace fl {

using StorePtr = c10::intrusive_ptr<c10d::Store>;

struct Group {
  c10::intrusive_ptr<c10d::ProcessGroup> all;
  // For tensors on a GPU, where that is over NCCL (nccl.cpp).
  c10::intrusive_ptr<c10d::Backend> nccl;
};

inline std::chrono::milliseconds ms(int64_t n) { return std::chrono::milliseconds(n); }

}  // namespace fl
