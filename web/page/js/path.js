// The filament's way, drawn: inlets, hubs, tubes, buffer, toolhead. Every stretch of it is a line
// whose length is given in mm, so that filament is drawn by its own lengths.

import { h, svg, attr, text, style, num, colour } from "./dom.js";
import { store, bus, boxes, pick, readOnly } from "./store.js";
import { isTold } from "./boxes.js";

const place = document.getElementById("path");
const TOP = 30;
/** More pieces of filament than this are not drawn: there is no room for them. */
const PIECES = 8;
const BEYOND_ALL = 1e7;

let drawing = null;
let width = 0;

new ResizeObserver(([entry]) => {
  const now = Math.round(entry.contentRect.width);
  // A hidden one has no width: what it had is as good a guess as any.
  if (now === width || now === 0) return;
  width = now;
  drawing = null;
  draw();
}).observe(place);

/** Draws what there is now. */
export function draw() {
  const state = bus();
  if (!store.state) return;
  place.hidden = boxes().length === 0;
  if (place.hidden || width === 0) return;
  const shape = JSON.stringify([width, boxes().map((box) => [box.box, box.geometry])]);
  if (drawing?.shape !== shape) {
    drawing = { shape, ...build(boxes()) };
    place.replaceChildren(drawing.root, legend);
  }
  drawing.draw(state);
  legend.hidden = isTold(state.toolhead) && boxes().every((box) => box.slots.every((slot) => isTold(slot.inlet) && isTold(slot.hub)));
}

/** What the sensors' looks mean: told where there is one that is not known from anywhere else. */
const legend = h("p", { class: "legend" },
  h("span", { data: { on: "true" } }, h("i"), "filament"),
  h("span", {}, h("i"), "no filament"),
  h("span", { data: { unknown: "true" } }, h("i", { "aria-hidden": "true" }, "?"), "not told yet: nobody has asked"));

/** Where things are, from left to right. */
function measures(count) {
  const narrow = width < 640;
  // Many boxes are drawn closer together; fingers need more room than pointers.
  const [lane, gap] = count > 3 && !narrow ? [13, 8] : count > 2 ? [16, 10] : [20, 16];
  const left = narrow ? 40 : 62;
  const at = (part) => left + (width - left) * part;
  const height = TOP + count * 4 * lane + (count - 1) * gap + 14;
  return {
    narrow, height, lane,
    step: 4 * lane + gap,
    inlet: left,
    hub: at(narrow ? 0.2 : 0.19),
    wheel: at(narrow ? 0.3 : 0.24),
    joint: at(narrow ? 0.5 : 0.55),
    buffer: at(narrow ? 0.61 : 0.665),
    toolhead: at(narrow ? 0.745 : 0.79),
    cutter: at(narrow ? 0.82 : 0.845),
    extruder: at(narrow ? 0.895 : 0.9),
    nozzle: width - (narrow ? 8 : 18),
    centre: TOP + (height - TOP - 14) / 2,
  };
}

function build(list) {
  const m = measures(list.length);
  const back = svg("g");
  const tubes = svg("g");
  const filament = svg("g");
  const front = svg("g");
  // Slots have their cards; of the toolhead nothing else tells.
  const about = svg("desc");
  const root = svg("svg", { viewBox: `0 0 ${width} ${m.height}`, height: m.height, role: "img" },
    svg("title", {}, "The filament's way from the inlets to the extruder"), about, back, tubes, filament, front);
  labels(back, m);
  const head = toolhead(back, front, m);
  const middle = buffer(back, front, m);
  const units = list.map((box, n) => unit({ back, tubes, filament, front }, m, box, n));
  const draw = (state) => {
    const bend = middle.draw(state.buffer);
    head.draw(state);
    text(about, `toolhead sensor: ${seen(state.toolhead)}`);
    units.forEach((one, n) => one.draw(state.boxes[n], state, bend));
  };
  return { root, draw };
}

