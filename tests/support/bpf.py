"""Run classic BPF as the kernel runs a system call filter, and several filters as it combines them."""

from __future__ import annotations

import struct
from collections.abc import Sequence

ALLOWED, KILLED = "allowed", "killed"
ALLOW, KILL_PROCESS = 0x7FFF0000, 0x80000000
ACTIONS = 0xFFFF0000
Program = Sequence[tuple[int, int, int, int]]

LOAD, AND, RETURN = 0x20, 0x54, 0x06
JUMP = 0x05
CONDITIONS = {
    0x15: lambda value, operand: value == operand,
    0x25: lambda value, operand: value > operand,
    0x35: lambda value, operand: value >= operand,
    0x45: lambda value, operand: bool(value & operand),
}


def decoded(data: bytes) -> Program:
    """Return a program from the form in which the kernel takes it."""
    return list(struct.iter_unpack("=HBBI", data))


def run(program: Program, arch: int, number: int, *arguments: int) -> int:
    """Return what a program returns for a call; an instruction that is not known here is an error."""
    data = struct.pack("<IIQ6Q", number, arch, 0, *(*arguments, *(0,) * (6 - len(arguments))))
    place, accumulator = 0, 0
    while True:
        code, yes, no, operand = program[place]
        place += 1
        if code == LOAD:
            (accumulator,) = struct.unpack_from("<I", data, operand)
        elif code == AND:
            accumulator &= operand
        elif code == JUMP:
            place += operand
        elif code == RETURN:
            return operand
        else:
            place += yes if CONDITIONS[code](accumulator, operand) else no


def verdict(programs: Sequence[Program], arch: int, number: int, *arguments: int) -> str | int:
    """Return ALLOWED, KILLED or the errno for a call under filters that were loaded in this order.

    The harshest action counts; among equals that of the filter that was loaded last, as in seccomp(2).
    """
    answers = [run(program, arch, number, *arguments) for program in reversed(programs)]
    worst = min(answers, key=_harshness)
    return {ALLOW: ALLOWED, KILL_PROCESS: KILLED}.get(worst, worst & 0xFFFF)


def _harshness(answer: int) -> int:
    """Order actions as the kernel does, which compares them as signed numbers."""
    action = answer & ACTIONS
    return action - (1 << 32) if action >> 31 else action
