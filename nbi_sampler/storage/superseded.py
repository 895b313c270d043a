"""Files that another run of the same label replaces: kept under another name, or removed on request."""

from __future__ import annotations

import logging
import os
import re
import shutil
from pathlib import Path

__all__ = ["keep_results", "remove_all", "set_aside"]

# Of a result as bilby saves it.
ENDINGS = (".json", ".json.gz", ".hdf5", ".pkl")
# ``plot=True`` draws these.
FIGURES = ("corner", "run", "parameters", "data")


def set_aside(path: Path) -> Path:
    """Rename a file to the next free name, so that nothing that was paid for is destroyed.

    Parameters
    ----------
    path : pathlib.Path
        Such as ``x_result.json``, which becomes ``x_result.old-1.json``.

    Returns
    -------
    pathlib.Path
        Where it is now.
    """
    kept = _other_names(path)[-1]
    path.rename(kept)
    return kept


def keep_results(folder: Path, label: str, since: int | None, log: logging.Logger) -> None:
    """Give results of a label that hold other draws than the one which is about to be saved a second name.

    bilby itself keeps one former result only, and that under a name which the next one overwrites. Whether it
    will save the new one at all is not known here, so the former result has its own name until then.

    Parameters
    ----------
    folder : pathlib.Path
    label : str
    since : int, optional
        When all draws of the new result were there already, in nanoseconds: a file that is as young holds
        them too. None where there are new draws.
    log : logging.Logger
        Told of the new names; and of a disk that refuses, which must not cost the result.
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
    """Remove all that runs of a label have left: results, checkpoints, former ones of both, figures, logs.

    Parameters
    ----------
    outdir : pathlib.Path
    label : str
        Files of other labels stay, of those too that begin like this one.
    checkpoint : pathlib.Path
        In the folder that the runs of this label have to themselves.
    log : logging.Logger
    """
    endings = "|".join(map(re.escape, ENDINGS))
    result = re.compile(rf"{re.escape(label)}_result(\.old-\d+)?({endings})(\.old)?")
    figures = {f"{label}_{name}.png" for name in FIGURES}
    stem, ending = re.escape(checkpoint.stem), re.escape(checkpoint.suffix)
    former = re.compile(rf"\.?{stem}(\.old-\d+)?{ending}(\.[\w-]+)*")
    found = [each for each in _files(outdir) if result.fullmatch(each.name) or each.name in figures]
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
