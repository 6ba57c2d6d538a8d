"""Arrays of others: what lies where, through the buffer protocol, numpy's interface, or DLPack."""

import ctypes
import sys
from ctypes import POINTER, Structure, c_char_p, c_int, c_int32, c_int64, c_ssize_t, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p, py_object

from . import _abi

# Name, hearth_type, struct format characters, numpy's kind and size, DLPack's code.
_TYPES = [
    ("f32", 1, "f", "f4", 2), ("f64", 2, "d", "f8", 2), ("i8", 3, "b", "i1", 0), ("i16", 4, "h", "i2", 0),
    ("i32", 5, "i", "i4", 0), ("i64", 6, "qln", "i8", 0), ("u8", 7, "BcC", "u1", 1), ("u16", 8, "H", "u2", 1),
    ("u32", 9, "I", "u4", 1), ("u64", 10, "QLN", "u8", 1),
]
NUMBER = {name: number for name, number, *_ in _TYPES}
NUMBER.update({kind: number for _, number, _, kind, _ in _TYPES})
NUMBER.update({f"{ {'f': 'float', 'i': 'int', 'u': 'uint'}[name[0]] }{name[1:]}": number for name, number, *_ in _TYPES})
NAME = {number: name for name, number, *_ in _TYPES}
KIND = {number: kind for _, number, _, kind, _ in _TYPES}
FORMAT = {number: formats[0] for _, number, formats, _, _ in _TYPES}
DLPACK_CODE = {number: code for _, number, _, _, code in _TYPES}
BYTES = {number: int(kind[1]) for _, number, _, kind, _ in _TYPES}


def type_number(dtype):
    """The hearth_type of "f32", "float32", "f4", a numpy dtype or a torch dtype."""
    name = getattr(dtype, "name", None) or getattr(dtype, "__name__", None) or str(dtype)
    name = name.replace("torch.", "").lstrip("<=|")
    if name not in NUMBER:
        raise _abi.Unsupported(f"elements of type {dtype} are not supported: one of {', '.join(NAME.values())} is")
    return NUMBER[name]


class _PyBuffer(Structure):
    _fields_ = [("buf", c_void_p), ("obj", py_object), ("len", c_ssize_t), ("itemsize", c_ssize_t), ("readonly", c_int),
                ("ndim", c_int), ("format", c_char_p), ("shape", POINTER(c_ssize_t)), ("strides", POINTER(c_ssize_t)),
                ("suboffsets", POINTER(c_ssize_t)), ("internal", c_void_p)]


_get_buffer = ctypes.pythonapi.PyObject_GetBuffer
_get_buffer.argtypes = [py_object, POINTER(_PyBuffer), c_int]
_release_buffer = ctypes.pythonapi.PyBuffer_Release
_release_buffer.argtypes = [POINTER(_PyBuffer)]
_RECORDS_RO = 0x0018 | 0x0004  # Strides and format, writable or not.


def layout_of(number, shape, strides, data, read_only=False):
    layout = _abi.Layout(type=number, rank=len(shape), is_read_only=int(read_only), data=data)
    layout.shape[: len(shape)] = shape
    layout.strides[: len(shape)] = strides
    return layout


def row_major(shape):
    strides, step = [], 1
    for extent in reversed(shape):
        strides.append(step)
        step *= max(extent, 1)
    return strides[::-1]


class DLDevice(Structure):
    _fields_ = [("device_type", c_int32), ("device_id", c_int32)]


class DLTensor(Structure):
    _fields_ = [("data", c_void_p), ("device", DLDevice), ("ndim", c_int32), ("code", c_uint8), ("bits", c_uint8),
                ("lanes", c_uint16), ("shape", POINTER(c_int64)), ("strides", POINTER(c_int64)), ("byte_offset", c_uint64)]


class DLManagedTensor(Structure):
    """Of DLPack before 1.0: what consumers get who do not ask for a version."""


_DELETER = ctypes.CFUNCTYPE(None, POINTER(DLManagedTensor))
DLManagedTensor._fields_ = [("dl_tensor", DLTensor), ("manager_ctx", c_void_p), ("deleter", _DELETER)]

_api = ctypes.pythonapi
_api.PyCapsule_New.restype = py_object
_api.PyCapsule_New.argtypes = [c_void_p, c_char_p, c_void_p]
_api.PyCapsule_IsValid.argtypes = [py_object, c_char_p]
_api.PyCapsule_GetPointer.restype = c_void_p
_api.PyCapsule_GetPointer.argtypes = [py_object, c_char_p]
_api.PyCapsule_SetName.argtypes = [py_object, c_char_p]
_VERSIONED, _OLD = b"dltensor_versioned", b"dltensor"
_USED = {_VERSIONED: b"used_dltensor_versioned", _OLD: b"used_dltensor"}


def _wrap(context, layout):
    handle, copied = c_void_p(), c_int()
    _abi.check(_abi.lib.hearth_wrap(context, layout, handle, copied))
    return handle.value, bool(copied.value)


