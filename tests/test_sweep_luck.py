"""What chance makes of the best of several."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from backtest.sweep.luck import deflated_from, deflated_sharpe, luck
from core.chance import generator
from execution.costs.comparison import Order
from execution.costs.statistics import sign_flip_p


def orders(costs: list[float], *, per_day: int = 1) -> list[Order]:
    """Costs in basis points on a notional of 1e4, `per_day` to a symbol-day."""
    return [Order(cost, 1e4, ("XYZ", k // per_day), (k,)) for k, cost in enumerate(costs)]


def noise(*parts: object, days: int, settings: int, per_day: int = 1) -> list[list[Order]]:
    draw = generator("test luck", *parts)
    common = draw.normal(0, 30, days).repeat(per_day)
    return [orders((common + draw.normal(0, 10, days * per_day)).tolist(), per_day=per_day) for _ in range(settings)]


def test_of_two_settings_it_is_the_sign_flip_test_of_their_pairs() -> None:
    first, second = ([order.cost for order in group] for group in noise("two", days=10, settings=2))
    found = luck([orders(first), orders(second)])
    differences = [a - b for a, b in zip(first, second, strict=True)]
    ahead = 0 if sum(differences) < 0 else 1
    assert found.p_pairs[1 - ahead] == pytest.approx(sign_flip_p(differences))
    assert found.lead == pytest.approx(abs(sum(differences)) / 10 / 2)
    assert found.p_pairs[ahead] == 1.0


def test_three_settings_over_three_days_by_hand() -> None:
    costs = [[1.0, 2.0, 3.0], [2.0, 2.0, 5.0], [3.0, 5.0, 4.0]]
    found = luck([orders(one) for one in costs])
    table = np.array(costs).T
    table -= table.mean(axis=1, keepdims=True)
    worlds = [(np.array(signs)[:, None] * table).mean(axis=0) for signs in product((1, -1), repeat=3)]
    leads = [-float(world.min()) for world in worlds]
    assert found.lead == pytest.approx(-table.mean(axis=0).min())
    assert found.by_chance == pytest.approx(sum(leads) / 8)
    assert found.p_lead == sum(lead >= found.lead - 1e-9 for lead in leads) / 8
    assert found.deflated == pytest.approx(found.lead - found.by_chance)


def test_what_all_settings_share_on_a_day_drops_out() -> None:
    groups = noise("shared", days=12, settings=4)
    moved = [[Order(o.cost + 500 * k, o.notional, o.cluster, o.parent) for k, o in enumerate(g)] for g in groups]
    one, other = luck(groups), luck(moved)
    assert other.lead == pytest.approx(one.lead)
    assert other.p_pairs == pytest.approx(one.p_pairs)


def test_a_noisy_setting_does_not_hide_that_quiet_ones_differ() -> None:
    draw = generator("test luck", "noisy")
    quiet = draw.normal(0, 1, 30)
    wild = draw.normal(20, 200, 30)
    found = luck([orders(quiet.tolist()), orders((quiet + 3 + draw.normal(0, 1, 30)).tolist()), orders(wild.tolist())])
    assert found.p_pairs[1] < 0.01


def test_one_setting_or_one_day_tells_nothing() -> None:
    for groups in ([orders([1.0, 2.0])], [orders([1.0]), orders([2.0])], []):
        assert math.isnan(luck(groups).p_lead)
        assert len(luck(groups).p_pairs) == len(groups)


def test_settings_that_cost_the_same_are_not_told_apart() -> None:
    found = luck([orders([1.0, 2.0, 3.0])] * 3)
    assert found.lead == found.by_chance == 0
    assert found.p_pairs == (1.0, 1.0, 1.0)


def test_the_deflated_sharpe_ratio_of_the_paper() -> None:
    """Bailey and Lopez de Prado (2014): 2.5 a year over five years of days, the best of 100, is 90 % sure."""
    daily = 2.5 / math.sqrt(250)
    assert deflated_from(daily, 1250, -3.0, 10.0, 0.5 / 250, 100) == pytest.approx(0.9004, abs=5e-4)


def test_the_more_is_tried_the_less_a_sharpe_ratio_says() -> None:
    draw = generator("test luck", "sharpe")
    returns = draw.normal(0.1, 1.0, 400)
    tried = draw.normal(0, 0.05, 200).tolist()
    few, more = deflated_sharpe(returns, tried[:5]), deflated_sharpe(returns, tried)
    assert more < few
    assert math.isnan(deflated_sharpe(returns, [0.1]))
    assert math.isnan(deflated_sharpe(np.zeros(9), tried))


@pytest.mark.slow
@pytest.mark.parametrize(("days", "settings", "per_day"), [(10, 5, 1), (25, 20, 4)])
def test_equal_settings_are_told_apart_no_more_often_than_promised(days: int, settings: int, per_day: int) -> None:
    rung = sum(
        min(luck(noise("alarm", days, k, days=days, settings=settings, per_day=per_day)).p_pairs) < 0.05
        for k in range(200)
    )
    assert rung <= 20  # 10 expected; more than 20 with a probability of 0.1 %
