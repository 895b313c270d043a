"""Parameters named like columns of the result, which overwrite their values, are refused at the start."""

from __future__ import annotations

import pytest
from bilby.core.likelihood import Likelihood
from bilby.core.prior import Constraint, PriorDict, Uniform
from small_runs import run_nbi

from nbi_sampler.sampler.survey import infer_many


class Uncalled(Likelihood):
    def log_likelihood(self, parameters):
        raise AssertionError("the likelihood was called")


@pytest.mark.parametrize("name", ["log_likelihood", "log_prior", "weights", "__array__"])
@pytest.mark.parametrize(
    "prior", [Uniform(0, 1), 0.5, Constraint(0, 1)], ids=["sampled", "fixed", "constraint"]
)
def test_a_parameter_named_like_a_column_of_the_result_is_refused_before_the_first_call(
    tmp_path, name, prior
):
    priors = PriorDict({"a": Uniform(0, 1), name: prior})
    with pytest.raises(
        ValueError, match=f"priors: expected parameters with names other .*got '{name}'; rename"
    ):
        run_nbi(Uncalled(), priors, tmp_path)
    with pytest.raises(ValueError, match=f"got '{name}'; rename"):
        infer_many("no model", {}, priors, tmp_path / "table.h5")
