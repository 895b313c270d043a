"""The page itself: put together from a result, shown in a notebook, or saved."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbi_sampler import __version__
from nbi_sampler.core.config import REPORT
from nbi_sampler.reports.html.batches import batches_of, phases_of
from nbi_sampler.reports.html.checks import (
    agreement_of,
    checks_of,
    predictive_checks,
    verdict_of,
)
from nbi_sampler.reports.html.contents import Contents, contents_of, field_of
from nbi_sampler.reports.html.figures import images_of
from nbi_sampler.reports.html.numbers import count, p_value, rounded, share, whole, with_error
from nbi_sampler.reports.html.parameters import fixed_of, parameters_of
from nbi_sampler.reports.html.repeat import call_of, settings_of, versions_of
from nbi_sampler.reports.html.source import Source, source_of
from nbi_sampler.reports.plots.corner_plot import most_correlated

if TYPE_CHECKING:
    from bilby.core.result import Result
    from jinja2 import Template

__all__ = ["Report", "report"]


@dataclass(frozen=True)
class Report:
    """The page of a result.

    The last expression of a cell of a notebook shows it there.

    Attributes
    ----------
    label, status : str
        Of the result; the status is "no verdict" for the result of another sampler.
    html : str
        The whole page.
    path : pathlib.Path
        Where `save` writes it if not told otherwise.
    """

    label: str
    status: str
    path: Path
    html: str = field(repr=False)

    def save(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write the page.

        Parameters
        ----------
        path : str or os.PathLike, optional
            Its file, whose folder is made where missing; ``{label}_report.html`` beside the result by
            default. A file that is there is replaced.

        Returns
        -------
        pathlib.Path
            Of the file.

        Raises
        ------
        OSError
            Where it cannot be written.
        """
        place = self.path if path is None else Path(path)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(self.html, encoding="utf-8")
        except OSError as error:
            raise type(error)(
                f"path: expected a file that can be written, got {str(place)!r} "
                f"({error.strerror or error}); pass another one"
            ) from error
        return place

    def _repr_html_(self) -> str:
        """Show the page in a frame of its own, so that its style is not that of the notebook."""
        return (
            f'<iframe title="{escape(f"Report of {self.label}")}" sandbox="" srcdoc="{escape(self.html)}" '
            'style="width: 100%; height: 85vh; min-height: 600px; border: 1px solid #8884"></iframe>'
        )


def report(result: Result | str | os.PathLike[str], *, parameters: Sequence[str] | None = None) -> Report:
    """Put the evidence for a result on one page, which needs no network and no other file.

    The page says what the status means and what to do, log Z by batch, how the weights are distributed, how
    well the model fits, what the data have added to the priors, how many calls of the likelihood each phase
    of the run took, and what repeats it. What a result does not hold is named there. The result of another
    sampler has a page of what it holds, without a verdict.

    Parameters
    ----------
    result : bilby.core.result.Result, str or os.PathLike
        What `bilby.run_sampler` returned, or the file of it: JSON, HDF5 or a pickle.
    parameters : sequence of str, optional
        Names of those in the corner plot; by default all, or the eight that depend most on each other.

    Returns
    -------
    Report
        Shows itself in a notebook; ``.save()`` writes it.

    Raises
    ------
    TypeError
        For an object that is no result of bilby.
    FileNotFoundError, IsADirectoryError
        Where there is no such file.
    ValueError
        Where the file is no result, or has no parameter of a name.

    Examples
    --------
    >>> report("outdir/label_result.json").save()  # doctest: +SKIP
    PosixPath('outdir/label_report.html')
    """
    source = source_of(result)
    contents = contents_of(source.result)
    shown = _shown(contents, parameters)
    verdict = verdict_of(contents)
    page = _template().render(
        **_panels(contents, source), verdict=verdict, images=images_of(contents, shown), shown=shown
    )
    return Report(contents.view.label, verdict.status, source.page, page)


def _shown(contents: Contents, parameters: Sequence[str] | None) -> tuple[int, ...]:
    """Numbers of the parameters in the corner plot."""
    names = contents.names
    if parameters is None:
        # Without draws nothing is known of how parameters depend on each other, and there is no plot.
        return most_correlated(contents.view, REPORT.most_in_corner) if len(contents.view.theta) else ()
    wanted = [parameters] if isinstance(parameters, str) else list(parameters)
    unknown = [name for name in wanted if name not in names]
    if unknown or not wanted:
        raise ValueError(
            f"parameters: expected names among {', '.join(names)}, got {unknown or wanted}; leave it out for "
            "a choice of the page's own"
        )
    return tuple(names.index(name) for name in dict.fromkeys(wanted))


def _panels(contents: Contents, source: Source) -> dict[str, Any]:
    """Everything on the page but its verdict and its figures."""
    own, view, result = contents.own, contents.view, contents.result
    log_evidence, error = with_error(*contents.evidence)
    check, scatter = own.get("predictive_check", {}), agreement_of(contents)
    return {
        "style": _file("page.css"),
        "label": view.label,
        "version": __version__,
        "of_nbi": contents.of_nbi,
        "sampler": str(result.sampler),
        "checks": checks_of(contents),
        "log_evidence": log_evidence,
        "log_evidence_err": error,
        "information": rounded(field_of(result, "information_gain")),
        "log_bayes_factor": rounded(field_of(result, "log_bayes_factor"), 6),
        "agreement": scatter,
        "scatter": rounded(scatter and scatter.chi_squared),
        "scatter_p_value": p_value(scatter and scatter.p_value),
        "n_pooled": count(sum(record.pooled for record in view.records)),
        "batches": batches_of(contents),
        "phases": phases_of(contents),
        "ess": whole(own.get("ess")),
        "n_effective": count(own.get("n_effective")),
        "n_distinct": count(own.get("n_distinct")),
        "n_draws": count(view.n_draws if len(view.theta) else None),
        "efficiency": share(own.get("efficiency")),
        "k_hat": rounded(own.get("k_hat"), 2),
        "largest": share(own.get("largest_weight_share")),
        "n_calls": count(own.get("n_calls") if own else field_of(result, "num_likelihood_evaluations")),
        "seconds": rounded(_seconds(result)),
        "predictive": predictive_checks(own),
        "chi_squared": rounded(check.get("chi_squared"), 4),
        "n_data": count(check.get("n_data")),
        "correlation": rounded(own.get("residual_correlation"), 2),
        "fit_known": own.get("predictive_p_value") is not None,
        "predictive_p_value": p_value(own.get("predictive_p_value")),
        "parameters": parameters_of(contents),
        "fixed": fixed_of(contents),
        "names": contents.names,
        "injected": any(each is not None for each in view.truth),
        "call": call_of(contents, source.path),
        "settings": settings_of(contents),
        "versions": versions_of(contents),
        "seed": own.get("seed"),
        "note": own.get("tier", ""),
        "model": str(own.get("model", {}).get("digest", "")),
        "source": source,
        "n_bytes": count(source.n_bytes),
        "missing": contents.missing,
    }


def _seconds(result: Result) -> Any:
    time = field_of(result, "sampling_time")
    return time.total_seconds() if hasattr(time, "total_seconds") else time


def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_file("page.html"))
