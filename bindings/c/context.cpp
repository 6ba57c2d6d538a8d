// Contexts, and the machine's roofs.
#include <cerrno>

#include "tensor.h"

using namespace hearth::client;

hearth_status hearth_open(const hearth_options* options, hearth_context** context) {
  return guarded([&]() -> Outcome<> {
    if (context == nullptr) return failed(HEARTH_INVALID, "hearth_open was given a null pointer");
    const hearth_options given = read_struct(options);
    const std::string client = given.client != nullptr ? given.client : program_invocation_short_name;
    HEARTH_TRY(auto link, Link::open(given.socket != nullptr ? given.socket : "", client));
    *context = new hearth_context{std::move(link)};
    return {};
  });
}

void hearth_close(hearth_context* context) {
  if (context == nullptr) return;
  context->link->close();
  delete context;
}

hearth_status hearth_measure_roofs(hearth_context* context, hearth_roofs* roofs) {
  return guarded([&]() -> Outcome<> {
    if (context == nullptr || roofs == nullptr) return failed(HEARTH_INVALID, "hearth_measure_roofs was given a null pointer");
    HEARTH_TRY(const auto connection, context->link->open_aside());
    HEARTH_TRY(const Message reply, connection->ask(Kind::kRoofs, {}));
    HEARTH_TRY(const auto measured, outcome_of(hearth::compute::bridge::parse_plain<hearth::compute::bridge::RoofsReply>(reply.payload)));
    context->link->keep_roofs(measured);
    hearth_roofs made{};
    made.n_threads = measured.n_threads;
    made.gflops_f32 = measured.gflops_f32;
    made.gflops_f64 = measured.gflops_f64;
    made.gbps_read = measured.gbps_read;
    made.gbps_stream = measured.gbps_stream;
    write_struct(made, roofs);
    return {};
  });
}
