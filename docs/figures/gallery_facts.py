"""Phrases with numbers in docs/gallery.md and docs/surveys.md, by the name of the script."""

from __future__ import annotations

from page_numbers import Fact

__all__ = ["FACTS"]


def error(above: float, below: float) -> float:
    """Mean of the errors on both sides."""
    return (above - below) / 2.0


FACTS = {
    "sine": [
        Fact(r"A > 0: #", lambda p: f"The run finds {p:.3f} for one of them."),
        Fact(
            r"\|A\| +# \+- # \(truth #\)",
            lambda a, da, truth: (
                f"The amplitude is {a:.3f} ± {da:.3f}; the true value is {truth:.3f}."
            ),
        ),
    ],
    "ogle_2008_blg_092": [
        Fact(
            r"t0 +# +# # .*?u0 +# +# # .*?tE +# +# # ",
            lambda t, t1, t2, u, u1, u2, e, e1, e2: (
                f"t0 = {t:.2f} ± {error(t1, t2):.2f}, u0 = {u:.3f} ± "
                f"{error(u1, u2):.3f} and tE = {e:.1f} ± {error(e1, e2):.1f} d"
            ),
        ),
        Fact(
            r"correlated \(#, posterior predictive p-value #\)",
            lambda r, p: f"correlated ({r:.2f}, p-value {p:.0e})".replace("e-0", "e-"),
        ),
    ],
    "ogle_2005_blg_086": [
        Fact(
            r"for parallax # \+- #",
            lambda odds, d: (
                f"The log Bayes factor for parallax is {odds:.2f} ± {d:.2f}."
            ),
        ),
        Fact(
            r"\n *#% of the posterior.*?\n *#% of the posterior",
            lambda more, less: f"with {less:.0f} and {more:.0f} % of the posterior",
        ),
    ],
    "hd_164922": [
        Fact(
            r"second planet # \+- #",
            lambda odds, d: (
                f"The log Bayes factor for the second planet is {odds:.2f} ± {d:.2f}."
            ),
        ),
        Fact(
            r"planets bc.*?b: period # \+- # d.*?c: period # \+- # d",
            lambda b, db, c, dc: (
                f"The periods are {b:.1f} ± {db:.1f} and {c:.2f} ± {dc:.2f} days"
            ),
        ),
    ],
    "k2_24": [
        Fact(
            r"b: .*?mass # \+- # Earths.*?c: .*?mass # \+- # Earths",
            lambda b, db, c, dc: (
                f"the masses: {b:.1f} ± {db:.1f} and {c:.1f} ± {dc:.1f} Earth masses."
            ),
        )
    ],
    "transit": [
        Fact(
            r"radius +# # # +truth #",
            lambda r, r1, r2, truth: (
                f"The planet's radius is {r:.4f} ± {error(r1, r2):.4f} of the star's "
                f"radius (true value {truth:.3f})"
            ),
        ),
        Fact(
            r"density +# # # +truth #",
            lambda d, d1, d2, truth: (
                f"the density of the star is {d:.2f} ± {error(d1, d2):.2f} g/cm³ "
                f"({truth:.2f})"
            ),
        ),
    ],
    "stellar_spectrum": [
        Fact(
            r"teff +# # # .*?log_g +# # # .*?metallicity +# # # .*?v_sin_i +# # # ",
            lambda t, t1, t2, g, g1, g2, z, z1, z2, v, v1, v2: (
                f"Teff = {t:.0f} ± {error(t1, t2):.0f} K, log g = {g:.2f} ± "
                f"{error(g1, g2):.2f}, [Fe/H] = {z:.2f} ± {error(z1, z2):.2f} and "
                f"v sin i = {v:.2f} ± {error(v1, v2):.2f} km/s"
            ),
        ),
        Fact(
            r"\n# likelihood calls, efficiency #%",
            lambda calls, share: (
                f"with {calls:,.0f} calls and an efficiency of {share:.0f} %."
            ),
        ),
    ],
    "apogee_spectrum": [
        Fact(
            r"heliocentric velocity # \+- # km/s \(pipeline: #\)",
            lambda v, dv, theirs: (
                f"The heliocentric velocity is {v:.2f} ± {dv:.2f} km/s; the survey's "
                f"pipeline gives {theirs:.2f}"
            ),
        ),
        Fact(
            3 * r"equivalent width of [\d.]+ A # \+- # mA\s+",
            lambda a, da, b, db, c, dc: (
                f"The equivalent widths are {a:.0f} ± {da:.0f}, {b:.0f} ± {db:.0f} and "
                f"{c:.0f} ± {dc:.0f} mÅ."
            ),
        ),
    ],
    "counts": [
        Fact(
            r"energy \(keV\) +# \+# -#\s+photons +# \+# -#\s",
            lambda e, e1, e2, n, n1, n2: (
                f"The line is at {e:.2f} +{e1:.2f} -{e2:.2f} keV and has "
                f"{n:.0f} +{n1:.0f} -{n2:.0f} photons"
            ),
        ),
        Fact(
            r"for the line # \+- #",
            lambda odds, d: (
                f"The log Bayes factor for the line is {odds:.2f} ± {d:.2f}."
            ),
        ),
    ],
    "own_simulator": [
        Fact(
            r"decay +# \+# -# +truth #",
            lambda n, n1, n2, truth: (
                f"The decay index is {n:.1f} +{n1:.1f} -{n2:.1f} "
                f"(true value: {truth:.2f})"
            ),
        ),
        Fact(
            r"\n# likelihood calls, efficiency #%",
            lambda calls, share: (
                f"with {calls:,.0f} calls and an efficiency of {share:.0f} %."
            ),
        ),
    ],
    "galaxy_image": [
        Fact(
            "network alone"
            + "".join(
                rf".*?{name} +\d+% +\d+% +#% +#%"
                for name in ("flux", "radius", "index", "e1", "e2", "x", "y")
            ),
            lambda *inside: (
                f"hold the truth in {min(inside[::2]):.0f} to {max(inside[::2]):.0f} % "
                f"and {min(inside[1::2]):.0f} to {max(inside[1::2]):.0f} %."
            ),
        ),
        Fact(
            r"efficiency #% ",
            lambda share: f"The median efficiency of its draws is {share:.0f} %",
        ),
        Fact(
            r"# of [\d,.]+ effective samples from # likelihood calls",
            lambda n, calls: f"{n:,.0f} effective samples from {calls:,.0f} calls",
        ),
    ],
    "survey_microlensing": [
        Fact(
            r"# events: # ok.*?efficiency +#%",
            lambda n, ok, share: (
                f"After the first pass {ok:.0f} of the {n:.0f} events are "
                f'"ok", and the median efficiency of all is {share:.0f} %.'
            ),
            "surveys.md",
        ),
        Fact(
            r"events: # ok"
            + "".join(
                rf".*?{name} +#% +#% +#"
                for name in ("t0", "u0", "tE", "source", "baseline")
            ),
            lambda ok, *rest: (
                f"Of the true values of the {ok:.0f}, {min(rest[::3]):.0f} to "
                f"{max(rest[::3]):.0f} % lie within the central 68 % of their "
                f"posteriors, and {min(rest[1::3]):.0f} to {max(rest[1::3]):.0f} % "
                "within the central 95 %."
            ),
            "surveys.md",
        ),
        Fact(
            r"\(p\)"
            + "".join(
                rf".*?{name} +[\d.]+% +[\d.]+% +#"
                for name in ("t0", "u0", "tE", "source", "baseline")
            ),
            lambda t, u, *others: (
                f"(Kolmogorov-Smirnov p of {min(t, *others):.2f} or more), except "
                f"those of u0 ({u:.2f})"
            ),
            "surveys.md",
        ),
        Fact(
            r"OGLE-2008-BLG-092: ok, # effective samples from # calls.*?"
            + "".join(rf"{name} +# \+- # +# \+- #\s+" for name in ("t0", "u0", "tE")),
            lambda _, calls, t, dt, t_, dt_, u, du, u_, du_, e, de, e_, de_: (
                f'is "ok" after {calls:,.0f} calls: t0 = {t:.3f} ± {dt:.3f}, u0 = '
                f"{u:.3f} ± {du:.3f}, tE = {e:.2f} ± {de:.2f}."
            ),
            "surveys.md",
        ),
    ],
    "dynesty_comparison": [
        Fact(
            r"\nnbi +# +# +# ",
            lambda calls, n, each: (
                f"nbi makes {calls:,.0f} calls for {n:,.0f} effective samples "
                f"({each:.1f} for each)."
            ),
        ),
        Fact(
            r"\ndynesty +# +# +# ",
            lambda calls, n, each: (
                f"with 500 live points makes {calls:,.0f} calls for {n:,.0f} effective "
                f"samples ({each:.0f} for each)."
            ),
        ),
        Fact(
            r"\nnbi .*? # \+- # .*?\ndynesty .*? # \+- # ",
            lambda ours, d, theirs, e: (
                f"log Z is {ours:.3f} ± {d:.3f} and {theirs:.3f} ± {e:.3f}."
            ),
        ),
    ],
    "evidence_of_dynesty": [
        Fact(
            r"dynesty +log Z # \+- #, # calls\s+evidence_of +log Z # \+- #, # calls",
            lambda z, dz, calls, ours, d, more: (
                f"log Z = {z:.2f} ± {dz:.2f} after dynesty's {calls:,.0f} calls, "
                f"{ours:.3f} ± {d:.3f} after {more:,.0f} more."
            ),
        )
    ],
    "one_parameter_more": [
        Fact(
            r"circular +log Z # \+- #.*?eccentric +log Z # \+- #",
            lambda a, da, b, db: f"Log Z = {a:.3f} ± {da:.3f} and {b:.3f} ± {db:.3f}",
        ),
        Fact(r"; e # \+- #", lambda e, de: f"with e = {e:.2f} ± {de:.2f} these data"),
    ],
    "four_parameters": [
        Fact(
            r"log Z # \+- #, off by",
            lambda z, dz: f"log Z is {z:.3f} ± {dz:.3f} (reference",
        ),
        Fact(
            r"\n# calls, status",
            lambda calls: f"after {calls:,.0f} calls of the waveform",
        ),
    ],
}
