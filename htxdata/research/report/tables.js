// Tables: plain ones, and ones whose columns sort.

function plainTable(head, rows, right = []) {
  const side = (at) => (right.includes(at) ? "number" : null);
  return make("div", { class: "scroll tall" }, make("table", {},
    make("thead", {}, make("tr", {}, ...head.map((text, at) => make("th", { scope: "col", class: side(at) }, text)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((cell, at) => make("td", { class: side(at) }, cell)))))));
}

/**
 * A table that sorts by the column whose head is pressed. `columns`: { head, value(row), show(row)?, right? };
 * what has no value comes last. `choose(row)` makes its rows ones to press.
 */
function sortedTable(columns, rows, { by = 0, down = false, choose = null, label = "" } = {}) {
  const body = make("tbody", {});
  const heads = columns.map((column, at) => make("th", { scope: "col", class: column.right ? "number" : null },
    make("button", { type: "button", onclick: () => sort(at, at === by ? !down : Boolean(column.right)) }, column.head)));
  const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, "en") : a - b);
  const lines = rows.map((row) => ({ row, element: line(row) }));

  function line(row) {
    const cells = columns.map((column) => make("td", { class: column.right ? "number" : null }, (column.show ?? column.value)(row) ?? ""));
    if (!choose) return make("tr", {}, ...cells);
    return make("tr", { class: "link", tabindex: "0", onclick: () => choose(row),
      onkeydown: (event) => event.key === "Enter" && choose(row) }, ...cells);
  }

  function sort(at, descending) {
    [by, down] = [at, descending];
    const value = ({ row }) => columns[at].value(row) ?? null;
    lines.sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === null || y === null) return (x === null) - (y === null);
      return down ? compare(y, x) : compare(x, y);
    });
    heads.forEach((head, index) => {
      if (index === at) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    body.replaceChildren(...lines.map((each) => each.element));
  }

  sort(by, down);
  const table = make("table", { "aria-label": label }, make("thead", {}, make("tr", {}, ...heads)), body);
  return make("div", { class: "scroll tall" }, table);
}

function freshness() {
  const late = (series) => series.ended === null && series.behind > DAY;
  return sortedTable([
    { head: "series", value: seriesName, show: (each) => make("span", { class: "name" }, seriesName(each)) },
    { head: "behind", right: true, value: (each) => (each.ended === null ? each.behind : null),
      show: (each) => (each.ended !== null ? `ended ${instant(each.ended)}` : each.known === null ? "nothing known" : `${duration(each.behind)}${late(each) ? " !" : ""}`) },
    { head: "known until", value: (each) => each.known, show: (each) => when(each.known) },
    { head: "from", value: (each) => each.first, show: (each) => when(each.first) },
    { head: "rows", right: true, value: (each) => each.rows, show: (each) => count(each.rows) },
    ...[..."mou"].map((letter) => ({
      head: VERDICTS[letter][0], right: true, value: (each) => each.held[VERDICTS[letter][0]] || null,
      show: (each) => duration(each.held[VERDICTS[letter][0]] || null),
    })),
  ], data.series, { by: 1, down: true, label: "Freshness", choose: (each) => { tell(each, each.first, each.last, null); } });
}

const MOST_HOLES = 200;

/** The longest holes of all series. */
function holes() {
  const all = data.series.flatMap((series) => spansOf(series).filter((span) => HOLES.includes(span.letter)));
  if (!all.length) return make("p", {}, "No holes: between the first and the last instant of each series everything is present or empty.");
  const shown = all.sort((a, b) => (b.end - b.start) - (a.end - a.start)).slice(0, MOST_HOLES);
  const table = sortedTable([
    { head: "series", value: (each) => seriesName(each.series), show: (each) => make("span", { class: "name" }, seriesName(each.series)) },
    { head: "verdict", value: (each) => VERDICTS[each.letter][0], show: (each) => badge(each.letter) },
    { head: "from", value: (each) => each.start, show: (each) => when(each.start) },
    { head: "to", value: (each) => each.end, show: (each) => when(each.end) },
    { head: "length", right: true, value: (each) => each.end - each.start, show: (each) => duration(each.end - each.start) },
  ], shown, { by: 4, down: true, label: "Holes", choose: (each) => tell(each.series, each.start, each.end, null) });
  const more = all.length > shown.length ? [make("p", { class: "faint" }, `The longest ${count(shown.length)} of ${count(all.length)}.`)] : [];
  return make("div", { class: "holes" }, table, ...more);
}

function gaps() {
  const { total, unhealed, lost, rows } = data.gaps;
  if (!total) return make("p", {}, "None: nothing was captured, or nothing was lost while it was.");
  return make("div", {},
    make("p", {}, `${counted(total, "gap")}, ${count(unhealed)} not healed (${duration(lost)} in all).${rows.length < total ? ` The newest ${count(rows.length)}:` : ""}`),
    sortedTable([
      { head: "series", value: (row) => `${row[0]} ${row[1]}`, show: (row) => make("span", { class: "name" }, `${row[0]} ${row[1]}`) },
      { head: "feed", value: (row) => row[2] },
      { head: "from", value: (row) => row[3], show: (row) => when(row[3]) },
      { head: "to", value: (row) => row[4], show: (row) => when(row[4]) },
      { head: "length", right: true, value: (row) => row[4] - row[3], show: (row) => duration(row[4] - row[3]) },
      { head: "healed", value: (row) => row[6], show: (row) => (row[6] === null ? "no" : when(row[6])) },
      { head: "cause", value: (row) => row[5], show: (row) => make("span", { class: "wide name" }, row[5]) },
    ], rows, { by: 2, down: true, label: "Gaps of captures" }));
}

function revisions() {
  const { total, series, rows } = data.revisions;
  if (!total) return make("p", {}, "None: no stored candle was ever changed by its venue.");
  return make("div", {},
    make("p", {}, `${counted(total, "candle was", "candles were")} changed by the venue after they were stored, in ${count(series)} series; both versions are kept.`),
    sortedTable([
      { head: "series", value: (row) => row.slice(0, 3).join(" "), show: (row) => make("span", { class: "name" }, row.slice(0, 3).join(" ")) },
      { head: "revised", right: true, value: (row) => row[3], show: (row) => count(row[3]) },
      { head: "candles from", value: (row) => row[4], show: (row) => when(row[4]) },
      { head: "to", value: (row) => row[5], show: (row) => when(row[5]) },
      { head: "last superseded", value: (row) => row[6], show: (row) => when(row[6]) },
    ], rows, { by: 1, down: true, label: "Revisions" }));
}

function findings() {
  const { total, checks } = data.findings;
  if (!total) return make("p", {}, "None stored: htxdata audit was not run, or it found nothing.");
  return make("div", {}, ...checks.map((check) => make("details", { open: checks.length < 4 },
    make("summary", {}, make("strong", {}, check.check),
      ` · ${counted(check.total, "finding")}${check.rows.length < check.total ? `, the first ${count(check.rows.length)}` : ""}`),
    plainTable(["series", "at", "column", "ours", "theirs", "what"], check.rows.map((row) => [
      make("span", { class: "name" }, row.slice(0, 4).filter(Boolean).join(" ")), when(row[4]), row[5] ?? "",
      digits(row[6]), digits(row[7]), make("span", { class: "wide name" }, row[8] ?? ""),
    ]), [3, 4]))));
}
