"""What markers and calls ask for."""

import pytest
from k485_pytest.options import OptionError, Options


def test_the_nearest_says_it(tmp_path):
    marks = [
        {"boxes": 1, "faults": ["drop p=0.1"]},
        {"boxes": 4, "args": ["--echo"]},
        {"auto": True},
    ]
    options = Options.read(marks, "virtual")
    assert options.command([tmp_path], tmp_path) == [
        "--boxes", "4", "--virtual", "--auto", "--seed", "1", "--fault", "drop p=0.1", "--echo",
    ]  # fmt: skip
    options = Options.read([*marks, {"time": "real", "seed": 7, "args": []}], "virtual")
    assert options.command([tmp_path], tmp_path) == [
        "--boxes", "4", "--auto", "--seed", "7", "--fault", "drop p=0.1",
    ]  # fmt: skip


def test_a_scene_is_found_beside_the_test_or_below_the_rootdir(tmp_path):
    beside, root = tmp_path / "tests", tmp_path
    (root / "scenes").mkdir()
    (root / "scenes" / "jam.toml").write_text("[[box]]\n")
    options = Options.read([{"boxes": 4}, {"scene": "scenes/jam.toml"}], "real")
    # A scene has a seed of its own, and takes the place of boxes.
    assert options.command([beside, root], tmp_path) == [str(root / "scenes" / "jam.toml")]
    beside.mkdir()
    (beside / "scenes").mkdir()
    (beside / "scenes" / "jam.toml").write_text("[[box]]\n")
    assert options.command([beside, root], tmp_path) == [str(beside / "scenes" / "jam.toml")]


def test_a_scene_can_be_text(tmp_path):
    options = Options.read([{"scene": "[[box]]\nA = {}\n"}], "real")
    [path] = options.command([tmp_path], tmp_path)
    with open(path) as file:
        assert file.read() == "[[box]]\nA = {}\n"


@pytest.mark.parametrize(
    "mark, said",
    [
        ({"box": 2}, "no option 'box'; there are: scene, boxes, args"),
        ({"time": "fast"}, 'time=\'fast\': write time="real" or time="virtual"'),
        ({"faults": "drop"}, "faults is a list: write faults=['drop']"),
        ({"scene": "none.toml"}, "there is no scene none.toml; looked at "),
        ({"scene": "a.toml", "boxes": 2}, "leave one of them out"),
    ],
)
def test_what_cannot_be_is_told(tmp_path, mark, said):
    with pytest.raises(OptionError) as raised:
        Options.read([mark], "real").command([tmp_path], tmp_path)
    assert said in str(raised.value)
