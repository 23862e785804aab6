// Presets: one press chooses model and scale. A preset is marked for as long as just these are chosen.

export class Presets {
  constructor(root, form, picker) {
    Object.assign(this, { form, picker, buttons: [...root.querySelectorAll("[data-preset]")] });
    for (const button of this.buttons) button.addEventListener("click", () => this.#choose(button));
    form.addEventListener("input", () => this.#mark());
    picker.onChange(() => this.#mark());
  }

  #choose(button) {
    const names = button.dataset.models.split(" ");
    const known = names.filter((name) => this.picker.known.has(name));
    this.form.elements.outscale.value = button.dataset.outscale;
    this.form.elements.restorer.value = "";
    this.picker.choose(known.find((name) => this.picker.known.get(name).available) ?? known[0]);
  }

  #mark() {
    const { outscale, restorer } = this.form.elements;
    for (const button of this.buttons) {
      const names = button.dataset.models.split(" ");
      const chosen = names.includes(this.picker.select.value) && outscale.value === button.dataset.outscale && !restorer.value;
      button.setAttribute("aria-pressed", chosen);
      button.hidden = !names.some((name) => this.picker.known.has(name)); // an operator may have taken the models away
    }
  }
}
