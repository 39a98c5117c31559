"""A replay as lines for a person at a terminal."""

from collections.abc import Iterator

from .prices import CostChange
from .replay import Replay

_LINES_NAMED = 10


def replay_lines(replay: Replay, before: str, after: str) -> Iterator[str]:
    """Tell what moves between `before` and `after`, the names of what is compared."""
    yield f"{replay.replayed:,} of {replay.lines:,} lines replayed; {replay.moved:,} ({replay.moved_share:.1%}) move"
    yield from _skipped(replay)
    yield ""
    width = max([6, *(len(share.target) for share in replay.targets)])
    yield f"{'target':{width}}  {before:>17}  {after:>17}"
    for share in replay.targets:
        columns = (f"{share.before:,} ({share.before_share:.1%})", f"{share.after:,} ({share.after_share:.1%})")
        yield f"{share.target:{width}}  {columns[0]:>{max(17, len(before))}}  {columns[1]:>{max(17, len(after))}}"
    if replay.moves:
        yield ""
        yield "moves"
        for move in replay.moves:
            yield f"  {move.requests:>8,} ({move.share:.1%})  {move.source} -> {move.destination}"
    yield from _tokens(replay)


def cost_line(cost: CostChange) -> str:
    change = f" ({(cost.after - cost.before) / cost.before:+.1%})" if cost.before else ""
    return f"cost of these: {cost.before:,.4f} -> {cost.after:,.4f}{change}"


def _skipped(replay: Replay) -> Iterator[str]:
    if replay.without_scores:
        yield f"{replay.without_scores:,} without scores: no decision was taken on them"
    if replay.other_labels:
        yield f"{replay.other_labels:,} with scores of other labels than the policy needs"
    if replay.malformed:
        named = ", ".join(replay.malformed[:_LINES_NAMED])
        more = ", ..." if len(replay.malformed) > _LINES_NAMED else ""
        yield f"{len(replay.malformed):,} malformed: {named}{more}"


def _tokens(replay: Replay) -> Iterator[str]:
    yield ""
    if not replay.estimated:
        yield "The log has no token usage to estimate from."
        return
    yield f"tokens of the {replay.estimated:,} requests with usage; a moved one is taken to write its new target's mean"
    for tokens in replay.tokens:
        prompt = f"prompt {tokens.prompt_before:,} -> {tokens.prompt_after:,}"
        yield f"  {tokens.target}: {prompt}, completion {tokens.completion_before:,} -> {tokens.completion_after:,}"
    before = sum(tokens.completion_before for tokens in replay.tokens)
    after = sum(tokens.completion_after for tokens in replay.tokens)
    yield f"  completion in all: {before:,} -> {after:,} ({after - before:+,})"
