"""Scripts that were written for other samplers, with nothing but the sampler's name changed."""

from __future__ import annotations

import warnings
from importlib.metadata import EntryPoint, entry_points

import numpy as np
import pytest
from bilby.core.prior import PriorDict, Uniform
from sampler_cases import Bowl

from nbi_sampler.sampler import other_samplers
from nbi_sampler.sampler.keywords import DEFAULTS
from nbi_sampler.sampler.nbi import Nbi
from nbi_sampler.sampler.other_samplers import NAMES

RUN_SAMPLER = {"outdir", "label", "plot", "exit_code", "likelihood", "priors", "use_ratio"}

# As packages and scripts hand them to run_sampler.
SCRIPTS = {
    "redback": dict(nlive=500, walks=200, maxmcmc=2000, nsteps=500, nwalkers=200, save_bounds=False),
    "gwpopulation_pipe": dict(nlive=500, nact=2, walks=5, exit_code=130),
    "nmma": dict(nlive=None, seed=42, soft_init=True, queue_size=1, check_point_delta_t=3600, niter=1),
    "bilby_pipe": dict(nlive=1000, naccept=60, sample="acceptance-walk", check_point_plot=True, npool=1),
    "bilby_pipe, bilby_mcmc": dict(nsamples=5000, thin_by_nact=0.1, Tmax_from_SNR=15, print_update=60),
    "dynesty, rwalk": dict(bound="multi", slices=5, update_interval=300, first_update={"min_ncall": 6000}),
    "dynesty 1": dict(vol_dec=0.5, vol_check=2.0, fmove=0.9, npdim=None, n_periodic_update=1000),
    "dynamic_dynesty": dict(nlive_init=500, dlogz_init=0.01, wt_kwargs={"pfrac": 1.0}, n_effective=np.inf),
    "cpnest": dict(Nlive=100, Poolsize=100, Nthreads=1, maxmcmc=500, balance_samplers=True),
    "emcee": dict(nwalkers=32, iterations=2000, a=2, args=[], kwargs={}, moves=None, nburn=500),
    "zeus": dict(nwalkers=20, start=None, light_mode=False, nsteps=100),
    "kombine": dict(transd=False, kde=None, processes=1, test_steps=16, burnin_verbose=True),
    "ptemcee": dict(ntemps=4, betas=None, Tmax=np.inf, safety=1, autocorr_c=5, threads=1, nsamples=200),
    "ptmcmcsampler": dict(Niter=20001, neff=10000, covUpdate=1000, DEweight=1, outDir=None),
    "pymc3": dict(draws=500, tune=500, chains=2, cores=1, random_seed=None, live_plot=False, mode=None),
    "pymultinest": dict(npoints=500, importance_nested_sampling=False, sampling_efficiency=0.3, seed=-1),
    "pypolychord": dict(nlive=5, do_clustering=True, seed=-1, num_repeats=None, grade_dims=None),
    "ultranest": dict(min_num_live_points=400, dlogz=0.5, step_sampler=None, resume="overwrite"),
    "nessai": dict(flow_config={}, training_config={}, reset_flow=4, n_pool=None, max_threads=1, rng=None),
    "inessai": dict(min_samples=500, draw_constant=True, stopping_criterion="ratio", tolerance=0.0),
    "nautilus": dict(n_live=2000, f_live=0.01, n_eff=10000, pool=None, vectorized=False, filepath=None),
    "pocomc": dict(n_effective=512, n_active=256, flow="nsf6", random_state=7, vectorize=False, n_total=4096),
    "aspire": dict(initial_result_file=None, flow_matching=False, fit_kwargs={}, sample_kwargs={}),
    "numpyro": dict(num_warmup=500, num_samples=1000, num_chains=1, seed=1234, sampler_name="NUTS"),
    "jaxted": dict(method="nest", nsteps=100, rseed=4, alpha=0.3, sub_iterations=10),
    "jaxns, blackjax": dict(num_live_points=500, max_samples=1e5, difficult_model=True, n_delete=20),
    "laplace": dict(resample="rejection", target_nsamples=1000, check_point_delta_t=0, n_modes=1),
}


