#include "net/http_client.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/ascii.h"
#include "net/curl_failure.h"
#include "net/response_head.h"

namespace hearth::net {
namespace {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::string_view kLineBreaks{"\r\n\0", 3};
constexpr milliseconds kLongestWait{1'000};  // Between two looks at timeouts when nothing happens.

// One call in flight.  Lives on the client's thread.
class Transfer {
 public:
  Transfer(HttpPost request, std::shared_ptr<HttpSink> sink)
      : request_(std::move(request)), sink_(std::move(sink)), started_(SteadyClock::now()) {
    last_byte_ = started_;
  }
  ~Transfer() {
    curl_easy_cleanup(easy_);
    curl_slist_free_all(header_list_);
  }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  // Sets up curl's side; false with `refusal()` set if this request can't be sent.
  bool prepare();
  const std::string& refusal() const { return refusal_; }
  CURL* easy() const { return easy_; }

  // When this transfer times out if nothing more arrives.
  SteadyClock::time_point deadline() const {
    return has_bytes_ ? last_byte_ + request_.timeouts.idle
                      : started_ + request_.timeouts.first_byte;
  }
  std::string silence() const {
    return has_bytes_
               ? fmt::format("nothing more came within {} ms", request_.timeouts.idle.count())
               : fmt::format("no answer within {} ms", request_.timeouts.first_byte.count());
  }

  // Tells the sink, once, how it ended.
  void end(HttpFailure failure, std::string detail);
  void end_by_curl(CURLcode code);

 private:
  static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* self);
  static std::size_t on_data(char* data, std::size_t size, std::size_t count, void* self);
  std::size_t take_header(std::string_view line);
  std::size_t take_data(std::string_view piece);
  void give_head();
  bool may_have_sent() const;

  HttpPost request_;
  std::shared_ptr<HttpSink> sink_;
  SteadyClock::time_point started_, last_byte_;
  CURL* easy_ = nullptr;
  curl_slist* header_list_ = nullptr;
  char error_text_[CURL_ERROR_SIZE] = {};
  ResponseHeadReader head_;
  bool has_bytes_ = false;
  bool head_given_ = false;
  bool is_enough_ = false;  // For the sink.
  std::string refusal_;
  std::string too_large_;  // Says what exceeded its limit, once something has.
  std::uint64_t body_bytes_in_ = 0;
};

bool Transfer::prepare() {
  easy_ = curl_easy_init();
  if (easy_ == nullptr) {
    refusal_ = "out of memory for another call";
    return false;
  }
  for (const HttpHeader& header : request_.headers) {
    if ((header.name + header.value).find_first_of(kLineBreaks) != std::string::npos) {
      refusal_ = fmt::format("the header '{}' holds a line break", header.name);
      return false;
    }
    header_list_ = curl_slist_append(header_list_, (header.name + ": " + header.value).c_str());
  }
  // No "Expect: 100-continue": it costs a round trip and some servers ignore it for a second.
  header_list_ = curl_slist_append(header_list_, "Expect:");

  curl_easy_setopt(easy_, CURLOPT_URL, request_.url.c_str());
  curl_easy_setopt(easy_, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy_, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy_, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy_, CURLOPT_FRESH_CONNECT, 1L);
  curl_easy_setopt(easy_, CURLOPT_FORBID_REUSE, 1L);
  curl_easy_setopt(easy_, CURLOPT_HTTPHEADER, header_list_);
  if (!request_.is_get) {
    curl_easy_setopt(easy_, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request_.body.size()));
    curl_easy_setopt(easy_, CURLOPT_POSTFIELDS, request_.body.data());
  }
  if (request_.no_proxy) curl_easy_setopt(easy_, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(easy_, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(request_.timeouts.connect.count()));
  curl_easy_setopt(easy_, CURLOPT_TIMEOUT_MS, static_cast<long>(request_.timeouts.total.count()));
  curl_easy_setopt(easy_, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy_, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(easy_, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(easy_, CURLOPT_ERRORBUFFER, error_text_);
  curl_easy_setopt(easy_, CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  curl_easy_setopt(easy_, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(easy_, CURLOPT_WRITEFUNCTION, &Transfer::on_data);
  curl_easy_setopt(easy_, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(easy_, CURLOPT_PRIVATE, this);
  return true;
}

std::size_t Transfer::on_header(char* data, std::size_t size, std::size_t count, void* self) {
  return static_cast<Transfer*>(self)->take_header({data, size * count});
}

std::size_t Transfer::on_data(char* data, std::size_t size, std::size_t count, void* self) {
  return static_cast<Transfer*>(self)->take_data({data, size * count});
}

std::size_t Transfer::take_header(std::string_view line) {
  has_bytes_ = true;
  last_byte_ = SteadyClock::now();
  if (head_.take(line)) return line.size();
  too_large_ = fmt::format("the answer's headers exceed the limit of {} bytes",
                           ResponseHeadReader::kBytesMax);
  return 0;  // Any other count than the line's makes curl give up.
}

void Transfer::give_head() {
  if (std::exchange(head_given_, true)) return;
  long status = 0;
  curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
  head_.head().status = static_cast<int>(status);
  sink_->on_head(head_.head());
}

std::size_t Transfer::take_data(std::string_view piece) {
  has_bytes_ = true;
  last_byte_ = SteadyClock::now();
  give_head();
  const std::uint64_t room = request_.response_bytes_max - body_bytes_in_;
  const std::string_view fitting = piece.substr(0, std::min<std::uint64_t>(room, piece.size()));
  body_bytes_in_ += fitting.size();
  if (!fitting.empty() && !sink_->on_body(fitting)) {
    is_enough_ = true;
    return 0;
  }
  if (fitting.size() == piece.size()) return piece.size();
  too_large_ = fmt::format("the answer exceeds the limit of {} bytes", request_.response_bytes_max);
  return 0;
}

bool Transfer::may_have_sent() const {
  long request_bytes = 0;
  if (easy_ != nullptr) curl_easy_getinfo(easy_, CURLINFO_REQUEST_SIZE, &request_bytes);
  return request_bytes > 0;
}

void Transfer::end(HttpFailure failure, std::string detail) {
  sink_->on_end({.failure = failure,
                 .detail = std::move(detail),
                 .may_have_sent = may_have_sent(),
                 .body_bytes_in = body_bytes_in_});
}

void Transfer::end_by_curl(CURLcode code) {
  if (is_enough_) return end(HttpFailure::kNone, "");
  if (!too_large_.empty()) return end(HttpFailure::kTooLarge, too_large_);
  HttpFailure failure = failure_of(code);
  // curl calls an answer that is no HTTP an unsupported protocol, too.
  if (failure == HttpFailure::kConnect && may_have_sent()) failure = HttpFailure::kBroken;
  if (failure == HttpFailure::kNone) give_head();
  const std::string words = error_text_[0] != '\0' ? error_text_ : curl_easy_strerror(code);
  end(failure, failure == HttpFailure::kNone ? "" : words);
}

}  // namespace

const std::string* HttpResponseHead::find(std::string_view name) const {
  for (const HttpHeader& header : headers) {
    if (equal_ignoring_case(header.name, name)) return &header.value;
  }
  return nullptr;
}

// Other threads leave orders under the mutex and wake the client's thread, which owns the rest.
struct HttpClient::State {
  struct Order {
    HttpCallId call;
    std::unique_ptr<Transfer> transfer;  // Null: cancel `call`.
  };

  ~State() {
    if (multi != nullptr) curl_multi_cleanup(multi);
  }
  void run();
  void take_orders();
  void begin(HttpCallId call, std::unique_ptr<Transfer> transfer);
  void finish(HttpCallId call, HttpFailure failure, std::string detail);
  void finish_completed();
  void finish_silent();
  int wait_ms() const;

  std::mutex mutex;
  std::deque<Order> orders;
  std::uint64_t last_call = 0;
  bool stopping = false;

  CURLM* multi = nullptr;
  std::map<HttpCallId, std::unique_ptr<Transfer>> transfers;
  std::thread thread;
};

void HttpClient::State::run() {
  for (;;) {
    take_orders();
    {
      const std::lock_guard lock(mutex);
      if (stopping) break;
    }
    int n_running = 0;
    curl_multi_perform(multi, &n_running);
    finish_completed();
    finish_silent();
    curl_multi_poll(multi, nullptr, 0, wait_ms(), nullptr);
  }
  // What was posted meanwhile, also by sinks that were told of an end, ends the same way.
  for (bool is_done = false; !is_done;) {
    take_orders();
    while (!transfers.empty()) {
      finish(transfers.begin()->first, HttpFailure::kCancelled, "the client is shutting down");
    }
    const std::lock_guard lock(mutex);
    is_done = orders.empty();
  }
}

void HttpClient::State::take_orders() {
  std::deque<Order> taken;
  {
    const std::lock_guard lock(mutex);
    taken.swap(orders);
  }
  for (Order& order : taken) {
    if (order.transfer != nullptr) {
      begin(order.call, std::move(order.transfer));
    } else {
      finish(order.call, HttpFailure::kCancelled, "cancelled");
    }
  }
}

void HttpClient::State::begin(HttpCallId call, std::unique_ptr<Transfer> transfer) {
  if (!transfer->prepare() || curl_multi_add_handle(multi, transfer->easy()) != CURLM_OK) {
    return transfer->end(HttpFailure::kConnect, transfer->refusal());
  }
  transfers.emplace(call, std::move(transfer));
}

void HttpClient::State::finish(HttpCallId call, HttpFailure failure, std::string detail) {
  const auto found = transfers.find(call);
  if (found == transfers.end()) return;
  const std::unique_ptr<Transfer> transfer = std::move(found->second);
  transfers.erase(found);
  curl_multi_remove_handle(multi, transfer->easy());
  transfer->end(failure, std::move(detail));
}

void HttpClient::State::finish_completed() {
  int n_left = 0;
  while (const CURLMsg* const message = curl_multi_info_read(multi, &n_left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    CURL* const easy = message->easy_handle;
    const auto found = std::ranges::find_if(
        transfers, [&](const auto& entry) { return entry.second->easy() == easy; });
    HEARTH_CHECK(found != transfers.end());
    const std::unique_ptr<Transfer> transfer = std::move(found->second);
    transfers.erase(found);
    curl_multi_remove_handle(multi, easy);
    transfer->end_by_curl(code);
  }
}

void HttpClient::State::finish_silent() {
  const auto now = SteadyClock::now();
  std::vector<std::pair<HttpCallId, std::string>> silent;
  for (const auto& [call, transfer] : transfers) {
    if (now >= transfer->deadline()) silent.emplace_back(call, transfer->silence());
  }
  for (auto& [call, detail] : silent) finish(call, HttpFailure::kTimeout, std::move(detail));
}

int HttpClient::State::wait_ms() const {
  milliseconds wait = kLongestWait;
  const auto now = SteadyClock::now();
  for (const auto& [call, transfer] : transfers) {
    const auto left = std::chrono::ceil<milliseconds>(transfer->deadline() - now);
    wait = std::clamp(left, milliseconds{0}, wait);
  }
  return static_cast<int>(wait.count());
}

HttpClient::HttpClient(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<HttpClient>> HttpClient::create() {
  auto state = std::make_unique<State>();
  if (!initialise_curl() || (state->multi = curl_multi_init()) == nullptr) {
    return fail(Code::kInternal, "libcurl can't be initialised");
  }
  state->thread = std::thread([self = state.get()] { self->run(); });
  return std::unique_ptr<HttpClient>(new HttpClient(std::move(state)));
}

HttpClient::~HttpClient() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  curl_multi_wakeup(state_->multi);
  state_->thread.join();
}

HttpCallId HttpClient::post(HttpPost request, std::shared_ptr<HttpSink> sink) {
  auto transfer = std::make_unique<Transfer>(std::move(request), std::move(sink));
  HttpCallId call{};
  {
    const std::lock_guard lock(state_->mutex);
    call = HttpCallId{++state_->last_call};
    state_->orders.push_back({call, std::move(transfer)});
  }
  curl_multi_wakeup(state_->multi);
  return call;
}

void HttpClient::cancel(HttpCallId call) {
  {
    const std::lock_guard lock(state_->mutex);
    state_->orders.push_back({call, nullptr});
  }
  curl_multi_wakeup(state_->multi);
}

}  // namespace hearth::net
