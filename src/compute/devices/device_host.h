// The process that has a device's driver in it: this program, started by a hub for that alone.
//
// A driver is half a gigabyte of somebody else's code.  What it leaks, crashes on or hangs in is
// this process's: the hub ends it and starts another.  It is no jail (docs/design/0032): the
// kernels are the house's own, and it may do what its user may.
#pragma once

#include <string_view>

namespace hearth::compute {

// The first argument of a program that is to be one, before those of serve_device.
inline constexpr std::string_view kDeviceHostVerb = "device-host";

// Looks at the device, says which one it is, and is done; or opens it and runs what it is asked to,
// until its owner hangs up or has asked nothing for five minutes.  Arguments: the device's name,
// "look" or "serve", threads of a device that is the processor (0: all).  The socket is descriptor
// 0. The process's exit status.
int serve_device(int argc, char** argv);

}  // namespace hearth::compute
