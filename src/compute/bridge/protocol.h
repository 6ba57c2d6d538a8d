// What libhearth and the hub say to one another over the bridge's Unix socket.
//
// A message is a fixed header, a fixed struct for its kind, and texts whose lengths that struct names.
// Descriptors travel with the header.  The socket carries agreements only: memory, kernels, bound
// calls.  Tensors lie in shared memory, and runs go through a shared page (sandbox/run_channel.h).
//
// The client asks and waits for the one reply; an answer of a model comes as pieces before it.  Asks
// that take long (building, chat) go over connections of their own, so that nothing waits behind them.
//
// Both ends are on one machine, so numbers are in its own byte order; a client of another build is
// told so by the version.  All that comes from the other end is untrusted: the parsers below check
// every count, length and number against the limits here (message_fuzz.cpp).
//
// This file and message_socket.h are compiled into libhearth too: they use the standard library alone.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"

namespace hearth::compute::bridge {

inline constexpr std::uint32_t kMagic = 0x31524248;  // "HBR1"
inline constexpr std::uint16_t kVersion = 1;

inline constexpr std::uint32_t kTextBytesMax = 1 << 20;     // HEARTH_TEXT_MAX
inline constexpr std::uint32_t kPayloadBytesMax = (1 << 20) + (64 << 10);
inline constexpr std::uint16_t kDescriptorsMax = 2;
inline constexpr std::uint32_t kNameBytesMax = 256;         // Of a kernel, a key, a model, a receipt's id.
inline constexpr std::uint32_t kValuesMax = 16;             // HEARTH_VALUES_MAX
inline constexpr std::uint32_t kRankMax = 8;                // HEARTH_RANK_MAX
inline constexpr std::uint32_t kClientBytesMax = 64;

enum class Kind : std::uint16_t {
  kHello = 1,
  kAllocate = 2,
  kFree = 3,
  kOpenKernel = 4,
  kCloseKernel = 5,
  kBind = 6,
  kUnbind = 7,
  kOpenLane = 8,
  kReplaceWorker = 9,
  kListKernels = 10,
  kRoofs = 11,
  kBuild = 12,
  kCheck = 13,
  kAsk = 14,
  kComplete = 15,
  kReply = 100,
  kPiece = 101,  // Of an answer: text.
};

struct MessageHeader {
  std::uint32_t magic = kMagic;
  std::uint16_t version = kVersion;
  Kind kind = Kind::kHello;
  std::uint32_t n_bytes = 0;  // Of the payload.
  std::uint16_t n_descriptors = 0;
  std::uint16_t status = 0;  // Of a reply: 0, or 1 + Code; then the payload is a sentence.
};
static_assert(sizeof(MessageHeader) == 16 && std::is_trivially_copyable_v<MessageHeader>);

// kCorrupt unless magic, version, kind, lengths and status are within their limits.
Result<> check_header(const MessageHeader& header);

struct HelloAsk {
  std::uint32_t version = kVersion;
  std::uint32_t n_client = 0;  // Bytes of the client's name, which follows.
};
struct HelloReply {
  std::uint32_t version = kVersion;
  std::uint32_t n_threads = 0;        // Of the hub's kernels.
  std::uint64_t pool_bytes_max = 0;
  std::uint64_t run_ns_max = 0;
  std::uint64_t recycle_bytes_max = 0;  // Of freed memory that a client may keep for tensors to come.
};

// Blocks are numbered by the hub, per connection; whole pages.
struct AllocateAsk {
  std::uint64_t n_bytes = 0;
};
struct AllocateReply {  // With the memory's descriptor.
  std::uint64_t block = 0;
  std::uint64_t n_bytes = 0;
};
struct FreeAsk {
  std::uint64_t block = 0;
};

// Who runs a kernel, and so through which shared page.
enum class Place : std::uint32_t { kHub = 0, kWorker = 1 };
inline constexpr std::size_t kPlaces = 2;

struct OpenKernelAsk {
  std::uint32_t n_name = 0;  // A name, or a contract's key in hexadecimal.
  std::uint32_t reserved = 0;
};
struct KernelReply {  // Then: name, key, signature, receipt.
  std::uint64_t kernel = 0;
  Place place = Place::kHub;
  std::uint32_t is_verified = 0;
  std::uint32_t n_name = 0, n_key = 0, n_signature = 0, n_receipt = 0;
  double compile_s = 0;
};
struct CloseKernelAsk {
  std::uint64_t kernel = 0;
};

enum class ValueKind : std::uint32_t { kMissing = 0, kTensor = 1, kInteger = 2, kReal = 3 };  // As hearth_value_kind.
struct WireValue {
  ValueKind kind = ValueKind::kTensor;
  std::uint32_t type = 0;  // hearth_type
  std::uint32_t rank = 0;
  std::uint32_t reserved = 0;
  std::uint64_t block = 0;
  std::uint64_t offset = 0;  // Bytes from the block's beginning to the first element.
  std::array<std::int64_t, kRankMax> shape{};
  std::array<std::int64_t, kRankMax> strides{};  // In elements, not negative.
  std::int64_t integer = 0;
  double real = 0;

