// Elements are made of text nodes only: whatever a symbol is called, it is shown and never read as markup.

const data = JSON.parse(document.getElementById("data").textContent);

const DAY = 86_400_000_000; // microseconds, as all instants and spans of time here
const VERDICTS = {
  p: ["present", "stored"],
  e: ["empty", "asked: the venue has nothing"],
  o: ["outage", "the venue was down, or we were not connected; asked for again"],
  u: ["unobtainable", "the venue no longer serves it"],
  m: ["missing", "not fetched yet"],
  x: ["present", "with empty stretches in between"],
};
const HOLES = "mou";

function make(tag, attributes, ...inside) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...inside.flat().filter((each) => each !== null && each !== undefined));
  return element;
}

function two(number) {
  return String(number).padStart(2, "0");
}

/** "2024-03-01 16:00", with seconds and their parts only where there are any. All is UTC. */
function instant(micros) {
  if (micros === null || micros === undefined) return "";
  const moment = new Date(Math.floor(micros / 1000));
  if (Number.isNaN(moment.getTime())) return `${micros} us`;
  const date = moment.toISOString().slice(0, 10);
  const rest = ((micros % 1_000_000) + 1_000_000) % 1_000_000;
  const minutes = `${two(moment.getUTCHours())}:${two(moment.getUTCMinutes())}`;
  if (minutes === "00:00" && !moment.getUTCSeconds() && !rest) return date;
  if (!moment.getUTCSeconds() && !rest) return `${date} ${minutes}`;
  const part = rest ? `.${String(rest).padStart(6, "0").replace(/0+$/, "")}` : "";
  return `${date} ${minutes}:${two(moment.getUTCSeconds())}${part}`;
}

function when(micros) {
  return make("span", { class: "instant" }, instant(micros));
}

/** Two units at most: "3 d 4 h", "12 min", "0.5 s". */
function duration(micros) {
  if (micros === null || micros === undefined) return "";
  const units = [["d", DAY], ["h", DAY / 24], ["min", 60_000_000], ["s", 1_000_000]];
  const at = units.findIndex(([, size]) => micros >= size);
  if (at < 0) return micros ? `${micros / 1_000_000} s` : "0";
  const [name, size] = units[at];
  if (name === "d" && micros >= 1000 * size) return `${(micros / (365.25 * size)).toFixed(1)} years`;
  const rest = at + 1 < units.length ? Math.floor((micros % size) / units[at + 1][1]) : 0;
  return `${Math.floor(micros / size)} ${name}${rest ? ` ${rest} ${units[at + 1][0]}` : ""}`;
}

function count(number) {
  return number === null || number === undefined ? "" : number.toLocaleString("en-US");
}

function counted(number, one, many) {
  return `${count(number)} ${number === 1 ? one : (many ?? `${one}s`)}`;
}

function bytes(number) {
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (number >= size) return `${(number / size).toFixed(1)} ${unit}`;
  }
  return `${number} bytes`;
}

/** A number as people read it: 15 digits are what a DOUBLE carries. */
function digits(value) {
  return value === null || value === undefined ? "" : String(Number(value.toPrecision(15)));
}

function seriesName(series) {
  return [series.d, series.y, series.s, series.p].filter(Boolean).join(" ");
}

function badge(letter) {
  const [word, meaning] = VERDICTS[letter];
  return make("span", { class: "badge" }, swatch(letter === "x" ? "p" : letter), letter === "x" ? `${word} ${meaning}` : word);
}

function swatch(letter, more = "") {
  return make("span", { class: `cell v-${letter} ${more}`, "aria-hidden": "true" }, "eoum".includes(letter) ? letter : "");
}

/** "P3m" to ["P", "P", "P", "m"]. */
function unrolled(text) {
  return [...text.matchAll(/([A-Za-z.])(\d*)/g)].flatMap(([, letter, often]) => Array(Number(often || 1)).fill(letter));
}

/** The spans of a series: start, end, letter, source, fetched (0: never), rows, and of those taken together what is empty. */
function spansOf(series) {
  if (series.unpacked) return series.unpacked;
  const packed = series.spans;
  const together = new Map(packed.x.map(([at, empties, units]) => [at, { empties, emptyFor: units * packed.u }]));
  let at = packed.t;
  series.unpacked = packed.n.map((length, index) => {
    const start = at + packed.g[index] * packed.u;
    at = start + length * packed.u;
    return {
      series, start, end: at, letter: packed.v[index], source: packed.w[packed.s[index]],
      fetched: packed.f[index] ? (packed.f[index] + packed.f0) * 1_000_000 : 0, rows: packed.r[index],
      ...together.get(index),
    };
  });
  return series.unpacked;
}

function touching(series, from, to) {
  return spansOf(series).filter((span) => span.start < to && span.end > from);
}