def made(**keywords):
    """The sampler, as run_sampler makes it."""
    priors = PriorDict({"a": Uniform(-5, 5), "b": Uniform(-5, 5)})
    return Nbi(Bowl(), priors, npool=keywords.pop("npool", 1), **({"soft_init": True} | keywords))


def lines(log):
    return [(r.levelname, r.getMessage()) for r in log.records if "ignores" in r.getMessage()]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_for_another_sampler_is_not_stopped_by_its_keywords(script, bilby_log):
    keywords = SCRIPTS[script]
    sampler = made(**keywords)
    assert set(sampler.kwargs) == set(DEFAULTS)
    ours_too = {"processes", "Nthreads", "random_state", "rseed", "rng", "initial_result_file"}
    theirs = set(keywords) & NAMES - ours_too
    assert lines(bilby_log) == [("INFO", f"Sampler nbi does not use and ignores {', '.join(sorted(theirs))}")]


@pytest.mark.parametrize(
    "entry_point",
    [each for each in entry_points(group="bilby.samplers") if each.name != "nbi"],
    ids=lambda each: each.name,
)
def test_all_defaults_of_every_installed_sampler_pass(entry_point, bilby_log):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = entry_point.load()
    defaults = sampler.default_kwargs
    if isinstance(defaults, property):
        blank = type("Blank", (sampler,), {"__init__": lambda self: None, "exit_code": 77})
        try:
            defaults = blank().default_kwargs
        except ImportError:
            pytest.skip(f"what {entry_point.name} wraps is not installed")
    made(**{name: value for name, value in defaults.items() if name not in RUN_SAMPLER})
    assert not [message for level, message in lines(bilby_log) if level != "INFO"]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"seed": -1}, {"seed": None}),
        ({"seed": None, "sampling_seed": 7}, {"seed": 7}),
        ({"random_state": 7}, {"seed": 7}),
        ({"rseed": 7}, {"seed": 7}),
        ({"seed": 3, "rstate": np.random.default_rng(1)}, {"seed": 3}),
        ({"rstate": np.random}, {"seed": None}),
        ({"npool": None}, {"npool": 1}),
        ({"npool": 0}, {"npool": 1}),
        ({"queue_size": None, "threads": 2}, {"npool": 2}),
        ({"processes": 2}, {"npool": 2}),
        ({"pool": 3}, {"npool": 3, "pool": None}),
        ({"pool": (None, 2)}, {"npool": 1, "pool": None}),
        ({"resume": "overwrite"}, {"resume": False}),
        ({"resume": "subfolder"}, {"resume": False}),
        ({"resume": "resume-similar"}, {"resume": True}),
        ({"resume": None}, {"resume": False}),
        ({"resume": 1}, {"resume": True}),
        ({"check_point_plot": 0}, {"check_point_plot": False}),
        ({"check_point_deltaT": 60}, {"check_point_delta_t": 60}),
        ({"check_point_delta_t": None}, {"check_point_delta_t": 600}),
        ({"check_point_delta_t": 0}, {"check_point_delta_t": 0}),
        ({"print_method": "stdout"}, {"print_method": "interval-10"}),
        ({"n_effective": None}, {"n_effective": 5000}),
        ({"n_effective": np.inf}, {"n_effective": 5000}),
        ({"n_effective": np.inf, "max_likelihood_calls": 500}, {"n_effective": np.inf}),
        ({"flow": "maf12"}, {"flow": {"type": "maf", "num_blocks": 12}}),
        ({"flow": None}, {"flow": "maf"}),
        ({"vectorized": None}, {"vectorized": "auto"}),
        ({"device": None}, {"device": "auto"}),
    ],
    # Two processes must give a case the same name, without the address of an object in it.
    ids=lambda value: str(value).partition(" at 0x")[0],
)
def test_values_of_other_samplers_mean_what_they_mean_there(theirs, ours):
    kwargs = made(**theirs).kwargs
    assert {name: kwargs[name] for name in ours} == ours


@pytest.mark.parametrize(
    "generator",
    [np.random.default_rng, np.random.RandomState, np.random.SeedSequence, lambda seed: [seed, seed + 1]],
)
@pytest.mark.parametrize("name", ["seed", "rstate", "random_seed"])
def test_a_generator_as_a_seed_gives_the_same_run_every_time_and_another_another(name, generator):
    if name == "rstate" and isinstance(generator(1), list):
        pytest.skip("dynesty takes no numbers as its generator")
    first, again, other = (made(**{name: generator(seed)}).kwargs["seed"] for seed in (1, 1, 2))
    assert first == again != other
    assert isinstance(first, int) and first >= 0


