"use strict";
// The page: language, filters, order, and a list that grows as it is read.

const AT_ONCE = 20;
const TEXTS = JSON.parse(document.getElementById("texts").textContent);
const DATA = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const state = {
  language: firstLanguage(), pattern: "", strategy: DATA.shown, choice: "", show: "showAll", sort: "sortStake", search: "",
};
let listed = [];
let rendered = 0;

/** A text of the page in the language chosen, its {slots} filled. */
function text(key, slots = {}) {
  return TEXTS[state.language][key].replace(/\{(\w+)\}/g, (_, name) => String(slots[name]));
}

const counted = (number) => number.toLocaleString(state.language);

function firstLanguage() {
  try {
    const kept = localStorage.getItem("kqa-language");
    if (kept in TEXTS) return kept;
  } catch { /* a browser may refuse storage to a file; the page works without */ }
  return navigator.language.startsWith("ko") ? "ko" : "en";
}

function switchLanguage() {
  state.language = state.language === "ko" ? "en" : "ko";
  try {
    localStorage.setItem("kqa-language", state.language);
  } catch { /* as above */ }
  renderAll();
}

/** What a strategy gives away: F1 of the best answer less that of the one it chose. */
const loss = (question) => Math.max(...question.f1, ...question.chosenF1) - question.chosenF1[state.strategy];

/** Whether an answer that is no model's own was chosen anywhere. */
const HAS_OTHERS = DATA.questions.some(({ chosen }) => chosen.some((one) => typeof one === "string"));

/** Whether a question has the choice that is asked for: a model's answer, or "other", which is none's own. */
function fitsChoice(question) {
  const { places } = choiceOf(question, state.strategy);
  return state.choice === "other" ? !places.length : places.includes(Number(state.choice));
}

const SHOWS = {
  showAll: () => true,
  showSplit: (question) => question.split,
  showLost: (question) => loss(question) > 0,
};
const SORTS = {
  sortStake: (one, other) => other.stake - one.stake || (DATA.hasGold ? loss(other) - loss(one) : 0),
  sortLost: (one, other) => loss(other) - loss(one),
  sortOrder: () => 0,
};

/** Everything of a question that can be searched, made once. */
function haystack(question) {
  if (question.haystack === undefined) {
    const article = question.article < 0 ? "" : DATA.articles[question.article];
    const own = [question.id, question.question || "", ...question.answers, ...(question.gold || [])];
    own.push(...question.chosen.filter((chosen) => typeof chosen === "string"), article);
    question.haystack = own.join("\n").normalize("NFC").toLowerCase();
  }
  return question.haystack;
}

/** The questions that fit the filters, in order; those that tie stay as in the input. */
function select() {
  const wanted = state.search.trim().normalize("NFC").toLowerCase();
  return DATA.questions
    .filter((question) => !state.pattern || question.pattern === state.pattern)
    .filter((question) => !state.choice || fitsChoice(question))
    .filter(SHOWS[state.show])
    .filter((question) => !wanted || haystack(question).includes(wanted))
    .sort(SORTS[state.sort]);
}

function renderList() {
  listed = select();
  rendered = 0;
  byId("list").replaceChildren();
  const key = ["none", "countOne"][listed.length] || "count";
  byId("count").textContent = text(key, { count: counted(listed.length) });
  renderMore();
}

function renderMore() {
  const next = listed.slice(rendered, rendered + AT_ONCE);
  byId("list").append(...next.map((question) => questionCard(DATA, question, state.strategy, text)));
  rendered += next.length;
  const left = listed.length - rendered;
  byId("more").hidden = left === 0;
  byId("more").textContent = text("more", { count: counted(Math.min(left, AT_ONCE)) });
  // Observed anew, it reports again where the new cards left it in view.
  nearEnd.unobserve(byId("more"));
  nearEnd.observe(byId("more"));
}

const nearEnd = new IntersectionObserver(
  (entries) => { if (entries.some((entry) => entry.isIntersecting) && rendered < listed.length) renderMore(); },
  { rootMargin: "1000px" },
);

/** Fill a select with [value, label] pairs. */
function fill(id, options) {
  const made = options.map(([value, label]) => new Option(label, value));
  byId(id).replaceChildren(...made);
  byId(id).value = String(state[id]);
}

/** A vote pattern in the list; where all models agree, only a strategy that does not brings a question here. */
function patternLabel(pattern, count) {
  const most = Number(pattern.split(":")[0]);
  const key = most === DATA.models.length || most === 0 ? "patternOverruled" : "patternCount";
  return text(key, { pattern, count: counted(count) });
}

function renderFilters() {
  const patterns = new Map();
  for (const { pattern } of DATA.questions) patterns.set(pattern, (patterns.get(pattern) || 0) + 1);
  const sorted = [...patterns].sort(([one], [other]) => (one < other ? 1 : -1));
  fill("pattern", [
    ["", text("every", { count: counted(DATA.questions.length) })],
    ...sorted.map(([pattern, count]) => [pattern, patternLabel(pattern, count)]),
  ]);
  fill("strategy", DATA.strategies.map((name, place) => [place, name]));
  const others = HAS_OTHERS ? [["other", text("noModel")]] : [];
  fill("choice", [["", text("anyModel")], ...DATA.models.map((name, place) => [place, name]), ...others]);
  const withoutGold = (key) => DATA.hasGold || !key.endsWith("Lost");
  fill("show", Object.keys(SHOWS).filter(withoutGold).map((key) => [key, text(key)]));
  fill("sort", Object.keys(SORTS).filter(withoutGold).map((key) => [key, text(key)]));
  byId("search").placeholder = text("searchHint");
}

function renderLegend() {
  const signs = DATA.models.map((name, place) => element("span", "sign", modelBadge(DATA, place), ` ${name}`));
  if (HAS_OTHERS) signs.push(element("span", "sign", element("span", "badge choice", "★"), ` ${text("legendOther")}`));
  const hit = text(DATA.hasGold ? "legendHit" : "legendHitChosen");
  const colours = [["hit", hit], ["miss", text("legendMiss")], ["plain", text("legendPlain")]].map(
    ([kind, meaning]) => element("span", "sign", element("span", `text ${kind}`, "가1a"), ` ${meaning}`),
  );
  colours.push(element("span", "sign chosen", text("legendChosen")));
  const lines = [signs, colours, [text(DATA.hasGold ? "legendNumbers" : "legendNumbersOnly")],
    [text(DATA.hasGold ? "legendStakeGold" : "legendStake")]];
  byId("legend").replaceChildren(...lines.map((line) => element("p", "", ...line)));
}

function renderAll() {
  document.documentElement.lang = state.language;
  document.title = text("title");
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = text(node.dataset.text);
  const slots = { count: counted(DATA.questions.length - DATA.overruled), total: counted(DATA.total) };
  const lines = [text("summary", slots)];
  if (DATA.overruled) lines.push(text("overruled", { count: counted(DATA.overruled) }));
  byId("summary").textContent = lines.join(" ");
  renderFilters();
  renderLegend();
  renderList();
}

for (const id of ["pattern", "strategy", "choice", "show", "sort"]) {
  byId(id).addEventListener("change", ({ target }) => {
    state[id] = id === "strategy" ? Number(target.value) : target.value;
    renderList();
  });
}
let typing;
byId("search").addEventListener("input", ({ target }) => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    state.search = target.value;
    renderList();
  }, 150);
});
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("language").addEventListener("click", switchLanguage);
byId("more").addEventListener("click", renderMore);
renderAll();
