// The server, asked as often as it takes: it may want a token first, or be busy for a moment.

const KEPT = "headstart token";
const LONGEST_WAIT = 30;

/** What the server, or the way to it, says against a request; `status` is 0 where there was no answer. */
export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Where a page says what to do when the server wants a token (gives one, or null) or is busy (for so many seconds). */
export const answers = { token: async () => null, busy: () => {} };

let token = kept();
let asking = null;

/** The models of the server and the limits it sets. */
export const askModels = (signal) => ask("api/models", {}, signal);

/**
 * What a model says of some pictures, in their order.
 * @param {string} model
 * @param {{blob: Blob, name: string}[]} pictures
 * @param {{top: number, heatmap?: boolean, precision?: string}} choices
 */
export async function askPredictions(model, pictures, choices, signal) {
  const query = new URLSearchParams({ top: choices.top });
  if (choices.heatmap) query.set("heatmap", "true");
  if (choices.precision) query.set("min_precision", choices.precision);
  const body = new FormData();
  for (const { blob, name } of pictures) body.append("pictures", blob, name);
  const { predictions } = await ask(
    `api/models/${encodeURIComponent(model)}/predict?${query}`, { method: "POST", body }, signal);
  if (predictions?.length === pictures.length) return predictions;
  throw new Refused("The server's answer is not about these pictures.", 500);
}

async function ask(path, request, signal) {
  for (;;) {
    const used = token;
    const response = await reach(path, request, used, signal);
    if (response.ok) return response.json();
    if (response.status === 401) {
      await newToken(used);
    } else if (response.status === 503 || response.status === 429) {
      const seconds = Math.min(LONGEST_WAIT, Number(response.headers.get("Retry-After")) || 2);
      answers.busy(seconds);
      await pause(1000 * seconds, signal);
    } else {
      throw new Refused(await reason(response), response.status);
    }
  }
}

async function reach(path, request, used, signal) {
  const headers = used ? { Authorization: `Bearer ${used}` } : {};
  try {
    return await fetch(path, { ...request, headers, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server does not answer. Is it still running, and is the network there?", 0);
  }
}

async function reason(response) {
  const said = await response.json().catch(() => null);
  return said?.error ?? `The server answers with status ${response.status}.`;
}

/** Ask for a token once, however many requests want one; what was refused with an older one just tries again. */
async function newToken(refused) {
  if (token !== refused) return;
  asking ??= answers.token(Boolean(refused)).finally(() => (asking = null));
  const given = await asking;
  if (!given) throw new Refused("This server answers only those who have its token.", 401);
  token = given;
  try {
    sessionStorage.setItem(KEPT, token);
  } catch {
    // then it is known until the page is left
  }
}

function kept() {
  try {
    return sessionStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}
