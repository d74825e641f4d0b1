// PyTorch's back end over NCCL for a group's tensors on GPUs. A library of its own (build.rs), since it is linked to
// libtorch_cuda.so, which not every machine has: it is loaded at run time, after that one.

#include "c10d.h"

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

extern "C" {

// What a group exchanges of the memory of GPU `device` goes over NCCL from now on. Waits for all ranks. How it fails is set
// in c10d.cpp (`set_environment`).
char* fl_nccl_add(fl::Group* group, fl::StorePtr* store, int device, int64_t timeout) {
  return fl::guarded([&] {
    using Nccl = c10d::ProcessGroupNCCL;
    auto options = Nccl::Options::create();
    options->timeout = fl::ms(timeout);
    // Gloo's keys are in the store already.
    auto keys = c10::make_intrusive<c10d::PrefixStore>("nccl", *store);
    auto& all = *group->all;
    auto nccl = c10::make_intrusive<Nccl>(std::move(keys), all.getRank(), all.getSize(), std::move(options));
    // At once, not in the first step: what does not work is said before the run begins.
    nccl->eagerConnectSingleDevice(at::Device(at::kCUDA, static_cast<at::DeviceIndex>(device)));
    all.setBackend(at::kCUDA, c10d::ProcessGroup::BackendType::NCCL, nccl);
    group->nccl = std::move(nccl);
  });
}

}  // extern "C"
