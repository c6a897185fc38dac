"""The paper's Transformer: decoder-only, pre-LayerNorm, with the initial weights of its own code
(haiku). Vaswani et al., arXiv 1706.03762; Xiong et al., arXiv 2002.04745 (pre-LayerNorm)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from samedge_core.problems.memory import VOCABULARY
from samedge_core.problems.paper_networks import TRUNCATED_STD, truncated_normal_

WIDENING = 4
EMBEDDING_STD = 0.02
HAIKU_EPSILON = 1e-5


class Attention(nn.Module):
    """Causal self-attention on (n, time, model): each position sees itself and earlier ones.

    Plain matrix products: the fused kernels have no second derivative.
    """

    def __init__(self, model: int, heads: int, key: int) -> None:
        super().__init__()
        self.heads, self.key = heads, key
        self.query = nn.Linear(model, heads * key)
        self.keys = nn.Linear(model, heads * key)
        self.value = nn.Linear(model, heads * key)
        self.output = nn.Linear(heads * key, model)

    def forward(self, x: Tensor) -> Tensor:
        n, time, _ = x.shape
        q, k, v = (
            layer(x).view(n, time, self.heads, self.key).transpose(1, 2)
            for layer in (self.query, self.keys, self.value)
        )  # (n, heads, time, key)
        scores = q @ k.transpose(-2, -1) / math.sqrt(self.key)  # (n, heads, time, time)
        later = torch.ones(time, time, dtype=torch.bool, device=x.device).triu(1)
        weights = scores.masked_fill(later, -math.inf).softmax(-1)
        return self.output((weights @ v).transpose(1, 2).reshape(n, time, -1))


class Block(nn.Module):
    """x + attention(norm(x)), then x + dense(norm(x))."""

    def __init__(self, model: int, heads: int, key: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(model, eps=HAIKU_EPSILON)
        self.attention = Attention(model, heads, key)
        self.dense_norm = nn.LayerNorm(model, eps=HAIKU_EPSILON)
        self.dense = nn.Sequential(
            nn.Linear(model, WIDENING * model),
            nn.GELU(approximate="tanh"),
            nn.Linear(WIDENING * model, model),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x))
        return x + self.dense(self.dense_norm(x))


class Transformer(nn.Module):
    """Codes (n, time) to logits of the next code (n, time, VOCABULARY); learned positions, and a
    head that does not share its weights with the embedding."""

    def __init__(self, *, length: int, layers: int, heads: int, key: int, model: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, model)
        self.positions = nn.Parameter(torch.zeros(length, model))
        self.blocks = nn.Sequential(*(Block(model, heads, key) for _ in range(layers)))
        self.norm = nn.LayerNorm(model, eps=HAIKU_EPSILON)
        self.head = nn.Linear(model, VOCABULARY)

    def forward(self, codes: Tensor) -> Tensor:
        x = self.tokens(codes) + self.positions[: codes.shape[1]]
        return self.head(self.norm(self.blocks(x)))


def haiku_initialiser(module: nn.Module) -> None:
    """Draw fresh weights for a Transformer, from torch's global generator: embeddings N(0, .02^2),
    layers of blocks with variance (2/layers)/fan-in, the head with 1/fan-in before the cut; all
    truncated at two standard deviations, biases 0."""
    assert isinstance(module, Transformer)
    for embedding in (module.tokens.weight, module.positions):
        truncated_normal_(embedding, EMBEDDING_STD)
    for layer in module.modules():
        if isinstance(layer, nn.LayerNorm):
            layer.reset_parameters()
        elif isinstance(layer, nn.Linear):
            scale = 1.0 if layer is module.head else 2 / len(module.blocks) / TRUNCATED_STD**2
            truncated_normal_(layer.weight, math.sqrt(scale / layer.in_features))
            nn.init.zeros_(layer.bias)
