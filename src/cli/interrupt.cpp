#include "cli/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

namespace hearth::cli {
namespace {

std::atomic<int> pressed = 0;
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may touch it");

extern "C" void on_interrupt(int) {
  if (pressed.fetch_add(1) >= 1) ::_exit(130);
}

}  // namespace

void watch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigemptyset(&action.sa_mask);
  // No SA_RESTART: a blocked read of a line returns, so that the prompt can start afresh.
  ::sigaction(SIGINT, &action, nullptr);
}

bool take_interrupt() { return pressed.exchange(0) > 0; }

bool is_interrupted() { return pressed.load() > 0; }

}  // namespace hearth::cli
