"""Runs from samples of a former posterior: right whatever these lack, and refused where they differ."""

from __future__ import annotations

from functools import cache

import bilby
import numpy as np
import pandas as pd
import pytest
import trained_lines as lines
from bilby.core.likelihood import GaussianLikelihood, Likelihood
from bilby.core.prior import ConditionalPriorDict, ConditionalUniform, PriorDict, Uniform
from bilby.core.result import Result
from small_runs import assert_agrees, run_nbi

from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.sampler.former_table import read_table
from nbi_sampler.sampler.initial_result import samples_for
from nbi_sampler.storage.checkpoint import read_draws


@pytest.fixture
def run(tmp_path):
    def run(likelihood, start, priors=None, **keywords):
        priors = lines.priors() if priors is None else priors
        return run_nbi(likelihood, priors, tmp_path, initial_result=start, **keywords)

    return run


def posterior(likelihood, n=600, seed=0):
    """Samples of the posterior of a line, with bilby's columns."""
    return _posterior(tuple(likelihood.y), n, seed).copy()


@cache
def _posterior(y, n, seed):
    """The same for the data of a line."""
    m, c = (grid.ravel() for grid in np.meshgrid(*2 * [np.linspace(-3, 3, 301)]))
    residuals = (np.array(y) - lines.line(lines.X, m[:, None], c[:, None])) / lines.SIGMA
    log_l = -0.5 * (residuals**2).sum(1)
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(m), n, p=np.exp(log_l - log_l.max()) / np.exp(log_l - log_l.max()).sum())
    frame = pd.DataFrame({"m": m[rows], "c": c[rows]}) + rng.uniform(-0.01, 0.01, (n, 2))
    frame = frame.clip(-2.999, 2.999)
    likelihood = GaussianLikelihood(lines.X, np.array(y), lines.line, sigma=lines.SIGMA)
    frame["log_likelihood"] = [likelihood.log_likelihood(dict(row)) for _, row in frame.iterrows()]
    frame["log_prior"] = -2.0 * np.log(6.0)
    return frame


def as_result(frame, **fields):
    names = [name for name in ("m", "c") if name in frame]
    return Result(
        label="former", posterior=frame, search_parameter_keys=names, priors=lines.priors(), **fields
    )


def phases(result):
    return [record["phase"] for record in result.meta_data["nbi"]["rounds"].values()]


def about(result):
    return result.meta_data["nbi"]["initial_result"]


class Bowl(Likelihood):
    """Gaussian peaks of one width in the unit square."""

    def __init__(self, *centres, width=0.05):
        super().__init__()
        self.centres, self.width = np.array(centres), width

    def log_likelihood(self, parameters):
        offsets = (np.array([parameters["a"], parameters["b"]]) - self.centres) / self.width
        peaks = np.exp(-0.5 * (offsets**2).sum(axis=1)) / (2.0 * np.pi * self.width**2)
        return float(np.log(peaks.mean() + 1e-300))


def square():
    return PriorDict({"a": Uniform(0, 1), "b": Uniform(0, 1)})


def cloud(centre, width=0.05, n=600, seed=0):
    return dict(zip("ab", (centre + width * np.random.default_rng(seed).normal(size=(n, 2))).T, strict=True))


def nearest(seen, start):
    """Rows of a start that evaluated points are, to the rounding of the map to the latent space."""
    rows = start[["m", "c"]].to_numpy()
    for point in np.array(seen):
        close = np.abs(rows - point).max(axis=1)
        yield tuple(rows[close.argmin()]) if close.min() < 1e-9 else None


