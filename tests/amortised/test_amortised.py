"""Arguments of an engine: priors, from files too, arguments without a meaning, data out of distribution."""

from __future__ import annotations

import json

import bilby.core.prior as bp
import numpy as np
import pytest
from scipy import stats

from nbi_sampler.amortised.out_of_distribution import OutOfDistributionWarning, warn_out_of_distribution
from nbi_sampler.amortised.setup import Setup
from nbi_sampler.priors.portable import NotPortable, priors_from, priors_from_json, priors_to_json
from nbi_sampler.priors.space import ParameterSpace


def portable_priors():
    return bp.PriorDict(
        {
            "a": bp.Uniform(-1, 2, boundary="periodic"),
            "b": bp.LogUniform(1e-3, 10.0),
            "c": bp.TruncatedGaussian(0.0, 1.0, -2.0, 2.0, latex_label="$c$"),
            "d": bp.Interped(np.linspace(0, 1, 5), np.array([1.0, 2.0, 3.0, 2.0, 1.0])),
            "e": bp.DeltaFunction(3.0),
            "f": bp.Constraint(minimum=0.0, maximum=1.0),
            "g": bp.StudentT(df=4.0, mu=1.0),
        }
    )


@pytest.mark.parametrize(
    "priors", [portable_priors(), priors_from([stats.gamma(2.0, scale=3.0), stats.poisson(4)], ["x", "n"])]
)
def test_priors_come_back_from_json(priors):
    again = priors_from_json(json.loads(json.dumps(priors_to_json(priors))))
    assert list(again) == list(priors)
    assert {name: repr(prior) for name, prior in again.items()} == {n: repr(p) for n, p in priors.items()}
    z = np.random.default_rng(0).normal(size=(20, ParameterSpace(priors).n_dim))
    np.testing.assert_array_equal(ParameterSpace(priors).to_theta(z), ParameterSpace(again).to_theta(z))


class OwnPrior(bp.Uniform):
    pass


def test_priors_that_are_code_are_not_written():
    def converted(sample):
        return {**sample, "f": 1.0}

    conditional = bp.ConditionalPriorDict(
        {
            "a": bp.Uniform(0, 1),
            "b": bp.ConditionalUniform(lambda reference_params, a: {}, minimum=0, maximum=1),
        }
    )
    for priors in (
        conditional,
        bp.PriorDict({"a": OwnPrior(0, 1)}),
        bp.PriorDict({"a": bp.Uniform(0, 1), "f": bp.Constraint(0, 1)}, conversion_function=converted),
    ):
        with pytest.raises(NotPortable):
            priors_to_json(priors)


@pytest.mark.parametrize(
    "saved",
    [
        {"bilby": "FromFile", "arguments": {"file_name": "/etc/passwd"}},
        {"bilby": "os.system", "arguments": {}},
        {"bilby": "PriorDict", "arguments": {}},
        {"scipy": "rv_histogram", "arguments": [], "keywords": {}, "name": None, "latex_label": None},
        {"scipy": "__builtins__", "arguments": [], "keywords": {}, "name": None, "latex_label": None},
    ],
)
def test_a_file_cannot_ask_for_any_other_class(saved):
    with pytest.raises(NotPortable):
        priors_from_json({"a": saved})


def test_priors_of_scipy_have_their_quantiles_and_names():
    priors = priors_from([stats.uniform(2.0, 3.0), stats.norm(1.0, 0.5)], ["a", "b"])
    theta = ParameterSpace(priors).to_theta(np.array([[0.0, 1.0], [1.0, -1.0]]))
    np.testing.assert_allclose(theta, [[3.5, 1.5], [2.0 + 3.0 * stats.norm.cdf(1.0), 0.5]])
    assert list(priors) == ["a", "b"]
    np.testing.assert_allclose(priors["b"].ln_prob(1.0), stats.norm.logpdf(1.0, 1.0, 0.5))
    for wrong, labels in ((stats.norm, None), ([stats.norm], None), ([], None), ([stats.norm()], ["a", "b"])):
        with pytest.raises((TypeError, ValueError), match=r"priors|labels"):
            priors_from(wrong, labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"simulator": 3.0}, "simulator: expected a function"),
        ({"n_jobs": 0}, "n_jobs: expected"),
        ({"device": "gpu"}, "device: expected"),
        ({"flow": "mof"}, "flow: unknown name"),
        ({"priors": "uniform"}, "priors: expected"),
    ],
)
def test_arguments_of_an_engine_that_mean_nothing_are_refused(change, message):
    given = {
        **{"flow": "maf", "featurizer": "mlp", "simulator": None, "noise": None, "priors": portable_priors()},
        **{"labels": None, "channels": None, "seed": 1, "device": "cpu", "n_jobs": 1, "pool": None},
    }
    with pytest.raises((TypeError, ValueError), match=message):
        Setup.read({**given, **change})


def test_a_warning_where_more_is_out_of_distribution_than_by_chance(recwarn):
    warn_out_of_distribution([0.5])
    warn_out_of_distribution([np.nan])
    warn_out_of_distribution([0.001, *np.linspace(0.02, 1.0, 200)])
    assert not recwarn
    with pytest.warns(OutOfDistributionWarning, match=r"1 of 1 targets.*0\.001"):
        warn_out_of_distribution([0.001])
    with pytest.warns(OutOfDistributionWarning, match="20 of 220"):
        warn_out_of_distribution([*[0.001] * 20, *np.linspace(0.02, 1.0, 200)])
