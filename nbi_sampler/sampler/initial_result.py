"""Former samples for the start of a run: compared with its priors, and mapped to the latent space."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from bilby.core.prior import PriorDict
from bilby.core.utils import logger
from numpy.typing import NDArray

from nbi_sampler.algorithm.proposals.weighted_draws import WeightedDraws
from nbi_sampler.algorithm.start import FormerSamples
from nbi_sampler.core.config import FORMER, REFINEMENT
from nbi_sampler.core.guarded import users_settings
from nbi_sampler.core.randomness import stage_generator
from nbi_sampler.core.types import Array
from nbi_sampler.importance.weights import systematic_indices
from nbi_sampler.priors.space import ParameterSpace
from nbi_sampler.reports.result import log_prior_density
from nbi_sampler.sampler.former_table import ARGUMENT, FormerTable, read_table

__all__ = ["samples_for"]


def samples_for(given: object, priors: PriorDict, space: ParameterSpace) -> FormerSamples:
    """Read former samples and map them to the latent space of a run.

    Parameters that are missing are drawn from the prior given the others. Columns that are not parameters of
    the run are left out, and so are samples outside of the priors. The log reports this.

    Parameters
    ----------
    given : str, os.PathLike, bilby.core.result.Result, pandas.DataFrame or mapping
        See `former_table.read_table`.

    Raises
    ------
    TypeError, ValueError, OSError
        For unusable samples; the message names the difference.
    """
    table = read_table(given)
    # This does not use the seed, so the samples alone identify the run.
    rng = stage_generator(0, "initial")
    chosen, weights = _chosen(table.weights, rng)
    known, converted = _known_columns(table, priors, space)
    _check_finite(known, chosen, table)
    theta, is_known = _theta(known, chosen, space, priors, rng)
    kept = _within_priors(theta, is_known, space, table)
    # Repeated rows would be both in the training set and in the held-out set.
    _, first, where = np.unique(theta[kept], axis=0, return_index=True, return_inverse=True)
    log_weights = np.log(np.bincount(where.ravel(), weights[kept]))
    order = np.argsort(first)
    theta, rows, log_weights = theta[kept][first[order]], chosen[kept][first[order]], log_weights[order]
    if len(rows) < FORMER.fewest:
        raise ValueError(
            f"{ARGUMENT}: expected at least {FORMER.fewest} distinct samples within the priors, got "
            f"{len(rows)} of {len(chosen)}; pass more samples, or leave {ARGUMENT}= out"
        )
    z, values = _latent(theta, space, rng), None
    if is_known.all() and not converted:
        values = _comparable(table, theta, rows, space, priors)
    about = {
        "source": table.source,
        "n_samples": len(rows),
        "n_outside": int((~kept).sum()),
        "missing": [name for name, has in zip(space.names, is_known, strict=True) if not has],
        "converted": list(converted),
        "ignored": sorted(set(table.columns) - set(space.names) - set(space.fixed)),
    }
    _say(about)
    digest = hashlib.sha256(z.tobytes() + log_weights.tobytes())
    digest.update(b"" if values is None else values.tobytes())
    return FormerSamples(WeightedDraws(z, log_weights), values, digest.hexdigest()[:16], about)


def _chosen(weights: Array, rng: np.random.Generator) -> tuple[NDArray[np.intp], Array]:
    """Ordered rows for the fit and their weights: all rows, or a weighted choice if there are many."""
    with np.errstate(divide="ignore"):
        log_weights = np.log(weights)
    rows = np.flatnonzero(log_weights > log_weights.max() - REFINEMENT.negligible)
    if len(rows) <= FORMER.most:
        return rows, weights[rows]
    rows, counts = np.unique(systematic_indices(weights, FORMER.most, rng), return_counts=True)
    return rows, counts.astype(np.float64)


def _known_columns(
    table: FormerTable, priors: PriorDict, space: ParameterSpace
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Columns of the sampled parameters, and the names of those that a conversion made."""
    known = {name: table.columns[name] for name in space.names if name in table.columns}
    converted: list[str] = []
    for convert in _conversions(table, priors):
        lacking = [name for name in space.names if name not in known]
        if not lacking:
            break
        # A conversion may be the user's, and may need columns that are missing.
        try:
            with users_settings(), np.errstate(all="ignore"):
                made = convert({name: each.copy() for name, each in table.columns.items()})
        except Exception:
            continue
        for name in lacking:
            values = np.asarray(made[name]) if isinstance(made, dict) and name in made else np.zeros(0)
            if (
                values.shape == table.weights.shape
                and values.dtype.kind in "fiu"
                and np.isfinite(values).all()
            ):
                known[name] = values.astype(np.float64)
                converted.append(name)
    if not known:
        raise ValueError(
            f"{ARGUMENT}: expected samples of at least one parameter of this run ({', '.join(space.names)}), "
            f"got {table.source} with {', '.join(table.columns) or 'none'}; rename its columns, or give the "
            "priors a conversion_function that makes the parameters"
        )
    return known, tuple(converted)


