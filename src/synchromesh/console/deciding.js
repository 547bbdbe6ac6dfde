
/* --- deciding: what would happen is shown first, then it is confirmed ------------------------------- */

const NATIVE = "native/1"; /* events as they are: nothing maps them */
let asking = null; /* the decision in the dialog: {path, said(by, values), sure} */
let questioned = 0;

function remembered() {
  try { return localStorage.getItem("synchromesh.by") || ""; } catch { return ""; }
}

function remember(name) {
  try { localStorage.setItem("synchromesh.by", name); } catch { /* a browser that keeps nothing asks each time */ }
}

function field(name, label, options = {}) {
  const { kind, value, hint, values, ...rest } = options;
  const input = kind === "select" ? make("select", { name }, ...values.map(([v, text]) => make("option", { value: v, text })))
    : kind === "textarea" ? make("textarea", { name, rows: "12", spellcheck: "false", class: "mono" }) : make("input", { type: "text", name, autocomplete: "off", ...rest });
  if (value !== undefined) input.value = value;
  return make("label", { class: "field" }, label, input, hint ? make("small", { text: hint }) : null);
}

/* Open the dialog. A decision that needs nothing more to be said is tried at once. */
function openDecision(decision) {
  asking = { fields: [], confirm: "Confirm", ...decision };
  at("decide-title").textContent = decision.title;
  at("decide-about").textContent = decision.about;
  at("decide-fields").replaceChildren(...asking.fields);
  at("decide-by").value = remembered();
  at("decide-confirm").textContent = asking.confirm;
  forgetForeseen();
  at("decide").showModal();
  const first = at("decide-fields").querySelector("input,textarea,select");
  if (first) first.focus(); else if (remembered()) { at("decide-cancel").focus(); tryIt(); } else at("decide-by").focus();
}

function forgetForeseen() {
  questioned++;
  at("decide-foreseen").replaceChildren();
  at("decide-confirm").disabled = true;
  say(at("decide-problem"), "");
}

function valuesOf() {
  return Object.fromEntries([...at("decide-fields").querySelectorAll("[name]")].map((input) => [input.name, input.value.trim()]));
}

/* Throws in words of a person when something is missing; what it means is for the server to judge. */
function saidNow() {
  const by = at("decide-by").value.trim();
  if (!by) throw new Error("Say who decides this.");
  remember(by);
  return asking.said(by, valuesOf());
}

const pathOf = (flags) => asking.path + (asking.path.includes("?") ? "&" : "?") + new URLSearchParams(flags);

async function tryIt() {
  forgetForeseen();
  const turn = questioned;
  try {
    const said = saidNow();
    at("decide-foreseen").replaceChildren(make("p", { class: "quiet", text: "Finding out what would happen…" }));
    const told = await ask(pathOf({ dry_run: "true" }), said);
    if (turn !== questioned) return; /* something else was typed meanwhile */
    at("decide-foreseen").replaceChildren(...foreseenNodes(told));
    asking.tried = said;
    asking.sure = told.some((decided) => (decided.lookalikes || []).length > 0); /* who confirms has read them here; no other warning makes sure */
    at("decide-confirm").disabled = false;
  } catch (problem) {
    if (turn !== questioned) return;
    at("decide-foreseen").replaceChildren();
    say(at("decide-problem"), wordsOf(problem));
  }
}

async function confirmIt() {
  const turn = questioned;
  at("decide-confirm").disabled = true;
  try {
    const told = await ask(pathOf({ sure: String(asking.sure) }), asking.tried);
    const words = told.map(cameOf).join("; ");
    say(at("queue-result"), words);
    say(at("decisions-result"), words);
    if (turn === questioned) at("decide").close();
    await look();
  } catch (problem) {
    if (turn === questioned) say(at("decide-problem"), wordsOf(problem)); else say(at("queue-problem"), wordsOf(problem));
  }
}

at("decide-form").addEventListener("submit", (event) => { event.preventDefault(); tryIt(); });
at("decide-form").addEventListener("input", forgetForeseen);
at("decide-cancel").addEventListener("click", () => at("decide").close());
at("decide-confirm").addEventListener("click", confirmIt);
at("decide").addEventListener("close", () => { questioned++; });

/* --- each decision ------------------------------------------------------------------------------------- */

const decisionsOf = (plant) => `/v1/plants/${encodeURIComponent(plant)}/decisions`;
const aboutOf = (view) => `${view.id}: ${view.sentence}`;
const reasonField = () => field("reason", "Reason", { maxlength: "128", hint: "Required; it stands in the audit trail." });
function why(reason) {
  if (!reason) throw new Error("Say why: a reason is required.");
  return reason;
}
const causePath = () => "/v1/causes/decisions" + (at("queue-plant").value ? "?" + new URLSearchParams({ plant: at("queue-plant").value }) : "");
const causeAbout = (cause) => `${cause.category}: ${cause.subject}, ${plural(cause.exceptions, "exception")} in ${cause.plants.join(", ")}`;

function releaseCause(cause) {
  const { category, subject } = cause;
  openDecision({ title: "Release: try everything again", about: causeAbout(cause), path: causePath(), confirm: "Release",
    said: (by) => ({ type: "decision.cause.released", category, subject, by }) });
}

