"""The benchmark of engines and losses: its tables say what was missed."""

from __future__ import annotations

import pytest
from nbi_sampler_benchmark.__main__ import main
from nbi_sampler_benchmark.engine.amortised import Figure, amortised_table, listing, paper
from nbi_sampler_benchmark.engine.losses import LossRun, losses_table


def test_tables_of_the_benchmark_say_what_was_missed(capsys):
    figures = [Figure("efficiency", ">= 0.45", "0.52", True), Figure("time", "< 60 s", "70 s", False)]
    assert "| time | < 60 s | 70 s | no |" in amortised_table(figures)
    runs = iter([LossRun("linear", "nll", (0.814, 0.535), 9.6)])
    assert "| linear | nll | 81.4 %, 53.5 % | 10 |" in losses_table(runs)
    with pytest.raises(SystemExit):
        main(["amortised", "--parts", "smal"])
    assert "expected names among small" in capsys.readouterr().err


def test_the_paper_s_networks_are_measured_by_rounds():
    figure = next(paper(n_sims=100, n_epochs=1))
    assert figure.name == "Algorithm 1 with the paper's networks, seed 1: best round"
    assert figure.measured.count("%") >= 1 and not figure.reached


# Weights of a network that has learnt nothing are of all sizes.
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_paper_s_listing_is_measured():
    efficiency, seconds = listing(n_sims=200, n_epochs=1)
    assert efficiency.name.startswith("the paper's listing, 200 simulations, 1 epochs: median efficiency")
    assert not efficiency.reached and seconds.reached
