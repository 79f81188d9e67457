"""The model finds the parameters that customers were made by, and tells what they go on to do."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
import pytest
from scipy.special import hyp2f1

from etl_spark.pipelines.sales.lifetime import FITTED, BgNbd, Fit, GammaGamma, fit, fit_bg_nbd, fit_gamma_gamma

WEEKS, LATER = 60.0, 26.0
MADE_BY = BgNbd(r=0.6, alpha=5.0, a=0.8, b=3.0)
WORTH = GammaGamma(p=6.0, q=4.0, v=15.0)


@dataclass(frozen=True)
class Simulated:
    """Of each customer the x, last, age and value, and the purchases in the weeks after."""

    customers: list[tuple[int, float, float, float]]
    later: list[int]


@pytest.fixture(scope="module")
def simulated() -> Simulated:
    """Customers who live by the model's own story, one purchase after the other; none of its formulas is used."""
    random = np.random.default_rng(11)
    customers, later = [], []
    for age in random.uniform(10, WEEKS, 20_000):
        rate = random.gamma(MADE_BY.r, 1 / MADE_BY.alpha)
        leaving = random.beta(MADE_BY.a, MADE_BY.b)
        now, bought, after = 0.0, [], 0
        while True:
            now += random.exponential(1 / rate)
            if now > age + LATER:
                break
            if now <= age:
                bought.append(now)
            else:
                after += 1
            if random.random() < leaving:
                break
        mean_rate = random.gamma(WORTH.q, 1 / WORTH.v)
        value = float(random.gamma(WORTH.p, 1 / mean_rate, len(bought)).mean()) if bought else 0.0
        customers.append((len(bought), bought[-1] if bought else 0.0, float(age), value))
        later.append(after)
    return Simulated(customers, later)


@pytest.fixture(scope="module")
def found(simulated: Simulated) -> Fit:
    return fit(simulated.customers, fewest=50)


def test_the_parameters_are_those_that_customers_were_made_by(found: Fit) -> None:
    assert (found.status, found.customers) == (FITTED, 20_000)
    assert found.model
    # Three standard errors of so many customers, at the most.
    assert astuple(found.model.purchases) == pytest.approx(astuple(MADE_BY), rel=0.12)
    assert astuple(found.model.values) == pytest.approx(astuple(WORTH), rel=0.15)


def test_the_order_of_customers_does_not_matter(simulated: Simulated, found: Fit) -> None:
    assert fit(simulated.customers[::-1], fewest=50).model == found.model


def test_what_is_expected_is_what_they_do(simulated: Simulated) -> None:
    x, last, age, _ = np.array(simulated.customers).T
    if_alive = np.array(MADE_BY.purchases_if_alive([one[0:3:2] for one in simulated.customers], LATER))
    m = MADE_BY
    left = np.where(x > 0, m.a / (m.b + x - 1) * ((m.alpha + age) / (m.alpha + last)) ** (m.r + x), 0)
    expected, did = if_alive / (1 + left), np.array(simulated.later)
    assert expected.sum() == pytest.approx(did.sum(), rel=0.05)
    for of_group in (x == 0, x == 1, (x > 1) & (x < 5), x >= 5):
        error = 4 * did[of_group].std() / np.sqrt(of_group.sum())
        assert expected[of_group].mean() == pytest.approx(did[of_group].mean(), abs=error)


def test_the_published_example() -> None:
    # Fader, Hardie and Lee (2005), of CDNOW: x = 2 at 30.43 of 38.86 weeks, in the 39 weeks after.
    cdnow = BgNbd(r=0.243, alpha=4.414, a=0.793, b=2.426)
    (if_alive,) = cdnow.purchases_if_alive([(2, 38.86)], 39)
    odds = 0.793 / (2.426 + 1) * ((4.414 + 38.86) / (4.414 + 30.43)) ** (0.243 + 2)
    assert if_alive / (1 + odds) == pytest.approx(1.226, abs=0.001)


