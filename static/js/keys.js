// Single keys press the real control that carries them: [data-key="x"] in the focused row, else on the page.
// Off by setting (<html data-keys="off">), in fields, and together with Ctrl, Alt or Cmd.
(() => {
  const typing = "input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]";
  let prefix = "", timer;

  const shown = (el) => el.getClientRects().length > 0;
  const find = (key) => {
    const wanted = `[data-key="${CSS.escape(key)}"]`;
    const here = document.activeElement?.closest(".row")?.querySelector(wanted);
    return here || [...document.querySelectorAll(wanted)].filter((el) => !el.closest(".row") && shown(el)).pop();
  };
  const press = (el) => {
    if (el.matches("input:not([type=radio], [type=checkbox]), textarea, select")) el.focus();
    else if (el.matches("summary")) { el.focus(); el.click(); }
    else { if (el.matches("input")) el.focus(); el.click(); }
    return true;
  };
  const step = (selector, by, inside) => {
    const all = [...document.querySelectorAll(selector)].filter(shown);
    if (!all.length) return false;
    const at = all.indexOf(document.activeElement?.closest(selector));
    const to = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by))];
    const target = to.querySelector(inside) || to;
    target.focus();
    to.scrollIntoView({ block: "nearest" });
    return true;
  };
  const moves = {
    j: () => step(".row", 1, "a.row-title, a, button"),
    k: () => step(".row", -1, "a.row-title, a, button"),
    "]": () => step("details.phase", 1, "summary"),
    "[": () => step("details.phase", -1, "summary"),
  };
  const choose = (nth) => {
    const choices = [...document.querySelectorAll(".choices")].find(shown);
    const radio = choices?.querySelectorAll("input[type=radio]")[nth - 1];
    return radio ? press(radio) : false;
  };
  const help = () => {
    const dialog = document.getElementById("keys");
    if (dialog && !dialog.open) dialog.showModal();
    return Boolean(dialog);
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.defaultPrevented) return;
    if (document.documentElement.dataset.keys === "off" || event.target.closest?.(typing)) return;
    if (document.querySelector("dialog[open]")) return;
    const key = prefix ? `${prefix} ${event.key}` : event.key;
    clearTimeout(timer);
    prefix = "";
    if (event.key === "g" && key === "g") {
      prefix = "g";
      timer = setTimeout(() => { prefix = ""; }, 1200);
      return;
    }
    const control = find(key);
    if (control ? press(control) : key === "?" ? help() : /^[1-9]$/.test(key) ? choose(key) : moves[key]?.()) event.preventDefault();
  });
})();
