#!/usr/bin/env python3
"""Built-in kernels on devices, by every door of a real hub: HTTP, its tools, the command line, and programs in C and Python.

OpenCL is PoCL's, which works on shared tensors in place; NVIDIA's driver is one of the tests' own, with a GPU of a megabyte that
fails, hangs and crashes at sizes that it is told.
"""

import json
import os
import subprocess
import sys
import time
import unittest
from pathlib import Path

from hub_process import HEARTH, ROOT, Home, Hub

BUILD = Path(HEARTH).parents[2]
FAKE_CUDA = BUILD / "src/sandbox/libhearth_fake_cuda.so"
EXAMPLE = BUILD / "bindings/c/hearth_example"
LIBRARY = next(iter(sorted(BUILD.glob("bindings/c/libhearth.so*"))), None)
PRODUCT = {"m": 31, "n": 29, "k": 500}
ON_DEVICES = ["mul_f32", "axpy_f32", "sum_f32", "sum_f64", "gemm_f32", "gemm_f64", "jacobi5_f64"]


class Devices(unittest.TestCase):
    def home(self, run_seconds_max=60):
        home = Home(f"[compute]\nmemory_mib = 256\nrun_seconds_max = {run_seconds_max}\n")
        self.addCleanup(home.close)
        return home

    def run_kernel(self, hub, name, expected=200, **fields):
        status, _, answer = hub.request("POST", "/hearth/v1/kernels/run", {"name": name, **fields})
        self.assertEqual(status, expected, answer)
        return answer if status == 200 else answer["error"]["message"]

    def program(self, home, text, **extra):
        """Runs a program with the Python package."""
        if LIBRARY is None:
            self.skipTest("libhearth.so is not built")
        done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120,
                              env=home.environment(HEARTH_LIBRARY=str(LIBRARY), PYTHONPATH=str(ROOT / "bindings/python"), **extra))
        self.assertEqual(done.returncode, 0, done.stderr)


