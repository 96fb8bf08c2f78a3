from __future__ import annotations

from pathlib import Path

from ringline.signaling.page_files import content_security_policy, read_page


def test_files_are_read_with_their_types(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<p>")
    (tmp_path / "app.js").write_text("1")
    (tmp_path / ".hidden").write_text("no")
    (tmp_path / "folder").mkdir()
    files = read_page(tmp_path)
    assert {name: file.content_type for name, file in files.items()} == {
        "app.js": "text/javascript",
        "index.html": "text/html",
    }
    assert files["index.html"].body == b"<p>"


def test_no_folder_is_no_page(tmp_path: Path) -> None:
    assert read_page(tmp_path / "none") == {}


def test_the_policy_allows_only_this_server() -> None:
    policy = content_security_policy("calls.example:8080")
    assert policy.startswith("default-src 'self'; ")
    assert "connect-src 'self' ws://calls.example:8080 wss://calls.example:8080;" in policy


def test_a_malformed_host_does_not_reach_the_policy() -> None:
    assert "connect-src 'self';" in content_security_policy("x; script-src *")
    assert "connect-src 'self';" in content_security_policy(None)
