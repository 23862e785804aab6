// <before-after>: two pictures under one divider, with zoom and pan by mouse, touch and keyboard.
//
// The pictures move together under a divider that stays where it is on the screen: the "after" layer is clipped in screen
// coordinates while both pictures carry the same transform. The divider is a real range input, so that arrow keys, screen
// readers and switch devices work without code of ours.

const MAX_ZOOM = 16;

export class BeforeAfter extends HTMLElement {
  #zoom = 1;
  #x = 0; // offset of the pictures' centre from the frame's centre, in CSS pixels
  #y = 0;
  #pointers = new Map();
  #pinch = 0;
  #sliding = false;

  connectedCallback() {
    if (this.frame) return;
    const template = document.getElementById("before-after-template");
    this.append(template.content.cloneNode(true));
    this.frame = this.querySelector(".ba-frame");
    this.before = this.querySelector(".ba-before img");
    this.after = this.querySelector(".ba-after img");
    this.clip = this.querySelector(".ba-after");
    this.line = this.querySelector(".ba-line");
    this.range = this.querySelector("input[type=range]");
    this.level = this.querySelector(".ba-level");
    const missing = this.querySelector(".ba-missing");
    this.before.addEventListener("load", () => (missing.hidden = true));
    this.before.addEventListener("error", () => (missing.hidden = false));
    this.range.addEventListener("input", () => this.#split());
    this.frame.addEventListener("wheel", (event) => this.#onWheel(event), { passive: false });
    this.frame.addEventListener("pointerdown", (event) => this.#onDown(event));
    this.frame.addEventListener("pointermove", (event) => this.#onMove(event));
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"])
      this.frame.addEventListener(name, (event) => this.#onUp(event));
    this.frame.addEventListener("dblclick", () => (this.#zoom > 1 ? this.reset() : this.zoomBy(4)));
    this.frame.addEventListener("keydown", (event) => this.#onKey(event));
    this.querySelector(".ba-in").addEventListener("click", () => this.zoomBy(1.5));
    this.querySelector(".ba-out").addEventListener("click", () => this.zoomBy(1 / 1.5));
    this.querySelector(".ba-fit").addEventListener("click", () => this.reset());
    this.reset();
    this.#split();
  }

  /** Show two pictures. Both are drawn at the "after" picture's aspect ratio. */
  show({ before, after, width, height, label }) {
    this.before.src = before;
    this.after.src = after;
    this.before.alt = this.dataset.beforeLabel + ": " + label;
    this.after.alt = this.dataset.afterLabel + ": " + label;
    this.frame.style.aspectRatio = `${width} / ${height}`;
    this.range.value = 50;
    this.reset();
    this.#split();
  }

  reset() {
    this.#zoom = 1;
    this.#x = this.#y = 0;
    this.#draw();
  }

  zoomBy(factor, clientX, clientY) {
    const box = this.frame.getBoundingClientRect();
    const px = (clientX ?? box.left + box.width / 2) - box.left - box.width / 2;
    const py = (clientY ?? box.top + box.height / 2) - box.top - box.height / 2;
    const zoom = Math.min(MAX_ZOOM, Math.max(1, this.#zoom * factor));
    const real = zoom / this.#zoom;
    this.#x = px - (px - this.#x) * real; // the point under the pointer stays under it
    this.#y = py - (py - this.#y) * real;
    this.#zoom = zoom;
    this.#draw();
  }

  panBy(dx, dy) {
    this.#x += dx;
    this.#y += dy;
    this.#draw();
  }

  #draw() {
    const box = this.frame.getBoundingClientRect();
    const slackX = (box.width * (this.#zoom - 1)) / 2;
    const slackY = (box.height * (this.#zoom - 1)) / 2;
    this.#x = Math.min(slackX, Math.max(-slackX, this.#x));
    this.#y = Math.min(slackY, Math.max(-slackY, this.#y));
    const transform = `translate(${this.#x}px, ${this.#y}px) scale(${this.#zoom})`;
    this.before.style.transform = transform;
    this.after.style.transform = transform;
    this.frame.classList.toggle("ba-zoomed", this.#zoom > 1);
    this.level.textContent = `${Math.round(this.#zoom * 100)} %`;
  }

  #split() {
    const share = Number(this.range.value);
    this.clip.style.clipPath = `inset(0 0 0 ${share}%)`;
    this.line.style.left = `${share}%`;
  }

  #slideTo(clientX) {
    const box = this.frame.getBoundingClientRect();
    this.range.value = (100 * (clientX - box.left)) / box.width;
    this.#split();
  }

  #onWheel(event) {
    event.preventDefault();
    this.zoomBy(Math.exp(-event.deltaY * 0.0015), event.clientX, event.clientY);
  }

  #onDown(event) {
    if (event.button > 0) return;
    this.frame.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, event);
    if (this.#pointers.size === 2) this.#pinch = this.#spread();
    // Near the divider a drag moves it; elsewhere it pans, or moves the divider too while there is nothing to pan.
    const line = this.line.getBoundingClientRect();
    const near = Math.abs(event.clientX - (line.left + line.width / 2)) < 28;
    this.#sliding = this.#pointers.size === 1 && (near || this.#zoom === 1);
    if (this.#sliding) this.#slideTo(event.clientX);
  }

  #onMove(event) {
    const last = this.#pointers.get(event.pointerId);
    if (!last) return;
    this.#pointers.set(event.pointerId, event);
    if (this.#pointers.size === 2) {
      const spread = this.#spread();
      const [a, b] = [...this.#pointers.values()];
      if (this.#pinch > 0) this.zoomBy(spread / this.#pinch, (a.clientX + b.clientX) / 2, (a.clientY + b.clientY) / 2);
      this.#pinch = spread;
    } else if (this.#sliding) {
      this.#slideTo(event.clientX);
    } else {
      this.panBy(event.clientX - last.clientX, event.clientY - last.clientY);
    }
  }

  #onUp(event) {
    this.#pointers.delete(event.pointerId);
    this.#pinch = 0;
  }

  #spread() {
    const [a, b] = [...this.#pointers.values()];
    return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
  }

  #onKey(event) {
    const step = 48;
    const shortcuts = {
      "+": () => this.zoomBy(1.5),
      "=": () => this.zoomBy(1.5),
      "-": () => this.zoomBy(1 / 1.5),
      0: () => this.reset(),
      ArrowLeft: () => this.panBy(step, 0),
      ArrowRight: () => this.panBy(-step, 0),
      ArrowUp: () => this.panBy(0, step),
      ArrowDown: () => this.panBy(0, -step),
    };
    // On the divider's own input the arrow keys belong to the divider.
    if (event.target === this.range && event.key.startsWith("Arrow")) return;
    const shortcut = shortcuts[event.key];
    if (!shortcut || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    shortcut();
  }
}

customElements.define("before-after", BeforeAfter);
