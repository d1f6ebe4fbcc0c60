"""An NNX module taken apart, so that it can pass through JAX's transformations.

PyTorch's modules are this already; `steps.py` uses a `Network` where its twin uses a
module.
"""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx, struct


@struct.dataclass
class Network:
    """A network's definition (static) and its arrays (a pytree)."""

    params: nnx.State
    """What is trained."""
    buffers: nnx.State
    """Running statistics and the like."""
    training: nnx.GraphDef = struct.field(pytree_node=False)
    evaluation: nnx.GraphDef = struct.field(pytree_node=False)
    low_precision: bool = struct.field(pytree_node=False, default=False)
    """Whether convolutions and matrix products run in bfloat16."""

    @classmethod
    def of(cls, module: nnx.Module, low_precision: bool = False) -> "Network":
        """Take a module apart; the module is left in evaluation mode."""
        module.train()
        training, params, buffers = nnx.split(module, nnx.Param, ...)
        module.eval()
        evaluation = nnx.split(module, nnx.Param, ...)[0]
        return cls(
            params=params,
            buffers=buffers,
            training=training,
            evaluation=evaluation,
            low_precision=low_precision,
        )

    def __call__(self, *inputs: Any) -> tuple[Any, "Network"]:
        """Output in training mode, and the network with its buffers advanced."""
        # Fresh variables: those of an enclosing trace must not be written to.
        buffers = jax.tree.map(lambda x: x, self.buffers)
        module = nnx.merge(self.training, self.params, buffers)
        output = module(*self._cast(inputs))
        buffers = nnx.split(module, nnx.Param, ...)[2]
        return output, replace(self, buffers=jax.lax.stop_gradient(buffers))

    def evaluate(self, *inputs: Any) -> Any:
        """Output in evaluation mode, in which no buffer changes."""
        return self.module()(*self._cast(inputs))

    def module(self) -> Any:
        """Put together, in evaluation mode: the inverse of `of`."""
        return nnx.merge(self.evaluation, self.params, self.buffers)

    def astype(self, dtype: Any) -> "Network":
        """The same in this type, where it is in float32."""
        return jax.tree.map(
            lambda x: x.astype(dtype) if x.dtype == jnp.float32 else x, self
        )

    def _cast(self, inputs: Any) -> Any:
        """Images and latents, which products take their weights to the precision of."""
        if not self.low_precision:
            return inputs

        def cast(x: jax.Array) -> jax.Array:
            is_operand = x.ndim >= 2 and jnp.issubdtype(x.dtype, jnp.floating)
            return x.astype(jnp.bfloat16) if is_operand else x

        return jax.tree.map(cast, inputs)
