"""Files that another run of the same label replaces: kept under another name, or removed on request."""

from __future__ import annotations

import logging
import re
from pathlib import Path

__all__ = ["remove_all", "set_aside", "set_results_aside"]

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
    ending = next((each for each in ENDINGS if path.name.endswith(each)), path.suffix)
    stem, number = path.name.removesuffix(ending), 1
    while (kept := path.with_name(f"{stem}.old-{number}{ending}")).exists():
        number += 1
    path.rename(kept)
    return kept


def set_results_aside(outdir: Path, label: str, since: int | None, log: logging.Logger) -> None:
    """Rename results of a label that hold other draws than the one which is about to be saved.

    bilby itself keeps one former result only, and that under a name which the next one overwrites.

    Parameters
    ----------
    outdir : pathlib.Path
    label : str
    since : int, optional
        When all draws of the new result were there already, in nanoseconds: a file that is as young holds
        them too and stays. None where there are new draws.
    log : logging.Logger
        Told of the new names; and of a disk that refuses, which must not cost the result.
    """
    for path in (outdir / f"{label}_result{ending}" for ending in ENDINGS):
        try:
            if not path.is_file() or not path.stat().st_size:
                continue
            if since is not None and path.stat().st_mtime_ns >= since:
                continue
            kept = set_aside(path)
        except OSError as error:
            log.warning(f"nbi: the former result {path} cannot be kept: {error}")
        else:
            log.warning(f"nbi: the former result {path} is kept as {kept.name}")


def remove_all(outdir: Path, label: str, checkpoint: Path, log: logging.Logger) -> None:
    """Remove all that runs of a label have left: results, checkpoints, former ones of both, and figures.

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
    former = re.compile(
        rf"\.?{re.escape(checkpoint.stem)}(\.old-\d+)?{re.escape(checkpoint.suffix)}(\.part)?"
    )
    found = [each for each in _files(outdir) if result.fullmatch(each.name) or each.name in figures]
    found += [each for each in _files(checkpoint.parent) if former.fullmatch(each.name)]
    for path in found:
        path.unlink(missing_ok=True)
    if found:
        log.info(f"nbi: removed, as clean=True asks for: {', '.join(map(str, found))}")


def _files(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if each.is_file()) if folder.is_dir() else []
