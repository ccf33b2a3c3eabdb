"""The networks against PyTorch's own, and the weights that are declared for them."""

from __future__ import annotations

import numpy as np
import pytest
from ssdreg_resnet import BACKBONES, WEIGHTS
from ssdreg_resnet.names import from_torch

import ssdreg
from ssdreg.detector.families import check
from ssdreg.errors import SsdregError
from ssdreg.graph.symbol import read_graph
from ssdreg.weights.loading import find_weights, read_weights, weights_of

#: Trained parameters of each network as its publisher counts them: running moments left out.
PUBLISHED = {"resnet18_v1b": 11_689_512, "resnet34_v1b": 21_797_672, "resnet50_v1b": 25_557_032,
             "resnet101_v1b": 44_549_160, "resnet152_v1b": 60_192_808,
             "resnext50_32x4d": 25_028_904, "resnext101_32x8d": 88_791_336}


def test_all_are_registered_and_pass_the_check():
    names = [each.name for each in BACKBONES]
    assert names == list(PUBLISHED)
    assert set(BACKBONES) <= set(ssdreg.list_backbones())
    assert [(each.name, each.issues) for each in check(BACKBONES)] == [
        (name, ()) for name in names]


@pytest.mark.parametrize("backbone", BACKBONES, ids=lambda backbone: backbone.name)
def test_parameters_are_as_many_as_published(backbone):
    graph, symbol = read_graph(backbone.symbol(), (224, 224)), backbone.symbol()
    moments = set(symbol.list_auxiliary_states())
    assert graph.weights(node.index for node in graph.nodes if node.name not in moments
                         and not node.name.endswith("label")) == PUBLISHED[backbone.name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_plain_recipes_weights_are_the_default(name):
    weights = weights_of(name)
    assert weights
    assert find_weights(name) == weights[0]
    assert (weights[0].name, weights[0].url.split("/")[2]) == ("imagenet", "download.pytorch.org")


def test_every_file_is_declared_once_by_its_digest():
    files = [weights.url.rpartition("/")[2] for weights in WEIGHTS]
    assert len(set(files)) == len(WEIGHTS)
    for file, weights in zip(files, WEIGHTS):
        assert file.endswith(f"-{weights.sha256[:8]}.pth")


def test_names_that_are_no_state_dicts():
    assert from_torch({}) == {}
    with pytest.raises(KeyError, match="scale"):
        from_torch({"bn1.running_mean": np.zeros(1), "bn1.scale": np.zeros(1)})


# Against PyTorch

def make_torch(torch, variant):
    """Build the network of plain PyTorch modules, which name themselves as torchvision's do."""
    nn = torch.nn

    def conv(before, channels, kernel, stride=1, groups=1):
        return nn.Conv2d(before, channels, kernel, stride, kernel // 2, groups=groups, bias=False)

    class Block(nn.Module):
        def __init__(self, before, stage, stride):
            super().__init__()
            planes, channels = 64 * 2**stage, variant.channels[stage]
            if variant.bottleneck:
                inside = planes * variant.width // 64 * variant.groups
                layers = [conv(before, inside, 1),
                          conv(inside, inside, 3, stride, variant.groups),
                          conv(inside, channels, 1)]
            else:
                layers = [conv(before, planes, 3, stride), conv(planes, channels, 3)]
            self.count = len(layers)
            for index, layer in enumerate(layers, start=1):
                self.add_module(f"conv{index}", layer)
                self.add_module(f"bn{index}", nn.BatchNorm2d(layer.out_channels))
            self.downsample = None
            if before != channels or stride != 1:
                self.downsample = nn.Sequential(conv(before, channels, 1, stride),
                                                nn.BatchNorm2d(channels))

        def forward(self, x):
            branch = x
            for index in range(1, self.count + 1):
                branch = getattr(self, f"bn{index}")(getattr(self, f"conv{index}")(branch))
                branch = branch.relu() if index < self.count else branch
            return (branch + (x if self.downsample is None else self.downsample(x))).relu()

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1 = conv(3, 64, 7, 2), nn.BatchNorm2d(64)
            self.maxpool = nn.MaxPool2d(3, 2, 1)
            before = 64
            for stage, blocks in enumerate(variant.blocks):
                layer = nn.Sequential()
                for block in range(blocks):
                    layer.append(Block(before, stage, 2 if stage and not block else 1))
                    before = variant.channels[stage]
                self.add_module(f"layer{stage + 1}", layer)
            self.fc = nn.Linear(before, 1000)

        def forward(self, x):
            """Return the map of every stage, and the class scores."""
            maps = [self.bn1(self.conv1(x)).relu()]
            x = self.maxpool(maps[0])
            for stage in range(len(variant.blocks)):
                x = getattr(self, f"layer{stage + 1}")(x)
                maps.append(x)
            return [*maps, self.fc(x.mean((2, 3))).softmax(1)]

    return Network()


def randomize(torch, network):
    """Draw every parameter and running moment, so that values keep their size."""
    generator = torch.Generator().manual_seed(11)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.3, 0.7, generator=generator)
            module.bias.data.normal_(0, 0.1, generator=generator)
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            module.num_batches_tracked.fill_(1000)
        elif isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            inputs = module.weight[0].numel()
            module.weight.data.normal_(0, inputs**-0.5, generator=generator)
    return network.eval()


def save_archive(torch, state, path):
    torch.save(state, path)


def save_plain(torch, state, path):
    torch.save(state, path, _use_new_zipfile_serialization=False)


def save_training(torch, state, path):
    torch.save({"epoch": 90, "state_dict": {f"module.{name}": value
                                            for name, value in state.items()}}, path)


def save_safetensors(torch, state, path):
    from safetensors.torch import save_file
    save_file(state, path)


@pytest.fixture(scope="module")
def torch():
    found = pytest.importorskip("torch", reason="PyTorch, which the networks are compared with, "
                                                "is not installed")
    found.set_num_threads(1)
    return found


@pytest.fixture(scope="module", params=["resnet18_v1b", "resnet50_v1b", "resnext50_32x4d"])
def compared(request, torch):
    """A backbone, a network of PyTorch with random weights, an input, and what comes of it."""
    backbone = next(each for each in BACKBONES if each.name == request.param)
    network = randomize(torch, make_torch(torch, dict(backbone.arguments)["variant"]))
    data = np.random.RandomState(7).normal(0, 1, (2, 3, 96, 128)).astype("float32")
    with torch.no_grad():
        outputs = [output.numpy() for output in network(torch.from_numpy(data))]
    return backbone, network.state_dict(), data, outputs


@pytest.mark.parametrize(("save", "suffix"), [
    (save_archive, "pth"), (save_plain, "pth"), (save_training, "pt"),
    (save_safetensors, "safetensors")])
def test_feature_maps_are_pytorchs(torch, compared, tmp_path, save, suffix):
    from ssdreg.mx import mx
    backbone, state, data, expected = compared
    file = tmp_path / f"weights.{suffix}"
    save(torch, state, file)
    params = read_weights(find_weights(backbone), file)
    symbol = backbone.symbol()
    nodes = [*(tap.node for tap in backbone.taps), symbol.name]
    group = mx.sym.Group([symbol.get_internals()[f"{node}_output"] for node in nodes])
    bound = group.simple_bind(mx.cpu(), grad_req="null", data=data.shape)
    bound.copy_params_from(dict(params.args), dict(params.auxs))
    found = [output.asnumpy() for output in bound.forward(is_train=False, data=mx.nd.array(data))]
    assert len(found) == len(expected) == len(backbone.taps) + 1
    for node, one, other in zip(nodes, found, expected):
        assert one.shape == other.shape
        assert 1e-5 < other.std() < 1  # no map of nothing but zeros, nor the scores all alike
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4 * other.std(), err_msg=node)


