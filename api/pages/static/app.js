// What pages do beyond forms and links. Everything works without it, only less conveniently.
"use strict";

// Countdowns: never negative; what is late says so.
function countDown() {
  for (const one of document.querySelectorAll("[data-countdown]")) {
    const left = Math.ceil((new Date(one.dataset.countdown) - Date.now()) / 1000);
    const words = one.querySelector(".left");
    if (!words) continue;
    let text = " (any moment)";
    if (left < -5) text = " (later than expected)";
    if (left > 0) text = ` (in ${left < 90 ? `${left} s` : left < 5400 ? `${Math.round(left / 60)} min` : `${Math.round(left / 3600)} h`})`;
    if (words.textContent !== text) words.textContent = text;
  }
}
setInterval(countDown, 500);

// Drafts: what was typed is kept per place until it is sent.
function draftKey(field) {
  return `draft:${field.dataset.draft}`;
}
function restoreDrafts(root) {
  for (const field of root.querySelectorAll("[data-draft]")) {
    const kept = localStorage.getItem(draftKey(field));
    if (kept && !field.value) field.value = kept;
    else if (field.value) localStorage.setItem(draftKey(field), field.value);
  }
}
document.addEventListener("input", ({ target }) => {
  if (!target.dataset?.draft) return;
  if (target.value) localStorage.setItem(draftKey(target), target.value);
  else localStorage.removeItem(draftKey(target));
});
function forgetDrafts(form) {
  for (const field of form.querySelectorAll("[data-draft]")) localStorage.removeItem(draftKey(field));
}
document.addEventListener("htmx:afterRequest", ({ detail }) => {
  const form = detail.elt;
  if (!detail.successful || !(form instanceof HTMLFormElement)) return;
  forgetDrafts(form);
});

// Toasts go by themselves, unless they tell of something that went wrong.
const seen = new WeakSet();
new MutationObserver(() => {
  for (const toast of document.querySelectorAll("#toasts .toast")) {
    if (seen.has(toast)) continue;
    seen.add(toast);
    if (!toast.classList.contains("bad")) setTimeout(() => toast.remove(), 6000);
  }
}).observe(document.getElementById("toasts"), { childList: true });

function tell(text, kind) {
  const toast = document.createElement("p");
  toast.className = `toast ${kind}`;
  const words = document.createElement("span");
  words.textContent = text;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  button.dataset.dismiss = "";
  button.setAttribute("aria-label", "Dismiss");
  button.textContent = "×";
  toast.append(words, button);
  document.getElementById("toasts").append(toast);
}
// A dialog would lie over what is told of a refusal.
document.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (!detail.successful) detail.elt.closest?.("dialog[open]")?.close();
});
document.addEventListener("htmx:sendError", ({ detail }) => {
  // A poll tries again by itself.
  if (detail.requestConfig.verb === "get") return;
  tell("The server did not answer, so whether it arrived is not known. Try again in a moment: the same form is not done twice.", "bad");
});

// Dialogs, definitions, dismissals.
document.addEventListener("click", (event) => {
  const target = event.target.closest("button, a");
  if (!target) return;
  // What scripts do better than the popover that a dialog is without them.
  if (target.popoverTargetElement) event.preventDefault();
  if (target.dataset.dialog) document.getElementById(target.dataset.dialog)?.showModal();
  if (target.dataset.close !== undefined) target.closest("dialog")?.close();
  if (target.dataset.dismiss !== undefined) target.closest(".toast, .flash")?.remove();
  if (target.dataset.definition !== undefined) {
    const words = target.closest(".tile, .defined").querySelector(".definition");
    words.hidden = !words.hidden;
    target.setAttribute("aria-expanded", String(!words.hidden));
  }
});

// Another tab may have logged in anew: what a form repeats is the login's that is valid now.
function freshToken() {
  return document.cookie.match(/(?:^|; )(?:__Host-)?huntaze_csrf=([^;]+)/)?.[1];
}
document.addEventListener("submit", ({ target }) => {
  const field = target.querySelector?.("[name=csrf_token]");
  const token = freshToken();
  if (field && token) field.value = token;
}, true);
document.addEventListener("htmx:configRequest", ({ detail }) => {
  const token = freshToken();
  if (!token) return;
  detail.headers["X-CSRF-TOKEN"] = token;
  if (detail.parameters.csrf_token) detail.parameters.csrf_token = token;
});

// A form that was sent is not sent twice by a second click.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method === "dialog" || form.method === "get") return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  forgetDrafts(form);
  form.dataset.sent = "yes";
  for (const button of form.querySelectorAll("button:not([type=button])")) button.setAttribute("aria-busy", "true");
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
  }
});

// Filters apply when they are changed.
document.addEventListener("change", ({ target }) => {
  const form = target.closest("form[data-apply]");
  if (form && target.type !== "search" && target.type !== "text") form.requestSubmit();
});

