"""Keywords that are not ours: those that another sampler of bilby takes, and slips of the pen.

Scripts are written for one sampler and run with another, and packages on top of bilby hand the same keywords
to all of them. What any other sampler takes must therefore never stop a run.
"""

from __future__ import annotations

import difflib
import inspect
import re
import warnings
from collections.abc import Iterable, Iterator
from importlib.metadata import entry_points
from typing import Any

from nbi_sampler.core.config import SPELLING, SpellingConfig

__all__ = ["NAMES", "nearest_of", "taken_elsewhere"]

_SPELLED = (("simulations", "sims"), ("simulation", "sim"), ("number_of_", "n_"), ("num_", "n_"))

# For samplers that are not installed. A name stands once, under the first sampler that takes it; a name of
# ours is not here, whoever shares it. Read from the signatures of bilby 0.1 to 2.8, of its plugins, of the
# packages that these wrap (dynesty 1.0 to 3.1, emcee 2 and 3, pymc3 and pymc 5, nessai 0.15, pocomc 1.2 and
# others), and from what packages on top of bilby hand to every sampler.
_BY_SAMPLER = {
    "bilby": """
        burn draws n_live_points nburn Niter nlive Nlive nlives nmcmc npoint npoints num_live_points
        num_particles nwalker nwalkers outputfiles_basename steps walks
    """,
    "dynesty": """
        act add_live blob bootstrap bound bound_bootstrap bound_enlarge bound_update_interval
        bound_update_interval_ratio bounding check_point checkpoint_every checkpoint_file cite compute_jac
        dlogz dlogz_init dynamic enlarge facc first_bound_update first_update fmove grad_args grad_kwargs
        gradient history_filename kwargs live_points logl_args logl_kwargs logl_max logl_max_init
        logvol_init max_move maxbatch maxcall maxcall_batch maxcall_init maxiter maxiter_batch maxiter_init
        maxmcmc n_check_point n_effective_init n_periodic_update naccept nact ncdim ndim nestcheck nlive0
        nlive_batch nlive_init nonbounded npdim periodic print_func print_progress proposals ptform_args
        ptform_kwargs rebuild reflective rejection_sample_posterior rstate sample sampling sampling_time
        save_bounds save_evaluation_history save_history slices start_time stop_function stop_kwargs thin
        update_func update_interval use_pool use_stop verbose vol_check vol_dec volumetric_weight
        wt_function wt_kwargs
    """,
    "bilby_mcmc": """
        adapt adapt_nu adapt_t0 autocorr_c burn_in_nact diagnostic evidence_method fixed_discard fixed_tau
        initial_betas initial_sample_dict initial_sample_method L1steps L2steps min_tau nensemble
        normalize_prior nsamples ntemps print_update printdt proposal_cycle pt_ensemble pt_rejection_sample
        stop_after_convergence target_nsamples tau_window thin_by_nact Tmax Tmax_from_SNR
    """,
    "cpnest": """
        balance_samplers n_periodic_checkpoint nhamiltonian nslice Nthreads output
        periodic_checkpoint_interval Poolsize poolsize prior_sampling
    """,
    "dnest4": """
        backend beta lam max_num_levels new_level_interval num_per_step num_steps temporary_directory
        thread_steps
    """,
    "emcee": """
        a args blobs0 blobs_dtype burn_in_act burn_in_fraction dim initial_state iterations live_dangerously
        lnpostfn lnprob0 log_prob0 log_prob_fn mh_proposal moves nsteps p0 parameter_names pos0 postargs
        progress progress_kwargs rstate0 runtime_sortingfn skip_initial_state_check store storechain thin_by
        tqdm tune vectorize
    """,
    "fake_sampler": """
        sample_file
    """,
    "kombine": """
        autoburnin blob0 burnin_verbose callback critical_pval freeze_transd kde kde_size lnpost0 lnprop0
        max_steps processes spaces test_steps transd
    """,
    "nessai": """
        acceptance_threshold accumulate_weights allow_multi_valued_likelihood analytic_priors augment_dims
        boundary_inversion check_acceptance check_criteria checkpoint_callback checkpoint_interval
        checkpoint_on_iteration checkpoint_on_training checkpointing clip close_pool
        compute_initial_posterior compute_radius_with_all config_file constant_volume_mode cooldown
        detect_edges detect_edges_kwargs device_tag disable_vectorisation draw_constant draw_iid_live
        draw_latent_kwargs drawsize enforce_likelihood_threshold eps expansion_fraction
        fallback_reparameterisation fixed_radius flow_class flow_config flow_proposal_class fuzz
        generate_augment importance_nested_sampler inversion_type latent_prior latent_temperature
        likelihood_chunksize log_on_iteration logging_interval map_to_unit_hypercube marginalise_augment
        max_iteration max_poolsize_scale max_radius max_samples max_threads maximum_uninformed memory
        min_iteration min_radius min_remove min_samples n_initial n_marg n_posterior_samples n_update
        nessai_likelihood_constraint nessai_log_level nessai_logging_stream nessai_plot parallelise_prior
        plot_extra_state plot_indices plot_level_cdf plot_likelihood_levels plot_logXlogL plot_pool
        plot_posterior plot_trace plot_training plot_training_data plotting_frequency
        posterior_sampling_method proposal_plots pytorch_threads redraw_samples reparameterisation
        reparameterisations replace_all rescale_bounds rescale_parameters reset_acceptance reset_flow
        reset_permutations reset_weights result_extension resume_data resume_file retrain_acceptance
        reverse_reparameterisations rng samples save_existing_checkpoint save_log_q save_training_data
        shrinkage_expectation signal_handling stopping stopping_criterion strict_threshold threshold_kwargs
        threshold_method tolerance torch_dtype trace_parameters trace_plot_kwargs train_final_flow
        train_on_empty training_config training_frequency truncate_log_q uninformed_acceptance_threshold
        uninformed_proposal uninformed_proposal_kwargs update_bounds update_poolsize
        use_default_reparameterisations volume_fraction weighted_kl weights_file weights_path
    """,
    "nestle": """
        decline_factor method prior_args prior_kwargs
    """,
    "ptemcee": """
        adaptation_lag adaptation_time autocorr_tau autocorr_tol betas burn_in_fixed_discard frac_threshold
        gradient_mean_log_posterior gradient_tau ignore_keys_for_tau log10beta_min loglargs loglkwargs
        logpargs logpkwargs mean_logl_frac niterations_per_check Q_tol random safety store_walkers
        swap_ratios
    """,
    "ptmcmcsampler": """
        AMweight comm cov covUpdate custom_proposals DEweight groups HMCsteps HMCstepsize HMCweight hotChain
        i0 isave ladder logl_grad logp_grad MALAweight maxIter neff NUTSweight outDir SCAMweight Tmin Tskip
        writeHotChains
    """,
    "pymc": """
        adapt_step_size binarygibbsmetropolis binarymetropolis blas_cores blocked categoricalgibbsmetropolis
        chain_idx chains compile_kwargs compute_convergence_checks curmethod discard_tuned_samples
        early_max_treedepth Emax gamma hamiltonianmc idata_kwargs init initvals is_cov jitter_max_retries k
        keep_warning_stat live_plot live_plot_kwargs max_treedepth metropolis mode mp_ctx n_init nchains
        njobs nuts nuts_kwargs nuts_sampler nuts_sampler_kwargs pickle_backend potential progressbar
        progressbar_theme quiet return_inferencedata scaling slice start step step_kwargs step_scale t0
        target_accept trace use_mmap var_names vars
    """,
    "pymultinest": """
        const_efficiency_mode context dump_callback evidence_tolerance importance_nested_sampling init_MPI
        log_zero max_iter max_modes mode_tolerance multimodal n_clustering_params n_dims
        n_iter_before_update n_params null_log_evidence sampling_efficiency use_MPI wrapped_params
        write_output
    """,
    "pypolychord": """
        base_dir boost_posterior cluster_posteriors compression_factor cube_samples derived_params
        do_clustering equals feedback file_root grade_dims grade_frac logzero max_ndead nDerived nDims nfail
        nprior num_repeats paramnames posteriors precision_criterion read_resume synchronous
        use_polychord_defaults write_dead write_live write_paramnames write_prior write_resume write_stats
    """,
    "ultranest": """
        adaptive_nsteps callback_interval cluster_num_live_points derived_param_names dKL draw_multiple
        frac_remain insertion_test_window insertion_test_zscore_threshold Lepsilon log_dir log_interval
        max_iters max_ncalls max_num_improvement_loops min_ess min_num_live_points nbatch ndraw_max
        ndraw_min niter num_bootstraps num_params num_test_samples param_names popsize region_class run_num
        show_status step_sampler storage_backend transform update_interval_iter
        update_interval_iter_fraction update_interval_ncall update_interval_volume_fraction viz_callback
        warmstart_max_tau widen_before_initial_plateau_num_max widen_before_initial_plateau_num_warn
    """,
    "zeus": """
        callbacks check_walkers light_mode logprob_fn maxsteps mu patience shuffle_ensemble
    """,
    "nautilus": """
        discard_exploration enlarge_per_dim f_live filepath likelihood_args likelihood_kwargs n_batch n_dim
        n_eff n_like_max n_like_new_bound n_live n_networks n_points_min n_shell neural_network_kwargs
        pass_dict split_threshold timeout
    """,
    "pocomc": """
        diagnose evaluate_constraints_in_prior frac metric n_active n_ess n_evidence n_max_steps n_prior
        n_steps n_total norm_ord output_dir output_label precondition random_state resample
        resume_state_path save_every sigma_factor track_sampling_time train_config train_frequency
    """,
    "aspire": """
        adaptive aspire_log_level aspire_log_stream beta_tolerance bounded_to_unbounded bounded_transform
        burnin checkpoint_file_path checkpoint_path checkpoint_save_config dims disable_periodic_parameters
        discard dtype enable_checkpointing fit_kwargs flow_backend flow_matching initial_conversion_function
        initial_result_file initial_samples last_step_only max_beta_step max_n_steps min_beta_step
        n_final_samples n_initial_samples n_samples n_walkers overwrite periodic_parameters preconditioning
        preconditioning_kwargs prior_bounds resume_from return_history rng_key sample_from_prior
        sample_kwargs sampler_kwargs step_fn store_sample_history target_acceptance_rate target_efficiency
        target_efficiency_rate xp
    """,
    "numpyro": """
        adapt_mass_matrix chain_method dense_mass find_heuristic_step_size forward_mode_differentiation
        init_strategy inverse_mass_matrix jit_model_args kinetic_fn max_tree_depth num_chains num_samples
        num_warmup postprocess_fn potential_fn progress_bar regularize_mass_matrix sampler_name step_size
        target_accept_prob thinning trajectory_length
    """,
    "jaxted": """
        alpha rseed sub_iterations
    """,
    "jaxns": """
        c devices difficult_model evidence_uncert gradient_guided init_efficiency_threshold key
        live_evidence_frac max_num_likelihood_evaluations num_parallel_workers num_phantom_save num_slices
        parameter_estimation s shell_fraction target_num_live_points
    """,
    "blackjax": """
        logZ_tolerance n_delete num_delete num_inner_steps num_mcmc_steps termination
    """,
    "laplace": """
        batch_nsamples checkpoint_signal cov_scaling fail_on_error fisher_kwargs fisher_method
        hessian_kwargs jacobian_cap_scale max_iterations minimization_method mode_search_nsamples n_modes
        plot_diagnostic prior_nsamples prior_parameters sampling_cov smc_kwargs smc_progress
        use_injection_for_map use_unit_cube
    """,
    "redback": """
        extension integrated_rate_function save_format source statistic
    """,
    "nmma": """
        reactive_sampling skip_sampling
    """,
}