function labels(back, m) {
  const y = 16;
  const names = [["inlet", m.inlet], ["hub", (m.hub + m.wheel) / 2], ["joint", m.joint], ["buffer", m.buffer]];
  names.push([m.narrow ? "head" : "toolhead", m.toolhead]);
  if (width >= 860) names.push(["cutter", m.cutter], ["extruder", m.extruder]);
  for (const [name, x] of names) back.append(svg("text", { class: "place", x, y }, name));
  for (const x of [m.inlet, m.joint]) back.append(svg("line", { class: "guide", x1: x, x2: x, y1: 22, y2: m.height - 6 }));
}

/** Sensor, cutter, extruder and nozzle. */
function toolhead(back, front, m) {
  const y = m.centre;
  back.append(svg("rect", { class: "head", x: m.toolhead - 14, y: y - 24, width: m.nozzle - m.toolhead + 10, height: 48, rx: 8 }));
  const sensor = lamp(m.toolhead, y, 5.5);
  const gear = (dy) => svg("circle", { class: "gear", cx: m.extruder, cy: y + dy, r: 6.5 });
  const gears = svg("g", {}, gear(-11), gear(11));
  const cutter = svg("path", { class: "cutter", d: `M${m.cutter} ${y - 6} l-4.5 -11 h9 z M${m.cutter} ${y + 6} l-4.5 11 h9 z` }, svg("title", {}, "cutter"));
  const nozzle = svg("path", { class: "nozzle", d: `M${m.nozzle - 4} ${y - 9} h6 l8 9 l-8 9 h-6 z` });
  const stub = svg("line", { class: "stub", y1: y, y2: y });
  front.append(cutter, gears, nozzle, stub, sensor.root);
  const draw = (state) => {
    sensor.draw(state.toolhead, state.toolhead_forced, "toolhead sensor");
    const speed = state.extruder ?? 0;
    attr(gears, "data-turns", speed ? (speed < 0 ? "reverse" : "forward") : null);
    const there = typeof state.stub === "number";
    attr(stub, "display", there ? null : "none");
    if (there) {
      const long = Math.min(1, Math.max(0.15, state.stub / 25)) * (m.extruder - m.cutter - 4);
      attr(stub, "x1", m.extruder - long);
      attr(stub, "x2", m.extruder);
    }
  };
  return { draw };
}

/** The buffer: a loop that grows with its slack, with its two switches. */
function buffer(back, front, m) {
  const half = m.narrow ? 15 : 26;
  const y = m.centre;
  const top = Math.max(TOP - 4, y - 46);
  const frame = svg("rect", { class: "buffer", x: m.buffer - half - 6, y: top, width: 2 * half + 12, height: y - top + 12, rx: 6 });
  const level = svg("rect", { class: "buffer-level", x: m.buffer - half - 6, width: 2 * half + 12, rx: 4 });
  const value = svg("text", { class: "place", x: m.buffer, y: y + 26 });
  const held = svg("text", { class: "place held", x: m.buffer, y: y + 40 });
  back.append(level, frame);
  front.append(value, held);
  const draw = (now) => {
    if (!now) {
      text(value, "");
      return 0;
    }
    const part = now.travel > 0 && typeof now.slack === "number" ? Math.max(0, Math.min(1, now.slack / now.travel)) : now.full ? 1 : 0;
    const inside = y - top + 12;
    attr(level, "y", top + inside * (1 - part));
    attr(level, "height", inside * part);
    const word = now.full && now.empty ? "fault" : now.full ? "full" : now.empty ? "empty" : now.full === null || now.full === undefined ? "" : "middle";
    text(value, typeof now.slack === "number" && !m.narrow ? `${word} · ${num(now.slack, 1)} mm` : word);
    text(held, now.held ? "held" : "");
    return part;
  };
  return { draw };
}

