"""The page as the server writes it: what the operator set is what it begins with."""

import pytest
from django.test import Client
from pytest_django.fixtures import Settings


@pytest.mark.parametrize(
    ("default", "restorer", "model"),
    [("RealESRGAN_x4plus", "", "RealESRGAN_x4plus"), ("1x-clean+RealESRGAN_x4plus", "1x-clean", "RealESRGAN_x4plus")],
)
@pytest.mark.django_db
def test_it_begins_with_the_default_model_or_chain(
    client: Client, settings: Settings, default: str, restorer: str, model: str
) -> None:
    settings.DEFAULT_MODEL = default
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # no collectstatic ran
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    page = client.get("/").content.decode()
    assert f'<select id="model" data-model data-default="{model}">' in page
    assert f'<select id="restorer" name="restorer" data-default="{restorer}">' in page
