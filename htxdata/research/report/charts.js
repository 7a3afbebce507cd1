// Candles and fundings: what was packed in charts.py unpacked again, drawn, and told.

function instantsOf({ first, runs }, size) {
  const out = new Float64Array(size);
  let [at, next] = [first, 1];
  if (size) out[0] = first;
  for (const [distance, often] of runs) {
    for (let n = 0; n < often; n += 1) out[next++] = at += distance;
  }
  return out;
}

/** Candles as they were: whole distances from what was there before, divided by a power of ten, are exact. */
function candlesOf(packed) {
  const size = packed.count;
  const level = { ...packed, times: instantsOf(packed.t, size), o: packed.o, h: packed.h, l: packed.l, c: packed.c };
  if (packed.digits !== null) {
    const scale = 10 ** packed.digits;
    Object.assign(level, { o: [], h: [], l: [], c: [] });
    let close = 0;
    for (let at = 0; at < size; at += 1) {
      const open = close + packed.o[at];
      close = open + packed.c[at];
      level.o.push(open / scale);
      level.c.push(close / scale);
      level.h.push((Math.max(open, close) + packed.h[at]) / scale);
      level.l.push((Math.min(open, close) + packed.l[at]) / scale);
    }
  }
  const highest = level.v ? level.v.reduce((most, each) => Math.max(most, each ?? 0), 0) : 0;
  return {
    ...level,
    floor: highest ? 0.18 : 0,
    write: (value, places) => value.toFixed(places),
    level: (at) => level.c[at],
    extent(first, last) {
      let [low, high] = [Infinity, -Infinity];
      for (let at = first; at <= last; at += 1) {
        if (level.l[at] < low) low = level.l[at];
        if (level.h[at] > high) high = level.h[at];
      }
      return low <= high ? [low, high] : [0, 1];
    },
    draw: (context, geometry) => drawCandles(context, geometry, level),
    read(at) {
      const change = level.o[at] ? ((level.c[at] / level.o[at] - 1) * 100).toFixed(2) : "";
      const volume = level.v ? ` · volume ${digits(level.v[at])}` : "";
      return [make("strong", { class: "instant" }, instant(level.times[at])), " ", level.period, make("br"),
        `open ${digits(level.o[at])} · high ${digits(level.h[at])} · low ${digits(level.l[at])} · close ${digits(level.c[at])}` +
        `${change ? ` (${change} %)` : ""}${volume}`];
    },
  };
}

/** Rising candles are hollow, falling ones are full: colour is not all that tells them. */
function drawCandles(context, { x, y, first, last, box, floor, bar }, level) {
  const [up, down, sheet] = [colour("up"), colour("down"), colour("sheet")];
  const body = Math.max(1, bar * 0.68);
  let most = 0;
  if (level.v) for (let at = first; at <= last; at += 1) most = Math.max(most, level.v[at] ?? 0);
  for (let at = first; at <= last; at += 1) {
    const middle = x(level.times[at] + level.length / 2);
    const rising = level.c[at] >= level.o[at];
    context.strokeStyle = context.fillStyle = rising ? up : down;
    if (most && level.v[at]) {
      const tall = (level.v[at] / most) * (box.bottom - floor - 6);
      context.globalAlpha = 0.35;
      context.fillRect(middle - body / 2, box.bottom - tall, body, tall);
      context.globalAlpha = 1;
    }
    line(context, middle, y(level.h[at]), middle, y(level.l[at]));
    if (body < 2.5) continue;
    const [top, bottom] = [y(Math.max(level.o[at], level.c[at])), y(Math.min(level.o[at], level.c[at]))];
    const tall = Math.max(1, bottom - top);
    if (rising && body >= 4) context.fillStyle = sheet;
    context.fillRect(middle - body / 2, top, body, tall);
    if (rising && body >= 4) context.strokeRect(middle - body / 2, top, body, tall);
  }
}

