// The page: the list of models, the chosen one, and the numbers that change while it is open.

import { ask, modelPath, token } from "./api.js";
import { el, sparkline } from "./dom.js";
import { tryForm } from "./form.js";
import { readSignatures, shownTensor } from "./signatures.js";
import { Stats, shownRate, shownSeconds } from "./stats.js";

const STATS_MS = 2000;
const MODELS_MS = 10_000;

const at = (id) => document.getElementById(id);
const labels = new Map(); // of each model, the names of classes that answers have told
const numbers = new Map(); // where the numbers of each model stand
let stats = new Stats();
let models = [];
let shownModel = null;

const chosen = () => {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return location.hash.slice(1);
  }
};
const available = (model) => model.model_version_status.filter((one) => one.state === "AVAILABLE").map((one) => one.version);

function stateElement({ state, status }) {
  const failed = status.error_code !== "OK";
  const kind = failed ? "failed" : state === "AVAILABLE" ? "available" : "";
  return el("span", { class: `state ${kind}` }, state.toLowerCase() + (failed ? `, ${status.error_code}` : ""));
}

function modelState(model) {
  if (available(model).length) return el("span", { class: "state available" }, "available");
  const failed = model.model_version_status.some((one) => one.status.error_code !== "OK");
  return el("span", { class: `state ${failed ? "failed" : ""}` }, failed ? "failed" : "no version");
}

function drawList() {
  numbers.clear();
  at("models").replaceChildren(...models.map((model) => {
    const place = { line: el("span", {}, "–"), latency: el("span", {}), graph: el("div", {}) };
    numbers.set(model.name, place);
    return el("a", { class: "entry", href: `#${encodeURIComponent(model.name)}`, "aria-current": model.name === chosen() ? "true" : null },
      el("span", { class: "name" }, model.name), el("span", { class: "row" }, modelState(model), place.line),
      place.graph, el("span", { class: "row" }, place.latency));
  }));
  if (!models.length) at("models").replaceChildren(el("p", { class: "quiet" }, "No models yet."));
  drawNumbers();
}

function drawNumbers() {
  for (const [name, place] of numbers) {
    const rates = stats.rates(name);
    const recent = stats.recent(name);
    place.line.textContent = shownRate(rates.at(-1));
    place.latency.textContent = recent.requests ? `p50 ${shownSeconds(recent.p50)}, p99 ${shownSeconds(recent.p99)}` : "";
    place.graph.replaceChildren(sparkline(rates, `requests per second of the last minute, now ${shownRate(rates.at(-1))}`));
  }
  const place = at("numbers");
  if (!place || !shownModel) return;
  const recent = stats.recent(shownModel);
  const show = (key, text) => { place.querySelector(`[data-key=${key}]`).textContent = text; };
  show("rate", shownRate(stats.rates(shownModel).at(-1)));
  show("p50", shownSeconds(recent.p50));
  show("p99", shownSeconds(recent.p99));
  show("failed", recent.requests ? `${recent.failed} of ${recent.requests}` : "–");
}

function numbersElement() {
  const entry = (key, name) => el("div", {}, el("dt", {}, name), el("dd", { "data-key": key }, "–"));
  return el("dl", { id: "numbers", class: "numbers" },
    entry("rate", "requests"), entry("p50", "p50 latency"), entry("p99", "p99 latency"), entry("failed", "failed, last minute"));
}

