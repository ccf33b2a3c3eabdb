"""The subset of Python that configurations are read in: what it gives is what Python gives."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import textwrap
import time

import pytest
from support import paths

from ssdreg.auditing.reading import Computed, NoConfigurationError, read_factory
from ssdreg.auditing.subset import calls, ledger

#: Stands before a generated program when Python itself runs it: a function that nobody follows.
PRELUDE = """
def opaque(value=None):
    if isinstance(value, list):
        value.append("seen")
    elif isinstance(value, dict):
        value["seen"] = 1
    return value
"""
#: Runs programs from its standard input, and prints what each returned or that it raised.
RUNNER = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
resource.setrlimit(resource.RLIMIT_AS, (2 ** 30, 2 ** 30))
for text in json.load(sys.stdin):
    names = {}
    try:
        exec(text, names)
        found = names["get_config"]("net", 300)
        print(json.dumps({name: repr(value)[:100000] for name, value in found.items()}))
    except Exception as error:
        print(json.dumps(None))
"""


PROGRAMS = 1500


def source(body, head="def get_config(net, side, **kwargs):"):
    return f"{head}\n{textwrap.indent(textwrap.dedent(body), '    ')}\n"


def read(body, head="def get_config(net, side, **kwargs):"):
    """Read a body for the network ``net`` at 300."""
    return read_factory(source(body, head)).config("net", 300)


def value(expression):
    return read(f"n, a = 2, [1, 2]\nreturn {{'value': {expression}}}")["value"]


def refusal(body):
    with pytest.raises(NoConfigurationError) as caught:
        read(body)
    return str(caught.value)


# Expressions and statements

@pytest.mark.parametrize(("text", "wanted"), [
    ("[-1] * 3", [-1, -1, -1]), ("[1, 2] + [1./3]", [1, 2, 1 / 3]), ("(1, 2)", (1, 2)),
    ("[x / n for x in [2, 4] if x > 2]", [2.0]), ("n == 2 and not n > 3 or n < 0", True),
    ("'a' if n in (1, 2) else 'b'", "a"), ("len(a)", 2), ("-n + 7 % 4 // 2", -1),
    ("side or 5", 300), ("0 or [] or 'x'", "x"), ("a and n", 2), ("None and 1 / 0", None),
    ("1 < n < 3", True), ("1 < n < 2 < 1 / 0", False), ("n == 2 == len(a)", True),
    ("a[:]", [1, 2]), ("a[-1]", 2), ("{'b': a}['b'][0]", 1), ("'vgg16'[:3]", "vgg"),
    ("{k: v for k, v in zip('ab', a)}", {"a": 1, "b": 2}), ("sum(x * x for x in a)", 5),
    ("sorted([3, 1])", [1, 3]), ("dict([('a', 1)], b=2)", {"a": 1, "b": 2}),
    ("[*a, *range(2)]", [1, 2, 0, 1]), ("net.startswith('ne')", True), ("2 ** 10", 1024),
    ("round(1 / 3, 2)", 0.33), ("kwargs.get('b', 7)", 7), ("a is a", True), ("None is None", True),
])
def test_an_expression_is_worked_out(text, wanted):
    found = value(text)
    assert (type(found), found) == (type(wanted), wanted)


@pytest.mark.parametrize("text", [
    "'%d' % 1", "open('x')", "__import__('os')", "[].append", "missing", "hidden + 1", "f'{n}'",
    "'{}'.format(n)", "str(a)", "{1}.pop() if missing else 2", "n << 2", "~n", "(-8) ** 0.5",
    "sorted(a, key=missing)", "missing or a", "missing and 1", "1 < missing < 2", "[missing][0]",
    "[missing] == [1]", "1 if missing else 1", "(1, 2) < (1, 3)", "'a' is 'a'", "b'x'",
    "[1 for x in missing]", "[x for x in a if missing]", "{missing: 1}", "a[missing]",
    "round(3, -10 ** 9)",
])
def test_an_expression_is_left_alone(text):
    assert isinstance(value(text), Computed)


