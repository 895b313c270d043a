"""The page itself, which is made from a result, displayed in a notebook, or saved."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
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
from nbi_sampler.reports.html.offline import framed, style, template, written
from nbi_sampler.reports.html.parameters import fixed_of, parameters_of
from nbi_sampler.reports.html.repeat import call_of, settings_of, versions_of
from nbi_sampler.reports.html.source import Source, source_of
from nbi_sampler.reports.plots.corner_plot import most_correlated

if TYPE_CHECKING:
    from bilby.core.result import Result

__all__ = ["Report", "report"]


@dataclass(frozen=True)
class Report:
    """The page of a result.

    A notebook displays it if it is the last expression of a cell.

    Attributes
    ----------
    label, status : str
        Label and status of the result; the status is "no verdict" for a result of another sampler.
    html : str
        The complete page.
    path : pathlib.Path
        Default path for `save`.
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
            Path of the file; ``{label}_report.html`` beside the result by default. Missing folders are made.
            An existing file is replaced.

        Returns
        -------
        pathlib.Path
            Path of the file.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        return written(self.html, self.path if path is None else path)

    def _repr_html_(self) -> str:
        """Display the page in a frame, so that its style does not affect the notebook."""
        return framed(self.html, f"Report of {self.label}")


def report(result: Result | str | os.PathLike[str], *, parameters: Sequence[str] | None = None) -> Report:
    """Summarise a result on one self-contained page.

    The page shows the meaning of the status and what to do, log Z by batch, the distribution of the weights,
    the fit of the model, the change from prior to posterior, the likelihood calls in each phase of the run,
    and how to repeat it. It names the parts that a result lacks. The page of a result of another sampler has
    no verdict.

    Parameters
    ----------
    result : bilby.core.result.Result, str or os.PathLike
        A result of `bilby.run_sampler`, or its file: JSON, HDF5 or pickle.
    parameters : sequence of str, optional
        Names of the parameters in the corner plot; by default all, or the eight that depend most on each
        other.

    Returns
    -------
    Report
        A notebook displays it; ``.save()`` writes it.

    Raises
    ------
    TypeError
        If an object is not a bilby result.
    FileNotFoundError, IsADirectoryError
        If there is no such file.
    ValueError
        If the file is not a result, or has no parameter with a given name.

    Examples
    --------
    >>> report("outdir/label_result.json").save()  # doctest: +SKIP
    PosixPath('outdir/label_report.html')
    """
    source = source_of(result)
    contents = contents_of(source.result)
    shown = _shown(contents, parameters)
    verdict = verdict_of(contents)
    page = template(Path(__file__).with_name("page.html")).render(
        **_panels(contents, source), verdict=verdict, images=images_of(contents, shown), shown=shown
    )
    return Report(contents.view.label, verdict.status, source.page, page)


def _shown(contents: Contents, parameters: Sequence[str] | None) -> tuple[int, ...]:
    """Numbers of the parameters in the corner plot."""
    names = contents.names
    if parameters is None:
        # Without draws the dependence of parameters is unknown, and there is no plot.
        return most_correlated(contents.view, REPORT.most_in_corner) if len(contents.view.theta) else ()
    wanted = [parameters] if isinstance(parameters, str) else list(parameters)
    unknown = [name for name in wanted if name not in names]
    if unknown or not wanted:
        raise ValueError(
            f"parameters: expected names among {', '.join(names)}, got {unknown or wanted}; leave it out for "
            "an automatic choice"
        )
    return tuple(names.index(name) for name in dict.fromkeys(wanted))


def _panels(contents: Contents, source: Source) -> dict[str, Any]:
    """Everything on the page except its verdict and figures."""
    own, view, result = contents.own, contents.view, contents.result
    log_evidence, error = with_error(*contents.evidence)
    check, scatter = own.get("predictive_check", {}), agreement_of(contents)
    return {
        "style": style(),
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
