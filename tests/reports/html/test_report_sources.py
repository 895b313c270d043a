"""Sources and targets of a page: files of all formats, the command, errors, the call to repeat."""

from __future__ import annotations

import ast
import gzip
import hashlib
import re
import shutil
from pathlib import Path

import bilby
import pytest
from page_cases import PageParser, changed

import nbi_sampler
from nbi_sampler import cli
from nbi_sampler.reports.html import report


@pytest.fixture
def saved(folder, result, tmp_path):
    """The file of the result, alone in a folder."""
    return shutil.copy(folder / "line_result.json", tmp_path)


@pytest.mark.parametrize("extension", ["json", "hdf5", "pkl", "json.gz"])
def test_every_file_format_gives_the_same_page(extension, result, page, tmp_path, no_figures):
    if extension == "json.gz":
        result.save_to_file(outdir=str(tmp_path), extension="json", gzip=True)
    else:
        result.save_to_file(outdir=str(tmp_path), extension=extension)
    path = tmp_path / f"line_result.{extension}"
    made = report(path)
    body = PageParser(made.html)
    expected = [each for each in PageParser(page.html).numbers]
    numbers = [each for each in body.numbers if each != path.stat().st_size]
    assert len(numbers) == len(expected)
    assert all(a == pytest.approx(b, rel=1e-12, nan_ok=True) for a, b in zip(numbers, expected, strict=True))
    assert made.path == tmp_path / "line_report.html"
    assert "What is missing" not in body.text


def test_the_page_names_the_file_it_is_about(saved, no_figures):
    text = PageParser(report(saved).html).text
    assert hashlib.sha256(Path(saved).read_bytes()).hexdigest() in text and "line_result.json" in text


@pytest.mark.takes_seconds
@pytest.mark.usefixtures("small_fits")
def test_the_call_on_the_page_repeats_the_run(saved, result, likelihood, tmp_path, monkeypatch, no_figures):
    monkeypatch.chdir(tmp_path)
    parsed = PageParser(report(saved).html)
    call = "import bilby\n" + "".join(parsed.texts).split("import bilby\n")[1].split("\n)")[0] + "\n)"
    names = {"likelihood": likelihood}
    exec(re.sub(r"^likelihood = \.\.\..*$", "", call, flags=re.MULTILINE), names)
    assert names["result"].log_evidence == result.log_evidence
    assert names["result"].posterior["slope"].equals(result.posterior["slope"])


def test_the_call_is_python_whatever_the_keywords(result, no_figures):
    odd = changed(result)
    odd.label = 'R&D "run" \\ \''
    odd.sampler_kwargs = {
        **result.sampler_kwargs,
        "n_effective": float("inf"),
        "simulator": "my.module.simulator",
        "noise": 0.5,
        "x_obs": "array of shape (3,)",
        "flow": "my.flows.Own",
        "featurizer": {"type": "pca", "n": 3},
    }
    call = "import bilby\n" + "".join(PageParser(report(odd).html).texts).split("import bilby\n")[1]
    call = call.split("\n)")[0] + "\n)"
    (given,) = [node for node in ast.walk(ast.parse(call)) if getattr(node, "keywords", None)]
    keywords = {each.arg: ast.unparse(each.value) for each in given.keywords}
    assert ast.literal_eval(keywords["label"]) == odd.label
    assert keywords["n_effective"] == "float('inf')" and keywords["noise"] == "0.5"
    assert keywords["simulator"] == keywords["x_obs"] == keywords["flow"] == "..."
    assert ast.literal_eval(keywords["featurizer"]) == {"type": "pca", "n": 3}
    assert "pool" not in keywords and "# my.module.simulator, as in the script" in call


@pytest.mark.parametrize("path", [None, "deep/er/page.html"])
def test_the_page_is_saved_beside_the_result_or_where_it_is_wanted(path, saved, tmp_path, no_figures):
    made = report(saved)
    written = made.save(None if path is None else tmp_path / path)
    assert written == tmp_path / (path or "line_report.html")
    assert written.read_text(encoding="utf-8") == made.html


