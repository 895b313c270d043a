"""ParameterSpace against bilby's own scalar path, its distributions, and the ways priors go wrong."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
from bilby.core import prior as bp
from bilby.core.utils import random as bilby_random
from prior_cases import (
    CONTINUOUS,
    DISCRETE,
    GRID,
    ONE_MODE,
    TWO_MODES,
    _below,
    _conditional,
    _joint,
    _normal,
    _scalar_path,
)
from scipy import stats
from scipy.special import ndtr, ndtri

from nbi_sampler.priors.space import ParameterSpace


class ScalarOnly(bp.Uniform):
    """A prior written with the math module; its cdf is bilby's generic one, far coarser than its rescale."""

    def rescale(self, val):
        return self.minimum + math.sqrt(val) * (self.maximum - self.minimum)

    def prob(self, val):
        return 2.0 * (val - self.minimum) / (self.maximum - self.minimum) ** 2

    def cdf(self, val):
        return bp.Prior.cdf(self, val)


@pytest.mark.parametrize("make", (CONTINUOUS | DISCRETE).values(), ids=CONTINUOUS | DISCRETE)
def test_agrees_with_the_scalar_path(make):
    priors = bp.PriorDict({"x": make()})
    z = np.vstack([_normal(200, 1), np.linspace(-4, 4, 9)[:, None]])
    space = ParameterSpace(priors)
    np.testing.assert_allclose(space.to_theta(z), _scalar_path(priors, z), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(space.unit_to_theta(ndtr(z)), space.to_theta(z), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("make", CONTINUOUS.values(), ids=CONTINUOUS)
def test_round_trip_and_distribution(make):
    prior = make()
    space = ParameterSpace(bp.PriorDict({"x": prior}))
    z = _normal(2000, 1)
    theta = space.to_theta(z)
    np.testing.assert_allclose(space.to_z(theta), z, atol=1e-6)
    np.testing.assert_allclose(ndtr(space.to_z(theta)), ndtr(z), atol=1e-9)
    assert stats.kstest(theta[:, 0], prior.cdf).pvalue > 1e-3


@pytest.mark.parametrize("make", (CONTINUOUS | DISCRETE).values(), ids=CONTINUOUS | DISCRETE)
def test_far_tails_stay_finite_and_ordered(make):
    space = ParameterSpace(bp.PriorDict({"x": make()}))
    z = np.array([-30.0, -9.0, -8.0, 0.1, 7.9, 9.0, 30.0])[:, None]
    theta = space.to_theta(z)
    assert np.all(np.isfinite(theta))
    assert np.all(np.diff(theta[:, 0]) >= 0)
    assert np.all(np.isfinite(space.to_z(theta)))


def test_gaussian_tails_lose_nothing():
    space = ParameterSpace(bp.PriorDict({"a": bp.Gaussian(1.0, 2.0), "b": bp.LogNormal(0.0, 1.0)}))
    z = np.array([[12.0, -15.0], [-20.0, 18.0]])
    np.testing.assert_allclose(
        space.to_theta(z), np.stack([1 + 2 * z[:, 0], np.exp(z[:, 1])], axis=1), rtol=1e-14
    )
    np.testing.assert_allclose(space.to_z(space.to_theta(z)), z, rtol=1e-12)


def test_subclass_with_its_own_rescale_does_not_get_the_closed_form():
    class Shifted(bp.Gaussian):
        def rescale(self, val):
            return super().rescale(val) + 10.0

        def cdf(self, val):
            return super().cdf(val - 10.0)

    space = ParameterSpace(bp.PriorDict({"x": Shifted(0.0, 1.0)}))
    np.testing.assert_allclose(space.to_theta(np.array([[0.5]])), [[10.5]])
    np.testing.assert_allclose(space.to_z(np.array([[10.5]])), [[0.5]])


@pytest.mark.parametrize("make", DISCRETE.values(), ids=DISCRETE)
def test_discrete_values_go_to_the_middle_of_their_step(make):
    space = ParameterSpace(bp.PriorDict({"x": make()}))
    theta = space.to_theta(_normal(500, 1))
    np.testing.assert_allclose(space.to_theta(space.to_z(theta)), theta, atol=1e-12)


def test_middle_of_a_step_and_of_a_spike():
    weighted = ParameterSpace(bp.PriorDict({"x": DISCRETE["WeightedDiscreteValues"]()}))
    np.testing.assert_allclose(
        ndtr(weighted.to_z(np.array([[-1.0], [3.0], [7.0]])))[:, 0], [1 / 6, 5 / 12, 3 / 4]
    )
    spike = ParameterSpace(bp.PriorDict({"x": DISCRETE["SlabSpikePrior"]()}))
    np.testing.assert_allclose(ndtr(spike.to_z(np.array([[0.3], [0.15]])))[:, 0], [0.34, 0.12])


@pytest.mark.parametrize("n_categories", [7, 13, 49])
def test_last_category_is_reached_whatever_the_rounding_of_the_weights(n_categories):
    space = ParameterSpace(bp.PriorDict({"x": bp.Categorical(n_categories)}))
    assert space.to_theta(np.array([[40.0]])) == n_categories - 1


def test_prior_from_a_file(tmp_path):
    path = tmp_path / "density.txt"
    np.savetxt(path, np.stack([GRID, 1.0 + GRID], axis=1))
    prior = bp.FromFile(str(path), minimum=0.0, maximum=3.0)
    space = ParameterSpace(bp.PriorDict({"x": prior}))
    z = _normal(500, 1)
    np.testing.assert_allclose(space.to_z(space.to_theta(z)), z, atol=1e-6)
    assert stats.kstest(space.to_theta(z)[:, 0], prior.cdf).pvalue > 1e-3


def test_scalar_only_prior_falls_back_to_rows_and_agrees():
    priors = bp.PriorDict({"x": ScalarOnly(1.0, 3.0), "y": bp.Uniform(0.0, 1.0)})
    space = ParameterSpace(priors)
    z = _normal(100, 2)
    theta = space.to_theta(z)
    np.testing.assert_allclose(theta, _scalar_path(priors, z), rtol=1e-12)
    np.testing.assert_allclose(space.to_z(theta), z, atol=1e-9)


def test_decreasing_rescale_is_inverted():
    class Decreasing(bp.Uniform):
        def rescale(self, val):
            return self.maximum - val * (self.maximum - self.minimum)

    space = ParameterSpace(bp.PriorDict({"x": Decreasing(0.0, 2.0)}))
    z = _normal(100, 1)
    np.testing.assert_allclose(space.to_z(space.to_theta(z)), z, atol=1e-9)


def test_constraints_are_evaluated_at_once_beside_fixed_values():
    """Conversions of bilby.gw put scalars in the place of columns of fixed values."""

    def convert(sample):
        return {**sample, "fixed": 2.0, "sum": sample["x"] + sample["y"]}

    priors = {name: bp.Uniform(0, 1) for name in "xy"}
    priors |= {"fixed": bp.DeltaFunction(2.0), "sum": bp.Constraint(0, 1)}
    space = ParameterSpace(bp.PriorDict(priors, conversion_function=convert))
    assert space.constraints_at_once
    theta = space.to_theta(_normal(200, 2))
    np.testing.assert_array_equal(space.satisfies_constraints(theta), theta.sum(1) < 1.0)


def test_names_fixed_periodic_columns_and_row():
    priors = bp.PriorDict({
        "d": bp.DeltaFunction(2.0), "x": bp.Uniform(0, 1, boundary="periodic"), "n": 4,
        "y": bp.Uniform(0, 1, boundary="reflective"), "c": bp.Constraint(0, 1), "z": bp.Gaussian(0, 1),
    })  # fmt: skip
    priors["late"] = 7.0
    space = ParameterSpace(priors)
    assert space.names == ("x", "y", "z") and space.n_dim == 3
    assert space.fixed == {"d": 2.0, "n": 4.0, "late": 7.0}
    assert space.periodic.tolist() == [True, False, False]
    theta = space.to_theta(np.zeros((2, 3)))
    columns = space.columns(theta)
    # Fixed ones first, like bilby, whose Gaussian-process likelihoods go by the order.
    assert list(columns) == ["d", "n", "late", "x", "y", "z"] == list(space.row(theta[0]))
    assert all(column.shape == (2,) for column in columns.values())
    columns["x"][:] = -1.0
    assert np.all(theta[:, 0] == 0.5)
    assert space.row(theta[0]) == {"x": 0.5, "y": 0.5, "z": 0.0, "d": 2.0, "n": 4.0, "late": 7.0}


def _sum_vector(sample):
    return sample | {"total": sample["x"] + sample["y"] * sample["k"]}


def _sum_scalar(sample):
    return sample | {"total": math.fsum([sample["x"], sample["y"] * sample["k"]])}


@pytest.mark.parametrize("conversion", [_sum_vector, _sum_scalar])
def test_constraints_through_the_conversion_function(conversion):
    priors = bp.PriorDict(
        {"x": bp.Uniform(0, 1), "y": bp.Uniform(0, 1), "k": 2.0, "total": bp.Constraint(0.0, 1.0)},
        conversion_function=conversion,
    )
    space = ParameterSpace(priors)
    theta = space.to_theta(_normal(200, 2))
    expected = theta[:, 0] + 2.0 * theta[:, 1] < 1.0
    assert 0 < expected.sum() < 200
    np.testing.assert_array_equal(space.satisfies_constraints(theta), expected)
    assert space.satisfies_constraints(theta[:1]).shape == (1,)


def test_without_constraints_everything_is_allowed():
    space = ParameterSpace(bp.PriorDict({"x": bp.Uniform(0, 1)}))
    assert space.satisfies_constraints(space.to_theta(_normal(5, 1))).tolist() == [True] * 5


def test_no_points():
    space = ParameterSpace(_conditional(b=bp.ConditionalUniform(_below, minimum=0.0, maximum=1.0)))
    empty = np.empty((0, 2))
    assert space.to_theta(empty).shape == space.to_z(empty).shape == (0, 2)
    assert space.satisfies_constraints(empty).shape == (0,)


def test_values_outside_the_support_go_to_the_edge():
    space = ParameterSpace(
        bp.PriorDict({"x": bp.Uniform(0, 1), "n": bp.Categorical(3), "l": bp.LogNormal(0, 1)})
    )
    z = space.to_z(np.array([[-1.0, -5.0, -1.0], [2.0, 9.0, 1e9]]))
    assert np.all(np.isfinite(z)) and np.all(z[0] < z[1])


def test_global_random_states_are_not_advanced():
    priors = bp.ConditionalPriorDict(
        _joint(**TWO_MODES) | {"a": bp.Uniform(1.0, 4.0), "c": bp.Constraint(0, 1)}
        | {"b": bp.ConditionalUniform(_below, minimum=0.0, maximum=1.0)},
        conversion_function=lambda sample: sample | {"c": sample["b"]},
    )  # fmt: skip
    numpy_before, bilby_before = (
        np.random.get_state()[1].copy(),
        copy.deepcopy(bilby_random.rng.bit_generator.state),
    )
    space = ParameterSpace(priors)
    theta = space.to_theta(_normal(20, 4))
    space.to_z(theta)
    space.satisfies_constraints(theta)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)
    assert bilby_random.rng.bit_generator.state == bilby_before


class Reordering(bp.PriorDict):
    def rescale(self, keys, theta):
        return sorted(super().rescale(keys, theta))


class Improper(bp.Prior):
    """Has no rescale of its own, so bilby's returns None."""


class Noisy(bp.Uniform):
    def rescale(self, val):
        return super().rescale(val) + bilby_random.rng.uniform(0, 1e-3, np.shape(val))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: {"x": bp.Uniform(0, 1)}, TypeError, "PriorDict"),
        (lambda: bp.PriorDict({"x": 1.0}), ValueError, "at least one parameter"),
        (lambda: bp.PriorDict({"x": bp.Uniform(0, 1), "y": "Unifrom"}), TypeError, "spelling"),
        (lambda: bp.PriorDict({"x": bp.Uniform(0, np.inf)}), ValueError, "proper prior"),
        (lambda: bp.PriorDict({"x": Improper()}), ValueError, "proper prior"),
        (lambda: Reordering({"x": bp.Uniform(0, 1), "y": bp.Uniform(0, 1)}), TypeError, "rescale"),
        (lambda: bp.PriorDict({"x": Noisy(0, 1)}), ValueError, "same input"),
        (
            lambda: bp.PriorDict(
                {"a": bp.Uniform(1, 2), "b": bp.ConditionalUniform(_below, minimum=0, maximum=1)}
            ),
            ValueError,
            "ConditionalPriorDict",
        ),
        (
            lambda: bp.ConditionalPriorDict({"b": bp.ConditionalUniform(_below, minimum=0, maximum=1)}),
            ValueError,
            "unresolved conditions",
        ),
        (
            lambda: _conditional(
                b=bp.ConditionalDeltaFunction(lambda reference_params, a: {"peak": a}, peak=1.0)
            ),
            ValueError,
            "conversion function",
        ),
        (lambda: bp.PriorDict({"p": _joint(**ONE_MODE)["p"]}), ValueError, "joint distribution"),
    ],
)
def test_unusable_priors_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        ParameterSpace(make())


