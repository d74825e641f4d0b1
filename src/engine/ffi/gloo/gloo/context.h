#pragma once
#include <chrono>
namespace gloo {
// Only for the inline `ProcessGroupGloo::setTimeout`, which is never called here; nothing makes one.
class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
  std::chrono::milliseconds getTimeout() const;
};
}  // namespace gloo
