"""A script runs again with one word changed: the returned result answers the current question."""

from __future__ import annotations

import json
import shutil

import bilby
import h5py
import numpy as np
import pytest
from bilby.core.prior import Constraint, DeltaFunction, PriorDict, Uniform
from started_again import FEW, KEYWORDS, Dish, names_in, same_numbers, square, start


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder of a run that is complete, and its result."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, start(folder)


@pytest.fixture
def outdir(finished, tmp_path):
    """A copy of that folder, with the times of its files."""
    return shutil.copytree(finished[0], tmp_path / "out")


OTHER_SETTINGS = {
    "seed (1, now 2)": dict(seed=2),
    "n_sims (250, now 300)": dict(n_sims=300),
    "flow ('maf', now {'n_mog': 3, 'type': 'maf'})": dict(flow={"type": "maf", "n_mog": 3}),
}


@pytest.mark.parametrize(("named", "change"), OTHER_SETTINGS.items())
def test_another_seed_or_setting_is_another_run_and_both_results_are_kept(
    finished, outdir, bilby_log, named, change
):
    before = (outdir / "x_result.json").read_bytes()
    result = start(outdir, **change)
    assert result.n_paid > 500
    assert not same_numbers(result, finished[1])
    assert f"x_result.json was made with another {named}; the sampler runs again" in bilby_log.text
    assert "the run restarts" in bilby_log.text
    # The last of these is bilby's, which the next result overwrites.
    kept = ["x_result.old-1.json", "x_result.json.old"]
    assert set(names_in(outdir)) == {"nbi_x", "x_result.json", *kept}
    assert names_in(outdir / "nbi_x") == ["checkpoint.npz", "checkpoint.old-1.npz"]
    assert (outdir / "x_result.old-1.json").read_bytes() == before
    assert json.loads((outdir / "x_result.json").read_text())["log_evidence"] == result.log_evidence


SAME_QUESTION = {
    "unchanged": {},
    "no seed": dict(seed=None),
    "fewer samples": dict(n_effective=100),
    "another budget": dict(max_likelihood_calls=100),
    "another place to compute": dict(npool=2, device="cpu", training={"n_epochs": 4, "n_threads": 1}),
    "another name on a plot": dict(priors=square(a=Uniform(-2, 2, latex_label="$A$", unit="m"))),
    "another order of the priors": dict(priors=dict(reversed(square().items()))),
}


@pytest.mark.parametrize("change", SAME_QUESTION.values(), ids=SAME_QUESTION)
def test_the_same_question_is_answered_from_the_file(finished, outdir, bilby_log, change):
    result = start(outdir, **change)
    assert "Using cached result" in bilby_log.text
    assert result.n_paid <= FEW
    assert same_numbers(result, finished[1])
    names = list(change.get("priors", square()))
    assert result.search_parameter_keys == names == list(result.posterior)[:2]
    assert np.array_equal(result.samples, result.posterior[names])
    assert np.array_equal(result.posterior["a"], finished[1].posterior["a"])
    assert names_in(outdir) == ["nbi_x", "x_result.json"]


@pytest.mark.takes_seconds
def test_a_fixed_value_that_the_likelihood_does_not_know_is_that_of_now(tmp_path):
    keywords = dict(n_effective=100, max_likelihood_calls=900)
    assert start(tmp_path, priors=square(d=DeltaFunction(3.0)), **keywords).meta_data["nbi"]["status"] == "ok"
    result = start(tmp_path, priors=square(d=DeltaFunction(4.0)), **keywords)
    assert (result.posterior["d"] == 4.0).all()


class WithASecondMode(Dish):
    """It is far from the first mode, whose posterior hardly depends on it."""

    def log_likelihood(self, parameters):
        apart = ((parameters["a"] + 1.5) ** 2 + (parameters["b"] - 2.5) ** 2) / 0.2**2
        return np.logaddexp(super().log_likelihood(parameters), 3.0 - 0.5 * apart)


@pytest.mark.takes_seconds
def test_a_likelihood_that_has_gained_a_mode_far_from_the_posterior_is_another(tmp_path, bilby_log):
    # Of 200 draws, none need lie where the likelihood has changed. Of 1,000 some do, for each of eight seeds.
    start(tmp_path, n_effective=1000)
    result = start(tmp_path, WithASecondMode(), n_effective=1000)
    assert "was made with another likelihood" in bilby_log.text
    assert result.n_paid > 500
    assert (result.posterior["b"] > 1.9).mean() > 0.3


def with_a_constraint(factor, *order):
    """Priors of which a constraint is on ``factor * a + b``."""
    entries = {"a": Uniform(-2, 2), "b": Uniform(-1, 3), "c": Constraint(0, 9)}
    return PriorDict(
        {name: entries[name] for name in order},
        conversion_function=lambda p: {**p, "c": factor * p["a"] + p["b"]},
    )