function versionsElement(model) {
  const rows = model.model_version_status.map((one) => el("tr", {},
    el("td", {}, one.version), el("td", {}, stateElement(one)), el("td", { class: "reason" }, one.status.error_message)));
  return el("div", { class: "scroll" }, el("table", { id: "versions" },
    el("thead", {}, el("tr", {}, ...["Version", "State", "Reason"].map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, ...rows)));
}

function tensorsElement(signature) {
  const rows = (kind, list) => list.map((one) => el("tr", {},
    el("td", { class: "quiet" }, kind), el("td", {}, one.name), el("td", { class: "mono" }, shownTensor(one))));
  return el("div", { class: "scroll" }, el("table", {}, el("tbody", {}, ...rows("in", signature.inputs), ...rows("out", signature.outputs))));
}

async function drawModel() {
  const model = models.find((one) => one.name === chosen());
  shownModel = model?.name ?? null;
  if (!model) return at("model").replaceChildren(el("p", { class: "quiet" }, chosen() ? "There is no such model." : "Choose a model."));
  const versions = available(model);
  const version = el("select", { "aria-label": "Version", onchange: () => drawTry() },
    el("option", { value: "" }, "newest version"), ...versions.map((one) => el("option", { value: one }, `version ${one}`)));
  const signature = el("select", { id: "signature", "aria-label": "Signature", onchange: () => drawForm() });
  const form = el("div", {});
  const tensors = el("div", {});
  let signatures = [];

  async function drawTry() {
    try {
      signatures = readSignatures((await ask(`${modelPath(model.name, version.value)}/metadata`)).value);
    } catch (error) {
      return form.replaceChildren(el("p", { class: "problem", role: "alert" }, `${error.status}: ${error.message}`));
    }
    signature.replaceChildren(...signatures.map(({ name }) => el("option", { value: name }, name)));
    drawForm();
  }

  function drawForm() {
    const found = signatures.find(({ name }) => name === signature.value);
    if (!labels.has(model.name)) labels.set(model.name, new Map());
    tensors.replaceChildren(tensorsElement(found));
    form.replaceChildren(tryForm(model.name, version.value, found, labels.get(model.name)));
  }

  at("model").replaceChildren(
    el("section", {}, el("h2", {}, model.name), numbersElement()),
    el("section", {}, el("h3", {}, "Versions"), versionsElement(model)),
    ...(versions.length ? [
      el("section", { id: "try", tabIndex: -1 }, el("h3", {}, "Try it"), el("div", { class: "tools" }, version, signature), form),
      el("section", {}, el("h3", {}, "Signature"), tensors),
    ] : []));
  drawNumbers();
  if (versions.length) await drawTry();
}

function tell(text) {
  at("problem").textContent = text;
  at("problem").hidden = !text;
}

async function refreshModels() {
  let fresh;
  try {
    fresh = (await ask("/v1/models")).value.models;
    tell("");
  } catch (error) {
    tell(error.message);
    if (![401, 403].includes(error.status)) return; // it may pass: what is shown stays
    models = [];
    drawList();
    return drawModel();
  }
  const before = JSON.stringify(models);
  const states = JSON.stringify(models.find((one) => one.name === chosen()));
  models = fresh;
  if (JSON.stringify(models) !== before) drawList();
  if (!chosen() && models.length) return location.replace(`#${encodeURIComponent(models[0].name)}`);
  // What the user has drawn or typed stays while the versions of this model do.
  if (shownModel !== chosen() || JSON.stringify(models.find((one) => one.name === chosen())) !== states) await drawModel();
}

async function refreshStats() {
  try {
    stats.add((await ask("/v1/stats")).value);
    drawNumbers();
  } catch {
    // the list of models tells what is wrong
  }
}

async function refreshReadiness() {
  try {
    const { available: ready, models: wanted } = (await ask("/readyz")).value;
    at("readiness").textContent = `${ready} of ${wanted} available`;
  } catch (error) {
    at("readiness").textContent = error.status === 503 ? "draining" : "not reachable";
  }
}

/** Calls `refresh` now and again, one call at a time, and not while nobody looks. */
function repeat(refresh, milliseconds) {
  const again = async () => {
    if (!document.hidden) await refresh();
    setTimeout(again, milliseconds);
  };
  again();
}

at("token").value = token.get();
at("token-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  token.set(at("token").value.trim());
  stats = new Stats();
  models = [];
  shownModel = null;
  await refreshModels();
  await refreshStats();
});
addEventListener("hashchange", () => {
  drawList();
  document.querySelector(".entry[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  drawModel();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the part of the address behind # names a model
  at("try")?.focus();
});
repeat(refreshModels, MODELS_MS);
repeat(refreshStats, STATS_MS);
repeat(refreshReadiness, MODELS_MS);