// Keys.
function isTyping(element) {
  return element.matches?.("input, textarea, select, [contenteditable]");
}
function move(step) {
  const list = document.querySelector("[data-list]");
  if (!list) return;
  const links = [...list.querySelectorAll("a[data-item]")];
  const here = links.findIndex((link) => link === document.activeElement || link.getAttribute("aria-current") === "true");
  const next = links[Math.min(links.length - 1, Math.max(0, here + step))];
  if (!next) return;
  next.focus();
  if (list.dataset.list === "open" && next.getAttribute("aria-current") !== "true") next.click();
}
document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (key === "Enter" && (event.ctrlKey || event.metaKey) && target.form) {
    event.preventDefault();
    target.form.requestSubmit();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(target)) return;
  if (key === "j") move(1);
  if (key === "k") move(-1);
  if (key === "?") document.getElementById("keys")?.showModal();
  if (key === "/") {
    const search = document.querySelector("[data-search]");
    if (search) {
      event.preventDefault();
      search.focus();
    }
  }
});

// Lists that grow upwards keep what is read where it is; a thread begins at its end.
const heights = new WeakMap();
function upwards(element) {
  return element?.closest?.("[data-upwards]");
}
function isAtEnd(box) {
  return box.scrollHeight - box.scrollTop - box.clientHeight < 80;
}
function eachDayOnce(box) {
  const days = new Set();
  for (const day of box.querySelectorAll("[data-day]")) {
    if (days.has(day.dataset.day)) day.remove();
    days.add(day.dataset.day);
  }
}
const underWay = new Map();
let loggedOut = false;
// A poll that is refused tries again by itself; and nothing is swapped under what is being sent.
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const asker = detail.requestConfig.elt;
  if (asker?.dataset?.live === undefined) return;
  if (detail.xhr.status === 401 && !loggedOut) {
    loggedOut = true;
    tell("You are logged out, and this page is no longer refreshed. Log in in another tab, then go on here: what you typed is still there.", "bad");
  }
  if (detail.xhr.status < 300) loggedOut = false;
  if (detail.xhr.status >= 400 || isInUse(asker) || (underWay.size && asker.id === "newest")) detail.shouldSwap = false;
});
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const box = upwards(detail.target);
  if (box) heights.set(box, { height: box.scrollHeight, top: box.scrollTop, atEnd: isAtEnd(box), older: detail.target.classList.contains("older") });
});
document.addEventListener("htmx:afterSwap", () => {
  for (const box of document.querySelectorAll("[data-upwards]")) {
    const kept = heights.get(box);
    if (!kept) continue;
    heights.delete(box);
    eachDayOnce(box);
    if (kept.older) box.scrollTop = kept.top + box.scrollHeight - kept.height;
    else if (kept.atEnd) box.scrollTop = box.scrollHeight;
    else box.scrollTop = kept.top;
    news(box);
  }
});
// What is at its end stays there when what is written below grows.
const ended = new WeakMap(); // Where they stood: whoever has scrolled up since stays there.
const resized = new ResizeObserver((boxes) => {
  for (const { target } of boxes) if (target.scrollTop >= ended.get(target) - 2) target.scrollTop = target.scrollHeight;
});
function news(box) {
  const part = box.querySelector("[data-news]");
  const words = document.getElementById("thread-news");
  if (!part || !words) return;
  if (box.dataset.told !== undefined && box.dataset.told !== part.dataset.newsId) words.textContent = part.dataset.news;
  box.dataset.told = part.dataset.newsId;
}
document.addEventListener("scroll", ({ target }) => {
  if (target.dataset?.upwards === undefined) return;
  if (isAtEnd(target)) ended.set(target, target.scrollTop);
  else ended.delete(target);
  const button = document.querySelector("[data-to-end]");
  if (button) button.hidden = isAtEnd(target);
}, true);
document.addEventListener("click", ({ target }) => {
  const box = target.closest("[data-to-end]") && document.querySelector("[data-upwards]");
  if (box) box.scrollTop = box.scrollHeight;
});
// What has moved to an earlier part of a list goes from the later one, which hears of it later.
function eachItemOnce() {
  const seen = new Set();
  for (const item of document.querySelectorAll("[data-list] a[data-item][id]")) {
    if (seen.has(item.id)) item.closest("li").remove();
    seen.add(item.id);
  }
}
document.addEventListener("htmx:afterSwap", eachItemOnce);
function settle(root) {
  restoreDrafts(root);
  for (const box of root.querySelectorAll("[data-upwards]:not([data-settled])")) {
    box.dataset.settled = "yes";
    eachDayOnce(box);
    const sought = box.querySelector(".target");
    if (sought) sought.scrollIntoView({ block: "center" });
    else box.scrollTop = box.scrollHeight;
    if (!sought) ended.set(box, box.scrollTop);
    resized.observe(box);
    news(box);
  }
  countDown();
}
document.addEventListener("htmx:load", ({ detail }) => settle(detail.elt.parentElement ?? document));
settle(document);

