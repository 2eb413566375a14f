/** The ranking as a table for spreadsheets, and as an image. */

import { imageOf } from "/results.js";
import {
  amount,
  asSentence,
  betterThan,
  countOf,
  isTied,
  percent,
  rangeOf,
  rankingOf,
  rounded,
  verdictOf,
} from "/words.js";

/** A cell that a spreadsheet would take for a formula gets an apostrophe, which makes it text. */
const RISKY = /^\s*[=+\-@＝＋－＠]|^[\t\r]/;

export function toCsv(answer) {
  const rows = rankingOf(answer).map((variant) => Object.entries(cellsOf(answer, variant)));
  const lines = [rows[0].map(([name]) => name), ...rows.map((row) => row.map(([, value]) => value))];
  const text = lines.map((line) => line.map(cell).join(",")).join("\r\n");
  return new Blob(["\ufeff", text, "\r\n"], { type: "text/csv;charset=utf-8" }); // the mark tells Excel that it is UTF-8
}

function cellsOf(answer, variant) {
  const post = answer.posts[variant.post];
  const [low, high] = rangeOf(post) ?? [null, null];
  const plain = (value) => (value !== null && post.count !== null ? countOf(value) : value);
  return {
    rank: variant.rank,
    image: post.image,
    title: post.title,
    [answer.target]: post.count ?? post.value ?? post.class,
    percentile: post.percentile,
    low_80: plain(low),
    high_80: plain(high),
    chance_best: variant.p_best,
    level: post.class,
    ...post.probabilities,
    unlike_training_posts: post.unlike_training_posts.join(" "),
    marks: [...(post.leaky ? ["LEAKY"] : []), ...post.marks].join("; "),
    warnings: answer.warnings.map(asSentence).join(" "),
  };
}

