// Questions to models, and their answers as they come.
#include <string_view>

#include "tensor.h"

struct hearth_answer {
  std::unique_ptr<hearth::client::Connection> connection;
  std::string piece;  // Of which `n_read` bytes have been read.
  std::size_t n_read = 0;
  std::string receipt;
  bool has_ended = false;
};

namespace hearth::client {
namespace {

using namespace compute::bridge;

std::string_view text_or(const char* text, std::string_view otherwise) { return text != nullptr ? std::string_view(text) : otherwise; }

// Takes the next piece in; at the answer's end `has_ended` is set instead.
Outcome<> take_piece(hearth_answer& answer) {
  auto message = answer.connection->hear();
  if (!message) {
    answer.has_ended = true;
    return std::unexpected(message.error());
  }
  if (message->header.kind == Kind::kPiece) {
    answer.piece = std::move(message->payload);
    answer.n_read = 0;
    return {};
  }
  answer.has_ended = true;
  PayloadReader reader(message->payload);
  answer.receipt = reader.get_text(reader.get<AskReply>().n_receipt, kNameBytesMax);
  if (!reader.is_whole()) return failed(HEARTH_CORRUPT, "the hub's answer breaks its format");
  return {};
}

}  // namespace
}  // namespace hearth::client

using namespace hearth::client;
using namespace hearth::compute::bridge;

hearth_status hearth_ask(hearth_context* context, const hearth_question* question, hearth_answer** answer) {
  return guarded([&]() -> Outcome<> {
    const hearth_question given = read_struct(question);
    if (context == nullptr || answer == nullptr || given.prompt == nullptr) return failed(HEARTH_INVALID, "hearth_ask was given a null pointer");
    const std::string_view model = text_or(given.model, "auto"), system = text_or(given.system, ""), prompt = given.prompt;
    if (model.size() > kNameBytesMax || system.size() + prompt.size() > kTextBytesMax) {
      return failed(HEARTH_INVALID, "a question has at most " + std::to_string(kTextBytesMax) + " bytes");
    }
    auto made = std::make_unique<hearth_answer>();
    HEARTH_TRY(made->connection, context->link->open_aside());
    const AskAsk ask{given.max_tokens, static_cast<std::uint32_t>(model.size()), static_cast<std::uint32_t>(system.size()),
                     static_cast<std::uint32_t>(prompt.size())};
    HEARTH_TRY_VOID(made->connection->say(Kind::kAsk, PayloadWriter().put(ask).put_text(model).put_text(system).put_text(prompt).bytes()));
    *answer = made.release();
    return {};
  });
}

hearth_status hearth_read(hearth_answer* answer, char* buffer, size_t capacity, size_t* n_bytes) {
  return guarded([&]() -> Outcome<> {
    if (answer == nullptr || buffer == nullptr || n_bytes == nullptr || capacity == 0) return failed(HEARTH_INVALID, "hearth_read was given a null pointer");
    *n_bytes = 0;
    while (answer->n_read == answer->piece.size() && !answer->has_ended) {
      HEARTH_TRY_VOID(take_piece(*answer));
    }
    *n_bytes = answer->piece.copy(buffer, capacity, answer->n_read);
    answer->n_read += *n_bytes;
    return {};
  });
}

const char* hearth_answer_receipt(const hearth_answer* answer) { return answer->receipt.c_str(); }
void hearth_answer_close(hearth_answer* answer) { delete answer; }
