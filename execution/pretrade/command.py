"""`fillwright plan`: what an order will cost, by algorithm and duration, before it is sent."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from core.console import console, print_json, run
from core.errors import ConfigError

if TYPE_CHECKING:
    from core.contracts import Side
    from execution.config import ExecutionConfig
    from execution.params import Urgency
    from execution.pretrade.forecast import CostForecast, Forecaster
    from execution.pretrade.known import Known
    from execution.pretrade.recommend import Choice

DURATIONS_S: Final = (900, 3600, 14_400, 28_800, 86_400)


class Duration(click.ParamType[int]):
    """`30m`, `4h`, `1d` or seconds, as whole seconds of at most a day."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from research.times import SECOND_NS, timeframe_ns

        text = str(value)
        try:
            seconds = int(text) if text.isdecimal() else timeframe_ns(text) // SECOND_NS
        except ConfigError:
            self.fail(f"must be a number and s, m, h or d, such as 4h, was {text!r}", param, ctx)
        if not 1 <= seconds <= 86_400:
            self.fail(f"must be between 1 second and 1 day, was {text!r}", param, ctx)
        return seconds


class Part(click.ParamType[float]):
    """A fraction, `0.045` or `4.5%`, above 0 and below 1."""

    name = "part"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value).strip()
        try:
            part = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            self.fail(f"must be a fraction such as 0.045 or 4.5%, was {text!r}", param, ctx)
        if not 0 < part < 1:
            self.fail(f"must be above 0 and below 1 (4.5% is 0.045), was {text!r}", param, ctx)
        return part