NAMES = frozenset(name for names in _BY_SAMPLER.values() for name in names.split())


def taken_elsewhere(names: Iterable[str]) -> set[str]:
    """Find those of some names that another sampler of bilby takes, or took.

    Samplers that are installed are loaded only while a name is not in `NAMES`, those of bilby itself first:
    to load a plugin may take seconds. One that cannot be loaded is passed over.

    Examples
    --------
    >>> sorted(taken_elsewhere(["nlive", "nwalkers"]))
    ['nlive', 'nwalkers']
    """
    wanted = set(names)
    found = wanted & NAMES
    if wanted - found:
        for taken in _of_installed_samplers():
            found |= wanted & taken
            if found == wanted:
                break
    return found


def nearest_of(name: str, valid: Iterable[str], rules: SpellingConfig = SPELLING) -> str | None:
    """Guess the valid name that somebody must have meant who wrote another one, if there is one.

    Either both are spelled alike but for a letter or two, case and separators, or one has all words of the
    other and begins as it does. No name is meant where that of another sampler is closer by far.

    Examples
    --------
    >>> nearest_of("n_efective", ["n_effective", "n_rounds"])
    'n_effective'
    >>> nearest_of("nwalker", ["n_effective", "n_rounds"]) is None
    True
    """
    valid = sorted(valid)
    alike, nearest = max((_likeness(name, each), each) for each in valid)
    elsewhere = max(_likeness(name, each) for each in NAMES)
    if alike >= (elsewhere if elsewhere >= rules.closer else rules.close):
        return nearest
    return next((each for each in valid if _shortened(name, each)), None)


