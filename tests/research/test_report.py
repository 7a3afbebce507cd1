"""The page: it says what the lake says, value by value; it asks nobody; and nothing in a lake becomes markup."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.cli import main
from htxdata.market import Series
from htxdata.research.lake import Lake
from htxdata.research.report import charts, page, report
from htxdata.store.footer import Span
from htxdata.timeline import DAY, HOUR, SECOND, iso
from tests.research import report_lake
from tests.research.lakes import put
from tests.research.report_lake import DELISTED, END, GAPS, HOSTILE, NOW, REVISED, T0, VERDICTS, build, said


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("report") / "lake")


@pytest.fixture(scope="module")
def shown(lake: Path) -> str:
    return report(lake, now=NOW)


# ------------------------------------------------------------------------------------------ what the lake says


def test_its_spans_are_the_coverage_of_the_lake(lake: Path, shown: str) -> None:
    """Unpacked, they are the rows of the view `coverage`: verdict, span, source and rows of every one."""
    told = [
        (*report_lake.name(series), start, end, VERDICTS[letter], source, rows)
        for series in said(shown)["series"]
        for start, end, letter, source, _, rows in report_lake.spans(series["spans"])
    ]
    columns = (
        "dataset, venue, symbol, period, epoch_us(span_start), epoch_us(span_end), verdict, source, rows"
    )
    assert {row[6] for row in told} == set(VERDICTS.values())
    assert sorted(told, key=str) == sorted(Lake(lake).coverage().project(columns).fetchall(), key=str)


def test_it_tells_when_a_span_was_fetched(shown: str) -> None:
    """To the second; what is missing was never fetched."""
    series = next(
        each for each in said(shown)["series"] if report_lake.name(each)[2:] == ("btcusdt", "60min")
    )
    for start, end, letter, _, fetched, _ in report_lake.spans(series["spans"]):
        assert (fetched == 0) == (letter == "m"), iso(start)
        if fetched:
            assert fetched * SECOND >= end + 400 * DAY - DAY


def test_its_totals_and_ages_are_those_of_the_lake(lake: Path, shown: str) -> None:
    """Rows as SQL counts them; behind is what became final; what was delisted has ended."""
    page_says = said(shown)
    lines = {report_lake.name(each): each for each in page_says["series"]}
    rows = Lake(lake).coverage().aggregate("sum(rows)").fetchall()[0][0]
    spot = lines["klines", "htx-spot", "btcusdt", "60min"]
    assert page_says["totals"]["rows"] == rows == sum(each["rows"] for each in lines.values())
    assert (spot["known"], spot["behind"], spot["ended"]) == (END, 29 * HOUR, None)
    assert spot["held"] == {
        "present": 120 * DAY - (3 + 22) * DAY - 29 * HOUR - 2 * HOUR, "empty": 3 * DAY, "outage": 29 * HOUR,
        "missing": 22 * DAY, "unobtainable": 2 * HOUR,
    }  # fmt: skip
    gone = lines["klines", "htx-spot", HOSTILE[2], "1day"]
    assert (gone["ended"], gone["behind"]) == (DELISTED, 10 * DAY)
    assert lines["kline_revisions", "htx-spot", "btcusdt", "60min"]["behind"] is None


def test_its_candles_are_those_of_the_lake(lake: Path, shown: str) -> None:
    """Every bar of every level, prices to the last bit, volumes to six digits; made bars are made of complete ones."""
    opened = Lake(lake)
    found = said(shown)["candles"]
    assert {each["s"] for each in found["charts"]} == {"btcusdt", *HOSTILE}
    assert found["left_out"] == 0
    for chart in found["charts"]:
        periods = ["4hour", "60min"] if chart["s"] == "btcusdt" else ["1day"]
        assert [level["period"] for level in chart["levels"]] == periods
        for level in chart["levels"]:
            told = report_lake.bars(level)
            rows = opened.klines([chart["s"]], venue=[chart["y"]], period=level["period"], start=told[0][0])
            truth = rows.project('epoch_us(open_time), "open", high, low, "close", volume').fetchall()
            assert [bar[:5] for bar in told] == [row[:5] for row in truth]
            assert [bar[5] for bar in told] == pytest.approx([row[5] for row in truth], rel=1e-5)


def test_its_fundings_are_those_of_the_lake(lake: Path) -> None:
    """The last ones as they are; where there are more than fit, sums of days of all of them."""
    wanted = Lake(lake).funding_rates().project("epoch_us(funding_time), funding_rate").fetchall()
    times, rates = zip(*wanted, strict=True)
    levels = list(charts._funding_levels(charts.np.array(times), charts.np.array(rates), 200))
    assert [level["period"] for level in levels] == ["sum of a week", "each"]
    each, weeks = levels[1], levels[0]
    assert report_lake.instants(each["t"], each["count"]) == list(times[-100:])
    assert [rate / 10.0 ** each["digits"] for rate in each["r"]] == list(rates[-100:])
    openings = report_lake.instants(weeks["t"], weeks["count"])
    assert openings[0] == T0, "the first of January 2024 is a Monday"
    for opening, rate in zip(openings, weeks["r"], strict=True):
        inside = math.fsum(r for at, r in wanted if opening <= at < opening + 7 * DAY)
        assert rate / 10.0 ** weeks["digits"] == pytest.approx(inside, abs=1e-12)


def test_gaps_revisions_and_findings_are_told(shown: str) -> None:
    """How many there are, how many of the gaps were never healed and how long they are, and the first of each."""
    page_says = said(shown)
    open_gaps = [(start, end) for start, end, healed in GAPS if not healed]
    gaps = page_says["gaps"]
    assert (gaps["total"], gaps["unhealed"]) == (len(GAPS), len(open_gaps))
    assert gaps["lost"] == sum(end - start for start, end in open_gaps)
    assert [(row[3], row[4], row[6] is not None) for row in gaps["rows"]] == GAPS[::-1]
    assert page_says["revisions"] == {
        "total": 7, "series": 1,
        "rows": [["htx-spot", "btcusdt", "60min", 7, int(REVISED[0]), int(REVISED[-1]), int(REVISED[-1]) + DAY]],
    }  # fmt: skip
    checks = page_says["findings"]["checks"]
    assert [(each["check"], each["total"], len(each["rows"])) for each in checks] == [
        ("arithmetic", 3, 3), ("grid", 25, 20),
    ]  # fmt: skip
    assert checks[0]["rows"][0] == [
        "klines", "htx-spot", "btcusdt", "60min", None, "volume", 1.5, None, "</td><b>",
    ]  # fmt: skip


def test_the_same_lake_and_now_give_the_same_page(lake: Path, shown: str) -> None:
    """To the byte, with and without a cache of footers; another now changes the data only."""
    (lake / ".htxdata" / "coverage.cache").unlink()
    assert report(lake, now=NOW) == shown
    later = report(lake, now=iso(NOW + HOUR))
    assert later != shown
    assert later.replace(report_lake.block(later), "") == shown.replace(report_lake.block(shown), "")


def test_filters_choose_what_is_on_it(lake: Path) -> None:
    """Dataset, venue, symbol and period choose series; the range cuts the calendar and the charts."""
    found = said(report(lake, now=NOW, dataset="klines", symbol=["btc*"], period="60min"))
    assert [report_lake.name(each) for each in found["series"]] == [
        ("klines", "htx-spot", "btcusdt", "60min")
    ]
    assert found["fundings"]["charts"] == []
    cut = said(report(lake, now=NOW, symbol="btcusdt", start="2024-01-10", end="2024-01-30"))
    assert cut["axis"] == {"unit": "day", "edges": list(range(T0 + 9 * DAY, T0 + 30 * DAY, DAY))}
    line = cut["series"][0]
    assert report_lake.unrolled(line["cells"]) == "P" * 11 + "Oo" + "P" * 7
    assert [span[:3] for span in report_lake.spans(line["spans"])][1] == (T0 + 20 * DAY, T0 + 509 * HOUR, "o")
    assert {bar[0] for bar in report_lake.bars(cut["candles"]["charts"][0]["levels"][0])} <= set(
        range(T0 + 9 * DAY, T0 + 29 * DAY, HOUR)
    )
    assert cut["gaps"]["total"] == 0
    assert said(report(lake, now=NOW, symbol="BTC-USDT", start=T0, end=T0 + 10 * DAY))["gaps"]["total"] == 9


def test_an_empty_lake_says_so(tmp_path: Path) -> None:
    """A folder without anything, or none at all, gives a page without series."""
    for root in (tmp_path, tmp_path / "none"):
        found = said(report(root, now=NOW))
        assert (found["series"], found["axis"], found["broken"]) == ([], None, [])
    assert not (tmp_path / "none").exists()


def test_a_broken_file_is_named_and_the_rest_is_shown(tmp_path: Path) -> None:
    """Its own series is not on the page; all others are."""
    root = build(tmp_path / "lake", hostile=())
    (broken,) = (root / "klines").rglob(".g*.pq")
    broken.write_bytes(b"PAR1 not anymore PAR1")
    found = said(report(root, now=NOW))
    assert [each for each in found["broken"] if broken.name in each]
    assert ("klines", "htx-spot", "btcusdt", "60min") not in map(report_lake.name, found["series"])
    assert ("funding_rates", "htx-linear", "BTC-USDT", None) in map(report_lake.name, found["series"])


def test_rows_that_cannot_be_read_leave_out_one_chart(tmp_path: Path) -> None:
    """Where the footer is sound and the rows are not, the calendar has the series, the charts have not."""
    root = build(tmp_path / "lake", hostile=())
    (broken,) = (root / "klines").rglob(".g*.pq")
    raw = bytearray(broken.read_bytes())
    raw[4 : len(raw) // 2] = bytes(len(raw) // 2 - 4)
    broken.write_bytes(raw)
    found = said(report(root, now=NOW))
    assert found["broken"]
    assert ("klines", "htx-spot", "btcusdt", "60min") in map(report_lake.name, found["series"])
    assert found["candles"]["charts"] == []


# -------------------------------------------------------------------------------------------- asking nobody


def test_its_policy_allows_its_own_script_and_style_only(shown: str) -> None:
    """By their hashes; everything else, images and connections among it, is forbidden."""
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', shown)
    (style,) = re.findall(r"<style>(.*?)</style>", shown, re.DOTALL)
    (script,) = re.findall(r"<script>(.*?)</script>", shown, re.DOTALL)

    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert policy.split("; ") == [
        "default-src 'none'", f"script-src {digest(script)}", f"style-src {digest(style)}", "base-uri 'none'",
        "form-action 'none'",
    ]  # fmt: skip


def test_it_names_no_address(shown: str) -> None:
    """No URL of any scheme, nothing to load, and no way in the script to make markup or code of text."""
    code = shown.replace(report_lake.block(shown), "")
    assert not re.search(r"https?:|//[a-z]|url\(|@import|\bsrc=|<link|<iframe", code)
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|fetch\(|import\(", code
    )


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[object] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, [(name, value) for name, value in attrs if name != "content"]))

    def handle_endtag(self, tag: str) -> None:
        self.found.append(tag)

    def handle_comment(self, data: str) -> None:
        self.found.append(data)


def _tags(text: str) -> list[object]:
    parser = _Tags()
    parser.feed(text)
    parser.close()
    return parser.found


def test_symbols_never_become_markup(shown: str, tmp_path: Path) -> None:
    """The tags of a page full of hostile names are those of an empty lake's page; the names are in its data."""
    assert _tags(shown) == _tags(report(tmp_path, now=NOW))
    assert {each["s"] for each in said(shown)["series"]} >= set(HOSTILE)


