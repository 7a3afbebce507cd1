"""The page of `htxdata report` in a real browser: it draws, it answers clicks and keys, and it asks nobody."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from htxdata.research.report import report
from htxdata.timeline import DAY
from tests.browser import chromium
from tests.browser.chromium import Browser, Tab
from tests.research import report_lake
from tests.research.report_lake import HOSTILE, NOW, T0, build

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        chromium.binary() is None,
        reason="no chromium on the PATH, and HTXDATA_CHROMIUM names none (Debian: apt-get install chromium)",
    ),
]
SPOT = "klines htx-spot btcusdt 60min"
ROW = f'#coverage .row[data-series="{SPOT}"]'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    command = chromium.binary()
    assert command is not None
    with chromium.running(command) as running:
        yield running


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    file = folder / "report.html"
    file.write_text(report(build(folder / "lake"), now=NOW), encoding="utf-8")
    return file


@pytest.fixture
def tab(browser: Browser, page: Path) -> Iterator[Tab]:
    """The page on a desktop; when the test is over, the console must have stayed silent and nobody been asked."""
    opened = browser.tab()
    opened.size(1280, 900)
    opened.open(page)
    yield opened
    opened.settle()
    errors, asked = opened.errors, set(opened.asked)
    opened.close()
    assert errors == []
    assert asked == {page.as_uri()}


def text(tab: Tab, selector: str) -> str:
    return str(tab.js(f"document.querySelector({selector!r}).innerText"))


def painted(tab: Tab, selector: str, name: str) -> int:
    """How many dots of a canvas have exactly a colour of the page's."""
    wanted = tab.js(f"getComputedStyle(document.documentElement).getPropertyValue('--{name}').trim()")
    red, green, blue = (int(wanted[at : at + 2], 16) for at in (1, 3, 5))
    number = 255 << 24 | blue << 16 | green << 8 | red
    return int(
        tab.js(
            f"(() => {{ const shown = document.querySelector({selector!r});"
            "const copy = Object.assign(document.createElement('canvas'), {width: shown.width, height: shown.height});"
            "const context = copy.getContext('2d', {willReadFrequently: true}); context.drawImage(shown, 0, 0);"
            "const bytes = context.getImageData(0, 0, copy.width, copy.height).data;"
            f"return new Uint32Array(bytes.buffer).filter(each => each === {number}).length; }})()"
        )
    )


def test_it_says_what_is_there(tab: Tab) -> None:
    """A row of cells for every series, each cell with its verdict as a class, a letter and a spoken name."""
    verdicts = tab.js(f"[...document.querySelectorAll('{ROW} .cell')].map(each => each.dataset.verdict)")
    assert len(verdicts) == 19, "the week before 2024 and eighteen of it"
    assert set(verdicts) == {"none", "present", "outage", "missing", "unobtainable"}
    names = tab.js(
        f"[...document.querySelectorAll('{ROW} .v-m')].map(each => [each.textContent, each.ariaLabel])"
    )
    assert names[1] == ["m", "htx-spot btcusdt 60min, 2024-02-12 to 2024-02-19: all missing"]
    assert tab.js("document.querySelectorAll('#coverage .row[data-series]').length") == len(HOSTILE) + 5
    assert "partly" in text(tab, ".legend")


def test_hostile_names_are_text(tab: Tab) -> None:
    """They are on the page as they are written, and made no element."""
    rows = tab.js(
        "[...document.querySelectorAll('#coverage .row[data-series] .name')].map(each => each.textContent)"
    )
    assert {f"htx-spot {symbol} 1day" for symbol in HOSTILE} <= set(rows)
    assert tab.js("document.querySelectorAll('img, b, script[src], main script').length") == 0
    assert "1006 <b>gone</b>" in text(tab, "#gaps")
    assert "</td><b>" in text(tab, "#findings")


def test_a_click_on_a_hole_tells_its_verdict(tab: Tab) -> None:
    """Verdict, span, source, rows and when it was fetched; also of one day of it; Escape closes it again."""
    tab.click(*tab.middle(f"{ROW} .v-o"))
    told = tab.js(
        "[...document.querySelectorAll('#details tbody tr')].map(row => [...row.children].map(e => e.textContent))"
    )
    outage = next(row for row in told if "outage" in row[0])
    assert outage[1:6] == ["2024-01-21", "2024-01-22 05:00", "1 d 5 h", "0", "rest"]
    assert outage[6].startswith("2025-"), "fetched"
    assert tab.js("document.querySelector('#details').dataset.verdict") == "outage"
    assert SPOT in text(tab, "#details")
    tab.click(*tab.middle("#details .cells .cell:nth-child(2)"))
    assert text(tab, "#details p").startswith("2024-01-16 to 2024-01-17")
    assert tab.js("document.querySelector('#details').dataset.verdict") == "present"
    tab.press("Escape", 27)
    assert tab.js("document.querySelector('#details').hidden")


