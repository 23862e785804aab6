// The options as they were chosen last: kept in localStorage only, for the next visit of this browser.

const KEY = "upscaler.options";

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
    else if (each.type === "range" && Number.isFinite(Number(value))) each.value = value;
    else if (each.name && each.options && [...each.options].some((option) => option.value === value)) each.value = value;
  }
  const name = (value) => (typeof value === "string" ? value : undefined);
  return { model: name(values.model), restorer: name(values.restorer) };
}
