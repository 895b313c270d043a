"""Conditional and joint priors of bilby as maps from the latent space."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
from bilby.core import prior as bp
from prior_cases import ONE_MODE, TWO_MODES, _below, _conditional, _joint, _normal, _scalar_path
from scipy import stats
from scipy.special import ndtr

from nbi_sampler.priors.space import ParameterSpace


def _located(reference_params, a, b):
    return {"mu": a + b, "sigma": reference_params["sigma"] * a}


def _scalar_condition(reference_params, a):
    return {"minimum": 0.0, "maximum": 1.0 if a < 2.0 else math.sqrt(a)}


def _steep(reference_params, a):
    return {"alpha": a, "minimum": 1.0, "maximum": 2.0}


CONDITIONAL = {
    "chain": lambda: _conditional(
        c=bp.ConditionalGaussian(_located, mu=0.0, sigma=1.0),
        b=bp.ConditionalUniform(_below, minimum=0.0, maximum=1.0),
    ),
    "scalar condition": lambda: _conditional(
        b=bp.ConditionalUniform(_scalar_condition, minimum=0.0, maximum=1.0)
    ),
    "power law": lambda: _conditional(b=bp.ConditionalPowerLaw(_steep, alpha=1.0, minimum=1.0, maximum=2.0)),
    "on fixed": lambda: _conditional(
        b=bp.ConditionalLogNormal(lambda reference_params, a, k: {"mu": a * k, "sigma": k}, mu=0.0, sigma=1.0)
    ),
    "beta": lambda: _conditional(
        b=bp.ConditionalBeta(
            lambda reference_params, a: {"maximum": a}, alpha=2.0, beta=3.0, minimum=0.0, maximum=1.0
        )
    ),
    "symmetric": lambda: _conditional(b=bp.ConditionalSymmetricLogUniform(_below, minimum=0.1, maximum=5.0)),
    "dirichlet": lambda: bp.DirichletPriorDict(n_dim=4, label="f"),
}


@pytest.mark.parametrize("make", CONDITIONAL.values(), ids=CONDITIONAL)
def test_conditional_priors(make):
    priors = make()
    space = ParameterSpace(priors)
    assert space.names == tuple(priors.non_fixed_keys)
    z = _normal(300, space.n_dim)
    theta = space.to_theta(z)
    np.testing.assert_allclose(theta, _scalar_path(priors, z), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(space.to_z(theta), z, atol=1e-6)
    # What bilby did in between, and single points, must not change the answer.
    np.testing.assert_array_equal(space.to_theta(z), theta)
    np.testing.assert_allclose(space.to_theta(z[:1]), theta[:1], rtol=1e-12)
    priors.sample(5)
    np.testing.assert_array_equal(space.to_theta(z), theta)


def test_dirichlet_has_the_right_marginals():
    space = ParameterSpace(bp.DirichletPriorDict(n_dim=4, label="f"))
    theta = space.to_theta(_normal(4000, 3))
    for fraction in [*theta.T, 1.0 - theta.sum(axis=1)]:
        assert stats.kstest(fraction, stats.beta(1, 3).cdf).pvalue > 1e-3


def test_queries_leave_the_priors_as_they_were():
    priors = CONDITIONAL["chain"]()
    before = copy.deepcopy({name: dict(vars(prior)) for name, prior in priors.items()})
    space = ParameterSpace(priors)
    space.to_z(space.to_theta(_normal(10, 3)))
    after = {name: vars(prior) for name, prior in priors.items()}
    assert {n: {k: v for k, v in d.items() if k != "_condition_func"} for n, d in before.items()} == {
        n: {k: v for k, v in d.items() if k != "_condition_func"} for n, d in after.items()
    }


def test_gaussian_joint_prior_agrees_with_bilby():
    priors = bp.PriorDict({"x": bp.Uniform(0, 1)} | _joint(**ONE_MODE))
    z = _normal(100, 3)
    space = ParameterSpace(priors)
    theta = space.to_theta(z)
    expected = np.array([np.hstack([u[0], priors["p"].dist.rescale(u[1:])]) for u in ndtr(z)])
    np.testing.assert_allclose(theta, expected, rtol=1e-9)
    np.testing.assert_allclose(space.to_z(theta), z, atol=1e-9)


def test_joint_prior_in_another_order_than_its_distribution():
    entries = _joint(**ONE_MODE)
    priors = bp.ConditionalPriorDict({"q": entries["q"], "x": bp.Uniform(0, 1), "p": entries["p"]})
    space = ParameterSpace(priors)
    assert space.names == ("q", "x", "p")
    theta = space.to_theta(_normal(20_000, 3))
    covariance = np.cov(theta[:, [2, 0]].T)
    np.testing.assert_allclose(covariance, ONE_MODE["covs"], rtol=5 * math.sqrt(2 / 20_000), atol=0.05)
    np.testing.assert_allclose(theta[:, [2, 0]].mean(axis=0), ONE_MODE["mus"], atol=5 * 2 / math.sqrt(20_000))


def test_equal_correlations_keep_their_covariance():
    # bilby's matrix of eigenvectors is not orthogonal here, and its rescale draws from another Gaussian.
    covariance = np.full((3, 3), 0.5) + 0.5 * np.eye(3)
    space = ParameterSpace(bp.PriorDict(_joint(("p", "q", "r"), covs=covariance)))
    root = space.to_theta(np.eye(3))
    np.testing.assert_allclose(root.T @ root, covariance, atol=1e-12)


def test_gaussian_mixture_is_exact_deterministic_and_inverted():
    priors = bp.PriorDict(_joint(**TWO_MODES))
    space = ParameterSpace(priors)
    z = np.vstack([_normal(5000, 2), [[-12.0, 10.0], [12.0, -10.0]]])
    theta = space.to_theta(z)
    np.testing.assert_array_equal(space.to_theta(z), theta)
    np.testing.assert_allclose(space.to_z(theta), z, atol=1e-8)
    for j in range(2):
        modes = [stats.norm(TWO_MODES["mus"][k][j], math.sqrt(TWO_MODES["covs"][k][j][j])) for k in range(2)]
        assert (
            stats.kstest(theta[:5000, j], lambda x, m=modes: 0.25 * m[0].cdf(x) + 0.75 * m[1].cdf(x)).pvalue
            > 1e-3
        )
    # Change of variables: N(z; 0, I) |dz / dtheta| is the density, correlations included.
    step, points = 1e-5, theta[:20]
    jacobian = np.stack(
        [(space.to_z(points + step * e) - space.to_z(points - step * e)) / (2 * step) for e in np.eye(2)],
        axis=2,
    )
    log_density = stats.norm.logpdf(z[:20]).sum(axis=1) + np.log(np.abs(np.linalg.det(jacobian)))
    weights = np.array([0.25, 0.75])
    expected = sum(
        w * stats.multivariate_normal(m, c).pdf(points)
        for w, m, c in zip(weights, TWO_MODES["mus"], TWO_MODES["covs"], strict=True)
    )
    np.testing.assert_allclose(log_density, np.log(expected), atol=1e-4)


def test_bounds_of_joint_priors_cut():
    space = ParameterSpace(bp.PriorDict(_joint(bounds=[[0.0, 1.0], [-1.0, 1.0]], **ONE_MODE)))
    theta = np.array([[0.5, 0.0], [1.5, 0.0], [0.5, -2.0]])
    assert space.satisfies_constraints(theta).tolist() == [True, False, False]


def test_other_joint_distributions_go_through_their_rescale():
    class Disc(bp.BaseJointPriorDist):
        def _rescale(self, samp, **kwargs):
            radius, angle = np.sqrt(samp[:, 0]), 2 * np.pi * samp[:, 1]
            return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)

    dist = Disc(["p", "q"])
    space = ParameterSpace(bp.PriorDict({name: bp.JointPrior(dist, name) for name in ("p", "q")}))
    z = _normal(50, 2)
    np.testing.assert_allclose(space.to_theta(z), [dist.rescale(u) for u in ndtr(z)], rtol=1e-9)
    with pytest.raises(NotImplementedError, match="no inverse"):
        space.to_z(space.to_theta(z))


@pytest.mark.parametrize(
    "make",
    [
        *CONDITIONAL.values(),
        lambda: bp.PriorDict(_joint(**ONE_MODE)),
        lambda: bp.PriorDict(_joint(**TWO_MODES)),
    ],
    ids=[*CONDITIONAL, "one mode", "two modes"],
)
def test_columns_in_another_order_hold_the_same_values(make):
    usual = ParameterSpace(make())
    space = ParameterSpace(make(), usual.names[::-1])
    z = _normal(200, usual.n_dim)
    theta = usual.to_theta(z)
    assert space.names == usual.names[::-1]
    np.testing.assert_array_equal(space.to_theta(z[:, ::-1]), theta[:, ::-1])
    for name, column in usual.columns(theta).items():
        np.testing.assert_array_equal(space.columns(theta[:, ::-1])[name], column)
    np.testing.assert_array_equal(
        space.satisfies_constraints(theta[:, ::-1]), usual.satisfies_constraints(theta)
    )


def test_an_order_of_other_parameters_is_refused():
    with pytest.raises(ValueError, match="names: expected the sampled parameters"):
        ParameterSpace(bp.PriorDict({"a": bp.Uniform(0, 1), "b": bp.Uniform(0, 1)}), ("a", "c"))