signs = st.sampled_from(
    [*"<>&\"'`\\/{}!-= scriptSCRIPTu0032\n\0", "\u2028", "\u2029", "\u202e", "é", "币", "😀"]
)
words = st.sampled_from(["</script>", "<!--<script>", "]]>", "{{data}}", "{{script}}", "&lt;", "\\u003c"])


@given(st.lists(signs | words).map("".join))
def test_any_text_is_data(text: str) -> None:
    """Whatever stands in a lake, it comes back as it was, and the page around it stays the same."""
    inside = page.embedded({text: [text]})
    assert json.loads(inside) == {text: [text]}
    assert not set("<>&\u2028\u2029") & set(inside)
    before, after = page.render("").split('""</script>', 1)
    assert page.render({text: [text]}) == f"{before}{inside}</script>{after}"


# ------------------------------------------------------------------------------------------------- the size


def test_the_page_is_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of more series than there is room for the first are shown, with few spans each, and the rest is counted."""
    spans = [
        Span(
            T0 + n * HOUR, T0 + (n + 1) * HOUR, ("present", "empty", "outage")[n % 3], "rest", END, n % 3 == 0
        )
        for n in range(150)
    ]
    found = {
        Series("klines", "htx-spot", f"s{n:04d}usdt", "60min"): spans for n in range(page.MOST_SERIES + 40)
    }
    monkeypatch.setattr(page.ledger, "lake_coverage", lambda *args, **more: dict(found))
    monkeypatch.setattr(charts, "MOST_CHARTS", 0)
    text = report(tmp_path, now=NOW)
    told = said(text)
    assert (len(told["series"]), told["left_out"]) == (page.MOST_SERIES, 40)
    assert sum(len(each["spans"]["v"]) for each in told["series"]) <= page.MOST_STRETCHES
    assert all(each["left_out"] + len(each["spans"]["v"]) == 100 for each in told["series"])
    assert all(set(each["spans"]["v"]) == {"o"} for each in told["series"]), "holes come first"
    assert len(text) < 700_000


@pytest.mark.parametrize("years", [1, 3, 8])
def test_charts_are_bounded(years: int) -> None:
    """Of years of minutes: all of them in days or weeks, the end in hours, the very end in minutes."""
    hull = charts.Window(T0, T0 + years * 365 * DAY)
    levels = charts.levels({"1min": hull}, charts.Window(T0 - DAY, END + 4000 * DAY), 2_000)
    assert [name for name, _ in levels] == ["1day" if years < 8 else "1week", "60min", "1min"][: len(levels)]
    assert sum(cut.length // charts.length(name) for name, cut in levels) <= 2_000
    assert levels[0][1] == hull
    assert {cut.end for _, cut in levels} == {hull.end}


def test_a_period_that_is_stored_in_part_does_not_stand_for_all() -> None:
    """A month of stored days beside years of minutes: the days of the chart are made of minutes."""
    years = charts.Window(T0, T0 + 1000 * DAY)
    month = charts.Window(years.end - 30 * DAY, years.end)
    named = [name for name, _ in charts.levels({"1min": years, "1day": month}, years, 2_000)]
    assert named == ["utc_day", "60min", "1min"]
    assert charts.levels({"1min": years, "1day": years}, years, 2_000)[0][0] == "1day"


# ---------------------------------------------------------------------------------------- the command line


def _configured(lake: Path) -> None:
    Path("htxdata.toml").write_text(f'lake = "{lake}"\n')


def test_the_command_writes_the_page_and_prints_its_path(
    lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing else on stdout, whole or not at all, in place of what was there; by default htxdata-report.html."""
    _configured(lake)
    Path("mine.html").write_text("old")
    os.link("mine.html", "open.html")  # as whoever has the old page open
    assert (
        main(["report", "klines", "--symbol", "btc*", "--output", "mine.html", "--start", "2024-01-05"]) == 0
    )
    assert capsys.readouterr() == ("mine.html\n", "")
    found = said(Path("mine.html").read_text(encoding="utf-8"))
    assert [report_lake.name(each)[2] for each in found["series"]] == ["btcusdt"]
    assert found["chosen"] == {
        "dataset": "klines", "venue": None, "symbol": ["btc*"], "period": None, "start": T0 + 4 * DAY, "end": None,
    }  # fmt: skip
    assert main(["report"]) == 0
    assert capsys.readouterr().out == "htxdata-report.html\n"
    assert Path("open.html").read_text() == "old"
    names = ["htxdata-report.html", "htxdata.toml", "mine.html", "open.html"]
    assert sorted(path.name for path in Path.cwd().iterdir()) == names


