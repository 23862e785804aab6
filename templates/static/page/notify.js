// A notification of the system when all pictures are finished: asked for, and only while the page is not looked at.

const KEY = "upscaler.notify";

export function offerNotifications(box, hint) {
  if (!("Notification" in window) || !isSecureContext) return; // plain http beyond this machine has none
  box.closest("label").hidden = false;
  box.checked = Notification.permission === "granted" && localStorage.getItem(KEY) === "yes";
  box.addEventListener("change", async () => {
    if (box.checked && Notification.permission !== "granted") {
      box.checked = (await Notification.requestPermission()) === "granted";
      hint.hidden = box.checked;
    }
    localStorage.setItem(KEY, box.checked ? "yes" : "no");
  });
}

export function notify(box, text, icon) {
  if (!box.checked || !document.hidden || Notification.permission !== "granted") return;
  const note = new Notification(text, { icon, tag: "upscaler" });
  note.addEventListener("click", () => (window.focus(), note.close()));
}
