// Three ways in: choose files, drop them or folders of them anywhere on the page, paste them.

export function takeFiles(zone, input, onFiles) {
  input.addEventListener("change", () => {
    onFiles([...input.files]);
    input.value = ""; // choosing the same file again must count as a change
  });
  let depth = 0;
  const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  document.addEventListener("dragenter", (event) => {
    if (!carriesFiles(event)) return;
    depth += 1;
    zone.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!carriesFiles(event)) return;
    depth = Math.max(0, depth - 1);
    if (depth === 0) zone.classList.remove("over");
  });
  document.addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    depth = 0;
    zone.classList.remove("over");
    filesOf(event.dataTransfer).then(onFiles);
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0) return;
    event.preventDefault();
    onFiles(files);
  });
}

const PICTURE = /\.(png|apng|jpe?g|jfif|webp|tiff?|bmp|dib|gif|avif|heic|heif|jxl)$/i;

/** The files of a drop; of folders, at any depth, those with a picture's name, in the order of their names. */
async function filesOf(transfer) {
  const plain = [...transfer.files]; // both lists are empty once this event is over
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return plain;
  const found = await Promise.all(entries.map((entry) => within(entry, !entry.isDirectory)));
  return found.flat();
}

async function within(entry, chosen) {
  if (entry.isFile) return chosen || PICTURE.test(entry.name) ? [await new Promise((resolve, reject) => entry.file(resolve, reject))] : [];
  const reader = entry.createReader();
  const children = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // a hundred at a time
    if (some.length === 0) break;
    children.push(...some);
  }
  children.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
  const found = [];
  for (const child of children) found.push(...(await within(child, false)));
  return found;
}
