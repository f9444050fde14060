// Pictures on their way to the server: in order, a few at a time, and no further when somebody says stop.

const AT_ONCE = 8;

/**
 * What waits, and the going through it.
 *
 * Its `work` has `size(item)`, a promise of its bytes; `room()`, the bytes of a request; `most()`, the pictures of one;
 * `send(items, signal)`, after which something is said of each; `changed()`, told whenever there is more to show; and
 * `failed(error)`, told why it stopped.
 */
export class Queue {
  #work;
  #waiting = [];
  #stopping = null;
  #began = 0;
  done = 0;

  constructor(work) {
    this.#work = work;
  }

  get running() {
    return this.#stopping !== null;
  }

  get waiting() {
    return this.#waiting.length;
  }

  get total() {
    return this.done + this.#waiting.length;
  }

  /** Seconds since it began, pictures a second, seconds that are left. */
  get pace() {
    const seconds = (performance.now() - this.#began) / 1000;
    const speed = this.done / seconds;
    return { seconds, speed, left: this.#waiting.length / speed };
  }

  /** Put these behind the others and begin. */
  add(items) {
    this.#waiting.push(...items);
    this.#work.changed();
    return this.run();
  }

  /** Go through all that wait, unless that is under way. */
  async run() {
    if (this.running || !this.#waiting.length) return;
    const stopping = (this.#stopping = new AbortController());
    [this.done, this.#began] = [0, performance.now()];
    this.#work.changed();
    try {
      while (this.#waiting.length) await this.#some(stopping.signal);
    } catch (error) {
      if (!stopping.signal.aborted) this.#work.failed(error);
    }
    if (this.#stopping !== stopping) return; // somebody stopped it, and it may be running anew
    this.#stopping = null;
    this.#work.changed();
  }

  /** Send nothing more. What is under way waits again. */
  stop() {
    this.#stopping?.abort();
    this.#stopping = null;
    this.#work.changed();
  }

  /** Stop, and forget who waits. */
  empty() {
    this.#waiting = [];
    this.stop();
  }

  /** Leave one out. */
  remove(item) {
    this.#waiting = this.#waiting.filter((other) => other !== item);
    this.#work.changed();
  }

  async #some(signal) {
    const batch = await this.#batch();
    signal.throwIfAborted();
    const sending = this.#work.send(batch, signal);
    this.#ahead(batch.length, signal);
    await sending;
    signal.throwIfAborted();
    this.#waiting = this.#waiting.filter((item) => !batch.includes(item));
    this.done += batch.length;
    this.#work.changed();
  }

  /** The next few: one at first, so that there is something to see, then more. */
  async #batch() {
    const batch = [];
    let bytes = 0;
    for (const item of this.#waiting.slice(0, Math.min(1 + this.done, AT_ONCE, this.#work.most()))) {
      bytes += await this.#work.size(item);
      if (batch.length && bytes > this.#work.room()) break;
      batch.push(item);
    }
    return batch;
  }

  /** Make ready what comes next, while the server is at work. */
  async #ahead(from, signal) {
    for (const item of this.#waiting.slice(from, from + AT_ONCE)) {
      if (signal.aborted) return;
      await this.#work.size(item);
    }
  }
}