@pytest.mark.takes_seconds
def test_another_conversion_to_a_constraint_is_another_question_and_another_order_is_not(tmp_path, bilby_log):
    first = start(tmp_path, priors=with_a_constraint(1, *"abc"))
    again = start(tmp_path, priors=with_a_constraint(1, *"cba"))
    assert again.n_paid <= FEW
    assert same_numbers(again, first)
    result = start(tmp_path, priors=with_a_constraint(-1, *"abc"))
    assert "was made with another conversion to the constraints" in bilby_log.text
    assert "the run restarts" in bilby_log.text
    assert (result.posterior["b"] >= result.posterior["a"]).all()


def test_a_result_that_is_not_ok_goes_on_with_a_larger_budget(tmp_path, bilby_log):
    poor = start(tmp_path, max_likelihood_calls=300, n_effective=400)
    assert poor.meta_data["nbi"]["status"] != "ok"
    # Asked once more with no larger budget: nothing is drawn, and nothing to be kept.
    again = start(tmp_path, max_likelihood_calls=300, n_effective=400)
    assert again.n_paid <= FEW
    assert same_numbers(again, poor)
    assert not list(tmp_path.glob("*old-*"))
    rich = start(tmp_path, n_effective=400)
    assert rich.meta_data["nbi"]["status"] == "ok"
    assert rich.n_paid <= rich.num_likelihood_evaluations - 300 + FEW
    assert "'few distinct samples'; the sampler runs again, from the checkpoint" in bilby_log.text
    kept = bilby.read_in_result(str(tmp_path / "x_result.old-1.json"))
    assert kept.num_likelihood_evaluations == 300


def test_more_effective_samples_are_drawn_from_where_the_run_was(finished, outdir, bilby_log):
    ess = finished[1].meta_data["nbi"]["ess"]
    assert start(outdir, n_effective=ess - 0.5).n_paid <= FEW
    more = start(outdir, n_effective=ess + 100)
    assert more.meta_data["nbi"]["ess"] >= ess + 100
    assert more.n_paid <= more.num_likelihood_evaluations - finished[1].num_likelihood_evaluations + FEW
    assert f"has {ess:,.0f} of {ess + 100:,.0f} effective samples; the sampler runs again" in bilby_log.text
    assert (outdir / "x_result.old-1.json").exists()


@pytest.mark.parametrize(("change", "n_paid"), [({}, FEW), (dict(n_sims=300), 5000)])
def test_a_result_without_a_record_of_its_settings_is_compared_by_its_keywords(outdir, change, n_paid):
    """As versions before this one wrote it."""
    content = json.loads((outdir / "x_result.json").read_text())
    assert content["meta_data"]["nbi"].pop("settings")["n_sims"] == "250"
    (outdir / "x_result.json").write_text(json.dumps(content))
    assert min(n_paid, 500) <= max(start(outdir, **change).n_paid, 500) <= max(n_paid, 500)


