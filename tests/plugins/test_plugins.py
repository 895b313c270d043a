"""Plugins: what the hooks promise, how they are found, and the command that lists them."""

from __future__ import annotations

import configparser
import dataclasses
import inspect
import json
import pickle
import re
import sys
from pathlib import Path

import bilby
import pytest
import test_plugins_events
import torch
from packaging.requirements import Requirement
from plugin_cases import (
    GOOD,
    MINE,
    Modest,
    Offering,
    OwnGaussian,
    Simulating,
    Watching,
    X,
    Y,
    fit,
    found,
    gaussian,
    line,
    namespace,
)

from nbi_sampler.cli import OWN, main, plugin_report
from nbi_sampler.forward import UserModel, forward_model_for
from nbi_sampler.forward.gaussian import GaussianModel
from nbi_sampler.networks.featurizers import FEATURIZERS, featurizer_factory
from nbi_sampler.networks.flows import FLOWS
from nbi_sampler.networks.training.losses import LOSSES, LossKind
from nbi_sampler.plugins import hookspecs
from nbi_sampler.plugins.hookspecs import HOOKS
from nbi_sampler.plugins.manager import CORE, Plugin
from nbi_sampler.storage.fingerprint import plugins_at_work

ROOT = Path(__file__).parents[2]


class TestForwardModels:
    def test_plugins_are_asked_before_the_package(self, plugins):
        model = UserModel(lambda parameters: line(X, parameters["m"]), 0.1, Y)
        assert isinstance(forward_model_for(gaussian()), GaussianModel)
        plugins.register(namespace(forward_model=lambda likelihood: model), MINE)
        assert forward_model_for(gaussian()) is model

    def test_a_run_says_whose_model_it_was_trained_on(self, plugins, tmp_path):
        watching = Watching()
        plugins.register(watching, Plugin("watching"))
        plugins.register(Simulating(), MINE)
        result = fit(tmp_path, gaussian(OwnGaussian))
        assert result.meta_data["nbi"]["plugins"] == {
            "mine": {"distribution": MINE.distribution, "version": "1.2"}
        }
        assert result.meta_data["nbi"]["tier"].startswith("forward model: user's simulator, Gaussian")
        (run,) = watching.told[0][1:]
        assert run.plugins == (MINE,)

    def test_it_serves_parts_of_joint_likelihoods_and_travels_to_workers(self, plugins):
        plugins.register(Simulating(), MINE)
        joint = bilby.core.likelihood.JointLikelihood(gaussian(), gaussian(OwnGaussian))
        model = forward_model_for(joint)
        assert [part.plugins for part in model.parts] == [frozenset(), {MINE}]
        assert model.plugins == {MINE}
        assert pickle.loads(pickle.dumps(model.parts[1].plugins)) == {MINE}

    @pytest.mark.takes_seconds
    def test_another_version_of_it_does_not_go_on_from_the_checkpoint(self, plugins, tmp_path, bilby_log):
        likelihood = gaussian(OwnGaussian)
        plugins.register(Simulating(), MINE)
        fit(tmp_path, likelihood, resume=True)
        fit(tmp_path, likelihood, resume=True, n_effective=60)
        assert "continues from" in bilby_log.text
        plugins.unregister("mine")
        plugins.register(Simulating(), dataclasses.replace(MINE, version="1.3"))
        bilby_log.clear()
        fit(tmp_path, likelihood, resume=True)
        assert "plugins" in bilby_log.text and "the run restarts" in bilby_log.text