function dismissCause(cause) {
  const { category, subject } = cause;
  openDecision({ title: "Dismiss: nothing of it shall be booked", about: causeAbout(cause), path: causePath(), fields: [reasonField()], confirm: "Dismiss all",
    said: (by, { reason }) => ({ type: "decision.cause.dismissed", category, subject, by, reason: why(reason) }) });
}

function assignCause(cause) {
  const { category, subject } = cause;
  openDecision({ title: "Assign: who works on all of it", about: causeAbout(cause), path: causePath(), confirm: "Assign",
    fields: [field("to", "Who works on it", { maxlength: "128", hint: "Empty: nobody." })],
    said: (by, { to }) => ({ type: "decision.cause.assigned", category, subject, by, to }) });
}

function assign(plant, views, about) {
  openDecision({ title: "Assign: who works on it", about, path: decisionsOf(plant), confirm: "Assign",
    fields: [field("to", "Who works on it", { maxlength: "128", value: views.length === 1 ? views[0].assigned || "" : "", hint: "Empty: nobody." })],
    said: (by, { to }) => ({ type: "decision.assigned", exceptions: views.map((view) => [view.position, view.ordinal]), by, to }) });
}

function retry(view, last) {
  openDecision({ title: last ? "Retry as the last of its lane" : "Retry", about: aboutOf(view), path: decisionsOf(view.plant), confirm: "Retry",
    said: (by) => (view.posting ? { type: "decision.retried", posting: view.posting, by, last } : { type: "decision.fact.retried", position: view.position, by }) });
}

function settle(view) {
  openDecision({ title: "Settle doubt: is it booked?", about: aboutOf(view), path: decisionsOf(view.plant), confirm: "Settle",
    fields: [field("booked", "What ERP shows", { kind: "select", values: [["", "– choose –"], ["yes", "It is booked"], ["no", "It is not booked: send it again"]] }),
      field("document", "Number of the document, if it is booked", { maxlength: "128" })],
    said: (by, { booked, document: number_ }) => {
      if (!booked) throw new Error("Say whether ERP has booked it: look there first.");
      if (booked === "yes" && !number_) throw new Error("Say the number of the document in ERP.");
      if (booked === "no" && number_) throw new Error("What is not booked has no document: take the number away, or say that it is booked.");
      return { type: "decision.settled", posting: view.posting, by, document: number_ };
    } });
}

function dismiss(view) {
  openDecision({ title: "Dismiss: it shall not be booked", about: aboutOf(view), path: decisionsOf(view.plant), fields: [reasonField()], confirm: "Dismiss",
    said: (by, { reason }) => ({ type: "decision.dismissed", position: view.position, ordinal: view.ordinal, by, reason: why(reason) }) });
}

function correct(view, fact, event) {
  openDecision({ title: "Correct what the fact says", about: `${fact.id} of ${fact.source}, at ${fact.position}. The original stays; ${aboutOf(view)}`,
    path: decisionsOf(view.plant), confirm: "Correct",
    fields: [field("event", "The event that it should have been", { kind: "textarea", value: JSON.stringify(event, null, 2) }), reasonField()],
    said: (by, values) => ({ type: "decision.fact.repaired", position: fact.position, by, reason: why(values.reason), event: parsed(values.event) }) });
}

function correctMessage(view, fact, message) {
  openDecision({ title: "Correct the message", about: `${fact.id} of ${fact.source}: it is read again as ${message.interface}, and stays as it came; ${aboutOf(view)}`,
    path: `/v1/plants/${encodeURIComponent(view.plant)}/facts/${fact.position}/payload`, confirm: "Correct",
    fields: [field("payload", "What the message should have said", { kind: "textarea", value: message.body }), reasonField()],
    said: (by, { payload, reason }) => ({ payload, by, reason: why(reason) }) });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`The event is not JSON: ${error.message}`);
  }
}

/* What can be done about one exception as it stands. */
function actionsOf(view, stories) {
  if (view.state !== "open" && view.state !== "assigned") return [];
  const doubt = stories.some((story) => (story.postings || []).some((posting) => posting.key === view.posting && posting.state === "in doubt"));
  const refused = stories.length === 1 && stories[0].fact.fate === "exception";
  const several = stories.length > 1;
  const actions = [];
  if (view.posting && doubt) actions.push(button("Settle…", () => settle(view), "small"));
  if (view.posting && !doubt) actions.push(button("Retry…", () => retry(view, false), "small"), button("Retry as the last…", () => retry(view, true)));
  if (!view.posting && refused) actions.push(button("Retry…", () => retry(view, false), "small"));
  for (const { fact, events, message } of stories) {
    const which = several ? ` ${fact.id}` : "";
    if ((events || []).length === 1) actions.push(button(`Correct${which}…`, () => correct(view, fact, events[0])));
    const whole = message.body && message.size === new TextEncoder().encode(message.body).length;
    if (whole && (message.interface !== NATIVE || !(events || []).length)) actions.push(button(`Correct the message${which}…`, () => correctMessage(view, fact, message)));
  }
  actions.push(button("Assign…", () => assign(view.plant, [view], aboutOf(view))), button("Dismiss…", () => dismiss(view)));
  return actions;
}
