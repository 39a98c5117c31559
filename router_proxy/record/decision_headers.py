"""The headers by which an answer says how it was routed."""

from router_proxy.request.headers import header_text

from .exchange import Exchange


def decision_headers(exchange: Exchange) -> dict[str, str]:
    """Return the `x-semrouter-*` headers of the answer to a request."""
    values: dict[str, str] = {"x-semrouter-mode": exchange.mode or "unknown", "x-semrouter-outcome": exchange.outcome}
    if exchange.arm is not None:
        values["x-semrouter-arm"] = exchange.arm
    if decision := exchange.decision:
        ref = decision.classifier
        values["x-semrouter-target"] = header_text(decision.target)
        values["x-semrouter-rationale"] = header_text(decision.rationale)
        values["x-semrouter-winner"] = header_text(decision.winner)
        values["x-semrouter-confidence"] = f"{decision.confidence:.4f}"
        values["x-semrouter-policy"] = header_text(decision.policy)
        values["x-semrouter-classifier"] = header_text(f"{ref.name}/{ref.version}/{ref.revision}")
        values["x-semrouter-cache"] = exchange.cache_result
    if exchange.served_by is not None:
        values["x-semrouter-upstream"] = header_text(exchange.served_by)
    return values
