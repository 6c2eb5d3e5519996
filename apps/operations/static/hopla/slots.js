// Slots of a kind of tickets: buttons move a row up and down, dragging its heading does, too; the field `order` follows.
// A chosen picture is shown at once.
"use strict";

const rowsOf = (group) =>
    [...group.querySelectorAll(".inline-related")].filter((row) => !row.classList.contains("empty-form"));
const orderOf = (row) => row.querySelector("input[name$='-order']");

function number(group) {
    const rows = rowsOf(group);
    rows.forEach((row, index) => {
        orderOf(row).value = index + 1;
        row.querySelector(".slot-up").disabled = index === 0;
        row.querySelector(".slot-down").disabled = index === rows.length - 1;
    });
}

function move(group, row, other, where) {
    other[where](row);
    number(group);
    const rows = rowsOf(group);
    const told = orderOf(row).dataset.moved;
    group.querySelector(".slots-told").textContent = told
        .replace("{place}", rows.indexOf(row) + 1)
        .replace("{places}", rows.length);
}

function button(kind, label, sign, onClick) {
    const made = document.createElement("button");
    made.type = "button";
    made.className = `button slot-${kind}`;
    made.textContent = sign;
    made.setAttribute("aria-label", label);
    made.title = label;
    made.addEventListener("click", onClick);
    return made;
}

function equip(group, row) {
    const { up, down } = orderOf(row).dataset;
    const step = (direction) => () => {
        const rows = rowsOf(group);
        const other = rows[rows.indexOf(row) + direction];
        if (!other) return;
        move(group, row, other, direction < 0 ? "before" : "after");
        const pressed = row.querySelector(direction < 0 ? ".slot-up" : ".slot-down");
        (pressed.disabled ? row.querySelector(".slot-up:enabled, .slot-down:enabled") : pressed)?.focus();
    };
    const heading = row.querySelector("h3");
    const buttons = document.createElement("span");
    buttons.className = "slot-buttons";
    buttons.append(button("up", up, "↑", step(-1)), button("down", down, "↓", step(1)));
    heading.prepend(buttons);
    heading.draggable = true;
    heading.addEventListener("dragstart", (event) => {
        row.classList.add("slot-dragged");
        event.dataTransfer.effectAllowed = "move";
    });
    heading.addEventListener("dragend", () => row.classList.remove("slot-dragged"));
    row.addEventListener("dragover", (event) => {
        const dragged = group.querySelector(".slot-dragged");
        if (!dragged) return;
        event.preventDefault();
        if (dragged === row) return;
        const box = row.getBoundingClientRect();
        move(group, dragged, row, event.clientY < box.top + box.height / 2 ? "before" : "after");
    });
    row.addEventListener("drop", (event) => event.preventDefault());
    row.querySelector("input[type='file']").addEventListener("change", (event) => showPicture(row, event.target));
}

function showPicture(row, input) {
    const place = row.querySelector(".field-shown_example .readonly");
    const [file] = input.files;
    if (!file || !place) return;
    const reader = new FileReader();
    reader.addEventListener("load", () => {
        const picture = new Image();
        picture.className = "thumbnail";
        picture.alt = "";
        picture.src = reader.result;
        place.replaceChildren(picture);
    });
    reader.readAsDataURL(file);
}

document.addEventListener("DOMContentLoaded", () => {
    const group = document.getElementById("slots-group");
    if (!group || !rowsOf(group).every(orderOf)) return; // who may only look has no fields
    group.classList.add("slots-sorted");
    const told = document.createElement("p");
    told.className = "slots-told visually-hidden";
    told.setAttribute("role", "status");
    group.append(told);
    rowsOf(group).forEach((row) => equip(group, row));
    number(group);
    document.addEventListener("formset:added", (event) => {
        if (event.detail.formsetName !== "slots") return;
        equip(group, event.target);
        number(group);
        event.target.querySelector("input[name$='-name']").focus();
    });
    document.addEventListener("formset:removed", () => number(group));
});
