// One exchange in all its parts.

import { h, hex, num } from "./dom.js";
import { explained } from "./boxes.js";
import { clockTime, kindOf } from "./exchange.js";
import { attempt } from "./toast.js";

const OUTCOMES = {
  answered: "answered",
  timeout: "not answered: the printer shows key831 after all retries",
  no_reply_expected: "no reply expected",
  unsolicited: "a reply that nobody asked for",
  request_not_seen: "a reply whose request was not seen",
  unfinished: "unfinished",
};

/** The pane; `close` is done by its button. */
export function details(close) {
  const root = h("aside", { class: "details", "aria-label": "Details of the exchange" });
  const show = (item) => {
    const frame = item.request ?? item.response ?? item;
    const title = frame.device ? `${frame.device} ${frame.function ?? "function " + hex(frame.func ?? 0)}` : item.type;
    const copy = () => attempt("Copied as JSON", () => navigator.clipboard.writeText(JSON.stringify(plain(item))));
    root.replaceChildren(
      h("header", {}, h("h2", {}, title), h("button", { type: "button", on: { click: copy } }, "Copy JSON"),
        h("button", { type: "button", class: "quiet", "aria-label": "Close the details", on: { click: close } }, "✕")),
      facts(item), ...told(item), ...frames(item));
    root.scrollTop = 0;
  };
  return { root, show };
}

/** Without what the page added. */
function plain({ words, text, mark, seq, ...item }) {
  return item;
}

function table(rows) {
  const known = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("table", {}, h("tbody", {}, known.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value)))));
}

function facts(item) {
  return h("section", {}, table([
    ["time", typeof item.time === "number" ? clockTime(item.time) : null],
    ["bus", item.bus],
    ["outcome", item.outcome ? (OUTCOMES[item.outcome] ?? item.outcome) : null],
    ["latency", typeof item.latency_ms === "number" ? `${num(item.latency_ms, 3)} ms` : null],
    ["sent", item.attempts > 1 ? `${item.attempts} times` : null],
    ["reason", item.reason],
    ["what", item.detail],
  ]));
}

/** What the reply's STATUS means, unless it is OK. */
function told(item) {
  const reply = item.response ?? (item.dir === "response" ? item : null);
  if (!reply || reply.status === 0 || reply.status === 255) return [];
  return [h("div", { class: "told latched", data: { kind: kindOf(item) } }, explained(reply.status))];
}

function frames(item) {
  if (item.type === "noise") return [h("section", {}, h("h3", {}, "Bytes"), raw(item.bytes))];
  if (item.request || item.response) {
    return [item.request && frame("Request", item.request), item.response && frame("Reply", item.response)].filter(Boolean);
  }
  return item.raw ? [frame("Frame", item)] : [];
}

function frame(title, one) {
  const fields = Object.entries(one.fields ?? {}).filter(([name]) => !/_(name|set|mask)$/.test(name));
  const rows = fields.map(([name, value]) => [name, shown(value, one.fields[name + "_name"], one.fields[name + "_set"])]);
  return h("section", {}, h("h3", {}, title),
    table([
      ["address", typeof one.addr === "number" ? `${hex(one.addr)} ${one.device}` : null],
      ["function", typeof one.func === "number" ? `${hex(one.func)} ${one.function ?? ""}${one.form ? ` / ${one.form}` : ""}` : null],
      ["status", title === "Request" ? null : `${hex(one.status)} ${one.status_name ?? ""}`],
      ...rows,
      ["rest", one.rest],
      ["does not fit", one.misfit],
    ]), raw(one.raw));
}

function shown(value, name, set) {
  if (Array.isArray(set)) return set.length ? set.join(", ") : "none";
  if (value === null) return "none";
  if (typeof value === "object") return JSON.stringify(value);
  return name ? `${value} ${name}` : String(value);
}

const raw = (bytes) => h("p", { class: "raw" }, (bytes ?? "").replace(/../g, "$& ").trim() || "no bytes");
