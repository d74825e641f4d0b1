// What memory work takes: libtorch's allocators tell.

#include <atomic>
#include <memory>

#include "shim.h"

#include <c10/core/Allocator.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/Device.h>
#include <c10/util/ThreadLocalDebugInfo.h>

using fl::guarded;

namespace {

// Bytes of the CPU's allocator on this thread. What was there before is not known to it, and freeing it goes unnoticed.
struct Count : c10::MemoryReportingInfoBase {
  std::atomic<int64_t> now{0};
  std::atomic<int64_t> peak{0};

  void reportMemoryUsage(void*, int64_t size, size_t, size_t, c10::Device device) override {
    if (!device.is_cpu()) return;
    const int64_t held = now += size;
    int64_t most = peak;
    while (held > most && !peak.compare_exchange_weak(most, held)) {
    }
  }
  bool memoryProfilingEnabled() const override { return true; }
};

const c10::CachingDeviceAllocator::Stat& bytes(const c10::CachingDeviceAllocator::DeviceStats& stats) {
  return stats.allocated_bytes[static_cast<size_t>(c10::CachingDeviceAllocator::StatType::AGGREGATE)];
}

struct Meter {
  c10::Device device;
  int64_t before = 0;
  std::shared_ptr<Count> count;
  std::unique_ptr<c10::DebugInfoGuard> guard;
};

}  // namespace

extern "C" {

// Begins to count what this thread (on a GPU: the process) has from the device's allocator. `fl_meter_stop` ends it, on the
// same thread.
char* fl_meter_start(const char* device, Meter** out) {
  return guarded([&] {
    auto meter = std::make_unique<Meter>(Meter{c10::Device(std::string(device)), 0, nullptr, nullptr});
    if (meter->device.is_cpu()) {
      meter->count = std::make_shared<Count>();
      meter->guard = std::make_unique<c10::DebugInfoGuard>(c10::DebugInfoKind::PROFILER_STATE, meter->count);
    } else {
      auto* allocator = c10::getDeviceAllocator(meter->device.type());
      allocator->resetPeakStats(meter->device.index());
      meter->before = bytes(allocator->getDeviceStats(meter->device.index())).current;
    }
    *out = meter.release();
  });
}

// The peak since the start, beyond what was held then.
char* fl_meter_stop(Meter* meter, uint64_t* peak) {
  return guarded([&] {
    std::unique_ptr<Meter> owned(meter);
    int64_t most;
    if (owned->count) {
      owned->guard.reset();
      most = owned->count->peak;
    } else {
      auto* allocator = c10::getDeviceAllocator(owned->device.type());
      most = bytes(allocator->getDeviceStats(owned->device.index())).peak - owned->before;
    }
    *peak = most > 0 ? static_cast<uint64_t>(most) : 0;
  });
}

// Gives cached memory of a GPU back to the driver.
char* fl_empty_cache(const char* device) {
  return guarded([&] {
    auto d = c10::Device(std::string(device));
    if (!d.is_cpu()) c10::getDeviceAllocator(d.type())->emptyCache();
  });
}

}  // extern "C"
