"""`execution.tca.measure` in columns: the same numbers for millions of fills.

`costs_frame` measures one batch of tables, `read_costs_frame` a whole file or folder, batch by batch, so that memory
holds one batch and one row per execution. Names are those of `fillwright analyze --output`; what is unknown is null.
Every formula stands in `execution.tca`, which measures one execution at a time and is the reference of the tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from execution.costs.tables import Tables, read_tables
from execution.tca import BENCHMARKS, BPS, FLAGS, PARTS

if TYPE_CHECKING:
    from polars import Expr

    from execution.costs.frames_market import Markets

CLOSE: Final = 1e-9
_PRICES: Final = {
    "arrival": "arrival_price",
    "vwap": "benchmark_vwap",
    "vwap_own": "benchmark_vwap_own",
    "twap": "benchmark_twap",
}
_COLUMNS: Final = (
    *("execution_id", "parent_intent_id", "strategy_id", "symbol", "venue", "algo_type", "side", "status"),
    *("start", "start_ts_ns", "end_ts_ns", "duration_s", "total_quantity", "filled_quantity", "fill_rate", "fills"),
    *("maker_share", "market_volume", "participation", "avg_fill_price"),
    *("decision_price", "arrival_price", "end_price", "vwap", "vwap_own", "twap", "notional"),
    *PARTS,
    "shortfall",
    *(f"{name}_bps" for name in PARTS),
    "shortfall_bps",
    *(f"{name}_slippage_bps" for name in BENCHMARKS),
    *("unfilled_reason", "denials", "flags"),
)


def costs_frame(executions: pl.DataFrame, fills: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """One row per execution, in the order of `executions`: the columns of the analysis file.

    executions, fills: columns as in `execution.costs.tables`. No executions: no rows. Fills of an execution that is not
    in `executions` are not looked at.
    """
    rows = executions.lazy().join(_sums(fills.lazy()), on="execution_id", how="left", maintain_order="left")
    steps = (_known(), _traded(), _parts(), _shares(), _flags())
    for step in steps:
        rows = rows.with_columns(**step)
    return rows.select(_COLUMNS).collect()


def read_costs_frame(path: Path, markets: Markets | None = None) -> pl.DataFrame:
    """The costs of all executions of a file of reports, NDJSON, or of a folder of tables.

    markets: prices that the executions lack come from there, and the columns of `quality_frame` are added. Raises
    DataError.
    """
    return costs_of_batches(read_batches(path), markets)


def read_batches(path: Path) -> Iterable[Tables]:
    """What costs need of a file of reports, NDJSON, or of a folder of tables. Raises DataError."""
    from execution.costs.report_columns import read_reports_tables

    return read_tables(path, ids=False) if path.is_dir() else read_reports_tables(path)


def costs_of_batches(batches: Iterable[Tables], markets: Markets | None = None) -> pl.DataFrame:
    """The costs of all executions; of a batch, and of its market, only the costs stay in memory. At least one batch."""
    return pl.concat([_costs_of_batch(batch, markets) for batch in batches])


def _costs_of_batch(batch: Tables, markets: Markets | None) -> pl.DataFrame:
    if markets is None:
        return costs_frame(*batch)
    from execution.costs.frames_market import completed_tables, markets_of, quality_frame

    records = markets_of(batch, markets)
    whole = completed_tables(batch, records)
    return pl.concat([costs_frame(*whole), quality_frame(whole, records)], how="horizontal")


def pooled_frame(costs: pl.DataFrame, by: Sequence[str] = ()) -> pl.DataFrame:
    """`execution.tca.pooled` of every group, in order of the names: sums of money over sums of notional.

    One row for all where `by` is empty; no executions: no rows. Columns: `by`, executions, measured, notional, the
    parts and the shortfall in money and in bps, fill_rate, maker_share, participation, duration_s (the median), and
    the slippages in bps.
    """
    whole = pl.all_horizontal(pl.col("shortfall", "delay", "timing", "opportunity", "fees").is_not_null())
    base = pl.coalesce("decision_price", "arrival_price")
    traded, volume = pl.col("filled_quantity") * base, pl.col("market_volume") * base
    maker, shared = pl.col("maker_share").is_not_null(), pl.col("participation").is_not_null()
    wanted = [
        pl.len().cast(pl.Int64).alias("executions"),
        whole.sum().cast(pl.Int64).alias("measured"),
        *(_total(pl.col(name).filter(whole)).alias(name) for name in ("notional", *PARTS, "shortfall")),
        _over(traded, pl.col("notional")).alias("fill_rate"),
        _over((pl.col("maker_share") * traded).filter(maker), traded.filter(maker)).alias("maker_share"),
        _over(traded.filter(shared), volume.filter(shared)).alias("participation"),
        pl.col("duration_s").median(),
    ]
    for name in BENCHMARKS:
        on = pl.col("filled_quantity") * pl.col("arrival_price" if name == "arrival" else name)
        slippage = pl.col(f"{name}_slippage_bps")
        wanted.append(_over(slippage * on, on.filter(slippage.is_not_null())).alias(f"{name}_slippage_bps"))
    frame = costs.lazy()
    grouped = frame.group_by(by).agg(wanted).sort(by) if by else frame.filter(pl.len() > 0).select(wanted)
    shares = [_ratio(pl.col(name), pl.col("notional")).alias(f"{name}_bps") for name in (*PARTS, "shortfall")]
    found = grouped.with_columns(shares).collect()
    return found if by or len(costs) else found.clear()


def _sums(fills: pl.LazyFrame) -> pl.LazyFrame:
    """What one pass over the fills leaves of them: one row per execution."""
    maker = (pl.col("liquidity") == "maker").fill_null(value=False)
    qty, price = pl.col("qty"), pl.col("price")

    def told(name: str) -> Expr:  # a maker who says nothing paid nothing
        return pl.when(pl.col(name).is_null() & maker).then(0.0).otherwise(pl.col(name))

    return fills.group_by("execution_id").agg(
        pl.len().alias("n"),
        qty.sum().alias("q"),
        price.first().alias("near"),
        (qty * (price - price.first())).sum().alias("excess"),
        qty.filter(maker).sum().alias("made"),
        pl.col("fee").sum().alias("fee_sum"),
        pl.col("ts_fill_ns").max().alias("last_ts_ns"),
        *((qty * told(name)).sum().alias(f"sum_{name}") for name in ("half_spread", "impact")),
        *(
            told(name).is_finite().fill_null(value=False).all().alias(f"all_{name}")
            for name in ("half_spread", "impact")
        ),
    )


def _known() -> dict[str, Expr]:
    """Inputs, null where they cannot be what they say."""
    prices = {name: _price(name) for name in ("decision_price", "arrival_price", "end_price")}
    against = {name: _price(column) for name, column in _PRICES.items()}
    return {
        **prices,
        **against,
        "s": pl.when(pl.col("side") == "buy").then(1.0).otherwise(-1.0),
        "n": pl.col("n").fill_null(0),
        "filled": pl.col("filled_quantity") != 0,
        "left": pl.col("total_quantity") - pl.col("filled_quantity"),
        "agree": _close(pl.col("q"), pl.col("filled_quantity")).fill_null(value=False),
        "total_fees": pl.when(pl.col("total_fees").is_finite()).then(pl.col("total_fees")),
        "market_volume": pl.when(pl.col("market_volume") > 0).then(pl.col("market_volume")),
        "given": _price("avg_fill_price"),
    }


def _traded() -> dict[str, Expr]:
    """The filled quantity's price, as an excess over a nearby one; spread and impact paid."""
    filled, agree = pl.col("filled"), pl.col("agree")

    def paid(name: str) -> Expr:
        known = (pl.col("n") > 0) & agree & pl.col(f"all_{name}")
        return pl.when(~filled).then(0.0).when(known).then(pl.col(f"sum_{name}"))

    return {
        "near": pl.when(filled & agree).then(pl.col("near")).when(filled).then(pl.col("given")),
        "excess": pl.when(filled & agree).then(pl.col("excess")).otherwise(0.0),
        "spread": paid("half_spread"),
        "impact": paid("impact"),
        "fees": pl.col("total_fees"),
        "notional": pl.col("total_quantity") * pl.coalesce("decision_price", "arrival_price"),
        "maker_share": pl.when(pl.col("q") > 0).then(pl.col("made") / pl.col("q")),
        "duration_s": (pl.coalesce("end_ts_ns", "last_ts_ns") - pl.col("start_ts_ns")) / 1e9,
    }


