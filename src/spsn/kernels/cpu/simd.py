"""Vectors of sixteen numbers as values of compiled functions.

numba leaves it to the compiler whether a loop becomes SIMD code. Here a vector is a type of its own, so that
the accumulators of a product stay in registers and a comparison gives its bits. The vectors are LLVM's: on a
processor with narrower registers each becomes two or four of them, and the results stay the same.

    float32 (16 lanes) and wide float32 (64 lanes):  + - * /   fma   splat   load   store
    uint64 (16 lanes):                               + * ^ & >>
    mask: 16 bits, one a lane, in a uint16

Loads and stores take the flat index of the first element and do not check it.
"""

import operator

import numba
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
INTS = VectorType(types.int32, LANES)


def _llvm(context, vector: VectorType) -> ir.VectorType:
    return context.get_value_type(vector)


def _broadcast(builder, scalar, kind: ir.VectorType):
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.IntType(32)(0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), kind.count), None))


def _pointer(context, builder, array_type, array, index, kind):
    """Where `kind` begins in the array's memory, at a flat index of its elements."""
    from numba.np.arrayobj import make_array

    data = make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), kind.as_pointer())


def _call(builder, name: str, arguments):
    """LLVM's own function of that name for vectors of the arguments' type."""
    kind = arguments[0].type
    function_type = ir.FunctionType(kind, [kind] * len(arguments))
    full = f"llvm.{name}.v{kind.count}f32"
    return builder.call(cgutils.get_or_insert_function(builder.module, function_type, full), arguments)


def _loader(vector: VectorType):
    def load(typingctx, array, index):
        def codegen(context, builder, signature, arguments):
            array_type, index_type = signature.args
            kind = _llvm(context, vector)
            at = context.cast(builder, arguments[1], index_type, types.intp)
            return builder.load(_pointer(context, builder, array_type, arguments[0], at, kind), align=4)

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
            number = builder.load(_pointer(context, builder, array_type, arguments[0], at, element), align=4)
            return _broadcast(builder, number, _llvm(context, vector))

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
        pointer = _pointer(context, builder, array_type, arguments[0], at, ir.IntType(8))
        return builder.zext(builder.load(pointer, align=1), ir.IntType(64))

    return types.intp(array, index), codegen


@intrinsic
def store(typingctx, array, index, value):
    """array.flat[index : index + lanes] = value."""

    def codegen(context, builder, signature, arguments):
        array_type, index_type, vector = signature.args
        kind = _llvm(context, vector)
        at = context.cast(builder, arguments[1], index_type, types.intp)
        builder.store(arguments[2], _pointer(context, builder, array_type, arguments[0], at, kind), align=4)
        return context.get_dummy_value()

    return types.void(array, index, value), codegen


@intrinsic
def store_past_cache(typingctx, array, index, value):
    """`store` for what is not read again soon: not by way of the cache. Begins at a multiple of 64 bytes."""

    def codegen(context, builder, signature, arguments):
        array_type, index_type, vector = signature.args
        kind = _llvm(context, vector)
        at = context.cast(builder, arguments[1], index_type, types.intp)
        pointer = _pointer(context, builder, array_type, arguments[0], at, kind)
        stored = builder.store(arguments[2], pointer, align=64)
        stored.set_metadata("nontemporal", builder.module.add_metadata([ir.IntType(32)(1)]))
        return context.get_dummy_value()

    return types.void(array, index, value), codegen


def _splatter(vector: VectorType):
    def splat(typingctx, scalar):
        def codegen(context, builder, signature, arguments):
            value = context.cast(builder, arguments[0], signature.args[0], vector.dtype)
            return _broadcast(builder, value, _llvm(context, vector))

        return vector(scalar), codegen

    return intrinsic(splat)


splat = _splatter(FLOATS)
splat_wide = _splatter(WIDE_FLOATS)
splat_words = _splatter(WORDS)


@intrinsic
def fma(typingctx, a, b, c):
    """a b + c, rounded once where the processor can."""

    def codegen(context, builder, signature, arguments):
        return _call(builder, "fmuladd", arguments)

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


@intrinsic
def above(typingctx, a, b):
    """The mask of the lanes in which a > b."""

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(builder.fcmp_ordered(">", *arguments), ir.IntType(LANES))

    return types.uint16(a, b), codegen


def _lanes_of(builder, mask):
    return builder.bitcast(mask, ir.VectorType(ir.IntType(1), LANES))


@intrinsic
def select(typingctx, mask, a, b):
    """a where the mask's bit is set, else b."""

    def codegen(context, builder, signature, arguments):
        mask = context.cast(builder, arguments[0], signature.args[0], types.uint16)
        return builder.select(_lanes_of(builder, mask), arguments[1], arguments[2])

    return a(mask, a, b), codegen