@pytest.mark.parametrize("z", [np.zeros(2), np.zeros((3, 1)), np.array([[0.0, np.nan]])])
def test_bad_input_is_refused(z):
    space = ParameterSpace(bp.PriorDict({"x": bp.Uniform(0, 1), "y": bp.Uniform(0, 1)}))
    with pytest.raises(ValueError, match="z: expected"):
        space.to_theta(z)


def test_edges_of_the_unit_cube_are_inside():
    space = ParameterSpace(bp.PriorDict({"x": bp.Gaussian(0, 1)}))
    theta = space.unit_to_theta(np.array([[0.0], [1.0], [0.75]]))
    assert np.all(np.isfinite(theta))
    np.testing.assert_allclose(theta[2], ndtri(0.75))


def test_differences_name_what_makes_z_mean_something_else():
    def space(**priors):
        return ParameterSpace(
            bp.PriorDict({"a": bp.Uniform(0, 1), "b": bp.Normal(1e6, 1.0), "c": 2.0, **priors})
        )

    same = space()
    assert same.differences(space()) == [] and same.differs_from(space().signature()) == []
    # A shift that is small beside the value is not beside the width.
    for changed, name in ((bp.Uniform(0, 1.001), "a"), (bp.Normal(1e6 + 1e-3, 1.0), "b")):
        other = space(**{name: changed})
        assert other.differs_from(same.signature()) == [name]
        (found,) = same.differences(other)
        assert found.startswith(f"prior of {name} (its central 90 % are ")
    assert same.differences(space(c=3.0)) == ["fixed value of c (2.0, now 3.0)"]
    assert same.differences(space(c=bp.Uniform(0, 1))) == ["parameters (a, b, now a, b, c)"]
    turned = ParameterSpace(same._priors, ("b", "a"))
    assert same.differences(turned) == ["order of parameters (a, b, now b, a)"]


