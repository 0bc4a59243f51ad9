"""Loading the contract, and errors that name the place."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from codegen.errors import CodegenError
from codegen.load import load, load_data

CONTRACT = Path(__file__).parents[2] / "openapi" / "specification.yaml"


def write(folder: Path, text: str, name: str = "contract.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_loads_the_vendored_contract() -> None:
    document = load(CONTRACT)
    assert document["swagger"] == "2.0"
    assert all(path.startswith("/") for path in document["paths"])
    assert sum(len(item) for item in document["paths"].values()) > 400
    assert len(document["definitions"]) > 100


def test_keys_are_text_and_dates_stay_text(tmp_path: Path) -> None:
    text = """
swagger: '2.0'
paths:
  /a:
    get:
      responses:
        200: {description: 2026-08-01, x-at: 2026-08-01T10:00:00Z, x-on: yes-but-text}
        null: {description: ok}
"""
    responses = load(write(tmp_path, text))["paths"]["/a"]["get"]["responses"]
    assert responses == {
        "200": {"description": "2026-08-01", "x-at": "2026-08-01T10:00:00Z", "x-on": "yes-but-text"},
        "null": {"description": "ok"},
    }


@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
def test_json_and_openapi_3(tmp_path: Path, version: str) -> None:
    contract = {"openapi": version, "paths": {"/a": {"$ref": "#/x~1y/z%20z/0"}}, "x/y": {"z z": [{}]}}
    assert load(write(tmp_path, json.dumps(contract), "contract.json")) == contract
    assert load(write(tmp_path, json.dumps(contract))) == contract


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("openapi: 2.9.0\npaths: {}", "openapi: 2.9.0"),
        ("swagger: '1.2'\npaths: {}", "swagger: 1.2"),
        ("overlay: 1.0.0", "neither swagger nor openapi"),
        ("swagger: '2.0'", "no `paths`"),
        ("- 1", "not a mapping"),
        ("a: [", "can't be read"),
        ("swagger: '2.0'\npaths: {/a: {}, /b: {}, /a: {}}", "'/a' is given twice"),
        ("swagger: '2.0'\npaths: {/a: {get: {[1]: 2}}}", "a key must be a word"),
    ],
)
def test_refuses_files_that_are_not_contracts(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(CodegenError, match=r"contract\.yaml") as caught:
        load(write(tmp_path, text))
    assert said in str(caught.value)


def test_refuses_duplicate_keys_in_json(tmp_path: Path) -> None:
    with pytest.raises(CodegenError, match="'x' is given twice"):
        load_data(write(tmp_path, '{"a": {"x": 1, "x": 2}}', "twice.json"))


def test_names_the_line_of_a_duplicate_key(tmp_path: Path) -> None:
    with pytest.raises(CodegenError, match=r"contract\.yaml:3: can't be read: key 'a' is given twice"):
        load_data(write(tmp_path, "a: 1\nb: 2\na: 3\n"))


def test_names_the_line_of_a_duplicate_key_in_json(tmp_path: Path) -> None:
    text = '{\n "a": {\n  "x": 1,\n  "y": 2,\n  "x": 3\n }\n}'
    with pytest.raises(CodegenError, match=r"twice\.json:5: can't be read: key 'x' is given twice"):
        load_data(write(tmp_path, text, "twice.json"))


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (b"", 1, "it is empty"),
        (b"\n \n", 1, "it is empty"),
        ("a: größe".encode("utf-16"), 1, "UTF-16: save it as UTF-8"),
        ("a: b".encode("utf-16-le"), 1, "UTF-16 or binary"),
        ("a: b\nc: größe".encode("latin-1"), 2, "not UTF-8: save it as UTF-8"),
        (gzip.compress(b"a: b", mtime=0), 1, "compressed with gzip: unpack it"),
        (b"PK\x03\x04 a: b", 1, "a zip archive: unpack it"),
        (b"\x89PNG\r\n\x1a\n\x00", 1, "an image"),
        (b"a: b\nc: \x07", 2, "control character"),
        (b"Redirecting ...\n<html><body>Sign in", 1, "looks like a sign-in page"),
        (b"<?xml version='1.0'?>", 1, "this is XML"),
        (b'// made by hand\n{"a": 1}', 2, "can't be read"),
        (b'{"a": 1, // one\n "b": 2}', 1, "JSON has no comments"),
        (b"a: 1\nb: " + b"9" * 5000, 2, "a number has 5000 digits"),
        (b"a: 1\nb: !!set {c, d}", 2, "JSON has no equivalent of 'set'"),
        (b"a: 1\nb: !!binary aGk=", 2, "JSON has no equivalent of 'binary'"),
        (b"a: 1\n---\nb: 1", 2, "another document"),
        (b"a:\n\tb: 1", 2, "can't be read"),
        (b'{"a": 1, "b": "\\ud800"}', 1, "half of a surrogate pair"),
        (b"swagger: '2.0'\npaths: []", 2, "no `paths`"),
        (b"info: {}\nswagger: 2.0\npaths: {}", 2, "it says swagger: 2.0"),
    ],
)
def test_names_what_a_file_is_instead(tmp_path: Path, content: bytes, line: int, said: str) -> None:
    path = tmp_path / "contract.yaml"
    path.write_bytes(content)
    with pytest.raises(CodegenError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path.as_posix()}:{line}: ")
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["swagger: '2.0'\npaths: {}", '{"swagger": "2.0", "paths": {}}'])
def test_a_byte_order_mark_is_no_fault(tmp_path: Path, text: str) -> None:
    assert load(write(tmp_path, f"\ufeff{text}")) == {"swagger": "2.0", "paths": {}}


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (
            "#/definitions/Storey",
            "paths > /stories > get > responses > 200 > schema refers to '#/definitions/Storey'",
        ),
        ("#/paths/~1stories/get/tags/7", "which the document does not have"),
        ("models.yaml#/Story", "bundle the contract first"),
    ],
)
def test_refuses_references_that_lead_nowhere(tmp_path: Path, target: str, said: str) -> None:
    operation = {"tags": ["a"], "responses": {"200": {"schema": {"$ref": target}}}}
    contract = {"swagger": "2.0", "paths": {"/stories": {"get": operation}}, "definitions": {"Story": {}}}
    with pytest.raises(CodegenError) as caught:
        load(write(tmp_path, json.dumps(contract), "contract.json"))
    assert said in str(caught.value)


def test_refuses_missing_files(tmp_path: Path) -> None:
    with pytest.raises(CodegenError, match="can't be read"):
        load(tmp_path / "nothing.yaml")
