"use strict";
// The page of `longshot view`, and of a file that `longshot export` wrote (mode "file": all is inside, no server).
// Everything shown is made from text nodes: what stands in captions, names and queries can never become markup.
(() => {
  performance.mark("longshot-start");
  const $ = (id) => document.getElementById(id);
  const config = JSON.parse($("longshot-data").textContent);
  const onDisk = config.mode === "file";
  const tones = { clip: "clip", shot: "shot", speech: "speech", screen: "screen" };
  for (const level of ["part", "chapter", "segment", "scene"]) tones[level] = "segment";
  const narrow = matchMedia("(max-width: 52rem)");

  // --- nodes and words

  function make(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
    return node;
  }

  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const toned = (node, level) => { node.style.setProperty("--tone", `var(--${tones[level] || "other"})`); return node; };
  const press = (node, on) => node.setAttribute("aria-pressed", String(Boolean(on)));
  const isPressed = (node) => node.getAttribute("aria-pressed") === "true";
  const many = (count, one, more) => `${count} ${count === 1 ? one : more || `${one}s`}`;
  const tell = (text) => { $("told").textContent = text; };

  // Whole seconds are floored, so the time shown is never after the moment it names.
  function clock(second, digits = 0) {
    const scale = 10 ** digits;
    const total = Math.floor(Math.max(second, 0) * scale + 1e-6);
    const whole = Math.floor(total / scale);
    const two = (value) => String(value).padStart(2, "0");
    const [hours, minutes, seconds] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
    const rest = digits ? `.${String(total % scale).padStart(digits, "0")}` : "";
    return `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(seconds)}${rest}`;
  }

  function spoken(second) {
    const whole = Math.floor(Math.max(second, 0) + 1e-6);
    const parts = [[Math.floor(whole / 3600), "hour"], [Math.floor(whole / 60) % 60, "minute"], [whole % 60, "second"]];
    return parts.filter(([count], place) => count || place === 2).map(([count, one]) => many(count, one)).join(" ");
  }

  const between = (start, end) => (end > start ? `${clock(start)}–${clock(end)}` : clock(start));
  const decimal = (second) => String(Math.round(second * 1000) / 1000);

  // Offsets count characters as Python does; a string here counts an emoji as two.
  function cutAt(text, ranges) {
    const units = /[\ud800-\udfff]/.test(text) ? [0] : null;
    if (units) for (const one of text) units.push(units[units.length - 1] + one.length);
    const place = (offset) => (units ? units[clamp(offset, 0, units.length - 1)] : clamp(offset, 0, text.length));
    return ranges.map(([from, to]) => [place(from), place(to)]).filter(([from, to]) => to > from).sort((a, b) => a[0] - b[0]);
  }

  // A text with its matched words marked; a long one begins a little before the first of them.
  function marked(text, matched, longest = 240) {
    const ranges = cutAt(text, matched || []);
    let from = ranges.length && ranges[0][0] > longest / 2 ? text.lastIndexOf(" ", ranges[0][0] - longest / 4) + 1 : 0;
    let to = text.length;
    if (to - from > longest) {
      const blank = text.lastIndexOf(" ", from + longest);
      to = Math.max(blank > from + longest / 2 ? blank : from + longest, ranges.length ? Math.min(ranges[0][1], text.length) : 0);
    }
    if (/[\udc00-\udfff]/.test(text[from] || "")) from -= 1;
    if (/[\ud800-\udbff]/.test(text[to - 1] || "")) to += 1;
    const parts = [from > 0 ? "… " : ""];
    let at = from;
    for (const [start, end] of ranges) {
      if (start < at || end > to) continue;
      parts.push(text.slice(at, start), make("mark", {}, text.slice(start, end)));
      at = end;
    }
    return [...parts, text.slice(at, to), to < text.length ? " …" : ""];
  }

  // --- the server

  const oneLine = (text) => String(text).replace(/\s+/g, " ").trim().slice(0, 300);

  async function ask(path, options) {
    let answer;
    try {
      answer = await fetch(path, { credentials: "same-origin", ...options });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("The server does not answer; is longshot view still running?", { cause: error });
    }
    const said = await answer.text();
    let found = null;
    try { found = JSON.parse(said); } catch { /* said in words, or by something between us and the server */ }
    if (answer.ok && found !== null) return found;
    const reason = found && (found.error || found.detail);
    throw new Error(oneLine(reason || (/^\s*</.test(said) ? "" : said) || `the server answered ${answer.status}`));
  }

  const query = (path, values) => {
    const given = Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined);
    return `${path}?${new URLSearchParams(given)}`;
  };

  function trouble(error) {
    const node = $("trouble");
    if (error && error.name === "AbortError") return;
    node.hidden = !error;
    node.textContent = error ? oneLine(error.message || error) : "";
  }

  // The newest call of each kind counts: what an older one brings later is dropped.
  const running = {};
  async function latest(kind, work) {
    if (running[kind]) running[kind].abort();
    const own = new AbortController();
    running[kind] = own;
    try {
      const found = await work(own.signal);
      if (running[kind] !== own) return null;
      trouble(null);
      return found;
    } catch (error) {
      if (running[kind] === own) trouble(error);
      return null;
    } finally {
      if (running[kind] === own) delete running[kind];
    }
  }

  // --- the address: ?video=ID&q=words#t=12.0,19.5

  function address() {
    const values = new URLSearchParams(location.search);
    const times = /(?:^#|&)t=(?:npt:)?([\d.]*)(?:,([\d.]+))?/.exec(location.hash);
    const [start, end] = times ? [Number(times[1] || 0), times[2] ? Number(times[2]) : null] : [null, null];
    return {
      video: onDisk ? null : config.video || values.get("video"),
      words: values.get("q") || "",
      level: values.get("level") || "",
      find: values.get("find") || "",
      start: Number.isFinite(start) ? start : null,
      end: Number.isFinite(end) && end > start ? end : null,
    };
  }

  function linkTo({ video = "", words = "", level = "", find = "", start = null, end = null }) {
    const values = new URLSearchParams();
    if (video && !config.video) values.set("video", video);
    if (words) values.set("q", words);
    if (level) values.set("level", level);
    if (find) values.set("find", find);
    const times = start === null ? "" : `#t=${decimal(start)}${end === null ? "" : `,${decimal(end)}`}`;
    return `${String(values) ? `?${values}` : onDisk ? "" : location.pathname}${times}`;
  }

  let noting = 0;
  function noteTime() {
    clearTimeout(noting);
    noting = setTimeout(() => {
      if (!shown) return;
      const kept = shown.span && Math.abs(shown.span[0] - now()) < 0.05 ? shown.span : [now(), null];
      const hash = `#t=${decimal(kept[0])}${kept[1] === null ? "" : `,${decimal(kept[1])}`}`;
      if (location.hash !== hash) history.replaceState(history.state, "", hash);
    }, 250);
  }

  function go(target) {
    history.pushState(null, "", linkTo(target));
    return route();
  }

  function follows(node, target) {
    node.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
      event.preventDefault();
      go(target);
    });
    return node;
  }

  // --- the library

  let library = null;
  const nameOf = (id) => { const one = library && library.videos.find((video) => video.id === id); return one ? one.name : id; };
  const thumb = (video, second, height) => query(`/thumb/${encodeURIComponent(video)}`, { t: decimal(second), h: height });

  function picture(video, second, height, ...over) {
    const image = make("img", { src: thumb(video, second, height), alt: "", loading: "lazy", decoding: "async" });
    image.addEventListener("error", () => image.remove());
    return make("span", { class: "picture" }, image, over);
  }

  async function loadLibrary() {
    if (onDisk || library) return library;
    library = await latest("videos", (signal) => ask("/api/videos", { signal }));
    const several = library && library.videos.length > 1 && !config.video;
    $("search").hidden = !(library && library.search && !config.video);
    $("upload").hidden = !(library && library.upload);
    $("like").hidden = !(library && library.like);
    $("search-words").placeholder = several ? `Search ${library.videos.length} videos` : "Search";
    return library;
  }

  function counted([level, count]) {
    const known = { speech: ["line", "lines"], screen: ["text", "texts"] };
    return many(count, ...(known[level] || [level]));
  }

  function card(video) {
    const counts = Object.entries(video.levels || {}).filter(([level]) => !["video", "shot"].includes(level)).map(counted).join(" · ");
    const length = Number.isFinite(video.duration) ? make("span", { class: "clock" }, clock(video.duration)) : "";
    const states = { missing: "the file is missing", damaged: `damaged: ${video.note || "read it with longshot verify"}` };
    const missing = states[video.state] || "";
    const href = linkTo({ video: video.id });
    return make("li", {}, follows(make("a", { href },
      missing ? make("span", { class: "picture" }, length) : picture(video.id, Math.min(10, (video.duration || 0) / 5), 180, length),
      make("b", {}, video.name || video.id),
      missing ? make("span", { class: "state" }, missing) : "",
      make("span", { class: "quiet" }, missing && counts ? " · " : "", counts),
    ), { video: video.id }));
  }

  async function showLibrary(wanted) {
    leaveVideo();
    $("watch").hidden = true;
    $("library").hidden = false;
    $("search-words").value = wanted.words;
    if (!await loadLibrary()) return;
    const searching = wanted.words !== "";
    $("videos").hidden = searching;
    $("results").hidden = !searching;
    $("library-levels").hidden = !searching;
    if (searching) { await showResults(wanted); return; }
    document.title = "Longshot";
    $("library-name").textContent = many(library.videos.length, "video");
    const total = library.videos.reduce((sum, video) => sum + (video.duration || 0), 0);
    $("library-note").textContent = library.videos.length ? `${spoken(total)} in all`
      : "Nothing here yet: longshot add FOLDER puts videos into this library.";
    $("videos").replaceChildren(...library.videos.map(card));
    ready();
  }

  async function showResults(wanted) {
    document.title = `${wanted.words} – Longshot`;
    $("library-name").textContent = wanted.words;
    $("library-note").textContent = "Searching …";
    levelChips(wanted);
    const { words, level } = wanted;
    const found = await latest("search", (signal) => ask(query("/api/search", { q: words, level, limit: 30 }), { signal }));
    $("results").replaceChildren();
    if (!found) { $("library-note").textContent = ""; return; }
    showFound(found, `“${words}”`, { words, level });
  }

  function showFound(found, about, wanted) {
    const said = found.hits.length ? many(found.hits.length, "moment") : "No moment";
    $("library-note").textContent = inOneLine(said, found);
    $("results").replaceChildren(...found.hits.map((hit) => {
      const target = { video: hit.video, ...wanted, start: hit.start, end: hit.end };
      return make("li", {}, follows(moment(hit, "a", { href: linkTo(target) }), target));
    }));
    tell(`${said} for ${about}`);
    ready();
  }

  const inOneLine = (said, found) => [said, found.how, ...(found.notes || [])].filter(Boolean).join(" · ");

  function levelChips(wanted) {
    const levels = new Set(library.videos.flatMap((video) => Object.keys(video.levels || {})));
    levels.delete("video");
    const chip = (level, words) => {
      const node = make("button", { type: "button", "aria-pressed": String(wanted.level === level) }, words);
      node.addEventListener("click", () => go({ words: wanted.words, level }));
      return node;
    };
    const label = { speech: "Speech", screen: "On screen" };
    const other = (level) => label[level] || `${level[0].toUpperCase()}${level.slice(1)}s`;
    const offered = [...levels].map((level) => chip(level, other(level)));
    $("library-levels").replaceChildren(chip("", "Everything"), ...offered);
  }

  // One ranked moment: in the library with its video's name, beside an open video without.
  function moment(hit, tag, attributes, number = 0) {
    const own = tag === "button";
    const meter = make("span", { class: "meter", title: `score ${hit.score.toFixed(2)}` });
    meter.style.setProperty("--part", clamp(hit.score, 0, 1));
    const evidence = telling(hit.evidence || []).map((one) => toned(make("span", { class: "said" },
      make("small", {}, `${clock(one.start)} ${labelOf(one.level)} `), marked(one.text || one.level, one.matched, 200)), one.level));
    const bare = onDisk;
    const first = (hit.evidence || []).find((one) => one.start >= hit.start && one.end <= hit.end) || hit;
    const best = (first.start + first.end) / 2;
    return make(tag, { class: bare ? "moment bare" : "moment", ...attributes },
      bare ? "" : picture(hit.video, best, own ? 90 : 180),
      make("span", {},
        make("span", { class: "head" },
          own ? make("span", { class: "number" }, String(number)) : make("span", { class: "name" }, hit.name || nameOf(hit.video)),
          make("span", { class: "when" }, between(hit.start, hit.end)), meter),
        evidence));
  }

  // What says most: three pieces, those with the words where there are any, and not what was said of the whole video.
  function telling(evidence) {
    const finer = evidence.filter((one) => one.level !== "video");
    const worded = finer.filter((one) => one.matched && one.matched.length);
    return (worded.length ? worded : finer.length ? finer.slice(0, 2) : evidence).slice(0, 3);
  }

  const labelOf = (level) => {
    const known = { speech: "said", screen: "on screen", look: "" };
    return known[level] ?? level;
  };

  // --- one video: `shown` is what the page holds of it

  let shown = null;
  const media = $("player");
  let playable = false;
  let wantedTime = 0;
  const duration = () => (shown ? shown.duration : 0);
  // The file's own clock may be ahead of ours, which begins with the first picture.
  const ahead = () => (shown && shown.data.offset) || 0;
  const now = () => (playable && media.readyState > 0 ? Math.max(0, media.currentTime - ahead()) : wantedTime);

  async function showVideo(wanted) {
    $("library").hidden = true;
    if (!shown || shown.id !== wanted.video) {
      leaveVideo();
      const path = `/api/videos/${encodeURIComponent(wanted.video)}`;
      const found = await latest("video", (signal) => ask(path, { signal }));
      if (!found) return;
      openVideo(found, wanted.start || 0);
    }
    $("watch").hidden = false;
    if (wanted.start !== null) select(wanted.start, wanted.end);
    ready();
    loadLibrary().then(() => { $("search-words").value = wanted.words; });
    if (wanted.find) { $("find-words").value = wanted.find; await findMoments(wanted.find, false); }
    else if (wanted.words) await hitsOfSearch(wanted);
  }

  // A video without its file has a clock all the same: the lanes and the list move it.
  function openVideo(data, start) {
    const levels = data.levels.filter((level) => level.level !== "video").map((level) => laneOf(level));
    const ends = levels.flatMap((lane) => (lane.reach.length ? [lane.reach[lane.reach.length - 1]] : []));
    shown = {
      id: data.id, data, levels, hits: [], hit: -1, span: null, found: new Set(), rows: [],
      duration: data.duration || Math.max(0, ...ends),
    };
    document.title = `${data.name || data.id} – Longshot`;
    $("name").textContent = data.name || data.id;
    $("watch").hidden = false;
    wantedTime = start;
    openMedia(data);
    if (data.proxy) watchProxy(shown);
    const whole = data.levels.find((level) => level.level === "video");
    $("summary").hidden = !(whole && whole.captions.length && whole.captions[0][2]);
    $("summary").textContent = $("summary").hidden ? "" : whole.captions.map((caption) => caption[2]).join("\n");
    showMakers(data.levels);
    showExports(data);
    showLength();
    openList();
    openLanes();
    showHits([], "");
    $("find-words").value = "";
    $("find-words").placeholder = onDisk ? "Search the words of this video" : "Find in this video";
    moved();
  }

  function leaveVideo() {
    if (!shown) return;
    clearTimeout(noting);
    closeMedia();
    shown = null;
  }

  function showLength() {
    const size = shown.data.size;
    const parts = [clock(shown.duration), size && size[0] ? `${size[0]} × ${size[1]}` : ""];
    $("length").textContent = parts.filter(Boolean).join(" · ");
    const slider = $("lane-scroll");
    slider.setAttribute("aria-valuemax", String(Math.round(shown.duration)));
  }

  function showMakers(levels) {
    const lines = levels.filter((level) => level.source || level.note);
    $("made").hidden = !lines.length;
    $("made").lastElementChild.replaceChildren(...lines.flatMap((level) => [
      make("dt", {}, level.label || level.level),
      make("dd", {}, [level.source, level.note].filter(Boolean).join("; ")),
    ]));
  }

  // --- the player

  function closeMedia() {
    playable = false;
    media.pause();
    media.removeAttribute("src");
    media.replaceChildren();
    media.load();
  }

  function openMedia(data) {
    closeMedia();
    const note = data.mediaNote || "";
    playable = Boolean(data.media);
    $("media-note").hidden = !note || !playable;
    $("media-note").textContent = note;
    if (!playable) { noMedia(note || "The video is not here; its captions are."); return; }
    media.hidden = false;
    $("stage").classList.remove("sound");
    $("no-media").hidden = true;
    if (data.size && data.size[0]) $("stage").style.setProperty("--shape", `${data.size[0]} / ${data.size[1]}`);
    for (const [place, track] of (data.tracks || []).entries()) {
      media.append(make("track", { kind: track.kind, label: track.label, src: track.src, srclang: track.lang || "und", default: !place }));
    }
    if (onDisk) addCues(data);
    media.setAttribute("src", data.media);
  }

  function noMedia(reason) {
    playable = false;
    media.hidden = true;
    $("no-media").hidden = false;
    $("no-media").textContent = reason;
    $("media-note").hidden = true;
  }

  // A page on a disk may load no track file: the cues are made here, and WebVTT's own marks escaped.
  function addCues(data) {
    const spoken = data.levels.find((level) => level.level === "speech");
    if (!spoken || !spoken.captions.length) return;
    // Removed tracks do not exist for players: one video is all that a file holds, so it is added once.
    const track = media.addTextTrack("captions", spoken.label || "Speech", "");
    for (const [start, end, text] of spoken.captions) {
      if (end > start && text) track.addCue(new VTTCue(start, end, plainCue(text)));
    }
    track.mode = "showing";
  }

  const plainCue = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

  // While a copy is being made it plays as far as it goes; when it is whole it is opened again, to seek in all of it.
  async function watchProxy(own) {
    let waited = false;
    for (;;) {
      const told = await ask(`/api/proxy/${encodeURIComponent(own.id)}`).catch(() => null);
      if (own !== shown || !told) return;
      if (told.state === "failed") { noMedia(told.error || "The copy for the browser could not be made."); return; }
      if (told.state === "ready") break;
      waited = true;
      $("media-note").textContent = `${own.data.mediaNote} Made to ${Math.floor(told.progress * 100)} %.`;
      await wait(700);
      if (own !== shown) return;
    }
    $("media-note").textContent = own.data.mediaNote;
    if (waited) reopen();
  }

  function reopen() {
    const playing = !media.paused;
    wantedTime = now();
    media.load();
    if (playing) media.play().catch(() => {});
  }

  media.addEventListener("loadedmetadata", () => {
    if (wantedTime + ahead() > 0) media.currentTime = wantedTime + ahead();
    $("stage").classList.toggle("sound", !media.videoWidth);
    if (media.videoWidth) $("stage").style.setProperty("--shape", `${media.videoWidth} / ${media.videoHeight}`);
    if (shown && !shown.data.duration && Number.isFinite(media.duration)) {
      shown.duration = media.duration;
      showLength();
      fit();
    }
  });
  media.addEventListener("error", () => {
    if (!playable || !media.error) return;
    wantedTime = now();
    const why = onDisk ? "It should lie beside this page, in a form that this browser can play"
      : media.error.message || "this browser cannot play it";
    noMedia(`${shown.data.name || "The video"} does not play here. ${why}. The captions work without it.`);
  });
  media.addEventListener("seeking", () => { moved(); noteTime(); });
  media.addEventListener("timeupdate", () => moved());
  media.addEventListener("pause", () => { moved(); noteTime(); });
  media.addEventListener("play", () => requestAnimationFrame(tick));

  function tick() {
    if (media.paused || !shown) return;
    moved();
    requestAnimationFrame(tick);
  }

  function seek(second) {
    if (!shown) return;
    wantedTime = clamp(second, 0, shown.duration || Infinity);
    if (playable && media.readyState > 0) media.currentTime = wantedTime + ahead();
    moved(wantedTime);
    noteTime();
  }

  function select(start, end) {
    shown.span = end === null ? null : [start, end];
    seek(start);
    show(start, end === null ? start : end);
  }

  function toggle() {
    if (!playable) return;
    if (media.paused) media.play().catch((error) => { if (error.name !== "AbortError") trouble(error); });
    else media.pause();
  }

  // All that moves with the time.
  function moved(second = now()) {
    if (!shown) return;
    $("now").textContent = clock(second, 1);
    $("playhead").style.transform = `translateX(${second * view.scale}px)`;
    const slider = $("lane-scroll");
    const whole = String(Math.floor(second));
    if (slider.getAttribute("aria-valuenow") !== whole) {
      slider.setAttribute("aria-valuenow", whole);
      slider.setAttribute("aria-valuetext", spoken(second));
    }
    if (!media.paused && playable) keepInView(second);
    markRows(second);
  }

  // --- lanes: every level on one axis, drawn on a canvas as wide as what is seen of it

  const lane = { ruler: 24, hits: 24, height: 26, gap: 4 };
  const view = { scale: 1, least: 1, most: 250, fitted: true, asked: 0, colours: null, touched: 0 };
  const scroller = $("lane-scroll");
  const canvas = $("lane-canvas");
  const pen = canvas.getContext("2d");

  // reach[i] is the latest end of the captions up to i, so that what is seen begins at a place found by halving.
  function laneOf({ level, label, captions }) {
    const reach = new Float64Array(captions.length);
    let latestEnd = 0;
    captions.forEach((caption, place) => { latestEnd = Math.max(latestEnd, caption[1]); reach[place] = latestEnd; });
    const bare = captions.every((caption) => !caption[2] && !caption[3]);
    return { level, label: label || level, captions, reach, bare, ...packed(captions) };
  }

  // Captions that overlap lie under each other, in up to three rows of their lane.
  function packed(captions) {
    const ends = [];
    const rows = captions.map(([start, end]) => {
      let row = ends.findIndex((one) => one <= start + 0.001);
      if (row < 0) row = ends.length < 3 ? ends.length : ends.indexOf(Math.min(...ends));
      ends[row] = end;
      return row;
    });
    return { rows, depth: Math.max(1, ends.length) };
  }

  function firstPlace(length, after) {
    let [low, high] = [0, length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (after(middle)) high = middle; else low = middle + 1;
    }
    return low;
  }

  // The places of the captions of a lane that share time with [start, end].
  function placesIn({ captions, reach }, start, end) {
    const from = firstPlace(captions.length, (place) => reach[place] >= start);
    const to = firstPlace(captions.length, (place) => captions[place][0] > end);
    return [from, to];
  }

  function placesAt(one, second) {
    const [from, to] = placesIn(one, second, second + 0.002);
    const found = [];
    for (let place = to - 1; place >= from; place -= 1) {
      const [start, end] = one.captions[place];
      if (start <= second + 0.002 && second < end) found.unshift(place);
    }
    return found;
  }

  const rowHeight = (one) => (one.depth > 1 ? 17 : lane.height);
  const topOf = (place) => lane.ruler + (shown.hits.length ? lane.hits : 0) + lane.gap
    + shown.levels.slice(0, place).reduce((sum, one) => sum + one.depth * rowHeight(one) + lane.gap, 0);
  const wordsOf = (one, place) => one.captions[place][3] || one.captions[place][2] || `${one.label.replace(/s$/, "")} ${place + 1}`;

  function openLanes() {
    const labels = shown.levels.map((one) => {
      const node = toned(make("button", { type: "button", title: `List only: ${one.label}` }, one.label), one.level);
      node.addEventListener("click", () => { showOnly(one.level); showPane("list"); });
      return node;
    });
    $("lane-labels").replaceChildren(...labels);
    view.fitted = true;
    layLanes();
    fit();
  }

  function layLanes() {
    const labels = [...$("lane-labels").querySelectorAll("button")];
    labels.forEach((node, place) => {
      const one = shown.levels[place];
      node.style.top = `${topOf(place)}px`;
      node.style.height = `${one.depth * rowHeight(one)}px`;
    });
    const hits = $("lane-labels").querySelector("span");
    if (hits) hits.remove();
    if (shown.hits.length) {
      const node = make("span", {}, "Moments");
      node.style.top = `${lane.ruler}px`;
      node.style.height = `${lane.hits}px`;
      $("lane-labels").append(node);
    }
    const widest = Math.max(0, ...labels.map((node) => node.scrollWidth));
    $("lane-labels").style.width = `${Math.max(narrow.matches ? 76 : 104, widest)}px`;
    view.height = topOf(shown.levels.length) + 2;
    $("lane-body").hidden = !shown.levels.length;
    $("lane-labels").style.height = `${view.height}px`;
    canvas.style.height = `${view.height}px`;
    repaint();
  }

  function fit() {
    if (!shown) return;
    view.least = scroller.clientWidth / Math.max(shown.duration, 0.1);
    view.most = Math.max(view.least, 250);
    zoomTo(view.fitted ? view.least : Math.max(view.scale, view.least));
  }

  // The second under `x` pixels from the left edge stays there.
  function zoomTo(scale, x = scroller.clientWidth / 2) {
    const second = (scroller.scrollLeft + x) / view.scale;
    view.scale = clamp(scale, view.least, view.most);
    view.fitted = view.scale <= view.least * 1.001;
    $("lane-wide").style.width = view.fitted ? "100%" : `${Math.ceil(shown.duration * view.scale)}px`;
    scroller.scrollLeft = second * view.scale - x;
    $("zoom-out").disabled = view.fitted;
    $("zoom-fit").disabled = view.fitted;
    $("zoom-in").disabled = view.scale >= view.most;
    moved();
    repaint();
  }

  // Zooming from a button or a key keeps the current time in its place, where it is seen.
  function zoomBy(factor) {
    const x = now() * view.scale - scroller.scrollLeft;
    zoomTo(view.scale * factor, x >= 0 && x <= scroller.clientWidth ? x : undefined);
  }

  function keepInView(second) {
    if (view.fitted || performance.now() - view.touched < 4000) return;
    const x = second * view.scale - scroller.scrollLeft;
    if (x < 0 || x > scroller.clientWidth * 0.92) scroller.scrollLeft = second * view.scale - scroller.clientWidth * 0.15;
  }

  // Brings a span into the lanes without changing the scale.
  function show(start, end) {
    if (view.fitted) { repaint(); return; }
    const [left, right] = [scroller.scrollLeft / view.scale, (scroller.scrollLeft + scroller.clientWidth) / view.scale];
    if (start < left || end > right) scroller.scrollLeft = ((start + end) / 2) * view.scale - scroller.clientWidth / 2;
    repaint();
  }

  function repaint() {
    if (!view.asked) view.asked = requestAnimationFrame(paint);
  }

  function colours() {
    const probe = make("span", { hidden: true });
    document.body.append(probe);
    const colour = (name) => { probe.style.color = `var(--${name})`; return getComputedStyle(probe).color; };
    const names = ["ink", "quiet", "line", "card", "soft", "hit", "accent", "on-accent"];
    const found = Object.fromEntries(names.map((name) => [name, colour(name)]));
    found.tone = Object.fromEntries(["segment", "clip", "shot", "speech", "screen", "other"].map((name) => [name, colour(name)]));
    probe.remove();
    return found;
  }

  function paint() {
    view.asked = 0;
    if (!shown || $("watch").hidden || !shown.levels.length) return;
    const [width, height, ratio] = [scroller.clientWidth, view.height, window.devicePixelRatio || 1];
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.width = `${width}px`;
    }
    view.colours = view.colours || colours();
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = `12px ${face}`;
    pen.textBaseline = "middle";
    const left = scroller.scrollLeft / view.scale;
    const right = (scroller.scrollLeft + width) / view.scale;
    paintRuler(left, right, height);
    paintBands(height);
    shown.levels.forEach((one, place) => paintLane(one, place, left, right, width));
    if (shown.hits.length) paintFlags();
  }

  const face = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';
  const toX = (second) => second * view.scale - scroller.scrollLeft;
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];

  function paintRuler(left, right, height) {
    const step = steps.find((one) => one * view.scale >= 70) || steps[steps.length - 1] * 7;
    pen.lineWidth = 1;
    for (let count = Math.floor(left / step); count * step <= right; count += 1) {
      const x = Math.round(toX(count * step)) + 0.5;
      pen.strokeStyle = view.colours.line;
      pen.beginPath();
      pen.moveTo(x, 0);
      pen.lineTo(x, height);
      pen.stroke();
      pen.fillStyle = view.colours.quiet;
      pen.fillText(clock(count * step, step < 1 ? 1 : 0), x + 4, lane.ruler / 2 + 1);
    }
  }

  function paintBands(height) {
    const spans = shown.hits.map((hit, place) => [hit.start, hit.end, place === shown.hit ? 0.2 : 0.07, "hit"]);
    if (shown.span && shown.hit < 0) spans.push([...shown.span, 0.16, "accent"]);
    for (const [start, end, part, colour] of spans) {
      pen.globalAlpha = part;
      pen.fillStyle = view.colours[colour];
      pen.fillRect(toX(start), lane.ruler, Math.max(2, (end - start) * view.scale), height - lane.ruler);
    }
    pen.globalAlpha = 1;
  }

  function paintLane(one, place, left, right, width) {
    const top = topOf(place);
    const high = rowHeight(one);
    const tone = view.colours.tone[tones[one.level] || "other"];
    const [from, to] = placesIn(one, left, right);
    const current = new Set(placesAt(one, now()));
    const last = [-1, -1, -1];
    pen.font = `${one.depth > 1 ? 11 : 12}px ${face}`;
    for (let at = from; at < to; at += 1) {
      const [start, end] = one.captions[at];
      const [x, row] = [toX(start), one.rows[at]];
      const wide = Math.max(1, (end - start) * view.scale);
      if (x + wide < 0 || x > width) continue;
      const found = shown.found.has(one.captions[at][4]);
      // Thousands that fall on one column of pixels are drawn once.
      if (wide < 1.5 && Math.floor(x) === last[row] && !found) continue;
      last[row] = Math.floor(x);
      const room = wide > 3 ? 1 : 0;
      const y = top + row * high;
      const tall = one.depth > 1 ? high - 1 : high;
      pen.fillStyle = tone;
      pen.globalAlpha = current.has(at) ? 0.5 : at % 2 ? 0.2 : 0.29;
      pen.fillRect(x, y, Math.max(1, wide - room), tall);
      pen.globalAlpha = 1;
      if (wide > 6) pen.fillRect(x, y, 2, tall);
      if (found) {
        pen.fillStyle = view.colours.hit;
        pen.fillRect(x, y + tall - 3, Math.max(2, wide - room), 3);
      }
      if (wide > 34) paintWords(wordsOf(one, at), Math.max(x, 0), y + tall / 2 + 0.5, Math.min(x + wide, width));
    }
    pen.font = `12px ${face}`;
  }

  function paintWords(words, x, middle, end) {
    const room = end - x - 10;
    if (room < 22) return;
    // Letters are 3 pixels wide at least: no more of them than fit are measured.
    let text = words.slice(0, Math.ceil(room / 3)).replace(/\s+/g, " ");
    if (pen.measureText(text).width > room) {
      while (text.length > 1 && pen.measureText(`${text}…`).width > room) {
        const fits = Math.floor(text.length * (room / pen.measureText(`${text}…`).width)) + 1;
        text = text.slice(0, Math.min(text.length - 1, fits));
      }
      text = `${text.replace(/[\s\ud800-\udbff]+$/, "")}…`;
      if (text.length < 4) return;
    }
    pen.fillStyle = view.colours.ink;
    pen.fillText(text, x + 6, middle);
  }

  function paintFlags() {
    const middle = lane.ruler + lane.hits / 2;
    // The best are drawn last, over the others.
    for (let place = shown.hits.length - 1; place >= 0; place -= 1) {
      const hit = shown.hits[place];
      const x = toX(hit.start);
      pen.globalAlpha = place === shown.hit ? 1 : 0.62;
      pen.fillStyle = view.colours.hit;
      pen.fillRect(x, middle - 2, Math.max(2, (hit.end - hit.start) * view.scale), 4);
      pen.globalAlpha = 1;
      const label = String(place + 1);
      const wide = Math.max(16, pen.measureText(label).width + 9);
      pen.fillStyle = place === shown.hit ? view.colours.hit : view.colours.card;
      pen.strokeStyle = view.colours.hit;
      pen.lineWidth = 1.5;
      pen.beginPath();
      pen.roundRect(x, middle - 8.5, wide, 17, 5);
      pen.fill();
      pen.stroke();
      pen.fillStyle = place === shown.hit ? view.colours.card : view.colours.ink;
      pen.fillText(label, x + (wide - pen.measureText(label).width) / 2, middle + 1);
    }
  }

  // What lies under the pointer: a hit, a caption with its lane, or only a second.
  function under(event) {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const second = clamp((x + scroller.scrollLeft) / view.scale, 0, shown.duration);
    if (shown.hits.length && y >= lane.ruler && y < lane.ruler + lane.hits) {
      const near = (hit) => x >= toX(hit.start) - 2 && x <= Math.max(toX(hit.end), toX(hit.start) + 18) + 2;
      const hit = shown.hits.findIndex(near);
      return { second, hit };
    }
    const place = shown.levels.findLastIndex((_, number) => y >= topOf(number) - lane.gap / 2);
    const one = shown.levels[place];
    if (!one) return { second, ruler: y <= lane.ruler };
    const row = clamp(Math.floor((y - topOf(place)) / rowHeight(one)), 0, one.depth - 1);
    const slack = 3 / view.scale;
    const [from, to] = placesIn(one, second - slack, second + slack);
    let best = null;
    for (let at = from; at < to; at += 1) {
      const [start, end] = one.captions[at];
      const far = second < start ? start - second : second >= end ? second - end : 0;
      if (one.rows[at] === row && far <= slack && (!best || far <= best.far)) best = { at, far };
    }
    return best ? { second, one, at: best.at } : { second };
  }

  canvas.addEventListener("click", (event) => {
    const found = under(event);
    if (found.hit >= 0) { chooseHit(found.hit); return; }
    const caption = found.one && found.one.captions[found.at];
    shown.span = null;
    if (caption) jump(caption, found.one.level); else seek(found.second);
    repaint();
  });
  canvas.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse" || event.button || !under(event).ruler) return;
    canvas.setPointerCapture(event.pointerId);
    const drag = (next) => seek(under(next).second);
    canvas.addEventListener("pointermove", drag);
    canvas.addEventListener("lostpointercapture", () => canvas.removeEventListener("pointermove", drag), { once: true });
  });
  canvas.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse") hover(event); });
  canvas.addEventListener("pointerleave", () => hover(null));
  scroller.addEventListener("scroll", () => { repaint(); hover(null); }, { passive: true });
  scroller.addEventListener("wheel", (event) => {
    view.touched = performance.now();
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoomTo(view.scale * Math.exp(-event.deltaY / 150), event.clientX - canvas.getBoundingClientRect().left);
  }, { passive: false });
  scroller.addEventListener("pointerdown", () => { view.touched = performance.now(); });
  $("zoom-in").addEventListener("click", () => zoomBy(2));
  $("zoom-out").addEventListener("click", () => zoomBy(0.5));
  $("zoom-fit").addEventListener("click", () => zoomTo(view.least));
  new ResizeObserver(() => { if (shown) fit(); }).observe(scroller);
  narrow.addEventListener("change", () => { if (shown) layLanes(); });

  let looking = 0;
  function hover(event) {
    const tip = $("tip");
    clearTimeout(looking);
    if (!event || !shown || event.buttons) { tip.hidden = true; return; }
    const found = under(event);
    const caption = found.one && found.one.captions[found.at];
    const hit = found.hit >= 0 ? shown.hits[found.hit] : null;
    const first = hit && hit.evidence && hit.evidence[0];
    tip.querySelector("b").textContent = caption ? between(caption[0], caption[1]) : hit ? between(hit.start, hit.end) : clock(found.second);
    const words = caption ? [caption[3], caption[2]].filter(Boolean).join(": ") || wordsOf(found.one, found.at) : first ? first.text : "";
    tip.querySelector("span").textContent = words.length > 220 ? `${words.slice(0, 220)}…` : words;
    tip.hidden = false;
    const [width, height] = [tip.offsetWidth, tip.offsetHeight];
    const left = clamp(event.clientX - width / 2, 8, innerWidth - width - 8);
    const above = canvas.getBoundingClientRect().top - height - 6;
    tip.style.transform = `translate(${left}px, ${above > 4 ? above : event.clientY + 18}px)`;
    looking = setTimeout(() => lookAt(found.second, event), 120);
  }

  // The picture at a second: from the server, or from the file itself beside a page on a disk.
  function lookAt(second, event) {
    const holder = $("tip-picture");
    if (!shown || !playable) { holder.hidden = true; return; }
    const step = Math.max(0.5, scroller.clientWidth / view.scale / 400);
    const rounded = Math.floor(second / step) * step;
    if (onDisk) {
      if (!holder.firstChild) {
        const small = make("video", { muted: true, preload: "metadata", src: shown.data.media, tabindex: "-1" });
        small.addEventListener("error", () => { holder.hidden = true; });
        holder.append(small);
      }
      holder.firstChild.currentTime = rounded + ahead();
    } else {
      const image = make("img", { src: thumb(shown.id, rounded, 108), alt: "" });
      image.addEventListener("error", () => { holder.hidden = true; });
      holder.replaceChildren(image);
    }
    const was = holder.hidden;
    holder.hidden = false;
    if (was) { hover(event); }
  }

  // --- the list

  const list = $("list");
  const hidden = new Set();
  const block = 40;
  const most = 10000;

  // A level nobody wrote a word for, and shots where clips tell the same, begin hidden.
  function openList() {
    hidden.clear();
    const levels = shown.levels.map((one) => one.level);
    for (const one of shown.levels) {
      const doubled = one.level === "shot" && levels.some((level) => level !== "shot");
      if (shown.levels.length > 1 && (one.bare || doubled)) hidden.add(one.level);
    }
    if (hidden.size === shown.levels.length) hidden.clear();
    const chips = shown.levels.map((one) => {
      const node = toned(make("button", { type: "button" }, make("i", {}), one.label,
        make("span", { class: "quiet" }, String(one.captions.length))), one.level);
      node.dataset.level = one.level;
      node.addEventListener("click", () => {
        if (hidden.has(one.level)) hidden.delete(one.level); else hidden.add(one.level);
        fillList();
      });
      return node;
    });
    $("levels").replaceChildren(...chips);
    press($("follow"), !narrow.matches);
    fillList();
  }

  function showOnly(level) {
    for (const one of shown.levels) if (one.level === level) hidden.delete(one.level); else hidden.add(one.level);
    fillList();
  }

  // Coarse captions stand before the finer ones that begin with them: levels come in that order.
  function fillList() {
    for (const chip of $("levels").children) press(chip, !hidden.has(chip.dataset.level));
    const rows = [];
    shown.levels.forEach((one, depth) => {
      if (hidden.has(one.level)) return;
      one.captions.forEach((caption, place) => rows.push({ caption, one, place, depth, node: null }));
    });
    rows.sort((a, b) => a.caption[0] - b.caption[0] || a.depth - b.depth || a.place - b.place);
    shown.rows = rows;
    shown.byId = new Map(rows.map((row) => [`${row.one.level} ${row.place}`, row]));
    shown.current = [];
    list.replaceChildren();
    list.scrollTop = 0;
    if (!rows.length) list.append(make("p", { class: "empty" }, shown.levels.length ? "Choose a level above." : "No captions yet."));
    seen.disconnect();
    for (let from = 0; from < rows.length; from += block) {
      const group = make("ol", { class: "block" });
      group.rows = rows.slice(from, from + block);
      for (const row of group.rows) row.group = group;
      list.append(group);
      if (from < 3 * block) build(group); else seen.observe(group);
    }
    buildOn();
    markRows(now(), true);
  }

  // Lines are made when they come near, and up to some thousands all of them, so that the browser's own search finds them.
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) build(entry.target);
  }, { rootMargin: "1500px" });

  function build(group) {
    if (group.firstChild || !shown) return;
    group.append(...group.rows.map(rowNode));
    seen.unobserve(group);
  }

  // In slices, so that the page answers meanwhile.
  function buildOn() {
    const { rows } = shown;
    const groups = rows.length > most ? [] : [...list.querySelectorAll(".block")];
    const slice = () => {
      if (!shown || rows !== shown.rows) return;
      const began = performance.now();
      while (groups.length && performance.now() - began < 8) build(groups.shift());
      if (groups.length) setTimeout(slice, 0);
      else performance.mark("longshot-list");
    };
    setTimeout(slice, 0);
  }

  const coarse = (one) => tones[one.level] === "segment";

  function rowNode(row) {
    const { caption, one, place } = row;
    const [start, end, text, title] = caption;
    const words = text || title ? [title ? make("b", {}, title) : "", title && text ? "\n" : "", text || ""] : wordsOf(one, place);
    const kind = ["row", coarse(one) ? "coarse" : "", text || title ? "" : "bare", shown.found.has(caption[4]) ? "found" : ""];
    row.node = make("li", { class: kind.filter(Boolean).join(" ") },
      make("button", { type: "button", tabindex: "-1", title: between(start, end), "aria-label": `${clock(start)}, ${one.label}` }, clock(start)),
      toned(make("p", { dir: "auto" }, words), one.level));
    row.node.row = row;
    return row.node;
  }

  function nodeOf(row) {
    if (!row.node) build(row.group);
    return row.node;
  }

  list.addEventListener("click", (event) => {
    const node = event.target.closest(".row");
    if (!node || String(getSelection())) return;
    press($("follow"), true);
    shown.span = null;
    jump(node.row.caption, node.row.one.level);
  });
  list.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const here = event.target.closest(".row");
    const place = here ? shown.rows.indexOf(here.row) + (event.key === "ArrowDown" ? 1 : -1) : 0;
    const next = shown.rows[place];
    if (!next) return;
    event.preventDefault();
    focusable(nodeOf(next)).focus();
  });

  // One button of the list is in the order of the tab key; the arrows go on from it.
  function focusable(node) {
    const before = list.querySelector('button[tabindex="0"]');
    if (before) before.setAttribute("tabindex", "-1");
    const button = node.querySelector("button");
    button.setAttribute("tabindex", "0");
    return button;
  }

  function jump(caption, level) {
    seek(caption[0]);
    tell(`${clock(caption[0])} ${level}: ${(caption[3] || caption[2]).slice(0, 200)}`);
  }

  function markRows(second, anew = false) {
    if (!shown.rows) return;
    const current = [];
    for (const one of shown.levels) {
      for (const place of placesAt(one, second)) {
        const row = shown.byId.get(`${one.level} ${place}`);
        if (row) current.push(row);
      }
    }
    const same = current.length === shown.current.length && current.every((row, place) => row === shown.current[place]);
    if (same && !anew) return;
    for (const row of shown.current) {
      if (!row.node) continue;
      row.node.classList.remove("now", "here");
      row.node.removeAttribute("aria-current");
    }
    for (const row of current) nodeOf(row).classList.add("now");
    shown.current = current;
    // The one that began last is the one being said.
    const first = current.reduce((best, row) => (!best || row.caption[0] >= best.caption[0] ? row : best), null)
      || shown.rows[Math.max(0, firstPlace(shown.rows.length, (place) => shown.rows[place].caption[0] > second) - 1)];
    if (first && current.includes(first)) {
      first.node.classList.add("here");
      first.node.setAttribute("aria-current", "true");
    }
    if (first && !list.contains(document.activeElement)) focusable(nodeOf(first));
    if (first && isPressed($("follow"))) reveal(nodeOf(first));
    repaint();
  }

  function reveal(node) {
    if ($("list-pane").hidden) return;
    const own = getComputedStyle(list).overflowY === "auto";
    if (!own && !narrow.matches) return;
    const move = () => {
      const box = own ? list.getBoundingClientRect() : { top: $("stage").offsetHeight, bottom: innerHeight };
      const at = node.getBoundingClientRect();
      if (at.top >= box.top + 4 && at.bottom <= box.bottom - 24) return false;
      const far = at.top - box.top - (box.bottom - box.top) * 0.3;
      if (own) list.scrollTop += far; else scrollBy({ top: far });
      return true;
    };
    // Blocks that were never seen are as high as was guessed, until they are seen.
    if (move()) requestAnimationFrame(() => { if (move()) requestAnimationFrame(move); });
  }

  const unfollow = () => press($("follow"), false);
  list.addEventListener("wheel", unfollow, { passive: true });
  list.addEventListener("touchmove", unfollow, { passive: true });
  $("follow").addEventListener("click", () => {
    press($("follow"), !isPressed($("follow")));
    markRows(now(), true);
  });

  function step(way) {
    if (!shown || !shown.rows.length) return;
    const second = now();
    const { rows } = shown;
    const after = firstPlace(rows.length, (place) => rows[place].caption[0] > second + 0.05);
    // Once more within half a second goes on to the one before, as in players of music.
    const before = firstPlace(rows.length, (place) => rows[place].caption[0] >= second - 0.5) - 1;
    const row = way > 0 ? rows[after] : rows[before];
    if (row) { shown.span = null; jump(row.caption, row.one.level); }
  }

  // --- finding in the open video

  let typing = 0;

  async function findMoments(words, noted = true) {
    if (!words.trim()) { showHits([], ""); return; }
    if (onDisk) { showHits(searchText(words), words); return; }
    if (noted) history.replaceState(null, "", linkTo({ video: shown.id, find: words, start: now() }));
    $("hits-note").textContent = "Looking …";
    showPane("hits");
    const own = shown;
    const found = await latest("find", (signal) => ask(query("/api/find", { video: own.id, q: words }), { signal }));
    if (own !== shown) return;
    if (!found) { showHits([], ""); return; }
    showHits(found.hits, words, found);
    if (noted && found.hits.length) chooseHit(0);
  }

  async function hitsOfSearch(wanted) {
    const own = shown;
    const values = { q: wanted.words, level: wanted.level, video: own.id, limit: 30 };
    const found = await latest("find", (signal) => ask(query("/api/search", values), { signal }));
    if (!found || own !== shown) return;
    showHits(found.hits, wanted.words, found);
    const at = found.hits.findIndex((hit) => wanted.start !== null && hit.start <= wanted.start + 0.01 && wanted.start <= hit.end);
    if (at >= 0) chooseHit(at, wanted.start);
  }

  function showHits(hits, words, found = {}) {
    shown.hits = hits;
    shown.hit = -1;
    shown.found = new Set(hits.flatMap((hit) => (hit.evidence || []).map((one) => idOf(one))).filter(Boolean));
    for (const row of shown.rows) if (row.node) row.node.classList.toggle("found", shown.found.has(row.caption[4]));
    const said = hits.length ? `${many(hits.length, "moment")} for “${words}”` : `Nothing in this video for “${words}”`;
    $("hits-note").textContent = inOneLine(said, found);
    $("hits").replaceChildren(...hits.map((hit, place) => {
      const node = moment(hit, "button", { type: "button" }, place + 1);
      node.addEventListener("click", () => chooseHit(place));
      return make("li", {}, node);
    }));
    $("panes").hidden = !words;
    $("to-hits").textContent = `Moments ${hits.length}`;
    showPane(words ? "hits" : "list");
    if (words) tell(`${said}.`);
    layLanes();
  }

  // The caption that a piece of evidence is: by its id, else by its place in time.
  function idOf(evidence) {
    if (evidence.id) return evidence.id;
    const one = shown.levels.find((found) => found.level === evidence.level);
    if (!one) return "";
    const [from, to] = placesIn(one, evidence.start - 0.01, evidence.start + 0.01);
    const found = one.captions.slice(from, to).find((caption) => Math.abs(caption[0] - evidence.start) < 0.01);
    return found ? found[4] : "";
  }

  function chooseHit(place, at = null) {
    const hit = shown.hits[place];
    if (!hit) return;
    shown.hit = place;
    select(at === null ? hit.start : at, hit.end);
    [...$("hits").children].forEach((item, number) => {
      const node = item.firstElementChild;
      if (number === place) {
        node.setAttribute("aria-current", "true");
        if (!narrow.matches) item.scrollIntoView({ block: "nearest" });
      } else node.removeAttribute("aria-current");
    });
    tell(`Moment ${place + 1} of ${shown.hits.length}, ${between(hit.start, hit.end)}`);
  }

  function nextHit(way) {
    if (!shown || !shown.hits.length) return;
    const count = shown.hits.length;
    chooseHit(shown.hit < 0 ? (way > 0 ? 0 : count - 1) : (shown.hit + way + count) % count);
  }

  function showPane(which) {
    const hits = which === "hits";
    $("hits-pane").hidden = !hits;
    $("list-pane").hidden = hits;
    press($("to-hits"), hits);
    press($("to-list"), !hits);
    if (!hits) markRows(now(), true);
  }

  $("to-hits").addEventListener("click", () => showPane("hits"));
  $("to-list").addEventListener("click", () => showPane("list"));
  $("hit-before").addEventListener("click", () => nextHit(-1));
  $("hit-after").addEventListener("click", () => nextHit(1));
  $("find").addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(typing);
    findMoments($("find-words").value);
    if (onDisk) nextHit(1);
  });
  $("find-words").addEventListener("input", () => {
    clearTimeout(typing);
    if (onDisk) typing = setTimeout(() => findMoments($("find-words").value), 120);
    else if (!$("find-words").value) showHits([], "");
  });

  // --- searching the words of one video without a server: accents folded, word beginnings, "phrases"

  const fold = (text) => text.normalize("NFD").replace(/\p{M}+/gu, "").toLowerCase();
  const unspaced = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/u;
  const wordsIn = (text) => [...text.matchAll(/[\p{L}\p{N}\p{M}]+/gu)].map((found) => (
    { word: fold(found[0]), start: found.index, end: found.index + found[0].length }));

  function termsOf(words) {
    const phrases = [];
    const rest = words.replace(/["“”„«»]([^"“”„«»]+)["“”„«»]/g, (_, phrase) => { phrases.push(phrase); return " "; });
    const single = wordsIn(rest).map(({ word }) => [word]);
    const together = phrases.map((phrase) => wordsIn(phrase).map(({ word }) => word)).filter((parts) => parts.length);
    const keyed = new Map([...single.map((parts) => [parts[0], { parts, exact: false }]),
      ...together.map((parts) => [`"${parts.join(" ")}`, { parts, exact: true }])]);
    return [...keyed.values()].slice(0, 50);
  }

  // Where a term stands among the words of a caption.
  function rangesOf(term, words) {
    const found = [];
    for (let at = 0; at + term.parts.length <= words.length; at += 1) {
      const fits = term.parts.every((part, place) => {
        const { word } = words[at + place];
        return term.exact ? word === part : word.startsWith(part) || (unspaced.test(part) && word.includes(part));
      });
      if (fits) found.push([words[at].start, words[at + term.parts.length - 1].end]);
    }
    return found;
  }

  function searchText(query) {
    const terms = termsOf(query);
    if (!terms.length) return [];
    shown.index = shown.index || shown.levels.flatMap((one) => one.captions.map((caption) => (
      { caption, one, words: wordsIn(caption[2] || caption[3] || "") })));
    const counts = terms.map(() => 0);
    const found = [];
    for (const entry of shown.index) {
      const ranges = terms.map((term) => rangesOf(term, entry.words));
      ranges.forEach((one, place) => { counts[place] += one.length ? 1 : 0; });
      if (ranges.some((one) => one.length)) found.push({ ...entry, ranges });
    }
    // A rare word says more than a common one; 1.0 means that every word of the query is there.
    const weight = counts.map((count) => Math.log(1 + shown.index.length / (1 + count)));
    const total = weight.reduce((sum, one) => sum + one, 0);
    const scored = found.filter(({ ranges }) => terms.every((term, place) => !term.exact || ranges[place].length)).map((entry) => ({
      ...entry, score: entry.ranges.reduce((sum, one, place) => sum + (one.length ? weight[place] : 0), 0) / total,
    }));
    const length = ({ caption }) => caption[1] - caption[0];
    scored.sort((a, b) => b.score - a.score || length(a) - length(b) || a.caption[0] - b.caption[0]);
    return together(scored);
  }

  // The coarser captions around a hit are more evidence for it, not more hits.
  function together(scored) {
    const hits = [];
    for (const { caption, one, ranges, score } of scored) {
      const [start, end, , , id] = caption;
      const text = caption[2] || caption[3];
      const evidence = { level: one.level, start, end, text, id, matched: units(text, ranges.flat()) };
      const around = hits.find((hit) => start <= hit.start && hit.end <= end && hit.evidence.every((other) => other.level !== one.level));
      if (around) around.evidence.push(evidence);
      else if (hits.length < 200) hits.push({ video: shown.id, start, end, score, evidence: [evidence] });
    }
    return hits;
  }

  // Our own offsets are those of strings here; the rest of the page counts whole characters.
  function units(text, ranges) {
    if (!/[\ud800-\udfff]/.test(text)) return ranges;
    return ranges.map(([from, to]) => [[...text.slice(0, from)].length, [...text.slice(0, to)].length]);
  }

  // --- downloads: the server's exports, or files made here

  function showExports(data) {
    const box = $("exports").lastElementChild;
    const groups = new Map();
    const offered = onDisk ? ownExports(data) : data.exports || [];
    const labels = new Map(data.levels.map((level) => [level.level, level.label || level.level]));
    for (const one of offered) {
      const about = labels.get(one.level) || "All levels";
      if (!groups.has(about)) groups.set(about, []);
      groups.get(about).push(one);
    }
    $("exports").hidden = !offered.length;
    $("exports").open = false;
    box.replaceChildren(make("dl", {}, [...groups].map(([about, ones]) => [
      make("dt", {}, about),
      make("dd", {}, ones.map((one) => {
        const words = { "aria-label": `${about} as ${one.format}` };
        if (one.href) return make("a", { href: one.href, download: true, ...words }, one.format);
        const node = make("button", { type: "button", ...words }, one.format);
        node.addEventListener("click", () => save(one.name, one.text(), one.type));
        return node;
      })),
    ])));
  }

  function save(name, text, type) {
    const link = make("a", { download: name });
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  function ownExports(data) {
    const stem = (data.name || data.id || "video").replace(/\.[A-Za-z0-9]{1,5}$/, "").replace(/[\u0000-\u001f\\/:*?"<>|]+/g, "_");
    const ways = [["vtt", "text/vtt", asVtt], ["srt", "application/x-subrip", asSrt], ["txt", "text/plain", asText]];
    const object = (level) => level.captions.map(([start, end, text, title, id]) => (title ? { id, start, end, title, text } : { id, start, end, text }));
    const json = (value) => `${JSON.stringify(value, null, 1)}\n`;
    const all = { id: data.id, name: data.name, duration: data.duration, levels: Object.fromEntries(data.levels.map((level) => [level.level, object(level)])) };
    const own = data.levels.flatMap((level) => {
      const named = (format) => `${stem}.${level.level}.${format}`;
      const texts = ways.map(([format, type, write]) => (
        { format, level: level.level, name: named(format), type, text: () => write(level.captions) }));
      return [...texts, { format: "json", level: level.level, name: named("json"), type: "application/json", text: () => json(object(level)) }];
    });
    return [...own, { format: "json", level: "", name: `${stem}.json`, type: "application/json", text: () => json(all) }];
  }

  const stamp = (second, mark) => {
    const total = Math.round(second * 1000);
    const pad = (value, digits) => String(value).padStart(digits, "0");
    const [hours, minutes] = [Math.floor(total / 3600000), Math.floor(total / 60000) % 60];
    return `${pad(hours, 2)}:${pad(minutes, 2)}:${pad(Math.floor(total / 1000) % 60, 2)}${mark}${pad(total % 1000, 3)}`;
  };
  const closed = (text) => text.replace(/\r/g, "").replace(/\n\s*\n+/g, "\n").trim();
  const cueWords = ([, , text, title, id]) => closed(text || title || id || "");
  const asVtt = (captions) => ["WEBVTT\n", ...captions.map((caption) => (
    `${stamp(caption[0], ".")} --> ${stamp(caption[1], ".")}\n${plainCue(cueWords(caption))}\n`))].join("\n");
  const asSrt = (captions) => captions.map((caption, place) => (
    `${place + 1}\n${stamp(caption[0], ",")} --> ${stamp(caption[1], ",")}\n${cueWords(caption)}\n`)).join("\n");
  const asText = (captions) => captions.map((caption) => `${clock(caption[0])}  ${cueWords(caption).replace(/\n/g, " ")}\n`).join("");

  document.addEventListener("click", (event) => {
    const menu = $("exports");
    if (menu.open && !menu.contains(event.target)) menu.open = false;
  });

  // --- search across the library

  $("search").addEventListener("submit", (event) => {
    event.preventDefault();
    const words = $("search-words").value.trim();
    go(words ? { words } : {});
  });
  $("like-file").addEventListener("change", async () => {
    const [file] = $("like-file").files;
    $("like-file").value = "";
    if (!file) return;
    leaveVideo();
    $("watch").hidden = true;
    $("library").hidden = false;
    $("videos").hidden = true;
    $("results").hidden = false;
    $("results").replaceChildren();
    $("library-levels").hidden = true;
    $("library-name").textContent = `Like ${file.name}`;
    $("library-note").textContent = "Searching …";
    const options = { method: "POST", body: file, headers: { "Content-Type": file.type || "application/octet-stream" } };
    const found = await latest("search", (signal) => ask("/api/like", { ...options, signal }));
    if (found) showFound(found, file.name, {}); else $("library-note").textContent = "";
  });
  follows($("home"), {});

  // A video is sent whole and then added by the server, which takes a while; the list shows it when that is done.
  $("upload-file").addEventListener("change", async () => {
    const [file] = $("upload-file").files;
    $("upload-file").value = "";
    if (!file) return;
    const type = file.type || "application/octet-stream";
    try {
      uploading(`Sending ${file.name} …`);
      const sent = await ask(query("/api/upload", { name: file.name }), { method: "POST", body: file, headers: { "Content-Type": type } });
      await added(sent.name);
      trouble(null);
    } catch (error) {
      uploading("");
      trouble(error);
    }
  });

  async function added(name) {
    for (;;) {
      const { uploads } = await ask("/api/uploads");
      const one = uploads.find((upload) => upload.name === name);
      if (one && one.state === "failed") throw new Error(`${name}: ${one.reason}`);
      if (!one || one.state === "added") break;
      uploading(`${name} is ${one.state === "adding" ? "being looked at" : "waiting"} …`);
      await wait(1000);
    }
    uploading("");
    tell(`${name} was added`);
    library = null;
    if (shown) await loadLibrary(); else await route();
  }

  function uploading(text) {
    $("uploading").hidden = !text;
    $("uploading").textContent = text;
  }

  // --- looks, keys

  function dark() {
    const own = document.documentElement.dataset.theme;
    return own ? own === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  function showTheme() {
    press($("theme"), dark());
    view.colours = null;
    repaint();
  }

  function changeTheme() {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    store("longshot-theme", document.documentElement.dataset.theme);
    showTheme();
  }

  // Browsers may refuse storage to pages on a disk or in private windows; the choice then lasts as long as the page.
  function store(name, value) {
    try { localStorage.setItem(name, value); } catch { /* as said above */ }
  }

  function stored(name) {
    try { return localStorage.getItem(name); } catch { return null; }
  }

  $("theme").addEventListener("click", changeTheme);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);
  $("help-open").addEventListener("click", () => $("help").showModal());

  function toggleCues() {
    const tracks = [...media.textTracks].filter((track) => track.kind === "captions" || track.kind === "subtitles");
    const on = tracks.some((track) => track.mode === "showing");
    tracks.forEach((track, place) => { track.mode = !on && place === 0 ? "showing" : "disabled"; });
  }

  function searchBox() {
    const box = $("search").hidden ? $("find-words") : $("search-words");
    box.focus();
    box.select();
  }

  const ofVideo = {
    " ": toggle, k: toggle, j: () => seek(now() - 10), l: () => seek(now() + 10),
    ArrowLeft: () => seek(now() - 5), ArrowRight: () => seek(now() + 5),
    Home: () => seek(0), End: () => seek(duration()),
    ",": () => seek(now() - 1 / pictures()), ".": () => seek(now() + 1 / pictures()),
    "[": () => step(-1), "]": () => step(1), n: () => nextHit(1), p: () => nextHit(-1),
    f: () => { $("find-words").focus(); $("find-words").select(); },
    "+": () => zoomBy(2), "=": () => zoomBy(2), "-": () => zoomBy(0.5), 0: () => zoomTo(view.least),
    c: toggleCues, m: () => { media.muted = !media.muted; },
  };
  const anywhere = { "/": searchBox, t: changeTheme, "?": () => $("help").showModal() };
  const pictures = () => (shown && shown.data.fps) || 25;

  document.addEventListener("keydown", (event) => {
    const here = document.activeElement;
    const writing = here && (here.matches("input:not([type=file]), textarea, select") || here.isContentEditable);
    if (event.key === "Escape") {
      if (writing) here.blur();
      else if ($("exports").open) $("exports").open = false;
      else if (shown && !$("panes").hidden) { $("find-words").value = ""; showHits([], ""); }
      return;
    }
    if (writing || event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
    // Space presses the button that has the focus, and the arrows of a list are its own.
    if (event.key === " " && here && here.closest("button, a, summary, label")) return;
    const act = anywhere[event.key] || (shown && ofVideo[event.key]);
    if (!act) return;
    event.preventDefault();
    act();
  });

  // --- start

  async function route() {
    const wanted = address();
    if (wanted.video) await showVideo(wanted);
    else await showLibrary(wanted);
  }

  // Drawn once and ready for a click: what benchmarks/page.py waits for.
  let drawn = false;
  function ready() {
    if (drawn) return;
    drawn = true;
    requestAnimationFrame(() => requestAnimationFrame(() => {
      performance.mark("longshot-ready");
      document.documentElement.dataset.ready = "yes";
    }));
  }

  function start() {
    const theme = stored("longshot-theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
    showTheme();
    if (!onDisk) {
      addEventListener("popstate", () => route().catch(trouble));
      return route();
    }
    $("home").removeAttribute("href");
    const wanted = address();
    openVideo(config.page, wanted.start || 0);
    if (wanted.start !== null) select(wanted.start, wanted.end);
    addEventListener("hashchange", () => { const { start: at, end } = address(); if (at !== null) select(at, end); });
    ready();
    return Promise.resolve();
  }

  start().catch(trouble);
})();
