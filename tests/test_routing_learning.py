"""What the router learns: beliefs, propensities, guard rails, drift, and replay to the last bit."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from core.chance import generator
from core.journal import Journal
from execution.routing.bandit import DRAWS, Belief, floored, normal_posterior, pick, thompson
from execution.routing.chooser import Asked, Chooser, View
from execution.routing.decision import Decision
from execution.routing.learner import Learner, killed
from execution.routing.ledger import Memory, read_entries
from execution.routing.offpolicy import value
from execution.routing.settings import LearningConfig
from tests import golden
from tests.naive import START_NS
from tests.routing import ALGORITHMS, DAY_NS, World, config, report_of, situation

TRUE = {"TWAP": 6.0, "VWAP": 5.0, "POV": 8.0, "IS": 10.0}
UNIFORM_REGRET = 2.25
GOLDEN = {row["what"]: row for row in golden.rows("routing.csv") if row["what"].startswith("posterior")}


def numbers(row: dict[str, str]) -> dict[str, float]:
    return {name: float(text) for name, _, text in (word.partition("=") for word in row["inputs"].split())}


def test_the_posterior_with_known_noise_is_the_golden_one() -> None:
    mean, sd = normal_posterior(**numbers(GOLDEN["posterior_mean"]))
    assert mean == pytest.approx(float(GOLDEN["posterior_mean"]["expected"]), abs=1e-6)
    assert sd == pytest.approx(float(GOLDEN["posterior_sd"]["expected"]), abs=1e-6)


@given(st.lists(st.floats(-4, 4), min_size=1, max_size=30))
def test_a_belief_does_not_care_in_how_many_steps_it_learns(costs: list[float]) -> None:
    start = Belief.prior(0.2, 20, 0.5)
    at_once = start.after(len(costs), math.fsum(costs), math.fsum(cost * cost for cost in costs))
    step_by_step = start
    for cost in costs:
        step_by_step = step_by_step.after(1, cost, cost * cost)
    for name in ("mean", "weight", "shape", "scale"):
        assert getattr(at_once, name) == pytest.approx(getattr(step_by_step, name), rel=1e-9, abs=1e-12)


def test_a_belief_agrees_with_known_noise_where_there_is_much_of_it() -> None:
    noise = generator("belief").normal(3.0, 20.0, 20_000)
    belief = Belief.prior(8.0, 16, 20.0).after(len(noise), float(noise.sum()), float((noise**2).sum()))
    mean, sd = normal_posterior(8.0, 25.0, 400.0, len(noise), float(noise.mean()))
    assert belief.mean == pytest.approx(mean, abs=1e-9)
    assert belief.width == pytest.approx(sd, rel=0.02)
    low, high = belief.interval()
    assert (low + high) / 2 == pytest.approx(mean)
    assert high - low == pytest.approx(2 * 1.96 * sd, rel=0.02)


def test_a_belief_without_outcomes_is_its_prior() -> None:
    prior = Belief.prior(1.0, 20, 0.5)
    assert prior.after(0, 0.0, 0.0) is prior
    assert prior.error(20) == pytest.approx(prior.width / math.sqrt(2))  # twenty orders under way halve the variance


def test_thompson_takes_a_choice_as_often_as_it_is_best() -> None:
    shares = thompson([0.0, 1.0], [1.0, 1.0])
    assert shares[0] == pytest.approx(0.5 * (1 + math.erf(1 / 2)), abs=0.06)  # P(N(1, 2) > 0)
    assert math.fsum(shares) == pytest.approx(1)
    assert thompson([0.0, 50.0], [1.0, 1.0]) == [1.0, 0.0]
    assert thompson([0.0, math.nan], [1.0, 1.0]) == [0.5, 0.5]


def test_thompsons_few_draws_agree_with_many() -> None:
    means, widths = [5.0, 6.0, 8.0, 7.0], [1.0, 2.0, 1.5, 1.2]
    best = generator("many").normal(means, widths, (50_000, 4)).argmin(1)
    assert thompson(means, widths) == pytest.approx(np.bincount(best, minlength=4) / len(best), abs=0.06)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6).filter(lambda ps: sum(ps) > 0), st.floats(0, 0.3))
def test_floored_probabilities_are_probabilities_above_the_floor(ps: list[float], least: float) -> None:
    found = floored([p / sum(ps) for p in ps], least)
    assert math.fsum(found) == pytest.approx(1)
    assert min(found) >= min(least, 1 / len(ps)) - 1e-12


@given(st.floats(0, 1, exclude_max=True))
def test_a_choice_without_probability_is_never_picked(draw: float) -> None:
    assert pick([0.0, 0.4, 0.0, 0.6, 0.0], draw) == (1 if draw < 0.4 else 3)


def test_an_outcome_counts_half_after_its_half_life_and_contexts_share_what_they_learn() -> None:
    learner = Learner(LearningConfig(half_life_days=10, prior_orders=20))
    for _ in range(40):
        learner.add("ATOM buy small", "TWAP", 1.0, START_NS)
    known = learner.known("ATOM buy small", ["TWAP"], START_NS)[0]
    assert known.orders == 40
    common = 40 / 60  # of the context, against 20 orders at 0
    assert known.belief.mean == pytest.approx((20 * common + 40) / 60)
    later = learner.known("ATOM buy small", ["TWAP"], START_NS + 10 * DAY_NS)[0]
    assert later.orders == pytest.approx(20)
    assert later.belief.mean == pytest.approx((20 * 20 / 40 + 20) / 40)
    assert later.belief.width > known.belief.width


def test_forecasts_that_are_all_wrong_by_the_same_do_not_make_the_one_arm_that_was_tried_look_best() -> None:
    learner = Learner(LearningConfig(prior_orders=20))
    for _ in range(400):
        learner.add("ATOM buy small", "TWAP", -1.0, START_NS)
    twap, vwap = learner.known("ATOM buy small", ["TWAP", "VWAP"], START_NS)
    assert vwap.belief.mean == pytest.approx(twap.belief.mean, abs=0.05)
    assert vwap.belief.mean == pytest.approx(-400 / 420)


def test_by_how_much_an_arm_differs_is_known_in_other_contexts_too() -> None:
    learner = Learner(LearningConfig(prior_orders=20))
    for _ in range(400):
        learner.add("ATOM buy small", "TWAP", 0.5, START_NS)
        learner.add("ATOM buy small", "VWAP", -0.5, START_NS)
    twap, vwap, pov = learner.known("ATOM sell large", ["TWAP", "VWAP", "POV"], START_NS)
    assert (twap.orders, twap.belief.weight) == (0, 20)
    assert twap.belief.mean == pytest.approx(0.5 * 400 / 420, abs=0.02)
    assert vwap.belief.mean == pytest.approx(-0.5 * 400 / 420, abs=0.02)
    assert pov.belief.mean == 0


def test_orders_under_way_count_until_they_are_given_up() -> None:
    learner = Learner(LearningConfig())
    learner.begun("a", "k", "TWAP", START_NS)
    learner.begun("b", "k", "TWAP", START_NS)
    learner.begun("c", "k", "VWAP", START_NS)
    assert learner.known("k", ["TWAP"], START_NS)[0].pending == 2
    learner.ended("a")
    assert learner.known("k", ["TWAP"], START_NS)[0].pending == 1
    assert learner.known("k", ["TWAP"], START_NS + DAY_NS)[0].pending == 0


def test_an_arm_is_killed_when_it_is_dearer_by_three_errors_and_was_tried_often_enough() -> None:
    best = View("TWAP", 5.0, 1.0, 50.0, 5.0, 2.0)
    just = View("VWAP", 5.0 + 3 * math.sqrt(2) + 0.01, 1.0, 30.0, 5.0, 2.0)
    assert killed([best, just], 3.0, 30) == {"VWAP"}
    assert killed([best, structs.replace(just, expected=5.0 + 3 * math.sqrt(2) - 0.01)], 3.0, 30) == set()
    assert killed([best, structs.replace(just, orders=29.0)], 3.0, 30) == set()


# ---- the choice


def chooser(mode: str = "learn", seed: int = 0, **learning: Any) -> Chooser:
    return Chooser(config("learn", LearningConfig(**learning)), mode, algorithms=ALGORITHMS, seed=seed)


def taught(costs: dict[str, float], outcomes: int = 60, qty: float = 100, **learning: Any) -> Chooser:
    """A chooser that has seen so many orders of each arm, at these surprises."""
    made = chooser(**learning)
    key = made.decide(Asked("x", "", "t"), situation(qty), START_NS).key
    for arm, surprise in costs.items():
        for number in range(outcomes):
            made.learner.add(key, arm, surprise + 0.01 * (-1) ** number, START_NS)
    return made


def decide(made: Chooser, number: int = 0, qty: float = 100, **market: Any) -> Decision:
    return made.decide(Asked(f"x-{number}", "", "t"), situation(qty, **market), START_NS)


def test_rules_decide_below_the_minimum_sample_and_small_orders_try_the_others_a_little() -> None:
    made = chooser(min_orders=30, min_propensity=0.02)
    found = [decide(made, number) for number in range(400)]
    assert {one.rule_arm for one in found} == {"TWAP"}
    tried = [one for one in found if one.arm != "TWAP"]
    assert {one.decided_by for one in tried} == {"sample"}
    assert 10 <= len(tried) <= 45  # 3 of 4 arms at 2 % each: 24 of 400 expected
    for one in found:
        assert one.propensity == pytest.approx(0.94 if one.arm == "TWAP" else 0.02)
        assert math.fsum(other.propensity for other in one.alternatives) == pytest.approx(1)


def test_nothing_is_tried_with_an_order_above_the_bound_nor_where_its_notional_is_unknown() -> None:
    made = chooser(explore_below=5000.0)
    for qty, price in ((600, 10.0), (100, math.nan)):  # 6,000 of quote currency
        found = [decide(made, number, qty, price=price) for number in range(100)]
        assert {(one.arm, one.decided_by, one.propensity) for one in found} == {("TWAP", "rule", 1.0)}
    taught_ = taught({"TWAP": 0.0, "VWAP": -1.0, "POV": 0.0, "IS": 0.0}, qty=600)
    large = decide(taught_, qty=600)
    assert (large.arm, large.decided_by, large.propensity) == ("VWAP", "best", 1.0)


@pytest.mark.parametrize(
    ("surprise", "outcomes", "sigmas", "arm"),
    [(-1.0, 60, 2.0, "VWAP"), (-1.0, 29, 2.0, "TWAP"), (-0.02, 60, 2.0, "TWAP"), (-0.02, 60, 0.0, "VWAP")],
)
def test_an_order_that_is_not_tried_with_leaves_the_rules_arm_only_for_what_is_known_to_be_cheaper(
    surprise: float, outcomes: int, sigmas: float, arm: str
) -> None:
    costs = {"TWAP": 0.0, "VWAP": surprise, "POV": 1.0, "IS": 1.0}
    found = decide(taught(costs, outcomes, qty=600, switch_sigmas=sigmas, noise=0.5), qty=600)
    assert (found.decided_by, found.rule_arm, found.arm, found.propensity) == ("best", "TWAP", arm, 1.0)


def test_an_arm_of_a_three_sigma_loss_is_not_tried_any_more_and_the_decision_says_so() -> None:
    made = taught({"TWAP": 0.0, "VWAP": 0.0, "POV": 0.0, "IS": 2.0})
    found = [decide(made, number) for number in range(200)]
    assert "IS" not in {one.arm for one in found}
    alternative = found[0].of("IS")
    assert alternative is not None
    assert alternative.propensity == 0
    assert str(alternative.left_out).startswith("killed")
    assert min(one.propensity for one in found[0].alternatives if one.arm != "IS") >= 0.02


def test_expected_costs_are_the_forecast_and_the_mean_surprise() -> None:
    made = taught({"TWAP": 0.3, "VWAP": 0.0, "POV": 0.0, "IS": 0.0}, outcomes=60)
    found = decide(made)
    twap, risk = found.of("TWAP"), found.risk_bps
    assert twap is not None
    assert risk == pytest.approx(1e4 * 0.04 * math.sqrt(1800 / 86400))
    common = 0.3 * 60 / (240 + 20)
    assert twap.expected_bps == pytest.approx(twap.forecast_bps + risk * (20 * common + 0.3 * 60) / 80)
    assert twap.low_bps < twap.expected_bps < twap.high_bps
    assert twap.forecast_bps > 0


def test_a_decision_is_a_function_of_its_seed_its_id_and_its_past() -> None:
    one, other = (taught({"TWAP": 0.0, "VWAP": 0.01, "POV": 0.0, "IS": 0.02}) for _ in range(2))
    assert [decide(one, n) for n in range(50)] == [decide(other, n) for n in reversed(range(50))][::-1]
    assert len({decide(one, n).arm for n in range(50)}) > 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": "failed", "unfilled_reason": "no"}, "refused"),
        ({"denials": ("x-0: too much",)}, "refused"),
        ({"status": "cancelled", "unfilled_reason": "cancelled by request"}, "ended early"),
        ({"arrival_price": math.nan, "decision_price": math.nan}, "not known"),
    ],
)
def test_executions_that_say_nothing_of_their_arm_teach_nothing(changes: dict[str, Any], words: str) -> None:
    made = chooser()
    decision = decide(made)
    made.begin(decision)
    outcome = made.observe(report_of(decision, 10.0, **changes))
    assert outcome is not None
    assert words in str(outcome.unused)
    assert made.learner.experience(START_NS) == 0
    assert made.learner.known(decision.key, [decision.arm], START_NS)[0].pending == 0


def test_the_markets_own_move_is_not_the_algorithms_cost() -> None:
    made = chooser()
    decision = decide(made)
    outcome = made.outcome_of(decision, report_of(decision, 130.0, benchmark_twap=101.0))
    assert outcome.cost_bps == pytest.approx(130)
    assert outcome.adjusted_bps == pytest.approx(30)
    half: dict[str, Any] = {"filled_quantity": 50.0, "remaining_quantity": 50.0}
    undone = made.outcome_of(decision, report_of(decision, 130.0, benchmark_twap=101.0, **half))
    assert decision.unfilled_bps == pytest.approx(5.0 + 0.1 * decision.risk_bps)
    assert undone.cost_bps == pytest.approx(65)  # nothing was filled of the other half, and the price stood still
    assert undone.adjusted_bps == pytest.approx(65 - 100 + decision.unfilled_bps / 2)
    seller = replace(decision, side="sell")
    fallen = made.outcome_of(seller, report_of(seller, 130.0, benchmark_twap=99.0))
    assert fallen.adjusted_bps == pytest.approx(30)


def test_an_outcome_is_clipped_and_counts_once() -> None:
    made = chooser(clip=4.0)
    decision = decide(made)
    made.begin(decision)
    first = made.observe(report_of(decision, 1e4))
    assert first is not None
    assert first.surprise == 4.0
    assert made.observe(report_of(decision, 5.0)) is None
    assert made.learner.experience(START_NS) == 1


# ---- the record


def test_the_state_replays_exactly_from_the_journal(tmp_path: Path) -> None:  # pitfall 27
    folder = tmp_path / "router"
    with Journal(folder, fsync="never") as journal:
        world = World(3, TRUE, ledger=journal)
        world.regrets(120)
    again = Chooser(world.chooser.settings, "learn", algorithms=ALGORITHMS, seed=3)
    again.restore(read_entries(folder))
    assert again.decisions == world.chooser.decisions
    assert again.outcomes == world.chooser.outcomes
    now_ns = START_NS + 7 * DAY_NS
    for key, arm in world.chooser.learner.contexts():
        assert again.learner.known(key, [arm], now_ns)[0] == world.chooser.learner.known(key, [arm], now_ns)[0]
    asked = Asked("x-next", "", "t")
    assert again.decide(asked, situation(), now_ns) == world.chooser.decide(asked, situation(), now_ns)


def test_a_reset_forgets_and_the_record_stays() -> None:
    memory = Memory()
    world = World(1, TRUE, ledger=memory)
    world.regrets(40)
    world.chooser.reset(START_NS, "new venue")
    assert world.chooser.learner.experience(START_NS) == 0
    again = Chooser(world.chooser.settings, "learn", algorithms=ALGORITHMS, seed=1)
    again.restore(memory.entries)
    assert again.learner.contexts() == []
    assert len(again.decisions) == 40


# ---- simulations


@pytest.mark.slow
def test_it_learns_the_cheapest_of_four_algorithms() -> None:
    regrets = np.array([World(seed, TRUE).regrets(2000) for seed in range(30)])
    assert regrets.mean() <= 0.9
    assert regrets[:, -400:].mean() < 0.5 * UNIFORM_REGRET


@pytest.mark.slow
def test_it_recovers_when_the_costs_swap() -> None:
    swapped = {"TWAP": 8.0, "VWAP": 10.0, "POV": 6.0, "IS": 5.0}
    after = []
    for seed in range(30):
        world = World(seed, TRUE)  # with the half-life that ships
        world.regrets(1000)
        world.costs = dict(swapped)
        after.append(world.regrets(1000))
    regrets = np.array(after)
    assert regrets[:, :100].mean() > 2.5  # it did rely on what is no longer true
    assert regrets[:, -200:].mean() < 0.6 * UNIFORM_REGRET
    assert regrets[:, 500:].mean() < 0.6 * regrets[:, :250].mean()


@pytest.mark.slow
def test_the_log_tells_what_a_fixed_algorithm_would_have_cost() -> None:
    covered: dict[str, list[bool]] = {"snips": [], "dr": []}
    errors = []
    for seed in range(40):
        world = World(seed, TRUE, min_propensity=0.05)
        world.regrets(600)
        for arm, cost in TRUE.items():
            found = value(arm, world.chooser.decisions.values(), world.chooser.outcomes)
            covered["snips"].append(found.snips_low <= cost <= found.snips_high)
            covered["dr"].append(found.dr_low <= cost <= found.dr_high)
            errors.append(found.dr - cost)
    assert np.mean(covered["dr"]) >= 0.9
    assert np.mean(covered["snips"]) >= 0.88
    assert abs(np.mean(errors)) < 3 * np.std(errors) / math.sqrt(40)


def test_the_value_of_an_arm_that_was_never_tried_is_unknown() -> None:
    found = value("Iceberg", World(0, TRUE).chooser.decisions.values(), {})
    assert (found.n, found.chosen) == (0, 0)
    assert math.isnan(found.snips)
    assert DRAWS * LearningConfig().min_propensity >= 1  # a floor finer than the draws would say nothing
