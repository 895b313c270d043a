"""Where the files of a run go: found, tried and kept from other runs before the first likelihood call.

A run that cannot be written costs all of its calls, and two runs in one place overwrite each other's
checkpoint. The place is that of the start, wherever a likelihood changes the working directory to.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

__all__ = ["Place"]

logger = logging.getLogger(__name__)

# What bilby and the plots of a run add to a label; a result that is there already is renamed to ".old".
LONGEST_ADDITION = len("_result.json.gz.old")
RESULTS = ("_result.json", "_result.json.gz", "_result.hdf5", "_result.pkl")
# Seconds that the workers of a run which was killed may take to end, with which its lock ends.
WAIT_FOR_LOCK = 5.0


class Place:
    """Folder and names of the files of one run.

    Parameters
    ----------
    outdir : str or os.PathLike
    label : str
    abbreviation : str
        Of the sampler.

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
        """Whether there is a file that bilby may take the result from, so that nothing need be written."""
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
        for bad in (os.sep, os.altsep, "\0"):
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
                holder.write_text(f"{os.getpid()} on {socket.gethostname()}")
            yield
        finally:
            # Whoever waits for the lock of a file that is gone tries anew; Windows keeps the file while it
            # is locked.
            for path in (holder, own / ".lock"):
                with contextlib.suppress(OSError):
                    path.unlink()
            lock.release()

    def _occupied_by(self, holder: Path) -> str:
        try:
            who = f"process {holder.read_text()}"
        except OSError:
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
