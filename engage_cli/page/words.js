/** How numbers and sentences are written, as `engage predict` writes them. */

const SURE_ENOUGH = 2 / 3; // below it two variants are too close to call
const MANY_TIMES = 10; // from here on an effect on a count is written as so many times, not in percent
const FAR = { image: "cover", context: "description" };

const whole = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 2 });

/** Two significant digits: more would sound surer than any model is. */
export const rounded = (count) => whole.format(Number(count.toPrecision(2)));
export const grouped = (number) => whole.format(number);
export const percent = (share) => `${Math.round(100 * share)} %`;
export const figure = (value, digits = 3) => String(Number(value.toPrecision(digits))).replace("-", "−");
export const plural = (number, word) => `${grouped(number)} ${word}${number === 1 ? "" : "s"}`;
export const countOf = (value) => Math.max(0, Math.expm1(value));

/** A value of the target as people read it: as a count where the unit is the log of one. */
export const amount = (value, asCounts) => (asCounts ? rounded(countOf(value)) : figure(value, 4));
export const shortAmount = (value, asCounts) =>
  asCounts ? compact.format(countOf(value)).replace("K", "k") : figure(value);

/** What a change of the prediction means: of counts, a factor. */
export function effect(change, asCounts) {
  if (!asCounts) return signed(change, figure(Math.abs(change)));
  if (Math.abs(change) < Math.log(MANY_TIMES)) {
    const share = 100 * Math.expm1(change);
    return `${signed(Math.round(share), whole.format(Math.abs(share)))} %`;
  }
  return `${change > 0 ? "×" : "÷"}${whole.format(Math.exp(Math.abs(change)))}`;
}

const signed = (number, digits) => `${number < 0 ? "−" : "+"}${digits}`;

export const betterThan = (post) => `better than ${post.percentile.toFixed(0)} % of training posts`;

export function guess(post) {
  const parts = post.unlike_training_posts.map((part) => FAR[part] ?? part);
  if (!parts.length) return null;
  const [are, ranges] = [parts.length === 1 ? "is" : "are", rangeOf(post) ? ", so its interval was widened" : ""];
  return `A guess: its ${parts.join(" and its ")} ${are} unlike the training posts${ranges}.`;
}

/** Whether the variant at a place of the ranking may as well be ahead of the first; of the last ones nobody says. */
export const isTied = (answer, place) => place > 0 && answer.beats?.[0][place] < SURE_ENOUGH;

export const rankingOf = (answer) => answer.ranking ?? [{ rank: 1, post: 0, ...answer.posts[0], p_best: null }];

/** The ends between which 80 of 100 such posts lie; null where the run cannot tell. */
export const rangeOf = (post) => post.interval_80 ?? null;

/** Name a variant by what it has and others have not. */
export function nameOf(answer, { image, title }) {
  const differ = (key) => new Set(answer.posts.map((post) => post[key])).size > 1;
  if (!differ("title")) return image ?? "";
  return differ("image") ? `${image} with “${title}”` : `“${title}”`;
}

/** What stands above the ranking: the word that matters, and a sentence. */
export function verdictOf(answer) {
  const [first, second] = rankingOf(answer);
  const post = answer.posts[first.post];
  if (!second) {
    const said =
      post.count !== null ? `about ${rounded(post.count)} ${answer.target}` : `${answer.target} ${levelOf(post)}`;
    return ["The model expects", `${said}, ${betterThan(post)}.`];
  }
  const [one, other] = [first, second].map((variant) => nameOf(answer, variant));
  const times = `with a probability of ${(100 * answer.beats[0][1]).toFixed(0)} %.`;
  if (answer.too_close_to_call) return ["Too close to call", `${one} beats ${other} ${times}`];
  return ["Ahead", `${one}. It beats ${other} ${times}`];
}

const levelOf = (post) => (post.value === null ? `to be ${post.class.toLowerCase()}` : `of ${figure(post.value, 4)}`);

const PLACES = ["top", "middle", "bottom"];
const SIDES = ["left", "middle", "right"];

/** Say where a cell of a cover lies: "top left", "left", "middle", ... */
export function cellName(row, column, size) {
  const [down, across] = [PLACES[Math.floor((row * 3) / size)], SIDES[Math.floor((column * 3) / size)]];
  if (down === across) return down;
  return [down, across].filter((word) => word !== "middle").join(" ");
}

/** By how much the prediction falls at most, or rises where it rises, with a window over that cell covered. */
export function effectAt(windows, row, column) {
  const over = [0, 1].flatMap((down) => [0, 1].map((across) => windows[row + down][column + across]));
  return over.reduce((sum, one) => sum + one) >= 0 ? Math.max(...over) : Math.min(...over);
}

/** A server's sentence, which begins small, as a sentence of its own; a file's name is left as it is. */
export function asSentence(text) {
  const begun = /^[a-z]+[ ,]/.test(text) ? text[0].toUpperCase() + text.slice(1) : text;
  return /[.?]$/.test(begun) ? begun : `${begun}.`;
}
