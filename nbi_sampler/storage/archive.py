"""One file with JSON text and plain arrays that is replaced atomically and executes nothing when read.

The format is numpy's ``npz``, so `numpy.load` shows the contents. A sealed header lists the arrays with their
types and shapes, and holds a digest of each of its fields. Damage and edits are therefore noticed. Older
files without a seal can still be read.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nbi_sampler.storage.replacing import put_in_place

__all__ = [
    "ArchiveError",
    "check_seal",
    "is_placeholder",
    "read_archive",
    "reading_field",
    "sealed",
    "write_archive",
]

HEADER = "header"
# The header field that describes the other fields and the arrays.
SEAL = "seal"
SMALLEST = 22
# Kinds of arrays: flags, integers, floating-point numbers. Text is only in the header.
KINDS = "biufc"


class ArchiveError(Exception):
    """A file is not an archive, is incomplete, or was changed."""


def write_archive(path: Path, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a file atomically, so that a reader finds either the former one or the new one.

    Parameters
    ----------
    path : pathlib.Path
        Path of the file. Missing folders are made.
    header : mapping
        Values that JSON can hold, including infinities and NaN.
    arrays : mapping of str to ndarray
        Arrays of numbers.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A separate temporary file, because another process may be writing the same file.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        with temporary.open("wb") as file:
            np.savez(file, **{HEADER: np.array(json.dumps(header))}, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        put_in_place(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read_archive(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and arrays of a file.

    Memory is allocated only for what the file holds and its header lists, because sizes are checked first.

    Raises
    ------
    ArchiveError
        If the file cannot be opened or is not a complete file of `write_archive`.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as members:
            return _contents_of(members, os.fstat(file.fileno()).st_size)
    except ArchiveError:
        raise
    # Readers of zip, arrays and JSON may raise any error for a broken file.
    except Exception as error:
        raise ArchiveError(
            f"it is truncated, unreadable or another program's ({type(error).__name__}: {error})"
        ) from error


def sealed(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Add a field to a header: types and shapes of the arrays, and a digest of every other field.

    `read_archive` checks the arrays, and `check_seal` checks the fields.
    """
    seal = {
        "arrays": {name: _described(array.dtype, array.shape) for name, array in arrays.items()},
        "fields": {name: _digest(value) for name, value in header.items()},
    }
    return {**header, SEAL: seal}


def check_seal(header: Mapping[str, Any]) -> None:
    """Refuse a header with a changed field, by its name; a header without a seal passes."""
    if SEAL not in header:
        return
    digests = _seal_of(header)["fields"]
    fields = {name: value for name, value in header.items() if name != SEAL}
    for name in {**digests, **fields}:
        if name not in fields:
            raise ArchiveError(f"it is damaged: its field {name!r} is missing")
        if digests.get(name) != _digest(fields[name]):
            raise ArchiveError(f"it is damaged: its field {name!r} is not as it was written")


@contextmanager
def reading_field(field: str) -> Iterator[None]:
    """Turn any error within this block into an `ArchiveError` that names the field."""
    try:
        yield
    except ArchiveError:
        raise
    # Arguments from a file may be wrong in any way.
    except Exception as error:
        raise ArchiveError(
            f"it is damaged: its field {field!r} cannot be used ({type(error).__name__}: {error})"
        ) from error


def is_placeholder(path: Path) -> bool:
    """Return whether a file is too short to be an archive, such as those that schedulers make beforehand.

    bilby_pipe makes files that are empty or hold an empty pickled dictionary. An archive has at least 22
    bytes.
    """
    return path.stat().st_size < SMALLEST


def _described(dtype: np.dtype[Any], shape: tuple[int, ...]) -> list[Any]:
    return [dtype.newbyteorder("<").str, list(shape)]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def _contents_of(members: zipfile.ZipFile, n_bytes: int) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    found = {}
    for member in members.infolist():
        name = member.filename.removesuffix(".npy")
        if name in found or name == member.filename:
            raise ArchiveError(f"it is damaged: {member.filename!r} is not an array, or occurs twice")
        # The package writes none. A few compressed bytes could expand to any size.
        if member.compress_type != zipfile.ZIP_STORED:
            raise ArchiveError(f"it is damaged: its array {name!r} is compressed")
        found[name] = member
    if sum(member.file_size for member in found.values()) > n_bytes:
        raise ArchiveError("it is damaged: its parts are larger than the file")
    header = _header_of(members, found.pop(HEADER, None))
    promised = _seal_of(header)["arrays"] if SEAL in header else None
    for name in () if promised is None else {**promised, **found}:
        if promised is not None and (name not in found or name not in promised):
            what = "not in its header" if name in found else "missing"
            raise ArchiveError(f"it is damaged: its array {name!r} is {what}")
    return header, {name: _array_of(members, member, KINDS, promised) for name, member in found.items()}


def _header_of(members: zipfile.ZipFile, member: zipfile.ZipInfo | None) -> dict[str, Any]:
    if member is None:
        raise ArchiveError("it is another program's: it has no header")
    text = _array_of(members, member, "U")
    if text.shape != ():
        raise ArchiveError("it is damaged: its header is not text")
    header = json.loads(str(text))
    if not isinstance(header, dict):
        raise ArchiveError("it is another program's")
    return header


def _seal_of(header: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    seal = header[SEAL]
    parts = [seal.get(part) if isinstance(seal, dict) else None for part in ("arrays", "fields")]
    if not all(isinstance(part, dict) for part in parts):
        raise ArchiveError(f"it is damaged: its field {SEAL!r} is not as it was written")
    return seal


def _array_of(
    members: zipfile.ZipFile,
    member: zipfile.ZipInfo,
    kinds: str,
    promised: Mapping[str, Any] | None = None,
) -> NDArray[Any]:
    """Read one array to the end of its member, so that its checksum is compared.

    Raises
    ------
    ArchiveError
        Also if type or shape are not those expected; this is checked before memory is allocated.
    """
    name = member.filename.removesuffix(".npy")
    with members.open(member) as stream:
        shape, is_transposed, dtype = _head_of(stream)
        if dtype.kind not in kinds or any(side < 0 for side in shape):
            raise ArchiveError(f"it is damaged: its array {name!r} is of type {dtype} and shape {shape}")
        if promised is not None and _described(dtype, shape) != promised[name]:
            raise ArchiveError(
                f"it is damaged: its array {name!r} is of type {dtype} and shape {shape}, its header says "
                f"{promised[name]}"
            )
        n_bytes = math.prod(shape) * dtype.itemsize
        if stream.tell() + n_bytes != member.file_size:
            raise ArchiveError(
                f"it is damaged: its array {name!r} of shape {shape} is not {member.file_size:,} bytes"
            )
        array = np.empty(shape[::-1] if is_transposed else shape, dtype)
        _fill(stream, array)
    if not dtype.isnative:
        array = array.astype(dtype.newbyteorder("="))
    return array.T if is_transposed else array


def _head_of(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, a flag for Fortran order, and type."""
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    return readers[version](stream)


def _fill(stream: IO[bytes], array: NDArray[Any]) -> None:
    """Read bytes into an array up to the end of the member, because the checksum is compared only there."""
    if array.nbytes:
        view = array.reshape(-1).view(np.uint8).data
        filled = 0
        while filled < len(view):
            n_read = stream.readinto(view[filled:])  # type: ignore[attr-defined]
            if not n_read:
                raise EOFError("the file ends within an array")
            filled += n_read
    if stream.read(1):
        raise ArchiveError("it is damaged: additional bytes after an array")