def test_a_result_that_was_not_read_from_a_file_has_its_page_in_its_own_folder(result, folder, no_figures):
    assert report(result).path == folder / "line_report.html"


def test_a_place_that_cannot_be_written_is_named(result, tmp_path, no_figures):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        OSError, match=r"path: expected a file that can be written, got .*file/page.html.*; pass"
    ):
        report(result).save(tmp_path / "file" / "page.html")
    with pytest.raises(IsADirectoryError, match="pass another one"):
        report(result).save(tmp_path)


@pytest.mark.parametrize(
    "name, content, error, words",
    [
        (
            "no_such_result.json",
            None,
            FileNotFoundError,
            "which does not exist; name the file that bilby wrote",
        ),
        ("checkpoint.npz", b"", ValueError, "expected a file that ends with .json, .*, got 'checkpoint.npz'"),
        ("a_result.json", b"{", ValueError, "expected a result of bilby, got .*cannot be read as one"),
        ("b_result.json", b'{"a": 1}', ValueError, "expected a result of bilby, got .*cannot be read as one"),
        ("c_result.hdf5", b"nothing", ValueError, "expected a result of bilby, got .*cannot be read as one"),
        ("d_result.pkl", b"nothing", ValueError, "expected a result of bilby, got .*cannot be read as one"),
        ("e_result.json.gz", gzip.compress(b"[]", mtime=0), ValueError, "cannot be read as one"),
    ],
)
def test_files_that_are_no_results_are_named(name, content, error, words, tmp_path, capsys):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=f"^result: .*{words}"):
        report(tmp_path / name)
    assert cli.main(["report", str(tmp_path / name)]) == 1
    assert capsys.readouterr().err.startswith("nbi-sampler report: result: expected ")


def test_a_folder_is_told_which_results_it_holds(saved, tmp_path):
    with pytest.raises(IsADirectoryError, match=r"got the folder .*; name one of line_result.json"):
        report(tmp_path)


@pytest.mark.parametrize("given", [{"log_evidence": 1.0}, None, 3.0, [1]])
def test_objects_that_are_no_results_are_named(given):
    with pytest.raises(
        TypeError, match=r"result: expected a bilby Result or the path .*, got .*; pass what bilby"
    ):
        report(given)


def test_an_amortised_inference_is_told_how_to_become_a_result():
    from nbi_sampler.amortised.inference import Inference

    with pytest.raises(TypeError, match=r"print\(\) an Inference, or .*model=engine"):
        report(object.__new__(Inference))


def test_the_command_writes_the_page_and_says_what_it_says(saved, tmp_path, capsys, no_figures):
    assert cli.main(["report", str(saved), "--parameters", "slope, offset"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'line_report.html'}: ok\n"
    assert cli.main(["report", str(saved), "-o", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    "words, said",
    [(["--parameters", "nothing"], "parameters: expected names"), (["-o", "/"], "path: expected")],
)
def test_the_command_fails_with_one_line(words, said, saved, capsys, no_figures):
    assert cli.main(["report", str(saved), *words]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith(f"nbi-sampler report: {said}")


def test_the_command_without_a_result_says_how_it_is_used(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["report"])
    assert ended.value.code == 2 and "RESULT" in capsys.readouterr().err


def test_the_package_offers_it():
    assert nbi_sampler.report is report and "report" in nbi_sampler.__all__


def test_a_result_is_not_changed(saved, no_figures):
    result = bilby.read_in_result(filename=str(saved))
    before = result.to_dict() if hasattr(result, "to_dict") else dict(vars(result))
    text = repr({name: value for name, value in before.items() if name != "priors"})
    report(result)
    after = result.to_dict() if hasattr(result, "to_dict") else dict(vars(result))
    assert repr({name: value for name, value in after.items() if name != "priors"}) == text
