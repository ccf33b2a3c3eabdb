// Requests to the server, and its refusals as errors.

/** A refusal: `message` is the server's sentence, `status` that of HTTP (0: no answer came). */
export class Refused extends Error {
  constructor(message, status, retryAfter = 0) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }

  /** Whether the same request may be answered later. */
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 502;
  }
}

const TOKEN = "ssdreg-token";

export function setToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

async function ask(path, options = {}) {
  const headers = new Headers(options.headers);
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.set("Authorization", `Bearer ${token}`);
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server does not answer.", 0);
  }
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  throw new Refused(answer.error ?? `The server answered with status ${response.status}.`,
    response.status, Number(response.headers.get("Retry-After")) || 0);
}

/** The models, the default first: name, classes, colors, least score (`threshold`), ... */
export async function listModels() {
  return (await (await ask("models")).json()).models;
}

/** What the server finds in a picture, from the least score on that the model gives. */
export async function detect(model, blob, signal) {
  const response = await ask(`models/${encodeURIComponent(model)}/detect?threshold=0`, {
    method: "POST", body: blob, signal,
    headers: { "Content-Type": "application/octet-stream", Accept: "application/json" },
  });
  return (await response.json()).images[0];
}

/** The picture as a PNG, for formats that the browser cannot show: nothing is drawn from 1 on. */
export async function asPng(model, blob) {
  const response = await ask(`models/${encodeURIComponent(model)}/detect?threshold=1&format=png`, {
    method: "POST", body: blob, headers: { "Content-Type": "application/octet-stream" },
  });
  return response.blob();
}

/** The ONNX file of a model that has `in_browser`. */
export async function modelFile(model) {
  const response = await ask(`models/${encodeURIComponent(model)}/file`);
  return new Uint8Array(await response.arrayBuffer());
}

export const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** Milliseconds between two looks whether the server lives. */
const LOOK = 1500;

/** Wait until the server, which did not answer, lives. */
export async function returned() {
  do await pause(LOOK); while (!await lives());
}

async function lives() {
  try {
    return (await fetch("ping", { cache: "no-store" })).ok;
  } catch {
    return false;
  }
}
