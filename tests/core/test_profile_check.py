from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client import Finding, Profile, Severity
from ets_client._core.profile_check import check_profile
from ets_client._core.profile_probe import STEPS, join, probe_texts, starts
from tests.toy import FIRST_PIECE, Toy

if TYPE_CHECKING:
    from collections.abc import Callable

    from ets_client._core.prompt import Message

SOURCE = {"kind": "hub", "id": "owner/name"}
CHAT = {
    "kind": "chat",
    "bos": "<s>",
    "system": {"before": "<|sys|>", "after": "<|end|>\n"},
    "user": {"before": "<|user|>", "after": "<|end|>\n"},
    "assistant": {"before": "<|bot|>", "after": "<|end|>\n"},
    "system_prompt": "Solve it.",
}
MARKERS = ("<s>", "<|sys|>", "<|end|>", "<|user|>", "<|bot|>")
LABELS = {"kind": "label_probs", "step_tag": " #", "good": "+", "bad": "-"}


def profile(**fields: Any) -> Profile:
    given: dict[str, Any] = {
        "name": "p",
        "prompt": {"kind": "completion", "add_special_tokens": False},
        "steps": {"delimiters": ["\n\n"]},
    }
    return Profile.model_validate(given | fields)


def model(**fields: Any) -> dict[str, Any]:
    return {"source": SOURCE} | fields


def rewarding(size: int | None = 9000, **scoring: Any) -> Profile:
    made = model(vocab_size=size)
    return profile(model=model(vocab_size=9000), reward={"model": made, "scoring": LABELS | scoring})


def finding(subject: str, wanted: Profile, toy: Toy, template: Callable[[list[Message]], str] | None = None) -> Finding:
    (found,) = [each for each in check_profile(wanted, toy.answers(wanted, template)) if each.subject == subject]
    return found


class TestVocabulary:
    @pytest.mark.parametrize(
        ("size", "toy", "severity", "words"),
        [
            (9000, Toy(), "ok", "9000 tokens"),
            (9000, Toy(size=8990), "ok", "the tokenizer has 8990"),
            (9000, Toy(size=9001), "error", "this tokenizer has 9001"),
            (9000, Toy(size=300), "warning", "perhaps it is another model's"),
            (5000, Toy("12"), "error", "gives ids above"),
        ],
    )
    def test_it_is_as_large_as_the_tokenizer_needs(self, size: int, toy: Toy, severity: str, words: str) -> None:
        found = finding("vocabulary", profile(model=model(vocab_size=size)), toy)
        assert (found.severity, words in found.message) == (severity, True)

    def test_an_id_above_it_is_shown(self) -> None:
        found = finding("vocabulary", profile(model=model(vocab_size=5000)), Toy("12"))
        assert str(found.evidence[0]) == "'12' is 5000 '12'"

    def test_ids_that_end_a_text_are_inside(self) -> None:
        found = finding("vocabulary", profile(model=model(vocab_size=900, eos_token_ids=[2, 900])), Toy())
        assert (found.severity, found.message) == ("error", "eos_token_ids [900] are not below vocab_size 900")

    @pytest.mark.parametrize("spec", [None, model()])
    def test_one_that_is_not_stated_is_not_checked(self, spec: Any) -> None:
        wanted = profile(model=spec)
        assert "vocabulary" not in {each.subject for each in check_profile(wanted, Toy().answers(wanted))}


