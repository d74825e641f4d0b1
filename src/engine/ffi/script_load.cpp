// TorchScript archives: checked, loaded, and their modules numbered.

#include <algorithm>
#include <filesystem>
#include <map>
#include <tuple>

#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/runtime/print_handler.h>
#include <torch/csrc/jit/serialization/import.h>

#include "script.h"

using at::Tensor;
using c10::IValue;
using fl::Script;

namespace fl {

std::string Script::path(size_t module) const {
  std::string path = names[module];
  for (int64_t above = parents[module]; above > 0; above = parents[above]) path = names[above] + "." + path;
  return path;
}

void each_node(torch::jit::Block* block, const std::function<void(torch::jit::Node*)>& visit) {
  for (torch::jit::Node* node : block->nodes()) {
    visit(node);
    for (torch::jit::Block* below : node->blocks()) each_node(below, visit);
    if (node->hasAttribute(torch::jit::attr::Subgraph)) each_node(node->g(torch::jit::attr::Subgraph)->block(), visit);
  }
}

std::string script_words(const std::string& text) {
  // The interpreter ends its stack with `RuntimeError: …`, or the class that the script raised.
  size_t begin = 0;
  size_t line = 0;
  while (line < text.size()) {
    size_t end = text.find('\n', line);
    if (end == std::string::npos) end = text.size();
    size_t k = line;
    while (k < end && (std::isalnum(static_cast<unsigned char>(text[k])) || text[k] == '_' || text[k] == '.')) ++k;
    const std::string name = text.substr(line, k - line);
    const bool error = name.size() > 5 && name.compare(name.size() - 5, 5, "Error") == 0;
    if (error && text.compare(k, 2, ": ") == 0) begin = k + 2;
    line = end + 1;
  }
  while (begin < text.size() && std::isspace(static_cast<unsigned char>(text[begin]))) ++begin;
  return text.substr(begin, text.find('\n', begin) - begin);
}

}  // namespace fl