// A hidden page asks for nothing, and while something is typed or a dialog is open nothing under it
// moves: also not by what was asked for just before. Nor does a part of a list ask while it is out of
// sight.
function isAway(part) {
  const { top, bottom } = part.getBoundingClientRect();
  return part.matches(".talks-part") && (bottom < 0 || top > innerHeight);
}
function isInUse(part) {
  const here = document.activeElement;
  // What has no name of its own would lose the keyboard.
  const hasKeyboard = part.contains(here) && (isTyping(here) || (!here.id && here.matches(":focus-visible")));
  return hasKeyboard || part.querySelector('dialog[open], details[open], [aria-expanded="true"]') !== null;
}
document.addEventListener("htmx:beforeRequest", (event) => {
  const part = event.detail.elt;
  if (part.dataset.live !== undefined && (document.hidden || isAway(part) || isInUse(part))) event.preventDefault();
});

// Writing: what was sent stands in the thread at once, and is back in its field if it was refused.
document.addEventListener("htmx:beforeRequest", (event) => {
  const form = event.detail.elt;
  if (form.dataset?.optimistic === undefined) return;
  const { text, key, snippet, price } = form.elements;
  const chosen = [...form.querySelectorAll("[name=file]:checked")];
  if (!text.value.trim() && !form.elements.media.value.trim() && !chosen.length) {
    event.preventDefault();
    text.focus();
    return;
  }
  const bubble = document.createElement("li");
  bubble.className = "message out busy";
  bubble.setAttribute("aria-busy", "true");
  const words = document.createElement("div");
  words.className = "bubble out queued";
  words.textContent = text.value;
  const foot = document.createElement("div");
  foot.className = "foot";
  foot.textContent = "Handing over …";
  bubble.append(words, foot);
  document.querySelector("#newest .bubbles")?.append(bubble);
  underWay.set(event.detail.xhr, { bubble, text: text.value, key: key.value, snippet: snippet.value, price: price.value, media: form.elements.media.value, chosen });
  for (const one of chosen) one.checked = false;
  for (const field of [text, snippet, price, form.elements.media]) field.value = "";
  key.value = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  const box = document.querySelector("[data-upwards]");
  box.scrollTop = box.scrollHeight;
});
document.addEventListener("htmx:afterRequest", ({ detail }) => {
  const kept = underWay.get(detail.xhr);
  if (!kept) return;
  underWay.delete(detail.xhr);
  kept.bubble.remove();
  if (detail.successful) return;
  const fields = detail.elt.elements;
  const typed = fields.text.value;
  fields.text.value = typed ? `${kept.text}\n${typed}` : kept.text;
  for (const name of ["snippet", "price", "media"]) fields[name].value = kept[name];
  for (const one of kept.chosen) one.checked = true;
  // Whether it arrived is not known: the same key again makes it the same message.
  if (!typed) fields.key.value = kept.key;
  fields.text.dispatchEvent(new Event("input", { bubbles: true }));
});

// A slash at the beginning of what is written opens the snippets.
document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const opener = document.querySelector("[data-snippets]");
  if (key === "/" && opener && (target.id === "write" ? !target.value : !isTyping(target))) {
    event.preventDefault();
    event.stopImmediatePropagation();
    opener.click();
  }
  if ((key === "ArrowDown" || key === "ArrowUp") && target.closest("#snippets")) {
    const stops = [...document.querySelectorAll("#snippet-q, .snippet")];
    const next = stops[stops.indexOf(target) + (key === "ArrowDown" ? 1 : -1)];
    if (next) {
      event.preventDefault();
      next.focus();
    }
  }
  if (key === "Escape" && !document.querySelector("dialog[open]")) {
    if (isTyping(target)) target.blur();
    else document.querySelector("[data-back]")?.click();
  }
}, true);

// A file may be dropped onto its field, which then has it as if it were chosen.
function dropPlace(event) {
  const place = event.target.closest?.("[data-drop]");
  if (!place || !event.dataTransfer?.types.includes("Files")) return null;
  event.preventDefault();
  return place;
}
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => dropPlace(event)?.classList.add("over"));
}
document.addEventListener("dragleave", ({ target, relatedTarget }) => {
  const place = target.closest?.("[data-drop]");
  if (place && !place.contains(relatedTarget)) place.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  const place = dropPlace(event);
  if (!place) return;
  place.classList.remove("over");
  const field = place.querySelector("input[type=file]");
  field.files = event.dataTransfer.files;
  field.dispatchEvent(new Event("change", { bubbles: true }));
  field.focus();
});
