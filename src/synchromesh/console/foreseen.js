
/* --- what would happen, in words ------------------------------------------------------------------- */

function postingWords(one) {
  return `${one.kind}${one.order ? " for order " + one.order : ""} on ${one.effective}: ${(one.lines || []).join("; ") || "no lines"} (${one.state}${one.waits_for ? ", waits for " + one.waits_for : ""})`;
}

function listedNode(listed, what, words) {
  if (!listed.count) return null;
  const first = listed.first.map((one) => make("li", { text: words(one) }));
  if (listed.count > first.length) first.push(make("li", { class: "quiet", text: `and ${count(listed.count - first.length)} more` }));
  return make("details", listed.count <= 5 ? { open: "" } : {}, make("summary", { text: what }), make("ul", {}, ...first));
}

function countsOf(foreseen) {
  const lines = Object.entries(foreseen.fates).map(([fate, n]) => `facts ${fate}: ${count(n.before)} → ${count(n.after)}`);
  const { before, after } = foreseen.exceptions;
  if (before !== after) lines.push(`open exceptions: ${count(before)} → ${count(after)}`);
  return lines;
}

function foreseenNode(decided, many) {
  const seen = decided.foreseen;
  const would = (n, verb) => `${plural(n, "posting")} would be ${verb}`;
  const exception = (one) => `${one.category}: ${one.sentence} ${one.remedy || ""}`;
  const counts = countsOf(seen).map((text) => make("li", { text }));
  const parts = [
    listedNode(seen.made, would(seen.made.count, "made"), postingWords),
    listedNode(seen.given_up, would(seen.given_up.count, "given up"), postingWords),
    listedNode(seen.changed, would(seen.changed.count, "changed"), postingWords),
    listedNode(seen.opened, `${plural(seen.opened.count, "exception")} would be opened`, exception),
    counts.length ? make("ul", { class: "counts" }, ...counts) : null,
    (seen.unfinished || []).length ? make("p", { text: "There is more to come than is told here: it goes on page by page." }) : null,
  ].filter((part) => part !== null);
  const nothing = make("p", { text: decided.verb === "assign" || decided.verb === "assigned" ? "Nothing is booked or given up." : "No posting, fact or exception would change." });
  return make("div", {}, many ? make("h4", { text: decided.plant }) : "", ...(decided.warnings || []).map((text) => make("p", { class: "warning", text: "⚠ " + text })),
    ...(parts.length ? parts : [nothing]));
}

const foreseenNodes = (told) => [make("h3", { text: "This would happen; nothing is changed yet" }), ...told.map((decided) => foreseenNode(decided, told.length > 1))];

const CAME_OF = {
  done: "done",
  stale: "it fits no more, and nothing was changed",
  proposed: "proposed; it waits for a second person (see Decisions)",
};
const cameOf = (decided) => `${decided.plant}: ${decided.verb}: ${CAME_OF[decided.came_of] || `stored at position ${decided.position}; it takes effect when the worker comes to it`}`;
