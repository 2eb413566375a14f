/** The form: covers, titles and what else a post has. */

import { find, make } from "/dom.js";
import { grouped, plural } from "/words.js";

const MIB = 2 ** 20;

/** Set up the form; `changed` is called after every change, `complain` with a sentence where something is not taken. */
export function makeForm({ limits, reads, videos }, { changed, complain, look }) {
  const covers = makeCovers(limits, { reads, videos, changed, complain, look });
  const titles = makeTitles(limits, { changed, complain });
  for (const name of ["tags", "description"]) find(name).maxLength = longest(limits);
  document.body.classList.toggle("words-only", !reads.image);
  find("date").hidden = !reads.date;
  find("columns").append(...reads.columns.map((column) => makeColumn(column, limits)));
  find("form").addEventListener("input", changed);
  return {
    add: covers.add,
    take: covers.take,
    question: () => ({ files: covers.files(), titles: titles.texts(), fields: readFields() }),
  };
}

/** Every cover with every title; of a model that reads words only, every title. */
export const countVariants = ({ files, titles }) => Math.max(1, files.length) * Math.max(1, titles.length);

/** Say what hinders a question, or nothing. */
export function hindrance({ files, titles }, { limits, reads }) {
  const variants = countVariants({ files, titles });
  if (reads.image && !files.length) return "Add a cover to begin.";
  if (!reads.image && !titles.length) return "Type a title to begin.";
  if (variants <= limits.variants) return "";
  return `${plural(variants, "variant")} are too many: at most ${limits.variants} are compared at once.`;
}

const isVideo = ({ type, name }) => type.startsWith("video/") || (!type && /\.(mp4|m4v|mov|webm|mkv|avi)$/i.test(name));

const longest = (limits) => Math.floor(limits.text_bytes / 4); // a letter takes four bytes at most

function makeCovers(limits, { reads, videos, changed, complain, look }) {
  const covers = []; // { file, url, item }
  const [list, input] = [find("covers"), find("files")];

  function add(files) {
    const [watched, shown] = [files.filter(isVideo), files.filter((file) => !isVideo(file))];
    const problems = [...shown.map(addOne), ...watched.map(refuseVideo)].filter(Boolean);
    complain([...new Set(problems)].join(" "));
    changed();
    const video = watched.find((file) => !refuseVideo(file));
    if (video) look(video).then((frames) => frames.length && addFrames(frames));
  }

  /** Those for which there is room: the best come first. */
  function addFrames(frames) {
    frames.slice(0, limits.images - covers.length).forEach(addOne);
    changed();
  }

  function refuseVideo(file) {
    if (!reads.image) return "This model reads only text and takes no covers.";
    if (!videos) return `${file.name} is a video; this server needs PyAV to read it: pip install 'engage-cli[frames]'.`;
    if (covers.length >= limits.images) return `At most ${plural(limits.images, "cover")} can be compared at once.`;
    if (!file.size) return `${file.name} is empty.`;
    if (file.size > limits.video_bytes)
      return `${file.name} is larger than ${limits.video_bytes / MIB} MiB; run engage frames on it in a terminal.`;
    return "";
  }

  function addOne(file) {
    const problem = refuse(file);
    if (problem) return problem;
    const cover = { file, url: URL.createObjectURL(file) };
    cover.item = makeItem(cover);
    covers.push(cover);
    list.append(cover.item);
    return "";
  }

  function refuse(file) {
    if (!reads.image) return "This model reads only text and takes no covers.";
    const total = covers.reduce((sum, cover) => sum + cover.file.size, file.size);
    if (covers.length === limits.images) return `At most ${plural(limits.images, "cover")} can be compared at once.`;
    if (file.type && !file.type.startsWith("image/")) return `${file.name} is not an image; give a JPEG, PNG, WebP or GIF.`;
    if (!file.size) return `${file.name} is empty.`;
    if (file.size > limits.image_bytes)
      return `${file.name} is larger than ${limits.image_bytes / MIB} MiB; give a smaller one.`;
    if (total > limits.request_bytes - MIB) return `All covers together are larger than ${limits.request_bytes / MIB} MiB.`;
    return "";
  }

  function makeItem(cover) {
    const { name } = cover.file;
    const picture = make("img", { src: cover.url, alt: name, title: name });
    picture.addEventListener("load", () => checkPixels(cover, picture));
    picture.addEventListener("error", () => picture.classList.add("broken"));
    const onclick = () => remove(cover);
    return make(
      "li",
      {},
      picture,
      make("button", { type: "button", class: "round", ariaLabel: `Remove ${name}`, onclick }, "×"),
    );
  }

  function checkPixels(cover, picture) {
    const { naturalWidth: width, naturalHeight: height } = picture;
    if (width * height <= limits.pixels || !covers.includes(cover)) return;
    remove(cover);
    const most = grouped(limits.pixels / 1e6);
    complain(`${cover.file.name} has ${width} × ${height} pixels; give one of at most ${most} megapixels.`);
  }

  function remove(cover) {
    const place = covers.indexOf(cover);
    covers.splice(place, 1);
    cover.item.remove();
    URL.revokeObjectURL(cover.url);
    const next = covers[Math.min(place, covers.length - 1)];
    (next?.item.querySelector("button") ?? input).focus();
    complain("");
    changed();
  }

  function take() {
    add([...input.files]);
    input.value = ""; // the same file may be chosen again
  }

  input.addEventListener("change", take);
  return { add, take, files: () => covers.map((cover) => cover.file) };
}

