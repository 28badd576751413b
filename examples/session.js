// Script of every page that shows something of a person: the page must not outlast the session.

// Browsers keep a page that was left, and Back shows it again without a request ("back-forward
// cache"; Chromium does so in spite of `Cache-Control: no-store`). The page is left blank, and comes
// back only from the server.
addEventListener("pagehide", () => {
  document.documentElement.hidden = true;
});
addEventListener("pageshow", async (event) => {
  if (!event.persisted) return;
  if (await isSignedIn()) location.reload();
  else location.replace("/");
});

// Another tab, another device or the app itself may have ended the session meanwhile.
document.addEventListener("visibilitychange", async () => {
  if (document.visibilityState === "visible" && !(await isSignedIn())) location.replace("/");
});

// Only 401 means that no person is signed in. The request does not extend the session.
const isSignedIn = async () => {
  const me = await fetch("/auth/me").catch(() => null);
  return me?.status !== 401;
};
