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
  const found = location.hash.includes("token=") ? ofAddress(location.hash) : null;
  try {
    if (found) sessionStorage.setItem(KEY, found);
    if (found) history.replaceState(null, "", location.pathname + location.search);
    return found ?? sessionStorage.getItem(KEY);
  } catch {
    return found;
  }
}

/**
 * The token of an address, or of its part. It has visible ASCII characters alone: `%2B` is one of them, a
 * `+` is itself.
 */
export const ofAddress = (text) => (text.match(/[#&]token=(.+)$/)?.[1] ?? text).replace(/%[0-9a-f]{2}/gi, (code) => String.fromCharCode(parseInt(code.slice(1), 16)));

/** The token as headers and names of protocols take it, which have no room for every character. */
const encoded = () => encodeURIComponent(token).replace(/[!'()*]/g, (one) => "%" + one.charCodeAt(0).toString(16));

let token = findToken();

export const hasToken = () => Boolean(token);

/** Whether the server wants the token, or another one. */
export const wantsToken = (error) => error instanceof Refused && error.status === 401;

/** Whether nobody answered. */
export const unanswered = (error) => error instanceof Refused && error.status === 0;

/** Does something with another token, which is kept once the server has taken it. */
export async function withToken(value, does) {
  const before = token;
  token = value;
  try {
    return await does();
  } catch (error) {
    if (wantsToken(error) || unanswered(error)) token = before;
    throw error;
  } finally {
    try {
      if (token) sessionStorage.setItem(KEY, token);
    } catch {
      // It holds until the page is left.
    }
  }
}

/** One request; the answer as it was sent, or `Refused`. */
export async function call(method, path, body) {
  const headers = {};
  if (token) headers.Authorization = "Bearer " + encoded();
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

/** What the page knows beforehand: statuses and keys in words, names of materials. */
export async function words() {
  const answer = await fetch("words.json");
  return answer.ok ? answer.json() : { statuses: [], keys: [], materials: [] };
}

/**
 * The live stream, opened again whenever it ends. `on` has `open`, `lost(seconds, reason)`, where the reason may be known, and
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
    let socket;
    try {
      socket = new WebSocket(url, token ? [PROTOCOL, PROTOCOL_TOKEN + encoded()] : [PROTOCOL]);
    } catch (error) {
      this.again(`the browser refuses to open it (${error.message})`);
      return;
    }
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

  again(reason) {
    this.socket = null;
    this.on.lost(this.wait, reason);
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
