// The checklist editor: Alt with an arrow presses the row's own buttons, and leaving an unsaved draft asks first.
(() => {
  const LIMIT = 512 * 1024; // bytes of one checklist as text
  let typing = false;

  document.addEventListener("keydown", (event) => {
    const move = { ArrowUp: "up", ArrowDown: "down" }[event.key];
    const row = event.altKey && move && event.target.closest("[data-row]");
    const button = row && row.querySelector(`[data-move="${move}"]`);
    if (!button || event.target.matches("textarea, select")) return;
    event.preventDefault();
    if (button.disabled) return;
    typing = event.target.matches("input");
    button.click();
  });

  // After a swap the focus stays with the row that moved, in the field where it was.
  document.addEventListener("htmx:afterSettle", () => {
    const here = document.querySelector("[data-here]");
    if (typing && here) here.querySelector("input:not([type=hidden])")?.focus();
    here?.scrollIntoView({ block: "nearest" });
    typing = false;
  });

  window.addEventListener("beforeunload", (event) => {
    if (document.querySelector("#draft[data-changed]")) event.preventDefault();
  });
  document.addEventListener("htmx:beforeOnLoad", (event) => {
    if (event.detail.xhr.getResponseHeader("HX-Redirect")) document.getElementById("draft")?.removeAttribute("data-changed");
  });

  const text = document.getElementById("id_text");
  text?.addEventListener("input", () => {
    const size = new Blob([text.value]).size;
    text.setCustomValidity(size > LIMIT ? "The text is longer than 512 KiB. Split the checklist up." : "");
    text.reportValidity();
  });
  text?.form.addEventListener("submit", (event) => {
    if (!text.checkValidity()) { event.preventDefault(); text.reportValidity(); }
  });
})();
