"use strict";
/* Everything foreign enters the page as text (textContent), never as markup. */
const FATES = ["booked", "booking", "gathered", "recorded", "duplicate", "waiting", "exception", "dismissed"];
const LIMIT = 100;
const EXCEPTIONS = 5;
const number = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const at = (id) => document.getElementById(id);

function make(tag, options = {}, ...children) {
  const node = document.createElement(tag);
  const { text, ...rest } = options;
  for (const [name, value] of Object.entries(rest)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  node.append(...children.filter((child) => child !== null));
  return node;
}

const hue = (fate) => "f-" + (FATES.find((known) => fate.startsWith(known)) || "other");
const chip = (fate) => make("span", { class: "chip " + hue(fate), text: fate });
const count = (value) => (value === null || value === undefined ? "–" : number.format(value));
const rate = (value) => (value === null || value === undefined ? "–" : number.format(value < 10 ? Math.round(value * 10) / 10 : Math.round(value)));

function time(iso) {
  const day = new Date(iso);
  return make("time", { datetime: iso, title: full.format(day), text: clock.format(day) });
}

function documentNode(view) {
  const safe = /^https?:\/\//i.test(view.link || "");
  return safe
    ? make("a", { href: view.link, rel: "noopener noreferrer", target: "_blank", text: view.number })
    : make("a", { href: "#q=" + encodeURIComponent(view.number), text: view.number });
}

function spaced(nodes) {
  return nodes.flatMap((node, index) => (index ? [" ", node] : [node]));
}

const search = (text) => make("a", { href: "#q=" + encodeURIComponent(text), text });
const factLink = (fact, text) => make("a", { href: "#fact=" + encodeURIComponent(fact.plant) + "/" + fact.position, text });

/* --- the figures -------------------------------------------------------------------------------- */

function showSummary(view) {
  const sum = Object.values(view.fates).reduce((a, b) => a + b, 0);
  at("name").textContent = [view.name, ...(view.plants || [])].join(" · ");
  at("total").textContent = count(view.facts);
  const missing = view.facts - sum;
  at("verdict").textContent = missing ? `${count(missing)} without exactly one fate` : view.facts ? "every one accounted for" : "";
  at("verdict").classList.toggle("broken", missing !== 0);
  showFates(view.fates);
  at("received").textContent = rate(view.received_rate);
  at("settled").textContent = rate(view.settled_rate);
  at("p50").textContent = view.latency ? rate(view.latency.p50) + " ms" : "–";
  at("p99").textContent = view.latency ? "p99 " + rate(view.latency.p99) + " ms" : "p99 –";
  at("waiting").textContent = count(view.waiting || 0);
  at("exceptions").textContent = count(view.exceptions || 0);
  at("to-exceptions-count").textContent = count(view.exceptions || 0);
  at("to-exceptions-count").hidden = !view.exceptions;
  for (const id of ["queue-plant", "audit-plant"]) addOptions(at(id), view.plants || []);
  at("tile-exceptions").classList.toggle("alert", Boolean(view.exceptions));
  at("documents").textContent = count(view.documents || 0);
  at("systems").replaceChildren(...(view.systems || []).map(systemNode));
}

function addOptions(select, values) {
  const known = new Set([...select.options].map((option) => option.value));
  select.append(...values.filter((value) => !known.has(value)).map((value) => make("option", { value, text: value })));
}

function showFates(fates) {
  const place = (name) => (FATES.indexOf(name) + 1 || 99);
  const shown = Object.entries(fates).filter(([, n]) => n).sort(([a], [b]) => place(a) - place(b));
  at("bar").replaceChildren(...shown.map(([fate, n]) => {
    const part = make("i", { class: hue(fate), title: `${fate}: ${count(n)}` });
    part.style.flexGrow = n; /* set through the object model: the content policy forbids style attributes */
    return part;
  }));
  at("bar").setAttribute("aria-label", "facts by fate: " + shown.map(([fate, n]) => `${count(n)} ${fate}`).join(", "));
  at("legend").replaceChildren(...shown.map(([fate, n]) => make("li", { class: hue(fate), text: fate }, make("b", { text: count(n) }))));
}

function systemNode(system) {
  const state = system.reachable === false ? make("span", { class: "down", text: "does not answer" }) : null;
  return make("li", {}, make("b", { text: system.name }), ` grade ${system.grade} · ${count(system.waiting || 0)} waiting `, state);
}

/* --- the lists ---------------------------------------------------------------------------------- */

function cell(label, kind, ...children) {
  return make("td", { "data-label": label, class: kind }, ...children);
}

function factRow(fact) {
  const documents = spaced((fact.documents || []).map(documentNode));
  const reference = fact.reference ? make("small", { text: fact.reference }) : null;
  return make("tr", {},
    cell("Received", "tight", time(fact.received)),
    cell("Plant", "tight", fact.plant),
    cell("Fact", "tight", fact.type),
    cell("Order", "name", ...(fact.order ? [search(fact.order)] : [])),
    cell("Lot", "name", ...(fact.lot ? [search(fact.lot)] : [])),
    cell("Fate", "", chip(fact.fate), reference),
    cell("Document", "number", ...documents),
    cell("Message", "mono", factLink(fact, fact.id)));
}

let drawn = "";
function showFacts(facts) {
  const print = JSON.stringify(facts);
  if (print === drawn) return;
  drawn = print;
  at("rows").replaceChildren(...facts.map(factRow));
  at("empty").hidden = facts.length > 0;
}

function exceptionNode(view) {
  return make("li", {},
    make("p", {}, make("strong", { text: view.category }), " ", view.sentence),
    view.remedy ? make("p", { class: "remedy", text: view.remedy }) : null,
    make("p", { class: "quiet" }, time(view.opened), ` · ${view.plant} · `, factLink(view, "show the fact"), ...(view.order ? [" · order ", search(view.order)] : [])));
}

function showExceptions(list, total) {
  at("open").hidden = list.length === 0;
  at("open-title").textContent = total > list.length ? `Open exceptions, the newest ${list.length} of ${count(total)}` : "Open exceptions";
  at("open-list").replaceChildren(...list.map(exceptionNode));
}

/* --- one fact's story: message → event → postings → documents ------------------------------------- */

function pairs(entries) {
  const shown = entries.filter(([, value]) => value !== undefined && value !== null && value !== "");
  return make("dl", { class: "pairs" }, ...shown.map(([name, value]) =>
    make("div", {}, make("dt", { text: name }), make("dd", {}, value instanceof Node ? value : plain(value)))));
}

function plain(value) {
  if (value === null || typeof value !== "object") return String(value);
  const keys = Object.keys(value);
  if (keys.length === 2 && "amount" in value && "unit" in value) return `${value.amount} ${value.unit}`;
  return JSON.stringify(value);
}

function step(title, ...children) {
  return make("section", { class: "step" }, make("h3", { text: title }), make("div", {}, ...children));
}

function messageStep(story) {
  const { fact, message } = story;
  const facts = pairs([["id", fact.id], ["source", fact.source], ["received", time(fact.received)], ["occurred", fact.occurred && time(fact.occurred)],
    ["interface", message.interface], ["at", `${fact.plant} ${fact.position}`], ["bytes", message.size || ""]]);
  const body = message.body ? make("details", {}, make("summary", { text: "as it came" }), make("pre", { text: message.body })) : null;
  return step("Message", facts, body);
}

function eventStep(event) {
  const { type, ...rest } = event;
  return step("Event", make("strong", { text: type || "event" }), pairs(Object.entries(rest)));
}

function postingStep(posting) {
  const head = make("p", {}, make("strong", { text: posting.kind }), ` in ${posting.target} · `, make("span", { text: posting.state }));
  const shared = (posting.facts || 1) > 1 ? make("p", { class: "quiet", text: `books ${count(posting.facts)} facts` }) : null;
  const waits = posting.waits_for ? make("p", { text: `waits for ${posting.waits_for}` }) : null;
  const refused = posting.sentence ? make("p", {}, posting.sentence, " ", make("span", { class: "remedy", text: posting.remedy || "" })) : null;
  return step("Posting", head, ...(posting.lines || []).map((line) => make("p", { text: line })), shared, waits, refused,
    make("p", { class: "quiet mono", text: posting.key }));
}

function documentStep(posting) {
  return step("Document", make("p", {}, documentNode(posting.document), " ", ...(posting.settled ? ["confirmed ", time(posting.settled)] : [])));
}

function storyNode(story, open) {
  const { fact } = story;
  const postings = story.postings || [];
  const chain = make("div", { class: "chain" }, messageStep(story),
    ...(story.events || []).map(eventStep),
    ...postings.flatMap((posting) => (posting.document ? [postingStep(posting), documentStep(posting)] : [postingStep(posting)])),
    ...(story.exceptions || []).map((view) => step("Exception", make("ul", { class: "open-list" }, exceptionNode(view)))));
  const head = make("summary", {}, time(fact.received), make("strong", { text: fact.type }), chip(fact.fate),
    fact.reference ? make("span", { class: "quiet", text: fact.reference }) : null, make("span", { class: "mono quiet", text: fact.id }));
  return make("details", { class: "story", ...(open ? { open: "" } : {}) }, head, chain);
}

function showTrace(stories, sentence) {
  at("trace").replaceChildren(make("p", { id: "found", text: sentence }), ...stories.map((story) => storyNode(story, stories.length === 1)));
  at("clear").hidden = false;
}

function found(trace) {
  const n = (trace.stories || []).length;
  if (!n) return `Nothing is known of “${trace.query}”: no order, lot, message or document has this name.`;
  return `${trace.more ? "The newest " : ""}${count(n)} ${n === 1 ? "fact" : "facts"} of ${(trace.matched || []).join(" and ")} ${trace.query}`;
}

/* --- asking ------------------------------------------------------------------------------------- */

async function ask(path, said) {
  const headers = { accept: "application/json" };
  const options = said === undefined ? {} : { method: "POST", body: JSON.stringify(said) };
  if (said !== undefined) headers["content-type"] = "application/json";
  const answer = await fetch(path, { ...options, headers, cache: "no-store" });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail || body.title || `the server answered ${answer.status}`);
  return body;
}

