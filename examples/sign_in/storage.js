const show = (id, value) => {
  document.getElementById(id).textContent = value || "empty";
};
show("cookie", document.cookie);
show("local", Object.keys(localStorage).join(", "));
show("session", Object.keys(sessionStorage).join(", "));
