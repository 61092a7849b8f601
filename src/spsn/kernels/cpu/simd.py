"""Vectors of sixteen numbers as values of compiled functions.

numba leaves it to the compiler whether a loop becomes SIMD code. Here a vector is a type of its own, so that
the accumulators of a product stay in registers and a comparison gives its bits. The vectors are LLVM's: on a
processor with narrower registers each becomes two or four of them. Results are the same on all processors
that multiply and add in one rounding.

    float32 (16 lanes) and wide float32 (64 lanes):  + - * /   fma   splat   load   store
    uint64 (16 lanes):                               + * ^ & >>

Masks, functions and conversions stand in `lanes.py`.

Loads and stores take the flat index of the first element and do not check it.
"""

import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

LANES = 16
WIDE = 64


class VectorType(types.Type):
    """`lanes` numbers of one type in registers."""

    def __init__(self, dtype: types.Type, lanes: int) -> None:
        self.dtype, self.lanes = dtype, lanes
        super().__init__(name=f"vector({dtype} x {lanes})")


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector: VectorType) -> None:
        element = manager.lookup(vector.dtype).get_value_type()
        super().__init__(manager, vector, ir.VectorType(element, vector.lanes))


FLOATS = VectorType(types.float32, LANES)
WIDE_FLOATS = VectorType(types.float32, WIDE)
WORDS = VectorType(types.uint64, LANES)


def llvm_type(context, vector: VectorType) -> ir.VectorType:
    """LLVM's type of a vector."""
    return context.get_value_type(vector)


def broadcast(builder, scalar, kind: ir.VectorType):
    """The scalar in every lane."""
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.IntType(32)(0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), kind.count), None))


def pointer_to(context, builder, array_type, array, index, kind):
    """Where `kind` begins in the array's memory, at a flat index of its elements."""
    from numba.np.arrayobj import make_array

    data = make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), kind.as_pointer())


def call_llvm(builder, name: str, arguments):
    """LLVM's own function of that name for vectors of the arguments' type."""
    kind = arguments[0].type
    function_type = ir.FunctionType(kind, [kind] * len(arguments))
    full = f"llvm.{name}.v{kind.count}f32"
    return builder.call(cgutils.get_or_insert_function(builder.module, function_type, full), arguments)


def _loader(vector: VectorType):
    def load(typingctx, array, index):
        def codegen(context, builder, signature, arguments):
            array_type, index_type = signature.args
            kind = llvm_type(context, vector)
            at = context.cast(builder, arguments[1], index_type, types.intp)
            return builder.load(pointer_to(context, builder, array_type, arguments[0], at, kind), align=4)

        return vector(array, index), codegen

    return intrinsic(load)


load = _loader(FLOATS)
load_wide = _loader(WIDE_FLOATS)


def _broadcaster(vector: VectorType):
    def splat_at(typingctx, array, index):
        def codegen(context, builder, signature, arguments):
            array_type, index_type = signature.args
            at = context.cast(builder, arguments[1], index_type, types.intp)
            element = ir.FloatType()
            number = builder.load(
                pointer_to(context, builder, array_type, arguments[0], at, element), align=4
            )
            return broadcast(builder, number, llvm_type(context, vector))

        return vector(array, index), codegen

    return intrinsic(splat_at)


splat_at = _broadcaster(FLOATS)
splat_wide_at = _broadcaster(WIDE_FLOATS)


@intrinsic
def byte_at(typingctx, array, index):
    """array.flat[index] of an array of uint8."""

    def codegen(context, builder, signature, arguments):
        array_type, index_type = signature.args
        at = context.cast(builder, arguments[1], index_type, types.intp)
        pointer = pointer_to(context, builder, array_type, arguments[0], at, ir.IntType(8))
        return builder.zext(builder.load(pointer, align=1), ir.IntType(64))

    return types.intp(array, index), codegen


@intrinsic
def store(typingctx, array, index, value):
    """array.flat[index : index + lanes] = value."""

    def codegen(context, builder, signature, arguments):
        array_type, index_type, vector = signature.args
        kind = llvm_type(context, vector)
        at = context.cast(builder, arguments[1], index_type, types.intp)
        builder.store(arguments[2], pointer_to(context, builder, array_type, arguments[0], at, kind), align=4)
        return context.get_dummy_value()

    return types.void(array, index, value), codegen


@intrinsic
def store_past_cache(typingctx, array, index, value):
    """`store` for what is not read again soon: not by way of the cache. Begins at a multiple of 64 bytes."""

    def codegen(context, builder, signature, arguments):
        array_type, index_type, vector = signature.args
        kind = llvm_type(context, vector)
        at = context.cast(builder, arguments[1], index_type, types.intp)
        pointer = pointer_to(context, builder, array_type, arguments[0], at, kind)
        stored = builder.store(arguments[2], pointer, align=64)
        stored.set_metadata("nontemporal", builder.module.add_metadata([ir.IntType(32)(1)]))
        return context.get_dummy_value()

    return types.void(array, index, value), codegen


def _splatter(vector: VectorType):
    def splat(typingctx, scalar):
        def codegen(context, builder, signature, arguments):
            value = context.cast(builder, arguments[0], signature.args[0], vector.dtype)
            return broadcast(builder, value, llvm_type(context, vector))

        return vector(scalar), codegen

    return intrinsic(splat)


splat = _splatter(FLOATS)
splat_wide = _splatter(WIDE_FLOATS)
splat_words = _splatter(WORDS)


@intrinsic
def fma(typingctx, a, b, c):
    """a b + c, rounded once where the processor can."""

    def codegen(context, builder, signature, arguments):
        return call_llvm(builder, "fmuladd", arguments)

    return a(a, b, c), codegen


def _operation(name: str):
    def operation(typingctx, a, b):
        def codegen(context, builder, signature, arguments):
            return getattr(builder, name)(*arguments)

        return a(a, b), codegen

    return intrinsic(operation)


_FLOAT = {operator.add: "fadd", operator.sub: "fsub", operator.mul: "fmul", operator.truediv: "fdiv"}
_WORD = {
    operator.add: "add", operator.mul: "mul", operator.xor: "xor", operator.and_: "and_",
    operator.rshift: "lshr",
}  # fmt: skip


def _overload(symbol, on_floats: str | None, on_words: str | None) -> None:
    of_floats = on_floats and _operation(on_floats)
    of_words = on_words and _operation(on_words)

    def implementation(a, b):
        if isinstance(a, VectorType) and a == b:
            chosen = of_floats if a.dtype == types.float32 else of_words
            return lambda a, b: chosen(a, b)
        return None

    overload(symbol)(implementation)


for _symbol in {*_FLOAT, *_WORD}:
    _overload(_symbol, _FLOAT.get(_symbol), _WORD.get(_symbol))