class TestNamedThings:
    @pytest.mark.takes_seconds
    def test_what_plugins_offer_can_be_asked_for_by_name(self, plugins, tmp_path):
        plugins.register(Offering(), MINE)
        Modest.made = 0
        names = dict(featurizer={"type": "mine-mlp", "hidden": 16}, flow="mine-maf", loss="mine-nll")
        result = fit(tmp_path, **names)
        assert Modest.made == 1
        assert list(result.meta_data["nbi"]["plugins"]) == ["mine"]
        with pytest.raises(ValueError, match=r"unknown setting 'hiden'; did you mean 'hidden'"):
            featurizer_factory({"type": "mine-mlp", "hiden": 16})
        plugins.unregister("mine")
        for keyword, value in names.items():
            with pytest.raises(ValueError, match=f"{keyword}: unknown name 'mine-"):
                fit(tmp_path, **{keyword: value})

    def test_the_packages_own_come_first_and_cannot_be_replaced(self, plugins):
        plugins.register(namespace(flows=lambda: {"maf": FLOWS["nsf"], "mine": FLOWS["nsf"]}), MINE)
        for registry in (FEATURIZERS, FLOWS, LOSSES):
            offers = registry.offers()
            assert list(offers)[: len(registry)] == list(registry)
            assert all(offers[name] == (CORE, offer) for name, offer in registry.items())
        assert FLOWS.offers()["mine"] == (MINE, FLOWS["nsf"])
        assert FLOWS.named("maf") is FLOWS["maf"]

    def test_an_offer_may_be_text_that_is_imported(self, plugins):
        plugins.register(namespace(flows=lambda: {"mine": "nbi_sampler.networks.flows:FLOWS.nsf"}), MINE)
        plugins.register(namespace(losses=lambda: {"mine": "plugin_cases:MODEST"}), Plugin("second"))
        assert LOSSES.named("mine") == LossKind(Modest)
        with pytest.raises(ValueError, match="flow: unknown name 'mine'"):
            FLOWS.named("mine")

    def test_only_what_is_asked_for_counts_as_at_work(self, plugins):
        plugins.register(Offering(), MINE)
        plain = {"featurizer": "auto", "flow": {"flow_hidden": 8}, "loss": "nll"}
        parts = ({"shape": (1, 20), "type": "pca"}, {"shape": (1, 5), "type": "mine-mlp"})
        assert plugins_at_work(None, plain) == ()
        assert plugins_at_work(None, plain | {"featurizer": torch.nn.Identity()}) == ()
        for asked in (
            {"featurizer": list(parts)},
            {"featurizer": {"type": "joined", "parts": parts}},
            {"flow": {"type": "mine-maf"}},
            {"loss": "mine-nll"},
        ):
            assert plugins_at_work(None, plain | asked) == (MINE,)


# The tests of each hook: a hook without one fails.
TESTS = {
    "forward_model": TestForwardModels.test_a_run_says_whose_model_it_was_trained_on,
    "featurizers": TestNamedThings.test_what_plugins_offer_can_be_asked_for_by_name,
    "flows": TestNamedThings.test_what_plugins_offer_can_be_asked_for_by_name,
    "losses": TestNamedThings.test_what_plugins_offer_can_be_asked_for_by_name,
    **{hook: getattr(test_plugins_events.TestEvents, f"test_{hook}") for hook in HOOKS[4:]},
}


class TestSpecifications:
    def test_every_specification_is_listed_and_tested(self):
        specified = [
            name for name in hookspecs.__all__ if hasattr(getattr(hookspecs, name), "nbi_sampler_spec")
        ]
        assert set(specified) == set(HOOKS) == set(TESTS)

    @pytest.mark.parametrize("hook", HOOKS)
    def test_every_hook_is_documented(self, hook):
        function = getattr(hookspecs, hook)
        text = inspect.getdoc(function)
        signature = inspect.signature(function)
        assert "\nThe hook is called " in text, "when is it called?"
        for name, parameter in signature.parameters.items():
            assert re.search(rf"^{name} : ", text, flags=re.MULTILINE), f"what is {name}?"
            assert parameter.annotation is not parameter.empty
        assert ("Returns\n" in text) == (signature.return_annotation != "None")
        page = (ROOT / "docs" / "plugins.md").read_text()
        assert f"| `{hook}({', '.join(signature.parameters)})` |" in page

    def test_the_room_holds_signatures_only(self):
        for hook in HOOKS:
            assert (
                getattr(hookspecs, hook)(
                    *[None] * len(inspect.signature(getattr(hookspecs, hook)).parameters)
                )
                is None
            )


