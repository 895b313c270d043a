"""One seed for everything: streams by stage, torch after numpy, global state put back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from nbi_sampler.core.randomness import seeded_modules, stage_generator, torch_generator


class TestRandomness:
    def test_a_stage_has_its_stream_whatever_ran_before(self):
        first = stage_generator(3, "train", 2).random(5)
        stage_generator(3, "draw", 1).random(100)
        np.testing.assert_array_equal(first, stage_generator(3, "train", 2).random(5))
        for other in (
            stage_generator(4, "train", 2),
            stage_generator(3, "train", 3),
            stage_generator(3, "draw", 2),
        ):
            assert not np.array_equal(first, other.random(5))

    def test_torch_follows_numpy(self):
        draws = [torch.randn(5, generator=torch_generator(np.random.default_rng(s))) for s in (1, 1, 2)]
        assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])

    def test_modules_are_seeded_and_the_global_state_is_put_back_after_an_error(self):
        before = torch.get_rng_state()
        made = []
        for seed in (1, 1, 2):
            with seeded_modules(np.random.default_rng(seed)):
                made.append(nn.Linear(3, 3).weight)
        with pytest.raises(RuntimeError), seeded_modules(np.random.default_rng(1)):
            torch.randn(3)
            raise RuntimeError
        assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])
        assert torch.equal(before, torch.get_rng_state())
