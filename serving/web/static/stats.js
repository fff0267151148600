// Rates and latencies of the last minute, from the differences of counts since the server's start.

const KEPT = 31;
const METHODS = new Set(["Predict", "Classify", "Regress", "MultiInference"]);

export class Stats {
  #snapshots = [];

  /** Takes the next answer of /v1/stats. */
  add({ time_s, totals }) {
    const models = new Map();
    for (const line of totals) {
      if (!METHODS.has(line.method)) continue;
      if (!models.has(line.model)) models.set(line.model, { requests: 0, failed: 0, buckets: new Map() });
      const model = models.get(line.model);
      if (line.le !== undefined) model.buckets.set(line.le, (model.buckets.get(line.le) ?? 0) + line.count);
      else if (line.requests !== undefined) {
        model.requests += line.requests;
        if (line.code !== "OK") model.failed += line.requests;
      }
    }
    const last = this.#snapshots.at(-1);
    const restarted = last && (time_s < last.time_s || [...last.models].some(([name, one]) => one.requests > (models.get(name)?.requests ?? 0)));
    if (restarted) this.#snapshots = [];
    this.#snapshots.push({ time_s, models });
    if (this.#snapshots.length > KEPT) this.#snapshots.shift();
  }

  /** Requests per second between successive answers, oldest first. */
  rates(name) {
    return this.#snapshots.slice(1).map((now, index) => {
      const before = this.#snapshots[index];
      return (requests(now, name) - requests(before, name)) / Math.max(now.time_s - before.time_s, 1e-3);
    });
  }

  /** Of the time that is known: requests, the part that failed, and seconds at two quantiles (undefined without any). */
  recent(name) {
    const first = this.#snapshots[0];
    const last = this.#snapshots.at(-1);
    const now = last?.models.get(name);
    if (!now) return { requests: 0, failed: 0 };
    const before = first.models.get(name);
    const bounds = [...now.buckets.keys()].map((le) => [le === "+Inf" ? Infinity : Number(le), le]).sort((a, b) => a[0] - b[0]);
    const counts = bounds.map(([bound, le]) => [bound, now.buckets.get(le) - (before?.buckets.get(le) ?? 0)]);
    return {
      requests: now.requests - (before?.requests ?? 0),
      failed: now.failed - (before?.failed ?? 0),
      p50: quantile(counts, 0.5),
      p99: quantile(counts, 0.99),
    };
  }
}

function requests(snapshot, name) {
  return snapshot.models.get(name)?.requests ?? 0;
}

/** Seconds below which a share of the requests lies, from cumulative counts by upper bound. */
function quantile(counts, share) {
  const all = counts.at(-1)?.[1] ?? 0;
  if (!all) return undefined;
  let lower = 0;
  let below = 0;
  for (const [bound, count] of counts) {
    if (count >= share * all && count > below) {
      return bound === Infinity ? Infinity : lower + ((bound - lower) * (share * all - below)) / (count - below);
    }
    lower = bound;
    below = count;
  }
  return undefined;
}

export function shownSeconds(seconds) {
  if (seconds === undefined) return "–";
  if (seconds === Infinity) return "> 10 s";
  if (seconds >= 1) return `${seconds.toFixed(1)} s`;
  return `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
}

export function shownRate(rate) {
  if (rate === undefined) return "–";
  return `${rate >= 100 || rate === 0 ? Math.round(rate) : rate.toFixed(1)}/s`;
}
