// Detection inside the browser, by onnxruntime-web: no picture leaves it.

import { modelFile, Refused } from "./server.js";

let runtime = null;

async function load() {
  runtime ??= import(new URL("onnxruntime/ort.wasm.min.mjs", document.baseURI).href).then((ort) => {
    ort.env.wasm.wasmPaths = new URL("onnxruntime/", document.baseURI).href;
    // several need headers that a page behind somebody's own server may lack
    ort.env.wasm.numThreads = 1;
    // in a worker, so that the page goes on
    ort.env.wasm.proxy = true;
    return ort;
  });
  return runtime;
}

/** The pixels of a picture, upright, red first: (height, width, 3). */
async function pixels(blob) {
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" }).catch(() => {
    throw new Refused("This browser cannot read the picture: let the server detect in it.", 400);
  });
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const image = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    image[to++] = data[from];
    image[to++] = data[from + 1];
    image[to++] = data[from + 2];
  }
  return { image, width, height };
}

/** A model that was fetched once and runs here. */
export class LocalDetector {
  /** Fetch a model, as `listModels` has it, and open it. */
  static async open(model) {
    const { InferenceSession, Tensor } = await load();
    const session = await InferenceSession.create(await modelFile(model.name),
      { executionProviders: ["wasm"] });
    return new LocalDetector(session, Tensor, model.classes);
  }

  constructor(session, Tensor, classes) {
    Object.assign(this, { session, Tensor, classes, last: Promise.resolve() });
  }

  /** What is in a picture, as an image of the server's answer; one picture at a time. */
  async detect(blob) {
    const before = this.last;
    let done;
    this.last = new Promise((resolve) => { done = resolve; });
    await before;
    try {
      const { image, width, height } = await pixels(blob);
      const { boxes, scores, labels } = await this.session.run(
        { image: new this.Tensor("uint8", image, [height, width, 3]) });
      return { width, height, objects: Array.from(scores.data, (score, at) => ({
        class: this.classes[labels.data[at]], score,
        box: Array.from(boxes.data.slice(4 * at, 4 * at + 4)) })) };
    } finally {
      done();
    }
  }
}
