// What the shim's files share: exceptions as messages.
//
// A function that can fail returns null, or a malloc'd message that `fl_free_text` frees.
#pragma once

#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>

#include <c10/util/Exception.h>

namespace fl {

// A malloc'd copy of `length` bytes, ended with NUL.
inline char* copied(const char* text, size_t length) {
  char* copy = static_cast<char*>(std::malloc(length + 1));
  if (copy == nullptr) std::abort();
  std::memcpy(copy, text, length);
  copy[length] = '\0';
  return copy;
}

inline char* copied(const std::string& text) { return copied(text.data(), text.size()); }

inline char* words(const char* text) { return copied(text, std::strlen(text)); }

template <typename F>
char* guarded(F&& body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const c10::Error& e) {
    return words(e.what_without_backtrace());
  } catch (const std::exception& e) {
    return words(e.what());
  } catch (...) {
    return words("unknown C++ exception");
  }
}

}  // namespace fl