@pytest.mark.parametrize(
    ("table", "verdict"), [("#holes tr:first-child", "missing"), ("#freshness tr:last-child", "")]
)
def test_a_row_of_a_table_tells_the_same(tab: Tab, table: str, verdict: str) -> None:
    """A click shows it, wherever on the page one is; the longest hole is the first."""
    tab.size(1280, 400)
    selector = table.replace(" ", " tbody ")
    assert verdict in text(tab, selector)
    tab.click(*tab.middle(selector))
    assert verdict in tab.js("document.querySelector('#details').dataset.verdict")
    box = tab.js("document.querySelector('#details').getBoundingClientRect().toJSON()")
    assert 0 <= box["top"] < box["bottom"] <= 401, "in sight"


def test_the_keyboard_reaches_every_cell(tab: Tab) -> None:
    """One tab stop for a grid, arrows inside it, Enter tells."""
    assert (
        tab.js(
            "document.querySelectorAll('#coverage [role=grid]')[0].querySelectorAll('[tabindex=\"0\"]').length"
        )
        == 1
    )
    tab.js(f"document.querySelector('{ROW} .v-m').focus()")
    tab.press("ArrowRight", 39)
    assert tab.js("document.activeElement.ariaLabel").endswith("2024-02-12 to 2024-02-19: all missing")
    tab.press("Enter", 13)
    assert "2024-02-10\t2024-03-03" in text(tab, "#details tbody")
    tab.press("End", 35)
    tab.press("ArrowUp", 38)
    assert tab.js("document.activeElement.dataset.at") == "18"


def test_typing_leaves_the_series_that_are_meant(tab: Tab) -> None:
    """All words must be in a name; without any, everything is back."""
    shown = "[...document.querySelectorAll('#coverage .row[data-series]')].filter(each => each.offsetParent).length"
    everything = tab.js(shown)
    tab.js("document.querySelector('#coverage input').focus()")
    tab.call("Input.insertText", text="BTCUSDT klines")
    tab.settle()
    assert tab.js(shown) == 1 < everything
    tab.js(
        "(e => { e.value = ''; e.dispatchEvent(new Event('input')); })(document.querySelector('#coverage input'))"
    )
    tab.settle()
    assert tab.js(shown) == everything


@pytest.mark.parametrize("chart", ["#candles", "#funding"])
def test_the_charts_are_drawn(tab: Tab, chart: str) -> None:
    """Not blank; the pointer reads a bar; the wheel zooms in and a double click out again."""
    assert min(painted(tab, f"{chart} canvas", name) for name in ("up", "down")) > 20
    x, y = tab.middle(f"{chart} canvas")
    tab.mouse("mouseMoved", x, y)
    tab.settle()
    before = tab.js(f"document.querySelector('{chart} canvas').toDataURL()")
    first = text(tab, f"{chart} .readout")
    assert first.startswith("2024-0")
    assert ("high" in first and "volume" in first) if chart == "#candles" else "%" in first
    for _ in range(4):
        tab.mouse("mouseWheel", x, y, deltaX=0, deltaY=-300)
    tab.settle()
    near = tab.js(f"document.querySelector('{chart} canvas').toDataURL()")
    assert near != before
    tab.mouse("mousePressed", x, y, button="left", clickCount=1)
    tab.mouse("mouseMoved", x - 200, y, button="left", buttons=1)
    tab.mouse("mouseReleased", x - 200, y, button="left", clickCount=1)
    tab.settle()
    assert tab.js(f"document.querySelector('{chart} canvas').toDataURL()") != near


