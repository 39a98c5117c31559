"""Tables that code generates stand in the documents as it would write them now."""

import pytest

from router_proxy.configuration.settings import settings_table
from router_proxy.record.metric_catalogue import metrics_table
from tests.conftest import CHECKOUT


@pytest.mark.parametrize(
    ("document", "name", "table"),
    [
        pytest.param("docs/reference.md", "settings", settings_table(), id="environment variables"),
        pytest.param("docs/reference.md", "metrics", metrics_table(), id="metrics"),
    ],
)
def test_a_generated_table_is_current(document: str, name: str, table: str) -> None:
    text = (CHECKOUT / document).read_text(encoding="utf-8")

    assert text.partition(f"<!-- {name} -->\n")[2].partition(f"\n<!-- /{name} -->")[0] == table
