// PyTorch's own distributed engine: stores for the rendezvous, groups of ranks over Gloo, sums and copies of tensors
// among them, and the reducer of DistributedDataParallel, which averages gradients in buckets while backward still runs.

#define USE_C10D_GLOO

#include <dlfcn.h>

#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include "c10d.h"

#include <ATen/ATen.h>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <torch/csrc/distributed/c10d/comm.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>

using at::Tensor;
using fl::Group;
using fl::guarded;
using fl::StorePtr;

namespace {

std::vector<Tensor> list(Tensor* const* tensors, size_t n) {
  std::vector<Tensor> out;
  out.reserve(n);
  for (size_t i = 0; i < n; ++i) out.push_back(*tensors[i]);
  return out;
}

// What c10d reads from the environment, set before any thread is there: nobody may read it while it is written.
__attribute__((constructor)) void set_environment() {
  // c10d keeps a record of what groups do (its flight recorder) in maps of the process that no lock guards: ranks that
  // are threads of one process break them now and then. It is read in Python alone, and a size of 0 turns it off.
  setenv("TORCH_FR_BUFFER_SIZE", "0", /*overwrite=*/1);
  // Where a group over NCCL fails, its communicators end and the process does not: it has a checkpoint to name and a
  // terminal to restore (PyTorch's defaults are to abort it, and to throw in a thread where nobody catches). Whether ranks
  // live is watched over elsewhere. A user's own settings stand.
  setenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", "2", /*overwrite=*/0);
  setenv("TORCH_NCCL_ENABLE_MONITORING", "0", /*overwrite=*/0);
  setenv("TORCH_NCCL_RETHROW_CUDA_ERRORS", "0", /*overwrite=*/0);
}

// `fl_nccl_add` of nccl.cpp, once its library is loaded.
char* (*add_nccl)(Group*, StorePtr*, int, int64_t) = nullptr;

// Leaves out advice to a user of Python: a reducer looks for unused parameters in one step, and knows them from then on.
class Quiet : public c10::WarningHandler {
 public:
  void process(const c10::Warning& warning) override {
    if (warning.msg().find("find_unused_parameters=True was specified") == std::string::npos) {
      c10::WarningHandler::process(warning);
    }
  }
};

}  // namespace

