"""The router in front of the trader: killed at any line it decides the same again; kill switch and pause work on."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from core.journal import Journal
from core.journal_read import read
from execution.routing.chooser import Asked, Chooser
from execution.routing.decision import Decision, Outcome
from execution.routing.ledger import entries_in
from execution.routing.settings import LearningConfig
from fillwright.cli import fillwright
from live.answers import answer
from live.routing import Routing
from live.serve_router import RouterService
from live.session import Session
from live.settings import LiveSettings, ReplayFeed
from live.tape import BarTape
from live.trader import Trader
from live.wanted import Wanted
from research.times import parse_ns
from risk.kill import KillSwitch
from tests import markets, traders
from tests.lines import KilledError, Lines
from tests.routing import KNOWN, config, situation
from tests.test_live_serve import World
from tests.traders import SYMBOL, Life, sample, session, to_the_end, until

START_NS = parse_ns("2025-01-01")
MINUTE_NS = 60_000_000_000
ORDERS = [
    {"id": f"p-{number}", "symbol": SYMBOL, "side": "buy", "quantity": 200 + 10 * number, "duration_seconds": 2400,
     "start": f"2025-01-01T{number:02}:10"}
    for number in range(9)
]  # fmt: skip
STATS = ("router", "stats", "--state", "var/live", "--json")
EXPLAIN = ("router", "explain", "p-3", "--state", "var/live", "--json")
LEARNING = {"min_orders": 5, "explore_below": 1e9, "min_propensity": 0.1}


def parents(count: int) -> tuple[Wanted, ...]:
    """One every eleven minutes, so that some overlap and most decide after the outcomes of others."""
    return tuple(
        Wanted.from_dict(
            {
                "id": f"p-{number}",
                "symbol": SYMBOL,
                "side": "buy",
                "quantity": 60.0 + 10 * number,
                "duration_seconds": (600, 1500, 2400)[number % 3],
                "start": f"2025-01-01T{11 * number // 60:02}:{11 * number % 60:02}",
            }
        )
        for number in range(count)
    )


def routed(folder: Path, router: str, **more: Any) -> LiveSettings:
    """Of a trader with this router in front, which tries out a lot and learns soon."""
    wanted = traders.settings(folder, strategies=(), **more)
    told = yaml.safe_load(Path(wanted.execution_config).read_text())
    told["execution"]["routing"] |= {"router": router}
    told["execution"]["routing"]["learning"] |= LEARNING
    file = folder / f"{router}.yaml"
    file.write_text(yaml.safe_dump(told))
    return replace(wanted, execution_config=str(file))


class Lives:
    """Traders over the same tape, each over journals of its own."""

    def __init__(self, data: Path, folder: Path, router: str) -> None:
        tape = ReplayFeed(symbol=SYMBOL, speed="max", end="2025-01-01T05:00")
        self._base = session(data, routed(folder, router, feed=tape))
        self._folder = folder
        self._orders = parents(20)
        self.whole = self.made()
        self.untouched = self.whole.run()

    def _session(self) -> Session:
        return replace(self._base, tape=BarTape(self._base.market.venue.market()))  # type: ignore[arg-type, union-attr]

    def made(self) -> Life:
        return Life(self._session, KillSwitch(self._folder / "kill"), orders=self._orders)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample(tmp_path_factory.mktemp("market"), end="2025-01-02")


@pytest.fixture(scope="module")
def lives(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Lives]:
    made: dict[str, Lives] = {}

    def of(router: str) -> Lives:
        if router not in made:
            made[router] = Lives(data, tmp_path_factory.mktemp(router), router)
        return made[router]

    return of


def chooser(trader: Trader) -> Chooser:
    assert trader.routing is not None
    return trader.routing.chooser


def assert_same(trader: Trader, other: Trader) -> None:
    """The same decisions and outcomes, and so the same next decision, to the last bit."""
    one, two = chooser(trader), chooser(other)
    assert one.decisions == two.decisions
    assert one.outcomes == two.outcomes
    now_ns = START_NS + 6 * 60 * MINUTE_NS
    for number in range(10):
        asked = Asked(f"x-{number}", "", "t")
        assert one.decide(asked, situation(), now_ns) == two.decide(asked, situation(), now_ns)
    for key, arm in one.learner.contexts():
        assert one.learner.known(key, [arm], now_ns) == two.learner.known(key, [arm], now_ns)
    assert one.learner.contexts() == two.learner.contexts()


def dies(lives: Lives, journal: str, at: list[float], torn: bool) -> None:
    """Killed at these places of a journal, one after the other; then to the end."""
    life = lives.made()
    lines: Lines = getattr(life, journal)
    for part in sorted(at):
        lines.dies_at = max(2, int(part * len(getattr(lives.whole, journal).written)), len(lines.written) + 1)
        lines.torn = torn
        with suppress(KilledError):
            life.run()
    lines.dies_at = None
    trader = life.run()
    assert [one for one, *_ in life.journal.orders()] == [one for one, *_ in lives.whole.journal.orders()]
    assert trader.fills == lives.untouched.fills
    assert_same(trader, lives.untouched)


def test_the_router_chooses_and_learns_in_the_trader(lives: Callable[[str], Lives]) -> None:
    found = chooser(lives("learn").untouched)
    assert len(found.decisions) == len(found.outcomes) == 20
    assert len({decision.arm for decision in found.decisions.values()}) >= 3
    assert {decision.decided_by for decision in found.decisions.values()} >= {"rule", "sample"}
    assert sum(outcome.unused is None for outcome in found.outcomes.values()) >= 10
    for name, report in lives("learn").untouched.engine.reports.items():
        assert report.algo_type == found.decisions[name].arm.partition(":")[0]
    assert {decision.decided_by for decision in chooser(lives("rules").untouched).decisions.values()} == {"rule"}


@pytest.mark.parametrize("router", ["rules", "learn"])
def test_a_decision_stands_in_its_parents_line_and_an_outcome_in_its_reports(
    router: str, lives: Callable[[str], Lives]
) -> None:
    whole = lives(router)
    found = chooser(whole.untouched)
    lines = whole.whole.journal.read()
    assert [Decision.from_dict(one["route"]) for one in lines if one["k"] == "parent"] == [*found.decisions.values()]
    assert [Outcome.from_dict(one["outcome"]) for one in lines if one["k"] == "report"] == [*found.outcomes.values()]
    again = Chooser(found.settings, router, algorithms=found.algorithms)
    again.restore([dict(entry) for line in lines for entry in entries_in(line)])
    assert (again.decisions, again.outcomes) == (found.decisions, found.outcomes)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example("learn", "journal", [0.3, 0.6, 0.9], True)
@given(
    st.sampled_from(("rules", "learn")),
    st.sampled_from(("journal", "venue")),
    st.lists(st.floats(0, 0.999), min_size=1, max_size=3),
    st.booleans(),
)
def test_killed_at_any_line_it_sends_the_same_children_and_knows_the_same(
    lives: Callable[[str], Lives], router: str, journal: str, at: list[float], torn: bool
) -> None:
    # pitfalls 27, 28
    dies(lives(router), journal, at, torn)


@pytest.mark.slow
@pytest.mark.parametrize("router", ["rules", "learn"])
def test_killed_around_its_decisions_it_ends_the_same(router: str, lives: Callable[[str], Lives]) -> None:
    whole = lives(router)
    lines = whole.whole.journal.read()
    at = {place + near for place, line in enumerate(lines) if line["k"] in ("parent", "report") for near in (-1, 0, 1)}
    for place in sorted(one for one in at if 2 <= one < len(lines))[::4]:
        dies(whole, "journal", [(place + 0.5) / len(lines)], torn=place % 2 == 0)


def test_an_order_that_is_sent_twice_keeps_its_algorithm(data: Path, tmp_path: Path) -> None:
    # pitfall 18
    wanted = routed(tmp_path, "learn")
    life = Life(lambda: session(data, wanted), KillSwitch(tmp_path / "kill"))
    trader = until(life.open(), START_NS + 60 * MINUTE_NS)
    asked = {"do": "new", "order": {"id": "o-1", "symbol": SYMBOL, "side": "buy", "quantity": 100.0}}
    assert answer(trader, asked)["known"] is False
    arm = chooser(trader).decisions[trader.find("o-1")].arm
    trader = life.open()
    assert answer(trader, asked)["known"] is True
    assert [decision.arm for decision in chooser(trader).decisions.values()] == [arm]
    other = {**asked, "order": {**asked["order"], "quantity": 90.0}}  # type: ignore[dict-item]
    assert "belongs to another order: buy 100" in answer(trader, other)["error"]
    assert [line["k"] for line in life.journal.read()].count("parent") == 1


def test_an_order_that_no_algorithm_can_work_is_refused_with_all_reasons_and_on_record(
    data: Path, tmp_path: Path
) -> None:
    # pitfall 14
    wanted = routed(tmp_path, "learn")
    life = Life(lambda: session(data, wanted), KillSwitch(tmp_path / "kill"))
    wrong = {"do": "new", "order": {"id": "w", "symbol": SYMBOL, "side": "buy", "quantity": 9.0, "params": {"no": 1}}}
    for _ in range(2):
        trader = until(life.open(), START_NS)
        parent = answer(trader, wrong)["parent"]
        assert parent["status"] == "failed"
        assert all(f"{algo}: " in parent["reason"] for algo in ("TWAP", "VWAP", "POV", "IS"))
        (decision,) = chooser(trader).decisions.values()
        assert (decision.arm, decision.decided_by, len(decision.attempts)) == ("", "nothing", 5)
        (outcome,) = chooser(trader).outcomes.values()
        assert outcome.unused is not None


def test_the_kill_switch_ends_what_was_routed_and_teaches_nothing(data: Path, tmp_path: Path) -> None:
    # pitfall 29
    wanted = routed(tmp_path, "learn")
    life = Life(lambda: session(data, wanted), KillSwitch(tmp_path / "kill"), orders=parents(3))
    trader = life.open()
    while not (trader.venue.open_orders() and len(trader.engine.parents) == 3):
        assert trader.step()
    over = set(trader.engine.reports)
    life.kill.trip("ann", "drill", 1)
    assert trader.watch_switch()
    assert not trader.engine.working
    late = {"do": "new", "order": {"id": "late", "symbol": SYMBOL, "side": "buy", "quantity": 9.0}}
    assert "kill switch" in answer(trader, late)["parent"]["reason"]
    sent = len(life.journal.orders())
    trader = to_the_end(life.open())
    assert len(life.journal.orders()) == sent, "nothing was sent after the latch"
    for name, outcome in chooser(trader).outcomes.items():
        assert (outcome.unused is None) == (name in over)
    assert set(chooser(trader).outcomes) == set(chooser(trader).decisions)


# ---- the process


@pytest.mark.slow
def test_a_process_that_is_killed_with_its_router_goes_on_as_if_nothing_had_happened(
    data: Path, tmp_path: Path
) -> None:
    # pitfalls 27, 28: the real process, the real journal, kill -9
    whole, folder = (tmp_path / name for name in ("whole", "killed"))
    for one in (whole, folder):
        traders.config_folder(one, orders="orders.ndjson", fsync="never")
        traders.orders_file(one, *ORDERS)
    words = ("--router", "learn", "--data-dir", str(data))
    assert traders.fillwright(whole, "trade", "--no-report", "--json", *words).returncode == 0
    goal = traders.written(whole / "var" / "live")
    kills = 0
    for share in (0.1, 0.3, 0.5, 0.7):
        process = traders.started(folder, *words)
        while traders.written(folder / "var" / "live") < share * goal and process.poll() is None:
            time.sleep(0.002)
        process.kill()
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
    assert kills >= 1, "it was never killed at work"
    assert traders.fillwright(folder, "trade", "--no-report", "--json", *words).returncode == 0
    shown = [json.loads(traders.fillwright(one, *STATS).stdout) for one in (whole, folder)]
    assert shown[0] == shown[1]
    assert (shown[0]["decisions"], shown[0]["outcomes"]) == (len(ORDERS), len(ORDERS))
    explained = [traders.fillwright(one, *EXPLAIN).stdout for one in (whole, folder)]
    assert explained[0] == explained[1]
    assert json.loads(explained[0])["outcome"] is not None
    other = traders.fillwright(folder, "trade", "--router", "rules", "--data-dir", str(data))
    assert other.returncode == 1
    assert 'execution.routing.router was "learn", is "rules"' in other.stderr


def test_the_option_takes_what_the_backtests_takes(tmp_path: Path) -> None:
    wrong = traders.fillwright(tmp_path, "trade", "--router", "lern")
    assert wrong.returncode == 2
    assert "must be one of rules, learn, TWAP" in wrong.stderr


def test_a_reset_of_a_traders_router_stands_in_its_journal_and_the_trader_goes_on(
    lives: Callable[[str], Lives], tmp_path: Path
) -> None:
    life = lives("learn").made()
    assert chooser(until(life.open(), START_NS + 100 * MINUTE_NS)).learner.contexts() != []
    with Journal(tmp_path / "live" / "journal", fsync="never") as journal:
        for line in life.journal.read():
            journal.append(line)
    words = ["router", "reset", "--yes", "--reason", "new venue", "--state", str(tmp_path / "live")]
    done = CliRunner().invoke(fillwright, words)
    assert done.exit_code == 0, done.output
    life.journal = Lines()
    for entry in read(tmp_path / "live" / "journal"):
        life.journal.append(entry.data)
    assert life.journal.read()[-1]["k"] == "route-reset"
    trader = life.open()
    assert chooser(trader).learner.contexts() == []
    assert chooser(trader).decisions != {}


# ---- split over processes


class RoutedWorld(World):
    """Services of which the router's chooses and learns."""

    def router(self) -> RouterService:
        journal, heard = self.journals["router"], self.journals["tape"]
        execution = config("learn", LearningConfig(min_orders=2, explore_below=1e9, min_propensity=0.2))
        self.routing = Routing(journal, execution, "learn", seed=0)
        intake = self.routing.in_front_of(self.intake(), lambda _symbol, _now_ns, price: replace(KNOWN, price=price))
        service = RouterService(
            self.bus, intake, journal, heard, self.kill, self.clock, routing=self.routing, patience=self.patience,
            switch_file=str(self.folder / "kill"),
        )  # fmt: skip
        service.recall(journal.read(), heard.read())
        self.engine = service.engine
        return service


