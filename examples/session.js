// Script that hides or reloads a page about a person after the session has ended. Every page that
// shows data of a person loads this script.

// The Back button can show an old page from the browser's memory (back-forward cache), without a
// request. Chromium also shows old pages with `Cache-Control: no-store`. This script therefore
// hides the page when the person leaves it, and reloads the page when the browser restores it.
addEventListener("pagehide", () => {
  document.documentElement.hidden = true;
});
addEventListener("pageshow", async (event) => {
  if (!event.persisted) return;
  if (await isSignedIn()) location.reload();
  else location.replace("/");
});

// Another tab, another device or the app can end the session while this tab is hidden.
document.addEventListener("visibilitychange", async () => {
  if (document.visibilityState === "visible" && !(await isSignedIn())) location.replace("/");
});

// Only the status 401 means that no person is signed in. A request to `/auth/me` does not extend
// the session.
const isSignedIn = async () => {
  const me = await fetch("/auth/me").catch(() => null);
  return me?.status !== 401;
};