function cell(value) {
  if (value === null) return "";
  if (typeof value === "number") return String(value);
  const text = RISKY.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const MOST_DRAWN = 24;
const SHEET = { width: 1000, margin: 32, head: 104, line: 20, row: 112, foot: 52, scale: 2 };
const INK = { paper: "#ffffff", text: "#1c2330", soft: "#5d6778", line: "#dde2ea", accent: "#0b62a8", mark: "#a3122a", warn: "#8a4b00" };
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
const WARNING = { size: 14, weight: 600 };

export async function toPng(answer, question) {
  const ranking = rankingOf(answer).slice(0, MOST_DRAWN);
  const pictures = await Promise.all(question.files.map(small));
  const { width, margin, line, row, foot, scale } = SHEET;
  const canvas = new OffscreenCanvas(width * scale, 1);
  const pen = canvas.getContext("2d");
  const warnings = answer.warnings.flatMap((one) => wrap(pen, asSentence(one), WARNING, width - 2 * margin));
  const head = SHEET.head + line * warnings.length;
  canvas.height = (head + row * ranking.length + foot) * scale;
  pen.scale(scale, scale);
  pen.fillStyle = INK.paper;
  pen.fillRect(0, 0, width, canvas.height);
  drawHead(pen, answer, warnings);
  for (const [nth, variant] of ranking.entries()) {
    drawRow(pen, head + nth * row, { answer, variant, nth, picture: pictures[imageOf(question, variant.post)] });
  }
  drawFoot(pen, head + ranking.length * row, answer, ranking.length);
  for (const picture of pictures) picture?.close();
  return canvas.convertToBlob({ type: "image/png" });
}

function write(pen, text, x, y, { size = 15, weight = 400, colour = INK.text, width = Infinity, align = "left" } = {}) {
  pen.font = `${weight} ${size}px ${FONT}`;
  pen.fillStyle = colour;
  pen.textAlign = align;
  pen.fillText(shorten(pen, text, width), x, y);
}

function shorten(pen, text, width) {
  if (pen.measureText(text).width <= width) return text;
  const letters = [...text];
  let [fits, many] = [0, letters.length];
  while (many - fits > 1) {
    const middle = (fits + many) >> 1;
    if (pen.measureText(`${letters.slice(0, middle).join("")}…`).width <= width) fits = middle;
    else many = middle;
  }
  return `${letters.slice(0, fits).join("")}…`;
}

/** Break a sentence into lines that fit. */
function wrap(pen, text, { size, weight }, width) {
  pen.font = `${weight} ${size}px ${FONT}`;
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = lines.at(-1) ? `${lines.at(-1)} ${word}` : word;
    if (pen.measureText(longer).width <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

function drawHead(pen, answer, warnings) {
  const { width, margin, line } = SHEET;
  const [word, sentence] = verdictOf(answer);
  const leaky = answer.posts[0].leaky ? "LEAKY: " : "";
  write(pen, `${leaky}${word}`, margin, 48, { size: 26, weight: 700, colour: leaky ? INK.mark : INK.text });
  write(pen, sentence, margin, 78, { size: 16, colour: INK.soft, width: width - 2 * margin });
  for (const [nth, one] of warnings.entries()) write(pen, one, margin, 102 + nth * line, { ...WARNING, colour: INK.warn });
}

function drawRow(pen, top, { answer, variant, nth, picture }) {
  const { width, margin, row } = SHEET;
  const post = answer.posts[variant.post];
  const text = margin + (picture === undefined ? 48 : 200); // no cover was asked about; null is one that cannot be shown
  const [right, wide] = [width - margin, width - margin - 200 - text];
  const far = post.unlike_training_posts.length ? "; a guess, as it is unlike them" : "";
  pen.fillStyle = INK.line;
  pen.fillRect(margin, top, width - 2 * margin, 1);
  write(pen, String(variant.rank), margin + 8, top + row / 2 + 8, {
    size: 22,
    weight: 700,
    colour: nth ? INK.soft : INK.accent,
    align: "center",
  });
  drawPicture(pen, picture, margin + 32, top + 13, 152, 86);
  write(pen, post.title || post.image || "No title", text, top + 36, { size: 18, weight: 600, width: wide });
  write(pen, said(answer, post), text, top + 62, { width: wide });
  write(pen, `${betterThan(post)}${far}`, text, top + 86, { size: 14, colour: INK.soft, width: wide });
  if (variant.p_best === null) return;
  write(pen, percent(variant.p_best), right, top + 42, { size: 24, weight: 700, align: "right" });
  write(pen, "chance to be the best", right, top + 64, { size: 13, colour: INK.soft, align: "right" });
  if (isTied(answer, nth))
    write(pen, "too close to the first to call", right, top + 86, { size: 13, colour: INK.soft, align: "right" });
}

function said({ target }, post) {
  if (post.value === null) return `${post.class} ${target}, most probably`;
  const asCounts = post.count !== null;
  const range = rangeOf(post)?.map((end) => amount(end, asCounts));
  const expected = asCounts ? `about ${rounded(post.count)}` : amount(post.value, false);
  return `${expected} ${target}; ${range ? `80 % interval: ${range.join(" to ")}` : "no interval can be computed"}`;
}

/** Fill the box with the image's middle. */
/** An image no larger than it is drawn; nothing where the browser cannot show what the model could read. */
const small = (file) => createImageBitmap(file, { resizeWidth: 2 * 152, resizeQuality: "high" }).catch(() => null);

function drawPicture(pen, picture, x, y, width, height) {
  if (!picture) return;
  const scale = Math.min(picture.width / width, picture.height / height);
  const [w, h] = [width * scale, height * scale];
  pen.drawImage(picture, (picture.width - w) / 2, (picture.height - h) / 2, w, h, x, y, width, height);
}

function drawFoot(pen, top, answer, drawn) {
  const { width, margin } = SHEET;
  const rest = answer.posts.length > drawn ? `The first ${drawn} of ${answer.posts.length}. ` : "";
  const marks = [...(answer.posts[0].leaky ? ["LEAKY"] : []), ...answer.posts[0].marks].map((mark) => ` ${mark}.`).join("");
  const colour = marks ? INK.mark : INK.soft;
  write(pen, `${rest}The model's view, not a cause.${marks}`, margin, top + 32, {
    size: 13,
    colour,
    width: width - 2 * margin,
  });
}