class TestMarkers:
    def test_one_that_the_tokenizer_knows_is_ok(self) -> None:
        found = finding("marker <|bot|>", profile(prompt=CHAT), Toy(*MARKERS))
        assert (found.severity, found.evidence[0].token_ids) == ("ok", (FIRST_PIECE + 4,))

    @pytest.mark.parametrize("missing", MARKERS)
    def test_one_that_is_spelt_out_is_an_error_that_shows_its_pieces(self, missing: str) -> None:
        toy = Toy(*(marker for marker in MARKERS if marker != missing))
        found = finding(f"marker {missing}", profile(prompt=CHAT), toy)
        assert found.severity is Severity.ERROR
        assert found.evidence[0].pieces == tuple(missing)

    def test_the_end_of_the_assistants_turn_ends_a_text(self) -> None:
        toy = Toy(*MARKERS)
        for ids, severity in (([toy.ids["<|end|>"]], "ok"), ([], "ok"), ([2], "warning")):
            found = finding("marker <|end|>", profile(prompt=CHAT, model=model(eos_token_ids=ids)), toy)
            assert found.severity == severity

    def test_those_of_a_completion_and_of_a_step_tag_count_too(self) -> None:
        prompt = {"kind": "completion", "template": "<|user|>{question}"}
        wanted = Profile.model_validate(rewarding(step_tag="<|end|>").model_dump() | {"prompt": prompt})
        subjects = {each.subject for each in check_profile(wanted, Toy().answers(wanted))}
        assert {"marker <|user|>", "marker <|end|>"} <= subjects


class TestSpecialTokens:
    @pytest.mark.parametrize(
        ("adds", "template", "toy", "severity", "words"),
        [
            (True, "{question}", Toy("<s>", before=["<s>"]), "ok", "added to prompts"),
            (True, "{question}", Toy("<s>"), "ok", "the tokenizer adds none"),
            (True, "<s>{question}", Toy("<s>", before=["<s>"]), "error", "begins with them twice"),
            (False, "<s><s>{question}", Toy("<s>", before=["<s>"]), "error", "begins with them twice"),
            (False, "<s>{question}", Toy("<s>", before=["<s>"]), "ok", "written in the prompt, once"),
            (False, "{question}", Toy("<s>", before=["<s>"]), "warning", "the profile's prompts have none"),
            (False, "{question}", Toy("<s>"), "ok", "none is added"),
            (True, "{question}", Toy("</s>", after=["</s>"]), "error", "nothing to continue"),
            (False, "{question}", Toy("</s>", after=["</s>"]), "ok", "none is added"),
        ],
    )
    def test_a_prompt_begins_with_them_once_and_ends_without(
        self, adds: bool, template: str, toy: Toy, severity: str, words: str
    ) -> None:
        prompt = {"kind": "completion", "template": template, "add_special_tokens": adds}
        found = finding("special tokens", profile(prompt=prompt), toy)
        assert (found.severity, words in found.message) == (severity, True)

    def test_they_are_shown(self) -> None:
        found = finding("special tokens", profile(), Toy("<s>", before=["<s>"]))
        assert str(found.evidence[0]) == "'<s>' is 5000 '<s>'"

    @pytest.mark.parametrize(
        ("begin", "severity", "words"),
        [("<s>", "ok", "once"), ("<s><s>", "error", "take one out"), ("", "ok", "the server's template writes none")],
    )
    def test_the_servers_template_is_looked_at_too(self, begin: str, severity: str, words: str) -> None:
        wanted = profile(prompt={"kind": "server_chat"})
        found = finding("special tokens", wanted, Toy("<s>", before=["<s>"]), lambda _: f"{begin}user: 1 + 1?")
        assert (found.severity, words in found.message) == (severity, True)

    def test_a_tokenizer_that_writes_a_text_otherwise_with_them_is_taken_to_add_none(self) -> None:
        wanted = profile()
        answers = Toy().answers(wanted)
        answers.special["1 + 1?"] = (1, 2, 3)  # type: ignore[index]
        found = {each.subject: each for each in check_profile(wanted, answers)}["special tokens"]
        assert found.message.startswith("none is added")


def rendered(messages: list[Message], *, bot: str = "<|bot|>", end: str = "<|end|>\n", head: str = "<s>") -> str:
    names = {"system": "<|sys|>", "user": "<|user|>", "assistant": bot}
    return head + "".join(f"{names[each['role']]}{each['content']}{end}" for each in messages) + bot


