"""One file of JSON text and plain arrays: replaced at once, and read without executing anything.

numpy's ``npz``, so that `numpy.load` shows what is in it. A sealed header says besides which arrays the file
holds, of which type and shape, and has a digest of each of its fields, so that neither damage nor an edit
passes for what was written. Files without a seal, as they were once written, are read too.
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
# The field of a header that tells of the others, and of the arrays.
SEAL = "seal"
SMALLEST = 22
# Of arrays: flags, integers, floating-point numbers. Text is the header's alone.
KINDS = "biufc"


class ArchiveError(Exception):
    """A file that is no archive, no longer a whole one, or holds something else than was written."""


def write_archive(path: Path, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a file so that whoever reads it finds the former one or this one, whole.

    Parameters
    ----------
    path : pathlib.Path
        Its folder is made where missing.
    header : mapping
        What JSON can hold; infinities and NaN as well.
    arrays : mapping of str to ndarray
        Of numbers.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of its own: another process may be writing the same file.
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

    Memory is taken for what the file holds and its header tells, and for no more: sizes are checked first.

    Raises
    ------
    ArchiveError
        For anything but a whole file of `write_archive` that can be opened.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as members:
            return _contents_of(members, os.fstat(file.fileno()).st_size)
    except ArchiveError:
        raise
    # What a broken file makes the readers of zip, arrays and JSON raise has no end.
    except Exception as error:
        raise ArchiveError(
            f"it is truncated, unreadable or another program's ({type(error).__name__}: {error})"
        ) from error


def sealed(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """A header with one field more: types and shapes of the arrays, and a digest of every other field.

    `read_archive` looks at the arrays, `check_seal` at the fields.
    """
    seal = {
        "arrays": {name: _described(array.dtype, array.shape) for name, array in arrays.items()},
        "fields": {name: _digest(value) for name, value in header.items()},
    }
    return {**header, SEAL: seal}


def check_seal(header: Mapping[str, Any]) -> None:
    """Refuse a header with a field that is not as it was sealed, by its name; one without a seal passes."""
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
    """Turn whatever is raised within this block into an `ArchiveError` that names the field."""
    try:
        yield
    except ArchiveError:
        raise
    # No end to what may be wrong with arguments that a file holds.
    except Exception as error:
        raise ArchiveError(
            f"it is damaged: its field {field!r} cannot be used ({type(error).__name__}: {error})"
        ) from error


def is_placeholder(path: Path) -> bool:
    """Return whether a file is too short to hold anything: a scheduler makes those it expects beforehand.

    bilby_pipe makes them empty, or with an empty pickled dictionary; an archive has 22 bytes at least.
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
            raise ArchiveError(f"it is damaged: {member.filename!r} is no array, or is there twice")
        # The package writes none; a few bytes could grow to any size.
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
        raise ArchiveError("it is damaged: its header is no text")
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
    """One array, read to the end of its member, where its checksum is looked at.

    Raises
    ------
    ArchiveError
        Also where type or shape are not those expected, before memory is taken.
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
    """Shape, a flag for Fortran's order, and type."""
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    return readers[version](stream)


def _fill(stream: IO[bytes], array: NDArray[Any]) -> None:
    """Read bytes into an array, and on to the end of the member: only there is the checksum compared."""
    if array.nbytes:
        view = array.reshape(-1).view(np.uint8).data
        filled = 0
        while filled < len(view):
            n_read = stream.readinto(view[filled:])  # type: ignore[attr-defined]
            if not n_read:
                raise EOFError("the file ends within an array")
            filled += n_read
    if stream.read(1):
        raise ArchiveError("it is damaged: bytes behind an array")
