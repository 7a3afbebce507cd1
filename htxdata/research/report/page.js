// The page: its head, and one section for each question an operator asks.

function fact(term, value, more) {
  return make("div", {}, make("dt", {}, term), make("dd", {}, value, more ? make("small", { class: "name" }, more) : null));
}

function head() {
  const { totals, now, chosen } = data;
  const stale = data.series.filter((each) => each.ended === null && each.behind !== null)
    .reduce((most, each) => (most === null || each.behind > most.behind ? each : most), null);
  const sum = (letter) => data.series.reduce((total, each) => total + each.held[VERDICTS[letter][0]], 0);
  const many = [...HOLES].map((letter) => [letter, sum(letter)]).filter(([, micros]) => micros);
  const only = ["dataset", "venue", "symbol", "period"].filter((name) => chosen[name] !== null)
    .map((name) => `${name} ${[chosen[name]].flat().join(", ")}`);
  if (chosen.start !== null) only.push(`from ${instant(chosen.start)}`);
  if (chosen.end !== null) only.push(`to ${instant(chosen.end)}`);
  const from = data.series.reduce((least, each) => Math.min(least, each.first), Infinity);
  const to = data.series.reduce((most, each) => Math.max(most, each.last), -Infinity);
  const parts = [
    make("h1", {}, "What is in the lake ", make("span", { class: "name" }, data.lake)),
    make("p", { class: "faint" }, `Made ${instant(now - (now % 1_000_000))} UTC by htxdata ${data.version}. All times are UTC.`),
    only.length ? make("p", {}, "Only ", make("span", { class: "name" }, only.join("; ")), ".") : null,
    data.broken.length ? make("div", { class: "warn", role: "alert" },
      make("p", {}, `${counted(data.broken.length, "file")} could not be read, and what they hold is not on this page:`),
      make("ul", {}, ...data.broken.map((text) => make("li", {}, text)))) : null,
  ];
  if (data.series.length) {
    parts.push(make("dl", { class: "facts" },
      fact("series", count(totals.series), counted(totals.symbols, "symbol")),
      fact("rows", count(totals.rows), `${counted(totals.files, "file")}, ${bytes(totals.bytes)}`),
      fact("span", duration(to - from), `${instant(from)} to ${instant(to)}`),
      stale ? fact("most stale", stale.behind ? `${duration(stale.behind)} behind` : "nothing is behind", stale.behind ? seriesName(stale) : "") : null,
      fact("holes", many.length ? many.map(([letter, micros]) => `${duration(micros)} ${VERDICTS[letter][0]}`).join(", ") : "none",
        many.length ? "summed over series" : "everything is present or empty"),
    ));
  }
  document.getElementById("head").append(...parts.filter(Boolean));
}

function section(id, title, ...inside) {
  return make("section", { id, "aria-labelledby": `${id}-title` }, make("h2", { id: `${id}-title` }, title), ...inside);
}

function search() {
  if (data.series.length < 8) return null;
  const only = (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length) for (const group of document.querySelectorAll("#coverage .group")) group.open = true;
    requestAnimationFrame(() => {
      for (const row of document.querySelectorAll("#coverage .row[data-series]")) {
        row.hidden = !words.every((word) => row.dataset.series.includes(word));
      }
    });
  };
  return make("div", { class: "controls" }, make("input", { type: "search", placeholder: "only series with …", "aria-label": "Only series whose name has", oninput: only }));
}

function unread(what, show) {
  return what === null ? make("p", { class: "warn" }, "It could not be read; see above.") : show();
}

function leftOut(number, one, many) {
  return number ? make("p", { class: "faint" }, `${counted(number, `more ${one}`, `more ${many}`)} not shown: narrow the report with --symbol, --venue or a dataset.`) : null;
}

function sections() {
  const unit = data.axis.unit;
  const out = [
    section("coverage", "Coverage", make("p", { class: "faint" }, `A cell is a ${unit}. Choose one to see what is in it.`), legend(), search(),
      ...calendar(), leftOut(data.left_out, "series", "series are")),
    section("holes", "Holes", holes()),
    section("freshness", "Freshness", make("p", { class: "faint" }, `How much has become final since each series was last brought up to date; "!" after more than a day.`), freshness()),
  ];
  if (data.candles.charts.length) out.push(section("candles", "Candles", candleCharts(), leftOut(data.candles.left_out, "symbol", "symbols are")));
  if (data.fundings.charts.length) out.push(section("funding", "Funding", fundingCharts(), leftOut(data.fundings.left_out, "symbol", "symbols are")));
  out.push(
    section("gaps", "Gaps of captures", unread(data.gaps, gaps)),
    section("revisions", "Revisions", unread(data.revisions, revisions)),
    section("findings", "Audit findings", unread(data.findings, findings)),
  );
  return out;
}

head();
const main = document.getElementById("main");
if (!data.series.length) {
  main.replaceChildren(section("nothing", "Nothing is here",
    make("p", {}, data.chosen && Object.values(data.chosen).some((each) => each !== null)
      ? "The lake holds nothing of that kind." : "The lake is empty."),
    make("p", {}, "htxdata backfill fills it; htxdata demo shows how on an exchange of its own.")));
} else {
  const all = sections();
  const links = all.map((each) => make("li", {}, make("a", { href: `#${each.id}` }, each.querySelector("h2").textContent)));
  main.before(make("nav", { "aria-label": "Sections" }, make("ul", {}, ...links)));
  main.replaceChildren(...all, details);
}
window.addEventListener("beforeprint", () => {
  for (const each of document.querySelectorAll("details")) each.open = true;
});
