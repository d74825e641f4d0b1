// Between the host and a device without waiting for the device: a batch on its way up, a step's numbers on their way down.
// On the CPU the same calls copy at once.

#include <memory>
#include <optional>
#include <vector>

#include "shim.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/EmptyTensor.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

using at::Tensor;
using fl::guarded;

namespace {

// Bytes that are worth a thread of their own.
constexpr int64_t kGrain = 1 << 20;

// A host tensor that a device can copy from and to while the CPU goes on. Not `at::empty`, which fills it where only
// deterministic operators are allowed.
Tensor room_on_host(at::IntArrayRef sizes, at::ScalarType type, c10::Device device) {
  auto* from = device.is_cpu() ? c10::GetCPUAllocator() : at::globalContext().getPinnedMemoryAllocator(device.type());
  return Tensor(at::detail::empty_generic(sizes, from, c10::DispatchKeySet(c10::DispatchKey::CPU), type, std::nullopt));
}

struct Arrival {
  Tensor host;
  // None: it has arrived.
  std::optional<c10::Event> event;
};

}  // namespace

extern "C" {

// A tensor on a device (`cuda`: its index, or -1 for the CPU) from contiguous host values, float32 or (`whole`) int64; with
// `nhwc` laid out so where it has four dimensions. The values may go when this returns. Returns a new tensor.
char* fl_upload(const void* values, size_t bytes, const int64_t* sizes, size_t dims, int whole, int cuda, int nhwc,
                Tensor** out) {
  return guarded([&] {
    at::NoGradGuard guard;
    const auto device = cuda < 0 ? c10::Device(c10::kCPU) : c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(cuda));
    auto host = room_on_host(at::IntArrayRef(sizes, dims), whole ? at::kLong : at::kFloat, device);
    TORCH_CHECK(host.nbytes() == bytes, bytes, " bytes do not fit the shape ", host.sizes());
    auto* to = static_cast<char*>(host.mutable_data_ptr());
    const auto* from = static_cast<const char*>(values);
    at::parallel_for(0, static_cast<int64_t>(bytes), kGrain,
                     [&](int64_t begin, int64_t end) { std::memcpy(to + begin, from + begin, end - begin); });
    // `host` may go before the copy is done: the copy tells the pinned memory's allocator of its event.
    auto made = host.to(device, host.scalar_type(), /*non_blocking=*/true);
    if (nhwc && made.dim() == 4) made = made.contiguous(at::MemoryFormat::ChannelsLast);
    *out = new Tensor(std::move(made));
  });
}

// Sends float32 scalars, and a float32 vector after them, to the host. On the CPU they are read where they are, if `direct`.
char* fl_arrival_start(Tensor* const* scalars, size_t n, const Tensor* more, int direct, Arrival** out) {
  return guarded([&] {
    at::NoGradGuard guard;
    const auto device = more->device();
    auto arrival = std::make_unique<Arrival>();
    if (device.is_cpu() && direct) {
      const auto length = static_cast<size_t>(more->numel());
      arrival->host = room_on_host({static_cast<int64_t>(n + length)}, at::kFloat, device);
      auto* to = arrival->host.mutable_data_ptr<float>();
      for (size_t i = 0; i < n; ++i) to[i] = *scalars[i]->const_data_ptr<float>();
      TORCH_CHECK(more->is_contiguous(), "a vector with gaps");
      if (length > 0) std::memcpy(to + n, more->const_data_ptr<float>(), length * sizeof(float));
    } else {
      std::vector<Tensor> list;
      for (size_t i = 0; i < n; ++i) list.push_back(*scalars[i]);
      auto values = at::cat({at::stack(list), *more});
      arrival->host = room_on_host(values.sizes(), values.scalar_type(), device);
      arrival->host.copy_(values, /*non_blocking=*/true);
      if (!device.is_cpu()) {
        arrival->event.emplace(device.type());
        arrival->event->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
      }
    }
    *out = arrival.release();
  });
}

// Whether the numbers are there.
char* fl_arrival_ready(const Arrival* arrival, int* ready) {
  return guarded([&] { *ready = !arrival->event || arrival->event->query() ? 1 : 0; });
}

// Waits for the numbers, and writes them.
char* fl_arrival_wait(const Arrival* arrival, float* out, size_t n) {
  return guarded([&] {
    if (arrival->event) arrival->event->synchronize();
    TORCH_CHECK(static_cast<size_t>(arrival->host.numel()) == n, arrival->host.numel(), " numbers, not ", n);
    std::memcpy(out, arrival->host.const_data_ptr<float>(), n * sizeof(float));
  });
}

void fl_arrival_free(Arrival* arrival) { delete arrival; }

}  // extern "C"
