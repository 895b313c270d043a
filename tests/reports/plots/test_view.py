"""Figures are made from the records and draws of a result, saved or not."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import bilby
import numpy as np
import pytest
from bilby.core.prior import Uniform
from plot_cases import made_view, records

from nbi_sampler.algorithm.records import RoundRecord
from nbi_sampler.importance.pareto import pareto_k
from nbi_sampler.reports.plots import RunView, plot_run
from nbi_sampler.reports.plots.view import parameter_labels


class TestView:
    @pytest.mark.parametrize("extension", ["json", "hdf5", "pkl"])
    def test_a_saved_result_gives_the_same_view(self, result, view, tmp_path, extension):
        result.save_to_file(outdir=str(tmp_path), extension=extension)
        (path,) = tmp_path.iterdir()
        found = RunView.from_result(bilby.read_in_result(str(path)))
        assert found.records == view.records
        assert (found.status, found.labels) == (view.status, view.labels)
        np.testing.assert_allclose(found.weights, view.weights, rtol=1e-12)
        np.testing.assert_allclose(found.theta, view.theta)

    def test_evidence_and_figures_are_those_of_the_result(self, result, view):
        own = result.meta_data["nbi"]
        assert view.evidence.log_evidence == pytest.approx(result.log_evidence, abs=1e-9)
        assert view.evidence.error == pytest.approx(result.log_evidence_err, rel=1e-6)
        assert view.ess == pytest.approx(own["ess"])
        assert view.k_hat == pytest.approx(own["k_hat"])

    def test_zero_weights_count_as_draws(self):
        view = made_view(n_weights=400, spread=0.0)
        assert view.n_draws == 1000
        assert view.evidence.error == pytest.approx(math.sqrt(600 / (1000 * 400)))
        view = made_view(n_weights=400)
        assert view.k_hat == pareto_k(np.append(view.log_weights, np.full(600, -np.inf)))
        assert view.k_hat != pareto_k(view.log_weights)

    def test_batches_of_the_result_are_the_best_one_where_none_is_pooled(self):
        view = made_view(records=records(5, 2, pooled=False))
        assert view.of_result == (view.records[4],)

    def test_result_of_another_sampler_is_refused(self, result):
        other = SimpleNamespace(meta_data={}, sampler="dynesty")
        with pytest.raises(ValueError, match=r"result: expected one of sampler 'nbi', got one of 'dynesty'"):
            plot_run(other)

    def test_quantiles_are_weighted(self):
        theta = np.arange(4.0)[:, None]
        view = made_view(n_dim=1, theta=theta, log_weights=np.log([0.1, 0.1, 0.1, 0.7]))
        assert list(view.quantiles(0, (0.15, 0.29, 0.5))) == [1.0, 2.0, 3.0]

    def test_records_survive_json(self):
        (record,) = records(1, 3)
        assert RoundRecord.from_dict(json.loads(json.dumps(record.as_dict()))) == record


@pytest.mark.parametrize(
    ("name", "latex", "label"),
    [
        ("mass_1", r"$m_1$", r"$m_1$"),
        ("a", r"$\nothing_like_it$", "a"),
        ("a_b", None, "a_b"),
        ("cost$", None, r"cost\$"),
        ("a_b", "a_b", "a_b"),
    ],
)
def test_labels_are_what_can_be_drawn(name, latex, label):
    assert parameter_labels([name], {name: Uniform(0, 1, latex_label=latex)}) == (label,)
    assert parameter_labels(["x"], None) == ("x",)
