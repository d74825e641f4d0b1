// A TorchScript model in words: modules, classes, names, hyper-parameters.

#include <algorithm>
#include <cmath>
#include <cstdio>

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/ir/constants.h>

#include "script.h"

using c10::IValue;

namespace {

using torch::jit::Node;
using torch::jit::Value;

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", byte);
      out += escape;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

// Members of an object or elements of an array, with commas between.
class Parts {
 public:
  void add(const std::string& part) {
    text_ += text_.empty() ? part : "," + part;
  }
  void add(const std::string& key, const std::string& value) { add(quoted(key) + ":" + value); }
  std::string object() const { return "{" + text_ + "}"; }
  std::string array() const { return "[" + text_ + "]"; }

 private:
  std::string text_;
};

// Numbers, flags, short texts and short lists of them; the empty string for everything else.
std::string plain(const IValue& value, int depth = 0) {
  if (value.isBool()) return value.toBool() ? "true" : "false";
  if (value.isInt()) return std::to_string(value.toInt());
  if (value.isDouble()) {
    if (!std::isfinite(value.toDouble())) return "";
    char text[40];
    std::snprintf(text, sizeof text, "%.17g", value.toDouble());
    return text;
  }
  if (value.isString() && value.toStringRef().size() <= 64) return quoted(value.toStringRef());
  const bool list = value.isList() && value.toListRef().size() <= 8;
  const bool tuple = value.isTuple() && value.toTupleRef().elements().size() <= 8;
  if (depth > 1 || (!list && !tuple)) return "";
  Parts parts;
  const auto add = [&](const IValue& v) {
    const std::string text = plain(v, depth + 1);
    if (!text.empty()) parts.add(text);
    return !text.empty();
  };
  if (list) {
    for (const IValue& v : value.toListRef()) {
      if (!add(v)) return "";
    }
  } else {
    for (const IValue& v : value.toTupleRef().elements()) {
      if (!add(v)) return "";
    }
  }
  return parts.array();
}

// A constant of a graph, or a list of constants.
std::string constant(const Value* value) {
  if (const auto known = torch::jit::toIValue(value)) return plain(*known);
  const Node* node = value->node();
  if (node->kind() != torch::jit::prim::ListConstruct || node->inputs().size() > 8) return "";
  Parts parts;
  for (const Value* element : node->inputs()) {
    const std::string text = constant(element);
    if (text.empty()) return "";
    parts.add(text);
  }
  return parts.array();
}

// The operators that a layer's hyper-parameters can be read from, with their constant arguments.
std::string operators(const c10::ClassTypePtr& type) {
  Parts ops;
  for (torch::jit::Function* method : type->methods()) {
    auto* graph = torch::jit::tryToGraphFunction(*method);
    if (graph == nullptr) continue;
    fl::each_node(graph->graph()->block(), [&](Node* node) {
      const std::string name = node->kind().toUnqualString();
      const bool telling = name.find("conv") != std::string::npos || name.find("dropout") != std::string::npos ||
                           name.find("norm") != std::string::npos || name.find("pool") != std::string::npos;
      const auto* op = node->kind().is_aten() && telling ? node->maybeOperator() : nullptr;
      if (op == nullptr) return;
      Parts parts;
      parts.add("op", quoted(name));
      const auto& arguments = op->schema().arguments();
      for (size_t i = 0; i < node->inputs().size() && i < arguments.size(); ++i) {
        const std::string text = constant(node->input(i));
        if (!text.empty()) parts.add(arguments[i].name(), text);
      }
      ops.add(parts.object());
    });
  }
  return ops.array();
}

// Attributes that the class's methods assign.
std::vector<std::string> assigned(const c10::ClassTypePtr& type) {
  std::vector<std::string> names;
  for (torch::jit::Function* method : type->methods()) {
    auto* graph = torch::jit::tryToGraphFunction(*method);
    if (graph == nullptr) continue;
    fl::each_node(graph->graph()->block(), [&](Node* node) {
      if (node->kind() == torch::jit::prim::SetAttr && node->input(0)->type() == type) {
        names.push_back(node->s(torch::jit::attr::name));
      }
    });
  }
  return names;
}

// Submodules whose parameters the class's code takes without calling them (`linear(x, self.fc.weight)`), as paths.
std::vector<std::string> taken(const c10::ClassTypePtr& type) {
  std::vector<std::string> paths;
  for (torch::jit::Function* method : type->methods()) {
    auto* graph = torch::jit::tryToGraphFunction(*method);
    if (graph == nullptr) continue;
    fl::each_node(graph->graph()->block(), [&](Node* node) {
      if (node->kind() != torch::jit::prim::GetAttr) return;
      const auto owner = node->input(0)->type()->cast<c10::ClassType>();
      const auto slot = owner ? owner->findAttributeSlot(node->s(torch::jit::attr::name)) : std::nullopt;
      if (!slot || !owner->is_parameter(*slot)) return;
      std::string path;
      const Value* at = node->input(0);
      while (at->node()->kind() == torch::jit::prim::GetAttr) {
        path = at->node()->s(torch::jit::attr::name) + (path.empty() ? "" : "." + path);
        at = at->node()->input(0);
      }
      if (!path.empty() && std::find(paths.begin(), paths.end(), path) == paths.end()) paths.push_back(path);
    });
  }
  return paths;
}

std::string module_json(const fl::Script& s, size_t m) {
  const auto& object = s.modules[m];
  const auto type = object->type();
  Parts parameters, buffers, values, state, used;
  const std::string path = s.path(m);
  for (size_t i = 0; i < type->numAttributes(); ++i) {
    const std::string name = type->getAttributeName(i);
    const IValue& value = object->getSlot(i);
    if (value.isTensor() && value.toTensor().defined() && (type->is_parameter(i) || type->is_buffer(i))) {
      const std::string full = path.empty() ? name : path + "." + name;
      bool second = false;
      for (const auto& tied : s.tied) second = second || tied.first == full;
      // Whole numbers cannot learn, whatever they are called.
      const bool learns = type->is_parameter(i) && value.toTensor().is_floating_point();
      if (!second) (learns ? parameters : buffers).add(quoted(name));
    } else if (const std::string text = plain(value); !text.empty()) {
      values.add(name, text);
    }
  }
  for (size_t i = 0; i < type->numConstants(); ++i) {
    const std::string text = plain(type->getConstant(i));
    if (!text.empty()) values.add(type->getConstantName(i), text);
  }
  for (const std::string& name : assigned(type)) {
    const auto slot = type->findAttributeSlot(name);
    if (name != "training" && slot && !type->is_buffer(*slot)) state.add(quoted(name));
  }
  for (const std::string& below : taken(type)) used.add(quoted(below));
  Parts parts;
  parts.add("name", quoted(s.names[m]));
  parts.add("parent", std::to_string(s.parents[m]));
  parts.add("class", quoted(type->name() ? type->name()->name() : std::string("Module")));
  parts.add("parameters", parameters.array());
  parts.add("buffers", buffers.array());
  parts.add("values", values.object());
  parts.add("operators", operators(type));
  parts.add("state", state.array());
  parts.add("taken", used.array());
  return parts.object();
}

}  // namespace

namespace fl {

std::string describe(Script& s) {
  Parts whole, modules, tied;
  for (size_t m = 0; m < s.modules.size(); ++m) modules.add(module_json(s, m));
  for (const auto& [second, first] : s.tied) tied.add("[" + quoted(second) + "," + quoted(first) + "]");
  whole.add("modules", modules.array());
  whole.add("tied", tied.array());
  if (const auto forward = s.root.find_method("forward")) {
    const auto& schema = forward->function().getSchema();
    Parts inputs;
    for (size_t i = 1; i < schema.arguments().size(); ++i) {
      const auto& argument = schema.arguments()[i];
      Parts input;
      input.add("name", quoted(argument.name()));
      input.add("type", quoted(argument.type()->repr_str()));
      input.add("optional", argument.default_value() ? "true" : "false");
      inputs.add(input.object());
    }
    whole.add("inputs", inputs.array());
    whole.add("output", quoted(schema.returns().size() == 1 ? schema.returns()[0].type()->repr_str() : "several values"));
  }
  return whole.object();
}

}  // namespace fl
