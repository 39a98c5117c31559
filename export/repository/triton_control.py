"""Ask a running Triton in explicit model-control mode to load a classifier's versions again."""

from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from export.errors import TritonRefused

from .triton_flags import ADMIN_HEADER

LOAD_SECONDS = 120
ADMIN_METADATA = f"triton-grpc-protocol-{ADMIN_HEADER}"  # Triton's prefix and the header of `triton_flags`


def load_model(url: str, name: str, admin_token: str | None = None) -> None:
    """Load the newest versions of `name`; Triton serves the old ones until the new ones are ready.

    A Triton whose model control is guarded wants its `admin_token`.
    """
    headers = {ADMIN_METADATA: admin_token} if admin_token else {}
    with InferenceServerClient(url) as client:
        try:
            client.load_model(name, headers=headers, client_timeout=LOAD_SECONDS)
        except InferenceServerException as exc:
            raise TritonRefused(name, url, exc.message()) from exc
