// What is going on: how far it is, what there is to choose from, and the table of what is said.

import { count, make, percent, printable } from "./make.js";
import { asCsv, asTabs } from "./table.js";

const at = (id) => document.getElementById(id);
const LONG = 2; // seconds after which it is said how long something takes
const SPOKEN = 5; // seconds between two things that are said aloud while work is going on
const KINDS = {
  unlike: ["unlike the training data", ({ answer }) => answer?.unlike],
  abstained: ["not sure enough", ({ answer }) => answer?.abstained],
  error: ["not classified", ({ answer }) => answer?.error],
};
let spoken = 0;

/** Show all of it. `items` are the pictures as they are shown, `queue` is what works on them. */
export function showResults(items, queue) {
  const answered = items.filter(({ answer }) => answer);
  at("results").hidden = !items.length;
  document.body.classList.toggle("filled", items.length > 0);
  at("results-title").textContent = count(items.length, "picture", "pictures");
  at("copy").disabled = at("download").disabled = !answered.length;
  at("cards").classList.toggle("single", items.length === 1);
  showProgress(queue);
  sayProgress(items, queue);
  offerChoice(items, answered);
  showChosen(items);
}

/** Say something aloud to those who do not see the page. */
export function say(text) {
  spoken = performance.now() / 1000;
  at("status").textContent = text;
}

/** Say that the server is busy, and for how long. */
export function sayBusy(seconds) {
  at("pace").textContent = `The server is busy. Trying again in ${seconds} s.`;
  say(at("pace").textContent);
}

function showProgress({ running, waiting, done, total, pace }) {
  at("progress").hidden = !waiting;
  [at("done").max, at("done").value] = [Math.max(1, total), done];
  at("stop").textContent = running ? "Stop" : "Go on";
  const known = done > 0 && pace.seconds > LONG;
  const speed = known ? ` · ${pace.speed.toFixed(1)} a second · ${duration(pace.left)} left` : "";
  const stopped = `Stopped: ${count(waiting, "picture", "pictures")} still waiting`;
  at("pace").textContent = running ? `${done} of ${total}${speed}` : stopped;
}

function sayProgress(items, { running, waiting, done, total }) {
  if (!running || !done) return;
  if (!waiting) say(done === 1 ? verdict(items.find(({ answer }) => answer)) : `All ${done} pictures are through.`);
  else if (performance.now() / 1000 - spoken > SPOKEN) say(`${done} of ${total} pictures.`);
}

function verdict({ name, answer }) {
  if (answer.error) return `${name}: not classified. ${answer.error}`;
  const doubt = answer.unlike ? " It is unlike anything it has learned from." : "";
  const said = answer.abstained ? "not sure enough" : `${answer.label}, ${percent(answer.probability)}`;
  return `${name}: ${said}.${doubt}`;
}

const duration = (seconds) => (seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`);

// ---- which cards are shown

function offerChoice(items, answered) {
  const counted = new Map();
  for (const { answer } of answered) {
    if (!answer.error && !answer.abstained) counted.set(answer.label, (counted.get(answer.label) ?? 0) + 1);
  }
  const kinds = Object.entries(KINDS).map(([kind, [words, is]]) => [`kind:${kind}`, words, answered.filter(is).length]);
  const labels = [...counted].sort((a, b) => b[1] - a[1]).map(([label, number]) => [`label:${label}`, label, number]);
  const options = [["", "all", items.length], ...kinds.filter(([, , number]) => number), ...labels];
  const old = at("filter").value;
  const option = ([value, words, number]) => make("option", { value }, `${printable(words)} (${number})`);
  at("filter").replaceChildren(...options.map(option));
  at("filter").value = options.some(([value]) => value === old) ? old : "";
  at("filtering").hidden = options.length < 3;
}

function showChosen(items) {
  const [, kind, label] = /^(?:kind:(.*)|label:(.*))?$/s.exec(at("filter").value);
  for (const item of items) {
    const { answer } = item;
    const labelled = label === undefined || (answer?.label === label && !answer.abstained);
    item.card.element.hidden = !(kind ? KINDS[kind][1](item) : labelled);
  }
}

// ---- the table of those that are shown

/** Let people choose among the pictures that `current()` gives, and take the table of those, called `name()`. */
export function offerTable(current, name) {
  const shown = () => current().filter(({ card }) => !card.element.hidden);
  at("filter").addEventListener("change", () => showChosen(current()));
  at("copy").addEventListener("click", () => copy(asTabs(shown())));
  at("download").addEventListener("click", () => download(asCsv(shown()), `${name()}.csv`));
}

async function copy(text) {
  const copied = await navigator.clipboard?.writeText(text).then(() => true, () => false) || copyOldWay(text);
  say(copied ? "The table is copied." : "This browser does not let the page copy. Download it instead.");
  at("copy").textContent = copied ? "Copied" : "Not allowed";
  setTimeout(() => (at("copy").textContent = "Copy table"), 1500);
}

/** Where the page came over plain HTTP from another machine, there is no other. */
function copyOldWay(text) {
  const area = make("textarea", { class: "unseen", readonly: true });
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  at("copy").focus();
  return copied;
}

function download(text, name) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
