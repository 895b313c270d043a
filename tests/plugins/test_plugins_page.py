"""docs/plugins.md to the letter: its plugin is built, installed and run, and prints what the page says."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from fresh_environments import call, fresh_python

from nbi_sampler.core.config import TrainingConfig
from nbi_sampler.networks.featurizers import featurizer_factory
from nbi_sampler.networks.training.losses import LOSSES
from nbi_sampler.plugins.manager import Plugin, installed

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text()
# A file is a block of code after a paragraph that begins with its name.
FILES = re.compile(r"^`([\w.]+)`(?:.+\n)+\n```\w+\n((?:.*\n)*?)```", flags=re.MULTILINE)
TESTS = Path(__file__).parents[1]
BOTH = f"""
import runpy, sys
sys.argv[1:] = ["plugins"]
try:
    runpy.run_module("nbi_sampler.cli", run_name="__main__")
except SystemExit as end:
    assert not end.code
print("FIT")
import bilby
bilby.core.sampler.env_package_list = lambda *_, **__: None  # starts pip
sys.path.append({str(TESTS)!r})
from small_runs import made_small
with made_small():
    runpy.run_path("fit.py", run_name="__main__")
"""
OUTPUTS = re.findall(r"```text\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture(scope="module")
def files():
    found = dict(FILES.findall(PAGE))
    assert list(found) == ["setup.cfg", "pyproject.toml", "nbi_sampler_lognormal.py", "fit.py"]
    return found


@pytest.fixture(scope="module")
def environment(files, tmp_path_factory):
    """A fresh environment that sees this one's packages, with the plugin of the page installed by pip."""
    folder = tmp_path_factory.mktemp("plugins")
    source = folder / "source"
    source.mkdir()
    for name, content in files.items():
        (source / name).write_text(content)
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "fit.py").write_text(files["fit.py"])
    python = fresh_python(folder)
    # As on the page, but with nothing to download.
    call(python, source, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--quiet", ".")
    return lambda *words: call(python, folder / "elsewhere", *words)


@pytest.fixture(scope="module")
def printed(environment):
    """Lines of the list of plugins and of the script, from one process, as it takes long to import all."""
    listed, _, fitted = environment("-c", BOTH).partition("FIT\n")
    return listed.splitlines(), fitted.splitlines()


def rows(lines):
    return [" ".join(line.split()) for line in lines]


@pytest.mark.takes_seconds
def test_the_list_of_plugins_is_the_one_on_the_page(printed):
    expected = rows(OUTPUTS[0].splitlines())
    assert len(expected) == 7
    # Plugins that this environment has besides come between.
    found = [row for row in rows(printed[0]) if row in expected]
    assert found == expected, "docs/plugins.md has to print what `nbi-sampler plugins` prints"


@pytest.mark.slow
def test_the_fit_trains_on_the_plugin_and_says_so(printed):
    assert printed[1][-2:] == OUTPUTS[1].splitlines()


def test_forward_model_of_the_page_keeps_its_promises(files):
    page = module("lognormal_of_the_page", files["nbi_sampler_lognormal.py"])
    x, y = np.arange(1.0, 6.0), np.array([1.0, 2.5, 2.9, 4.2, 4.8])
    likelihood = page.LogNormalLikelihood(x, y, lambda x, a: a * x, 0.3)
    model = page.forward_model(likelihood)
    assert page.forward_model(type("Other", (page.LogNormalLikelihood,), {})(x, y, None, 0.3)) is None
    (value,) = model.log_likelihood(model.simulate({"a": 1.1})[None], {})
    assert value == pytest.approx(likelihood.log_likelihood({"a": 1.1}))
    assert torch.allclose(model.stabilise(torch.as_tensor(y)[None]), torch.zeros(1, 5, dtype=torch.float64))
    means = torch.as_tensor(x).expand(20_000, 5)
    data = model.noise(means, {}, torch.Generator().manual_seed(1))
    white = model.stabilise(data) - model.stabilise(means)
    assert torch.all((white.std(0) - 1).abs() < 5 / np.sqrt(2 * 20_000))
    assert torch.all(white.mean(0).abs() < 5 / np.sqrt(20_000))


def test_featurizer_and_loss_of_the_page_work():
    (code,) = [
        code for code in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL) if "MeansConfig" in code
    ]
    installed().register(module("means_of_the_page", code), Plugin("page"))
    try:
        featurizer = featurizer_factory({"type": "means", "n_stretches": 4})((2, 20), 3)
        assert featurizer(torch.arange(40.0).view(1, 2, 20)).tolist() == [[2, 7, 12, 17, 22, 27, 32, 37]]
        with pytest.raises(ValueError, match="did you mean 'n_stretches'"):
            featurizer_factory({"type": "means", "n_strethes": 4})
        price = [loss(name) for name in ("modest", "nll")]
        assert price[0] - price[1] == pytest.approx(1e-3 * 4.0)
    finally:
        installed().unregister("page")


def loss(name):
    """Validation loss for features that are all 2, of a flow of density one."""

    class Twos(torch.nn.Module):
        def inputs(self, data, index, generator):
            return torch.full((len(index), 3), 2.0)

        def forward(self, inputs):
            return inputs

    class Flat(torch.nn.Module):
        def log_prob(self, z, context):
            return torch.zeros(len(z))

    data, config = types.SimpleNamespace(device=torch.device("cpu")), TrainingConfig()
    arguments = (Flat(), Twos(), data, torch.zeros(50, 1), config, np.random.default_rng(0), torch.zeros(50))
    return LOSSES.named(name).make(*arguments).validation()


def module(name, code):
    made = types.ModuleType(name)
    sys.modules[name] = made
    try:
        exec(compile(code, name, "exec"), vars(made))
    finally:
        del sys.modules[name]
    return made
