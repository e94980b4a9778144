"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const make = (name, attributes = {}, text) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const draw = (parent, name, attributes, text) => {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    parent.append(node);
    return node;
  };

  // A click on a column's head sorts the table: cells with a number first, by it, others by text.
  const valueOf = (row, at) => {
    const cell = row.cells[at];
    const value = cell.dataset.v;
    return value === undefined ? null : Number(value);
  };
  const compare = (a, b, at) => {
    const [x, y] = [valueOf(a, at), valueOf(b, at)];
    if (x !== null && y !== null) return x - y;
    if (x !== null || y !== null) return x !== null ? -1 : 1;
    return a.cells[at].textContent.localeCompare(b.cells[at].textContent, "en", { numeric: true });
  };
  const sortable = (table) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, at) => {
      const button = make("button", { type: "button" }, head.textContent);
      head.textContent = "";
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...table.tBodies[0].rows];
        rows.sort((a, b) => (down ? compare(b, a, at) : compare(a, b, at)));
        table.tBodies[0].append(...rows);
      });
    });
  };
  document.querySelectorAll("table.sortable").forEach(sortable);

  // A link to a cell opens it.
  const open = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const cell = target && target.closest("details.cell");
    if (cell) { cell.open = true; cell.scrollIntoView(); }
  };
  addEventListener("hashchange", open);

  // Open everything for printing.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((each) => { each.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((each) => { each.open = false; }));

  // Drill-down: from a cell to its runs, from a run to its peers.
  const unpacked = async (text) => {
    const bytes = Uint8Array.from(atob(text.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  };
  const curve = (packed) => {
    // Differences in thousandths of the last time; after 255 the difference takes two bytes.
    const bytes = atob(packed.q);
    const times = [];
    let total = 0;
    for (let i = 0; i < bytes.length; i++) {
      let step = bytes.charCodeAt(i);
      if (step === 255) { step = bytes.charCodeAt(i + 1) + 256 * bytes.charCodeAt(i + 2); i += 2; }
      total += step;
      times.push((total / 1000) * packed.last);
    }
    return times;
  };
  const seconds = (value) => {
    if (value === null || value === undefined) return "–";
    if (value >= 120) return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
    if (value >= 0.9995) return `${Number(value.toPrecision(3))} s`;
    return `${Number((value * 1000).toPrecision(3))} ms`;
  };
  const bytesOf = (value) => {
    if (value === null || value === undefined) return "–";
    for (const [unit, scale] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]])
      if (value >= scale) return `${Number((value / scale).toPrecision(3))} ${unit}`;
    return `${value} B`;
  };
  const ticks = (high) => {
    const rough = high / 6, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
    const found = [];
    for (let i = 0; i * step <= high * 1.0001; i++) found.push(i * step);
    return found;
  };

  const plot = (run, kind) => {
    const [width, height, left, right, top, bottom] = [720, 300, 46, 10, 12, 34];
    const curves = run.leechers.map((peer) => (peer.c[kind] ? curve(peer.c[kind]) : null));
    const high = Math.max(...curves.map((c) => (c && c.length ? c[c.length - 1] : 0)));
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("class", "fig");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", `Curves of ${run.leechers.length} leechers of ${run.id}, ${kind}`);
    const x = (t) => left + (t / (high || 1)) * (width - left - right);
    const y = (p) => height - bottom - (p / 100) * (height - top - bottom);
    for (const p of [0, 25, 50, 75, 100]) {
      draw(svg, "line", { x1: left, x2: width - right, y1: y(p), y2: y(p), class: "g" });
      draw(svg, "text", { x: left - 6, y: y(p) + 4, class: "m", "text-anchor": "end" }, `${p} %`);
    }
    for (const t of high ? ticks(high) : [])
      draw(svg, "text", { x: x(t), y: height - bottom + 16, class: "m", "text-anchor": "middle" }, seconds(t));
    const lines = curves.map((c) => c && draw(svg, "path", {
      d: "M" + c.map((t, p) => `${x(t).toFixed(1)},${y(p).toFixed(1)}`).join(" "),
      class: `w ${run.colour}`,
    }));
    return [svg, lines];
  };

  const show = (place, data, run) => {
    place.replaceChildren();
    const kinds = [...new Set(run.leechers.flatMap((peer) => Object.keys(peer.c)))];
    const kind = kinds.includes(run.kind) ? run.kind : kinds[0];
    let lines = [];
    const figure = make("div", { class: "plot" });
    const render = (which) => {
      const [svg, found] = plot(run, which);
      lines = found;
      figure.replaceChildren(svg);
    };
    if (kinds.length > 1) {
      const id = `kind-${data.anchor}`;
      place.append(make("label", { for: id }, "Curve"));
      const choice = make("select", { id });
      kinds.forEach((each) => choice.append(make("option", each === kind ? { selected: "" } : {}, each)));
      choice.addEventListener("change", () => render(choice.value));
      place.append(choice);
    }
    place.append(figure);
    if (kinds.length) render(kind);
    else figure.append(make("p", { class: "note" }, "No leecher of this run recorded a curve."));
    const table = make("table");
    const head = table.createTHead().insertRow();
    ["peer", "outcome", "done", "discovery", "longest stall", "received", "CPU", "memory", "node"]
      .forEach((name, at) => head.append(make("th", { scope: "col", class: at > 1 && at < 8 ? "num" : "" }, name)));
    const body = table.createTBody();
    const facts = make("p", { class: "words", "aria-live": "polite" });
    run.leechers.forEach((peer, at) => {
      const row = body.insertRow();
      const first = make("th", { scope: "row" });
      const button = make("button", { type: "button", "aria-pressed": "false" }, `peer ${peer.p}`);
      const cell = make("td");
      cell.append(button);
      row.append(cell);
      first.remove();
      const rest = [
        [peer.o], [seconds(peer.d), peer.d], [seconds(peer.i), peer.i], [seconds(peer.s), peer.s],
        [bytesOf(peer.b), peer.b], [seconds(peer.u), peer.u], [bytesOf(peer.m), peer.m], [peer.n || "–"],
      ];
      rest.forEach(([text, value], column) => {
        const attributes = column > 0 && column < 7 ? { class: "num" } : {};
        if (value !== undefined && value !== null) attributes["data-v"] = value;
        row.append(make("td", attributes, text));
      });
      button.addEventListener("click", () => {
        const on = button.getAttribute("aria-pressed") !== "true";
        body.querySelectorAll("button").forEach((other) => other.setAttribute("aria-pressed", "false"));
        [...body.rows].forEach((other) => other.classList.remove("on"));
        lines.forEach((line) => line && line.classList.remove("on", "dim"));
        facts.textContent = "";
        if (!on) return;
        button.setAttribute("aria-pressed", "true");
        row.classList.add("on");
        lines.forEach((line, other) => line && line.classList.add(other === at ? "on" : "dim"));
        const stall = peer.s ? `, longest stall ${seconds(peer.s)}${peer.a === null ? "" : ` from ${seconds(peer.a)} on`}` : "";
        facts.textContent = `peer ${peer.p}: ${peer.o}${peer.d === null ? "" : `, done after ${seconds(peer.d)}`}${stall}${peer.r ? `; ${peer.r}` : ""}`;
      });
    });
    sortable(table);
    const scroll = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Leechers of ${run.id}` });
    scroll.append(table);
    place.append(facts, scroll);
  };

  const drill = async (cell) => {
    const place = cell.querySelector(".drill");
    if (!place || place.dataset.ready) return;
    place.dataset.ready = "yes";
    const stored = document.getElementById(`data-${place.dataset.cell}`);
    if (!stored) return;
    if (!("DecompressionStream" in window)) {
      place.append(make("p", { class: "note" }, "This browser is too old to show peers' curves; they are in data/marks.csv."));
      return;
    }
    const data = await unpacked(stored.textContent);
    data.anchor = place.dataset.cell;
    const id = `run-${data.anchor}`;
    const line = make("p");
    line.append(make("label", { for: id }, "Leechers of run"));
    const choice = make("select", { id });
    data.runs.forEach((run, at) => choice.append(make("option", { value: at }, `${run.id} (${run.text})`)));
    line.append(choice);
    const below = make("div");
    place.append(line, below);
    choice.addEventListener("change", () => show(below, data, data.runs[Number(choice.value)]));
    if (data.runs.length) show(below, data, data.runs[0]);
  };
  document.querySelectorAll("details.cell").forEach((cell) => {
    cell.addEventListener("toggle", () => { if (cell.open) drill(cell); });
    if (cell.open) drill(cell);
  });
  open();
})();
