// One way to give each kind of input. All are made by a function of the input's tensor, and answer
// `{ element, value }`, where `value()` is what stands in the request, with a batch of one; or a `Verbatim`.

import { el } from "./dom.js";
import { imageInput } from "./image.js";
import { exampleValue, kindOf, shownTensor } from "./signatures.js";
import { soundInput } from "./sound.js";

const MAKERS = { image: imageInput, sound: soundInput, text: textInput, ids: idsInput, json: jsonInput };

/** JSON as it was typed: read and written again, 1.0 would become 1, and a long id another one. */
class Verbatim {
  constructor(name, text) {
    try {
      this.value = JSON.parse(text);
    } catch (error) {
      throw new Error(`${name} is no JSON: ${error.message}`);
    }
    this.text = text;
  }
}

/** The fields of a signature: `{ elements, json }`, where `json()` is the text of all values or throws what is wrong. */
export function inputsOf(signature) {
  const made = new Map();
  for (const input of signature.inputs) {
    const kind = kindOf(input, signature.inputs);
    if (kind !== "mask") made.set(input.name, { kind, ...MAKERS[kind](input) });
  }
  const masks = signature.inputs.filter((input) => !made.has(input.name));
  const elements = signature.inputs.map((input) =>
    el("fieldset", {},
      el("legend", {}, input.name, el("span", { class: "mono" }, shownTensor(input))),
      made.get(input.name)?.element ?? el("p", { class: "quiet" }, "true throughout: everything that is given counts")));

  function json() {
    const found = {};
    for (const [name, input] of made) found[name] = input.value();
    const long = Object.values(found).map((one) => one.value ?? one).find((value) => Array.isArray(value[0]));
    for (const mask of masks) found[mask.name] = [(long?.[0] ?? []).map(() => true)];
    const parts = Object.entries(found).map(([name, value]) => `${JSON.stringify(name)}:${value.text ?? JSON.stringify(value)}`);
    return `{${parts.join(",")}}`;
  }

  return { elements, json };
}

function textInput({ name, dims }) {
  const lines = dims.length === 2;
  const area = el("textarea", { "aria-label": name, rows: 3, spellcheck: false,
    placeholder: lines && dims[1] !== 1 ? "One text a line" : "A sentence" });
  return {
    element: area,
    value: () => {
      if (!dims.length) return area.value;
      if (!lines) return [area.value];
      return [dims[1] === 1 ? [area.value] : area.value.split("\n")];
    },
  };
}

/** Ids, typed, or looked up in a list of names that the user has as a file: line 1 is id 0. */
function idsInput({ name, dims }) {
  const many = dims.length === 2;
  const wanted = many && dims[1] > 0 ? dims[1] : null;
  const options = el("datalist", { id: `names-${crypto.getRandomValues(new Uint32Array(1))[0]}` });
  const field = el("input", { type: "text", inputMode: "numeric", "aria-label": name, placeholder: many ? "id, then Enter" : "id", autocomplete: "off" });
  field.setAttribute("list", options.id);
  const file = el("input", { type: "file", accept: ".txt,.csv,text/*", onchange: readNames });
  const chips = el("ul", { class: "chips", "aria-label": `${name}: chosen` });
  const problem = el("p", { class: "bad", role: "alert", hidden: true });
  let names = [];
  let ids = [];

  function idOf(text) {
    if (/^-?\d+$/.test(text)) return Number(text);
    const known = names.indexOf(text);
    if (known < 0) throw new Error(`${name}: ${text ? `“${text}” is no id${names.length ? ", and no name of the list" : ""}` : "give an id"}.`);
    return known;
  }

  function add() {
    const text = field.value.trim();
    if (text) ids.push(...(names.includes(text) ? [text] : text.split(/[\s,;]+/).filter(Boolean)).map(idOf));
    field.value = "";
    draw();
  }

  function tryAdd() {
    problem.hidden = true;
    try {
      add();
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    }
  }

  function draw() {
    chips.replaceChildren(...ids.map((id, index) =>
      el("li", {}, el("button", { type: "button", title: "Remove", onclick: () => { ids.splice(index, 1); draw(); } },
        names[id] === undefined ? String(id) : `${names[id]} (${id})`, " ×"))));
  }

  async function readNames() {
    if (!file.files[0]) return;
    names = (await file.files[0].text()).split(/\r?\n/);
    if (names.at(-1) === "") names.pop();
    options.replaceChildren(...names.map((one) => el("option", { value: one })));
    field.placeholder = many ? "id or name, then Enter" : "id or name";
    draw();
  }

  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !many) return;
    event.preventDefault();
    tryAdd();
  });
  const element = el("div", {},
    el("div", { class: "tools" }, field, many ? el("button", { type: "button", onclick: tryAdd }, "Add") : null,
      el("label", { class: "button", title: "A text file with one name a line; line 1 is id 0" }, "Names…", file)),
    many ? chips : null, problem, options);
  return {
    element,
    value: () => {
      if (!many) return [idOf(field.value.trim())];
      add();
      if (wanted !== null && ids.length !== wanted) throw new Error(`${name}: ${wanted} ids are needed, ${ids.length} given.`);
      if (!ids.length) throw new Error(`${name}: give at least one id.`);
      return [ids];
    },
  };
}

function jsonInput(input) {
  const area = el("textarea", { "aria-label": `${input.name} as JSON`, rows: 5, spellcheck: false, value: JSON.stringify(exampleValue(input)) });
  return { element: area, value: () => new Verbatim(input.name, area.value) };
}

/** The field of a signature that takes `tf.Example`s: the list of them as JSON. */
export function examplesInput() {
  const area = el("textarea", { "aria-label": "examples as JSON", rows: 5, spellcheck: false, value: '[{"x": 1.0}]' });
  const element = el("fieldset", {},
    el("legend", {}, "examples", el("span", { class: "mono" }, "features by name")), area);
  return { elements: [element], json: () => new Verbatim("examples", area.value).text };
}
