"""The additive attention kernels against the plain formula, w . tanh(k + q), and its gradients by autograd."""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterable

import pytest
import torch
from torch import Tensor

from showattend.errors import InputError
from showattend.ops import additive_attention
from showattend.ops.additive_attention import EAGER_KERNELS, AdditiveEnergy, CompiledKernels, Kernels, compiled_kernels, exp_2x

# Images, queries, locations, units.
SHAPES = [(5, 9, 300, 40), (1, 1, 1, 1), (3, 2, 7, 5), (2, 11, 49, 64)]


def additive_energies(keys: Tensor, queries: Tensor, weight: Tensor) -> Tensor:
    energies: Tensor = AdditiveEnergy.apply(EAGER_KERNELS, keys, exp_2x(keys.detach()), queries, weight)
    return energies


def plain_energies(keys: Tensor, queries: Tensor, weight: Tensor) -> Tensor:
    return torch.tanh(keys.unsqueeze(1) + queries.unsqueeze(2)) @ weight


def random_operands(shape: tuple[int, int, int, int], dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Keys (N,L,A), queries (N,G,A) and weight (A,)."""
    n, g, locations, a = shape
    return torch.randn(n, locations, a, dtype=dtype), torch.randn(n, g, a, dtype=dtype), torch.randn(a, dtype=dtype)


def all_close(some: Iterable[Tensor], others: Iterable[Tensor], **tolerance: float) -> bool:
    return all(torch.allclose(one, other, **tolerance) for one, other in zip(some, others, strict=True))


def energies_and_gradients(energies: Tensor, operands: Iterable[Tensor]) -> tuple[Tensor, ...]:
    outer = torch.linspace(-1, 1, energies.numel(), dtype=energies.dtype).view_as(energies)
    return energies.detach(), *torch.autograd.grad(energies, tuple(operands), outer)


@pytest.mark.parametrize("block", [1, 7, 60, 1 << 17])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_energies_and_gradients_equal_the_plain_formula_for_every_block_size(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int, int, int], block: int
) -> None:
    if block < 60 and shape == SHAPES[0]:
        shape = (2, 3, 30, 4)  # a block for each location of a large problem takes too long
    monkeypatch.setattr(additive_attention, "BLOCK_ELEMENTS", block)
    operands = [x.requires_grad_() for x in random_operands(shape)]
    expected = energies_and_gradients(plain_energies(*operands), operands)
    assert all_close(energies_and_gradients(additive_energies(*operands), operands), expected)


def test_gradients_pass_gradcheck_over_several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(additive_attention, "BLOCK_ELEMENTS", 60)
    assert torch.autograd.gradcheck(additive_energies, [x.requires_grad_() for x in random_operands((5, 2, 4, 3))])


@pytest.mark.parametrize("scale", [1e2, 1e4, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_huge_keys_and_queries_saturate_without_overflow(dtype: torch.dtype, scale: float) -> None:
    keys, queries, weight = random_operands((2, 3, 8, 5), dtype)
    operands = [x.requires_grad_() for x in (keys * scale, queries * scale, weight)]
    assert all(x.isfinite().all() for x in energies_and_gradients(additive_energies(*operands), operands))
    # Where both saturate on the same side, tanh of their sum is the sign.
    signs = torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0], dtype=dtype)
    operands = [(x.detach().abs() * signs).requires_grad_() for x in operands[:2]] + [weight.detach().requires_grad_()]
    expected = plain_energies(*(x.detach() for x in operands))
    assert torch.allclose(additive_energies(*operands), expected, rtol=1e-5, atol=1e-5)


def test_one_saturated_side_leaves_the_energies_exact() -> None:
    keys, queries, weight = random_operands((2, 3, 8, 5), torch.float32)
    assert torch.allclose(additive_energies(1e6 * keys, queries, weight), plain_energies(1e6 * keys, queries, weight), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_exp_2x_keeps_products_finite_and_equals_exp_where_it_is_not_clamped(dtype: torch.dtype) -> None:
    x = torch.tensor([-1e30, -21.0, 0.0, 0.5, 21.0, 1e30], dtype=dtype)
    result = exp_2x(x)
    assert (result.unsqueeze(0) * result.unsqueeze(1)).isfinite().all()
    assert torch.equal(result[1:5], (2 * x[1:5]).exp())


@pytest.mark.parametrize("shape", [(0, 2, 3, 4), (2, 0, 3, 4)], ids=["no images", "no queries"])
def test_kernels_take_empty_batches(shape: tuple[int, int, int, int]) -> None:
    operands = [x.requires_grad_() for x in random_operands(shape)]
    energies, *gradients = energies_and_gradients(additive_energies(*operands), operands)
    assert energies.shape == shape[:3]
    assert not any(grad.any() for grad in gradients)


def test_rows_of_zeros_give_the_sum_of_half_the_weight() -> None:
    _, _, weight = random_operands((2, 3, 4, 5))
    keys, queries = torch.zeros(2, 4, 5).double(), torch.zeros(2, 3, 5).double()
    assert torch.allclose(EAGER_KERNELS.energies(exp_2x(keys), exp_2x(queries), weight), (weight.sum() / 2).expand(2, 3, 4))
    assert torch.allclose(additive_energies(keys, queries, weight), torch.zeros(2, 3, 4).double(), atol=1e-12)


@pytest.mark.parametrize("feature_dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("num_queries", [4, 1])
def test_attend_is_the_softmax_of_the_energies_and_the_weighted_mean_of_the_features(num_queries: int, feature_dtype: torch.dtype) -> None:
    keys, queries, weight = random_operands((3, num_queries, 7, 5), torch.float32)
    features = torch.rand(3, 7, 6)
    alpha, context = EAGER_KERNELS.attend(exp_2x(keys), exp_2x(queries), -2 * weight, features.to(feature_dtype))
    expected = plain_energies(keys, queries, weight).softmax(-1)
    assert torch.allclose(alpha, expected, atol=1e-6)
    assert context.dtype == torch.float32
    assert torch.allclose(context, expected @ features, atol=1e-6 if feature_dtype == torch.float32 else 1e-2)


def check_row_energies(kernels: Kernels) -> None:
    """Against the energies of all queries with all images, of which each row has one."""
    exp_keys, exp_queries, weight = torch.rand(4, 6, 5).double(), torch.rand(7, 5).double(), torch.randn(5).double()
    images = torch.tensor([0, 0, 0, 2, 3, 3, 3])  # none of the second image
    every = kernels.energies(exp_keys, exp_queries.expand(4, -1, -1).contiguous(), weight)
    assert torch.allclose(kernels.row_energies(exp_keys, images, exp_queries, weight), every[images, torch.arange(7)])


def test_row_energies_are_those_of_each_query_with_its_own_image() -> None:
    check_row_energies(EAGER_KERNELS)


@pytest.mark.slow
@pytest.mark.parametrize("images_and_queries", [(3, 4), (5, 1)])
def test_compiled_kernels_equal_the_eager_ones(images_and_queries: tuple[int, int]) -> None:
    (n, g), locations, units, channels = images_and_queries, 50, 40, 6
    exp_keys, exp_queries = torch.rand(n, locations, units).double(), torch.rand(n, g, units).double()
    weight, features, grad = torch.randn(units).double(), torch.rand(n, locations, channels).double(), torch.randn(n, g, locations).double()
    compiled = compiled_kernels()
    check_row_energies(compiled)
    calls = [("energies", (weight,)), ("attend", (weight, features)), ("grad_queries", (grad,)), ("grad_keys", (grad,))]
    for name, operands in calls:
        results = [getattr(kernels, name)(exp_keys, exp_queries, *operands) for kernels in (compiled, EAGER_KERNELS)]
        assert all_close(*((result if isinstance(result, tuple) else (result,)) for result in results))


def test_a_machine_without_a_compiler_gets_one_line_that_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_compiler(function: object, **options: object) -> object:
        raise RuntimeError("no C++ compiler\nand a long trace")

    def compile_later(function: object, **options: object) -> object:
        return lambda *operands: no_compiler(function)

    monkeypatch.setattr(torch, "compile", compile_later)
    with pytest.raises(InputError, match=r"cannot be compiled \(no C\+\+ compiler\): install g\+\+"):
        compiled_kernels.__wrapped__()


TRITON_AGAINST_EAGER = """
import torch
from showattend.ops import additive_attention_triton
from showattend.ops.additive_attention import EAGER_KERNELS

torch.manual_seed(0)
for images, queries, locations, units in ((2, 5, 49, 70), (1, 1, 3, 5), (2, 11, 17, 64)):
    exp_keys, exp_queries = torch.rand(images, locations, units).double() * 3, torch.rand(images, queries, units).double() * 3
    operands = exp_keys, exp_queries, torch.randn(units).double()
    print(torch.allclose(additive_attention_triton.energies(*operands), EAGER_KERNELS.energies(*operands)))
"""


def test_triton_s_energies_equal_the_eager_ones_in_triton_s_interpreter() -> None:
    pytest.importorskip("triton")
    # Triton reads TRITON_INTERPRET once, when it is imported: a process of its own.
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", TRITON_AGAINST_EAGER], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == ["True"] * 3


@pytest.mark.parametrize("units", [64, 512])
def test_the_triton_kernel_compiles_for_gpus(units: int) -> None:
    triton = pytest.importorskip("triton")
    from triton.backends.compiler import GPUTarget

    from showattend.ops.additive_attention_triton import KEYS_PER_BLOCK, _energies_kernel

    constants = {"LOCATIONS": KEYS_PER_BLOCK // units, "UNITS": units}
    types = {name: "constexpr" if name in constants else "i32" if len(name) == 1 else "*fp32" for name in _energies_kernel.arg_names}
    source = triton.compiler.ASTSource(_energies_kernel, types, constants)
    assert triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"]


def test_compiled_kernels_go_through_a_pickle_as_an_order_to_compile_them(monkeypatch: pytest.MonkeyPatch) -> None:
    ready = CompiledKernels(*EAGER_KERNELS)
    monkeypatch.setattr(additive_attention, "compiled_kernels", lambda: ready)
    again = pickle.dumps(ready)
    assert pickle.loads(again) is ready

    def fail() -> Kernels:
        raise InputError("no compiler")

    monkeypatch.setattr(additive_attention, "compiled_kernels", fail)
    assert pickle.loads(again) is EAGER_KERNELS
