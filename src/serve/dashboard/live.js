// Keeps the page fresh: every two seconds, while it is visible, the parts marked as live are replaced by those of a new copy
// of the page. Without JavaScript, the page is as it was when it was loaded.
"use strict";
(() => {
  const status = document.getElementById("live");
  const show = (text) => { if (status.textContent !== text) status.textContent = text; };
  const refresh = async () => {
    if (document.hidden) return;
    try {
      const response = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
      if (!response.ok) throw new Error(String(response.status));
      const next = new DOMParser().parseFromString(await response.text(), "text/html");
      for (const old of document.querySelectorAll("[data-live]")) {
        const fresh = next.getElementById(old.id);
        // A part that somebody uses with the keyboard stays as it is.
        if (!fresh || old.contains(document.activeElement)) continue;
        // Scrolled parts stay where they are.
        const scrolled = [...old.querySelectorAll(".scroll, .graph")].map((part) => part.scrollLeft);
        old.replaceChildren(...fresh.childNodes);
        old.querySelectorAll(".scroll, .graph").forEach((part, at) => { part.scrollLeft = scrolled[at] || 0; });
      }
      show("live");
    } catch (error) {
      show("not live: the endpoint does not answer");
    }
  };
  show("live");
  setInterval(refresh, 2000);
})();
