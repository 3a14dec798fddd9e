"""What our own executions say of impact: all laws fitted, scored on later orders, and one of them chosen, or none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from core import checks
from research.calibration.fit import RESAMPLES, Fit, clustering, fit, plain
from research.calibration.laws import Law, almgren, power, square_root
from research.calibration.orders import Orders
from research.calibration.prior import PRIOR_WORDS, Posterior, posterior
from research.calibration.regression import Slope, slope
from research.calibration.score import Scores, constant_bps, out_of_sample

Choice = Literal["square_root", "almgren"]
CHOICES: Final[tuple[Choice, ...]] = ("square_root", "almgren")
SUSPICIOUS_T: Final = 3.0  # of a drift that size does not explain


@dataclass(frozen=True, slots=True)
class OrderCalibration:
    """`fits` in the order square_root, power, almgren. `prior` is the square root's posterior, its headline number.

    ordered    the square root on what was ordered, the unfilled rest at the closing price; None where all was filled
    constant   basis points beside the half spread: the baseline, fitted to all orders
    drift      of costs that size does not explain, per volume-day: far from zero where decisions knew the direction
    wanted     the law that was asked for; `use` is it, or "constant" where it does not beat the constant
    """

    orders: Orders
    permanent_share: float
    fits: tuple[Fit, ...]
    prior: Posterior
    ordered: Fit | None
    constant: float
    drift: Slope
    scores: Scores | None
    wanted: Choice
    seed: int

    @property
    def use(self) -> str:
        return self.wanted if self.scores is not None and self.scores.of(self.wanted).beats else "constant"

    @property
    def verdict(self) -> str:
        """One plain sentence."""
        if self.scores is None:
            return (
                "the orders lie on too few days to score a law on days it has not seen: the constant stands until it is"
            )
        score = self.scores.of(self.wanted)
        share = f"{abs(score.skill):.1%} {'below' if score.beats else 'above'} the constant's"
        if not score.beats:
            return (
                f"{self.wanted} does not beat a constant of basis points: its squared error on orders it has not seen "
                f"is {share}; the constant stands"
            )
        sure = score.interval.low > 0
        doubt = "" if sure else ", which chance alone could do: the interval includes zero"
        return f"{self.wanted} beats a constant: its squared error on orders it has not seen is {share}{doubt}"

    def of(self, law: str) -> Fit:
        return next(one for one in self.fits if one.law == law)

    @property
    def slippage(self) -> dict[str, Any]:
        """The settings of `execution.yaml` under `slippage` that use this result. Impact never pays: 0 at least."""
        if self.use == "constant":
            return {"model": "fixed_bps", "fixed_bps": max(0.0, self.constant)}
        if self.use == "almgren":
            found = self.of("almgren")
            return {
                "model": "almgren",
                "eta": max(0.0, found["eta"]),
                "gamma": max(0.0, found["gamma"]),
                "beta": found["exponent"],
                "turnover_days": float(np.median(self.orders.turnover)),
            }
        return {
            "model": "square_root",
            "impact_coefficient": self.prior.median,
            "permanent_share": self.permanent_share,
        }

    @property
    def remarks(self) -> list[str]:
        """What speaks against the numbers, as far as the numbers themselves show it."""
        lines = [
            f"{one.law}: {', '.join(apart)} changes by more than a standard error when outliers count less"
            for one in self.fits
            if (apart := one.disagreements())
        ]
        root, (low, high) = self.of("square_root"), self.of("power").interval_of("exponent")
        if not (np.isnan(low) or low <= 0.5 <= high):
            lines.append(f"the free exponent's interval, {low:.2f} to {high:.2f}, does not hold the square root's 0.5")
        if self.prior.informed < 0.5:
            lines.append(f"the coefficient is mostly the prior ({PRIOR_WORDS}): {root.n} orders say little against it")
        if self.ordered is not None:
            apart_by = abs(self.ordered["coefficient"] - root["coefficient"])
            notable = apart_by > root.error_of("coefficient")
            lines.append(
                f"on ordered instead of filled quantity the coefficient is {self.ordered['coefficient']:.3g}, not "
                f"{root['coefficient']:.3g}{': orders did not stop early at random' if notable else ''}"
            )
        if abs(self.drift.ols_t) > SUSPICIOUS_T:
            way = "against" if self.drift.value > 0 else "in favour of"
            lines.append(
                f"prices moved {way} the orders with time, whatever their size (t {self.drift.ols_t:.1f}): the "
                "decisions knew the direction, or the timing did, and part of that is counted as impact"
            )
        return lines


def calibrate_orders(
    orders: Orders,
    *,
    ordered: Orders | None = None,
    permanent_share: float = 1 / 3,
    wanted: Choice = "square_root",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> OrderCalibration:
    """Fits and scores every law. `ordered`: the same orders by ordered quantity, where some were not filled.

    Raises DataError, one line, where the orders are too few or do not vary.
    """
    checks.between("permanent_share", permanent_share, 0, 1)
    checks.one_of("law", wanted, CHOICES)
    orders.check()
    root = square_root(permanent_share)
    laws: tuple[Law, ...] = (root, power(permanent_share), almgren())
    fits = tuple(fit(orders, law, resamples=resamples, seed=seed) for law in laws)
    widening = clustering(orders, root, fits[0], "coefficient")
    return OrderCalibration(
        orders=orders,
        permanent_share=permanent_share,
        fits=fits,
        prior=posterior(orders, root, scale=fits[0].scale, widening=widening),
        ordered=None if ordered is None else fit(ordered, root, resamples=resamples, seed=seed),
        constant=constant_bps(orders),
        drift=_drift(orders, root),
        scores=out_of_sample(orders, laws, with_prior=frozenset({"square_root"}), seed=seed),
        wanted=wanted,
        seed=seed,
    )


def _drift(orders: Orders, law: Law) -> Slope:
    """What is left of the costs, against duration; in units of each order's noise."""
    root = np.sqrt(orders.noise)
    left = orders.cost - plain(orders, law).predict(law, orders)
    return slope(left / root, (orders.days + 1e-12) / root, lags=0)
