"""A client of a running upscaler, for Python programs: docs/client.md. It needs httpx and nothing of the service."""

from upscaler_client.client import AsyncClient as AsyncClient
from upscaler_client.client import Client as Client
from upscaler_client.errors import BadAnswer as BadAnswer
from upscaler_client.errors import DownloadFailed as DownloadFailed
from upscaler_client.errors import JobFailed as JobFailed
from upscaler_client.errors import Refused as Refused
from upscaler_client.errors import TimedOut as TimedOut
from upscaler_client.errors import Unreachable as Unreachable
from upscaler_client.errors import UpscalerError as UpscalerError
from upscaler_client.shapes import Accepted as Accepted
from upscaler_client.shapes import Job as Job
from upscaler_client.shapes import Model as Model
from upscaler_client.shapes import Options as Options
from upscaler_client.shapes import Plan as Plan
from upscaler_client.shapes import Result as Result
