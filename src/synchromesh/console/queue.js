
/* --- the exception queue: causes, their members, everything about one ------------------------------ */

const CAUSES = 100; /* asked for at once; filters show the others */
const PAGE = 50; /* members of a cause that are asked for at once */
const nameOf = (cause) => cause.category + "\n" + cause.subject;
const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many || one + "s"}`;
const known = new Map(); /* name of a cause → its node, and what is open in it */

function span(from, to) {
  const minutes = Math.max(0, Math.round((to - from) / 60000));
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} days`;
}

const longTime = (iso) => make("time", { datetime: iso, text: full.format(new Date(iso)) });

function dueNode(view) {
  if (!view.due) return null;
  const now = Date.now();
  const due = new Date(view.due).getTime();
  return view.late
    ? make("span", { class: "service late" }, make("b", { text: "▲ Late" }), ` by ${span(due, now)}`)
    : make("span", { class: "service", text: due > now ? `due in ${span(now, due)}` : "due now" });
}

function releaseNode(state, release) {
  const id = release.plant + release.verb;
  const most = Math.max(state.most.get(id) || 0, release.left);
  state.most.set(id, most);
  const words = `${release.verb === "dismiss" ? "Being dismissed" : "Being tried again"}${release.by ? " for " + release.by : ""} at ${release.plant}: ${count(release.left)} left`;
  return make("p", { class: "release" }, make("progress", { max: String(most || 1), value: String(most - release.left), "aria-label": words }), words);
}

function headNodes(state, cause) {
  const figures = [
    ["exceptions", count(cause.exceptions)], ["facts held up", count(cause.facts)], ["orders", count(cause.orders)],
    ["plants", cause.plants.join(", ")], ["work centres", (cause.work_centres || []).join(", ")], ["since", longTime(cause.oldest)], ["looked after by", cause.owner], ["works on it", (cause.working || []).join(", ") || "nobody yet"]];
  if (!(cause.releasing || []).length) state.most.clear();
  return [
    make("div", { class: "cause-title" }, make("span", { class: "kind", text: cause.category }), make("h3", { text: cause.subject }), dueNode(cause)),
    make("p", { class: "sentence", text: cause.sentence || "" }),
    cause.remedy ? make("p", {}, make("b", { text: "What to do: " }), cause.remedy) : null,
    pairs(figures),
    ...(cause.releasing || []).map((release) => releaseNode(state, release)),
  ].filter((node) => node !== null);
}

const button = (text, act, kind) => {
  const node = make("button", { type: "button", class: kind || "plain small", text });
  node.addEventListener("click", () => act(node));
  return node;
};

function causeState(cause) {
  const state = { cause, most: new Map(), members: new Map(), wanted: PAGE, print: "" };
  state.head = make("div", { class: "cause-head" });
  state.summary = make("summary");
  state.list = make("ul", { class: "members" });
  state.more = button("Show more", () => { state.wanted += PAGE; lookInto(state); });
  state.problem = make("p", { class: "problem", role: "alert", hidden: "" });
  state.details = make("details", {}, state.summary, state.list, state.problem, state.more);
  state.details.addEventListener("toggle", () => { if (state.details.open) lookInto(state); });
  const actions = make("div", { class: "buttons" },
    button("Release…", () => releaseCause(state.cause), "small"), button("Assign…", () => assignCause(state.cause)), button("Dismiss all…", () => dismissCause(state.cause)));
  state.node = make("article", { class: "card cause" }, state.head, actions, state.details);
  return state;
}

function showCause(cause) {
  const state = known.get(nameOf(cause)) || causeState(cause);
  known.set(nameOf(cause), state);
  state.cause = cause;
  const print = JSON.stringify(cause) + (dueNode(cause) || {}).textContent;
  if (print === state.print) return state;
  state.print = print;
  state.node.classList.toggle("is-late", Boolean(cause.late));
  state.node.setAttribute("aria-label", `${cause.category}: ${cause.subject}`);
  state.head.replaceChildren(...headNodes(state, cause));
  state.summary.textContent = plural(cause.exceptions, "exception");
  return state;
}

/* Put nodes into this order and move only what stands elsewhere: what has the focus keeps it. */
function arrange(parent, nodes) {
  for (const old of [...parent.children]) if (!nodes.includes(old)) old.remove();
  nodes.forEach((node, index) => { if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] || null); });
}

function showCauses(causes) {
  const names = new Set(causes.map(nameOf));
  for (const name of [...known.keys()]) if (!names.has(name)) known.delete(name);
  arrange(at("causes"), causes.map((cause) => showCause(cause).node));
  addOptions(at("queue-category"), [...new Set(causes.map((cause) => cause.category))].sort());
  const sum = (name) => causes.reduce((all, cause) => all + (cause[name] || 0), 0);
  const late = causes.filter((cause) => cause.late).length;
  const most = causes.length === CAUSES ? "the first " : "";
  at("queue-sum").textContent = causes.length
    ? `${most}${plural(causes.length, "cause")} · ${plural(sum("exceptions"), "exception")} · ${plural(sum("facts"), "fact")} held up · ${late ? count(late) : "none"} late` : "";
  at("queue-empty").hidden = causes.length > 0;
  at("queue-empty").textContent = at("queue-plant").value || at("queue-category").value ? "Nothing of this plant and category waits for a person." : "Nothing waits for a person.";
}

/* --- members of a cause ----------------------------------------------------------------------------- */

