"""Tensors of the hub's pool."""

import ctypes
import math
from ctypes import byref, c_int64, c_void_p

from . import _abi, _arrays


class Tensor:
    """Memory that the hub's kernels work on, with a type and a shape.

    numpy and others see it without a copy: `t.numpy()`, `numpy.asarray(t)`, `torch.from_dlpack(t)`.  The memory stays
    as long as the tensor or any such view of it.
    """

    def __init__(self, context, handle):
        self._context = context
        self._handle = handle
        layout = _abi.Layout()
        _abi.check(_abi.lib.hearth_describe(handle, layout))
        self.type = layout.type
        self.dtype = _arrays.NAME[layout.type]
        self.shape = tuple(layout.shape[: layout.rank])
        self.strides = tuple(layout.strides[: layout.rank])  # In elements.
        self.data = layout.data
        self.is_read_only = bool(layout.is_read_only)
        self.descriptor = layout.descriptor
        self.itemsize = _arrays.BYTES[layout.type]

    def __del__(self):
        handle, self._handle = getattr(self, "_handle", None), None
        if handle and _abi is not None:
            _abi.lib.hearth_free(handle)

    @property
    def size(self):
        return math.prod(self.shape)

    @property
    def __array_interface__(self):
        return {"version": 3, "typestr": "<" + _arrays.KIND[self.type] if self.itemsize > 1 else "|" + _arrays.KIND[self.type],
                "shape": self.shape, "strides": tuple(s * self.itemsize for s in self.strides), "data": (self.data, self.is_read_only)}

    def numpy(self):
        import numpy
        return numpy.asarray(self)

    def __dlpack_device__(self):
        return (1, 0)

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        if copy:
            raise BufferError("a hearth.Tensor is passed on without a copy alone")
        if max_version is not None and max_version[0] >= 1:
            return _arrays.versioned_capsule(self._handle)
        return _arrays.old_capsule(self)

    def memoryview(self):
        """A view of a contiguous tensor, without any other package."""
        if list(self.strides) != _arrays.row_major(self.shape):
            raise BufferError("the tensor is not contiguous")
        memory = (ctypes.c_char * (self.size * self.itemsize)).from_address(self.data)
        memory.owner = self
        view = memoryview(memory).cast("B")
        return view.cast(_arrays.FORMAT[self.type], self.shape) if self.shape and self.size else view.cast(_arrays.FORMAT[self.type])

    def __buffer__(self, flags):
        return self.memoryview()

    def tolist(self):
        return self.memoryview().tolist()

    def fill(self, value):
        """Sets every element."""
        import array
        one = array.array(_arrays.FORMAT[self.type], [value]).tobytes()
        if list(self.strides) != _arrays.row_major(self.shape):
            raise BufferError("the tensor is not contiguous")
        block = one * min(self.size, 1 << 16)
        for at in range(0, self.size * self.itemsize, max(len(block), 1)):
            ctypes.memmove(self.data + at, block, min(len(block), self.size * self.itemsize - at))
        return self

    def _slice(self, shape, strides, offset=0):
        handle = c_void_p()
        layout = _arrays.layout_of(self.type, shape, strides, self.data + offset * self.itemsize, self.is_read_only)
        _abi.check(_abi.lib.hearth_slice(self._handle, layout, handle))
        return Tensor(self._context, handle.value)

    @property
    def T(self):
        """The transpose: the same memory, read the other way."""
        return self._slice(self.shape[::-1], self.strides[::-1])

    def __getitem__(self, key):
        """A number, or a tensor over the part that integers and slices with positive steps name."""
        key = key if isinstance(key, tuple) else (key,)
        if len(key) > len(self.shape):
            raise IndexError(f"{len(key)} indices, {len(self.shape)} dimensions")
        shape, strides, offset = [], [], 0
        for extent, stride, part in zip(self.shape, self.strides, key + (slice(None),) * (len(self.shape) - len(key))):
            if isinstance(part, slice):
                begin, end, step = part.indices(extent)
                if step < 0:
                    raise _abi.Unsupported("slices with negative steps are not supported")
                shape.append(len(range(begin, end, step)))
                strides.append(stride * step)
                offset += begin * stride
            else:
                index = part + extent if part < 0 else part
                if not 0 <= index < extent:
                    raise IndexError(f"index {part} of {extent}")
                offset += index * stride
        if not shape:
            return ctypes.cast(self.data + offset * self.itemsize, ctypes.POINTER(_C_TYPES[self.type])).contents.value
        return self._slice(shape, strides, offset)

    def __len__(self):
        return self.shape[0]

    def __repr__(self):
        return f"<hearth.Tensor {self.dtype}[{', '.join(map(str, self.shape))}]>"

    def _repr_html_(self):
        return f"<code>{self.dtype}[{', '.join(map(str, self.shape))}]</code> in the hub's pool"


_C_TYPES = {n: t for n, t in zip(range(1, 11), (ctypes.c_float, ctypes.c_double, ctypes.c_int8, ctypes.c_int16, ctypes.c_int32, ctypes.c_int64,
                                                ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64))}


def allocate(context, shape, dtype, strides=None):
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    handle = c_void_p()
    numbers = (c_int64 * max(len(shape), 1))(*shape)
    steps = (c_int64 * max(len(shape), 1))(*strides) if strides is not None else None
    _abi.check(_abi.lib.hearth_alloc_strided(context._handle, _arrays.type_number(dtype), len(shape), numbers, steps, handle))
    return Tensor(context, handle.value)