def _parts() -> dict[str, Expr]:
    s, left, filled = pl.col("s"), pl.col("left"), pl.col("filled")
    arrival, decision, end = (pl.col(f"{name}_price") for name in ("arrival", "decision", "end"))
    paid = pl.col("spread").fill_null(0.0) + pl.col("impact").fill_null(0.0)

    def missed(price: Expr) -> Expr:
        return pl.when(left != 0).then(s * left * (end - price)).otherwise(0.0)

    return {
        "delay": s * pl.col("total_quantity") * (arrival - decision),
        "timing": pl.when(filled).then(s * _above(arrival) - paid).otherwise(0.0),
        "opportunity": missed(arrival),
        "shortfall": pl.when(filled).then(s * _above(decision)).otherwise(0.0) + missed(decision) + pl.col("fees"),
        "avg_fill_price": pl.when(filled).then(pl.col("near") + pl.col("excess") / pl.col("filled_quantity")),
        **{f"{name}_slippage_bps": _against(name) for name in BENCHMARKS},
    }


def _shares() -> dict[str, Expr]:
    return {
        **{f"{name}_bps": _ratio(pl.col(name), pl.col("notional")) for name in (*PARTS, "shortfall")},
        "start": pl.from_epoch("start_ts_ns", time_unit="ns").dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"),
        "fill_rate": pl.col("filled_quantity") / pl.col("total_quantity"),
        "participation": pl.col("filled_quantity") / pl.col("market_volume"),
        "fills": pl.col("n").cast(pl.Int64),
        "denials": pl.col("denials").fill_null(0),
    }


