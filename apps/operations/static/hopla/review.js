// The page on which staff review a ticket's photos: its keys, the zoom, how many are marked. The form works without it.
"use strict";

const root = document.querySelector(".review");
const form = root.querySelector(".review-form");
const places = [...root.querySelectorAll(".review-place")];
const told = root.querySelector(".review-told");
const keys = root.querySelector(".review-keys");
const zoom = root.querySelector(".review-zoom");
const stage = zoom.querySelector(".review-stage");
const approves = root.querySelector(".review-approves");
const DOUBLE_TAP_MILLISECONDS = 400;
const KEYS_ARE_OFF = "hopla.review.keys-off";
const COLUMNS = "hopla.review.columns";

let current = null; // the place that was reached last
let isTyped = "kept" in root.dataset; // something would be lost
let isSent = false;

const boxOf = (place) => place?.querySelector(".review-mark input");
const linkOf = (place) => root.querySelector(`.review-strip a[href="#${place.id}"]`);
const nameOf = (place) => {
    const { number, name } = place.dataset;
    const count = places.length;
    const text = root.dataset.place.replace("{place}", number).replace("{places}", count);
    return name ? `${text}: ${name}` : text;
};

// --- Marks ---

function showMarks() {
    const marked = root.querySelectorAll(".review-mark input:checked").length;
    for (const place of places) linkOf(place)?.classList.toggle("review-is-marked", boxOf(place)?.checked ?? false);
    for (const fields of root.querySelectorAll(".review-ask")) {
        fields.querySelector("select").required = fields.querySelector("input").checked;
    }
    const asks = root.querySelector(".review-asks");
    if (!asks) return;
    asks.querySelector(".review-number").textContent = marked ? `(${marked})` : "";
    asks.disabled = marked === 0;
    if (approves) approves.disabled = marked > 0;
}

function mark(place) {
    const box = boxOf(place);
    if (!box) return;
    box.checked = !box.checked;
    box.dispatchEvent(new Event("change", { bubbles: true }));
}

root.addEventListener("change", (event) => {
    if (!event.target.closest(".review-ask")) return;
    isTyped = true;
    showMarks();
    if (event.target.type !== "checkbox") return;
    const place = event.target.closest(".review-place");
    const what = event.target.checked ? root.dataset.marked : root.dataset.unmarked;
    if (told) told.textContent = `${nameOf(place)}. ${what}`;
    showCaption();
});
root.addEventListener("input", (event) => {
    if (event.target.closest(".review-why")) isTyped = true;
});
form.addEventListener("submit", (event) => {
    if (isSent) event.preventDefault(); // pressed twice
    isSent = true;
});
window.addEventListener("beforeunload", (event) => {
    if (isTyped && !isSent) event.preventDefault();
});
window.addEventListener("pageshow", () => {
    isSent = false;
    showMarks(); // the browser has filled in again what was there
});

// --- From place to place ---

function isSeen(place) {
    const box = place.getBoundingClientRect();
    return box.bottom > 0 && box.top < window.innerHeight;
}

// The place that keys are about: the one that was reached last, or what is seen after scrolling away from it.
function here() {
    if (current && isSeen(current)) return current;
    return places.find((place) => place.getBoundingClientRect().bottom > 40) ?? places[0];
}

function reach(place) {
    place.focus({ preventScroll: true });
    place.scrollIntoView({ block: "start" });
}

function step(direction) {
    const from = here();
    const next = from === current ? places[places.indexOf(from) + direction] : from;
    if (next) reach(next);
}

root.addEventListener("focusin", (event) => {
    const place = event.target.closest(".review-place");
    if (!place || place === current) return;
    if (current) linkOf(current)?.removeAttribute("aria-current");
    current = place;
    const link = linkOf(place);
    link?.setAttribute("aria-current", "true");
    const strip = link?.closest(".review-strip");
    if (strip) strip.scrollLeft = link.offsetLeft - strip.clientWidth / 2;
});

// --- Zoom ---

const photos = [...root.querySelectorAll(".review-zooms")];
let shown = null; // the link of the photo

function showCaption() {
    if (!shown) return;
    const place = shown.closest(".review-place");
    const { caption } = shown.dataset;
    const box = boxOf(place);
    zoom.querySelector(".review-zoom-caption").textContent = caption ? `${nameOf(place)} · ${caption}` : nameOf(place);
    const button = zoom.querySelector("[data-key='mark']");
    if (!button) return;
    button.hidden = !box || Boolean(caption);
    button.setAttribute("aria-pressed", box?.checked ?? false);
}

function show(link) {
    shown = link;
    const { width, height } = link.dataset;
    const picture = new Image(width, height);
    picture.alt = link.querySelector("img").alt;
    picture.draggable = false;
    picture.src = link.querySelector("img").currentSrc || link.querySelector("img").src;
    const whole = new Image();
    whole.addEventListener("load", () => {
        picture.src = whole.src;
        picture.dataset.whole = "";
    });
    whole.src = link.href;
    stage.replaceChildren(picture);
    setFull(false);
    showCaption();
    if (!zoom.open) zoom.showModal();
    stage.focus();
}