@intrinsic
def store_patterns(typingctx, array, index, m0, m1, m2, m3):
    """array.flat[index + n] = 16 (bit n of m0) + 32 (of m1) + 64 (of m2) + 128 (of m3), uint8, 16 lanes."""

    def codegen(context, builder, signature, arguments):
        kind = ir.VectorType(ir.IntType(8), LANES)
        total = ir.Constant(kind, None)
        for k, argument in enumerate(arguments[2:]):
            mask = context.cast(builder, argument, signature.args[2 + k], types.uint16)
            value = ir.Constant(kind, [16 << k] * LANES)
            total = builder.or_(
                total, builder.select(_lanes_of(builder, mask), value, ir.Constant(kind, None))
            )
        at = context.cast(builder, arguments[1], signature.args[1], types.intp)
        pointer = _pointer(context, builder, signature.args[0], arguments[0], at, kind)
        builder.store(total, pointer, align=1)
        return context.get_dummy_value()

    return types.void(array, index, m0, m1, m2, m3), codegen


@intrinsic
def signs(typingctx, a):
    """The mask of the lanes whose sign bit is set."""

    def codegen(context, builder, signature, arguments):
        bits = builder.bitcast(arguments[0], ir.VectorType(ir.IntType(32), LANES))
        zero = ir.Constant(bits.type, None)
        return builder.bitcast(builder.icmp_signed("<", bits, zero), ir.IntType(LANES))

    return types.uint16(a), codegen


@intrinsic
def magnitude(typingctx, a):
    """|a|."""

    def codegen(context, builder, signature, arguments):
        return _call(builder, "fabs", arguments)

    return a(a), codegen


@intrinsic
def clamp(typingctx, a, low, high):
    """a between the numbers low and high; what is not a number stays so."""

    def codegen(context, builder, signature, arguments):
        value, *ends = arguments
        kind = value.type
        for sign, end, number in zip("<>", ends, signature.args[1:], strict=True):
            limit = _broadcast(builder, context.cast(builder, end, number, types.float32), kind)
            value = builder.select(builder.fcmp_ordered(sign, value, limit), limit, value)
        return value

    return a(a, low, high), codegen


@intrinsic
def lane_numbers(typingctx):
    """0, 1, ... 15 as words."""

    def codegen(context, builder, signature, arguments):
        return ir.Constant(_llvm(context, WORDS), list(range(LANES)))

    return WORDS(), codegen


@intrinsic
def uniforms_of(typingctx, words):
    """32-bit words as uniforms ((w >> 9) + 1/2) / 2^23, exact in float32."""

    def codegen(context, builder, signature, arguments):
        narrow = ir.VectorType(ir.IntType(32), LANES)
        floats = _llvm(context, FLOATS)
        bits = builder.lshr(builder.trunc(arguments[0], narrow), ir.Constant(narrow, [9] * LANES))
        whole = builder.sitofp(bits, floats)
        half = builder.fadd(whole, ir.Constant(floats, [0.5] * LANES))
        return builder.fmul(half, ir.Constant(floats, [2.0**-23] * LANES))

    return FLOATS(words), codegen


@intrinsic
def nearest(typingctx, a):
    """The nearest whole number, as float32."""

    def codegen(context, builder, signature, arguments):
        return _call(builder, "rint", arguments)

    return a(a), codegen


@intrinsic
def power_of_two(typingctx, n):
    """2^n for whole numbers n (float32) from -126 to 127."""

    def codegen(context, builder, signature, arguments):
        narrow = ir.VectorType(ir.IntType(32), LANES)
        whole = builder.fptosi(arguments[0], narrow)
        biased = builder.add(whole, ir.Constant(narrow, [127] * LANES))
        shifted = builder.shl(biased, ir.Constant(narrow, [23] * LANES))
        return builder.bitcast(shifted, _llvm(context, FLOATS))

    return FLOATS(n), codegen


_inline = numba.njit(inline="always")


@_inline
def exp(x):
    """e^x to 2 units in the last place; x is clamped to +-80, where float32 is far from overflowing.

    x = n ln 2 + r with |r| <= ln 2 / 2, e^r by its Taylor polynomial of degree 6 in nested form.
    """
    x = clamp(x, -80.0, 80.0)
    n = nearest(x * splat(1.4426950408889634))
    r = fma(n, splat(-0.693145751953125), x)
    r = fma(n, splat(-1.428606765330187e-06), r)
    p = fma(r, splat(1.0 / 720.0), splat(1.0 / 120.0))
    p = fma(p, r, splat(1.0 / 24.0))
    p = fma(p, r, splat(1.0 / 6.0))
    p = fma(p, r, splat(0.5))
    p = fma(p, r, splat(1.0))
    p = fma(p, r, splat(1.0))
    return p * power_of_two(n)
