"use strict";

const find = (id) => document.getElementById(id);
const form = find("capture");
const input = (name) => form.elements.namedItem(name);

/** Id of the open case. A repeated attempt uses the same case. */
let open = null;

const ask = async (method, path) => {
  const answer = await fetch(path, { method }).catch(() => null);
  if (!answer) throw brokenConnection;
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw said;
  return said;
};

/** Sends an upload. `fetch` does not report the progress of an upload. */
const upload = (path, body, told) =>
  new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.responseType = "json";
    request.upload.onprogress = (event) => told(event.loaded / event.total);
    request.onload = () => (request.status === 200 ? resolve : reject)(request.response ?? {});
    request.onerror = () => reject(brokenConnection);
    request.send(body);
  });

const brokenConnection = { title: "The connection was lost", detail: "Please send the pictures again." };

const say = (kind, title, detail, link) => {
  find("said").dataset.is = kind;
  find("said").hidden = false;
  find("said-title").textContent = title;
  find("said-detail").textContent = detail;
  if (!link) return;
  const anchor = document.createElement("a");
  [anchor.href, anchor.textContent] = link;
  find("said-detail").append(" ", anchor);
};

const sayProblem = ({ title = "Something went wrong", detail = "Please try again in a moment.", part, login_url }) => {
  say("problem", title, detail, login_url && [`${login_url}?return_to=/`, "Sign in"]);
  if (part) input(part).closest("label").dataset.is = "problem";
};

const words = {
  approved: ["You are verified", "The vault is open."],
  rejected: ["KYCPort could not verify you", "You can try again with other pictures."],
  review: ["A reviewer is checking your pictures", "This page continues by itself as soon as there is a decision."],
};

/** Shows the current status of the person's verification. */
const refresh = async () => {
  const { assurance } = await ask("GET", "/auth/me");
  find("status").textContent = assurance.kyc_status ?? "not known";
  find("tier").textContent = assurance.kyc_tier ?? "not known";
  const vault = assurance.kyc_status === "verified" ? await fetch("/vault") : null;
  const isOpen = Boolean(vault?.ok);
  find("vault").dataset.is = isOpen ? "open" : "locked";
  find("vault-says").textContent = isOpen ? await vault.text() : "Locked. It opens at tier t2.";
};

const showDecision = async (outcome) => {
  await refresh();
  say(outcome, ...(words[outcome] ?? ["There is no decision yet", `KYCPort returned: ${outcome}`]));
  find("reviewer").hidden = outcome !== "review";
};

const send = async () => {
  const body = new FormData(form);
  const progress = find("progress");
  const told = (share) => {
    progress.firstElementChild.value = share;
    find("percent").textContent = `${Math.round(share * 100)} %`;
  };
  open ??= (await ask("POST", "/cases")).id;
  told(0);
  progress.hidden = false;
  await upload(`/cases/${open}/upload`, body, told).finally(() => (progress.hidden = true));
  say("waiting", "KYCPort is checking your pictures", "This takes a moment.");
  let { outcome } = await ask("POST", `/cases/${open}/decide`);
  await showDecision(outcome);
  while (outcome === "review") {
    ({ outcome } = await ask("GET", `/cases/${open}`));
    if (outcome !== "review") await showDecision(outcome);
  }
  open = null;
};

/** Disables all controls while an upload is in progress. */
const setBusy = (isBusy) => {
  for (const control of [...form.elements, ...document.querySelectorAll("[data-sample]")]) {
    control.disabled = isBusy;
  }
};

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  find("said").hidden = true;
  form.querySelectorAll("label").forEach((label) => delete label.dataset.is);
  try {
    const sending = send();
    setBusy(true);
    await sending;
  } catch (problem) {
    // After these errors the case accepts no more pictures. The next attempt opens a new case.
    if (["case_not_found", "case_not_open", "already_decided"].includes(problem.code)) open = null;
    sayProblem(problem);
  }
  setBusy(false);
});

const hints = new Map();
const showChosen = (field) => {
  const hint = form.querySelector(`[data-for=${field.name}]`);
  if (!hints.has(field)) hints.set(field, hint.textContent);
  const [file] = field.files;
  const size = file && (file.size < 1e6 ? `${Math.ceil(file.size / 1e3)} kB` : `${(file.size / 1e6).toFixed(1)} MB`);
  hint.textContent = file ? `${file.name}, ${size}` : hints.get(field);
  delete field.closest("label").dataset.is;
  field.closest("label").classList.toggle("chosen", Boolean(file));
};
form.addEventListener("change", (event) => showChosen(event.target));

const put = (name, file) => {
  const files = new DataTransfer();
  if (file) files.items.add(file);
  input(name).files = files.files;
  showChosen(input(name));
};
const picture = async (outcome, part) => {
  const answer = await fetch(`/samples/${outcome}/${part}.png`);
  return new File([await answer.blob()], `${part}.png`);
};
const pngSignature = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const made = {
  wrong: () => new File(["I am no picture."], "passport.png"),
  large: () => new File([pngSignature, new Uint8Array(24 << 20)], "passport.png"),
};

for (const button of document.querySelectorAll("[data-sample]")) {
  const kind = button.dataset.sample;
  button.addEventListener("click", async () => {
    put("document", made[kind] ? made[kind]() : await picture(kind, "document"));
    put("document_back", null);
    put("selfie", await picture("approved", "selfie"));
    find("send").focus();
  });
}

for (const button of document.querySelectorAll("[data-review]")) {
  button.addEventListener("click", () => fetch(`/reviewer/${open}/${button.dataset.review}`, { method: "POST" }));
}

refresh().catch(sayProblem);