def test_an_empty_lake_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, and a page."""
    _configured(Path.cwd() / "nothing")
    assert main(["report"]) == 0
    assert said(Path("htxdata-report.html").read_text())["series"] == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("nonsense", "'nonsense' is not a dataset"),
        ("--venue nowhere", "nowhere"),
        ("--period 7min", "'7min'"),
        ("--start yesterday", "--start.*'yesterday'"),
        ("--start 2024-02 --end 2024-01", "--end '2024-01' is not after --start '2024-02'"),
        ("--output .", "--output '.' cannot be written"),
        (
            "--output no/such/folder/x.html",
            "--output 'no/such/folder/x.html' cannot be written: No such file",
        ),
        ("--output ''", "--output ''"),
    ],
)
def test_what_cannot_be_is_a_usage_error(
    line: str, words: str, lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and a sentence; nothing on stdout and no file."""
    _configured(lake)
    assert main(["report", *shlex.split(line)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(words, err)
    assert [path.name for path in Path.cwd().iterdir()] == ["htxdata.toml"]


def test_a_broken_file_ends_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The page is there all the same, and stderr names the file."""
    line = Series("klines", "htx-spot", "btcusdt", "1day")
    store = report_lake.Store(tmp_path / "lake")
    put(store, line, report_lake.candles(line, T0 - 8 * HOUR, T0 + 40 * HOUR, [], DAY), [])
    (broken,) = (tmp_path / "lake" / "klines").rglob("cell=2024/.g*.pq")
    broken.write_bytes(b"PAR1")
    _configured(tmp_path / "lake")
    assert main(["report"]) == 3
    out, err = capsys.readouterr()
    assert out == "htxdata-report.html\n"
    assert f"not in the report: {broken}" in err
    assert said(Path("htxdata-report.html").read_text())["broken"]
