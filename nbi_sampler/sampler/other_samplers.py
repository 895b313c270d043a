"""Keywords that other samplers of bilby take or took, for those that are not installed.

A name stands once, under the first sampler that takes it; a name of ours is not here, whoever shares it. The
lists were read from the signatures of bilby 0.1 to 2.8, of its plugins, of the packages that these wrap
(dynesty 1.0 to 3.1, emcee 2 and 3, pymc3 and pymc 5, nessai 0.15, pocomc 1.2 and others), and from what
packages on top of bilby hand to every sampler.
"""

from __future__ import annotations

__all__ = ["NAMES"]

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
