"""Imports by former names of modules, as old documents, plugins and examples contain them."""

from __future__ import annotations

from importlib import import_module

import pytest

from nbi_sampler import _FORMER

DOCUMENTED = [
    ("amortised", "DataLayout", "amortised.data_format", "DataFormat"),
    ("config", "TrainingConfig", "core.config", "TrainingConfig"),
    ("diagnostics", "assess", "reports.diagnostics", "assess"),
    ("diagnostics", "Familiarity", "amortised.out_of_distribution", "OutOfDistributionTest"),
    ("diagnostics.page", "page", "reports.diagnostics.page", "page"),
    ("engine", "NBI", "amortised.engine", "NBI"),
    ("featurizers", "FeaturizerKind", "networks.featurizers", "FeaturizerKind"),
    ("featurizers.base", "Featurizer", "networks.featurizers.base", "Featurizer"),
    ("flows.base", "Density", "networks.flows.base", "Density"),
    ("persistence.draws_file", "read_draws", "storage.checkpoint", "read_draws"),
    ("plots", "plot_run", "reports.plots.run", "plot_run"),
    ("plugins.events", "Run", "reports.events", "Run"),
    ("proposals.proposal", "MixtureProposal", "algorithm.proposals.proposal", "MixtureProposal"),
    ("reporting.meta_data", "rounds_of", "reports.meta_data", "rounds_of"),
    ("reporting.status", "judge", "importance.reliability", "judge"),
    ("settings.devices", "thread_count", "networks.devices", "thread_count"),
    ("statistics.importance", "log_evidence", "importance.weights", "log_evidence"),
    ("statistics.pareto", "pareto_k", "importance.pareto", "pareto_k"),
    ("survey", "Survey", "sampler.survey", "Survey"),
    ("training.fit", "fit", "networks.training.fit", "fit"),
    ("training.losses", "LossKind", "networks.training.losses", "LossKind"),
    ("training.objectives", "NllObjective", "networks.training.objectives", "NllObjective"),
]


@pytest.mark.parametrize(("before", "name", "now", "present"), DOCUMENTED)
def test_what_documents_once_imported_is_what_has_the_name_now(before, name, now, present):
    found = getattr(import_module(f"nbi_sampler.{before}"), name)
    assert found is getattr(import_module(f"nbi_sampler.{now}"), present)


@pytest.mark.parametrize("present", sorted({each for row in _FORMER.values() for each in row}))
def test_former_names_lead_to_modules_that_exist(present):
    import_module(f"nbi_sampler.{present}")


def test_a_name_that_is_gone_says_where_to_look():
    with pytest.raises(AttributeError, match=r"now .nbi_sampler\.reports\.plots., has no attribute"):
        import_module("nbi_sampler.plots").nothing  # noqa: B018
