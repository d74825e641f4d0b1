// The forward of a TorchScript model: train mode and no_grad module by module, random numbers from the learner's
// generator, and the same arithmetic in each step.

#include <ATen/Context.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/runtime/custom_operator.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include "script.h"

using at::Tensor;
using c10::IValue;
using fl::Script;
using torch::jit::Stack;

namespace {

// What `enter` tells `leave`: whether gradients were recorded before, whether the result is to be cut off, the module
// that was run before, and the note of its sizes.
struct Token {
  bool recording;
  bool cut;
  int64_t before;
  int64_t note;

  int64_t packed() const { return (note + 1) << 32 | (before + 1) << 2 | int64_t{cut} << 1 | int64_t{recording}; }
  static Token of(int64_t packed) {
    return {(packed & 1) != 0, (packed & 2) != 0, ((packed >> 2) & 0x3fffffff) - 1, (packed >> 32) - 1};
  }
};

Script& script_at(const IValue& handle) { return *reinterpret_cast<Script*>(handle.toInt()); }

std::vector<int64_t> sizes(const IValue& value) {
  return value.isTensor() && value.toTensor().defined() ? value.toTensor().sizes().vec() : std::vector<int64_t>{};
}

// Without a history: under no_grad a module may hand its input through (a dropout in eval mode) or change it in place,
// and nothing upstream is to learn through it all the same.
IValue cut_off(const IValue& value) {
  if (value.isTensor()) {
    const Tensor& t = value.toTensor();
    return t.defined() && t.requires_grad() ? IValue(t.detach()) : value;
  }
  if (value.isTuple()) {
    std::vector<IValue> elements;
    for (const IValue& v : value.toTupleRef().elements()) elements.push_back(cut_off(v));
    const auto type = value.toTuple()->type();
    if (type->name()) return c10::ivalue::Tuple::createNamed(std::move(elements), type);
    return c10::ivalue::Tuple::create(std::move(elements));
  }
  if (value.isTensorList()) {
    c10::List<Tensor> list;
    for (const Tensor& t : value.toTensorVector()) list.push_back(cut_off(t).toTensor());
    return list;
  }
  if (value.isGenericDict()) {
    const auto before = value.toGenericDict();
    c10::impl::GenericDict dict(before.keyType(), before.valueType());
    for (const auto& entry : before) dict.insert(entry.key(), cut_off(entry.value()));
    return dict;
  }
  return value;
}

void enter(Stack& stack) {
  const bool main = torch::jit::pop(stack).toBool();
  const IValue x = torch::jit::pop(stack);
  const IValue self = torch::jit::pop(stack);
  Script& s = script_at(torch::jit::pop(stack));
  Token token{c10::GradMode::is_enabled(), false, s.inside.load(), -1};
  const auto found = s.ids.find(self.toObject().get());
  if (found != s.ids.end()) {
    const size_t module = found->second;
    s.inside = static_cast<int64_t>(module);
    if (module < s.no_grad.size() && s.no_grad[module]) {
      token.cut = true;
      c10::GradMode::set_enabled(false);
    }
    if (main && s.tracing) {
      std::lock_guard<std::mutex> lock(s.seen_lock);
      token.note = static_cast<int64_t>(s.seen.size());
      s.seen.push_back({module, sizes(x), {}});
    }
  }
  stack.emplace_back(token.packed());
}

void leave(Stack& stack) {
  IValue y = torch::jit::pop(stack);
  const Token token = Token::of(torch::jit::pop(stack).toInt());
  Script& s = script_at(torch::jit::pop(stack));
  c10::GradMode::set_enabled(token.recording);
  s.inside = token.before;
  if (token.note >= 0) {
    std::lock_guard<std::mutex> lock(s.seen_lock);
    if (static_cast<size_t>(token.note) < s.seen.size()) s.seen[token.note].output = sizes(y);
  }
  stack.push_back(token.cut ? cut_off(y) : std::move(y));
}

void register_operators() {
  // Conservative: never moved, merged or left out.
  static torch::jit::RegisterOperators operators({
      torch::jit::Operator("frostline::enter(int script, Any self, Any x, bool main) -> int", enter,
                           c10::AliasAnalysisKind::CONSERVATIVE),
      torch::jit::Operator("frostline::leave(int script, int token, Any y) -> Any", leave,
                           c10::AliasAnalysisKind::CONSERVATIVE),
  });
}

// Puts `enter` first and `leave` last in a method.
void wrap(Script& s, torch::jit::Graph& graph, bool main) {
  using namespace torch::jit;
  if (graph.inputs().empty() || graph.outputs().size() != 1) return;
  Value* x = nullptr;
  for (Value* input : graph.inputs().slice(1)) {
    if (x == nullptr && input->type()->isSubtypeOf(*c10::TensorType::get())) x = input;
  }
  Value* token = nullptr;
  Value* handle = nullptr;
  {
    WithInsertPoint begin(*graph.nodes().begin());
    handle = graph.insertConstant(reinterpret_cast<int64_t>(&s));
    if (x == nullptr) x = graph.insertConstant(IValue());
    Value* is_main = graph.insertConstant(main);
    Node* node = graph.create(Symbol::fromQualString("frostline::enter"), {handle, graph.inputs()[0], x, is_main}, 1);
    token = graph.insertNode(node)->output()->setType(c10::IntType::get());
  }
  WithInsertPoint end(graph.return_node());
  Value* y = graph.outputs()[0];
  Node* node = graph.create(Symbol::fromQualString("frostline::leave"), {handle, token, y}, 1);
  graph.insertNode(node)->output()->setType(y->type());
  graph.return_node()->replaceInput(0, node->output());
}

// `forward`, and `forward1`… which traces have where a module is called several times.
bool is_forward(const std::string& name) {
  return name.compare(0, 7, "forward") == 0 && name.find_first_not_of("0123456789", 7) == std::string::npos;
}

std::mutex drawing_lock;

// Scripts draw from the process's default generators. For the time of one forward these continue the learner's own
// stream, and then have their state back. One forward at a time.
class Drawing {
 public:
  Drawing(c10::Device device, at::Generator* own) : turn_(drawing_lock), own_(own) {
    lend(device);
    if (!device.is_cpu()) lend(c10::Device(c10::kCPU));
  }
  ~Drawing() {
    try {
      for (size_t i = 0; i < lent_.size(); ++i) {
        auto& [generator, before] = lent_[i];
        std::lock_guard<std::mutex> lock(generator.mutex());
        if (own_ != nullptr && i == 0) own_->set_state(generator.get_state());
        generator.set_state(before);
      }
    } catch (...) {
      // The states are of the right kind: nothing throws here.
    }
  }
  Drawing(const Drawing&) = delete;
  Drawing& operator=(const Drawing&) = delete;

