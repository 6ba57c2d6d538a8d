// How fast a kernel is, beside what the machine can do in the same breath.
//
// A stranger's speed is a claim like its results.  So timed runs come in rounds on values of their
// own: before each, elements of the inputs change places and words of the outputs become others,
// few enough to leave caches warm; a word that a run has not written, or a last result that is not
// what the same image gives in a process that was started for that, is the end.  One round, which
// the kernel can't know, is held against the oracle.  The time that counts is the lower quartile of
// all runs: one lucky, or lying, run decides nothing.
//
// A shared machine's roofs change from second to second, so they are probed between the runs, and
// the best probe counts.  The time that the nearer roof allows, over the time that a run took, is
// its share of the roof.  More than all of it is no speed but a mistake or a cheat: work that is
// claimed and not done.
//
// The roof has to be the one of the working set: what lies in a cache is read at many times the
// memory's speed, and a core reads twice and writes once in the same cycle.  So memory's roof is
// probed over as many bytes as the kernel has, by reading alone and by a product of two arrays into
// a third, and the better one counts.  Arithmetic's roof is that of fused multiply-adds in full
// vectors.
//
// What is left is chance: a neighbour that had the machine whenever a probe ran, and a clock that
// moved.  Some dozens of probes make the one unlikely, and kRoofSlack covers what is left: beside a
// compiler on the other half of a core, kernels were seen to be 15 % faster than ten probes.  A cost
// that is claimed a quarter too large deceives nobody.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "compute/contract.h"
#include "compute/draw.h"
#include "compute/kernel_runner.h"
#include "compute/oracle.h"
#include "compute/verify.h"

namespace hearth::compute {

inline constexpr double kRoofSlack = 1.25;

// Both roofs for kernels of a signature and a working set, in probes of a millisecond or two.
//
// Threading: one caller at a time.
class NearRoofs {
 public:
  NearRoofs(const Signature& signature, std::uint32_t n_threads, std::int64_t bytes);
  ~NearRoofs();
  NearRoofs(const NearRoofs&) = delete;
  NearRoofs& operator=(const NearRoofs&) = delete;

  // Raises the speed's roofs to what is seen now.
  void probe(Speed& speed);

 private:
  class Probes;
  const std::unique_ptr<Probes> probes_;
  const bool has_f32_, has_floats_;
};

// The rates that follow from run_ns, and the share of the roofs, where there are any.
void rate(Speed& speed, std::int64_t flops, std::int64_t bytes);

struct SpeedTrial {
  const Contract& contract;
  const Image& image;
  KernelRunner& runner;
  Oracle& oracle;
};

// Times the kernel at these sizes.
// kInvalidArgument: it is faster than the machine, or wrong when it is timed.
// kUnavailable: the oracle does not answer at these sizes in time, so nobody knows what is right.
Result<Speed> measure_speed(const SpeedTrial& trial, const std::vector<std::int64_t>& symbols,
                            Dice& dice);

}  // namespace hearth::compute
