"""The contract with scripts for bilby's samplers: constraints, files, caches, names, versions of bilby."""

from __future__ import annotations

import copy
import shutil

import bilby
import matplotlib
import numpy as np
import pytest
from bilby.core.likelihood import Likelihood
from bilby.core.prior import ConditionalPriorDict, Constraint, PriorDict, Uniform
from bilby.core.result import ResultList
from bilby.core.sampler import get_sampler_class
from bilby.core.utils import command_line_args
from small_runs import assert_agrees, run_nbi, weighted

from nbi_sampler.evaluation.batch import LikelihoodError
from nbi_sampler.sampler.nbi import Nbi


class Peak(Likelihood):
    """A Gaussian of width 0.3 in two parameters, the centre being the data; counts its calls."""

    def __init__(self, centre=0.4):
        super().__init__()
        self.centre, self.n_calls = centre, 0

    def log_likelihood(self, parameters):
        self.n_calls += 1
        residual = np.array([parameters["a"] - self.centre, parameters["b"] + 0.2]) / 0.3
        return -0.5 * np.sum(residual.T**2, axis=-1)


def box(**entries):
    return PriorDict({"a": Uniform(-2, 2), "b": Uniform(-2, 2)} | entries)


def exact(allowed=lambda a, b: True, centre=0.4):
    """Quadrature over the box, a thousand points a side, where a constraint holds."""
    u = (np.arange(1000) + 0.5) / 250 - 2.0
    a, b = (grid.ravel() for grid in np.meshgrid(u, u))
    log_likelihood = Peak(centre).log_likelihood({"a": a, "b": b})
    return weighted({"a": a, "b": b}, np.where(allowed(a, b), log_likelihood, -np.inf), np.full(a.size, 1e-6))


