// Live: a stream says that something changed, and the page asks its live address what: 204 means nothing is new.
// 200 names what changed, and each name becomes an event `live:<name>` on body: regions fetch themselves again
// through their own, authorised view. Without a stream it asks every 5 s. Text somebody types is never swapped away.
(() => {
  const EVERY = 5000, SLOW = 30000, IDLE = 300000, LATE = 45000, GAP = 1000, BOARD_GAP = 5000;
  const say = document.getElementById("live"), asOf = document.getElementById("as-of");
  let { liveUrl: url, liveStream: stream, liveNext: next } = document.body.dataset;
  let source, up = false, rest = 0, wait = 1000, under = 0, burst, told, asked = 0, heard = Date.now(), touched = heard, timer;

  // Typing protection ------------------------------------------------------------------------------------------
  const dirty = (field) => {
    if (field.type === "hidden") return false;
    if (field.matches("select")) return [...field.options].some((option) => option.selected !== option.defaultSelected);
    if (field.matches("[type=checkbox], [type=radio]")) return field.checked !== field.defaultChecked;
    return field.value !== field.defaultValue;
  };
  const fields = (region) => [...region.querySelectorAll("input, textarea, select")];
  const written = (region) => fields(region).some(dirty);
  const busy = (region) => written(region)
    || region.querySelector("details.menu[open], dialog[open]")
    || (region.contains(document.activeElement) && document.activeElement.matches("textarea, select, input:not([type=hidden])"));
  window.relcoord = Object.assign(window.relcoord || {}, { dirty, written });

  const reload = (region) => {
    const address = region.getAttribute("hx-get");
    if (address) htmx.ajax("GET", address, { source: region, target: region, swap: region.getAttribute("hx-swap") || "outerHTML" });
  };
  const hold = (region) => {
    region.dataset.held = "";
    if (region.querySelector(".held") || region.querySelector("details.menu[open]")) return;
    const note = document.createElement("p");
    note.className = "held sm";
    note.setAttribute("role", "status");
    note.append("Updated. ");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn";
    button.textContent = region.matches(".row") ? "Reload this item" : "Reload this part";
    button.addEventListener("click", () => reload(region));
    note.append(button);
    region.append(note);
  };
  // what a live event or an out-of-band part would replace while it is in use
  document.addEventListener("htmx:beforeRequest", (event) => {
    const cause = event.detail.requestConfig.triggeringEvent?.type || "";
    const region = event.detail.target;
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
  document.addEventListener("focusout", release);
  document.addEventListener("toggle", release, true);

  // News -------------------------------------------------------------------------------------------------------
  const show = () => {
    if (!say) return;
    const late = Date.now() - heard > LATE, word = document.getElementById("live-word");
    say.dataset.state = late ? "paused" : up ? "live" : "slower";
    say.classList.toggle("state", late);
    say.classList.toggle("risk", late);
    word.hidden = false;
    word.textContent = late ? "Paused," : up ? "Live," : "Slower,";
    if (!late) asOf.textContent = new Date(window.relcoord.now()).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: asOf.dataset.zone || undefined });
  };
  const token = () => new URL(url, location.href).searchParams.get("token");
  const seen = (next) => {
    const address = new URL(url, location.href);
    address.searchParams.set("token", next);
    url = address.pathname + address.search;
  };
  // slowly beside a stream or where nobody moves, and at the next moment something turns by itself
  const again = () => {
    clearTimeout(timer);
    const turn = next > 0 ? Math.max(1000, next - window.relcoord.now() + 200) : SLOW;
    timer = setTimeout(ask, Math.min(turn, up || Date.now() - touched > IDLE ? SLOW : EVERY));
  };
  const ask = async () => {
    if (document.hidden) return;
    clearTimeout(timer);
    asked = Date.now();
    under += 1;
    try {
      const answer = await fetch(url, { headers: { Accept: "application/json" }, redirect: "error", signal: AbortSignal.timeout(10000) });
      if (answer.ok) { heard = Date.now(); stream = answer.headers.get("X-Live-Stream"); next = answer.headers.get("X-Live-Next"); }
      if (answer.status === 200) {
        const news = await answer.json();
        url = news.url || url;
        if (news.token !== undefined) seen(news.token);
        for (const name of news.changed || []) htmx.trigger(document.body, `live:${name}`);
      }
    } catch { /* offline or logged out: the words say so */ }
    under -= 1;
    connect();
    show();
    again();
  };
  // once a burst, and not for what one's own act has brought already
  const look = () => {
    burst = under ? setTimeout(look, 50) : 0;
    if (!burst && !(told <= parseInt(token(), 10))) ask();
  };
  const change = ({ data }) => {
    const board = data === "board", soon = board ? Math.random() * 1500 : 20;
    told = Number(data);
    burst ||= setTimeout(look, Math.max(soon, asked + (board ? BOARD_GAP : GAP) - Date.now()));
  };
  const is = (state) => { up = state; show(); again(); };
  const close = () => { source?.close(); source = null; up = false; };
  const lost = () => {
    if (source.readyState === EventSource.CLOSED) { // turned away: a fresh ticket, later and later
      close();
      rest = Date.now() + wait * (0.5 + Math.random());
      wait = Math.min(60000, wait * 2);
    }
    is(false);
  };
  const connect = () => {
    if (source || !stream || document.hidden || Date.now() < rest) return;
    const here = source = new EventSource(stream);
    source.addEventListener("live", () => { wait = 1000; is(true); });
    source.addEventListener("resync", () => setTimeout(async () => { await ask(); if (source === here) is(true); }, Math.random() * 500));
    source.addEventListener("change", change);
    source.addEventListener("paused", () => is(false));
    source.addEventListener("over", () => { close(); ask(); });
    source.addEventListener("error", lost);
  };
  if (url && window.htmx) {
    connect();
    again();
    document.addEventListener("visibilitychange", () => { if (document.hidden) close(); else ask(); });
    for (const name of ["pointermove", "keydown", "scroll"]) document.addEventListener(name, () => { touched = Date.now(); }, { passive: true, capture: true });
    // An act says what this page has seen; an answer that brings all that changed since says so by the next token.
    let answered = false;
    document.addEventListener("htmx:configRequest", (event) => {
      if (token() && event.detail.verb !== "get") event.detail.headers["X-Live-Token"] = token();
    });
    for (const [name, by] of [["htmx:beforeSend", 1], ["htmx:afterRequest", -1]]) document.addEventListener(name, ({ detail }) => { if (detail.requestConfig.verb !== "get") under += by; });
    document.addEventListener("live:token", (event) => { seen(event.detail.value); answered = true; });
    document.addEventListener("relcoord:saved", () => { if (!answered) ask(); answered = false; });
  }
})();
