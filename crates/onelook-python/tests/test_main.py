"""`python -m onelook`: the binary that was installed with the package."""

import pytest

from onelook import __main__ as command_line


def test_the_binary_is_found_where_scripts_are(tmp_path, monkeypatch):
    monkeypatch.setattr("sysconfig.get_path", lambda *_: str(tmp_path))
    (tmp_path / "onelook").write_text("")
    assert command_line.find() == str(tmp_path / "onelook")


def test_a_package_without_its_binary_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("sysconfig.get_path", lambda *_: str(tmp_path / "nowhere"))
    monkeypatch.setattr(command_line, "__file__", str(tmp_path / "onelook/__main__.py"))
    with pytest.raises(FileNotFoundError, match="install again"):
        command_line.find()
