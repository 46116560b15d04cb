// The page: takes a photo by drop, choice or paste, captions it and mounts the viewer. Nothing is sent anywhere.

import { loadCaptioner } from "./captioner.js";
import { readPicture } from "./preprocess.js";

const [drop, input, status, viewer] = ["drop", "file", "status", "viewer"].map((id) => document.getElementById(id));
const say = (text, busy = false) => { status.textContent = text; status.classList.toggle("busy", busy); };
const options = fetch("page.json").then((response) => response.json());
const captioner = loadCaptioner();
let source = null, turn = 0;

async function show(file) {
  const mine = ++turn;
  try {
    say("Looking at the photo …", true);
    const picture = await readPicture(file).catch(() => { throw new Error(`This browser cannot read ${file.name || "the file"}: try a JPEG or a PNG.`); });
    const caption = await captioner, started = performance.now(), captions = await caption(picture);
    if (mine !== turn) return; // another photo came meanwhile
    if (source) URL.revokeObjectURL(source);
    source = URL.createObjectURL(file);
    const photo = { name: file.name || "photo", width: picture.width, height: picture.height, src: source };
    document.body.classList.add("captioned");
    window.showattend.mount(viewer, { photo, models: [{ name: "", captions }], ...(await options) });
    say(`Captioned here in ${((performance.now() - started) / 1000).toFixed(1)} seconds. The photo has not left this page.`);
  } catch (error) {
    if (mine === turn) say(error.message);
  }
}

const fileOf = (transfer) => [...transfer.files].find((file) => file.type.startsWith("image/")) || transfer.files[0];
input.addEventListener("change", () => { if (input.files.length) show(input.files[0]); input.value = ""; });
for (const kind of ["dragenter", "dragover"]) addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
for (const kind of ["dragleave", "drop"]) addEventListener(kind, (event) => { event.preventDefault(); if (kind === "drop" || !event.relatedTarget) drop.classList.remove("over"); });
addEventListener("drop", (event) => { const file = fileOf(event.dataTransfer); if (file) show(file); });
addEventListener("paste", (event) => { const file = fileOf(event.clipboardData); if (file) show(file); });

captioner.then(() => { if (!turn) say("Ready."); document.body.dataset.ready = "true"; }, (error) => say(`The model cannot be loaded: ${error.message}`));
