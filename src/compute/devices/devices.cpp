#include "compute/devices/devices.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace hearth::compute {

// A device, and who waits for it: first come, first served.
struct Devices::Owner {
  Owner(const DeviceRow& row, const DevicesOptions& options)
      : process(row, options.command, "serve", options.n_threads) {}

  std::mutex mutex;  // Guards the line.
  std::condition_variable changed;
  std::deque<const Turn*> line;  // The first has the device.
  DeviceProcess process;         // Of who has the device.

  std::mutex look_mutex;  // Guards `seen`; held while a process looks, which runs don't wait for.
  std::optional<Result<DeviceInfo>> seen;
};

// A place in the line, while it lives.
class Devices::Turn {
 public:
  explicit Turn(Owner& owner) : owner_(owner) {
    const std::lock_guard lock(owner_.mutex);
    owner_.line.push_back(this);
  }
  ~Turn() {
    const std::lock_guard lock(owner_.mutex);
    std::erase(owner_.line, this);
    owner_.changed.notify_all();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  Result<> wait(const StillWanted& still_wanted) const {
    constexpr std::chrono::milliseconds kLookAgain{2};
    std::unique_lock lock(owner_.mutex);
    while (
        !owner_.changed.wait_for(lock, kLookAgain, [&] { return owner_.line.front() == this; })) {
      if (!is_wanted(still_wanted)) return fail(Code::kCancelled, "nobody wants the run any more");
    }
    return {};
  }

 private:
  Owner& owner_;
};

Devices::Devices(DevicesOptions options) : options_(std::move(options)) {
  for (const DeviceRow& row : device_rows())
    owners_.emplace(&row, std::make_unique<Owner>(row, options_));
}

Devices::~Devices() = default;

Devices::Owner& Devices::owner(const DeviceRow& row) { return *owners_.at(&row); }

Result<DeviceInfo> Devices::look(const DeviceRow& row) {
  Owner& asked = owner(row);
  const std::lock_guard lock(asked.look_mutex);
  if (!asked.seen)
    asked.seen = DeviceProcess(row, options_.command, "look", options_.n_threads).open({});
  return *asked.seen;
}

Result<DeviceInfo> Devices::open(const DeviceRow& row, const StillWanted& still_wanted) {
  Owner& asked = owner(row);
  const Turn turn(asked);
  HEARTH_TRY_VOID(turn.wait(still_wanted));
  return asked.process.open(still_wanted);
}

Result<DeviceRun> Devices::run(const DeviceRow& row, const Builtin& builtin,
                               const Bindings& arguments, const StillWanted& still_wanted) {
  Owner& asked = owner(row);
  const Turn turn(asked);
  HEARTH_TRY_VOID(turn.wait(still_wanted));
  return asked.process.run(builtin, arguments, still_wanted);
}

}  // namespace hearth::compute
