// Live figures: one event stream for each tab in view. Texts by name replace those of the page; sections whose content
// has changed are fetched anew, as the server renders them.

const STALE_AFTER = 12_000;
const RETRY_AFTER = 2_000;

const badge = document.getElementById("live-badge");
let source = null;
let last = "";
let lastSignAt = Date.now();
let retry = 0;

function show(state, text) {
  if (badge !== null && badge.textContent !== text) {
    badge.dataset.state = state;
    badge.textContent = text;
  }
}

function markLive() {
  lastSignAt = Date.now();
  show("live", "live");
}

function checkAge() {
  const isStale = source === null || source.readyState !== EventSource.OPEN || Date.now() - lastSignAt > STALE_AFTER;
  if (isStale && !document.hidden) {
    show("stale", `stale since ${new Date(lastSignAt).toLocaleTimeString()}`);
  }
}

async function refetch(section) {
  const answer = await fetch(location.href, { redirect: "error" });
  if (!answer.ok) {
    return;
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const newer = page.getElementById(section.id);
  // What the user is typing in stays until they have sent it.
  if (newer !== null && !section.contains(document.activeElement)) {
    section.replaceWith(newer);
  }
}

function apply(texts) {
  for (const element of document.querySelectorAll("[data-live]")) {
    const text = texts[element.dataset.live];
    if (text !== undefined && element.textContent !== text) {
      element.textContent = text;
    }
  }
  for (const section of document.querySelectorAll("[data-refetch]")) {
    const digest = texts[section.dataset.refetch];
    if (digest !== undefined && digest !== section.dataset.seen) {
      section.dataset.seen = digest;
      refetch(section).catch(checkAge);
    }
  }
}

function take(event) {
  last = event.lastEventId;
  markLive();
  apply(JSON.parse(event.data).texts);
}

function open() {
  clearTimeout(retry);
  close();
  source = new EventSource(last === "" ? "/live" : `/live?last=${encodeURIComponent(last)}`);
  source.addEventListener("snapshot", take);
  source.addEventListener("delta", take);
  source.addEventListener("beat", markLive);
  source.addEventListener("error", () => {
    checkAge();
    // After a refusal the browser does not try again by itself.
    if (source !== null && source.readyState === EventSource.CLOSED) {
      retry = setTimeout(open, RETRY_AFTER);
    }
  });
}

function close() {
  if (source !== null) {
    source.close();
    source = null;
  }
}

// Browsers allow few connections to one host: hidden tabs hold none.
function follow() {
  if (document.hidden) {
    clearTimeout(retry);
    close();
  } else {
    open();
  }
}

document.addEventListener("visibilitychange", follow);
addEventListener("pagehide", close);
addEventListener("pageshow", (event) => {
  if (event.persisted) {
    follow();
  }
});
setInterval(checkAge, 1_000);
follow();
