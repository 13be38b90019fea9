// Live figures: one event stream for each tab in view. Texts by name replace those of the page; sections whose content
// has changed are fetched anew, as the server renders them, again and again until they show the newest content.

const STALE_AFTER = 12_000;
const RETRY_AFTER = 2_000;
const FETCH_LIMIT = 5_000;

const badge = document.getElementById("live-badge");
let source = null;
let last = "";
// The newest texts of the stream, digests of sections among them.
let newest = {};
let lastSignAt = Date.now();
let isConfirmed = false;
let retry = 0;
let isFetching = false;

function show(state, text) {
  if (badge !== null && badge.textContent !== text) {
    badge.dataset.state = state;
    badge.textContent = text;
  }
}

function outdated() {
  const isOld = (section) => (newest[section.dataset.refetch] ?? section.dataset.seen) !== section.dataset.seen;
  return [...document.querySelectorAll("[data-refetch]")].filter(isOld);
}

// The page is live while the server confirms its figures and every section shows them.
function checkAge() {
  if (document.hidden) {
    return;
  }
  const isCut = source === null || source.readyState !== EventSource.OPEN || Date.now() - lastSignAt > STALE_AFTER;
  if (isCut || outdated().length > 0) {
    show("stale", `stale since ${new Date(lastSignAt).toLocaleTimeString()}`);
  } else if (isConfirmed) {
    show("live", "live");
  }
}

// Whether the user is filling in a form of the section.
function isBeingFilledIn(section) {
  const form = section.contains(document.activeElement) ? document.activeElement.closest("form") : null;
  const fields = form === null ? [] : [...form.querySelectorAll("input, textarea")];
  return fields.some((field) => field.value !== field.defaultValue);
}

// What stays the same of an element when its section is made anew; of a row, its heading.
function nameOf(element) {
  const heading = element.matches("[data-row]") ? element.querySelector("th, h2")?.textContent : undefined;
  return element.id || element.getAttribute("href") || heading || "";
}

// The focus stays on its element, or else goes to its row, to the row that has taken its place, or to the section. No
// other button gets it: a key that is being pressed must not act on something else.
function successor(focused, section, newer) {
  const row = focused.closest("[data-row]");
  for (const one of [focused, row]) {
    const name = one === null ? "" : nameOf(one);
    const same = [...newer.querySelectorAll(one?.tagName ?? "none")].find((other) => name !== "" && nameOf(other) === name);
    if (same !== undefined) {
      return same;
    }
  }
  const index = [...section.querySelectorAll("[data-row]")].indexOf(row);
  const rows = index === -1 ? [] : [...newer.querySelectorAll("[data-row]")];
  return rows[Math.min(index, rows.length - 1)] ?? (newer.children.length > 0 ? newer : document.getElementById("content"));
}

function replace(section, newer) {
  const focused = section.contains(document.activeElement) ? document.activeElement : null;
  const opened = [...section.querySelectorAll("details")].map((part) => part.open);
  for (const [at, part] of newer.querySelectorAll("details").entries()) {
    // What the reader has opened or closed stays so.
    part.open = opened[at] ?? part.open;
  }
  const next = focused === null ? null : successor(focused, section, newer);
  section.replaceWith(newer);
  if (next !== null) {
    if (next === newer || next.id === "content") {
      next.tabIndex = -1;
    }
    next.focus();
  }
}

async function refetch() {
  const answer = await fetch(location.href, { redirect: "error", signal: AbortSignal.timeout(FETCH_LIMIT) });
  if (!answer.ok) {
    return;
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const section of outdated()) {
    const newer = page.getElementById(section.id);
    if (newer !== null && !isBeingFilledIn(section)) {
      replace(section, newer);
    }
  }
  // The page may have been made before the newest texts.
  apply(newest);
}

// One at a time, so that an older page never replaces a newer one. What fails is tried again with the next beat.
function renew() {
  if (!isFetching && outdated().length > 0) {
    isFetching = true;
    refetch()
      .catch(() => {})
      .finally(() => {
        isFetching = false;
        checkAge();
      });
  }
  checkAge();
}

function apply(texts) {
  for (const element of document.querySelectorAll("[data-live]")) {
    const text = texts[element.dataset.live];
    if (text !== undefined && element.textContent !== text) {
      element.textContent = text;
    }
  }
}

function take(event) {
  last = event.lastEventId;
  const { texts } = JSON.parse(event.data);
  newest = { ...newest, ...texts };
  apply(texts);
  renew();
}

function takeBeat() {
  lastSignAt = Date.now();
  isConfirmed = true;
  renew();
}

function open() {
  clearTimeout(retry);
  close();
  source = new EventSource(last === "" ? "/live" : `/live?last=${encodeURIComponent(last)}`);
  source.addEventListener("snapshot", take);
  source.addEventListener("delta", take);
  source.addEventListener("beat", takeBeat);
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

// Most pages show the state of their making, and must not call it live.
if (document.querySelector("[data-live], [data-refetch]") === null) {
  show("static", `as of ${new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}`);
} else {
  document.addEventListener("visibilitychange", follow);
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => {
    if (event.persisted) {
      follow();
    }
  });
  setInterval(checkAge, 1_000);
  follow();
}
