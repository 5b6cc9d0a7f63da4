// Short messages at the edge: what was done, what was refused.

import { h } from "./dom.js";
import { Refused, hasToken } from "./api.js";
import { askToken } from "./token.js";

const place = document.getElementById("toasts");
const MOST = 4;

/** Says something for some seconds; what went wrong stays until it is closed. */
export function say(what, kind = "good") {
  while (place.childElementCount >= MOST) place.firstElementChild.remove();
  const toast = h("div", { class: "toast", data: { kind }, role: kind === "bad" ? "alert" : null });
  const close = h("button", { class: "quiet", type: "button", "aria-label": "Close this message", on: { click: () => toast.remove() } }, "✕");
  toast.append(h("span", {}, what), close);
  place.append(toast);
  setTimeout(() => toast.remove(), kind === "bad" ? 12000 : 2500);
}

/** Does something that may be refused, and says how it went; whether it went well. */
export async function attempt(what, call) {
  try {
    await call();
    if (what) say(what);
    return true;
  } catch (error) {
    if (error instanceof Refused && error.status === 401) askToken(hasToken());
    else say(error.message, "bad");
    return false;
  }
}
