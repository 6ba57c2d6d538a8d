"""Kernels: calling them, and superseding what runs."""

import html
import json
import re
import threading
from concurrent.futures import Future
from ctypes import byref, c_void_p

from . import _abi, _arrays
from ._report import Html, Report
from ._tensor import Tensor


def _split(signature):
    """Names of a signature's parameters, with whether each is a tensor and whether it is only written."""
    parameters = re.split(r",(?![^\[]*\])", signature)
    names = [p.split()[0] for p in parameters]
    return [(n, "[" in p, n == "out" or n.startswith("out_")) for n, p in zip(names, parameters)]


def source_kind(text):
    """What a text is: a name (`gemm_f32`, or on a device `gemm_f32@opencl`), a contract in TOML, or a wish."""
    if re.fullmatch(r"\w+(@\w+)?", text):
        return _abi.BY_NAME
    return _abi.BY_CONTRACT if re.search(r"(?m)^\s*signature\s*=", text) else _abi.BY_PROSE


def placed(text, device):
    """The name of a built-in kernel on a device; a text that is no name can't be put there."""
    if device is None:
        return text
    if source_kind(text) != _abi.BY_NAME:
        raise TypeError("device= is for built-in kernels by their name: a contract says with `language` where its kernel runs")
    name, _, named = text.partition("@")
    if named and named != device:
        raise TypeError(f"'{text}' names a device, and '{device}' is another one: give one of them")
    return f"{name}@{device}"


class Kernel:
    """Something to run: `k(x, w)` takes what the signature only reads, in its order, makes the outputs, and returns them.

    Outputs can be given by name (`k(x, w, out=y)`), as can everything else.  Integers that a shape says may be left out.
    Arrays of others are copied into shared memory for the call; tensors, and views of them, are used where they lie.
    So an array of others that is given for an `inout` stays as it is, and what the call returns has changed.
    """

    def __init__(self, context, text, kind=None, device=None):
        text = placed(text, device)
        raw = text.encode()
        handle = c_void_p()
        source = _abi.Source(kind=kind or source_kind(text), text=raw, n_bytes=len(raw))
        _abi.check(_abi.lib.hearth_kernel_open(context._handle, source, handle))
        self._context = context
        self._handle = handle.value
        self.name = _abi.lib.hearth_kernel_name(self._handle).decode()
        self.signature = _abi.lib.hearth_kernel_signature(self._handle).decode()
        receipt = _abi.lib.hearth_kernel_receipt(self._handle).decode()
        self.receipt = json.loads(receipt) if receipt else {}
        self._parameters = _split(self.signature)
        self._taken = [i for i, (_, _, is_out) in enumerate(self._parameters) if not is_out]
        self._index = {name: i for i, (name, _, _) in enumerate(self._parameters)}
        self._report = _abi.ReportStruct()
        self._last = None  # (arguments, outputs by name), values, tensors, results of the last call.
        self._lock = threading.Lock()
        self._generation = 0

    def __del__(self):
        handle, self._handle = getattr(self, "_handle", None), None
        if handle and _abi is not None:
            _abi.lib.hearth_kernel_close(handle)

    # ---- calling

    def _values(self, args, named):
        """ctypes values, what must stay alive meanwhile, and what the call returns."""
        given = dict(zip((self._parameters[i][0] for i in self._taken), args))
        if len(args) > len(self._taken):
            raise TypeError(f"{self.name} takes {len(self._taken)} values ({self.signature}), {len(args)} are given")
        for name, value in named.items():
            if name not in self._index or name in given:
                raise TypeError(f"{self.name} has no other value '{name}': {self.signature}")
            given[name] = value
        values = (_abi.Value * len(self._parameters))()
        held, missing = {}, False
        for i, (name, is_tensor, is_out) in enumerate(self._parameters):
            value = given.get(name)
            if value is None:
                missing = True
            elif is_tensor:
                tensor = value if isinstance(value, Tensor) else self._wrap(name, value, is_out)
                held[name] = tensor
                values[i].kind, values[i].tensor = _abi.TENSOR, tensor._handle
            elif isinstance(value, float):
                values[i].kind, values[i].real = _abi.REAL, value
            else:
                values[i].kind, values[i].integer = _abi.INTEGER, int(value)
        if missing:
            _abi.check(_abi.lib.hearth_complete(self._handle, values, len(values)))
            for i, (name, _, _) in enumerate(self._parameters):
                if name not in held and values[i].kind == _abi.TENSOR:
                    held[name] = Tensor(self._context, values[i].tensor)
        outputs = [held[name] for name, _, is_out in self._parameters if is_out or name.startswith("inout")]
        return values, held, outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _wrap(self, name, array, is_out):
        handle, is_copied = _arrays.wrap(self._context._handle, array)
        tensor = Tensor(self._context, handle)
        if is_out and is_copied:
            raise _abi.Invalid(f"'{name}' is written, and this {type(array).__name__} does not lie in the hub's pool, where a kernel could "
                               "write: give a hearth.empty(...), or a view of one (torch.from_dlpack, numpy.asarray)")
        return tensor

    def _run(self, values, options, report):
        status = _abi.lib.hearth_run(self._handle, values, len(values), options, report)
        if status:
            raise _abi.failure(status)

    def __call__(self, *args, generation=0, deadline=0.0, hash=False, **named):
        plain = not (generation or deadline or hash)
        last = self._last
        # The same tensors again, outputs too: nothing to look at.
        if last is not None and plain and len(named) == len(last[1]) and len(args) == len(last[0]) and \
                all(a is b for a, b in zip(args, last[0])) and all(named.get(k) is v for k, v in last[1].items()):
            self._run(last[2], None, self._report)
            return last[4]
        values, held, result = self._values(args, named)
        options = None if plain else _abi.RunOptions(flags=_abi.HASH_OUTPUTS if hash else 0, generation=generation, deadline_s=deadline)
        self._run(values, options, self._report)
        # Remembered only where everything was given as tensors or numbers: new outputs are made by each call.
        whole = len(args) + len(named) == len(self._parameters) and all(isinstance(v, (Tensor, int, float)) for v in (*args, *named.values()))
        self._last = (args, named, values, held, result) if whole else None
        return result

    def submit(self, *args, **named):
        """Runs in the background and returns a Future.  What was submitted before and still runs ends with Superseded."""
        values, held, result = self._values(args, named)
        with self._lock:
            self._generation += 1
            generation = self._generation
        future = Future()

        def run():
            report = _abi.ReportStruct()
            try:
                self._run(values, _abi.RunOptions(generation=generation), report)
                self._report = report
                future.set_result(result)
            except BaseException as error:
                future.set_exception(error)
            held.clear()

        threading.Thread(target=run, name=f"hearth {self.name}", daemon=True).start()
        return future

    def cancel(self):
        """Ends what was submitted."""
        with self._lock:
            generation = self._generation
        _abi.check(_abi.lib.hearth_cancel(self._handle, generation))

    def check(self, seed=0):
        """Verifies the kernel once more, with inputs from `seed`."""
        report = _abi.ReportStruct()
        _abi.check(_abi.lib.hearth_check(self._handle, seed, report))
        return Report(report, self.name)

    @property
    def report(self):
        """Of the last run."""
        return Report(self._report, self.name)

    def __repr__(self):
        return f"<hearth.Kernel {self.name}({self.signature})>"

    def _repr_html_(self):
        return f"<code>{html.escape(self.name)}({html.escape(self.signature)})</code>" + self.report._repr_html_()

    def _display_(self):
        return Html(self._repr_html_())
