// Short messages at the edge: what was done, what was refused.

import { h } from "./dom.js";
import { unanswered } from "./api.js";
import { NotNow, permitted } from "./token.js";

const place = document.getElementById("toasts");
const MOST = 4;
/** Those that are shown, the oldest first. */
let shown = [];

/**
 * Says something for some seconds; what went wrong is said for longer. The same again is counted. `about` is
 * what `unsay` takes it away by.
 */
export function say(what, kind = "good", about = null) {
  const same = shown.find((one) => one.what === what && one.kind === kind);
  const toast = { what, kind, about, times: (same?.times ?? 0) + 1 };
  if (same) gone(same);
  while (shown.length >= MOST) gone(shown[0]);
  const close = h("button", { class: "quiet", type: "button", "aria-label": "Close this message", on: { click: () => gone(toast) } }, "✕");
  toast.root = h("div", { class: "toast", data: { kind }, role: kind === "bad" ? "alert" : null },
    h("span", {}, what), toast.times > 1 && h("small", {}, `×${toast.times}`), close);
  toast.timer = setTimeout(() => gone(toast), kind === "bad" ? 12000 : 2500);
  shown.push(toast);
  place.append(toast.root);
}

function gone(toast) {
  clearTimeout(toast.timer);
  toast.root.remove();
  shown = shown.filter((one) => one !== toast);
}

/** Takes away what was said about something that has changed since. */
export function unsay(about) {
  for (const toast of shown.filter((one) => one.about === about)) gone(toast);
}

/** Says what went wrong. */
export const sayError = (error) => say(error.message, "bad", unanswered(error) ? "silence" : null);

/**
 * Does something that may be refused, or that the token may have to be asked for, and says how it went;
 * whether it went well.
 */
export async function attempt(what, call) {
  try {
    await permitted(call);
    if (what) say(what);
    return true;
  } catch (error) {
    if (!(error instanceof NotNow)) sayError(error);
    return false;
  }
}
