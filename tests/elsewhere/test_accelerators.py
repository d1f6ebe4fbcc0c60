"""Accelerators that are not here: their figures, and what follows on paper."""

import math

import pytest

from gans_jax._elsewhere.chips import CHIPS
from gans_jax._elsewhere.collectives import Message, copied_once, messages
from gans_jax._elsewhere.report import Memory, Program, describe
from gans_jax._elsewhere.roofline import roofline
from gans_jax._elsewhere.target import Target, parse_target
from shared.config.presets import PRESETS
from shared.errors import UsageError

_MANY = 2**50


@pytest.mark.parametrize(
    ("text", "name", "shape", "compiles"),
    [
        ("v5e", "v5e", (1, 1), True),
        ("v5e:1", "v5e", (1, 1), True),
        ("v5e:2x2", "v5e", (2, 2), True),
        ("v6e:16x16", "v6e", (16, 16), True),
        ("v4:2x2x1", "v4", (2, 2, 1), True),
        ("v5p:4x4x8", "v5p", (4, 4, 8), True),
        ("cuda", "h100", (1,), False),
        ("cuda:8", "h100", (8,), False),
        ("tpu:2x4", "v5e", (2, 4), False),
    ],
)
def test_a_target_is_a_chip_and_how_many(
    text: str, name: str, shape: tuple[int, ...], compiles: bool
) -> None:
    assert parse_target(text) == Target(text, name, shape, compiles)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "must be one of v4, v5p, v5e, v6e, cuda, tpu, and how many"),
        ("v5", "must be one of"),
        ("V5E:2x2", "must be one of"),
        ("v5e:", "is said like v5e:2x2"),
        ("v5e:4", "is said like v5e:2x2"),
        ("v5e:2x2x1", "is said like v5e:2x2"),
        ("v5e:0x2", "is said like v5e:2x2"),
        ("v4:2x2", "is said like v4:2x2x2"),
        ("cuda:2x2", "is said like cuda:2"),
        ("cuda:257", "must be 256 of them or fewer"),
        ("v5e:16x32", "must be 256 of them or fewer"),
    ],
)
def test_another_target_is_refused(text: str, rule: str) -> None:
    with pytest.raises(UsageError, match=f"^--for {text}: .*{rule}"):
        parse_target(text)


@pytest.mark.parametrize(
    ("name", "shape", "published"),
    [
        ("v5e", (16, 16), 51.2e12),
        ("v6e", (16, 16), 102.4e12),
        ("v4", (16, 16, 16), 1.1e15),
    ],
)
def test_links_carry_what_google_says_of_a_pod(
    name: str, shape: tuple[int, ...], published: float
) -> None:
    """Its "all-reduce bandwidth": what all chips together send, twice the message."""
    count = math.prod(shape)
    seconds = CHIPS[name].links.seconds("all-reduce", _MANY, shape)
    assert 2 * (count - 1) * _MANY / seconds == pytest.approx(published, rel=0.01)


def test_a_message_takes_its_bytes_and_its_way() -> None:
    torus, nodes = CHIPS["v5e"].links, CHIPS["h100"].links
    for links in (torus, nodes):
        assert links.seconds("all-reduce", 2**20, (1, 1)) == 0
    # Two lines of two chips, each way one hop; a quarter of the message stays.
    one = 1e6 * 3 / 4 / 100e9 + 2e-6
    assert torus.seconds("all-gather", 10**6, (2, 2)) == pytest.approx(one)
    assert torus.seconds("all-reduce", 10**6, (2, 2)) == pytest.approx(2 * one)
    # Rings carry twice as much, and their furthest chip is half as far.
    assert torus.seconds("all-gather", 0, (16, 16)) == pytest.approx(16e-6)
    assert torus.seconds("all-gather", 0, (8, 8)) == pytest.approx(14e-6)
    inside = 4.4e-6 + 2 * (1e6 * 7 / 8 / 450e9 + 7 * 0.52e-6)
    assert nodes.seconds("all-reduce", 10**6, (8,)) == pytest.approx(inside)
    # 32 nodes: five times from node to node, each GPU with an eighth of the message.
    more = 2 * (1e6 * 31 / 32 / 8 / 50e9 + 5 * 5e-6)
    assert nodes.seconds("all-reduce", 10**6, (256,)) == pytest.approx(inside + more)


