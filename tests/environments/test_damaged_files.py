"""Damaged files of every kind end in a sentence, or are read: the small form of a benchmark.

`benchmarks/mutations.py` does the same with a thousand files of each kind, in processes of their
own. Here a few of each are read in this one.
"""

from __future__ import annotations

import random
import resource
import sys

import pytest
from support import paths

sys.path.insert(0, str(paths.PROJECT / "benchmarks"))
try:
    import mutation_kinds
    import mutations
    from mutators import mutated
finally:
    sys.path.pop(0)

COUNT, SEED = 30, 16
#: Bytes of a file above which fewer are read, because each takes its time.
LARGE = 2**22


@pytest.fixture
def bounded():
    """Fail where a damaged file takes memory that it does not hold."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    mutations.bound_memory(mutations.MEMORY)
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("kind", mutation_kinds.kinds(), ids=lambda kind: kind.name)
def test_damaged_files_end_in_a_sentence_or_are_read(kind, tmp_path, tiny_run, tiny_shapes,
                                                     monkeypatch, bounded):
    monkeypatch.chdir(tmp_path)
    work = tmp_path / "work"
    work.mkdir()
    kind.make(work, tiny_run, tiny_shapes)
    whole = {file: kind.read(work, file) for file in kind.files(work)}
    there = set(tmp_path.rglob("*"))
    large = max(file.stat().st_size for file in whole) > LARGE or "OpenVINO" in kind.name
    faults = []
    for number in range(COUNT // 3 if large else COUNT):
        source = random.Random(f"{SEED} {kind.name} {number}")
        file = source.choice(sorted(whole))
        content = file.read_bytes()
        file.write_bytes(mutated(content, source))
        outcome = mutations.read(kind, work, file, whole[file], number)
        file.write_bytes(content)
        if outcome.outcome in mutations.FAULTS:
            faults.append(outcome)
    assert not faults
    assert set(tmp_path.rglob("*")) == there
