"""All pictures of folders and lists, detected by the workers of a Ray cluster.

    result = detect_many("cells.onnx", "photos/", "results/", address="auto")
    print(result.pictures, result.failed, result.before)
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Union

from attrs import frozen

from ssdreg_runtime.errors import ClusterError, DataError
from ssdreg_runtime.io.camera import is_camera
from ssdreg_runtime.io.pictures import find_images
from ssdreg_runtime.io.video import VIDEO_SUFFIXES
from ssdreg_runtime.many.claim import Claim, claim, release
from ssdreg_runtime.many.cluster import LOCAL, capacity, check_ray, connected
from ssdreg_runtime.many.recipe import Recipe
from ssdreg_runtime.many.results import FORMATS, PARQUET, Results, shard_name
from ssdreg_runtime.many.worker import Filled, ShardDetector
from ssdreg_runtime.system.leftovers import sweep
from ssdreg_runtime.system.names import shown

#: Pictures of a shard at most: what a worker that is lost has done in vain.
MOST_OF_A_SHARD = 1000
#: Shards for each worker at least, so that none waits long for the last.
_SHARDS_OF_A_WORKER = 4

Sources = Union[str, "os.PathLike[str]", Iterable[Union[str, "os.PathLike[str]"]]]


@frozen
class ManyResult:
    """What was done: pictures looked at now, those of them that failed, and those done before.

    `folder` holds the rows of all of them.
    """

    folder: Path
    pictures: int
    failed: int
    before: int


def detect_many(model: str | os.PathLike[str], sources: Sources, out: str | os.PathLike[str],
                address: str = LOCAL, *, format: str = PARQUET, workers: int | None = None,
                progress: Callable[[int, int], None] | None = None, **recipe: Any) -> ManyResult:
    """Detect in all pictures of folders and files, and write their rows into the folder `out`.

    Of a folder, the pictures in it are taken, and not those in its folders. `address` is that of a
    Ray cluster, as `ray.init` takes it: "local" starts one on this machine and ends it afterwards.
    A process that is connected already keeps its cluster, whatever `address` says. Each of
    `workers`, as many as the cluster has processors for, or GPUs, opens the model once. The other
    arguments are those of `Recipe`. Model, pictures and `out` must have the same names on all
    machines.

    `format` is "parquet" or "jsonl"; see `ssdreg_runtime.many.results` for rows and files. Pictures
    that `out` has rows of are passed over; one that cannot be read, or is not there where `sources`
    are several, costs its own row. `progress` is called with the number of pictures done and the
    number of all that are to be done.

    Raises SsdregError: DependencyError where Ray is not installed, ClusterError where it cannot be
    reached or gives up, and for what ended a worker, as a full disk; DataError for sources without
    pictures and for an `out` of other results; and what `Detector` raises.
    """
    if format not in FORMATS:
        raise DataError(f"there is no format {format!r} of results: choose one of "
                        f"{', '.join(FORMATS)}")
    named = [sources] if isinstance(sources, (str, os.PathLike)) else sources
    files = picture_files(named, find_images, listed=named is sources)
    return detect_files(Recipe(model=Path(model), **recipe), files,
                        Results(Path(out).absolute(), format), address, workers, progress)


def picture_files(sources: Iterable[str | os.PathLike[str]], find: Callable[[Path], list[Path]],
                  listed: bool = False) -> Iterator[bytes]:
    """Give the absolute names of the pictures that are named, and of those in folders, by `find`.

    A file that is not there costs its own row where names are `listed`, of which there may be
    millions. Raises DataError for any other, for a video, a camera and standard input.
    """
    for source in sources:
        path, name = Path(source), os.fspath(source)
        if path.is_dir():
            yield from (os.fsencode(file.absolute()) for file in find(path))
        elif name == "-" or is_camera(name) or path.suffix.lower() in VIDEO_SUFFIXES:
            raise DataError(f"{name} is no picture file: on Ray, detection takes pictures and "
                            f"folders of pictures")
        elif listed or path.is_file():
            yield os.fsencode(path.absolute())
        else:
            raise DataError(f"{path} is not there: give an image or a folder of images")


def detect_files(recipe: Recipe, files: Iterable[bytes], results: Results, address: str,
                 workers: int | None, progress: Callable[[int, int], None] | None = None
                 ) -> ManyResult:
    """Detect in files by their names; see `detect_many`."""
    if workers is not None and workers < 1:
        raise DataError(f"--workers {workers} detect nothing: give 1 or more")
    check_ray()
    recipe = recipe.checked()
    results.begin(recipe.settings())
    # what killed workers of this machine have left
    sweep(results.folder)
    # before what is there is looked at, so that nobody else writes after that
    owned = claim(results.folder)
    try:
        return _detect_rest(recipe, files, results, address, workers, progress, owned)
    finally:
        release(owned)


def _detect_rest(recipe: Recipe, files: Iterable[bytes], results: Results, address: str,
                 workers: int | None, progress: Callable[[int, int], None] | None, owned: Claim
                 ) -> ManyResult:
    done = set(results.done())
    named = list(dict.fromkeys(files))
    waiting = [name for name in named if shown(os.fsdecode(name)) not in done]
    pictures = failed = 0
    if waiting:
        with connected(address, (workers or 1) * recipe.threads):
            for shard in _run(recipe, waiting, results, _workers(recipe, workers), owned):
                if shard.error:
                    raise ClusterError(shard.error)
                pictures, failed = pictures + shard.pictures, failed + shard.failed
                if progress is not None:
                    progress(pictures, len(waiting))
    return ManyResult(results.folder, pictures, failed, len(named) - len(waiting))


def _workers(recipe: Recipe, wanted: int | None) -> int:
    """Return how many workers there are to be: those that are wanted, or fit into the cluster."""
    resource, share = ("GPU", 1) if recipe.needs_gpu else ("CPU", recipe.threads)
    fitting = int(capacity(resource) // share)
    if wanted is None and not fitting:
        raise ClusterError(f"the cluster has no {resource} for a worker, which takes {share}: add "
                           f"a machine, or choose fewer --threads or another --device")
    return wanted or fitting


def _run(recipe: Recipe, files: Sequence[bytes], results: Results, workers: int, owned: Claim
         ) -> Iterator[Filled]:
    """Let workers fill shards with the rows of files; give what each says of its shard."""
    import ray
    size = max(1, min(MOST_OF_A_SHARD, math.ceil(len(files) / (workers * _SHARDS_OF_A_WORKER))))
    parts = [files[start:start + size] for start in range(0, len(files), size)]
    shards = [{"path": os.fsencode(results.folder / shard_name(part, results.form)),
               "files": list(part)} for part in parts]
    try:
        with _silence():
            filled = ray.data.from_items(shards, override_num_blocks=len(shards)).map(
                ShardDetector, fn_constructor_args=(recipe, owned),
                compute=ray.data.ActorPoolStrategy(size=min(workers, len(shards)),
                                                   max_tasks_in_flight_per_actor=2),
                num_cpus=recipe.threads, num_gpus=1 if recipe.needs_gpu else None)
            for row in filled.iter_rows():
                yield Filled(**row)
    except ray.exceptions.RayTaskError:
        raise  # a mistake of ours, with its place
    except ray.exceptions.RayError as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise ClusterError(f"the cluster gave up: {first}. What was written is whole, and the same "
                           f"command goes on") from error


@contextmanager
def _silence() -> Iterator[None]:
    """Leave what is shown to whoever called: Ray's data library has bars and logs of its own."""
    import ray
    context, log = ray.data.DataContext.get_current(), logging.getLogger("ray.data")
    before = context.enable_progress_bars, context.print_on_execution_start, log.level
    context.enable_progress_bars = context.print_on_execution_start = False
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        context.enable_progress_bars, context.print_on_execution_start, level = before
        log.setLevel(level)
