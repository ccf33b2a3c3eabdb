// The pictures of the strip, and the queue that has them detected.

import { pause, Refused, returned } from "./server.js";

/** How many pictures are asked for at a time: one is detected while the next is sent. */
const AT_A_TIME = 2;

/** A picture: waiting, asked, done or failed. */
export class Picture {
  state = "waiting";
  objects = [];
  error = "";
  /** What is drawn; null where the browser cannot show it. */
  bitmap = null;
  /** Width and height in pixels, upright. */
  size = null;
  /** Another one each time it is queued: answers to what was asked before are not taken. */
  ticket = null;

  constructor(name, blob) {
    this.name = name;
    this.blob = blob;
  }

  /** Decode it for the screen, with its orientation. */
  async open() {
    this.bitmap ??= await createImageBitmap(this.blob).catch(() => null);
    if (this.bitmap) this.size ??= [this.bitmap.width, this.bitmap.height];
  }
}

/** Has pictures detected in their order, and again when the server was away or busy. */
export class Queue {
  #waiting = [];
  #running = 0;
  #away = null;

  /**
   * `detect(blob)` gives an image of the answer, `png(blob)` a picture that the browser can show;
   * `changed(picture)` is called after each step; `said(sentence)` with what keeps the queue from
   * going on, or "" when it goes on.
   */
  constructor(detect, png, changed, said) {
    Object.assign(this, { detect, png, changed, said });
  }

  add(picture) {
    this.drop(picture);
    picture.state = "waiting";
    picture.ticket = Symbol(picture.name);
    this.#waiting.push(picture);
    this.#start();
  }

  drop(picture) {
    this.#waiting = this.#waiting.filter((other) => other !== picture);
    picture.ticket = null;
  }

  #start() {
    while (this.#running < AT_A_TIME && this.#waiting.length) {
      this.#running += 1;
      this.#run(this.#waiting.shift()).finally(() => {
        this.#running -= 1;
        this.#start();
      });
    }
  }

  async #run(picture) {
    const { ticket } = picture;
    await picture.open();
    while (picture.ticket === ticket) {
      picture.state = "asked";
      this.changed(picture);
      try {
        const answer = await this.detect(picture.blob);
        if (answer.error) throw new Refused(answer.error, 400);
        const bitmap = picture.bitmap ?? await createImageBitmap(await this.png(picture.blob));
        if (picture.ticket !== ticket) return;
        picture.objects = answer.objects;
        picture.size = [answer.width, answer.height];
        picture.bitmap = bitmap;
        picture.state = "done";
      } catch (error) {
        if (picture.ticket !== ticket) return;
        if (error instanceof Refused && error.passing) {
          picture.state = "waiting";
          this.changed(picture);
          await this.#passed(error);
          continue;
        }
        picture.state = "failed";
        picture.error = error.message;
      }
      this.changed(picture);
      return;
    }
  }

  /** Wait until a busy server may be asked again, or one that is away lives. */
  async #passed(error) {
    if (error.status === 429) return pause(1000 * Math.max(error.retryAfter, 1));
    this.#away ??= this.#returned().finally(() => { this.#away = null; });
    return this.#away;
  }

  async #returned() {
    this.said("The server does not answer. It is asked again until it does; nothing is lost.");
    await returned();
    this.said("");
  }
}
