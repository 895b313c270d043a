"""The plugin as a user meets it: through the core's hooks, and through ``bilby.run_sampler``."""

from __future__ import annotations

import bilby
import bilby.gw
import numpy as np
import pytest
from bilby.core.prior import DeltaFunction, Uniform
from gw_cases import TIME, TRUTH, make
from nbi_sampler_gw import StrainModel
from nbi_sampler_gw.featurizers import DetectorComponents
from scipy.special import logsumexp

from nbi_sampler.forward import forward_model_for
from nbi_sampler.networks.devices import thread_count
from nbi_sampler.networks.featurizers import featurizer_factory
from nbi_sampler.plugins import installed


def test_hooks_are_found_by_their_entry_point(detectors):
    assert "nbi-sampler-gw" in {plugin.distribution for plugin in installed().loaded}
    assert isinstance(forward_model_for(make(detectors)[0]), StrainModel)
    assert isinstance(featurizer_factory("gw-resnet")((6, 50), 3), DetectorComponents)
    # A perceptron gains nothing from a second thread, and loses much on a busy machine.
    assert thread_count("gw-pca") == 1


def test_angles_that_should_be_periodic_are_named(detectors, caplog):
    changed = dict(psi=Uniform(0, np.pi), ra=Uniform(0, 2 * np.pi, boundary="periodic"))
    forward_model_for(make(detectors, changed=changed)[0])
    assert "psi: its prior goes once around the circle" in caplog.text
    assert "ra: " not in caplog.text and "phase: " not in caplog.text


@pytest.mark.slow
def test_evidence_is_that_of_a_grid(detectors, tmp_path, monkeypatch):
    priors = bilby.gw.prior.BBHPriorDict(
        {name: DeltaFunction(value) for name, value in TRUTH.items()}
        | dict(
            chirp_mass=Uniform(26.0, 30.0, name="chirp_mass"),
            geocent_time=Uniform(TIME - 0.01, TIME + 0.01, name="geocent_time"),
            phase=Uniform(0, 2 * np.pi, boundary="periodic", name="phase"),
        )
    )
    likelihood = make(detectors)[0]
    marginalised = bilby.gw.GravitationalWaveTransient(
        detectors, likelihood.waveform_generator, phase_marginalization=True, priors=priors
    )
    result = bilby.run_sampler(
        marginalised,
        priors,
        sampler="nbi",
        n_effective=400,
        n_sims=500,
        seed=1,
        featurizer={"type": "gw-pca", "n_components": 20, "hidden": 64},
        outdir=str(tmp_path),
        print_method="none",
        result_class=bilby.gw.result.CBCResult,
        conversion_function=bilby.gw.conversion.generate_all_bbh_parameters,
        save=False,
    )
    assert isinstance(result, bilby.gw.result.CBCResult)
    assert "mass_1_source" in result.posterior and result.phase_marginalization
    # Reconstructed from the marginalised likelihood: no longer the value that it was fixed at.
    assert result.posterior["phase"].nunique() > 1
    nbi = result.meta_data["nbi"]
    assert nbi["status"] == "ok"
    expected = evidence_on_a_grid(marginalised, priors)
    assert result.log_bayes_factor == pytest.approx(expected, abs=4 * result.log_evidence_err)


def evidence_on_a_grid(likelihood, priors, n=30):
    """Midpoint rule over chirp mass and time."""
    middle = (np.arange(n) + 0.5) / n
    fixed = {**TRUTH, "phase": 0.0}
    values = [
        likelihood.log_likelihood_ratio({**fixed, "chirp_mass": mass, "geocent_time": time})
        for mass in priors["chirp_mass"].rescale(middle)
        for time in priors["geocent_time"].rescale(middle)
    ]
    return logsumexp(values) - 2 * np.log(n)