@pytest.mark.parametrize(("text", "issue"), [
    ("lambda: 0", "a lambda is not read"), ("{1, 2}", "a set is not read"),
    ("(y := 3)", "an assignment within an expression is not read"),
    ("missing(x for x in a)", "a generator expression is not read"),
    ("eval('1')", "a call of eval is not read"), ("locals()", "a call of locals is not read"),
    ("1 / 0", "it raises ZeroDivisionError"), ("'a' < 1", "it raises TypeError"),
    ("len(1)", "it raises TypeError"), ("{1: 2}[1][0]", "it raises TypeError"),
    ("a[5]", "it raises IndexError"), ("{}['a']", "it raises KeyError"),
    ("int('x')", "it raises ValueError"), ("n(1)", None),
])
def test_an_expression_is_refused(text, issue):
    if issue is None:  # calls a number, which nobody needs to know of
        assert isinstance(value(text), Computed)
    else:
        assert issue in refusal(f"n, a = 2, [1, 2]\nreturn {{'value': {text}}}")


@pytest.mark.parametrize("statement", [
    "with open('x'): pass", "try: pass\nexcept E: pass", "def f(): pass", "class F: pass",
    "a, *b = [1, 2]", "global x"])
def test_a_statement_that_is_not_read_is_refused_with_its_line(statement):
    with pytest.raises(NoConfigurationError, match=r"is not read, on line [23]"):
        read_factory(source(f"\n{statement}\nreturn {{}}")).config("net", 300)


@pytest.mark.parametrize(("body", "wanted"), [
    # every name of a list sees what is done to it
    ("a = ['x']\nb = a\nb.append('y')", {"a": ["x", "y"], "b": ["x", "y"]}),
    ("a = ['x']\nb = a\nb += ['y']", {"a": ["x", "y"]}),
    ("a = ['x']\nb = a\nb = b + ['y']", {"a": ["x"], "b": ["x", "y"]}),
    ("a = b = []\nb *= 2\na.append(1)", {"b": [1]}),
    ("a = [1]\nb = a[:]\nb.append(2)", {"a": [1]}),
    ("a = [1]\nb = [a] * 2\nb[0].append(2)", {"a": [1, 2], "b": [[1, 2], [1, 2]]}),
    ("d = {'a': [1]}\nd['a'] += [2]\ne = d\ne['b'] = 3", {"d": {"a": [1, 2], "b": 3}}),
    ("t = ([1],)\nt[0].append(2)", {"t": ([1, 2],)}),
    ("a = [3, 4]\nfor x in a:\n    if x < 6: a.append(x + 1)", {"a": [3, 4, 4, 5, 5, 6, 6]}),
    ("a, (b, c) = 1, [2, 3]", {"a": 1, "b": 2, "c": 3}),
    ("a = [1, 2, 3]\ndel a[0]\na[1:] = 'xy'", {"a": [2, "x", "y"]}),
    ("n = 0\nwhile True:\n    n += 1\n    if n > 4: break\nelse: n = 0", {"n": 5}),
    ("n = 0\nfor i in range(9):\n    if i % 2: continue\n    n += i\nelse: n = -n", {"n": -20}),
    ("x = 1\ny = [x for x in [5]]", {"x": 1, "y": [5]}),
])
def test_statements_mean_what_they_mean_in_python(body, wanted):
    names, found = {}, read(f"{body}\nreturn locals()")
    exec(source(f"{body}\nreturn locals()"), names)
    assert {name: found[name] for name in wanted} == wanted
    assert found == names["get_config"]("net", 300)


def test_default_arguments_are_shared_with_the_body_and_not_between_readings():
    factory = read_factory(source("a.append(net)\nb = a\nreturn locals()",
                                  "def get_config(net, side, a=[], *, c=[1] * 2):"))
    for _ in range(2):
        assert factory.config("net", 300) == {"net": "net", "side": 300, "a": ["net"],
                                              "c": [1, 1], "b": ["net"]}


