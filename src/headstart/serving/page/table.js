// What is said of the pictures as a table: the columns of `headstart predict --format csv`.

const COLUMNS = ["path", "place", "label", "probability", "note"];
const FORMULA = /^[=+\-@\t\r]/;

/** A cell that no spreadsheet takes for a formula. Source: OWASP, CSV Injection. */
const inert = (cell) => (typeof cell === "string" && FORMULA.test(cell) ? `'${cell}` : String(cell));

/** The rows of one picture: its classes, the most probable first, or why there are none. */
function rows({ name, answer }) {
  if (answer.error) return [[name, "", "", "", answer.error]];
  const note = [answer.unlike ? "unlike the training data" : "", answer.abstained ? "not sure enough" : ""];
  return answer.top.map(({ label, probability }, place) =>
    [name, place + 1, answer.abstained ? "" : label, probability, note.filter(Boolean).join(", ")]);
}

const table = (items) => [COLUMNS, ...items.filter((item) => item.answer).flatMap(rows)].map((row) => row.map(inert));

const quoted = (cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);

/** Comma-separated values as RFC 4180 has them. */
export const asCsv = (items) => table(items).map((row) => `${row.map(quoted).join(",")}\r\n`).join("");

/** What a spreadsheet takes from the clipboard. */
export const asTabs = (items) =>
  table(items).map((row) => row.map((cell) => cell.replaceAll(/[\t\r\n]+/g, " ")).join("\t")).join("\n");