_PROGRAM = """\
HloModule jit_train_steps, is_scheduled=true

%sum.1 (x: f32[], y: f32[]) -> f32[] {
  ROOT %add.1 = f32[] add(%x, %y)
}

%wrapped.1 (a: f32[4]) -> f32[4] {
  ROOT %all-reduce.9 = f32[4]{0:T(128)} all-reduce(%a), to_apply=%sum.1
}

%begins.1 (a: f32[3]) -> f32[6] {
  ROOT %all-gather.4 = f32[6]{0} all-gather(%a), dimensions={0}, \
frontend_attributes={chain_id="0"}
}

%async_collective_fusion.1 (a: f32[3]) -> f32[6] {
  ROOT %all-gather.5 = f32[6]{0} all-gather(%a), dimensions={0}, \
frontend_attributes={chain_id="0"}
}

%yes.1 (a: f32[2]) -> f32[2] {
  ROOT %psum.2 = f32[2]{0} all-reduce(%a), replica_groups={{0,1}}, to_apply=%sum.1
}

%no.1 (a: f32[2]) -> f32[2] {
  ROOT %copy.1 = f32[2]{0} copy(%a)
}

%body.1 (state: (s32[], f32[100])) -> (s32[], f32[100]) {
  %all-reduce.2 = (f32[100]{0:T(1024)S(1)}, f32[]{:T(128)}, /*index=2*/bf16[3,2]{1,0}) \
all-reduce(%p, %q, %r), to_apply=%sum.1
  %x = f32[]{:T(128)} get-tuple-element(%all-reduce.2), index=1
  %s = (f32[8,2]{1,0}, f32[32,2]{1,0}) all-gather-start(%y), dimensions={0}
  %t = f32[32,2]{1,0} all-gather-done(%s)
  %c = f32[2]{0} conditional(%i, %t, %t), branch_computations={%yes.1, %no.1}
  %d = f32[4]{0} fusion(%c), kind=kCustom, calls=%wrapped.1
  %async-collective-start = f32[6]{0} fusion(%d), kind=kCustom, calls=%begins.1
  %e = f32[6]{0} fusion(%d), kind=kCustom, calls=%async_collective_fusion.1
}

%condition.1 (state: (s32[], f32[100])) -> pred[] {
  ROOT %lt = pred[] compare(%i, %n), direction=LT
}

ENTRY %main.1 (p0: f32[100], p1: f32[]) -> (f32[100]) {
  %copy.7 = u8[50,8,8,3]{3,0,2,1:T(8,128)S(1)} copy(%p0), backend_config={"x":"y"}
  %psum.118 = f32[] all-reduce(%p1), to_apply=%sum.1
  %while.1 = (s32[], f32[100]{0}) while(%init), condition=%condition.1, body=%body.1
}
"""


def test_messages_are_those_of_the_loop() -> None:
    found = messages(_PROGRAM)
    assert sorted(found) == [
        ("all-gather", (24,)),
        ("all-gather", (256,)),
        ("all-reduce", (8,)),
        ("all-reduce", (16,)),
        ("all-reduce", (400, 4, 12)),
    ]
    assert {x.size for x in found} == {24, 256, 8, 16, 416}


def test_messages_of_a_loop_in_a_step_come_as_often_as_it() -> None:
    slices = """\
%slice.1 (state: (s32[], f32[100])) -> (s32[], f32[100]) {
  %all-reduce.5 = f32[5]{0} all-reduce(%p), to_apply=%sum.1
}

%fewer.1 (state: (s32[], f32[100])) -> pred[] {
  %constant.9 = s32[]{:T(128)} constant(3), metadata={op_name="x"}
  ROOT %lt.2 = pred[] compare(%i, %constant.9), direction=LT
}

"""
    loop = "  %while.9 = (s32[]) while(%t), condition=%fewer.1, body=%slice.1\n"
    program = slices + _PROGRAM.replace("  %d = ", loop + "  %d = ")
    found = messages(program)
    assert found.count(Message("all-reduce", (20,))) == 3
    assert len(found) == len(messages(_PROGRAM)) + 3


def test_copies_of_arguments_come_once_in_a_call() -> None:
    assert copied_once(_PROGRAM) == 2 * 50 * 8 * 8 * 3


def test_a_step_takes_its_slowest_part_and_its_messages() -> None:
    target = parse_target("v5e:2x2")
    sent = [Message("all-reduce", (10**6,)), Message("all-gather", (4,))]
    best = roofline(target, "bfloat16", 197e9, 1638e6, sent)
    assert (best.compute, best.memory) == (pytest.approx(1e-3), pytest.approx(2e-3))
    links = (2e6 + 4) * 3 / 4 / 100e9 + 6e-6
    assert best.links == pytest.approx(links)
    assert best.step == pytest.approx(2e-3 + links)
    assert best.share == pytest.approx(links / (2e-3 + links))
    # A product in float32 is six in bfloat16.
    assert roofline(target, "float32", 197e9, 0.0, []).step == pytest.approx(6e-3)
    assert roofline(target, "bfloat16", 197e9, None, []).step == pytest.approx(1e-3)


_COMPILED = """\
dcgan                for 4 x v5e: batch 64, 16 on each, float32
compiles             in 61.2 s, 10 steps a call
memory of one device 1.75 GB of 16 GB
  arguments          1 GB
  outputs            40 B
  temporaries        500 MB
  program            250 MB
a step of one device
  operations         197 GFLOP
  memory traffic     819 MB
  messages           2 all-reduce, 1.01 MB; 1 all-gather, 4 B
at best              6.03 ms
  compute            6 ms
  memory             1 ms
  links              25.2 us, 0.417 %
"""


def test_what_is_said_of_a_program() -> None:
    config, target = PRESETS["dcgan"], parse_target("v5e:2x2")
    sent = [Message("all-reduce", (10**6,)), Message("all-reduce", (5000, 5000))]
    sent.append(Message("all-gather", (4,)))
    memory = Memory(10**9, 40, 5 * 10**8, 25 * 10**7)
    program = Program(10, 197e9, sent, 61.23, 819e6, memory)
    assert describe(config, target, program) == _COMPILED
    several = Program(10, 1e12, sent)
    assert "\n  links              at most 35.3 us\n" in describe(
        config, parse_target("cuda:8"), several
    )
    lowered = describe(config, parse_target("cuda"), Program(10, 1e12, []))
    assert "lowers               for cuda; not compiled\n" in lowered
    assert "  messages           none\n" in lowered
    assert "at best              known of a compiled program only\n" in lowered
    sliced = describe(config, target, program._replace(operations=None, traffic=None))
    assert "\n  program            250 MB\na step of one device\n  messages  " in sliced
    assert sliced.endswith(
        "at best              not known: XLA counts one slice of --accumulate\n"
        "  links              at most 25.2 us\n"
    )
    assert "  links              0 ns\n" in lowered
