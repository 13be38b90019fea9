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
const targets = () => rows().filter((row) => row.dataset.type === carried.type && row.dataset.bed !== carried.bed);

function mark(row) {
  target?.classList.remove("target");
  target = row;
  if (row !== null) {
    row.classList.add("target");
    row.scrollIntoView({ block: "nearest" });
    say(`${carried.label}: to bed ${row.dataset.bed}? Enter shows what would happen, p sets the stay aside, Escape ends.`);
  }
}

function stayOf(entry) {
  const row = entry.closest(".cells");
  return {
    key: entry.dataset.move,
    bed: row.dataset.bed,
    type: entry.dataset.type ?? row.dataset.type,
    label: entry.textContent.trim(),
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
    say("There is no other bed of this room type.");
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
  say(`${stay.label} is set aside.`);
}

function showPlan(stays) {
  const query = new URLSearchParams({ property });
  for (const stay of stays) {
    query.append("move", `${stay.key}/${stay.to}`);
  }
  location.assign(`/chart/plan?${query}`);
}

// With stays set aside, a move is one of a plan; alone, it is shown at once.
function place(bed) {
  const stay = { ...carried, to: bed };
  drop();
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
  text.textContent = stay.to === "" ? `${stay.label}, from bed ${stay.bed}` : `${stay.label}, bed ${stay.bed} → ${stay.to}`;
  row.dataset.parked = stay.key;
  row.draggable = true;
  row.addEventListener("dragstart", () => carry({ ...stay, to: "" }));
  const choose = () => {
    carry({ ...stay, to: "" });
    (entryOf(stay) ?? document.querySelector(".chart")).focus();
  };
  const forget = () => {
    park(parked().filter((one) => one.key !== stay.key));
    (entryOf(stay) ?? document.querySelector(".chart")).focus();
  };
  row.append(text, button("Choose a bed", `Choose a bed for ${stay.label}`, choose));
  row.append(button("Forget", `Forget the move of ${stay.label}`, forget));
  return row;
}

function showParked() {
  const section = document.getElementById("parking");
  if (section === null) {
    return;
  }
  const stays = parked();
  section.hidden = stays.length === 0;
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
    return false;
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
        place(target.dataset.bed);
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
      place(over.dataset.bed);
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
