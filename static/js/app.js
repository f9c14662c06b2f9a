// Small manners of forms and pages. Each part stands alone, and each works without script in a plainer way.
(() => {
  const root = document.documentElement, toasts = document.getElementById("toasts");
  const on = (name, run) => document.addEventListener(name, run);
  const cookie = (name, value) => {
    if (!document.cookie.split("; ").includes(`${name}=${value}`)) document.cookie = `${name}=${value}; path=/; max-age=31536000; samesite=lax`;
  };
  const icon = (name) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), use = svg.appendChild(document.createElementNS(svg.namespaceURI, "use"));
    svg.setAttribute("class", `i ${name}`);
    svg.setAttribute("aria-hidden", "true");
    use.setAttribute("href", `${root.dataset.icons}#${name}`);
    return svg;
  };
  const make = window.relcoord.make = (tag, className, ...parts) => {
    const el = Object.assign(document.createElement(tag), { className });
    el.append(...parts);
    return el;
  };

  // Zone and theme: the server writes times and data-theme from these cookies; a person's settings come first.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) cookie("tz", zone);
  if (document.querySelector(".bar .menu")) cookie("theme", root.dataset.theme);
  on("change", (event) => { if (event.target.matches("[name=theme][type=radio]")) root.dataset.theme = event.target.value; });

  // Toasts leave by themselves, later while somebody reads them; what went wrong stays.
  const leave = (toast, after) => setTimeout(() => {
    if (toast.matches(":hover, :focus-within")) leave(toast, 2000); else toast.remove();
  }, after);
  const watch = (toast) => { if (!toast.matches("[data-stay], [data-timed]")) { toast.dataset.timed = ""; leave(toast, 10000); } };
  new MutationObserver(() => toasts.querySelectorAll(".toast").forEach(watch)).observe(toasts, { childList: true, subtree: true });
  on("submit", (event) => event.target.closest(".toast")?.setAttribute("hidden", ""));

  // "Not saved. Retry": the page never changed, so nothing has to be rolled back.
  const unsaved = (form, why) => {
    const place = form.closest(".row") || form;
    place.querySelector(".unsaved")?.remove();
    place.classList.add("is-unsaved");
    const retry = () => { if (form.lastButton?.isConnected) form.lastButton.click(); else form.requestSubmit(); };
    const again = Object.assign(make("button", "btn", "Retry"), { type: "button", onclick: retry });
    const words = [make("span", "state stop", icon("stop"), "Not saved."), make("span", "", why), again];
    place.append(Object.assign(make("p", "unsaved", ...words), { role: "alert" }));
  };
  const failed = (event) => {
    const { elt, xhr, requestConfig } = event.detail, form = elt.closest("form");
    if (requestConfig?.verb === "get" || !form) return;
    const answer = xhr?.responseText && new DOMParser().parseFromString(xhr.responseText, "text/html").querySelector("[data-say]");
    const why = (answer && answer.textContent.trim()) || (xhr?.status ? `The server answered ${xhr.status}.` : "No answer from the server.");
    if (form.closest(".toast")) { form.closest(".toast").hidden = false; toasts.append(make("div", "toast", make("span", "", `Not saved. ${why}`))); return; }
    unsaved(form, why);
  };
  for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) on(name, failed);
  on("htmx:beforeRequest", (event) => {
    const place = event.detail.elt.closest?.(".is-unsaved");
    place?.classList.remove("is-unsaved");
    place?.querySelector(".unsaved")?.remove();
  });
  on("htmx:afterRequest", (event) => {
    if (event.detail.successful && event.detail.requestConfig.verb !== "get") document.dispatchEvent(new Event("relcoord:saved"));
  });

  // A swap keeps open what was open; several may be under way at once.
  const open = new WeakMap();
  on("htmx:beforeSwap", ({ detail }) => { open.set(detail.xhr, [...detail.target.querySelectorAll?.("details[open][id]") || []].map((el) => el.id)); });
  on("htmx:afterSettle", ({ detail }) => { for (const id of open.get(detail.xhr) || []) document.getElementById(id)?.setAttribute("open", ""); });

  // A plain form posts once. Any form remembers its button, for Retry.
  on("submit", (event) => {
    const form = event.target;
    form.lastButton = event.submitter;
    if (event.defaultPrevented || form.method !== "post" || form.matches("[hx-post], [hx-put], [hx-delete]")) return;
    if (form.ariaBusy === "true") { event.preventDefault(); return; }
    form.ariaBusy = "true";
    setTimeout(() => { form.ariaBusy = null; }, 5000);
  });
  window.addEventListener("pageshow", () => document.querySelectorAll("form[aria-busy]").forEach((form) => { form.ariaBusy = null; }));

  // Leaving with something typed asks first.
  let sent = false;
  on("submit", () => { sent = true; setTimeout(() => { sent = false; }, 5000); });
  window.addEventListener("beforeunload", (event) => {
    if (!sent && [...document.querySelectorAll("form[data-guard]")].some((form) => window.relcoord.written(form))) event.preventDefault();
  });

  on("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.form) { event.preventDefault(); event.target.form.requestSubmit(); }
    if (event.key === "Escape") {
      const menu = document.activeElement?.closest("details.menu[open]");
      if (menu) { menu.open = false; menu.querySelector("summary").focus(); }
    }
  });

  // Clicks: menus close, two-step buttons ask, links open dialogs, copies are made.
  const say = (button, other, time, then) => {
    const words = [...button.childNodes];
    button.replaceChildren(other);
    setTimeout(() => { then?.(); button.replaceChildren(...words); }, time);
  };
  const ask = (button, event) => {
    if (button.dataset.asking) return;
    event.preventDefault();
    event.stopPropagation();
    button.dataset.asking = "yes";
    say(button, button.dataset.confirm, 5000, () => { delete button.dataset.asking; });
  };
  const copy = async (button) => {
    const from = document.querySelector(button.dataset.copy);
    await navigator.clipboard.writeText("value" in from ? from.value : from.textContent.trim());
    document.getElementById("say").textContent = "Copied";
    say(button, "Copied", 2000);
  };
  document.addEventListener("click", (event) => {
    const el = event.target.closest("[data-confirm], [data-dismiss], [data-dialog], [data-copy]");
    for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
    if (!el) return;
    const dialog = el.dataset.dialog && document.getElementById(el.dataset.dialog);
    if (el.dataset.confirm) ask(el, event);
    else if ("dismiss" in el.dataset) el.closest(".toast").remove();
    else if (dialog) { event.preventDefault(); dialog.showModal(); }
    else if (el.dataset.copy) copy(el);
  }, true);
  document.querySelectorAll("[data-copy][hidden], .needs-js[hidden]").forEach((el) => { el.hidden = false; });
})();
