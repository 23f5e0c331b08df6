from __future__ import annotations

import pytest

from ets_client import EffectiveField, EffectiveSampling, SamplingSource

FIELDS = (
    EffectiveField("temperature", 0.7, SamplingSource.CALL),
    EffectiveField("stop", ("x" * 60,), SamplingSource.PROFILE),
    EffectiveField("regex", None, SamplingSource.SGLANG),
    EffectiveField("max_new_tokens", 20, SamplingSource.PROFILE, "the room left"),
)
TABLE = """\
field           value                                     from
temperature     0.7                                       call
stop            ('xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…  profile
regex           -                                         SGLang's default
max_new_tokens  20                                        profile: the room left"""


def test_it_is_printed_as_a_table() -> None:
    assert str(EffectiveSampling(FIELDS)) == TABLE


def test_it_is_a_sequence_of_its_fields_that_knows_their_names() -> None:
    found = EffectiveSampling(FIELDS)
    assert (len(found), list(found), found["stop"]) == (4, list(FIELDS), FIELDS[1])
    with pytest.raises(KeyError, match="top_q"):
        found["top_q"]
