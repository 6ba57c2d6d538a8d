#include "advisor/wire/answer.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/utf8.h"
#include "base/utf8_bounds.h"

namespace hearth::advisor {
namespace {

constexpr std::size_t kNameBytesMax = 256;                           // Of functions and ids.
constexpr std::size_t kCarriedBytesMax = std::size_t{256} << 10;     // Of a call.

}  // namespace

// As much as the limit leaves room for.
std::string Answer::within_limit(std::string_view text) {
  if (is_cut_) return "";
  std::string good = is_valid_utf8(text) ? std::string(text) : sanitize_utf8(text);
  const std::uint64_t room = limits_.text_bytes_max - content_bytes_;
  if (good.size() > room) {
    is_cut_ = true;
    good.resize(utf8_bound_up_to(good, room));
  }
  content_bytes_ += good.size();
  return good;
}

void Answer::add_text(const Json& text) {
  if (text.is_string()) piece_.text += within_limit(text.get_ref<const std::string&>());
}

void Answer::add_reasoning(const Json& text) {
  if (text.is_string()) piece_.reasoning += within_limit(text.get_ref<const std::string&>());
}

std::size_t Answer::find(std::int64_t key) const {
  std::size_t at = 0;
  while (at < calls_.size() && calls_[at].key != key) ++at;
  return at;
}

void Answer::begin_call(std::int64_t key, std::string id, std::string name) {
  if (name.empty() || is_cut_ || find(key) < calls_.size()) return;
  if (calls_.size() == limits_.calls_max) {
    is_cut_ = true;
    return;
  }
  name = within_limit(std::string_view(name).substr(0, kNameBytesMax));
  if (is_cut_) return;
  calls_.push_back({.key = key, .carried = std::exchange(carried_next_, {})});
  piece_.calls.push_back({.index = static_cast<std::uint32_t>(calls_.size() - 1),
                          .id = sanitize_utf8(std::string_view(id).substr(0, kNameBytesMax)),
                          .name = std::move(name)});
}

AnswerCall& Answer::piece_of(std::size_t call) {
  const auto index = static_cast<std::uint32_t>(call);
  for (AnswerCall& piece : piece_.calls) {
    if (piece.index == index) return piece;
  }
  return piece_.calls.emplace_back(AnswerCall{.index = index});
}

void Answer::put_arguments(std::size_t call, std::string_view text) {
  if (text.empty()) return;
  const std::string good = within_limit(text);
  if (good.empty()) return;
  calls_[call].has_arguments = true;
  piece_of(call).arguments += good;
}

void Answer::add_arguments(std::int64_t key, const Json& text) {
  const std::size_t call = find(key);
  if (call == calls_.size()) return;
  if (text.is_string()) put_arguments(call, text.get_ref<const std::string&>());
  if (text.is_object()) put_arguments(call, text.dump(-1, ' ', false, Json::error_handler_t::replace));
}

void Answer::end_call(std::int64_t key, const Json& whole) {
  const std::size_t call = find(key);
  if (call == calls_.size() || calls_[call].has_arguments) return;
  add_arguments(key, whole);
  if (!calls_[call].has_arguments) put_arguments(call, "{}");
}

void Answer::carry(std::int64_t key, std::string state) {
  const std::size_t call = find(key);
  std::string& place = call < calls_.size() ? calls_[call].carried : carried_next_;
  if (place.size() + state.size() > kCarriedBytesMax) return;
  place = std::move(state);
}

void Answer::grow_thought(std::int64_t key, std::string_view text, std::string_view signature) {
  if (key != thought_.key || key < 0) return;
  const std::size_t n_bytes = thought_.text.size() + thought_.signature.size() + text.size() + signature.size();
  if (n_bytes > kCarriedBytesMax) {  // What is not whole proves nothing.
    thought_ = {};
    return;
  }
  thought_.text += text;
  thought_.signature += signature;
}

std::string Answer::carried(std::uint32_t call) const {
  return call < calls_.size() ? calls_[call].carried : "";
}

void Answer::finish(std::string_view reason) {
  if (!reason.empty()) finish_reason_ = short_text(std::string(reason));
}

void Answer::fail(ProviderError error) {
  if (!error_.is_set()) error_ = std::move(error);
}

void Answer::set_model(std::string name) {
  if (model_.empty()) model_ = short_text(std::move(name));
}

AnswerPiece Answer::take_piece() { return std::exchange(piece_, {}); }

}  // namespace hearth::advisor
