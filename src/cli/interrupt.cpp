#include "cli/interrupt.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace hearth::cli {
namespace {

std::atomic<int> pressed = 0;
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may touch it");

// Readable soon after each press, until it is taken; and once more where it was taken before the handler was done,
// which is nobody's press: `pressed` alone says whether there was one.
int event = -1;

extern "C" void on_interrupt(int) {
  if (pressed.fetch_add(1) >= 1) ::_exit(130);
  const std::uint64_t one = 1;
  if (::write(event, &one, sizeof one) < 0) return;  // The flag says it still.
}

}  // namespace

void watch_interrupts() {
  if (event < 0) event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigemptyset(&action.sa_mask);
  // No SA_RESTART: a blocked read of a line returns, so that the prompt can start afresh.
  ::sigaction(SIGINT, &action, nullptr);
}

bool take_interrupt() {
  std::uint64_t n = 0;
  if (::read(event, &n, sizeof n) < 0) n = 0;
  return pressed.exchange(0) > 0;
}

int interrupt_descriptor() { return event; }

}  // namespace hearth::cli
