"""The documentation as its readers see it: built without a warning, and nothing leads nowhere."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import attrs
import pytest
from support.documents import DOCS, DOCUMENTS, PROJECT, SHELL, blocks, read_blocks
from support.runs import command

import ssdreg
from ssdreg.cli.commands import COMMANDS
from ssdreg.cli.main import parser
from ssdreg.drawing.canvas import write_picture
from ssdreg.registry import hookspecs

#: Characters of code that fit into a page.
WIDEST = 86


class Page(HTMLParser):
    """What matters of a page: its words, headings, identifiers, and where it leads."""

    def __init__(self, path):
        super().__init__()
        self.path, self.words = path, []
        self.headings, self.ids, self.links, self.loaded = [], [], [], []
        self.alternatives = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if "id" in given:
            self.ids.append(given["id"])
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "img":
            self.alternatives.append(given.get("alt", ""))
        # what a browser fetches without being asked to
        if tag in ("img", "script", "link", "iframe"):
            self.loaded += [given[name] for name in ("src", "href") if given.get(name)]

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        """Everything there is to read, with single spaces."""
        return " ".join("".join(self.words).split())


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet",
         "--builder", "html", "--doctree-dir", folder / "trees", DOCS, folder / "html"],
        capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout + done.stderr == ""
    return folder / "html"


@pytest.fixture(scope="module")
def pages(html):
    return {path.name: Page(path) for path in html.glob("*.html")}


def written():
    """Return the names of the pages that somebody wrote; Sphinx adds an index and a search."""
    return {path.with_suffix(".html").name for path in DOCS.glob("*.md")}


@pytest.fixture(scope="module")
def architecture():
    """The script that draws the picture, as a module."""
    spec = importlib.util.spec_from_file_location("draw_architecture",
                                                  DOCS / "draw_architecture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_every_document_is_a_page_that_the_first_one_leads_to(pages):
    assert written() <= set(pages)
    led_to = {urlsplit(link).path for link in pages["index.html"].links}
    assert written() <= led_to | {"index.html"}


@pytest.mark.slow
def test_no_link_leads_nowhere(pages, html):
    for page in pages.values():
        for link in (*page.links, *page.loaded):
            address = urlsplit(link)
            if address.scheme or address.netloc:
                continue
            target = html / unquote(address.path) if address.path else page.path
            assert target.is_file(), f"{page.path.name} leads to {link}"
            if address.fragment and target.suffix == ".html":
                assert unquote(address.fragment) in pages[target.name].ids, \
                    f"{page.path.name} leads to {link}"


@pytest.mark.slow
def test_a_page_fetches_nothing_from_elsewhere(pages):
    for page in pages.values():
        assert [each for each in page.loaded if urlsplit(each).netloc] == []


@pytest.mark.slow
def test_headings_follow_each_other(pages):
    for name in written():
        page = pages[name]
        assert page.headings.count(1) == 1, name
        for above, below in zip(page.headings, page.headings[1:]):
            assert below <= above + 1, f"{name}: h{below} below h{above}"
        assert len(page.ids) == len(set(page.ids)), name


@pytest.mark.slow
def test_pictures_say_what_they_show(pages):
    assert all(text for page in pages.values() for text in page.alternatives)
    assert sum(len(page.alternatives) for page in pages.values()) >= 3


@pytest.mark.slow
def test_the_notebook_was_run_by_the_build(pages, html):
    page = pages["notebook.html"]
    for found in (r"resnet18 \[2, 4, 8, 16, 32\]", r"epoch 5 \d+\.\d img/s cls",
                  r"is the best: mAP 0\.\d\d", r"circle \d+ \d+ 0\.\d{4}", "agrees: True",
                  r"int8 for onnxruntime, scales from 40 images", r"<Detections \d+ in 64x64: "):
        assert re.search(found, page.text), found
    assert "Traceback" not in page.text
    alternative = "Six images with circles, squares and triangles that the detector found"
    assert [text for text in page.alternatives if text.startswith(alternative)]
    picture, = (each for each in page.loaded if each.startswith("_images/"))
    assert (html / picture).read_bytes()[:4] == b"\x89PNG"


@pytest.mark.slow
def test_the_notebook_says_what_detects_well(pages):
    """What it draws is worth looking at: the network has learnt what there is."""
    best = float(re.search(r"is the best: mAP (0\.\d\d)", pages["notebook.html"].text)[1])
    assert best > 0.5


def test_no_code_is_cut_off():
    wide = [f"{block.where}: {line}" for document in DOCUMENTS if document.startswith("docs/")
            for block in blocks(document) for line in block.text.splitlines()
            if len(line) > WIDEST]
    assert wide == []


@pytest.mark.slow
def test_the_hook_reference_has_every_hook_and_field(pages):
    page = pages["hooks.html"]
    hooks = [name for name in vars(hookspecs) if name.startswith("ssdreg_")
             and callable(getattr(hookspecs, name))]
    assert len(hooks) >= 4
    for name in hooks:
        assert f"{hookspecs.__name__}.{name}" in page.ids
        first, *_ = getattr(hookspecs, name).__doc__.splitlines()
        assert first.replace("`", "") in page.text
    for each in (ssdreg.Backbone, ssdreg.Tap, ssdreg.Extra, ssdreg.Preset, ssdreg.Head,
                 ssdreg.Weights, ssdreg.Preprocessing, ssdreg.DataFormat):
        assert f"ssdreg.{each.__name__}" in page.ids
        for field in attrs.fields(each):
            # a row of the table: name and type
            assert f" {field.name} {field.type} " in page.text, f"{each.__name__}.{field.name}"


@pytest.mark.parametrize("each", COMMANDS, ids=lambda each: each.NAME)
@pytest.mark.slow
def test_the_command_reference_says_what_help_says(pages, capsys, monkeypatch, each):
    monkeypatch.setenv("COLUMNS", "80")
    page = pages["commands.html"]
    told = command(capsys, each.NAME, "--help").out
    usage, _, rest = told.partition("\n\n")
    assert " ".join(usage.split()) in page.text
    assert f"{each.SUMMARY[0].upper()}{each.SUMMARY[1:]}." in page.text
    # an argument's explanation, which goes on in lines that are indented as far
    for explained in re.findall(r"^  -\S.*?(?:  +|\n {24})(\S.*(?:\n {24}.*)*)", rest,
                                re.MULTILINE):
        words = " ".join(explained.replace("`", "").split())
        assert words == "show this help message and exit" or words in page.text, words


@pytest.mark.slow
def test_the_python_reference_has_every_public_name(pages):
    shown = set(pages["api.html"].ids) | set(pages["hooks.html"].ids)
    for name in ssdreg.__all__:
        if name not in ("__version__", "hookimpl"):
            assert f"ssdreg.{name}" in shown, name


def test_the_readme_leads_to_files_that_are_there():
    for document, path in DOCUMENTS.items():
        for link in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8")):
            if not urlsplit(link).scheme:
                assert (path.parent / link).exists(), f"{document} leads to {link}"


def test_the_picture_is_the_one_that_its_script_draws(architecture, tmp_path):
    write_picture(architecture.picture(), tmp_path / "now.svg")
    assert words(architecture.FILE) == words(tmp_path / "now.svg")
    assert len(words(architecture.FILE)) > 3 * len(architecture.STEPS)


def words(svg):
    """Return the texts of a picture; what else is in the file is matplotlib's."""
    return ["".join(text.itertext()).strip() for text in ElementTree.parse(svg).iter(
        "{http://www.w3.org/2000/svg}text")]


def test_the_picture_names_what_is_there_and_fits_its_boxes(architecture):
    for name in architecture.modules():
        assert (PROJECT / "ssdreg" / name).exists(), name
    assert architecture.overfull() == []


def test_plug_ins_readmes_tell_commands_that_there_are():
    for path in (PROJECT / "plugins").glob("*/README.md"):
        for block in read_blocks(path):
            assert block.language == SHELL, block.where
            for each in block.commands:
                if each.program == "ssdreg":
                    parser().parse_args(each.arguments)
