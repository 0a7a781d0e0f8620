"""Builds the graph of a Llama-like decoder: with states for keys and values, as OpenVINO GenAI expects it.

Its pipelines replace the attention by a paged one, which they find by its surroundings: a state that is read, gathered
by ``beam_idx``, concatenated with the new keys, repeated for grouped heads, and given to ScaledDotProductAttention.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy
import openvino
from openvino import opset13 as ops

from pilotlight.loading.export.graph.shape import DecoderShape, UnsupportedModelError
from pilotlight.loading.export.graph.tensors import Array, Stored, Tensors
from pilotlight.loading.export.graph.weights import constant, matrix

__all__ = ["build_decoder", "build_probe"]

Node = Any  # openvino's nodes have no types of their own
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
MASKED = numpy.finfo("f4").min


def build_decoder(
    shape: DecoderShape,
    tensors: Tensors,
    precision: str,
    importance: Callable[[], Mapping[str, Array]] = dict,
) -> Any:
    """Return an ``openvino.Model`` with the inputs of a stateful language model and the output ``logits``.

    Args:
        shape: of the decoder.
        tensors: of the model.
        precision: one of ``artifacts.PRECISIONS``.
        importance: gives the importance of each matrix' columns, by its name; called where ``int4`` rounds.

    Raises:
        WeightsError: a tensor is missing or has another shape.
        UnsupportedModelError: there are tensors that the builder does not know.
    """
    return _Decoder(shape, tensors, precision, importance).model()


def build_probe(shape: DecoderShape, tensors: Tensors) -> tuple[Any, list[str]]:
    """Return the model in ``int8`` with further outputs: for each matrix the sum of squares of every column's input.

    Returns:
        The model, and the names of the matrices in the order of the outputs after ``logits``.

    Raises:
        WeightsError, UnsupportedModelError: as ``build_decoder``.
    """
    decoder = _Decoder(shape, tensors, "int8")
    model = decoder.model()
    model.add_results([ops.result(squares) for squares in decoder.squares.values()])
    return model, list(decoder.squares)


class _Decoder:
    def __init__(
        self,
        shape: DecoderShape,
        tensors: Tensors,
        precision: str,
        importance: Callable[[], Mapping[str, Array]] = dict,
    ) -> None:
        self._importance = importance
        self.squares: dict[str, Node] = {}
        self._shape = shape
        self._tensors = tensors
        self._precision = precision
        self._inputs = {
            "input_ids": _parameter("input_ids", [-1, -1], "i64"),
            "attention_mask": _parameter("attention_mask", [-1, -1], "i64"),
            "position_ids": _parameter("position_ids", [-1, -1], "i64"),
            "beam_idx": _parameter("beam_idx", [-1], "i32"),
        }
        ids = ops.shape_of(self._inputs["input_ids"], "i64")
        self._batch, self._tokens = _dimension(ids, 0), _dimension(ids, 1)
        self._sinks: list[Node] = []

    def model(self) -> Any:
        shape, tensors = self._shape, self._tensors
        embedding_shape = (shape.vocab_size, shape.hidden_size)
        stored = tensors.stored(EMBEDDING, embedding_shape)
        embedding = matrix(stored, self._precision, is_table=True)
        hidden = ops.gather(embedding, ops.convert(self._inputs["input_ids"], "i32"), _whole(0, "i4"))
        self._cos, self._sin = self._rotations()
        self._mask = self._attention_mask()
        for layer in range(shape.layers):
            hidden = self._layer(hidden, layer)
        hidden = self._norm(hidden, "model.norm.weight", shape.hidden_size)
        own = self._own_head(stored)
        head = embedding if own is None else matrix(own, self._precision, is_table=True)
        logits = ops.matmul(hidden, head, False, True)
        logits.output(0).set_names({"logits"})
        unread = {name for name in tensors.unread if not name.endswith("rotary_emb.inv_freq")}
        if unread:
            raise UnsupportedModelError(f"{len(unread)} tensors that the builder does not know: {min(unread)}")
        result = ops.result(logits, name="logits")
        return openvino.Model([result], self._sinks, list(self._inputs.values()), f"{shape.family}_decoder")

    def _own_head(self, embedding: Stored) -> Stored | None:
        """Return the head where it is not the embedding; one that is in the file and differs counts, tied or not."""
        shape = (self._shape.vocab_size, self._shape.hidden_size)
        if HEAD not in self._tensors and self._shape.tied:
            return None
        own = self._tensors.stored(HEAD, shape)
        same = own.kind == embedding.kind and numpy.array_equal(own.bits, embedding.bits)
        return None if same else own

    def _layer(self, hidden: Node, layer: int) -> Node:
        name = f"model.layers.{layer}."
        normed = self._norm(hidden, f"{name}input_layernorm.weight", self._shape.hidden_size)
        hidden = ops.add(hidden, self._attention(normed, layer))
        normed = self._norm(hidden, f"{name}post_attention_layernorm.weight", self._shape.hidden_size)
        return ops.add(hidden, self._mlp(normed, f"{name}mlp."))

    def _mlp(self, hidden: Node, name: str) -> Node:
        shape = self._shape
        sizes = (shape.inner_size, shape.hidden_size)
        if shape.fused:
            fused = self._tensors.stored(f"{name}gate_up_proj.weight", (2 * sizes[0], sizes[1]))
            gate, up = (
                self._product(hidden, part, f"{name}gate_up_proj") for part in _rows(fused, (sizes[0], sizes[0]))
            )
        else:
            gate = self._linear(hidden, f"{name}gate_proj", sizes, bias=shape.mlp_bias)
            up = self._linear(hidden, f"{name}up_proj", sizes, bias=shape.mlp_bias)
        inner = ops.multiply(ops.swish(gate), up)
        return self._linear(inner, f"{name}down_proj", sizes[::-1], bias=shape.mlp_bias)

    def _attention(self, hidden: Node, layer: int) -> Node:
        shape, name = self._shape, f"model.layers.{layer}.self_attn."
        query, key, value = self._projections(hidden, name)
        query, key = self._rotate(query), self._rotate(key)
        keys = self._cached(key, f"past_key_values.{layer}.key", f"present.{layer}.key")
        values = self._cached(value, f"past_key_values.{layer}.value", f"present.{layer}.value")
        scale = constant(numpy.array(shape.head_size**-0.5, "f4"))
        attended = ops.scaled_dot_product_attention(
            query, self._repeated(keys), self._repeated(values), self._mask, scale, causal=False
        )
        width = shape.heads * shape.head_size
        joined = ops.reshape(_swapped(attended), constant(numpy.array([0, 0, width])), True)
        return self._linear(joined, f"{name}o_proj", (shape.hidden_size, width), bias=shape.output_bias)

    def _projections(self, hidden: Node, name: str) -> tuple[Node, Node, Node]:
        """Return query, key and value as (batch, heads, tokens, head size)."""
        shape = self._shape
        heads = (shape.heads, shape.kv_heads, shape.kv_heads)
        widths = tuple(count * shape.head_size for count in heads)
        if shape.fused:
            fused = self._tensors.stored(f"{name}qkv_proj.weight", (sum(widths), shape.hidden_size))
            flat = [self._product(hidden, part, f"{name}qkv_proj") for part in _rows(fused, widths)]
        else:
            flat = [
                self._linear(hidden, f"{name}{letter}_proj", (width, shape.hidden_size), bias=shape.qkv_bias)
                for letter, width in zip("qkv", widths, strict=True)
            ]
        split = [
            ops.reshape(one, constant(numpy.array([0, 0, count, shape.head_size])), True)
            for one, count in zip(flat, heads, strict=True)
        ]
        if shape.head_norms:
            split[0] = self._norm(split[0], f"{name}q_norm.weight", shape.head_size)
            split[1] = self._norm(split[1], f"{name}k_norm.weight", shape.head_size)
        query, key, value = (_swapped(one) for one in split)
        return query, key, value

    def _linear(self, values: Node, name: str, shape: tuple[int, ...], *, bias: bool) -> Node:
        product = self._product(values, self._tensors.stored(f"{name}.weight", shape), name)
        if not bias:
            return product
        return ops.add(product, constant(self._tensors.single(f"{name}.bias", shape[:1]).reshape(1, 1, -1)))

    def _product(self, values: Node, stored: Stored, name: str) -> Node:
        squares = ops.multiply(values, values)
        self.squares[name] = ops.reduce_sum(squares, constant(numpy.array([0, 1])), keep_dims=False)
        weights = matrix(stored, self._precision, importance=lambda: self._importance().get(name))
        return ops.matmul(values, weights, False, True)

    def _norm(self, values: Node, name: str, size: int) -> Node:
        """Normalize the last dimension by its root mean square."""
        rank = values.get_output_partial_shape(0).rank.get_length()
        weight = self._tensors.single(name, (size,)).reshape([1] * (rank - 1) + [size])
        squares = ops.power(values, constant(numpy.full([1] * rank, 2, "f4")))
        mean = ops.reduce_mean(squares, constant(numpy.array([-1])), keep_dims=True)
        root = ops.sqrt(ops.add(mean, constant(numpy.full([1] * rank, self._shape.eps, "f4"))))
        normed = ops.multiply(values, ops.divide(constant(numpy.full([1] * rank, 1, "f4")), root))
        return ops.multiply(constant(weight), normed)

    def _rotations(self) -> tuple[Node, Node]:
        """Return cosines and sines of the positions: (batch, 1, tokens, head size)."""
        frequencies = constant(numpy.array(self._shape.frequencies, "f4").reshape(1, -1, 1))
        positions = ops.convert(ops.unsqueeze(self._inputs["position_ids"], _whole(1)), "f32")
        angles = ops.transpose(ops.matmul(frequencies, positions, False, False), constant(numpy.array([0, 2, 1])))
        both = ops.concat([angles, angles], -1)
        return ops.unsqueeze(ops.cos(both), _whole(1)), ops.unsqueeze(ops.sin(both), _whole(1))

    def _rotate(self, values: Node) -> Node:
        half = self._shape.head_size // 2
        second = ops.multiply(_slice(values, half, 2**63 - 1), constant(numpy.full([1, 1, 1, 1], -1, "f4")))
        turned = ops.concat([second, _slice(values, 0, half)], -1)
        return ops.add(ops.multiply(values, self._cos), ops.multiply(turned, self._sin))

    def _cached(self, values: Node, past: str, present: str) -> Node:
        """Append to a state of keys or values, and return all of it."""
        heads, size = self._shape.kv_heads, self._shape.head_size
        name = f"{past}{present}"  # as the exporter names them
        empty_shape = ops.concat([self._batch, *(constant(numpy.array([n])) for n in (heads, 0, size))], 0)
        empty = ops.broadcast(constant(numpy.array(0, "f4")), empty_shape)
        state = ops.read_value(empty, name, openvino.Type.f32, openvino.PartialShape([-1, heads, -1, size]))
        state.output(0).set_names({past})
        before = ops.gather(state, self._inputs["beam_idx"], _whole(0))
        whole = ops.concat([before, values], -2)
        whole.output(0).set_names({present})
        self._sinks.append(ops.assign(whole, name))
        return whole

    def _repeated(self, values: Node) -> Node:
        """Repeat keys or values for the query heads that share them."""
        shape = self._shape
        times = shape.heads // shape.kv_heads
        if times == 1:
            return values
        found = ops.shape_of(values, "i64")
        target = ops.concat(
            [
                ops.gather(found, constant(numpy.array([0, 1])), _whole(0)),
                constant(numpy.array([times])),
                ops.gather(found, constant(numpy.array([2, 3])), _whole(0)),
            ],
            0,
        )
        wide = ops.broadcast(ops.unsqueeze(values, _whole(2)), target, broadcast_spec="BIDIRECTIONAL")
        return ops.reshape(wide, constant(numpy.array([0, shape.heads, -1, shape.head_size])), True)

    def _attention_mask(self) -> Node:
        """Return what is added to the scores, (batch, 1, tokens, all tokens): later tokens and padding are masked."""
        given = self._inputs["attention_mask"]
        length = _dimension(ops.shape_of(given, "i64"), 1)
        total, new = (ops.squeeze(one, _whole(0)) for one in (length, self._tokens))
        columns = ops.range(_whole(0), total, _whole(1), "i64")
        rows = ops.range(ops.subtract(total, new), total, _whole(1), "i64")
        earlier = ops.less_equal(ops.unsqueeze(columns, _whole(0)), ops.unsqueeze(rows, _whole(1)))
        kept = ops.unsqueeze(ops.convert(given, "boolean"), constant(numpy.array([1, 2])))
        seen = ops.logical_and(ops.unsqueeze(earlier, constant(numpy.array([0, 1]))), kept)
        return ops.select(seen, constant(numpy.array(0, "f4")), constant(numpy.array(MASKED, "f4")))


def _parameter(name: str, shape: list[int], kind: str) -> Node:
    node = ops.parameter(openvino.PartialShape(shape), getattr(openvino.Type, kind))
    node.set_friendly_name(name)  # which is what the paged attention's transformation finds it by
    node.output(0).set_names({name})
    return node


def _dimension(shape: Node, axis: int) -> Node:
    """Return one dimension as a tensor of one element."""
    return ops.gather(shape, constant(numpy.array([axis])), _whole(0))


def _whole(number: int, kind: str = "i8") -> Node:
    return constant(numpy.array(number, f"<{kind}"))


def _swapped(values: Node) -> Node:
    """Exchange the second and the third dimension: tokens and heads."""
    return ops.transpose(values, constant(numpy.array([0, 2, 1, 3])))


def _slice(values: Node, start: int, stop: int) -> Node:
    """Return part of the last dimension."""
    return ops.slice(values, *(constant(numpy.array([number])) for number in (start, stop, 1, 3)))


def _rows(stored: Stored, sizes: tuple[int, ...]) -> list[Stored]:
    """Return a stored matrix in pieces of so many rows each."""
    ends = numpy.cumsum(sizes)[:-1]
    parts: list[Array] = numpy.split(stored.bits, ends)
    return [Stored(stored.kind, part) for part in parts]
