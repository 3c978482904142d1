"use strict";
// What two texts have in common, by the rules of kqa_lightning/metrics/functional.py. No DOM in here.

const QUOTES = /['"《》<>〈〉()‘’]/g;
// White space as Python's str.split() sees it, and the punctuation that the metric deletes.
const NOT_COUNTED = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000!-/:-@[-`{-~《》〈〉‘’]/;
const LONGEST_TABLE = 250000;

/** The characters of a text that count: [{character, start, end}], lower case, with their place in the text. */
function countedCharacters(text) {
  // As a whole: a final sigma looks around. One character rarely becomes two, but then it does so alone as well.
  const lowered = [...text.replace(QUOTES, " ").toLowerCase()];
  const counted = [];
  let start = 0;
  let from = 0;
  for (const character of text) {
    const end = start + character.length;
    const until = from + [...character.toLowerCase()].length;
    for (const lower of lowered.slice(from, until)) {
      if (!NOT_COUNTED.test(lower)) counted.push({ character: lower, start, end });
    }
    start = end;
    from = until;
  }
  return counted;
}

/** Of each counted character of an answer, whether F1 finds it in the reference: those in the same order first. */
function matchedCharacters(answer, reference) {
  const matched = commonSubsequence(answer, reference);
  const left = new Map();
  for (const { character } of reference) left.set(character, (left.get(character) || 0) + 1);
  answer.forEach(({ character }, place) => {
    if (matched[place]) left.set(character, left.get(character) - 1);
  });
  answer.forEach(({ character }, place) => {
    if (!matched[place] && left.get(character) > 0) {
      matched[place] = true;
      left.set(character, left.get(character) - 1);
    }
  });
  return matched;
}

/** Which characters of one list belong to its longest common subsequence with another; none where that is long work. */
function commonSubsequence(one, other) {
  const taken = one.map(() => false);
  const width = other.length + 1;
  if ((one.length + 1) * width > LONGEST_TABLE) return taken;
  const longest = new Uint32Array((one.length + 1) * width);
  for (let i = 1; i <= one.length; i++) {
    for (let j = 1; j <= other.length; j++) {
      longest[i * width + j] = one[i - 1].character === other[j - 1].character
        ? longest[(i - 1) * width + j - 1] + 1
        : Math.max(longest[(i - 1) * width + j], longest[i * width + j - 1]);
    }
  }
  for (let i = one.length, j = other.length; i > 0 && j > 0;) {
    if (one[i - 1].character === other[j - 1].character) {
      taken[i - 1] = true;
      i--;
      j--;
    } else if (longest[(i - 1) * width + j] >= longest[i * width + j - 1]) i--;
    else j--;
  }
  return taken;
}

/** An answer in pieces, [{text, kind}]: "hit" and "miss" count, "plain" does not. */
function colouredPieces(answer, reference) {
  const counted = countedCharacters(answer);
  const matched = matchedCharacters(counted, countedCharacters(reference));
  const kinds = new Map(counted.map(({ start }, index) => [start, matched[index] ? "hit" : "miss"]));
  const pieces = [];
  let start = 0;
  for (const character of answer) {
    const kind = kinds.get(start) || "plain";
    const last = pieces[pieces.length - 1];
    if (last && last.kind === kind) last.text += character;
    else pieces.push({ text: character, kind });
    start += character.length;
  }
  return pieces;
}

/** Character F1 of two answers. */
function characterF1(answer, reference) {
  const [counted, other] = [countedCharacters(answer), countedCharacters(reference)];
  const shared = matchedCharacters(counted, other).filter(Boolean).length;
  return shared ? (2 * shared) / (counted.length + other.length) : 0;
}

/** The reference, of several, that shares most with an answer: the one that F1 counts. */
function bestReference(answer, references) {
  return references.reduce((best, one) => (characterF1(answer, one) > characterF1(answer, best) ? one : best));
}

/**
 * An article in pieces, [{text, owners, ends}], where answers stand in it, whatever the punctuation.
 * owners are the places of the answers a piece belongs to; ends those whose answer ends with it.
 */
function markedPieces(article, answers) {
  const counted = countedCharacters(article);
  const found = answers.flatMap((answer, owner) => (
    occurrences(article, counted, answer).map(([start, end]) => ({ start, end, owner }))
  ));
  const cuts = new Set([0, article.length, ...found.flatMap(({ start, end }) => [start, end])]);
  const places = [...cuts].sort((a, b) => a - b);
  return places.slice(1).map((end, index) => ({
    text: article.slice(places[index], end),
    owners: ownersOf(found.filter((one) => one.start < end && one.end > places[index])),
    ends: ownersOf(found.filter((one) => one.end === end)),
  }));
}

const ownersOf = (found) => [...new Set(found.map(({ owner }) => owner))].sort((a, b) => a - b);

/** Where an answer stands in an article with these counted characters: [[start, end]], as words, not within a number. */
function occurrences(article, counted, answer) {
  const own = countedCharacters(answer);
  const wanted = own.map(({ character }) => character).join("");
  if (!wanted) return [];
  // Some characters are two units of a string long; every unit knows the place of its character.
  const units = counted.flatMap(({ character }, place) => Array.from({ length: character.length }, () => place));
  const text = counted.map(({ character }) => character).join("");
  const places = [];
  for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + 1)) {
    const found = counted.slice(units[at], units[at] + own.length);
    const [start, end] = [found[0].start, found[found.length - 1].end];
    const whole = !cutsNumber(article, start) && !cutsNumber(article, end) && !cutsLatin(article, end);
    if (!whole || !startsWord(article, start)) continue;
    if (found.slice(1).every((_, gap) => fitsGap(article, found, answer, own, gap))) places.push([start, end]);
  }
  return places;
}

/** Whether a word starts at a place of a text: what stands before is no letter, or one of another script. */
function startsWord(text, place) {
  const before = [...text.slice(Math.max(0, place - 2), place)].pop() || "";
  const after = [...text.slice(place, place + 2)][0];
  if (!/[\p{L}\p{N}\p{M}]/u.test(before)) return true;
  const kind = (character) => ["[0-9]", "\\p{Script=Hangul}", "\\p{Script=Latin}"].findIndex(
    (script) => new RegExp(script, "u").test(character),
  );
  // KB|국민은행 and 코로나|19 are two words to a reader; 25|명 is a number with its unit.
  return kind(before) !== kind(after) && kind(before) !== 0;
}

/** Whether a place lies within a word of Latin letters; Korean words go on with their particles. */
const cutsLatin = (text, place) => (
  /\p{Script=Latin}$/u.test(text.slice(Math.max(0, place - 2), place)) && /^\p{Script=Latin}/u.test(text.slice(place, place + 2))
);

const SENTENCE_END = /[.?!…][^\p{L}\p{N}]*\s|\n/u;
const NUMBER_END = /[0-9십백천만억조한두세네섯곱덟홉열]$/;
const UNIT = new RegExp(
  "^(?:[십백천만억조]|원|달러|엔|유로|위안|퍼센트|포인트|배|년|월|일|분기|시|분|초|세기"
  + "|명|개|곳|건|대|번|회|차례|가지|톤|채|가구|위|살|세)",
);

/**
 * Whether what stands between two characters of an article may stand there, `gap` counted from the first of them.
 * A space may where the answer has a gap as well, or between a number and its unit; the end of a sentence only
 * where the answer has one.
 */
function fitsGap(article, found, answer, own, gap) {
  const between = article.slice(found[gap].end, found[gap + 1].start);
  if (!/\s/.test(between)) return true;
  const inAnswer = answer.slice(own[gap].end, own[gap + 1].start);
  if (SENTENCE_END.test(between)) return SENTENCE_END.test(inAnswer);
  if (inAnswer) return true;
  const before = article.slice(Math.max(0, found[gap].end - 2), found[gap].end);
  const after = article.slice(found[gap + 1].start, found[gap + 1].start + 4);
  return (NUMBER_END.test(before) && UNIT.test(after)) || (/[백천만억조]$/.test(before) && /^[0-9]/.test(after));
}

/** Whether a place in a text lies between the digits of one number: 1|4, 1|,400, 3.|5. */
function cutsNumber(text, place) {
  const before = text.slice(Math.max(0, place - 2), place);
  const after = text.slice(place, place + 2);
  return (/[0-9][.,]?$/.test(before) && /^[0-9]/.test(after)) || (/[0-9]$/.test(before) && /^[.,][0-9]/.test(after));
}

if (typeof module !== "undefined") {
  module.exports = { countedCharacters, matchedCharacters, colouredPieces, characterF1, bestReference, markedPieces };
}
