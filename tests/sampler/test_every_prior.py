"""Every prior class of bilby through a whole run: evidence and means against quadratures of the unit cube."""

from __future__ import annotations

import numpy as np
import pytest
from bilby.core import prior as bp
from bilby.core.likelihood import Likelihood
from prior_cases import CONTINUOUS, DISCRETE, GRID, ONE_MODE, TWO_MODES
from scipy import stats
from scipy.special import logsumexp
from small_runs import Exact, assert_agrees, run_nbi, weighted

N_INNER = 4001
N_OUTER = 40


def following(parameter, function=lambda a: a):
    """Condition that gives one parameter of a prior a value that depends on ``a``."""

    def condition(reference_params, a):
        return {parameter: function(a)}

    return condition


CONDITIONAL = {
    "ConditionalUniform": lambda: bp.ConditionalUniform(following("maximum"), minimum=0.0, maximum=1.0),
    "ConditionalPowerLaw": lambda: bp.ConditionalPowerLaw(
        following("alpha"), alpha=1.0, minimum=1.0, maximum=2.0
    ),
    "ConditionalGaussian": lambda: bp.ConditionalGaussian(following("mu"), mu=0.0, sigma=1.0),
    "ConditionalLogUniform": lambda: bp.ConditionalLogUniform(following("maximum"), minimum=0.1, maximum=2.0),
    "ConditionalSymmetricLogUniform": lambda: bp.ConditionalSymmetricLogUniform(
        following("maximum"), minimum=0.1, maximum=2.0
    ),
    "ConditionalCosine": lambda: bp.ConditionalCosine(following("maximum", lambda a: a / 3)),
    "ConditionalSine": lambda: bp.ConditionalSine(following("maximum", lambda a: a / 1.5)),
    "ConditionalTruncatedGaussian": lambda: bp.ConditionalTruncatedGaussian(
        following("mu"), mu=0.0, sigma=1.0, minimum=0.0, maximum=4.0
    ),
    "ConditionalHalfGaussian": lambda: bp.ConditionalHalfGaussian(following("sigma"), sigma=1.0),
    "ConditionalLogNormal": lambda: bp.ConditionalLogNormal(following("mu"), mu=0.0, sigma=0.5),
    "ConditionalExponential": lambda: bp.ConditionalExponential(following("mu"), mu=1.0),
    "ConditionalStudentT": lambda: bp.ConditionalStudentT(following("mu"), df=3.0, mu=0.0, scale=1.0),
    "ConditionalBeta": lambda: bp.ConditionalBeta(
        following("alpha"), alpha=1.0, beta=3.0, minimum=0.0, maximum=1.0
    ),
    "ConditionalLogistic": lambda: bp.ConditionalLogistic(following("mu"), mu=0.0, scale=0.5),
    "ConditionalCauchy": lambda: bp.ConditionalCauchy(following("alpha"), alpha=0.0, beta=0.5),
    "ConditionalGamma": lambda: bp.ConditionalGamma(following("k"), k=1.0, theta=1.5),
    "ConditionalChiSquared": lambda: bp.ConditionalChiSquared(following("nu"), nu=2),
    "ConditionalFermiDirac": lambda: bp.ConditionalFermiDirac(following("mu"), sigma=0.5, mu=1.0),
    "ConditionalInterped": lambda: bp.ConditionalInterped(
        following("maximum", lambda a: 0.7 * a), xx=GRID, yy=1.0 + np.sin(GRID), minimum=0.0, maximum=2.0
    ),
}
JOINT = {"JointPrior", "MultivariateGaussian", "MultivariateNormal"}
# A condition that fixes a value is refused; fixed values and constraints are tested beside the sampler.
NOT_SAMPLED = {"Prior", "ConditionalBasePrior", "DeltaFunction", "Constraint", "ConditionalDeltaFunction"}
COSMOLOGICAL = {"name": "luminosity_distance", "minimum": 100.0, "maximum": 2000.0}
SPIN = {"minimum": 0.0, "maximum": 0.9}
GRAVITATIONAL_WAVES = {
    "UniformComovingVolume": lambda gw: {"x": gw.UniformComovingVolume(**COSMOLOGICAL)},
    "UniformSourceFrame": lambda gw: {"x": gw.UniformSourceFrame(**COSMOLOGICAL)},
    "UniformInComponentsChirpMass": lambda gw: {"x": gw.UniformInComponentsChirpMass(10.0, 40.0)},
    "UniformInComponentsMassRatio": lambda gw: {"x": gw.UniformInComponentsMassRatio(0.1, 1.0)},
    "AlignedSpin": lambda gw: {"x": gw.AlignedSpin(bp.Uniform(0.0, 0.9), bp.Uniform(-1.0, 1.0))},
    "ConditionalChiUniformSpinMagnitude": lambda gw: {
        "a_1": gw.ConditionalChiUniformSpinMagnitude(name="a_1", **SPIN),
        "chi_1": bp.Uniform(0.1, 0.8),
    },
    "ConditionalChiInPlane": lambda gw: {
        "chi_1_in_plane": gw.ConditionalChiInPlane(name="chi_1_in_plane", **SPIN),
        "chi_1": bp.Uniform(0.1, 0.8),
    },
}
# A base class, a constraint, and sky maps: these draw the place within a pixel at random, and are refused.
GRAVITATIONAL_WAVES_NOT_SAMPLED = {"Cosmological", "EOSCheck", "HealPixPrior"}