@pytest.mark.parametrize("model", [BgNbd(0.3, 4, 1.0, 2.5), BgNbd(0.5, 5, 0.4, 0.6), BgNbd(22026, 22026, 0.7, 2)])
def test_the_sum_is_the_published_function_where_that_has_a_value(model: BgNbd) -> None:
    near = BgNbd(model.r, model.alpha, model.a + 1e-7, model.b)
    customers = [(x, age) for x in (0, 1, 4, 20) for age in (1.0, 30.0)]
    x, age = np.array(customers, dtype=float).T
    a, b, until = near.a, near.b, near.alpha + age + 26
    with np.errstate(all="ignore"):
        published = (
            (a + b + x - 1)
            / (a - 1)
            * (1 - ((near.alpha + age) / until) ** (near.r + x) * hyp2f1(near.r + x, b + x, a + b + x - 1, 26 / until))
        )
    found = np.array(near.purchases_if_alive(customers, 26))
    has_a_value = np.isfinite(published) & (model.r < 1000)
    assert found[has_a_value] == pytest.approx(published[has_a_value], rel=1e-5)
    assert np.all(np.isfinite(found) & (found > 0))


def left_alike(chance: float) -> list[tuple[int, float, float, float]]:
    """Customers who all leave with one chance after a purchase: a and b may be as large as they like."""
    random = np.random.default_rng(4)
    customers = []
    for age in random.uniform(20, 60, 300):
        rate, now, bought = random.gamma(0.8, 1 / 5), 0.0, []
        while (now := now + random.exponential(1 / rate)) < age:
            bought.append(now)
            if random.random() < chance:
                break
        customers.append((len(bought), bought[-1] if bought else 0.0, float(age), 10.0 + len(bought)))
    return customers


@pytest.mark.parametrize(("chance", "status"), [(0.3, "fitted"), (0.1, "fitted, at a bound: b"), (0.0, "fitted")])
def test_customers_who_leave_alike_have_expectations_too(chance: float, status: str) -> None:
    customers = left_alike(chance)
    found = fit(customers, fewest=50)
    assert found.status == status
    assert found.model
    expected = np.array(found.model.purchases.purchases_if_alive([one[0:3:2] for one in customers], 52))
    assert np.all(np.isfinite(expected) & (expected > 0))


def test_values_that_have_no_mean_make_no_model() -> None:
    random = np.random.default_rng(8)
    values = np.exp(random.normal(3, 3, 2_000))
    found = fit([(1, 3.0, 20.0, float(value)) for value in values], fewest=50)
    assert (found.model, found.status) == (None, "the values of purchases differ so much that they have no mean")


def test_customers_who_never_leave_and_who_are_all_alike_are_fitted() -> None:
    random = np.random.default_rng(3)
    regular = [(int(n), 50.0 * n / (n + 1), 50.0, 10.0) for n in random.poisson(5, 2_000)]
    found = fit(regular, fewest=50)
    assert found.model
    (expected,) = found.model.purchases.purchases_if_alive([(5, 50.0)], 50)
    assert expected == pytest.approx(5, rel=0.1)


@pytest.mark.parametrize("customers", [[], [(0, 0.0, 5.0, 0.0)] * 100, [(1, 1.0, 5.0, 0.0)] * 100])
def test_too_few_who_came_again_make_no_model(customers: list[tuple[int, float, float, float]]) -> None:
    found = fit(customers, fewest=50)
    assert (found.model, found.customers) == (None, 0)
    assert found.status == "fewer than 50 customers who came again and kept something"


def test_each_fit_alone() -> None:
    assert fit_bg_nbd(np.array([1.0, 0.0]), np.array([2.0, 0.0]), np.array([5.0, 5.0]))
    assert fit_gamma_gamma(np.array([1.0, 3.0]), np.array([20.0, 30.0]))
