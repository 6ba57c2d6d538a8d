// A kind of device, as the device program has it: opened before the jail, asked from within.
//
// The driver is a library of the system's, opened by name; what it may touch afterwards is decided by
// serve_device.cpp.  One kernel is held at a time: a device worker is for one.
#pragma once

#include <dlfcn.h>

#include <cstddef>
#include <cstdint>

#include "sandbox/device_image.h"
#include "sandbox/worker/trouble.h"

namespace hearth::sandbox {

struct DeviceBackend {
  // Opens the driver (`library`: its name, or a file), finds a device, makes a context.
  bool (*open)(const char* library, Trouble& trouble);
  // Which one that is; after open().
  void (*identify)(DeviceIdentity& identity);
  // Loads the binary behind `header`, and makes its kernel ready.
  bool (*load)(const DeviceImageHeader& header, const unsigned char* binary, std::size_t bytes,
               Trouble& trouble);
  // Runs it.  What fails is the driver's number of an error in `answer.signal`.
  RunStatus (*run)(const RunRequest& request, RunAnswer& answer);
};

const DeviceBackend& opencl_backend();
const DeviceBackend& cuda_backend();

// Opens a driver's library and finds all functions of `table` in it.  `what` it is called in
// sentences, `way_out` what brings it.
template <class Table>
bool open_library(const char* name, const char* what, const char* way_out, Table& table,
                  Trouble& trouble) {
  void* const library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    return refuse(trouble, what, " (", Foreign{name}, ") can't be opened: ", way_out);
  return bind_functions(table, [&]<class F>(const char* function, F*& into) {
    into = reinterpret_cast<F*>(::dlsym(library, function));
    return into != nullptr || refuse(trouble, what, " (", Foreign{name}, ") has no function ",
                                     function, ": ", way_out);
  });
}

// Where a run's buffer lies, and how many bytes there are from there to its mapping's end.
struct BufferPlace {
  std::byte* data;
  std::uint64_t bytes;
};
BufferPlace place_of(const RunBuffer& buffer);

// An argument that is a number, as the kernel takes it: its bytes, and how many.
struct NumberArgument {
  alignas(8) unsigned char value[8];
  std::size_t bytes;
};
NumberArgument number_argument(const DeviceArgument& argument, const RunRequest& request);

// Compilers, in their jail: text from stdin; a binary to out=FILE, or messages to stdout.
// Arguments: out=, name=, library=; of CUDA's target=, and more than one library= to try.
BuildEnd build_opencl(int argc, char** argv);
BuildEnd build_cuda(int argc, char** argv);
// All of stdin, ended by a zero; null if there is more than a source may have.
char* read_source(std::size_t& bytes);
// A line to stdout, where the library reads what a compiler says.
void say(const char* first, const char* second = "");
bool write_binary(const char* path, const void* binary, std::size_t bytes);

// The worker of device kernels, to its end.  Arguments: those of worker/serve.h, kind=, library=,
// scratch=, and r= and d= for the paths to read and the devices to use.
[[noreturn]] void serve_device(int argc, char** argv);

}  // namespace hearth::sandbox
