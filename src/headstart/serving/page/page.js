// The page: pictures come in, cards come out.

import { answers, askModels, askPredictions, Refused } from "./api.js";
import { Card } from "./card.js";
import { askToken } from "./door.js";
import { takeFiles } from "./hands.js";
import { count, make, named, percent, printable } from "./make.js";
import { OVERHEAD, prepare } from "./prepare.js";
import { Queue } from "./queue.js";
import { offerTable, say, sayBusy, showResults } from "./results.js";

const at = (id) => document.getElementById(id);
const PRECISIONS = [0.8, 0.9, 0.95, 0.98, 0.99];
const TOPS = [1, 3, 5, 10];
const OF_PICTURES = [413, 415, 422]; // what the server says of pictures rather than of itself: too much, or none
const HINT = at("hint").textContent;

let models = [];
let limits = { body_bytes: 20e6, pixels: 50e6, pictures: 32 };
let items = []; // as they are shown: {name, file, card, ready, answer}
let begun; // called once the models are known; what is chosen earlier waits for that
const knowing = new Promise((resolve) => (begun = resolve));

const queue = new Queue({
  size: async (item) => knowing.then(() => ready(item)).then(({ blob }) => blob.size),
  room: () => limits.body_bytes - OVERHEAD,
  most: () => limits.pictures,
  send,
  changed: () => showResults(items, queue),
  failed: trouble,
});

// ---- what the server knows

const model = () => models.find(({ name }) => name === at("model").value) ?? models[0];

/** Ask the server what it has, and go on with what waits. */
async function begin() {
  try {
    const known = await askModels();
    [models, limits] = [known.models, { ...limits, ...known.limits }];
    if (!models.length) throw new Refused("This server has no model.", 200);
    const old = model().name;
    at("model").replaceChildren(...models.map(({ name }) => make("option", { value: name }, printable(name))));
    at("model").value = old;
    at("models").hidden = models.length < 2;
    chosen();
    begun();
    queue.run();
  } catch (error) {
    if (!models.length) at("about").textContent = "";
    trouble(error);
  }
}

function chosen() {
  const { name, classes, abstains } = model();
  at("title").textContent = printable(name);
  document.title = `${printable(name)} · headstart`;
  at("about").textContent = about(model());
  at("classes").replaceChildren(...classes.map((each) => make("li", {}, named(each))));
  at("known").querySelector("summary").textContent = `All ${count(classes.length, "class", "classes")}`;
  at("abstaining").hidden = !abstains;
  if (!abstains) at("precision").value = "";
  const tops = [...TOPS.filter((top) => top < classes.length), Math.min(classes.length, 25)];
  const old = Number(at("top").value) || 5;
  at("top").replaceChildren(...[...new Set(tops)].map((top) => make("option", { value: top }, top)));
  at("top").value = Math.max(...tops.filter((top) => top <= Math.max(old, tops[0])));
}

function about({ classes, accuracy, backbone, ready: loaded }) {
  const facts = [`Tells ${count(classes.length, "class", "classes")} apart`];
  if (accuracy != null) facts.push(`right on ${percent(accuracy)} of its validation pictures`);
  if (backbone) facts.push(printable(backbone));
  if (loaded === false) facts.push("still being loaded, which the first pictures will wait for");
  return facts.join(" · ");
}

// ---- pictures in

function add(files) {
  at("hint").textContent = files.length ? HINT : "There is no picture in that. Others?";
  if (!files.length) return say(at("hint").textContent);
  const added = files.map((file) => {
    const item = { file, name: file.name || "picture", ready: null, answer: null };
    item.card = new Card(item.name, { remove: () => remove(item), heatmap: () => heatmap(item) });
    return item;
  });
  at("cards").prepend(...added.map(({ card }) => card.element));
  items = [...added, ...items];
  at("filter").value = "";
  say(`${count(added.length, "picture", "pictures")} taken.`);
  queue.add(added);
  if (at("results").getBoundingClientRect().top > innerHeight / 2) at("results").scrollIntoView();
}

/** What is sent of a picture; worked out once. */
function ready(item) {
  item.ready ??= prepare(item.file, limits).then((found) => {
    item.card.prepared(found);
    return found;
  });
  return item.ready;
}

function remove(item) {
  const place = items.indexOf(item);
  items = items.filter((other) => other !== item);
  item.removed = true;
  item.card.close();
  queue.remove(item);
  const next = items[place] ?? items.at(-1);
  (next ? next.card : at("choose")).focus();
}

function clear() {
  items.forEach(({ card }) => card.close());
  items.forEach((item) => (item.removed = true));
  items = [];
  quiet();
  queue.empty();
  at("choose").focus();
  say("All pictures are gone from this page.");
}

// ---- answers

const choices = () => ({ top: Number(at("top").value), precision: at("precision").value });

async function send(batch, signal) {
  const there = batch.filter(({ removed }) => !removed);
  const sent = await Promise.all(there.map(ready));
  const [asked, known] = [choices(), model()];
  const fine = there.filter((item, place) => {
    if (sent[place].error) settle(item, { error: sent[place].error }, known);
    return !sent[place].error;
  });
  for (const [item, answer] of await askSplit(known, fine, asked, signal)) settle(item, answer, known, asked.precision);
}

/** Ask for all at once; where the server takes some of them not, for each by itself. */
async function askSplit(known, some, asked, signal) {
  if (!some.length) return [];
  const parts = await Promise.all(some.map(async (item) => ({ blob: (await ready(item)).blob, name: item.name })));
  try {
    const found = await askPredictions(known.name, parts, asked, signal);
    signal.throwIfAborted();
    return some.map((item, place) => [item, found[place]]);
  } catch (error) {
    if (!OF_PICTURES.includes(error.status)) throw error;
    if (some.length === 1) return [[some[0], { error: error.message }]];
    const found = [];
    for (const item of some) found.push(...(await askSplit(known, [item], asked, signal)));
    return found;
  }
}

function settle(item, answer, known, precision) {
  item.answer = answer;
  item.card.says(answer, known, precision);
}

async function heatmap(item) {
  const { blob } = await ready(item);
  const [found] = await askPredictions(model().name, [{ blob, name: item.name }], { ...choices(), heatmap: true });
  if (found.heatmap?.startsWith("data:image/")) return found.heatmap;
  throw new Refused(found.error ?? "This model has none for this picture.", 200);
}

/** Ask anew about everything: another model, or other wishes. */
function anew() {
  const all = items;
  queue.empty();
  quiet();
  for (const item of all) {
    item.answer = null;
    item.card.waits();
  }
  queue.add(all);
}

// ---- what is wrong

function trouble(error) {
  const own = error instanceof Refused ? "" : "Something is wrong with this page: ";
  at("trouble").textContent = own + error.message;
  at("alert").hidden = false;
}

function quiet() {
  at("alert").hidden = true;
}

// ---- hands

[answers.token, answers.busy] = [askToken, sayBusy];
takeFiles(add);
offerTable(() => items, () => model().name);
at("stop").addEventListener("click", () => {
  quiet();
  if (queue.running) queue.stop();
  else queue.run();
});
at("again").addEventListener("click", () => {
  quiet();
  begin();
});
at("clear").addEventListener("click", clear);
at("model").addEventListener("change", () => {
  chosen();
  anew();
});
for (const id of ["top", "precision"]) at(id).addEventListener("change", anew);
at("precision").replaceChildren(make("option", { value: "" }, "always"),
  ...PRECISIONS.map((value) => make("option", { value }, `if ${Math.round(100 * value)}\u00a0% right`)));
begin();
