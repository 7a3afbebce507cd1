// The calendar: a grid of cells for each dataset, one row for a series; and what is told of a cell that is chosen.

const details = make("aside", { id: "details", role: "region", "aria-live": "polite", "aria-label": "What is chosen", hidden: true });
let chosenCell = null;

function cellTitle(letter, from, to, unit) {
  const when = unit === "day" ? instant(from) : `${instant(from)} to ${instant(to)}`;
  if (letter === ".") return `${when}: nothing of this series`;
  const [word] = VERDICTS[letter.toLowerCase()];
  return `${when}: ${letter === letter.toUpperCase() ? "all" : "partly"} ${word}`;
}

/** A row of cells. `choose(from, to, element)` is called for the one that is clicked, or entered by Enter or space. */
function cellsOf(letters, edges, unit, name, choose) {
  const row = make("div", { class: "cells", role: "presentation" });
  row.style.setProperty("--cells", letters.length);
  letters.forEach((letter, at) => {
    const low = letter.toLowerCase();
    const look = letter === "." ? "v-none" : `v-${low}${letter === low ? " part" : ""}`;
    const title = cellTitle(letter, edges[at], edges[at + 1], unit);
    const cell = make("span", {
      class: `cell ${look}`, role: "gridcell", tabindex: "-1", "aria-label": `${name}, ${title}`, title,
      "data-at": at, "data-verdict": letter === "." ? "none" : VERDICTS[low][0],
    }, "eoum".includes(low) ? low : "");
    row.append(cell);
  });
  const pick = (event) => {
    const cell = event.target.closest(".cell");
    if (!cell) return;
    const at = Number(cell.dataset.at);
    choose(edges[at], edges[at + 1], cell);
  };
  row.addEventListener("click", pick);
  row.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    pick(event);
  });
  return row;
}

/** One tab stop for a whole grid; arrows, Home and End move inside it. */
function roving(grid) {
  const first = grid.querySelector("[role=gridcell]");
  if (first) first.tabIndex = 0;
  const go = (cell) => {
    if (!cell) return;
    for (const old of grid.querySelectorAll("[tabindex='0'][role=gridcell]")) old.tabIndex = -1;
    cell.tabIndex = 0;
    cell.focus();
  };
  grid.addEventListener("keydown", (event) => {
    const cell = event.target.closest("[role=gridcell]");
    if (!cell) return;
    const row = cell.parentElement;
    const rows = [...grid.querySelectorAll(".cells:has([role=gridcell])")].filter((each) => each.offsetParent);
    const beside = (step) => rows[rows.indexOf(row) + step]?.children[Number(cell.dataset.at)];
    const moves = {
      ArrowLeft: () => cell.previousElementSibling, ArrowRight: () => cell.nextElementSibling,
      Home: () => row.firstElementChild, End: () => row.lastElementChild,
      ArrowUp: () => beside(-1), ArrowDown: () => beside(1),
    };
    if (!(event.key in moves)) return;
    event.preventDefault();
    go(moves[event.key]());
  });
  grid.addEventListener("focusin", (event) => {
    const cell = event.target.closest("[role=gridcell]");
    if (!cell) return;
    for (const old of grid.querySelectorAll("[tabindex='0'][role=gridcell]")) old.tabIndex = -1;
    cell.tabIndex = 0;
  });
}

/** Years or months over the cells, where they begin. */
function axisRow(edges, unit) {
  const row = make("div", { class: "cells" });
  row.style.setProperty("--cells", edges.length - 1);
  const label = (micros) => new Date(micros / 1000).toISOString().slice(0, unit === "day" || unit === "week" ? 7 : 4);
  const marks = [];
  for (let at = 0; at < edges.length - 1; at += 1) {
    if (!marks.length || label(edges[at]) !== marks.at(-1).text) marks.push({ at, text: label(edges[at]) });
  }
  marks.forEach(({ at, text }, index) => {
    const until = marks[index + 1]?.at ?? edges.length - 1;
    const short = unit === "week" && index && !text.endsWith("-01") ? text.slice(5) : text;
    const span = make("span", {}, until - at > 1 ? short : "");
    span.style.gridColumn = `${at + 1} / ${until + 1}`;
    row.append(span);
  });
  return make("div", { class: "row axis", "aria-hidden": "true" }, make("span", { class: "name" }), row);
}

function legend() {
  const entries = ["p", "e", "o", "u", "m"].map((letter) =>
    make("li", {}, swatch(letter), `${VERDICTS[letter][0]} (${VERDICTS[letter][1]})`));
  return make("ul", { class: "legend", "aria-label": "Legend" }, ...entries,
    make("li", {}, swatch("m", "part"), "partly: the worst that is in it"),
    make("li", {}, make("span", { class: "cell v-none", "aria-hidden": "true" }), "nothing of this series"));
}

