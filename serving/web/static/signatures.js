// What a signature takes, read from its metadata, and which way to give it suits each input.

const FLOATS = new Set(["DT_FLOAT", "DT_DOUBLE", "DT_HALF", "DT_BFLOAT16"]);
const INTEGERS = new Set(["DT_INT8", "DT_INT16", "DT_INT32", "DT_INT64", "DT_UINT8", "DT_UINT16", "DT_UINT32", "DT_UINT64"]);
const LONG = 400; // numbers that nobody types: sound, not features
const HIDDEN = "__saved_model_init_op";

/** Signatures by name, each `{ name, inputs, outputs }`, of an answer of `.../metadata`. */
export function readSignatures(metadata) {
  const found = metadata.metadata.signature_def.signature_def;
  return Object.keys(found)
    .filter((name) => name !== HIDDEN)
    .sort((a, b) => (b === "serving_default") - (a === "serving_default") || a.localeCompare(b))
    .map((name) => ({ name, inputs: tensors(found[name].inputs), outputs: tensors(found[name].outputs) }));
}

function tensors(infos) {
  return Object.keys(infos ?? {})
    .sort()
    .map((name) => {
      const shape = infos[name].tensor_shape ?? {};
      const dims = shape.unknown_rank ? null : (shape.dim ?? []).map((dim) => Number(dim.size));
      return { name, dtype: infos[name].dtype, dims };
    });
}

export function shownTensor({ dtype, dims }) {
  const sizes = dims ? `[${dims.map((size) => (size < 0 ? "?" : size)).join(", ")}]` : "[any]";
  return `${dtype.replace("DT_", "").toLowerCase()} ${sizes}`;
}

export const isFloat = (dtype) => FLOATS.has(dtype);

/** "classify" and "regress" for signatures that take `tf.Example`s, else "predict". */
export function methodOf(signature) {
  const [input, another] = signature.inputs;
  if (another || input?.name !== "inputs" || input.dtype !== "DT_STRING") return "predict";
  const names = signature.outputs.map((output) => output.name);
  if (names.includes("classes") || names.includes("scores")) return "classify";
  return names.length === 1 && names[0] === "outputs" ? "regress" : "predict";
}

/** How an input is given: "image", "text", "sound", "ids", "mask" (follows from another input) or "json". */
export function kindOf(input, inputs) {
  const { name, dtype, dims } = input;
  if (!dims) return "json";
  const rank = dims.length;
  if (rank === 4 && [1, 3].includes(dims[3]) && (isFloat(dtype) || dtype === "DT_UINT8")) return "image";
  if (dtype === "DT_STRING" && rank <= 2) return "text";
  const long = rank === 2 && (dims[1] < 0 || dims[1] >= LONG);
  if (long && (isFloat(dtype) || (dtype === "DT_INT16" && /wave|audio|sound/i.test(name)))) return "sound";
  if (INTEGERS.has(dtype) && (rank === 1 || rank === 2)) return "ids";
  if (dtype === "DT_BOOL" && rank === 2 && inputs.length > 1 && /mask/i.test(name)) return "mask";
  return "json";
}

/** A value of a signature's tensor with a batch of one. */
export function exampleValue({ dtype, dims }) {
  const leaf = dtype === "DT_STRING" ? "" : dtype === "DT_BOOL" ? true : 0;
  const build = (sizes) => (sizes.length ? Array.from({ length: sizes[0] < 0 ? 1 : sizes[0] }, () => build(sizes.slice(1))) : leaf);
  return build(dims ?? [1]);
}
