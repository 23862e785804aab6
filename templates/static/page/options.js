// The options: which are shown, what they mean for the API, and their last choice, kept in localStorage of this browser only.

const KEY = "upscaler.options";
const SENT = ["outscale", "longest_side", "width", "height", "format", "quality", "denoise_strength", "strip_metadata"];
/** Choices of the scale that are a size in pixels, with the fields that tell it. */
const SIZES = { longest_side: ["longest_side"], box: ["width", "height"] };

/** Return the fields of a submission as the form has them, but for the model. */
export function chosenFields(form) {
  const data = new FormData(form);
  const fields = {};
  for (const name of SENT) {
    const value = data.get(name);
    if (value && !(value in SIZES) && !form.elements[name].closest("[hidden]")) fields[name] = value;
  }
  if (data.get("lossless") && !form.elements.lossless.closest("[hidden]")) fields.lossless = "true";
  return fields;
}

/** Show the options that belong to the chosen format and scale, and their values. */
export function fitOptions(form) {
  const { format, quality, lossless, denoise_strength: denoise, outscale } = form.elements;
  const shown = (control, on) => (control.closest(".field").hidden = !on);
  shown(quality, ["jpeg", "webp", "avif", "jxl"].includes(format.value));
  shown(lossless, ["webp", "avif", "jxl"].includes(format.value));
  form.querySelector("#quality-value").textContent = quality.value;
  form.querySelector("#denoise-value").textContent = denoise.value;
  for (const [choice, names] of Object.entries(SIZES)) {
    for (const name of names) {
      const control = form.elements[name];
      control.disabled = outscale.value !== choice; // what nobody sees must not keep the form from being sent
      control.closest("[data-size]").hidden = control.disabled;
      control.required = !control.disabled && !names.some((each) => form.elements[each].value);
    }
  }
}

/** Write down every option of the form whenever one is changed. */
export function rememberOptions(form) {
  form.addEventListener("change", () => {
    const chosen = [...form.elements].filter((each) => each.name || each.id === "model");
    const values = chosen.map((each) => [each.id, each.type === "checkbox" ? each.checked : each.value]);
    try {
      localStorage.setItem(KEY, JSON.stringify(Object.fromEntries(values)));
    } catch {
      // Private windows may refuse storage: the page works on, and begins with the defaults the next time.
    }
  });
}

/** Set the form to what was chosen last, as far as it is still offered; returns the models' names, where there are any. */
export function recallOptions(form) {
  let values = null;
  try {
    values = JSON.parse(localStorage.getItem(KEY));
  } catch {
    // a damaged entry is not worth a broken page
  }
  if (typeof values !== "object" || !values) return {};
  for (const each of form.elements) {
    const value = values[each.id];
    if (each.type === "checkbox" && typeof value === "boolean") each.checked = value;
    else if (["range", "number"].includes(each.type) && value !== undefined && Number.isFinite(Number(value))) each.value = value;
    else if (each.name && each.options && [...each.options].some((option) => option.value === value)) each.value = value;
  }
  const name = (value) => (typeof value === "string" ? value : undefined);
  return { model: name(values.model), restorer: name(values.restorer) };
}