  bool operator==(const WireValue&) const = default;
};
struct BindAsk {  // Of kBind and kComplete.  Then: n_values of WireValue.
  std::uint64_t kernel = 0;
  std::uint32_t n_values = 0;
  std::uint32_t reserved = 0;
};
// A call that was checked and needs only to be run: `run` goes into the lane's page as it is.
struct BindReply {
  std::uint64_t call = 0;
  std::uint32_t written = 0;  // A bit for each value that the kernel writes.
  std::uint32_t n_run = 0;    // Bytes of the sandbox::RunRequest that follows.
  double flops = 0, bytes = 0;
};
// What was missing: types and shapes of tensors without memory, and numbers.
struct CompleteReply {  // Then: n_values of WireValue.
  std::uint32_t n_values = 0;
  std::uint32_t reserved = 0;
};
struct UnbindAsk {
  std::uint64_t call = 0;
};

struct OpenLaneAsk {
  Place place = Place::kHub;
  std::uint32_t reserved = 0;
};
// Why a worker is not there any more.
enum class Ending : std::uint32_t { kNone = 0, kFault = 1, kDeadline = 2, kReplaced = 3 };
struct LaneReply {  // With the page's descriptor and, for a worker, its pidfd.  Then: how the last worker ended.
  std::uint32_t generation = 0;  // Of the worker: bound calls belong to one.
  Ending ending = Ending::kNone;
  std::uint32_t n_reason = 0;
  std::uint32_t reserved = 0;
};
struct ReplaceWorkerAsk {  // Nothing happens if the worker is a newer one already.
  std::uint32_t generation = 0;
  std::uint32_t reserved = 0;
};

struct ListReply {
  std::uint32_t n_text = 0;
  std::uint32_t reserved = 0;
};
struct RoofsReply {
  std::uint32_t n_threads = 0;
  std::uint32_t reserved = 0;
  double gflops_f32 = 0, gflops_f64 = 0, gbps_read = 0, gbps_stream = 0;
};

enum class SourceKind : std::uint32_t { kContract = 2, kProse = 3 };  // As hearth_source_kind.
struct BuildAsk {
  SourceKind kind = SourceKind::kContract;
  std::uint32_t n_text = 0;
};
struct BuildReply {  // Then: the key.
  std::uint32_t is_cached = 0;
  std::uint32_t n_key = 0;
  double compile_s = 0;
};
struct CheckAsk {
  std::uint64_t seed = 0;
  std::uint32_t n_key = 0;
  std::uint32_t reserved = 0;
};
struct CheckReply {
  std::uint32_t n_checks = 0;
  std::uint32_t reserved = 0;
  double error_ulps = 0;
};
struct AskAsk {  // Then: model, system, prompt.
  std::uint32_t max_tokens = 0;
  std::uint32_t n_model = 0, n_system = 0, n_prompt = 0;
};
struct AskReply {  // Then: the receipt's id.
  std::uint32_t n_receipt = 0;
  std::uint32_t reserved = 0;
};

// Writes a payload: the struct, then texts in order.
class PayloadWriter {
 public:
  template <class Struct>
  PayloadWriter& put(const Struct& fixed) {
    static_assert(std::is_trivially_copyable_v<Struct>);
    return put_text({reinterpret_cast<const char*>(&fixed), sizeof fixed});
  }
  PayloadWriter& put_text(std::string_view text) {
    bytes_.insert(bytes_.end(), text.begin(), text.end());
    return *this;
  }
  std::string_view bytes() const { return {bytes_.data(), bytes_.size()}; }