namespace {

// Refuses what is no TorchScript archive, and one whose headers claim more bytes than it can hold, before memory is
// taken for them.
void check_archive(const std::string& path) {
  const uintmax_t file = std::filesystem::file_size(path);
  caffe2::serialize::PyTorchStreamReader reader(path);
  TORCH_CHECK(reader.hasRecord("constants.pkl") && reader.hasRecord("data.pkl"),
              "no TorchScript but weights without code, as torch.save writes them; name them as model.weights of a "
              "model of the zoo, or save the model with torch.jit.script(model).save(\"model.pt\")");
  uintmax_t claimed = 0;
  for (const auto& record : reader.getAllRecords()) {
    const uintmax_t size = reader.getRecordSize(record);
    claimed += size;
    TORCH_CHECK(size <= file + (uintmax_t{64} << 20) && claimed <= file + (uintmax_t{64} << 20), "its record ", record,
                " claims more bytes than the file has");
  }
}

void number(Script& s, const torch::jit::ModulePtr& object, const std::string& name, int64_t parent) {
  const size_t id = s.modules.size();
  if (!s.ids.emplace(object.get(), id).second) return;
  s.modules.push_back(object);
  s.names.push_back(name);
  s.parents.push_back(parent);
  const auto type = object->type();
  for (size_t i = 0; i < type->numAttributes(); ++i) {
    const IValue& value = object->getSlot(i);
    if (value.isModule()) number(s, value.toObject(), type->getAttributeName(i), static_cast<int64_t>(id));
  }
}

// A tensor's view reaches as far as its storage, no farther; the loader takes sizes on trust.
void check_bounds(const Tensor& t, const std::string& name) {
  if (!t.defined() || t.layout() != at::kStrided || !t.has_storage()) return;
  unsigned __int128 last = static_cast<unsigned __int128>(std::max<int64_t>(t.storage_offset(), 0));
  bool wrong = t.storage_offset() < 0;
  bool empty = false;
  for (int64_t d = 0; d < t.dim(); ++d) {
    wrong |= t.size(d) < 0 || t.stride(d) < 0;
    empty |= t.size(d) == 0;
    if (!wrong && !empty) last += static_cast<unsigned __int128>(t.size(d) - 1) * static_cast<uint64_t>(t.stride(d));
  }
  const unsigned __int128 needed = (last + 1) * t.dtype().itemsize();
  TORCH_CHECK(!wrong && (empty || needed <= t.storage().nbytes()), "tensor `", name, "` does not fit its data");
}

void check_value(const IValue& value, const std::string& name, int depth) {
  TORCH_CHECK(depth < 64, "attribute `", name, "` is nested too deeply");
  if (value.isTensor()) {
    check_bounds(value.toTensor(), name);
  } else if (value.isList()) {
    for (const IValue& v : value.toListRef()) check_value(v, name, depth + 1);
  } else if (value.isTuple()) {
    for (const IValue& v : value.toTupleRef().elements()) check_value(v, name, depth + 1);
  } else if (value.isGenericDict()) {
    for (const auto& entry : value.toGenericDict()) check_value(entry.value(), name, depth + 1);
  }
}

// The same values in the same place.
using Place = std::tuple<const void*, std::vector<int64_t>, std::vector<int64_t>, at::ScalarType>;

std::optional<Place> place(const Tensor& t) {
  if (!t.defined() || t.layout() != at::kStrided || t.numel() == 0) return std::nullopt;
  return Place{t.const_data_ptr(), t.sizes().vec(), t.strides().vec(), t.scalar_type()};
}

std::string full_name(const Script& s, size_t module, size_t slot) {
  const std::string path = s.path(module);
  return (path.empty() ? "" : path + ".") + s.modules[module]->type()->getAttributeName(slot);
}

bool is_state(const torch::jit::ModulePtr& object, size_t slot) {
  const auto type = object->type();
  return object->getSlot(slot).isTensor() && object->getSlot(slot).toTensor().defined() &&
         (type->is_parameter(slot) || type->is_buffer(slot));
}

// The archive keeps which tensors share memory, not which are one: makes tied weights one tensor again, wherever the
// script holds them (nn.LSTM's list of its weights too), so that gradients add up as they did in Python.
void tie(Script& s) {
  std::map<Place, std::pair<Tensor, std::string>> known;
  std::vector<std::tuple<const char*, const char*, std::string>> extents;
  for (size_t m = 0; m < s.modules.size(); ++m) {
    const auto& object = s.modules[m];
    for (size_t i = 0; i < object->type()->numAttributes(); ++i) {
      if (!is_state(object, i)) continue;
      const Tensor& t = object->getSlot(i).toTensor();
      const auto at = place(t);
      if (!at) continue;
      const std::string name = full_name(s, m, i);
      const auto [entry, fresh] = known.try_emplace(*at, t, name);
      if (fresh) {
        const char* begin = static_cast<const char*>(t.const_data_ptr());
        int64_t last = 0;
        for (int64_t d = 0; d < t.dim(); ++d) last += (t.size(d) - 1) * t.stride(d);
        extents.emplace_back(begin, begin + (last + 1) * static_cast<int64_t>(t.element_size()), name);
      } else {
        s.tied.emplace_back(name, entry->second.second);
        object->setSlot(i, entry->second.first);
      }
    }
  }
  std::sort(extents.begin(), extents.end());
  for (size_t k = 1; k < extents.size(); ++k) {
    TORCH_CHECK(std::get<0>(extents[k]) >= std::get<1>(extents[k - 1]), "`", std::get<2>(extents[k - 1]), "` and `",
                std::get<2>(extents[k]), "` share a part of their memory; give each its own (.clone()) before saving");
  }
  for (const auto& object : s.modules) {
    for (size_t i = 0; i < object->type()->numAttributes(); ++i) {
      const IValue& value = object->getSlot(i);
      if (value.isTensor() && !is_state(object, i)) {
        const auto at = place(value.toTensor());
        const auto found = at ? known.find(*at) : known.end();
        if (found != known.end()) object->setSlot(i, found->second.first);
      } else if (value.isList()) {
        auto list = value.toList();
        for (size_t k = 0; k < list.size(); ++k) {
          const IValue element = list.get(k);
          if (!element.isTensor()) continue;
          const auto at = place(element.toTensor());
          const auto found = at ? known.find(*at) : known.end();
          if (found != known.end()) list.set(k, IValue(found->second.first));
        }
      }
    }
  }
}

bool draws(const torch::jit::Node* node) {
  const torch::jit::Operator* op = node->maybeOperator();
  if (op == nullptr) return false;
  const auto tags = op->getTags();
  return std::find(tags.begin(), tags.end(), at::Tag::nondeterministic_seeded) != tags.end() ||
         node->isNondeterministic();
}

// What the code does besides computing: random numbers, files, new tensors in the place of buffers.
void scan(Script& s) {
  using torch::jit::GraphFunction;
  std::map<std::pair<const void*, std::string>, bool> assigned;
  for (torch::jit::Function* function : s.root._ivalue()->compilation_unit()->get_functions()) {
    auto* graph = torch::jit::tryToGraphFunction(*function);
    if (graph == nullptr) continue;
    graph->ensure_defined();
    fl::each_node(graph->graph()->block(), [&](torch::jit::Node* node) {
      const std::string kind = node->kind().toQualString();
      TORCH_CHECK(kind != "aten::from_file" && kind != "aten::save", "its code reads or writes files (", kind,
                  "), which no model needs");
      TORCH_CHECK(kind.compare(0, 11, "quantized::") != 0, "its code computes with quantized numbers (", kind,
                  "), through which nothing learns; save the model before it is quantized");
      s.random = s.random || draws(node);
      if (node->kind() == torch::jit::prim::SetAttr) {
        const auto type = node->input(0)->type()->cast<c10::ClassType>();
        if (type) assigned[{type.get(), node->s(torch::jit::attr::name)}] = true;
      }
    });
  }
  for (size_t m = 0; m < s.modules.size(); ++m) {
    const auto type = s.modules[m]->type();
    for (size_t i = 0; i < type->numAttributes(); ++i) {
      if (!assigned.count({type.get(), type->getAttributeName(i)}) || !is_state(s.modules[m], i)) continue;
      TORCH_CHECK(!type->is_parameter(i), "its code assigns the parameter `", full_name(s, m, i),
                  "` anew, so that no optimizer could train it");
      s.assigned.push_back({m, i, s.modules[m]->getSlot(i).toTensor()});
    }
  }
}

void quiet(const std::string&) {}

}  // namespace

