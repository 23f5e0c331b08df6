"""Whether a profile fits a tokenizer, judged from the answers to :mod:`.profile_probe`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..profiles import (
    ChatPrompt,
    CompletionPrompt,
    Finding,
    LabelScoring,
    ServerChatPrompt,
    Severity,
    TokenizedText,
)
from .profile_probe import (
    PLAIN,
    QUESTION,
    STEPS,
    Placed,
    followings,
    head_of,
    join,
    markers_of,
    place,
    probe_prompt,
    shares_tokenizer,
    starts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..profiles import Profile
    from .profile_probe import Answers, Ids

__all__ = ["check_profile"]

_SHOWN = 8  # tokens at either side of a difference


def check_profile(profile: Profile, answers: Answers) -> tuple[Finding, ...]:
    """Judge a profile.

    Args:
        profile: the profile.
        answers: what the tokenizer said.

    Returns:
        A finding for each thing that was checked, in the order of the profile's fields.
    """
    return (
        *_vocabulary(profile, answers),
        *_markers(profile, answers),
        *_special_tokens(profile, answers),
        *_turns(profile, answers),
        *_delimiters(profile, answers),
        *_reward(profile, answers),
    )


def _vocabulary(profile: Profile, answers: Answers) -> Iterator[Finding]:
    model = profile.model
    if model is None or model.vocab_size is None:
        return
    size, subject = model.vocab_size, "vocabulary"
    seen = {token for ids in (*answers.plain.values(), *answers.special.values(), answers.chat or ()) for token in ids}
    outside = sorted(token for token in seen if token >= size)
    wrong = [token for token in model.eos_token_ids if not 0 <= token < size]
    if outside:
        message = f"the profile says {size} tokens, this tokenizer gives ids above: it is another model's"
        yield Finding(subject, Severity.ERROR, message, (answers.shown(outside[-1:]),))
    elif answers.size is not None and answers.size > size:
        message = f"the profile says {size} tokens, this tokenizer has {answers.size}: it is another model's"
        yield Finding(subject, Severity.ERROR, message)
    elif wrong:
        yield Finding(subject, Severity.ERROR, f"eos_token_ids {wrong} are not below vocab_size {size}")
    elif answers.size is not None and 2 * answers.size < size:
        message = f"the profile says {size} tokens, this tokenizer has {answers.size}: perhaps it is another model's"
        yield Finding(subject, Severity.WARNING, message)
    else:
        known = "" if answers.size is None else f", the tokenizer has {answers.size}"
        yield Finding(subject, Severity.OK, f"{size} tokens{known}")


def _markers(profile: Profile, answers: Answers) -> Iterator[Finding]:
    """Special tokens that the tokenizer does not know are spelt out, and the model never saw them so."""
    ended = profile.prompt.assistant.after if isinstance(profile.prompt, ChatPrompt) else ""
    for marker in markers_of(profile):
        placed = place(answers.plain[PLAIN], answers.plain[PLAIN + marker])
        evidence = (answers.shown(placed.ids, marker),)
        if placed.token is None:
            message = "this tokenizer spells it out: the format is of another model"
            yield Finding(f"marker {marker}", Severity.ERROR, message, evidence)
            continue
        stops = profile.model.eos_token_ids if profile.model is not None else ()
        if stops and ended.startswith(marker) and placed.token not in stops:
            message = f"it ends the assistant's turn and is not in eos_token_ids {list(stops)}"
            yield Finding(f"marker {marker}", Severity.WARNING, message, evidence)
        else:
            yield Finding(f"marker {marker}", Severity.OK, "one token", evidence)


def _added_tokens(answers: Answers) -> tuple[Ids, Ids]:
    """The special tokens that the tokenizer puts before and after a text."""
    bare, whole = answers.plain[QUESTION], answers.special[QUESTION]
    for at in range(len(whole) - len(bare) + 1):
        if whole[at : at + len(bare)] == bare:
            return whole[:at], whole[at + len(bare) :]
    return (), ()


def _special_tokens(profile: Profile, answers: Answers) -> Iterator[Finding]:
    prompt, subject = profile.prompt, "special tokens"
    first, last = _added_tokens(answers)
    own = answers.plain[probe_prompt(profile)]
    if isinstance(prompt, ServerChatPrompt):
        own = answers.chat or ()
    adds = not isinstance(prompt, ServerChatPrompt) and prompt.add_special_tokens
    has_own = bool(first) and own[: len(first)] == first
    evidence = (answers.shown(first),) if first else ()
    if has_own and (adds or own[len(first) : 2 * len(first)] == first):
        mend = "set add_special_tokens: false, or take it out of the text" if adds else "take one out of the text"
        yield Finding(subject, Severity.ERROR, f"a prompt begins with them twice: {mend}", evidence)
    elif adds and last:
        message = "the tokenizer ends every prompt with them, so the model has nothing to continue: "
        message += "set add_special_tokens: false and write the first ones into the text"
        yield Finding(subject, Severity.ERROR, message, (answers.shown(last),))
    elif first and not adds and not has_own and not isinstance(prompt, ServerChatPrompt):
        message = "the tokenizer begins every text with them, the profile's prompts have none: "
        message += "set add_special_tokens: true unless the model was trained so"
        yield Finding(subject, Severity.WARNING, message, evidence)
    elif has_own:
        yield Finding(subject, Severity.OK, "written in the prompt, once", evidence)
    elif adds:
        yield Finding(subject, Severity.OK, "added to prompts" if first else "the tokenizer adds none", evidence)
    else:
        yield Finding(subject, Severity.OK, "none is added, and the tokenizer would add none" if not first else
                      "the server's template writes none", evidence)  # fmt: skip


def _turns(profile: Profile, answers: Answers) -> Iterator[Finding]:
    prompt, chat, subject = profile.prompt, answers.chat, "chat turns"
    if isinstance(prompt, CompletionPrompt):
        return
    if chat is None:
        if isinstance(prompt, ServerChatPrompt):
            message = f"the server renders no chat ({answers.no_chat}): choose kind chat or completion"
            yield Finding(subject, Severity.ERROR, message)
        else:
            message = f"not compared: there is no chat template to compare with ({answers.no_chat})"
            yield Finding(subject, Severity.OK, message)
        return
    if isinstance(prompt, ServerChatPrompt):
        message = "rendered by the server; a prompt ends so"
        yield Finding(subject, Severity.OK, message, (answers.shown(chat[-_SHOWN:]),))
        return
    head = answers.plain.get(head_of(prompt), ())
    whole = answers.plain[probe_prompt(profile)]
    # Templates write what they like before the first user turn: dates in Llama 3's, a default system message.
    turns = whole[len(head) :] if whole[: len(head)] == head else whole
    at = next((at for at in range(len(chat) - len(turns), -1, -1) if chat[at : at + len(turns)] == turns), None)
    if at is None:
        ours, theirs = _difference(turns, chat)
        message = "they are not those of the server's chat template; the profile's tokens, then the template's"
        yield Finding(subject, Severity.ERROR, message, (answers.shown(ours), answers.shown(theirs)))
    elif after := chat[at + len(turns) :]:
        message = "as in the server's chat template, but for what that puts at the end of a prompt"
        yield Finding(subject, Severity.WARNING, message, (answers.shown(after),))
    elif chat[:at] == head:
        yield Finding(subject, Severity.OK, "the server's chat template gives the same tokens")
    else:
        message = f"as in the server's chat template, which puts {at} tokens before the first question instead of "
        yield Finding(subject, Severity.OK, f"{message}{len(head)}")


def _difference(ours: Ids, theirs: Ids) -> tuple[Ids, Ids]:
    """The surroundings of the last place where two sequences differ; what leads to an answer matters most."""
    same = 0
    while same < min(len(ours), len(theirs)) and ours[-1 - same] == theirs[-1 - same]:
        same += 1
    after = max(0, same - 2)
    return ours[max(0, len(ours) - same - _SHOWN) : len(ours) - after], theirs[
        max(0, len(theirs) - same - _SHOWN) : len(theirs) - after
    ]


def _delimiters(profile: Profile, answers: Answers) -> Iterator[Finding]:
    stated = profile.steps.delimiter_ids or (None,) * len(profile.steps.delimiters)
    for delimiter, token in zip(profile.steps.delimiters, stated, strict=True):
        yield _delimiter(delimiter, token, answers)


def _delimiter(delimiter: str, stated: int | None, answers: Answers) -> Finding:
    subject = f"delimiter {delimiter!r}"
    places: list[Placed] = []
    melting: list[TokenizedText] = []
    for step in STEPS:
        ended = join(step, delimiter)
        before = answers.plain[ended]
        if delimiter not in answers.texts.get(before, ""):
            message = f"it cannot stop a step: its tokens read {answers.texts.get(before, '')!r}"
            return Finding(subject, Severity.ERROR, message, (answers.shown(before, ended),))
        for following in followings(delimiter):
            whole = answers.plain[ended + following]
            start = next((ids for ids in starts(before, whole) if answers.texts[ids] == answers.texts[before]), None)
            if start is None:
                melting.append(answers.shown(place(answers.plain[step], whole).ids, delimiter + following))
            else:
                places.append(place(answers.plain[step], start))
    evidence = tuple(answers.shown(found.ids, delimiter if found.is_apart else None) for found in dict.fromkeys(places))
    if stated is not None and all(found.token != stated for found in places):
        message = f"the profile says that it is token {stated}, here it is not: the model is another one"
        return Finding(subject, Severity.ERROR, message, evidence)
    if melting:
        message = "it shares a token with what follows it, so steps end beyond it (Branch.overshoot)"
        return Finding(subject, Severity.WARNING, message, (*evidence, melting[0]))
    tokens = max(len(found.ids) for found in places)
    message = f"{tokens} tokens" if tokens > 1 else "one token"
    if any(not found.is_apart for found in places):
        message += ", which may hold the sign before it too"
    if tokens > 1 and not delimiter.isspace():
        message += ": a model that was trained to end its steps with this text has one token for it, as a rule"
        return Finding(subject, Severity.WARNING, message, evidence)
    return Finding(subject, Severity.OK, f"{message}, after a step", evidence)


def _reward(profile: Profile, answers: Answers) -> Iterator[Finding]:
    if profile.reward is None:
        return
    scoring = profile.reward.scoring
    if not shares_tokenizer(profile):
        message = "not checked: by its vocabulary, which differs or is not stated, its tokenizer may be another one"
        yield Finding("reward model", Severity.OK, message)
        return
    tagged = answers.plain[join(STEPS[0], scoring.step_tag)]
    tag = place(answers.plain[STEPS[0]], tagged)
    subject, evidence = f"step tag {scoring.step_tag!r}", (answers.shown(tag.ids, scoring.step_tag),)
    if scoring.step_tag_id is not None and tag.token != scoring.step_tag_id:
        message = f"the profile says that it is token {scoring.step_tag_id}, here it is not: the model is another one"
        yield Finding(subject, Severity.ERROR, message, evidence)
    else:
        yield Finding(subject, Severity.OK, f"{_tokens(tag)}, after a step", evidence)
    if isinstance(scoring, LabelScoring):
        stated = scoring.label_ids or (None, None)
        found = [_label(label, token, tagged, scoring, answers) for label, token in
                 zip((scoring.good, scoring.bad), stated, strict=True)]  # fmt: skip
        yield from found
        if scoring.good == scoring.bad or (None not in stated and stated[0] == stated[1]):
            yield Finding("labels", Severity.ERROR, f"both are {scoring.good!r} {list(stated)}: nothing can be told")


def _label(label: str, stated: int | None, tagged: Ids, scoring: LabelScoring, answers: Answers) -> Finding:
    subject = f"label {label!r}"
    alone = Placed(answers.plain[label], is_apart=True)
    after = place(tagged, answers.plain[join(STEPS[0], scoring.step_tag) + label])
    evidence = [answers.shown(alone.ids, label)]
    if after.ids != alone.ids:
        evidence.append(answers.shown(after.ids, f"{scoring.step_tag}{label}"))
    one = {found.token for found in (alone, after)} - {None}
    if not one:
        message = "it is not one token, neither alone nor after the step tag: no probability can be asked for"
        return Finding(subject, Severity.ERROR, message, tuple(evidence))
    if stated is not None and stated not in one:
        message = f"the profile says that it is token {stated}, here it is not: the model is another one"
        return Finding(subject, Severity.ERROR, message, tuple(evidence))
    if stated is None and after.ids != alone.ids:
        message = "alone and after the step tag it is not the same: state label_ids, as the model was trained"
        return Finding(subject, Severity.WARNING, message, tuple(evidence))
    return Finding(subject, Severity.OK, "one token", tuple(evidence))


def _tokens(placed: Placed) -> str:
    return "one token" if placed.token is not None else f"{len(placed.ids)} tokens"