extern "C" {

// A store for threads of this process.
char* fl_store_local(StorePtr** out) {
  return guarded([&] { *out = new StorePtr(c10::make_intrusive<c10d::HashStore>()); });
}

// A store for processes, which one of them (or torchrun) serves. Keys get a prefix where it is not empty.
char* fl_store_tcp(const char* host, uint16_t port, int serve, const char* prefix, int64_t timeout, StorePtr** out) {
  return guarded([&] {
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = serve != 0;
    // Who is missing is told by name, elsewhere.
    options.waitWorkers = false;
    options.timeout = fl::ms(timeout);
    // As torch.distributed: several stores of one process may share the port.
    options.multiTenant = true;
    StorePtr store = c10::make_intrusive<c10d::TCPStore>(host, options);
    if (*prefix != '\0') store = c10::make_intrusive<c10d::PrefixStore>(prefix, store);
    *out = new StorePtr(std::move(store));
  });
}

void fl_store_free(StorePtr* store) { delete store; }

char* fl_store_set(StorePtr* store, const char* key, const char* value) {
  return guarded([&] { (*store)->set(key, std::string(value)); });
}

// Waits until the key is there; the value is to be freed as a message is.
char* fl_store_get(StorePtr* store, const char* key, int64_t timeout, char** out) {
  return guarded([&] {
    (*store)->wait({key}, fl::ms(timeout));
    auto value = (*store)->get(key);
    *out = fl::copied(reinterpret_cast<const char*>(value.data()), value.size());
  });
}

// A group over Gloo. `host` is this rank's own address, or empty for the one that the machine's name leads to;
// `interface` (`eth0`) goes before it. Waits for all ranks.
char* fl_group_gloo(StorePtr* store, int rank, int size, const char* host, const char* interface, int64_t timeout,
                    Group** out) {
  return guarded([&] {
    using Gloo = c10d::ProcessGroupGloo;
    auto options = Gloo::Options::create(fl::ms(timeout));
    if (*interface != '\0') {
      options->devices.push_back(Gloo::createDeviceForInterface(interface));
    } else if (*host != '\0') {
      options->devices.push_back(Gloo::createDeviceForHostname(host));
    } else {
      options->devices.push_back(Gloo::createDefaultDevice());
    }
    auto backend = c10::make_intrusive<Gloo>(*store, rank, size, options);
    auto all = c10::make_intrusive<c10d::ProcessGroup>(*store, rank, size);
    constexpr auto kGloo = c10d::ProcessGroup::BackendType::GLOO;
    all->setDefaultBackend(kGloo);
    all->setBackend(c10::DeviceType::CPU, kGloo, backend);
    // Through host memory, where the CUDA back end is loaded and NCCL is not.
    all->setBackend(c10::DeviceType::CUDA, kGloo, backend);
    *out = new Group{std::move(all), {}};
  });
}

// Loads the library of nccl.cpp for good; libtorch_cuda.so must be there. Once, and before what follows.
char* fl_nccl_load(const char* path) {
  return guarded([&] {
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw std::runtime_error(dlerror());
    void* symbol = dlsym(library, "fl_nccl_add");
    if (symbol == nullptr) throw std::runtime_error(dlerror());
    add_nccl = reinterpret_cast<decltype(add_nccl)>(symbol);
  });
}

// See nccl.cpp.
char* fl_group_nccl(Group* group, StorePtr* store, int device, int64_t timeout) {
  if (add_nccl == nullptr) return fl::words("the back end over NCCL is not loaded");
  return add_nccl(group, store, device, timeout);
}

// What `fl_brake_pull` needs of a group over NCCL.
char* fl_group_brake(Group* group, c10::intrusive_ptr<c10d::Backend>** out) {
  return guarded([&] { *out = new c10::intrusive_ptr<c10d::Backend>(group->nccl); });
}

// From any thread: what this rank's GPU waits for inside NCCL ends, and is worth nothing.
char* fl_brake_pull(c10::intrusive_ptr<c10d::Backend>* nccl) {
  return guarded([&] { (*nccl)->abort(); });
}

char* fl_brake_free(c10::intrusive_ptr<c10d::Backend>* nccl) {
  return guarded([&] { delete nccl; });
}

// Waits for what is on its way, then closes the connections, which the other ranks notice.
char* fl_group_free(Group* group) {
  std::unique_ptr<Group> owned(group);
  return guarded([&] {
    if (owned->nccl.defined()) owned->nccl->shutdown();
    owned.reset();
  });
}

// The sum over all ranks, in place; begun here and waited for with `fl_work_wait`. The tensor is kept alive.
char* fl_all_reduce(Group* group, Tensor* tensor, c10::intrusive_ptr<c10d::Work>** out) {
  return guarded([&] {
    std::vector<Tensor> tensors{*tensor};
    *out = new c10::intrusive_ptr<c10d::Work>(group->all->allreduce(tensors));
  });
}

// Waits, and frees the work whatever comes of it.
char* fl_work_wait(c10::intrusive_ptr<c10d::Work>* work) {
  return guarded([&] {
    std::unique_ptr<c10::intrusive_ptr<c10d::Work>> owned(work);
    (*owned)->wait();
  });
}

// Rank `root`'s values for everybody, in place.
char* fl_broadcast(Group* group, Tensor* const* tensors, size_t n, int root) {
  return guarded([&] {
    at::NoGradGuard guard;
    // The size of PyTorch's own buckets.
    if (n > 0) c10d::broadcast_coalesced(group->all, list(tensors, n), c10d::kDefaultBucketBytesCap, root);
  });
}

// A reducer over parameters that require gradients. `find_unused`: some of them may be no part of the graph.
//
// Buckets are filled in reverse order of the parameters, which is about the order in which backward reaches them. They
// are not rebuilt after the first step as DistributedDataParallel does it: with three ranks and more the order in which
// a value is summed depends on its place in the bucket, and a run that is resumed must have the bits of one that is not.
char* fl_reducer_new(Group* group, Tensor* const* params, size_t n, int find_unused, c10d::Reducer** out) {
  return guarded([&] {
    // Of this thread, in which backward runs.
    static Quiet quiet;
    c10::WarningUtils::set_warning_handler(&quiet);
    auto all = list(params, n);
    const std::vector<bool> sparse(n, false);
    auto [buckets, limits] = c10d::compute_bucket_assignment_by_size(
        all, {c10d::kDefaultFirstBucketBytes, c10d::kDefaultBucketBytesCap}, sparse);
    std::reverse(buckets.begin(), buckets.end());
    *out = new c10d::Reducer(std::move(all), std::move(buckets), group->all, sparse, c10d::kDefaultBucketBytesCap,
                             find_unused != 0, /*gradient_as_bucket_view=*/true, {}, c10d::kDefaultFirstBucketBytes,
                             /*skip_all_reduce_unused_params=*/false, /*use_python_reducer=*/false, {});
  });
}

char* fl_reducer_free(c10d::Reducer* reducer) {
  return guarded([&] { delete reducer; });
}

// Before the backward whose gradients are to be averaged; `loss` is what it starts from.
char* fl_reducer_prepare(c10d::Reducer* reducer, const Tensor* loss) {
  return guarded([&] {
    at::AutoGradMode on(true);
    reducer->prepare_for_backward({*loss});
  });
}

}  // extern "C"