class TestTheSameProblem:
    @pytest.mark.takes_seconds
    def test_takes_few_calls_and_says_that_the_likelihood_is_the_former_one(self, run):
        likelihood = lines.likelihood()
        result = run(likelihood, posterior(likelihood), n_effective=2000)
        assert_agrees(result, lines.exact(likelihood))
        assert phases(result)[0] == "initial" and "rounds" not in phases(result)
        assert result.num_likelihood_evaluations < 4500
        assert about(result)["same_likelihood"] and about(result)["n_checked"] == 50
        assert "assumes that they contain every narrow mode" in result.meta_data["nbi"]["message"]
        n_prior = int(result.meta_data["nbi"]["message"].split("one of the ")[1].split()[0].replace(",", ""))
        assert n_prior >= 500

    def test_no_call_is_repeated_and_that_is_said(self, run, bilby_log):
        """Beyond the fifty samples at which the likelihood is compared."""
        seen = []

        def line(x, m, c):
            seen.append((float(m), float(c)))
            return float(m) * x + float(c)

        start = posterior(lines.likelihood())
        result = run(lines.likelihood(function=line), start, vectorized=False)
        former = set(zip(start["m"], start["c"], strict=True))
        assert sum(round_trip in former for round_trip in nearest(seen, start)) == 50
        assert about(result)["same_likelihood"]
        assert "at 50 former samples the likelihood is the former one" in bilby_log.text

    @pytest.mark.parametrize("wrong", ["scaled", "shuffled", "one_lost"])
    def test_wrong_former_values_are_not_used(self, run, wrong, bilby_log):
        likelihood = lines.likelihood()
        start = posterior(likelihood)
        values = start["log_likelihood"].to_numpy()
        start["log_likelihood"] = {
            "scaled": 1.001 * values,
            "shuffled": values[::-1],
            "one_lost": np.where(np.arange(len(values)) == 0, np.nan, values),
        }[wrong]
        result = run(likelihood, start)
        assert not about(result)["same_likelihood"]
        assert "no call is repeated" not in bilby_log.text
        assert_agrees(result, lines.exact(likelihood))

    def test_differs_by_a_constant(self, run):
        """As between log-likelihoods and their ratios to the noise."""
        likelihood = lines.likelihood()
        start = posterior(likelihood)
        start["log_likelihood"] += 7.5
        result = run(likelihood, start)
        assert about(result)["same_likelihood"]
        assert_agrees(result, lines.exact(likelihood))

    def test_correlated_rows_and_repeats_do_not_change_the_answer(self, run):
        likelihood = lines.likelihood()
        start = posterior(likelihood).sort_values("m")[["m", "c"]]
        result = run(likelihood, pd.concat([start, start, start[:50]]))
        assert about(result)["n_samples"] == 600
        assert_agrees(result, lines.exact(likelihood))

    @pytest.mark.takes_seconds
    def test_the_samples_enter_no_estimate(self, run):
        """Half as wide as the posterior, and far too many on one side."""
        likelihood = lines.likelihood()
        start = posterior(likelihood)[["m", "c"]]
        start = 0.5 * start + 0.5 * start.mean()
        result = run(likelihood, start[start["m"] > start["m"].mean()])
        assert not about(result)["same_likelihood"]
        assert_agrees(result, lines.exact(likelihood))


class TestAnotherLikelihood:
    def test_far_off_gives_its_own_answer(self, run):
        likelihood = lines.likelihood(m=-1.0, c=1.5, seed=7)
        result = run(likelihood, posterior(lines.likelihood()))
        assert not about(result)["same_likelihood"]
        assert_agrees(result, lines.exact(likelihood))

    @pytest.mark.takes_seconds
    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_with_a_mode_that_the_samples_lack_is_found(self, run, seed):
        likelihood = Bowl([0.25, 0.3], [0.75, 0.6])
        result = run(likelihood, cloud([0.25, 0.3]), square(), seed=seed, n_sims="auto")
        assert result.meta_data["nbi"]["status"] == "ok"
        assert abs(result.log_evidence) < 5.0 * result.log_evidence_err
        assert (result.posterior["a"] > 0.5).mean() == pytest.approx(0.5, abs=0.15)

    @pytest.mark.takes_seconds
    def test_two_modes_that_are_one_now(self, run):
        start = {name: np.concatenate([cloud([x, 0.5])[name] for x in (0.2, 0.8)]) for name in "ab"}
        result = run(Bowl([0.8, 0.5]), start, square(), n_sims="auto")
        assert abs(result.log_evidence) < 5.0 * result.log_evidence_err