def test_a_router_of_its_own_process_knows_after_its_death_what_it_had_learnt(tmp_path: Path) -> None:
    # pitfalls 27, 28
    async def scene() -> None:
        world = RoutedWorld(tmp_path)
        world.serve(world.broker(), world.risk(), world.router())
        await asyncio.sleep(0.05)
        names = []
        for number in range(6):
            names.append(await world.place(Wanted(f"r-{number}", markets.SYMBOL, "buy", 20.0, None, 300, None, {})))
            await world.until(lambda: names[-1] in world.engine.parents)
            before = world.routing.chooser.decisions[names[-1]]
            await world.die(2)
            world.serve(world.router())
            assert world.routing.chooser.decisions[names[-1]] == before
        await world.until(lambda: world.reports.keys() >= set(names))
        found = world.routing.chooser
        await world.close()
        assert list(found.decisions) == names
        assert set(found.outcomes) == set(names)
        for name in names:
            assert world.reports[name].algo_type == found.decisions[name].arm.partition(":")[0]
            assert world.reports[name].filled_quantity == sum(
                fill.qty for fill in world.fills() if fill.meta["execution_id"] == name
            )

    asyncio.run(scene())


def test_a_routed_parent_is_paused_amended_and_goes_on(data: Path, tmp_path: Path) -> None:
    wanted = routed(tmp_path, "rules")
    life = Life(lambda: session(data, wanted), KillSwitch(tmp_path / "kill"), orders=parents(1))
    trader = until(life.open(), START_NS + 3 * MINUTE_NS)
    assert answer(trader, {"do": "pause", "id": "p-0"})["parent"]["status"] == "paused"
    trader = life.open()
    assert answer(trader, {"do": "show", "id": "p-0"})["parent"]["status"] == "paused"
    assert answer(trader, {"do": "resume", "id": "p-0"})["parent"]["status"] == "working"
    assert answer(trader, {"do": "amend", "id": "p-0", "quantity": 50.0})["parent"]["quantity"] == 50.0
    to_the_end(trader)
    (report,) = trader.engine.reports.values()
    assert report.total_quantity == 50.0
    assert chooser(trader).outcomes[report.execution_id].arm == "TWAP"
