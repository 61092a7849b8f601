"""What a CUDA graph does to a function, on a CPU: capture computes nothing, replay knows nothing of the host.

A tape notes every operation of torch and every interpreted kernel that a function carries out, with the very
tensors and the numbers that it gave. Played, it carries them out again on the same memory, whatever the
function's variables are by then. What a graph may not do raises here too: reading a number on the host, and
making a tensor from the host's numbers.
"""

from collections.abc import Callable, Iterable
from contextlib import ExitStack, nullcontext
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves
from triton.runtime.interpreter import InterpretedFunction

ON_THE_HOST = (
    (torch, ("tensor", "as_tensor", "from_numpy")),
    (Tensor, ("item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__")),
)


class Tape:
    """Records functions (`spsn.kernels.gpu.graphs.Recorder`). `kept`: memory that kernels find by addresses
    alone, so that the tape cannot see it. `recorded`, `played`: how often it did either; `launches`: kernels
    and operations of the last function.
    """

    def __init__(self, kept: Iterable[Tensor] = ()) -> None:
        self.recorded = self.played = self.launches = 0
        self._kept = list(kept)

    def beside(self) -> nullcontext:
        return nullcontext()

    def __call__(self, function: Callable[[], None]) -> Callable[[], None]:
        recording = _Recording(self._kept)
        run = InterpretedFunction.run

        def launched(kernel, *args, **kwargs):
            recording.launch(lambda: run(kernel, *args, **kwargs), tree_leaves((args, kwargs)))

        with ExitStack() as refused:
            for owner, names in ON_THE_HOST:
                for name in names:
                    refused.enter_context(patch.object(owner, name, _refuse(name)))
            with patch.object(InterpretedFunction, "run", launched), recording:
                function()
        recording.undo()
        self.recorded, self.launches = self.recorded + 1, len(recording.calls)

        def play() -> None:
            self.played += 1
            with torch.no_grad():
                for call in recording.calls:
                    call()

        return play


def _refuse(name: str) -> Callable:
    def refused(*args, **kwargs):
        raise RuntimeError(f"{name}: operation not permitted when stream is capturing")

    return refused


class _Recording(TorchDispatchMode):
    """The calls of a function, and what the memory that it found held before."""

    def __init__(self, kept: list[Tensor]) -> None:
        super().__init__()
        self.calls: list[Callable[[], None]] = []
        self._made: set[int] = set()
        self._before: list[tuple[Tensor, Tensor]] = []
        self._held: list[Tensor] = []
        self._found(kept)

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        self._found(tree_leaves((args, kwargs)))
        out = operation(*args, **kwargs)
        schema = operation._schema
        made = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        if schema.is_mutable:
            self.calls.append(lambda: operation(*args, **kwargs))
        elif not any(result.alias_info for result in schema.returns):
            self._made |= {tensor.untyped_storage().data_ptr() for tensor in made}
            if not schema.name.startswith("aten::empty"):
                self.calls.append(lambda: _again(operation, args, kwargs, made))
        self._held += made  # so that no address is used twice
        return out

    def launch(self, call: Callable[[], None], args: list) -> None:
        """A kernel."""
        with _disable_current_modes():
            self._found(args)
            call()
        self.calls.append(call)

    def undo(self) -> None:
        """Put back what the memory held that was there before."""
        for tensor, before in self._before:
            tensor.copy_(before)

    def _found(self, leaves: Iterable) -> None:
        """Note what memory holds that the function has not made."""
        with _disable_current_modes(), torch.no_grad():
            for leaf in leaves:
                if not isinstance(leaf, Tensor):
                    continue
                storage = leaf.untyped_storage()
                if storage.data_ptr() not in self._made and storage.nbytes():
                    whole = torch.empty(0, dtype=torch.uint8).set_(storage)
                    self._made.add(storage.data_ptr())
                    self._before.append((whole, whole.clone()))


def _again(operation, args, kwargs, made: list[Tensor]) -> None:
    """The operation once more, its results where they were."""
    results = [leaf for leaf in tree_leaves(operation(*args, **kwargs)) if isinstance(leaf, Tensor)]
    for old, new in zip(made, results, strict=True):
        old.copy_(new)