function calendarGroup(name, lines, open) {
  const { edges, unit } = data.axis;
  const grid = make("div", { class: "scroll", role: "grid", "aria-label": `Coverage of ${name}`, "aria-readonly": "true" });
  grid.style.setProperty("--cells", edges.length - 1);
  if (edges.length > 72) grid.classList.add("many");
  const fill = () => {
    if (grid.childElementCount) return;
    requestAnimationFrame(() => { grid.scrollLeft = grid.scrollWidth; }); // the newest first, where not all are in sight
    grid.append(axisRow(edges, unit));
    for (const series of lines) {
      const said = [series.y, series.s, series.p].filter(Boolean).join(" ");
      const cells = cellsOf(unrolled(series.cells), edges, unit, said, (from, to, cell) => tell(series, from, to, cell));
      const row = make("div", { class: "row", role: "row" }, make("span", { class: "name", role: "rowheader" }, said), cells);
      row.dataset.series = seriesName(series).toLowerCase();
      grid.append(row);
    }
    roving(grid);
  };
  const holes = lines.filter((series) => [...HOLES].some((letter) => series.held[VERDICTS[letter][0]])).length;
  const group = make("details", { class: "group", open, ontoggle: () => group.open && fill() },
    make("summary", {}, name, make("span", { class: "faint" },
      ` · ${count(lines.length)} series${holes ? `, ${count(holes)} with holes` : ", no holes"}`)), grid);
  if (open) fill();
  return group;
}

/** Series by dataset; groups beyond the first hundred rows are closed, and filled when they are opened. */
function calendar() {
  const groups = Map.groupBy ? Map.groupBy(data.series, (each) => each.d) : grouped(data.series, (each) => each.d);
  let rows = 0;
  return [...groups].map(([name, lines]) => {
    rows += lines.length;
    return calendarGroup(name, lines, rows <= 100 || rows === lines.length);
  });
}

function grouped(entries, key) {
  const out = new Map();
  for (const each of entries) {
    if (!out.has(key(each))) out.set(key(each), []);
    out.get(key(each)).push(each);
  }
  return out;
}

/** The panel: verdict, span, source, rows and time of fetching of everything in `[from, to)`. */
function tell(series, from, to, cell) {
  const close = make("button", { type: "button", "aria-label": "Close", onclick: () => shut() }, "Close");
  const unit = data.axis.unit;
  const range = make("p", { class: "faint instant" });
  const parts = [make("div", { class: "top" }, make("h3", { class: "name" }, seriesName(series)), close), range];
  const first = data.axis.edges[0];
  if (unit !== "day" && to - from > DAY && (from - first) % DAY === 0) {
    const letters = unrolled(series.days).slice((from - first) / DAY, Math.ceil((to - first) / DAY)).slice(0, 366);
    if (letters.length > 1 && letters.length <= 62) {
      const edges = Array.from({ length: letters.length + 1 }, (_, at) => from + at * DAY);
      const days = make("div", { role: "grid", "aria-label": "The days of it", class: "scroll" },
        make("div", { role: "row" }, cellsOf(letters, edges, "day", series.s, (a, b) => list(a, b))));
      parts.push(days);
      roving(days);
    }
  }
  const place = make("div", {});
  const list = (a, b) => {
    range.textContent = `${instant(a)} to ${instant(b)}, ${duration(b - a)}`;
    details.dataset.verdict = wordOf(touching(series, a, b));
    place.replaceChildren(spanTable(series, a, b));
  };
  list(from, to);
  details.replaceChildren(...parts, place);
  if (series.left_out) {
    details.append(make("p", { class: "faint" },
      `This series has ${counted(series.left_out, "more span")} than are kept on this page, the shortest ones; ` +
      "htxdata coverage --json has all of them."));
  }
  details.hidden = false;
  chosenCell?.setAttribute("aria-selected", "false");
  chosenCell = cell ?? null;
  chosenCell?.setAttribute("aria-selected", "true");
}

function shut() {
  details.hidden = true;
  chosenCell?.setAttribute("aria-selected", "false");
  chosenCell?.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !details.hidden) shut();
});

/** The worst verdict of some spans. */
function wordOf(spans) {
  const letter = ["m", "o", "u", "p", "x", "e"].find((each) => spans.some((span) => span.letter === each));
  return letter ? VERDICTS[letter][0] : "none";
}

function spanTable(series, from, to) {
  const most = 60;
  const all = touching(series, from, to);
  const ranked = all.length > most ? [...all].sort((a, b) => HOLES.includes(b.letter) - HOLES.includes(a.letter) || a.start - b.start) : all;
  const shown = ranked.slice(0, most).sort((a, b) => a.start - b.start);
  if (!shown.length) {
    return make("p", {}, series.left_out ? "No span of it is kept on this page." : "Nothing of this series: never asked for.");
  }
  const more = all.length > shown.length ? [make("p", { class: "faint" }, `… ${counted(all.length - shown.length, "more span")}`)] : [];
  return make("div", {}, plainTable(["verdict", "from", "to", "length", "rows", "source", "fetched"], shown.map((span) => [
    span.letter === "x" ? make("span", {}, badge("p"), ` with ${counted(span.empties, "empty stretch", "empty stretches")}, ${duration(span.emptyFor)}`) : badge(span.letter),
    when(span.start), when(span.end), duration(span.end - span.start), count(span.rows),
    span.source || "none", span.fetched ? when(span.fetched) : "never",
  ]), [4]), ...more);
}
