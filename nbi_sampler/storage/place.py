"""The place of a run's files: tested and locked before the first call, and cleared of former files.

A run that cannot be written loses all of its calls, and two runs in one place overwrite each other's
checkpoint. The place is relative to the working directory at the start, even if a likelihood changes it.
Files of another run with the same label are renamed, or removed on request.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import secrets
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

__all__ = ["Place", "keep_results", "remove_all", "set_aside", "writing_to"]

logger = logging.getLogger(__name__)

# Additions to a label by bilby and by the plots of a run; bilby renames an existing result to ".old".
LONGEST_ADDITION = len("_result.json.gz.old")
# File names of a result that bilby saves.
ENDINGS = (".json", ".json.gz", ".hdf5", ".pkl")
RESULTS = tuple(f"_result{ending}" for ending in ENDINGS)
# ``plot=True`` draws these plots; the first is bilby's.
FIGURES = ("corner", "run", "parameters", "data")
FIGURE_ENDINGS = (".png", ".pdf", ".svg")
# Characters in file names that Windows refuses, or, for a colon, reads as a stream within another file.
FORBIDDEN = '<>:"|?*'
# Seconds in which the workers of a killed run may end; the lock ends with them.
WAIT_FOR_LOCK = 5.0


class Place:
    """Folder and file names of one run.

    Parameters
    ----------
    outdir : str or os.PathLike
    label, abbreviation : str
        Label of the run, and abbreviation of the sampler.

    Attributes
    ----------
    folder : pathlib.Path
        Absolute path.
    checkpoint : pathlib.Path
        ``{folder}/{abbreviation}_{label}/checkpoint.npz``.

    Raises
    ------
    TypeError
        If ``outdir`` is not a path.
    """

    def __init__(self, outdir: Any, label: Any, abbreviation: str) -> None:
        if not isinstance(outdir, str | os.PathLike):
            raise TypeError(f"outdir: expected the path of a folder, got {outdir!r}; pass a str or a Path")
        self._start = self._end_of_checks = _working_directory()
        self.folder = Path(self._start, outdir)
        self._label = str(label)
        self.checkpoint = self.folder / f"{abbreviation}_{label}" / "checkpoint.npz"

    @property
    def holds_a_result(self) -> bool:
        """True if bilby may take the result from an existing file, so that nothing has to be written."""
        # The method of paths raises for an impossible file name.
        return any(os.path.isfile(self.folder / f"{self._label}{each}") for each in RESULTS)

    def check(self) -> None:
        """Try to write there; new folders remain only if this succeeds.

        Raises
        ------
        ValueError
            If the label cannot be part of a file name.
        OSError
            If a folder cannot be made or written to, with the error type of the system.
        BlockingIOError
            If another run works there.
        """
        for bad in (os.sep, os.altsep, "\0", *(FORBIDDEN if sys.platform == "win32" else "")):
            if bad and bad in self._label:
                raise ValueError(
                    f"label: expected a name without {bad!r}, because file names contain it, got "
                    f"{self._label!r}; pass folders with outdir="
                )
        missing: list[Path] = []
        try:
            try:
                missing += [path for path in (self.folder, *self.folder.parents) if not path.exists()]
                self.folder.mkdir(parents=True, exist_ok=True)
                _try_to_write(self.folder / f".{secrets.token_hex(8)}")
            except (OSError, ValueError) as error:
                raise self._no_folder(error) from error
            try:
                self._try_label(missing)
            except (OSError, ValueError) as error:
                raise self._no_label(error) from error
            with self._locked():
                pass
        except BaseException:
            for path in sorted(missing, key=lambda each: -len(each.parts)):
                with contextlib.suppress(OSError, ValueError):
                    path.rmdir()
            raise

    def checks_are_over(self, *, runs: bool) -> None:
        """Note the directory to which earlier checks have changed; return at once if no run follows."""
        self._end_of_checks = _working_directory()
        if not runs:
            _go_to(self._start)

    @contextlib.contextmanager
    def occupied(self) -> Iterator[None]:
        """Keep other runs out, and finally return to the initial directory, for saving the result.

        Raises
        ------
        BlockingIOError
            If another run works there.
        """
        here = _working_directory()
        home = self._start if here == self._end_of_checks else here
        try:
            with self._locked():
                yield
        finally:
            _go_to(home)

    def _try_label(self, missing: list[Path]) -> None:
        _try_to_write(self.folder / (self._label + secrets.token_hex(LONGEST_ADDITION)[:LONGEST_ADDITION]))
        own = self.checkpoint.parent
        if not own.exists():
            missing.append(own)
        own.mkdir(exist_ok=True)
        _try_to_write(own / f".{secrets.token_hex(8)}")
        for path in (*(self.folder / f"{self._label}{each}" for each in RESULTS), self.checkpoint):
            if path.is_dir():
                raise IsADirectoryError(f"{path} is a folder")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """A lock that ends with this process, however it ends; none if the file system has no locks."""
        own = self.checkpoint.parent
        own.mkdir(parents=True, exist_ok=True)
        lock, holder = FileLock(own / ".lock"), own / ".process"
        try:
            lock.acquire(timeout=WAIT_FOR_LOCK)
        # The second condition means that this thread holds it.
        except (Timeout, RuntimeError) as error:
            if isinstance(error, NotImplementedError):
                yield
                return
            raise BlockingIOError(self._occupied_by(holder)) from error
        except OSError as error:
            logger.debug("no lock in %s: %s", own, error)
            yield
            return
        try:
            # It belonged to a killed run, and nobody will finish it.
            for left_over in own.glob(f".{self.checkpoint.name}*.part"):
                left_over.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                holder.write_text(f"{os.getpid()} on {socket.gethostname()}", encoding="utf-8")
            yield
        finally:
            # A process that waits for the lock of a removed file tries again; Windows keeps the file while it
            # is locked.
            for path in (holder, own / ".lock"):
                with contextlib.suppress(OSError):
                    path.unlink()
            lock.release()

    def _occupied_by(self, holder: Path) -> str:
        try:
            who = f"process {holder.read_text(encoding='utf-8')}"
        except (OSError, UnicodeDecodeError):
            who = "another process"
        return (
            f"outdir, label: expected a place in which no other run works, got {self.folder} and "
            f"{self._label!r}, where {who} works; each would overwrite the other's checkpoint. Wait until it "
            "has ended, or pass another label"
        )

    def _no_folder(self, error: Exception) -> Exception:
        message = (
            f"outdir: expected a folder that can be made and written to, got {str(self.folder)!r} "
            f"({_reason(error)}); pass another one, or get permission to write there"
        )
        return type(error)(message) if isinstance(error, OSError) else ValueError(message)

    def _no_label(self, error: Exception) -> Exception:
        shown = self._label if len(self._label) <= 60 else f"{self._label[:40]}... ({len(self._label)} long)"
        return ValueError(
            f"label: expected a name for files in {self.folder}, with up to {LONGEST_ADDITION} characters "
            f"added to it ('_result.json' and others), got {shown!r} ({_reason(error)}); pass a shorter or "
            "simpler one"
        )


@contextlib.contextmanager
def writing_to(argument: str, path: Path) -> Iterator[None]:
    """Turn an error of the system within this block into one that names argument and remedy.

    If another process works there, which is a `BlockingIOError`, the file itself reports it.
    """
    try:
        yield
    except BlockingIOError:
        raise
    except OSError as error:
        full = error.errno == errno.ENOSPC
        remedy = "free space on that disk" if full else "get permission to write there"
        told = type(error)(
            f"{argument}: expected a path that can be written to, got {str(path)!r} ({_reason(error)}); "
            f"pass another one, or {remedy}"
        )
        told.errno = error.errno
        raise told from error


def set_aside(path: Path) -> Path:
    """Rename a file to the next free name, and return that name, so that no draws are lost.

    ``x_result.json`` becomes ``x_result.old-1.json``.
    """
    kept = _other_names(path)[-1]
    path.rename(kept)
    return kept


def keep_results(folder: Path, label: str, since: int | None, log: logging.Logger) -> None:
    """Rename the results of a label that hold other draws than the result that will be saved.

    bilby keeps only one former result, under a name that the next one overwrites. It may also fail to save
    the new result. The former result therefore keeps its own name until then.

    ``since`` is the time, in nanoseconds, at which all draws of the new result already existed. A file that
    is as young holds them too. It is None if there are new draws. The log lists the new names. It also
    reports a disk that refuses, which must not cost the result.
    """
    for path in (folder / f"{label}_result{ending}" for ending in ENDINGS):
        try:
            if not path.is_file() or not (about := path.stat()).st_size:
                continue
            if since is not None and about.st_mtime_ns >= since:
                continue
            *taken, kept = _other_names(path)
            if any(_stamp(each.stat()) == _stamp(about) for each in taken):
                continue
            _link_or_copy(path, kept)
        except OSError as error:
            log.warning(f"nbi: the former result {path} cannot be kept: {error}")
        else:
            log.warning(f"nbi: the former result {path} is kept as {kept.name}")


def remove_all(outdir: Path, label: str, checkpoint: Path, log: logging.Logger) -> None:
    """Remove everything that runs of a label have left: results, checkpoints, figures, page and logs.

    Files of other labels stay, even if these begin with this one. The checkpoint is in a folder that only
    runs of this label use.
    """
    endings = "|".join(map(re.escape, ENDINGS))
    result = re.compile(rf"{re.escape(label)}_result(\.old-\d+)?({endings})(\.old)?")
    shown = {f"{label}_{name}{ending}" for name in FIGURES for ending in FIGURE_ENDINGS}
    shown.add(f"{label}_report.html")
    stem, ending = re.escape(checkpoint.stem), re.escape(checkpoint.suffix)
    former = re.compile(rf"\.?{stem}(\.old-\d+)?{ending}(\.[\w-]+)*")
    found = [each for each in _files(outdir) if result.fullmatch(each.name) or each.name in shown]
    found += [each for each in _files(checkpoint.parent) if former.fullmatch(each.name)]
    for path in found:
        path.unlink(missing_ok=True)
    # Output of plugins about the runs, each in its own folder.
    own = checkpoint.parent.iterdir() if checkpoint.parent.is_dir() else ()
    for folder in sorted(each for each in own if each.is_dir() and not each.is_symlink()):
        shutil.rmtree(folder)
        found.append(folder)
    if found:
        log.info(f"nbi: removed because of clean=True: {', '.join(map(str, found))}")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _try_to_write(path: Path) -> None:
    with path.open("xb"):
        pass
    path.unlink()


def _working_directory() -> str:
    try:
        return os.getcwd()
    # The file has been removed.
    except OSError:
        return ""


def _go_to(directory: str) -> None:
    if directory and directory != _working_directory():
        os.chdir(directory)


def _files(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if each.is_file()) if folder.is_dir() else []


def _other_names(path: Path) -> list[Path]:
    """Names of files that were renamed from this one, followed by the next free name."""
    ending = next((each for each in ENDINGS if path.name.endswith(each)), path.suffix)
    stem = path.name.removesuffix(ending)
    names = [path.with_name(f"{stem}.old-1{ending}")]
    while names[-1].exists():
        names.append(path.with_name(f"{stem}.old-{len(names) + 1}{ending}"))
    return names


def _stamp(about: os.stat_result) -> tuple[int, int]:
    return about.st_size, about.st_mtime_ns


def _link_or_copy(path: Path, kept: Path) -> None:
    try:
        os.link(path, kept)
    # Some file systems have no links.
    except (OSError, NotImplementedError):
        shutil.copy2(path, kept)
