// The one place that speaks with the server: requests, the token, and the live stream.

const ROOT = "api/v1/";
const KEY = "k485-token";
/** A WebSocket takes no header: the token goes as a protocol. */
const PROTOCOL = "k485.v1";
const PROTOCOL_TOKEN = "k485.token.";

/** What the server refused, in its words. */
export class Refused extends Error {
  constructor(status, message, code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Takes the token out of the address, where everybody could read it, and keeps it for this tab. */
function findToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  try {
    if (given) sessionStorage.setItem(KEY, given);
    if (given) history.replaceState(null, "", location.pathname + location.search);
    return given ?? sessionStorage.getItem(KEY);
  } catch {
    return given;
  }
}

let token = findToken();

export const hasToken = () => Boolean(token);

export function setToken(value) {
  token = value.trim();
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    // It holds until the page is left.
  }
}

/** One request; the answer as it was sent, or `Refused`. */
export async function call(method, path, body) {
  const headers = {};
  if (token) headers.Authorization = "Bearer " + token;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(ROOT + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store" });
  } catch {
    throw new Refused(0, "k485 does not answer: it has ended, or the connection is gone");
  }
  const said = await answer.json().catch(() => null);
  if (!answer.ok) throw new Refused(answer.status, said?.error ?? `k485 answered ${answer.status}`, said?.code);
  return said;
}

export const act = (hand) => call("POST", "hands", hand);

/** What the page knows beforehand: statuses and keys in words. */
export async function words() {
  const answer = await fetch("words.json");
  return answer.ok ? answer.json() : { statuses: [], keys: [] };
}

/**
 * The live stream, opened again whenever it ends. `on` has `open`, `lost(seconds, reason)` and
 * `message(object, text)`.
 */
export class Stream {
  constructor(on) {
    this.on = on;
    this.filter = "";
    this.after = 0;
    this.wait = 0.5;
    this.socket = null;
    this.timer = null;
  }

  /** Opens it, or opens it anew with another filter. */
  open() {
    this.close();
    const query = new URLSearchParams();
    if (this.filter) query.set("filter", this.filter);
    query.set("after", String(this.after));
    const url = new URL(ROOT + "events?" + query, location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const protocols = token ? [PROTOCOL, PROTOCOL_TOKEN + token] : [PROTOCOL];
    const socket = new WebSocket(url, protocols);
    this.socket = socket;
    socket.onopen = () => {
      this.wait = 0.5;
      this.on.open();
    };
    socket.onmessage = (event) => {
      if (this.socket === socket) this.take(event.data);
    };
    socket.onclose = () => {
      if (this.socket === socket) this.again();
    };
  }

  take(data) {
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    if (Number.isFinite(message.seq)) this.after = message.seq;
    this.on.message(message, data);
  }

  again() {
    this.socket = null;
    this.on.lost(this.wait);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), this.wait * 1000);
    this.wait = Math.min(this.wait * 1.6, 5);
  }

  close() {
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }
}
