"""docs/: what it shows exists, what exists stands in it, and what it teaches works."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import types
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import typer

import engage_cli
from engage_cli.cli import train_neural
from engage_cli.config import general, training
from engage_cli.config.general import POOLINGS
from engage_cli.config.recipes import RECIPES
from engage_cli.data.importers import IMPORTERS
from engage_cli.data.importers.folders import Tree
from engage_cli.data.split_names import SPLITS
from engage_cli.data.target_names import TARGETS
from engage_cli.encoders import CHECKPOINTS, Tokens
from engage_cli.evaluation.baselines import Part
from engage_cli.evaluation.slice_names import SLICES
from engage_cli.features.groups import SETS
from engage_cli.main import app
from engage_cli.models.neural.fusion import FUSIONS, FusionSize
from engage_cli.models.neural.objectives import CLASS_OBJECTIVES, VALUE_OBJECTIVES
from tests.documents import DOCS, PAGES, ROOT, Call, anchors, blocks, engage_calls, prose, sections, shell_lines
from tools.build_docs import SITE, build, foreign_hosts
from tools.reference import REFERENCE, render

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "engage_cli").rglob("*.py")))
# Of other programs that pages call.
FOREIGN_OPTIONS = {"--no-deps", "--nproc-per-node", "--help", "--version", "--install-completion"}
PERFORMANCE = "docs/performance.md"


def visible_options() -> dict[str, set[str]]:
    return {
        name: {flag for one in command.params if not one.hidden for flag in (*one.opts, *one.secondary_opts)}
        for name, command in COMMANDS.items()
    }


@pytest.mark.parametrize("call", engage_calls(), ids=str)
def test_every_call_is_one_that_the_command_line_takes(call: Call) -> None:
    name, *given = call.words
    command = COMMANDS[name]
    command.make_context(name, list(given))  # parses, checks names and ranges; runs nothing
    shown = {word.partition("=")[0] for word in given if word.startswith("--")}
    assert shown <= visible_options()[name], "an old spelling"
    for option, value in itertools.pairwise(given):
        assert value not in former_values().get(option, ()), "an old name"


def former_values() -> dict[str, set[str]]:
    """Return option -> values of the release before, which still work and are not shown."""
    found: dict[str, set[str]] = {}
    for module in (general, training, train_neural):
        for config in filter(dataclasses.is_dataclass, vars(module).values()):
            for field in dataclasses.fields(config):
                if (about := field.metadata.get("setting")) is not None:
                    flags = about.flags or (f"--{field.name.replace('_', '-')}",)
                    found |= {flag: found.get(flag, set()) | set(about.former_names) for flag in flags}
    return found


def test_no_page_names_an_option_that_does_not_exist() -> None:
    known = set().union(*visible_options().values(), FOREIGN_OPTIONS, _benchmark_options())
    for page in PAGES:
        unknown = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*[a-z0-9]", PAGES[page])) - known
        if page not in ("docs/changelog.md",):  # it names what was
            assert not unknown, page


def _benchmark_options() -> set[str]:
    texts = (path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks").glob("*.py"))
    return {option for text in texts for option in re.findall(r'"(--[a-z-]+)"', text)}


def test_the_reference_is_what_the_command_line_says() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == render(), "run: python -m tools.reference"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_visible_option_is_in_the_reference(name: str) -> None:
    section = sections("docs/reference.md")[f"`engage {name}`"]
    for option in visible_options()[name] - {"--help"}:
        assert f"`{option}`" in section or f"`[{option.upper()}]...`" in section or not option.startswith("-"), option


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_explained_outside_the_reference(name: str) -> None:
    assert any(f"engage {name}" in PAGES[page] for page in PAGES if page not in ("docs/reference.md", "README.md"))


def test_targets_of_make_and_benchmarks_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page, text in PAGES.items():
        for target in re.findall(r"(?:`|^)make ([a-z][a-z-]*)", text, flags=re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), f"{page}: make {target}"
        for name, options in re.findall(r"python (benchmarks/\w+\.py)([^`\n]*)", text):
            script = (ROOT / name).read_text(encoding="utf-8")
            for option in re.findall(r"--[a-z-]+", options):
                assert f'"{option}"' in script, f"{page}: {name} {option}"


@pytest.mark.parametrize("page", PAGES)
def test_links_inside_lead_somewhere(page: str) -> None:
    here = (ROOT / page).parent
    for link in re.findall(r"!?\[[^\]]*\]\(([^)\s]+)\)", prose(page)):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (here / name).resolve() if name else ROOT / page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(_name_of(target, page)), link


def _name_of(target: Path, page: str) -> str:
    return next((name for name in PAGES if (ROOT / name).resolve() == target.resolve()), page)


@pytest.mark.parametrize("page", PAGES)
def test_images_lie_in_the_project(page: str) -> None:
    for link in re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", PAGES[page]):
        assert not link.startswith(("http:", "https:", "//")), link
    assert "<script" not in PAGES[page]


def test_the_terminal_picture_fetches_nothing() -> None:
    picture = (DOCS / "images" / "terminal.svg").read_text(encoding="utf-8")
    assert not re.search(r"@font-face|@import|url\(['\"]?http|<image", picture)


def test_the_site_builds_without_a_warning_and_fetches_from_nowhere() -> None:
    assert build() == ""
    assert (SITE / "search.json").is_file()
    page = SITE / "foreign.html"  # what the check is for
    page.write_text('<script src="https://elsewhere.example/a.js"></script>', encoding="utf-8")
    assert foreign_hosts() == ["foreign.html"]
    page.unlink()


def test_every_page_is_in_the_navigation() -> None:
    named = set(re.findall(r'"([\w-]+\.md)"', (ROOT / "zensical.toml").read_text(encoding="utf-8")))
    assert named == {path.name for path in DOCS.glob("*.md")}


@pytest.mark.parametrize("title", sections(PERFORMANCE))
def test_figures_name_the_command_that_made_them(title: str) -> None:
    text = sections(PERFORMANCE)[title]
    under_accuracy = title in ("What to expect", "What was tried")  # parts of the section before, with its figures
    if re.search(r"\d\.\d|\d/s|\d MB|\d s\b", text) and not under_accuracy:
        calls = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
        assert any("benchmarks/" in call or "engage evaluate" in call for call in calls)


def test_figures_in_the_readme_name_their_command() -> None:
    assert "benchmarks/quality.py" in sections("README.md")["What to expect"]


def test_messages_in_troubleshooting_are_those_of_the_program() -> None:
    rows = re.findall(r"^\| (`.+?) \| (.+) \|$", PAGES["docs/troubleshooting.md"], flags=re.MULTILINE)
    assert len(rows) >= 30
    for message, remedy in rows:
        assert len(remedy) > 15
        for part in re.findall(r"`([^`]+)`", message):
            assert part in SOURCE, f"no message has these words any more: {part}"


def test_every_key_of_the_json_answer_is_explained() -> None:
    schema = json.loads((ROOT / "engage_cli" / "schemas" / "predict.json").read_text(encoding="utf-8"))
    keys = [key for key in (*schema["properties"], *schema["$defs"]["post"]["properties"]) if key != "id"]
    for key in keys:
        assert f"`{key}`" in PAGES["docs/predictions.md"], key


def test_every_public_name_is_in_the_api_page() -> None:
    for name in set(engage_cli.__all__) - {"__version__"}:
        place = engage_cli._PLACES[name].replace(":", ".")
        assert f"::: {place}\n" in PAGES["docs/api.md"], name


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("posts", TARGETS),
        ("posts", SPLITS),
        ("encoders", sorted({name for table in CHECKPOINTS.values() for name in table})),
        ("encoders", POOLINGS),
        ("neural", FUSIONS),
        ("neural", {**VALUE_OBJECTIVES, **CLASS_OBJECTIVES}),
        ("neural", RECIPES),
        ("catboost", SETS),
        ("evaluation", SLICES),
        ("reference", IMPORTERS),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(list(value)[:2]),
)
def test_every_name_of_a_table_is_explained(page: str, names: Collection[str]) -> None:
    text = PAGES[f"docs/{page}.md"]
    for name in names:
        assert re.search(rf"`{re.escape(name)}`" if page != "reference" else rf"\b{re.escape(name)}\b", text), name


def test_files_and_tables_that_architecture_names_exist() -> None:
    page = PAGES["docs/architecture.md"]
    for name in set(re.findall(r"`((?:engage_cli|tests)/[\w/]+(?:\.py|/)?)`", page)):
        assert (ROOT / name).exists(), name
    for table in set(re.findall(r"`([A-Z][A-Z_]{3,})`", page)):
        assert re.search(rf"^{table}\b", SOURCE, flags=re.MULTILINE), table


@pytest.fixture(scope="module")
def lessons() -> dict[str, types.SimpleNamespace]:
    """Section of architecture.md -> what its Python defines."""
    found = {}
    for title, text in sections("docs/architecture.md").items():
        for number, code in enumerate(re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)):
            names: dict[str, Any] = {"__name__": f"lesson_{number}"}
            exec(compile(code, f"architecture.md: {title}", "exec", dont_inherit=True), names)
            found[title] = types.SimpleNamespace(**names)
    return found


def test_the_target_of_the_docs_is_one(lessons: dict[str, types.SimpleNamespace]) -> None:
    posts = pd.DataFrame({"favorites": [0.0, 9.0, np.nan]})
    np.testing.assert_allclose(lessons["Add a target"].saves(posts).score(posts), [0, np.log(10), np.nan])


def test_the_fusion_of_the_docs_is_one(lessons: dict[str, types.SimpleNamespace]) -> None:
    fusion = lessons["Add a fusion"].MeanFusion({"image": 6, "title": 4}, FusionSize(width=8)).eval()
    blocks_ = {
        name: Tokens(torch.randn(3, 1, dim), torch.ones(3, 1, dtype=torch.bool))
        for name, dim in (("image", 6), ("title", 4))
    }
    assert fusion(blocks_).shape == (3, 8)
    assert fusion.reads_tokens is False


def test_the_importer_of_the_docs_reads_its_folder(lessons: dict[str, types.SimpleNamespace], tmp_path: Path) -> None:
    for number in range(3):
        folder = tmp_path / f"post-{number}"
        folder.mkdir()
        (folder / "post.json").write_text(json.dumps({"slug": f"a{number}", "headline": "A cat", "seen": 10 * number}))
    module = lessons["Add an importer"]
    assert module.recognise(Tree(tmp_path))
    found = module.read_my_tool(tmp_path)
    assert found.posts["id"].tolist() == ["a0", "a1", "a2"]
    assert found.posts["views"].tolist() == [0, 10, 20]
    assert found.posts["image"][1] == "post-1/cover.jpg"


def test_feature_baseline_and_metric_of_the_docs_work(lessons: dict[str, types.SimpleNamespace]) -> None:
    assert lessons["Add a feature"].ellipses("wait... what…") == 2
    train = Part(pd.DataFrame({"title": ["a", "b", "c"]}), np.array([1.0, 2.0, 9.0]))
    some = lessons["Add a baseline"].median_value(train, train, train)
    assert some.value.tolist() == [2, 2, 2]
    assert lessons["Add a metric"].median_error(np.array([1.0, 2.0, 5.0]), np.array([1.0, 4.0, 0.0])) == 2


def test_shell_blocks_hold_calls_only() -> None:
    """A reader can paste a block: each line is a call of a program that the project uses."""
    programs = ("engage", "pip", "make", "python", "torchrun", "curl", "ENGAGE_TOKEN=", "export", "$ ")
    for page in PAGES:
        for line in shell_lines(page):
            assert line.startswith(programs), f"{page}: {line}"
    assert blocks("README.md", "sh")