extern "C" {

// Loads an archive onto a device. `run`: to be run here, with the means to obey `no_grad` in its methods; else it stays
// as it is, to be saved again.
char* fl_script_load(const char* path, const char* device, int run, Script** out) {
  return fl::script_guarded([&] {
    check_archive(path);
    // What a script prints would spoil the screen, and standard output is for results.
    torch::jit::setPrintHandler(quiet);
    auto script = std::make_unique<Script>();
    script->root = torch::jit::load(std::string(path), c10::Device(std::string(device)), /*load_debug_files=*/false);
    number(*script, script->root._ivalue(), "", -1);
    for (size_t m = 0; m < script->modules.size(); ++m) {
      const auto& object = script->modules[m];
      for (size_t i = 0; i < object->type()->numAttributes(); ++i) {
        check_value(object->getSlot(i), full_name(*script, m, i), 0);
      }
    }
    scan(*script);
    if (run) {
      tie(*script);
      for (auto& a : script->assigned) a.tensor = script->modules[a.module]->getSlot(a.slot).toTensor();
      fl::instrument(*script);
    }
    *out = script.release();
  });
}

void fl_script_free(Script* script) { delete script; }

// The script as JSON; `fl_free_text` frees it.
char* fl_script_describe(Script* script, char** out) {
  return fl::script_guarded([&] { *out = fl::copied(fl::describe(*script)); });
}

// A parameter or buffer of a module, as a new handle to the same tensor.
char* fl_script_tensor(Script* script, size_t module, const char* name, Tensor** out) {
  return fl::script_guarded([&] {
    TORCH_CHECK(module < script->modules.size(), "no module ", module);
    *out = new Tensor(script->modules[module]->getAttr(name).toTensor());
  });
}

}  // extern "C"
