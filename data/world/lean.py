"""The forward pass of a Llama over the weights of a `LlamaForCausalLM`, with half the memory traffic of the original.

On two cores the elementwise parts cost as much as the matrices. Here queries, keys and values are one product, gate
and up another, and everything between is bfloat16. A test holds it to the original.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import LlamaForCausalLM


def rotary_tables(model: LlamaForCausalLM, length: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines (T, D) of the rotary embedding, the signs of the sines folded in."""
    inverse_D2 = model.model.rotary_emb.inv_freq.float()
    angles_TD2 = torch.arange(length).float()[:, None] * inverse_D2[None, :]
    cos_TD = torch.cat([angles_TD2.cos()] * 2, dim=-1).bfloat16()
    sin_TD = torch.cat([-angles_TD2.sin(), angles_TD2.sin()], dim=-1).bfloat16()
    return cos_TD, sin_TD


def _rotated(x_BHTD: Tensor, cos_TD: Tensor, sin_TD: Tensor) -> Tensor:
    return torch.addcmul(x_BHTD * cos_TD, x_BHTD.roll(x_BHTD.shape[-1] // 2, -1), sin_TD)


def hidden(model: LlamaForCausalLM, ids_BT: Tensor, numbers_BT: Tensor) -> Tensor:
    """The last hidden states (B, T, D), in bfloat16; a token sees those before it that have its number."""
    config = model.config
    heads, key_heads, size = (
        config.num_attention_heads,
        config.num_key_value_heads,
        config.hidden_size // config.num_attention_heads,
    )
    batch, length = ids_BT.shape
    cos_TD, sin_TD = rotary_tables(model, length)
    seen_B1TT = (numbers_BT[:, None, :, None] == numbers_BT[:, None, None, :]).tril()
    x_BTD = F.embedding(ids_BT, model.model.embed_tokens.weight.bfloat16())
    for layer in model.model.layers:
        attention, mlp = layer.self_attn, layer.mlp
        weights = (attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight)
        joined = F.linear(_normed(x_BTD, layer.input_layernorm.weight, config.rms_norm_eps), torch.cat(weights).bfloat16())
        both, v = joined.split([(heads + key_heads) * size, key_heads * size], dim=-1)
        both = _rotated(both.view(batch, length, heads + key_heads, size).transpose(1, 2), cos_TD, sin_TD)
        q, k = both.split([heads, key_heads], dim=1)
        v = v.view(batch, length, key_heads, size).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=seen_B1TT, enable_gqa=True)
        mixed = mixed.transpose(1, 2).reshape(batch, length, heads * size)
        x_BTD = x_BTD + F.linear(mixed, attention.o_proj.weight.bfloat16())
        gates = torch.cat((mlp.gate_proj.weight, mlp.up_proj.weight)).bfloat16()
        gate, up = F.linear(_normed(x_BTD, layer.post_attention_layernorm.weight, config.rms_norm_eps), gates).chunk(2, -1)
        x_BTD = x_BTD + F.linear(F.silu(gate) * up, mlp.down_proj.weight.bfloat16())
    return _normed(x_BTD, model.model.norm.weight, config.rms_norm_eps)


def _normed(x_BTD: Tensor, weight_D: Tensor, epsilon: float) -> Tensor:
    scale = torch.rsqrt(
        torch.linalg.vector_norm(x_BTD, dim=-1, keepdim=True, dtype=torch.float32).square() / x_BTD.shape[-1] + epsilon
    )
    return x_BTD * scale.bfloat16() * weight_D.bfloat16()
