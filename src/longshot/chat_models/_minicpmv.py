"""MiniCPM-V 2.6 as modules: SigLIP at any shape, a perceiver of 64 queries, Qwen2. transformers has no class for it.

    vpm        SigLIP with positions looked up by fraction of the picture (Idefics2's tower computes the same)
    resampler  one cross attention: keys are patches plus a place code of two sines, values the patches alone
    llm        Qwen2; the 64 rows of a picture stand at its 64 place tokens

arXiv 2408.01800; names and shapes as in the published files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear, scaled_dot_product_attention
from transformers import Idefics2VisionConfig, Qwen2Config, Qwen2ForCausalLM, Qwen2Model
from transformers.models.idefics2.modeling_idefics2 import Idefics2VisionTransformer

# From names in the published files to names here; the language model is the whole, so its prefix goes.
KEYS = {
    r"^llm\.model\.": "model.",
    r"^llm\.lm_head\.": "lm_head.",
    r"^vpm\.": "model.vpm.",
    r"^resampler\.": "model.resampler.",
}
_HEAD = 128


class Sighted(Qwen2ForCausalLM):
    """Qwen2 that sees: pixel_values float (N, 3, h, w), sides in patches, go where the ids have the place token."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.model = _Body(config)
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: torch.Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        pixel_values: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """As Qwen2's, with pictures."""
        return super().forward(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            logits_to_keep=logits_to_keep,
            pixel_values=pixel_values,
            **kwargs,
        )


class _Body(Qwen2Model):
    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.vpm = Idefics2VisionTransformer(Idefics2VisionConfig(**config.seeing))
        self.resampler = _Perceiver(config.query_num, config.hidden_size, self.vpm.config.hidden_size)

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        if pixel_values is not None and input_ids is not None:
            places = input_ids == self.config.place
            # Tokens after the first come without places; their pictures are in the cache.
            if places.any():
                seen = self._seen(pixel_values.to(self.dtype))
                words = self.embed_tokens(input_ids)
                inputs_embeds = words.masked_scatter(places[..., None], seen.to(words.dtype))
                input_ids = None
        return super().forward(input_ids=input_ids, inputs_embeds=inputs_embeds, **kwargs)

    def _seen(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Pictures as rows of the language model: (N, queries, D)."""
        patch = self.vpm.config.patch_size
        height, width = pixel_values.shape[2] // patch, pixel_values.shape[3] // patch
        return self.resampler(self.vpm(pixel_values).last_hidden_state, height, width)


class _Perceiver(nn.Module):
    def __init__(self, queries: int, width: int, seen: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(queries, width))
        self.kv_proj = nn.Linear(seen, width, bias=False) if seen != width else nn.Identity()
        self.attn = _Attention(width)
        self.ln_q = nn.LayerNorm(width, eps=1e-6)
        self.ln_kv = nn.LayerNorm(width, eps=1e-6)
        self.ln_post = nn.LayerNorm(width, eps=1e-6)
        self.proj = nn.Parameter(torch.zeros(width, width))

    def forward(self, patches: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Patches (N, height * width, seen) to (N, queries, D)."""
        rows = self.ln_kv(self.kv_proj(patches))
        code = place_code(height, width, rows.shape[-1]).to(rows)
        asked = self.ln_q(self.query).expand(len(rows), -1, -1)
        return self.ln_post(self.attn(asked, rows + code, rows)) @ self.proj


class _Attention(nn.Module):
    """PyTorch's MultiheadAttention under its names, without its own way round quantised layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = max(1, width // _HEAD)
        self.in_proj_weight = nn.Parameter(torch.zeros(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, asked: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Rows (N, Q, D), (N, L, D) and (N, L, D) to (N, Q, D)."""
        parts = zip((asked, keys, values), self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3), strict=True)
        q, k, v = (
            linear(rows, weight, bias).unflatten(2, (self.heads, -1)).transpose(1, 2) for rows, weight, bias in parts
        )
        return self.out_proj(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def place_code(height: int, width: int, size: int) -> torch.Tensor:
    """Sines and cosines of each patch's column, then of its row: float32 (height * width, size)."""
    waves = 1 / 10_000 ** (torch.arange(size // 4, dtype=torch.float64) / (size // 4))

    def code(steps: torch.Tensor) -> torch.Tensor:
        angles = steps[:, None] * waves
        return torch.cat([angles.sin(), angles.cos()], dim=-1)

    columns, rows = code(torch.arange(width)), code(torch.arange(height))
    both = [columns.expand(height, -1, -1), rows[:, None].expand(-1, width, -1)]
    return torch.cat(both, dim=-1).flatten(0, 1).float()


def config_of(language: Mapping[str, Any], *, seeing: Mapping[str, Any], queries: int, place: int) -> Any:
    """Qwen2's config with what the sight needs. seeing: of SigLIP. place: the id where pictures stand."""
    return Qwen2Config(**{**language, "seeing": dict(seeing), "query_num": queries, "place": place})
