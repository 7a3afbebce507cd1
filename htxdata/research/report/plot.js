// A chart over time on a canvas: the wheel, a pinch or + and - zoom, dragging pans, the pointer or the arrow keys read.

const STEPS = [
  ...[1, 2, 5, 10, 15, 30, 60, 120, 240, 360, 720].map((minutes) => minutes * 60_000_000),
  ...[1, 2, 7, 14].map((days) => days * DAY),
];

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Round numbers between low and high, about so many. */
function ticks(low, high, about) {
  const rough = (high - low) / Math.max(1, about);
  if (!(rough > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= rough);
  const out = [];
  for (let at = Math.ceil(low / step); at * step <= high && out.length < 50; at += 1) out.push(at * step);
  return out;
}

/** Instants to write below the chart, at most so many: round minutes, hours, days, or the first of months. */
function timeTicks(from, to, most) {
  const step = STEPS.find((each) => (to - from) / each <= most);
  const out = [];
  if (step) {
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) out.push(at);
    return out;
  }
  const months = [1, 2, 3, 6, 12, 24, 60, 120, 600].find((each) => (to - from) / (each * 30 * DAY) <= most) ?? 1200;
  const first = new Date(from / 1000);
  for (let month = Math.ceil((first.getUTCFullYear() * 12 + first.getUTCMonth()) / months) * months; out.length < 50; month += months) {
    const at = Date.UTC(Math.floor(month / 12), month % 12) * 1000;
    if (at > to) break;
    if (at >= from) out.push(at);
  }
  return out;
}

/**
 * `show(level)` shows another level. A level has `times` (ascending, microseconds), `length` of a bar, `extent(a, b)`
 * (lowest and highest value of bars a to b), `draw(context, geometry)` and `read(index)`. `marks(level, from, to)` are spans
 * to shade; `press(span)` is called for one that is clicked.
 */
