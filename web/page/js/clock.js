// The bus's clock: its time, and where it can be, pause, step and speed.

import { h, attr, text } from "./dom.js";
import { store, readOnly } from "./store.js";
import { call } from "./api.js";
import { attempt } from "./toast.js";

const place = document.getElementById("clock");
const SPEEDS = [0.1, 0.5, 1, 2, 5, 10, 50, 100];
const STEPS = [[10, "10 ms"], [100, "100 ms"], [1000, "1 s"], [10000, "10 s"], [60000, "1 min"]];

const time = h("output", { "aria-label": "Time on the bus" });
const pause = h("button", { type: "button", on: { click: () => flip() } }, "Pause");
const step = h("button", { type: "button", title: "Goes on by one step (.)", on: { click: () => forward() } }, "Step");
const size = h("select", { "aria-label": "Step" }, STEPS.map(([ms, name]) => h("option", { value: ms }, name)));
const speed = h("select", { "aria-label": "Speed of the clock", on: { change: () => set({ speed: Number(speed.value) }, `Clock: ×${speed.value}`) } }, SPEEDS.map((x) => h("option", { value: x }, `×${x}`)));
size.value = "1000";
place.append(time, pause, step, size, speed);

const set = (body, what) => attempt(what, () => call("POST", "clock", body));

/** Pauses, or goes on. */
export function flip() {
  const clock = store.state?.clock;
  if (!clock || readOnly()) return false;
  return set({ paused: !clock.paused }, clock.paused ? "Clock goes on" : "Clock paused");
}

/** One step. */
export function forward() {
  if (!store.state?.clock || readOnly()) return false;
  return attempt("", () => call("POST", "clock/step", { ms: Number(size.value) }));
}

export function draw() {
  const clock = store.state?.clock;
  place.hidden = !clock || store.state.kind === "bus";
  if (place.hidden) return;
  text(time, written(clock.elapsed ?? clock.time));
  attr(time, "data-paused", clock.paused ? "true" : null);
  text(pause, clock.paused ? "Go on" : "Pause");
  attr(pause, "title", `${clock.paused ? "Goes on" : "Stands still"} (space)`);
  const now = String(clock.speed ?? 1);
  if (!SPEEDS.map(String).includes(now) && ![...speed.options].some((one) => one.value === now)) speed.append(h("option", { value: now }, `×${now}`));
  if (document.activeElement !== speed) speed.value = now;
  for (const one of [pause, step, size, speed]) one.hidden = readOnly();
}

/** `1:02:03.4` */
function written(seconds) {
  if (typeof seconds !== "number") return "";
  const whole = Math.floor(seconds);
  const part = (value) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const rest = `${part(minutes)}:${part(whole % 60)}.${Math.floor((seconds - whole) * 10)}`;
  return hours ? `${hours}:${rest}` : rest;
}