 private:
  void lend(c10::Device device) {
    at::Generator generator = at::globalContext().defaultGenerator(device);
    std::lock_guard<std::mutex> lock(generator.mutex());
    lent_.emplace_back(generator, generator.get_state());
    if (own_ == nullptr) {
      generator.set_current_seed(0);
    } else if (lent_.size() == 1) {
      generator.set_state(own_->get_state());
    } else {
      // A GPU's script may draw on the CPU too; its stream there follows from the learner's state (FNV-1a).
      const Tensor state = own_->get_state();
      uint64_t seed = 0xcbf29ce484222325u;
      for (int64_t i = 0; i < state.numel(); ++i) {
        seed = (seed ^ state.const_data_ptr<uint8_t>()[i]) * 0x100000001b3u;
      }
      generator.set_current_seed(seed);
    }
  }

  std::unique_lock<std::mutex> turn_;
  at::Generator* own_;
  std::vector<std::pair<at::Generator, Tensor>> lent_;
};

// What a script warns of goes nowhere: the screen is not its.
struct Silent : c10::WarningHandler {
  void process(const c10::Warning&) override {}
};

void set_training(Script& s, const uint8_t* training) {
  for (size_t m = 0; m < s.modules.size(); ++m) {
    const auto slot = s.modules[m]->type()->findAttributeSlot("training");
    if (slot && s.modules[m]->getSlot(*slot).isBool()) s.modules[m]->setSlot(*slot, training[m] != 0);
  }
}

// The model's tensors stay the same ones: new values of buffers are copied into the old tensors, or dropped.
void put_back(Script& s, bool keep) {
  at::NoGradGuard guard;
  for (auto& a : s.assigned) {
    const Tensor now = s.modules[a.module]->getSlot(a.slot).toTensor();
    if (now.is_same(a.tensor)) continue;
    s.modules[a.module]->setSlot(a.slot, a.tensor);
    if (!keep) continue;
    TORCH_CHECK(now.sizes() == a.tensor.sizes(), "its buffer `",
                s.modules[a.module]->type()->getAttributeName(a.slot), "` changes its shape, which no checkpoint could hold");
    a.tensor.copy_(now);
  }
}

// In eval mode no buffer of a module changes, whatever its code does: a batch norm that was traced in train mode learns
// in every forward, and a counter counts. What changed in the first forward of all has its values back after each later.
class Steady {
 public:
  Steady(Script& s, const uint8_t* training, bool all) : s_(s) {
    if (s.unsteady) {
      for (const auto& [buffer, module] : *s.unsteady) {
        if (!training[module]) keep(buffer, module);
      }
      return;
    }
    if (!all) return;
    for (size_t m = 0; m < s.modules.size(); ++m) {
      const auto type = s.modules[m]->type();
      for (size_t i = 0; i < type->numAttributes(); ++i) {
        const IValue& value = s.modules[m]->getSlot(i);
        if (type->is_buffer(i) && value.isTensor() && value.toTensor().defined()) keep(value.toTensor(), m);
      }
    }
  }

