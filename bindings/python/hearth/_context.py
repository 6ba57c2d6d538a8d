"""A connection to a hub, and what is asked of it."""

import codecs
import ctypes
from ctypes import c_size_t, c_void_p

from . import _abi, _arrays
from ._kernel import Kernel
from ._report import Roofs
from ._tensor import Tensor, allocate


class Context:
    """A connection to a hub.  Its tensors outlive it, and the hub's end of it."""

    def __init__(self, socket=None, client=None):
        handle = c_void_p()
        _abi.check(_abi.lib.hearth_open(_abi.Options(socket=socket.encode() if socket else None, client=client.encode() if client else None), handle))
        self._handle = handle.value

    def close(self):
        handle, self._handle = self._handle, None
        if handle:
            _abi.lib.hearth_close(handle)

    def __del__(self):
        if getattr(self, "_handle", None) and _abi is not None:
            self.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- tensors

    def empty(self, shape, dtype="f32", strides=None):
        """Memory of the pool; what it holds is anything."""
        return allocate(self, shape, dtype, strides)

    def full(self, shape, value, dtype="f32"):
        return self.empty(shape, dtype).fill(value)

    def zeros(self, shape, dtype="f32"):
        return self.full(shape, 0, dtype)

    def tensor(self, array, dtype=None):
        """An array in the pool: in place if it lies there, else a copy.  Lists of numbers are taken, too."""
        if isinstance(array, Tensor):
            return array
        if isinstance(array, (list, tuple)):
            flat, shape = _flatten(array)
            made = self.empty(shape, dtype or "f32")
            import array as arrays
            raw = arrays.array(_arrays.FORMAT[made.type], flat).tobytes()
            ctypes.memmove(made.data, raw, len(raw))
            return made
        return Tensor(self, _arrays.wrap(self._handle, array)[0])

    # ---- kernels

    def kernel(self, text, kind=None, device=None):
        """By name ("mul_f32"), by contract (TOML), or by a wish in prose, which may take a minute.

        A built-in runs on a `device`, too: "cpu" (default), "opencl", "cuda" or "cublas".  Its driver is started when the
        first kernel is opened there, which takes seconds; hearth.Unavailable says what is missing.
        """
        return Kernel(self, text, kind, device)

    def devices(self):
        """{kernel: devices} of built-ins that run on more than the processor here."""
        found = {}
        for name, _, device in (each.partition("@") for each in self.kernels()):
            if device:
                found.setdefault(name, ["cpu"]).append(device)
        return found

    def kernels(self):
        """{name: signature} of what can be opened by name."""
        needed = c_size_t()
        _abi.check(_abi.lib.hearth_list_kernels(self._handle, None, 0, needed))
        buffer = ctypes.create_string_buffer(needed.value + 4096)
        _abi.check(_abi.lib.hearth_list_kernels(self._handle, buffer, len(buffer), needed))
        return dict(line.split(" ", 1) for line in buffer.value.decode().splitlines())

    def gemm(self, a, b=None, dtype="f32", device=None):
        """The product of two matrices, on a device if one is named; given a number, of random ones of that size.  Returns a Gemm."""
        if isinstance(a, int):
            a, b = self._noise(a, dtype, 1), self._noise(a, dtype, 2)
        a, b = self.tensor(a), self.tensor(b)
        key = f"gemm_{a.dtype}@{device or 'cpu'}"
        kernels = self.__dict__.setdefault("_kernels", {})
        if key not in kernels:
            kernels[key] = self.kernel(key)
        out = kernels[key](a, b)
        return Gemm(out, kernels[key].report)

    def _noise(self, n, dtype, seed):
        """A matrix that differs from row to row and needs no other package: multiples of 1/64 around 0."""
        made = self.empty((n, n), dtype)
        import array as arrays
        row = arrays.array(_arrays.FORMAT[made.type], [((i * 7919 + seed * 104729) % 127 - 63) / 64 for i in range(n + 127)])
        step = row.itemsize
        base = row.buffer_info()[0]
        for i in range(n):
            ctypes.memmove(made.data + i * n * step, base + (i * 31 % 127) * step, n * step)
        return made

    def roofs(self):
        """This machine's roofs, measured by the hub when first asked for (about a second)."""
        made = _abi.Roofs()
        _abi.check(_abi.lib.hearth_measure_roofs(self._handle, made))
        return Roofs(made)

    # ---- models

    def ask(self, prompt, model="auto", system=None, max_tokens=0):
        """Asks a model of the hub; iterate over the Answer for its pieces, or take `str()` of it."""
        return Answer(self, prompt, model, system, max_tokens)


class Gemm:
    """A product and how it was computed."""

    def __init__(self, out, report):
        self.out, self.report = out, report

    @property
    def tflops(self):
        return self.report.tflops

    def __repr__(self):
        return f"<gemm {self.out!r}: {self.tflops:.4g} TFLOPS>"

    def _repr_html_(self):
        return self.report._repr_html_()


class Answer:
    """A model's answer, as it comes."""

    def __init__(self, context, prompt, model, system, max_tokens):
        handle = c_void_p()
        question = _abi.Question(max_tokens=max_tokens, model=model.encode(), system=system.encode() if system else None, prompt=prompt.encode())
        _abi.check(_abi.lib.hearth_ask(context._handle, question, handle))
        self._handle = handle.value
        self.text = ""
        self.receipt = ""

    def __iter__(self):
        buffer, n = ctypes.create_string_buffer(4096), c_size_t()
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while self._handle:
            _abi.check(_abi.lib.hearth_read(self._handle, buffer, len(buffer), n))
            if n.value == 0:
                self.receipt = _abi.lib.hearth_answer_receipt(self._handle).decode()
                self.close()
            piece = decoder.decode(buffer.raw[: n.value], final=n.value == 0)
            self.text += piece
            if piece:
                yield piece

    def close(self):
        handle, self._handle = self._handle, None
        if handle:
            _abi.lib.hearth_answer_close(handle)

    def __del__(self):
        if getattr(self, "_handle", None) and _abi is not None:
            self.close()

    def __str__(self):
        for _ in self:
            pass
        return self.text


def _flatten(nested):
    if not isinstance(nested, (list, tuple)):
        return [nested], ()
    parts = [_flatten(part) for part in nested]
    shapes = {shape for _, shape in parts}
    if len(shapes) > 1:
        raise ValueError("the rows of a nested list differ in length")
    return [x for flat, _ in parts for x in flat], (len(nested), *(shapes.pop() if shapes else ()))