def _conversions(table: FormerTable, priors: PriorDict) -> Iterator[Callable[..., Any]]:
    """Functions that may make missing parameters: those of both sets of priors, and bilby's for binaries."""
    yield priors.conversion_function
    yield from table.conversions
    if not {"mass_1", "mass_2", "chirp_mass", "total_mass", "mass_ratio"} & set(table.columns):
        return
    from bilby.gw import conversion

    def binaries(columns: dict[str, Array]) -> dict[str, Array]:
        made, _ = conversion.convert_to_lal_binary_black_hole_parameters(columns)
        return dict(conversion.generate_mass_parameters(made))

    yield binaries


def _check_finite(known: dict[str, Array], chosen: NDArray[np.intp], table: FormerTable) -> None:
    bad = {name: int((~np.isfinite(each[chosen])).sum()) for name, each in known.items()}
    bad = {name: n for name, n in bad.items() if n}
    if bad:
        counted = ", ".join(f"{n} of {name}" for name, n in bad.items())
        raise ValueError(
            f"{ARGUMENT}: expected finite samples, got NaN or infinity in {table.source}: {counted} (of "
            f"{len(chosen)} samples); drop these rows"
        )


def _theta(
    known: dict[str, Array],
    chosen: NDArray[np.intp],
    space: ParameterSpace,
    priors: PriorDict,
    rng: np.random.Generator,
) -> tuple[Array, NDArray[np.bool_]]:
    """Parameters of the samples, with missing ones drawn from the prior, and a mask of the given ones.

    Shapes (n, n_dim) and (n_dim,). Periodic parameters are moved to the range of their prior.
    """
    theta = np.zeros((len(chosen), space.n_dim))
    for column, name in enumerate(space.names):
        if name in known:
            theta[:, column] = known[name][chosen]
            if space.periodic[column]:
                low, high = priors[name].minimum, priors[name].maximum
                outside = (theta[:, column] < low) | (theta[:, column] > high)
                theta[outside, column] = low + (theta[outside, column] - low) % (high - low)
    return space.completed(theta, [name in known for name in space.names], rng)


def _within_priors(
    theta: Array, is_known: NDArray[np.bool_], space: ParameterSpace, table: FormerTable
) -> NDArray[np.bool_]:
    """Mark the samples that the priors allow, shape (n,), at least some."""
    inside = space.in_support(theta) | ~is_known
    allowed = space.satisfies_constraints(theta)
    kept = inside.all(axis=1) & allowed
    if kept.any():
        return np.asarray(kept)
    low, high = (space.to_theta(np.full((1, space.n_dim), edge)) for edge in (-6.0, 6.0))
    differing = [
        f"{name} ({theta[:, i].min():.4g} to {theta[:, i].max():.4g}, the prior has "
        f"{low[0, i]:.4g} to {high[0, i]:.4g})"
        for i, name in enumerate(space.names)
        if is_known[i] and not inside[:, i].any()
    ]
    what = ", ".join(differing) or "the combination of parameters, or a constraint"
    raise ValueError(
        f"{ARGUMENT}: expected samples within the priors, got {table.source} with all of {len(theta)} "
        f"outside: {what}; check that it is of the same problem in the same units, or widen the priors"
    )


def _latent(theta: Array, space: ParameterSpace, rng: np.random.Generator) -> Array:
    try:
        return np.asarray(space.to_z(theta, rng), dtype=np.float64)
    except NotImplementedError as error:
        raise ValueError(
            f"{ARGUMENT}: expected priors that samples can be mapped to, got {error}; leave {ARGUMENT}= out"
        ) from error


def _comparable(
    table: FormerTable, theta: Array, rows: NDArray[np.intp], space: ParameterSpace, priors: PriorDict
) -> Array | None:
    """Former log-likelihoods if the prior was the same up to a constant; None if this is not known."""
    if table.log_likelihood is None or not np.isfinite(table.log_likelihood[rows]).all():
        return None
    if table.log_prior is not None:
        some = np.arange(0, len(rows), max(len(rows) // FORMER.compared, 1))
        change = log_prior_density(theta[some], space, priors) - table.log_prior[rows[some]]
        same = np.isfinite(change).all() and np.ptp(change) <= FORMER.same_prior * (
            1.0 + np.abs(change).max()
        )
        return table.log_likelihood[rows] if same else None
    if table.priors is None:
        return None
    # Priors from a file may have classes that are no longer usable.
    try:
        differing = ParameterSpace(table.priors, space.names).differences(space)
    except Exception:
        return None
    return None if differing else table.log_likelihood[rows]


def _say(about: dict[str, Any]) -> None:
    """Write to the log how the samples are used."""
    notes = [f"starts from {about['n_samples']:,} samples of {about['source']}"]
    if about["missing"]:
        notes.append(f"which lack {', '.join(about['missing'])}, drawn from the prior given the others")
    if about["converted"]:
        notes.append(f"{', '.join(about['converted'])} computed by a conversion function")
    if about["ignored"]:
        notes.append(f"columns that are not parameters are ignored ({', '.join(about['ignored'])})")
    logger.info(f"nbi: {'; '.join(notes)}")
    if about["n_outside"]:
        n_all = about["n_outside"] + about["n_samples"]
        logger.warning(
            f"nbi: {ARGUMENT}: {about['n_outside']:,} of {n_all:,} samples lie outside of the priors and are "
            "left out"
        )
