"""The front door of ``htxdata.open_lake``: the store's views, and what is made of them when it is asked for.

What is made (bars) is computed when the method is called and held in memory. Three years of minutes to fifteen periods
at once, 2.35 million bars, took a process from 220 MB to 640 at the peak; to one of five minutes, 315,000 bars, to 530.
What is only read or joined runs when its relation does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from htxdata.errors import UsageError
from htxdata.market import PERIODS, grid_of, is_glob
from htxdata.research import (
    asof,
    bars,
    cutting,
    incomplete,
    macros,
    periods,
    relations,
    resample,
    stored,
    views,
)
from htxdata.research.asof import Known, Which
from htxdata.research.runs import Columns
from htxdata.schema import DATASETS, Dataset, dataset
from htxdata.schema.sql import select_list
from htxdata.store import lake
from htxdata.store.instants import EVER, Instant, range_of, window_of
from htxdata.store.layout import Pattern, Selection, encode, texts
from htxdata.store.views import view_over, where
from htxdata.timeline import Grid, Window, intersect, subtract

_Cursor = duckdb.DuckDBPyConnection
_Relation = duckdb.DuckDBPyRelation
_Files = dict[str, list[str]]


class Lake(lake.Lake):
    """A lake to be read, and asked for bars and as-of joins. See ``store.lake.Lake`` for the tables.

    Every period of a table function may be one that is not stored (``periods.py`` says which there are): it is made
    from the largest stored period that divides it, and only where that is complete. So is a stored period of a symbol
    that has none of it. Made candles have the columns of stored ones; ``received_at`` is the latest of their inputs,
    ``source`` joins theirs by ``+``.
    """

    def __init__(self, root: Path | str) -> None:
        super().__init__(root)
        self._database.execute(macros.BUCKETS)
        self._knows_venues = False
        self._venues: set[str] = set()  # whose names were found right

    # ------------------------------------------------------------------------------------------ candles

    def table(
        self,
        name: str,
        symbol: Pattern = None,
        *,
        venue: Pattern = None,
        period: Pattern = None,
        start: Instant = None,
        end: Instant = None,
    ) -> _Relation:
        """Any stored dataset by its name; rows whose time lies in ``[start, end)``, by series, in order of time.

        ``period`` of candles may be any that ``research/periods.py`` knows, or several. Bars are those that open in
        ``[start, end)``. ``UsageError`` for what is no period.
        """
        declared = dataset(name)
        names = texts(period)
        if declared.density != "grid" or not names:
            return super().table(name, symbol, venue=venue, period=period, start=start, end=end)
        self._check_names([declared], venue)
        exact = [each for each in dict.fromkeys(names) if not is_glob(each)]
        for each in exact:
            periods.check(each)
        lacking = {
            key: (known, wanted)
            for key, known in stored.periods_of(self.root, declared, venue, symbol).items()
            if (wanted := [each for each in exact if each not in known])
        }
        kept = [each for each in names if is_glob(each) or each in PERIODS]
        if kept and not lacking:
            return super().table(name, symbol, venue=venue, period=kept, start=start, end=end)
        low, high = range_of(start, end)
        made = [
            table
            for key, (known, wanted) in lacking.items()
            for table in self._candles(declared, key, known, wanted, low, high)
        ]

        def make(cursor: _Cursor, files: _Files) -> _Relation:
            paths = files.get(declared.name, [])
            parts = []
            if made:
                cursor.register("_made", pa.concat_tables(made))
                parts.append(f"SELECT {select_list(declared)} FROM _made")
            if paths or not made:
                parts.append(
                    f"SELECT * FROM ({view_over(declared, paths)}){where(declared, low, high)}"
                )
            order = " ORDER BY venue, symbol, period, open_time" if len(parts) > 1 else ""
            return cursor.sql(" UNION ALL ".join(parts) + order)

        wanted_files = (
            {declared.name: (Selection(venue, symbol, kept), window_of(low, high))} if kept else {}
        )
        return self._bound(make, wanted_files)

    def _candles(
        self,
        declared: Dataset,
        key: tuple[str, str],
        known: list[str],
        names: list[str],
        low: int | None,
        high: int | None,
    ) -> list[pa.Table]:
        """Bars of one symbol that open in ``[low, high)``, made of its periods ``known``; as tables, name by name."""
        opens = self._opens(key[0], [*names, *known])
        targets = {name: periods.grid(name, opens) for name in names}
        left = {name: [stored.openings(grid, low, high)] for name, grid in targets.items()}
        made: dict[str, list[list[Columns]]] = {name: [] for name in names}
        for source in (name for name in reversed(PERIODS) if name in known):
            asked = {
                name: (grid, left[name])
                for name, grid in targets.items()
                if left[name] and source in periods.inputs(grid, known, opens)
            }
            if asked:
                slots = grid_of(source, opens or 0)
                for name, (share, found) in self._share(declared, key, source, slots, asked).items():
                    left[name] = subtract(left[name], share)
                    made[name].append(found)
        return [
            resample.as_table(declared, key[0], key[1], name, part)
            for name, parts in made.items()
            for part in resample.in_order(parts)
        ]

    def _share(
        self,
        declared: Dataset,
        key: tuple[str, str],
        source: str,
        slots: Grid,
        asked: dict[str, tuple[Grid, list[Window]]],
    ) -> dict[str, tuple[list[Window], list[Columns]]]:
        """What can be made of one stored period: by name, which of the windows that are asked, and their bars."""
        windows = [window for _, left in asked.values() for window in left]

        def make(cursor: _Cursor, files: _Files) -> dict[str, tuple[list[Window], list[Columns]]]:
            paths = files[declared.name]
            known = stored.known(paths)
            shares = {
                name: share
                for name, (grid, left) in asked.items()
                if (share := intersect(left, resample.complete(grid, slots, known)))
            }
            if not shares:
                return {}
            hull = Window(min(s[0].start for s in shares.values()), max(s[-1].end for s in shares.values()))
            wanted = {name: (asked[name][0], share) for name, share in shares.items()}
            parts = resample.made_of(stored.candles(declared, paths, hull), slots, wanted)
            return {name: (share, parts[name]) for name, share in shares.items()}

        hull = Window(min(window.start for window in windows), max(window.end for window in windows))
        return self._bound(make, {declared.name: (stored.exactly(key, source), hull)})

    def incomplete(
        self,
        name: str = "klines",
        symbol: Pattern = None,
        *,
        venue: Pattern = None,
        period: str,
        start: Instant = None,
        end: Instant = None,
    ) -> _Relation:
        """Which bars of ``[start, end)`` are not made, and why: one row for every hole, in order of time.

        ``period``: that of the bars; of ``name="trades"``, that of time bars. Columns: ``venue``, ``symbol``,
        ``period``; ``bars`` left out, which open in ``[span_start, span_end)``, because ``made_of`` (a stored period,
        or ``trades``) is not known in ``[hole_start, hole_end)``: ``verdict`` is ``missing``, ``outage`` or
        ``unobtainable``. Bars that could be made of several periods are told for each of them. Without ``start`` and
        ``end``, from the first to the last instant that is stored.
        """
        declared = dataset(name)
        if declared.density != "grid" and name != "trades":
            raise UsageError(f"no bars are made of {name}: choose a dataset of candles, or trades")
        periods.check(period)
        self._check_names([declared], venue)
        low, high = range_of(start, end)
        rows: list[incomplete.Row] = []
        for key, known in stored.periods_of(self.root, declared, venue, symbol).items():
            opens = self._opens(key[0], [period, *known])
            target = periods.grid(period, opens)
            parts = []
            for source in periods.inputs(target, known, opens) if declared.has_period else [None]:
                slots = grid_of(source, opens or 0) if source else Grid(1)
                wanted = {name: (stored.exactly(key, source), EVER)}
                parts.append(
                    (source or name, slots, self._bound(lambda _, files: stored.spans(files[name]), wanted))
                )
            rows += incomplete.rows(key, period, target, parts, low, high)
        cursor = self._cursor()
        cursor.register("_left_out", incomplete.as_table(rows))
        return cursor.sql("SELECT * FROM _left_out")

    # ------------------------------------------------------------------------------------- bars of trades

    def bars(
        self,
        symbol: Pattern = None,
        *,
        venue: Pattern = None,
        kind: str,
        size: float | str,
        start: Instant = None,
        end: Instant = None,
    ) -> _Relation:
        """Bars from the trades of ``[start, end)``: ``kind`` is one of ``cutting.KINDS``, which says where they end.

        ``size``: trades, base or quote currency, or for ``kind="time"`` a period such as ``"7min"``. Columns:
        ``venue``, ``symbol``, ``open_time`` and ``close_time`` (first and last trade; of time bars the ends of the
        period), ``open``, ``high``, ``low``, ``close``, ``volume`` and ``taker_buy_volume`` (base currency),
        ``quote_volume`` and ``taker_buy_quote_volume`` (quote currency), ``trade_count``, ``vwap`` (``quote_volume`` /
        ``volume``), ``taker_buy_share`` (of ``volume``). A bar is known at its ``close_time``.

        Bars begin at ``start`` and after every hole, never run across one, and the last, unfinished one is not given;
        see ``bars.py``. Time bars are those that open in ``[start, end)`` and whose whole period is known. The trades
        of one day and of one bar are in memory at once.
        """
        if kind == "time":
            if not isinstance(size, str):
                raise UsageError(f"size={size!r} is no size of time bars: a period is needed, such as '7min'")
            periods.check(size)
        else:
            cutting.cut(kind, size)  # type: ignore[arg-type]  # refuses texts
        self._check_names([dataset("trades")], venue)
        low, high = range_of(start, end)
        tables = []
        for key in stored.periods_of(self.root, dataset("trades"), venue, symbol):
            grid = periods.grid(size, self._opens(key[0], [size])) if isinstance(size, str) else None
            tables.append(bars.as_table(key[0], key[1], self._bars(key, kind, grid or size, low, high)))
        cursor = self._cursor()
        cursor.register("_made", pa.concat_tables(tables) if tables else bars.as_table("", "", bars.none()))
        return cursor.sql(
            "SELECT CAST(venue AS VARCHAR) AS venue, CAST(symbol AS VARCHAR) AS symbol, * EXCLUDE (venue, symbol) "
            "FROM _made"
        )

    def _bars(
        self, key: tuple[str, str], kind: str, size: Grid | float | str, low: int | None, high: int | None
    ) -> Columns:
        grid = size if isinstance(size, Grid) else None
        window = stored.openings(grid, low, high) if grid else window_of(low, high)

        def make(cursor: _Cursor, files: _Files) -> Columns:
            known = stored.known(files["trades"])
            stretches = intersect([window], resample.complete(grid, Grid(1), known) if grid else known)
            return bars.bars_of(stored.trades(cursor, files["trades"], stretches), stretches, kind, size)

        return self._bound(make, {"trades": (stored.exactly(key), window)})

    # ---------------------------------------------------------------------------------------------- as of

    def asof(
        self,
        rows: Any,
        *,
        known: Known,
        at: str | None = None,
        funding: Which = False,
        indicative_funding: Which = False,
        instruments: Which = False,
        open_interest: Which = False,
        constituents: Which = False,
        mark_price: Which = False,
        index_price: Which = False,
        quotes: Which = False,
        trades: Which = False,
    ) -> _Relation:
        """``rows`` with what was known (``known="received_at"``) or true (``known="true"``) when each of them closed.

        ``rows``: a relation of this lake, SQL text, or a table of Arrow, pandas or Polars, with ``venue`` and
        ``symbol``. A bar is known at its close: ``close_time``, else ``open_time`` and the length of its ``period``;
        ``at`` names another column of instants. What is received, or happens, at the very instant of the close counts.

        Each dataset: ``True`` for the bar's own venue and symbol, a symbol for that one of the same venue, ``(venue,
        symbol)`` for that series (a spot bar with its swap's funding). Columns are added as ``asof.JOINS`` names them
        (``funding_rate``, ``instrument_tick_size``, ``open_interest_contracts``, ``index_basket``: a list of exchange,
        constituent, price, weight; ``mark_price``, ``spot_index_price``, ``quote_bid``, ``last_price``); they are NULL
        where there was nothing yet, of prices, quotes and trades where there was nothing in the day before. Rows keep
        their number and order.
        """
        if known not in ("received_at", "true"):
            raise UsageError(f"known={known!r}: choose received_at (what we had heard) or true (what was so)")
        relation = self._relation(rows)
        wanted = {
            "funding": funding, "indicative_funding": indicative_funding, "instruments": instruments,
            "open_interest": open_interest, "constituents": constituents, "mark_price": mark_price,
            "index_price": index_price, "quotes": quotes, "trades": trades,
        }  # fmt: skip
        whose = {name: which for name, which in wanted.items() if which}
        for name, which in whose.items():
            if isinstance(which, tuple):
                self._check_names([asof.JOINS[name].declared], which[0])
        columns = relation.columns
        close = relations.close(relation, at, self._opens)
        keys = [each for each in ("venue", "symbol") if each in columns]
        found = relations.ends(relation, keys, close)
        earliest = min((row[-2] for row in found if row[-2] is not None), default=EVER.start)
        latest = max((row[-1] for row in found if row[-1] is not None), default=EVER.start)
        # Each part is bound with the others: if a file is gone meanwhile, all are listed anew.
        selections = {
            joined.dataset: (
                relations.series_of(which, keys, found),
                Window(EVER.start if joined.lasts is None else earliest - joined.lasts, latest + 1),
            )
            for each, which in whose.items()
            for joined in (asof.JOINS[each],)
        }

        def make(cursor: _Cursor, files: _Files) -> _Relation:
            parts = []
            for each, which in whose.items():
                joined = asof.JOINS[each]
                view = view_over(joined.declared, files[joined.dataset])
                parts.append((joined, which, asof.rows(joined, view, known)))
            return relations.query(relation, lambda name: asof.statement(name, columns, close, parts))

        return self._bound(make, selections)

    def _relation(self, rows: Any) -> _Relation:
        if isinstance(rows, _Relation):
            return rows
        return self.sql(rows) if isinstance(rows, str) else self._cursor().from_arrow(relations.table(rows))

    # ---------------------------------------------------------------------------------------------- names

    def _check_names(self, declared: Sequence[Dataset], venue: Pattern, period: Pattern = None) -> None:
        super()._check_names(declared, venue, period)
        for each in texts(venue):
            if not is_glob(each) and each not in self._venues:
                self._check_venue(declared, each)
                self._venues.add(each)

    def _check_venue(self, declared: Sequence[Dataset], name: str) -> None:
        """A venue of ours, or one that somebody else has put into this lake. The lake is looked at first: importing the
        venues takes long."""
        if self._has_venue(declared, name):
            return
        ours = [venue for venue, _ in _venue_days()]
        if name not in ours and not self._has_venue(DATASETS, name):
            raise UsageError(f"venue={name!r} is not a venue: choose from {', '.join(ours)}")

    def _has_venue(self, declared: Sequence[Dataset], name: str) -> bool:
        folders = [f"{self.root}/{each.name}/venue={encode(name)}" for each in declared if each.stored]
        return any(self.verbs.each(self.verbs.is_folder, folders))

    # ------------------------------------------------------------------------------------------------ SQL

    def sql(self, text: str) -> _Relation:
        """One statement that reads over the views; the macros of ``macros.py`` are there too."""
        if "venue_" in text.lower() and not self._knows_venues:
            with self._lock:  # not when the lake is opened: importing the venues takes long
                self._database.execute(macros.venue_days(_venue_days()))
                self._knows_venues = True
        return super().sql(text)

    def views_sql(self) -> str:
        """A ``.sql`` file that makes these views and macros in DuckDB without us; see ``views.py``."""
        return views.views_sql(self.root, _venue_days())

    def _opens(self, venue: str, names: Iterable[str]) -> int | None:
        """When days of the venue open, in microseconds after midnight UTC; ``None`` where nobody knows or asks."""
        return dict(_venue_days()).get(venue) if any(map(periods.needs_venue, names)) else None


def _venue_days() -> list[tuple[str, int]]:
    from htxdata.venues import VENUES

    return [(venue.name, venue.day_opens) for venue in VENUES]


