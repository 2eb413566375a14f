/** What one prediction rests on, in a dialog. */

import { ask, AskError } from "/ask.js";
import { find, make, sidedBar } from "/dom.js";
import { imageOf } from "/results.js";
import { amount, cellName, effect, effectAt, figure, rounded } from "/words.js";

const LIFTS = [213, 94, 0]; // orange and blue: told apart by the colour-blind too
const LOWERS = [0, 114, 178];
const STRONGEST = 0.75; // opacity of the cell that carries most
const FAINT = 0.06; // of the largest: what is smaller is left clear
const PARTS = { image: "Cover", title: "Title", tags: "Tags", description: "Description" };
const MOST_FEATURES = 8;

let asking = null;
let url = null;

export function setUpDetail() {
  const dialog = find("detail");
  find("detail-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // beside it
  dialog.addEventListener("close", () => {
    asking?.abort();
    if (url) URL.revokeObjectURL(url);
    url = null;
  });
}

export async function openDetail(answer, question, variant) {
  const file = question.files[imageOf(question, variant.post)];
  const asked = { files: file ? [file] : [], titles: variant.title ? [variant.title] : [], fields: question.fields };
  asking = new AbortController();
  const { signal } = asking;
  const say = (...said) => find("detail-status").replaceChildren(...said);
  find("detail-variant").textContent = variant.title ? `“${variant.title}”` : (variant.image ?? "");
  find("detail-body").replaceChildren();
  find("detail-problem").textContent = "";
  say(
    "Measuring what changes without each part of the image and each word…",
    make("progress", { ariaLabel: "Asking the model" }),
  );
  find("detail").showModal();
  try {
    const found = await ask("/api/explain", asked, { signal, say });
    if (signal.aborted) return;
    url = file ? URL.createObjectURL(file) : null;
    find("detail-body").replaceChildren(...reasons(answer, found.posts[0]));
    say(`This is ${found.posts[0].explanation.note}: what goes together with ${answer.target}, not what causes it.`);
  } catch (problem) {
    if (signal.aborted) return;
    say();
    if (!(problem instanceof AskError)) throw problem;
    find("detail-problem").textContent = problem.message;
  }
}

function reasons(answer, post) {
  const why = post.explanation;
  const asCounts = post.count !== null;
  const told = (change) => effect(change, asCounts);
  const unit = asCounts
    ? `In percent of the predicted ${answer.target}`
    : `In ${why.unit === "percentile" ? "places of 100" : why.unit}`;
  const left = [
    url ? cover(post, why, told) : null,
    part("What each part does", `${unit}, against a post without it.`, partsList(why, asCounts, told)),
  ];
  const right = [
    why.words.length ? part("Word by word", "What each word of the title does.", wordsList(why, told)) : null,
    why.contributions ? contributions(why.contributions, asCounts && why.contributions.unit === why.unit) : null,
    why.cover.length
      ? part(
          "The cover beside others",
          "What goes together with success among the training posts, not what makes it.",
          coverFacts(why.cover, told),
        )
      : null,
    why.neighbours.length
      ? part("Most similar posts", `Training posts, and the ${answer.target} they earned.`, neighbours(why))
      : null,
  ];
  return [left, right].map((parts) => make("div", {}, ...parts.filter(Boolean)));
}

const part = (heading, hint, content) =>
  make("section", {}, make("h3", {}, heading), make("p", { class: "soft small" }, hint), content);

/** What is true of the cover, first what sets the posts that did best apart. */
function coverFacts(facts, told) {
  const percent = (share) => `${Math.round(100 * share)} %`;
  const said = (one) =>
    `${one.fact}: ${percent(one.share_of_top)} of the top tenth, ${percent(one.share_of_all)} of all` +
    (one.is_clear ? "" : "; no clear difference") +
    (one.effect
      ? `. In experiments ${told(one.effect.value)} with it (95 %: ${told(one.effect.low)} to ${told(one.effect.high)})`
      : "");
  return make("ul", { class: "facts" }, ...facts.map((one) => make("li", {}, said(one))));
}

function cover(post, why, told) {
  const picture = make("img", { src: url, alt: post.image });
  const frame = make("div", { class: "frame" }, picture);
  const section = make("section", {}, make("h3", {}, "The cover"), frame);
  if (!why.regions) return section;
  const canvas = drawRegions(why.regions);
  frame.append(canvas);
  const box = make("input", { type: "checkbox", role: "switch", checked: true });
  const show = () => frame.classList.toggle("covered", box.checked);
  box.addEventListener("change", show);
  show();
  section.append(
    make("div", { class: "keys" }, make("label", { class: "switch" }, box, " Show regions"), key("lifts"), key("lowers")),
    make("p", { class: "regions-said" }, regionsSaid(why, told)),
    make("details", {}, make("summary", {}, "Region by region"), regionsTable(why, told)),
  );
  return section;
}

const key = (what) => make("span", { class: "key" }, make("i", { class: what, ariaHidden: "true" }), `${what} it`);

/** A pixel for every cell; the browser blends them over the image. */
function drawRegions(regions) {
  const size = regions.length;
  const canvas = make("canvas", { width: size, height: size, ariaHidden: "true" });
  const image = new ImageData(size, size);
  const largest = Math.max(...regions.flat().map(Math.abs)) || 1;
  for (const [nth, cell] of regions.flat().entries()) {
    const share = Math.abs(cell) / largest;
    image.data.set([...(cell > 0 ? LIFTS : LOWERS), share > FAINT ? Math.round(255 * STRONGEST * share) : 0], 4 * nth);
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function regionsSaid({ regions, windows }, told) {
  const cells = regions.flatMap((row, down) => row.map((value, across) => ({ value, down, across })));
  const largest = Math.max(...cells.map((cell) => Math.abs(cell.value)));
  if (!largest) return "No region of the cover matters by itself.";
  const tell = (sign, verb) => {
    const cell = cells.reduce((best, one) => (sign * one.value > sign * best.value ? one : best));
    if (sign * cell.value <= FAINT * largest) return [];
    const where = cellName(cell.down, cell.across, regions.length);
    return [`The ${where} ${verb} it most (${told(effectAt(windows, cell.down, cell.across))}).`];
  };
  return [...tell(1, "lifts"), ...tell(-1, "lowers")].join(" ");
}

function regionsTable({ regions }, told) {
  const row = (cells) =>
    make("tr", {}, ...cells.map((cell) => make("td", { class: cell < 0 ? "lowers" : "lifts" }, told(cell))));
  const caption = make("caption", { class: "soft small" }, "What each region does, from the top left to the bottom right.");
  return make(
    "div",
    { class: "wide", tabIndex: 0, role: "group", ariaLabel: "Regions" },
    make("table", {}, caption, make("tbody", {}, ...regions.map(row))),
  );
}

function partsList({ without }, asCounts, told) {
  if (!without.length) return make("p", {}, "There is nothing to leave out.");
  const rest = (one) => `without it ${asCounts ? "about " : ""}${amount(one.without, asCounts)}`;
  return effects(
    without.map((one) => ({ name: PARTS[one.part], change: one.change, said: told(one.change), note: rest(one) })),
  );
}

/** Rows of a name, a bar to one side, what it says, and a note. */
function effects(rows) {
  const largest = Math.max(...rows.map((row) => Math.abs(row.change))) || 1;
  const show = ({ name, change, said, note }) =>
    make(
      "li",
      {},
      make("span", { dir: "auto" }, name),
      sidedBar(change / largest),
      make("b", {}, said),
      make("span", { class: "soft small", dir: "auto" }, note),
    );
  return make("ul", { class: "effects" }, ...rows.map(show));
}

function wordsList({ words }, told) {
  const largest = Math.max(...words.map(({ change }) => Math.abs(change))) || 1;
  const show = ({ word, change }) => {
    const item = make(
      "li",
      { class: change < 0 ? "lowers" : "lifts" },
      make("span", { dir: "auto" }, word),
      " ",
      make("b", {}, told(change)),
    );
    item.style.setProperty("--share", (Math.abs(change) / largest).toFixed(3));
    return item;
  };
  return make("ol", { class: "words", dir: "auto" }, ...words.map(show));
}

function contributions({ unit, start, groups, features, values }, asCounts) {
  const told = (change) => effect(change, asCounts);
  const row =
    (note) =>
    ([name, change]) => ({ name: name.replaceAll("_", " "), change, said: told(change), note: note(name) });
  const from = asCounts
    ? `From a start of about ${amount(start, true)}; together they make the prediction.`
    : `Added to a start of ${figure(start)}, in ${unit}.`;
  const most = Object.entries(features)
    .filter(([, change]) => change)
    .slice(0, MOST_FEATURES);
  const section = part("What its features add", from, effects(Object.entries(groups).map(row(() => ""))));
  section.classList.add("contributions");
  if (most.length)
    section.append(
      make("details", {}, make("summary", {}, "Single features"), effects(most.map(row((name) => values[name] ?? "")))),
    );
  return section;
}

function neighbours({ neighbours: found }) {
  const show = ({ title, image, id, count, earned, percentile }) =>
    make(
      "li",
      {},
      make("b", {}, count === null ? figure(earned, 4) : rounded(count)),
      make("span", { class: "soft small" }, `better than ${percentile.toFixed(0)} %`),
      make("span", { dir: "auto" }, title || image || id),
    );
  return make("ol", { class: "neighbours" }, ...found.map(show));
}
