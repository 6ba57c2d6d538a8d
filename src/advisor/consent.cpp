#include "advisor/consent.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "advisor/append_line.h"
#include "base/file.h"
#include "base/log.h"

namespace hearth::advisor {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kRememberedBytesMax = std::size_t{4} << 20;
constexpr std::chrono::seconds kIdleWait{3'600};

// Not to be guessed by a client that was not told.
std::string make_id() {
  std::random_device random;
  return fmt::format("c-{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

bool is_same_kind(const RememberedConsent& a, const RememberedConsent& b) {
  return a.client == b.client && a.provider == b.provider && a.gives == b.gives && a.rule == b.rule && a.policy == b.policy;
}

RememberedConsent read_line(std::string_view line) {
  const auto json = nlohmann::json::parse(line, nullptr, false);
  RememberedConsent read;
  if (!json.is_object()) return read;
  const auto text = [&](const char* key) {
    const auto found = json.find(key);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  const auto at = json.find("at_unix_us"), policy = json.find("policy"), allowed = json.find("allowed");
  const bool is_whole = at != json.end() && at->is_number_integer() && policy != json.end() && policy->is_number_unsigned() &&
                        allowed != json.end() && allowed->is_boolean();
  if (!is_whole) return read;
  return {.at_unix_us = at->get<std::int64_t>(), .client = text("client"), .provider = text("provider"),
          .gives = text("class"), .rule = text("rule"), .policy = policy->get<std::uint64_t>(),
          .is_allowed = allowed->get<bool>()};
}

std::string line_of(const RememberedConsent& consent) {
  return nlohmann::ordered_json{{"at_unix_us", consent.at_unix_us}, {"client", consent.client},
                                {"provider", consent.provider},     {"class", consent.gives},
                                {"rule", consent.rule},             {"policy", consent.policy},
                                {"allowed", consent.is_allowed}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void put_latest(std::vector<RememberedConsent>& list, RememberedConsent consent) {
  std::erase_if(list, [&](const RememberedConsent& other) { return is_same_kind(other, consent); });
  list.push_back(std::move(consent));
}

}  // namespace

std::vector<RememberedConsent> read_remembered_consents(const std::filesystem::path& file) {
  std::vector<RememberedConsent> list;
  const auto text = read_file(file, kRememberedBytesMax);
  if (!text) return list;
  for (std::size_t at = 0; at < text->size();) {
    const std::size_t end = std::min(text->find('\n', at), text->size());
    RememberedConsent consent = read_line(std::string_view(*text).substr(at, end - at));
    if (consent.at_unix_us != 0) put_latest(list, std::move(consent));  // Else the line is torn.
    at = end + 1;
  }
  return list;
}

ConsentDesk::ConsentDesk(ConsentOptions options, const Clock& clock)
    : options_(std::move(options)), clock_(clock), thread_([this] { watch(); }) {}

ConsentDesk::~ConsentDesk() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

std::string ConsentDesk::ask(ConsentNeed need, Departure departure, const OnPending& on_pending, Done done) {
  std::unique_lock lock(mutex_);
  if (std::optional<ConsentEnd> end = end_at_once(need, departure.provider)) {
    lock.unlock();
    done(*std::move(end));
    return "";
  }
  departure.consent = make_id();
  departure.expires_unix_us =
      clock_.now_unix_us() + std::chrono::duration_cast<std::chrono::microseconds>(options_.wait).count();
  const auto pending = std::make_shared<const Departure>(std::move(departure));
  waiting_.emplace(pending->consent, Waiting{std::move(need), pending, std::move(done),
                                             SteadyClock::now() + options_.wait, ++last_number_});
  changed_.notify_all();
  lock.unlock();
  on_pending(pending);
  return pending->consent;
}

void ConsentDesk::withdraw(const std::string& id) {
  Done done;
  {
    const std::lock_guard lock(mutex_);
    const auto found = waiting_.find(id);
    if (found == waiting_.end()) return;
    done = std::move(found->second.done);
    waiting_.erase(found);
  }
  done({false, "the question was withdrawn"});
}

std::vector<DeparturePtr> ConsentDesk::pending(std::string_view client) const {
  const std::lock_guard lock(mutex_);
  std::vector<const Waiting*> own;
  for (const auto& [id, waiting] : waiting_) {
    if (waiting.need.client == client) own.push_back(&waiting);
  }
  std::ranges::sort(own, {}, &Waiting::number);
  std::vector<DeparturePtr> list;
  for (const Waiting* const waiting : own) list.push_back(waiting->departure);
  return list;
}

Result<> ConsentDesk::answer(std::string_view id, std::string_view client, bool is_allowed, bool is_remembered) {
  Waiting answered;
  {
    const std::lock_guard lock(mutex_);
    const auto found = waiting_.find(id);
    if (found == waiting_.end() || found->second.need.client != client) {
      return fail(Code::kNotFound, fmt::format("no call of yours waits for the consent '{}': it was answered, or nobody "
                                               "answered in time, which is a no", id.substr(0, 64)));
    }
    answered = std::move(found->second);
    waiting_.erase(found);
    if (is_remembered) remember(answered, is_allowed);
  }
  const std::string& rule = answered.need.rule;
  answered.done({is_allowed, fmt::format("{} by {}{}", is_allowed ? "allowed" : "refused", client,
                                         is_remembered ? fmt::format(", for all of rule '{}'", rule) : "")});
  return {};
}

// ---- Remembered answers; under the lock ----------------------------------------------------------

std::optional<ConsentEnd> ConsentDesk::end_at_once(const ConsentNeed& need, const std::string& provider) {
  load_if_changed();
  if (const RememberedConsent* const known = find_remembered(need, provider)) {
    const char* const what = known->is_allowed ? "allowed" : "refused";
    return ConsentEnd{known->is_allowed, fmt::format("{} by {} for all of rule '{}'", what, need.client, need.rule)};
  }
  if (!is_stopping_ && waiting_.size() < kConsentsMax) return std::nullopt;
  return ConsentEnd{false, fmt::format("{} calls wait for consent already, and more may not", waiting_.size())};
}

void ConsentDesk::load_if_changed() {
  if (options_.remembered.empty()) return;
  std::error_code error;
  const auto changed_at = std::filesystem::last_write_time(options_.remembered, error);
  if (error) {  // There is none, or no longer.
    if (std::exchange(loaded_at_, {}) != std::filesystem::file_time_type{}) remembered_.clear();
    return;
  }
  if (changed_at == loaded_at_) return;
  loaded_at_ = changed_at;
  remembered_ = read_remembered_consents(options_.remembered);
}

const RememberedConsent* ConsentDesk::find_remembered(const ConsentNeed& need, const std::string& provider) {
  const RememberedConsent wanted{.at_unix_us = 0, .client = need.client, .provider = provider, .gives = need.gives,
                                 .rule = need.rule, .policy = need.policy};
  const auto found = std::ranges::find_if(remembered_, [&](const auto& known) { return is_same_kind(known, wanted); });
  return found == remembered_.end() ? nullptr : &*found;
}

void ConsentDesk::remember(const Waiting& waiting, bool is_allowed) {
  RememberedConsent consent{.at_unix_us = clock_.now_unix_us(), .client = waiting.need.client,
                            .provider = waiting.departure->provider, .gives = waiting.need.gives,
                            .rule = waiting.need.rule, .policy = waiting.need.policy, .is_allowed = is_allowed};
  if (!options_.remembered.empty()) {
    if (const auto appended = append_line(options_.remembered, line_of(consent)); !appended) {
      log_error("advisor", fmt::format("a consent is remembered until the end of the program alone: {}",
                                       appended.error().message));
    }
  }
  put_latest(remembered_, std::move(consent));
}

// ---- The thread that refuses what nobody answers ---------------------------------------------------

void ConsentDesk::watch() {
  std::unique_lock lock(mutex_);
  while (!is_stopping_ || !waiting_.empty()) {
    auto next = SteadyClock::now() + kIdleWait;
    for (const auto& [id, waiting] : waiting_) next = std::min(next, waiting.until);
    if (!is_stopping_) changed_.wait_until(lock, next);
    std::vector<Done> late;
    for (auto at = waiting_.begin(); at != waiting_.end();) {
      const bool is_late = is_stopping_ || at->second.until <= SteadyClock::now();
      if (is_late) late.push_back(std::move(at->second.done));
      at = is_late ? waiting_.erase(at) : std::next(at);
    }
    lock.unlock();
    for (const Done& done : late) {
      done({false, fmt::format("nobody agreed within {} s", std::chrono::ceil<std::chrono::seconds>(options_.wait).count())});
    }
    late.clear();
    lock.lock();
  }
}

}  // namespace hearth::advisor
