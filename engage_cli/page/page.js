/** The page of `engage serve`: what is asked, and what becomes of the answer. */

import { ask, AskError, framesOf, getRun } from "/ask.js";
import { showRun } from "/banner.js";
import { openDetail, setUpDetail } from "/detail.js";
import { download, find } from "/dom.js";
import { toCsv, toPng } from "/export.js";
import { countVariants, hindrance, makeForm } from "/form.js";
import { showResults } from "/results.js";
import { asSentence, plural } from "/words.js";

let asking = null; // the question that is being answered
let changes = 0; // of the form, so far
let shown = null; // { answer, question } of the ranking on the page

const complain = (sentence) => (find("problem").textContent = sentence);

async function start() {
  let run;
  try {
    run = await getRun();
  } catch (problem) {
    return complain(problem.message);
  }
  showRun(run);
  const form = makeForm(run, { changed, complain, look });
  const compare = () => compareNow(form.question(), run);

  function changed() {
    changes++;
    const question = form.question();
    const { files, titles } = question;
    const problem = hindrance(question, run);
    const parts = [
      ...(files.length ? [plural(files.length, "cover")] : []),
      ...(titles.length ? [plural(titles.length, "title")] : []),
    ];
    find("variants").textContent = problem || `${parts.join(" × ")}: ${plural(countVariants(question), "variant")}`;
    find("compare").disabled = Boolean(problem);
    find("stale").hidden = !shown;
  }

  form.take(); // what was chosen before this was ready
  changed();
  find("form").addEventListener("submit", (event) => {
    event.preventDefault();
    compare();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !find("detail").open) compare();
  });
  takeFiles(form.add);
  setUpDetail();
  find("log").hidden = !run.logs;
  find("log").addEventListener("click", () => logShown());
  find("csv").addEventListener("click", () => download(toCsv(shown.answer), "ranking.csv"));
  find("png").addEventListener("click", async () => download(await toPng(shown.answer, shown.question), "ranking.png"));
}

/** Ask about all variants; an older question that is still being answered is dropped. */
async function compareNow(question, run) {
  const problem = hindrance(question, run);
  if (problem) return complain(problem);
  asking?.abort();
  const mine = (asking = new AbortController());
  const variants = countVariants(question);
  const asOf = changes;
  complain("");
  setBusy(`Asking the model about ${plural(variants, "variant")}…`);
  try {
    const answer = await ask("/api/predict", question, { signal: mine.signal, say: setBusy });
    shown = { answer, question };
    find("logged").textContent = "";
    showResults(answer, question, { explain: (variant) => openDetail(answer, question, variant) });
    find("stale").hidden = changes === asOf;
    find("verdict").scrollIntoView({ block: "nearest" });
  } catch (problem) {
    if (mine.signal.aborted) return;
    if (!(problem instanceof AskError)) throw problem;
    complain(problem.message);
  } finally {
    if (asking === mine) setBusy("");
  }
}

/** Return the frames of a video that could be covers; an older video that is still looked through is dropped. */
async function look(video) {
  asking?.abort();
  const mine = (asking = new AbortController());
  setBusy(`Looking through ${video.name} for frames…`, "Looking…");
  try {
    const { files, notes } = await framesOf(video, { signal: mine.signal });
    if (mine.signal.aborted) return [];
    complain(notes.map(asSentence).join(" "));
    return files;
  } catch (problem) {
    if (mine.signal.aborted) return [];
    if (!(problem instanceof AskError)) throw problem;
    complain(problem.message);
    return [];
  } finally {
    if (asking === mine) setBusy("");
  }
}

/** Write what is shown into the ledger of the server; a second time adds nothing. */
async function logShown() {
  const { question } = shown;
  const say = (words) => (find("logged").textContent = words);
  find("log").disabled = true;
  try {
    const { variants, new: added } = await ask("/api/log", question, { signal: new AbortController().signal, say });
    const known = `${plural(variants, "prediction")} logged already. The first answer stands.`;
    if (shown.question === question) say(added ? `Logged ${plural(added, "prediction")}.` : known);
  } catch (problem) {
    if (!(problem instanceof AskError)) throw problem;
    say("");
    complain(problem.message);
  } finally {
    find("log").disabled = false;
  }
}

function setBusy(words, short = "Comparing…") {
  find("busy").textContent = words;
  find("results").ariaBusy = String(Boolean(words));
  find("compare").classList.toggle("busy", Boolean(words));
  find("compare-words").textContent = words ? short : "Compare";
}

/** Covers that are dropped anywhere or pasted. */
function takeFiles(add) {
  const drop = find("drop");
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    drop.hidden = false;
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) drop.hidden = true; // it left the window
  });
  document.addEventListener("drop", (event) => {
    drop.hidden = true;
    if (!hasFiles(event)) return;
    event.preventDefault();
    add([...event.dataTransfer.files]);
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    add(files);
  });
}

start();
