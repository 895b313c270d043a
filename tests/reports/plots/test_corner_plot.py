"""The corner plot: which parameters are on it, and draws of every kind."""

from __future__ import annotations

import io

import numpy as np
import pytest
from plot_cases import made_view

from nbi_sampler.reports.plots.corner_plot import corner_figure, most_correlated
from nbi_sampler.reports.plots.style import own_style


def test_parameters_that_depend_on_each_other_are_chosen(rng):
    theta = rng.normal(size=(2_000, 12))
    theta[:, 10] = np.exp(theta[:, 1])
    theta[:, 7] = -theta[:, 4] + 0.3 * rng.normal(size=2_000)
    view = made_view(n_dim=12, n_weights=2_000, spread=0.1, theta=theta)
    assert most_correlated(view, 4) == (1, 4, 7, 10)
    assert most_correlated(view, 12) == tuple(range(12))
    assert len(most_correlated(view, 5)) == 5


def test_a_constant_parameter_is_no_reason_to_fail(rng):
    theta = rng.normal(size=(500, 10))
    theta[:, 3] = 1.0
    view = made_view(n_dim=10, n_weights=500, theta=theta)
    assert len(most_correlated(view, 6)) == 6


@pytest.mark.parametrize("n_dim, shown", [(1, (0,)), (3, (0, 1, 2)), (3, (2, 0))])
@pytest.mark.parametrize("n_draws", [5, 900])
def test_a_panel_for_each_pair(n_dim, shown, n_draws):
    view = made_view(n_dim=n_dim, n_weights=n_draws, truth=(50.0,) * n_dim)
    with own_style():
        figure = corner_figure(view, shown, n_rows=600)
        figure.savefig(io.BytesIO(), format="png")
    assert len(figure.axes) == len(shown) ** 2
    assert figure.axes[-1].get_xlabel() == f"parameter_{shown[-1]}"


def test_axes_end_where_the_draws_do_and_not_at_a_draw_far_off():
    view = made_view(n_dim=1, n_weights=5_000, spread=0.0)
    view.theta[0] = 80.0
    with own_style():
        figure = corner_figure(view, (0,), n_rows=10_000)
    low, high = figure.axes[0].get_xlim()
    assert 49.9 < low < 49.99 and 50.01 < high < 50.1
    assert view.theta.min() > low - 0.05


@pytest.mark.parametrize("n_dim, truth, says", [(3, True, 3), (3, False, 2), (1, True, 2)])
def test_it_says_what_contours_and_lines_are(n_dim, truth, says):
    view = made_view(n_dim=n_dim, n_weights=900, truth=(50.0,) * n_dim if truth else ())
    with own_style():
        figure = corner_figure(view, tuple(range(n_dim)), n_rows=600)
    (text,) = [each.get_text() for each in figure.texts]
    assert len(text.split("\n")) == says
    assert "dashed: median and central 68 %" in text
    assert ("contours: 39 % and 86 % of the posterior" in text) == (n_dim > 1)
    dashed = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    expected = view.quantiles(0, (0.16, 0.5, 0.84))
    assert [line.get_xdata()[0] for line in dashed] == pytest.approx(expected, abs=2e-3)