function setFull(isFull, at = null) {
    const picture = stage.firstElementChild;
    const box = picture.getBoundingClientRect();
    stage.classList.toggle("review-full", isFull);
    zoom.querySelector("[data-key='zoom']").setAttribute("aria-pressed", isFull);
    const { width, height } = shown.dataset;
    picture.style.width = isFull ? `${width}px` : "";
    picture.style.height = isFull ? `${height}px` : "";
    if (!isFull) return;
    const middle = { x: box.left + box.width / 2, y: box.top + box.height / 2 };
    const from = at ?? middle;
    const fit = Math.min(box.width / width, box.height / height);
    stage.scrollLeft = width / 2 + (from.x - middle.x) / fit - stage.clientWidth / 2;
    stage.scrollTop = height / 2 + (from.y - middle.y) / fit - stage.clientHeight / 2;
}

const switchFull = (at) => setFull(!stage.classList.contains("review-full"), at);

function stepZoom(direction) {
    const next = photos[photos.indexOf(shown) + direction];
    if (next) show(next);
}

for (const link of photos) {
    link.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        show(link);
    });
}
zoom.addEventListener("close", () => {
    const place = shown?.closest(".review-place");
    shown = null;
    if (place) reach(place);
});
zoom.querySelector(".review-zoom-bar").addEventListener("click", (event) => {
    const key = event.target.closest("[data-key]")?.dataset.key;
    if (key === "previous") stepZoom(-1);
    else if (key === "next") stepZoom(1);
    else if (key === "zoom") switchFull();
    else if (key === "mark") mark(shown.closest(".review-place"));
    else if (key === "close") zoom.close();
});

let tapped = -Infinity;
let grip = null; // where a mouse holds the photo
let isDragged = false;
stage.addEventListener("click", (event) => {
    if (isDragged) return;
    const isDouble = event.timeStamp - tapped < DOUBLE_TAP_MILLISECONDS;
    tapped = isDouble ? -Infinity : event.timeStamp;
    if (isDouble) switchFull({ x: event.clientX, y: event.clientY });
});
stage.addEventListener("pointerdown", (event) => {
    isDragged = false;
    if (event.pointerType !== "mouse" || event.button !== 0) return;
    grip = { x: event.clientX + stage.scrollLeft, y: event.clientY + stage.scrollTop };
});
stage.addEventListener("pointermove", (event) => {
    if (!grip) return;
    const [left, top] = [grip.x - event.clientX, grip.y - event.clientY];
    isDragged ||= Math.hypot(left - stage.scrollLeft, top - stage.scrollTop) > 4;
    stage.scrollTo(left, top);
});
window.addEventListener("pointerup", () => {
    grip = null;
});

// --- Keys ---

const on = root.querySelector(".review-keys-on");
on.checked = localStorage.getItem(KEYS_ARE_OFF) === null;
on.addEventListener("change", () => {
    if (on.checked) localStorage.removeItem(KEYS_ARE_OFF);
    else localStorage.setItem(KEYS_ARE_OFF, "1");
});
const help = root.querySelector(".review-help");
help.hidden = false;
help.addEventListener("click", () => keys.showModal());

const ZOOM_KEYS = {
    ArrowRight: () => stepZoom(1),
    j: () => stepZoom(1),
    ArrowLeft: () => stepZoom(-1),
    k: () => stepZoom(-1),
    Enter: () => switchFull(),
    z: () => switchFull(),
    x: () => mark(shown.closest(".review-place")),
};
const enlarge = () => {
    const link = here().querySelector(".review-zooms");
    if (link) show(link);
};
const PAGE_KEYS = {
    ArrowRight: () => step(1),
    j: () => step(1),
    ArrowLeft: () => step(-1),
    k: () => step(-1),
    Enter: enlarge,
    z: enlarge,
    x: () => {
        const place = here();
        mark(place);
        if (boxOf(place)?.checked) place.querySelector(".review-why select").focus();
        else reach(place);
    },
    a: () => {
        if (approves && !approves.disabled && window.confirm(root.dataset.confirm)) form.requestSubmit(approves);
    },
    "?": () => keys.showModal(),
};
const TYPED_IN = "textarea, select, input:not([type='checkbox'])";
const PRESSED = "a, button, summary";

document.addEventListener("keydown", (event) => {
    if (!on.checked || event.ctrlKey || event.metaKey || event.altKey || keys.open) return;
    if (event.target.closest(TYPED_IN)) {
        const place = event.key === "Escape" && event.target.closest(".review-place");
        if (place) reach(place);
        return;
    }
    const isOwnKey = event.key === "Enter" && event.target.closest(PRESSED);
    const act = (zoom.open ? ZOOM_KEYS : PAGE_KEYS)[event.key];
    if (!act || isOwnKey) return;
    event.preventDefault();
    act();
});

// --- Columns ---

for (const radio of root.querySelectorAll(".review-columns input")) {
    if (radio.value === localStorage.getItem(COLUMNS)) radio.checked = true;
    radio.addEventListener("change", () => localStorage.setItem(COLUMNS, radio.value));
}

showMarks();