def test_signature_is_that_of_files_written_before():
    assert ParameterSpace(bp.PriorDict({"a": bp.Normal(0, 1)})).signature().ravel() == pytest.approx(
        np.random.default_rng(0).normal(size=8), rel=1e-12
    )


class TestCompleted:
    def test_parameters_that_are_not_known_follow_the_prior_given_the_others(self):
        def condition(reference_params, a):
            return {"minimum": a, "maximum": a + 1.0}

        priors = bp.ConditionalPriorDict(
            {
                "a": bp.Uniform(0, 10),
                "b": bp.ConditionalUniform(condition, minimum=0.0, maximum=1.0),
            }
        )
        space = ParameterSpace(priors)
        columns = {"a": np.linspace(1, 9, 2000), "b": np.full(2000, np.nan)}
        theta = np.stack([columns[name] for name in space.names], axis=1)
        made, known = space.completed(theta, [name == "a" for name in space.names], np.random.default_rng(1))
        made = dict(zip(space.names, made.T, strict=True))
        np.testing.assert_array_equal(made["a"], columns["a"])
        assert dict(zip(space.names, known, strict=True)) == {"a": True, "b": False}
        excess = made["b"] - made["a"]
        assert excess.min() > 0.0 and excess.max() < 1.0
        assert abs(excess.mean() - 0.5) < 4.5 / np.sqrt(12 * 2000)
        assert np.isnan(theta[:, list(space.names).index("b")]).all()

    def test_a_joint_prior_is_known_as_a_whole_or_not_at_all(self):
        dist = bp.MultivariateGaussianDist(["x", "y"], mus=[0, 0], covs=[[1, 0.9], [0.9, 1]])
        priors = bp.PriorDict({name: bp.MultivariateGaussian(dist, name) for name in "xy"})
        space = ParameterSpace(priors)
        made, known = space.completed(np.full((3000, 2), 7.0), [True, False], np.random.default_rng(1))
        assert not known.any() and abs(np.corrcoef(made.T)[0, 1] - 0.9) < 0.02
