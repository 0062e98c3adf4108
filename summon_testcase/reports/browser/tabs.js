/* The tabs of the details. */

const TABS = [...document.querySelectorAll("[role=tab]")];
function openTab(tab) {
  for (const one of TABS) {
    const open = one === tab;
    one.setAttribute("aria-selected", open);
    one.tabIndex = open ? 0 : -1;
    document.getElementById(one.getAttribute("aria-controls")).hidden = !open;
  }
  // made when they are first looked at, so that the page opens at once
  if (tab.id === "tab-start" && !$("#start").childNodes.length) startTab();
  if (tab.id === "tab-run" && !$("#run").childNodes.length) runTab();
}
for (const tab of TABS) {
  tab.addEventListener("click", () => openTab(tab));
  tab.addEventListener("keydown", (event) => {
    const all = TABS.filter((one) => !one.hidden),
      place = all.indexOf(tab);
    const to = {ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: all.length - 1};
    const next = all[to[event.key]];
    if (!next) return;
    event.preventDefault();
    openTab(next);
    next.focus();
  });
}
