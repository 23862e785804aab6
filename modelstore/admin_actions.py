"""Actions of staff on a model, and what its state allows: one table for buttons, rows and actions on many."""

from collections.abc import Callable
from dataclasses import dataclass

from modelstore.downloads import requests
from modelstore.errors import WeightsDamaged
from modelstore.formatting import byte_size
from modelstore.licences import named
from modelstore.models import Model
from modelstore.states import DOWNLOADABLE, PENDING, REQUESTABLE, Origin, State
from modelstore.storage import deletion, weights

OPERATE, MANAGE = "modelstore.operate_model", "modelstore.manage_model"


# The admin capitalises the first letter of a message, so no message begins with a model's name.
def _download(model: Model) -> str:
    if model.origin not in DOWNLOADABLE:
        return f"Only models that have sources can be downloaded; {model.name} is {model.get_origin_display()}"
    if model.state == State.READY and weights.is_available(model):
        return f"Already downloaded: {model.name}"
    requests.order([model.name])
    return f"Download requested: {model.name}. Its licence: {named(model.licence)}"


def _cancel(model: Model) -> str:
    return f"{'Download cancelled' if Model.objects.cancel(model.name) else 'Not being downloaded'}: {model.name}"


def _verify(model: Model) -> str:
    if model.state != State.READY:
        return f"Not downloaded: {model.name}"
    if weights.verify(model):
        return f"Checksum verified: {model.name}"
    again = "; it is being downloaded again" if model.origin in DOWNLOADABLE else ""
    raise WeightsDamaged(f"the file of {model.name} is damaged{again}")


def _delete(model: Model) -> str:
    return f"Deleted {model.name}: {byte_size(deletion.delete(model.name))} freed"


@dataclass(frozen=True)
class Action:
    """One thing to do: ``run`` returns what to tell, or raises a ModelStoreError."""

    run: Callable[[Model], str]
    permission: str
    label: str  # on the model's own page
    short: str  # in its row of the list


#: By the name in the address.
ACTIONS = {
    "download": Action(_download, OPERATE, "Download", "Download"),
    "cancel": Action(_cancel, OPERATE, "Cancel the download", "Cancel"),
    "verify": Action(_verify, OPERATE, "Verify the file", "Verify"),
    "delete": Action(_delete, MANAGE, "Delete the file", "Delete"),
}


def possible_actions(model: Model) -> list[str]:
    """Return the actions that a model's present state allows."""
    possible = []
    if model.origin in DOWNLOADABLE and model.state in REQUESTABLE:
        possible.append("download")
    if model.origin in DOWNLOADABLE and model.state in PENDING:
        possible.append("cancel")
    if model.state == State.READY:
        possible.append("verify")
    if model.origin == Origin.IMPORTED or (model.origin in DOWNLOADABLE and model.state == State.READY):
        possible.append("delete")
    return possible


def may_be_brought(model: Model) -> bool:
    """Return whether a file of this model may be uploaded instead of downloaded, as on a host without the internet."""
    return model.origin in DOWNLOADABLE and model.state in REQUESTABLE