/** A box's lanes. */
function unit(layers, m, box, n) {
  const first = TOP + n * m.step + m.lane / 2;
  const end = first + 3 * m.lane;
  const hub = svg("g");
  hub.append(svg("rect", { class: "hub", x: m.hub - 12, y: first - 9, width: m.wheel - m.hub + 24, height: end - first + 18, rx: 7 }));
  layers.back.append(hub);
  const gear = svg("circle", { class: "gear", cx: m.wheel, cy: (first + end) / 2, r: 7 });
  const turning = svg("g", {}, svg("title", {}, "hub motor and measuring wheel"), gear);
  const lanes = box.slots.map((slot, i) => lane(layers, m, box, slot, first + i * m.lane));
  layers.front.append(turning);
  const draw = (now, state, bend) => {
    const drive = now.motor ?? "stop";
    attr(turning, "data-turns", drive === "stop" ? null : drive);
    attr(turning, "data-blocked", now.slips || now.blocked?.includes("hub") ? "true" : null);
    attr(hub, "data-unplugged", now.plugged === false ? "true" : null);
    now.slots.forEach((slot, i) => lanes[i]?.draw(slot, now, state, bend));
  };
  return { draw };
}

function lane(layers, m, box, slot, y) {
  const places = box.geometry;
  const nozzle = places.extruder + 60;
  const c = m.centre;
  const reach = (m.joint - m.wheel) * 0.5;
  const after = [places.buffer, places.toolhead];
  const ways = [
    { from: 0, to: places.hub, d: `M${m.inlet} ${y} H${m.hub}` },
    { from: places.hub, to: places.wheel, d: `M${m.hub} ${y} H${m.wheel}` },
    { from: places.wheel, to: places.buffer, d: `M${m.wheel} ${y} C${m.wheel + reach} ${y} ${m.joint - reach} ${c} ${m.joint} ${c}` },
    { from: places.buffer, to: places.toolhead, d: loop(m, 0) },
    { from: places.toolhead, to: places.extruder, d: `M${m.toolhead} ${c} H${m.extruder}` },
    { from: places.extruder, to: nozzle, d: `M${m.extruder} ${c} H${m.nozzle - 2}` },
  ];
  const stretches = ways.filter((way) => way.to > way.from).map((way) => {
    const tube = svg("path", { class: "tube", d: way.d });
    const line = (name) => svg("path", { class: name, d: way.d, pathLength: way.to - way.from, display: "none" });
    return { ...way, tube, rim: line("rim"), fil: line("fil"), loop: way.from === after[0] && way.to === after[1] };
  });
  layers.tubes.append(...stretches.map((stretch) => stretch.tube));
  layers.filament.append(...stretches.flatMap((stretch) => [stretch.rim, stretch.fil]));
  const name = svg("text", { class: "lane-name", x: m.inlet - 11, y: y + 4 }, m.narrow ? `${box.box}${slot.slot}` : `T${box.box}${slot.slot}`);
  const inlet = lamp(m.inlet, y, 4.5);
  const hub = lamp(m.hub, y, 4.5);
  const jam = svg("path", { class: "jam", d: "M-4.5 -4.5 L4.5 4.5 M-4.5 4.5 L4.5 -4.5", display: "none" }, svg("title", {}, "jam"));
  const tip = svg("circle", { class: "tip", r: 4.5, display: "none" });
  const mm = svg("text", { class: "tip-mm", y: -9, display: "none" });
  const hit = svg("rect", { class: "lane-hit", x: 2, y: y - m.lane / 2, width: m.joint - 6, height: m.lane, rx: 4 }, svg("title", {}, `T${box.box}${slot.slot}`));
  if (!readOnly()) hit.addEventListener("click", () => pick(box.box, slot.slot));
  layers.front.append(name, hit, inlet.root, hub.root, jam, tip, mm);

  const point = (at) => {
    const stretch = stretches.find((one) => at <= one.to) ?? stretches.at(-1);
    const part = Math.max(0, Math.min(1, (at - stretch.from) / (stretch.to - stretch.from)));
    return stretch.fil.getPointAtLength(part * stretch.fil.getTotalLength());
  };
  const put = (element, at) => {
    const { x, y: down } = point(at);
    style(element, "transform", `translate(${x.toFixed(1)}px, ${down.toFixed(1)}px)`);
  };

  const draw = (now, unitNow, state, bend) => {
    const pieces = (now.filament ?? []).slice(0, PIECES).map(([tail, end]) => [tail, end]);
    const last = pieces.at(-1);
    const inExtruder = last && last[1] >= places.extruder - 0.5;
    if (inExtruder && state.beyond > 0) last[1] = places.extruder + state.beyond * (60 / (state.nozzle || 60));
    const paint = colour(now.spool?.colour) ?? "var(--muted)";
    for (const stretch of stretches) {
      if (stretch.loop) {
        const d = loop(m, bend);
        for (const path of [stretch.tube, stretch.rim, stretch.fil]) attr(path, "d", d);
      }
      dashes(stretch, pieces, paint, now.guess);
    }
    inlet.draw(now.inlet, now.forced?.includes("inlet"), "inlet sensor");
    hub.draw(now.hub, now.forced?.includes("hub"), "hub sensor");
    attr(hit, "data-picked", !readOnly() && store.box === box.box && store.slot === now.slot ? "true" : null);
    const moves = now.moves ?? ((now.feeder ?? "stop") !== "stop" || ((unitNow.motor ?? "stop") !== "stop" && now.hub === true));
    const at = now.jammed ? now.jam_at ?? Math.min(last?.[1] ?? 0, places.buffer) * 0.5 + places.hub * 0.5 : null;
    // What is put in its place before it is shown does not fly there.
    if (last) {
      style(tip, "--fil", paint);
      attr(tip, "data-moves", moves ? "true" : null);
      put(tip, last[1]);
      put(mm, last[1]);
      text(mm, `${num(last[1], 0)} mm`);
    }
    if (at !== null) put(jam, at);
    attr(tip, "display", last ? null : "none");
    attr(mm, "display", last && moves && !m.narrow ? null : "none");
    attr(jam, "display", at === null ? "none" : null);
  };
  return { draw };
}

