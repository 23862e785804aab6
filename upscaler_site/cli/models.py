"""``upscaler models``: the list, and the model store's commands."""

import argparse
import json

from upscaler_site.cli import manage, words

_EXAMPLES = """\
examples:
  upscaler models download RealESRGAN_x4plus realesr-general-x4v3
  upscaler models import my-network.safetensors --name my-network
  upscaler models list --json | jq -r '.[] | select(.available) | .name'

"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the deeds, each with its own arguments."""
    parser.epilog = _EXAMPLES + words.EXIT_CODES
    below = parser.add_subparsers(dest="deed", metavar="DEED", required=True)
    listing = below.add_parser("list", help="what there is, and what of it is here")
    listing.add_argument("--json", action="store_true", help="as the API gives them, for programs")
    listing.set_defaults(run=_list)
    manage.borrow(below.add_parser("download", help="bring official models"), "download_models")
    manage.borrow(below.add_parser("import", help="bring weights of your own"), "import_model")
    manage.borrow(below.add_parser("verify", help="read every file again"), "verify_models")


def _list(options: argparse.Namespace) -> int:
    with manage.database("models"):
        from modelstore.models import Model  # noqa: PLC0415 - Django's tables, once they are there
        from modelstore.serializers import ModelSerializer  # noqa: PLC0415 - as above

        found = [dict(ModelSerializer(model).data) for model in Model.objects.listed().order_by("pk")]
    if options.json:
        words.say(json.dumps(found, indent=2))
        return 0
    width = max((len(model["name"]) for model in found), default=0)
    for model in found:
        state = "here" if model["available"] else "not here" if model["status"] == "ready" else model["status"]
        words.say(f"{model['name']:{width}}  ×{model['scale']}  {state.replace('_', ' '):14}  {model['description']}")
    return 0
