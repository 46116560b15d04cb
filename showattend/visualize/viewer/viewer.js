// The viewer: a photo, its caption as buttons, and the map of alpha over the photo. `showattend.mount(element, data)`; see data.py.
(() => {
  "use strict";
  const STYLES = { spotlight: "Spotlight", heat: "Heat", contour: "Contours", boxes: "Boxes" };
  const LEVELS = [0.3, 0.6, 0.9]; // of the contours, as shares of the largest weight
  const MOVE = 200; // milliseconds from one map to the next
  const TYPE = 750; // milliseconds for each word while playing
  const LONGEST = 900; // pixels of the map's longer side
  const PLAY = "M7 4.5v15l13-7.5z", STOP = "M6 5h4.5v14H6zm7.5 0H18v14h-4.5z";
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  function make(tag, className, parent, text) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    if (parent) parent.append(element);
    return element;
  }

  // Geometry. The weight of a location lies in the middle of its cell; between the middles the map is interpolated.

  /** For each of `count` pixels the cells that it is made of and their weights. */
  function taps(count, scale, start, end, cells, method) {
    const rows = [];
    for (let pixel = 0; pixel < count; pixel++) {
      const at = ((pixel + 0.5) * scale - start) / (end - start) * cells - 0.5;
      rows.push(method === "none" ? [[clamp(Math.round(at), cells), 1]] : method === "gaussian" ? gaussian(at, cells) : cubic(at, cells));
    }
    return rows;
  }
  const clamp = (cell, cells) => Math.min(cells - 1, Math.max(0, cell));
  function cubic(at, cells) {
    const first = Math.floor(at), t = at - first, a = -0.75;
    const near = (d) => ((a + 2) * d - (a + 3)) * d * d + 1, far = (d) => ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    return [far(t + 1), near(t), near(1 - t), far(2 - t)].map((weight, n) => [clamp(first - 1 + n, cells), weight]);
  }
  function gaussian(at, cells) {
    const weights = Array.from({ length: cells }, (_, cell) => [cell, Math.exp(-((clampTo(at, cells) - cell) ** 2) / 0.72)]);
    const total = weights.reduce((sum, [, weight]) => sum + weight, 0);
    return weights.filter(([, weight]) => weight > 1e-4 * total).map(([cell, weight]) => [cell, weight / total]);
  }
  const clampTo = (at, cells) => Math.min(cells - 1, Math.max(0, at));

  /** Alpha at each pixel, from 0 to 1 where it is largest; what the network did not see is -1. */
  function upsample(alpha, caption, photo, width, height, method) {
    const [rows, columns] = caption.grid_shape, [left, upper, right, lower] = caption.grid_box;
    const scaleX = photo.width / width, scaleY = photo.height / height;
    const across = taps(width, scaleX, left, right, columns, method), down = taps(height, scaleY, upper, lower, rows, method);
    const wide = new Float32Array(rows * width), map = new Float32Array(width * height);
    for (let row = 0; row < rows; row++)
      for (let x = 0; x < width; x++) {
        let sum = 0;
        for (const [cell, weight] of across[x]) sum += weight * alpha[row * columns + cell];
        wide[row * width + x] = sum;
      }
    const [fromX, fromY, toX, toY] = caption.crop_box.map((edge, n) => Math.round(edge / (n % 2 ? scaleY : scaleX)));
    let largest = 1e-12;
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        if (x < fromX || x >= toX || y < fromY || y >= toY) { map[y * width + x] = -1; continue; }
        let sum = 0;
        for (const [row, weight] of down[y]) sum += weight * wide[row * width + x];
        map[y * width + x] = sum = Math.max(0, sum);
        if (sum > largest) largest = sum;
      }
    for (let n = 0; n < map.length; n++) if (map[n] > 0) map[n] /= largest;
    return map;
  }

  /** Left, upper, width and height of a location's cell on a canvas. */
  function cellBox(location, caption, photo, width, height) {
    const [rows, columns] = caption.grid_shape, [left, upper, right, lower] = caption.grid_box;
    const w = (right - left) / columns / photo.width * width, h = (lower - upper) / rows / photo.height * height;
    return [left / photo.width * width + (location % columns) * w, upper / photo.height * height + Math.floor(location / columns) * h, w, h];
  }

  // Drawing.

  function paint(canvas, alpha, location, caption, data, style, strength, accent) {
    const { width, height } = canvas, context = canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    if (!alpha || !strength) return;
    if (style !== "boxes") {
      const map = upsample(alpha, caption, data.photo, width, height, data.upsample);
      const image = context.createImageData(width, height);
      ({ heat: paintHeat, contour: paintContours }[style] || paintSpotlight)(image.data, map, { width, height, strength, accent, colormap: data.colormap });
      context.putImageData(image, 0, 0);
    } else {
      paintBoxes(context, alpha, (cell) => cellBox(cell, caption, data.photo, width, height), strength, accent);
    }
    if (location !== null) outline(context, cellBox(location, caption, data.photo, width, height), 1, accent);
  }
  function paintSpotlight(pixels, map, { strength }) {
    for (let n = 0; n < map.length; n++) {
      if (map[n] < 0) continue;
      const dark = 0.68 * (1 - map[n]) * strength, warm = 0.16 * map[n] * strength, cover = 1 - (1 - dark) * (1 - warm);
      const share = cover ? warm / cover : 0, rest = cover ? dark * (1 - warm) / cover : 0;
      pixels[4 * n] = 255 * share + 10 * rest;
      pixels[4 * n + 1] = 190 * share + 10 * rest;
      pixels[4 * n + 2] = 80 * share + 14 * rest;
      pixels[4 * n + 3] = 255 * cover;
    }
  }
  function paintHeat(pixels, map, { strength, colormap }) {
    for (let n = 0; n < map.length; n++) {
      if (map[n] < 0) continue;
      const color = colormap[Math.round(map[n] * (colormap.length - 1))];
      for (let channel = 0; channel < 3; channel++) pixels[4 * n + channel] = color[channel];
      pixels[4 * n + 3] = 255 * (0.3 + 0.5 * map[n]) * strength;
    }
  }
  function paintContours(pixels, map, { width, strength, accent }) {
    for (let n = 0; n < map.length - width; n++) {
      const value = map[n];
      if ((n + 1) % width === 0 || value < 0 || map[n + 1] < 0 || map[n + width] < 0) continue;
      const slope = Math.hypot(map[n + 1] - value, map[n + width] - value) || 1e-9;
      let line = 0, edge = 0; // a line in the accent colour, with a white edge that separates it from the photo
      for (const level of LEVELS) {
        const distance = Math.abs(value - level) / slope;
        line = Math.max(line, Math.min(1, 1.7 - distance));
        edge = Math.max(edge, Math.min(1, 3.4 - distance));
      }
      if (edge <= 0) continue;
      line = Math.max(0, line);
      for (let channel = 0; channel < 3; channel++) pixels[4 * n + channel] = accent[channel] * line + 255 * (1 - line);
      pixels[4 * n + 3] = 255 * Math.max(line, 0.8 * edge) * strength;
    }
  }
  function paintBoxes(context, alpha, box, strength, accent) {
    const order = Array.from(alpha.keys()).sort((a, b) => alpha[b] - alpha[a]), total = alpha.reduce((a, b) => a + b, 0);
    let mass = 0;
    for (const cell of order) {
      if (mass >= total / 2) break;
      mass += alpha[cell];
      outline(context, box(cell), strength * Math.max(0.25, alpha[cell] / alpha[order[0]]), accent);
    }
  }
  function outline(context, [x, y, w, h], strength, accent) {
    const inset = Math.min(w, h) * 0.06, line = Math.max(1.5, Math.min(w, h) * 0.05);
    for (const [color, width] of [["rgb(255 255 255 / 85%)", line * 2], [`rgb(${accent.join(" ")})`, line]]) {
      context.globalAlpha = strength;
      context.strokeStyle = color;
      context.lineWidth = width;
      context.strokeRect(x + inset, y + inset, w - 2 * inset, h - 2 * inset);
    }
    context.globalAlpha = 1;
  }

  // What a word's button says.

  function entropy(alpha) {
    const total = alpha.reduce((a, b) => a + b, 0) || 1;
    return -alpha.reduce((sum, weight) => sum + (weight > 0 ? weight / total * Math.log2(weight / total) : 0), 0);
  }
  function place(alpha, caption, photo) {
    let x = 0, y = 0, total = 1e-12;
    alpha.forEach((weight, cell) => {
      const [left, upper, w, h] = cellBox(cell, caption, photo, 1, 1);
      x += weight * (left + w / 2); y += weight * (upper + h / 2); total += weight;
    });
    if (entropy(alpha) > 0.97 * Math.log2(alpha.length)) return "all over the photo";
    const third = (at) => (at < 0.4 ? 0 : at > 0.6 ? 2 : 1), row = third(y / total), column = third(x / total);
    if (row === 1 && column === 1) return "at the centre";
    return `at the ${[["upper left", "top", "upper right"], ["left", "", "right"], ["lower left", "bottom", "lower right"]][row][column]}`;
  }
  const percent = (share) => (share > 0 && share < 0.001 ? "<0.1%" : `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}%`);
  const decimal = (value) => value.toFixed(2);

  /** The strips under the words: a label, a value and a share from 0 to 1 for each word, and how a value is written. */
  function stripsOf(caption) {
    const entropies = caption.alphas.map(entropy), strips = [];
    const shares = (label, values, format) => strips.push({ label, values, shares: values, format });
    if (caption.log_probs) shares("probability", caption.words.map((_, n) => Math.exp(caption.log_probs[n])), percent);
    if (caption.betas) shares("gate β", caption.betas, decimal);
    const sentinel = caption.alphas.map((alpha) => Math.max(0, 1 - alpha.reduce((a, b) => a + b, 0)));
    if (Math.max(0, ...sentinel) > 0.01) shares("sentinel", sentinel, decimal);
    strips.push({
      label: "entropy of α", values: entropies, format: (bits) => `${bits.toFixed(1)} bits`,
      shares: entropies.map((bits, n) => bits / Math.max(1, Math.log2(caption.alphas[n].length))),
    });
    for (const gate of caption.gates) shares(gate.name, gate.values, decimal);
    return strips;
  }

  // One model: the photo, the map, its captions.

  function mountModel(parent, model, data, source, several, signal) {
    const section = make("section", "model", parent), photo = data.photo;
    section.setAttribute("aria-label", model.name || "model");
    if (several) make("h2", "name", section, model.name);
    const stage = make("div", "stage", section);
    stage.style.setProperty("--aspect", `${photo.width} / ${photo.height}`);
    stage.style.setProperty("--widest", `calc(var(--highest, 62vh) * ${photo.width / photo.height})`);
    stage.classList.toggle("small", Math.max(photo.width, photo.height) <= 160);
    const img = make("img", "", stage);
    img.alt = photo.name;
    img.src = source;
    const canvas = make("canvas", "", stage), unseen = make("div", "unseen", stage);
    canvas.setAttribute("aria-hidden", "true");
    const note = make("p", "note", section, "Hatched: not seen by the model");
    const line = make("div", "caption", section);
    const play = make("button", "play", line);
    play.type = "button";
    play.innerHTML = '<svg viewBox="0 0 24 24" aria-hidden="true"><path/></svg>';
    const words = make("div", "words", line), about = make("p", "about", section), strips = make("div", "strips", section);
    words.setAttribute("role", "group");
    words.dir = "auto";
    about.setAttribute("aria-live", "polite");
    strips.setAttribute("aria-hidden", "true");
    const others = make("ol", "others", section), sheet = make("div", "sheet", section);
    others.hidden = model.captions.length < 2;
    others.setAttribute("aria-label", model.captions[0].label ? "captions" : "captions, the best first");

    let caption = model.captions[0], current = null, hovered = null, pressed = null, timer = 0, frame = 0, rows = [];
    let from = { alpha: null, strength: 0 }, drawn = { alpha: null, strength: 0, location: null };

    const shown = () => hovered ?? current;
    const accent = () => {
      const hex = getComputedStyle(section).getPropertyValue("--accent").trim();
      return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    };
    const fraction = ([left, upper, right, lower]) => [left / photo.width, upper / photo.height, right / photo.width, lower / photo.height];

    function redraw() {
      paint(canvas, drawn.alpha, drawn.location, caption, data, section.dataset.style, drawn.strength, accent());
      stage.className = `stage ${stage.classList.contains("small") ? "small" : ""} ${section.dataset.style} ${drawn.strength > 0.5 ? "lit" : ""}`;
    }
    /** Move the map from what is drawn to the shown word's. */
    function move() {
      const word = shown(), start = performance.now();
      const to = word === null ? { alpha: drawn.alpha, strength: 0 } : { alpha: caption.alphas[word], strength: 1 };
      from = { alpha: drawn.alpha || to.alpha, strength: drawn.strength };
      if (drawn.strength === 0) from.alpha = to.alpha;
      cancelAnimationFrame(frame);
      const step = (now) => {
        const t = still.matches ? 1 : Math.min(1, Math.max(0, now - start) / MOVE), eased = t * t * (3 - 2 * t);
        const alpha = to.alpha && to.alpha.map((weight, n) => from.alpha[n] + (weight - from.alpha[n]) * eased);
        const location = word !== null && caption.locations ? caption.locations[word] : null;
        drawn = { alpha, strength: from.strength + (to.strength - from.strength) * eased, location };
        redraw();
        if (t < 1) frame = requestAnimationFrame(step);
        else stage.dataset.word = word === null ? "" : word;
      };
      step(still.matches ? start + MOVE : start);
      mark(word);
    }
    function mark(word) {
      words.querySelectorAll("button").forEach((button, n) => {
        button.classList.toggle("lit", n === word);
        button.setAttribute("aria-pressed", n === current);
      });
      strips.querySelectorAll("i").forEach((bar) => bar.classList.toggle("lit", Number(bar.dataset.word) === word));
      rows.forEach(({ value, strip }) => { value.textContent = word === null ? "" : strip.format(strip.values[word]); });
      about.textContent = word === null ? (caption.words.length ? "Touch a word, or press an arrow key, to see where the model looked for it." : "") : sentence(word);
    }
    const sentence = (word) => {
      const chosen = caption.locations ? "It took one location, outlined, of those that alpha weighs" : "It looked";
      const where = caption.locations ? "" : ` ${place(caption.alphas[word], caption, photo)}`;
      const values = stripsOf(caption).slice(0, 3).map((strip) => `${strip.label} ${strip.format(strip.values[word])}`).join(", ");
      return `“${caption.words[word]}”, word ${word + 1} of ${caption.words.length}. ${chosen}${where}; ${values}.`;
    };
    function choose(word) {
      current = word;
      move();
    }
    function stop() {
      clearTimeout(timer);
      timer = 0;
      words.querySelectorAll("button").forEach((button) => button.classList.remove("later"));
      button(false);
    }
    function button(playing) {
      play.setAttribute("aria-label", playing ? "stop" : "play the caption word by word");
      play.title = playing ? "Stop" : "Play";
      play.querySelector("path").setAttribute("d", playing ? STOP : PLAY);
    }
    function type(word) {
      words.querySelectorAll("button").forEach((button, n) => button.classList.toggle("later", n > word));
      if (word === caption.words.length) { stop(); choose(null); return; }
      choose(word);
      timer = setTimeout(type, TYPE, word + 1);
    }

    function show(next) {
      stop();
      cancelAnimationFrame(frame); // it would paint the last caption's map
      stage.dataset.word = "";
      caption = next;
      current = hovered = null;
      drawn = { alpha: null, strength: 0, location: null };
      words.replaceChildren();
      strips.replaceChildren();
      caption.words.forEach((text, n) => {
        const word = make("button", "", words, text);
        word.type = "button";
        word.dataset.word = n;
        word.setAttribute("aria-label", `${text}: looked ${place(caption.alphas[n], caption, photo)}${caption.log_probs ? `, probability ${percent(Math.exp(caption.log_probs[n]))}` : ""}`);
      });
      play.hidden = !caption.words.length;
      if (!caption.words.length) make("span", "none", words, "(no words)");
      line.style.direction = getComputedStyle(words).direction; // the button stands where the caption begins
      rows = (caption.words.length ? stripsOf(caption) : []).map((strip) => {
        const row = make("div", "strip", strips);
        make("span", "label", row, strip.label);
        const bars = make("span", "bars", row), value = make("span", "value", row);
        strip.shares.forEach((share, n) => {
          const bar = make("i", "", bars);
          bar.dataset.word = n;
          bar.title = `${caption.words[n]}: ${strip.label} ${strip.format(strip.values[n])}`;
          bar.style.setProperty("--share", Math.min(1, Math.max(0, share)));
        });
        bars.style.direction = getComputedStyle(words).direction;
        return { value, strip };
      });
      const [left, upper, right, lower] = fraction(caption.crop_box), all = left <= 0 && upper <= 0 && right >= 1 && lower >= 1;
      const corners = [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0], [left, upper], [left, lower], [right, lower], [right, upper], [left, upper]];
      unseen.hidden = note.hidden = all;
      unseen.style.clipPath = `polygon(evenodd, ${corners.map(([x, y]) => `${100 * x}% ${100 * y}%`).join(", ")})`;
      others.querySelectorAll("button").forEach((each, n) => each.setAttribute("aria-pressed", model.captions[n] === caption));
      mark(null);
      redraw();
    }

    model.captions.forEach((each) => {
      const choice = make("button", "", make("li", "", others));
      choice.type = "button";
      make("span", "", choice, each.text || "(no words)").dir = "auto";
      if (each.label) make("small", "", choice, each.label);
      else if (each.score !== null) make("small", "", choice, each.score.toFixed(2).replace("-", "−")).title = "log-probability over length ** length_penalty";
      choice.addEventListener("click", () => show(each));
    });
    play.type = "button";
    play.addEventListener("click", () => { if (timer) { stop(); choose(null); } else { hovered = null; type(0); button(true); } });

    const wordOf = (event) => { const target = event.target.closest("[data-word]"); return target ? Number(target.dataset.word) : null; };
    for (const area of [words, strips]) {
      area.addEventListener("pointerover", (event) => { if (event.pointerType === "mouse" && !timer) { hovered = wordOf(event); move(); } });
      area.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse" && hovered !== null) { hovered = null; move(); } });
      area.addEventListener("pointerdown", (event) => { const word = wordOf(event); pressed = word !== null && word === current ? word : null; });
      area.addEventListener("click", (event) => {
        const word = wordOf(event);
        if (word === null) return;
        if (timer) stop();
        hovered = null;
        choose(word === pressed ? null : word);
        pressed = null;
      });
    }
    words.addEventListener("focusin", (event) => { if (!timer) choose(wordOf(event)); });
    words.addEventListener("keydown", (event) => {
      const buttons = [...words.querySelectorAll("button")], word = wordOf(event), back = getComputedStyle(words).direction === "rtl";
      const to = { ArrowRight: word + (back ? -1 : 1), ArrowLeft: word + (back ? 1 : -1), ArrowDown: word + 1, ArrowUp: word - 1, Home: 0, End: buttons.length - 1 }[event.key];
      if (event.key === "Escape") { stop(); hovered = null; event.target.blur(); choose(null); }
      if (to === undefined) return;
      event.preventDefault();
      if (timer) stop();
      buttons[to]?.focus();
    });

    /** For print: a small picture for each word. */
    function fillSheet() {
      sheet.replaceChildren();
      const width = photo.width >= photo.height ? 360 : Math.max(1, Math.round(360 * photo.width / photo.height));
      caption.words.forEach((text, n) => {
        const cell = make("div", "", sheet), target = make("canvas", "", cell), overlay = document.createElement("canvas");
        for (const each of [target, overlay]) { each.width = width; each.height = Math.max(1, Math.round(width * photo.height / photo.width)); }
        const context = target.getContext("2d");
        context.drawImage(img, 0, 0, target.width, target.height);
        paint(overlay, caption.alphas[n], caption.locations ? caption.locations[n] : null, caption, data, section.dataset.style, 1, accent());
        context.drawImage(overlay, 0, 0);
        const [left, upper, right, lower] = fraction(caption.crop_box), height = target.height;
        context.fillStyle = "rgb(255 255 255 / 72%)"; // over what the network did not see
        context.beginPath();
        context.rect(0, 0, width, height);
        context.rect(left * width, upper * height, (right - left) * width, (lower - upper) * height);
        context.fill("evenodd");
        make("span", "", cell, text);
      });
    }
    addEventListener("beforeprint", fillSheet, { signal });

    new ResizeObserver(() => {
      const { clientWidth, clientHeight } = stage, scale = Math.min(2, devicePixelRatio || 1, LONGEST / Math.max(1, clientWidth, clientHeight));
      canvas.width = Math.max(1, Math.round(clientWidth * scale));
      canvas.height = Math.max(1, Math.round(clientHeight * scale));
      redraw();
    }).observe(stage);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw, { signal });
    signal.addEventListener("abort", stop);
    section.dataset.style = data.style;
    show(caption);
    return (style) => { section.dataset.style = style; redraw(); };
  }

  /** Show `data` in an element, in place of its content; the photo is `data.photo.src`, or the element's own image. */
  function mount(root, data) {
    const source = data.photo.src || root.querySelector("img").src, mounted = new AbortController();
    root.unmount?.(); // what an earlier photo here has left: listeners of the window, and a caption that is playing
    root.unmount = () => mounted.abort();
    root.replaceChildren();
    root.classList.add("showattend");
    root.classList.toggle("alone", data.models.length === 1);
    const head = make("div", "head", root);
    make("div", "file", head, data.models.length === 1 && data.models[0].name ? `${data.photo.name} · ${data.models[0].name}` : data.photo.name);
    const styles = make("div", "styles", head), models = make("div", "models", root);
    styles.setAttribute("role", "group");
    styles.setAttribute("aria-label", "how the map is drawn");
    const restyle = data.models.map((model) => mountModel(models, model, data, source, data.models.length > 1, mounted.signal));
    // Contour lines, which show how a weight falls off, do not fit a single location.
    const single = data.models.some((model) => model.captions.some((caption) => caption.locations));
    const offered = Object.entries(STYLES).filter(([style]) => !(single && style === "contour"));
    const buttons = offered.map(([style, label]) => {
      const choice = make("button", "", styles, label);
      choice.type = "button";
      choice.addEventListener("click", () => set(style));
      return [style, choice];
    });
    function set(style) {
      for (const [name, choice] of buttons) choice.setAttribute("aria-pressed", name === style);
      for (const each of restyle) each(style);
    }
    set(data.style);
  }

  window.showattend = { mount };
  for (const element of document.querySelectorAll("script[data-viewer]"))
    mount(document.getElementById(element.dataset.viewer), JSON.parse(element.textContent));
})();
