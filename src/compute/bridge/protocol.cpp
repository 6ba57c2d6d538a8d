#include "compute/bridge/protocol.h"

namespace hearth::compute::bridge {
namespace {

std::unexpected<Error> broken(const char* kind) {
  return fail(Code::kCorrupt, std::string("a message of the bridge breaks its format: ") + kind);
}

}  // namespace

Result<> check_header(const MessageHeader& header) {
  if (header.magic != kMagic) return broken("it begins with other bytes than a message does");
  if (header.version != kVersion) {
    return fail(Code::kUnsupported, "the other end speaks version " + std::to_string(header.version) +
                                        " of the bridge, this one " + std::to_string(kVersion) +
                                        ": install the same release of hub and library");
  }
  const auto kind = static_cast<std::uint16_t>(header.kind);
  const bool is_ask = kind >= static_cast<std::uint16_t>(Kind::kHello) && kind <= static_cast<std::uint16_t>(Kind::kComplete);
  if (!is_ask && header.kind != Kind::kReply && header.kind != Kind::kPiece) return broken("no such kind");
  if (header.n_bytes > kPayloadBytesMax) return broken("its payload is too long");
  if (header.n_descriptors > kDescriptorsMax) return broken("it has too many descriptors");
  if (header.status > 1 + static_cast<std::uint16_t>(Code::kInternal)) return broken("no such status");
  return {};
}

Result<NamedAsk> parse_hello(std::string_view payload) {
  PayloadReader reader(payload);
  const auto fixed = reader.get<HelloAsk>();
  const NamedAsk ask{reader.get_text(fixed.n_client, kClientBytesMax)};
  if (!reader.is_whole()) return broken("hello");
  return ask;
}

Result<NamedAsk> parse_open_kernel(std::string_view payload) {
  PayloadReader reader(payload);
  const auto fixed = reader.get<OpenKernelAsk>();
  const NamedAsk ask{reader.get_text(fixed.n_name, kNameBytesMax)};
  if (!reader.is_whole()) return broken("open kernel");
  return ask;
}

Result<BoundAsk> parse_bind(std::string_view payload) {
  PayloadReader reader(payload);
  const auto fixed = reader.get<BindAsk>();
  if (fixed.n_values > kValuesMax) return broken("bind");
  BoundAsk ask{fixed.kernel, {}};
  for (std::uint32_t i = 0; i < fixed.n_values; ++i) ask.values.push_back(reader.get<WireValue>());
  if (!reader.is_whole()) return broken("bind");
  for (const WireValue& value : ask.values) {
    if (value.kind > ValueKind::kReal) return broken("a value of bind");
    if (value.kind == ValueKind::kTensor && value.rank > kRankMax) return broken("a tensor of bind");
  }
  return ask;
}

Result<TextAsk> parse_build(std::string_view payload) {
  PayloadReader reader(payload);
  const auto fixed = reader.get<BuildAsk>();
  const TextAsk ask{fixed.kind, reader.get_text(fixed.n_text, kTextBytesMax)};
  const bool is_kind = ask.kind == SourceKind::kContract || ask.kind == SourceKind::kProse;
  if (!reader.is_whole() || !is_kind) return broken("build");
  return ask;
}

Result<CheckKeyAsk> parse_check(std::string_view payload) {
  PayloadReader reader(payload);
  const auto fixed = reader.get<CheckAsk>();
  const CheckKeyAsk ask{fixed.seed, reader.get_text(fixed.n_key, kNameBytesMax)};
  if (!reader.is_whole()) return broken("check");
  return ask;
}

Result<QuestionAsk> parse_question(std::string_view payload) {
  PayloadReader reader(payload);
  const auto fixed = reader.get<AskAsk>();
  QuestionAsk ask;
  ask.max_tokens = fixed.max_tokens;
  ask.model = reader.get_text(fixed.n_model, kNameBytesMax);
  ask.system = reader.get_text(fixed.n_system, kTextBytesMax);
  ask.prompt = reader.get_text(fixed.n_prompt, kTextBytesMax);
  if (!reader.is_whole()) return broken("question");
  return ask;
}

Result<Place> parse_open_lane(std::string_view payload) {
  HEARTH_TRY(const auto ask, parse_plain<OpenLaneAsk>(payload));
  if (static_cast<std::size_t>(ask.place) >= kPlaces) return broken("open lane");
  return ask.place;
}

Result<std::uint64_t> reach_bytes(const WireValue& tensor) {
  const std::uint32_t bytes = element_bytes(tensor.type);
  if (bytes == 0) return fail(Code::kInvalidArgument, "a tensor has type " + std::to_string(tensor.type) + ", which there is not");
  if (tensor.rank > kRankMax) {
    return fail(Code::kInvalidArgument, "a tensor has " + std::to_string(tensor.rank) + " dimensions, at most " +
                                            std::to_string(kRankMax) + " are supported");
  }
  constexpr std::uint64_t kReachMax = std::uint64_t{1} << 47;  // What a process can address at all.
  std::uint64_t reach = bytes;
  bool is_empty = false;
  for (std::uint32_t i = 0; i < tensor.rank; ++i) {
    const std::int64_t extent = tensor.shape[i];
    const std::int64_t stride = tensor.strides[i];
    if (extent < 0) return fail(Code::kInvalidArgument, "a tensor has a negative extent");
    if (extent == 0) is_empty = true;
    if (extent <= 1) continue;  // Its stride is never walked.
    if (stride < 0) {
      return fail(Code::kUnsupported, "a tensor has a negative stride: flip it, or copy it, before it is passed");
    }
    std::uint64_t step = 0;
    if (__builtin_mul_overflow(static_cast<std::uint64_t>(extent - 1), static_cast<std::uint64_t>(stride), &step) ||
        __builtin_mul_overflow(step, std::uint64_t{bytes}, &step) || __builtin_add_overflow(reach, step, &reach) ||
        reach > kReachMax) {
      return fail(Code::kInvalidArgument, "a tensor reaches further than memory can");
    }
  }
  return is_empty ? 0 : reach;
}

}  // namespace hearth::compute::bridge
