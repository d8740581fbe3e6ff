"""Threads: what people say to each other about a model, a version or a part of it."""

from collections.abc import Sequence

from google.protobuf.message import Message

from kernel.errors import AlreadyExists, Denied, NotAllowedNow, NotFound, UnknownFact, invalid_field
from modelog.log.v1.fact_pb2 import Fact
from modelog.registry.v1 import collaboration_events_pb2 as facts
from modelog.registry.v1.collaboration_pb2 import (
    THREAD_STATE_OPEN,
    THREAD_STATE_RESOLVED,
    Comment,
    Thread,
    ThreadTarget,
)
from modelog.registry.v1.types_pb2 import Model, Version
from services.registry.domain.mentions import mentions
from services.registry.domain.model import present as model_present
from services.registry.domain.version import present as version_present

MOST_COMMENTS = 200
# Of all comments together: every fact of a thread writes the whole thread once more into its history.
MOST_CHARACTERS = 100_000
_OF_VERSIONS = ("transition", "review", "finding")


def present(thread: Thread) -> None:
    """NotFound for a thread that does not exist."""
    if not thread.name:
        raise NotFound("THREAD_NOT_FOUND", "there is no such thread; open one first")


def open_thread(
    thread: Thread, model: Model, version: Version | None = None, *, target: ThreadTarget, title: str, body: str
) -> facts.ThreadOpened:
    """`version`: the state of what the target names, where that is not the model itself."""
    model_present(model)
    if thread.name:
        raise AlreadyExists("THREAD_EXISTS", f"{thread.name} exists already")
    if target.name != model.name and not target.name.startswith(f"{model.name}/versions/"):
        raise invalid_field("target.name", f"{target.name} is neither {model.name} nor a version of it", "OTHER_MODEL")
    if version is not None:
        version_present(version)
    _check_part(target, version)
    return facts.ThreadOpened(target=target, title=title, body=body, mentions=mentions(body))


def _check_part(target: ThreadTarget, version: Version | None) -> None:
    """A part that the registry knows of has to be there."""
    part = target.WhichOneof("part")
    if part not in _OF_VERSIONS:
        return
    if version is None:
        raise invalid_field(f"target.{part}", "only versions have one; name the version", "PART_OF_VERSION")
    if part == "transition" and target.transition > version.transition.number:
        raise NotFound("TRANSITION_NOT_FOUND", f"{version.name} has no request {target.transition}")
    if part == "finding" and target.finding > len(version.findings):
        raise NotFound("FINDING_NOT_FOUND", f"{version.name} has no finding {target.finding}")
    wanted = (target.review.reviewer, target.review.kind)
    if part == "review" and wanted not in [(one.reviewer, one.kind) for one in version.transition.reviews]:
        raise NotFound("REVIEW_NOT_FOUND", f"{target.review.reviewer} has not reviewed {version.name} so")


def post_comment(thread: Thread, *, body: str) -> facts.CommentPosted:
    present(thread)
    if len(thread.comments) >= MOST_COMMENTS:
        raise NotAllowedNow("TOO_MANY_COMMENTS", f"{thread.name} has {MOST_COMMENTS} comments; open another thread")
    _check_length(thread, len(body))
    return facts.CommentPosted(comment=len(thread.comments) + 1, body=body, mentions=mentions(body))


def edit_comment(thread: Thread, *, comment: int, body: str, actors: Sequence[str]) -> facts.CommentEdited | None:
    known = _own_comment(thread, comment, actors)
    if known.HasField("withdraw_time"):
        raise NotAllowedNow("COMMENT_WITHDRAWN", f"comment {comment} was withdrawn; post another one")
    if known.body == body:
        return None
    _check_length(thread, len(body) - len(known.body))
    return facts.CommentEdited(comment=comment, body=body, mentions=mentions(body))


def withdraw_comment(thread: Thread, *, comment: int, actors: Sequence[str]) -> facts.CommentWithdrawn | None:
    known = _own_comment(thread, comment, actors)
    return None if known.HasField("withdraw_time") else facts.CommentWithdrawn(comment=comment)


def _own_comment(thread: Thread, comment: int, actors: Sequence[str]) -> Comment:
    """`actors`: who acts, then for whom. Nobody puts words into another's mouth, whatever their roles."""
    present(thread)
    if not 1 <= comment <= len(thread.comments):
        raise NotFound("COMMENT_NOT_FOUND", f"{thread.name} has {len(thread.comments)} comments")
    known = thread.comments[comment - 1]
    if known.author != actors[0] or list(known.on_behalf_of) != list(actors[1:]):
        raise Denied("NOT_YOUR_OWN", f"comment {comment} is {known.author}'s; only its author changes it")
    return known


def _check_length(thread: Thread, more: int) -> None:
    if sum(len(one.body) for one in thread.comments) + more > MOST_CHARACTERS:
        raise NotAllowedNow("THREAD_TOO_LONG", f"{thread.name} holds {MOST_CHARACTERS} characters; open another thread")


def resolve_thread(thread: Thread) -> facts.ThreadResolved | None:
    present(thread)
    return None if thread.state == THREAD_STATE_RESOLVED else facts.ThreadResolved()


def reopen_thread(thread: Thread) -> facts.ThreadReopened | None:
    present(thread)
    return None if thread.state == THREAD_STATE_OPEN else facts.ThreadReopened()


def evolve_thread(thread: Thread, event: Message, envelope: Fact) -> None:
    match event:
        case facts.ThreadOpened():
            thread.target.CopyFrom(event.target)
            thread.title, thread.state = event.title, THREAD_STATE_OPEN
            _fold_post(thread, event.body, event.mentions, envelope)
        case facts.CommentPosted():
            _fold_post(thread, event.body, event.mentions, envelope)
        case facts.CommentEdited():
            comment = thread.comments[event.comment - 1]
            comment.body = event.body
            comment.mentions[:] = event.mentions
            comment.edit_time.CopyFrom(envelope.recorded_at)
            _join(thread, event.mentions)
        case facts.CommentWithdrawn():
            comment = thread.comments[event.comment - 1]
            comment.body = ""
            comment.mentions[:] = []
            comment.withdraw_time.CopyFrom(envelope.recorded_at)
        case facts.ThreadResolved():
            thread.state, thread.resolved_by = THREAD_STATE_RESOLVED, envelope.actor.id
            thread.resolve_time.CopyFrom(envelope.recorded_at)
        case facts.ThreadReopened():
            thread.state = THREAD_STATE_OPEN
            thread.ClearField("resolved_by")
            thread.ClearField("resolve_time")
        case _:
            raise UnknownFact(event)


def _fold_post(thread: Thread, body: str, spoken_to: Sequence[str], envelope: Fact) -> None:
    behalf = [one.id for one in envelope.on_behalf_of]
    comment = thread.comments.add(number=len(thread.comments) + 1, author=envelope.actor.id, body=body)
    comment.on_behalf_of.extend(behalf)
    comment.mentions.extend(spoken_to)
    comment.post_time.CopyFrom(envelope.recorded_at)
    _join(thread, [envelope.actor.id, *behalf, *spoken_to])


def _join(thread: Thread, who: Sequence[str]) -> None:
    known = set(thread.participants)
    thread.participants.extend(one for one in dict.fromkeys(who) if one not in known)
