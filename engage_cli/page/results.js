/** The ranking: a card for every variant, all on one axis. */

import { cautions, leakyBadge, marksOfRun } from "/banner.js";
import { find, make, place } from "/dom.js";
import {
  amount,
  betterThan,
  countOf,
  guess,
  isTied,
  nameOf,
  percent,
  rangeOf,
  rankingOf,
  rounded,
  shortAmount,
  verdictOf,
} from "/words.js";

const MOST_TICKS = 6;
const STEPS = [1, 2, 5];
const NO_RANGE = "No interval: the model was checked on too few posts to give one.";

let urls = []; // of the images that are shown: the form's may be removed meanwhile

export function showResults(answer, question, { explain }) {
  urls.forEach(URL.revokeObjectURL);
  urls = question.files.map((file) => URL.createObjectURL(file));
  const axis = answer.kind === "value" ? makeAxis(answer) : null;
  showVerdict(answer);
  find("start").hidden = true;
  find("export").hidden = false;
  find("axis").hidden = !axis;
  if (axis) find("axis").replaceChildren(...axis.ticks.map(({ at, label }) => place(make("span", {}, label), at)));
  const cards = rankingOf(answer).map((variant, nth) => makeCard({ answer, question, variant, nth, axis, explain }));
  find("ranking").replaceChildren(...cards);
  find("legend").textContent = legendOf(answer);
  find("legend").hidden = false;
}

/** Which image a post has: every image comes with every title, images first. */
export const imageOf = (question, post) => Math.floor(post / Math.max(1, question.titles.length));

function showVerdict(answer) {
  const [first] = answer.posts;
  const [word, sentence] = verdictOf(answer);
  const marks = marksOfRun().map((mark) => make("p", { class: "mark" }, mark));
  const box = find("verdict");
  box.className = `verdict card ${answer.too_close_to_call || answer.warnings.length ? "close" : "clear"}`;
  box.replaceChildren(
    make("p", {}, make("b", {}, word), leakyBadge(first), " ", make("span", { dir: "auto" }, sentence)),
    ...marks,
    ...cautions(answer.warnings),
  );
}

function legendOf({ kind, ranking, posts }) {
  const bar = posts.some(rangeOf)
    ? "The bar is the 80 % interval: 80 % of such posts end up within it. The mark is the prediction. "
    : "The mark is the prediction. ";
  const range = kind === "value" ? bar : "";
  const close = ranking ? "Too close to call: the first beats that variant with a probability below two thirds. " : "";
  return `${range}${close}All of it is the model's view, not a cause.`;
}

function makeCard({ answer, question, variant, nth, axis, explain }) {
  const post = answer.posts[variant.post];
  const url = urls[imageOf(question, variant.post)];
  const tied = isTied(answer, nth);
  const onclick = () => explain(variant);
  const name = nameOf(answer, variant) || `variant ${variant.rank}`;
  const title = make("h3", { dir: "auto" }, post.title || make("span", { class: "soft" }, "No title"));
  return make(
    "li",
    { class: `card variant${nth === 0 ? " first" : ""}${url ? "" : " bare"}`, "data-post": variant.post },
    url
      ? make("div", { class: "cover" }, make("img", { src: url, alt: post.image, loading: "lazy" }), rankOf(variant, answer))
      : make("div", {}, rankOf(variant, answer)),
    make(
      "div",
      { class: "said" },
      title,
      question.files.length > 1 ? make("p", { class: "soft small" }, post.image) : null,
      make("p", { class: "amount" }, ...amountOf(answer, post)),
      make("p", { class: "percentile" }, betterThan(post)),
      chips(answer, post, nth, tied),
    ),
    make(
      "div",
      { class: "side" },
      chance(variant),
      make("button", { type: "button", class: "why", onclick, ariaLabel: `Why: ${name}` }, "Why?"),
    ),
    warning(post),
    axis ? interval(answer, post, axis) : probabilities(post),
  );
}

const rankOf = ({ rank }, { ranking }) =>
  ranking ? make("span", { class: "rank", ariaLabel: `Rank ${rank}`, role: "img" }, String(rank)) : null;