def _positive(_ctx: click.Context, _param: click.Parameter, value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise click.BadParameter(f"must be a finite number above 0, was {value:g}")
    return value


def _amount(_ctx: click.Context, _param: click.Parameter, value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value >= 0):
        raise click.BadParameter(f"must be a finite number of at least 0, was {value:g}")
    return value


_path = click.Path(path_type=Path)


@click.command("plan")
@click.option("--symbol", required=True, help="What to trade, such as ATOM/USDT.")
@click.option("--side", required=True, type=click.Choice(["buy", "sell"]), help="Which way.")
@click.option("--quantity", required=True, type=float, callback=_positive, help="How much, in base currency.")
@click.option(
    "--duration", type=Duration(), multiple=True,
    help="Time to trade in, such as 4h; may be given several times.  [default: 15m, 1h, 4h, 8h, 1d]",
)  # fmt: skip
@click.option(
    "--urgency", type=click.Choice(["low", "medium", "high"]), default="medium", show_default=True,
    help="Rest, rest and then cross, or take; and the price put on risk.",
)  # fmt: skip
@click.option(
    "--alpha-half-life", type=Duration(), help="Time in which half of the reason to trade is gone, such as 30m."
)  # fmt: skip
@click.option("--limit", type=float, callback=_positive, help="A price to rest at.")
@click.option("--partial", is_flag=True, help="The order may end unfinished.")
@click.option("--passive", type=click.FloatRange(0, 1), help="Part that fills without crossing the spread.")
@click.option("--price", type=float, callback=_positive, help="Price now.  [default: the last close]")
@click.option(
    "--sigma", type=Part(), help="Volatility of daily returns, 0.045 or 4.5%.  [default: of the last days]"
)  # fmt: skip
@click.option("--adv", type=float, callback=_positive, help="Base volume per day.  [default: of the last days]")
@click.option("--spread-bps", type=float, callback=_amount, help="Quoted spread.  [default: of quotes or instrument]")
@click.option("--fee-bps", type=float, callback=_amount, help="Fee of makers and takers.  [default: the instrument's]")
@click.option("--execution-config", type=_path, help="Impact model, YAML.  [default: config/execution.yaml]")
@click.option("--data-dir", default="data", show_default=True, type=_path, help="Where the market data is stored.")
@click.option("--venue", help="Whose data, where several venues have the symbol.")
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Write a page too; it opens offline, with plotly.min.js beside it.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines instead of tables.")
def command(
    symbol: str,
    side: Side,
    quantity: float,
    duration: tuple[int, ...],
    urgency: Urgency,
    alpha_half_life: int | None,
    limit: float | None,
    partial: bool,
    passive: float | None,
    price: float | None,
    sigma: float | None,
    adv: float | None,
    spread_bps: float | None,
    fee_bps: float | None,
    execution_config: Path | None,
    data_dir: Path,
    venue: str | None,
    html: Path | None,
    as_json: bool,
) -> None:
    """What an order will cost, by algorithm and duration, before it is sent.

    Expected cost, its 5 %, 50 % and 95 % points, the chance that volume suffices, a recommendation with its reasons,
    and the efficient frontier between cost and risk. Price, volatility, volume and spread come from the last days of
    the stored data, or from --price, --sigma and --adv. docs/pretrade.md explains every number.

    \b
      fillwright plan --symbol ATOM/USDT --side buy --quantity 50000 --duration 4h
      fillwright plan --symbol ATOM/USDT --side sell --quantity 50000 --urgency high --html plan.html
      fillwright plan --symbol XYZ/USD --side sell --quantity 1000 --price 50 --sigma 2% --adv 400000
    """
    if html is not None and not html.parent.is_dir():
        raise ConfigError(f"--html: the folder {html.parent} does not exist; make it, or name another place")
    from execution.pretrade.known import Told, known_market
    from execution.pretrade.orders import order_of
    from execution.pretrade.report import Plan, document, show
    from research.data_reader import DataReader

    settings = _settings(execution_config)
    told = Told(price=price, volatility=sigma, daily_volume=adv, spread_bps=spread_bps, fee_bps=fee_bps)
    known = known_market(
        symbol, DataReader(data_dir), told, venue=venue, assumed_spread_bps=settings.fills.assumed_spread_bps
    )
    forecaster = _forecaster(settings, known, quantity, urgency, passive)
    choices, horizon = _choices(
        forecaster, duration, alpha_half_life_s=alpha_half_life, at_a_level=limit is not None, partial=partial
    )
    orders = [order_of(choice.forecast, forecaster, symbol, side, limit) for choice in choices]
    places = [*(("--price", f"{price:.12g}") if price is not None else ())]
    places += ["--data-dir", str(data_dir)] if str(data_dir) != "data" else []
    places += ["--venue", venue] if venue is not None else []
    plan = Plan(
        symbol=symbol,
        side=side,
        quantity=quantity,
        urgency=urgency,
        known=known,
        choices=choices,
        duration_s=horizon,
        frontier=forecaster.frontier(horizon),
        urgencies=forecaster.urgencies(horizon),
        assumptions=_assumptions(settings, known, passive),
        orders=orders,
        schedules=_schedules(forecaster, [choice.forecast for choice in choices], horizon),
        peak=_peak(forecaster, choices[0].forecast),
        most=forecaster.max_participation,
        places=tuple(places),
    )
    if html is not None:
        from execution.pretrade.page import write_page

        write_page(plan, html)
    if as_json:
        print_json(document(plan))
        return
    screen = console()
    show(plan, screen)
    if html is not None:
        screen.print(f"wrote {html}: open it in a browser; plotly.min.js stays beside it", markup=False, soft_wrap=True)


def _settings(path: Path | None) -> ExecutionConfig:
    from core.config import find
    from execution.config import ExecutionConfig, load

    path = path or find("execution.yaml")
    return ExecutionConfig() if path is None else load(path)


def _forecaster(
    settings: ExecutionConfig, known: Known, quantity: float, urgency: Urgency, passive: float | None
) -> Forecaster:
    from execution.config import PovConfig
    from execution.pretrade.forecast import Forecaster, Impact
    from execution.slippage import slippage_model

    rates = [one.target_pov for one in settings.algorithms if isinstance(one, PovConfig)]
    most = settings.fills.max_participation
    return Forecaster(
        quantity=quantity,
        market=known.market,
        impact=Impact(model=slippage_model(settings.slippage), permanent_share=settings.slippage.permanent_share),
        urgency=urgency,
        max_participation=most,
        pov_rate=min([most, *rates]),
        passive=passive,
    )


def _choices(
    forecaster: Forecaster,
    durations: tuple[int, ...],
    *,
    alpha_half_life_s: int | None,
    at_a_level: bool,
    partial: bool,
) -> tuple[list[Choice], int]:
    """The ranked list, and the duration that was chosen."""
    from execution.pretrade.forecast import PLANNED
    from execution.pretrade.recommend import Situation, comfortable, first_rule, ranked, why_so_long

    market, urgency = forecaster.market, forecaster.urgency
    forecasts = [
        forecaster.forecast(algo, seconds) for seconds in sorted(set(durations or DURATIONS_S)) for algo in PLANNED
    ]
    even = {one.duration_s: one for one in forecasts if one.algo == "VWAP"}
    chosen_s = comfortable(list(even.values()), urgency)
    volume = float(market.outlook.expected(chosen_s).sum())
    algo, reason = first_rule(
        Situation(
            size=forecaster.quantity / market.daily_volume,
            half_spread_bps=market.spread_bps / 2,
            impact_bps=even[chosen_s].impact_bps,
            urgency=urgency,
            duration_s=chosen_s,
            regularity=market.outlook.regularity(),
            binding=forecaster.max_participation * volume < forecaster.quantity,
            partial=partial,
            at_a_level=at_a_level,
            alpha_half_life_s=alpha_half_life_s,
        )
    )
    if len(even) > 1:
        reason += f"; {why_so_long(even[chosen_s], urgency)}"
    return ranked(forecasts, market, urgency, algo, chosen_s, reason), chosen_s


def _schedules(forecaster: Forecaster, forecasts: list[CostForecast], duration_s: int) -> dict[str, list[float]]:
    """The schedules of those that have one; an iceberg waits for others."""
    found: dict[str, list[float]] = {}
    for one in forecasts:
        if one.duration_s == duration_s and one.algo != "Iceberg":
            volumes = forecaster.market.outlook.expected(one.expected_s)
            found[one.algo] = forecaster.schedule(one.algo, volumes, one.expected_s).tolist()
    return found


def _peak(forecaster: Forecaster, one: CostForecast) -> float:
    """Our part of all volume in the busiest part of a schedule."""
    volumes = forecaster.market.outlook.expected(one.expected_s)
    own = forecaster.quantity * forecaster.schedule(one.algo, volumes, one.expected_s)
    return float((own / (own + volumes)).max())


def _assumptions(settings: ExecutionConfig, known: Known, passive: float | None) -> list[str]:
    from execution.slippage import slippage_model
    from execution.venue import impact_statement

    model = slippage_model(settings.slippage)
    lines = [f"impact: {impact_statement(model, settings.slippage.permanent_share)}"]
    calibrated = settings.slippage.calibration
    if model is not None and calibrated is None:
        lines.append(
            "its coefficients are those of the settings, not of this market: `fillwright calibrate` finds them"
        )
    elif model is not None:
        lines.append(f"its coefficients are calibrated; hash of the calibration {calibrated}")
    lines.append(f"at most {settings.fills.max_participation:.0%} of the market's volume is traded")
    if passive is None:
        lines.append("the part that fills without crossing is assumed: --passive sets it")
    if known.synthetic:
        lines.append("the data are SYNTHETIC: these numbers say nothing of a real market")
    return lines


if __name__ == "__main__":
    run(command)
