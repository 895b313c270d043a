"""The place of a run's files: tried and kept from other runs before the first call, cleared of former files.

A run that cannot be written costs all of its calls, and two runs in one place overwrite each other's
checkpoint. The place is that of the start, wherever a likelihood changes the working directory to. Files that
another run of the same label replaces are kept under another name, or removed on request.
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

# What bilby and the plots of a run add to a label; a result that is there already is renamed to ".old".
LONGEST_ADDITION = len("_result.json.gz.old")
# Of a result as bilby saves it.
ENDINGS = (".json", ".json.gz", ".hdf5", ".pkl")
RESULTS = tuple(f"_result{ending}" for ending in ENDINGS)
# ``plot=True`` draws these, bilby the first of them.
FIGURES = ("corner", "run", "parameters", "data")
FIGURE_ENDINGS = (".png", ".pdf", ".svg")
# In names of files on Windows, where a colon would name a stream within another file.
FORBIDDEN = '<>:"|?*'
# Seconds that the workers of a run which was killed may take to end, with which its lock ends.
WAIT_FOR_LOCK = 5.0


class Place:
    """Folder and names of the files of one run.

    Parameters
    ----------
    outdir : str or os.PathLike
    label, abbreviation : str
        Of the run, and of the sampler.

    Attributes
    ----------
    folder : pathlib.Path
        Absolute.
    checkpoint : pathlib.Path
        ``{folder}/{abbreviation}_{label}/checkpoint.npz``.

    Raises
    ------
    TypeError
        Where ``outdir`` is no path.
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
        """True where there is a file that bilby may take the result from: nothing need be written."""
        # The method of paths raises for a name that no file can have.
        return any(os.path.isfile(self.folder / f"{self._label}{each}") for each in RESULTS)

    def check(self) -> None:
        """Try to write there; the folders that were made are left only where all is well.

        Raises
        ------
        ValueError
            For a label that can be no part of a file's name.
        OSError
            For a folder that cannot be made or written to, of the kind that the system gives.
        BlockingIOError
            Where another run is at work.
        """
        for bad in (os.sep, os.altsep, "\0", *(FORBIDDEN if sys.platform == "win32" else "")):
            if bad and bad in self._label:
                raise ValueError(
                    f"label: expected a name without {bad!r}, because files are named by it, got "
                    f"{self._label!r}; pass folders by outdir="
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
        """Take note of where the checks before a run have moved to; go back at once where none follows."""
        self._end_of_checks = _working_directory()
        if not runs:
            _go_to(self._start)

    @contextlib.contextmanager
    def occupied(self) -> Iterator[None]:
        """Keep other runs out, and at the end go back to where the run began, for whoever saves its result.

        Raises
        ------
        BlockingIOError
            Where another run is at work.
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
        """A lock that ends with this process, however it ends; none where the file system knows no locks."""
        own = self.checkpoint.parent
        own.mkdir(parents=True, exist_ok=True)
        lock, holder = FileLock(own / ".lock"), own / ".process"
        try:
            lock.acquire(timeout=WAIT_FOR_LOCK)
        # The second where it is this very thread that holds it.
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
            # A killed run's, which nobody finishes.
            for left_over in own.glob(f".{self.checkpoint.name}*.part"):
                left_over.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                holder.write_text(f"{os.getpid()} on {socket.gethostname()}", encoding="utf-8")
            yield
        finally:
            # Whoever waits for the lock of a file that is gone tries again; Windows keeps the file while it
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
            f"outdir, label: expected a place that no other run is at work in, got {self.folder} and "
            f"{self._label!r}, where {who} is; each would overwrite the other's checkpoint. Wait until it "
            "has ended, or pass another label"
        )

    def _no_folder(self, error: Exception) -> Exception:
        message = (
            f"outdir: expected a folder that can be made and written to, got {str(self.folder)!r} "
            f"({_reason(error)}); pass another one, or give yourself the right to write there"
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
    """Turn a refusal of the system within this block into one that names argument and remedy.

    Where another process is at work, which is a `BlockingIOError`, the file says so itself.
    """
    try:
        yield
    except BlockingIOError:
        raise
    except OSError as error:
        full = error.errno == errno.ENOSPC
        remedy = "free some of that disk" if full else "give yourself the right to write there"
        told = type(error)(
            f"{argument}: expected a path that can be written to, got {str(path)!r} ({_reason(error)}); "
            f"pass another one, or {remedy}"
        )
        told.errno = error.errno
        raise told from error


def set_aside(path: Path) -> Path:
    """Rename a file to the next free name, which is returned, so that no draws are lost.

    ``x_result.json`` becomes ``x_result.old-1.json``.
    """
    kept = _other_names(path)[-1]
    path.rename(kept)
    return kept


def keep_results(folder: Path, label: str, since: int | None, log: logging.Logger) -> None:
    """Give results of a label that hold other draws than the one which is about to be saved a second name.

    bilby itself keeps one former result only, and that under a name which the next one overwrites. It may not
    save the new one at all, so the former result has its own name until then.

    ``since`` is the time at which all draws of the new result were there already, in nanoseconds: a file that
    is as young holds them too. None where there are new draws. The log is told of the new names, and of a
    disk that refuses, which must not cost the result.
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
    """Remove all that runs of a label have left: results, checkpoints, former ones, figures, page and logs.

    Files of other labels stay, of those too that begin like this one. The checkpoint is in the folder that
    the runs of this label have to themselves.
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
    # What plugins have written about the runs, each in a folder of its own.
    own = checkpoint.parent.iterdir() if checkpoint.parent.is_dir() else ()
    for folder in sorted(each for each in own if each.is_dir() and not each.is_symlink()):
        shutil.rmtree(folder)
        found.append(folder)
    if found:
        log.info(f"nbi: removed, as clean=True asks for: {', '.join(map(str, found))}")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _try_to_write(path: Path) -> None:
    with path.open("xb"):
        pass
    path.unlink()


def _working_directory() -> str:
    try:
        return os.getcwd()
    # It was removed.
    except OSError:
        return ""


def _go_to(directory: str) -> None:
    if directory and directory != _working_directory():
        os.chdir(directory)


def _files(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if each.is_file()) if folder.is_dir() else []


def _other_names(path: Path) -> list[Path]:
    """Names of files that were set aside under this one, and after them the next that is free."""
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
    # Not every file system has links.
    except (OSError, NotImplementedError):
        shutil.copy2(path, kept)