BROKEN = {
    "truncated": lambda text: text[:1000].encode(),
    "no text": lambda text: bytes(range(256)),
    "no result": lambda text: b"[1, 2]",
    "without samples": lambda text: text.replace('"samples"', '"sample"').encode(),
    "without meta data": lambda text: text.replace('"nbi": {', '"other": {').encode(),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_result_file_that_is_broken_costs_nothing_but_is_made_again(finished, outdir, broken):
    path = outdir / "x_result.json"
    path.write_bytes(broken(path.read_text()))
    result = start(outdir)
    assert result.n_paid <= FEW
    assert same_numbers(result, finished[1])
    assert same_numbers(bilby.read_in_result(str(path)), finished[1])


@pytest.mark.parametrize("save", ["hdf5", "pkl"])
def test_results_in_other_formats_are_kept_too_and_only_where_they_differ(tmp_path, save):
    keywords = dict(save=save, max_likelihood_calls=300)
    first, same = (start(tmp_path, **keywords) for _ in range(2))
    assert same.n_paid <= FEW
    assert same_numbers(same, first)
    assert not list(tmp_path.glob("*old-*"))
    start(tmp_path, seed=2, **keywords)
    start(tmp_path, seed=3, **keywords)
    kept = bilby.read_in_result(str(tmp_path / f"x_result.old-1.{save}"))
    assert kept.log_evidence == first.log_evidence
    assert (tmp_path / f"x_result.old-2.{save}").exists()


def test_the_settings_of_a_run_are_plain_text_in_its_result(tmp_path):
    start(tmp_path, save="hdf5", flow={"type": "maf", "n_mog": 3}, max_likelihood_calls=300)
    with h5py.File(tmp_path / "x_result.hdf5") as file:
        settings = {name: value[()].decode() for name, value in file["meta_data/nbi/settings"].items()}
    assert json.loads(settings["flow"]) == {"type": "maf", "n_mog": 3}
    assert json.loads(settings["x_obs"]) is None


def test_clean_leaves_nothing_of_before_and_all_of_others(outdir, bilby_log):
    start(outdir, seed=2, save="hdf5", max_likelihood_calls=300)
    before = [
        "x_corner.png",
        "x_run.png",
        "x_data.pdf",
        "x_report.html",
        "x_result.json.old",
        "x_result.pkl",
        "nbi_x/checkpoint.old-7.npz",
        "nbi_x/.checkpoint.npz.7-ab.part",
        "nbi_x/tensorboard/events",
    ]
    (outdir / "nbi_x" / "tensorboard").mkdir()
    for name in before:
        (outdir / name).write_text("of before")
    others = [
        "x2_result.json",
        "ax_result.json",
        "x_result_result.json",
        "x_mine.png",
        "x_mine.pdf",
        "nbi_x2/checkpoint.npz",
    ]
    (outdir / "nbi_x2").mkdir()
    for name in others:
        (outdir / name).write_text("another's")
    start(outdir, seed=3, clean=True, max_likelihood_calls=300)
    assert names_in(outdir / "nbi_x") == ["checkpoint.npz"]
    assert not any((outdir / name).exists() for name in before)
    assert names_in(outdir) == sorted(["nbi_x", "nbi_x2", "x_result.json", *others[:-1]])
    assert all((outdir / name).read_text() == "another's" for name in others)


class Missing:
    """Conversion functions that fail, each in its way, before somebody mends them."""

    def raises(self, samples, likelihood=None, priors=None):
        raise KeyError("the table of cosmology is missing")

    def returns_nothing(self, samples, likelihood=None, priors=None):
        samples["twice"] = 2 * samples["a"]

    def forgets(self, samples, likelihood=None, priors=None):
        return samples.copy()

    def loses(self, samples, likelihood=None, priors=None):
        return samples[["b"]].rename(columns={"b": "twice"})


def conversion(samples, likelihood=None, priors=None):
    return samples.assign(twice=2 * samples["a"])


@pytest.mark.parametrize("save", [True, "hdf5"])
@pytest.mark.parametrize("failing", ["raises", "returns_nothing", "forgets", "loses"])
def test_a_conversion_that_fails_at_the_end_is_all_that_is_done_again(finished, outdir, failing, save):
    # As if the run ended now: its draws are all in the checkpoint, and there is no result yet.
    (outdir / "x_result.json").unlink()
    try:
        start(outdir, save=save, conversion_function=getattr(Missing(), failing))
    except (KeyError, ValueError, TypeError):
        pass
    result = start(outdir, save=save, conversion_function=conversion)
    assert result.n_paid <= FEW
    assert np.array_equal(result.posterior["twice"], 2 * result.posterior["a"])
    assert np.array_equal(result.posterior["a"], result.samples[:, 0])
    assert same_numbers(result, finished[1])


def test_injected_values_that_could_not_be_converted_can_be_mended(outdir):
    (outdir / "x_result.json").unlink()

    def convert(samples, likelihood=None, priors=None):
        samples = dict(samples) if isinstance(samples, dict) else samples
        # bilby converts the injected values without the likelihood, saves, and converts them with it.
        if likelihood is not None:
            samples["twice"] = 2 * samples["a"]
        return samples

    with pytest.raises(KeyError):
        start(outdir, conversion_function=convert, injection_parameters={"b": -0.2})
    injected = {"a": 0.3, "b": -0.2}
    result = start(outdir, conversion_function=convert, injection_parameters=injected)
    assert result.n_paid <= FEW
    assert result.injection_parameters == {**injected, "twice": 0.6}
    assert "twice" in result.posterior


@pytest.mark.takes_seconds
def test_a_plot_that_fails_at_the_end_is_drawn_when_the_run_is_started_again(outdir, monkeypatch):
    (outdir / "x_result.json").unlink()
    monkeypatch.setattr("matplotlib.use", lambda backend: None)
    with monkeypatch.context() as patch:
        patch.setattr(bilby.core.result.Result, "plot_corner", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            start(outdir, plot=True)
    drawn = []
    monkeypatch.setattr(
        bilby.core.result.Result, "plot_corner", lambda self: drawn.append(len(self.posterior))
    )
    assert start(outdir, plot=True).n_paid <= FEW
    assert drawn


def test_a_disk_that_is_full_at_the_end_costs_no_draw(outdir, finished, monkeypatch):
    (outdir / "x_result.json").unlink()

    def full(*arguments, **keywords):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(bilby.core.result.json, "dump", full)
        patch.setattr(bilby.core.result, "safe_file_dump", full)
        with pytest.raises(OSError, match="No space"):
            start(outdir)
    result = start(outdir)
    assert result.n_paid <= FEW
    assert same_numbers(result, finished[1])


def test_the_keywords_of_the_module_are_those_of_a_run_that_is_ok(finished):
    assert finished[1].meta_data["nbi"]["status"] == "ok"
    assert finished[1].meta_data["nbi"]["ess"] >= KEYWORDS["n_effective"]
    assert Dish().log_likelihood({"a": 0.3, "b": -0.2}) == 0.0
