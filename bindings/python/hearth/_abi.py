"""The C interface (include/hearth/hearth.h) for ctypes: structs, functions, and failures as exceptions."""

import ctypes
import ctypes.util
import os
from ctypes import POINTER, Structure, Union, byref, c_char, c_char_p, c_double, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path

RANK_MAX = 8
VALUES_MAX = 16
BY_NAME, BY_CONTRACT, BY_PROSE = 1, 2, 3
MISSING, TENSOR, INTEGER, REAL = 0, 1, 2, 3
HASH_OUTPUTS = 1


class Sized(Structure):
    """A struct that begins with its own size."""

    def __init__(self, **fields):
        super().__init__(size=ctypes.sizeof(type(self)), **fields)


class Options(Sized):
    _fields_ = [("size", c_uint32), ("socket", c_char_p), ("client", c_char_p)]


class Roofs(Sized):
    _fields_ = [("size", c_uint32), ("n_threads", c_uint32), ("gflops_f32", c_double), ("gflops_f64", c_double),
                ("gbps_read", c_double), ("gbps_stream", c_double)]


class Layout(Sized):
    _fields_ = [("size", c_uint32), ("type", c_uint32), ("rank", c_uint32), ("is_read_only", c_uint32),
                ("shape", c_int64 * RANK_MAX), ("strides", c_int64 * RANK_MAX), ("data", c_void_p),
                ("descriptor", c_int32), ("descriptor_offset", c_uint64)]


class Source(Sized):
    _fields_ = [("size", c_uint32), ("kind", c_uint32), ("text", c_char_p), ("n_bytes", c_size_t)]


class RunOptions(Sized):
    _fields_ = [("size", c_uint32), ("flags", c_uint32), ("generation", c_uint64), ("deadline_s", c_double)]


class ReportStruct(Sized):
    _fields_ = [("size", c_uint32), ("is_verified", c_uint32), ("is_cached", c_uint32), ("is_jailed", c_uint32),
                ("n_copies", c_uint32), ("n_checks", c_uint32), ("t_compile", c_double), ("t_kernel", c_double),
                ("t_total", c_double), ("flops", c_double), ("bytes", c_double), ("gflops", c_double), ("gbps", c_double),
                ("roof_gflops", c_double), ("roof_gbps", c_double), ("error_ulps", c_double), ("out_hash", c_uint64),
                ("generation", c_uint64), ("device", c_char * 64)]


class Question(Sized):
    _fields_ = [("size", c_uint32), ("max_tokens", c_uint32), ("model", c_char_p), ("system", c_char_p), ("prompt", c_char_p)]


class _As(Union):
    _fields_ = [("tensor", c_void_p), ("integer", c_int64), ("real", c_double)]


class Value(Structure):
    _anonymous_ = ["as_"]
    _fields_ = [("kind", c_uint32), ("reserved", c_uint32), ("as_", _As)]


class Error(Exception):
    """Base of what can go wrong; the sentence says what, and the way out."""


class Invalid(Error, ValueError): pass
class NotFound(Error, LookupError): pass
class Denied(Error, PermissionError): pass
class Unsupported(Error): pass
class Unavailable(Error): pass
class OverBudget(Error, MemoryError): pass
class Cancelled(Error): pass
class Corrupt(Error): pass
class Internal(Error): pass
class Superseded(Error): pass
class Fault(Error): pass
class Deadline(Error, TimeoutError): pass
class HubGone(Error, ConnectionError): pass


_ERRORS = [None, Invalid, NotFound, Denied, Unsupported, Unavailable, OverBudget, Cancelled, Corrupt, Internal, Superseded,
           Fault, Deadline, HubGone]


def _find_library():
    if os.environ.get("HEARTH_LIBRARY"):
        return os.environ["HEARTH_LIBRARY"]
    beside = Path(__file__).with_name("libhearth.so")
    if beside.exists():
        return str(beside)
    found = ctypes.util.find_library("hearth")
    if found:
        return found
    raise ImportError("libhearth.so was not found: install Hearth, or name the file in HEARTH_LIBRARY")


# (name, result, arguments); a result of `int` is a hearth_status.
_PROTOTYPES = [
    ("hearth_version", c_uint32, []),
    ("hearth_error", c_char_p, []),
    ("hearth_open", c_int, [POINTER(Options), POINTER(c_void_p)]),
    ("hearth_close", None, [c_void_p]),
    ("hearth_measure_roofs", c_int, [c_void_p, POINTER(Roofs)]),
    ("hearth_alloc_strided", c_int, [c_void_p, c_uint32, c_uint32, POINTER(c_int64), POINTER(c_int64), POINTER(c_void_p)]),
    ("hearth_wrap", c_int, [c_void_p, POINTER(Layout), POINTER(c_void_p), POINTER(c_int)]),
    ("hearth_wrap_dlpack", c_int, [c_void_p, c_void_p, POINTER(c_void_p), POINTER(c_int)]),
    ("hearth_view_dlpack", c_int, [c_void_p, POINTER(c_void_p)]),
    ("hearth_slice", c_int, [c_void_p, POINTER(Layout), POINTER(c_void_p)]),
    ("hearth_describe", c_int, [c_void_p, POINTER(Layout)]),
    ("hearth_free", None, [c_void_p]),
    ("hearth_kernel_open", c_int, [c_void_p, POINTER(Source), POINTER(c_void_p)]),
    ("hearth_kernel_close", None, [c_void_p]),
    ("hearth_kernel_name", c_char_p, [c_void_p]),
    ("hearth_kernel_signature", c_char_p, [c_void_p]),
    ("hearth_kernel_receipt", c_char_p, [c_void_p]),
    ("hearth_list_kernels", c_int, [c_void_p, c_char_p, c_size_t, POINTER(c_size_t)]),
    ("hearth_complete", c_int, [c_void_p, POINTER(Value), c_uint32]),
    ("hearth_run", c_int, [c_void_p, POINTER(Value), c_uint32, POINTER(RunOptions), POINTER(ReportStruct)]),
    ("hearth_cancel", c_int, [c_void_p, c_uint64]),
    ("hearth_check", c_int, [c_void_p, c_uint64, POINTER(ReportStruct)]),
    ("hearth_ask", c_int, [c_void_p, POINTER(Question), POINTER(c_void_p)]),
    ("hearth_read", c_int, [c_void_p, c_char_p, c_size_t, POINTER(c_size_t)]),
    ("hearth_answer_receipt", c_char_p, [c_void_p]),
    ("hearth_answer_close", None, [c_void_p]),
]

lib = ctypes.CDLL(_find_library())
for _name, _result, _arguments in _PROTOTYPES:
    _function = getattr(lib, _name)
    _function.restype = _result
    _function.argtypes = _arguments


def failure(status):
    """The exception for a status that is not 0."""
    kind = _ERRORS[status] if 0 < status < len(_ERRORS) else Internal
    return kind(lib.hearth_error().decode("utf-8", "replace"))


def check(status):
    if status:
        raise failure(status)