def _from_buffer(context, array):
    view = _PyBuffer()
    try:
        _get_buffer(array, view, _RECORDS_RO)
    except (TypeError, BufferError, ValueError):
        return None
    try:
        text = (view.format or b"B").decode().lstrip("@=<" if sys.byteorder == "little" else "@=>")
        number = next((n for _, n, formats, kind, _ in _TYPES if text and text in formats and int(kind[1]) == view.itemsize), None)
        if number is None:
            raise _abi.Unsupported(f"elements of the struct format '{text}' are not supported")
        if any(view.strides[i] % view.itemsize for i in range(view.ndim)):
            raise _abi.Unsupported("an array whose elements lie across their own size is not supported: copy it first")
        strides = [view.strides[i] // view.itemsize for i in range(view.ndim)]
        return _wrap(context, layout_of(number, view.shape[: view.ndim], strides, view.buf, bool(view.readonly)))
    finally:
        _release_buffer(view)


def _from_dlpack(context, array):
    try:
        capsule = array.__dlpack__(max_version=(1, 0))
    except TypeError:
        capsule = array.__dlpack__()
    if _api.PyCapsule_IsValid(capsule, _VERSIONED):
        handle, copied = c_void_p(), c_int()
        _abi.check(_abi.lib.hearth_wrap_dlpack(context, _api.PyCapsule_GetPointer(capsule, _VERSIONED), handle, copied))
        _api.PyCapsule_SetName(capsule, _USED[_VERSIONED])
        return handle.value, bool(copied.value)
    # The capsule keeps the memory while it is copied; what lies in the pool is kept by its own tensor.
    tensor = DLManagedTensor.from_address(_api.PyCapsule_GetPointer(capsule, _OLD)).dl_tensor
    number = next((n for n, code in DLPACK_CODE.items() if code == tensor.code and BYTES[n] * 8 == tensor.bits), None)
    if number is None or tensor.lanes != 1 or tensor.device.device_type not in (1, 3):
        raise _abi.Unsupported("the tensor is not on the CPU, or its elements are not supported: copy it to a numpy array first")
    shape = tensor.shape[: tensor.ndim]
    strides = tensor.strides[: tensor.ndim] if tensor.strides else row_major(shape)
    return _wrap(context, layout_of(number, shape, strides, tensor.data + tensor.byte_offset))


def wrap(context, array):
    """A handle of a tensor over `array`, and whether it is a (counted) copy: what lies in the pool is used in place."""
    wrapped = _from_buffer(context, array)
    if wrapped is not None:
        return wrapped
    if hasattr(array, "__dlpack__"):
        return _from_dlpack(context, array)
    raise TypeError(f"a {type(array).__name__} is no array: neither a buffer nor DLPack")


def versioned_capsule(handle):
    managed = c_void_p()
    _abi.check(_abi.lib.hearth_view_dlpack(handle, managed))
    return _api.PyCapsule_New(managed, _VERSIONED, ctypes.cast(_free_unused_versioned, c_void_p))


# Old views that consumers have not deleted yet, by address: struct, shape, strides, and the tensor itself.
_old_views = {}


@_DELETER
def _delete_old(managed):
    _old_views.pop(ctypes.addressof(managed.contents), None)


def old_capsule(tensor):
    shape, strides = (c_int64 * max(len(tensor.shape), 1))(*tensor.shape), (c_int64 * max(len(tensor.shape), 1))(*tensor.strides)
    number = tensor.type
    managed = DLManagedTensor(DLTensor(tensor.data, DLDevice(1, 0), len(tensor.shape), DLPACK_CODE[number], BYTES[number] * 8, 1,
                                       shape, strides, 0), None, _delete_old)
    _old_views[ctypes.addressof(managed)] = (managed, shape, strides, tensor)
    return _api.PyCapsule_New(ctypes.addressof(managed), _OLD, ctypes.cast(_free_unused_old, c_void_p))


_DESTRUCTOR = ctypes.CFUNCTYPE(None, c_void_p)
_is_valid = ctypes.PyDLL(None).PyCapsule_IsValid
_is_valid.argtypes = [c_void_p, c_char_p]
_pointer = ctypes.PyDLL(None).PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = c_void_p, [c_void_p, c_char_p]


@_DESTRUCTOR
def _free_unused_old(capsule):
    if _is_valid(capsule, _OLD):
        _old_views.pop(_pointer(capsule, _OLD), None)


class _Versioned(Structure):
    _fields_ = [("major", c_uint32), ("minor", c_uint32), ("manager_ctx", c_void_p),
                ("deleter", ctypes.CFUNCTYPE(None, c_void_p))]


@_DESTRUCTOR
def _free_unused_versioned(capsule):
    if _is_valid(capsule, _VERSIONED):
        managed = _pointer(capsule, _VERSIONED)
        _Versioned.from_address(managed).deleter(managed)