class TestForms:
    @pytest.mark.parametrize("form", ["json", "hdf5", "pickle"])
    def test_files_of_bilby(self, form, tmp_path):
        frame = posterior(lines.likelihood())
        result = as_result(frame, outdir=str(tmp_path))
        result.save_to_file(outdir=str(tmp_path), extension={"pickle": "pkl"}.get(form, form))
        (path,) = tmp_path.glob("former_result.*")
        space = ParameterSpace(lines.priors())
        read, given = (samples_for(each, lines.priors(), space) for each in (str(path), result))
        np.testing.assert_allclose(read.draws.z, given.draws.z, atol=1e-9)
        assert len(read.draws.z) == 600 and read.log_likelihood is not None

    def test_frames_and_dictionaries_are_the_same(self):
        frame, space = posterior(lines.likelihood()), ParameterSpace(lines.priors())
        both = [samples_for(each, lines.priors(), space) for each in (frame, dict(frame))]
        assert both[0].digest == both[1].digest

    def test_of_a_result_the_weighted_samples_are_taken(self):
        frame = posterior(lines.likelihood())
        weighted = frame.assign(weights=np.where(frame["m"] > frame["m"].median(), 3.0, 1.0))
        table = read_table(as_result(frame[:100], nested_samples=weighted))
        assert len(table.weights) == 600 and table.weights.max() == pytest.approx(3.0 * table.weights.min())

    def test_weights_count(self, run):
        """A wide sample with weights, as of a nested sampler."""
        likelihood = lines.likelihood()
        wide = {name: np.random.default_rng(i).uniform(-3, 3, 20_000) for i, name in enumerate("mc")}
        log_l = [
            -0.5 * np.sum(((likelihood.y - lines.line(lines.X, *row)) / 0.5) ** 2)
            for row in zip(*wide.values(), strict=True)
        ]
        result = run(likelihood, wide | {"weights": np.exp(log_l - np.max(log_l))})
        assert_agrees(result, lines.exact(likelihood))
        assert about(result)["n_samples"] < 5000

    @pytest.mark.takes_seconds
    def test_a_text_as_from_a_configuration_file(self, run, tmp_path):
        likelihood = lines.likelihood()
        as_result(posterior(likelihood)).save_to_file(outdir=str(tmp_path))
        result = run(likelihood, str(tmp_path / "former_result.json"))
        assert_agrees(result, lines.exact(likelihood))
        result = run(likelihood, None, initial_result_file=str(tmp_path / "former_result.json"))
        assert phases(result)[0] == "initial"


