"""Archives that were damaged or edited: one error, before memory is taken, and never other numbers."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from typing import Any, TypeVar, get_origin

import numpy as np
import pytest
from numpy.typing import NDArray
from tampering import flips, truncations
from typing_extensions import TypeAliasType

from nbi_sampler.storage.archive import ArchiveError, check_seal, read_archive, sealed, write_archive
from nbi_sampler.storage.checks import check_field

ARRAYS = {
    "a": np.arange(12.0).reshape(3, 4),
    "b": np.arange(7, dtype=np.float32),
    "c": np.array(3),
    "turned": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
}
HEADER = {"format": "x", "numbers": [1, 2.5, np.inf], "nested": {"text": "é"}}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.npz"


@pytest.fixture
def whole(path):
    """An archive with a seal, and its bytes."""
    write_archive(path, sealed(HEADER, ARRAYS), ARRAYS)
    return path.read_bytes()


def rewritten(path, changes, compression=zipfile.ZIP_STORED):
    """The same archive with other bytes in some of its members, or others besides; checksums are right."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in {**members, **changes}.items():
            if content is not None:
                file.writestr(name, content)


def npy(array, **as_text):
    """An array as numpy writes it, with parts of its own header replaced."""
    file = io.BytesIO()
    np.save(file, array)
    content = file.getvalue()
    for before, after in as_text.values():
        assert content.count(before) == 1 and len(before) == len(after)
        content = content.replace(before, after)
    return content


def same(path):
    header, arrays = read_archive(path)
    check_seal(header)
    header.pop("seal")
    return header == HEADER and all(
        arrays[name].tobytes() == array.tobytes() and arrays[name].shape == array.shape
        for name, array in ARRAYS.items()
    )


class TestDamage:
    def test_cut_or_changed_anywhere_it_is_told_or_reads_the_same(self, path, whole):
        n_told = 0
        for content in (*truncations(whole, 25, 1), *flips(whole, 250, 2)):
            path.write_bytes(content)
            try:
                assert same(path)
            except ArchiveError:
                n_told += 1
        assert n_told > 100

    def test_no_bit_of_an_arrays_own_header_is_read_otherwise(self, path, whole):
        """Its shape, its type and its length come before the numbers: the checksum is of both."""
        start = whole.index(b"\x93NUMPY", whole.index(b"a.npy"))
        for at in range(start, start + 128):
            changed = bytearray(whole)
            changed[at] ^= 1 << at % 8
            path.write_bytes(changed)
            with pytest.raises(ArchiveError):
                read_archive(path)


WRONG = {
    "raw bytes": b"\x00" * 96,
    "no dimensions": npy(np.array(3.0)),
    "another shape": npy(np.arange(12.0)),
    "another type": npy(np.arange(12, dtype=np.int64).reshape(3, 4)),
    "objects": npy(np.array([None, None])),
    "text": npy(np.array(["a"])),
    "fields": npy(np.zeros(3, dtype=[("x", float)])),
    "a huge shape": npy(ARRAYS["a"], shape=(b"'shape': (3, 4), }      ", b"'shape': (3, 4000000), }")),
    "a negative shape": npy(ARRAYS["a"], shape=(b"'shape': (3, 4), }  ", b"'shape': (-3, -4), }")),
    "a shape that is less": npy(ARRAYS["a"], shape=(b"(3, 4)", b"(3, 2)")),
    "a program": npy(ARRAYS["a"], descr=(b"'<f8'", b"1/0+2")),
}


