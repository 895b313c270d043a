"""The masked autoregressive flow: what each output sees, its log-determinant, its bounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from flow_cases import contexts, generator, made
from torch import nn

from nbi_sampler.core.config import MafConfig
from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.networks.flows import MaskedAutoregressiveFlow


def affine_part(flow, z, context):
    """The affine layers alone, as one function of z."""
    for layer in flow.affine:
        shift, raw = layer(z, context).unbind(-1)
        z = ((z - shift) * torch.exp(-flow._clamp(raw))).flip(-1)
    return z


class TestMaskedAutoregressiveFlow:
    @pytest.mark.parametrize("n_dims", [1, 2, 5])
    @pytest.mark.parametrize("n_layers", [1, 3])
    def test_outputs_of_a_coordinate_see_only_those_before_it(self, n_dims, n_layers):
        with seeded_modules(np.random.default_rng(0)):
            flow = MaskedAutoregressiveFlow(n_dims, 2, MafConfig(flow_hidden=32, num_layers=n_layers))
            for parameter in flow.parameters():
                nn.init.normal_(parameter)
        x, context = torch.randn(1, n_dims, generator=generator()), contexts(2)
        for network in [*flow.affine, flow.mixture]:
            jacobian = torch.autograd.functional.jacobian(lambda x, net=network: net(x, context)[0].sum(1), x)
            jacobian = jacobian[:, 0].abs()
            assert torch.equal(torch.triu(jacobian), torch.zeros_like(jacobian))
            below = torch.tril(torch.ones(n_dims, n_dims), -1).bool()
            assert (jacobian[below] > 0).all()

    @pytest.mark.parametrize("n_dims", [1, 3])
    def test_density_against_the_log_det_of_autograd(self, n_dims):
        flow, context = made("maf", n_dims, 3).double(), contexts(3).double()
        base = made("maf, mixture alone", n_dims, 3).double()
        base.mixture, base.config = flow.mixture, flow.config
        for row in torch.randn(5, n_dims, generator=generator(), dtype=torch.float64):
            z = row[None]
            jacobian = torch.autograd.functional.jacobian(lambda z: affine_part(flow, z, context)[0], z)[:, 0]
            log_det = torch.linalg.slogdet(jacobian)[1]
            expected = base.log_prob(affine_part(flow, z, context), context) + log_det
            torch.testing.assert_close(flow.log_prob(z, context), expected)

    def test_one_column_is_the_column_of_all(self):
        flow = made("maf", 4, 3)
        x, context = torch.randn(6, 4, generator=generator()), contexts(3)
        for network in [*flow.affine, flow.mixture]:
            whole = network(x, context)
            for d in range(4):
                torch.testing.assert_close(network.column(x, context, d), whole[:, d])

    def test_it_starts_near_a_standard_normal(self):
        with seeded_modules(np.random.default_rng(0)):
            flow = MaskedAutoregressiveFlow(3, 2)
        drawn = flow.sample(20_000, contexts(2), generator())
        assert drawn.mean(0).abs().max() < 0.1
        assert (drawn.std(0) - 1).abs().max() < 0.35

    def test_scales_stay_within_the_bound(self):
        flow = made("maf", 2, 3, spread=100.0)
        context, z = contexts(3, n=500), 10 * torch.randn(500, 2, generator=generator())
        bound = flow.config.log_scale_bound
        with torch.no_grad():
            raw = flow.mixture(z, context).chunk(3, dim=-1)
            assert flow._components(raw, -1)[2].abs().max() <= bound
            assert torch.isfinite(flow.log_prob(z, context)).all()
