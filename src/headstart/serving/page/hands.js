// The ways in: chooser, camera, clipboard, and what is dropped anywhere on the page, whole folders, too.

const at = (id) => document.getElementById(id);

/** Call `add` with a list of files whenever somebody gives some. */
export function takeFiles(add) {
  for (const [button, input] of [["choose", "files"], ["photograph", "camera"]]) {
    at(button).addEventListener("click", () => at(input).click());
    at(input).addEventListener("change", () => {
      add([...at(input).files]);
      at(input).value = ""; // so that the same file may be chosen again
    });
  }
  takePasted(add);
  takeDropped(add);
}

function takePasted(add) {
  let earlier = 0;
  document.addEventListener("paste", ({ clipboardData }) => {
    const named = (file) => (/^image\.\w+$/.test(file.name) ? numbered(file, (earlier += 1)) : file);
    const files = [...clipboardData.files].map(named);
    if (files.length) add(files);
  });
}

/** A screenshot in the clipboard has no name of its own. */
const numbered = (file, number) =>
  new File([file], file.name.replace("image", `pasted-${number}`), { type: file.type });

function takeDropped(add) {
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  const cover = (shown) => (at("dropping").hidden = !shown);
  document.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    cover(true);
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) cover(false); // it left the window
  });
  document.addEventListener("drop", async (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    cover(false);
    add(await dropped(event.dataTransfer));
  });
}

/** What was dropped; of a folder, in the order of names, all but what says of itself that it is something else. */
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.());
  if (!entries.some((entry) => entry?.isDirectory)) return [...transfer.files];
  const found = await Promise.all(entries.filter(Boolean).map(walk));
  return found.flat();
}

async function walk(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const inside = await list(entry.createReader());
  const found = await Promise.all(inside.filter((each) => !each.name.startsWith(".")).map(walk));
  return found.flat().filter((file) => !file.type || file.type.startsWith("image/"));
}

/** A reader gives a hundred entries at a time, and none when it is through. */
async function list(reader) {
  const all = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return all.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
    all.push(...some);
  }
}
