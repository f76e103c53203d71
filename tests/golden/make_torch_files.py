"""Makes torch_files.npz with PyTorch: `python tests/golden/make_torch_files.py`, for developers only.

Small files of both formats as `torch.save` writes them, byte by byte, and beside each the numbers that `torch.load` reads.
"""

import io
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch  # pyright: ignore[reportMissingImports]


def main() -> None:
    """Write the file beside this script."""
    kept = dict[str, np.ndarray]()
    for name, old in (("zip", False), ("stream", True)):
        for protocol in (2, 4):
            content = checkpoint(old)
            buffer = io.BytesIO()
            torch.save(content, buffer, pickle_protocol=protocol, _use_new_zipfile_serialization=not old)
            file = f"{name} {protocol}"
            kept[f"{file}/file"] = np.frombuffer(buffer.getvalue(), np.uint8)
            buffer.seek(0)
            for entry, tensor in torch.load(buffer, weights_only=False)["state_dict"].items():
                numbers = tensor.detach()
                if tensor.dtype == torch.bfloat16:
                    numbers = numbers.view(torch.int16)
                kept[f"{file}/{entry}"] = numbers.numpy()
    np.savez_compressed(Path(__file__).with_name("torch_files.npz"), **kept)  # pyright: ignore[reportArgumentType]


def checkpoint(old: bool) -> dict[str, object]:
    """Tensors of every type and way to lie in a storage, and what else checkpoints hold."""
    block, line = torch.arange(24.0).reshape(2, 3, 4) / 7, torch.linspace(-1, 1, 50)
    state = OrderedDict(
        float32=block,
        transposed=block.permute(2, 0, 1),
        float64=block.double(),
        float16=block.half(),
        bfloat16=block.bfloat16(),
        int64=torch.tensor([-(2**40), 2**40]),
        int32=torch.tensor([-(2**20)], dtype=torch.int32),
        int16=torch.tensor([-300], dtype=torch.int16),
        int8=torch.tensor([-3], dtype=torch.int8),
        uint8=torch.tensor([200], dtype=torch.uint8),
        bool=torch.tensor([True, False]),
        complex64=torch.tensor([1 + 2j]),
        scalar=torch.tensor(3.5),
        empty=torch.zeros(0, 3),
        nothing=torch.ones(5)[2:2],
        expanded=torch.tensor([1.0, 2.0, 3.0]).expand(4, 3),
        strided=line[10:40:3],
        shared=line[5:20],
        parameter=torch.nn.Parameter(block * 2),
    )
    if not old:
        state["uint16"] = torch.tensor([1, 65535], dtype=torch.uint16)[1:]
    tagged = torch.nn.Parameter(torch.ones(2))
    tagged.tag = "x"  # pyright: ignore[reportAttributeAccessIssue]
    return {
        "state_dict": state,
        "config": {"bins": 5, "name": "net", "rate": 1e-3, "norm": None, "skip": True, "sizes": [3, (4, 5)]},
        "shape": block.shape,
        "tagged": tagged,
    }


if __name__ == "__main__":
    main()
