// Asking for the token that changes need.

import { h, attr, text } from "./dom.js";
import { call, hasToken, ofAddress, unanswered, wantsToken, withToken } from "./api.js";

const sheet = document.getElementById("ask");
const WRONG = "This token is not the one of the running k485";
let after = () => {};

/** The token was asked for, and not given. */
export class NotNow extends Error {}

/** What is done when a token was given. */
export function onToken(then) {
  after = then;
}

/** Does something; if the token is missing or wrong, asks for it, and does it with that. */
export async function permitted(does) {
  try {
    return await does();
  } catch (error) {
    if (!wantsToken(error)) throw error;
  }
  return ask(does);
}

/** Asks for the token, and whether the server takes it. */
export const askToken = () => ask(() => call("GET", "state")).catch(() => {});

/** Asks until something can be done with what is given, or until the sheet is closed. */
function ask(does) {
  if (sheet.open) return Promise.reject(new NotNow());
  const field = h("input", { type: "password", autocomplete: "off", required: true, id: "token-field", "aria-label": "Token", "aria-describedby": "token-wrong" });
  const wrong = h("p", { class: "wrong", role: "alert", id: "token-wrong", hidden: true });
  const tell = (what) => {
    text(wrong, what);
    wrong.hidden = false;
    attr(field, "aria-invalid", "true");
  };
  if (hasToken()) tell(`${WRONG}: it may have been started anew.`);
  const form = h("form", { class: "body", method: "dialog" },
    h("p", {}, "To change something on the bus, the page needs the token of the running k485."),
    h("p", { class: "hint" }, "k485 says it on stderr at its start, as a part of the page's address; the file that the first line on stdout names has it too."),
    field, wrong,
    h("div", { class: "row" }, h("button", { class: "primary fixed" }, "Use it"), h("button", { type: "button", class: "fixed", on: { click: () => sheet.close() } }, "Not now")),
  );
  sheet.replaceChildren(h("header", {}, h("h2", { id: "ask-title" }, "Token")), form);
  sheet.showModal();
  return new Promise((resolve, reject) => {
    let busy = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (busy) return;
      busy = true;
      try {
        resolve(await tried(field.value.trim(), does));
      } catch (error) {
        if (wantsToken(error) || unanswered(error)) {
          tell(wantsToken(error) ? `${WRONG}.` : error.message);
          field.select();
          return;
        }
        reject(error);
      } finally {
        busy = false;
      }
      sheet.close();
      after();
    });
    sheet.addEventListener("close", () => reject(new NotNow()), { once: true });
  });
}

/** Does something with a token as it is, or as the page's address has it. */
async function tried(value, does) {
  const other = ofAddress(value);
  try {
    return await withToken(value, does);
  } catch (error) {
    if (!wantsToken(error) || other === value) throw error;
  }
  return withToken(other, does);
}
