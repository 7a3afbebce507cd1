"""How old is what is kept, who hears of it, and what Prometheus is told."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.config import BUDGETS, Keep, Settings
from htxdata.errors import ConfigError, Unreachable
from htxdata.ingest import alert, fresh, metrics
from htxdata.ingest.fresh import ALLOWED, ALLOWED_LATE, Standing, allowance, short, stand
from htxdata.market import Series
from htxdata.schema import dataset
from htxdata.schema.arrow import conform
from htxdata.service import Alerts, Serve
from htxdata.store.footer import Span
from htxdata.store.layout import partition_of
from htxdata.store.partition import Store
from htxdata.timeline import DAY, HOUR, MINUTE, SECOND, parse_instant
from htxdata.transport.webhook import post
from tests.store.build import JANUARY, T0, asked, candles
from tests.waits import until

MINUTES = Series("klines", "htx-linear", "BTC-USDT", "1min")
NOW = parse_instant("2024-03-05T12:00")


def known(end: int, verdict: str = "present", start: int = T0) -> Span:
    return Span(start, end, verdict, "rest", NOW, 7)


# ------------------------------------------------------------------------------------------------- how old


def test_a_candle_is_late_from_when_it_could_have_been_had() -> None:
    """What counts is the end of the first candle that lacks, and its settling: a day's candle is not a day late."""
    assert stand(MINUTES, [known(NOW - 5 * MINUTE)], T0, NOW, HOUR, None).late_by == 3 * MINUTE
    assert stand(MINUTES, [known(NOW - MINUTE)], T0, NOW, HOUR, None).late_by == 0
    days = Series("klines", "htx-linear", "BTC-USDT", "1day")
    midnight = parse_instant("2024-03-04T16:00")  # HTX's day
    assert stand(days, [known(midnight)], T0, NOW, HOUR, None).late_by == 0
    assert stand(days, [known(midnight - DAY)], T0, NOW, HOUR, None).late_by == 20 * HOUR - MINUTE


def test_outages_and_holes_do_not_count_as_known() -> None:
    """An outage at the end is asked for again; holes before the end are counted, with their length."""
    spans = [known(NOW - 3 * HOUR), known(NOW - HOUR, "empty", NOW - 2 * HOUR), known(NOW, "outage", NOW - HOUR)]
    found = stand(MINUTES, spans, T0, NOW, HOUR, None)
    assert (found.known, found.holes, found.lost) == (NOW - HOUR, 1, HOUR)
    assert not found.late
    assert stand(MINUTES, spans[:1], T0, NOW, HOUR, None).late


def test_what_the_venue_ended_is_not_late() -> None:
    """A delivered future has no more candles; what lacks before its end still counts."""
    over = NOW - 30 * DAY
    assert stand(MINUTES, [known(over)], T0, NOW, HOUR, over).late_by == 0
    assert stand(MINUTES, [known(over - HOUR)], T0, NOW, HOUR, over).late


def test_nothing_at_all_is_late_since_its_beginning() -> None:
    """A series that was never fetched."""
    found = stand(MINUTES, [], NOW - DAY, NOW, HOUR, None)
    assert (found.known, found.late_by, found.late) == (None, DAY - 2 * MINUTE, True)


