"""Python environments for packages that cannot share one; they are made on first use, and kept.

A failure here is not fatal. The caller gets the reason.
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

# Written last, so an environment without this file is incomplete.
COMPLETE = "complete"
LONGEST_INSTALLATION = 1800.0


class EnvironmentMissing(RuntimeError):
    """There is no environment for a package; the message gives the reason."""


def cache_folder() -> Path:
    """Default folder of the environments, in the user's folder for caches."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "nbi-sampler" / "environments"


def python_for(requirements: Sequence[str], folder: Path, install: bool = True) -> Path:
    """Interpreter of an environment with these requirements.

    Parameters
    ----------
    requirements : sequence of str
        Requirements with versions for pip. Without any, the interpreter is that of this process.
    folder : Path
        Folder of all environments. Each is named after its first requirement and a digest of all.
    install : bool
        Whether to make a missing environment.

    Raises
    ------
    EnvironmentMissing
        If there is none and it must not or cannot be made.
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
        raise EnvironmentMissing(f"no environment in {place}, and none may be made: pip install {wanted}")
    print(f"making an environment for {wanted} in {place}", file=sys.stderr)
    shutil.rmtree(place, ignore_errors=True)
    venv.create(place, with_pip=False, symlinks=os.name != "nt")
    _install(python, requirements)
    (place / COMPLETE).write_text(wanted, encoding="utf-8")
    return python


def _install(python: Path, requirements: Sequence[str]) -> None:
    """Install with the pip of this environment, so that no other pip is needed."""
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
