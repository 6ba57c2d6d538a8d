// The hub in the background: started detached, known by a small file, stopped by signal.
//
// The child inherits a pipe; it writes its URL there once it listens, or closes it by
// dying, so that the parent learns at once which of the two happened.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace hearth::cli {

struct RunningHub {
  int pid = 0;
  std::string url;  // "http://127.0.0.1:8642"
};

// Runs `hearth --config CONFIG serve ARGS...` detached and waits until it listens.  kUnavailable with the child's own
// last words if it dies first; its log is kept in the state folder.
Result<RunningHub> start_background(const std::string& config_path,
                                    const std::vector<std::string>& serve_args);

// In the child: tells the waiting parent, if there is one, and writes the file that `stop` reads.
Result<> announce_running(const std::string& url);

// In the child, at the end: removes that file.
void retract_running();

// The hub that the file names, if its process is still alive.  kNotFound otherwise.
Result<RunningHub> find_running();

// Asks it to stop and waits until it has.  kUnavailable if it is still there after 10 s.
Result<> stop_running(const RunningHub& hub);

}  // namespace hearth::cli
