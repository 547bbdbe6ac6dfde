
/* --- four eyes and the audit trail ------------------------------------------------------------------ */

const saidNodes = (decision) => make("details", {}, make("summary", { class: "quiet", text: "As it stands in the log" }), make("pre", { text: JSON.stringify(decision, null, 2) }));

function judge(proposal, approves) {
  const { plant, position } = proposal;
  openDecision({
    title: approves ? "Approve: it takes effect" : "Deny: it does not happen", confirm: approves ? "Approve" : "Deny",
    about: `${proposal.by} proposes to ${proposal.verb} ${proposal.about} (${plant}, ${position})`, path: decisionsOf(plant), fields: approves ? [] : [reasonField()],
    said: (by, { reason }) => (approves ? { type: "decision.approved", position, by } : { type: "decision.denied", position, by, reason: why(reason) }) });
}

function proposalNode(proposal) {
  return make("li", {},
    make("p", {}, make("b", { text: proposal.by }), ` proposes to ${proposal.verb} `, make("b", { text: proposal.about })),
    make("p", { text: proposal.words }),
    make("p", { class: "quiet" }, longTime(proposal.at), ` · ${proposal.plant} ${proposal.position}`), saidNodes(proposal.decision),
    make("div", { class: "buttons" }, button("Approve…", () => judge(proposal, true), "small"), button("Deny…", () => judge(proposal, false))));
}

const CAME = { done: "done", stale: "fitted no more", proposed: "proposed" };
function auditNode(entry) {
  return make("li", {},
    make("p", {}, make("b", { text: entry.by }), ` ${entry.words || entry.verb} `, make("span", { class: "came c-" + (CAME[entry.came_of] ? entry.came_of : "other"), text: CAME[entry.came_of] || entry.came_of })),
    make("p", { class: "quiet" }, longTime(entry.at), ` · ${entry.plant} ${entry.position}`), saidNodes(entry.decision));
}

/* Draw a list anew only when it has changed: what has the focus keeps it. */
function redraw(list, entries, node) {
  const print = JSON.stringify(entries);
  if (list.print === print) return;
  list.print = print;
  list.replaceChildren(...entries.map(node));
}

let trailed = 0;
async function lookAtTrail() {
  const turn = ++trailed;
  try {
    const [proposals, audit] = await Promise.all([ask("/v1/proposals"), ask("/v1/audit?" + new URLSearchParams({ limit: "100", plant: at("audit-plant").value }))]);
    if (turn !== trailed) return;
    say(at("audit-problem"), "");
    redraw(at("proposals"), proposals, proposalNode);
    redraw(at("audit"), audit, auditNode);
    at("proposals-empty").hidden = proposals.length > 0;
    at("audit-empty").hidden = audit.length > 0;
  } catch (problem) {
    if (turn === trailed) say(at("audit-problem"), wordsOf(problem));
  }
}
