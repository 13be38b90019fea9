// Moving stays on the tape chart, by keyboard and by drag. Nothing is changed here: a page shows what would happen, and
// its form does it. Stays that are set aside are remembered by this tab, and keep their beds.

const status = document.getElementById("moving");
const property = status?.dataset.property ?? document.getElementById("plan")?.dataset.property ?? "";
const STORE = `moves of ${property}`;

let carried = null;
let target = null;

function parked() {
  try {
    const stored = JSON.parse(sessionStorage.getItem(STORE) ?? "[]");
    return Array.isArray(stored) ? stored : [];
  } catch {
    return [];
  }
}

function park(stays) {
  sessionStorage.setItem(STORE, JSON.stringify(stays));
  showParked();
}

function say(text) {
  if (status !== null) {
    status.textContent = text;
  }
}

const rows = () => [...document.querySelectorAll(".cells[data-bed]")];
// Beds that are in no inventory have no type. A bed of another room type is a change of the stay, with a price.
const targets = () => rows().filter((row) => row.dataset.type !== "" && row.dataset.bed !== carried.bed);
const isOtherType = (row) => row.dataset.type !== carried.type;

function mark(row) {
  target?.classList.remove("target");
  target = row;
  if (row !== null) {
    row.classList.add("target");
    row.scrollIntoView({ block: "nearest" });
    const priced = isOtherType(row) ? ", of another room type" : "";
    say(`${carried.label}: to bed ${row.dataset.bed}${priced}? Enter shows what would happen, p sets the stay aside, Escape ends.`);
  }
}

function stayOf(entry) {
  const row = entry.closest(".cells");
  return {
    key: entry.dataset.move,
    bed: row.dataset.bed,
    type: entry.dataset.type ?? row.dataset.type,
    label: entry.textContent.trim(),
    details: entry.title,
    address: entry.getAttribute("href"),
    to: "",
  };
}

function entryOf(stay) {
  return document.querySelector(`[data-move="${CSS.escape(stay.key)}"]`);
}

function carry(stay) {
  drop();
  carried = stay;
  entryOf(stay)?.classList.add("carried");
  say(`${stay.label}: choose a bed with the arrow keys. p sets the stay aside, Escape ends.`);
}

function drop() {
  if (carried !== null) {
    entryOf(carried)?.classList.remove("carried");
  }
  target?.classList.remove("target");
  carried = null;
  target = null;
}

function step(by) {
  const beds = targets();
  if (beds.length === 0) {
    say("There is no other bed.");
    return;
  }
  const all = rows();
  const own = all.findIndex((row) => row.dataset.bed === carried.bed);
  const from = target === null ? own : all.indexOf(target);
  const ahead = by > 0 ? all.slice(from + 1) : all.slice(0, Math.max(from, 0)).reverse();
  mark(ahead.find((row) => beds.includes(row)) ?? target);
}

function setAside() {
  const stay = carried;
  drop();
  park([...parked().filter((one) => one.key !== stay.key), stay]);
  say(`${stay.label} is set aside, and keeps bed ${stay.bed}. Press b on it to put it back.`);
}

// It never left its bed: only the thought of moving it is given up.
function putBack(stay) {
  park(parked().filter((one) => one.key !== stay.key));
  say(`${stay.label} is back in bed ${stay.bed}, as before.`);
  (entryOf(stay) ?? document.querySelector(".chart"))?.focus();
}

// The booking and its stay; of the key, without the bed.
function showOtherType(stay, bed) {
  const [booking, number] = stay.key.split("/");
  const query = new URLSearchParams({ stay: number, to: bed, next: `${location.pathname}${location.search}` });
  location.assign(`/bookings/${booking}/actions/room?${query}`);
}

function showPlan(stays) {
  const query = new URLSearchParams({ property });
  for (const stay of stays) {
    query.append("move", `${stay.key}/${stay.to}`);
  }
  location.assign(`/chart/plan?${query}`);
}

// With stays set aside, a move is one of a plan; alone, it is shown at once.
function place(row) {
  const bed = row.dataset.bed;
  const stay = { ...carried, to: bed };
  const isOther = isOtherType(row);
  drop();
  if (isOther) {
    park(parked().filter((one) => one.key !== stay.key));
    showOtherType(stay, bed);
    return;
  }
  const others = parked().filter((one) => one.key !== stay.key);
  if (others.length === 0) {
    showPlan([stay]);
  } else {
    park([...others, stay]);
    say(`${stay.label} is planned for bed ${bed}.`);
    document.getElementById("show-plan")?.focus();
  }
}

