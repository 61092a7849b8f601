"""What is done to the sixteen lanes of a vector (`simd.py`): masks, functions, conversions.

A mask has one bit a lane, lane n in bit n of a uint16.
"""

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from spsn.kernels.cpu.simd import (
    FLOATS,
    LANES,
    WORDS,
    broadcast,
    call_llvm,
    fma,
    llvm_type,
    pointer_to,
    splat,
)


def _comparison(symbol: str):
    def compare(typingctx, a, b):
        def codegen(context, builder, signature, arguments):
            return builder.bitcast(builder.fcmp_ordered(symbol, *arguments), ir.IntType(LANES))

        return types.uint16(a, b), codegen

    return intrinsic(compare)


above = _comparison(">")  # the mask of the lanes in which a > b
at_least = _comparison(">=")  # and a >= b; neither holds of what is not a number


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
        pointer = pointer_to(context, builder, signature.args[0], arguments[0], at, kind)
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
        return call_llvm(builder, "fabs", arguments)

    return a(a), codegen


@intrinsic
def clamp(typingctx, a, low, high):
    """a between the numbers low and high; what is not a number stays so."""

    def codegen(context, builder, signature, arguments):
        value, *ends = arguments
        kind = value.type
        for sign, end, number in zip("<>", ends, signature.args[1:], strict=True):
            limit = broadcast(builder, context.cast(builder, end, number, types.float32), kind)
            value = builder.select(builder.fcmp_ordered(sign, value, limit), limit, value)
        return value

    return a(a, low, high), codegen


@intrinsic
def lane_numbers(typingctx):
    """0, 1, ... 15 as words."""

    def codegen(context, builder, signature, arguments):
        return ir.Constant(llvm_type(context, WORDS), list(range(LANES)))

    return WORDS(), codegen


@intrinsic
def uniforms_of(typingctx, words):
    """32-bit words as uniforms ((w >> 9) + 1/2) / 2^23, exact in float32."""

    def codegen(context, builder, signature, arguments):
        narrow = ir.VectorType(ir.IntType(32), LANES)
        floats = llvm_type(context, FLOATS)
        bits = builder.lshr(builder.trunc(arguments[0], narrow), ir.Constant(narrow, [9] * LANES))
        whole = builder.sitofp(bits, floats)
        half = builder.fadd(whole, ir.Constant(floats, [0.5] * LANES))
        return builder.fmul(half, ir.Constant(floats, [2.0**-23] * LANES))

    return FLOATS(words), codegen


@intrinsic
def nearest(typingctx, a):
    """The nearest whole number, as float32."""

    def codegen(context, builder, signature, arguments):
        return call_llvm(builder, "rint", arguments)

    return a(a), codegen


@intrinsic
def power_of_two(typingctx, n):
    """2^n for whole numbers n (float32) from -126 to 127."""

    def codegen(context, builder, signature, arguments):
        narrow = ir.VectorType(ir.IntType(32), LANES)
        whole = builder.fptosi(arguments[0], narrow)
        biased = builder.add(whole, ir.Constant(narrow, [127] * LANES))
        shifted = builder.shl(biased, ir.Constant(narrow, [23] * LANES))
        return builder.bitcast(shifted, llvm_type(context, FLOATS))

    return FLOATS(n), codegen


_inline = numba.njit(inline="always")


@_inline
def exp(x):
    """e^x to 3 units in the last place; x is clamped to +-80, where float32 is far from overflowing.

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