class Bell(Likelihood):
    """A Gaussian in every parameter of a table of centres and widths."""

    def __init__(self, bells):
        super().__init__()
        self.bells = bells

    def log_likelihood(self, parameters):
        return -0.5 * sum(((parameters[name] - c) / s) ** 2 for name, (c, s) in self.bells.items())


def bell_within(columns):
    """A likelihood that cuts a part out of each parameter's prior, away from its middle."""
    quantiles = {name: np.quantile(column, [0.2, 0.6, 0.8]) for name, column in columns.items()}
    return Bell({name: (middle, 0.25 * (high - low)) for name, (low, middle, high) in quantiles.items()})


def nodes(priors):
    """Quadrature of the unit cube by bilby's own ``rescale``, one or two parameters: values and weights."""
    u = (np.arange(N_INNER) + 0.5) / N_INNER
    names = list(priors.non_fixed_keys)
    if len(names) == 1:
        return {names[0]: priors[names[0]].rescale(u)}, np.full(N_INNER, 1.0 / N_INNER)
    outer, inner = sorted(names, key=lambda name: hasattr(priors[name], "required_variables"))
    x, w = np.polynomial.legendre.leggauss(N_OUTER)
    first = priors[outer].rescale((x + 1.0) / 2.0)
    second = [priors[inner].rescale(u, **{outer: value}) for value in first]
    columns = {outer: np.repeat(first, N_INNER), inner: np.concatenate(second)}
    return columns, np.repeat(w / 2.0 / N_INNER, N_INNER)


def check(priors, outdir):
    """Compare a run with the quadrature."""
    columns, weights = nodes(priors)
    likelihood = bell_within(columns)
    exact = weighted(columns, likelihood.log_likelihood(columns), weights)
    assert_agrees(run_nbi(likelihood, priors, outdir), exact)


def classes_of(module):
    classes = {name: value for name, value in vars(module).items() if isinstance(value, type)}
    own = {name: value for name, value in classes.items() if value.__module__.startswith(module.__name__)}
    return {name for name, value in own.items() if issubclass(value, bp.Prior)}


def test_tables_have_every_prior_class_of_bilby():
    single = {name.removesuffix("-1") for name in CONTINUOUS | DISCRETE}
    assert classes_of(bp) == {*single, *CONDITIONAL, "DirichletElement", "FromFile", *JOINT, *NOT_SAMPLED}


