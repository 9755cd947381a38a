"""GME: a Qwen2-VL under another architecture string, without the vocabulary head."""

from __future__ import annotations

import json
from pathlib import Path

from tests.tiny.qwen import qwen2_vl


def gme(folder: Path, *, seed: int = 0) -> Path:
    """`GmeQwen2VL`, with the fields and the map to Python files that its config.json has."""
    from safetensors.torch import load_file, save_file

    qwen2_vl(folder, seed=seed)
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["architectures"] = ["GmeQwen2VL"]
    code = "modeling_gme_qwen2vl."
    config["auto_map"] = {"AutoModel": f"{code}GmeQwen2VL", "AutoConfig": f"{code}GmeQwen2VLConfig"}
    config |= {"min_image_tokens": 256, "max_image_tokens": 1280, "max_length": 1800}
    path.write_text(json.dumps(config), encoding="utf-8")
    held = load_file(folder / "model.safetensors")
    save_file({key: value for key, value in held.items() if key != "lm_head.weight"}, folder / "model.safetensors")
    return folder
