"""nautilus (Lange 2023, arXiv:2306.16923) as a bilby sampler, because there is no plugin; see `peers.py`."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pandas as pd
from bilby.core.result import Result, rejection_sample
from bilby.core.sampler.base_sampler import NestedSampler

__all__ = ["Nautilus"]


class Nautilus(NestedSampler):
    """nautilus with its defaults; it accepts every keyword of its constructor and of its ``run``."""

    sampler_name = "nautilus"
    sampling_seed_key = "seed"

    @property
    def default_kwargs(self) -> dict[str, Any]:
        """Keywords of nautilus with their defaults."""
        import nautilus

        own = _defaults(nautilus.Sampler.__init__) | _defaults(nautilus.Sampler.run)
        return {key: value for key, value in own.items() if key not in ("n_dim", "pool")}

    def run_sampler(self) -> Result:
        """Run nautilus and fill bilby's result."""
        import nautilus

        run_keys = _defaults(nautilus.Sampler.run)
        options = {key: value for key, value in self.kwargs.items() if key not in run_keys}
        if options["periodic"] is None:
            options["periodic"] = self._periodic()
        sampler = nautilus.Sampler(self.prior_transform, self.log_likelihood, self.ndim, **options)
        sampler.run(**{key: value for key, value in self.kwargs.items() if key in run_keys})
        theta, log_weights, log_likelihood = sampler.posterior()
        draws = pd.DataFrame(theta, columns=self.search_parameter_keys)
        draws["log_likelihood"] = log_likelihood
        weights = np.exp(log_weights - log_weights.max())
        draws["weights"] = weights / weights.sum()
        kept = rejection_sample(draws, draws["weights"].to_numpy())
        self.result.nested_samples = draws
        self.result.samples = kept[self.search_parameter_keys].to_numpy()
        self.result.log_likelihood_evaluations = kept["log_likelihood"].to_numpy()
        self.result.log_evidence = sampler.log_z
        self.result.log_evidence_err = 1 / np.sqrt(sampler.n_eff)
        self.result.num_likelihood_evaluations = sampler.n_like
        return self.result

    def _periodic(self) -> np.ndarray | None:
        boundaries = [self.priors[key].boundary for key in self.search_parameter_keys]
        where = np.flatnonzero([boundary == "periodic" for boundary in boundaries])
        return where if len(where) else None


def _defaults(function: Any) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not each.empty}
