"""Ask a running Triton in explicit model-control mode to load a classifier's versions again."""

from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from .errors import TritonRefused

LOAD_SECONDS = 120


def load_model(url: str, name: str) -> None:
    """Load the newest versions of `name`; Triton serves the old ones until the new ones are ready."""
    with InferenceServerClient(url) as client:
        try:
            client.load_model(name, client_timeout=LOAD_SECONDS)
        except InferenceServerException as exc:
            raise TritonRefused(name, url, exc.message()) from exc
