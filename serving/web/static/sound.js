// Sound: recorded where the browser allows it, or from a file; one channel at the rate that is asked for.

import { el, sparkline } from "./dom.js";

const DRAWN = 200;

export function soundInput({ name, dtype, dims }) {
  const rate = el("input", { type: "number", min: 4000, max: 96000, value: 16000, "aria-label": "Samples per second" });
  const file = el("input", { type: "file", accept: "audio/*", onchange: () => file.files[0] && take(file.files[0]) });
  const record = el("button", { type: "button", onclick: toggle }, "Record");
  const shown = el("div", { role: "status" }, el("p", { class: "quiet" }, "No sound yet."));
  let samples = null;
  let recorder = null;

  if (!navigator.mediaDevices?.getUserMedia) {
    record.disabled = true;
    record.title = "Browsers record on localhost and over HTTPS only";
  }

  async function toggle() {
    if (recorder) return recorder.stop();
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch (error) {
      return tell(`The microphone cannot be used: ${error.message}`);
    }
    const parts = [];
    recorder = new MediaRecorder(stream);
    recorder.ondataavailable = (event) => parts.push(event.data);
    recorder.onstop = () => {
      stream.getTracks().forEach((track) => track.stop());
      recorder = null;
      record.textContent = "Record";
      take(new Blob(parts));
    };
    recorder.start();
    record.textContent = "Stop";
    tell("Recording…");
  }

  async function take(blob) {
    try {
      samples = await resampled(await blob.arrayBuffer(), Number(rate.value));
    } catch (error) {
      samples = null;
      return tell(`This sound cannot be read: ${error.message}`);
    }
    const length = dims[1] > 0 ? dims[1] : samples.length;
    if (length !== samples.length) {
      const fitted = new Float32Array(length); // cut, or silence at the end
      fitted.set(samples.subarray(0, length));
      samples = fitted;
    }
    const step = Math.max(Math.floor(samples.length / DRAWN), 1);
    const loudness = Array.from({ length: Math.min(DRAWN, samples.length) }, (_, index) =>
      samples.subarray(index * step, (index + 1) * step).reduce((most, sample) => Math.max(most, Math.abs(sample)), 0));
    const seconds = (samples.length / Number(rate.value)).toFixed(2);
    shown.replaceChildren(sparkline(loudness, `${name}: loudness`),
      el("p", { class: "quiet" }, `${samples.length} samples, ${seconds} s at ${rate.value} Hz`));
  }

  function tell(text) {
    shown.replaceChildren(el("p", { class: "quiet" }, text));
  }

  function value() {
    if (!samples) throw new Error(`${name}: record or choose a sound first.`);
    const whole = dtype === "DT_INT16";
    return [Array.from(samples, (sample) => (whole ? Math.round(Math.max(Math.min(sample, 1), -1) * 32767) : Math.round(sample * 1e6) / 1e6))];
  }

  const element = el("div", {},
    el("div", { class: "tools" }, record, el("label", { class: "button" }, "Sound file…", file),
      el("label", {}, rate, " samples/s")), shown);
  return { element, value };
}

async function resampled(content, rate) {
  const decoded = await new OfflineAudioContext(1, 1, rate).decodeAudioData(content);
  const length = Math.max(Math.round(decoded.duration * rate), 1);
  const context = new OfflineAudioContext(1, length, rate); // one channel: the others are mixed into it
  const source = new AudioBufferSourceNode(context, { buffer: decoded });
  source.connect(context.destination);
  source.start();
  return (await context.startRendering()).getChannelData(0);
}
