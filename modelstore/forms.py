"""The admin's form for bringing a model."""

from pathlib import PurePath
from typing import Any

from django import forms
from django.conf import settings
from django.core.validators import RegexValidator

from modelstore.names import NAME_PATTERN
from modelstore.states import Use


class ImportForm(forms.Form):
    """A weights file, and what to call it."""

    file = forms.FileField(
        help_text="A network of any family that the service knows, as .pth or .safetensors, or an official file"
    )
    name = forms.CharField(
        max_length=100,
        required=False,
        validators=[RegexValidator(NAME_PATTERN, "Letters, digits, dots, hyphens and underscores only.")],
        help_text="Empty: the official name, when it is an official file; else the name of the file.",
    )
    description = forms.CharField(max_length=300, required=False, widget=forms.TextInput(attrs={"size": 80}))
    licence = forms.CharField(max_length=100, required=False, help_text="Of the weights, for example CC-BY-4.0.")

    use = forms.ChoiceField(
        choices=[("", "By its scale: restoration at 1, else photos"), *Use.choices],
        required=False,
        help_text="The pictures that it is for.",
    )

    def clean_file(self) -> Any:
        """Refuse by size before anything is copied."""
        file = self.cleaned_data["file"]
        if file.size is not None and file.size > settings.MAX_MODEL_UPLOAD_MB * 1_000_000:
            raise forms.ValidationError(f"The file is larger than {settings.MAX_MODEL_UPLOAD_MB} MB.")
        return file

    @property
    def default_name(self) -> str:
        """The uploaded file's own name without its ending."""
        return PurePath(self.cleaned_data["file"].name or "").stem
