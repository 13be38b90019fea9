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
  return element.id || element.getAttribute("href") || element.getAttribute("aria-label") || heading || "";
}

function counterpart(element, newer) {
  const name = nameOf(element);
  return name === "" ? undefined : [...newer.querySelectorAll(element.tagName)].find((other) => nameOf(other) === name);
}

// The focus stays on its element, or else goes to its row, or to the row that has taken its place. No other button or
// link gets it, not even one that is a row: a key that is being pressed must not act on something else.
function successor(focused, section, newer) {
  const row = focused.closest("[data-row]");
  if (row === null) {
    return counterpart(focused, newer);
  }
  const newRow = counterpart(row, newer);
  if (newRow !== undefined) {
    return row === focused ? newRow : (counterpart(focused, newRow) ?? newRow);
  }
  const index = [...section.querySelectorAll("[data-row]")].indexOf(row);
  const rows = [...newer.querySelectorAll("[data-row]")];
  const other = rows[Math.min(index, rows.length - 1)];
  return other?.matches("a") ? undefined : other;
}

// Without moving the page: the user may read elsewhere. What cannot take the focus leaves it to the section.
function focusOn(next, newer) {
  next?.focus({ preventScroll: true });
  if (next === undefined || document.activeElement !== next) {
    const place = newer.children.length > 0 ? newer : document.getElementById("content");
    place.tabIndex = -1;
    place.focus({ preventScroll: true });
  }
}

// What the user has opened or closed, scrolled sideways or focused stays so.
function replace(section, newer) {
  const focused = section.contains(document.activeElement) ? document.activeElement : null;
  const scrolled = [...section.querySelectorAll(".scroll")].map((old) => [counterpart(old, newer), old.scrollLeft]);
  for (const old of section.querySelectorAll("details")) {
    const made = counterpart(old, newer);
    if (made !== undefined) {
      made.open = old.open;
    }
  }
  section.replaceWith(newer);
  for (const [made, left] of scrolled) {
    made?.scrollTo({ left, behavior: "instant" });
  }
  if (focused !== null) {
    focusOn(successor(focused, section, newer), newer);
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

// Most pages show the state of their making, as the badge says already, and must not be called live.
if (document.querySelector("[data-live], [data-refetch]") !== null) {
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