class TestTurns:
    def test_a_server_that_gives_the_same_tokens_agrees(self) -> None:
        found = finding("chat turns", profile(prompt=CHAT), Toy(*MARKERS), rendered)
        assert (found.severity, found.message) == ("ok", "the server's chat template gives the same tokens")

    def test_what_a_template_writes_before_the_first_question_may_differ(self) -> None:
        """Llama 3 writes a date into the system turn."""

        def dated(messages: list[Message]) -> str:
            return rendered(messages).replace("Be brief", "Today: 26 Jul 2024\n\nBe brief")

        found = finding("chat turns", profile(prompt=CHAT), Toy(*MARKERS), dated)
        assert found.severity is Severity.OK
        assert "puts 33 tokens before the first question instead of 13" in found.message

    def test_a_template_that_opens_the_answer_with_more_is_a_warning(self) -> None:
        toy = Toy(*MARKERS, "<think>")
        found = finding("chat turns", profile(prompt=CHAT), toy, lambda messages: rendered(messages) + "<think>\n")
        assert found.severity is Severity.WARNING
        assert found.evidence[0].pieces == ("<think>", "\n")

    @pytest.mark.parametrize("change", [{"end": "<|end|>"}, {"bot": "<|bot|>\n"}, {"bot": "<|user|>"}])
    def test_other_turns_are_an_error_that_shows_both(self, change: dict[str, str]) -> None:
        toy = Toy(*MARKERS)
        found = finding("chat turns", profile(prompt=CHAT), toy, lambda messages: rendered(messages, **change))
        assert found.severity is Severity.ERROR
        ours, theirs = found.evidence
        assert ours.token_ids != theirs.token_ids
        assert len(ours.token_ids) <= 10
        assert ours.pieces[-1] == theirs.pieces[-1] or "<|bot|>" in ours.pieces

    def test_without_a_template_there_is_nothing_to_compare(self) -> None:
        found = finding("chat turns", profile(prompt=CHAT), Toy(*MARKERS))
        assert (found.severity, found.message.endswith("(no template)")) == ("ok", True)

    def test_a_profile_that_leaves_chats_to_the_server_needs_its_template(self) -> None:
        wanted = profile(prompt={"kind": "server_chat"})
        assert finding("chat turns", wanted, Toy()).severity is Severity.ERROR
        assert finding("chat turns", wanted, Toy(), rendered).evidence[0].text.endswith("<|bot|>")

    def test_a_head_that_melts_with_the_first_question_is_compared_whole(self) -> None:
        prompt = CHAT | {"bos": "", "system_prompt": "", "user": {"before": "Q: ", "after": "\n"}}
        wanted = profile(prompt=prompt | {"bos": "B"})
        found = finding(
            "chat turns", wanted, Toy("BQ"), lambda messages: "BQ: 1 + 2?\n<|bot|>3.<|end|>\nQ: 1 + 1?\n<|bot|>"
        )
        assert (
            found.message
            == "as in the server's chat template, which puts 0 tokens before the first question instead of 1"
        )