@pytest.mark.parametrize(("touch", "spoiled"), [
    ("opaque(a)", "ab"), ("opaque([a])", "ab"), ("opaque(key=a)", "ab"), ("x = a.sort", "ab"),
    ("x = opaque(1) or a\nx.append(1)", "ab"), ("opaque.field = a", "ab"), ("opaque[a] = 1", "ab"),
    ("b.sort()", "ab"), ("opaque() or b.append(1)", "ab"), ("a[opaque()] = 1", "ab"),
    ("x = 1 if opaque() else a.append(1)", "ab"), ("x = opaque() < len(b) < b.append(1)", "ab"),
    ("opaque(c)", "c"), ("x = [a.append(i) for i in opaque()]", "ab"), ("x = opaque() + b", "ab"),
    ("x = [0 for y in c if a.append(1) or opaque()]", "abc"), ("opaque(*c)", "c"),
    ("opaque(a)\na.append(c)", "abc"), ("opaque(len(a))", ""), ("opaque(a[:])", ""),
])
def test_what_somebody_unknown_was_given_is_not_known_any_more(touch, spoiled):
    found = read(f"a, c, d = [1], [2], [3]\nb = a\n{touch}\nreturn locals()")
    assert "".join(name for name in "abcd" if isinstance(found[name], Computed)) == spoiled


def test_what_is_not_followed_spoils_only_what_it_touches():
    factory = read_factory('''
def get_config(net, side):
    if net == "a":
        from_layers, pads = layers(), [1]
        sizes = [[1.0]]
        sizes.sort()
        ratios = [[1.0]]
        return {"from_layers": from_layers, "sizes": sizes, "pads": pads, "ratios": ratios}
    if "b" == net or side > unknown():
        return locals()
''')
    assert factory.config("a", 300) == {"from_layers": Computed(4), "pads": [1],
                                        "sizes": Computed(6), "ratios": [[1.0]]}
    assert factory.networks == ("a",)


def test_names_that_the_module_gives_another_meaning_are_not_pythons():
    text = "def len(x): return 3\n" + source("return {'n': len([1]), 'm': max(1, 2)}")
    found = read_factory(text).config("net", 300)
    assert (found["n"], found["m"]) == (Computed(3), 2)
    text = source("n = max(1, 2)\nfor max in []: pass\nreturn locals()")
    with pytest.raises(NoConfigurationError, match="'max' has no value yet"):
        read_factory(text).config("net", 300)


def test_the_last_definition_counts():
    text = source("return {'a': 1}") + source("return {'a': 2}")
    assert read_factory(text).config("net", 300) == {"a": 2}


# Limits

@pytest.mark.parametrize(("body", "issue"), [
    ("x = ['a']\n" + "x = x + x\n" * 22, "a list of more than 2,000 entries, on line 13"),
    ("x = 3\n" + "x = x * x\n" * 20, "a number of more than 1,024 bits, on line 12"),
    ("x = ['a']\n" + "x += x\n" * 22, "a list of more than 2,000 entries"),
    ("x = [0] * 10 ** 9", "a list of more than 2,000 entries"),
    ("x = 'a' * 1000000000", "a str of more than 2,000 entries"),
    ("x = 10 ** 10 ** 10", "a number of more than 1,024 bits"),
    ("x = list(range(10 ** 12))", "a list of more than 2,000 entries"),
    ("x = []\nx += range(10 ** 12)", "a list of more than 2,000 entries"),
    ("x = []\nx.extend(range(10 ** 12))", "a list of more than 2,000 entries"),
    ("x = []\nx[:] = range(10 ** 12)", "a list of more than 2,000 entries"),
    ("x = [*range(10 ** 12)]", "a list of more than 2,000 entries"),
    ("a, b = range(10 ** 12)", "a list of more than 2,000 entries"),
    ("x = [0]\nfor y in x: x.append(y)", "a list of more than 2,000 entries"),
    ("x = {}\nfor i in range(10 ** 9): x[i] = i", "a dict of more than 2,000 entries"),
    ("x = [0 for a in range(99) for b in range(99)]", "a list of more than 2,000 entries"),
    ("while True: pass", "more than 20,000 steps"),
    ("x = []\nwhile True: x = [x, x]", "more than 20,000 steps"),
    ("x = []\nfor i in range(500): x = [x, x]\nreturn {'x': x}", "more than 20,000 steps"),
    ("x = y = []\nfor i in range(35): x, y = [x, x], [y, y]\nreturn {'x': [x] == [y]}",
     "more than 20,000 steps"),
    ("x = " + "1 + " * 200 + "1", "nested more than 40 levels"),
    ("x = " + "[" * 60 + "]" * 60, "nested more than 40 levels"),
    ("x = [0 " + "for a in [0] " * 200 + "]", "nested more than 40 levels"),
    ("\n".join(" " * i + "if 1:" for i in range(60)) + "\n" + " " * 60 + "pass",
     "nested more than 40 levels"),
    ("x = 0x" + "f" * 300, "a number of more than 1,024 bits"),
])
def test_everything_is_bounded(body, issue):
    started = time.process_time()
    assert issue in refusal(body + "\nreturn {}")
    # a limit that does not hold takes minutes, or all memory
    assert time.process_time() - started < 10


