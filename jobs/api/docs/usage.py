"""Usage and its sums, as the API's document describes them."""

from jobs.api.docs import examples as example
from jobs.api.docs.parts import answer, operation
from jobs.api.serializers.usage import UsageQuerySerializer, UsageSerializer

USAGE = operation(
    "usage",
    "Maintenance",
    ("validation_error", "address_too_long"),
    summary="Tell what was computed",
    description="Jobs, megapixels, device seconds and bytes by day, model, kind of device and API key. With keys "
    "required, a caller sees its own usage, one with the scope `manage` everybody's. The ledger stays when jobs and "
    "keys go.",
    parameters=[UsageQuerySerializer],
    responses={200: answer(UsageSerializer, "The ledger", example.USAGE, "200")},
)
