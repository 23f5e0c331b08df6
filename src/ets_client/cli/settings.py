"""What a search is told, on the command line and in parameter files."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import ConfigurationError
from ..sampling import SamplingParams
from ..search import Beam, BestOfN, Budget, Dvts, Ets, Mcts, Mends, Rebase, SearchOptions

__all__ = ["MethodName", "Settings", "read_parameters"]

MethodName = Literal["ets", "rebase", "beam", "dvts", "best-of-n", "mcts"]
Whole = Annotated[int, Field(ge=1)]
Above0 = Annotated[float, Field(gt=0)]

# The keys of ETS's hype-parameters/*.yaml, and what they are called here.
_OF_ETS = {
    "lambdac": "lambda_c",
    "lambdas": "lambda_s",
    "max_tokens": "max_path_tokens",
    "num_threads": "at_once",
    "policy_model_type": "profile",
    "reward_model_type": "reward_profile",
    "select_method": "method",
    "store_path": "out",
}
_METHODS_OF_ETS = {"softmax": "rebase", "softmax_costmodel": "ets", "beam_search": "beam", "dvts": "dvts"}
_MODELS_OF_ETS = {"llama": "llama3"}


class Settings(BaseModel):
    """All settings of a run; the options of ``ets-client search`` and the keys of its parameter files.

    Attributes:
        policy: address of the policy server.
        endpoint: its endpoint file, instead.
        profile: of the policy.
        reward: address of the reward server.
        reward_endpoint: its endpoint file, instead.
        reward_profile: of the reward model's tokenizer; its format follows from it where none is given.
        reward_format: how the reward model wants paths and answers.
        scorer: who scores where no reward server does.
        method: who decides.
        variant: as published, or mended.
        mends: single mends, on or off.
        width: samples of a level.
        depth: most steps of a path.
        softmax_temperature: of REBASE's and ETS's allocation.
        lambda_c: ETS's price of nodes.
        lambda_s: ETS's value of clusters.
        fixedwidth: beams of beam search, or subtrees of DVTS.
        simulations: samples of MCTS.
        exploration: of MCTS.
        barrier: whether a level waits for all its samples.
        on_length: what becomes of steps that are too long.
        temperature: of the sampling.
        top_p: of the sampling.
        max_step_tokens: longest step.
        max_path_tokens: longest path.
        seed: of the sampling.
        at_once: questions in flight.
        samples_at_once: samples in flight; a number, ``adaptive`` or ``none``.
        departure_interval: seconds that an expand waits at most to leave together with others.
        seconds: of the run.
        tokens: generated for the run.
        expands: of the run.
        kv_byte_seconds: of the run.
        tree_seconds: of each question.
        tree_tokens: generated for each question.
        tree_expands: of each question.
        tree_kv_byte_seconds: of each question.
        kv_bytes_per_token: of the policy's cache; what its model's folder tells, when that is here.
        first: take only so many questions.
        out: folder of the run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: str | None = None
    endpoint: Path | None = None
    profile: str | None = None
    reward: str | None = None
    reward_endpoint: Path | None = None
    reward_profile: str | None = None
    reward_format: str | None = None
    scorer: Literal["logprob", "self-consistency"] = "logprob"
    method: MethodName = "rebase"
    variant: Literal["paper", "fixed"] = "fixed"
    mends: dict[str, bool] = Field(default_factory=dict)
    width: Whole = 8
    depth: Whole = 25
    softmax_temperature: Above0 = 0.2
    lambda_c: float = 1.0
    lambda_s: float = 0.0
    fixedwidth: int | None = None
    simulations: Whole | None = None
    exploration: float = 1.0
    barrier: Literal["level", "none"] = "level"
    on_length: Literal["score", "continue", "drop"] = "score"
    temperature: float | None = None
    top_p: float | None = None
    max_step_tokens: Whole | None = None
    max_path_tokens: Whole | None = None
    seed: int | None = None
    at_once: Whole = 4
    samples_at_once: Whole | Literal["adaptive", "none"] = "none"
    departure_interval: Annotated[float, Field(gt=0, le=10)] | None = None
    seconds: Annotated[float, Field(ge=0)] = math.inf
    tokens: Whole | None = None
    expands: Whole | None = None
    kv_byte_seconds: Above0 | None = None
    tree_seconds: Above0 | None = None
    tree_tokens: Whole | None = None
    tree_expands: Whole | None = None
    tree_kv_byte_seconds: Above0 | None = None
    kv_bytes_per_token: Above0 | None = None
    first: Whole | None = None
    out: Path | None = None

    @classmethod
    def of(cls, file: dict[str, Any], given: dict[str, Any]) -> Settings:
        """Settings of a file, and over them those that were given.

        Raises:
            ConfigurationError: one of them is out of range, or two exclude each other.
        """
        # An address that is given stands for the file's endpoint, and the other way round.
        kept = dict(file)
        for one, other in (("policy", "endpoint"), ("reward", "reward_endpoint")):
            if one in given or other in given:
                kept.pop(one, None)
                kept.pop(other, None)
        try:
            made = cls.model_validate({**kept, **given})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = str(first["loc"][0])
            if first["type"] == "extra_forbidden":
                known = ", ".join(sorted([*cls.model_fields, *_OF_ETS]))
                raise ConfigurationError(f"no such parameter: {name}; there are {known}") from None
            allowed = "a whole number above 0, 'adaptive' or 'none'" if name == "samples_at_once" else first["msg"]
            raise ConfigurationError(f"{name} = {first['input']!r}: {allowed}") from None
        for one, other in (("policy", "endpoint"), ("reward", "reward_endpoint")):
            if getattr(made, one) is not None and getattr(made, other) is not None:
                raise ConfigurationError(f"{one} and {other} are given: they name the same server, so give one")
        return made

    @property
    def has_reward(self) -> bool:
        """Whether a reward server scores."""
        return self.reward is not None or self.reward_endpoint is not None

    def describe(self) -> list[str]:
        """What the method does and what its variant implies, a line each."""
        method = self.make_method()
        told = method.describe()
        if self.variant == "paper" and isinstance(method, BestOfN | Mcts):
            told.append(f"variant paper changes nothing: {self.method} has no published code with defects here")
        return told

    def make_method(self) -> Ets | Rebase | Beam | Dvts | BestOfN | Mcts:
        """The method.

        Raises:
            ConfigurationError: its parameters are out of range.
        """
        unknown = self.mends.keys() - Mends.__dataclass_fields__.keys()
        if unknown:
            known = ", ".join(Mends.__dataclass_fields__)
            raise ConfigurationError(f"no such mend: {', '.join(sorted(unknown))}; there are {known}")
        if self.mends and self.method in {"best-of-n", "mcts"}:
            raise ConfigurationError(f"mend {', '.join(self.mends)} means nothing here: {self.method} has no mends")
        common: dict[str, Any] = {"variant": self.variant, "mends": Mends(**self.mends)}
        few = self.fixedwidth if self.fixedwidth is not None and self.fixedwidth > 0 else None
        match self.method:
            case "ets":
                return Ets(self.lambda_c, self.lambda_s, self.softmax_temperature, **common)
            case "rebase":
                return Rebase(self.softmax_temperature, **common)
            case "beam":
                return Beam(few, **common)
            case "dvts":
                return Dvts(few, **common)
            case "best-of-n":
                return BestOfN()
            case "mcts":
                return Mcts(self.simulations or 8 * self.width, exploration=self.exploration)

    def options(self, kv_bytes_per_token: float | None = None) -> SearchOptions:
        """The driver's options.

        Args:
            kv_bytes_per_token: of the policy, when it is known; what is set counts more.

        Raises:
            ConfigurationError: one of them is out of range.
            InvalidRequestError: one of the sampling is.
        """
        return SearchOptions(
            width=self.width, depth=self.depth, barrier=self.barrier, on_length=self.on_length,
            sampling=SamplingParams(
                max_new_tokens=self.max_step_tokens, temperature=self.temperature, top_p=self.top_p
            ),
            max_path_tokens=self.max_path_tokens, seed=self.seed,
            budget=Budget(
                seconds=self.tree_seconds, tokens=self.tree_tokens, expands=self.tree_expands,
                kv_byte_seconds=self.tree_kv_byte_seconds,
            ),
            kv_bytes_per_token=self.kv_bytes_per_token or kv_bytes_per_token,
        )  # fmt: skip

    def budget(self) -> Budget:
        """Of the whole run."""
        return Budget(
            seconds=None if self.seconds == math.inf else self.seconds or 1e-9,
            tokens=self.tokens, expands=self.expands, kv_byte_seconds=self.kv_byte_seconds,
        )  # fmt: skip


