"""One stream of all logs."""

from pathlib import Path

from suna_localstack.up.logs import LogStream


def test_follows_new_lines_new_files_truncation_and_replacement(tmp_path: Path) -> None:
    first = tmp_path / "first.log"
    first.write_text("old\n")
    stream = LogStream(tmp_path)
    assert list(stream.poll()) == [("first", "old")]

    with first.open("a") as file:
        file.write("new\nhal")
    (tmp_path / "second.log").write_text("hello\n")
    assert list(stream.poll()) == [("first", "new"), ("second", "hello")]

    with first.open("a") as file:
        file.write("f\n")
    assert list(stream.poll()) == [("first", "half")]

    first.write_text("cut\n")
    assert list(stream.poll()) == [("first", "cut")]

    first.rename(tmp_path / "first.log.1")
    first.write_text("replaced and longer\n")
    assert list(stream.poll()) == [("first", "replaced and longer")]
    assert list(stream.poll()) == []


def test_begins_near_the_end_of_long_files_with_a_whole_line(tmp_path: Path) -> None:
    (tmp_path / "long.log").write_text("".join(f"line {number}\n" for number in range(1000)))

    lines = [line for _, line in LogStream(tmp_path, tail_bytes=30).poll()]

    assert lines == ["line 997", "line 998", "line 999"]