def test_two_runs_with_the_random_seed_of_polychord_differ(run, bowl_priors):
    quick = dict(seed=-1, max_likelihood_calls=300, n_sims=100)
    first, other = (run(Bowl(), bowl_priors, **quick) for _ in range(2))
    assert first.meta_data["nbi"]["seed"] != other.meta_data["nbi"]["seed"]


def test_a_name_that_nobody_takes_is_one_warning_and_the_run_goes_on(run, bowl_priors, bilby_log):
    result = run(Bowl(), bowl_priors, bananas=5, outdr="elsewhere", n_sims=100, max_likelihood_calls=300)
    assert len(result.samples) > 0 and "bananas" not in result.sampler_kwargs
    ((level, message),) = lines(bilby_log)
    assert level == "WARNING"
    assert message.startswith("Sampler nbi ignores bananas, outdr (did you mean outdir?)")
    assert "n_effective" in message


@pytest.mark.parametrize(
    ("slip", "meant"),
    {
        "n_efective": "n_effective",
        "nEffective": "n_effective",
        "featuriser": "featurizer",
        "max_likelihood_call": "max_likelihood_calls",
        "max_calls": "max_likelihood_calls",
        "num_simulations": "n_sims",
        "n_sim": "n_sims",
        "num_rounds": "n_rounds",
        "vectorised": "vectorized",
        "trainning": "training",
        "modle": "model",
        "checkpoint_delta_t": "check_point_delta_t",
        "random_sed": "random_seed",
        "npools": "npool",
    }.items(),
)
def test_a_slip_of_the_pen_is_an_error_that_names_the_right_keyword(slip, meant):
    with pytest.raises(TypeError, match=rf"'{slip}': did you mean '{meant}'\?"):
        made(**{slip: 5, "bananas": 5})


@pytest.mark.parametrize(
    "name", ["n_dims", "n_steps", "devices", "mode", "vectorize", "check_point", "n_walkers"]
)
def test_a_keyword_of_another_sampler_is_no_error_however_close_to_ours(name, bilby_log):
    made(**{name: 5})
    assert lines(bilby_log) == [("INFO", f"Sampler nbi does not use and ignores {name}")]


class Plugin:
    """An installed sampler as it may look to one who only reads its class."""

    frobnication_equiv_kwargs = ("frobnicate",)

    def __init__(self, likelihood, priors, gridding=1, **kwargs):
        raise AssertionError("not to be made")

    @property
    def default_kwargs(self):
        return {"n_simms": self.exit_code}


class TestInstalledPlugins:
    @pytest.fixture
    def loaded(self, monkeypatch):
        """Names of the plugins that were loaded: one that is read and one that cannot be imported."""
        seen = []

        class Listed(EntryPoint):
            def load(self):
                seen.append(self.name)
                warnings.warn("deprecated", FutureWarning, stacklevel=1)
                if self.name == "broken":
                    raise SystemExit("no MPI")
                return Plugin

        listed = [Listed(name, f"{name}.plugin:Sampler", "bilby.samplers") for name in ("broken", "fine")]
        monkeypatch.setattr(other_samplers, "entry_points", lambda group: listed)
        return seen

    @pytest.mark.parametrize("name", ["n_simms", "frobnicate", "gridding"])
    def test_what_a_plugin_takes_is_ignored_and_a_broken_one_does_no_harm(self, loaded, name, bilby_log):
        made(**{name: 1})
        assert lines(bilby_log) == [("INFO", f"Sampler nbi does not use and ignores {name}")]
        assert loaded == ["broken", "fine"]

    def test_none_is_loaded_for_a_name_that_is_in_the_list(self, loaded):
        made(nlive=500, nsteps=5, seed=1)
        assert loaded == []


def test_no_keyword_of_ours_is_on_the_list_of_others():
    assert not NAMES & set(DEFAULTS)
    assert not NAMES & {"outdir", "label", "use_ratio", "npool", "sampling_seed", "priors", "prior"}