def test_tables_have_every_prior_class_of_bilbys_gravitational_waves():
    gw = pytest.importorskip("bilby.gw.prior")
    assert classes_of(gw) == {*GRAVITATIONAL_WAVES, *GRAVITATIONAL_WAVES_NOT_SAMPLED}


@pytest.mark.parametrize("make", (CONTINUOUS | DISCRETE).values(), ids=CONTINUOUS | DISCRETE)
def test_evidence_and_mean_with_one_prior(make, tmp_path):
    check(bp.PriorDict({"x": make()}), tmp_path)


@pytest.mark.takes_seconds
@pytest.mark.parametrize("make", CONDITIONAL.values(), ids=CONDITIONAL)
def test_evidence_and_means_with_a_conditional_prior(make, tmp_path):
    check(bp.ConditionalPriorDict({"b": make(), "a": bp.Uniform(1.0, 4.0)}), tmp_path)


@pytest.mark.parametrize("make", GRAVITATIONAL_WAVES.values(), ids=GRAVITATIONAL_WAVES)
def test_evidence_and_means_with_a_prior_of_gravitational_waves(make, tmp_path):
    pytest.importorskip("astropy")
    check(bp.ConditionalPriorDict(make(pytest.importorskip("bilby.gw.prior"))), tmp_path)


def test_evidence_and_means_of_dirichlet_elements(tmp_path):
    check(bp.DirichletPriorDict(n_dim=3, label="f"), tmp_path)


def test_evidence_and_mean_with_a_prior_from_a_file(tmp_path):
    np.savetxt(tmp_path / "density.txt", np.stack([GRID, 1.0 + GRID], axis=1))
    check(bp.PriorDict({"x": bp.FromFile(str(tmp_path / "density.txt"), minimum=0.0, maximum=3.0)}), tmp_path)


@pytest.mark.parametrize("kind", [bp.MultivariateGaussian, bp.MultivariateNormal])
@pytest.mark.parametrize("modes", [ONE_MODE, TWO_MODES], ids=["one mode", "two modes"])
def test_evidence_and_means_of_joint_gaussians_are_the_closed_form(kind, modes, tmp_path):
    n_modes = modes.get("nmodes", 1)
    means, covariances = np.reshape(modes["mus"], (n_modes, 2)), np.reshape(modes["covs"], (n_modes, 2, 2))
    shares = np.array(modes.get("weights", [1.0])) / np.sum(modes.get("weights", [1.0]))
    centre, width = np.array([0.5, -0.5]), np.array([1.5, 0.8])
    # A product of Gaussians is a Gaussian: evidence, mean and covariance of each mode.
    total = covariances + np.diag(width**2)
    log_z = [stats.multivariate_normal(m, c).logpdf(centre) for m, c in zip(means, total, strict=True)]
    log_z = np.array(log_z) + np.log(shares) + np.log(2 * np.pi * width.prod())
    share = np.exp(log_z - logsumexp(log_z))
    gains = covariances @ np.linalg.inv(total)
    mode_means = means + np.einsum("kij,kj->ki", gains, centre - means)
    mode_variances = np.diagonal(covariances - gains @ covariances, axis1=1, axis2=2)
    mean = share @ mode_means
    sigma = np.sqrt(share @ (mode_variances + (mode_means - mean) ** 2))
    exact = Exact(logsumexp(log_z), {"p": mean[0], "q": mean[1]}, {"p": sigma[0], "q": sigma[1]})
    dist = bp.MultivariateGaussianDist(["p", "q"], **modes)
    priors = bp.PriorDict({name: kind(dist, name) for name in ("p", "q")})
    likelihood = Bell({name: (c, w) for name, c, w in zip("pq", centre, width, strict=True)})
    assert_agrees(run_nbi(likelihood, priors, tmp_path), exact)