def test_half_precision(torch, compared, tmp_path):
    backbone, state, _, _ = compared
    for name, convert in (("half", torch.Tensor.half), ("bfloat16", torch.Tensor.bfloat16)):
        less = {key: convert(value) if value.is_floating_point() else value
                for key, value in state.items()}
        for save, suffix in ((save_plain, "pth"), (save_safetensors, "safetensors")):
            file = tmp_path / f"{name}.{suffix}"
            save(torch, less, file)
            params = read_weights(find_weights(backbone), file)
            found = params.args["conv1_weight"].asnumpy()
            np.testing.assert_array_equal(found, less["conv1.weight"].float().numpy())


def test_weights_of_another_network(torch, compared, tmp_path):
    backbone, state, _, _ = compared
    file = tmp_path / "weights.pth"
    save_archive(torch, state, file)
    other = "resnet34_v1b" if backbone.name != "resnet34_v1b" else "resnet18_v1b"
    with pytest.raises(SsdregError, match=f"do not fit {other}: they "):
        read_weights(find_weights(other), file)


def test_another_number_of_classes(torch, compared, tmp_path):
    backbone, state, _, _ = compared
    file = tmp_path / "weights.pth"
    save_archive(torch, {**state, "fc.weight": state["fc.weight"][:21],
                         "fc.bias": state["fc.bias"][:21]}, file)
    params = read_weights(find_weights(backbone), file)
    assert "fc_weight" not in params.args
    assert "conv1_weight" in params.args


@pytest.mark.parametrize("save", [save_archive, save_plain])
def test_a_whole_model_is_refused(torch, tmp_path, save):
    file = tmp_path / "model.pth"
    save(torch, torch.nn.Linear(2, 2), file)
    with pytest.raises(SsdregError, match=r"it names 'torch\.nn\.modules\.linear\.Linear', which"):
        read_weights(find_weights("resnet18_v1b"), file)