def _flags() -> dict[str, Expr]:
    filled, some, agree = pl.col("filled"), pl.col("n") > 0, pl.col("agree")
    disagree = some & ~(filled & agree)
    sums = (pl.col("fees") - pl.col("fee_sum")).abs()
    scale = pl.max_horizontal(pl.col("fees").abs(), pl.col("fee_sum").abs())
    raised: dict[str, Expr] = {
        "running": pl.col("status") == "running",
        "nothing_filled": ~filled,
        "overfilled": pl.col("filled_quantity") > pl.col("total_quantity") * (1 + CLOSE),
        "no_decision_price": pl.col("decision_price").is_null(),
        "no_arrival_price": pl.col("arrival_price").is_null(),
        "no_end_price": (pl.col("left") != 0) & pl.col("end_price").is_null(),
        "no_fill_price": filled & ~agree & pl.col("given").is_null(),
        "no_fills": filled & ~some,
        "fills_disagree": disagree,
        "no_spread": filled & some & ~pl.col("all_half_spread"),
        "no_impact": filled & some & ~pl.col("all_impact"),
        "no_fees": pl.col("fees").is_null(),
        "fees_disagree": some & (sums > pl.max_horizontal(CLOSE * scale, pl.lit(1e-9))),
        "no_vwap": filled & pl.col("vwap").is_null(),
        "no_vwap_own": filled & pl.col("vwap_own").is_null(),
        "no_twap": filled & pl.col("twap").is_null(),
        "no_market_volume": pl.col("market_volume").is_null(),
    }
    words = [pl.when(raised[flag].fill_null(value=False)).then(pl.lit(flag)) for flag in FLAGS]
    return {"flags": pl.concat_str(words, separator=" ", ignore_nulls=True)}


def _above(price: Expr) -> Expr:
    """sum q_i * (p_i - price); null where nothing was filled."""
    return pl.col("excess") + pl.col("filled_quantity") * (pl.col("near") - price)


def _against(name: str) -> Expr:
    price = pl.col(name)
    return pl.when(pl.col("filled")).then(BPS * pl.col("s") * _above(price) / (pl.col("filled_quantity") * price))


def _price(name: str) -> Expr:
    return pl.when(pl.col(name).is_finite() & (pl.col(name) > 0)).then(pl.col(name))


def _close(one: Expr, other: Expr) -> Expr:
    return (one - other).abs() <= CLOSE * pl.max_horizontal(one.abs(), other.abs())


def _ratio(cost: Expr, notional: Expr) -> Expr:
    return pl.when(notional > 0).then(BPS * cost / notional)


def _total(values: Expr) -> Expr:
    """The sum of the known values; null where none is known."""
    return pl.when(values.count() > 0).then(values.sum())


def _over(part: Expr, whole: Expr) -> Expr:
    return pl.when(whole.sum() > 0).then(part.sum() / whole.sum())
