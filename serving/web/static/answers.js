// An answer: bars where there are probabilities or scores of classes, and all of it as JSON.

import { el } from "./dom.js";

const SHOWN = 10;

/** The answer of a call as an element. `labels` (class id to name) is kept by the caller: each answer may add to it. */
export function answerElement(answer, signature, labels) {
  const parts = [];
  if (answer.results) {
    for (const row of answer.results.slice(0, SHOWN)) {
      if (Array.isArray(row)) parts.push(bars(row.map(([label, score], index) => [label || `class ${index}`, score])));
      else parts.push(el("p", { class: "value" }, String(row)));
    }
  } else {
    const outputs = named(answer.outputs, signature);
    learn(outputs, labels);
    for (const { name, dtype } of signature.outputs) {
      const value = outputs[name];
      if (isScores(value, dtype)) {
        parts.push(el("h3", {}, name), bars(value[0].map((score, index) => [labels.get(index) ?? `class ${index}`, score])));
      } else if (typeof flat(value) !== "object") {
        parts.push(el("p", {}, `${name}: `, el("strong", {}, String(flat(value)))));
      }
    }
  }
  parts.push(el("details", { open: parts.length === 0 }, el("summary", {}, "As JSON"), el("pre", {}, JSON.stringify(answer, null, 1))));
  return el("div", {}, ...parts);
}

function named(outputs, signature) {
  return signature.outputs.length === 1 ? { [signature.outputs[0].name]: outputs } : outputs;
}

function learn(outputs, labels) {
  const [id, label] = [flat(outputs.class_id), flat(outputs.label)];
  if (typeof id === "number" && typeof label === "string") labels.set(id, label);
}

function flat(value) {
  while (Array.isArray(value) && value.length === 1) value = value[0];
  return value;
}

function isScores(value, dtype) {
  return ["DT_FLOAT", "DT_DOUBLE", "DT_HALF", "DT_BFLOAT16"].includes(dtype)
    && Array.isArray(value) && value.length === 1 && Array.isArray(value[0])
    && value[0].length > 1 && value[0].every((one) => typeof one === "number");
}

function bars(pairs) {
  const sorted = [...pairs].sort((a, b) => b[1] - a[1]).slice(0, SHOWN);
  const shares = pairs.every(([, score]) => score >= 0 && score <= 1);
  const largest = shares ? 1 : Math.max(...pairs.map(([, score]) => Math.abs(score)), 1e-9);
  const list = el("ol", { class: "bars" }, ...sorted.map(([label, score], index) => {
    const fill = el("span", { class: "fill" });
    fill.style.width = `${(100 * Math.max(score, 0)) / largest}%`;
    const value = shares ? `${(score * 100).toFixed(1)} %` : String(score);
    return el("li", { class: index ? "" : "best" }, fill, el("span", { class: "label" }, label), el("span", { class: "value" }, value));
  }));
  if (pairs.length <= SHOWN) return list;
  return el("div", {}, list, el("p", { class: "quiet" }, `The best ${SHOWN} of ${pairs.length}.`));
}