def _likeness(name: str, other: str) -> float:
    return difflib.SequenceMatcher(None, _spelling(name), _spelling(other)).ratio()


def _spelling(name: str) -> str:
    name = name.lower()
    for long, short in _SPELLED:
        name = name.replace(long, short)
    return re.sub(r"[\W_]", "", name)


def _shortened(name: str, valid: str) -> bool:
    """Return whether words were left out (max_calls) or put at the end (n_effective_samples)."""
    words, own = name.lower().split("_"), valid.lower().split("_")
    left_out = len(words) > 1 and words[0] == own[0] and set(words) < set(own)
    return left_out or (len(own) > 1 and words[: len(own)] == own)


def _of_installed_samplers() -> Iterator[set[str]]:
    """Keywords of one sampler after the other, bilby's own first."""
    by_name = sorted(entry_points(group="bilby.samplers"), key=lambda each: each.name)
    installed = sorted(by_name, key=lambda each: not each.value.startswith("bilby."))
    for entry_point in installed:
        # Plugins run code of others when they are loaded: whatever that raises or says is not the user's.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                yield _keywords_of(entry_point.load())
            except (Exception, SystemExit):
                continue


def _keywords_of(sampler: Any) -> set[str]:
    """Defaults, other names of them, and arguments of the constructors of a sampler class."""
    names = set(_default_keywords(sampler))
    for attribute in dir(sampler):
        if attribute.endswith("_equiv_kwargs"):
            names.update(getattr(sampler, attribute))
    for each in inspect.getmro(sampler):
        constructor = vars(each).get("__init__")
        if inspect.isfunction(constructor):
            names.update(inspect.signature(constructor).parameters)
    return names


def _default_keywords(sampler: Any) -> Iterable[str]:
    defaults = sampler.default_kwargs
    if not isinstance(defaults, property):
        return defaults
    # The property reads signatures of the package that is wrapped, and at most attributes of a run.
    blank = type("Blank", (sampler,), {"__init__": lambda self: None, "__getattr__": lambda self, name: None})
    try:
        return blank().default_kwargs
    except Exception:  # The package that is wrapped is not installed.
        return ()
