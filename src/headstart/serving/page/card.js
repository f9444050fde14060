// One picture: what it looks like, what the model says of it, and what has to be said about that.

import { make, named, percent, printable } from "./make.js";

const SIGNS = { care: "!", bad: "✕", note: "i" };

/** The card of a picture. `acts` has what its buttons do: `remove(card)`, `heatmap(card)`, a promise of a data URI. */
export class Card {
  #acts;
  #preview = "";
  #heatmap = "";
  #seen = make("figure", { class: "seen" }, make("span", { class: "none" }));
  #said = make("div", { class: "said" }, make("p", { class: "soft" }, "Waiting …"));
  #remarks = make("div", { class: "remarks" });
  #switch = make("button", { type: "button", class: "switch", "aria-pressed": "false", hidden: true }, "Heat map");
  #remove;

  constructor(name, acts) {
    this.name = name;
    this.#acts = acts;
    this.#remove = make("button", { type: "button", class: "quiet", "aria-label": `Remove ${printable(name)}`,
      click: () => acts.remove(this) }, "Remove");
    this.#switch.addEventListener("click", () => this.#toggle());
    const title = make("h3", { class: "file", title: printable(name) }, named(name));
    const tools = make("div", { class: "tools" }, this.#switch, this.#remove);
    this.element = make("li", { class: "card" }, this.#seen,
      make("div", { class: "text" }, title, this.#said, this.#remarks, tools));
  }

  /** Move the focus here. */
  focus() {
    this.#remove.focus();
  }

  /** Show the picture, and what was done to it before it was sent. */
  prepared({ preview, note }) {
    if (preview) this.#preview = URL.createObjectURL(preview);
    this.note = note;
    this.#show();
  }

  /** Nothing is said of it yet. */
  waits() {
    [this.answer, this.#heatmap] = [null, ""];
    this.element.classList.remove("failed");
    this.#said.replaceChildren(make("p", { class: "soft" }, "Waiting …"));
    this.#remarks.replaceChildren(...this.#notes({}));
    this.#press(false);
    this.#switch.hidden = true;
  }

  /** What a model says of it. `known` is the model, `precision` what was wished for. */
  says(answer, known, precision) {
    this.answer = answer;
    this.element.classList.toggle("failed", Boolean(answer.error));
    this.#said.replaceChildren(...(answer.error ? [] : spoken(answer)));
    this.#remarks.replaceChildren(...this.#notes(answer, precision));
    this.#switch.hidden = Boolean(answer.error) || !known.heatmaps;
    this.#switch.setAttribute("aria-label", `Heat map of ${printable(this.name)}`);
  }

  /** Let go of what is shown. */
  close() {
    this.element.remove();
    URL.revokeObjectURL(this.#preview);
  }

  #notes(answer, precision) {
    const notes = [];
    if (answer.error) notes.push(remark("bad", "Not classified", printable(answer.error)));
    if (answer.unlike) notes.push(remark("care", "Unlike anything it has learned from", unlike(answer)));
    if (answer.abstained) notes.push(remark("note", "Not sure enough", ...hesitant(answer, precision)));
    if (!answer.unlike && answer.familiarity != null) notes.push(make("p", { class: "soft" }, familiar(answer)));
    if (this.note) notes.push(make("p", { class: "soft" }, this.note));
    return notes;
  }

  async #toggle() {
    const wanted = this.#switch.getAttribute("aria-pressed") !== "true";
    this.#press(wanted);
    if (!wanted || this.#heatmap || this.#seen.hasAttribute("aria-busy")) return;
    const { answer } = this;
    this.#switch.textContent = "Looking …";
    this.#seen.setAttribute("aria-busy", "true");
    try {
      const found = await this.#acts.heatmap(this);
      if (answer === this.answer) this.#heatmap = found;
    } catch (error) {
      this.#press(false);
      if (answer === this.answer) this.#remarks.append(remark("bad", "No heat map", printable(error.message)));
    } finally {
      this.#switch.textContent = "Heat map";
      this.#seen.removeAttribute("aria-busy");
      this.#show();
    }
  }

  #press(pressed) {
    this.#switch.setAttribute("aria-pressed", String(pressed));
    this.#show();
  }

  #show() {
    const hot = this.#heatmap && this.#switch.getAttribute("aria-pressed") === "true";
    const source = hot ? this.#heatmap : this.#preview;
    const alt = hot ? `Heat map of ${printable(this.name)}` : "";
    const shown = source ? make("img", { src: source, alt })
      : make("span", { class: "none" }, "No preview in this browser");
    const legend = hot ? [make("figcaption", {}, "What speaks for ", named(this.answer.label), " glows")] : [];
    this.#seen.replaceChildren(shown, ...legend);
    this.#seen.classList.toggle("hot", Boolean(hot));
  }
}

function spoken({ label, probability, top, abstained, unlike }) {
  const sure = make("p", { class: `answer${abstained || unlike ? " doubtful" : ""}` },
    abstained ? "No answer" : named(label), abstained ? "" : make("span", { class: "number" }, percent(probability)));
  return [sure, make("ol", { class: "bars" }, ...top.map(bar))];
}

function bar({ label, probability }) {
  const length = make("span", { class: "bar", "aria-hidden": "true" }, make("span"));
  length.firstChild.style.setProperty("--part", probability); // in markup the policy refuses it
  const name = named(label, { class: "class", title: printable(label) });
  return make("li", {}, name, make("span", { class: "number" }, percent(probability)), length);
}

const remark = (tone, title, ...words) =>
  make("div", { class: `remark ${tone}` }, make("span", { class: "sign", "aria-hidden": "true" }, SIGNS[tone]),
    make("p", {}, make("strong", {}, title), " ", ...words));

const share = (familiarity) => (familiarity < 0.001 ? "Less than 0.1\u00a0%" : percent(familiarity));

const unlike = ({ familiarity }) => familiarity == null ? "Do not rely on what it says." :
  `${share(familiarity)} of pictures like those are as unusual. Do not rely on what it says.`;

const familiar = ({ familiarity }) =>
  `${share(familiarity)} of pictures like those it has learned from are as unusual.`;

function hesitant({ label, probability }, precision) {
  const wish = precision ? `To be right ${Math.round(100 * precision)}\u00a0% of the time it says nothing here. ` : "";
  return [`${wish}Its best guess is `, named(label), ` with ${percent(probability)}.`];
}
