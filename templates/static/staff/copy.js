// Copies the text of the input that a button names, and says so on the button.
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const input = document.getElementById(button.dataset.copy);
    input.select();
    try {
      await navigator.clipboard.writeText(input.value);
    } catch {
      document.execCommand("copy"); // the clipboard API exists on https and localhost only
    }
    button.textContent = button.dataset.done;
  });
}
