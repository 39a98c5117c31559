"""Keeps what torch, transformers and optimum say about themselves off the terminal."""

import contextlib
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence warnings and log lines of the export libraries; what they raise still comes through."""
    from optimum.utils import logging as optimum_logging
    from transformers.utils import logging as transformers_logging

    levels = [(library, library.get_verbosity()) for library in (optimum_logging, transformers_logging)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for library, _ in levels:
            library.set_verbosity(logging.ERROR)
        try:
            yield
        finally:
            for library, level in levels:
                library.set_verbosity(level)
