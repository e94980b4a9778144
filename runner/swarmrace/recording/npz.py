"""A fast reader of npz files with a few small arrays: checking a race opens thousands of them.

`numpy.load` parses the header of every array as a Python expression, which takes longer than
everything else for arrays of a hundred numbers. Here each distinct header is parsed once.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Collection
from functools import lru_cache
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

_MAGIC_BYTES = 8
"""`\\x93NUMPY` and two bytes of version; the header's length and the header follow."""


def read(
    source: bytes | str | PathLike[str], names: Collection[str] | None = None
) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of an npz by name, read-only.

    Args:
        source: the file's path or content.
        names: the arrays to read, those of them that exist; by default all.

    Raises:
        OSError, ValueError, zipfile.BadZipFile, zlib.error: not an npz, or damaged.
    """
    with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as file:
        members = {name.removesuffix(".npy"): name for name in file.namelist()}
        wanted = members if names is None else [name for name in names if name in members]
        return {name: _array(file.read(members[name])) for name in wanted}


def _array(data: bytes) -> npt.NDArray[Any]:
    width = 2 if data[6:7] == b"\x01" else 4  # of the header's length, by version
    begin = _MAGIC_BYTES + width
    begin += int.from_bytes(data[_MAGIC_BYTES:begin], "little")
    shape, dtype = _header(data[:begin])
    return np.frombuffer(data, dtype, math.prod(shape), begin).reshape(shape)


@lru_cache(maxsize=4096)
def _header(head: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    file = io.BytesIO(head)
    version = np.lib.format.read_magic(file)
    reads = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        reads = np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = reads(file)
    if dtype.hasobject or (fortran_order and len(shape) > 1):
        raise ValueError("arrays of objects, or not in C order")
    return shape, dtype
