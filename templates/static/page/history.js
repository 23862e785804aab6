// The jobs that this browser sent: kept in localStorage only, so the service needs no account to show them again.

export const KEY = "upscaler.jobs";
const MOST = 500;

/** The jobs, newest first: {id, name}. */
export function remembered() {
  try {
    const list = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(list) ? list.filter((each) => typeof each?.id === "string") : [];
  } catch {
    return []; // a damaged entry is not worth a broken page
  }
}

export function remember(id, name) {
  write([{ id, name }, ...remembered().filter((each) => each.id !== id)].slice(0, MOST));
}

export function forget(id) {
  write(remembered().filter((each) => each.id !== id));
}

function write(list) {
  try {
    localStorage.setItem(KEY, JSON.stringify(list));
  } catch {
    // Private windows may refuse storage: the page works on, without a history.
  }
}
