// Live: a stream says that something changed, and the page asks its live address what: 204 means nothing is new.
// 200 names what changed, and each name becomes an event `live:<name>` on body: regions fetch themselves again
// through their own, authorised view. Without a stream it asks every 5 s. Text somebody types is never swapped away.
(() => {
  const EVERY = 5000, SLOW = 30000, IDLE = 300000, LATE = 45000, PATIENCE = 10000, GAP = { release: 1000, board: 5000 };
  const say = document.getElementById("live"), word = document.getElementById("live-word"), asOf = document.getElementById("as-of");

  // Typing protection ------------------------------------------------------------------------------------------
  const dirty = (field) => {
    if (field.type === "hidden") return false;
    if (field.matches("select")) return [...field.options].some((option) => option.selected !== option.defaultSelected);
    return field.matches("[type=checkbox], [type=radio]") ? field.checked !== field.defaultChecked : field.value !== field.defaultValue;
  };
  const written = (region) => [...region.querySelectorAll("input, textarea, select")].some(dirty);
  const busy = (region) => written(region)
    || region.querySelector("details.menu[open], dialog[open]")
    || (region.contains(document.activeElement) && document.activeElement.matches("textarea, select, input:not([type=hidden])"));
  Object.assign(window.relcoord, { dirty, written });
  const reload = (region) => {
    const address = region.getAttribute("hx-get");
    if (address) htmx.ajax("GET", address, { source: region, target: region, swap: region.getAttribute("hx-swap") || "outerHTML" });
  };
  const hold = (region) => {
    region.dataset.held = "";
    if (region.querySelector(".held") || region.querySelector("details.menu[open]")) return;
    const { make } = window.relcoord, words = region.matches(".row") ? "Reload this item" : "Reload this part";
    const button = Object.assign(make("button", "btn", words), { type: "button", onclick: () => reload(region) });
    region.append(Object.assign(make("p", "held sm", "Updated. ", button), { role: "status" }));
  };
  // what a live event or an out-of-band part would replace while it is in use
  document.addEventListener("htmx:beforeRequest", (event) => {
    const cause = event.detail.requestConfig.triggeringEvent?.type || "", region = event.detail.target;
    if (/^(live:|every|load)/.test(cause) && busy(region)) { event.preventDefault(); hold(region); }
  });
  for (const name of ["htmx:oobBeforeSwap", "htmx:beforeSwap"]) {
    document.addEventListener(name, (event) => {
      const verb = event.detail.requestConfig?.verb || "get", target = event.detail.target;
      const foreign = name === "htmx:oobBeforeSwap" || (verb === "get" && event.detail.requestConfig?.triggeringEvent?.type?.startsWith("live:"));
      if (foreign && target?.matches?.("[hx-get]") && busy(target)) { event.detail.shouldSwap = false; hold(target); }
    });
  }
  // let go as soon as nothing typed is at stake
  const release = (event) => setTimeout(() => {
    const region = event.target.closest?.("[data-held]");
    if (region?.isConnected && !busy(region)) { delete region.dataset.held; reload(region); }
  }, 150);
  for (const name of ["focusout", "toggle"]) document.addEventListener(name, release, true);

  // News -------------------------------------------------------------------------------------------------------
  let { liveUrl, liveStream: stream, liveNext: next } = document.body.dataset; // next: when something turns by itself
  if (!liveUrl || !window.htmx) return;
  const address = new URL(liveUrl, location.href), drawn = Date.now(), token = () => address.searchParams.get("token");
  let source, up = false, timer, burst, told; // the stream, whether it tells all, what waits to be asked, the revision it told
  let asked = 0, heard = drawn, touched = drawn, rest = 0, wait = 1000, under = 0; // moments; a request is under way till then
  const show = () => {
    if (!say) return;
    const late = Date.now() - heard > LATE;
    say.dataset.state = late ? "paused" : up ? "live" : "slower";
    for (const name of ["state", "risk"]) say.classList.toggle(name, late);
    [word.hidden, word.textContent] = [false, { paused: "Paused,", live: "Live,", slower: "Slower," }[say.dataset.state]];
    if (!late) asOf.textContent = new Date(window.relcoord.now()).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: asOf.dataset.zone || undefined });
  };
  const again = () => {
    clearTimeout(timer);
    const due = Math.max(asked, drawn) + (up || Date.now() - touched > IDLE ? SLOW : EVERY), turn = next > 0 ? next - window.relcoord.now() + 200 : SLOW;
    timer = setTimeout(ask, Math.max(Math.random() * 1000, Math.min(turn, due - Date.now())));
  };
  const ask = async () => {
    if (document.hidden) return;
    asked = Date.now();
    under = asked + PATIENCE;
    try {
      const answer = await fetch(address, { headers: { Accept: "application/json" }, redirect: "error", signal: AbortSignal.timeout(PATIENCE) });
      if (!answer.ok) throw new Error(answer.status); // no longer for this reader, or the server is in trouble
      [heard, stream, next] = [Date.now(), answer.headers.get("X-Live-Stream"), answer.headers.get("X-Live-Next")];
      const news = answer.status === 200 ? await answer.json() : {};
      if (news.token) address.searchParams.set("token", news.token);
      for (const name of news.changed || []) htmx.trigger(document.body, `live:${name}`);
    } catch { close(); stream = ""; } // offline or logged out: the words say so
    under = 0;
    connect();
    is(up);
  };
  const look = () => { // once a burst, and not for what one's own act has brought already
    burst = Date.now() < under ? setTimeout(look, 50) : 0;
    if (!burst && !(told <= parseInt(token(), 10))) ask();
  };
  const change = ({ data }) => { // boards of many people ask one after the other
    const board = data === "board", soon = board ? Math.random() * 1500 : 20;
    told = Number(data);
    burst ||= setTimeout(look, Math.max(soon, asked + GAP[board ? "board" : "release"] - Date.now()));
  };
  const is = (state) => { up = state; show(); again(); }, close = () => { source?.close(); source = null; up = false; };
  const lost = () => {
    if (source.readyState === EventSource.CLOSED) { // turned away: a fresh ticket, later and later
      close();
      [rest, wait] = [Date.now() + wait * (0.5 + Math.random()), Math.min(60000, wait * 2)];
    }
    is(false);
  };
  const connect = () => {
    if (source || !stream || document.hidden || Date.now() < rest) return;
    const here = source = new EventSource(stream);
    const resync = async () => { await ask(); if (source === here) is(true); };
    const on = { live: () => { wait = 1000; is(true); }, resync: () => setTimeout(resync, Math.random() * 500), change, paused: () => is(false), over: () => { close(); ask(); }, error: lost };
    for (const [name, act] of Object.entries(on)) source.addEventListener(name, act);
  };
  document.addEventListener("visibilitychange", () => { if (document.hidden) close(); else ask(); });
  for (const name of ["pointermove", "keydown", "scroll"]) document.addEventListener(name, () => { touched = Date.now(); }, { passive: true, capture: true });
  // An act says what this page has seen; an answer that brings all that changed since says so by the next token.
  let answered = false;
  document.addEventListener("htmx:configRequest", ({ detail }) => { if (token() && detail.verb !== "get") detail.headers["X-Live-Token"] = token(); });
  for (const [name, time] of [["htmx:beforeSend", PATIENCE], ["htmx:afterRequest", 0]]) document.addEventListener(name, ({ detail }) => { if (detail.requestConfig.verb !== "get") under = Date.now() + time; });
  document.addEventListener("live:token", (event) => { address.searchParams.set("token", event.detail.value); answered = true; });
  document.addEventListener("relcoord:saved", () => { if (!answered) ask(); answered = false; });
  connect();
  again();
})();
