"""The integer programme of ETS's selection, by HiGHS in scipy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .extras import load

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["solve"]

# HiGHS stops within 1e-6 of the optimum, which scipy does not let one change; two selections may differ by less.
_SCALE = 1000.0
# Beyond some 1e15 it finds nothing at all; and at 1e7 those 1e-6 are a float's own digits.
_MOST = 1e7


def solve(
    parents: Sequence[int],
    gains: Sequence[float],
    nodes: Sequence[int],
    clusters: Iterable[Sequence[int]],
    value: float,
    *,
    some: bool = False,
) -> list[int]:
    """Which nodes to keep, a node only with its parent.

    Args:
        parents: of each node of the tree.
        gains: of each node of the tree.
        nodes: those to decide, ascending; the others' parents are not asked for.
        clusters: for each, the leaves that cover it.
        value: of a cluster with a kept leaf.
        some: keep the root, and of each kept node at least one of those below.

    Returns:
        The kept ones.

    Raises:
        ConfigurationError: scipy is not installed.
    """
    np, optimize, sparse = (load(name, "set lambda_s = 0") for name in ("numpy", "scipy.optimize", "scipy.sparse"))
    column = {node: place for place, node in enumerate(nodes)}
    groups = [[column[leaf] for leaf in members] for members in clusters]
    rows: list[list[tuple[int, float]]] = []  # each at most 0
    below: dict[int, list[int]] = {}
    for node, place in column.items():
        above = column.get(parents[node]) if node else None
        if above is not None:
            rows.append([(place, 1.0), (above, -1.0)])
            below.setdefault(above, []).append(place)
    for number, members in enumerate(groups):
        rows.append([(len(column) + number, 1.0), *((place, -1.0) for place in members)])
    if some:
        rows += [[(above, 1.0), *((place, -1.0) for place in places)] for above, places in below.items()]
    indices = [place for row in rows for place, _ in row]
    data = [factor for row in rows for _, factor in row]
    starts = np.cumsum([0, *map(len, rows)])
    size = len(column) + len(groups)
    scale = min(_SCALE, _MOST / max([value, *(abs(gains[node]) for node in nodes)]))
    matrix = sparse.csr_array((data, indices, starts), shape=(len(rows), size))
    lower = np.zeros(size)
    lower[0] = 1.0 if some else 0.0
    result = optimize.milp(
        c=np.array([-scale * gains[node] for node in nodes] + [-scale * value] * len(groups)),
        integrality=np.ones(size),
        bounds=optimize.Bounds(lower, np.ones(size)),
        constraints=optimize.LinearConstraint(matrix, ub=np.zeros(len(rows))),
        options={"mip_rel_gap": 0.0},
    )
    if result.x is None:
        raise RuntimeError(f"HiGHS found no selection: {result.message}")
    return [node for node, place in column.items() if result.x[place] > 0.5]
