#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace selvage {

/// An immutable run of bytes that keeps its memory alive. Copying it, or taking a part, copies no bytes.
/// Safe to read from several threads.
class Bytes {
 public:
  Bytes() = default;
  /// Takes the string over; no copy.
  explicit Bytes(std::string data)
      : owner_(std::make_shared<const std::string>(std::move(data))),
        view_(*static_cast<const std::string*>(owner_.get())) {}
  /// A view that `owner` keeps alive.
  Bytes(std::shared_ptr<const void> owner, std::string_view view) : owner_(std::move(owner)), view_(view) {}

  std::string_view view() const { return view_; }
  const char* data() const { return view_.data(); }
  size_t size() const { return view_.size(); }
  bool empty() const { return view_.empty(); }
  const std::shared_ptr<const void>& owner() const { return owner_; }

  /// The part that starts at `from` and has at most `size` bytes; shares the memory.
  Bytes Slice(size_t from, size_t size = std::string_view::npos) const;

  friend bool operator==(const Bytes& a, const Bytes& b) { return a.view_ == b.view_; }

 private:
  std::shared_ptr<const void> owner_;
  std::string_view view_;
};

}  // namespace selvage