@given(st.integers(0, 10 * DAY), st.integers(0, DAY))
def test_waiting_makes_nothing_fresher(behind: int, pause: int) -> None:
    """What is so much behind now is not less behind later."""
    spans = [known(NOW - behind // MINUTE * MINUTE)]
    early, later = (stand(MINUTES, spans, T0, at, HOUR, None).late_by for at in (NOW, NOW + pause))
    assert early <= later <= early + pause + MINUTE


def test_the_allowance_is_the_entry_s_then_the_table_s_then_its_way_s() -> None:
    """Candles may be hours late; trades without a capture wait for the archive."""
    minutes = Keep("htx-linear", "klines", ("BTC-USDT",), ("1min",))
    trades = Keep("htx-linear", "trades", ("BTC-USDT",))
    plain = Settings()
    assert allowance(minutes, plain) == ALLOWED
    assert allowance(trades, plain) == ALLOWED
    assert allowance(trades, Settings(serve=Serve(capture=False))) == ALLOWED_LATE
    said = Settings(alerts=Alerts(fresh_within="20m"))
    assert allowance(trades, said) == 20 * MINUTE
    assert allowance(Keep("htx-linear", "trades", ("*",), fresh_within="1h30m"), said) == 90 * MINUTE
    with pytest.raises(ConfigError, match=r"alerts.fresh_within: 'soon'"):
        allowance(trades, Settings(alerts=Alerts(fresh_within="soon")))


def test_a_lake_is_looked_at_series_by_series(tmp_path: Path) -> None:
    """A name without anything, a glob of what is there, two entries that mean one series: the stricter counts."""
    store = Store(tmp_path / "lake")
    store.commit(JANUARY, candles(range(600)), [asked(0, 600)])
    keep = (
        Keep("htx-linear", "klines", ("BTC-*",), ("1min",), "2024-01-01", fresh_within="40d"),
        Keep("htx-linear", "klines", ("btc-usdt", "ETH-USDT"), ("1min",), "2024-01-01", fresh_within="2h"),
    )
    found = fresh.standings(Settings(str(tmp_path / "lake"), str(tmp_path / "tape"), keep=keep), T0 + 11 * HOUR)
    assert [(one.series.symbol, one.known, one.allowed, one.late) for one in found] == [
        ("BTC-USDT", T0 + 10 * HOUR, 2 * HOUR, False), ("ETH-USDT", None, 2 * HOUR, True),
    ]  # fmt: skip
    assert found[0].rows == 600
    said = "klines htx-linear BTC-USDT 1min: up to 2024-01-01T10:00:00Z, 58m behind, 2h allowed"
    assert fresh.sentence(found[0]) == said


def test_a_glob_expects_nothing_of_what_has_no_such_data(tmp_path: Path) -> None:
    """HashKey's pairs have no mark price: only the perpetual is late."""
    store, instrument = Store(tmp_path / "lake"), dataset("instruments")
    for symbol, kind in (("BTCUSDT", "spot"), ("BTCUSDT-PERPETUAL", "swap")):
        words = {"base": ["BTC"], "quote": ["USDT"], "kind": [kind], "status": ["trading"]}
        row = {**words, "as_of": [T0], "tick_size": [0.5], "source": "rest", "received_at": T0}
        store.commit(partition_of(Series("instruments", "hashkey", symbol), T0), conform(instrument, row))
    keep = (Keep("hashkey", "mark_prices", ("BTC*",), every="1m"),)
    found = fresh.standings(Settings(str(tmp_path / "lake"), str(tmp_path / "tape"), keep=keep), NOW)
    assert [(one.series.symbol, one.late) for one in found] == [("BTCUSDT-PERPETUAL", True)]


@pytest.mark.parametrize(
    ("span", "text"), [(0, "0s"), (42 * SECOND, "42s"), (3 * HOUR + 12 * MINUTE, "3h12m"), (52 * HOUR, "2d4h")]
)
def test_spans_are_short(span: int, text: str) -> None:
    """Two units."""
    assert short(span) == text


# ------------------------------------------------------------------------------------------------- who hears of it


def at(symbol: str, *, late: bool) -> Standing:
    return Standing(Series("trades", "htx-spot", symbol), NOW, 3 * HOUR if late else 0, HOUR)


def settings(folder: Path, **alerts: object) -> Settings:
    return Settings(serve=Serve(state=str(folder / "state")), alerts=Alerts(**alerts))  # type: ignore[arg-type]


def heard(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_a_command_hears_of_every_change_once(tmp_path: Path) -> None:
    """Late, late still, late with another, fresh again: three calls, each with what changed and nothing else."""
    file = tmp_path / "heard"
    keep = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read() + '\\n')"
    found = settings(tmp_path, command=(sys.executable, "-c", keep, str(file)))
    one, other = at("a", late=True), at("b", late=True)
    for standings in ([one], [one], [one, other], [at("a", late=False), other], [at("a", late=False), other]):
        assert alert.tell(standings, found, NOW) == []
    told = [([s["symbol"] for s in m["late"]], [s["symbol"] for s in m["fresh"]]) for m in heard(file)]  # type: ignore[attr-defined]
    assert told == [(["a"], []), (["b"], []), ([], ["a"])]
    first = heard(file)[0]
    assert first["at"] == "2024-03-05T12:00:00Z"
    assert first["late"] == [
        {"dataset": "trades", "venue": "htx-spot", "symbol": "a", "period": None,
         "known_until": "2024-03-05T12:00:00Z", "late_by_seconds": 10800, "allowed_seconds": 3600}
    ]  # fmt: skip


def test_the_command_meets_no_shell(tmp_path: Path) -> None:
    """What a shell would take for more than a word is one."""
    found = settings(tmp_path, command=("sh", "-c", 'test "$1" = "; rm -rf *" || exit 7', "x", "; rm -rf *"))
    assert alert.tell([at("a", late=True)], found, NOW) == []


@pytest.mark.parametrize(
    ("command", "within", "words"),
    [
        (("/no/such/program",), "60s", "cannot be run: No such file"),
        ((sys.executable, "-c", "import sys; sys.exit('no paper')"), "60s", "ended with 1: no paper"),
        ((sys.executable, "-c", "import time; time.sleep(60)"), "0.5s", "took longer than 0.5 s"),
    ],
)
def test_a_command_that_fails_is_said_and_tried_again(
    tmp_path: Path, command: tuple[str, ...], within: str, words: str
) -> None:
    """The reason is given; the change stays untold until a check succeeds."""
    broken, found = settings(tmp_path, command=command, timeout=within), [at("a", late=True)]
    (why,) = alert.tell(found, broken, NOW)
    assert words in why
    file = tmp_path / "heard"
    assert alert.tell(found, settings(tmp_path, command=("tee", str(file))), NOW) == []
    assert len(heard(file)) == 1


@pytest.fixture
def address() -> Iterator[tuple[str, list[bytes], list[int], Event]]:
    """An address of somebody: what came, what to answer, and whether to answer at all."""
    came: list[bytes] = []
    answers: list[int] = []
    silent, over = Event(), Event()

    class Somebody(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(self.rfile.read(int(self.headers["Content-Length"])))
            if silent.is_set():
                over.wait(60)
            self.send_response(answers.pop(0) if answers else 204)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Somebody)
    server.daemon_threads = True
    server.block_on_close = False
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook/s3cret", came, answers, silent
    over.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_gets_the_same(tmp_path: Path, address: tuple[str, list[bytes], list[int], Event]) -> None:
    """A POST of JSON; anything but a 2xx, or silence, is a failure, and its address is not in the sentence."""
    url, came, answers, silent = address
    found, hasty = (settings(tmp_path, webhook=url, timeout=within) for within in ("60s", "0.4s"))
    answers.append(500)
    assert alert.tell([at("a", late=True)], found, NOW) == ["alerts.webhook: 127.0.0.1 answered HTTP 500"]
    silent.set()
    (why,) = alert.tell([at("a", late=True)], hasty, NOW)
    until(lambda: len(came) == 2)  # who does not answer may hear of it later than we lose patience
    assert why == "alerts.webhook: 127.0.0.1 gave no answer within 0.4 s"
    silent.clear()
    assert alert.tell([at("a", late=True)], found, NOW) == []
    assert len(came) == 3
    assert json.loads(came[2])["late"][0]["symbol"] == "a"
    with pytest.raises(Unreachable, match="cannot be reached") as caught:
        post("http://127.0.0.1:1/hook/s3cret", b"{}", 1.0)
    assert "s3cret" not in str(caught.value)


# ------------------------------------------------------------------------------------------------- metrics


@given(st.text(max_size=20), st.text(max_size=20), st.floats(allow_nan=False, allow_infinity=False))
def test_any_label_survives(symbol: str, meaning: str, value: float) -> None:
    """What a scraper reads is what was meant: quotes, backslashes, line breaks, non-ASCII, as Prometheus reads them."""
    from prometheus_client import parser

    family = metrics.Family("htxdata_x", meaning, "gauge", [({"symbol": symbol, "period": ""}, value)])
    (read,) = parser.text_string_to_metric_families(metrics.render([family]))
    (sample,) = read.samples
    assert sample.labels == {"symbol": symbol, "period": ""}
    assert sample.value == value


def test_the_text_is_what_it_should_be() -> None:
    """Byte for byte."""
    series = Series("klines", "htx-spot", 'a"b\\c\nd', "1min")
    (until, late, *_) = metrics.of_series([Standing(series, 2 * SECOND, 1500 * 1000, HOUR)])
    labels = r'{dataset="klines",venue="htx-spot",symbol="a\"b\\c\nd",period="1min"}'
    assert metrics.render([until, late]) == (
        "# HELP htxdata_known_until_seconds Until when nothing has to be asked for, Unix time.\n"
        "# TYPE htxdata_known_until_seconds gauge\n"
        f"htxdata_known_until_seconds{labels} 2\n"
        "# HELP htxdata_late_seconds For how long more of the series could have been had.\n"
        "# TYPE htxdata_late_seconds gauge\n"
        f"htxdata_late_seconds{labels} 1.5\n"
    )


def test_the_share_of_a_budget_is_what_was_asked_since(tmp_path: Path) -> None:
    """Ten turns of a budget of a hundred a second, given within one look and the next."""
    from htxdata.transport.budget import Budget

    hosts = {"htx_spot_rest": "http://127.0.0.1:9/htx-spot"}
    found = Settings(hosts=hosts, budgets={**BUDGETS, "htx_spot_rest": 100.0})
    budgets = metrics.Budgets(found)
    began = time.monotonic()
    budgets.look()
    mine = Budget("127.0.0.1:9/htx-spot", 100.0)
    for _ in range(10):
        mine.acquire()
    mine.close()
    given, used, paused = budgets.look()
    least = 10 / 100 / (time.monotonic() - began)
    rest, ledger = {"host": "htx_spot_rest"}, {"host": "htx_spot_ledger"}  # a pool of the host's, untouched
    assert given.samples == [(rest, 10.0), (ledger, 0.0)]
    assert least <= used.samples[0][1] <= 2  # the first slots of a budget are given at once
    assert paused.samples == [(rest, 0.0), (ledger, 0.0)]


@pytest.mark.parametrize("text", ["0.0.0.0:9464", "example.com:80", "127.0.0.1:99999"])
def test_metrics_are_shown_to_this_machine_only(text: str) -> None:
    """Another address is a mistake in the configuration."""
    with pytest.raises(ConfigError, match="metrics is"):
        metrics.address(Settings(metrics=text))
    assert metrics.address(Settings(metrics="127.0.0.1:9464")) == 9464
    assert metrics.address(Settings(metrics="data/x.prom")) == Path("data/x.prom")