class TestOtherParameters:
    @pytest.mark.takes_seconds
    def test_missing_ones_are_drawn_from_the_prior(self, run):
        likelihood = lines.likelihood()
        result = run(likelihood, posterior(likelihood)[["m"]])
        assert about(result)["missing"] == ["c"]
        assert_agrees(result, lines.exact(likelihood))

    def test_missing_ones_follow_the_prior_given_the_others(self):
        def condition(reference, a):
            return {"minimum": reference["minimum"] + a, "maximum": reference["maximum"] + a}

        priors = ConditionalPriorDict(
            {"a": Uniform(0, 1), "b": ConditionalUniform(condition, minimum=0.0, maximum=0.1)}
        )
        space = ParameterSpace(priors)
        former = samples_for({"a": np.linspace(0.1, 0.9, 200)}, priors, space)
        theta = space.to_theta(former.draws.z)
        columns = dict(zip(space.names, theta.T, strict=True))
        np.testing.assert_allclose(np.sort(columns["a"]), np.linspace(0.1, 0.9, 200), atol=1e-9)
        assert np.all((columns["b"] >= columns["a"]) & (columns["b"] <= columns["a"] + 0.1))
        assert np.std(columns["b"] - columns["a"]) == pytest.approx(0.1 / np.sqrt(12), rel=0.2)

    def test_others_are_ignored_and_said(self, run, bilby_log):
        likelihood = lines.likelihood()
        result = run(likelihood, posterior(likelihood).assign(period=1.0))
        assert about(result)["ignored"] == ["period"]
        assert "not parameters are ignored (period)" in bilby_log.text

    def test_renamed_ones_are_converted(self):
        def conversion(parameters):
            made = dict(parameters)
            made["c"] = parameters["sum"] - parameters["m"]
            return made

        priors = PriorDict(dict(lines.PRIORS), conversion_function=conversion)
        frame = posterior(lines.likelihood())
        renamed = {"m": frame["m"].to_numpy(), "sum": (frame["m"] + frame["c"]).to_numpy()}
        space = ParameterSpace(lines.priors())
        made, plain = (samples_for(each, priors, space) for each in (renamed, frame[["m", "c"]]))
        np.testing.assert_allclose(made.draws.z, plain.draws.z, atol=1e-9)
        assert made.about["converted"] == ["c"]

    def test_masses_become_chirp_mass_and_ratio(self):
        rng = np.random.default_rng(1)
        heavy, light = rng.uniform(30, 40, 300), rng.uniform(20, 30, 300)
        priors = PriorDict({"chirp_mass": Uniform(10, 50), "mass_ratio": Uniform(0.1, 1)})
        space = ParameterSpace(priors)
        former = samples_for({"mass_1": heavy, "mass_2": light}, priors, space)
        columns = dict(zip(space.names, space.to_theta(former.draws.z).T, strict=True))
        np.testing.assert_allclose(np.sort(columns["mass_ratio"]), np.sort(light / heavy), rtol=1e-7)
        expected = (heavy * light) ** 0.6 / (heavy + light) ** 0.2
        np.testing.assert_allclose(np.sort(columns["chirp_mass"]), np.sort(expected), rtol=1e-7)

    @pytest.mark.takes_seconds
    def test_those_outside_of_the_priors_are_left_out_and_counted(self, run, bilby_log):
        likelihood = lines.likelihood()
        start = posterior(likelihood)
        start.loc[start["m"] > start["m"].median(), "c"] += 10.0
        result = run(likelihood, start)
        assert about(result)["n_outside"] == 300
        assert "300 of 600 samples lie outside of the priors" in bilby_log.text
        assert_agrees(result, lines.exact(likelihood))

    def test_periodic_ones_are_brought_into_range(self):
        priors = PriorDict({"phase": Uniform(0, 2 * np.pi, boundary="periodic")})
        phase = np.linspace(-3.0, 3.0, 100)
        space = ParameterSpace(priors)
        former = samples_for({"phase": phase}, priors, space)
        np.testing.assert_allclose(
            np.sort(space.to_theta(former.draws.z)[:, 0]), np.sort(phase % (2 * np.pi)), atol=1e-9
        )


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("start", "named"),
        [
            (
                {"x": np.ones(50), "y": np.ones(50)},
                r"at least one parameter of this run \(m, c\), got .* x, y",
            ),
            ({"m": np.zeros(0), "c": np.zeros(0)}, "expected samples, got a dictionary with none"),
            ({}, "expected samples, got a dictionary with none"),
            ({"m": np.full(50, np.nan), "c": np.ones(50)}, "NaN or infinity in a dictionary: 50 of m"),
            ({"m": np.ones(50), "c": np.ones(40)}, "columns of one length"),
            ({"m": 1.0, "c": 2.0}, r"one-dimensional array of numbers .* m \(float64 of shape \(\)\)"),
            ({"posterior": {"m": np.ones(50)}}, r"a dictionary with posterior \(object of shape \(\)\)"),
            ({"m": np.ones((50, 2))}, r"m \(float64 of shape \(50, 2\)\); pass the samples by parameter"),
            (
                {"m": np.linspace(5, 6, 50), "c": np.zeros(50)},
                r"all of 50 outside: m \(5 to 6, the prior has -3 to 3\)",
            ),
            (
                {"m": np.ones(50), "c": np.zeros(50)},
                "at least 20 distinct samples within the priors, got 1 of 50",
            ),
            ({"m": np.ones(50), "c": np.ones(50), "weights": -np.ones(50)}, "weights that are finite"),
            ("nowhere_result.json", "initial_result: expected the file of a result, got nowhere_result.json"),
        ],
        ids="no_common empty nothing nan lengths numbers nested planes outside one weights no_file".split(),
    )
    def test_names_what_differs(self, run, start, named):
        with pytest.raises(
            (ValueError, OSError), match=f"initial_result: .*{named}" if "initial" not in named else named
        ):
            run(lines.likelihood(), start)

    def test_an_array_has_no_names(self, run):
        with pytest.raises(TypeError, match=r"initial_result: expected a bilby Result .* numpy\.ndarray"):
            run(lines.likelihood(), np.ones((50, 2)))

    def test_a_likelihood_that_is_impossible_at_all_samples(self, run):
        class Impossible(Bowl):
            def log_likelihood(self, parameters):
                return -np.inf if parameters["a"] < 0.6 else super().log_likelihood(parameters)

        with pytest.raises(ValueError, match="-inf or NaN at all of 50 of them; check that likelihood"):
            run(Impossible([0.8, 0.5]), cloud([0.3, 0.3]), square())

    def test_a_second_beginning(self, run):
        with pytest.raises(ValueError, match="initial_result: expected None together with model="):
            run(lines.likelihood(), posterior(lines.likelihood()), model="x.nbi")

    @pytest.mark.parametrize(
        "given", [[1.0, 2.0], [{"m": 1.0, "c": 2.0}] * 50, 3], ids=["list", "rows", "int"]
    )
    def test_what_holds_no_columns(self, run, given):
        with pytest.raises(TypeError, match=r"initial_result: expected a bilby Result .*pandas\.DataFrame"):
            run(lines.likelihood(), given)

    def test_a_result_that_has_no_rows_and_no_priors(self, run):
        empty = Result(
            label="none", search_parameter_keys=["m", "c"], posterior=pd.DataFrame({"m": [], "c": []})
        )
        with pytest.raises(ValueError, match="expected samples, got the result 'none' with none"):
            run(lines.likelihood(), empty)

    def test_a_result_without_samples(self, run):
        with pytest.raises(ValueError, match="without a posterior"):
            run(lines.likelihood(), Result(label="none", search_parameter_keys=["m", "c"]))