 private:
  std::vector<char> bytes_;
};

// Reads a payload front to back; once something was missing or too long, is_good() stays false and
// everything reads as empty.
class PayloadReader {
 public:
  explicit PayloadReader(std::string_view bytes) : rest_(bytes) {}

  template <class Struct>
  Struct get() {
    static_assert(std::is_trivially_copyable_v<Struct>);
    Struct fixed{};
    if (const std::string_view bytes = take(sizeof fixed); !bytes.empty()) {
      std::memcpy(static_cast<void*>(&fixed), bytes.data(), sizeof fixed);
    }
    return fixed;
  }
  std::string_view get_text(std::uint32_t n_bytes, std::uint32_t n_bytes_max) {
    if (n_bytes > n_bytes_max) is_good_ = false;
    return take(n_bytes);
  }
  bool is_good() const { return is_good_; }
  bool is_whole() const { return is_good_ && rest_.empty(); }  // All was read and nothing is left.

 private:
  std::string_view take(std::size_t n_bytes) {
    if (!is_good_ || n_bytes > rest_.size()) {
      is_good_ = false;
      return {};
    }
    const std::string_view taken = rest_.substr(0, n_bytes);
    rest_.remove_prefix(n_bytes);
    return taken;
  }

  std::string_view rest_;
  bool is_good_ = true;
};

// The asks that carry more than a struct, as the hub reads them.  Views borrow from the payload.
// kCorrupt names the kind; every count and length has been held against its limit.
struct NamedAsk {
  std::string_view name;
};
struct BoundAsk {
  std::uint64_t kernel = 0;
  std::vector<WireValue> values;
};
struct TextAsk {
  SourceKind kind = SourceKind::kContract;
  std::string_view text;
};
struct CheckKeyAsk {
  std::uint64_t seed = 0;
  std::string_view key;
};
struct QuestionAsk {
  std::uint32_t max_tokens = 0;
  std::string_view model, system, prompt;
};
Result<NamedAsk> parse_hello(std::string_view payload);
Result<NamedAsk> parse_open_kernel(std::string_view payload);
Result<BoundAsk> parse_bind(std::string_view payload);
Result<TextAsk> parse_build(std::string_view payload);
Result<CheckKeyAsk> parse_check(std::string_view payload);
Result<QuestionAsk> parse_question(std::string_view payload);
Result<Place> parse_open_lane(std::string_view payload);

// A payload that is one struct of plain numbers.
template <class Struct>
Result<Struct> parse_plain(std::string_view payload) {
  PayloadReader reader(payload);
  const Struct fixed = reader.get<Struct>();
  if (!reader.is_whole()) {
    return fail(Code::kCorrupt, "a message of the bridge has " + std::to_string(payload.size()) + " bytes where " +
                                    std::to_string(sizeof(Struct)) + " belong");
  }
  return fixed;
}

// Bytes of an element of a hearth_type; 0: there is no such type.
constexpr std::uint32_t element_bytes(std::uint32_t type) {
  constexpr std::array<std::uint32_t, 11> kBytes = {0, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8};  // As compute::ElementType.
  return type < kBytes.size() ? kBytes[type] : 0;
}

// How far elements reach behind the first, in bytes, with the last one's own; 0 for a tensor without
// elements.  kInvalidArgument: a rank, a type, an extent or a stride is out of its limits, or the sum
// overflows.
Result<std::uint64_t> reach_bytes(const WireValue& tensor);

}  // namespace hearth::compute::bridge