async function membersOf(cause, wanted, plants = cause.plants) {
  const found = [];
  for (const plant of plants) {
    let after = "0.0";
    while (found.length < wanted) {
      const query = new URLSearchParams({ plant, category: cause.category, subject: cause.subject, after, limit: String(Math.min(wanted - found.length, 1000)) });
      const rows = await ask("/v1/causes/members?" + query);
      found.push(...rows);
      if (!rows.length || found.length >= wanted) break;
      const last = rows[rows.length - 1];
      after = `${last.position}.${last.ordinal}`;
      if (rows.length < Number(query.get("limit"))) break;
    }
  }
  return found;
}

async function lookInto(state) {
  const turn = (state.turn = (state.turn || 0) + 1);
  try {
    const rows = await membersOf(state.cause, state.wanted);
    if (turn !== state.turn) return;
    say(state.problem, "");
    const ids = new Set(rows.map((row) => row.id));
    for (const id of [...state.members.keys()]) if (!ids.has(id)) state.members.delete(id);
    arrange(state.list, rows.map((row) => showMember(state, row).node));
    state.more.hidden = rows.length < state.wanted || rows.length >= state.cause.exceptions;
    state.more.textContent = `Show ${Math.min(PAGE, state.cause.exceptions - rows.length)} more of ${count(state.cause.exceptions)}`;
  } catch (problem) {
    if (turn === state.turn) say(state.problem, wordsOf(problem));
  }
}

function memberState(view) {
  const member = { view, print: "" };
  member.summary = make("summary");
  member.body = make("div", { class: "member-body" });
  member.details = make("details", {}, member.summary, member.body);
  member.details.addEventListener("toggle", () => { if (member.details.open) lookAt(member); });
  member.node = make("li", {}, member.details);
  return member;
}

function showMember(state, view) {
  const member = state.members.get(view.id) || memberState(view);
  state.members.set(view.id, member);
  const print = JSON.stringify(view);
  if (print === member.print) return member;
  member.print = print;
  member.view = view;
  member.summary.replaceChildren(make("span", { class: "mono", text: view.id }), view.order ? make("span", { text: "order " + view.order }) : "",
    view.work_centre ? make("span", { text: "at " + view.work_centre }) : "",
    longTime(view.opened), make("span", { text: plural(view.facts ?? 1, "fact") }), view.late ? make("b", { class: "late", text: "▲ late" }) : "",
    make("span", { class: "quiet", text: view.assigned ? view.assigned + " works on it" : "" }));
  if (member.details.open) lookAt(member);
  return member;
}

async function lookAt(member) {
  const { plant, position, ordinal } = member.view;
  try {
    const story = await ask(`/v1/plants/${encodeURIComponent(plant)}/exceptions/${position}.${ordinal}`);
    member.body.replaceChildren(...everything(story));
  } catch (problem) {
    member.body.replaceChildren(make("p", { class: "problem", role: "alert", text: wordsOf(problem) }));
  }
}

function everything({ exception, stories }) {
  const doings = (exception.history || []).map((doing) => make("li", {}, longTime(doing.at), " ", make("b", { text: doing.by }), " " + doing.what));
  return [
    make("p", { class: "sentence", text: exception.sentence }),
    exception.remedy ? make("p", {}, make("b", { text: "What to do: " }), exception.remedy) : "",
    pairs([["state", exception.state], ["plant", exception.plant], ["work centre", exception.work_centre], ["order", exception.order], ["works on it", exception.assigned], ["looked after by", exception.owner],
      ["due", exception.due ? longTime(exception.due) : ""], ["closed", exception.closed ? longTime(exception.closed) : ""], ["posting", exception.posting]]),
    exception.detail ? make("div", {}, make("h4", { text: "In ERP's own words" }), make("pre", { text: exception.detail })) : "",
    make("div", { class: "buttons" }, ...actionsOf(exception, stories)),
    make("h4", { text: "What was done about it" }),
    doings.length ? make("ul", { class: "doings" }, ...doings) : make("p", { class: "quiet", text: "Nothing yet." }),
    make("h4", { text: (exception.facts ?? 1) > stories.length && stories.length ? `The first ${stories.length} of ${count(exception.facts)} facts that it holds up` : "What it holds up" }),
    ...(stories.length ? stories.map((story) => storyNode(story, stories.length === 1)) : [make("p", { class: "quiet", text: "No fact." })]),
  ];
}

/* --- looking again ------------------------------------------------------------------------------------ */

const wordsOf = (problem) => (problem instanceof TypeError ? "no connection, trying again" : String(problem.message || problem));

function say(node, words) {
  node.hidden = !words;
  if (node.textContent !== words) node.textContent = words;
}

async function look() {
  const view = viewOf(location.hash);
  if (view === "exceptions") await lookAtQueue();
  if (view === "decisions") await lookAtTrail();
}

let looked = 0;
async function lookAtQueue() {
  const turn = ++looked;
  const query = new URLSearchParams({ limit: String(CAUSES), plant: at("queue-plant").value, category: at("queue-category").value });
  try {
    const [causes, proposals] = await Promise.all([ask("/v1/causes?" + query), ask("/v1/proposals")]);
    if (turn !== looked) return;
    say(at("queue-problem"), "");
    showCauses(causes);
    at("queue-waits").hidden = !proposals.length;
    at("queue-waits").firstElementChild.textContent = `${plural(proposals.length, "decision waits", "decisions wait")} for a second person`;
    await Promise.all([...known.values()].filter((state) => state.details.open).map(lookInto));
  } catch (problem) {
    if (turn === looked) say(at("queue-problem"), wordsOf(problem));
  }
}

async function lookOn() {
  if (!document.hidden) await look();
  setTimeout(lookOn, 2000);
}

for (const id of ["queue-plant", "queue-category"]) at(id).addEventListener("change", look);
at("audit-plant").addEventListener("change", look);