@pytest.mark.takes_seconds
class TestResume:
    def stopped(self, run, tmp_path, start, stop_at=250):
        calls = []

        def line(x, m, c):
            if len(calls) == stop_at:
                raise KeyboardInterrupt
            calls.append(1)
            return float(m) * x + float(c)

        settings = dict(label="x", vectorized=False, resume=True, n_effective=300)
        with pytest.raises(KeyboardInterrupt):
            run(lines.likelihood(function=line), start, **settings)
        assert len(read_draws(tmp_path / "nbi_x" / "checkpoint.npz")["theta"]) > 50
        return settings

    def test_gives_the_result_of_one_run(self, run, tmp_path):
        start = posterior(lines.likelihood())
        unbroken = run(lines.likelihood(), start, label="y", vectorized=False, n_effective=300)
        settings = self.stopped(run, tmp_path, start)
        result = run(lines.likelihood(), start, **settings)
        assert result.log_evidence == unbroken.log_evidence
        assert result.num_likelihood_evaluations == unbroken.num_likelihood_evaluations
        np.testing.assert_array_equal(result.samples, unbroken.samples)

    def test_of_other_samples_restarts(self, run, tmp_path, bilby_log):
        settings = self.stopped(run, tmp_path, posterior(lines.likelihood()))
        run(lines.likelihood(), posterior(lines.likelihood(), seed=5), **settings)
        assert "is not used: it was written for something else: initial_result" in bilby_log.text


@pytest.mark.takes_seconds
def test_a_result_on_disk_is_that_of_the_same_samples(run, tmp_path):
    start = posterior(lines.likelihood())
    settings = dict(label="z", resume=True, save=True, n_effective=300)
    first = run(lines.likelihood(), start, **settings)
    again = run(lines.likelihood(), start, **settings)
    assert again.log_evidence == first.log_evidence
    other = run(lines.likelihood(), posterior(lines.likelihood(), seed=5), **settings)
    assert other.log_evidence != first.log_evidence
    assert bilby.read_in_result(str(tmp_path / "z_result.json")).log_evidence == other.log_evidence


def test_the_algorithm_of_the_paper_draws_from_the_start_alone(run):
    likelihood = lines.likelihood()
    result = run(likelihood, posterior(likelihood), refine=False, n_effective=2000)
    assert set(phases(result)) == {"initial", "final"}
    assert_agrees(result, lines.exact(likelihood))
