"""What customers of the sales sample do beside buying, and how it changes before they buy no more.

Of all this nothing is written anywhere; what can be found of it is told in generate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from etl_spark.pipelines.sales.generate import Customers, Ints, Shop, below, skewed

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FADE_DAYS = 45
"""Before customers buy no more."""
SUDDEN_SHARE = 0.25
"""Customers who go without any of it."""
FADED = 0.15
"""Share of their visits that is left on the last day."""
TRICKLE = 0.03
"""Share of their visits, and of their posts, after it."""
MOOD_EVERY, MOOD_DAYS = 200, 14
"""For so many days out of so many, anybody does what those do who are about to go, but visits as ever."""
PLANS = ("basic", "plus", "premium")
PLAN_FREQUENCIES, FITTING_SHARE = (6, 16), 0.6
"""How often those buy who have a plus or premium plan that fits."""
CHANNELS = ("email", "sms", "push")
OPT_IN_SHARES = (0.6, 0.25, 0.4)
DOWNGRADE_SHARE, OPT_OUT_SHARE = 0.6, 0.5
"""Of those who fade."""
CHANCE_DAYS = 1500
"""Half of the others change their plan, or opt out, for no reason within so many days of registering."""


@dataclass(frozen=True, eq=False)
class Habits:
    """Each customer's, by number; days are ordinals. `end` is the first day without an order that could be.

    `curiosity` is how many visits go with what buys one thing of others, `opted_in` has a row for each of CHANNELS.
    """

    who: Customers
    end: Ints
    curiosity: Ints
    is_sudden: Flags
    phase: Ints
    plan: Ints
    upgraded: Ints
    downgraded: Ints
    opted_in: Flags
    opted_out: Ints

    def fading(self, today: int) -> Floats:
        """From 0, as ever, to 1 on the last day and after it."""
        left = np.clip((self.end - today) / FADE_DAYS, 0, 1)
        return np.where(self.is_sudden & (today < self.end), 0, 1 - left)

    def discontent(self, today: int) -> Floats:
        """From 0 to 1: whose carts are left, who searches and complains."""
        return np.where((today + self.phase) % MOOD_EVERY < MOOD_DAYS, 1, self.fading(today))

    def visits(self, today: int) -> Ints:
        """How often each visits without buying, as weights."""
        share = np.where(today < self.end, 1 - (1 - FADED) * self.fading(today), TRICKLE)
        return self._weights(self.who.frequency.clip(1) * self.curiosity * share, today)

    def posts(self, today: int) -> Ints:
        """How often each writes, as weights: whoever is discontent twice as often."""
        weight = 1000 * (1 + self.discontent(today))
        return self._weights(np.where(today < self.end, weight, TRICKLE * weight), today)

    def plans(self, today: int) -> Ints:
        """Places in PLANS."""
        return np.clip(self.plan + (self.upgraded <= today) - 2 * (self.downgraded <= today), 0, len(PLANS) - 1)

    def opt_ins(self, today: int) -> Flags:
        return self.opted_in & (today < self.opted_out)

    def _weights(self, often: Floats, today: int) -> Ints:
        """None of those who have neither registered nor ordered yet."""
        is_there = (self.who.registered <= today) | ((self.who.first <= today) & (self.who.first > 0))
        weights: Ints = np.floor(often * is_there).astype(np.int64)
        return weights


def habits_of(shop: Shop) -> Habits:
    who = shop.customers
    random = np.random.default_rng([shop.seed, 5])
    count = who.first.size
    end = np.where(who.frequency > 0, who.left, np.where(who.first > 0, who.first + 1, 0))
    is_sudden = random.random(count) < SUDDEN_SHARE
    return Habits(
        who,
        end,
        curiosity=100 + below(random, 900, count),
        is_sudden=is_sudden,
        phase=below(random, MOOD_EVERY, count),
        plan=_plans(random, who),
        upgraded=_at_random(random, who),
        downgraded=_before_end(random, who, end, is_sudden, DOWNGRADE_SHARE),
        opted_in=random.random((len(CHANNELS), count)) < np.array(OPT_IN_SHARES)[:, None],
        opted_out=_before_end(random, who, end, is_sudden, OPT_OUT_SHARE),
    )


def _plans(random: np.random.Generator, who: Customers) -> Ints:
    """Places in PLANS: who buys more often than most has a better one, more often than not."""
    by_frequency = np.searchsorted(np.array(PLAN_FREQUENCIES), who.frequency, side="right")
    at_random = below(random, len(PLANS), who.frequency.size)
    return np.where(random.random(who.frequency.size) < FITTING_SHARE, by_frequency, at_random)


def _before_end(random: np.random.Generator, who: Customers, end: Ints, is_sudden: Flags, share: float) -> Ints:
    """The day on which each does it: in the last days, or else at any time."""
    is_sign = (random.random(end.size) < share) & ~is_sudden & (end > 0)
    return np.where(is_sign, end - below(random, FADE_DAYS, end.size), _at_random(random, who))


def _at_random(random: np.random.Generator, who: Customers) -> Ints:
    return who.registered + 1 + skewed(CHANCE_DAYS, random.random(who.registered.size))
