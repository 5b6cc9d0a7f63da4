// Shortcuts, and the sheet that tells them.

import { h } from "./dom.js";
import { readOnly } from "./store.js";

const bindings = new Map();
const told = [];

/**
 * Binds a key; `label` may show it otherwise, `group` is where the help tells it. What `changes` the bus is
 * not told where the page only shows.
 */
export function bind(key, what, group, call, { label = key, changes = false } = {}) {
  bindings.set(key, call);
  const same = told.find((entry) => entry.what === what);
  if (same) same.labels.push(label);
  else told.push({ labels: [label], what, group, changes });
}

/** Something for the help that is bound elsewhere. */
export function tell(label, what, group) {
  told.push({ labels: [label], what, group });
}

const TYPING = "input, textarea, select, [contenteditable]";

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]")) return;
  // Until the next frame a field has the focus though its sheet is closed.
  if (event.target.closest?.(TYPING) && !event.target.closest("dialog:not([open])")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  // A button is pressed by the space bar: that is not the page's.
  if (event.key === " " && event.target.closest?.("button, [role=tab], [role=option]")) return;
  const call = bindings.get(event.key);
  if (!call || call(event) === false) return;
  event.preventDefault();
});

const sheet = document.getElementById("keys");

export function showHelp() {
  if (sheet.open) return sheet.close();
  const now = told.filter((entry) => !entry.changes || !readOnly());
  const groups = [...new Set(now.map((entry) => entry.group))];
  const column = (group) =>
    h("section", {}, h("h3", {}, group), h("dl", {}, now.filter((entry) => entry.group === group).flatMap(({ labels, what }) => [
      h("dt", {}, labels.flatMap((label, n) => (n ? [" ", h("kbd", {}, label)] : [h("kbd", {}, label)]))), h("dd", {}, what),
    ])));
  const close = h("button", { type: "button", class: "quiet", "aria-label": "Close", on: { click: () => sheet.close() } }, "✕");
  sheet.replaceChildren(
    h("header", {}, h("h2", { id: "keys-title" }, "Keys"), close),
    h("div", { class: "body" }, h("div", { class: "columns" }, groups.map(column)),
      h("p", { class: "hint" }, readOnly()
        ? "This bus is listened to; nothing here changes it. Programs see it through the same interface, which api/v1/openapi.json describes."
        : "What the page does goes through the same interface that programs use: api/v1/openapi.json describes it, and k485 ctl is its command line.")),
  );
  sheet.showModal();
}

sheet.addEventListener("keydown", (event) => {
  if (event.key !== "?") return;
  // Else the page, which the key comes to next, would open it again.
  event.preventDefault();
  sheet.close();
});
