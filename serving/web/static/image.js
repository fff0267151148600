// An image: drawn, or from a file, scaled to the size that the signature wants.

import { el } from "./dom.js";
import { isFloat } from "./signatures.js";

const PAD = 280;
const OPEN = { 1: 28, 3: 96 }; // pixels, where the signature leaves the size open
const STEP = PAD / 28;

export function imageInput({ name, dtype, dims }) {
  const channels = dims[3];
  const [height, width] = [dims[1], dims[2]].map((size) => (size > 0 ? size : OPEN[channels]));
  const pad = el("canvas", { class: "pad", width: PAD, height: PAD, tabIndex: 0, role: "img",
    "aria-label": `${name}: draw with the pointer, or with the arrow keys while the space bar has put the pen down` });
  const seen = el("canvas", { class: "seen", width, height });
  const invert = el("input", { type: "checkbox", onchange: show });
  const scale = el("select", { "aria-label": "Range of values" },
    el("option", { value: "1" }, "values 0 to 1"), el("option", { value: "255" }, "values 0 to 255"));
  const file = el("input", { type: "file", accept: "image/*", onchange: load });
  const ink = pad.getContext("2d", { willReadFrequently: true });
  const small = seen.getContext("2d", { willReadFrequently: true });
  let pen = { x: PAD / 2, y: PAD / 2, down: false };

  function clear() {
    ink.fillStyle = "#000";
    ink.fillRect(0, 0, PAD, PAD);
    show();
  }

  function stroke(x, y) {
    ink.strokeStyle = "#fff";
    ink.lineWidth = PAD / 14;
    ink.lineCap = ink.lineJoin = "round";
    ink.beginPath();
    ink.moveTo(pen.x, pen.y);
    ink.lineTo(x, y);
    ink.stroke();
    show();
  }

  function show() {
    small.imageSmoothingQuality = "high";
    small.drawImage(pad, 0, 0, width, height);
    if (!invert.checked) return;
    const pixels = small.getImageData(0, 0, width, height);
    pixels.data.forEach((value, index) => { if (index % 4 !== 3) pixels.data[index] = 255 - value; });
    small.putImageData(pixels, 0, 0);
  }

  function at(event) {
    const box = pad.getBoundingClientRect();
    return [((event.clientX - box.left) * PAD) / box.width, ((event.clientY - box.top) * PAD) / box.height];
  }

  pad.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const [x, y] = at(event);
    pen = { x, y, down: true };
    pad.setPointerCapture(event.pointerId);
    stroke(x, y);
  });
  pad.addEventListener("pointermove", (event) => {
    if (!pad.hasPointerCapture(event.pointerId)) return;
    const [x, y] = at(event);
    stroke(x, y);
    Object.assign(pen, { x, y });
  });
  pad.addEventListener("pointerup", () => { pen.down = false; });
  pad.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], " ": [0, 0] };
    if (!(event.key in moves)) return;
    event.preventDefault();
    const [x, y] = moves[event.key].map((move, axis) => Math.min(Math.max((axis ? pen.y : pen.x) + move * STEP, 0), PAD));
    if (event.key === " ") pen.down = !pen.down;
    if (pen.down) stroke(x, y);
    Object.assign(pen, { x, y });
  });

  async function load() {
    const [chosen] = file.files;
    if (!chosen) return;
    const picture = await createImageBitmap(chosen);
    const factor = Math.min(PAD / picture.width, PAD / picture.height);
    const [w, h] = [picture.width * factor, picture.height * factor];
    clear();
    ink.imageSmoothingQuality = "high";
    ink.drawImage(picture, (PAD - w) / 2, (PAD - h) / 2, w, h);
    show();
    file.value = "";
  }

  function value() {
    const { data } = small.getImageData(0, 0, width, height);
    const largest = isFloat(dtype) ? Number(scale.value) : 255;
    const number = (byte) => (largest === 255 ? byte : Math.round((byte / 255) * 1e6) / 1e6);
    const pixel = (index) => channels === 3
      ? [number(data[index]), number(data[index + 1]), number(data[index + 2])]
      : [number(Math.round(0.299 * data[index] + 0.587 * data[index + 1] + 0.114 * data[index + 2]))];
    return [Array.from({ length: height }, (_, y) => Array.from({ length: width }, (_, x) => pixel(4 * (y * width + x))))];
  }

  clear();
  const element = el("div", {},
    el("div", { class: "drawing" }, pad,
      el("figure", {}, seen, el("figcaption", {}, `as the model sees it: ${width} × ${height}`))),
    el("div", { class: "tools" },
      el("button", { type: "button", onclick: clear }, "Clear"),
      el("label", { class: "button" }, "Image file…", file),
      el("label", {}, invert, " dark on light"),
      isFloat(dtype) ? scale : null));
  return { element, value };
}
