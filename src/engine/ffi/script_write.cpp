// Writing TorchScript: a loaded script with other weights, or a model of ours from the source of its layers.

#include <c10/util/ArrayRef.h>
#include <torch/csrc/jit/serialization/export.h>

#include "script.h"

using at::Tensor;
using fl::Script;

namespace {

// Takes bytes over. It tells nobody that they could not be written: PyTorchStreamWriter's destructor throws after that,
// which ends the process. Whoever waits at the other end of `to` knows.
using Sink = void (*)(void* to, const void* bytes, size_t n);

void save(torch::jit::Module& root, Sink sink, void* to) {
  const auto take = [&](const void* bytes, size_t n) {
    if (n > 0) sink(to, bytes, n);
    return n;
  };
  torch::jit::ExportModule(root, take);
}

}  // namespace

extern "C" {

// Writes a script in train or eval mode.
char* fl_script_save(Script* script, int training, Sink sink, void* to) {
  return fl::script_guarded([&] {
    script->root.train(training != 0);
    save(script->root, sink, to);
  });
}

// Compiles modules from source and writes them. Module 0 is the root, parents come before their children. `sources` are
// definitions of `forward`; tensors have the number of their module and come in the order of registration.
char* fl_script_write(size_t modules, const char* const* names, const char* const* kinds, const size_t* parents,
                      const char* const* sources, size_t tensors, const size_t* owners, const char* const* tensor_names,
                      Tensor* const* values, const uint8_t* parameter, int training, Sink sink, void* to) {
  return fl::script_guarded([&] {
    auto unit = std::make_shared<torch::jit::CompilationUnit>();
    std::vector<torch::jit::Module> built;
    built.reserve(modules);
    for (size_t m = 0; m < modules; ++m) {
      // Every module has a class of its own; the last part of its name is what Python shows as `original_name`.
      built.emplace_back(c10::QualifiedName(std::string("__torch__.frostline.") + kinds[m]), unit, /*shouldMangle=*/true);
    }
    for (size_t t = 0; t < tensors; ++t) {
      TORCH_CHECK(owners[t] < modules, "tensor ", tensor_names[t], " has no module");
      if (parameter[t]) {
        // Python trains what asks for it.
        built[owners[t]].register_parameter(tensor_names[t], values[t]->detach().set_requires_grad(true), /*is_buffer=*/false);
      } else {
        built[owners[t]].register_buffer(tensor_names[t], *values[t]);
      }
    }
    std::vector<std::vector<size_t>> children(modules);
    for (size_t m = 1; m < modules; ++m) {
      TORCH_CHECK(parents[m] < m, "module ", names[m], " comes before its parent");
      children[parents[m]].push_back(m);
    }
    // From the leaves up: a forward is compiled against those that it calls.
    for (size_t m = modules; m-- > 0;) {
      built[m].register_attribute("training", c10::BoolType::get(), training != 0);
      for (const size_t child : children[m]) built[m].register_module(names[child], built[child]);
      try {
        built[m].define(sources[m]);
      } catch (const std::exception& e) {
        TORCH_CHECK(false, "the forward of ", kinds[m], " `", names[m], "` is no TorchScript: ",
                    fl::script_words(e.what()));
      }
    }
    save(built.at(0), sink, to);
  });
}

}  // extern "C"
