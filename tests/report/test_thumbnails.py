"""Thumbnails that are embedded in a page."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from verl_vision_r1.data.parquet import make_row, write_rows
from verl_vision_r1.report.thumbnails import SIDES, Thumbnail, embedded_images, thumbnail
from verl_vision_r1.targets import Target

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (600, 900, 3), dtype=np.uint8))


def decoded(url: str) -> Image.Image:
    head, data = url.split(",")
    assert head == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_the_largest_size_within_the_budget_is_used(tmp_path: Path) -> None:
    path = tmp_path / "noise.png"
    NOISE.save(path)
    sizes = {budget: decoded(thumbnail(path, budget).url).size for budget in (10_000_000, 60_000, 10)}
    assert sizes[10_000_000] == (900, 600)
    assert 160 < sizes[60_000][0] < 640
    assert len(thumbnail(path, 60_000).url) <= 60_000
    assert sizes[10][0] == SIDES[-1]


def test_a_small_image_is_not_enlarged(tmp_path: Path) -> None:
    path = tmp_path / "small.png"
    Image.new("RGB", (40, 30), "red").save(path)
    assert decoded(thumbnail(path, 10_000).url).size == (40, 30)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n broken"])
def test_an_invalid_image_gives_a_note(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    assert thumbnail(path, 10_000) == Thumbnail("", "image cannot be read")
    assert thumbnail(content, 10_000) == Thumbnail("", "image cannot be read")
    assert thumbnail(tmp_path / "nowhere.png", 10_000) == Thumbnail("", "image not found")


def test_embedded_images_are_found_by_name(tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    Image.new("RGB", (40, 30), "blue").save(image)
    target = Target([[0, 0, 10, 10]], ["cat"], width=40, height=30)
    facts = {"data_source": "pets", "image": image, "target": target, "prompt": "Find.", "split": "train"}
    samples = [make_row(**facts, image_id=str(index), index=index, embed=True) for index in range(3)]
    write_rows(tmp_path / "samples.parquet", samples, embedded=True)
    files = [tmp_path / "nowhere.parquet", tmp_path / "samples.parquet"]
    assert embedded_images(files, [("pets", "1"), ("pets", "9")]) == {("pets", "1"): image.read_bytes()}


def test_a_large_image_is_decoded_reduced_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from verl_vision_r1.evaluation.presentation import image_files

    picture = Image.new("RGB", (800, 400), "red")
    picture.save(tmp_path / "a.jpg")
    picture.save(tmp_path / "a.png")
    monkeypatch.setattr(image_files, "MAX_PIXELS", 400 * 200)
    monkeypatch.setattr(image_files, "LARGE", 0)
    image, size = image_files.open_reduced(tmp_path / "a.jpg", 300)
    assert (image.size, size) == ((300, 150), (800, 400))
    assert thumbnail(tmp_path / "a.png", 10_000) == Thumbnail("", "image too large")
    with pytest.raises(ValueError, match=r"a\.png: expected at most 80,000 pixels, got 800x400"):
        image_files.open_reduced(tmp_path / "a.png", 300)


def test_large_images_do_not_add_up_in_memory(tmp_path: Path) -> None:
    """Eight images of 178 million pixels each, as many as Pillow accepts: 530 MB decoded, a few kB as a file."""
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    side = 13_370
    head = side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    for index in range(8):
        (tmp_path / f"{index}.png").write_bytes(content)
    shown = {thumbnail(tmp_path / f"{index}.png", 10_000) for index in range(8)} | {thumbnail(content, 10_000)}
    assert shown == {Thumbnail("", "image too large")}
