"""A training step replayed on a CPU: its operations one after another, without what finds them each time.

Modules, autograd's graph and the optimizer's bookkeeping cost a small batch as much as its convolutions do.
They lead to the same operations in every step, so they are asked once.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils._pytree import tree_map
from torch.utils.weak import WeakTensorKeyDictionary

from bnrepro.training.step.operations import Operations
from bnrepro.training.step.replayed import Take

_aten = torch.ops.aten
_SAME_TENSOR = {_aten.alias.default, _aten.detach.default}
"""Only autograd needs them."""
_WITHOUT_EFFECT = {operator.getitem, _aten.empty.memory_format}
"""Can be left out where their result is not used."""
_PROFILER = "profiler"
"""Operations that only say what goes on."""


def replay_operations(take: Take, state: Sequence[Tensor], x: Tensor, y: Tensor) -> Take:
    """Record `take` on a batch; returns what does the same operations with another batch of that shape.

    `state`: every tensor that the step changes or that may change between steps. Takes one step. Where the
    step cannot be recorded, because a norm or model reads a tensor's value, `take` itself is returned.
    """
    recorder = _Recorder([*state, x, y])
    try:
        with recorder:
            outputs = take(x, y)
        graph = recorder.finished(outputs)
    except Exception:  # of a user's own module, whatever it raises: the step itself raises it again
        return take
    _trim(graph)
    run = _compiled(graph)

    def replay(x: Tensor, y: Tensor) -> Tensor:
        with torch.inference_mode():
            return run(*state, x, y)

    return replay


class _ReadsValue(Exception):
    """The step looks at what a tensor holds, which differs from step to step."""


class _Recorder(Operations):
    """The operations as a graph, in which a tensor from elsewhere, such as a constant, stands for itself."""

    def __init__(self, given: Sequence[Tensor]) -> None:
        super().__init__()
        self._graph = fx.Graph()
        self._nodes: Any = WeakTensorKeyDictionary()
        for number, tensor in enumerate(given):
            self._nodes[tensor] = self._graph.placeholder(f"given_{number}")

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func.namespace == _PROFILER:
            return func(*args, **kwargs)
        if torch.Tag.data_dependent_output in func.tags:
            raise _ReadsValue(func)
        node = self._graph.call_function(func, *tree_map(self._node, (args, kwargs)))
        result = func(*args, **kwargs)
        self._note(result, node)
        return result

    def _node(self, value: Any) -> Any:
        return self._nodes.get(value, value) if isinstance(value, Tensor) else value

    def _note(self, result: Any, node: fx.Node) -> None:
        if isinstance(result, list | tuple):
            for place, part in enumerate(result):
                self._note(part, self._graph.call_function(operator.getitem, (node, place)))
        elif isinstance(result, Tensor):
            self._nodes[result] = node

    def finished(self, outputs: Tensor) -> fx.Graph:
        """The graph, with what the step returns."""
        self._graph.output(self._nodes[outputs])
        return self._graph


def _trim(graph: fx.Graph) -> None:
    for node in reversed(graph.nodes):
        if node.target in _SAME_TENSOR and isinstance(node.args[0], fx.Node):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
        elif node.target in _WITHOUT_EFFECT and not node.users:
            graph.erase_node(node)


def _compiled(graph: fx.Graph) -> Callable[..., Tensor]:
    """The graph as a Python function of calls to torch; it frees each tensor after its last use."""
    arguments: list[str] = []
    lines: list[str] = []
    scope: dict[str, Any] = {}
    ends = _last_uses(graph)
    for node in graph.nodes:
        if node.op == "placeholder":
            arguments.append(node.name)
        elif node.op == "output":
            lines.append(f"return {_text(node.args[0], scope)}")
        else:
            # `_op`: the function itself; the overload object around it costs half a microsecond a call
            function = _named("F", getattr(node.target, "_op", node.target), scope)
            given = [_text(value, scope) for value in node.args]
            given += [f"{key}={_text(value, scope)}" for key, value in node.kwargs.items()]
            lines.append(f"{node.name} = {function}({', '.join(given)})")
            lines += [f"del {name}" for name in ends.get(node, ())]
    source = f"def run({', '.join(arguments)}):\n" + "".join(f"    {line}\n" for line in lines)
    exec(compile(source, "<replayed training step>", "exec"), scope)
    return scope["run"]


def _last_uses(graph: fx.Graph) -> dict[fx.Node, list[str]]:
    """Node -> the results that are not used after it."""
    ends: dict[fx.Node, list[str]] = {}
    seen: set[fx.Node] = set()
    for node in reversed(graph.nodes):
        unused = [] if node.users or node.op != "call_function" else [node]
        for used in [*node.all_input_nodes, *unused]:
            if used not in seen and used.op == "call_function":
                seen.add(used)
                ends.setdefault(node, []).append(used.name)
    return ends


def _text(value: Any, scope: dict[str, Any]) -> str:
    """An argument as the function's source spells it: a result, a list of them, or a constant in `scope`."""
    if isinstance(value, fx.Node):
        return value.name
    if isinstance(value, list | tuple):
        return f"[{', '.join(_text(part, scope) for part in value)}]"
    return _named("C", value, scope)


def _named(kind: str, value: Any, scope: dict[str, Any]) -> str:
    """A new name for `value` in `scope`; in upper case, since those of results are in lower case."""
    name = f"{kind}{len(scope)}"
    scope[name] = value
    return name
