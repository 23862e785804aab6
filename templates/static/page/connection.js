// Whether the service answers: a banner while it does not, and a look whether it is back, less and less often.

const FIRST_MS = 1000;
const LONGEST_MS = 30_000;

class Connection {
  #lost = false;
  #waiting = []; // of whoever waits for the service
  #pause = FIRST_MS;
  #timer = 0;
  #at = 0; // when the next look is due

  /** `probe()` resolves to true where the service answers; `show(lost, seconds)` is called at every change. */
  begin(probe, show) {
    this.probe = probe;
    this.show = show;
    addEventListener("online", () => this.look());
  }

  /** To be called when a call got no answer. */
  lose() {
    if (this.#lost || !this.probe) return;
    this.#lost = true;
    this.#pause = FIRST_MS;
    this.#later();
  }

  /** Look now. Resolves to true where the service answers. */
  async look() {
    clearTimeout(this.#timer);
    const there = await this.probe().catch(() => false);
    if (there && this.#lost) {
      clearTimeout(this.#timer);
      this.#lost = false;
      this.show(false, 0);
      for (const resolve of this.#waiting.splice(0)) resolve();
    } else if (this.#lost) {
      this.#pause = Math.min(LONGEST_MS, this.#pause * 2);
      this.#later();
    }
    return there;
  }

  /** Resolves when the service answers again; at once where it is not lost. Rejects when the signal is given. */
  back(signal) {
    if (!this.#lost) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiting.push(resolve);
      signal?.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")), { once: true });
    });
  }

  #later() {
    this.#at = Date.now() + this.#pause;
    this.#tick();
  }

  #tick() {
    const left = this.#at - Date.now();
    if (left <= 0) return void this.look();
    this.show(true, Math.ceil(left / 1000));
    this.#timer = setTimeout(() => this.#tick(), Math.min(left, 1000));
  }
}

export const connection = new Connection();
