"""The Python package against a real hub: arrays in and out without copies, kernels, superseding, and chat."""

import gc
import os
import re
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

import numpy as np

import hearth
from hub_process import Home, Hub

try:
    import torch
except ImportError:
    torch = None


CONTRACT = """
name = "by_python"
signature = "out f32[n], in f32[n], outer f32[n], n i64"
tolerance_ulps = 1
flops = "n"
oracle = '''
HEARTH_ORACLE by_python(f64* out, const f64* in, const f64* outer, i64 n) { for (i64 k = 0; k < n; ++k) out[k] = in[k] * outer[k]; }
'''
source = '''
HEARTH_KERNEL by_python(f32* restrict out, const f32* restrict in, const f32* restrict outer, i64 n) { for (i64 k = 0; k < n; ++k) out[k] = in[k] * outer[k]; }
'''
"""


class WithHub(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = Home("[compute]\nmemory_mib = 256\n")
        cls.hub = Hub(cls.home)
        cls.socket = str(cls.home.path / ".local/share/hearth/bridge.sock")
        cls.context = hearth.connect(cls.socket)

    @classmethod
    def tearDownClass(cls):
        cls.context.close()
        cls.hub.stop()
        cls.home.close()


class Tensors(WithHub):
    def test_numpy_sees_a_tensor_without_a_copy(self):
        t = hearth.zeros((3, 4), "f64")
        a = t.numpy()
        a[1, 2] = 7
        self.assertEqual(t[1, 2], 7)
        self.assertEqual(a.ctypes.data, t.data)
        self.assertEqual(np.from_dlpack(t).ctypes.data, t.data)
        self.assertEqual(t.T.numpy()[2, 1], 7)
        self.assertEqual(t[1:, ::2].numpy().tolist(), a[1:, ::2].tolist())
        self.assertEqual(np.asarray(memoryview(t.memoryview())).tolist(), a.tolist())

    def test_views_outlive_their_tensor_and_their_context(self):
        with hearth.Context(self.socket) as other:
            a = other.full(1000, 3).numpy()
        gc.collect()
        self.assertEqual(a.sum(), 3000)

    def test_what_lies_in_the_pool_is_used_in_place_and_the_rest_is_copied(self):
        t = hearth.tensor([[1, 2], [3, 4]])
        self.assertEqual(t.tolist(), [[1, 2], [3, 4]])
        self.assertEqual(hearth.tensor(t.numpy()[:, 1]).data, t.data + 4)
        for kind in ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"):
            a = np.arange(24, dtype=kind).reshape(2, 3, 4)
            for view in (a, a.T, a[:, ::2, 1:], a[1], a[0, 0, 0:0]):
                t = hearth.tensor(view)
                self.assertEqual(t.numpy().tolist(), view.tolist())
                self.assertFalse(np.shares_memory(t.numpy(), a))

    def test_old_dlpack_capsules_are_made_and_taken(self):
        t = hearth.tensor([1, 2, 3])

        class Old:  # A producer of DLPack before versions.
            def __dlpack__(self):
                return t.__dlpack__()

        taken = hearth.tensor(Old())
        self.assertEqual(taken.data, t.data)
        unused = t.__dlpack__()
        del unused
        gc.collect()

    def test_what_is_no_array_is_refused_by_name(self):
        for wrong, kind in ((object(), TypeError), (np.array(["a"]), hearth.Unsupported), (np.zeros(2, "c8"), hearth.Unsupported)):
            with self.assertRaises(kind):
                hearth.tensor(wrong)
        with self.assertRaisesRegex(hearth.OverBudget, "compute.memory_mib"):
            hearth.empty(1 << 30)


class Kernels(WithHub):
    def test_elementwise(self):
        x, w = np.arange(1000, dtype="f4"), np.linspace(0, 1, 1000, dtype="f4")
        k = hearth.kernel("mul_f32")
        y = k(x, w)
        np.testing.assert_array_equal(y.numpy(), x * w)
        self.assertEqual(k.report.copies, 2)
        self.assertEqual(k.report.flops, 1000)
        self.assertTrue(k.report.is_verified)

        x, w, out = hearth.tensor(x), hearth.tensor(w), hearth.empty(1000)
        k(x, w, out=out)
        for i in range(50):
            x.numpy()[0] = i
            w.numpy()[0] = 3
            self.assertIs(k(x, w, out=out), out)
            self.assertEqual(out[0], 3 * i)
            self.assertEqual(k.report.copies, 0)

    def test_an_output_that_no_kernel_could_write_to_is_refused(self):
        x = np.ones(10, dtype="f4")
        k = hearth.kernel("mul_f32")
        with self.assertRaisesRegex(hearth.Invalid, "'out' is written, and this ndarray does not lie in the hub's pool"):
            k(x, x, out=np.empty(10, dtype="f4"))
        view = hearth.empty(10).numpy()
        k(x, x + 1, out=view)
        self.assertEqual(view.tolist(), [2] * 10)
        grid = np.zeros((5, 5))  # A copy changes; the array does not.
        relaxed = hearth.kernel("sor_red_black_f64")(grid, np.ones((5, 5)), 1.5, 10)
        self.assertNotEqual(relaxed[2, 2], 0)
        self.assertEqual(grid[2, 2], 0)

    def test_scalars_and_names(self):
        k = hearth.kernel("axpy_f64")
        x, y = np.arange(5.0), np.ones(5)
        np.testing.assert_array_equal(k(x, y, 2.0).numpy(), 2 * x + y)
        np.testing.assert_array_equal(k(x, y=y, factor=3.0).numpy(), 3 * x + y)
        with self.assertRaisesRegex(TypeError, "no other value 'z'"):
            k(x, y, 2.0, z=1)
        with self.assertRaises(TypeError):
            k(x, y, 2.0, 4.0)
        with self.assertRaises(hearth.Invalid):
            k(x, np.ones(4), 2.0)

    def test_gemm_of_any_strides(self):
        random = np.random.default_rng(1)
        for m, k, n in ((1, 1, 1), (5, 7, 3), (64, 33, 70)):
            a, b = random.random((m, k)), random.random((k, n))
            np.testing.assert_allclose(hearth.gemm(a, b).out.numpy(), a @ b)
            at, bt = hearth.tensor(np.ascontiguousarray(a.T)).T, hearth.tensor(np.ascontiguousarray(b.T)).T
            np.testing.assert_allclose(hearth.gemm(at, bt).out.numpy(), a @ b)
        self.assertGreater(hearth.gemm(64).tflops, 0)

    def test_an_input_whose_name_begins_with_out_is_no_output(self):
        try:
            k = hearth.kernel(CONTRACT)
        except hearth.Error as error:
            if "can't be built" not in str(error) and "not installed" not in str(error):
                raise
            self.skipTest(str(error))
        x, outer = np.arange(777, dtype="f4"), np.linspace(0, 1, 777, dtype="f4")
        np.testing.assert_array_equal(k(x, outer).numpy(), x * outer)
        self.assertTrue(k.report.is_jailed and k.report.is_verified)
        self.assertGreater(k.check(5).n_checks, 0)
        with self.assertRaisesRegex(hearth.Invalid, "where the oracle says"):
            hearth.kernel(re.sub(r"(?<=HEARTH_KERNEL)(.*)in\[k\] \* outer", r"\1in[k] + outer", CONTRACT.replace("by_python", "wrong_by_python")))

    def test_hash_of_outputs(self):
        k = hearth.kernel("mul_f32")
        x, w = hearth.full(10, 2), hearth.full(10, 3)
        k(x, w, hash=True)
        first = k.report.out_hash
        k(x, w, hash=True)
        self.assertEqual(k.report.out_hash, first)
        k(x, hearth.full(10, 4), hash=True)
        self.assertNotEqual(k.report.out_hash, first)

    def test_the_last_of_many_submissions_is_done_and_no_wrong_result_is_taken(self):
        k = hearth.kernel("gemm_f32")
        a = hearth.full((300, 300), 1)
        futures = [k.submit(a, hearth.full((300, 300), i)) for i in range(20)]
        self.assertEqual(futures[-1].result(60)[5, 5], 300 * 19)
        for i, future in enumerate(futures[:-1]):
            error = future.exception(60)
            if error is None:  # It was done before the next one came.
                self.assertEqual(future.result()[7, 7], 300 * i)
            else:
                self.assertIsInstance(error, hearth.Superseded)

    def test_threads_share_a_context(self):
        k = hearth.kernel("add_f64")
        failures = []

        def work(seed):
            a = np.full(500, float(seed))
            for i in range(40):
                if k(a, a).numpy()[499] != 2 * seed:
                    failures.append(seed)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        self.assertEqual(failures, [])

    def test_what_there_is_and_what_there_is_not(self):
        self.assertIn("out f32[n]", hearth.kernels()["mul_f32"])
        with self.assertRaisesRegex(hearth.NotFound, "no_such_kernel"):
            hearth.kernel("no_such_kernel")

    def test_reports_are_shown(self):
        k = hearth.kernel("mul_f32")
        k(hearth.full(10, 1), hearth.full(10, 1))
        for shown in (k._repr_html_(), k.report._repr_html_(), k._display_()._mime_()[1]):
            self.assertIn("GB/s", shown)
        self.assertIn("copies", repr(k.report))


class Devices(WithHub):
    def test_a_device_works_on_the_pool_in_place_and_gives_the_processors_bits(self):
        if "opencl" not in hearth.devices().get("gemm_f32", []):
            with self.assertRaises(hearth.Unavailable):
                hearth.kernel("gemm_f32", device="opencl")
            self.skipTest("this machine has no OpenCL")
        rng = np.random.default_rng(1)
        a, b = rng.normal(size=(70, 300)).astype("f4"), rng.normal(size=(300, 50)).astype("f4")
        there = hearth.kernel("gemm_f32", device="opencl")
        np.testing.assert_array_equal(there(a, b).numpy(), hearth.kernel("gemm_f32")(a, b).numpy())
        self.assertGreaterEqual(there.report.copies, 2)
        self.assertIn("device", repr(there.report))
        x, w = hearth.tensor(a), hearth.tensor(b)
        there(x, w)
        there(x, w)
        self.assertTrue(there.report.device)
        np.testing.assert_allclose(hearth.gemm(a, b, device="opencl").out.numpy(), a @ b, rtol=1e-3, atol=1e-4)

    def test_what_is_no_name_is_put_on_no_device(self):
        with self.assertRaisesRegex(TypeError, "contract says"):
            hearth.kernel("multiply two vectors", device="opencl")
        with self.assertRaisesRegex(TypeError, "give one of them"):
            hearth.kernel("gemm_f32@cuda", device="opencl")
        with self.assertRaisesRegex(hearth.NotFound, "cpu, opencl, cuda or cublas"):
            hearth.kernel("gemm_f32", device="abacus")


@unittest.skipUnless(torch, "torch is not installed")
class Torch(WithHub):
    def test_its_own_tensors_are_copied_once_each_and_counted(self):
        x, w = torch.arange(1000.0), torch.linspace(0, 1, 1000)
        k = hearth.kernel("mul_f32")
        self.assertTrue(torch.equal(torch.from_dlpack(k(x, w)), x * w))
        self.assertEqual(k.report.copies, 2)
        in_place = torch.from_dlpack(hearth.empty(1000)).copy_(w)
        self.assertTrue(torch.equal(torch.from_dlpack(k(x.share_memory_(), in_place)), x * w))
        self.assertEqual(k.report.copies, 1)

    def test_it_looks_at_the_pool_and_kernels_at_its_views(self):
        x, w, out = (torch.from_dlpack(hearth.zeros((64, 32))) for _ in range(3))
        x.copy_(torch.rand(64, 32))
        w.fill_(3)
        k = hearth.kernel("mul_f32")
        result = k(x.view(-1), w.view(-1), out=out.view(-1))
        self.assertEqual(k.report.copies, 0)
        self.assertEqual(result.data, out.data_ptr())
        self.assertTrue(torch.equal(out, x * w))
        x.add_(1)  # In place: nothing has to be told.
        k(x.view(-1), w.view(-1), out=out.view(-1))
        self.assertTrue(torch.equal(out, x * w))
        with self.assertRaisesRegex(hearth.Invalid, "this Tensor does not lie in the hub's pool"):
            k(x.view(-1), w.view(-1), out=torch.empty(64 * 32))

    def test_strides_and_types(self):
        a, b = torch.rand(50, 70, dtype=torch.float64), torch.rand(90, 50, dtype=torch.float64)
        product = hearth.gemm(a.T, b.T)
        np.testing.assert_allclose(product.out.numpy(), (a.T @ b.T).numpy(), rtol=1e-12)
        for kind in ("float32", "float64", "int8", "int16", "int32", "int64", "uint8"):
            t = torch.arange(24).reshape(2, 3, 4).to(getattr(torch, kind))
            for view in (t, t.permute(2, 0, 1), t[:, 1:, ::2], t[0, 0, 0:0], t[1, 2, 3]):
                taken = hearth.tensor(view)
                self.assertEqual((taken.shape, torch.from_dlpack(taken).dtype), (tuple(view.shape), t.dtype))
                self.assertTrue(torch.equal(torch.from_dlpack(taken), view))
        self.assertEqual(hearth.empty(3, torch.int64).dtype, "i64")

    def test_what_can_not_be_taken_is_refused_by_name(self):
        for wrong in (torch.zeros(3, dtype=torch.bfloat16), torch.zeros(3, dtype=torch.complex64)):
            with self.assertRaises(hearth.Unsupported):
                hearth.tensor(wrong)
        with self.assertRaises(BufferError):
            hearth.tensor(torch.ones(3, requires_grad=True))

    def test_views_outlive_their_tensor_and_their_context(self):
        with hearth.Context(self.socket) as other:
            t = torch.from_dlpack(other.full(1000, 3))
        gc.collect()
        self.assertEqual(t.sum().item(), 3000)


class Others(WithHub):
    def test_questions(self):
        answer = hearth.ask("What is a receipt?", max_tokens=60)
        pieces = list(answer)
        self.assertGreater(len(pieces), 0)
        self.assertEqual("".join(pieces), answer.text)
        self.assertTrue(answer.receipt.startswith("r-"))
        with self.assertRaises(hearth.NotFound):
            str(hearth.ask("?", model="no-such-model"))
        stopped = hearth.ask("Tell me everything.")
        stopped.close()

    def test_a_hub_that_ends_costs_one_clear_error(self):
        with Home() as home:
            hub = Hub(home)
            context = hearth.Context(str(home.path / ".local/share/hearth/bridge.sock"))
            x = context.full(4, 2)
            k = context.kernel("mul_f32")
            k(x, x)
            hub.kill()
            with self.assertRaisesRegex(hearth.HubGone, "open a new context"):
                k(x, x)
            self.assertEqual(x.tolist(), [2, 2, 2, 2])

    def test_no_hub(self):
        with self.assertRaisesRegex(hearth.NotFound, "hearth serve"):
            hearth.Context("/tmp/no/such/socket")


class Wheel(unittest.TestCase):
    def test_the_wheel_carries_the_library(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(__file__).resolve().parents[1]
            made = subprocess.run([sys.executable, root / "make_wheel.py", os.environ["HEARTH_LIBRARY"], folder], capture_output=True, text=True, check=True)
            subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--disable-pip-version-check", "--target",
                            f"{folder}/installed", made.stdout.strip()], check=True)
            environment = {k: v for k, v in os.environ.items() if k not in ("HEARTH_LIBRARY", "PYTHONPATH")}
            done = subprocess.run([sys.executable, "-c", "import hearth; print(hearth._abi.lib._name, hearth._abi.lib.hearth_version())"],
                                  env={**environment, "PYTHONPATH": f"{folder}/installed"}, capture_output=True, text=True, cwd=folder)
            self.assertEqual(done.stdout.strip(), f"{folder}/installed/hearth/libhearth.so 1", done.stderr)


if __name__ == "__main__":
    unittest.main()
