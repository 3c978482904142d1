"use strict";
// One question as a card. All text goes in as text nodes: nothing of the data is ever parsed as markup.

/** A new element; children are elements, or texts. */
function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

const f1Text = (value) => value.toFixed(2);
const modelLetter = (place) => String.fromCodePoint(65 + (place % 26)) + (place < 26 ? "" : Math.floor(place / 26));

/** The sign of a model, in a colour between blue and brown: green is for gold. */
function modelBadge(data, place) {
  const badge = element("span", "badge", modelLetter(place));
  badge.style.setProperty("--hue", String(Math.round(205 + (195 * place) / (data.models.length - 1)) % 360));
  badge.title = data.models[place];
  return badge;
}

/** The sign of an answer that a strategy chose and no model gave as its own. */
function choiceBadge(data, strategy) {
  const badge = element("span", "badge choice", "★");
  badge.title = data.strategies[strategy];
  return badge;
}

/** An answer whose characters show what they have in common with a reference. */
function colouredAnswer(answer, references, text) {
  const shown = element("span", "text");
  if (!answer) shown.append(element("span", "empty", text("empty")));
  for (const { text: piece, kind } of colouredPieces(answer, bestReference(answer, references))) {
    shown.append(kind === "plain" ? piece : element("span", kind, piece));
  }
  return shown;
}

/** What a strategy chose: {places, answer}; places are those of all models with this answer, maybe none. */
function choiceOf(question, strategy) {
  const chosen = question.chosen[strategy];
  return typeof chosen === "string"
    ? { places: [], answer: chosen }
    : { places: chosen, answer: question.answers[chosen[0]] };
}

/** F1 of two models' answers; pairs are stored as (0,1), (0,2), …, (1,2), … */
function pairF1(data, question, one, other) {
  const [low, high] = one < other ? [one, other] : [other, one];
  const models = data.models.length;
  return question.pairs[low * models - (low * (low + 1)) / 2 + high - low - 1];
}

/** The table of answers: a row a model, and one for another choice, with F1 against gold and every other model. */
function answersTable(data, question, strategy, text) {
  const chosen = choiceOf(question, strategy);
  const references = question.gold || [chosen.answer];
  const head = element("tr", "", element("th"), element("th", "answer", text("answer")));
  if (data.hasGold) head.append(element("th", "", text("gold")));
  data.models.forEach((_, place) => head.append(element("th", "", modelBadge(data, place))));
  const rows = question.answers.map((answer, place) => {
    const row = element("tr", chosen.places.includes(place) ? "chosen" : "");
    row.append(element("td", "model", modelBadge(data, place), element("span", "name", data.models[place])));
    row.append(element("td", "answer", colouredAnswer(answer, references, text)));
    if (data.hasGold) row.append(element("td", "number", f1Text(question.f1[place])));
    data.models.forEach((_, other) => {
      row.append(element("td", "number", other === place ? "" : f1Text(pairF1(data, question, place, other))));
    });
    return row;
  });
  if (!chosen.places.length) {
    const name = element("span", "name", data.strategies[strategy]);
    const row = element("tr", "chosen", element("td", "model", choiceBadge(data, strategy), name));
    row.append(element("td", "answer", colouredAnswer(chosen.answer, references, text)));
    if (data.hasGold) row.append(element("td", "number", f1Text(question.chosenF1[strategy])));
    row.append(...question.answers.map((own) => element("td", "number", f1Text(characterF1(chosen.answer, own)))));
    rows.push(row);
  }
  if (question.gold) {
    const name = element("td", "model", element("span", "badge gold", "✓"), element("span", "name", text("gold")));
    rows.push(element("tr", "gold", name, element("td", "answer", question.gold.join(" / "))));
  }
  return element("div", "scroll", element("table", "", element("thead", "", head), element("tbody", "", ...rows)));
}

/** What each strategy chose. */
function choices(data, question, strategy, text) {
  const list = element("ul", "choices", element("li", "head", text("strategies")));
  data.strategies.forEach((name, place) => {
    const { places, answer } = choiceOf(question, place);
    const item = element("li", place === strategy ? "current" : "", `${name} `);
    item.append(...places.map((model) => modelBadge(data, model)));
    if (!places.length && place === strategy) item.append(choiceBadge(data, strategy), " ");
    if (!places.length) item.append(colouredAnswer(answer, question.gold || [answer], text));
    if (data.hasGold) item.append(` ${f1Text(question.chosenF1[place])}`);
    list.append(item);
  });
  return list;
}

/** The article with the answers marked; after each the signs of the models that gave it, or that it was chosen. */
function articleView(data, question, strategy, text) {
  if (question.article < 0) return element("p", "article missing", text("noArticle"));
  const models = data.models.length;
  const gold = question.gold || [];
  const { places, answer } = choiceOf(question, strategy);
  const isGold = (owner) => owner >= models && owner < models + gold.length;
  const isChoice = (owner) => owner === models + gold.length;
  const body = element("div", "article");
  const answers = [...question.answers, ...gold, ...(places.length ? [] : [answer])];
  for (const piece of markedPieces(data.articles[question.article], answers)) {
    if (!piece.owners.length) body.append(piece.text);
    else body.append(element("mark", piece.owners.some(isGold) ? "gold" : "", piece.text));
    const badges = piece.ends.filter((owner) => owner < models).map((owner) => modelBadge(data, owner));
    if (piece.ends.some(isChoice)) badges.push(choiceBadge(data, strategy));
    if (piece.ends.some(isGold)) badges.push(element("span", "badge gold", "✓"));
    if (badges.length) body.append(element("sup", "", ...badges));
  }
  return body;
}

/** The whole card. */
function questionCard(data, question, strategy, text) {
  const head = element("p", "head", element("span", "id", question.id), element("span", "chip", question.pattern));
  head.append(element("span", "chip", text("stake", { value: f1Text(question.stake) })));
  const left = element("div", "left", head);
  if (question.question) left.append(element("h2", "", question.question));
  left.append(answersTable(data, question, strategy, text), choices(data, question, strategy, text));
  const title = element("h3", "", text("article"));
  return element("section", "card", left, element("div", "right", title, articleView(data, question, strategy, text)));
}