def test_a_list_in_itself_is_no_value():
    found = read("x = [1]\nx.append(x)\nreturn {'n': len(x), 'same': x is x[1], 'x': x}")
    assert (found["n"], found["same"], type(found["x"])) == (2, True, Computed)


def test_a_long_chain_of_elif_is_one_level():
    chain = "if net == 'a0': x = 0\n" + "".join(
        f"elif net == 'a{i}': x = {i}\n" for i in range(1, 90))
    factory = read_factory(source(chain + "return locals()"))
    assert factory.config("a89", 300)["x"] == 89
    assert len(factory.networks) == 90


def test_a_source_that_is_too_large_is_no_source():
    with pytest.raises(ValueError, match="more than 262,144 characters"):
        read_factory("#" * (ledger.MAX_SOURCE + 1))


def test_the_page_names_all_that_is_followed():
    page = (paths.PROJECT / "docs" / "audit.md").read_text(encoding="utf-8")
    for name in (*calls.FUNCTIONS, *calls.CONSUMERS, *(name for _, name in calls.METHODS)):
        assert f"`{name}`" in page
    for limit in (ledger.MAX_STEPS, ledger.LENGTH, ledger.BITS, ledger.DEPTH, ledger.MAX_NETWORKS):
        assert f"{limit:,}" in page
    assert f"{ledger.MAX_SOURCE // 2**10} KiB" in page


# Random programs