function plot({ label, low = false, marks = () => [], press = () => {} }) {
  const canvas = make("canvas", { tabindex: "0", role: "img", "aria-label": label });
  const readout = make("div", { class: "readout", "aria-live": "polite" });
  const element = make("div", { class: low ? "plot low" : "plot" }, readout, canvas);
  let level = null;
  let view = { from: 0, to: 1 };
  let at = null; // the bar that is read
  let waiting = false;
  const pointers = new Map();
  let moved = 0;

  const after = (instantOf) => {
    let [a, b] = [0, level.times.length];
    while (a < b) {
      const middle = (a + b) >> 1;
      if (level.times[middle] < instantOf) a = middle + 1; else b = middle;
    }
    return a;
  };
  const rim = () => ({ left: 6, right: canvas.clientWidth - 66, top: 8, bottom: canvas.clientHeight - 22 });
  const whole = () => ({ from: level.times[0] - level.length / 2, to: level.times.at(-1) + level.length * 1.5 });

  function look(from, to) {
    const all = whole();
    const width = Math.min(Math.max(to - from, level.length * 8), all.to - all.from);
    const start = Math.min(Math.max(from, all.from), all.to - width);
    view = { from: start, to: start + width };
    redraw();
  }

  function zoom(factor, x) {
    const { left, right } = rim();
    const pivot = view.from + ((x - left) / (right - left)) * (view.to - view.from);
    look(pivot - (pivot - view.from) * factor, pivot + (view.to - pivot) * factor);
  }

  function read(index) {
    at = index === null ? null : Math.min(Math.max(index, 0), level.times.length - 1);
    const shown = at ?? level.times.length - 1;
    readout.replaceChildren(...level.read(shown));
    redraw();
  }

  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; paint(); });
  }

  function paint() {
    const [width, height, ratio] = [canvas.clientWidth, canvas.clientHeight, window.devicePixelRatio || 1];
    if (!width || !level) return;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    const box = rim();
    const x = (micros) => box.left + ((micros - view.from) / (view.to - view.from)) * (box.right - box.left);
    const first = Math.max(0, after(view.from - level.length));
    const last = Math.min(level.times.length - 1, after(view.to));
    let [bottom, top] = level.extent(first, last);
    if (!(top > bottom)) [bottom, top] = [bottom - Math.abs(bottom || 1) * 0.01, top + Math.abs(top || 1) * 0.01];
    const pad = (top - bottom) * 0.06;
    [bottom, top] = [bottom - pad, top + pad];
    const floor = level.floor ? box.bottom - (box.bottom - box.top) * level.floor : box.bottom;
    const y = (value) => box.top + ((top - value) / (top - bottom)) * (floor - box.top);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";

    context.strokeStyle = colour("line");
    context.fillStyle = colour("faint");
    context.lineWidth = 1;
    const values = ticks(bottom, top, (floor - box.top) / 45);
    const places = values.length > 1 ? Math.min(12, Math.max(0, 1 - Math.floor(Math.log10(values[1] - values[0])))) : 6;
    for (const value of values) {
      line(context, box.left, y(value), box.right, y(value));
      context.fillText(level.write(value, places), box.right + 5, y(value), 60);
    }
    context.textAlign = "center";
    const wide = view.to - view.from > 3 * DAY;
    for (const moment of timeTicks(view.from, view.to, (box.right - box.left) / 90)) {
      line(context, x(moment), box.top, x(moment), box.bottom);
      const text = wide ? instant(moment).slice(0, 10) : instant(moment).slice(5);
      const half = context.measureText(text).width / 2;
      context.fillText(text, Math.max(half + 1, x(moment)), box.bottom + 12);
    }
    context.textAlign = "left";

    context.save();
    context.beginPath();
    context.rect(box.left, box.top, box.right - box.left, box.bottom - box.top);
    context.clip();
    for (const span of marks(level, view.from, view.to)) shade(context, span, x, box);
    level.draw(context, { x, y, first, last, box, floor, bar: x(view.from + level.length) - box.left, at });
    if (at !== null) {
      context.strokeStyle = colour("faint");
      context.setLineDash([4, 3]);
      const middle = x(level.times[at] + (level.centred ? 0 : level.length / 2));
      line(context, middle, box.top, middle, box.bottom);
      line(context, box.left, y(level.level(at)), box.right, y(level.level(at)));
      context.setLineDash([]);
    }
    context.restore();
  }

  function shade(context, span, x, box) {
    const [start, end] = [Math.max(box.left, x(span.start)), Math.min(box.right, x(span.end))];
    const width = Math.max(2, end - start);
    const fill = colour(VERDICTS[span.letter][0]);
    context.globalAlpha = 0.2;
    context.fillStyle = fill;
    context.fillRect(start, box.top, width, box.bottom - box.top);
    context.globalAlpha = 1;
    context.fillRect(start, box.bottom - 4, width, 4);
    if (width > 9) {
      context.fillStyle = colour("ink");
      context.fillText(width > 80 ? VERDICTS[span.letter][0] : span.letter, start + 3, box.bottom - 12);
    }
  }

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      const step = (event.deltaX / canvas.clientWidth) * (view.to - view.from);
      look(view.from + step, view.to + step);
    } else {
      zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 400))), event.offsetX);
    }
  }, { passive: false });

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event.offsetX);
    if (pointers.size === 1) moved = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const { left, right } = rim();
    const scale = (view.to - view.from) / (right - left);
    if (pointers.has(event.pointerId)) {
      const before = pointers.get(event.pointerId);
      const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, x]) => x);
      pointers.set(event.pointerId, event.offsetX);
      moved += Math.abs(event.offsetX - before);
      if (others.length) {
        const [was, is] = [Math.abs(before - others[0]), Math.abs(event.offsetX - others[0])];
        if (was > 10 && is > 10) zoom(was / is, (event.offsetX + others[0]) / 2);
        return;
      }
      look(view.from - (event.offsetX - before) * scale, view.to - (event.offsetX - before) * scale);
      if (event.pointerType !== "mouse" && moved > 6) return;
    }
    const moment = view.from + (event.offsetX - left) * scale - (level.centred ? 0 : level.length / 2);
    const next = after(moment);
    const nearer = next > 0 && moment - level.times[next - 1] < (level.times[next] ?? Infinity) - moment;
    read(nearer ? next - 1 : next);
  });
  const lift = (event) => {
    if (event.type === "pointerup" && pointers.size === 1 && moved < 6) {
      const { left, right } = rim();
      const moment = view.from + ((event.offsetX - left) / (right - left)) * (view.to - view.from);
      const span = marks(level, moment, moment + 1)[0];
      if (span) press(span);
    }
    pointers.delete(event.pointerId);
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("pointerleave", () => { if (!pointers.size) read(null); });
  canvas.addEventListener("dblclick", () => { const all = whole(); look(all.from, all.to); });
  canvas.addEventListener("keydown", (event) => {
    const width = view.to - view.from;
    const step = (bars) => {
      read((at ?? level.times.length) + bars);
      const moment = level.times[at];
      if (moment < view.from || moment > view.to) look(moment - width / 2, moment + width / 2);
    };
    const moves = {
      ArrowLeft: () => (event.shiftKey ? look(view.from - width / 5, view.to - width / 5) : step(-1)),
      ArrowRight: () => (event.shiftKey ? look(view.from + width / 5, view.to + width / 5) : step(1)),
      "+": () => zoom(0.8, canvas.clientWidth / 2), "=": () => zoom(0.8, canvas.clientWidth / 2),
      "-": () => zoom(1.25, canvas.clientWidth / 2),
      Home: () => { const all = whole(); look(all.from, all.to); },
    };
    if (!(event.key in moves)) return;
    event.preventDefault();
    moves[event.key]();
  });
  new ResizeObserver(redraw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  window.addEventListener("beforeprint", paint);

  return { element, show(next) {
    level = next;
    const all = whole();
    look(all.from, all.to);
    read(null);
  }, get view() { return view; } };
}

function line(context, x1, y1, x2, y2) {
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}