def read_parameters(path: Path) -> dict[str, Any]:
    """The parameters of a TOML or YAML file, by the names they have here; ETS's own keys are understood.

    Args:
        path: the file.

    Raises:
        ConfigurationError: it is missing, broken, or asks for what is not there.
    """
    try:
        text = path.read_text(encoding="utf-8")
        found = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)
    except OSError as error:
        raise ConfigurationError(f"cannot read the parameters {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is neither TOML nor YAML: {error}") from None
    if not isinstance(found, dict):
        raise ConfigurationError(f"{path} holds no parameters: write `name: value`, a line each")
    given: dict[str, Any] = {}
    for name, value in cast("dict[object, Any]", found).items():
        if not isinstance(name, str):  # YAML has keys of any type
            raise ConfigurationError(f"{path}: {name!r} is no name of a parameter: write `name: value`, a line each")
        given[name] = value
    is_of_ets = "select_method" in given
    made = {_OF_ETS.get(name, name).replace("-", "_"): value for name, value in given.items()}
    if is_of_ets:
        method = made["method"]
        if not isinstance(method, str) or method not in _METHODS_OF_ETS:
            raise ConfigurationError(
                f"{path}: select_method: {method}: rebase.py has no such method; it has {', '.join(_METHODS_OF_ETS)}"
            )
        made["method"] = _METHODS_OF_ETS[method]
        for name in ("profile", "reward_profile"):
            if isinstance(made.get(name), str):  # what is no text is refused with the other parameters
                made[name] = _MODELS_OF_ETS.get(made[name], made[name])
        made.setdefault("variant", "paper")
        made.setdefault("lambda_c", 0.0)  # as rebase.py has it for a file without `lambdac`
        made.setdefault("on_length", "drop" if made.get("profile") in ("llemma", "mistral") else "score")
    return made
