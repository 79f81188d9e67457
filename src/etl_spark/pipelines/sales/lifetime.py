"""What customers will buy, by BG/NBD, and what a purchase of theirs is worth, by Gamma-Gamma: fits and expectations.

Sources of the formulas: Fader, Hardie and Lee, "Counting Your Customers" the Easy Way: An Alternative to the Pareto/NBD
Model, Marketing Science 24 (2005); Fader and Hardie, The Gamma-Gamma Model of Monetary Value (2013). Of a customer, x
are the purchases after the first, `last` and `age` the weeks from the first purchase to the last one and to now, and
`value` the mean of the x purchases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import betainc, digamma, gammaln

Floats = npt.NDArray[np.float64]

SIGNIFICANT = 5
"""Digits of a parameter: far fewer than an optimization has in common on two machines, far more than customers tell."""
FITTED = "fitted"
LEAST_Q = 1.01
"""The mean over all customers grows without bound as q goes to 1."""
WIDE, NARROW = (-10.0, 10.0), (-10.0, float(np.log(100)))
"""Bounds of the logarithms of parameters, the second of a and b: beyond, customers are alike, and nothing changes."""


@dataclass(frozen=True)
class BgNbd:
    """Rates of purchases a week are Gamma(r, alpha), chances to leave after a purchase are Beta(a, b)."""

    r: float
    alpha: float
    a: float
    b: float

    def purchases_if_alive(self, customers: Sequence[tuple[int, float]], weeks: float) -> list[float]:
        """Of customers of an (x, age) each, known not to have left, in `weeks` from now: the numerator of equation 10.

        As the sum over k of the chance that there is time for the k-th purchase, by the rates of such customers, and
        that they stay until then. The hypergeometric function of the paper is the same, and has terms without bound.
        """
        x, age = _columns(customers, 2)
        soon = weeks / (self.alpha + age + weeks)
        purchases, still_there = np.zeros(x.size), np.ones(x.size)
        going_on, k = np.arange(x.size), 0
        while going_on.size:
            k += 1
            more = still_there[going_on] * betainc(k, self.r + x[going_on], soon[going_on])
            purchases[going_on] += more
            still_there[going_on] *= 1 - self.a / (self.a + self.b + x[going_on] + k - 1)
            going_on = going_on[more > 1e-12 * purchases[going_on]]
        expected: list[float] = purchases.tolist()
        return expected


@dataclass(frozen=True)
class GammaGamma:
    """Values of a customer's purchases are Gamma(p, rate), rates are Gamma(q, v); q > 1, so that there is a mean."""

    p: float
    q: float
    v: float


@dataclass(frozen=True)
class Model:
    """Both, of the same customers."""

    purchases: BgNbd
    values: GammaGamma


@dataclass(frozen=True)
class Fit:
    """A model, or none and why, and to how many customers it was fitted."""

    model: Model | None
    status: str
    customers: int


def fit(customers: Sequence[tuple[int, float, float, float]], *, fewest: int) -> Fit:
    """The model of customers of an (x, last, age, value) each; it takes `fewest` with an x and a value.

    A status of "fitted, at a bound: a" says that customers do not tell that parameter: it may as well be beyond.
    """
    x, last, age, value = _columns(customers, 4)
    again = (x > 0) & (value > 0)
    if again.sum() < fewest:
        return Fit(None, f"fewer than {fewest} customers who came again and kept something", 0)
    purchases, values = fit_bg_nbd(x, last, age), fit_gamma_gamma(x[again], value[again])
    if not purchases or not values:
        return Fit(None, "no parameters make these purchases the most likely", 0)
    if values.q < LEAST_Q:
        return Fit(None, "the values of purchases differ so much that they have no mean", 0)
    at_bounds = [name for name in ("a", "b") if _is_at(getattr(purchases, name), NARROW)]
    status = f"{FITTED}, at a bound: {', '.join(at_bounds)}" if at_bounds else FITTED
    return Fit(Model(purchases, values), status, x.size)


