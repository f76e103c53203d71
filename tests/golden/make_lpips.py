"""Makes lpips.json with the PyTorch package `lpips` 0.1.4: `python tests/golden/make_lpips.py`, for developers only.

It needs torch, torchvision (any build: only the layout of two networks is taken from it) and lpips. Weights and pictures come
from lpips_rule.py, so that only scores are stored: for every trunk and size, what each layer adds to the
distance of two pairs of pictures, in float64, and how far the package's own float32 is from that.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch  # pyright: ignore[reportMissingImports]

# torchvision of PyPI cannot load its compiled part beside another build of torch; it only has to find these names.
operators = torch.library.Library("torchvision", "DEF")
for operator in ("nms", "qnms"):
    operators.define(f"{operator}(Tensor a) -> Tensor")

import lpips  # noqa: E402 # pyright: ignore[reportMissingImports]
import torchvision  # noqa: E402 # pyright: ignore[reportMissingImports]

sys.path.insert(0, str(Path(__file__).parent))
from lpips_rule import SIZES, pictures, weights  # noqa: E402


def main() -> None:
    """Write the file beside this script."""
    kept = {}
    for trunk, sizes in SIZES.items():
        network = package(trunk)
        for height, width in sizes:
            exact = layers(network.double(), height, width)
            rough = layers(network.float(), height, width)
            kept[f"{trunk} {height}x{width}"] = {
                "layers": exact.tolist(),
                "float32": float(np.abs(rough.sum(1) - exact.sum(1)).max()),
            }
    text = json.dumps({"lpips": "0.1.4", "torch": torch.__version__, "scores": kept}, indent=1)
    Path(__file__).with_name("lpips.json").write_text(text + "\n")


def package(trunk: str) -> torch.nn.Module:
    """The package's network with weights by the rule, which go by torchvision's names and those of the package's heads."""
    model = torchvision.models.alexnet() if trunk == "alex" else torchvision.models.vgg16()
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items() if name.startswith("features")}
    network = lpips.LPIPS(pretrained=False, pnet_rand=True, net=trunk, verbose=False)
    heads = {f"lin{layer}.model.1.weight": tuple(head.model[1].weight.shape) for layer, head in enumerate(network.lins)}
    state = {name: torch.from_numpy(value) for name, value in weights({**shapes, **heads}).items()}
    model.load_state_dict({name: value for name, value in state.items() if name in shapes}, strict=False)
    for own in ("slice1", "slice2", "slice3", "slice4", "slice5"):
        for place, part in getattr(network.net, own).named_children():
            if hasattr(part, "weight"):
                part.load_state_dict(model.features[int(place)].state_dict())
    left = network.load_state_dict({name: state[name] for name in heads}, strict=False)
    assert not left.unexpected_keys
    return network.eval()


def layers(network: torch.nn.Module, height: int, width: int) -> np.ndarray:
    """What each layer adds to the distance of each pair of pictures."""
    kind = next(network.parameters()).dtype
    first, second = (torch.from_numpy(batch).to(kind).permute(0, 3, 1, 2) for batch in pictures(height, width))
    with torch.no_grad():
        total, parts = network(first, second, retPerLayer=True, normalize=True)
    found = torch.stack([part.flatten() for part in parts], 1)
    assert torch.allclose(total.flatten(), found.sum(1))
    return found.double().numpy()


if __name__ == "__main__":
    main()