function amountOf({ target }, post) {
  if (post.value === null) return [make("b", { class: "figure" }, post.class), ` ${target}, most probably`];
  if (post.count === null) return [make("b", { class: "figure" }, amount(post.value, false)), ` ${target}`];
  return ["about ", make("b", { class: "figure" }, rounded(post.count)), ` ${target}`];
}

function chips(answer, post, nth, tied) {
  const ahead =
    nth === 0 && answer.ranking && !answer.too_close_to_call ? make("span", { class: "chip ahead" }, "Ahead") : null;
  const close = tied ? make("span", { class: "chip close" }, "Too close to the first to call") : null;
  return ahead || close || post.leaky ? make("p", { class: "chips" }, ahead, close, leakyBadge(post)) : null;
}

function chance({ p_best: share }) {
  if (share === null) return null;
  const meter = make("span", { class: "meter", ariaHidden: "true" }, place(make("i"), 0, share));
  return make(
    "p",
    { class: "chance" },
    make("b", {}, percent(share)),
    make("span", { class: "soft" }, " chance to be the best"),
    meter,
  );
}

function warning(post) {
  const said = guess(post);
  return said ? make("p", { class: "warning" }, said) : null;
}

function interval(answer, post, axis) {
  const asCounts = post.count !== null;
  const range = rangeOf(post);
  const track = make("div", { class: "track", ariaHidden: "true" });
  track.append(...axis.ticks.map(({ at }) => place(make("i", { class: "line" }), at)));
  if (range) track.append(place(make("i", { class: "range" }), axis.at(range[0]), axis.at(range[1]) - axis.at(range[0])));
  track.append(place(make("i", { class: "point" }), axis.at(post.value)));
  const said = range
    ? [make("span", { class: "soft" }, "80 % interval: "), range.map((end) => amount(end, asCounts)).join(" to ")]
    : [make("span", { class: "soft" }, NO_RANGE)];
  return make("div", { class: "interval" }, track, make("p", { class: "small" }, ...said));
}

function probabilities(post) {
  const rows = Object.entries(post.probabilities).map(([name, share]) =>
    make(
      "li",
      { class: name === post.class ? "most" : "" },
      make("span", {}, name),
      make("span", { class: "meter", ariaHidden: "true" }, place(make("i"), 0, share)),
      make("b", {}, percent(share)),
    ),
  );
  return make("ul", { class: "levels", ariaLabel: "How probable each level is" }, ...rows);
}

/** One axis for all cards, in the target's unit: where a value lies on it, and ticks that read as amounts. */
function makeAxis({ posts }) {
  const asCounts = posts[0].count !== null;
  const ends = posts.flatMap((post) => [...(rangeOf(post) ?? []), post.value]);
  const [lowest, highest] = [Math.min(...ends), Math.max(...ends)];
  const margin = 0.04 * (highest - lowest || 1);
  const [low, high] = [asCounts ? Math.max(0, lowest - margin) : lowest - margin, highest + margin];
  const at = (value) => Math.min(1, Math.max(0, (value - low) / (high - low)));
  const values = asCounts ? countTicks(low, high) : plainTicks(low, high);
  return { at, ticks: values.map((value) => ({ at: at(value), label: shortAmount(value, asCounts) })) };
}

/** Round counts, as values of the log axis: of powers of ten also the double and the fivefold where there is room. */
function countTicks(low, high) {
  const powers = Array.from({ length: 13 }, (_, power) => 10 ** power);
  const inside = (steps) =>
    powers
      .flatMap((power) => steps.map((step) => Math.log1p(step * power)))
      .filter((value) => value >= low && value <= high);
  const choices = [STEPS, [1, 3], [1]].map(inside);
  const found = choices.find((ticks) => ticks.length <= MOST_TICKS) ?? choices.at(-1).filter((_, nth) => nth % 2 === 0);
  return found.length > 1 ? found : [low, (low + high) / 2, high];
}

function plainTicks(low, high) {
  const rough = (high - low) / MOST_TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [...STEPS, 10].map((one) => one * power).find((one) => one >= rough);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, nth) => (first + nth) * step);
}
