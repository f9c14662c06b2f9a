// Live, stage A: ask the page's live address every 5 s while it is visible; 204 means nothing is new.
// 200 names what changed, and each name becomes an event `live:<name>` on body: regions fetch themselves again
// through their own, authorised view. Text somebody types is never swapped away.
(() => {
  const EVERY = 5000, LATE = 30000;
  const say = document.getElementById("live"), asOf = document.getElementById("as-of");
  let url = document.body.dataset.liveUrl, heard = Date.now(), timer;

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

  // Polling ----------------------------------------------------------------------------------------------------
  const show = () => {
    const late = Date.now() - heard > LATE;
    if (!say) return;
    say.classList.toggle("state", late);
    say.classList.toggle("risk", late);
    const word = document.getElementById("live-word");
    word.hidden = false;
    word.textContent = late ? "Not live," : "Live,";
    if (!late) asOf.textContent = new Date(window.relcoord.now()).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: asOf.dataset.zone || undefined });
  };
  const seen = (token) => {
    const next = new URL(url, location.href);
    next.searchParams.set("token", token);
    url = next.pathname + next.search;
  };
  const ask = async () => {
    clearTimeout(timer);
    if (!document.hidden) {
      try {
        const answer = await fetch(url, { headers: { Accept: "application/json" }, redirect: "error", signal: AbortSignal.timeout(10000) });
        if (answer.ok) heard = Date.now();
        if (answer.status === 200) {
          const news = await answer.json();
          url = news.url || url;
          if (news.token !== undefined) seen(news.token);
          for (const name of news.changed || []) htmx.trigger(document.body, `live:${name}`);
        }
      } catch { /* offline or logged out: the words say so */ }
      show();
    }
    timer = setTimeout(ask, EVERY);
  };
  if (url && window.htmx) {
    timer = setTimeout(ask, EVERY);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
    // An act says what this page has seen; an answer that brings all that changed since says so by the next token.
    let answered = false;
    document.addEventListener("htmx:configRequest", (event) => {
      const token = new URL(url, location.href).searchParams.get("token");
      if (token && event.detail.verb !== "get") event.detail.headers["X-Live-Token"] = token;
    });
    document.addEventListener("live:token", (event) => { seen(event.detail.value); answered = true; });
    document.addEventListener("relcoord:saved", () => { if (!answered) ask(); answered = false; });
  }
})();