@pytest.mark.takes_seconds
class TestConstraints:
    def priors(self, kind=PriorDict):
        def convert(parameters):
            return {**parameters, "total": parameters["a"] + parameters["b"]}

        entries = dict(box(total=Constraint(0.0, 1.0)))
        return kind(entries, conversion_function=convert)

    @pytest.mark.parametrize("kind", [PriorDict, ConditionalPriorDict])
    def test_they_cut_the_likelihood_and_are_not_renormalised(self, kind, tmp_path):
        result = run_nbi(Peak(), self.priors(kind), tmp_path)
        assert_agrees(result, exact(lambda a, b: (a + b > 0) & (a + b < 1)))
        assert ((result.posterior["a"] + result.posterior["b"]).between(0, 1)).all()

    def test_the_answer_does_not_rest_on_bilbys_prior_density(self, tmp_path, monkeypatch):
        # In one version of bilby it forgets the constraints where every value is finite.
        usual = run_nbi(Peak(), self.priors(), tmp_path, max_likelihood_calls=1200)

        def forgetful(self, sample, axis=None, normalized=True):
            terms = [self[key].ln_prob(sample[key]) for key in sample if key in self.non_fixed_keys]
            return np.sum(terms, axis=axis)

        monkeypatch.setattr(PriorDict, "ln_prob", forgetful)
        assert np.isfinite(self.priors().ln_prob({"a": -1.9, "b": -1.9}))
        again = run_nbi(Peak(), self.priors(), tmp_path, max_likelihood_calls=1200)
        assert again.log_evidence == usual.log_evidence
        assert np.array_equal(again.samples, usual.samples)
        assert np.array_equal(again.log_prior_evaluations, usual.log_prior_evaluations)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The result of one run, and the folder with its file."""
    folder = tmp_path_factory.mktemp("finished")
    return run_nbi(Peak(), box(), folder, save="json", label="fit"), folder


class TestFilesAndCaches:
    @pytest.mark.takes_seconds
    @pytest.mark.parametrize(("save", "extension"), [(True, "json"), ("hdf5", "hdf5"), ("pickle", "pkl")])
    def test_every_format_is_written_and_read(self, tmp_path, save, extension):
        result = run_nbi(Peak(), box(), tmp_path, save=save, label="fit")
        read = bilby.read_in_result(outdir=str(tmp_path), label="fit", extension=extension)
        assert read.log_evidence == result.log_evidence
        assert np.array_equal(read.posterior["a"], result.posterior["a"])
        assert read.priors == result.priors

    @pytest.mark.takes_seconds
    def test_a_second_run_returns_the_first_and_a_clean_one_runs(self, tmp_path):
        keywords = dict(save="json", resume=True)
        first = run_nbi(Peak(), box(), tmp_path, **keywords)
        likelihood = Peak()
        second = run_nbi(likelihood, box(), tmp_path, **keywords)
        assert second.log_evidence == first.log_evidence
        assert np.array_equal(second.posterior["a"], first.posterior["a"])
        # bilby's checks of the likelihood, and ours of the result.
        assert likelihood.n_calls < 120
        third = run_nbi(Peak(), box(), tmp_path, seed=2, clean=True, **keywords)
        assert third.log_evidence != first.log_evidence

    @pytest.mark.takes_seconds
    @pytest.mark.parametrize(
        ("what", "likelihood", "priors"),
        [
            ("likelihood", Peak(0.5), box()),
            ("set of priors", Peak(), box(a=Uniform(-2, 3))),
            ("set of constraints", Peak(), box(c=Constraint(-1, 1))),
        ],
    )
    def test_the_answer_to_another_question_is_not_returned(
        self, tmp_path, bilby_log, finished, what, likelihood, priors
    ):
        shutil.copytree(finished[1], tmp_path, dirs_exist_ok=True)
        priors.conversion_function = lambda parameters: {"c": 0.0, **parameters}
        second = run_nbi(likelihood, priors, tmp_path, label="fit")
        assert f"was made with another {what}; the sampler runs again" in bilby_log.text
        width = priors["a"].maximum + 2
        expected = exact(centre=likelihood.centre).log_evidence - np.log(width / 4)
        assert abs(second.log_evidence - expected) < 4.5 * second.log_evidence_err
        # The switch is the user's own word that the files are what is wanted.
        bilby_log.clear()
        command_line_args.use_cached = True
        run_nbi(likelihood, priors, tmp_path, label="fit")
        assert "Using cached result" in bilby_log.text

    @pytest.mark.takes_seconds
    def test_more_effective_samples_than_the_result_was_to_have_are_drawn(self, tmp_path):
        first = run_nbi(Peak(), box(), tmp_path, save="json", n_effective=300)
        second = run_nbi(Peak(), box(), tmp_path, n_effective=600)
        assert first.meta_data["nbi"]["ess"] < 600 <= second.meta_data["nbi"]["ess"]

    def test_the_result_of_another_sampler_is_kept_and_not_returned(self, tmp_path, bilby_log, finished):
        theirs = copy.copy(finished[0])
        theirs.sampler = "dynesty"
        theirs.save_to_file(extension="json", outdir=str(tmp_path), overwrite=True)
        run_nbi(Peak(), box(), tmp_path, save="json", label="fit")
        assert "was made with another sampler (dynesty); the sampler runs again" in bilby_log.text
        for kept in ("fit_result.json.old", "fit_result.old-1.json"):
            assert "dynesty" in (tmp_path / kept).read_text()

    def test_a_zipped_result_is_read_back(self, tmp_path):
        result = run_nbi(Peak(), box(), tmp_path, save="json", gzip=True, label="fit")
        read = bilby.read_in_result(str(tmp_path / "fit_result.json.gz"))
        assert read.log_evidence == result.log_evidence

    @pytest.mark.takes_seconds
    def test_plot_makes_a_corner_plot_with_the_injected_values(self, tmp_path):
        matplotlib.use("Agg")
        injected = {"a": 0.4, "b": -0.2}
        result = run_nbi(Peak(), box(), tmp_path, plot=True, label="fit", injection_parameters=injected)
        assert result.injection_parameters == injected
        assert (tmp_path / "fit_corner.png").stat().st_size > 0

    def test_runs_combine(self, tmp_path, finished):
        bilby.core.utils.random.seed(5)
        results = [finished[0], run_nbi(Peak(), box(), tmp_path, seed=2)]
        combined = ResultList(results).combine()
        mean = np.logaddexp(*[result.log_evidence for result in results]) - np.log(2)
        assert combined.log_evidence == pytest.approx(mean)
        assert set(combined.posterior["a"]) <= set(np.concatenate([r.nested_samples["a"] for r in results]))


class TestSampler:
    @pytest.mark.parametrize("name", ["nbi", "NBI"])
    def test_it_is_found_by_name_whatever_the_case(self, name):
        assert get_sampler_class(name) is Nbi

    def test_an_instance_and_a_plain_dictionary_of_priors_will_do(self, tmp_path):
        priors = PriorDict({"a": Uniform(-2, 2), "b": -0.2})
        priors.fill_priors()
        keywords = dict(n_effective=300, n_sims=300, seed=1, print_method="none", training={"n_epochs": 5})
        sampler = Nbi(Peak(), priors, outdir=str(tmp_path), use_ratio=False, meta_data={}, **keywords)
        result = bilby.run_sampler(Peak(), dict(priors), sampler=sampler, outdir=str(tmp_path), save=False)
        assert (result.posterior["b"] == -0.2).all()
        assert result.meta_data["nbi"]["status"] == "ok"

    def test_meta_data_of_the_user_and_of_bilby_stay(self, tmp_path):
        result = run_nbi(Peak(), box(), tmp_path, meta_data={"catalogue": "X1"})
        assert result.meta_data["catalogue"] == "X1"
        assert {"likelihood", "loaded_modules", "nbi", "run_statistics"} <= set(result.meta_data)

    def test_the_result_class_of_compact_binaries_will_do(self, tmp_path):
        pytest.importorskip("astropy")
        kind = pytest.importorskip("bilby.gw.result").CBCResult
        result = run_nbi(Peak(), box(), tmp_path, result_class=kind, save="json", label="fit")
        assert type(result) is kind
        read = bilby.read_in_result(str(tmp_path / "fit_result.json"), result_class=kind)
        assert read.log_evidence == result.log_evidence


class TestVersionsOfBilby:
    def test_a_likelihood_without_a_state_will_do(self, tmp_path, monkeypatch):
        """As in bilby 3: no ``parameters``, and ``rescale`` that gives arrays."""

        class Stateless(Peak):
            @property
            def parameters(self):
                raise AttributeError("gone")

            @parameters.setter
            def parameters(self, value):
                """Let the constructor of bilby 2 set it."""

            @property
            def marginalized_parameters(self):
                return []

        rescale = PriorDict.rescale
        monkeypatch.setattr(PriorDict, "rescale", lambda self, *a: np.array(rescale(self, *a)))
        assert_agrees(run_nbi(Stateless(), box(), tmp_path), exact())

    def test_a_type_error_of_the_users_is_reported_and_no_reason_to_call_in_another_way(self, tmp_path):
        class Faulty(Peak):
            def log_likelihood(self, parameters):
                value = super().log_likelihood(parameters)
                return value if self.n_calls < 150 else value + "three"

        likelihood = Faulty()
        with pytest.raises(LikelihoodError, match="TypeError"):
            run_nbi(likelihood, box(), tmp_path)
        assert likelihood.n_calls == 150
