// A budget of bytes that everything which keeps weights in memory shares, and who gives some back.
//
// GreedyDual-Size-Frequency (Cherkasova 1998) over extents: what a byte is worth is how often its owner was
// used times what missing it would cost, and all others age as something goes.  A front is worth more
// than a tail, since reading a tail hides behind computing with the front: an owner's last byte
// counts half of its first.  So owners shrink from their ends, many a little, instead of one of
// them going altogether.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace hearth::store {

// What keeps bytes in memory.
//
// Threading: any thread.  The first two are called with the budget's lock held, so they must not call it.
class Resident {
 public:
  virtual ~Resident() = default;
  // In memory, or being read into it.
  virtual std::uint64_t bytes_held() const = 0;
  // How far from its front it would be cut next, 0 to 1.
  virtual double tail() const = 0;
  // Gives back at least so many bytes if it may, and returns how many; 0 while it is used.
  virtual std::uint64_t give_back(std::uint64_t bytes) = 0;
};

// Threading: any thread.
class MemoryBudget {
 public:
  explicit MemoryBudget(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

  // A use of it, which missing all of it would make `miss_ms` longer; the first one makes it known.
  void use(const std::shared_ptr<Resident>& resident, double miss_ms);
  void forget(const Resident* resident);

  // Has the others give back what is too much, least valuable first; `newest` keeps what it has even if it
  // alone exceeds the budget: something must answer.
  void settle(const Resident* newest);

  std::uint64_t bytes_max() const { return bytes_max_; }
  std::uint64_t bytes_used() const;
  std::uint64_t n_uses(const Resident* resident) const;

 private:
  struct Place {
    std::shared_ptr<Resident> resident;
    double base = 0;         // What everything was worth at least at its last use.
    double ms_per_byte = 0;  // That missing it costs.
    std::uint64_t n_uses = 0;
    double value() const;
  };

  std::uint64_t sum() const;
  const Place* least(const std::vector<const Resident*>& spared) const;

  const std::uint64_t bytes_max_;
  mutable std::mutex mutex_;  // Guards what follows.
  std::vector<Place> places_;
  double aged_to_ = 0;  // The value of what went last: new ones begin there.
};

}  // namespace hearth::store
