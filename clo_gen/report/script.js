// Values under the pointer (or finger, or arrow keys). The switches work without this script.
"use strict";
document.querySelectorAll("figure[data-chart]").forEach((figure) => {
  const panels = JSON.parse(figure.querySelector("script").textContent);
  if (!panels.length) return;
  const svg = figure.querySelector("svg"), size = svg.viewBox.baseVal;
  const tip = figure.appendChild(document.createElement("div"));
  tip.className = "tip";
  const rule = svg.appendChild(document.createElementNS(svg.namespaceURI, "line"));
  rule.setAttribute("class", "rule");
  let at = null;

  const number = (x) => x === null || x === undefined ? "-" :
    Math.abs(x) >= 100 ? x.toFixed(0) : Math.abs(x) >= 10 ? x.toFixed(1) : x.toFixed(2);
  const chosen = () => document.querySelector(".controls input:checked").value;

  function show(panel, i) {
    const p = panels[panel], [left, top, width, height] = p.box;
    const x = left + (p.x[i] - p.xlim[0]) / (p.xlim[1] - p.xlim[0]) * width;
    for (const [name, value] of [["x1", x], ["x2", x], ["y1", top], ["y2", top + height]])
      rule.setAttribute(name, value);
    tip.replaceChildren(Object.assign(document.createElement("b"), {textContent: p.labels[i]}));
    for (const line of p.lines) {
      if (line.scenario !== undefined && chosen() !== "all" && +chosen() !== line.scenario) continue;
      let text = line.name + ": " + number(line.values[i]) + " " + p.unit;
      if (line.low) text += " (" + number(line.low[i]) + " to " + number(line.high[i]) + ")";
      tip.append(Object.assign(document.createElement("div"), {textContent: text}));
    }
    tip.style.display = "block";
    const scale = svg.clientWidth / size.width, half = x > size.width / 2;
    tip.style.left = half ? "" : x * scale + 8 + "px";
    tip.style.right = half ? (size.width - x) * scale + 8 + "px" : "";
    tip.style.top = top * scale + "px";
    at = [panel, i];
  }

  function hide() {
    tip.style.display = "none";
    rule.removeAttribute("x1"); rule.removeAttribute("x2");
    rule.removeAttribute("y1"); rule.removeAttribute("y2");
    at = null;
  }

  function near(event) {
    const place = svg.getBoundingClientRect(), scale = size.width / place.width;
    const x = (event.clientX - place.left) * scale, y = (event.clientY - place.top) * scale;
    const panel = panels.findIndex(({box: [l, t, w, h]}) => x >= l - 2 && x <= l + w + 2 &&
      y >= t - 4 && y <= t + h + 4);
    if (panel < 0) return hide();
    const p = panels[panel];
    const value = p.xlim[0] + (x - p.box[0]) / p.box[2] * (p.xlim[1] - p.xlim[0]);
    let best = 0;
    p.x.forEach((v, i) => { if (Math.abs(v - value) < Math.abs(p.x[best] - value)) best = i; });
    show(panel, best);
  }

  svg.addEventListener("pointermove", near);
  svg.addEventListener("pointerdown", near);
  svg.addEventListener("pointerleave", hide);
  figure.tabIndex = 0;
  figure.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return hide();
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key] || 0;
    const other = {ArrowDown: 1, ArrowUp: -1}[event.key] || 0;
    if (!step && !other) return;
    if (other && panels.length < 2) return;
    event.preventDefault();
    const [from, i] = at || [0, -1];
    const panel = Math.max(0, Math.min(panels.length - 1, from + (at ? other : 0)));
    const {x, xlim: [first, last]} = panels[panel];
    // Only values inside the axis have a place to be shown at.
    const seen = [...x.keys()].filter((k) => x[k] >= first && x[k] <= last);
    if (seen.length) show(panel, Math.max(seen[0], Math.min(seen[seen.length - 1], i + step)));
  });
  figure.addEventListener("blur", hide);
});