class OpenCl(Devices):
    def listed(self, hub):
        """The hub's devices by name; skips where OpenCL has no processor."""
        _, _, listed = hub.request("GET", "/hearth/v1/kernels")
        devices = {device["name"]: device for device in listed["devices"]}
        self.assertEqual(list(devices), ["opencl", "cuda", "cublas"])
        if not devices["opencl"]["works"]:
            self.assertTrue(devices["opencl"]["reason"])
            self.skipTest(devices["opencl"]["reason"])
        if not devices["opencl"]["is_processor"]:
            self.skipTest("OpenCL has a GPU here")
        return devices

    def test_over_http_results_are_the_processors_bits(self):
        with Hub(self.home()) as hub:
            devices = self.listed(hub)
            self.assertEqual(devices["opencl"]["kernels"], ON_DEVICES)
            for name, fields in (("gemm_f32", {"sizes": PRODUCT}), ("gemm_f64", {"sizes": PRODUCT}), ("mul_f32", {"sizes": {"n": 70001}}),
                                 ("axpy_f32", {"sizes": {"n": 1009}}), ("jacobi5_f64", {"sizes": {"n": 37, "m": 41, "sweeps": 20}})):
                here = self.run_kernel(hub, name, **fields)
                there = self.run_kernel(hub, name, device="opencl", **fields)
                self.assertEqual(here["results_sha256"], there["results_sha256"], name)
                self.assertEqual((here["name"], here["device"], here["copies"]), (name, "cpu", 0))
                self.assertEqual((there["name"], there["device"]), (name + "@opencl", devices["opencl"]["device"]))
            total = self.run_kernel(hub, "sum_f32@opencl", arrays={"in": [0.5] * 3000})
            self.assertEqual(total["outputs"]["out"]["data"], [1500])
            self.assertEqual(self.run_kernel(hub, "mul_f32", device="cpu", arrays={"in": [2], "weights": [3]})["outputs"]["out"]["data"], [6])

    def test_what_can_not_be_is_said_with_the_way_out(self):
        with Hub(self.home(run_seconds_max=2)) as hub:
            self.listed(hub)
            self.assertIn("as 'exp_f32'", self.run_kernel(hub, "exp_f32@opencl", 400, sizes={"n": 3}))
            self.assertIn("cpu, opencl, cuda or cublas", self.run_kernel(hub, "gemm_f32", 404, device="abacus", sizes=PRODUCT))
            self.assertIn("give one of them", self.run_kernel(hub, "gemm_f32@opencl", 400, device="cuda", sizes=PRODUCT))
            self.assertIn("install NVIDIA's driver", self.run_kernel(hub, "gemm_f32@cuda", 503, sizes=PRODUCT))
            begun = time.monotonic()
            late = self.run_kernel(hub, "jacobi5_f64@opencl", 503, sizes={"n": 500, "m": 500, "sweeps": 1000000}, outputs="none")
            self.assertIn("after 2 s, which is the limit (compute.run_seconds_max)", late)
            self.assertLess(time.monotonic() - begun, 30)

    def test_tensors_that_a_device_can_not_hold(self):
        with Hub(self.home(), POCL_MEMORY_LIMIT="1") as hub:
            self.listed(hub)
            large = self.run_kernel(hub, "sum_f32@opencl", 429, sizes={"n": 140_000_000}, outputs="none")
            self.assertIn("can hold; run it on the CPU, as 'sum_f32', or in parts", large)
            self.assertEqual(self.run_kernel(hub, "sum_f32@opencl", arrays={"in": [1, 2]})["outputs"]["out"]["data"], [3])

    def test_on_the_command_line(self):
        home = self.home()
        listed = json.loads(home.run("kernel", "list", "--built-in", "--json").stdout)
        opencl = listed["devices"][0]
        if not opencl["works"]:
            self.skipTest(opencl["reason"])
        self.assertEqual({kernel["name"]: kernel["runs_on"] for kernel in listed["kernels"]}["gemm_f32"], "cpu, opencl")
        self.assertIn(opencl["device"], home.run("kernel", "list", "--built-in").stderr)
        self.assertIn(f"opencl ({opencl['device']}) run mul_f32", home.run("doctor").stdout)
        sizes = [f"--size={name}={size}" for name, size in PRODUCT.items()]
        runs = [json.loads(home.run("kernel", "run", *named, *sizes, "--json").stdout)
                for named in (["gemm_f32"], ["gemm_f32", "--device", "opencl"], ["gemm_f32@opencl"])]
        self.assertEqual(len({run["results_sha256"] for run in runs}), 1)
        self.assertEqual([run["device"] for run in runs], ["cpu", opencl["device"], opencl["device"]])
        refused = home.run("kernel", "run", "gemm_f32@cuda", *sizes)
        self.assertEqual((refused.returncode != 0, "install NVIDIA's driver" in refused.stderr), (True, True))

    def test_a_tool_of_a_model(self):
        with Hub(self.home()) as hub:
            devices = self.listed(hub)
            call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "run_kernel", "arguments": {
                "name": "gemm_f32", "device": "opencl", "arrays": {"a": [[1, 2]], "b": [[3], [4]]}},
                "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}}}
            status, _, answer = hub.request("POST", "/mcp", call, headers={
                "Accept": "application/json, text/event-stream", "Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "run_kernel"})
            self.assertEqual(status, 200, answer)
            ran = answer["result"]["structuredContent"]
            self.assertEqual((ran["outputs"]["out"]["data"], ran["device"]), ([11], devices["opencl"]["device"]))

    def test_programs_in_c_and_python_share_their_tensors_with_it(self):
        home = self.home()
        with Hub(home) as hub:
            name = self.listed(hub)["opencl"]["device"]
            if not EXAMPLE.exists():
                self.skipTest("the example in C is not built")
            done = subprocess.run([EXAMPLE, "mul_f32@opencl"], capture_output=True, text=True, timeout=60, env=home.environment())
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stdout, r"^out\[10\] = 5; .* 0 copies on ")
            self.assertIn(name[:63], done.stdout)
            self.program(home, ON_OPENCL)


ON_OPENCL = """
import hearth
here, there = hearth.kernel("gemm_f32"), hearth.kernel("gemm_f32", device="opencl")
a, b = (hearth.tensor([[((i * 31 + j) % 17 - 8) / 64 for j in range(m)] for i in range(n)]) for n, m in ((130, 517), (517, 70)))
hearth.roofs()
out = hearth.empty((130, 70))
there(a, b, out=out)
assert there.report.copies == 0 and there.report.device and there.report.device in repr(there.report), there.report
assert out.tolist() == here(a, b).tolist()
assert here.report.device == ""
assert hearth.devices()["gemm_f32"] == ["cpu", "opencl"], hearth.devices()
assert "gemm_f32@opencl" in hearth.kernels() and "exp_f32@opencl" not in hearth.kernels()
assert hearth.kernel("gemm_f32@cpu").name == "gemm_f32"
total = hearth.kernel("sum_f64", device="opencl")
assert total(hearth.full(50000, 0.5, "f64")).tolist() == [25000.0]
for name, device, error, words in (("exp_f32", "opencl", hearth.Unsupported, "as 'exp_f32'"), ("gemm_f32", "cuda", hearth.Unavailable, "install"),
                                   ("gemm_f32", "abacus", hearth.NotFound, "can be named"), ("gemm_f32@opencl", "cuda", TypeError, "give one")):
    try:
        hearth.kernel(name, device=device)
        raise SystemExit(f"{name} on {device} was opened")
    except error as refused:
        assert words in str(refused), refused
try:
    there(hearth.empty((517, 130)).T, b)
    raise SystemExit("strides were taken")
except hearth.Unsupported as refused:
    assert "contiguous" in str(refused), refused
sweeps = hearth.kernel("jacobi5_f64", device="opencl")
u, v = hearth.full((500, 500), 1.0, "f64"), hearth.empty((500, 500), "f64")
submitted = [sweeps.submit(u, n, out=v) for n in (1000000, 1000000, 2)]
for each in submitted[:2]:
    assert isinstance(each.exception(), hearth.Superseded), each
assert submitted[2].result()[250, 250] == 1
"""


@unittest.skipUnless(FAKE_CUDA.exists(), "the tests' own driver is not built")
class FakeGpu(Devices):
    def environment(self):
        return {"HEARTH_CUDA": str(FAKE_CUDA), "HEARTH_NVRTC": str(FAKE_CUDA)}

    def test_a_driver_that_fails_hangs_and_crashes_costs_its_runs_alone(self):
        home = self.home(run_seconds_max=2)
        with Hub(home, **self.environment()) as hub:
            right = {"arrays": {"in": [1, 2, 3], "weights": [4, 5, 6]}}
            ran = self.run_kernel(hub, "mul_f32@cuda", **right)
            self.assertEqual((ran["outputs"]["out"]["data"], ran["device"], ran["copies"]), ([4, 10, 18], "Fake GPU", 3))
            for n, status, words in ((7, 500, "CUDA_ERROR_OF_THE_TEST"), (13, 500, "the hub goes on"), (11, 503, "after 2 s"),
                                     (1 << 20, 429, "more than 'cuda' (Fake GPU) can hold")):
                self.assertIn(words, self.run_kernel(hub, "mul_f32@cuda", status, sizes={"n": n}, outputs="none"))
                self.assertEqual(self.run_kernel(hub, "mul_f32@cuda", **right)["outputs"]["out"]["data"], [4, 10, 18])
                self.assertEqual(self.run_kernel(hub, "mul_f32", **right)["device"], "cpu")
            self.program(home, ON_FAKE_GPU)

    def test_cublas_is_not_replaced_by_something_else(self):
        with Hub(self.home(), **self.environment()) as hub:
            self.assertIn("libcublas", self.run_kernel(hub, "gemm_f32@cublas", 503, sizes=PRODUCT))


ON_FAKE_GPU = """
import hearth
k = hearth.kernel("mul_f32", device="cuda")
def run(n, **named): return k(hearth.full(n, 2), hearth.full(n, 3), **named)
assert run(300).tolist() == [6.0] * 300
assert (k.report.device, k.report.copies) == ("Fake GPU", 3), k.report
for n, error in ((7, hearth.Internal), (13, hearth.Internal), (1 << 20, hearth.OverBudget), (11, hearth.Deadline)):
    try:
        run(n, deadline=0.3)
        raise SystemExit(f"{n} has run")
    except error as told:
        assert str(told)
    assert run(300).tolist() == [6.0] * 300
"""


if __name__ == "__main__":
    unittest.main()
