/** Small helpers for the document. Whatever is data goes in as text: nothing here parses HTML. */

export const find = (id) => document.getElementById(id);

/** Make an element: `onclick` and the like are listeners, `hidden` and the like properties, the rest attributes. */
export function make(tag, given = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined) continue;
    if (name in element) element[name] = value;
    else element.setAttribute(name === "class" ? "class" : name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Place an element at a share of its parent's width, and let it be as wide as another share. */
export function place(element, left, width = null) {
  element.style.insetInlineStart = `${100 * left}%`;
  if (width !== null) element.style.inlineSize = `${100 * width}%`;
  return element;
}

/** A bar to the left or right of a middle, for a share in -1..1. */
export function sidedBar(share) {
  const bar = make("span", { class: `sided ${share < 0 ? "lowers" : "lifts"}`, ariaHidden: "true" });
  const length = Math.min(1, Math.abs(share)) / 2;
  bar.append(place(make("i"), share < 0 ? 0.5 - length : 0.5, length));
  return bar;
}

export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000); // the download has begun by then
}