class TestArraysOfAnotherKind:
    @pytest.mark.parametrize("content", WRONG.values(), ids=WRONG)
    @pytest.mark.parametrize("is_sealed", [True, False])
    def test_are_refused(self, path, content, is_sealed):
        header = sealed(HEADER, ARRAYS) if is_sealed else HEADER
        write_archive(path, header, ARRAYS)
        rewritten(path, {"a.npy": content})
        if is_sealed or content not in (
            WRONG["no dimensions"],
            WRONG["another shape"],
            WRONG["another type"],
        ):
            with pytest.raises(ArchiveError):
                read_archive(path)
        else:
            # Nothing in a file of before says what it should be: that is for whoever makes an object of it.
            assert read_archive(path)[1]["a"].nbytes <= ARRAYS["a"].nbytes

    def test_missing_or_more_than_the_header_names_are_refused(self, path, whole):
        rewritten(path, {"more.npy": npy(np.zeros(3))})
        with pytest.raises(ArchiveError, match="array 'more' is not in its header"):
            read_archive(path)
        path.write_bytes(whole)
        rewritten(path, {"b.npy": None})
        with pytest.raises(ArchiveError, match="array 'b' is missing"):
            read_archive(path)

    def test_names_that_point_elsewhere_write_nothing(self, path, tmp_path):
        write_archive(path, HEADER, {"../../outside": np.zeros(3), "/outside": np.zeros(3)})
        before = sorted(tmp_path.rglob("*"))
        assert len(read_archive(path)[1]) == 2
        assert sorted(tmp_path.rglob("*")) == before

    def test_zeros_that_are_compressed_take_no_memory(self, path):
        """Gigabytes can be in kilobytes: what is compressed is not read at all."""
        zeros = np.zeros(4_000_000)
        np.savez_compressed(path, header=np.array(json.dumps(HEADER)), a=zeros)
        assert path.stat().st_size < 100_000
        tracemalloc.start()
        with pytest.raises(ArchiveError, match="compressed"):
            read_archive(path)
        assert tracemalloc.get_traced_memory()[1] < 5e6
        tracemalloc.stop()

    def test_a_header_as_deep_as_it_is_long_is_refused(self, path):
        np.savez(path, header=np.array("[" * 200_000 + "]" * 200_000))
        with pytest.raises(ArchiveError):
            read_archive(path)


class TestAnnotations:
    def test_arrays_are_known_however_numpy_writes_their_type(self):
        # NumPy 2.5 made NDArray an alias by a `type` statement, of which this is the like.
        scalar = TypeVar("scalar", bound=np.generic)
        alias = TypeAliasType("NDArray", np.ndarray[Any, np.dtype[scalar]], type_params=(scalar,))
        for hint in (NDArray[np.float64], alias[np.float64], tuple[alias[np.float64], ...]):
            value = (np.zeros(2),) if get_origin(hint) is tuple else np.zeros(2)
            check_field("theta", value, hint)
            with pytest.raises(ArchiveError, match="damaged: its field 'theta'"):
                check_field("theta", np.zeros(2, bool), hint)


class TestSeal:
    def test_a_field_that_was_edited_is_named(self, path, whole):
        header, _ = read_archive(path)
        for change, message in (
            ({"numbers": [1, 2.5, 3]}, "field 'numbers' is not as it was written"),
            ({"another": 1}, "field 'another' is not as it was written"),
            ({"seal": {"arrays": {}, "fields": None}}, "field 'seal'"),
        ):
            with pytest.raises(ArchiveError, match=message):
                check_seal({**header, **change})
        header.pop("nested")
        with pytest.raises(ArchiveError, match="field 'nested' is missing"):
            check_seal(header)

    def test_a_file_of_before_is_read_without(self, path):
        write_archive(path, HEADER, ARRAYS)
        assert same_without_seal(path)


def same_without_seal(path):
    header, arrays = read_archive(path)
    check_seal(header)
    return header == HEADER and set(arrays) == set(ARRAYS)


@pytest.mark.parametrize("start", [b"", b"PK\x03\x04", b"PK\x05\x06", b"\x93NUMPY\x01\x00"])
def test_any_bytes_are_refused_by_one_error(path, start, rng):
    for _ in range(25):
        path.write_bytes(start + rng.bytes(int(rng.integers(400))))
        with pytest.raises(ArchiveError):
            read_archive(path)