  // `ended`: the forward ran to its end, so that it has shown what it changes.
  void put_back(bool ended) {
    at::NoGradGuard guard;
    if (!s_.unsteady && !kept_.empty()) {
      std::vector<bool> changes(s_.modules.size(), false);
      for (const auto& k : kept_) changes[k.module] = changes[k.module] || !same(k.buffer, k.copy);
      if (ended) s_.unsteady.emplace();
      std::vector<Kept> changed;
      for (const auto& k : kept_) {
        // The whole module: a mean of zeros stays the same where its variance does not.
        if (!changes[k.module]) continue;
        if (ended) s_.unsteady->emplace_back(k.buffer, k.module);
        changed.push_back(k);
      }
      kept_ = std::move(changed);
    }
    // A handle of its own: autograd takes a buffer that changed between forward and backward for an error.
    for (auto& k : kept_) k.buffer.variable_data().copy_(k.copy);
  }

 private:
  struct Kept {
    Tensor buffer;
    Tensor copy;
    size_t module;
  };

  // A number that is none is equal to itself here: nothing changed it.
  static bool same(const Tensor& a, const Tensor& b) {
    return a.is_floating_point() ? a.allclose(b, /*rtol=*/0, /*atol=*/0, /*equal_nan=*/true) : a.equal(b);
  }

  void keep(const Tensor& t, size_t module) {
    at::NoGradGuard guard;
    kept_.push_back({t, t.detach().clone(), module});
  }

  Script& s_;
  std::vector<Kept> kept_;
};

std::string seen_json(const Script& s) {
  const auto list = [](const std::vector<int64_t>& sizes) {
    std::string text = "[";
    for (size_t i = 0; i < sizes.size(); ++i) text += (i ? "," : "") + std::to_string(sizes[i]);
    return text + "]";
  };
  std::string text = "[";
  for (size_t i = 0; i < s.seen.size(); ++i) {
    text += (i ? ",[" : "[") + std::to_string(s.seen[i].module) + "," + list(s.seen[i].input) + "," +
            list(s.seen[i].output) + "]";
  }
  return text + "]";
}

}  // namespace

namespace fl {

void instrument(Script& script) {
  register_operators();
  // The simple executor computes what is written: the profiling one rewrites graphs after the first steps, so that a
  // resumed run would not have the same bits.
  for (torch::jit::Function* function : script.root._ivalue()->compilation_unit()->get_functions()) {
    if (auto* graph = torch::jit::tryToGraphFunction(*function)) {
      graph->_set_initial_executor_execution_mode(torch::jit::ExecutorExecutionMode::SIMPLE);
    }
  }
  std::unordered_map<const void*, bool> done;
  for (const auto& object : script.modules) {
    const auto type = object->type();
    if (!done.emplace(type.get(), true).second) continue;
    for (torch::jit::Function* method : type->methods()) {
      if (auto* graph = torch::jit::tryToGraphFunction(*method)) {
        wrap(script, *graph->graph(), is_forward(method->name()));
      }
    }
  }
}

}  // namespace fl

extern "C" {

// Forward of a batch. `training` and `no_grad` have one byte a module. `own`: the generator that random numbers come
// from; null in eval mode, where they are the same each time. `seen`, where it is not null, receives
// [[module, input sizes, output sizes]…] as JSON. `out` receives a new tensor.
char* fl_script_forward(Script* s, const Tensor* x, const uint8_t* training, const uint8_t* no_grad, size_t n,
                        at::Generator* own, Tensor** out, char** seen) {
  std::lock_guard<std::mutex> mine(s->one_at_a_time);
  s->inside = -1;
  char* message = fl::script_guarded([&] {
    TORCH_CHECK(n == s->modules.size(), "flags for ", n, " modules of ", s->modules.size());
    Silent silent;
    c10::WarningUtils::WarningHandlerGuard quiet(&silent);
    torch::jit::GraphOptimizerEnabledGuard plain(false);
    at::AutoGradMode restored(c10::GradMode::is_enabled());
    set_training(*s, training);
    s->no_grad.assign(no_grad, no_grad + n);
    s->tracing = seen != nullptr;
    s->seen.clear();
    Steady steady(*s, training, own == nullptr);
    IValue y;
    try {
      std::optional<Drawing> drawing;
      if (s->random) drawing.emplace(x->device(), own);
      y = s->root({*x});
      TORCH_CHECK(y.isTensor() && y.toTensor().defined(), "its forward gives ", y.tagKind(), ", not a tensor");
    } catch (...) {
      put_back(*s, false);
      steady.put_back(false);
      throw;
    }
    put_back(*s, own != nullptr);
    steady.put_back(true);
    if (seen != nullptr) *seen = fl::copied(seen_json(*s));
    *out = new Tensor(y.toTensor());
  });
  if (message != nullptr && s->inside > 0) {
    const std::string where = "in `" + s->path(static_cast<size_t>(s->inside)) + "`: " + message;
    std::free(message);
    message = fl::copied(where);
  }
  return message;
}

}  // extern "C"