function makeTitles(limits, { changed, complain }) {
  const list = find("titles");
  const inputs = () => [...list.querySelectorAll("input")];

  function add() {
    if (inputs().length === limits.titles)
      return complain(`At most ${plural(limits.titles, "title")} can be compared at once.`);
    const input = make("input", { autocomplete: "off", dir: "auto", maxLength: longest(limits), enterKeyHint: "next" });
    input.addEventListener("keydown", goOn);
    const button = make("button", { type: "button", class: "round", onclick: () => remove(input) }, "×");
    list.append(make("li", {}, input, button));
    number();
    input.focus();
  }

  /** Enter goes to the next title, and makes one after the last. */
  function goOn(event) {
    if (event.key !== "Enter" || event.ctrlKey || event.metaKey || event.isComposing) return;
    event.preventDefault();
    const next = inputs()[inputs().indexOf(event.target) + 1];
    if (next) next.focus();
    else if (event.target.value.trim()) add();
  }

  function remove(input) {
    const place = inputs().indexOf(input);
    input.parentElement.remove();
    number();
    inputs()[Math.max(0, place - 1)].focus();
    changed();
  }

  function number() {
    for (const [place, input] of inputs().entries()) {
      const button = input.nextElementSibling;
      input.ariaLabel = `Title ${place + 1}`;
      input.placeholder = place ? "Another title" : "The title of your post";
      button.ariaLabel = `Remove title ${place + 1}`;
      button.hidden = inputs().length === 1;
    }
  }

  add();
  document.activeElement.blur(); // the page opens with nothing chosen
  find("add-title").addEventListener("click", add);
  return {
    texts: () =>
      inputs()
        .map((input) => input.value.trim())
        .filter(Boolean),
  };
}

function makeColumn({ name, type }, limits) {
  const input = make("input", { autocomplete: "off", maxLength: longest(limits), "data-column": name });
  if (type === "number") input.inputMode = "decimal";
  return make("label", { class: "field" }, `${name} `, input);
}

function readFields() {
  const fields = Object.fromEntries([...new FormData(find("form"))].filter(([, value]) => value.trim?.()));
  const columns = [...document.querySelectorAll("[data-column]")].filter((input) => input.value.trim());
  if (columns.length)
    fields.with = JSON.stringify(Object.fromEntries(columns.map((one) => [one.dataset.column, one.value])));
  return fields;
}
