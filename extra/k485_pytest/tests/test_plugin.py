"""The plugin in runs of pytest of its own, with the real binary."""

import os
import signal
import subprocess
import sys
import time

import pytest

#: A request for box 1's state, as it was seen on wires; the tests need no host.
SPEAK = """
    import os, termios, tty

    def ask(bus, frame):
        fd = os.open(bus.port, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(fd)
        os.write(fd, bytes.fromhex(frame))
        reply = os.read(fd, 300)
        os.close(fd)
        return reply.hex()

    BUFFER = "f70103ff0571"
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Runs pytest on a test file, with the binary that this run has."""

    def of(text, *args, **how):
        __tracebackhide__ = True
        pytester.makeini("[pytest]\n")
        pytester.makepyfile(speak=SPEAK)
        pytester.makepyfile(text)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *args, **how)

    return of


@pytest.fixture(autouse=True)
def binary(request, monkeypatch):
    """The inner runs take the binary that the outer one has."""
    from k485_pytest.binary import find_binary

    named = request.config.getoption("--k485-binary")
    found = find_binary(named, None, os.environ, [request.config.rootpath])
    monkeypatch.setenv("K485_BINARY", str(found))
    return found


def script(pytester, text):
    """A program in place of the binary."""
    path = pytester.path / "fake-k485"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