class Writer:
    """Writes random programs of the subset, most of which run."""

    NAMES = ("a", "b", "c", "d", "e")

    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, *choices):
        chosen = self.random.choice(choices)
        return chosen if isinstance(chosen, str) else chosen()

    def number(self, depth):
        if depth < 1:
            return str(self.random.randint(-2, 5))
        deeper = depth - 1
        return self.pick(
            "side", "n", lambda: f"len({self.list(deeper)})", lambda: f"abs({self.number(deeper)})",
            lambda: f"({self.number(deeper)} {self.pick(*'+-*')} {self.number(deeper)})",
            lambda: f"({self.number(deeper)} {self.pick('or', 'and')} {self.number(deeper)})",
            lambda: f"({self.number(deeper)} / 4.)",
            lambda: f"({self.number(deeper)} if {self.test(deeper)} else {self.number(deeper)})")

    def list(self, depth):
        if depth < 1:
            return self.pick("a", "b", "c", "[]", "[1, 2]")
        deeper, some, other = depth - 1, self.pick(*"abc"), self.pick(*"de")
        return self.pick(
            some, some, lambda: f"[{self.number(deeper)}, {self.any(deeper)}]", f"{some}.copy()",
            lambda: f"({self.list(deeper)} + {self.list(deeper)})",
            lambda: f"({self.list(deeper)} * {self.random.randint(0, 2)})",
            lambda: f"{self.list(deeper)}[{self.pick('1:', ':2', ':', '::-1')}]",
            lambda: f"[x for x in {self.list(deeper)} if x is not None]",
            lambda: f"({self.list(deeper)} {self.pick('or', 'and')} {self.list(deeper)})",
            lambda: f"[(i, x) for i, x in enumerate({self.list(deeper)})]",
            lambda: f"list(zip({self.list(deeper)}, {self.list(deeper)}))",
            f"list({other}.values())", f"[k for k, v in {other}.items()]")

    def any(self, depth):
        if depth < 1:
            return self.pick("'t'", "None", "net", "a", "b", "m", "(1, b)")
        deeper = depth - 1
        return self.pick(
            lambda: self.number(deeper), lambda: self.list(deeper), lambda: self.any(0),
            lambda: f"{self.pick(*'de')}.get('k', {self.number(deeper)})",
            lambda: f"{{'k': {self.list(deeper)}}}", lambda: self.list(deeper),
            lambda: self.pick("opaque(1)", "opaque(a)", *"abcde"))

    def test(self, depth):
        deeper = depth - 1
        return self.pick(
            lambda: f"{self.number(deeper)} < {self.number(deeper)} <= {self.number(deeper)}",
            lambda: f"{self.any(deeper)} == {self.any(deeper)}",
            lambda: f"{self.any(deeper)} in {self.list(deeper)}",
            lambda: f"not {self.list(deeper)}", lambda: f"{self.any(deeper)} is not None",
            lambda: f"{self.pick(*'abcde')} is {self.pick(*'abcde')}")

    def statement(self, depth):
        some, other = self.pick(*"abc"), self.pick(*"de")
        return self.random.choice((
            lambda: [f"{some} = {self.list(2)}"], lambda: [f"{some} = {self.pick(*'abc')}"],
            lambda: [f"{some}.append({self.any(2)})"], lambda: [f"{some} += {self.list(2)}"],
            lambda: [f"{some}[:1] = {self.list(2)}"], lambda: [f"{some}.extend({self.list(1)})"],
            lambda: [f"{other}['k'] = {self.any(2)}"], lambda: [f"d = {self.pick(*'de')}"],
            lambda: [f"{other}.setdefault('l', {some})"], lambda: [f"n = {self.number(3)}"],
            lambda: [f"m = {self.any(2)}"], lambda: [f"if {some}: del {some}[0]"],
            lambda: [f"if {self.test(2)}:", *self.block(depth), "else:", *self.block(depth)],
            lambda: [f"for x in {self.list(1)}:", *self.block(depth)],
            lambda: [f"{some}, n = {self.list(1)}, {self.number(1)}"],
            lambda: [f"opaque({self.pick(some, other, '[a]', '1')})"]))()

    def block(self, depth):
        if depth < 1:
            return ["    pass"]
        return [f"    {line}" for _ in range(self.random.randint(1, 2))
                for line in self.statement(depth - 1)]

    def program(self):
        lines = ["a, b, c = [1, 2], ['s'], []", "d = e = {'k': b}", "n = m = x = 0"]
        for _ in range(self.random.randint(3, 9)):
            lines += self.statement(2)
        return source("\n".join([*lines, "return {'a': a, 'b': b, 'c': c, 'd': d, 'e': e, "
                                 "'n': n, 'm': m}"]))


def run_in_python(programs):
    done = subprocess.run([sys.executable, "-I", "-c", RUNNER], capture_output=True, text=True,
                          input=json.dumps([PRELUDE + each for each in programs]), check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_random_programs_give_what_python_gives_or_are_refused():
    accepted, refusals = {}, 0
    for seed in range(PROGRAMS):
        program = Writer(seed).program()
        try:
            accepted[program] = read_factory(PRELUDE + program).config("net", 300)
        except NoConfigurationError:
            refusals += 1  # for Python some of them would never end
    exact = 0
    for (program, ours), theirs in zip(accepted.items(), run_in_python(list(accepted))):
        assert theirs is not None, f"Python raises an error at\n{program}"
        known = {name: repr(each) for name, each in ours.items() if not isinstance(each, Computed)}
        assert known == {name: theirs[name] for name in known}, program
        exact += len(known) == len(ours)
    assert len(accepted) + refusals >= PROGRAMS - 10
    assert exact > PROGRAMS / 3
