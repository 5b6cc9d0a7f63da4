// What of the boxes is out of sight: their errors, in full, and which ones there are further down.

import { h } from "./dom.js";
import { store, boxes } from "./store.js";
import { explained, shown } from "./boxes.js";

const app = document.querySelector(".app");
const body = document.getElementById("bus-body");
const place = document.getElementById("unseen");
/** Where there is little width, the whole view scrolls (layout.css), and shows that it does. */
const NARROW = matchMedia("(max-width: 900px)");
/** Less than this of something, in px, is a border or a rounding. */
const HARDLY = 6;

let waiting = false;

/** Draws after the next layout, however often this is asked until then. */
function again() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    draw();
  });
}

app.addEventListener("scroll", again, { capture: true, passive: true });
const sizes = new ResizeObserver(again);
for (const one of [app, body, document.getElementById("boxes")]) sizes.observe(one);

/** Whether an element, which is shown, ends below what is in sight, or begins above it. */
function hidden(element) {
  const frame = (NARROW.matches ? app : body).getBoundingClientRect();
  const at = element.getBoundingClientRect();
  if (at.height === 0 || frame.height === 0) return null;
  return at.bottom > frame.bottom + HARDLY ? "below" : at.top < frame.top - HARDLY ? "above" : null;
}

/** Tells what is out of sight now. */
export function draw() {
  const cards = store.state ? shown() : [];
  const all = boxes();
  const below = NARROW.matches ? [] : cards.filter((card) => hidden(card.root) === "below").map((card) => card.unit);
  const errors = cards.flatMap((card, n) => (all[n]?.error && hidden(card.error) ? [[card.unit, all[n].error]] : []));
  const shape = JSON.stringify([below, errors]);
  if (place.dataset.shape === shape) return;
  place.dataset.shape = shape;
  place.hidden = below.length + errors.length === 0;
  place.replaceChildren(...errors.map(([unit, code]) => error(unit, code)), ...(below.length ? [more(below)] : []));
}

const show = (unit) => shown().find((card) => card.unit === unit)?.root.scrollIntoView({ block: "nearest" });

/** A box's error, as its card tells it. */
function error(unit, code) {
  return h("div", { class: "error" },
    h("p", {}, h("strong", {}, `Box ${unit}: `), ...explained(code).flatMap((part, n) => [n ? " · " : "", part])),
    h("button", { type: "button", class: "quiet", "aria-label": `Show box ${unit}`, on: { click: () => show(unit) } }, "↕"));
}

/** Which boxes there are further down. */
function more(units) {
  const name = units.length > 1 ? `Boxes ${units.slice(0, -1).join(", ")} and ${units.at(-1)}` : `Box ${units[0]}`;
  return h("button", { type: "button", class: "quiet more", on: { click: () => show(units.at(-1)) } }, `${name} ↓`);
}
