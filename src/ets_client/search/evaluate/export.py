"""A run in the form of ETS's own ``answers.json``, so that evaluators written for it read runs of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..methods.view import NodeState

if TYPE_CHECKING:
    import os

    from ..loaded import LoadedQuestion, LoadedRun

__all__ = ["export_answers"]


def export_answers(run: LoadedRun, path: str | os.PathLike[str]) -> None:
    """Write all ended paths of a run, as ETS's ``rebase.py`` writes them at the end.

    One object a question: ``id``, ``question``, ``model_answer`` (for each path that ended: ``text``, the prompt and
    the matched stops included, and ``step_scores``), ``ground_truth_answer``, ``total_tokens`` (generated). A path that
    was sampled several times is there so often.

    Differences: ETS takes a path for ended when a phrase is in its text, we by how it ended or by the profile's answer;
    ETS never has a step without a score, here its score is null. Questions that have not ended are left out.

    Args:
        run: as :func:`load_run` gives it.
        path: the file.
    """
    with Path(path).open("w", encoding="utf-8", errors="backslashreplace") as file:
        separator = "["
        for question in run.questions.values():  # one at a time: a run may be larger than memory
            if question.why is None:
                continue
            file.write(f"{separator}\n{json.dumps(_exported(question), indent=4, ensure_ascii=False)}")
            separator = ","
        file.write("[]\n" if separator == "[" else "\n]\n")


def _exported(question: LoadedQuestion) -> dict[str, Any]:
    ended = [node for node in question.nodes.values() if node.state is NodeState.ENDED]
    return {
        "id": question.number,
        "question": question.problem,
        "model_answer": [
            {
                "text": "".join(each.full_text for each in question.path(node)),
                "step_scores": question.step_scores(node),
            }
            for node in ended
            for _ in range(node.multiplicity)
        ],
        "ground_truth_answer": question.expected,
        "total_tokens": question.usage.completion_tokens,
    }