/** The way through the buffer: its loop rises with the slack. */
function loop(m, part) {
  const half = m.narrow ? 13 : 24;
  const rise = 6 + 34 * part;
  const c = m.centre;
  const [a, b] = [m.buffer - half, m.buffer + half];
  return `M${m.joint} ${c} H${a} C${a + half * 0.6} ${c} ${a + half * 0.3} ${c - rise} ${m.buffer} ${c - rise} S${b - half * 0.6} ${c} ${b} ${c} H${m.toolhead}`;
}

/** Draws on a stretch what of the pieces is in it. */
function dashes(stretch, pieces, paint, guess) {
  const pattern = [];
  let reached = stretch.from;
  for (const [tail, end] of pieces) {
    const [a, b] = [Math.max(tail, reached), Math.min(end, stretch.to)];
    if (b <= a) continue;
    if (pattern.length === 0) pattern.push(0);
    pattern.push(round(a - reached), round(b - a));
    reached = b;
  }
  const there = pattern.length > 0;
  if (there) pattern.push(BEYOND_ALL);
  for (const line of [stretch.rim, stretch.fil]) {
    attr(line, "display", there ? null : "none");
    if (there) attr(line, "stroke-dasharray", pattern.join(" "));
    attr(line, "class", line === stretch.rim ? (guess ? "rim guess" : "rim") : guess ? "fil guess" : "fil");
  }
  style(stretch.fil, "--fil", paint);
}

const round = (mm) => Math.round(mm * 10) / 10;

const seen = (on) => (!isTold(on) ? "not told yet" : on ? "filament" : "no filament");

/** A sensor: lit, dark, told what to show, or with a question mark where nothing was told of it. */
function lamp(x, y, r) {
  const title = svg("title");
  const circle = svg("circle", { class: "sensor", cx: x, cy: y, r });
  const mark = svg("text", { class: "mark", x, y: y + 3, display: "none" }, "?");
  const root = svg("g", {}, title, circle, mark);
  const draw = (on, forced, name) => {
    const unknown = !isTold(on);
    attr(circle, "data-on", on === true ? "true" : null);
    attr(circle, "data-unknown", unknown ? "true" : null);
    attr(circle, "data-forced", forced ? "true" : null);
    // The question mark needs room.
    attr(circle, "r", unknown ? Math.max(r, 5.5) : r);
    attr(mark, "display", unknown ? null : "none");
    text(title, `${name}: ${seen(on)}${forced ? " (whatever is there)" : ""}`);
  };
  return { root, draw };
}
