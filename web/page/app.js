// The state and the last exchanges, as they come.
const url = new URL("api/v1/events", location.href);
url.protocol = "ws:";
const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? sessionStorage.token;
if (token) {
  sessionStorage.token = token;
  history.replaceState(null, "", location.pathname);
}
const protocols = token ? ["k485.v1", "k485.token." + token] : ["k485.v1"];
const socket = new WebSocket(url, protocols);
const log = document.getElementById("log");
socket.onmessage = (event) => {
  const said = JSON.parse(event.data);
  if (said.type === "state") {
    document.getElementById("state").textContent = JSON.stringify(said.state, null, 1);
  } else if (said.text) {
    const line = document.createElement("li");
    line.textContent = said.text;
    log.prepend(line);
    while (log.childElementCount > 100) log.lastElementChild.remove();
  }
};