class TestDelimiters:
    @pytest.mark.parametrize(
        ("delimiter", "pieces", "severity", "words"),
        [
            ("\n\n", ["\n\n"], "ok", "one token, after a step"),
            ("\n\n", [], "ok", "2 tokens, after a step"),
            ("\n\n", ["\n\n", ".\n\n"], "ok", "one token, which may hold the sign before it too"),
            ("\n\n", ["\n\nThen"], "warning", "it shares a token with what follows it"),
            ("\n", [".\n\n"], "warning", "it shares a token with what follows it"),
            ("\n", ["\n\n"], "warning", "it shares a token with what follows it"),
            ("\n\n", ["\n\n\n"], "ok", "2 tokens, after a step"),
            ("ки", [" ки"], "ok", "one token, after a step"),
            ("ки", [" к"], "warning", "has one token for it, as a rule"),
            ("###", ["##"], "warning", "has one token for it, as a rule"),
        ],
    )
    def test_it_is_looked_at_after_a_step_and_before_the_next(
        self, delimiter: str, pieces: list[str], severity: str, words: str
    ) -> None:
        found = finding(f"delimiter {delimiter!r}", profile(steps={"delimiters": [delimiter]}), Toy(*pieces))
        assert (found.severity, words in found.message) == (severity, True)

    def test_its_tokens_are_shown_with_what_melts_with_them(self) -> None:
        found = finding("delimiter '\\n'", profile(steps={"delimiters": ["\n"]}), Toy(".\n\n"))
        assert [str(text) for text in found.evidence] == [
            "'\\n' is 10 '\\n'",
            "'\\n\\nThen' is 5000 '.\\n\\n', 84 'T', 104 'h', 101 'e', 110 'n'",
        ]

    def test_a_blank_line_is_one_token_at_the_end_of_a_text_and_two_before_a_word(self) -> None:
        """As GPT-2's kind of tokenizer has it: no step ends beyond its delimiter there."""

        class Gpt2(Toy):
            def encode(self, text: str, *, add_special_tokens: bool = False) -> tuple[int, ...]:
                ids = super().encode(text)
                return (*ids[:-2], FIRST_PIECE) if ids[-2:] == (10, 10) else ids

        toy = Gpt2()
        toy.texts[FIRST_PIECE] = "\n\n"
        found = finding("delimiter '\\n\\n'", profile(), toy)
        assert (found.severity, found.message) == ("ok", "2 tokens, after a step")

    @pytest.mark.parametrize(("token", "severity"), [(5000, "ok"), (5001, "error")])
    def test_a_stated_id_must_be_its(self, token: int, severity: str) -> None:
        steps = {"delimiters": ["ки"], "delimiter_ids": [token]}
        found = finding("delimiter 'ки'", profile(steps=steps), Toy(" ки", "ки"))
        assert found.severity == severity
        assert found.evidence[0].token_ids == (5000,)

    def test_one_that_the_tokenizer_cannot_write_cannot_stop_a_step(self) -> None:
        class Lossy(Toy):
            def decode(self, ids: Any) -> str:
                return super().decode(ids).replace("к", "?")

        found = finding("delimiter 'ки'", profile(steps={"delimiters": ["ки"]}), Lossy())
        assert found.severity is Severity.ERROR
        assert "apples. ?и'" in found.message

    def test_a_tokenizer_that_makes_nothing_of_a_text_is_an_error_too(self) -> None:
        class Mute(Toy):
            def encode(self, text: str, *, add_special_tokens: bool = False) -> tuple[int, ...]:
                return ()

        assert finding("delimiter '\\n\\n'", profile(), Mute()).severity is Severity.ERROR

    def test_each_has_its_finding(self) -> None:
        wanted = profile(steps={"delimiters": ["\n\n", "ки"]})
        subjects = [each.subject for each in check_profile(wanted, Toy().answers(wanted))]
        assert subjects == ["special tokens", "delimiter '\\n\\n'", "delimiter 'ки'"]