function button(text, label, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.setAttribute("aria-label", label);
  made.addEventListener("click", act);
  return made;
}

function parkedRow(stay) {
  const row = document.createElement("li");
  const text = document.createElement("span");
  const details = document.createElement("a");
  details.href = stay.address ?? "/chart";
  details.textContent = stay.details || stay.label;
  text.append(details, stay.to === "" ? `; in bed ${stay.bed}` : `; bed ${stay.bed} → ${stay.to}`);
  row.dataset.parked = stay.key;
  row.draggable = true;
  row.addEventListener("dragstart", () => carry({ ...stay, to: "" }));
  const choose = () => {
    carry({ ...stay, to: "" });
    (entryOf(stay) ?? document.querySelector(".chart")).focus();
  };
  row.append(text, button("Choose a bed", `Choose a bed for ${stay.label}`, choose));
  row.append(button("Put back", `Put ${stay.label} back in bed ${stay.bed}`, () => putBack(stay)));
  return row;
}

function showParked() {
  const section = document.getElementById("parking");
  if (section === null) {
    return;
  }
  const stays = parked();
  section.hidden = stays.length === 0;
  document.querySelectorAll(".entry.aside").forEach((entry) => entry.classList.remove("aside"));
  stays.forEach((stay) => entryOf(stay)?.classList.add("aside"));
  document.getElementById("parked").replaceChildren(...stays.map(parkedRow));
  document.getElementById("show-plan").disabled = stays.every((stay) => stay.to === "");
}

function pressed(event) {
  const entry = document.activeElement?.closest("[data-move]");
  if (carried === null) {
    if (event.key === "m" && entry !== null && entry !== undefined) {
      carry(stayOf(entry));
      return true;
    }
    const aside = event.key === "b" && entry?.dataset.move !== undefined ? parked().find((one) => one.key === entry.dataset.move) : undefined;
    if (aside !== undefined) {
      putBack(aside);
    }
    return aside !== undefined;
  }
  switch (event.key) {
    case "ArrowDown":
      step(1);
      return true;
    case "ArrowUp":
      step(-1);
      return true;
    case "Enter":
      if (target !== null) {
        place(target);
      }
      return true;
    case "p":
      setAside();
      return true;
    case "Escape":
      drop();
      say("Nothing is moved.");
      return true;
    default:
      return false;
  }
}

function startMoving() {
  for (const entry of document.querySelectorAll("[data-move]")) {
    entry.draggable = true;
  }
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target instanceof HTMLElement && event.target.closest("input, select, textarea, button") !== null;
    if (!isTyping && !event.ctrlKey && !event.metaKey && !event.altKey && pressed(event)) {
      event.preventDefault();
    }
  });
  document.addEventListener("dragstart", (event) => {
    const entry = event.target instanceof HTMLElement ? event.target.closest("[data-move]") : null;
    if (entry !== null) {
      carry(stayOf(entry));
      event.dataTransfer.effectAllowed = "move";
      document.getElementById("parking").hidden = false;
    }
  });
  document.addEventListener("dragover", (event) => {
    const over = carried === null || !(event.target instanceof Element) ? null : event.target.closest(".cells[data-bed], #parking");
    document.querySelectorAll(".over").forEach((row) => row.classList.remove("over"));
    if (over !== null && (over.id === "parking" || targets().includes(over))) {
      over.classList.add("over");
      event.preventDefault();
    }
  });
  document.addEventListener("drop", (event) => {
    const over = carried === null ? null : event.target.closest(".cells[data-bed], #parking");
    if (over?.id === "parking") {
      setAside();
    } else if (over !== null && over !== undefined) {
      place(over);
    }
    event.preventDefault();
  });
  document.addEventListener("dragend", () => {
    document.querySelectorAll(".over").forEach((row) => row.classList.remove("over"));
    drop();
    showParked();
  });
  document.getElementById("show-plan").addEventListener("click", () => showPlan(parked().filter((stay) => stay.to !== "")));
  document.getElementById("clear-plan").addEventListener("click", () => {
    park([]);
    document.querySelector(".chart").focus();
  });
  showParked();
}

function forgetDone(keys) {
  const left = parked().filter((stay) => !keys.some((key) => stay.key.startsWith(`${key}/`)));
  if (left.length === 0) {
    sessionStorage.removeItem(STORE);
  } else {
    sessionStorage.setItem(STORE, JSON.stringify(left));
  }
}

const done = document.getElementById("plan")?.dataset.done ?? "";
if (done !== "") {
  forgetDone(done.split(" "));
}
if (status !== null) {
  startMoving();
}