let asked = 0;
async function follow() {
  const turn = ++asked; /* a slow answer must not replace a newer one */
  const [kind, value] = location.hash.slice(1).split(/=(.*)/s);
  try {
    if (kind === "q" && value) {
      const query = decodeURIComponent(value);
      at("q").value = query;
      const trace = await ask("/v1/trace?q=" + encodeURIComponent(query));
      if (turn === asked) showTrace(trace.stories || [], found(trace));
    } else if (kind === "fact" && value) {
      const story = await ask("/v1/plants/" + value.replace("/", "/facts/"));
      if (turn === asked) showTrace([story], `The message ${story.fact.id} of ${story.fact.source}`);
    } else {
      at("trace").replaceChildren();
      at("clear").hidden = true;
      return;
    }
    at("find").scrollIntoView({ block: "nearest" });
  } catch (problem) {
    if (turn === asked) showTrace([], String(problem.message || problem));
  }
}

function alive(on, text) {
  at("live").className = "live " + (on ? "on" : "off");
  if (at("live-text").textContent !== text) at("live-text").textContent = text;
}

async function refresh() {
  if (!document.hidden && !at("pause").checked) {
    try {
      const [summary, facts, exceptions] = await Promise.all([ask("/v1/summary"), ask("/v1/facts?limit=" + LIMIT), ask("/v1/exceptions?limit=" + EXCEPTIONS)]);
      showSummary(summary);
      showFacts(facts);
      showExceptions(exceptions, summary.exceptions || 0);
      alive(true, "live");
    } catch (problem) {
      alive(false, problem instanceof TypeError ? "no connection, trying again" : String(problem.message));
    }
  }
  setTimeout(refresh, 1000);
}

/* --- views: the hash says which ------------------------------------------------------------------- */

const VIEWS = ["overview", "exceptions", "decisions"];
const viewOf = (hash) => VIEWS.find((name) => hash === "#" + name) || "overview";
function showView() {
  const shown = viewOf(location.hash);
  for (const name of VIEWS) {
    at("view-" + name).hidden = name !== shown;
    if (name === shown) at("to-" + name).setAttribute("aria-current", "page"); else at("to-" + name).removeAttribute("aria-current");
  }
}

at("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const query = at("q").value.trim();
  const target = query ? "#q=" + encodeURIComponent(query) : "#";
  if (location.hash === target) follow(); else location.hash = target;
});
at("clear").addEventListener("click", () => { at("q").value = ""; location.hash = "#"; });
