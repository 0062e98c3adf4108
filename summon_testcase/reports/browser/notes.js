/* Notes and warnings. */

function noteOf(note, kind) {
  const picture = /\.(png|jpe?g|gif|webp|svg)$/i.test(note.attachment || "");
  return el(
    kind,
    {class: "note"},
    el(
      "span",
      {class: "faint"},
      joined([
        Number.isFinite(note.at) && moment(note.at),
        processes.find((process) => process.id === note.process)?.label,
        note.service,
      ]),
      " ",
    ),
    note.text,
    note.attachment && [
      " ",
      el(
        "a",
        {href: beside(note.attachment), target: "_blank", rel: "noopener"},
        note.attachment.split("/").at(-1),
      ),
    ],
    picture &&
      el("img", {src: beside(note.attachment), alt: note.text || note.attachment, loading: "lazy"}),
  );
}
function notesTab() {
  const tab = $("#tab-notes");
  const all = warnings.map((one) => (typeof one === "string" ? {text: one} : one));
  tab.textContent = `Notes ${notes.length + all.length}`;
  tab.hidden = !(notes.length + all.length);
  if (all.length)
    $("#notes").append(
      el("h3", {}, "Warnings"),
      el(
        "ul",
        {},
        all.map((one) => noteOf(one, "li")),
      ),
    );
  if (notes.length)
    $("#notes").append(
      el("h3", {}, "Notes"),
      el(
        "ul",
        {},
        notes.map((one) => noteOf(one, "li")),
      ),
    );
}
