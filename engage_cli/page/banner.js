/** What the model is, and how far it can be trusted. */

import { find, make } from "/dom.js";
import { asSentence, figure, grouped, plural } from "/words.js";

let marks = []; // what makes the run's figures incomparable with honest ones; where it is leaky, that first

export const marksOfRun = () => marks;

export const leakyBadge = ({ leaky }) => (leaky ? make("strong", { class: "badge" }, "LEAKY") : null);

export function showRun(run) {
  const heading = make("h2", { id: "run-heading" }, run.run, " ", leakyBadge(run));
  const figures = run.cross_validated ?? run.test ?? run.validation;
  const card = find("run");
  card.replaceChildren(
    make("div", {}, heading, make("p", {}, ...purpose(run)), ...showMarks(run), ...cautions(run.warnings)),
    make("div", {}, make("p", { class: "soft small" }, ...provenance(run)), make("dl", {}, ...figures.metrics.map(metric))),
  );
  card.ariaBusy = "false";
}

/** What must be known beside every answer: that there were too few posts, or that nothing shows it to be better than a guess. */
export const cautions = (warnings) =>
  warnings.length ? [make("ul", { class: "cautions" }, ...warnings.map((one) => make("li", {}, asSentence(one))))] : [];

function purpose({ target, kind, trained, model_in_words: model }) {
  const what = kind === "classes" ? [" in five levels, from very low to very high"] : [];
  const learned = trained.posts
    ? [" Learned from ", make("b", {}, plural(trained.posts, "post")), ` (${trained.split} split).`]
    : [];
  return [
    "Predicts ",
    make("b", {}, target),
    ...what,
    ".",
    ...learned,
    ` Model: ${model}.`,
  ];
}

function showMarks(run) {
  marks = run.marks;
  return marks.length ? [make("ul", { class: "marks" }, ...marks.map((mark) => make("li", {}, mark)))] : [];
}

function provenance({ test, cross_validated: crossed, validation }) {
  if (crossed) {
    const alone = `${plural(test.rows, "test post")} alone ${test.rows === 1 ? "is" : "are"} too few to judge it`;
    return [`How well it did on ${plural(crossed.rows, "post")}, each predicted by models trained without it (${alone}):`];
  }
  if (test) return [`How well it did on ${plural(test.rows, "post")} that it had never seen (test split):`];
  const posts = validation.rows ? `the ${grouped(validation.rows)} posts` : "the posts";
  const command = make("code", {}, "engage evaluate");
  return [
    make("b", { class: "warn" }, "Optimistic"),
    ` figures, from ${posts} it was chosen by; `,
    command,
    " reads the test split:",
  ];
}

function metric({ title, meaning, value, low = null, high = null }) {
  const bounds = low !== null && high !== null ? make("small", {}, ` ${figure(low, 2)} to ${figure(high, 2)}`) : null;
  const found = value === null ? make("span", { class: "soft" }, "too few posts to tell") : make("b", {}, figure(value, 2));
  const said = make("dd", { class: "meaning" }, meaning);
  return make("div", {}, make("dt", {}, title), make("dd", {}, found, bounds), said);
}
