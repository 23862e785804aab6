"""Small renditions of pictures, each of the right picture."""

import io
from pathlib import Path

import pytest
from django.test import Client
from PIL import Image

from jobs.admin import thumbnails
from jobs.models import Job
from tests.jobs import made
from tests.jobs.admin.conftest import address
from tests.staff import Staff
from tests.stored import path_of

pytestmark = pytest.mark.django_db


def picture(client: Client, job: Job, kind: str, size: str) -> Image.Image:
    answer = client.get(address(job, f"{kind}/{size}.webp"))
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"] == "image/webp"
    assert "private" in answer["Cache-Control"]
    image = Image.open(io.BytesIO(answer.content))
    image.load()
    return image


def test_renditions_are_small_and_of_the_right_picture(staff: Staff) -> None:
    job = made.completed(files=True)
    client = staff("Viewers")
    red = picture(client, job, "input", "view").convert("RGB").getpixel((5, 5))
    blue = picture(client, job, "result", "thumb").convert("RGB").getpixel((5, 5))
    assert isinstance(red, tuple)
    assert isinstance(blue, tuple)
    assert red[0] > 200 > red[2]
    assert blue[2] > 200 > blue[0]


@pytest.mark.parametrize("mode", ["RGBA", "L", "LA", "P", "I;16", "CMYK", "1"])
def test_every_kind_of_picture_has_a_rendition(staff: Staff, mode: str) -> None:
    job = made.queued()
    suffix = "tif" if mode == "CMYK" else "png"
    name = f"inputs/00/{job.pk}.{suffix}"
    Job.objects.filter(pk=job.pk).update(input_file=name)
    file = io.BytesIO()
    Image.new(mode, (300, 200)).save(file, "TIFF" if mode == "CMYK" else "PNG")
    made.put(name, file.getvalue())
    assert max(picture(staff("Viewers"), job, "input", "thumb").size) == thumbnails.SIDES["thumb"]


def test_sixteen_bit_gray_is_scaled_and_not_clipped(staff: Staff) -> None:
    job = made.queued()
    file = io.BytesIO()
    Image.new("I;16", (64, 64), 32768).save(file, "PNG")
    made.put(job.input_file, file.getvalue())
    gray = picture(staff("Viewers"), job, "input", "view").convert("L").getpixel((9, 9))
    assert isinstance(gray, int | float)
    assert 120 <= gray <= 136


def test_a_turned_photo_is_shown_upright(staff: Staff) -> None:
    job = made.queued()
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.new("RGB", (60, 30), "red").save(file, "JPEG", exif=exif)
    made.put(job.input_file, file.getvalue())
    width, height = picture(staff("Viewers"), job, "input", "view").size
    assert height > width


def test_a_picture_too_large_to_decode_here_is_left_alone(staff: Staff, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "MAX_PIXELS", 100)
    answer = staff("Viewers").get(address(made.queued(files=True), "input/view.webp"))
    assert answer.status_code == 404
    assert "too many" in answer.content.decode()


def test_an_unchanged_rendition_is_not_made_again(staff: Staff, data_dir: Path) -> None:
    job = made.queued(files=True)
    client = staff("Viewers")
    first = client.get(address(job, "input/thumb.webp"))
    path_of(job.input_file).unlink()
    again = client.get(address(job, "input/thumb.webp"), headers={"If-None-Match": first["ETag"]})
    assert again.status_code == 304
