#include "ledger/egress_row.h"

#include <array>
#include <cstddef>
#include <span>

namespace hearth::ledger {
namespace {

constexpr std::string_view kFirstDomain = "hearth-egress-v1\n";
constexpr std::string_view kDomain = "hearth-egress-v2\n";

// Feeds fields in the canonical form: integers as 8 bytes, big-endian, two's complement; texts and
// blobs as their length in that form, then their bytes.
class Canonical {
 public:
  Canonical& integer(std::int64_t value) {
    std::array<std::byte, 8> bytes;
    for (std::size_t i = 0; i < 8; ++i) {
      bytes[i] = static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (56 - 8 * i));
    }
    stream_.update(bytes);
    return *this;
  }
  Canonical& text(std::string_view bytes) {
    integer(static_cast<std::int64_t>(bytes.size()));
    stream_.update(bytes);
    return *this;
  }
  Canonical& raw(std::span<const std::byte> bytes) {
    stream_.update(bytes);
    return *this;
  }
  Sha256 finish() { return stream_.finish(); }

 private:
  Sha256Stream stream_;
};

}  // namespace

Sha256 canonical_hash(const EgressRow& row) {
  Canonical form;
  form.raw(std::as_bytes(std::span(row.cache_write_tokens ? kDomain : kFirstDomain)));
  form.raw(std::as_bytes(std::span(row.prev_hash)));
  form.integer(row.seq).text(row.kind).integer(row.call_seq).integer(row.at_unix_us);
  form.text(row.request_id).text(row.provider).text(row.url).text(row.model);
  form.text(row.headers).text(row.body).text(row.rule).integer(row.reserved_usd_micro);
  form.integer(row.charged_usd_micro).integer(row.reported_usd_micro);
  form.integer(row.prompt_tokens).integer(row.cached_tokens).integer(row.completion_tokens);
  form.integer(row.http_status).text(row.outcome).integer(row.bytes_in).text(row.response_sha256);
  if (row.cache_write_tokens) form.integer(*row.cache_write_tokens);
  return form.finish();
}

}  // namespace hearth::ledger