def test_a_candle_is_read_as_it_is_stored(tab: Tab, page: Path) -> None:
    """The numbers that the script unpacks and writes are those of the data."""
    found = report_lake.said(page.read_text(encoding="utf-8"))["candles"]["charts"]
    at = next(n for n, chart in enumerate(found) if chart["s"] == "btcusdt")
    tab.js(
        f"(() => {{ const s = document.querySelector('#candles select'); s.selectedIndex = {at};"
        "s.dispatchEvent(new Event('change')); document.querySelectorAll('#candles button')[1].click(); })()"
    )
    tab.js("document.querySelector('#candles canvas').focus()")
    bars = report_lake.bars(found[at]["levels"][1])
    for back in range(1, 4):
        tab.press("ArrowLeft", 37)
        _, opened, high, low, close, volume = bars[-back]
        told = text(tab, "#candles .readout")
        assert f"open {opened:.15g} · high {high:.15g} · low {low:.15g} · close {close:.15g} (" in told
        assert told.endswith(f"volume {volume:.15g}")


def test_a_table_sorts_by_the_head_that_is_pressed(tab: Tab) -> None:
    """Down and up again, by value and not by text, and says so."""
    lines = "[...document.querySelectorAll('#freshness tbody tr')]"
    rows = f"{lines}.map(row => Number(row.children[4].textContent.replaceAll(',', '')))"
    for order in ("descending", "ascending"):
        tab.click(*tab.middle("#freshness th:nth-child(5) button"))
        found = tab.js(rows)
        assert found == sorted(found, reverse=order == "descending")
        assert (
            tab.js("document.querySelector('#freshness th:nth-child(5)').getAttribute('aria-sort')") == order
        )


def test_it_fits_a_phone(tab: Tab, page: Path) -> None:
    """No sideways scrolling at 360 pixels, but of the calendar in its place; what is to be tapped is there."""
    tab.size(360, 740, ratio=2, phone=True)
    tab.open(page)
    assert tab.js("[document.documentElement.scrollWidth, window.innerWidth]") == [360, 360]
    tab.click(*tab.middle(f"{ROW} .v-m"))
    assert "missing" in text(tab, "#details")
    assert tab.js("document.documentElement.scrollWidth") == 360
    assert painted(tab, "#candles canvas", "up") > 20


def test_a_wide_calendar_scrolls_in_its_place(browser: Browser, page: Path) -> None:
    """Three months of days are wider than a phone, and the page is not."""
    file = page.with_name("days.html")
    file.write_text(report(page.with_name("lake"), now=NOW, start=T0, end=T0 + 91 * DAY), encoding="utf-8")
    opened = browser.tab()
    opened.size(360, 740, ratio=2, phone=True)
    opened.open(file)
    assert opened.js("document.querySelector('#coverage .scroll').scrollWidth") > 800
    assert opened.js("document.documentElement.scrollWidth") == 360
    assert opened.errors == []
    opened.close()


def test_it_is_dark_where_that_is_preferred(tab: Tab) -> None:
    """Background and text change places in brightness, and the charts are drawn anew."""

    def brightness(what: str) -> float:
        numbers = tab.js(f"getComputedStyle(document.body).{what}.match(/[0-9.]+/g).slice(0, 3).map(Number)")
        return sum(numbers) / 3

    light = tab.js("document.querySelector('#candles canvas').toDataURL()")
    assert brightness("backgroundColor") > 230 > 80 > brightness("color")
    tab.media(prefers_color_scheme="dark")
    assert brightness("backgroundColor") < 40 < 200 < brightness("color")
    assert tab.js("document.querySelector('#candles canvas').toDataURL()") != light


def test_it_prints(tab: Tab) -> None:
    """A document of some pages, in which every group is open."""
    assert len(tab.call("Page.printToPDF", printBackground=True)["data"]) > 20_000
    assert tab.js("[...document.querySelectorAll('details')].every(each => each.open)")


def test_an_empty_lake_says_so(browser: Browser, tmp_path: Path) -> None:
    """In words, without an error."""
    file = tmp_path / "empty.html"
    file.write_text(report(tmp_path / "none", now=NOW), encoding="utf-8")
    opened = browser.tab()
    opened.open(file)
    assert "The lake is empty." in text(opened, "main")
    assert opened.errors == []
    opened.close()


def test_it_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a browser is done with, its processes and its profile are gone."""
    monkeypatch.setattr(chromium.tempfile, "tempdir", str(tmp_path))
    command = chromium.binary()
    assert command is not None
    with chromium.running(command) as running:
        running.tab()
        assert _processes(tmp_path)
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())
    assert not _processes(tmp_path)


def _processes(profile: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if os.fsencode(str(profile)) in line:
            found.append(entry.name)
    return found
