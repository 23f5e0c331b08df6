"""How children are shared out: pure functions, each usable alone."""

from .view import Decision, JsonValue, Method, NodeState, NodeView, TreeView

__all__ = ["Decision", "JsonValue", "Method", "NodeState", "NodeView", "TreeView"]
