// What is said of an exchange wherever it is shown.

import { num } from "./dom.js";

/** Whose kind a row is: what went wrong is marked. */
export function kindOf(item) {
  if (item.mark !== "bad" && item.mark !== "warn") return "";
  const reply = item.response ?? item;
  return reply.status_name === "UPDATE_STATE" ? "" : item.mark;
}

/** Real times as the clock on the wall, an emulated bus's as seconds. */
export function clockTime(time) {
  if (time > 1e8) {
    const date = new Date(time * 1000);
    const part = (value, width = 2) => String(value).padStart(width, "0");
    return `${part(date.getHours())}:${part(date.getMinutes())}:${part(date.getSeconds())}.${part(date.getMilliseconds(), 3)}`;
  }
  return `${num(time, 3)} s`;
}
