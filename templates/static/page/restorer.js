// A restorer before the model that enlarges: one of the ready models that keep the size. Both together are a chain.

export class Restorer {
  /** `last`: the restorer that this browser chose last, "" for none; it is chosen again where it is still ready. */
  constructor(form, picker, last) {
    this.field = form.querySelector("[data-restorer-field]");
    this.select = form.elements.restorer;
    this.wanted = last ?? this.select.dataset.default;
    this.offered = "";
    this.select.addEventListener("change", () => { this.wanted = this.select.value; });
    picker.onChange((model) => this.#offer([...picker.known.values()], model));
  }

  /** The text that names the models a picture goes through, `name` being the last. */
  before(name) {
    return this.field.hidden || !this.select.value ? name : `${this.select.value}+${name}`;
  }

  #offer(known, model) {
    const names = known.filter((each) => each.available && each.scale === 1).map((each) => each.name).sort();
    this.field.hidden = !names.length || model.scale === 1;
    if (this.offered === names.join()) return; // a running download reports often: an open list must not be rebuilt
    this.offered = names.join();
    this.select.replaceChildren(this.select.options[0], ...names.map((name) => new Option(name, name)));
    this.select.value = names.includes(this.wanted) ? this.wanted : "";
  }
}
