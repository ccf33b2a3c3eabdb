"""``ssdreg data pack``: a split packed into shards, for training on one machine or several."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ssdreg.cli.commands import arguments
from ssdreg.cli.commands.advice import command

NAME = "pack"
SUMMARY = "pack a split into shards, from which training reads fast, also on several machines"
#: See `ssdreg.data.packing.SHARD_SIZE`, which takes long to import.
SHARD_SIZE = 2000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.epilog = ("What is trained on is the list DIR/SPLIT.shards, or of it DIR/SPLIT.shards/"
                     "2-of-4 on the second of four machines. After a stop the same command goes "
                     "on.")
    parser.add_argument("data", type=Path, metavar="DATA", help=arguments.DATA)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR",
                        help="the folder to pack into")
    parser.add_argument("--split", help="the split to pack; every image by default")
    arguments.add_data_format(parser)
    parser.add_argument("--shard-size", type=int, default=SHARD_SIZE, metavar="N",
                        help="images of a shard")
    parser.add_argument("--shorter-side", type=int, metavar="PIXELS",
                        help="make larger images smaller, which makes training read faster")


def run(options: argparse.Namespace) -> int:
    """Pack, and say what to train on."""
    from ssdreg.cli.progress import Console
    from ssdreg.data import describe_issues
    from ssdreg.data.packing import pack_shards
    packed = pack_shards(options.data, out=options.out, split=options.split,
                         shard_size=options.shard_size, shorter_side=options.shorter_side,
                         data_format=arguments.data_format(options), progress=Console())
    if packed.issues:
        print(describe_issues(packed.issues), file=sys.stderr)
    advice = command("ssdreg", "train", "--backbone", "NAME", "--data", packed.rec, "--out", "RUN")
    print(f"packed: {packed.images:,} images with {packed.objects:,} objects; train on them with: "
          f"{advice}")
    return 0