class TestReward:
    def test_one_of_another_vocabulary_is_not_checked_here(self) -> None:
        assert finding("reward model", rewarding(8000), Toy()).message.startswith("not checked")
        assert finding("reward model", rewarding(None), Toy()).message.startswith("not checked")

    @pytest.mark.parametrize(
        ("token", "pieces", "severity", "words"),
        [
            (None, [" #"], "ok", "one token"),
            (None, [], "ok", "2 tokens"),
            (5000, [" #"], "ok", "one token"),
            (5001, [" #"], "error", "says that it is token 5001"),
            (5000, [], "error", "says that it is token 5000"),
            (5000, [". #"], "error", "says that it is token 5000"),
        ],
    )
    def test_a_step_tag_is_looked_at_after_a_step(
        self, token: int | None, pieces: list[str], severity: str, words: str
    ) -> None:
        found = finding("step tag ' #'", rewarding(step_tag_id=token), Toy(*pieces))
        assert (found.severity, words in found.message) == (severity, True)

    @pytest.mark.parametrize(
        ("ids", "pieces", "severity", "words"),
        [
            (None, [], "ok", "one token"),
            ((43, 45), [], "ok", "one token"),
            ((44, 45), [], "error", "says that it is token 44"),
            (None, [" #+"], "warning", "state label_ids"),
            ((43, 45), [" #+"], "ok", "one token"),
        ],
    )
    def test_a_label_is_one_token_and_the_stated_one(
        self, ids: Any, pieces: list[str], severity: str, words: str
    ) -> None:
        found = finding("label '+'", rewarding(label_ids=ids), Toy(*pieces))
        assert (found.severity, words in found.message) == (severity, True)

    def test_a_label_of_several_tokens_is_an_error_that_shows_them(self) -> None:
        found = finding("label 'good'", rewarding(good="good"), Toy())
        assert found.severity is Severity.ERROR
        assert found.evidence[0].pieces == tuple("good")

    @pytest.mark.parametrize("same", [{"bad": "+"}, {"label_ids": (43, 43)}])
    def test_labels_that_are_the_same_tell_nothing(self, same: dict[str, Any]) -> None:
        assert finding("labels", rewarding(**same), Toy()).severity is Severity.ERROR

    def test_a_mean_head_has_a_tag_and_no_labels(self) -> None:
        scoring = {"kind": "vocabulary_mean", "step_tag": "ки", "step_tag_id": 5000}
        reward = {"model": model(vocab_size=9000), "scoring": scoring}
        wanted = profile(model=model(vocab_size=9000), reward=reward)
        assert finding("step tag 'ки'", wanted, Toy(" ки")).severity is Severity.OK
        assert not [each for each in check_profile(wanted, Toy().answers(wanted)) if each.subject.startswith("label")]


words = st.text(st.sampled_from("\n #.aкии$"), min_size=1, max_size=4)


@given(
    delimiter=words, tag=st.text(st.sampled_from("\n #ки")), good=words, bad=words, pieces=st.sets(words, max_size=6)
)
def test_every_profile_and_tokenizer_gets_a_verdict_whose_tokens_are_the_tokenizers(
    delimiter: str, tag: str, good: str, bad: str, pieces: set[str]
) -> None:
    toy = Toy(*sorted(pieces))
    fields = rewarding(step_tag=tag, good=good, bad=bad).model_dump() | {"steps": {"delimiters": [delimiter]}}
    wanted = Profile.model_validate(fields)
    findings = check_profile(wanted, toy.answers(wanted))
    assert {f"delimiter {delimiter!r}", f"step tag {tag!r}", f"label {good!r}"} <= {each.subject for each in findings}
    for found in findings:
        for text in found.evidence:
            assert "".join(text.pieces) == toy.decode(text.token_ids)


@given(delimiter=words, pieces=st.sets(words, max_size=6))
def test_a_delimiter_that_is_called_ok_never_shares_a_token_with_the_next_word(
    delimiter: str, pieces: set[str]
) -> None:
    toy = Toy(*sorted(pieces), *(piece + "T" for piece in pieces))
    wanted = profile(steps={"delimiters": [delimiter]})
    following = "\nThen" if delimiter[-1].isalnum() else "Then"
    if finding(f"delimiter {delimiter!r}", wanted, toy).severity is Severity.OK:
        for step in STEPS:
            ended = join(step, delimiter)
            assert any(toy.decode(ids) == ended for ids in starts(toy.encode(ended), toy.encode(ended + following)))


def test_no_text_that_is_asked_for_is_empty() -> None:
    """SGLang refuses some empty texts, and dies of others."""
    wanted = profile(prompt=CHAT | {"bos": "", "system_prompt": ""})
    plain, special = probe_texts(wanted)
    assert all(plain)
    assert all(special)
    assert len(plain) == len(set(plain))
