"""SGLang's own frontend, as ETS calls it: a program a tree, forks, one request a child, threads for the trees."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .shape import Shape


class Frontend:
    """Blocking. ``run`` searches all trees with ``threads`` of them at once."""

    takes_text = True

    def __init__(self, base: str, shape: Shape, threads: int) -> None:
        import sglang as sgl
        from sglang.lang.backend.runtime_endpoint import RuntimeEndpoint

        self.shape, self.threads = shape, threads
        sgl.set_default_backend(RuntimeEndpoint(base))
        self._sgl = sgl

    def run(self, texts: list[str], latencies: list[float], ends: list[float]) -> None:
        sgl, shape = self._sgl, self.shape

        def expand(state: Any, n: int) -> list[Any]:
            start = time.perf_counter()
            forks = list(state.fork(n))
            for fork in forks:
                fork += sgl.gen("step", max_tokens=shape.step, ignore_eos=True, temperature=1.0)
            for fork in forks:
                if fork["step"] is None:  # waits for it
                    raise RuntimeError("the frontend lost a step")
            latencies.append(time.perf_counter() - start)
            return forks

        def program(s: Any, root: str) -> None:
            s += root
            level = expand(s, shape.width)[: shape.kept]
            for _ in range(shape.depth):
                level = [expand(node, shape.fan)[0] for node in level]
            ends.append(time.perf_counter())

        states = sgl.function(program).run_batch([{"root": text} for text in texts], num_threads=self.threads)
        for state in states:
            if state.error() is not None:
                raise RuntimeError(f"a tree of the frontend failed: {state.error()}")
