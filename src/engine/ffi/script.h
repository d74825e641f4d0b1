// A TorchScript model as the shim holds it: its modules by number, and what its forward is to do and to note.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/ir.h>

#include "shim.h"

namespace fl {

using Object = c10::ivalue::Object;

// Sizes that went through a module.
struct Seen {
  size_t module;
  std::vector<int64_t> input;
  std::vector<int64_t> output;
};

// A buffer that the script assigns anew (`self.count = self.count + 1`) instead of changing it in place.
struct Assigned {
  size_t module;
  size_t slot;
  at::Tensor tensor;
};

struct Script {
  torch::jit::Module root;
  // All modules in the order of registration, parents first. One that has two names counts once, under the first.
  std::vector<torch::jit::ModulePtr> modules;
  std::vector<std::string> names;
  std::vector<int64_t> parents;
  std::unordered_map<const Object*, size_t> ids;
  // Parameters and buffers that are another one's tensor: the second name and the first.
  std::vector<std::pair<std::string, std::string>> tied;
  std::vector<Assigned> assigned;
  // Buffers that its code changes in eval mode too, with their modules; unknown before the first such forward.
  std::optional<std::vector<std::pair<at::Tensor, size_t>>> unsteady;
  // Whether any of its operators draws random numbers.
  bool random = false;

  // The forward in progress.
  std::mutex one_at_a_time;
  std::vector<uint8_t> no_grad;
  std::atomic<bool> tracing{false};
  std::mutex seen_lock;
  std::vector<Seen> seen;
  // The module whose forward is being run, for messages; -1 for none.
  std::atomic<int64_t> inside{-1};

  std::string path(size_t module) const;
};

// Visits all nodes of a graph, those of blocks and subgraphs too.
void each_node(torch::jit::Block* block, const std::function<void(torch::jit::Node*)>& visit);

// Lets all methods of the script's modules obey `no_grad` and note their sizes (script_run.cpp).
void instrument(Script& script);

// The script as JSON (script_describe.cpp).
std::string describe(Script& script);

// TorchScript's messages hold a stack of source lines; this is the line that says what is wrong.
std::string script_words(const std::string& text);

// As `guarded`, with the words of TorchScript's interpreter and compiler.
template <typename F>
char* script_guarded(F&& body) noexcept {
  try {
    try {
      body();
      return nullptr;
    } catch (const c10::Error& e) {
      return copied(script_words(e.what_without_backtrace()));
    } catch (const std::exception& e) {
      return copied(script_words(e.what()));
    }
  } catch (...) {
    return words("unknown C++ exception");
  }
}

}  // namespace fl
