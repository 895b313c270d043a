"""The packages that can be laid side by side, each with its adapter and what its environment consists of.

What an adapter is, `inside/worker.py` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["PACKAGES", "Package", "package_named"]

ADAPTERS = Path(__file__).parent / "inside"
# The one of constraints.txt, in every environment: what differs should be the packages.
TORCH = "torch==2.13.0"


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package, and how it is set up.

    Parameters
    ----------
    name : str
        For people.
    adapter : Path
        Python file; see `inside/worker.py`.
    requirements : tuple of str
        What its environment consists of, for pip; empty where it runs in this one.
    options : mapping
        For the adapter.
    latent : bool
        Whether it is given coordinates in which the prior is standard normal, as this package makes them for
        itself; else the parameters as they are.
    """

    name: str
    adapter: Path
    requirements: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    latent: bool = False


_SBI = {"adapter": ADAPTERS / "sbi_npe.py", "requirements": ("sbi==0.27.0", TORCH)}
_ALL = (
    Package(name="nbi_sampler", adapter=ADAPTERS / "this_package.py", latent=True),
    Package(
        name="nbi_sampler-defaults",
        adapter=ADAPTERS / "this_package.py",
        options={"defaults": True},
        latent=True,
    ),
    Package(name="sbi-maf", options={"density_estimator": "maf"}, **_SBI),  # type: ignore[arg-type]
    Package(name="sbi-nsf", options={"density_estimator": "nsf"}, **_SBI),  # type: ignore[arg-type]
    Package(name="original-nbi", adapter=ADAPTERS / "original_nbi.py", requirements=("nbi==0.4.1", TORCH)),
)
PACKAGES: dict[str, Package] = {package.name: package for package in _ALL}


def package_named(name: str) -> Package:
    """One of `PACKAGES`, or the adapter of a user, by the path of its file, in the environment of now.

    Raises
    ------
    ValueError
        If there is neither.
    """
    if name in PACKAGES:
        return PACKAGES[name]
    path = Path(name)
    if path.suffix == ".py" and path.is_file():
        return Package(name=path.stem, adapter=path.resolve())
    raise ValueError(f"packages: expected some of {', '.join(PACKAGES)} or an adapter (.py), got {name!r}")
