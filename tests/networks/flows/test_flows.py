"""Every flow through one table of properties, alone and conditional, in one and in several dimensions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from flow_cases import SMALL, AffineGaussian, contexts, generator, made
from scipy import stats
from torch import nn

from nbi_sampler.core.randomness import seeded_modules
from nbi_sampler.networks.flows import FLOWS, flow_factory

SIZES = [(1, 0), (1, 3), (2, 0), (2, 3), (4, 3)]
every_flow = pytest.mark.parametrize("name", SMALL)
every_size = pytest.mark.parametrize(("n_dims", "n_context"), SIZES)


def test_the_table_has_every_flow():
    missing = set(FLOWS) - set(SMALL)
    assert not missing, f"add a small row for {missing} to SMALL of flow_cases.py"


@every_flow
@every_size
class TestEveryFlow:
    def test_shapes(self, name, n_dims, n_context):
        flow = made(name, n_dims, n_context)
        context = contexts(n_context)
        z = flow.sample(7, context, generator())
        assert z.shape == (7, n_dims)
        assert flow.log_prob(z, context).shape == (7,)
        assert torch.isfinite(flow.log_prob(z, context)).all()
        assert flow.sample(1, context, generator()).shape == (1, n_dims)

    def test_the_density_integrates_to_one(self, name, n_dims, n_context):
        flow, context = made(name, n_dims, n_context), contexts(n_context)
        rng = np.random.default_rng(3)
        law = stats.multivariate_t(np.zeros(n_dims), 4.0 * np.eye(n_dims), df=3)
        z = law.rvs(40_000, random_state=rng).reshape(-1, n_dims)
        with torch.no_grad():
            log_q = flow.log_prob(torch.as_tensor(z, dtype=torch.float32), context).double().numpy()
        ratio = np.exp(log_q - law.logpdf(z))
        error = ratio.std() / math.sqrt(len(ratio))
        assert error < 0.05
        assert abs(ratio.mean() - 1) < 4 * error

    def test_draws_have_the_density(self, name, n_dims, n_context):
        flow, context = made(name, n_dims, n_context), contexts(n_context)
        n = 20_000
        drawn = flow.sample(n, context, generator())
        # E_q[p / q] = 1 for any normalised p within the reach of q: here a Gaussian of half its width.
        centre, width = drawn.mean(0), 0.5 * drawn.std(0)
        law = torch.distributions.Normal(centre, width)
        with torch.no_grad():
            log_p = law.log_prob(drawn).sum(1)
            ratio = (log_p - flow.log_prob(drawn, context)).double().exp()
        error = float(ratio.std()) / math.sqrt(n)
        assert error < 0.1
        assert abs(float(ratio.mean()) - 1) < 4 * error

    def test_a_generator_decides_and_no_other(self, name, n_dims, n_context):
        flow, context = made(name, n_dims, n_context), contexts(n_context)
        before = torch.get_rng_state()
        first = flow.sample(50, context, generator(5))
        assert torch.equal(first, flow.sample(50, context, generator(5)))
        assert not torch.equal(first, flow.sample(50, context, generator(6)))
        shared = generator(5)
        assert not torch.equal(flow.sample(50, context, shared), flow.sample(50, context, shared))
        assert torch.equal(before, torch.get_rng_state())

    def test_parameters_survive_saving(self, name, n_dims, n_context, tmp_path):
        flow, context = made(name, n_dims, n_context), contexts(n_context)
        torch.save(flow.state_dict(), tmp_path / "flow.pt")
        other = made(name, n_dims, n_context, seed=9)
        z = flow.sample(20, context, generator())
        assert not torch.allclose(other.log_prob(z, context), flow.log_prob(z, context))
        other.load_state_dict(torch.load(tmp_path / "flow.pt", weights_only=True))
        assert torch.equal(other.log_prob(z, context), flow.log_prob(z, context))

    def test_gradients_are_finite_and_reach_the_context(self, name, n_dims, n_context):
        flow, context = made(name, n_dims, n_context), contexts(n_context, n=64)
        if context is not None:
            context.requires_grad_()
        z = 3 * torch.randn(64, n_dims, generator=generator())
        flow.log_prob(z, context).mean().backward()
        gradients = [p.grad for p in flow.parameters() if p.grad is not None]
        assert gradients and all(torch.isfinite(gradient).all() for gradient in gradients)
        if context is not None:
            # A spline is the identity far out, whatever the context.
            assert float((context.grad.abs().sum(1) > 0).float().mean()) > 0.8

    def test_far_points_have_a_low_density_and_no_nan(self, name, n_dims, n_context):
        flow, context = made(name, n_dims, n_context), contexts(n_context)
        with torch.no_grad():
            near, far = (flow.log_prob(torch.full((1, n_dims), at), context) for at in (0.0, 1e4))
        # Heavy tails are allowed: those of Student's t with four degrees of freedom fall by 46.
        assert not torch.isnan(far).any()
        assert float(far) < float(near) - 20.0


@every_flow
@pytest.mark.parametrize("n_dims", [1, 3])
class TestEveryConditionalFlow:
    def test_one_context_for_all_rows_is_the_same_as_one_each(self, name, n_dims):
        flow, context = made(name, n_dims, 3), contexts(3)
        z = torch.randn(10, n_dims, generator=generator())
        with torch.no_grad():
            shared, each = flow.log_prob(z, context), flow.log_prob(z, context.expand(10, -1))
        torch.testing.assert_close(shared, each, rtol=1e-5, atol=1e-5)
        assert flow.sample(10, context.expand(10, -1), generator()).shape == (10, n_dims)

    def test_every_row_has_its_own_context(self, name, n_dims):
        flow = made(name, n_dims, 3)
        pair = torch.tensor([[2.0, -2.0, 0.0], [-2.0, 2.0, 1.0]])
        n = 4000
        both = flow.sample(2 * n, pair.repeat_interleave(n, 0), generator(1))
        for row, drawn in zip(pair, both.split(n), strict=True):
            alone = flow.sample(n, row[None], generator(2))
            for d in range(n_dims):
                assert stats.ks_2samp(drawn[:, d].numpy(), alone[:, d].numpy()).pvalue > 1e-4
        apart = [stats.ks_2samp(both[:n, d].numpy(), both[n:, d].numpy()).pvalue for d in range(n_dims)]
        assert min(apart) < 1e-4

    def test_densities_of_a_batch_are_those_of_its_rows(self, name, n_dims):
        flow, context = made(name, n_dims, 3), contexts(3, n=6)
        z = torch.randn(6, n_dims, generator=generator())
        with torch.no_grad():
            together = flow.log_prob(z, context)
            alone = torch.cat([flow.log_prob(z[i : i + 1], context[i : i + 1]) for i in range(6)])
        torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


class TestNumericalIntegral:
    @every_flow
    def test_in_one_dimension(self, name):
        flow = made(name, 1, 3).double()
        grid = torch.linspace(-60, 60, 240_001, dtype=torch.float64)[:, None]
        with torch.no_grad():
            density = flow.log_prob(grid, contexts(3).double()).exp()
        assert float(torch.trapezoid(density, grid[:, 0])) == pytest.approx(1, abs=1e-3)

    @every_flow
    def test_a_scaled_density_would_be_seen(self, name):
        flow = made(name, 1, 3).double()
        grid = torch.linspace(-60, 60, 240_001, dtype=torch.float64)[:, None]
        with torch.no_grad():
            density = (flow.log_prob(grid, contexts(3).double()) + 0.01).exp()
        assert float(torch.trapezoid(density, grid[:, 0])) != pytest.approx(1, abs=5e-3)


class TestFactory:
    @pytest.mark.parametrize("name", [name for name in FLOWS if name != "ensemble"])
    def test_names(self, name):
        with seeded_modules(np.random.default_rng(0)):
            flow = flow_factory(name)(2, 3)
        assert flow.sample(3, contexts(3), generator()).shape == (3, 2)

    def test_the_same_seed_makes_the_same_flow(self):
        first, second, other = made("nsf", 2, 3), made("nsf", 2, 3), made("nsf", 2, 3, seed=8)
        z = torch.randn(5, 2, generator=generator())
        assert torch.equal(first.log_prob(z, contexts(3)), second.log_prob(z, contexts(3)))
        assert not torch.equal(first.log_prob(z, contexts(3)), other.log_prob(z, contexts(3)))

    def test_a_user_module_is_copied_for_every_round(self):
        original = AffineGaussian(2, 3)
        factory = flow_factory(original)
        flow = factory(2, 3)
        with torch.no_grad():
            for parameter in flow.parameters():
                parameter.add_(1.0)
        assert all((parameter == 0).all() for parameter in original.parameters())
        assert all((parameter == 0).all() for parameter in factory(2, 3).parameters())

    @pytest.mark.parametrize(
        ("flow", "error", "message"),
        [
            ("maff", ValueError, "flow: unknown name 'maff'; did you mean 'maf'"),
            ({"type": "nfs"}, ValueError, "did you mean 'nsf'"),
            ({"type": "maf", "n_mogs": 3}, ValueError, "unknown setting 'n_mogs'; did you mean 'n_mog'"),
            ({"bins": 3}, ValueError, "flow: unknown setting 'bins'"),
            ({"flow_hidden": 0}, ValueError, "flow_hidden"),
            (3, TypeError, "flow: expected a name, a dictionary or an nn.Module, got int; names: .*maf, "),
            (nn.Linear(2, 2), TypeError, "got Linear without log_prob"),
        ],
    )
    def test_what_is_not_a_flow_is_refused(self, flow, error, message):
        with pytest.raises(error, match=message):
            flow_factory(flow)

    def test_n_dims_must_agree_with_the_priors(self):
        factory = flow_factory({"n_dims": 3, "flow_hidden": 8})
        with pytest.raises(ValueError, match="n_dims=3, but the priors have 2 free parameters"):
            factory(2, 0)
        with seeded_modules(np.random.default_rng(0)):
            assert factory(3, 0).n_dims == 3
