// `hearth mcp`: an MCP server on standard input and output, for programs that start their servers themselves.
//
// Where a hub runs, messages go to it, so that models are loaded once for all.  Where none does, this process is
// one, as long as its input lasts.
#include <unistd.h>

#include <chrono>

#include "api/mcp/desk.h"
#include "cli/background.h"
#include "cli/kernel_services.h"
#include "cli/kernels.h"
#include "cli/mcp_lines.h"
#include "cli/mcp_proxy.h"
#include "cli/open_hub.h"
#include "cli/paths.h"
#include "cli/verbs.h"
#include "cli/version.h"
#include "ledger/ledger.h"
#include "server/worker_pool.h"

namespace hearth::cli {
namespace {

namespace mcp = api::mcp;

constexpr unsigned kThreads = 4;
constexpr std::size_t kQueueMax = 256;
constexpr const char* kClient = "mcp";  // Who asks.

class LineOutlet final : public mcp::Outlet {
 public:
  explicit LineOutlet(LineWriter& output) : output_(output) {}
  void notify(const std::string& message) override { output_.write(message); }
  void finish(const std::string& answer, unsigned) override {
    if (!answer.empty()) output_.write(answer);
  }
  void abandon() override {}

 private:
  LineWriter& output_;
};

Result<> answer_here(const Context& context, LineReader& input, LineWriter& output) {
  const auto consents = std::make_shared<advisor::ConsentDesk>(consent_options(context.config.privacy));
  HEARTH_TRY(const auto hub, open_hub(context.config, consents));
  HEARTH_TRY(const auto book, ledger::Ledger::open(ledger_file(), ledger::Ledger::Mode::kReadOnly));
  const auto kernels = open_kernel_desk(context.config, consents);
  server::WorkerPool workers(kThreads, kQueueMax);
  mcp::Desk desk({.hub = *hub,
                  .ledger = book.get(),
                  .kernels = kernels.get(),
                  .has_consent_desk = false,
                  .submit = [&workers](std::function<void()> task) { return workers.submit(std::move(task)); }},
                 std::string(kVersion));
  mcp::Session line;
  const auto outlet = std::make_shared<LineOutlet>(output);
  while (const auto text = input.next()) desk.take_line(*text, line, {.client = kClient, .headers = {}}, outlet);

  // Nobody waits for an answer any more.
  line.calls->cancel_all();
  workers.stop();
  line.calls->cancel_all();  // Of those that began meanwhile.
  hub->shutdown(std::chrono::milliseconds(0));
  return {};
}

}  // namespace

Result<> mcp_verb(const Context& context, const McpOptions& options) {
  LineReader input(STDIN_FILENO);
  LineWriter output;
  if (options.hub == "local") return answer_here(context, input, output);
  if (options.hub != "" && options.hub != "hub") return pass_on_mcp(options.hub, input, output);
  const auto running = find_running();
  if (running) return pass_on_mcp(running->url, input, output);
  if (options.hub == "hub") return std::unexpected(running.error());
  return answer_here(context, input, output);
}

}  // namespace hearth::cli
