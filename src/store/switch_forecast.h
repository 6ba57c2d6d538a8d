// Which model is asked for next, from those before: a Markov chain of the second order over switches,
// falling back to the first, with counts that fade.
//
// Agents and tools ask their models in turns that repeat; people do not, and then nothing is guessed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace hearth::store {

// Threading: externally synchronised.
class SwitchForecast {
 public:
  struct Guess {
    std::string name;
    double probability = 0;
  };
  struct Stats {
    std::uint64_t switches = 0, guesses = 0, hits = 0;  // Guesses that the next switch judged.
  };

  // A request for `name` came.  Whether that was a switch; one more of the same says nothing.
  bool note(const std::string& name);

  // The next switch, if it is sure enough; the next note judges it.
  std::optional<Guess> guess();

  const Stats& stats() const { return stats_; }

  static constexpr double kSureEnough = 0.6;  // From the second time in a row on.
  static constexpr std::size_t kContextsMax = 4096;

 private:
  using Context = std::pair<std::string, std::string>;  // The two before; first empty: order one.
  using Counts = std::map<std::string, double>;

  void learn(const Context& context, const std::string& next);
  std::optional<Guess> best_after(const Context& context) const;

  std::map<Context, Counts> counts_;
  std::string before_, last_;
  std::string pending_;  // What was guessed; empty: nothing.
  Stats stats_;
};

}  // namespace hearth::store
