// Elements without markup: every text is set as text, so that no name or answer can become HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element with properties and children; `data`, `aria-*`, `role`, `for` and `class` are attributes. */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function svg(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A line through `values`, from left to right, 0 at the bottom. */
export function sparkline(values, label) {
  if (values.length === 1) values = [...values, ...values];
  const largest = Math.max(...values, 1e-9);
  const step = 100 / Math.max(values.length - 1, 1);
  const points = values.map((value, index) => `${(index * step).toFixed(2)},${(23 - (22 * value) / largest).toFixed(2)}`);
  return svg(
    "svg",
    { class: "spark", viewBox: "0 0 100 24", preserveAspectRatio: "none", role: "img", "aria-label": label },
    svg("line", { x1: 0, x2: 100, y1: 23, y2: 23 }),
    ...(points.length > 1 ? [svg("path", { d: `M${points.join("L")}` })] : []),
  );
}
