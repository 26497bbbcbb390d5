"""Train the demo's digit classifier with PyTorch and write it as an NNEF model.

    python examples/train_digits.py [FOLDER]

Writes FOLDER/digits/ (graph.nnef and one .dat file per variable) and FOLDER/digits.npz (the held-out digits);
FOLDER is nnef_cl/demo by default. Needs PyTorch and scikit-learn, and about a minute on two cores.

The held-out quarter of the data only measures: architecture, augmentation and epochs were chosen by five-fold
cross-validation on the other three quarters, and the model written is the one of seed 0, whatever its accuracy.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional

import nnef_cl.demo
from nnef_cl.format.tensor_file import write_tensor

SEEDS = range(5)  # the model of the first one is written
EPOCHS, BATCH, LEARNING_RATE = 60, 64, 3e-3
CHANNELS = (32, 64)

GRAPH = """version 1.0;

# Reads hand-written digits: 8 x 8 grey levels from 0 (paper) to 16 (ink) in, ten probabilities out.
# Written by examples/train_digits.py.

graph digits( image ) -> ( probabilities )
{{
    # batch, channel, rows, columns
    image = external<scalar>(shape = [1, 1, 8, 8]);

    filter1 = variable<scalar>(shape = [{c1}, 1, 3, 3], label = 'filter1');
    bias1 = variable<scalar>(shape = [1, {c1}], label = 'bias1');
    filter2 = variable<scalar>(shape = [{c2}, {c1}, 3, 3], label = 'filter2');
    bias2 = variable<scalar>(shape = [1, {c2}], label = 'bias2');
    filter3 = variable<scalar>(shape = [10, {flat}], label = 'filter3');
    bias3 = variable<scalar>(shape = [1, 10], label = 'bias3');

    # grey levels to the range from 0 to 1
    scaled = mul(image, 0.0625);

    # two 3 x 3 convolutions that keep the 8 x 8 size
    conv1 = conv(scaled, filter1, bias1, padding = [(1, 1), (1, 1)]);
    relu1 = relu(conv1);
    conv2 = conv(relu1, filter2, bias2, padding = [(1, 1), (1, 1)]);
    relu2 = relu(conv2);

    # the largest of each 2 x 2 block: 4 x 4 remain
    pooled = max_pool(relu2, size = [1, 1, 2, 2], stride = [1, 1, 2, 2],
        padding = [(0, 0), (0, 0), (0, 0), (0, 0)], border = 'ignore');

    # 0 keeps the batch, -1 takes what is left: {c2} x 4 x 4
    features = reshape(pooled, shape = [0, -1]);
    scores = linear(features, filter3, bias3);
    probabilities = softmax(scores, axes = [1]);
}}
"""


def split_digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images, held-out images ([N, 8, 8], 0 to 16), training labels, held-out labels ([N])."""
    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8)
    parts: list[np.ndarray] = train_test_split(images, labels, test_size=0.25, stratify=labels, random_state=0)
    return parts[0], parts[1], parts[2], parts[3]


def new_network() -> nn.Sequential:
    """The network of GRAPH up to `scores`, with dropout; takes [N, 1, 8, 8] in 0 to 1."""
    c1, c2 = CHANNELS
    return nn.Sequential(
        nn.Conv2d(1, c1, 3, padding=1), nn.ReLU(),
        nn.Conv2d(c1, c2, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.3),
        nn.Linear(c2 * 4 * 4, 10),
    )  # fmt: skip


def distorted(images: Tensor) -> Tensor:
    """Each image turned, sheared, stretched and shifted a little at random: [N, 1, 8, 8] -> the same."""
    angle, shear, wide, high, right, down = (torch.rand(6, len(images)) - 0.5) * torch.tensor(
        [[0.4], [0.3], [0.3], [0.3], [0.4], [0.4]]
    )
    row1 = torch.stack([angle.cos() * (1 + wide), shear - angle.sin(), right], dim=1)
    row2 = torch.stack([angle.sin(), angle.cos() * (1 + high), down], dim=1)
    grid = functional.affine_grid(torch.stack([row1, row2], dim=1), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def train(images: np.ndarray, labels: np.ndarray, seed: int) -> nn.Sequential:
    """A trained network, ready to evaluate. images: [N, 8, 8] in 0 to 16; labels: [N]."""
    torch.manual_seed(seed)
    network = new_network()
    x, y = as_input(images), torch.tensor(labels)
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=1e-2)
    steps = EPOCHS * -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, steps)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(x)).split(BATCH):
            scores = network(distorted(x[batch]))
            loss = functional.cross_entropy(scores, y[batch], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def as_input(images: np.ndarray) -> Tensor:
    """[N, 8, 8] in 0 to 16 -> [N, 1, 8, 8] in 0 to 1."""
    return torch.tensor(images[:, None] / 16, dtype=torch.float32)


def accuracy(network: nn.Sequential, images: np.ndarray, labels: np.ndarray) -> float:
    """Part of the images classified rightly, 0 to 1."""
    with torch.no_grad():
        predicted = network(as_input(images)).argmax(1).numpy()
    return float(np.mean(predicted == labels))


def write_model(network: nn.Sequential, folder: Path) -> None:
    """graph.nnef and the variables into an existing or new folder."""
    folder.mkdir(parents=True, exist_ok=True)
    c1, c2 = CHANNELS
    (folder / "graph.nnef").write_text(GRAPH.format(c1=c1, c2=c2, flat=c2 * 4 * 4), encoding="utf-8")
    layers = [layer for layer in network if isinstance(layer, nn.Conv2d | nn.Linear)]
    for number, layer in enumerate(layers, start=1):
        assert layer.bias is not None
        write_tensor(folder / f"filter{number}.dat", layer.weight.detach().numpy())
        write_tensor(folder / f"bias{number}.dat", layer.bias.detach().numpy()[None])


def main(folder: Path) -> None:
    """Trains once per seed, prints the spread, writes the first model and the held-out digits."""
    images, held_out_images, labels, held_out_labels = split_digits()
    results = []
    for seed in SEEDS:
        network = train(images, labels, seed)
        results.append(accuracy(network, held_out_images, held_out_labels))
        print(f"seed {seed}: {results[-1]:.1%} of {len(held_out_labels)} held-out digits")
        if seed == SEEDS[0]:
            write_model(network, folder / "digits")
    print(f"mean {np.mean(results):.2%}, min {min(results):.2%}, max {max(results):.2%}")
    np.savez_compressed(
        folder / "digits.npz", images=held_out_images.astype(np.uint8), labels=held_out_labels.astype(np.uint8)
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(nnef_cl.demo.__file__).parent)
