/* All is declared: begin. */

head();
notesTab();
document.body.classList.toggle("nothing", !processes.length);
document.body.classList.toggle("untested", !tests.length);
readColours();
layOut();
filter("all");
openTab($("#tab-chosen"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readColours();
  redraw();
});
new ResizeObserver(() => {
  fit();
  fill();
}).observe($("#clock"));
{
  // what failed first is what one wants to see first
  const first =
    fromAddress() ||
    (bad.length && listed[0]) ||
    unstarted[0]?.service ||
    died[0]?.service ||
    tests[0] ||
    services[0];
  if (first) choose(first);
  else $("#chosen").append(el("p", {class: "faint"}, "Neither a test nor a service was recorded."));
}
