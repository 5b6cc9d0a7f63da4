// What the controls are made of.

import { h, attr } from "./dom.js";
import { act } from "./api.js";
import { attempt } from "./toast.js";

/** Does what a hand does; says what was done. */
export const hand = (what, does) => attempt(what, () => act(does));

export function group(title, ...children) {
  return h("section", { class: "group" }, h("h3", {}, title), ...children);
}

export const row = (...children) => h("div", { class: "row" }, ...children);

export function field(name, ...children) {
  const [first] = children;
  const single = children.length === 1 && first.matches?.("input, select, .unit");
  return h(single ? "label" : "div", { class: "field" }, h("span", {}, name), children.length === 1 ? first : row(...children));
}

/** A button; `label` names it to whoever does not see what is beside it. */
export function button(name, click, { key, kind, title, label } = {}) {
  return h("button", { type: "button", class: kind, title, "aria-label": label, on: { click } }, name, key && h("kbd", { "aria-hidden": "true" }, key));
}

/** A number with its unit. */
export function number(label, value, { unit, min, max, step = "any" } = {}) {
  const input = h("input", { type: "number", "aria-label": label, value, min, max, step, required: true, inputmode: "decimal" });
  const root = h("span", { class: "unit" }, input, unit && h("i", { "aria-hidden": "true" }, unit));
  return { root, input, value: () => (input.reportValidity() ? input.valueAsNumber : null) };
}

/** One of several, as buttons in a row: arrow keys go from one to the next. */
export function segments(label, options, choose) {
  const buttons = options.map(([value, name]) =>
    h("button", { type: "button", role: "radio", "aria-checked": "false", data: { value }, on: { click: () => choose(value, name) } }, name));
  const root = h("div", { class: "segments", role: "radiogroup", "aria-label": label }, buttons);
  arrows(root, buttons);
  const draw = (value) => {
    const chosen = buttons.some((one) => one.dataset.value === value);
    buttons.forEach((one, n) => {
      const on = one.dataset.value === value;
      attr(one, "aria-checked", on ? "true" : "false");
      attr(one, "tabindex", on || (!chosen && n === 0) ? "0" : "-1");
    });
  };
  draw(null);
  return { root, draw };
}

/** Left and right go to the neighbour, Home and End to the ends; `then` is done with it. */
export function arrows(root, buttons, then = () => {}) {
  root.addEventListener("keydown", (event) => {
    const at = buttons.indexOf(document.activeElement);
    const to = { ArrowLeft: at - 1, ArrowUp: at - 1, ArrowRight: at + 1, ArrowDown: at + 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const next = buttons.at(to % buttons.length);
    next.focus();
    then(next);
  });
}

/** A button that is on or off. */
export function toggle(name, flip, title) {
  const root = h("button", { type: "button", "aria-pressed": "false", title, on: { click: () => flip(root.getAttribute("aria-pressed") !== "true") } }, name);
  return { root, draw: (on) => attr(root, "aria-pressed", on ? "true" : "false") };
}

/** A field whose value follows the state, unless somebody is writing in it. */
export function follow(input, value) {
  if (document.activeElement !== input && !input.dataset.touched && String(value) !== input.value) input.value = value;
}