def fit_bg_nbd(x: Floats, last: Floats, age: Floats) -> BgNbd | None:
    """The parameters that make what customers did most likely (equation 6); None where none are found."""
    alike, counts = np.unique(np.column_stack((x, last, age)), axis=0, return_counts=True)
    x, last, age = alike.T

    def loss(logs: Floats) -> tuple[float, Floats]:
        r, alpha, a, b = np.exp(logs)
        again = np.where(x > 0, x, 1)
        stayed = -(r + x) * np.log(alpha + age)
        left = np.where(x > 0, np.log(a / (b + again - 1)) - (r + x) * np.log(alpha + last), -np.inf)
        either = np.logaddexp(stayed, left)
        by_x = gammaln(r + x) - gammaln(r) + gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
        share_left = np.exp(left - either)
        log_past = (1 - share_left) * np.log(alpha + age) + share_left * np.log(alpha + last)
        per_past = (1 - share_left) / (alpha + age) + share_left / (alpha + last)
        slopes = np.array(
            (
                counts @ (digamma(r + x) - digamma(r) + np.log(alpha) - log_past),
                counts @ (r / alpha - (r + x) * per_past),
                counts @ (digamma(a + b) - digamma(a + b + x) + share_left / a),
                counts
                @ (digamma(a + b) + digamma(b + x) - digamma(b) - digamma(a + b + x) - share_left / (b + again - 1)),
            )
        )
        return -counts @ (by_x + r * np.log(alpha) + either) / counts.sum(), -slopes * np.exp(logs) / counts.sum()

    start = np.log((1.0, max(float(age.mean()), 1.0), 1.0, 1.0))
    logs = _lowest(loss, start, (WIDE, WIDE, NARROW, NARROW))
    return None if logs is None else BgNbd(*map(_rounded, np.exp(logs)))


def fit_gamma_gamma(x: Floats, value: Floats) -> GammaGamma | None:
    """The parameters that make the values of customers most likely (equation 1a), all of x > 0 and `value` > 0."""
    scale = float(value.mean())
    scaled = value / scale

    def loss(logs: Floats) -> tuple[float, Floats]:
        p, beyond_1, v = np.exp(logs)
        q = 1 + beyond_1
        shape, total = p * x, v + x * scaled
        likelihood = (
            gammaln(shape + q) - gammaln(shape) - gammaln(q) + q * np.log(v)
            + (shape - 1) * np.log(scaled) + shape * np.log(x) - (shape + q) * np.log(total)
        )  # fmt: skip
        slopes = (
            p * (x * (digamma(shape + q) - digamma(shape) + np.log(x * scaled) - np.log(total))).mean(),
            beyond_1 * (digamma(shape + q) - digamma(q) + np.log(v) - np.log(total)).mean(),
            v * (q / v - (shape + q) / total).mean(),
        )
        return -likelihood.mean(), -np.array(slopes)

    logs = _lowest(loss, np.zeros(3), (WIDE, WIDE, WIDE))
    if logs is None:
        return None
    p, beyond_1, v = np.exp(logs)
    return GammaGamma(_rounded(p), _rounded(1 + beyond_1), _rounded(v * scale))


def _columns(rows: Sequence[tuple[float, ...]], width: int) -> Floats:
    return np.array(rows, dtype=np.float64).reshape(-1, width).T


def _lowest(
    loss: Callable[[Floats], tuple[float, Floats]], start: Floats, bounds: Sequence[tuple[float, float]]
) -> Floats | None:
    # What is near a flat bound ends without a step that helps, which is as good.
    found: Any = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-14, "gtol": 1e-9}
    )
    return found.x if np.isfinite(found.fun) and np.all(np.isfinite(found.x)) else None


def _is_at(value: float, bounds: tuple[float, float]) -> bool:
    return value in {_rounded(float(np.exp(bound))) for bound in bounds}


def _rounded(value: float) -> float:
    return float(f"{value:.{SIGNIFICANT}g}")
