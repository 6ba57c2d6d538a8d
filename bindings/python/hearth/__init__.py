"""Kernels of a Hearth hub on tensors in shared memory.

    import hearth
    y = hearth.kernel("mul_f32")(hearth.tensor([1, 2, 3]), hearth.tensor([4, 5, 6]))

The functions here use one connection, opened when it is first needed; `Context` makes others.
"""

import threading

from ._abi import (Cancelled, Corrupt, Deadline, Denied, Error, Fault, HubGone, Internal, Invalid, NotFound, OverBudget, Superseded,
                   Unavailable, Unsupported)
from ._context import Answer, Context, Gemm
from ._kernel import Kernel
from ._report import Report, Roofs
from ._tensor import Tensor

__version__ = "0.1.0"

_lock = threading.Lock()
_default = None


def connect(socket=None):
    """Connects anew (to the hub at `socket`, if it is named); what is below uses that from now on."""
    global _default
    with _lock:
        _default = Context(socket)
        return _default


def context():
    global _default
    with _lock:
        if _default is None:
            _default = Context()
        return _default


def _of_default(name):
    method = getattr(Context, name)

    def function(*args, **named):
        return getattr(context(), name)(*args, **named)

    function.__name__, function.__doc__ = name, method.__doc__
    return function


empty, full, zeros, tensor = map(_of_default, ("empty", "full", "zeros", "tensor"))
kernel, kernels, devices, gemm, roofs, ask = map(_of_default, ("kernel", "kernels", "devices", "gemm", "roofs", "ask"))
