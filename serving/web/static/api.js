// Requests to the server that the page came from.

const TOKEN = "serving-token";

export const token = {
  get: () => sessionStorage.getItem(TOKEN) ?? "",
  set: (value) => (value ? sessionStorage.setItem(TOKEN, value) : sessionStorage.removeItem(TOKEN)),
};

/** What the server refused, in its own words. */
export class ServerError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The answer to a request as a value and as text; `body` is the text of a POST. */
export async function ask(path, body) {
  const headers = token.get() ? { authorization: `Bearer ${token.get()}` } : {};
  if (body !== undefined) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method: body === undefined ? "GET" : "POST", headers, body, cache: "no-store" });
  } catch {
    throw new ServerError(0, "The server cannot be reached.");
  }
  const text = await response.text();
  let value = {};
  try {
    value = parse(text);
  } catch {
    if (response.ok) throw new ServerError(response.status, `No JSON: ${text.slice(0, 200)}`);
  }
  if (!response.ok) throw new ServerError(response.status, value.error ?? text);
  return { value, text };
}

/** JSON as the server writes it, in which NaN and infinities are numbers; here they become strings. */
export function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return JSON.parse(text.replace(/"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g, (found) => (found[0] === '"' ? found : `"${found}"`)));
  }
}

/** The path of a model, or of one version. */
export function modelPath(name, version) {
  return `/v1/models/${encodeURIComponent(name)}${version ? `/versions/${version}` : ""}`;
}
