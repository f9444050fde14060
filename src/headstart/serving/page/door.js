// Where the page asks for the token of a server that wants one.

const at = (id) => document.getElementById(id);
const KNOWN = "Whoever started it knows it.";

/** Ask whoever sits here; null where they would rather not. `refused` says that an earlier one was not it. */
export function askToken(refused) {
  const door = at("door");
  at("door-text").textContent = refused ? `That was not it. ${KNOWN}` : `${KNOWN} It is kept until this tab is closed.`;
  at("token").value = "";
  door.returnValue = "";
  door.showModal();
  return new Promise((resolve) => {
    door.addEventListener("close", () => resolve(door.returnValue || null), { once: true });
  });
}

at("key").addEventListener("submit", (event) => {
  event.preventDefault();
  at("door").close(at("token").value.trim());
});
at("leave").addEventListener("click", () => at("door").close(""));
