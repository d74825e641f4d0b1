// Writing TorchScript: a loaded script with other weights, or a model of ours from the source of its layers.

#include <c10/util/ArrayRef.h>

#include "script.h"

using at::Tensor;
using fl::Script;

extern "C" {

// Writes a script in train or eval mode.
char* fl_script_save(Script* script, const char* path, int training) {
  return fl::script_guarded([&] {
    script->root.train(training != 0);
    script->root.save(std::string(path));
  });
}

// Compiles modules from source and writes them. Module 0 is the root, parents come before their children. `sources` are
// definitions of `forward`; tensors have the number of their module and come in the order of registration.
char* fl_script_write(size_t modules, const char* const* names, const char* const* kinds, const size_t* parents,
                      const char* const* sources, size_t tensors, const size_t* owners, const char* const* tensor_names,
                      Tensor* const* values, const uint8_t* parameter, int training, const char* path) {
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
        built[owners[t]].register_parameter(tensor_names[t], *values[t], /*is_buffer=*/false);
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
    built.at(0).save(std::string(path));
  });
}

}  // extern "C"
