"""The benchmark of training steps: a row for every featurizer and way, and what they are measured against."""

from __future__ import annotations

import re

import pytest
import torch
from nbi_sampler_benchmark.__main__ import main
from nbi_sampler_benchmark.engine.training_speed import Speed, speeds_table


def test_the_command_measures_steps_on_the_cpu_at_least(capsys):
    given = "gpu --featurizers resnet,pca --n-sims 300 --length 16 --batch-size 32 --steps 3"
    assert main(given.split()) == 0
    printed = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("|")] for line in printed.splitlines() if "| CPU |" in line]
    assert [row[1] for row in rows] == ["resnet", "pca"]
    for row in rows:
        assert row[3] == "32" and row[4] == "one by one"
        assert all(float(cell.rstrip("%")) > 0 for cell in row[5:8])
    assert re.search(r"Peak of a large matrix product: CPU .* TFLOP/s", printed)
    assert torch.cuda.is_available() or len(printed.splitlines()) == 6


def test_the_share_is_of_the_peak_of_the_device():
    speed = Speed("pca", "GPU", "captured", 256, steps_per_second=500.0, operations=2e9, peak=1e13)
    assert speed.share_of_peak == pytest.approx(0.1)
    assert "| pca | GPU | 256 | captured | 500 | 2 | 10.00% |" in speeds_table(iter([speed]))