function fundingsOf(packed) {
  const size = packed.count;
  const scale = packed.digits === null ? 1 : 10 ** packed.digits;
  const rates = packed.r.map((each) => each / scale);
  const times = instantsOf(packed.t, size);
  const length = packed.length || Math.max(60_000_000, size > 1 ? (times[size - 1] - times[0]) / (size - 1) : DAY / 3);
  const percent = (value, places) => `${(value * 100).toFixed(Math.max(0, places - 2))} %`;
  return {
    period: packed.period, times, length, centred: !packed.length, write: percent, level: (at) => rates[at],
    extent(first, last) {
      const shown = rates.slice(first, last + 1);
      return [Math.min(0, ...shown), Math.max(0, ...shown)];
    },
    draw(context, { x, y, first, last, bar }) {
      const body = Math.max(1, Math.min(bar * 0.7, 24));
      for (let at = first; at <= last; at += 1) {
        const middle = x(times[at] + (packed.length ? length / 2 : 0));
        const [top, bottom] = [y(Math.max(0, rates[at])), y(Math.min(0, rates[at]))];
        context.fillStyle = colour(rates[at] < 0 ? "down" : "up");
        context.fillRect(middle - body / 2, top, body, Math.max(1, bottom - top));
      }
      context.strokeStyle = colour("ink");
      line(context, -1e4, y(0), 1e5, y(0));
    },
    read: (at) => [make("strong", { class: "instant" }, instant(times[at])), ` ${packed.period}`, make("br"),
      `${digits(rates[at] * 100)} %`],
  };
}

/** A chooser of series, one of levels, and the plot below them. */
function chartOf(charts, unpack, { what, low, spansFor }) {
  let current = null;
  const chart = plot({ label: `${what}: arrow keys read, shift and arrow keys pan, + and - zoom, Home shows all`, low,
    marks: (level, from, to) => spansFor(current, level).filter((span) => span.start < to && span.end > from),
    press: (span) => tell(span.series, span.start, span.end, null) });
  const pick = make("select", { "aria-label": `Series of ${what}`, onchange: () => choose(charts[pick.selectedIndex]) },
    ...charts.map((each) => make("option", {}, [each.d, each.y, each.s].filter(Boolean).join(" "))));
  const buttons = make("span", { class: "controls", role: "group", "aria-label": "Period" });

  function choose(entry) {
    current = entry;
    entry.unpacked ??= entry.levels.map(unpack);
    buttons.replaceChildren(...entry.unpacked.map((level) => make("button", { type: "button", "aria-pressed": "false",
      onclick: (event) => show(level, event.currentTarget) }, level.period)));
    show(entry.unpacked[0], buttons.firstElementChild);
  }

  function show(level, button) {
    for (const each of buttons.children) each.setAttribute("aria-pressed", String(each === button));
    chart.show(level);
  }

  choose(charts[0]);
  return make("div", {}, make("div", { class: "controls" }, pick, buttons), chart.element,
    make("p", { class: "faint" }, "Wheel or pinch zooms, drag pans, a double click shows all. Times are openings, UTC."));
}

/** The holes of the series that a level shows; of one that was made, those of the shortest stored period. */
function holesOf(chart, dataset, level) {
  level.holes ??= (() => {
    const lines = data.series.filter((each) => each.d === dataset && each.y === chart.y && each.s === chart.s);
    const line = lines.find((each) => each.p === level.period) ?? lines[0];
    return line ? spansOf(line).filter((span) => HOLES.includes(span.letter)) : [];
  })();
  return level.holes;
}

function candleCharts() {
  return chartOf(data.candles.charts, candlesOf, { what: "Candles", spansFor: (chart, level) => holesOf(chart, chart.d, level) });
}

function fundingCharts() {
  return chartOf(data.fundings.charts, fundingsOf, { what: "Funding rates", low: true, spansFor: (chart, level) => holesOf(chart, "funding_rates", level) });
}
