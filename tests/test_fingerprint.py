from __future__ import annotations

import io
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from longshot.contracts import Frames, PictureEncoder
from longshot.encoders import fingerprint
from longshot.errors import UsageError
from longshot.models import open_encoder

Picture = Image.Image


def drawn(seed: int, *, width: int = 320, height: int = 180) -> Picture:
    """A scene: clouds with the spectrum of photographs, and a few things in front."""
    random = np.random.default_rng(seed)
    far = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    far[0, 0] = 1
    noise = random.normal(size=(3, height, width)) + 1j * random.normal(size=(3, height, width))
    clouds = np.real(np.fft.ifft2(noise / far**1.1, axes=(1, 2)))
    clouds = clouds[0][None] * 0.8 + clouds * 0.3
    clouds = (clouds - clouds.mean()) / clouds.std() * 45 + random.uniform(90, 160)
    image = Image.fromarray(np.clip(clouds, 0, 255).astype(np.uint8).transpose(1, 2, 0))
    draw = ImageDraw.Draw(image)
    for _ in range(5):
        x, y, r = random.integers(0, width), random.integers(0, height), random.integers(10, 60)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=tuple(random.integers(0, 255, 3).tolist()))
    return image


SCENES = [drawn(seed) for seed in range(24)]


def jpeg(image: Picture) -> Picture:
    held = io.BytesIO()
    image.save(held, "JPEG", quality=20)
    return Image.open(held).convert("RGB")


def cut(image: Picture) -> Picture:
    wide, tall = image.size
    return image.crop((round(wide * 0.04), round(tall * 0.04), round(wide * 0.96), round(tall * 0.96)))


def barred(image: Picture) -> Picture:
    made = Image.new("RGB", (image.width, image.height + 60), (3, 3, 3))
    made.paste(image, (0, 30))
    return made


def subtitled(image: Picture) -> Picture:
    made = image.copy()
    ImageDraw.Draw(made).text((50, 150), "What they said is written here", fill=(255, 255, 255), font_size=14)
    return made


def lit(image: Picture) -> Picture:
    return Image.fromarray((255 * (np.asarray(image) / 255) ** 0.6).astype(np.uint8))


COPIES: dict[str, Callable[[Picture], Picture]] = {
    "scaled": lambda image: image.resize((96, 54)),
    "squeezed": lambda image: image.resize((240, 180)),
    "jpeg": jpeg,
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(3)),
    "dark": lambda image: ImageEnhance.Brightness(image).enhance(0.5),
    "contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.5),
    "gamma": lit,
    "grey": lambda image: image.convert("L").convert("RGB"),
    "cut": cut,
    "barred": barred,
    "subtitled": subtitled,
    "all at once": lambda image: jpeg(subtitled(cut(lit(image))).resize((240, 136))),
}


def rows(images: list[Picture]) -> np.ndarray:
    return fingerprint.load().encode_pictures([np.asarray(image.convert("RGB")) for image in images])


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_is_known_again(name: str) -> None:
    likeness = (rows([COPIES[name](scene) for scene in SCENES]) * rows(SCENES)).sum(axis=1)
    assert likeness.min() >= fingerprint.SAME


def test_other_scenes_are_not() -> None:
    found = rows(SCENES)
    assert max(found[a] @ found[b] for a, b in combinations(range(len(found)), 2)) < fingerprint.SAME - 0.1


def test_it_is_an_encoder_of_pictures() -> None:
    encoder = open_encoder("fingerprint:")
    assert isinstance(encoder, PictureEncoder)
    found = rows(SCENES[:3])
    assert found.shape == (3, encoder.dimension) and found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    pixels = np.stack([np.asarray(scene) for scene in SCENES[:3]])
    (clip,) = encoder.encode_frames([Frames(pixels, np.arange(3.0))])
    np.testing.assert_allclose(clip, found.mean(axis=0) / np.linalg.norm(found.mean(axis=0)), atol=1e-6)
    assert encoder.encode_frames([]).shape == encoder.encode_text([]).shape == (0, encoder.dimension)
    for refused in (lambda: encoder.encode_text(["a"]), lambda: encoder.encode_pictures([np.zeros((4, 4), np.uint8)])):
        with pytest.raises(UsageError) as caught:
            refused()
        assert "\n" not in str(caught.value)
    for name, pooling in (("other", ""), ("", "best")):
        with pytest.raises(UsageError, match=name or pooling):
            fingerprint.load(name, pooling=pooling)


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (3, 2), (31, 33), (700, 20)])
def test_pictures_of_any_size(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    (row,) = fingerprint.load().encode_pictures([picture])
    assert np.isfinite(row).all() and np.linalg.norm(row) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("level", [0, 16, 128, 255])
def test_plain_pictures_are_known_as_such(level: int) -> None:
    noise = np.random.default_rng(0).integers(0, 3, (90, 160, 3))
    picture = np.clip(level + noise, 0, 255).astype(np.uint8)
    plain, scene = rows([Image.fromarray(picture), SCENES[0]])
    assert fingerprint.is_plain(plain) and not fingerprint.is_plain(scene)


def test_bars_go_and_dark_pictures_stay() -> None:
    inside = np.full((40, 60, 3), 120, np.uint8)
    framed = np.zeros((60, 100, 3), np.uint8)
    framed[10:50, 20:80] = inside
    np.testing.assert_array_equal(fingerprint._inside(framed), inside)
    assert fingerprint._inside(np.zeros((60, 100, 3), np.uint8)).size
