// A program that is nothing but a device's host: what a hub starts, for tests that are no hub.
#include "compute/devices/device_host.h"

int main(int argc, char** argv) { return hearth::compute::serve_device(argc - 1, argv + 1); }
