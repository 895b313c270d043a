"""Methods of an engine that write it to a file and read it again."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from nbi_sampler.amortised.estimator import Estimator
from nbi_sampler.amortised.saving import Learnt, reopened, save_learnt
from nbi_sampler.amortised.setup import Setup
from nbi_sampler.core.guarded import in_own_settings

__all__ = ["EngineFile"]

Engine = TypeVar("Engine", bound="EngineFile")


class EngineFile:
    """Engine that can be saved and loaded."""

    _setup: Setup
    channels: Sequence[str] | None

    @abstractmethod
    def _fitted(self) -> Estimator:
        """Estimator of all targets."""

    @in_own_settings
    def save(self, path: str | Path) -> None:
        """Write the trained networks, and the rounds for one target, to a file that contains no code.

        The file does not contain functions. Pass simulator and noise function to `load` again, and the
        log-likelihood to `infer`.
        """
        sequential = getattr(self, "sequential_", None)
        estimator = getattr(self, "estimator_", None) if sequential else self._fitted()
        about = {**self._setup.about(), "channels": self.channels}
        save_learnt(path, Learnt(self._setup.priors, estimator, sequential, about))

    @classmethod
    @in_own_settings
    def load(cls: type[Engine], path: str | Path, **arguments: Any) -> Engine:
        """Read a trained engine. Reading executes nothing in the file.

        Parameters
        ----------
        path : str or pathlib.Path
        **arguments
            Of `NBI`: ``simulator`` and ``noise``, where they are functions, to weigh with (a warning says
            where their names are not those of the training); ``priors``, where the file could not hold them,
            as conditional or joint ones; ``flow`` and ``featurizer``, where they were modules of the user;
            ``device``, ``n_jobs`` and ``pool``.

        Raises
        ------
        ArchiveError
            The file is no saved engine.
        ValueError
            Something has to be given, or is not that of the training.
        """
        learnt, restored = reopened(path, arguments)
        make: Any = cls
        engine: Engine = make(**restored)
        for name, part in (("estimator_", learnt.estimator), ("sequential_", learnt.sequential)):
            if part is not None:
                setattr(engine, name, part)
        return engine