class TestLoading:
    def test_plugins_are_asked_in_the_order_of_their_names(self, install_plugin):
        code = "from nbi_sampler.plugins import hookimpl\n@hookimpl{}\ndef flows(): return {{}}\n"
        for name, option in (("bbb", ""), ("ccc", "(tryfirst=True)"), ("aaa", ""), ("ddd", "")):
            install_plugin(name, code.format(option))
        names = [plugin.name for plugin, _ in found().answers("flows", {}) if len(plugin.name) == 3]
        assert names == ["ccc", "aaa", "bbb", "ddd"]
        assert [plugin.name for plugin in found().loaded if len(plugin.name) == 3] == sorted(names)

    def test_registering_by_hand(self, plugins):
        with pytest.raises(ValueError, match="it implements no hook"):
            plugins.register(object(), MINE)
        plugins.register(Offering(), MINE)
        with pytest.raises(ValueError, match=r"a unique name, got that of mine \(nbi-sampler-mine 1.2\)"):
            plugins.register(Simulating(), MINE)
        plugins.unregister("mine")
        plugins.register(Simulating(), MINE)
        assert list(plugins.hooks(MINE)) == ["forward_model"]


class TestDistributions:
    @pytest.mark.parametrize(
        "folder", sorted(path.parent for path in ROOT.glob("plugins/*/setup.cfg")), ids=lambda path: path.name
    )
    def test_each_is_whole_and_bound_to_versions_of_the_core(self, folder):
        parser = configparser.ConfigParser()
        parser.read(folder / "setup.cfg")
        assert (folder / "README.md").is_file() and list((folder / "tests").glob("test_*.py"))
        assert {"nbi_sampler", "nbi_sampler.commands"} & set(parser["options.entry_points"])
        needs = [Requirement(line) for line in parser["options"]["install_requires"].split("\n") if line]
        (core,) = [each for each in needs if each.name == "nbi-sampler"]
        assert core.specifier.contains(CORE.version)
        # The hooks may change in a minor version as long as there is no first major one.
        assert not core.specifier.contains("1.0")

    def test_the_package_imports_none_of_them(self):
        packages = {path.parent.name for path in ROOT.glob("plugins/*/*/__init__.py")}
        assert packages
        for path in ROOT.glob("nbi_sampler/**/*.py"):
            named = packages & set(re.findall(r"\w+", path.read_text()))
            assert not named, f"{path} names {named}"


class TestCommand:
    def test_table(self, plugins, capsys):
        plugins.register(Offering(), MINE)
        plugins.register(Simulating(), Plugin("simulating"))
        assert main(["plugins"]) == 0
        lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
        assert ["mine", "nbi-sampler-mine 1.2  featurizers    mine-mlp"] in lines
        assert ["flows", "mine-maf"] in lines and ["losses", "mine-nll"] in lines
        assert ["simulating", "forward_model  Gaussian noise of our own."] in lines

    def test_a_terminal_wraps_the_last_column(self, monkeypatch, capsys):
        monkeypatch.setenv("COLUMNS", "100")
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        assert main(["plugins"]) == 0
        head, *lines = capsys.readouterr().out.splitlines()
        assert all(len(line) <= 100 for line in lines)
        start = head.index("provides")
        assert all(line[start - 1 : start] in ("", " ") for line in lines)

    def test_json_and_broken_plugins(self, install_plugin, monkeypatch, capsys):
        install_plugin("aaa", GOOD.replace("run_started", "run_start"))
        monkeypatch.setattr("nbi_sampler.plugins.manager.installed", found)
        assert main(["plugins", "--json"]) == 1
        rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
        assert "'run_start' is not a hook" in rows["aaa"]["error"]
        assert rows["aaa"]["distribution"] == "nbi-aaa" and "provides" not in rows["aaa"]
        assert rows["nbi_sampler"]["provides"]["flows"] == list(FLOWS)
        assert main(["plugins"]) == 1
        assert "BROKEN" in capsys.readouterr().out

    def test_version_and_mistakes(self, capsys):
        for words, code in ((["--version"], 0), (["plugin"], 2), ([], 2)):
            with pytest.raises(SystemExit) as ended:
                main(words)
            assert ended.value.code == code
        assert f"nbi-sampler {CORE.version}" in capsys.readouterr().out

    def test_names_of_the_package_are_those_of_its_registries(self):
        registries = (FEATURIZERS, FLOWS, LOSSES)
        offered = {each.hook: tuple(each) for each in registries}
        assert offered == OWN, "OWN of cli.py has to list the names of each _OWN, in its order"

    def test_report_has_the_package_first(self, plugins):
        plugins.register(Offering(), Plugin("aaa"))
        assert [row["name"] for row in plugin_report()] == ["nbi_sampler", "aaa"]
