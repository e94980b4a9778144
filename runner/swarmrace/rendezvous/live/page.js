"use strict";
// Draws what the tracker sends (docs/live-page.md). Whatever comes from a peer becomes text only:
// textContent and attributes, never markup.
const $ = (id) => document.getElementById(id);
const NS = "http://www.w3.org/2000/svg";
const SILENT_MS = 12000, AGAIN_MS = 3000, RATE_MS = 10000;
const seen = { race: null, now: null, runs: null, last: {}, sweep: null };
const live = { run: null, points: {}, totals: [] };
let entrants = {}, marked = null, source = null, heard = 0, state = "", ended = false;

function make(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}
function put(node, text) { if (node.textContent !== text) node.textContent = text; }
function show(id, yes) { $(id).hidden = !yes; }
function percent(share) { return `${Math.floor(100 * share)} %`; }
function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  while (bytes >= 999.5 && at < 4) { bytes /= 1000; at += 1; }
  return `${bytes >= 100 || at === 0 ? Math.round(bytes) : bytes.toPrecision(3)} ${units[at]}`;
}
function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return value;
  if (value < 1) return `${Math.round(1000 * value)} ms`;
  if (value < 120) return `${value < 10 ? value.toFixed(2) : value.toFixed(1)} s`;
  return about(value);
}
function about(value) {
  const whole = Math.round(value);
  if (whole < 120) return `${whole} s`;
  const minutes = Math.round(whole / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
function kindOf(name) { return seen.race.entrants.findIndex((each) => each.name === name) % 6; }

// The connection.
function tell(kind, text) {
  if (state === text) return;
  state = text;
  $("link").className = `state ${kind}`;
  put($("link"), text);
}
function clock() { return new Date().toLocaleTimeString(); }
function lost(why) {
  if (ended) return;
  if (seen.now && seen.now.over && !seen.sweep) {
    tell("", "The race is over and its tracker has gone. This page shows its last state.");
  } else if (!$("link").classList.contains("lost")) {
    tell("lost", `Lost the tracker at ${clock()}${why ? ` (${why})` : ""}. Trying again; what is below is its last state.`);
  }
}
function connect() {
  if (source) source.close();
  heard = performance.now();
  const mine = source = new EventSource("events");
  for (const kind of Object.keys(handlers)) {
    mine.addEventListener(kind, (event) => {
      heard = performance.now();
      handlers[kind](JSON.parse(event.data));
    });
  }
  mine.onerror = () => {
    lost("");
    if (mine.readyState === EventSource.CLOSED && mine === source) setTimeout(connect, AGAIN_MS);
  };
}
setInterval(() => {
  if (performance.now() - heard > SILENT_MS) { lost("it is silent"); connect(); }
}, 1000);

const handlers = {
  link(data) {
    ended = data.state === "ended";
    if (data.state === "lost") lost(data.why);
    if (data.state === "waiting") tell("", "Connected. No race is running at the moment.");
    if (ended) tell("", `swarmrace ended at ${clock()}. This page shows the last state.`);
  },
  sweep(data) { seen.sweep = data; drawSweep(data); },
  race(data) {
    if (seen.race && seen.race.id !== data.id) {
      seen.now = seen.runs = null; seen.last = {}; live.run = null; live.points = {}; marked = null;
    }
    const same = seen.race && seen.race.id === data.id;
    seen.race = data;
    put($("title"), data.name);
    document.title = `${data.name}, live`;
    if (!same) buildEntrants();
  },
  curves(data) { live.run = data.run; live.points = data.points; },
  runs(data) { seen.runs = data; drawResults(data); },
  last(data) { seen.last = data; },
  failures(data) { drawFailures(data); },
  now(data) {
    ended = false;
    seen.now = data;
    if (!seen.race) return;
    if (data.over) tell("", "The race is over. This page shows its last state.");
    else tell("live", "Live: the tracker sends what is new every second.");
    follow(data.run);
    drawAll();
  },
};
// A page that nobody sees draws nothing: on one machine it would take from what is raced.
function drawAll() {
  if (document.hidden || !seen.race || !seen.now) return;
  drawRace(seen.now);
  drawPeers(seen.now);
  drawChart(seen.now);
}
document.addEventListener("visibilitychange", drawAll);

// The race at hand.
function drawRace(now) {
  const race = seen.race, run = now.run;
  show("race", true);
  put($("race-head"), `Race ${race.id}`);
  show("trouble", Boolean(now.trouble));
  put($("trouble"), now.trouble);
  let line = `${now.reported} of ${now.peers} peers have reported.`;
  if (run && run.trial) line = `Trial of ${run.entrant}: two nodes start and join.`;
  else if (run) {
    line = `Run ${run.at + 1} of ${race.runs}: ${run.entrant}, ${run.stage}`;
    line += run.since === null ? "." : `, ${seconds(run.since)} since the start.`;
    if (run.failure) line += ` ${run.failure}`;
  } else if (now.state !== "assembling" && !now.over) line = "Between two runs.";
  if (now.over) line = { stopped: "The race was stopped.", interrupted: "The race was interrupted." }[now.state] || "All runs are closed.";
  put($("run-line"), line);
  $("race-bar").value = race.runs ? now.closed / race.runs : 0;
  put($("race-line"), `${now.closed} of ${race.runs} runs closed; ${about(now.elapsed)} so far, ${now.left || now.over ? `about ${about(now.left)} left` : "longer than expected"}. ` +
    `${race.swarmSize} peers each, ${race.seeders} of them ${race.seeders === 1 ? "seeds" : "seed"}; ${size(race.fileSize)}.` +
    (race.doubles.length ? ` Test doubles: ${race.doubles.join(", ")}.` : ""));
}

// Peers, a section for each entrant.
function buildEntrants() {
  entrants = {};
  const parts = seen.race.entrants.map((each) => {
    const box = make("details", `entrant c${kindOf(each.name)}`), head = make("summary");
    const name = make("h3", "", each.name), line = make("span", "note"), list = make("ul", "bars");
    head.append(make("span", "swatch"), name, " ", line);
    head.addEventListener("click", () => { box.dataset.chosen = "yes"; });
    list.setAttribute("aria-label", `Peers of ${each.name}`);
    const bars = Array.from({ length: seen.race.swarmSize }, (_, peer) => bar(each.name, peer));
    list.append(...bars.map((one) => one.item));
    if (bars.length) bars[0].button.tabIndex = 0;
    list.addEventListener("keydown", (event) => move(event, bars));
    box.append(head, list);
    entrants[each.name] = { box, line, bars };
    return box;
  });
  $("entrants").replaceChildren(...parts);
  show("peers", true);
}
function bar(entrant, peer) {
  const item = make("li"), button = make("button"), track = make("span", "track");
  const fill = make("span", "fill"), what = make("span", "what");
  button.type = "button";
  button.tabIndex = -1;
  button.setAttribute("aria-pressed", "false");
  track.append(fill);
  button.append(make("span", "who", String(peer)), track, what);
  button.addEventListener("click", () => mark(entrant, peer));
  item.append(button);
  return { item, button, fill, what };
}
function move(event, bars) {
  const at = bars.findIndex((one) => one.button === event.target);
  const top = bars[0].item.offsetTop;
  const wide = Math.max(1, bars.filter((one) => one.item.offsetTop === top).length);
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: wide, ArrowUp: -wide }[event.key];
  let to = step === undefined ? undefined : at + step;
  if (event.key === "Home") to = 0;
  if (event.key === "End") to = bars.length - 1;
  if (at < 0 || to === undefined) return;
  event.preventDefault();
  if (to < 0 || to >= bars.length) return;
  bars[at].button.tabIndex = -1;
  bars[to].button.tabIndex = 0;
  bars[to].button.focus();
}
function mark(entrant, peer) {
  const same = marked && marked.entrant === entrant && marked.peer === peer;
  marked = same ? null : { entrant, peer };
  if (seen.now) { drawPeers(seen.now); drawChart(seen.now); }
}
function draw(one, entrant, peer, share, text, failed) {
  const pressed = String(Boolean(marked && marked.entrant === entrant && marked.peer === peer));
  const label = `peer ${peer} of ${entrant}: ${text}`;
  one.fill.style.width = `${Math.round(1000 * share) / 10}%`;
  put(one.what, text);
  one.item.className = failed ? "failed" : "";
  if (one.button.getAttribute("aria-pressed") !== pressed) one.button.setAttribute("aria-pressed", pressed);
  if (one.button.getAttribute("aria-label") !== label) one.button.setAttribute("aria-label", label);
}
function drawPeers(now) {
  const gone = new Set(now.lost.map(([entrant, peer]) => `${entrant}-${peer}`));
  for (const [name, part] of Object.entries(entrants)) {
    const racing = now.run && now.run.entrant === name && !now.run.trial;
    const known = seen.last[name];
    if (!part.box.dataset.chosen) part.box.open = Boolean(racing) || (!now.run && seen.race.entrants[0].name === name);
    part.bars.forEach((one, peer) => {
      if (gone.has(`${name}-${peer}`)) draw(one, name, peer, 0, "lost", true);
      else if (racing) draw(one, name, peer, ...inFlight(now.run, peer));
      else if (known) draw(one, name, peer, ...closed(known, peer));
      else draw(one, name, peer, 0, "waits", false);
    });
    if (racing) put(part.line, summary(now.run));
    else if (known) put(part.line, `waits; below is run ${known.run}`);
    else put(part.line, "waits for its first run");
  }
}
function inFlight(run, peer) {
  const stage = seen.race.stages[run.at_stage[peer]] || "";
  const share = seen.race.fileSize ? Math.min(1, run.held[peer] / seen.race.fileSize) : 0;
  if (run.failed.includes(peer)) return [share, share ? `failed ${percent(share)}` : "failed", true];
  if (run.done.includes(peer)) return [1, "done", false];
  if (run.seeders.includes(peer)) return [0, stage === "serve" ? "seeds" : stage, false];
  return [share, stage === "race" || share ? percent(share) : stage, false];
}
function closed(known, peer) {
  if (known.seeders.includes(peer)) return [0, "seeded", false];
  const time = known.seconds[peer];
  if (typeof time === "number") return [1, seconds(time), false];
  const share = Math.min(1, (known.held[peer] || 0) / (seen.race.fileSize || 1));
  return [share, time === undefined ? "no result" : `failed ${percent(share)}`, true];
}
function summary(run) {
  const leechers = seen.race.swarmSize - run.seeders.length;
  const held = run.held.reduce((sum, each) => sum + each, 0);
  const wanted = leechers * seen.race.fileSize;
  const first = live.totals[0], newest = live.totals[live.totals.length - 1];
  const rate = first && newest.at > first.at ? 1000 * (newest.held - first.held) / (newest.at - first.at) : 0;
  let text = `${run.stage}; ${run.done.length} of ${leechers} leechers done`;
  if (run.failed.length) text += `, ${run.failed.length} failed`;
  if (run.since !== null) text += `; ${percent(wanted ? held / wanted : 0)}`;
  if (run.stage === "race" && rate > 0) text += ` at ${size(rate)}/s`;
  return text;
}

// Curves.
function follow(run) {
  if (!run || run.trial) return;
  if (live.run !== run.id) { live.run = run.id; live.points = {}; live.totals = []; }
  if (run.since === null) return;
  const held = run.held.reduce((sum, each) => sum + each, 0);
  live.totals.push({ at: performance.now(), held });
  while (live.totals.length > 2 && live.totals[0].at < performance.now() - RATE_MS) live.totals.shift();
  run.held.forEach((bytes, peer) => {
    if (run.seeders.includes(peer)) return;
    const points = live.points[peer] = live.points[peer] || [];
    const share = Math.round(1000 * Math.min(1, bytes / seen.race.fileSize));
    if (points.length && share <= points[points.length - 1]) return;
    points.push(Math.round(10 * run.since), share);
    if (points.length > 400) live.points[peer] = points.filter((_, at) => at % 4 < 2 || at >= points.length - 2);
  });
}
function svg(tag, attributes, text) {
  const made = document.createElementNS(NS, tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}
function drawChart(now) {
  const run = now.run && !now.run.trial && now.run.since !== null ? now.run : null;
  const medians = Object.entries(seen.last).filter(([, each]) => each.curve && each.curve.times.length > 1);
  show("curves", Boolean(run) || medians.length > 0);
  if (!run && !medians.length) return;
  let most = run ? Math.max(run.since, 0.1) : 0.1;
  for (const [, each] of medians) most = Math.max(most, each.curve.times[each.curve.times.length - 1]);
  // As many units as pixels, so that the text of the axes has its size on a phone too.
  const wide = Math.max(300, Math.min(900, $("chart").parentNode.clientWidth));
  $("chart").setAttribute("viewBox", `0 0 ${wide} 280`);
  const left = 48, right = wide - 10, top = 10, bottom = 250;
  const x = (time) => (left + (right - left) * Math.min(1, time / most)).toFixed(1);
  const y = (share) => (bottom - (bottom - top) * share).toFixed(1);
  const parts = [];
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    parts.push(svg("path", { class: "axis", d: `M${left} ${y(share)}H${right}` }));
    parts.push(svg("text", { x: left - 6, y: Number(y(share)) + 4, "text-anchor": "end" }, percent(share)));
  }
  for (const part of [0, 0.5, 1]) {
    parts.push(svg("text", { x: x(part * most), y: bottom + 18, "text-anchor": part === 1 ? "end" : part ? "middle" : "start" }, part ? seconds(part * most) : "start"));
  }
  const legend = [], words = [];
  if (run && live.run === run.id) {
    const colour = `c${kindOf(run.entrant)}`;
    for (const [peer, points] of Object.entries(live.points)) {
      let path = `M${x(0)} ${y(0)}`;
      for (let at = 0; at < points.length; at += 2) path += `L${x(points[at] / 10)} ${y(points[at + 1] / 1000)}`;
      const on = marked && marked.entrant === run.entrant && String(marked.peer) === peer;
      parts.push(svg("path", { class: `thin ${colour}${on ? " marked" : ""}`, d: path, "data-peer": peer }));
    }
    legend.push(key(colour, `${run.entrant}: each leecher of run ${run.id}, by its heartbeats`));
    const shares = run.held.filter((_, peer) => !run.seeders.includes(peer)).map((each) => each / (seen.race.fileSize || 1));
    words.push(`run ${run.id}, ${seconds(run.since)} after the start: leechers hold ${percent(Math.min(...shares))} to ${percent(Math.max(...shares))}`);
  }
  for (const [name, each] of medians) {
    const path = each.curve.times.map((time, at) => `${at ? "L" : "M"}${x(time)} ${y(at / 50)}`).join("");
    parts.push(svg("path", { class: `median c${kindOf(name)}`, d: path }));
    legend.push(key(`c${kindOf(name)}`, `${name}, dashed: median leecher of run ${each.run} (${each.curve.of})`));
    words.push(`median leecher of run ${each.run}: ${seconds(each.curve.times[each.curve.times.length - 1])}`);
  }
  $("chart").setAttribute("class", marked && run && marked.entrant === run.entrant ? "dim" : "");
  $("chart").setAttribute("aria-label", `Share of the file over time. ${words.join("; ")}.`);
  $("chart").replaceChildren(...parts);
  $("legend").replaceChildren(...legend);
}
function key(colour, text) {
  const item = make("li", colour);
  item.append(make("span", "swatch"), text);
  return item;
}

// Results, failures, the sweep.
function row(cells) {
  const made = make("tr");
  cells.forEach((cell, at) => {
    const node = make(at ? "td" : "th", "", at || cell instanceof Node ? undefined : cell);
    if (!at) node.scope = "row";
    if (cell instanceof Node) node.append(cell);
    else if (at) node.textContent = cell;
    if (cell === "failed") node.className = "bad";
    made.append(node);
  });
  return made;
}
function drawResults(data) {
  const totals = Object.entries(data.entrants);
  show("results", data.rows.length > 0);
  $("totals").tBodies[0].replaceChildren(...totals.map(([name, each]) => row([
    name, `${each.raced} of ${each.closed}`, String(each.whole), `${each.completed} of ${each.transfers}`,
    seconds(each.median), each.median === null ? "–" : `${seconds(each.least)} to ${seconds(each.most)}`,
  ])));
  $("runs").tBodies[0].replaceChildren(...data.rows.slice().reverse().map((each) => {
    const how = make("span", each.status === "raced" ? "" : "bad", each.why ? `${each.status}: ${each.why}` : each.status);
    return row([each.id, how, seconds(each.median), seconds(each.last), `${each.completed} of ${data.leechers}`, seconds(each.wall)]);
  }));
}
function drawFailures(data) {
  show("failures", data.total > 0);
  show("to-failures", data.total > 0);
  put($("failures-head"), `Failures (${data.total})`);
  put($("to-failures").firstElementChild, data.total === 1 ? "1 failure" : `${data.total} failures`);
  $("failed").replaceChildren(...data.rows.map((each) => {
    const who = each.peer === null ? each.run : `${each.run}, peer ${each.peer}`;
    const item = make("li");
    item.append(make("strong", "bad", each.reason), ` ${who}, in ${each.stage || "wait"}`);
    if (each.times > 1) item.append(`, and ${each.times - 1} more`);
    if (each.detail) item.append(`: ${each.detail}`);
    return item;
  }));
}
function drawSweep(data) {
  show("sweep", true);
  put($("sweep-head"), `Sweep ${data.name}`);
  const cell = data.cell ? `Racing cell ${data.cell}${data.attempt > 1 ? `, attempt ${data.attempt}` : ""}. ` : "";
  put($("sweep-line"), `${cell}${data.done} of ${data.total} cells done; about ${about(data.left)} left.`);
  $("sweep-bar").value = data.total ? data.done / data.total : 0;
  $("sweep-cells").querySelector("tbody").replaceChildren(...data.cells.map((each) => row([
    each.name, each.name === data.cell ? "racing" : each.state, make("span", "why", each.answer),
  ])));
}

connect();
