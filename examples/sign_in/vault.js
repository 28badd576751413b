// Updates the open page when the app reports a new status of the signed-in person.
const vault = document.getElementById("vault");
const locked = document.getElementById("locked");
const look = async () => {
  const answer = await fetch("/vault", { headers: { accept: "application/json" } });
  vault.hidden = !answer.ok;
  locked.hidden = answer.ok;
  vault.dataset.is = answer.ok ? "open" : "locked";
};
new EventSource("/news").addEventListener("message", look);