def gone(pid):
    """Whether a process has ended, within 20 s."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
            # One that nobody has waited for is gone too.
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False


def test_a_bus_is_there_and_ends_with_the_test(run, pytester):
    result = run(
        """
        import os
        from speak import *

        def test_one(k485_bus):
            with open("was", "w") as file:
                file.write("{} {}".format(k485_bus.pid, k485_bus.port))
            assert len(k485_bus.state.boxes) == 2
            assert k485_bus.state.box(1).slot("A").inlet
            # Nobody has an address yet: nobody hears this.
            assert not k485_bus.exchanges()

        def test_two(k485_bus):
            with open("was") as file:
                pid, port = file.read().split()
            assert not os.path.lexists(port)
            assert port != k485_bus.port
        """
    )
    result.assert_outcomes(passed=2)
    assert gone(int((pytester.path / "was").read_text().split()[0]))


def test_what_a_test_asks_for_is_what_it_gets(run):
    result = run(
        """
        import pytest
        from speak import *

        pytestmark = pytest.mark.k485(boxes=4)

        def test_boxes_of_the_module(k485_bus):
            assert [box.box for box in k485_bus.state.boxes] == [1, 2, 3, 4]
            assert not k485_bus.state.box(4).slot("A").jammed

        @pytest.mark.k485(boxes=1, args=["--seed", "77"], time="virtual")
        def test_its_own(k485_bus):
            assert len(k485_bus.state.boxes) == 1
            assert k485_bus.told.seed == 77
            assert k485_bus.virtual and k485_bus.clock.state.virtual

        SCENE = '''
        [[box]]
        address = 1
        A = { material = "PLA", colour = "ff0000" }
        '''

        @pytest.mark.k485(scene=SCENE, faults=["wrong_status STATE_ERR times=1"])
        def test_scene_and_fault(k485_bus):
            assert k485_bus.box(1).state.address == 1
            assert ask(k485_bus, BUFFER).startswith("f7010403")
            assert ask(k485_bus, BUFFER).startswith("f7010400")
            [fault] = k485_bus.faults.list()
            assert fault.rule.startswith("wrong_status")

        def test_two_buses(k485_bus, k485_start):
            other = k485_start(boxes=0)
            assert other.port != k485_bus.port
            assert len(k485_bus.state.boxes) == 4
            assert other.state.boxes == []
        """
    )
    result.assert_outcomes(passed=4)


def test_hands_faults_clock_and_exchanges(run):
    result = run(
        """
        import pytest
        from k485_pytest import ControlError
        from speak import *

        SCENE = '''
        [[box]]
        address = 1
        A = { tip = 1500 }
        '''
        pytestmark = pytest.mark.k485(scene=SCENE, time="virtual")

        def test_hands(k485_bus):
            bus, box, slot = k485_bus, k485_bus.box(1), k485_bus.slot("T1A")
            assert slot.state.inlet and bus.state.toolhead
            assert slot.jam().box(1).slot("A").jammed
            assert slot.jam(at=900).slot("T1A").jammed
            assert not slot.unjam().slot("T1A").jammed
            assert not slot.sensor("inlet", "off").slot("T1A").inlet
            slot.sensor("inlet", "truth")
            assert len(slot.break_(at=600).slot("T1A").filament) == 2
            assert slot.clear().slot("T1A").filament == []
            slot.insert("PETG", "00ff00", length=5000, remain=40)
            assert "00ff00" in slot.state.tag
            bus.wait_for(lambda state: state.box(1).state == "idle")
            slot.pull_out()
            bus.wait_for(lambda state: not state.slot("T1A").inlet)
            slot.sensor("hub", "on")
            assert slot.state.hub
            slot.sensor("hub", "truth")
            assert not slot.state.hub
            assert bus.toolhead("on").toolhead
            assert not bus.toolhead("truth").toolhead
            slot.place(1460, "PLA")
            assert bus.state.toolhead
            slot.run_out(left=10)
            bus.hold_buffer("full")
            assert bus.state.buffer.full and bus.state.buffer.held
            bus.free_buffer()
            bus.extrude(5, speed=5)
            assert bus.state.extruder == 5
            bus.sleep(2)
            assert bus.state.extruder == 0
            bus.extruder(2.5)
            assert bus.state.extruder == 2.5
            bus.extruder(0)
            bus.cut()
            box.climate(temperature=-3, humidity=50)
            assert box.state.climate == [-3, 50]
            box.climate()
            box.slip()
            assert box.state.slips
            box.slip(False)
            box.block("wheel")
            box.block("wheel", on=False)
            box.unplug()
            assert not box.state.plugged
            box.plug()
            box.reset()
            bus.wait_for(lambda state: state.box(1).address == 0xFE)

        def test_wrong_hands_are_told(k485_bus):
            with pytest.raises(ControlError, match="there is no box 2: this bus has 1") as raised:
                k485_bus.box(2).reset()
            assert raised.value.status == 422
            with pytest.raises(ControlError, match="spol"):
                k485_bus.hand("insert", slot="T1A", spol={})
            with pytest.raises(LookupError, match="no slot 'T1E': write T1A to T4D"):
                k485_bus.box(1).slot("E")
            with pytest.raises(AttributeError, match="no 'toolhed' here; there is: .*toolhead"):
                k485_bus.state.toolhed

        def test_faults(k485_bus):
            with k485_bus.faults.add("wrong_status STATE_ERR if func==GET_BUFFER_STATE") as fault:
                assert ask(k485_bus, BUFFER).startswith("f7010403")
                assert fault.state.rule
            assert ask(k485_bus, BUFFER).startswith("f7010400")
            k485_bus.faults.add("drop")
            k485_bus.faults.add("drop").remove()
            assert len(k485_bus.faults.list()) == 1
            k485_bus.faults.clear()
            assert k485_bus.faults.list() == []
            with pytest.raises(ControlError, match="drp"):
                k485_bus.faults.add("drp")

        def test_clock(k485_bus):
            began = k485_bus.clock.now
            k485_bus.sleep(5.5 * 3600)
            assert 0 <= k485_bus.clock.now - began - 5.5 * 3600 < 1

        @pytest.mark.k485(time="real")
        def test_a_clock_that_stands_and_runs(k485_bus):
            clock = k485_bus.clock
            clock.pause()
            began = clock.now
            assert clock.now == began and clock.state.paused
            clock.step(100)
            assert clock.now == began + 100
            with pytest.raises(RuntimeError, match="paused"):
                clock.sleep(1)
            clock.go()
            clock.speed(100)
            clock.sleep(10)
            assert clock.now >= began + 110

        def test_exchanges(k485_bus):
            assert k485_bus.exchanges() == []
            ask(k485_bus, BUFFER)
            ask(k485_bus, "f70103ff0f47")
            first = k485_bus.expect("func==GET_BUFFER_STATE")
            assert first.request.device == "box1"
            assert first.response.fields.buffer_name in ("middle", "full", "empty")
            second = k485_bus.expect("status!=OK")
            assert second.seq > first.seq
            with pytest.raises(AssertionError, match="no exchange that fits 'func==GET_BUFFER_STATE'"):
                k485_bus.expect("func==GET_BUFFER_STATE", timeout=0.2)
            assert k485_bus.expect("func==GET_BUFFER_STATE", after=0).seq == first.seq
            assert len(k485_bus.exchanges("addr==box1")) == 2
            assert k485_bus.exchanges(after=second.seq) == []
            with pytest.raises(ControlError, match="adr"):
                k485_bus.exchanges("adr==box1")

        def test_a_wait_that_ends(k485_bus):
            with pytest.raises(AssertionError, match="not within 1 s: .*box 1: address 1, idle"):
                k485_bus.wait_for(lambda state: state.box(1).error, timeout=1)

        def test_another_scene(k485_bus):
            k485_bus.scene("[[box]]\\n[[box]]\\n")
            assert len(k485_bus.state.boxes) == 2
            k485_bus.scene()
            assert len(k485_bus.state.boxes) == 1
            with pytest.raises(ControlError, match="bax"):
                k485_bus.scene("[[bax]]")
        """
    )
    result.assert_outcomes(passed=8)


def test_a_failing_test_shows_what_the_bus_carried(run):
    result = run(
        """
        import pytest
        from speak import *

        pytestmark = pytest.mark.k485(scene="[[box]]\\naddress = 1\\n")

        def test_fails(k485_bus):
            ask(k485_bus, BUFFER)
            k485_bus.expect("func==GET_BUFFER_STATE")
            assert False, "on purpose"

        @pytest.mark.k485(faults=["drop dir=response"])
        def test_unanswered(k485_bus):
            fd = os.open(k485_bus.port, os.O_RDWR | os.O_NOCTTY)
            tty.setraw(fd)
            os.write(fd, bytes.fromhex("f70103ff0a5c"))
            # A box's state may take an hour: no exchange is over before.
            k485_bus.wait_for(lambda state: k485_bus.open)
            assert k485_bus.open.function == "GET_BOX_STATE"
            assert k485_bus.exchanges() == []
            os.close(fd)
            assert False

        def test_passes(k485_bus):
            ask(k485_bus, BUFFER)
            assert k485_bus.open is None

        @pytest.fixture
        def broken(k485_bus):
            ask(k485_bus, BUFFER)
            k485_bus.expect("func==GET_BUFFER_STATE")
            raise RuntimeError("in a fixture")

        def test_fixture(broken):
            pass
        """
    )
    result.assert_outcomes(passed=1, failed=2, errors=1)
    result.stdout.fnmatch_lines(["*k485 exchanges*", "*box1*GET_BUFFER_STATE*OK*buffer=*"])
    result.stdout.fnmatch_lines(["*k485 exchanges*", "*box1*GET_BOX_STATE*(no reply so far)"])
    assert result.stdout.str().count("k485 exchanges") == 3


def test_a_long_log_shows_its_end(run):
    result = run(
        """
        import pytest
        from speak import *

        @pytest.mark.k485(scene="[[box]]\\naddress = 1\\n", time="virtual")
        def test_fails(k485_bus):
            for _ in range(20):
                ask(k485_bus, BUFFER)
            ask(k485_bus, "f70103ff0f47")
            k485_bus.expect("status!=OK")
            assert False
        """,
        "-o", "k485_log_lines=3",
    )  # fmt: skip
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*TIGHTEN_UP_ENABLE*PARAMS_ERR*"])
    assert result.stdout.str().count("GET_BUFFER_STATE") == 2


def test_an_emulator_that_dies_is_told_with_what_it_said(run):
    result = run(
        """
        import os, signal

        def test_dies(k485_bus):
            os.kill(k485_bus.pid, signal.SIGKILL)
            k485_bus.state

        def test_dies_unseen(k485_bus):
            os.kill(k485_bus.pid, signal.SIGKILL)
            os.waitid(os.P_PID, k485_bus.pid, os.WEXITED | os.WNOWAIT)
        """
    )
    result.assert_outcomes(passed=1, failed=1, errors=1)
    result.stdout.fnmatch_lines(["*EmulatorError: k485 was ended by SIGKILL", "*a bus with box 1*"])


def test_a_bus_that_cannot_start_says_why(run):
    result = run(
        """
        import pytest

        @pytest.mark.k485(args=["--turnaround", "x"])
        def test_args(k485_bus):
            pass

        @pytest.mark.k485(scene="[[bax]]\\n[[box]]")
        def test_scene(k485_bus):
            pass

        @pytest.mark.k485(faults=["drp"])
        def test_fault(k485_bus):
            pass

        @pytest.mark.k485(2)
        def test_positional(k485_bus):
            pass
        """
    )
    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines(
        [
            "*k485 did not start (exit code 2)*",
            "*--turnaround x*",
            "*write milliseconds from 0 to 1000*",
            "*scene.toml:1:3: unknown key*bax*",
            "*takes only named arguments*",
        ]
    )
    # Nobody wants to see the plugin's own frames.
    assert "plugin.py" not in result.stdout.str()


def test_no_binary_at_all_says_what_to_do(run, monkeypatch, pytester):
    monkeypatch.delenv("K485_BINARY")
    monkeypatch.setenv("PATH", "/nowhere")
    result = run("def test_it(k485_bus): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*k485 was not found*cargo build --release*"])


@pytest.mark.parametrize(
    "program, said",
    [
        (
            "echo \"error: unexpected argument '--control' found\" >&2; exit 2",
            "*is too old for this plugin: it does not know --control.*cargo build*",
        ),
        (
            "echo '{\"endpoints\":[]}'; exec sleep 60",
            "*is not a k485 that this plugin understands*",
        ),
        ("echo hello", "*is not a k485 that this plugin understands: its first line is 'hello'*"),
        ("echo no such device >&2; exit 7", "*did not start (exit code 7)*"),
        ("exec sleep 60", "*k485 said nothing for 2 s*"),
    ],
)
def test_another_program_is_told_from_k485(run, pytester, program, said):
    option = f"--k485-binary={script(pytester, program)}"
    result = run("def test_it(k485_bus): pass", option, "-o", "k485_start_timeout=2")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([said])


def test_ctrl_c_ends_the_bus(run, pytester):
    result = run(
        """
        import os, signal

        def test_interrupted(k485_bus):
            with open("pid", "w") as file:
                file.write(str(k485_bus.pid))
            # A shell's background job inherits that Ctrl-C is ignored.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.kill(os.getpid(), signal.SIGINT)
            k485_bus.wait_for(lambda state: False, timeout=30)
        """
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert gone(int((pytester.path / "pid").read_text()))


def test_a_pytest_that_is_killed_takes_the_bus_with_it(pytester):
    pytester.makeini("[pytest]\n")
    path = pytester.makepyfile(
        """
        import os, time

        def test_long(k485_bus):
            with open("pid.new", "w") as file:
                file.write(str(k485_bus.pid))
            os.rename("pid.new", "pid")
            time.sleep(600)
        """
    )
    outer = subprocess.Popen([sys.executable, "-m", "pytest", str(path)], stdout=subprocess.DEVNULL)
    try:
        file = pytester.path / "pid"
        until = time.monotonic() + 60
        while not file.exists() and outer.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        pid = int(file.read_text())
    finally:
        outer.send_signal(signal.SIGKILL)
        outer.wait()
    assert gone(pid)


def test_workers_of_xdist_have_buses_of_their_own(run):
    pytest.importorskip("xdist")
    result = run(
        """
        import pytest

        @pytest.mark.parametrize("number", range(6))
        def test_one(k485_bus, number):
            k485_bus.box(1).climate(number, 50)
            assert k485_bus.box(1).state.climate == [number, 50]
            assert number != 5
        """,
        "-n", "2",
    )  # fmt: skip
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["*k485 exchanges*"])
