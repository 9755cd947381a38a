"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { items, names, videos, kind, states } = data;
  const two = items.length > 0 && items[0].runs.length > 1;
  const sides = ["a", "b"];
  const which = ["first", "second"];
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  const batch = 30;
  const list = document.getElementById("list");
  const count = document.getElementById("count");
  const tools = document.getElementById("tools");
  const wanted = { states: sides.map(() => ""), groups: {}, words: [], order: "", by: 0 };
  let shown = [];
  let drawn = 0;

  // Everything on the page is made here, from text nodes: what is in the data can never become markup.
  function make(tag, attributes, ...children) {
    const node = document.createElement(tag);
    fill(node, attributes, children);
    return node;
  }

  function draw(tag, attributes, ...children) {
    const node = document.createElementNS(document.getElementById("drawing").namespaceURI, tag);
    fill(node, attributes, children);
    return node;
  }

  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  }

  const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));
  const seconds = (value) => (value === null ? "?" : String(Math.round(value * 100) / 100));

  function clock(value) {
    if (value === null) return "?";
    const whole = Math.max(0, Math.round(value * 10) / 10);
    const rest = (whole % 60).toFixed(whole % 1 ? 1 : 0).padStart(whole % 1 ? 4 : 2, "0");
    const minutes = Math.floor(whole / 60);
    if (minutes < 60) return `${minutes}:${rest}`;
    return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
  }

  const chip = (words, look) => make("span", { class: `chip ${look || ""}` }, words);
  const quiet = (...words) => make("span", { class: "quiet" }, ...words);
  const say = (...words) => make("p", { class: "said" }, ...words);
  const stateChip = (state) => chip(state, { done: "", failed: "bad", refused: "odd", unreadable: "odd" }[state]);

  // --- the video

  function video(item) {
    const [name, address] = videos[item.video];
    const span = item.span || focus(item);
    const part = item.span ? ` · ${clock(item.span[0])}–${clock(item.span[1])}` : "";
    const told = make("div", { class: "under" }, name, part);
    if (!address) return make("div", {}, make("div", { class: "novideo" }, "the video was not found"), told);
    const player = make("video", { controls: true, preload: "none", muted: true, playsinline: true });
    player.muted = true;
    player.dataset.address = address + (span ? `#t=${seconds(span[0])},${seconds(span[1])}` : "");
    return make("div", {}, player, told);
  }

  // Where a video without a span of its own is best looked at: the first true window.
  function focus(item) {
    const windows = kind === "moments" ? item.gold.windows : null;
    return windows && windows.length ? windows[0] : null;
  }

  // A browser holds few players at once, so only videos near the window have an address.
  const near = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const player = target.querySelector("video");
      if (!player) continue;
      if (isIntersecting && !player.hasAttribute("src")) player.setAttribute("src", player.dataset.address);
      else if (!isIntersecting && player.hasAttribute("src") && player.paused) {
        player.removeAttribute("src");
        player.load();
      }
    }
  }, { rootMargin: "600px" });

  function wake(event) {
    const player = event.currentTarget.querySelector("video");
    if (player && player.preload === "none") player.preload = "metadata";
  }

  // --- what was asked, what is right, what was said

  const bodies = {
    "mc-qa": (item) => [
      make("p", { class: "ask" }, item.ask),
      make("ul", { class: "options" }, (item.options || []).map((option, place) => choice(item, option, place))),
      runs(item, (run) => (run.choice === null || two ? said(run.value) : "")),
    ],
    "open-qa": (item) => [
      make("p", { class: "ask" }, item.ask),
      truth((item.gold.answers || []).join(" / ")),
      runs(item, (run) => [said(run.value), judged(run.verdict)]),
    ],
    caption: (item) => [
      item.ask ? make("p", { class: "ask" }, item.ask) : "",
      references(item.gold.references || []),
      runs(item, (run) => [said(run.value), facts(run.verdict)]),
    ],
    moments: (item) => [make("p", { class: "ask" }, item.ask), axis(item), runs(item, (run) => windows(run))],
    retrieval: (item) => [
      make("p", { class: "ask" }, item.ask),
      runs(item, (run) => (run.value ? [
        ranks("the right video is number", run.value.text_to_video),
        ranks("for its video, the right text is number", run.value.video_to_text)] : "")),
    ],
  };

  function choice(item, option, place) {
    const right = place === item.gold.option;
    const chosen = item.runs.map((run, side) => {
      if (run.choice !== place) return "";
      return [two ? chip(which[side], sides[side]) : chip("chosen", right ? "good" : "bad"), " "];
    });
    const words = [`${letters[place]}  ${option} `, right ? chip("true", "good") : "", " ", chosen];
    return make("li", { class: right ? "right" : "" }, words);
  }

  const truth = (words) => say(chip("true", "good"), " ", words);
  const said = (value) => (value === null || value === undefined ? "" : say(text(value)));

  function references(texts) {
    if (!texts.length) return "";
    const rest = texts.slice(1).map(truth);
    if (rest.length < 2) return [truth(texts[0]), rest];
    return [truth(texts[0]), make("details", {}, make("summary", {}, `${rest.length} more`), rest)];
  }

  function ranks(words, found) {
    if (!found || !found.length) return "";
    const look = (one) => (one === 1 ? "good" : one <= 10 ? "odd" : "bad");
    const chips = found.slice(0, 12).map((one) => [chip(one, look(one)), " "]);
    return say(`${words} `, chips, found.length > 12 ? `and ${found.length - 12} more` : "");
  }

  function judged(verdict) {
    if (!verdict) return "";
    const score = verdict.score === undefined ? "" : `score ${verdict.score}`;
    const found = verdict.correct ? chip("correct", "good") : chip("wrong", "bad");
    return say(found, " ", quiet([score, verdict.reason].filter(Boolean).join(" · ")));
  }

  const looks = { entailment: "good", neutral: "odd", contradiction: "bad" };
  const told = {
    recall: { entailment: "told", neutral: "not told", contradiction: "against" },
    precision: { entailment: "true", neutral: "not known", contradiction: "untrue" },
  };

  function facts(verdict) {
    if (!verdict) return "";
    return ["events", "objects"].filter((part) => verdict[part]).map((part) => {
      const one = verdict[part];
      const lists = [["recall", "gold", `true ${part}`], ["precision", "predicted", `${part} told`]];
      return lists.map(([side, from, title]) => {
        const labels = one[side] || [];
        const held = labels.filter((label) => label === "entailment").length;
        const why = (one.reasons && one.reasons[side]) || [];
        const line = (fact, place) => make(
          "li", {}, chip(told[side][labels[place]] || "not asked", looks[labels[place]]),
          make("span", {}, text(fact)), why[place] ? make("span", { class: "why" }, why[place]) : "");
        return make(
          "details", { open: true }, make("summary", {}, `${title}: ${held} of ${labels.length}`),
          make("ul", { class: "facts-list" }, (one[from] || []).map(line)));
      });
    });
  }

  function windows(run) {
    const found = (run.value && run.value.windows) || [];
    if (!run.value) return "";
    if (!found.length) return say(quiet("nowhere"));
    const score = (one) => (one.length > 2 && one[2] !== null ? ` (${seconds(one[2])})` : "");
    const line = (one) => `${clock(one[0])}–${clock(one[1])}${score(one)}`;
    const rest = found.length > 5 ? quiet(` and ${found.length - 5} more`) : "";
    return say(found.slice(0, 5).map(line).join(", "), rest);
  }

  function axis(item) {
    const gold = item.gold.windows || [];
    const lines = [["true", "truth", gold]];
    item.runs.forEach((run, side) => {
      const found = (run.value && run.value.windows) || [];
      lines.push([two ? which[side] : "found", sides[side], found.slice(0, 10)]);
    });
    const ends = lines.flatMap(([, , those]) => those.map((one) => one[1] || 0));
    const length = item.gold.duration || Math.max(1, ...ends);
    const [left, right, high] = [52, 640, 18];
    const x = (second) => left + ((right - left) * Math.min(Math.max(second || 0, 0), length)) / length;
    const viewBox = `0 0 ${right + 8} ${lines.length * high + 22}`;
    const picture = draw("svg", { class: "axis", viewBox, role: "img", "aria-label": "true and predicted windows" });
    lines.forEach(([name, look, those], place) => {
      const y = place * high;
      picture.append(
        draw("text", { x: left - 8, y: y + 13, "text-anchor": "end", class: "quiet" }, name),
        draw("rect", { class: "back", x: left, y: y + 3, width: right - left, height: 12, rx: 3 }));
      those.map((one, rank) => [one, rank]).reverse().forEach(([one, rank]) => {
        const [from, to] = [x(Math.min(one[0], one[1])), x(Math.max(one[0], one[1]))];
        const strength = look === "truth" ? 1 : Math.max(0.12, 0.95 - 0.17 * rank);
        const size = { x: from, y: y + 3, width: Math.max(2, to - from), height: 12, rx: 2 };
        const bar = draw("rect", { class: look, ...size, "fill-opacity": strength });
        bar.append(draw("title", {}, `${clock(one[0])}–${clock(one[1])}`));
        picture.append(bar);
      });
    });
    const steps = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
    const step = steps.find((one) => length / one <= 8) || 7200;
    for (let second = 0; second <= length; second += step) {
      const place = { x: x(second), y: lines.length * high + 15, "text-anchor": "middle", class: "quiet" };
      picture.append(draw("text", place, clock(second)));
    }
    return picture;
  }

  function runs(item, body) {
    const blocks = item.runs.map((run, side) => {
      const parts = [body(run)];
      if (run.state !== "done") parts.push(say(stateChip(run.state), " ", quiet(run.reason || "")));
      const details = Object.entries(run.details || {}).map(([key, value]) => `${key} ${text(value)}`).join(" · ");
      const by = run.verdict && run.verdict.by ? `judged by ${run.verdict.by}` : "";
      const small = [details, by].filter(Boolean).join(" · ");
      if (small) parts.push(make("details", { class: "under" }, make("summary", {}, "details"), small));
      const key = make("span", { class: `key ${sides[side]}` });
      return make("section", {}, two ? make("div", { class: "quiet" }, key, which[side]) : "", parts);
    });
    return make("div", { class: "runs" }, blocks);
  }

  function header(item) {
    const groups = Object.entries(item.groups || {}).map(([key, value]) => quiet(`${key} ${value}`));
    const numbers = names.slice(0, 4).map((name, place) => {
      const found = item.values.map((of) => (of[place] === null ? "–" : String(Math.round(of[place] * 1000) / 1000)));
      return found.every((one) => one === "–") ? "" : make("span", {}, quiet(`${name} `), found.join(" / "));
    });
    const ended = item.runs.every((run) => run.state === "done") ? "" : item.runs.map((run) => stateChip(run.state));
    return make("header", {}, make("b", {}, item.id), ended, numbers, groups);
  }

  function article(item) {
    const body = make("div", {}, (bodies[kind] || bodies.caption)(item));
    const node = make("article", { tabindex: "-1" }, header(item), video(item), body);
    node.addEventListener("pointerenter", wake);
    node.addEventListener("focusin", wake);
    near.observe(node);
    return node;
  }

  // --- which items, in which order

  const haystacks = new Map();

  function haystack(item) {
    if (!haystacks.has(item)) {
      const outcomes = item.runs.map((run) => [run.value, run.reason, run.verdict]);
      const parts = [item.id, videos[item.video][0], item.ask, item.options, item.gold, outcomes];
      haystacks.set(item, JSON.stringify(parts).toLowerCase());
    }
    return haystacks.get(item);
  }

  function fits(item) {
    if (!item.runs.every((run, side) => !wanted.states[side] || run.state === wanted.states[side])) return false;
    const groups = item.groups || {};
    if (!Object.entries(wanted.groups).every(([key, chosen]) => !chosen || groups[key] === chosen)) return false;
    return wanted.words.every((word) => haystack(item).includes(word));
  }

  function value(item, side) {
    const one = item.values[side][wanted.by];
    return one === null || one === undefined ? NaN : one;
  }

  function apart(item) {
    const all = names.map((_, place) => Math.abs((item.values[0][place] || 0) - (item.values[1][place] || 0)));
    const states = item.runs[0].state === item.runs[1].state ? 0 : 1;
    const first = Math.abs((value(item, 0) || 0) - (value(item, 1) || 0));
    return 1000 * first + all.reduce((sum, one) => sum + one, 0) + states;
  }

  const orders = {
    given: null,
    differences: (one, other) => apart(other) - apart(one),
    worst: (one, other) => rank(one) - rank(other),
    best: (one, other) => rank(other) - rank(one),
  };
  const rank = (item) => { const one = value(item, 0); return Number.isNaN(one) ? Infinity : one; };

  function select() {
    shown = items.filter(fits);
    if (orders[wanted.order]) {
      const keys = new Map(shown.map((item, place) => [item, place]));
      shown.sort((one, other) => orders[wanted.order](one, other) || keys.get(one) - keys.get(other));
    }
    near.disconnect();
    list.replaceChildren();
    drawn = 0;
    count.textContent = `${shown.length === items.length ? "" : `${shown.length} of `}${items.length} items`;
    grow();
    feed.unobserve(more);
    feed.observe(more);
  }

  function grow() {
    const next = shown.slice(drawn, drawn + batch);
    drawn += next.length;
    list.append(...next.map(article));
  }

  const more = document.getElementById("more");
  const feed = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting) && drawn < shown.length) {
      grow();
      feed.unobserve(more);
      feed.observe(more);
    }
  }, { rootMargin: "1500px" });

  // --- the tools

  function chooser(title, options, change, first) {
    const offered = options.map(([one, words]) => make("option", { value: one, selected: one === first }, words));
    const node = make("select", { "aria-label": title, title }, offered);
    node.addEventListener("change", () => { change(node.value); select(); });
    return node;
  }

  function build() {
    const hint = "search ids, questions, answers";
    const search = make("input", { type: "search", placeholder: hint, "aria-label": "search" });
    let waiting = 0;
    search.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => {
        wanted.words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
        select();
      }, 120);
    });
    tools.append(search);
    (two ? sides : ["a"]).forEach((side, place) => {
      const numbers = Object.fromEntries(states.map((state) => [state, 0]));
      items.forEach((item) => { numbers[item.runs[place].state] += 1; });
      const title = two ? `state of the ${which[place]}` : "state";
      const known = states.filter((state) => numbers[state]).map((state) => [state, `${state} (${numbers[state]})`]);
      const options = [["", two ? `${which[place]}: any state` : "any state"], ...known];
      tools.append(chooser(title, options, (chosen) => { wanted.states[place] = chosen; }));
    });
    const keys = new Map();
    items.forEach((item) => Object.entries(item.groups || {}).forEach(([key, one]) => {
      if (!keys.has(key)) keys.set(key, new Map());
      keys.get(key).set(one, (keys.get(key).get(one) || 0) + 1);
    }));
    for (const [key, found] of keys) {
      if (found.size < 2 || found.size > 200) continue;
      const options = [["", `any ${key}`], ...[...found].map(([one, number]) => [one, `${one} (${number})`])];
      tools.append(chooser(key, options, (chosen) => { wanted.groups[key] = chosen; }));
    }
    wanted.order = two ? "differences" : "given";
    const titles = {
      differences: "differences first", given: "in their order", worst: "worst first", best: "best first",
    };
    const usable = Object.keys(titles).filter((one) => one === "given" || (one === "differences" ? two : names.length));
    const orderings = usable.map((one) => [one, titles[one]]);
    tools.append(chooser("order", orderings, (chosen) => { wanted.order = chosen; }, wanted.order));
    if (names.length > 1) {
      const options = names.map((name, place) => [String(place), `by ${name}`]);
      tools.append(chooser("by which score", options, (chosen) => { wanted.by = Number(chosen); }));
    }
    const key = (one) => make("kbd", {}, one);
    tools.append(quiet(key("j"), " ", key("k"), " next, last · ", key("p"), " play · ", key("/"), " search"));
    document.addEventListener("keydown", (event) => pressed(event, search));
  }

  function pressed(event, search) {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
    if (event.key === "Escape" && typing) { document.activeElement.blur(); return; }
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const all = [...list.children];
    const here = all.indexOf(document.activeElement.closest ? document.activeElement.closest("article") : null);
    if (event.key === "/") { event.preventDefault(); search.focus(); }
    else if (event.key === "j" || event.key === "k") {
      if (event.key === "j" && here === all.length - 1) grow();
      const next = list.children[Math.max(0, here + (event.key === "j" ? 1 : -1))];
      if (next) { next.focus({ preventScroll: true }); next.scrollIntoView({ block: "start" }); }
    } else if (event.key === "p" && here >= 0) {
      const player = all[here].querySelector("video");
      if (!player) return;
      if (!player.hasAttribute("src")) player.setAttribute("src", player.dataset.address);
      if (player.paused) player.play().catch(() => {});
      else player.pause();
    }
  }

  build();
  select();
})();
