// The form that tries a signature: its fields, the request they make, the answer and how long it took.

import { answerElement } from "./answers.js";
import { ask, modelPath } from "./api.js";
import { el } from "./dom.js";
import { examplesInput, inputsOf } from "./inputs.js";
import { methodOf } from "./signatures.js";

const SHOWN_REQUEST = 100_000;

export function tryForm(model, version, signature, labels) {
  const method = methodOf(signature);
  const fields = method === "predict" ? inputsOf(signature) : examplesInput();
  const send = el("button", { class: "main" }, "Ask the model");
  const took = el("span", { class: "quiet", role: "status" });
  const answer = el("div", { id: "answer", "aria-live": "polite" });
  const request = el("pre", { id: "request" });
  const asked = el("details", { hidden: true }, el("summary", {}, "The request"), request);

  async function submit(event) {
    event.preventDefault();
    let body;
    try {
      body = `{"signature_name":${JSON.stringify(signature.name)},"${method === "predict" ? "inputs" : "examples"}":${fields.json()}}`;
    } catch (error) {
      return fail(error.message);
    }
    const path = `${modelPath(model, version)}:${method}`;
    request.textContent = `POST ${path}\n\n${body.slice(0, SHOWN_REQUEST)}${body.length > SHOWN_REQUEST ? "…" : ""}`;
    asked.hidden = false;
    send.disabled = true;
    const started = performance.now();
    try {
      const { value } = await ask(path, body);
      took.textContent = `${(performance.now() - started).toFixed(1)} ms from here and back`;
      answer.replaceChildren(answerElement(value, signature, labels));
    } catch (error) {
      fail(error.status ? `${error.status}: ${error.message}` : error.message);
    } finally {
      send.disabled = false;
    }
  }

  function fail(text) {
    took.textContent = "";
    answer.replaceChildren(el("p", { class: "problem", role: "alert" }, text));
  }

  return el("form", { onsubmit: submit, noValidate: true }, ...fields.elements,
    el("div", { class: "tools" }, send, took), answer, asked);
}
