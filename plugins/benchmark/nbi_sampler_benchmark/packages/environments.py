"""Python environments for packages that cannot share one: made when they are first needed, and kept.

Nothing that fails here is fatal: whoever asks is told why there is none.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

__all__ = ["EnvironmentMissing", "cache_folder", "python_for"]

# Written last: an environment without it was not completed.
COMPLETE = "complete"
LONGEST_INSTALLATION = 1800.0


class EnvironmentMissing(RuntimeError):
    """There is no environment for a package, and the text says why."""


def cache_folder() -> Path:
    """Folder of the environments unless said otherwise: the user's folder for caches."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "nbi-sampler" / "environments"


def python_for(requirements: Sequence[str], folder: Path, install: bool = True) -> Path:
    """Interpreter of an environment with these requirements.

    Parameters
    ----------
    requirements : sequence of str
        For pip, with versions; this process's own interpreter does where there are none.
    folder : Path
        With a folder for each environment, named after its first requirement and all of them together.
    install : bool
        Whether to make one that is not there.

    Raises
    ------
    EnvironmentMissing
        If there is none and it may or can not be made.
    """
    if not requirements:
        return Path(sys.executable)
    wanted = " ".join(requirements)
    digest = hashlib.sha256(f"{sys.version_info[:2]} {wanted}".encode()).hexdigest()[:8]
    place = folder / f"{re.sub('[^A-Za-z0-9.]+', '-', Path(requirements[0]).name)}-{digest}"
    python = place / ("Scripts" if os.name == "nt" else "bin") / "python"
    if (place / COMPLETE).exists():
        return python
    if not install:
        raise EnvironmentMissing(f"no environment in {place}, and none was to be made: pip install {wanted}")
    print(f"making an environment for {wanted} in {place}", file=sys.stderr)
    shutil.rmtree(place, ignore_errors=True)
    venv.create(place, with_pip=False, symlinks=os.name != "nt")
    _install(python, requirements)
    (place / COMPLETE).write_text(wanted, encoding="utf-8")
    return python


def _install(python: Path, requirements: Sequence[str]) -> None:
    """By the pip of this environment, which spares making one for each."""
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", *requirements]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=LONGEST_INSTALLATION
        )
    except subprocess.TimeoutExpired:
        raise EnvironmentMissing(
            f"pip was not done within {LONGEST_INSTALLATION:g} s; try again, or make the environment by hand"
        ) from None
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        said = (lines or done.stderr.splitlines() or ["nothing"])[-1]
        raise EnvironmentMissing(f"pip install {' '.join(requirements)} failed: {said}")
