/** Questions to the server: a busy one is asked again by itself. */

import { asSentence } from "/words.js";

const BUSY = [429, 503];
const MOST_TRIES = 5;
const LONGEST_WAIT = 30; // seconds

/** What went wrong, as a sentence for people. */
export class AskError extends Error {}

export const getRun = async () => answerOf(await reach("/api/run"));

/** Post a question of { files, titles, fields }; `say` gets a message about every wait. */
export async function ask(path, question, { signal, say }) {
  for (let tries = 1; ; tries++) {
    const response = await reach(path, { method: "POST", body: formOf(question), signal });
    if (!BUSY.includes(response.status) || tries === MOST_TRIES) return answerOf(response);
    const seconds = Math.min(Number(response.headers.get("Retry-After")) || 1, LONGEST_WAIT);
    const { message } = await errorOf(response);
    signal.throwIfAborted();
    say(`${message} Asking again in ${seconds} s (${tries} of ${MOST_TRIES - 1}).`);
    await pause(seconds, signal);
  }
}

/** Send a video; return the frames of it that could be covers, as files. */
export async function framesOf(video, { signal }) {
  const headers = { "Content-Type": "application/octet-stream" };
  const { frames, notes } = await answerOf(await reach("/api/frames", { method: "POST", body: video, headers, signal }));
  const stem = video.name.replace(/\.[^.]*$/, "");
  const files = frames.map(({ name, jpeg }) => {
    const bytes = Uint8Array.from(atob(jpeg), (letter) => letter.charCodeAt(0));
    return new File([bytes], `${stem} ${name}`, { type: "image/jpeg" });
  });
  return { files, notes };
}

async function reach(path, options) {
  try {
    return await fetch(path, options);
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new AskError("The server does not answer. See whether engage serve is still running.");
  }
}

async function answerOf(response) {
  if (!response.ok) throw await errorOf(response);
  return response.json();
}

async function errorOf(response) {
  const said = await response.json().catch(() => ({}));
  return new AskError(said.error ? asSentence(said.error) : `The server answered with status ${response.status}.`);
}

function formOf({ files, titles, fields }) {
  const form = new FormData();
  for (const file of files) form.append("images", file, file.name);
  for (const title of titles) form.append("titles", title);
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  return form;
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    signal.addEventListener("abort", stop, { once: true });
  });
}
