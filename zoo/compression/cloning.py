"""Copies of layers and of whole graphs in which some layers are others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

__all__ = ["clone_graph", "clone_layer", "copied", "graph", "take_variables"]


def graph(model: Any) -> Any:
    """Returns the functional model behind a sequential one, or the model itself; None where there is no graph."""
    inner = getattr(model, "_functional", None) or model
    return inner if getattr(inner, "_nodes_by_depth", None) else None


def copied(model: keras.Model) -> keras.Model:
    """Returns a copy of a functional model with the same weights; its layers need not be registered with Keras."""
    copies: list[tuple[Any, Any]] = []

    def clone(layer: Any) -> Any:
        copies.append((layer, clone_layer(layer)))
        return copies[-1][1]

    copy = clone_graph(model, clone)
    take_variables(copies)
    return copy


def take_variables(copies: Iterable[tuple[Any, Any]]) -> None:
    """Writes the variables of each first layer into the second, which has the same."""
    for old, new in copies:
        for source, target in zip(getattr(old, "variables", ()), getattr(new, "variables", ()), strict=True):
            target.assign(source)
        if hasattr(new, "finalize_state"):  # what it computes with is made from what `adapt` found
            new.finalize_state()


def clone_layer(layer: Any, config: dict[str, Any] | None = None) -> Any:
    """Returns a new layer, not built, of the same class and name, with the vocabulary that it learnt.

    Args:
        layer: a layer or an operation of `keras.ops`.
        config: in place of its own.
    """
    import keras

    config = layer.get_config() if config is None else config
    if type(layer) is keras.layers.Lambda:  # Keras refuses code from a file; this comes from the process itself
        return keras.layers.Lambda.from_config(config, safe_mode=False)
    new = layer.__class__.from_config(config)
    if isinstance(layer, keras.layers.StringLookup | keras.layers.IntegerLookup | keras.layers.TextVectorization):
        _hand_over_vocabulary(layer, new)
    return new


def _hand_over_vocabulary(layer: Any, new: Any) -> None:
    """Gives a look-up what `adapt` found: it is neither in the config nor in a variable."""
    words = layer.get_vocabulary(include_special_tokens=False)
    if not words:
        return
    lookup = getattr(layer, "_lookup_layer", layer)
    if lookup.output_mode != "tf_idf":
        new.set_vocabulary(words)
        return
    first = layer.vocabulary_size() - len(words)  # weights of the special tokens, made anew from the others
    new.set_vocabulary(words, lookup.idf_weights.numpy()[first : first + len(words)])


def clone_graph(
    model: keras.Model,
    clone: Callable[[Any], Any],
    widths: Callable[[Any], list[int | None]] | None = None,
    call: Callable[..., Any] | None = None,
) -> keras.Model:
    """Returns a model of the same graph, names and structure, made of other layers; models in it are treated alike.

    Args:
        model: functional or sequential, built.
        clone: returns what stands in a layer's place, or None where its input is passed on. Called once for each
            layer, however often it is shared.
        widths: returns the last size of each of a model's inputs; as they are by default.
        call: calls a new layer with its arguments; layers that it calls besides become steps of a sequential model.
    """
    import keras

    copies: dict[int, Any] = {}

    def copy(layer: Any) -> Any:
        if id(layer) not in copies:
            is_graph = isinstance(layer, keras.Model) and graph(layer) is not None
            copies[id(layer)] = rebuild(layer) if is_graph else (clone(layer) or _Nothing())
        return copies[id(layer)]

    def rebuild(one: Any) -> Any:
        inner = graph(one)
        last = widths(one) if widths else [tensor.shape[-1] if tensor.shape else None for tensor in inner.inputs]
        inputs = [
            keras.Input(batch_shape=(*tensor.shape[:-1], width)[: len(tensor.shape)], dtype=tensor.dtype, name=name)
            for tensor, width, name in zip(inner.inputs, last, _input_names(one), strict=True)
        ]
        if isinstance(one, keras.Sequential):
            layers = [layer for layer in map(copy, one.layers) if not isinstance(layer, _Nothing)]
            steps = _steps(inputs[0], layers, call) if call else layers
            new: Any = keras.Sequential([inputs[0], *steps], name=one.name)
            if one.compiled:
                new.compile_from_config(one.get_compile_config())
            return new
        structure: Any = keras.tree.pack_sequence_as(one.input, inputs)
        return keras.models.clone_model(one, structure, clone_function=copy, call_function=call or _call)

    return rebuild(model)


class _Nothing:
    """Stands for a layer that is gone."""


def _call(layer: Any, *args: Any, **kwargs: Any) -> Any:
    import keras

    first = args[0] if args else next(iter(kwargs.values()))
    if isinstance(layer, _Nothing):
        return first
    if isinstance(layer, keras.layers.Identity):  # it may stand for a layer that takes more
        return layer(first)
    return layer(*args, **kwargs)


def _steps(tensor: Any, layers: list[Any], call: Callable[..., Any]) -> list[Any]:
    """Returns the layers of a chain with those that `call` puts between them."""
    import keras

    last = tensor
    for layer in layers:
        last = call(layer, last)
    nodes: Any = graph(keras.Model(tensor, last))._nodes_by_depth
    return [node.operation for depth in sorted(nodes, reverse=True) for node in nodes[depth] if not node.is_input]


def _input_names(model: Any) -> list[str]:
    import keras

    tensors = graph(model).inputs
    if isinstance(model, keras.Sequential):
        return [tensor._keras_history.operation.name for tensor in tensors]
    return [tensor.name for tensor in tensors]
